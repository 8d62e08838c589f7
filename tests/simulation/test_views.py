"""Cameras: what they see of a person, the real cameras' numbers; and what moves without one."""

import numpy as np
import pytest

from eventhpe.camera import DHP19_MATRICES, dhp19_camera
from eventhpe.simulation.scene.boxes import KINDS, MovingThings, random_things, unit_box
from eventhpe.simulation.scene.views import (
    View,
    dhp19_view,
    given_K,
    mmhpsd_view,
    random_view,
    upward,
)

SIZES = [(128, 128), (240, 180), (346, 260), (640, 480), (1280, 720)]
RNG = np.random.default_rng


def rows_of(view: View, *heights: float) -> list[float]:
    """Image rows, as shares of the image's height, of points above the middle of the stage."""
    points = view.to_camera(np.array([view.target + upward(h) for h in heights]))
    uvw = points @ view.K.T
    return list(uvw[:, 1] / uvw[:, 2] / view.height)


def pitch_degrees(view: View) -> float:
    """Elevation of the optical axis."""
    return float(np.rad2deg(np.arcsin(view.R[2, 1])))


@pytest.mark.parametrize("size", SIZES)
def test_cameras_see_most_of_a_standing_person(size: tuple[int, int]) -> None:
    spans, pitches, fields = [], [], []
    for seed in range(150):
        view = random_view(RNG(seed), size)
        head, feet = rows_of(view, 1.72, 0.0)
        spans.append((head, feet))
        pitches.append(pitch_degrees(view))
        fields.append(np.rad2deg(2 * np.arctan(view.width / 2 / view.K[0, 0])))
        # The image's x axis hardly leaves the horizontal, and nothing is mirrored.
        assert abs(np.rad2deg(np.arcsin(view.R[0, 1]))) < 10.5
        assert np.linalg.det(view.R) == pytest.approx(1.0)
        assert 1.0 <= view.stage.near < view.target[2] < view.stage.far
        assert view.stage.slope <= view.stage.edge
    head, feet = np.array(spans).T
    assert (head < feet).all()
    assert np.mean((head > -0.02) & (feet < 1.02)) > 0.75
    assert np.mean((feet - head > 0.42) & (feet - head < 1.0)) > 0.75
    assert min(pitches) > -30.1
    assert max(pitches) < 20.1
    assert min(fields) > 34.9
    assert max(fields) < 90.1


def test_persons_are_60_to_600_pixels_high_over_the_sensors() -> None:
    pixels = []
    for size in SIZES:
        for seed in range(60):
            head, feet = rows_of(random_view(RNG(seed), size), 1.72, 0.0)
            pixels.append((feet - head) * size[1])
    assert np.histogram(pixels, [40, 60, 100, 200, 300, 400, 500, 600])[0].min() > 8


def test_truncated_framings_cut_the_legs_and_keep_the_head() -> None:
    for framing, shown, cut in (("knees_up", 0.95, 0.0), ("head_and_shoulders", 1.45, 0.55)):
        inside = []
        for seed in range(100):
            head, low, hidden = rows_of(
                random_view(RNG(seed), (346, 260), framing), 1.7, shown, cut
            )
            inside.append((head > 0, low < 1, hidden > 1))
        assert (np.mean(inside, axis=0) > [0.85, 0.95, 0.85]).all(), framing


@pytest.mark.parametrize("size", [(128, 128), (1280, 720)])
def test_whole_persons_are_60_to_600_pixels_tall(size: tuple[int, int]) -> None:
    for seed in range(60):
        view = random_view(RNG(seed), size)
        ends = view.to_camera(np.array([[0, 0, 0], [0, 1.72, 0]]) + view.target) @ view.K.T
        rows = ends[:, 1] / ends[:, 2]
        # Cameras that look up or down see a person a little shorter or taller.
        assert 0.7 * 60 < rows[0] - rows[1] < 1.15 * 600


def test_a_pixels_ray_leads_to_the_point_it_shows() -> None:
    view = dhp19_view(3)
    point = np.array([0.3, 1.1, 2.5])
    uvw = view.K @ view.to_camera(point)
    ray = view.rays(uvw[:2] / uvw[2])
    assert view.centre + ray * uvw[2] == pytest.approx(point)


