"""Rooms: perspective of what is painted, light, things in the foreground, lamps on the mains."""

import numpy as np
import pytest

from eventhpe.simulation.motion.stage import Stage
from eventhpe.simulation.scene.backdrops import TEXEL
from eventhpe.simulation.scene.look import CHEST, random_flicker, random_light, random_look
from eventhpe.simulation.scene.room import (
    BRIGHTEST,
    DIMMEST,
    NO_PLANE,
    Block,
    Light,
    Plane,
    draw_blocks,
    floor_plane,
    hits,
    light_shares,
    paint_planes,
    random_planes,
    random_room,
    standing_figure,
    wall_plane,
)
from eventhpe.simulation.scene.views import (
    WORLD_TO_LEVEL_CAMERA,
    View,
    about_z,
    dhp19_view,
    intrinsics,
    random_view,
    upward,
)

RNG = np.random.default_rng
EVERYWHERE = Light(np.array([0.0, 1, 0, 0]), 1.0)


def level_view(roll: float = 0.0) -> View:
    """160 x 120 pixels, focal length 150, 1.5 m above the floor."""
    R = about_z(-roll) @ WORLD_TO_LEVEL_CAMERA
    return View(160, 120, intrinsics(150, 79.5, 59.5), R, upward(1.5), Stage(2, 4, 0.3))


def two_planes(view: View, wall_raster: np.ndarray, z: float = 6.0) -> tuple[Plane, ...]:
    """A grey floor and a wall with a raster of its own, straight across."""
    floor = floor_plane(RNG(0), view, np.full((9, 9), 0.3, np.float32))
    return floor, wall_plane(RNG(0), wall_raster, z, 0.0)


def test_the_floor_meets_the_wall_where_perspective_says() -> None:
    for roll in (0.0, 0.15):
        view = level_view(roll)
        index, points = hits(view, two_planes(view, np.ones((9, 9), np.float32), 6.1), (0.0, 0.0))
        v, u = np.mgrid[0:120, 0:160]
        # Turned back by the roll, the border is the row f h / z below the principal point.
        below = np.cos(roll) * (v - 59.5) + np.sin(roll) * (u - 79.5) > 150 * 1.5 / 6.1
        assert np.array_equal(index == 0, below)
        assert points[index == 0][:, 1] == pytest.approx(0, abs=1e-9)
        assert points[index == 1][:, 2] == pytest.approx(6.1)


def test_what_is_painted_on_a_wall_is_seen_there_and_the_right_way_round() -> None:
    view = level_view()
    raster = np.full((300, 400), 0.2, np.float32)
    raster[80:120, 260:280] = 0.9
    wall = two_planes(view, raster)[1]
    image = paint_planes(view, two_planes(view, raster), EVERYWHERE)
    # The patch's middle, in metres: columns run to the right of one who faces the wall.
    aside, high = (269.5 - 199.5) * TEXEL, (299 - 99.5) * TEXEL
    offset = (wall.origin @ wall.right) * 150 / 6
    u, v = 79.5 + offset + aside * 150 / 6, 59.5 - (high - 1.5) * 150 / 6
    rows, columns = np.nonzero(image > 0.5)
    assert (columns.mean(), rows.mean()) == pytest.approx((u, v), abs=0.6)
    assert len(rows) == pytest.approx(0.4 * 0.2 * (150 / 6) ** 2, rel=0.15)


def test_lamps_fade_with_the_square_of_the_distance_and_the_cosine() -> None:
    lamp, up = Light(np.array([0.0, 3.0, 0.0, 1.0]), 0.2, 3.0), np.array([0.0, 1, 0])
    below, aside = np.zeros(3), np.array([4.0, 0, 0])
    assert lamp.direct(below, up) == pytest.approx(1.0)
    assert lamp.direct(aside, up) == pytest.approx(9 / 25 * 3 / 5)
    assert lamp.intensity(below, up) == pytest.approx(1.0)
    assert lamp.direct(below, -up) == 0
    assert lamp.towards(aside) == pytest.approx([-0.8, 0.6, 0])
    sun = Light(np.array([0.0, 0.6, 0.8, 0.0]), 0.2)
    assert sun.direct(np.array([below, aside]), up) == pytest.approx([0.6, 0.6])


def test_a_shadow_would_leave_a_pixel_the_light_from_everywhere() -> None:
    for seed in range(4):
        view = random_view(RNG(seed), (120, 90))
        light = random_light(RNG(seed), view)
        planes = random_planes(RNG(seed), view)
        index, points = hits(view, planes, (0.0, 0.0))
        share = light_shares(planes, light, index, points)
        lit = paint_planes(view, planes, light)
        dark = paint_planes(view, planes, Light(light.source, 1.0)) * light.ambient
        near = np.isin(index, [i for i, plane in enumerate(planes) if plane.near])
        ratio = lit * (1 - share) / dark
        # Pixels on a corner of the room show two planes.
        assert np.mean(abs(ratio[near] - 1) < 0.02) > 0.97
        assert (share[~near] == 0).all()


