"""The overlay's geometry, states and sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhpe.events.stream import EventStream
from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.rendering.overlay import (
    ALPHA,
    BACKGROUND,
    POLARITY_COLOURS,
    REGION_COLOUR,
    Figure,
    Label,
    Layout,
    draw_body,
    draw_figures,
    event_picture,
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
def test_panels_are_neither_tiny_nor_gigantic(width: int, height: int) -> None:
    across, down = Layout(width, height).panel
    assert across <= 960 or height < 450
    assert down <= 900
    assert down >= 450 or width > 960


@pytest.mark.parametrize(
    ("size", "scale"),
    [((128, 128), 4), ((346, 260), 2), ((640, 480), 1), ((1280, 720), 0.75), ((720, 1280), 0.5625)],
)
def test_small_sensors_are_enlarged_and_large_ones_shrunk(
    size: tuple[int, int], scale: float
) -> None:
    assert Layout(*size).scale == pytest.approx(scale)


@given(st.integers(0, 1279), st.integers(0, 719))
def test_a_shrunk_picture_keeps_a_lone_event_in_its_place(x: int, y: int) -> None:
    events = EventStream.from_arrays(*(np.array([v]) for v in (x, y, 0, 1)), 1280, 720)
    rows, columns = np.nonzero((event_picture(events, 0.75) == POLARITY_COLOURS[1]).all(axis=2))
    assert [columns, rows] == [pytest.approx([0.75 * x], abs=1), pytest.approx([0.75 * y], abs=1)]


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


def test_held_is_striped_so_that_it_is_known_without_colours() -> None:
    tracked, held = (panel(state).mean(axis=2) for state in (TRACKED, HELD))
    middle = slice(265, 295), slice(225, 255)
    assert held[middle].std() > 3 * tracked[middle].std()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_mesh_hides_the_other(order: tuple[int, int]) -> None:
    figures = [
        Figure(*ball(0, 0, 3, radius=0.1), (250, 0, 0)),
        Figure(*ball(0, 0, 4, radius=0.8), (0, 0, 250)),
    ]
    picture = np.zeros((120, 128, 3), np.uint8)
    with MeshRenderer(128, 120, K) as renderer:
        draw_figures(picture, [figures[k] for k in order], renderer, 1.0)
    red, blue = picture[..., 0] > 50, picture[..., 2] > 50
    assert not (red & blue).any(), "nothing shows through"
    # Seen areas: pi (fx r / z)(fy r / z), the smaller cut out of the larger.
    near, far = (np.pi * 150 * 190 * (r / z) ** 2 for r, z in ((0.1, 3), (0.8, 4)))
    assert red.sum() == pytest.approx(near, rel=0.1)
    assert blue.sum() == pytest.approx(far - near, rel=0.1)


def test_the_label_tells_time_state_and_confidence() -> None:
    assert Label(1_250_000, HELD, 0.456).text.split() == ["1.250", "s", "held", "conf.", "0.46"]
