"""DHP19's filters against the reference's in plain Python, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.dhp19_filters import Filters, kept
from datasets.dhp19_reading import MosaicEvents, mosaic_events
from tests.datasets.dhp19_oracle import Event, camera_kept, decode, reference_kept, word, words_of

ORACLES = {Filters.REFERENCE: reference_kept, Filters.CAMERA: camera_kept}
# Around the borders, the infrared masks and the edges of what exists.
RAW_X = (0, 1, 2, 3, 343, 344, 345, 346, 1023)
RAW_Y = (0, 1, 2, 3, 257, 258, 259, 260, 511)
STEPS = (0, 0, 1, 100, 34_999, 35_000, 69_999, 70_000, 70_001)


def both(data: bytes, filters: Filters) -> tuple[list[bool], list[bool]]:
    """What the project keeps, and what the oracle keeps."""
    events, expected = mosaic_events(words_of(data)), decode(data)
    X, Y = events.place % 1384 + 1, events.place // 1384 + 1
    found = zip(X.tolist(), Y.tolist(), events.t.tolist(), events.p.tolist(), strict=True)
    assert list(found) == [(e.X, e.Y, e.t, e.p) for e in expected]
    return kept(events, filters).tolist(), ORACLES[filters](expected)


@pytest.mark.parametrize("filters", Filters)
@settings(deadline=None, max_examples=150)
@given(
    events=st.lists(
        st.tuples(
            *(st.sampled_from(s) for s in (RAW_X, RAW_Y, (0, 1, 2, 3, 4, 15), STEPS, (0, 1)))
        ),
        max_size=120,
    ),
    origin=st.sampled_from((0, 1, 60_000, 70_001, 3_000_000_000)),
)
def test_events_at_borders(
    filters: Filters, events: list[tuple[int, int, int, int, int]], origin: int
) -> None:
    t, data = origin, b""
    for raw_x, raw_y, camera, step, p in events:
        t += step
        data += word(raw_x, raw_y, camera, t, p)
    found, expected = both(data, filters)
    assert found == expected


@pytest.mark.parametrize("filters", Filters)
@pytest.mark.parametrize("seed", range(4))
def test_many_random_events(filters: Filters, seed: int) -> None:
    """Half of them in and around an infrared mask; times are equal, far apart, and step back."""
    rng = np.random.default_rng(seed)
    t, data = 5_000_000, b""
    for _ in range(6000):
        t += int(rng.choice((0, 0, 30, 200, -40, 30_000), p=(0.3, 0.3, 0.2, 0.16, 0.03, 0.01)))
        if rng.random() < 0.5:
            x, y, camera = int(rng.integers(226, 262)), int(rng.integers(112, 148)), 2
        else:
            x, y, camera = int(rng.integers(125, 140)), int(rng.integers(114, 126)), 3
        data += word(x, y, camera, t, int(rng.integers(0, 2)))
    found, expected = both(data, filters)
    assert found == expected
    assert 0 < sum(found) < len(found)


@pytest.mark.parametrize("filters", Filters)
def test_hot_pixels_go_and_are_no_company(filters: Filters) -> None:
    data = b""
    for i in range(10_000):
        t = 1_000_000 + 10 * i
        data += word(100, 100, 1, t)  # hot
        if i:
            data += word(200, 100, 1, t)  # one event fewer
            data += word(201, 100, 1, t)
        if i % 1000 == 0:
            data += word(101, 100, 1, t)  # has only the hot pixel beside it
    found, expected = both(data, filters)
    assert found == expected
    assert sum(found) == 2 * 9999 - 1  # all of the two pixels but the first


def test_cameras_leak_on_the_mosaic_alone() -> None:
    """Camera 0's last column and camera 1's first are neighbours there."""
    data = word(0, 100, 0, 1_000_000) + word(345, 100, 1, 1_000_005)
    assert [(e.X, e.camera) for e in decode(data)] == [(346, 0), (347, 1)]
    assert both(data, Filters.REFERENCE)[0] == [False, True]
    assert both(data, Filters.CAMERA)[0] == [False, False]


def test_the_mosaics_border_is_no_company_but_a_cameras_own_border_is() -> None:
    data = word(345, 100, 0, 1_000_000) + word(344, 100, 0, 1_000_005)
    assert [e.X for e in decode(data)] == [1, 2]
    assert both(data, Filters.REFERENCE)[0] == [False, False]
    assert both(data, Filters.CAMERA)[0] == [False, True]


@pytest.mark.parametrize(
    ("X", "Y", "masked"),
    [
        *((780, 130, False), (781, 116, True), (809, 144, True), (810, 130, False)),
        *((795, 115, False), (795, 145, False)),
        *((1252, 140, False), (1253, 137, True), (1258, 143, True), (1259, 140, False)),
        *((1255, 136, False), (1255, 144, False)),
    ],
)
def test_infrared_masks_are_strict(X: int, Y: int, masked: bool) -> None:
    """An event at X, Y after one beside it stays unless it is masked."""
    pair = [Event(X + 1, Y, 2, 1_000_000, 0), Event(X, Y, 2, 1_000_001, 0)]
    events = MosaicEvents(
        np.array([e.t for e in pair], np.uint32),
        np.array([(e.Y - 1) * 1384 + e.X - 1 for e in pair], np.uint32),
        np.zeros(2, np.uint8),
    )
    assert kept(events)[1] == (not masked)


def test_no_events() -> None:
    for filters in Filters:
        assert both(b"", filters) == ([], [])
