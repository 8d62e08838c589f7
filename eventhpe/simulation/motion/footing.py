"""The feet move the body: planted feet stay where they are, and flight is a fall."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from eventhpe.simulation.motion.limbs import kinematics
from eventhpe.simulation.motion.segments import RATE_HZ, Array, Segment

GRAVITY = 9.81
HEEL, TOE = np.array([0.0, -0.075, -0.04]), np.array([0.0, -0.018, 0.05])
KNEE = np.array([0.0, 0.0, 0.06])
CONTACT_SOFTNESS, SWING_SPEED = 0.012, 0.25
_LEGS = (1, 2, 4, 5, 7, 8, 10, 11)
_CONTACTS = ((7, HEEL), (10, TOE), (8, HEEL), (11, TOE), (4, KNEE), (5, KNEE))


def contact_points(rotations: Array, offsets: Array) -> Array:
    """(N, 6, 3) left heel and toe, right heel and toe, left and right knee, from the pelvis.

    Args:
        rotations: (N, 24, 3, 3), joint 0 already in the frame wanted.
        offsets: (24, 3) rest offsets from each joint's parent, metres.
    """
    place, frame = kinematics(rotations, offsets, _LEGS)
    return np.stack([place[j] + frame[j] @ point for j, point in _CONTACTS], axis=1)


def footing(segment: Segment, local: Array, offsets: Array) -> tuple[Array, Array, Array]:
    """How the ground carries the pelvis, in its heading frame.

    The body moves against the mean velocity, relative to the pelvis, of the contact points that
    carry it. Low points weigh most, exp(-height / 12 mm), and of a travelling body those that
    stay behind, exp(-forward speed / 0.25 m/s): toes of the swinging leg pass close to the
    ground, too. In flight the pelvis falls freely and keeps the speed it took off with.

    Returns:
        Height of the pelvis (N,), its horizontal velocity (N, 2) = (x, z) when it does not turn,
        and the point (N, 2) it turns about.
    """
    points = contact_points(local, offsets)
    level = points[..., [0, 2]]
    below = points[..., 1] - points[..., 1].min(axis=1, keepdims=True)
    weight = np.exp(-below / CONTACT_SOFTNESS)
    height = -(weight * points[..., 1]).sum(axis=1) / weight.sum(axis=1)
    velocity = np.gradient(level, axis=0) * RATE_HZ
    ahead = np.stack([np.sin(segment.bearing), np.cos(segment.bearing)], axis=-1)
    swing = segment.travel[:, None] * np.einsum("npc,nc->np", velocity, ahead) / SWING_SPEED
    weight = weight * np.exp(-np.clip(swing, -8, 8))
    weight /= weight.sum(axis=1, keepdims=True)
    carried = -(weight[..., None] * velocity).sum(axis=1)
    pivot = (weight[..., None] * level).sum(axis=1)
    fly(segment.flight > 0.5, height, carried, -points[..., 1].min(axis=1))
    grip = segment.grip[:, None]
    return (
        gaussian_filter1d(height, 2.0, mode="nearest"),
        gaussian_filter1d(grip * carried, 3.0, axis=0, mode="nearest"),
        gaussian_filter1d(grip * pivot, 3.0, axis=0, mode="nearest"),
    )


def fly(airborne: NDArray[np.bool_], height: Array, carried: Array, lowest: Array) -> None:
    """Replace height and velocity in every flight by those of a thrown body, in place.

    Args:
        airborne: (N,) bool; a flight cut off by either end is left on the ground.
        height: (N,) of the pelvis with the feet on the ground.
        carried: (N, 2) horizontal velocity.
        lowest: (N,) the least height that keeps the feet out of the ground.
    """
    edges = np.flatnonzero(np.diff(airborne.astype(int)))
    if airborne[0]:
        edges = edges[1:]
    for first, last in zip(edges[::2], edges[1::2] + 1, strict=False):
        t = np.arange(last - first + 1) / RATE_HZ
        line = height[first] + (height[last] - height[first]) * t / t[-1]
        fall = line + GRAVITY / 2 * t * (t[-1] - t)
        height[first : last + 1] = np.maximum(fall, lowest[first : last + 1])
        carried[first : last + 1] = carried[max(first - 4, 0) : first + 1].mean(axis=0)
