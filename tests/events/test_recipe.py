"""The fused crop-and-accumulate kernel against accumulation on the sensor and explicit resizing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from eventhpe.camera import Crop
from eventhpe.events.recipe import InputRecipe, axis_taps
from eventhpe.events.representations import binary_frame, voxel_grid
from eventhpe.events.stream import EventStream

WINDOW = 50_000


def random_events(seed: int, count: int, width: int, height: int) -> EventStream:
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        rng.integers(0, width, count),
        rng.integers(0, height, count),
        np.sort(rng.integers(0, WINDOW, count)),
        rng.integers(0, 2, count),
        width,
        height,
    )


def padded_cut(grid: np.ndarray, x0: int, y0: int, side: int) -> torch.Tensor:
    """The square [x0, x0+side) x [y0, y0+side) of a grid, zeros outside the sensor."""
    height, width = grid.shape[1:]
    cut = np.zeros((len(grid), side, side), np.float32)
    for row in range(side):
        for column in range(side):
            y, x = y0 + row, x0 + column
            if 0 <= y < height and 0 <= x < width:
                cut[:, row, column] = grid[:, y, x]
    return torch.from_numpy(cut)


def normalised(grid: torch.Tensor) -> np.ndarray:
    values = grid[grid.abs() > 1e-7]
    return (grid / values.square().mean().sqrt()).clamp(-5, 5).numpy()


@pytest.mark.parametrize("representation", ["voxel", "binary"])
def test_shrinking_is_area_averaging(representation):
    events = random_events(0, 900, 60, 50)
    recipe = InputRecipe(representation, bins=4, window_us=WINDOW, size=16)
    side, x0, y0 = 48, -5, 10
    accumulate = voxel_grid if representation == "voxel" else binary_frame
    grid = accumulate(events, 0, WINDOW, 4)
    expected = functional.avg_pool2d(padded_cut(grid, x0, y0, side), side // 16)
    result = recipe.prepare(events, 0, WINDOW, Crop(x0, y0, side, 16))
    np.testing.assert_allclose(result, normalised(expected), atol=2e-4)


def test_growing_is_bilinear():
    events = random_events(1, 200, 40, 30)
    recipe = InputRecipe(bins=3, window_us=WINDOW, size=32)
    grid = voxel_grid(events, 0, WINDOW, 3)
    # One pixel of margin on each side, for interpolation reaches over the crop's edge.
    wide = padded_cut(grid, 9, 7, 18)
    grown = functional.interpolate(
        wide[None], scale_factor=2, mode="bilinear", align_corners=False
    )[0, :, 2:-2, 2:-2]
    result = recipe.prepare(events, 0, WINDOW, Crop(10, 8, 16, 32))
    np.testing.assert_allclose(result, normalised(grown), atol=2e-4)


def test_a_crop_of_the_sensor_itself_is_the_voxel_grid():
    events = random_events(2, 500, 32, 32)
    recipe = InputRecipe(bins=5, window_us=WINDOW, size=32)
    expected = normalised(torch.from_numpy(voxel_grid(events, 0, WINDOW, 5)))
    np.testing.assert_allclose(
        recipe.prepare(events, 0, WINDOW, Crop(0, 0, 32, 32)), expected, atol=2e-4
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.floats(-30, 60), st.floats(4, 120), st.integers(1, 64))
def test_taps_of_inner_pixels_partition_the_crop(length, origin, side, size):
    first, count, weights = axis_taps(length, origin, side, size)
    total = np.zeros(size)
    for j in range(length):
        assert first[j] >= 0
        assert first[j] + count[j] <= size
        total[first[j] : first[j] + count[j]] += weights[j, : count[j]]
    # A crop pixel wholly on the sensor gets weights that sum to 1 (bilinear) or its source's
    # pixels' areas (side / size of them, each of weight up to 1).
    left = origin + np.arange(size) * side / size
    reach = 0.0 if size < side else 0.5
    inner = (left - reach >= 0) & (left + side / size + reach <= length)
    expected = side / size if size < side else 1.0
    np.testing.assert_allclose(
        total[inner] * (expected if size < side else 1.0), expected, rtol=2e-3
    )


def test_events_outside_the_window_or_the_crop_do_not_count():
    inside = random_events(3, 50, 20, 20)
    recipe = InputRecipe(bins=4, window_us=WINDOW, size=8)
    crop = Crop(4, 4, 8, 8)
    far = inside.masked((inside.x < 3) | (inside.x > 13))
    assert not recipe.prepare(far, 0, WINDOW, crop).any()
    assert not recipe.prepare(inside, WINDOW, 2 * WINDOW, crop).any()
    assert not recipe.prepare(EventStream.empty(20, 20), 0, WINDOW, crop).any()


def test_one_hot_pixel_is_clipped():
    one = EventStream.from_arrays(
        np.full(10_000, 5), np.full(10_000, 5), np.full(10_000, 10), np.ones(10_000), 32, 32
    )
    others = random_events(4, 800, 32, 32)
    order = np.argsort(np.concatenate([one.t, others.t]), kind="stable")
    both = EventStream(
        *(np.concatenate([getattr(one, n), getattr(others, n)])[order] for n in "xytp"), 32, 32
    )
    grid = InputRecipe(bins=4, size=32).prepare(both, 0, WINDOW, Crop(0, 0, 32, 32))
    assert grid.max() == pytest.approx(5.0)


def test_a_crop_of_another_size_is_refused():
    with pytest.raises(ValueError, match="size 64"):
        InputRecipe(size=128).prepare(EventStream.empty(10, 10), 0, 1, Crop(0, 0, 10, 64))
