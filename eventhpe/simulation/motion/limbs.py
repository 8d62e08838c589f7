"""The limbs: rest offsets, joint limits, Euler angles to rotations, forward kinematics."""

import numpy as np

from eventhpe.body.joints import PARENTS
from eventhpe.simulation.motion.segments import Array

MIRROR = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21, 22: 23}

# Each joint from its parent in the free default body's mean shape (eventhpe-default-1), metres;
# the right side mirrors the left.
_LEFT_OFFSETS = {
    1: (0.0735, -0.0971, -0.0058),
    4: (0.0354, -0.3698, -0.0065),
    7: (-0.0160, -0.4328, -0.0468),
    10: (0.0305, -0.0610, 0.1426),
    3: (0.0, 0.0980, -0.0239),
    6: (0.0, 0.1215, 0.0010),
    9: (0.0, 0.0476, 0.0229),
    12: (0.0, 0.1926, -0.0389),
    15: (0.0, 0.0646, 0.0508),
    13: (0.0494, 0.0741, -0.0223),
    16: (0.1276, 0.0430, -0.0125),
    18: (0.2592, -0.0132, -0.0246),
    20: (0.2343, 0.0077, -0.0031),
    22: (0.0783, -0.0067, -0.0117),
}

# Degrees (low, high) of the Euler angles x, y, z for the left side; the right mirrors y and z.
LIMITS: dict[int, tuple[tuple[float, float], ...]] = {
    0: ((-30, 60), (-20, 20), (-20, 20)),
    1: ((-115, 30), (-30, 40), (-20, 60)),
    4: ((0, 135), (0, 0), (0, 0)),
    7: ((-45, 45), (-15, 15), (-20, 20)),
    10: ((-45, 30), (0, 0), (0, 0)),
    3: ((-15, 35), (-20, 20), (-20, 20)),
    6: ((-15, 35), (-20, 20), (-20, 20)),
    9: ((-15, 30), (-20, 20), (-15, 15)),
    12: ((-25, 30), (-35, 35), (-20, 20)),
    15: ((-25, 30), (-35, 35), (-20, 20)),
    13: ((-15, 15), (-20, 20), (-15, 35)),
    16: ((-170, 60), (-80, 80), (-125, 80)),
    18: ((-30, 30), (-145, 5), (-10, 10)),
    20: ((-30, 30), (-30, 30), (-50, 50)),
    22: ((0, 0), (0, 0), (-40, 10)),
}


def _rest_offsets() -> Array:
    offsets = np.zeros((24, 3))
    for joint, offset in _LEFT_OFFSETS.items():
        offsets[joint] = offset
        if joint in MIRROR:
            offsets[MIRROR[joint]] = np.array(offset) * [-1, 1, 1]
    return offsets


def _boxes() -> tuple[Array, Array]:
    low, high = np.zeros((24, 3)), np.zeros((24, 3))
    for joint, box in LIMITS.items():
        low[joint], high[joint] = np.array(box).T
        if joint in MIRROR:
            other = MIRROR[joint]
            low[other] = low[joint, 0], -high[joint, 1], -high[joint, 2]
            high[other] = high[joint, 0], -low[joint, 1], -low[joint, 2]
    return np.deg2rad(low), np.deg2rad(high)


REST_OFFSETS = _rest_offsets()
LOW, HIGH = _boxes()
"""(24, 3) joint limits of all Euler angles, radians."""


def offsets_of(rest_joints: Array) -> Array:
    """(24, 3) offsets from each joint's parent, of (24, 3) joints of a body at rest."""
    offsets = np.array(rest_joints, dtype=np.float64)
    offsets[1:] -= offsets[list(PARENTS[1:])]
    offsets[0] = 0.0
    return offsets


def limited(angles: Array) -> Array:
    """Clip (N, 24, 3) Euler angles to `LIMITS`, mirrored for the right side."""
    return np.clip(angles, LOW, HIGH)


def euler_matrices(angles: Array) -> Array:
    """Rx(a) @ Ry(b) @ Rz(c) of (..., 3) angles: (..., 3, 3)."""
    (sa, sb, sc), (ca, cb, cc) = (np.moveaxis(f(angles), -1, 0) for f in (np.sin, np.cos))
    matrices = np.empty((*angles.shape, 3))
    matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 0, 2] = cb * cc, -cb * sc, sb
    matrices[..., 1, 0], matrices[..., 1, 1] = sa * sb * cc + ca * sc, ca * cc - sa * sb * sc
    matrices[..., 2, 0], matrices[..., 2, 1] = sa * sc - ca * sb * cc, ca * sb * sc + sa * cc
    matrices[..., 1, 2], matrices[..., 2, 2] = -sa * cb, ca * cb
    return matrices


def kinematics(
    rotations: Array, offsets: Array, joints: tuple[int, ...]
) -> tuple[dict[int, Array], dict[int, Array]]:
    """Where the joints are and how they are turned, seen from the pelvis.

    Args:
        rotations: (N, 24, 3, 3) local rotations, joint 0 in the frame wanted.
        offsets: (24, 3) from each joint's parent.
        joints: which, parents before children.

    Returns:
        Places (N, 3), metres, and frames (N, 3, 3) by joint; the pelvis (0) is always there.
    """
    place: dict[int, Array] = {0: np.zeros((len(rotations), 3))}
    frame: dict[int, Array] = {0: rotations[:, 0]}
    for joint in joints:
        parent = PARENTS[joint]
        place[joint] = place[parent] + frame[parent] @ offsets[joint]
        frame[joint] = frame[parent] @ rotations[:, joint]
    return place, frame
