"""Accumulations against slow Python and the properties every accumulation must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.events import EventStream, binary_frame, count_image, voxel_grid
from eventhpe.events import representations as kernels
from tests.events.event_samples import random_events

W, H = 5, 4


@st.composite
def streams(draw: st.DrawFn) -> EventStream:
    # 1 to 80 events on 20 pixels cross the border between the sparse and the dense kernel.
    n = draw(st.integers(0, 80))
    numbers = lambda top: draw(st.lists(st.integers(0, top), min_size=n, max_size=n))  # noqa: E731
    t = sorted(numbers(1000))
    return EventStream.from_arrays(
        np.array(numbers(W - 1), int),
        np.array(numbers(H - 1), int),
        np.array(t, int),
        np.array(numbers(1), int),
        W,
        H,
    )


def slow_voxel_grid(events: EventStream, t0: int, t1: int, bins: int) -> np.ndarray:
    grid = np.zeros((bins, events.height, events.width))
    for x, y, t, p in zip(events.x, events.y, events.t, events.p, strict=True):
        if t0 <= t < t1:
            tau = (bins - 1) * (int(t) - t0) / (t1 - t0)
            for b in range(bins):
                grid[b, y, x] += (2 * int(p) - 1) * max(0.0, 1 - abs(b - tau))
    return grid


def shifted(events: EventStream, dt: int) -> EventStream:
    return EventStream(events.x, events.y, events.t + dt, events.p, W, H)


spans = st.tuples(st.integers(-50, 900), st.integers(1, 1100)).map(lambda s: (s[0], s[0] + s[1]))


@given(streams(), spans, st.integers(1, 11))
@settings(max_examples=150, deadline=None)
def test_voxel_grid_equals_slow_python(
    events: EventStream, span: tuple[int, int], bins: int
) -> None:
    found = voxel_grid(events, *span, bins)
    np.testing.assert_allclose(found, slow_voxel_grid(events, *span, bins), atol=1e-5)


@given(streams(), spans, st.integers(1, 7))
@settings(max_examples=80, deadline=None)
def test_voxel_grid_properties(events: EventStream, span: tuple[int, int], bins: int) -> None:
    grid = voxel_grid(events, *span, bins)
    inside = (events.t >= span[0]) & (events.t < span[1])
    signed = (2 * events.p.astype(int) - 1)[inside].sum()
    assert grid.sum() == pytest.approx(signed, abs=1e-3)

    flipped = EventStream(events.x, events.y, events.t, 1 - events.p, W, H)
    np.testing.assert_array_equal(voxel_grid(flipped, *span, bins), -grid)

    moved = voxel_grid(shifted(events, 10**15), span[0] + 10**15, span[1] + 10**15, bins)
    np.testing.assert_array_equal(moved, grid)

    half = len(events) // 3
    parts = voxel_grid(events.slice(0, half), *span, bins)
    parts = parts + voxel_grid(events.slice(half, len(events)), *span, bins)
    np.testing.assert_allclose(parts, grid, atol=1e-5)

    order = np.random.default_rng(0).permutation(len(events))
    np.testing.assert_allclose(voxel_grid(events.masked(order), *span, bins), grid, atol=1e-5)


@given(streams(), spans, st.integers(1, 7))
@settings(max_examples=80, deadline=None)
def test_binary_frame_properties(events: EventStream, span: tuple[int, int], bins: int) -> None:
    frame = binary_frame(events, *span, bins)
    expected = np.zeros((bins, H, W))
    for x, y, t in zip(events.x, events.y, events.t.tolist(), strict=True):
        if span[0] <= t < span[1]:
            expected[bins * (t - span[0]) // (span[1] - span[0]), y, x] = 1
    np.testing.assert_array_equal(frame, expected)
    flipped = EventStream(events.x, events.y, events.t, 1 - events.p, W, H)
    np.testing.assert_array_equal(binary_frame(flipped, *span, bins), frame)
    moved = binary_frame(shifted(events, 777), span[0] + 777, span[1] + 777, bins)
    np.testing.assert_array_equal(moved, frame)
    order = np.random.default_rng(0).permutation(len(events))
    np.testing.assert_array_equal(binary_frame(events.masked(order), *span, bins), frame)
    half = len(events) // 2
    parts = [binary_frame(events.slice(*s), *span, bins) for s in ((0, half), (half, len(events)))]
    np.testing.assert_array_equal(np.maximum(*parts), frame)


@given(streams())
@settings(max_examples=50, deadline=None)
def test_count_image_properties(events: EventStream) -> None:
    image = count_image(events)
    expected = np.zeros((2, H, W))
    np.add.at(expected, (events.p, events.y, events.x), 1)
    np.testing.assert_array_equal(image, expected)
    flipped = EventStream(events.x, events.y, events.t, 1 - events.p, W, H)
    np.testing.assert_array_equal(count_image(flipped), image[::-1])
    half = len(events) // 2
    parts = count_image(events.slice(0, half)) + count_image(events.slice(half, len(events)))
    np.testing.assert_array_equal(parts, image)


@pytest.fixture
def events() -> EventStream:
    return random_events()


def many_events(n: int, span_us: int) -> EventStream:
    rng = np.random.default_rng(4)
    t = np.sort(rng.integers(0, span_us, n))
    x, y, p = rng.integers(0, W, n), rng.integers(0, H, n), rng.integers(0, 2, n)
    return EventStream.from_arrays(x, y, t, p, W, H)


@pytest.mark.parametrize("span_us", [7, 50_000, 100_000_000, 2**40])
@pytest.mark.parametrize("bins", [2, 10])
def test_dense_and_sparse_kernels_agree(span_us: int, bins: int) -> None:
    events = many_events(700_000 if bins == 2 else 20_000, span_us)
    grids = []
    for add in (kernels._add_dense, kernels._add_sparse):
        grid = np.zeros((bins, H, W), np.float32)
        add(events.x, events.y, events.t, events.p, 0, span_us, grid)
        grids.append(grid)
    # The sparse kernel adds in float32 one by one: it is the less exact of the two.
    np.testing.assert_allclose(*grids, atol=0.05 if bins == 2 else 2e-3)


def test_dense_kernel_holds_when_all_votes_meet_at_one_pixel() -> None:
    n = 1_000_000
    zeros = np.zeros(n, int)
    events = EventStream.from_arrays(zeros, zeros, zeros + 2**20 - 1, zeros, W, H)
    grid = voxel_grid(events, 0, 2**20, 2)
    assert grid[0, 0, 0] == pytest.approx(-n / 2**20, rel=1e-2)
    assert grid.sum() == pytest.approx(-n)


def test_empty_and_zero_length_windows_are_zero(events: EventStream) -> None:
    for stream, t0, t1 in (
        (EventStream.empty(20, 12), 0, 100),
        (events, 500, 500),
        (events, 500, 400),
        (events, 10**9, 10**9 + 5),
    ):
        assert not voxel_grid(stream, t0, t1, 3).any()
        assert not binary_frame(stream, t0, t1).any()
    assert not count_image(EventStream.empty(20, 12)).any()


def test_inputs_are_never_changed(events: EventStream) -> None:
    for name in "xytp":
        getattr(events, name).flags.writeable = False
    copies = [getattr(events, name).copy() for name in "xytp"]
    voxel_grid(events, 0, 10_000, 5)
    binary_frame(events, 0, 10_000)
    count_image(events)
    for name, copy in zip("xytp", copies, strict=True):
        np.testing.assert_array_equal(getattr(events, name), copy)


def test_out_is_cleared_and_reused(events: EventStream) -> None:
    out = np.full((3, 12, 20), 7, np.float32)
    assert voxel_grid(events, 0, 10_000, 3, out=out) is out
    np.testing.assert_array_equal(out, voxel_grid(events, 0, 10_000, 3))
    with pytest.raises(ValueError, match="float32"):
        voxel_grid(events, 0, 10_000, 4, out=out)
    with pytest.raises(ValueError, match="bins"):
        voxel_grid(events, 0, 10_000, 0)
