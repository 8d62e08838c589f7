"""Arms that keep out of the body: ellipsoids for trunk, head and thighs, and a push outwards."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from eventhpe.simulation.motion.limbs import HIGH, LOW, euler_matrices, kinematics
from eventhpe.simulation.motion.segments import COLLARS, ELBOWS, HANDS, SHOULDERS, WRISTS, Array

# Joint whose frame it moves in, centre in that frame and semi-axes, metres: read off slices of
# the default body's mesh. Thighs mirror their centre.
_SOLIDS = (
    (0, (0.0, -0.06, 0.0), (0.175, 0.15, 0.11)),
    (3, (0.0, 0.05, 0.03), (0.14, 0.15, 0.1)),
    (9, (0.0, 0.02, -0.01), (0.165, 0.19, 0.115)),
    (15, (0.0, 0.08, 0.01), (0.08, 0.13, 0.105)),
    (1, (0.017, -0.18, 0.0), (0.08, 0.22, 0.085)),
    (2, (-0.017, -0.18, 0.0), (0.08, 0.22, 0.085)),
)
_JOINTS = (1, 2, 3, 6, 9, 12, 15, 13, 14)
_RADIUS = np.array([0.04, 0.04, 0.035, 0.03, 0.02])
"""Of the arm's points: elbow, middle of the forearm, wrist, knuckles, finger tips."""
ROUNDS, STEP, SMOOTH = 10, 0.3, 5.0


class Torso(NamedTuple):
    """N poses of everything but the arms, seen from the pelvis.

    Attributes:
        centres: (N, 6, 3) of the ellipsoids.
        frames: (N, 6, 3, 3) their axes.
        shoulder_places: (N, 2, 3) left, right.
        collar_frames: (N, 2, 3, 3).
    """

    centres: Array
    frames: Array
    shoulder_places: Array
    collar_frames: Array

    def at(self, rows: NDArray[np.intp]) -> "Torso":
        """Some of the poses."""
        return Torso(*(track[rows] for track in self))


def torso(rotations: Array, offsets: Array) -> Torso:
    """The torso of (N, 24, 3, 3) local rotations with (24, 3) rest offsets."""
    place, frame = kinematics(rotations, offsets, _JOINTS)
    return Torso(
        np.stack([place[j] + frame[j] @ np.array(c) for j, c, _ in _SOLIDS], axis=1),
        np.stack([frame[j] for j, _, _ in _SOLIDS], axis=1),
        np.stack(
            [place[c] + frame[c] @ offsets[s] for c, s in zip(COLLARS, SHOULDERS, strict=True)],
            axis=1,
        ),
        np.stack([frame[c] for c in COLLARS], axis=1),
    )


def arm_points(arm: Array, body: Torso, offsets: Array, side: int) -> Array:
    """(N, 5, 3) elbow, mid forearm, wrist, knuckles and finger tips of one arm.

    Args:
        arm: (N, 4) shoulder x, y, z and elbow y, radians.
        body: N torsos.
        offsets: (24, 3).
        side: 0 left, 1 right.
    """
    upper = body.collar_frames[:, side] @ euler_matrices(arm[:, :3])
    bend = np.zeros((len(arm), 3))
    bend[:, 1] = arm[:, 3]
    fore = upper @ euler_matrices(bend)
    elbow = body.shoulder_places[:, side] + upper @ offsets[ELBOWS[side]]
    wrist = elbow + fore @ offsets[WRISTS[side]]
    hand = fore @ offsets[HANDS[side]]
    return np.stack([elbow, (elbow + wrist) / 2, wrist, wrist + hand, wrist + 2 * hand], axis=1)


def depths(points: Array, body: Torso) -> Array:
    """(N, 5, 6) how deep the arm's points are in each ellipsoid, metres, about; 0 outside."""
    axes = np.array([a for _, _, a in _SOLIDS]) + _RADIUS[:, None, None]
    away = points[:, :, None] - body.centres[:, None]
    inside = 1 - np.linalg.norm(np.einsum("npsi,nsij->npsj", away, body.frames) / axes, axis=-1)
    return np.maximum(inside, 0) * axes.min(axis=-1)


def arm_angles(angles: Array, side: int) -> Array:
    """(N, 4) shoulder x, y, z and elbow y of (N, 24, 3) Euler angles."""
    return np.concatenate([angles[:, SHOULDERS[side]], angles[:, ELBOWS[side], 1:2]], axis=1)


def arm_limits(side: int) -> tuple[Array, Array]:
    """(4,) lowest and highest of `arm_angles`."""
    low, high = (arm_angles(box[None], side)[0] for box in (LOW, HIGH))
    return low, high


def push_out(angles: Array, offsets: Array) -> Array:
    """Turn shoulders and elbows until the arms are out of trunk, head and thighs.

    Gauss-Newton steps on the total depth, each smoothed over time so that no joint jerks.

    Args:
        angles: (N, 24, 3) Euler angles inside their limits.
        offsets: (24, 3) rest offsets.
    """
    body = torso(euler_matrices(angles), offsets)
    angles = angles.copy()
    for side in (0, 1):
        low, high = arm_limits(side)
        start = arm_angles(angles, side)
        arm = start.copy()
        for _ in range(ROUNDS):
            rows = np.flatnonzero(_sunk(arm, body, offsets, side) > 0.003)
            if not len(rows):
                break
            change = np.zeros_like(arm)
            change[rows] = _step(arm[rows], body.at(rows), offsets, side)
            total = arm - start + change
            arm = np.clip(start + gaussian_filter1d(total, SMOOTH, axis=0), low, high)
        angles[:, SHOULDERS[side]] = arm[:, :3]
        angles[:, ELBOWS[side], 1] = arm[:, 3]
    return angles


def _sunk(arm: Array, body: Torso, offsets: Array, side: int) -> Array:
    """(N,) root of the summed squares of all depths, metres."""
    depth = depths(arm_points(arm, body, offsets, side), body)
    return np.sqrt((depth**2).sum(axis=(1, 2)))


def _step(arm: Array, body: Torso, offsets: Array, side: int) -> Array:
    """(N, 4) change of the angles that takes the arm out, to first order."""
    now, h = _sunk(arm, body, offsets, side), 1e-3
    slope = np.empty_like(arm)
    for k in range(4):
        moved = arm.copy()
        moved[:, k] += h
        slope[:, k] = (_sunk(moved, body, offsets, side) - now) / h
    step = -1.3 * (now / ((slope**2).sum(axis=1) + 1e-3))[:, None] * slope
    return np.clip(step, -STEP, STEP)
