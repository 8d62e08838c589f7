"""Shadows against projected polygons and against rays from the shadow to the light."""

import numpy as np
import pytest
from numpy.typing import NDArray

from eventhpe.simulation.motion.stage import Stage
from eventhpe.simulation.scene.boxes import unit_box
from eventhpe.simulation.scene.room import (
    Light,
    Plane,
    Room,
    hits,
    light_shares,
    paint_planes,
)
from eventhpe.simulation.scene.shadows import Shadow
from eventhpe.simulation.scene.views import (
    WORLD_TO_LEVEL_CAMERA,
    View,
    about_x,
    about_z,
    intrinsics,
    upward,
)

Array = NDArray[np.float64]
UP = np.array([0.0, 1, 0])
GREY = np.full((2, 2), 0.5, np.float32)
FLOOR = Plane(UP, 0.0, np.zeros(3), np.array([1.0, 0, 0]), np.array([0.0, 0, 1]), GREY, 0.01)
WALL = Plane(np.array([0.0, 0, -1]), -5.0, np.array([0.0, 0, 5]), np.array([-1.0, 0, 0]), UP, GREY)
CUBE, FACES = unit_box(3)
SUN = Light(np.array([0.4, 0.7, -0.6, 0.0]), 0.4)
LAMP = Light(np.array([0.5, 3.0, 1.5, 1.0]), 0.4, 2.0)


@pytest.fixture
def view() -> View:
    K = intrinsics(150.0, 80.0, 55.0)
    K[0, 1] = 4.0
    R = about_z(0.1) @ about_x(0.25) @ WORLD_TO_LEVEL_CAMERA
    return View(160, 120, K, R, np.array([0.0, 1.6, 0.0]), Stage(2, 4, 0.3))


def bare_room(view: View, light: Light) -> Room:
    planes = (FLOOR, WALL)
    index, points = hits(view, planes, (0.0, 0.0))
    shares = light_shares(planes, light, index, points)
    image = paint_planes(view, planes, light)
    return Room(planes, index.astype(np.uint8), image, shares, None, np.zeros(index.shape, bool))


def drawn(view: View, light: Light, world: Array) -> Shadow:
    shadow = Shadow(view, bare_room(view, light), light)
    shadow.update(view.to_camera(world).astype(np.float32), FACES)
    return shadow


def blocked(points: Array, light: Light, corners: Array) -> NDArray[np.bool_]:
    """Whether the way from (N, 3) points to the light meets any of (F, 3, 3) triangles
    (Moeller and Trumbore 1997)."""
    ways = light.source[:3] - light.source[3] * points
    end = 1.0 if light.source[3] else np.inf
    result = np.zeros(len(points), bool)
    for a, b, c in corners:
        u, v = b - a, c - a
        p, q = np.cross(ways, v), np.cross(points - a, u)
        with np.errstate(divide="ignore", invalid="ignore"):
            determinant = p @ u
            s = ((points - a) * p).sum(axis=1) / determinant
            t = (q * ways).sum(axis=1) / determinant
            distance = q @ v / determinant
        result |= (s >= 0) & (t >= 0) & (s + t <= 1) & (distance > 0) & (distance < end)
    return result


@pytest.mark.parametrize("light", [SUN, LAMP])
@pytest.mark.parametrize("centre", [(0.2, 0.6, 3.0), (-0.6, 1.5, 4.2), (0.0, 0.3, 3.5)])
def test_a_pixel_is_in_the_shadow_when_its_way_to_the_light_is_blocked(
    view: View, light: Light, centre: tuple[float, float, float]
) -> None:
    turned = CUBE @ (about_x(0.5) @ about_z(0.4)).T * [0.5, 0.4, 0.6] + centre
    shadow = drawn(view, light, turned)
    index, points = hits(view, (FLOOR, WALL), (0.0, 0.0))
    expected = blocked(points.reshape(-1, 3), light, turned[FACES]).reshape(index.shape)
    expected &= index >= 0
    assert expected.sum() > 150
    # Only pixels on the very edge may differ, by rounding.
    assert (shadow.mask.astype(bool) != expected).sum() <= 2
    assert {0, 1} >= set(np.unique(shadow.mask))


