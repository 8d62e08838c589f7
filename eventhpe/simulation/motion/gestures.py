"""Standing, gestures and exercises: each a function of (rng, duration)."""

import numpy as np

from eventhpe.simulation.motion.posing import (
    Rng,
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
    raise_toes,
    repeats,
    spread_leg,
    which_sides,
)
from eventhpe.simulation.motion.segments import (
    ELBOWS,
    HIPS,
    PELVIS,
    SHOULDERS,
    SIDE,
    Array,
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


def gesture(rng: Rng, duration: float) -> Segment:
    """Talk with the hands: forearms up, moving freely before the body."""
    s = stand(rng, duration)
    e, n = envelope(s, 0.8), len(s)
    for side in which_sides(rng):
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


def wave(rng: Rng, duration: float) -> Segment:
    """Wave with one or both hands beside the head."""
    s = posture(rng, duration)
    e, t = envelope(s, 0.7), seconds(s)
    hertz, amount = rng.uniform(0.8, 2.2), rng.uniform(12, 35)
    for side in which_sides(rng):
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


def arms_sideways(rng: Rng, duration: float) -> Segment:
    """Raise straight arms sideways and lower them, again and again."""
    s = posture(rng, duration)
    w = repeats(rng, s, 4.0, 1.5, rng.uniform(0.25, 0.45), rng.uniform(0.02, 0.1))
    for side in which_sides(rng):
        raise_arm(s, side, sideways=w * rng.uniform(60, 150), elbow=-5 * w)
    return s


def arms_forward(rng: Rng, duration: float) -> Segment:
    """Raise straight arms forward, up to overhead, together or in turn."""
    s = posture(rng, duration)
    period, t = rng.uniform(1.5, 4.0), seconds(s)
    alternate = rng.uniform() < 0.4
    for side in which_sides(rng):
        w = pulses(t + 0.5 * period * side * alternate, period, 0.4, 0.1) * envelope(s)
        raise_arm(s, side, forward=w * rng.uniform(60, 165), inward=w * rng.uniform(-10, 10))
    bend_trunk(s, -5 * envelope(s))
    return s


def punch(rng: Rng, duration: float) -> Segment:
    """Punch forward with alternating or one arm from a guard."""
    s = posture(rng, duration)
    e, t, period = envelope(s), seconds(s), rng.uniform(1.0, 2.0)
    both = rng.uniform() < 0.7
    lead = int(rng.integers(2))
    for side in (0, 1):
        active = 1.0 if both or side == lead else 0.0
        hit = active * pulses(t + 0.5 * period * side, period, rng.uniform(0.16, 0.25), 0.05)
        raise_arm(
            s,
            side,
            forward=e * (25 + hit * rng.uniform(50, 70)),
            elbow=e * (110 - 105 * hit),
            inward=e * (5 + 12 * hit),
            sideways=e * 8,
        )
        bend_trunk(s, 2 * e, twist=-SIDE[side] * 16 * hit * e)
        flex_hip(s, side, 10 * e)
        flex_knee(s, side, 18 * e)
        raise_toes(s, side, 8 * e)
    return s


def kick(rng: Rng, duration: float) -> Segment:
    """Kick forward with one leg or with the two in turn."""
    s = posture(rng, duration)
    e, t, period = envelope(s), seconds(s), rng.uniform(1.4, 2.8)
    for side in which_sides(rng):
        p = t + 0.5 * period * side
        up = pulses(p, period, 0.22, 0.04) * e
        extend = pulses(p - 0.08 * period, period, 0.16, 0.02) * e
        height = rng.uniform(35, 85)
        flex_hip(s, side, height * up)
        flex_knee(s, side, 80 * up - 75 * extend)
        raise_toes(s, side, -15 * extend)
        bend_trunk(s, -10 * up)
        raise_arm(s, 1 - side, forward=25 * up, elbow=20 * up)
        raise_arm(s, side, sideways=20 * up)
    return s


def leg_lift(rng: Rng, duration: float) -> Segment:
    """Lift a knee forward, a straight leg sideways or the heel backward, and hold a moment."""
    s = posture(rng, duration)
    kind, side = int(rng.integers(3)), int(rng.integers(2))
    w = repeats(rng, s, 4.0, 2.0, 0.3, 0.1)
    amount = w * rng.uniform(0.6, 1.0)
    if kind == 0:
        flex_hip(s, side, 85 * amount)
        flex_knee(s, side, 90 * amount)
    elif kind == 1:
        spread_leg(s, side, 42 * amount)
    else:
        flex_knee(s, side, 100 * amount)
        flex_hip(s, side, -15 * amount)
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
    # The lean that keeps the trunk's weight over the feet.
    lean = 0.18 * depth * w
    add(s, PELVIS, X, lean)
    for side in (0, 1):
        add(s, HIPS[side], X, -lean)
    bend_trunk(s, 0.12 * depth * w)
    return s


def bend(rng: Rng, duration: float) -> Segment:
    """Bend forward towards the floor or to the sides, and straighten up."""
    s = posture(rng, duration)
    w = repeats(rng, s, 5.0, 2.2, 0.4, 0.1)
    if rng.uniform() < 0.6:
        depth = rng.uniform(30, 75) * w
        add(s, PELVIS, X, 0.6 * depth)
        bend_trunk(s, 0.7 * depth)
        for side in (0, 1):
            add(s, HIPS[side], X, -0.6 * depth)
            flex_knee(s, side, 0.15 * depth)
            raise_toes(s, side, 0.12 * depth)
            raise_arm(s, side, forward=rng.uniform(0.7, 1.2) * depth)
    else:
        lean = rng.choice([-1, 1]) * rng.uniform(15, 35) * w
        bend_trunk(s, left=lean)
        raise_arm(s, int(lean.sum() > 0), sideways=rng.uniform(20, 140) * w)
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


def star_jump(rng: Rng, duration: float) -> Segment:
    """Jumping jacks: legs apart and arms up, together again."""
    s = posture(rng, duration)
    e, t, hertz = envelope(s), seconds(s), rng.uniform(0.6, 1.1)
    w = e * (0.5 - 0.5 * np.cos(2 * np.pi * hertz * t))
    top = rng.uniform(90, 155)
    for side in (0, 1):
        spread_leg(s, side, rng.uniform(14, 26) * w)
        raise_arm(s, side, sideways=top * w)
        crouch = 12 * e * np.cos(2 * np.pi * hertz * t) ** 2
        flex_hip(s, side, crouch)
        flex_knee(s, side, 2 * crouch)
        raise_toes(s, side, crouch)
    s.lift += rng.uniform(0.03, 0.09) * e * np.sin(2 * np.pi * hertz * t) ** 2
    return s


def hop(rng: Rng, duration: float) -> Segment:
    """Hop on both feet or on one."""
    s = posture(rng, duration)
    e, t, hertz = envelope(s), seconds(s), rng.uniform(1.2, 2.0)
    fly = np.maximum(np.sin(2 * np.pi * hertz * t), 0)
    crouch = e * 18 * np.maximum(-np.sin(2 * np.pi * hertz * t), 0)
    lifted = int(rng.integers(4))
    for side in (0, 1):
        flex_hip(s, side, crouch)
        flex_knee(s, side, 2 * crouch)
        raise_toes(s, side, crouch - 20 * fly * e)
        if side == lifted:
            flex_hip(s, side, 10 * e)
            flex_knee(s, side, 60 * e)
        raise_arm(s, side, sideways=rng.uniform(5, 25) * e, elbow=30 * e)
    s.lift += rng.uniform(0.04, 0.12) * fly * e
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


def random_poses(rng: Rng, duration: float) -> Segment:
    """Drift smoothly through random poses inside the joint limits."""
    s = posture(rng, duration)
    e, n, hertz = envelope(s, 0.8), len(s), rng.uniform(0.3, 0.9)

    def drift(low: float, high: float) -> Array:
        mid, half = (low + high) / 2, (high - low) / 2
        return e * (mid + half * np.clip(0.7 * smooth_noise(rng, n, hertz), -1, 1))

    for side in (0, 1):
        raise_arm(s, side, drift(-30, 110), drift(0, 90), drift(0, 110), drift(-25, 30))
        hip = drift(-5, 35)
        flex_hip(s, side, hip)
        flex_knee(s, side, np.maximum(drift(-5, 45), 0))
        spread_leg(s, side, drift(-3, 18))
        add(s, HIPS[side], Y, drift(-15, 20))
    bend_trunk(s, drift(-10, 30), drift(-15, 15), drift(-20, 20))
    move_head(s, drift(-20, 25), drift(-40, 40), drift(-12, 12))
    return s
