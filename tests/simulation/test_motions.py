"""Every registered motion: shapes, joint limits, smoothness, gait facts, sides."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from eventhpe.simulation.motion.dhp19 import DHP19_MOVEMENTS
from eventhpe.simulation.motion.gait import HIP_CURVE, KNEE_CURVE
from eventhpe.simulation.motion.limbs import LOW, REST_OFFSETS, euler_matrices, kinematics, limited
from eventhpe.simulation.motion.performance import single_motion
from eventhpe.simulation.motion.posing import X, Z
from eventhpe.simulation.motion.registry import MOTIONS
from eventhpe.simulation.motion.segments import (
    HANDS,
    KNEES,
    L_SHOULDER,
    R_SHOULDER,
    SHOULDERS,
    blank,
    chain,
    cut,
    pulses,
    smoothstep,
)

BODY = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)


def turning_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between rotations (..., 3, 3), radians."""
    trace = np.einsum("...ij,...ij->...", a, b)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_every_motion_has_right_shapes_proper_rotations_and_no_jerks(name: str) -> None:
    for seed in range(2):
        performed = single_motion(np.random.default_rng(seed), name, 6.0)
        rotations = performed.rotations
        assert rotations.shape == (601, 24, 3, 3)
        assert performed.translation.shape == (601, 3)
        eye = rotations @ rotations.swapaxes(-1, -2)
        assert np.abs(eye - np.eye(3)).max() < 1e-9
        assert np.linalg.det(rotations).min() > 0.99
        # 22 rad/s is faster than a karate kick's knee; blends are in here, too.
        assert turning_angle(rotations[1:], rotations[:-1]).max() < 0.22
        step = np.linalg.norm(np.diff(performed.translation, axis=0), axis=1)
        assert step.max() < 0.05


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_the_motion_itself_hardly_touches_the_joint_limits(name: str) -> None:
    clipped = []
    for seed in range(4):
        angles = MOTIONS[name].make(np.random.default_rng(seed), 5.0).angles
        clipped.append(np.abs(limited(angles) - angles) > np.deg2rad(3))
    assert np.mean(clipped) < 0.02


def test_euler_angles_turn_about_x_then_the_turned_y_then_the_turned_z() -> None:
    angles = np.random.default_rng(0).uniform(-3, 3, (50, 3))
    expected = Rotation.from_euler("XYZ", angles).as_matrix()
    assert np.allclose(euler_matrices(angles), expected)


def test_knees_never_bend_backwards_and_arms_hang_at_first() -> None:
    assert (LOW[list(KNEES), X] == 0).all()
    for seed in range(5):
        angles = limited(MOTIONS["walk"].make(np.random.default_rng(seed), 5.0).angles)
        for knee in KNEES:
            assert np.rad2deg(angles[:, knee, 0].max()) > 30
        assert np.rad2deg(angles[:, L_SHOULDER, Z].mean()) == pytest.approx(-82, abs=12)
        assert np.rad2deg(angles[:, R_SHOULDER, Z].mean()) == pytest.approx(82, abs=12)


def test_dhp19_has_its_33_movements_in_five_sessions() -> None:
    sizes = [sum(key[0] == session for key in DHP19_MOVEMENTS) for session in range(1, 6)]
    assert sizes == [8, 6, 6, 6, 7]
    assert len(set(DHP19_MOVEMENTS.values())) == 33
    assert set(DHP19_MOVEMENTS.values()) <= set(MOTIONS)


ONE_SIDED = sorted({n.rsplit("_", 1)[0] for n in MOTIONS if n.endswith(("_left", "_right"))})


@pytest.mark.parametrize("name", ONE_SIDED)
def test_a_one_sided_motion_moves_the_subjects_own_side(name: str) -> None:
    leg = any(word in name for word in ("leg", "knee", "kick", "hop"))
    limb = (7, 8) if leg else HANDS
    for seed in range(3):
        for side, label in enumerate(("left", "right")):
            rng = np.random.default_rng(seed)
            performed = single_motion(rng, f"{name}_{label}", 6.0)
            local = performed.rotations.copy()
            local[:, 0] = np.eye(3)
            place, _ = kinematics(local, REST_OFFSETS, BODY)
            assert place[limb[0]][:, 0].mean() > place[limb[1]][:, 0].mean()
            if name == "hop":  # the named foot lands, the other is held up
                height = [(performed.translation + place[k])[:, 1].mean() for k in limb]
                assert height[side] < height[1 - side] - 0.05
            else:
                moved = [np.linalg.norm(np.diff(place[k], axis=0)) for k in limb]
                assert moved[side] > 1.3 * moved[1 - side]


def test_the_gait_curves_have_the_normative_landmarks() -> None:
    stride = np.linspace(0, 1, 1000, endpoint=False)
    hip, knee = HIP_CURVE(stride), KNEE_CURVE(stride)
    assert 0.45 < stride[hip.argmin()] < 0.57
    assert 35 < hip.max() - hip.min() < 50
    assert 0.67 < stride[knee.argmax()] < 0.77
    assert 55 < knee.max() < 68
    assert knee.min() > -2


def test_chaining_blends_and_keeps_both_ends() -> None:
    a, b = blank(1.0), blank(2.0)
    b.angles[:, SHOULDERS[0], Z] = 1.0
    joined = chain([a, b], 0.5)
    track = joined.angles[:, SHOULDERS[0], Z]
    assert len(joined) == 250
    assert (track[:50] == 0).all()
    assert (track[100:] == 1).all()
    assert (np.diff(track) >= 0).all()
    assert (joined.grip == 1).all()
    assert np.array_equal(cut(joined, 60, 90).angles, joined.angles[60:90])


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
