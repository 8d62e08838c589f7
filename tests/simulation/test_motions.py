"""Motions: lengths, joint limits, gait facts, and smoothness."""

import numpy as np
import pytest

from eventhpe.simulation.motion.gait import HIP_CURVE, KNEE_CURVE
from eventhpe.simulation.motion.performance import (
    Motion,
    Stage,
    contact_points,
    limited,
    random_motion,
    single_motion,
)
from eventhpe.simulation.motion.posing import Z
from eventhpe.simulation.motion.registry import MOTIONS
from eventhpe.simulation.motion.segments import (
    KNEES,
    L_SHOULDER,
    R_SHOULDER,
    SHOULDERS,
    blank,
    chain,
    pulses,
    smoothstep,
)


def turning_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between rotations (..., 3, 3), radians."""
    trace = np.einsum("...ij,...ij->...", a, b)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_every_motion_has_right_shapes_proper_rotations_and_no_jumps(name: str) -> None:
    assert MOTIONS[name].make.__doc__
    for seed in range(3):
        performed = single_motion(np.random.default_rng(seed), name, 4.0)
        rotations = performed.rotations
        assert rotations.shape == (401, 24, 3, 3)
        assert performed.translation.shape == (401, 3)
        eye = rotations @ rotations.swapaxes(-1, -2)
        assert np.abs(eye - np.eye(3)).max() < 1e-9
        assert np.linalg.det(rotations).min() > 0.99
        # 25 rad/s is faster than a karate kick's knee.
        assert turning_angle(rotations[1:], rotations[:-1]).max() < 0.25
        step = np.linalg.norm(np.diff(performed.translation, axis=0), axis=1)
        assert step.max() < 0.05


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_the_motion_itself_hardly_touches_the_joint_limits(name: str) -> None:
    clipped = []
    for seed in range(4):
        angles = MOTIONS[name].make(np.random.default_rng(seed), 4.0).angles
        clipped.append(np.abs(limited(angles) - angles) > np.deg2rad(3))
    assert np.mean(clipped) < 0.02


def test_knees_never_bend_backwards_and_arms_hang_at_first() -> None:
    for seed in range(5):
        segment = MOTIONS["walk"].make(np.random.default_rng(seed), 5.0)
        angles = limited(segment.angles)
        for knee in KNEES:
            assert angles[:, knee, 0].min() >= 0
            assert np.rad2deg(angles[:, knee, 0].max()) > 30
        assert np.rad2deg(angles[:, L_SHOULDER, Z].mean()) == pytest.approx(-82, abs=12)
        assert np.rad2deg(angles[:, R_SHOULDER, Z].mean()) == pytest.approx(82, abs=12)


def walk(seed: int, name: str = "walk") -> Motion:
    return single_motion(np.random.default_rng(seed), name, 6.0, Stage(2.0, 8.0, 0.5))


def test_walkers_go_where_they_face_at_a_walking_speed() -> None:
    for seed in range(6):
        performed = walk(seed)
        facing = performed.rotations[:-1, 0] @ [0.0, 0.0, 1.0]
        velocity = np.diff(performed.translation, axis=0) * 100
        forward = (facing * velocity)[:, [0, 2]].sum(axis=1)
        assert 0.4 < forward.mean() < 1.9
        back = walk(seed, "walk_backwards")
        facing = back.rotations[:-1, 0] @ [0.0, 0.0, 1.0]
        assert ((facing * np.diff(back.translation, axis=0))[:, [0, 2]].sum(axis=1)).mean() < 0


def test_the_planted_foot_stays_put_while_the_body_moves() -> None:
    performed = walk(1)
    points = contact_points(performed.rotations) + performed.translation[:, None]
    speed = np.linalg.norm(np.diff(points[..., [0, 2]], axis=0), axis=-1) * 100
    body = np.linalg.norm(np.diff(performed.translation[:, [0, 2]], axis=0), axis=1) * 100
    assert np.median(speed.min(axis=1)) < 0.1 * body.mean()
    assert abs(points[..., 1].min()) < 0.06


def test_the_gait_curves_have_the_normative_landmarks() -> None:
    stride = np.linspace(0, 1, 1000, endpoint=False)
    hip, knee = HIP_CURVE(stride), KNEE_CURVE(stride)
    assert 0.45 < stride[hip.argmin()] < 0.57
    assert 35 < hip.max() - hip.min() < 50
    assert 0.67 < stride[knee.argmax()] < 0.77
    assert 55 < knee.max() < 68
    assert knee.min() > -2


def test_walkers_stay_about_their_stage() -> None:
    stage = Stage(2.0, 5.0, 0.3)
    for seed in range(5):
        performed = random_motion(np.random.default_rng(seed), 16.0, stage)
        x, z = performed.translation[:, 0], performed.translation[:, 2]
        assert z.min() > 1.0
        assert z.max() < 6.5
        assert np.mean(np.abs(x) < stage.slope * z + 0.5) > 0.9


def test_about_half_of_the_material_travels_towards_away_and_across() -> None:
    share, depth_share = [], []
    for seed in range(30):
        performed = random_motion(np.random.default_rng(seed), 8.0)
        velocity = np.diff(performed.translation[:, [0, 2]], axis=0) * 100
        speed = np.linalg.norm(velocity, axis=1)
        moving = speed > 0.3
        share.append(moving.mean())
        depth_share += (np.abs(velocity[moving, 1]) > 0.8 * speed[moving]).tolist()
    assert 0.3 < np.mean(share) < 0.65
    assert 0.35 < np.mean(depth_share) < 0.85


def test_random_motion_has_the_asked_length_and_repeats_with_its_seed() -> None:
    first = random_motion(np.random.default_rng(3), 12.5)
    again = random_motion(np.random.default_rng(3), 12.5)
    assert len(first.rotations) == 1251
    assert np.array_equal(first.rotations, again.rotations)
    assert np.array_equal(first.translation, again.translation)


def test_chaining_blends_and_keeps_both_ends() -> None:
    a, b = blank(1.0), blank(2.0)
    b.angles[:, SHOULDERS[0], Z] = 1.0
    joined = chain([a, b], 0.5)
    track = joined.angles[:, SHOULDERS[0], Z]
    assert len(joined) == 250
    assert (track[:50] == 0).all()
    assert (track[100:] == 1).all()
    assert (np.diff(track) >= 0).all()


def test_curves_start_and_end_flat() -> None:
    x = np.linspace(-0.5, 1.5, 201)
    y = smoothstep(x)
    assert y[0] == 0
    assert y[-1] == 1
    assert y[100] == pytest.approx(0.5)
    t = np.linspace(0, 4, 401)
    p = pulses(t, 2.0, 0.3, 0.2)
    assert p.min() == pytest.approx(0, abs=1e-9)
    assert p[80] == pytest.approx(1)  # 0.8 s is 0.4 of the period: held
