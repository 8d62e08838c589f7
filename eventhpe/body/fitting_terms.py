"""What a fit of the body to markers must agree with, as squares to be made small.

A marker counts less the further off it is (Huber 1964), so that a mislabelled one does no harm;
a hidden one (NaN) does not count.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eventhpe.body.marker_model import ROOT, UNKNOWNS, Posed, Poses
from eventhpe.body.pose_prior import HIGH, LOW, NATURAL, SPREAD, UPRIGHT_SPREAD

Array = NDArray[np.float64]

MARKER_SPREAD = 0.005  # metres: Vicon's noise, and skin that slides
MARKER_OUTLIER = 0.03  # metres, beyond which a marker's pull grows no further
LIMIT_SPREAD = np.deg2rad(2.0)
# How much a velocity changes from one sample, 1/100 s, to the next: 100 rad/s2 and 20 m/s2.
TURN_CHANGE, PLACE_CHANGE, ANGLE_CHANGE = 0.01, 0.002, 0.01
CHANGES = np.repeat([TURN_CHANGE, PLACE_CHANGE, ANGLE_CHANGE], [3, 3, UNKNOWNS - ROOT])
"""(UNKNOWNS,) radians and metres a sample."""


@dataclass
class System:
    """Gauss-Newton's curvature (N, U, U) and slope (N, U) of N frames' half squares."""

    curvature: Array
    slope: Array


def misfit(posed: Posed, offsets: Array, observed: Array) -> tuple[Array, Array, Array]:
    """How far the markers are off, (N, 13, 3) metres and 0 while hidden.

    Returns:
        Differences, weights (N, 13) of their squares, and half the squares (N,).
    """
    off = posed.markers(offsets) - observed
    hidden = np.isnan(off).any(axis=-1)
    off[hidden] = 0.0
    distance = np.linalg.norm(off, axis=-1)
    bound = np.minimum(distance, MARKER_OUTLIER)
    weights = np.where(distance > MARKER_OUTLIER, bound / np.maximum(distance, 1e-9), 1.0)
    weights = weights / MARKER_SPREAD**2
    weights[hidden] = 0.0
    squares = (bound * (distance - bound / 2)).sum(axis=-1) / MARKER_SPREAD**2
    return off, weights, squares


def marker_system(slopes: Array, off: Array, weights: Array) -> System:
    """Of the markers' squares, from `Posed.slopes`."""
    flat = slopes.reshape(len(slopes), -1, slopes.shape[-1])
    weighted = flat * np.repeat(weights, 3, axis=1)[..., None]
    slope = np.einsum("nrk,nr->nk", weighted, off.reshape(len(off), -1))
    return System(flat.transpose(0, 2, 1) @ weighted, slope)


def prior_squares(poses: Poses, weight: Array) -> Array:
    """(N,) half the squares of unnatural angles, angles beyond limits, and a tilted pelvis.

    Args:
        weight: (A,) of each angle's distance from its natural value.
    """
    strange = (poses.angles - NATURAL) / SPREAD
    tilt = poses.turn[:, 2, [0, 2]] / UPRIGHT_SPREAD
    squares = ((weight * strange**2).sum(-1) + (tilt**2).sum(-1)) / 2
    return np.asarray(squares + ((_beyond(poses.angles) / LIMIT_SPREAD) ** 2).sum(-1) / 2)


def _beyond(angles: Array) -> Array:
    return np.asarray(np.maximum(angles - HIGH, 0.0) + np.minimum(angles - LOW, 0.0))


def add_prior(system: System, poses: Poses, weight: Array) -> None:
    """Add what `prior_squares` says."""
    beyond = _beyond(poses.angles)
    diagonal = np.arange(ROOT, UNKNOWNS)
    system.curvature[:, diagonal, diagonal] += weight / SPREAD**2 + (beyond != 0) / LIMIT_SPREAD**2
    system.slope[:, ROOT:] += weight * (poses.angles - NATURAL) / SPREAD**2
    system.slope[:, ROOT:] += beyond / LIMIT_SPREAD**2
    # The world's z in the pelvis' frame, u, turns by u x (the pelvis' turn).
    up = poses.turn[:, 2]
    across = np.zeros((len(up), 2, 3))
    across[:, 0, 1], across[:, 0, 2] = -up[:, 2], up[:, 1]
    across[:, 1, 0], across[:, 1, 1] = -up[:, 1], up[:, 0]
    across /= UPRIGHT_SPREAD
    tilt = up[:, [0, 2]] / UPRIGHT_SPREAD
    system.curvature[:, :3, :3] += across.transpose(0, 2, 1) @ across
    system.slope[:, :3] += np.einsum("nrk,nr->nk", across, tilt)


def unevenness(poses: Poses) -> Array:
    """(N - 2, UNKNOWNS) change of velocity from sample to sample, in units of `CHANGES`.

    The pelvis turns from sample to sample by the rotation vector between its two frames.
    """
    steps = poses.turn[:-1].transpose(0, 2, 1) @ poses.turn[1:]
    turning = Rotation.from_matrix(steps).as_rotvec()
    bends = [
        np.diff(turning, axis=0),
        np.diff(poses.place, 2, axis=0),
        np.diff(poses.angles, 2, axis=0),
    ]
    return np.asarray(np.concatenate(bends, axis=1) / CHANGES)


def add_unevenness(system: System, poses: Poses) -> None:
    """Add the slope of half its squares; their curvature does not depend on the poses."""
    scaled = unevenness(poses) / CHANGES
    system.slope[:-2] += scaled
    system.slope[1:-1] -= 2 * scaled
    system.slope[2:] += scaled
