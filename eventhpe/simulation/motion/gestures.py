"""Standing and what arms and hands do: each a function of (rng, duration) and perhaps sides."""

import numpy as np

from eventhpe.simulation.motion.posing import (
    Rng,
    Sides,
    X,
    Y,
    Z,
    add,
    bend_trunk,
    envelope,
    flex_hip,
    flex_knee,
    move_head,
    posture,
    raise_arm,
    repeats,
    which_sides,
)
from eventhpe.simulation.motion.segments import (
    ELBOWS,
    HIPS,
    PELVIS,
    SHOULDERS,
    SIDE,
    Segment,
    pulses,
    seconds,
    smooth_noise,
    smoothstep,
)


def stand(rng: Rng, duration: float) -> Segment:
    """Stand, shifting weight from one leg to the other."""
    s = posture(rng, duration)
    shift = rng.uniform(0, 5) * smooth_noise(rng, len(s), 0.3)
    for side in (0, 1):
        add(s, HIPS[side], Z, shift)
        slack = np.maximum(SIDE[side] * shift, 0)
        flex_hip(s, side, slack)
        flex_knee(s, side, 2 * slack)
    add(s, PELVIS, Z, -0.6 * shift)
    bend_trunk(s, left=-0.6 * shift, twist=3 * smooth_noise(rng, len(s), 0.4))
    return s


def stand_still(rng: Rng, duration: float) -> Segment:
    """Stand quietly, in one posture, the head all but still."""
    return posture(rng, duration, lively=rng.uniform(0.05, 0.3))


def gesture(rng: Rng, duration: float) -> Segment:
    """Talk with the hands: forearms up, moving freely before the body."""
    s = stand(rng, duration)
    e, n = envelope(s, 0.8), len(s)
    for side in which_sides(rng, None):
        raise_arm(
            s,
            side,
            forward=e * (rng.uniform(5, 35) + 8 * smooth_noise(rng, n, 0.9)),
            sideways=e * (rng.uniform(0, 15) + 4 * smooth_noise(rng, n, 0.9)),
            elbow=e * (rng.uniform(50, 95) + 15 * smooth_noise(rng, n, 1.2)),
            inward=e * (rng.uniform(-10, 20) + 12 * smooth_noise(rng, n, 1.0)),
        )
    move_head(s, 3 * smooth_noise(rng, n, 1.0), 6 * smooth_noise(rng, n, 0.6))
    return s


def wave(rng: Rng, duration: float, sides: Sides | None = None) -> Segment:
    """Wave with one or both hands beside the head."""
    s = posture(rng, duration)
    e, t = envelope(s, 0.7), seconds(s)
    hertz, amount = rng.uniform(0.8, 2.2), rng.uniform(12, 35)
    for side in which_sides(rng, sides):
        sway = amount * np.sin(2 * np.pi * hertz * t + rng.uniform(0, 6.28))
        raise_arm(
            s,
            side,
            sideways=e * rng.uniform(60, 110),
            forward=e * rng.uniform(-10, 15),
        )
        # With the upper arm out sideways, turning it back makes the bent forearm point up.
        add(s, SHOULDERS[side], X, -e * rng.uniform(60, 85))
        add(s, ELBOWS[side], Y, -SIDE[side] * e * (rng.uniform(50, 85) + sway))
    return s


def arms_sideways(rng: Rng, duration: float, sides: Sides | None = None) -> Segment:
    """Raise straight arms sideways and lower them, again and again."""
    s = posture(rng, duration)
    w = repeats(rng, s, 4.0, 1.5, rng.uniform(0.25, 0.45), rng.uniform(0.02, 0.1))
    for side in which_sides(rng, sides):
        raise_arm(s, side, sideways=w * rng.uniform(60, 150), elbow=-5 * w)
    return s


def arms_forward(rng: Rng, duration: float) -> Segment:
    """Raise straight arms forward, up to overhead, together or in turn."""
    s = posture(rng, duration)
    period, t = rng.uniform(1.5, 4.0), seconds(s)
    alternate = rng.uniform() < 0.4
    for side in which_sides(rng, None):
        w = pulses(t + 0.5 * period * side * alternate, period, 0.4, 0.1) * envelope(s)
        raise_arm(s, side, forward=w * rng.uniform(60, 165), inward=w * rng.uniform(-10, 10))
    bend_trunk(s, -5 * envelope(s))
    return s


def clap(rng: Rng, duration: float) -> Segment:
    """Clap before the chest."""
    s = posture(rng, duration)
    e, t = envelope(s, 0.7), seconds(s)
    open_ = 0.5 + 0.5 * np.cos(2 * np.pi * rng.uniform(0.8, 2.5) * t)
    height, gap = rng.uniform(20, 50), rng.uniform(15, 40)
    for side in (0, 1):
        raise_arm(s, side, forward=e * height, elbow=e * 75, inward=e * (26 - gap * open_))
    return s


def biceps_curl(rng: Rng, duration: float, sides: Sides | None = None) -> Segment:
    """Bend and stretch the elbow beside the body."""
    s = posture(rng, duration)
    w = repeats(rng, s, 3.5, 1.3, rng.uniform(0.3, 0.45), rng.uniform(0.02, 0.1))
    for side in which_sides(rng, sides):
        raise_arm(s, side, rng.uniform(0, 20) * w, 4 * w, rng.uniform(95, 130) * w, -10 * w)
    bend_trunk(s, rng.uniform(-4, 0) * w)
    return s


def trace(rng: Rng, duration: float, sides: Sides, loops: int) -> Segment:
    """Draw with stretched arms before the body: circles (1 loop) or figures of eight (2)."""
    s = posture(rng, duration)
    e, t = envelope(s, 0.8), seconds(s)
    angle = 2 * np.pi * rng.choice([-1, 1]) * rng.uniform(0.35, 1.0) * t + rng.uniform(0, 6.28)
    up, across = rng.uniform(15, 38), rng.uniform(15, 32)
    if loops == 2:
        up, across = 0.6 * up, 1.3 * across
    for side in sides:
        raise_arm(
            s,
            side,
            forward=e * (rng.uniform(65, 95) + up * np.sin(loops * angle)),
            sideways=e * (rng.uniform(5, 35) + across * np.cos(angle)),
            elbow=e * rng.uniform(0, 25),
        )
        bend_trunk(s, twist=-SIDE[side] * 5 * e * np.cos(angle))
        move_head(s, turn=SIDE[side] * 6 * e * np.cos(angle))
    return s


def reach(rng: Rng, duration: float) -> Segment:
    """Reach for points around the body with one arm, trunk and head following."""
    s = posture(rng, duration)
    side = int(rng.integers(2))
    t, period = seconds(s), rng.uniform(2.0, 3.5)
    for start in np.arange(0, t[-1] - 0.8 * period, period):
        w = smoothstep((t - start) / (0.35 * period))
        w = w - smoothstep((t - start - 0.55 * period) / (0.4 * period))
        forward, out = rng.uniform(20, 130), rng.uniform(0, 60)
        raise_arm(s, side, w * forward, w * out, w * rng.uniform(0, 30), w * rng.uniform(-10, 35))
        bend_trunk(s, w * rng.uniform(0, 20), w * SIDE[side] * 5, -w * SIDE[side] * 12)
        move_head(s, -w * (forward - 70) / 4, w * SIDE[side] * rng.uniform(0, 25))
    return s