def test_the_shadow_of_a_square_is_the_projected_quadrilateral(view: View) -> None:
    overhead = Light(np.array([0.0, 1, 0, 0]), 0.4)
    flat = CUBE * [0.8, 1e-3, 0.8] + [0.0, 1.0, 3.0]
    mask = drawn(view, overhead, flat).mask.astype(bool)
    corners = np.array([[x, 0.0, z] for x, z in ((-0.4, 2.6), (0.4, 2.6), (0.4, 3.4), (-0.4, 3.4))])
    uvw = view.to_camera(corners) @ view.K.T
    polygon = uvw[:, :2] / uvw[:, 2:]
    v, u = np.mgrid[0 : view.height, 0 : view.width]
    sides = []
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along, away = end - start, np.stack([u - start[0], v - start[1]], axis=-1)
        sides.append(along[0] * away[..., 1] - along[1] * away[..., 0])
    inside = (np.array(sides) > 0).all(axis=0) | (np.array(sides) < 0).all(axis=0)
    assert inside.sum() > 300
    assert (mask != inside).sum() <= 2


def test_full_shadow_leaves_the_light_from_everywhere_and_edges_are_soft(view: View) -> None:
    room = bare_room(view, SUN)
    shadow = drawn(view, SUN, CUBE * 0.7 + [0.2, 0.6, 3.0])
    shown = room.background * shadow.attenuation
    whole = shadow.attenuation <= 1 - room.direct_share + 1e-6
    assert whole.sum() > 100
    assert shown[whole] == pytest.approx(0.5 * SUN.ambient, rel=1e-3)
    far = np.ones_like(whole)
    ys, xs = np.nonzero(shadow.mask)
    far[ys.min() - 1 : ys.max() + 2, xs.min() - 1 : xs.max() + 2] = False
    assert (shadow.attenuation[far] == 1).all()
    between = (shadow.attenuation < 1) & ~whole
    assert between.sum() > 30


def test_shadows_touch_what_stands_on_the_floor(view: View) -> None:
    standing = CUBE * [0.3, 1.0, 0.3] + [0.1, 0.5, 3.0]
    shadow = drawn(view, SUN, standing)
    # Behind the box as the light sees it, just off its foot: the floor there is dark.
    behind = np.array([0.1, 0, 3.0]) + np.array([-0.4, 0, 0.6]) * 0.4
    u, v, w = view.K @ view.to_camera(behind)
    assert shadow.mask[round(v / w), round(u / w)] == 1


def test_no_shadow_where_the_light_does_not_come_from_the_front(view: View) -> None:
    cube = CUBE * 0.5 + [0.0, 0.8, 3.0]
    below = Light(np.array([0.3, -0.8, 0.5, 0.0]), 0.4)
    assert not drawn(view, below, cube).mask.any()
    behind_wall = Light(np.array([0.0, 0.5, 1.0, 0.0]), 0.4)
    shadow = drawn(view, behind_wall, cube)
    assert not shadow.mask[bare_room(view, behind_wall).plane_index == 1].any()
    # Above a lamp nothing casts a shadow down.
    above_lamp = Light(np.array([0.0, 0.4, 3.0, 1.0]), 0.4)
    floor = bare_room(view, above_lamp).plane_index == 0
    assert not drawn(view, above_lamp, cube + upward(0.5)).mask[floor].any()


def test_updates_change_only_the_box_they_name_and_leave_no_trace(view: View) -> None:
    shadow = Shadow(view, bare_room(view, SUN), SUN)
    before = shadow.attenuation.copy()
    for x in np.linspace(-3, 3, 25):
        world = CUBE * 0.5 + [x, 0.8, 3.0]
        x0, y0, x1, y1 = shadow.update(view.to_camera(world).astype(np.float32), FACES)
        outside = np.ones(before.shape, bool)
        outside[y0:y1, x0:x1] = False
        assert np.array_equal(shadow.attenuation[outside], before[outside])
        assert np.array_equal(shadow.attenuation, drawn(view, SUN, world).attenuation)
        before = shadow.attenuation.copy()
    shadow.update(view.to_camera(CUBE + np.array([0.0, 0.8, -9.0])).astype(np.float32), FACES)
    assert (shadow.attenuation == 1).all()
