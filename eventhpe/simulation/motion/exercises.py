"""Exercises with the feet on the ground: punches, kicks, leg lifts, squats, bends, twists."""

import numpy as np

from eventhpe.simulation.motion.posing import (
    Rng,
    Sides,
    bend_trunk,
    envelope,
    flex_hip,
    flex_knee,
    lean,
    posture,
    raise_arm,
    raise_toes,
    repeats,
    spread_leg,
    tip_pelvis,
    which_sides,
)
from eventhpe.simulation.motion.segments import SIDE, Segment, pulses, seconds


def punch(rng: Rng, duration: float, sides: Sides | None = None, aim: str = "forward") -> Segment:
    """Punch forward, upwards ("up") or downwards ("down") from a guard, one arm or in turn."""
    s = posture(rng, duration)
    e, t, period = envelope(s), seconds(s), rng.uniform(0.9, 2.0)
    hitting = which_sides(rng, sides)
    low, high = {"down": (25, 45), "forward": (68, 88), "up": (110, 140)}[aim]
    stance = rng.uniform(0, 14)
    for side in (0, 1):
        active = float(side in hitting)
        hit = active * pulses(t + 0.5 * period * side, period, rng.uniform(0.16, 0.25), 0.05)
        raise_arm(
            s,
            side,
            forward=e * (25 + hit * (rng.uniform(low, high) - 25)),
            elbow=e * (rng.uniform(95, 120) * (1 - hit) + 8 * hit),
            inward=e * (5 + 12 * hit),
            sideways=e * 8,
        )
        bend_trunk(s, 2 * e, twist=-SIDE[side] * rng.uniform(8, 20) * hit * e)
        flex_hip(s, side, stance * e)
        flex_knee(s, side, 2 * stance * e)
        raise_toes(s, side, stance * e)
    return s


def kick(rng: Rng, duration: float, sides: Sides | None = None, sideways: bool = False) -> Segment:
    """Kick forward or sideways with one leg or with the two in turn."""
    s = posture(rng, duration)
    e, t, period = envelope(s), seconds(s), rng.uniform(1.4, 2.8)
    for side in which_sides(rng, sides):
        p = t + 0.5 * period * side
        up = pulses(p, period, 0.22, 0.04) * e
        extend = pulses(p - 0.08 * period, period, 0.16, 0.02) * e
        height = rng.uniform(35, 80)
        out = rng.uniform(0.55, 0.75) if sideways else 0.0
        flex_hip(s, side, height * up * (1 - out))
        spread_leg(s, side, height * up * out)
        flex_knee(s, side, 80 * up - 75 * extend)
        raise_toes(s, side, -15 * extend)
        lean(s, 0.0, -SIDE[side] * 3 * up)
        bend_trunk(s, -10 * up * (1 - out), -SIDE[side] * 18 * up * out)
        raise_arm(s, 1 - side, forward=25 * up, elbow=20 * up)
        raise_arm(s, side, sideways=20 * up)
    return s


def leg_lift(
    rng: Rng, duration: float, sides: Sides | None = None, kind: str | None = None
) -> Segment:
    """Lift a "knee", a straight leg sideways ("abduction") or the "heel", and hold a moment."""
    s = posture(rng, duration)
    drawn = str(rng.choice(["knee", "abduction", "heel"]))
    (side,) = (int(rng.integers(2)),) if sides is None else sides
    w = repeats(rng, s, 4.0, 1.6, rng.uniform(0.25, 0.4), rng.uniform(0.04, 0.15))
    amount = w * rng.uniform(0.6, 1.0)
    if (kind or drawn) == "knee":
        flex_hip(s, side, 95 * amount)
        flex_knee(s, side, 100 * amount)
    elif (kind or drawn) == "abduction":
        spread_leg(s, side, 48 * amount)
    else:
        flex_knee(s, side, 100 * amount)
        flex_hip(s, side, -15 * amount)
    # The weight goes over the standing leg.
    lean(s, 0.0, -SIDE[side] * 3 * amount)
    bend_trunk(s, left=-SIDE[side] * 6 * amount)
    for arm in (0, 1):
        raise_arm(s, arm, sideways=rng.uniform(0, 40) * w)
    return s


def squat(rng: Rng, duration: float) -> Segment:
    """Bend hips, knees and ankles and stand up again, arms held forward for balance."""
    s = posture(rng, duration)
    w = repeats(rng, s, 4.0, 1.8, 0.42, 0.08)
    depth, arms = rng.uniform(40, 100), rng.uniform(0, 90)
    for side in (0, 1):
        flex_hip(s, side, depth * w)
        flex_knee(s, side, 1.15 * depth * w)
        raise_toes(s, side, 0.33 * depth * w)
        spread_leg(s, side, 8 * w)
        raise_arm(s, side, forward=arms * w)
    tip_pelvis(s, 0.22 * depth * w)
    bend_trunk(s, 0.12 * depth * w)
    return s


def bend(rng: Rng, duration: float) -> Segment:
    """Bend forward towards the floor or to the sides, and straighten up."""
    s = posture(rng, duration)
    w = repeats(rng, s, 5.0, 2.2, 0.4, 0.1)
    if rng.uniform() < 0.6:
        depth = rng.uniform(30, 75) * w
        tip_pelvis(s, 0.6 * depth)
        # The hips go back, so that the weight stays over the feet.
        lean(s, -0.12 * depth)
        bend_trunk(s, 0.7 * depth)
        for side in (0, 1):
            flex_knee(s, side, 0.15 * depth)
            raise_toes(s, side, 0.12 * depth)
            raise_arm(s, side, forward=rng.uniform(0.7, 1.2) * depth)
    else:
        left = rng.choice([-1, 1]) * rng.uniform(15, 35) * w
        bend_trunk(s, left=left)
        raise_arm(s, int(left.sum() > 0), sideways=rng.uniform(20, 140) * w)
    return s


def twist(rng: Rng, duration: float) -> Segment:
    """Twist the trunk left and right, arms following or held out."""
    s = posture(rng, duration)
    t, e = seconds(s), envelope(s)
    angle = rng.uniform(15, 40) * np.sin(2 * np.pi * rng.uniform(0.3, 0.9) * t) * e
    bend_trunk(s, twist=angle)
    out = rng.uniform(0, 85)
    for side in (0, 1):
        raise_arm(s, side, sideways=out * e, elbow=rng.uniform(0, 60) * e)
    return s