@pytest.mark.parametrize("channel", range(4))
def test_dhp19_views_project_like_the_published_matrices(channel: int) -> None:
    view, camera = dhp19_view(channel), dhp19_camera(channel)
    centre = -camera.R.T @ camera.t
    ahead = -centre * [1, 1, 0] / np.hypot(*centre[:2])
    left = np.cross([0, 0, 1], ahead)
    for x, y, z in ((0, 0, 0), (0, 1.7, 0), (0.6, 1.0, 0.2), (-0.5, 0.3, -0.4)):
        there = 1000 * (x * left + y * np.array([0, 0, 1]) + z * ahead)
        u, v, w = DHP19_MATRICES[channel] @ np.append(there, 1.0)
        uvw = view.K @ view.to_camera(view.target + np.array([x, y, z]))
        assert uvw[:2] / uvw[2] == pytest.approx([u / w, 260 - v / w], abs=1e-6)
    assert view.centre == pytest.approx([0, centre[2], 0])
    # The facts: a person at the set's origin is whole in every image, well off the edges.
    head, feet = rows_of(view, 1.72, 0.0)
    assert 0.1 < head < 0.25
    assert 0.75 < feet < 0.95
    with pytest.raises(ValueError, match="channel"):
        dhp19_view(4)


def test_mmhpsd_views_have_the_sets_intrinsics_and_hold_a_person() -> None:
    for seed in range(30):
        view = mmhpsd_view(RNG(seed))
        assert (view.width, view.height) == (800, 1280)
        assert view.K.tolist() == [[1679.3, 0, 401], [0, 1679.3, 641], [0, 0, 1]]
        head, feet = rows_of(view, 1.72, 0.0)
        assert 0 < head < feet < 1
        assert 3.0 <= view.target[2] <= 4.2


def test_given_intrinsics_are_right_half_the_time_and_else_off_by_a_fifth_at_most() -> None:
    rng, K = RNG(1), dhp19_view(0).K
    factors = []
    for _ in range(1000):
        given = given_K(rng, K)
        factors.append(given[0, 0] / K[0, 0])
        assert given[1, 1] / K[1, 1] == pytest.approx(factors[-1])
        assert given[:, 2].tolist() == K[:, 2].tolist()
    wrong = [f for f in factors if f != 1]
    assert 400 < len(wrong) < 600
    assert 1 / 1.2 <= min(wrong) < 0.85
    assert 1.17 < max(wrong) <= 1.2
    assert np.mean(np.log(wrong)) == pytest.approx(0, abs=0.02)


def test_cubes_are_closed_and_face_outward() -> None:
    vertices, faces = unit_box(3)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    assert ((normal * (a + b + c)).sum(axis=1) > 0).all()
    assert np.linalg.norm(normal, axis=1).sum() / 2 == pytest.approx(6.0)


@pytest.mark.parametrize("kind", list(KINDS))
def test_moving_things_stay_rigid_on_smooth_paths_before_the_camera(kind: str) -> None:
    for seed in range(5):
        view = random_view(RNG(seed), (346, 260))
        things = MovingThings(KINDS[kind](RNG(seed), view, 300), view)
        vertices = things.vertices(0, 300)
        assert vertices.dtype == np.float32
        assert vertices[..., 2].min() > 0.05
        assert np.abs(np.diff(vertices, axis=0)).max() < 0.15
        assert np.ptp(vertices, axis=0).max() > 0.02
        edges = np.linalg.norm(
            vertices[:, things.faces[:, 0]] - vertices[:, things.faces[:, 1]], axis=-1
        )
        assert np.ptp(edges, axis=0).max() < 1e-5
        assert np.array_equal(things.vertices(100, 120), vertices[100:120])


def test_a_rolling_ball_does_not_slip() -> None:
    view = random_view(RNG(0), (346, 260))
    for seed in range(10):
        (ball,) = KINDS["ball"](RNG(seed), view, 200)
        if np.ptp(ball.place[:, 1]) > 0:
            continue
        radius = np.linalg.norm(ball.points[0])
        # The point that touches the ground at sample 100 is at rest just then.
        touching = ball.R[100].T @ [0, -radius, 0]
        way = ball.place + ball.R @ touching
        assert np.linalg.norm(way[101] - way[99]) < 0.2 * np.linalg.norm(
            ball.place[101] - ball.place[99]
        )


def test_without_a_person_all_kinds_of_things_move_or_nothing() -> None:
    view, found = random_view(RNG(0), (128, 128)), set()
    for seed in range(60):
        source, albedo, name = random_things(RNG(seed), view, 20)
        found.add(name)
        assert (source is None) == (name == "nothing")
        assert len(albedo) == (0 if source is None else len(source.faces))
    assert found == {*KINDS, "nothing"}
