"""EventStream's operations, and windows against a worked example."""

from itertools import pairwise

import numpy as np
import pytest

from eventhpe.events import EventStream
from eventhpe.events.windows import count_windows_of, windows_of
from tests.events.event_samples import assert_same_events, random_events

EMPTY = EventStream.empty(4, 4)


def at(*times: int) -> EventStream:
    zeros = np.zeros(len(times), int)
    return EventStream.from_arrays(zeros, zeros, np.array(times, int), zeros, 4, 4)


TEN = at(0, 10, 20, 30, 40, 50, 60, 70, 80, 90)


def split(events: EventStream, *marks: int) -> list[EventStream]:
    edges = [0, *marks, len(events)]
    return [events.slice(a, b) for a, b in pairwise(edges)]


@pytest.mark.parametrize("marks", [(), (3,), (1, 2, 3, 9), (5, 5), tuple(range(10))])
def test_worked_example_of_ten_timestamps(marks: tuple[int, ...]) -> None:
    windows = list(windows_of(split(TEN, *marks), 40, 20, 0, None, EMPTY))
    assert [(w.t0, w.t1, w.events.t.tolist()) for w in windows] == [
        (0, 40, [0, 10, 20, 30]),
        (20, 60, [20, 30, 40, 50]),
        (40, 80, [40, 50, 60, 70]),
    ]
    stopped = list(windows_of(split(TEN, *marks), 40, 20, 0, 100, EMPTY))
    assert [w.t0 for w in stopped] == [0, 20, 40, 60]
    assert stopped[-1].events.t.tolist() == [60, 70, 80, 90]


def test_window_that_ends_just_after_the_last_event_is_whole() -> None:
    assert [w.t1 for w in windows_of([TEN], 91, 10, 0, None, EMPTY)] == [91]
    assert not list(windows_of([TEN], 92, 10, 0, None, EMPTY))


def test_steps_longer_than_windows_and_silence_between() -> None:
    windows = list(windows_of([at(5, 205), at(206, 400)], 10, 100, 0, None, EMPTY))
    assert [(w.t0, w.events.t.tolist()) for w in windows] == [
        (0, [5]), (100, []), (200, [205, 206]), (300, []),
    ]  # fmt: skip
    assert [len(w.events) for w in windows_of([], 10, 10, 0, 30, EMPTY)] == [0, 0, 0]
    assert not list(windows_of([], 10, 10, 0, None, EMPTY))


def test_windows_match_direct_slicing_for_any_chunking() -> None:
    events = random_events(3000, seed=3)
    chunks = split(events, 1, 700, 701, 2500)
    for window, step, start in ((1000, 250, 0), (300, 700, 55), (1, 1111, 3)):
        for w in windows_of(chunks, window, step, start, None, EventStream.empty(20, 12)):
            assert_same_events(w.events, events.between(w.t0, w.t1))


def test_count_windows_hold_exactly_the_count() -> None:
    windows = list(count_windows_of(split(TEN, 1, 6), 4))
    assert [w.events.t.tolist() for w in windows] == [[0, 10, 20, 30], [40, 50, 60, 70]]
    assert [(w.t0, w.t1) for w in windows] == [(0, 31), (40, 71)]
    assert [len(w.events) for w in count_windows_of([TEN], 10)] == [10]
    with pytest.raises(ValueError, match="at least one"):
        next(count_windows_of([TEN], 0))
    with pytest.raises(ValueError, match="positive"):
        next(windows_of([TEN], 10, 0, 0, None, EMPTY))


def test_between_is_half_open_also_for_equal_times() -> None:
    events = at(5, 5, 5)
    assert len(events.between(5, 6)) == 3
    assert len(events.between(0, 5)) == 0
    assert len(events.between(6, 5)) == 0


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
def test_reoriented_turns_like_the_image(rotate: int, flip_x: bool, flip_y: bool) -> None:
    events = random_events(200)
    image = np.zeros((12, 20), int)
    np.add.at(image, (events.y, events.x), 1)
    image = np.rot90(image, -rotate // 90)
    image = image[:, ::-1] if flip_x else image
    image = image[::-1] if flip_y else image
    turned = events.reoriented(rotate, flip_x, flip_y)
    found = np.zeros((turned.height, turned.width), int)
    np.add.at(found, (turned.y, turned.x), 1)
    np.testing.assert_array_equal(found, image)


def test_misuse_is_named() -> None:
    events = random_events(5)
    with pytest.raises(ValueError, match="45"):
        events.reoriented(45)
    with pytest.raises(ValueError, match="equal length"):
        EventStream(events.x[:2], events.y, events.t, events.p, 20, 12)
    with pytest.raises(ValueError, match="uint16"):
        EventStream(events.t, events.y, events.t, events.p, 20, 12)
    with pytest.raises(ValueError, match="different sensors"):
        EventStream.concatenate([events, EMPTY])
    with pytest.raises(ValueError, match="before"):
        EventStream.concatenate([at(5), at(4)])
