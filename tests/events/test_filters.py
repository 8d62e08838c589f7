"""Filters against slow Python."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.events import EventStream
from eventhpe.events.filters import (
    BackgroundActivityFilter,
    filter_hot_pixels,
    filter_pixels,
    filter_rectangle,
    hot_pixel_mask,
)
from tests.events.event_samples import assert_same_events, random_events


def slow_background(events: EventStream, tau: int) -> list[bool]:
    latest: dict[tuple[int, int], int] = {}
    keep = []
    for x, y, t in zip(events.x.tolist(), events.y.tolist(), events.t.tolist(), strict=True):
        around = [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
        keep.append(any(pixel in latest and t - latest[pixel] <= tau for pixel in around))
        latest[x, y] = t
    return keep


@given(st.integers(0, 10**6), st.integers(0, 2000), st.lists(st.integers(0, 150), max_size=4))
@settings(max_examples=60, deadline=None)
def test_background_activity_equals_slow_python(seed: int, tau: int, marks: list[int]) -> None:
    events = random_events(150, 6, 5, 8000, seed)
    company = BackgroundActivityFilter(6, 5, tau)
    edges = [0, *sorted(marks), 150]
    pieces = [company.keep(events.slice(a, b)) for a, b in pairwise(edges)]
    assert np.concatenate(pieces).tolist() == slow_background(events, tau)


def test_background_activity_over_hours_and_from_late_or_negative_times() -> None:
    for origin in (-(2**40), 0, 2**31 - 5, 2**50):
        events = random_events(400, 6, 5, 5 * 2**30, seed=9)
        events = EventStream(events.x, events.y, events.t + origin, events.p, 6, 5)
        tau = 2**30 - 1
        company = BackgroundActivityFilter(6, 5, tau)
        assert company.keep(events).tolist() == slow_background(events, tau)


def test_background_activity_edges() -> None:
    def one(x: int, y: int, t: int) -> EventStream:
        return EventStream.from_arrays(*(np.array([v]) for v in (x, y, t, 1)), 4, 4)

    company = BackgroundActivityFilter(4, 4, 100)
    assert not company.keep(one(0, 0, 0))[0]  # nobody before it
    assert not company.keep(one(0, 0, 1))[0]  # its own pixel is no company
    assert company.keep(one(1, 1, 101))[0]  # exactly tau
    assert not company.keep(one(3, 3, 250))[0]
    assert not company.keep(one(3, 0, 251))[0]  # the far side is no neighbour
    assert company.keep(EventStream.empty(4, 4)).shape == (0,)
    with pytest.raises(ValueError, match="4x4"):
        company.keep(EventStream.empty(5, 4))
    with pytest.raises(ValueError, match="tau"):
        BackgroundActivityFilter(4, 4, 2**30)


def test_hot_pixels_by_count_and_by_rate() -> None:
    x = np.array([1] * 10 + [2] * 9)
    t = np.arange(19) * 1_000_000 // 18  # one second
    events = EventStream.from_arrays(x, x * 0, t, x * 0, 4, 4)
    for limit in ({"max_count": 10}, {"max_rate_hz": 9.5}):
        assert np.argwhere(hot_pixel_mask(events, **limit)).tolist() == [[0, 1]]
        assert filter_hot_pixels(events, **limit).x.tolist() == [2] * 9
    assert not hot_pixel_mask(events.slice(0, 1), max_rate_hz=1.0).any()
    assert not hot_pixel_mask(EventStream.empty(4, 4), max_count=1).any()
    with pytest.raises(ValueError, match="exactly one"):
        hot_pixel_mask(events)
    with pytest.raises(ValueError, match="mask"):
        filter_pixels(events, np.zeros((3, 4), bool))


def test_rectangle_is_half_open_and_splits_the_events() -> None:
    events = random_events()
    inside = filter_rectangle(events, 3, 2, 8, 7)
    wanted = [3 <= x < 8 and 2 <= y < 7 for x, y in zip(events.x, events.y, strict=True)]
    assert_same_events(inside, events.masked(np.array(wanted)))
    outside = filter_rectangle(events, 3, 2, 8, 7, inside=False)
    assert len(inside) + len(outside) == len(events)
