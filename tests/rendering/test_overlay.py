"""The overlay's geometry, states and sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhpe.events.stream import EventStream
from eventhpe.rendering.overlay import (
    ALPHA,
    BACKGROUND,
    POLARITY_COLOURS,
    REGION_COLOUR,
    Label,
    Layout,
    draw_body,
    event_picture,
    overlay_frame,
)
from tests.rendering.rendering_scenes import ABSENT, HELD, TRACKED, K, ball

EVENTS = EventStream.from_arrays(
    np.array([3, 3, 100]), np.array([5, 5, 90]), np.array([0, 1, 2]), np.array([0, 1, 0]), 128, 120
)


def panel(state: int, region=None, mesh=None, alpha_over: int = 0) -> np.ndarray:
    layout = Layout(128, 120)
    picture = np.full((*layout.panel[::-1], 3), alpha_over, np.uint8)
    with layout.renderer(K, "rasterizer") as renderer:
        draw_body(picture, mesh or ball(0, 0, 3), Label(0, state, 1.0, region), layout, renderer)
    return picture


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_every_picture_has_even_sides(width: int, height: int) -> None:
    layout = Layout(width, height)
    assert layout.size[0] % 2 == layout.size[1] % 2 == 0
    assert layout.panel[1] >= 450


@pytest.mark.parametrize(
    ("size", "scale"), [((128, 128), 4), ((346, 260), 2), ((640, 480), 1), ((1280, 720), 1)]
)
def test_small_sensors_are_enlarged(size: tuple[int, int], scale: int) -> None:
    assert Layout(*size).scale == scale


def test_events_fill_whole_blocks_and_the_last_one_counts() -> None:
    picture = event_picture(EVENTS, 4)
    assert picture.shape == (480, 512, 3)
    assert (picture[20:24, 12:16] == POLARITY_COLOURS[1]).all()
    assert (picture[360:364, 400:404] == POLARITY_COLOURS[0]).all()
    assert (picture == BACKGROUND).all(axis=2).sum() == 480 * 512 - 2 * 16


@given(st.integers(3, 120), st.integers(3, 110))
def test_a_small_mesh_covers_the_block_of_its_sensor_pixel(u: int, v: int) -> None:
    layout = Layout(128, 120)
    point = np.linalg.inv(K) @ [u, v, 1] * 3
    # About a third of a sensor pixel in radius: smaller than the block of 4 x 4.
    mesh = ball(*point, radius=3 * 0.33 / 190)
    with layout.renderer(K, "rasterizer") as renderer:
        _, mask = renderer.render(*mesh)
    rows, columns = np.nonzero(mask)
    assert set(rows // 4) == {v}
    assert set(columns // 4) == {u}
    assert [columns.mean(), rows.mean()] == pytest.approx([4 * u + 1.5, 4 * v + 1.5], abs=0.4)


def test_only_the_mask_is_blended() -> None:
    layout = Layout(128, 120)
    with layout.renderer(K, "rasterizer") as renderer:
        rgb, mask = renderer.render(*ball(0, 0, 3), colour=(20, 200, 145))
    picture = panel(TRACKED, alpha_over=100)
    assert (picture[~mask] == 100).all()
    expected = ALPHA * rgb[mask].astype(float) + (1 - ALPHA) * 100
    assert picture[mask] == pytest.approx(expected, abs=0.51)


def test_held_has_another_tint_and_absent_has_no_mesh() -> None:
    tracked, held, absent = panel(TRACKED), panel(HELD), panel(ABSENT)
    assert not absent.any()
    seen = tracked.any(axis=2)
    assert np.array_equal(seen, held.any(axis=2))
    assert tracked[seen][:, 1].mean() > tracked[seen][:, 0].mean() + 30
    assert held[seen][:, 0].mean() > held[seen][:, 1].mean() + 30


def test_the_region_is_drawn_along_its_border_pixels() -> None:
    picture = panel(ABSENT, region=(10, 20, 5, 6))
    rows, columns = np.nonzero((picture == REGION_COLOUR).all(axis=2))
    assert (columns.min(), columns.max()) == (40, 59)
    assert (rows.min(), rows.max()) == (80, 103)
    assert len(rows) == 2 * 20 + 2 * 24 - 4


@pytest.mark.parametrize(
    "region", [(-50, -50, 20, 20), (500, 500, 9, 9), (0, 0, 0, 0), (np.nan, 0, 1, 1)]
)
def test_a_region_that_is_not_in_the_picture_draws_nothing(region) -> None:
    assert not panel(ABSENT, region=region).any()


def test_the_frame_has_events_left_and_the_same_under_the_mesh_right() -> None:
    layout = Layout(128, 120)
    with layout.renderer(K, "rasterizer") as renderer:
        frame = overlay_frame(EVENTS, ball(0, 0, 3), Label(0, TRACKED, 0.5), layout, renderer)
        _, mask = renderer.render(*ball(0, 0, 3))
    assert frame.shape == (layout.size[1], layout.size[0], 3)
    left, right = frame[layout.caption :, :512], frame[layout.caption :, -512:]
    assert np.array_equal(left, event_picture(EVENTS, 4))
    assert np.array_equal((left != right).any(axis=2), mask)
    assert (frame[: layout.caption] > 150).any(), "the caption is written"


def test_the_label_tells_time_state_and_confidence() -> None:
    assert Label(1_250_000, HELD, 0.456).text.split() == ["1.250", "s", "held", "conf.", "0.46"]


def test_events_of_another_sensor_are_refused() -> None:
    layout = Layout(64, 64)
    with layout.renderer(K, "rasterizer") as renderer, pytest.raises(ValueError, match="64x64"):
        overlay_frame(EVENTS, None, Label(0, TRACKED, 1.0), layout, renderer)
