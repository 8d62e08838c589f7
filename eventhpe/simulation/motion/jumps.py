"""Jumps and hops: the legs' bend as a spline, and flights that last as long as gravity says.

With hip, knee and ankle bent by f, 2 f and f the leg (hip to ankle) shortens to LEG cos f, so a
body that leaves the ground at v = g T / 2 stretches its legs at v / (LEG sin f) just then.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from eventhpe.simulation.motion.footing import GRAVITY
from eventhpe.simulation.motion.gait import turn_on_spot
from eventhpe.simulation.motion.posing import (
    Rng,
    Sides,
    bend_trunk,
    flex_hip,
    flex_knee,
    lean,
    posture,
    raise_arm,
    raise_toes,
    spread_leg,
)
from eventhpe.simulation.motion.segments import RATE_HZ, SIDE, Array, Segment, seconds, smoothstep

LEG = 0.8
TAKE_OFF = np.deg2rad(27.0)


class Jumps(NamedTuple):
    """Jumps in a row: (N,) bend of the legs, degrees, and (K, 2) take-off and landing times."""

    bend: Array
    flights: Array


def jump_row(s: Segment, starts: Array, airtime: Array, rebound: bool) -> Jumps:
    """Lay K jumps into a segment and mark their flights.

    Args:
        s: the segment; ``flight`` is set.
        starts: (K,) take-off times, seconds.
        airtime: (K,) seconds.
        rebound: land and leave again in one bounce; else crouch before each jump.
    """
    knots = [(0.0, 0.0, 0.0)]
    flights = np.stack([starts, starts + airtime], axis=1)
    for k, ((up, down), air) in enumerate(zip(flights, airtime, strict=True)):
        rate = GRAVITY * air / 2 / (LEG * np.sin(TAKE_OFF))
        # A push whose mean speed is half the take-off's.
        push = 0.09 + 0.17 * air
        deep = TAKE_OFF + rate * push / 2
        if k == 0 or not rebound:
            knots += [(up - push - 0.45, 0.0, 0.0), (up - push, deep, 0.0)]
        # Legs stretch further in the air, but less than the body rises.
        stretch = 1 - 0.4 * float(np.minimum(rise(air) / 0.15, 1.0))
        knots += [(up, TAKE_OFF, -rate), ((up + down) / 2, stretch * TAKE_OFF, 0.0)]
        knots.append((down, TAKE_OFF, rate))
        if rebound and k + 1 < len(flights):
            gap = flights[k + 1, 0] - down
            knots.append((down + gap / 2, TAKE_OFF + rate * gap / 4, 0.0))
        else:
            knots += [(down + push, deep, 0.0), (down + push + 0.5, 0.0, 0.0)]
        s.flight[round(up * RATE_HZ) + 1 : round(down * RATE_HZ)] = 1.0
    t, angle, slope = np.array(knots).T
    spline = CubicHermiteSpline(t, angle, slope)
    inside = np.clip(seconds(s), t[0], t[-1])
    return Jumps(np.rad2deg(np.maximum(spline(inside), 0.0)), flights)


def rise(airtime: Array | float) -> Array:
    """How high a body rises in a flight of ``airtime`` seconds, metres."""
    return GRAVITY / 8 * np.asarray(airtime) ** 2


def between(s: Segment, jumps: Jumps, early: float = 0.0) -> Array:
    """(N, K) ramps from 0 to 1 over each flight, begun ``early`` seconds before it."""
    up, down = jumps.flights.T
    return smoothstep((seconds(s)[:, None] - up + early) / (down - up + early))


def spring(s: Segment, sides: Sides, jumps: Jumps) -> None:
    """Bend the legs that jump; toes point down in the air."""
    ramp = between(s, jumps)
    pointed = (4 * ramp * (1 - ramp)) @ (100 * rise(np.diff(jumps.flights)[:, 0]))
    for side in sides:
        flex_hip(s, side, jumps.bend)
        flex_knee(s, side, 2 * jumps.bend)
        raise_toes(s, side, jumps.bend - pointed)


def plan_jumps(rng: Rng, s: Segment, low: float, high: float) -> tuple[Array, Array]:
    """Take-off times and airtimes of a row of bounces that fits into a segment."""
    total = seconds(s)[-1]
    air = rng.uniform(low, high)
    period = air + rng.uniform(0.24, 0.38)
    count = max(1, int((total - 1.7) / period))
    first = rng.uniform(0.7, max(0.7, total - 1.0 - count * period))
    return first + period * np.arange(count), air * rng.uniform(0.93, 1.07, count)


def swing_arms(s: Segment, rng: Rng, jumps: Jumps) -> None:
    """Back in the crouch, forward and up with the jump."""
    amount, elbow = rng.uniform(0.2, 1.6), rng.uniform(10, 60)
    lifted = between(s, jumps, 0.2) - between(s, Jumps(jumps.bend, jumps.flights + 0.25), 0.1)
    for side in (0, 1):
        forward = 40 * lifted.sum(axis=1) - 0.35 * jumps.bend
        raise_arm(s, side, amount * forward, 6.0, elbow * jumps.bend / 60)


def jumps_up_down(rng: Rng, duration: float) -> Segment:
    """Jump up and down on both feet, again and again."""
    s = posture(rng, duration)
    jumps = jump_row(s, *plan_jumps(rng, s, 0.2, 0.38), rebound=True)
    spring(s, (0, 1), jumps)
    swing_arms(s, rng, jumps)
    bend_trunk(s, 0.25 * jumps.bend)
    return s


def jump_up_down(rng: Rng, duration: float) -> Segment:
    """One high jump from a crouch, every two to three seconds."""
    s = posture(rng, duration)
    count = max(1, int(duration / rng.uniform(2.3, 3.4)))
    starts = duration * (np.arange(count) + 0.5) / count - 0.1
    jumps = jump_row(s, starts, rng.uniform(0.26, 0.42, count), rebound=False)
    spring(s, (0, 1), jumps)
    swing_arms(s, rng, jumps)
    bend_trunk(s, 0.4 * jumps.bend)
    return s


def jump_forward(rng: Rng, duration: float) -> Segment:
    """Jump forward once from a crouch, then turn about with small steps."""
    s = posture(rng, duration)
    t, start = seconds(s), rng.uniform(0.9, 1.1)
    air = rng.uniform(0.28, 0.42)
    jumps = jump_row(s, np.array([start]), np.array([air]), rebound=False)
    spring(s, (0, 1), jumps)
    swing_arms(s, rng, jumps)
    bend_trunk(s, 0.5 * jumps.bend)
    # Falling forward at take-off, legs ahead when landing, upright again.
    tilt, down = rng.uniform(14, 24), start + air
    lean(s, tilt * smoothstep((t - start + 0.35) / 0.38))
    lean(s, -(tilt + 9) * smoothstep((t - start - 0.02) / (air + 0.03)))
    lean(s, 9 * smoothstep((t - down) / 0.6))
    if t[-1] > down + 1.5:
        turn_on_spot(s, rng, down + 0.7, rng.choice([-1, 1]) * rng.uniform(150, 200))
    return s


def hop(rng: Rng, duration: float, sides: Sides | None = None) -> Segment:
    """Hop on one foot, or on both."""
    s = posture(rng, duration)
    drawn: Sides = ((0,), (1,), (0, 1))[rng.integers(3)]
    sides = drawn if sides is None else sides
    jumps = jump_row(s, *plan_jumps(rng, s, 0.17, 0.3), rebound=True)
    spring(s, sides, jumps)
    t, (first, last) = seconds(s), (jumps.flights[0, 0], jumps.flights[-1, 1])
    held = smoothstep((t - first + 0.65) / 0.5) - smoothstep((t - last - 0.3) / 0.5)
    hip, knee, arms = rng.uniform(5, 45), rng.uniform(50, 95), rng.uniform(5, 40)
    for side in (0, 1):
        if side not in sides:
            # It gives way with the standing leg, or it would touch the ground first.
            flex_hip(s, side, hip * held + 0.8 * jumps.bend)
            flex_knee(s, side, knee * held + jumps.bend)
        raise_arm(s, side, 0.2 * jumps.bend, arms * held, rng.uniform(10, 60) * held)
    if len(sides) == 1:
        # The standing foot comes under the body.
        lean(s, 0.0, SIDE[sides[0]] * 4 * held)
    bend_trunk(s, 0.3 * jumps.bend)
    return s


def star_jump(rng: Rng, duration: float) -> Segment:
    """Jumping jacks: legs apart and arms up in one jump, together again in the next."""
    s = posture(rng, duration)
    starts, airtime = plan_jumps(rng, s, 0.16, 0.28)
    even = len(starts) - len(starts) % 2
    if even == 0:
        return s
    jumps = jump_row(s, starts[:even], airtime[:even], rebound=True)
    spring(s, (0, 1), jumps)
    sign = np.where(np.arange(even) % 2, -1.0, 1.0)
    apart = between(s, jumps) @ sign
    arms = between(s, jumps, 0.12) @ sign
    top = rng.uniform(80, 160)
    for side in (0, 1):
        spread_leg(s, side, rng.uniform(12, 24) * apart)
        raise_arm(s, side, sideways=top * arms, elbow=rng.uniform(0, 25) * arms)
    return s
