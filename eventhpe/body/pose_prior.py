"""How people hold themselves: natural angles, their spread and the limits of SMPL's joints.

A joint turns by Rx(a) Ry(b) Rz(c), in the axes of SMPL's rest pose (x to the subject's left, y up,
z forward). Knees are hinges; hands and toes, which no marker of DHP19 sees, stay as they rest.
Limits follow the passive ranges that Boone & Azen measured ("Normal range of motion of joints in
male subjects", J. Bone Joint Surg. 61-A, 1979) where a clinical angle is one of these angles, and
are chosen elsewhere; natural angles and spreads are chosen.
"""

import numpy as np
from numpy.typing import NDArray

from eventhpe.body.joints import FLIP_PAIRS

X, Y, Z = 0, 1, 2

# Joint (the left of a pair), axis: natural angle, spread, lowest and highest, degrees.
_TABLE: tuple[tuple[int, int, float, float, float, float], ...] = (
    (1, X, -5, 35, -122, 20), (1, Y, 6, 10, -47, 47), (1, Z, 3, 12, -27, 46),
    (4, X, 8, 40, 0, 142),
    (7, X, 0, 12, -30, 56), (7, Y, 0, 6, -20, 20), (7, Z, 0, 6, -25, 25),
    (3, X, 2, 6, -20, 35), (3, Y, 0, 5, -20, 20), (3, Z, 0, 4, -20, 20),
    (6, X, 2, 6, -20, 35), (6, Y, 0, 5, -20, 20), (6, Z, 0, 4, -20, 20),
    (9, X, 0, 5, -20, 30), (9, Y, 0, 5, -20, 20), (9, Z, 0, 4, -20, 20),
    (12, X, 2, 8, -30, 30), (12, Y, 0, 10, -40, 40), (12, Z, 0, 5, -25, 25),
    (15, X, 2, 8, -30, 30), (15, Y, 0, 10, -40, 40), (15, Z, 0, 5, -25, 25),
    (13, Y, 0, 4, -25, 25), (13, Z, 2, 7, -15, 40),
    (16, X, -8, 45, -167, 62), (16, Y, -8, 30, -85, 85), (16, Z, -72, 35, -125, 90),
    (18, X, 0, 8, -75, 75), (18, Y, -25, 45, -143, 2), (18, Z, 0, 3, -10, 10),
    (20, Y, 0, 8, -35, 20), (20, Z, 0, 8, -75, 75),
)  # fmt: skip


def _both_sides() -> list[tuple[int, int, float, float, float, float]]:
    """The table with the right side: a mirror turns the angles about y and z round."""
    rows = []
    for joint, axis, natural, spread, low, high in _TABLE:
        rows.append((joint, axis, natural, spread, low, high))
        if FLIP_PAIRS[joint] != joint:
            other = (natural, low, high) if axis == X else (-natural, -high, -low)
            rows.append((FLIP_PAIRS[joint], axis, other[0], spread, *other[1:]))
    return sorted(rows)


_ROWS = _both_sides()
JOINTS: NDArray[np.int64] = np.array([row[0] for row in _ROWS])
AXES: NDArray[np.int64] = np.array([row[1] for row in _ROWS])
NATURAL, SPREAD, LOW, HIGH = np.deg2rad(np.array([row[2:] for row in _ROWS])).T
"""(A,) radians of the A free angles; ``JOINTS`` and ``AXES`` say which they are."""

UPRIGHT_SPREAD = 0.25
"""Spread of the pelvis' tilt from upright, radians: people stand, with whatever heading."""


def full_angles(free: NDArray[np.float64]) -> NDArray[np.float64]:
    """All angles (N, 24, 3) from the free ones (N, A), radians; the others are 0."""
    angles = np.zeros((len(free), 24, 3))
    angles[:, JOINTS, AXES] = free
    return angles
