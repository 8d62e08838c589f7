"""What a motion is made of: blendable tracks of Euler angles, and small curves to draw them with.

World frame: y up, z away from the camera, x to the camera's left (right-handed). Rest pose is
SMPL's T-pose: facing +z, the subject's left is +x. A joint's local rotation is
``Rx(a) @ Ry(b) @ Rz(c)`` of its three angles in radians. Signs that follow from it:
hip flexion -x, knee flexion +x, toes up -x, trunk forward +x, left arm down -z (right arm +z),
arm forward -x, elbow flexion -y left and +y right. A box of Euler angles is convex, so blending
two poses inside the joint limits stays inside them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATE_HZ = 100
PELVIS, L_HIP, R_HIP, SPINE1, L_KNEE, R_KNEE, SPINE2, L_ANKLE, R_ANKLE, SPINE3 = range(10)
L_FOOT, R_FOOT, NECK, L_COLLAR, R_COLLAR, HEAD, L_SHOULDER, R_SHOULDER = range(10, 18)
L_ELBOW, R_ELBOW, L_WRIST, R_WRIST, L_HAND, R_HAND = range(18, 24)
LEFT, RIGHT = 0, 1
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
        lift: (N,) height of the lower foot above the ground, metres (jumps).
        travel: (N,) 1 where the planted foot carries the body along, 0 on the spot.
        bearing: (N,) direction of travel relative to the heading, radians (pi when backwards).
    """

    angles: Array
    turn: Array
    lift: Array
    travel: Array
    bearing: Array

    def __len__(self) -> int:
        return len(self.angles)


def blank(duration: float) -> Segment:
    """A segment of ``duration`` seconds in T-pose, feet held to the ground, not travelling."""
    n = max(2, round(duration * RATE_HZ))
    return Segment(np.zeros((n, 24, 3)), *(np.zeros(n) for _ in range(4)))


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
    joined = parts[0]
    for part in parts[1:]:
        k = min(round(overlap * RATE_HZ), len(joined) - 1, len(part) - 1)
        w = smoothstep(np.linspace(0.0, 1.0, k))

        def fade(a: Array, b: Array, k: int = k, w: Array = w) -> Array:
            ramp = w.reshape((-1,) + (1,) * (a.ndim - 1))
            middle = a[len(a) - k :] * (1 - ramp) + b[:k] * ramp
            return np.concatenate([a[: len(a) - k], middle, b[k:]])

        joined = Segment(
            fade(joined.angles, part.angles),
            fade(joined.turn, part.turn),
            fade(joined.lift, part.lift),
            fade(joined.travel, part.travel),
            fade(joined.bearing, part.bearing),
        )
    return joined
