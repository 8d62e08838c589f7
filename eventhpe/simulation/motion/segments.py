"""What a motion is made of: blendable tracks of Euler angles, and small curves to draw them with.

World frame: y up, z away from the camera, x to the camera's left (right-handed). Rest pose is
SMPL's T-pose: facing +z, the subject's left is +x. A joint's local rotation is
``Rx(a) @ Ry(b) @ Rz(c)`` of its three angles in radians. Signs that follow from it:
hip flexion -x, knee flexion +x, toes up -x, trunk forward +x, left arm down -z (right arm +z),
arm forward -x, elbow flexion -y left and +y right. A box of Euler angles is convex, so blending
two poses inside the joint limits stays inside them.
"""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATE_HZ = 100
PELVIS, L_HIP, R_HIP, SPINE1, L_KNEE, R_KNEE, SPINE2, L_ANKLE, R_ANKLE, SPINE3 = range(10)
L_FOOT, R_FOOT, NECK, L_COLLAR, R_COLLAR, HEAD, L_SHOULDER, R_SHOULDER = range(10, 18)
L_ELBOW, R_ELBOW, L_WRIST, R_WRIST, L_HAND, R_HAND = range(18, 24)
HIPS, KNEES, ANKLES = (L_HIP, R_HIP), (L_KNEE, R_KNEE), (L_ANKLE, R_ANKLE)
FEET, COLLARS, SHOULDERS = (L_FOOT, R_FOOT), (L_COLLAR, R_COLLAR), (L_SHOULDER, R_SHOULDER)
ELBOWS, WRISTS, HANDS = (L_ELBOW, R_ELBOW), (L_WRIST, R_WRIST), (L_HAND, R_HAND)
SIDE = (1.0, -1.0)
"""Sign of x on each side: left +, right -."""


@dataclass
class Segment:
    """N samples at 100 Hz of everything a motion may do; every field blends linearly.

    Attributes:
        angles: (N, 24, 3) Euler angles, radians; joint 0 is the pelvis relative to its heading.
        turn: (N,) yaw rate, rad/s, left positive.
        flight: (N,) 1 where both feet are off the ground (jumps, running), else 0.
        travel: (N,) 1 where the person makes for the goals of the stage, 0 on the spot.
        bearing: (N,) direction of travel relative to the heading, radians (pi when backwards).
        grip: (N,) 1 where the ground stays put under the planted foot, 0 on a treadmill.
    """

    angles: Array
    turn: Array
    flight: Array
    travel: Array
    bearing: Array
    grip: Array

    def __len__(self) -> int:
        return len(self.angles)


def blank(duration: float) -> Segment:
    """A segment of ``duration`` seconds in T-pose, feet held to the ground, not travelling."""
    n = max(2, round(duration * RATE_HZ))
    turn, flight, travel, bearing = np.zeros((4, n))
    return Segment(np.zeros((n, 24, 3)), turn, flight, travel, bearing, np.ones(n))


def seconds(segment: Segment) -> Array:
    """Times of a segment's samples, seconds from its start."""
    return np.arange(len(segment)) / RATE_HZ


def smoothstep(x: Array) -> Array:
    """Quintic 0 to 1 ramp with zero velocity and acceleration at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (x * (6.0 * x - 15.0) + 10.0)


def smooth_noise(rng: np.random.Generator, n: int, hertz: float) -> Array:
    """(n,) zero-mean noise of about unit deviation with power below ``hertz``.

    A sum of six sinusoids of random frequency and phase, scaled by its deviation sqrt(6 / 2).
    """
    frequency = rng.uniform(0.15, 1.0, 6) * hertz
    phase = rng.uniform(0, 2 * np.pi, 6)
    t = np.arange(n)[:, None] / RATE_HZ
    return np.sin(2 * np.pi * frequency * t + phase).sum(axis=1) / np.sqrt(3.0)


def pulses(t: Array, period: float, rise: float, hold: float) -> Array:
    """Repeated 0-1-0 pulses: up over ``rise``, held for ``hold``, down again (fractions)."""
    phase = np.mod(t / period, 1.0)
    up = smoothstep(phase / rise)
    down = smoothstep((phase - rise - hold) / rise)
    return up - down


def chain(parts: list[Segment], overlap: float) -> Segment:
    """Join segments, cross-fading each pair over ``overlap`` seconds with a smooth ramp."""
    fades = [min(round(overlap * RATE_HZ), len(a) - 1, len(b) - 1) for a, b in pairwise(parts)]
    starts = np.cumsum([0, *(len(a) - k for a, k in zip(parts, fades, strict=False))])
    total = int(starts[-1]) + len(parts[-1])

    def join(name: str) -> Array:
        first: Array = getattr(parts[0], name)
        track = np.empty((total, *first.shape[1:]))
        track[: len(first)] = first
        for part, start, k in zip(parts[1:], starts[1:], fades, strict=True):
            values: Array = getattr(part, name)
            w = smoothstep(np.linspace(0.0, 1.0, k)).reshape((-1,) + (1,) * (values.ndim - 1))
            track[start : start + k] = (1 - w) * track[start : start + k] + w * values[:k]
            track[start + k : start + len(part)] = values[k:]
        return track

    return Segment(*(join(field.name) for field in fields(Segment)))


def cut(segment: Segment, start: int, stop: int) -> Segment:
    """The samples [start, stop) of a segment."""
    return Segment(*(getattr(segment, field.name)[start:stop] for field in fields(Segment)))