def test_rooms_are_reproducible_positive_and_of_the_views_size() -> None:
    for seed, size in enumerate([(128, 128), (240, 180), (346, 260), (90, 160)]):
        view = random_view(RNG(seed), size)
        light = random_light(RNG(seed), view)
        room, again = (random_room(RNG(seed), view, light, True) for _ in range(2))
        assert room.background.shape == size[::-1]
        assert room.background.dtype == np.float32
        assert room.background.min() >= np.float32(DIMMEST)
        assert room.background.max() <= np.float32(BRIGHTEST)
        assert room.background.tobytes() == again.background.tobytes()
        assert (room.direct_share[room.plane_index == NO_PLANE] == 0).all()
        assert 0 <= room.direct_share.min() <= room.direct_share.max() < 1


def test_occluders_stand_before_the_person_and_hide_a_part() -> None:
    found = 0
    for seed in range(12):
        view = dhp19_view(seed % 4) if seed % 2 else random_view(RNG(seed), (173, 130))
        light = random_light(RNG(seed), view)
        room = random_room(RNG(seed), view, light, True)
        figure = standing_figure(view)
        hidden = room.occluder[figure].mean()
        if room.occluder_depth is None:
            assert not room.occluder.any()
            continue
        found += 1
        assert 0.05 <= hidden <= 0.3
        assert 0.2 < room.occluder_depth < view.to_camera(view.target + CHEST)[2]
        assert (room.plane_index[room.occluder] == NO_PLANE).all()
    assert found >= 9


def test_blocks_are_drawn_at_their_depth_in_their_light() -> None:
    view = level_view()
    figure = standing_figure(view)
    uvw = view.K @ view.to_camera(view.target + upward(1.2))
    assert figure[round(uvw[1] / uvw[2]), round(uvw[0] / uvw[2])]
    assert not figure[:, :20].any()
    cube = [Block(np.array([0.0, 1.5, 3.0]), np.ones(3), np.eye(3), 0.8)]
    sun = Light(np.array([0.0, 0.6, -0.8, 0.0]), 0.5)
    intensity, depth = draw_blocks(view, sun, cube)
    # Its front, 2.5 m away, is seen 60 pixels wide and high; nothing else of it.
    front = np.isfinite(depth)
    assert front.sum() == 60 * 60
    assert depth[front] == pytest.approx(2.5)
    assert intensity[front] == pytest.approx(0.8 * (0.5 + 0.5 * 0.8))


def test_a_lamp_on_the_mains_moves_the_log_intensity_by_about_a_threshold() -> None:
    view, peaks = level_view(), []
    for seed in range(20):
        flicker = random_flicker(RNG(seed), view, 0.2)
        assert flicker.share.shape == (120, 160)
        assert flicker.share.min() >= 0
        assert flicker.share.max() <= 1
        assert np.abs(np.diff(flicker.share, axis=1)).max() < 0.05
        period = 1e6 / flicker.hz
        wave = np.array([flicker.offset(t) for t in np.linspace(0, period, 201)])
        assert wave[0] == pytest.approx(wave[-1], abs=1e-9)
        peaks.append(np.ptp(wave) * flicker.share.max() / 0.2)
    assert 0.45 < min(peaks) < 0.7
    assert 0.9 < max(peaks) < 1.15


def test_looks_vary_in_brightness_shadow_and_lamp_unless_told() -> None:
    view = random_view(RNG(0), (96, 72))
    albedo = np.full(10, 0.3, np.float32)
    looks = [random_look(RNG(seed), view, albedo, 0.2) for seed in range(8)]
    assert {look.shadow is None for look in looks} == {True, False}
    exposures = [look.exposure for look in looks]
    assert max(exposures) > 1.5 * min(exposures)
    for look in looks:
        assert look.albedo == pytest.approx(0.3 * look.exposure)
        assert look.background == pytest.approx(look.room.background * look.exposure)
        assert np.linalg.norm(look.light) == pytest.approx(1, abs=1e-6)
        # The light comes from above: up is -y for a level camera, and this one hardly tilts.
        assert look.light @ (view.R @ [0, 1, 0]) > 0.2
    told = random_look(RNG(1), view, albedo, 0.2, shadow=True, flicker=True)
    assert told.shadow is not None
    assert told.flicker is not None
    told = random_look(RNG(1), view, albedo, 0.2, shadow=False, flicker=False)
    assert told.shadow is None
    assert told.flicker is None
