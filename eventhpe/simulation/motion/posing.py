"""Building blocks of poses: flexion, bending, raising, and the standing posture under all."""

import numpy as np

from eventhpe.simulation.motion.segments import (
    ANKLES,
    COLLARS,
    ELBOWS,
    HANDS,
    HEAD,
    HIPS,
    KNEES,
    NECK,
    PELVIS,
    RATE_HZ,
    SHOULDERS,
    SIDE,
    SPINE1,
    SPINE2,
    SPINE3,
    WRISTS,
    Array,
    Segment,
    blank,
    pulses,
    seconds,
    smooth_noise,
    smoothstep,
)

Rng = np.random.Generator
Sides = tuple[int, ...]
X, Y, Z = 0, 1, 2
ARM_DOWN = np.deg2rad(82.0)


def add(s: Segment, joint: int, axis: int, degrees: Array | float) -> None:
    """Add degrees to one Euler angle of a joint."""
    s.angles[:, joint, axis] += np.deg2rad(degrees)


def flex_hip(s: Segment, side: int, degrees: Array | float) -> None:
    """Bring the thigh forward."""
    add(s, HIPS[side], X, -np.asarray(degrees))


def flex_knee(s: Segment, side: int, degrees: Array | float) -> None:
    """Bring the shank backward."""
    add(s, KNEES[side], X, degrees)


def raise_toes(s: Segment, side: int, degrees: Array | float) -> None:
    """Dorsiflexion of the ankle."""
    add(s, ANKLES[side], X, -np.asarray(degrees))


def spread_leg(s: Segment, side: int, degrees: Array | float) -> None:
    """Abduction of the hip."""
    add(s, HIPS[side], Z, SIDE[side] * np.asarray(degrees))


def raise_arm(
    s: Segment,
    side: int,
    forward: Array | float = 0.0,
    sideways: Array | float = 0.0,
    elbow: Array | float = 0.0,
    inward: Array | float = 0.0,
) -> None:
    """Move an arm that hangs: flexion and abduction of the shoulder, flexion of the elbow.

    ``inward`` turns the upper arm about the vertical so that a bent forearm or a raised arm
    points across the chest. The collar bone carries a quarter of what is raised beyond 60
    degrees (the scapulohumeral rhythm, roughly).
    """
    collar = 0.25 * np.maximum(np.asarray(sideways) - 60.0, 0.0)
    add(s, COLLARS[side], Z, SIDE[side] * collar)
    add(s, SHOULDERS[side], X, -np.asarray(forward))
    add(s, SHOULDERS[side], Y, -SIDE[side] * np.asarray(inward))
    add(s, SHOULDERS[side], Z, SIDE[side] * (np.asarray(sideways) - collar))
    add(s, ELBOWS[side], Y, -SIDE[side] * np.asarray(elbow))


def bend_trunk(
    s: Segment,
    forward: Array | float = 0.0,
    left: Array | float = 0.0,
    twist: Array | float = 0.0,
) -> None:
    """Bend (forward, to the left) and twist (to the left) the spine, a third in each joint."""
    for joint in (SPINE1, SPINE2, SPINE3):
        add(s, joint, X, np.asarray(forward) / 3)
        add(s, joint, Z, -np.asarray(left) / 3)
        add(s, joint, Y, np.asarray(twist) / 3)


def lean(s: Segment, forward: Array | float, left: Array | float = 0.0) -> None:
    """Lean the straight body about its ankles, and shift the pelvis over one leg; degrees."""
    add(s, PELVIS, X, forward)
    for side in (0, 1):
        add(s, ANKLES[side], X, -np.asarray(forward))
        add(s, HIPS[side], Z, -np.asarray(left))
        add(s, ANKLES[side], Z, left)


def tip_pelvis(s: Segment, degrees: Array | float) -> None:
    """Tip the pelvis forward over the hips; the legs stay as they are."""
    add(s, PELVIS, X, degrees)
    for side in (0, 1):
        add(s, HIPS[side], X, -np.asarray(degrees))


def move_head(
    s: Segment, nod: Array | float = 0.0, turn: Array | float = 0.0, tilt: Array | float = 0.0
) -> None:
    """Nod (down), turn (left) and tilt the head, half in the neck."""
    for joint in (NECK, HEAD):
        add(s, joint, X, np.asarray(nod) / 2)
        add(s, joint, Y, np.asarray(turn) / 2)
        add(s, joint, Z, np.asarray(tilt) / 2)


def posture(rng: Rng, duration: float, lively: float = 1.0) -> Segment:
    """Stand with hanging arms: the ground every motion is drawn on.

    Random stance width, toe-out, trunk lean and arm hang, with slow head and hand movement all
    through, scaled by ``lively``. Breathing and sway come later, over the whole performance.
    """
    s = blank(duration)
    n = len(s)

    def drift(hertz: float) -> Array:
        return lively * smooth_noise(rng, n, hertz)

    for side in (0, 1):
        s.angles[:, SHOULDERS[side], Z] -= SIDE[side] * ARM_DOWN
        raise_arm(
            s,
            side,
            forward=rng.normal(2, 5) + 1.5 * drift(0.5),
            sideways=rng.uniform(-5, 7) + 0.8 * drift(0.4),
            elbow=rng.uniform(5, 28) + 2.0 * drift(0.5),
            inward=rng.normal(12, 10),
        )
        add(s, WRISTS[side], Z, rng.normal(0, 6) + 2 * drift(0.7))
        add(s, HANDS[side], Z, -SIDE[side] * rng.uniform(0, 20))
        spread_leg(s, side, rng.uniform(-1, 7))
        add(s, HIPS[side], Y, SIDE[side] * rng.uniform(0, 14))
        bend = rng.uniform(0, 7)
        flex_hip(s, side, bend)
        flex_knee(s, side, 2 * bend)
        raise_toes(s, side, bend)
    bend_trunk(s, rng.normal(3, 5), rng.normal(0, 2), rng.normal(0, 3))
    for side in (0, 1):
        add(s, COLLARS[side], Z, SIDE[side] * rng.normal(0, 3))
    move_head(
        s,
        rng.normal(4, 7) + 3 * drift(0.6),
        rng.normal(0, 8) + 8 * drift(0.4),
        rng.normal(0, 3) + 1.5 * drift(0.5),
    )
    return s


def envelope(s: Segment, ramp: float = 0.5) -> Array:
    """0 at both ends of a segment, 1 inside: gestures start from and return to the posture."""
    t = seconds(s)
    ramp = min(ramp, t[-1] / 2)
    return smoothstep(t / ramp) * smoothstep((t[-1] - t) / ramp)


def which_sides(rng: Rng, sides: Sides | None) -> Sides:
    """The sides asked for, or left, right or both at random."""
    drawn: Sides = ((0,), (1,), (0, 1), (0, 1))[rng.integers(4)]
    return drawn if sides is None else sides


def phase_at(rng: Rng, s: Segment, hertz: Array | float) -> Array:
    """Strides so far for a stride frequency with a little jitter, from a random start."""
    rate = np.asarray(hertz) * (1 + 0.04 * smooth_noise(rng, len(s), 0.5))
    return rng.uniform() + np.cumsum(rate) / RATE_HZ


def repeats(rng: Rng, s: Segment, slow: float, fast: float, rise: float, hold: float) -> Array:
    """Repeated pulses at a random period that end with the segment."""
    total = seconds(s)[-1]
    count = max(1, round(total / rng.uniform(fast, slow)))
    return pulses(seconds(s) * (1 - 1e-9), total / count, rise, hold)
