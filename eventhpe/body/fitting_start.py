"""A start for the fit of each frame by itself: the trunk by Kabsch, each limb from a grid of poses.

The trunk's turn and place bring hips, shoulders and head of a naturally standing body onto the
markers (Kabsch, Acta Cryst. A32, 1976); each limb then takes the pose of a grid whose knee and
ankle, or elbow and wrist, are nearest to the markers.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from eventhpe.body.joints import FLIP_PAIRS
from eventhpe.body.marker_model import Person, Poses, Skeleton, pose
from eventhpe.body.pose_prior import AXES, JOINTS, NATURAL, SPREAD, X

Array = NDArray[np.float64]

TRUNK = {0: 0.3, 1: 1.0, 2: 1.0, 5: 1.0, 6: 1.0}
"""Markers that show where the trunk is, and what they count."""
_KNEES = {9: 0.03, 10: 0.03}  # where the trunk shows little, below is where the knees are
_REACH = 0.06  # metres that a grid's pose may be off
_NATURAL_WEIGHT = 0.3
# Joints that place a limb's markers, and these markers: legs, then arms.
_LIMBS = (((1, 4), (10, 12)), ((2, 5), (9, 11)), ((16, 18), (4, 8)), ((17, 19), (3, 7)))
# Angles about x, y, z of the left limbs' joints, degrees; knees turn about x alone.
_GRIDS: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((-110, -85, -60, -35, -10, 15), (0,), (-15, 0, 20, 40)),
    4: ((5, 35, 65, 95, 125),),
    16: (
        (-150, -120, -90, -60, -30, 0, 30),
        (-60, -30, 0, 30, 60),
        (-75, -50, -25, 0, 25, 50, 75),
    ),
    18: ((0,), (-5, -40, -75, -110), (0,)),
}


def bridged(observed: Array) -> Array:
    """Markers (N, 13, 3) with gaps closed by straight lines; NaN where a marker is never seen."""
    filled = observed.copy()
    times = np.arange(len(observed))
    for marker in range(observed.shape[1]):
        seen = ~np.isnan(observed[:, marker]).any(axis=-1)
        if seen.any():
            for axis in range(3):
                line = np.interp(times, times[seen], observed[seen, marker, axis])
                filled[:, marker, axis] = line
    return filled


def begin(observed: Array, skeleton: Skeleton, person: Person) -> Poses:
    """Poses of frames (N, 13, 3), each with three markers of the trunk at least."""
    bones = skeleton.of(person.betas)
    natural = Poses(np.eye(3)[None], np.zeros((1, 3)), NATURAL[None])
    turn, place = _trunk(pose(natural, bones).markers(person.offsets)[0], observed)
    angles = np.repeat(NATURAL[None], len(observed), axis=0)
    from_pelvis = (observed - place[:, None]) @ turn
    for joints, markers in _LIMBS:
        columns, grid = _grid(joints)
        tried = np.repeat(NATURAL[None], len(grid), axis=0)
        tried[:, columns] = grid
        still = np.zeros((len(grid), 3))
        trial = Poses(np.repeat(np.eye(3)[None], len(grid), axis=0), still, tried)
        ends = pose(trial, bones).markers(person.offsets)
        strange = (((grid - NATURAL[columns]) / SPREAD[columns]) ** 2).sum(axis=-1)
        cost = np.repeat(_NATURAL_WEIGHT * strange[None], len(observed), axis=0)
        for marker in markers:
            off = from_pelvis[:, None, marker] - ends[None, :, marker]
            cost += np.nan_to_num((off**2).sum(axis=-1)) / _REACH**2
        angles[:, columns] = grid[cost.argmin(axis=1)]
    return Poses(turn, place, angles)


def _grid(joints: tuple[int, ...]) -> tuple[NDArray[np.int64], Array]:
    """Columns (C,) of free angles, and all combinations (G, C) of their values, radians."""
    columns, values = [], []
    for joint in joints:
        mirrored = joint not in _GRIDS
        for column, degrees in zip(
            np.flatnonzero(joint == JOINTS),
            _GRIDS[FLIP_PAIRS[joint] if mirrored else joint],
            strict=True,
        ):
            columns.append(column)
            values.append(np.deg2rad(degrees) * (-1 if mirrored and AXES[column] != X else 1))
    return np.array(columns), np.array(list(itertools.product(*values)))


def _trunk(model: Array, observed: Array) -> tuple[Array, Array]:
    """Turn (N, 3, 3) and place (N, 3) that bring a model's markers (13, 3) onto (N, 13, 3)."""
    weights = np.zeros(len(model))
    for marker, weight in {**TRUNK, **_KNEES}.items():
        weights[marker] = weight
    seen = weights * ~np.isnan(observed).any(axis=-1)
    share = (seen / seen.sum(axis=-1, keepdims=True))[..., None]
    points = np.nan_to_num(observed)
    middle, centre = (share * model).sum(axis=1), (share * points).sum(axis=1)
    relative = share * (points - centre[:, None])
    u, _, vt = np.linalg.svd(relative.transpose(0, 2, 1) @ (model - middle[:, None]))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    turn = u @ vt
    return turn, centre - (turn @ middle[..., None])[..., 0]
