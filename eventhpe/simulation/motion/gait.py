"""Getting about: walking in its kinds, marching, jogging, side steps, turning.

Gait follows the normative sagittal curves of level walking in Winter, *Biomechanics and Motor
Control of Human Movement* (4th ed., ch. 4) and Perry & Burnfield, *Gait Analysis* (2nd ed.),
read off at a few instants of the stride and joined by periodic splines.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from eventhpe.simulation.motion.posing import (
    Rng,
    Y,
    Z,
    add,
    bend_trunk,
    flex_hip,
    flex_knee,
    move_head,
    phase_at,
    posture,
    raise_arm,
    raise_toes,
    repeats,
    spread_leg,
)
from eventhpe.simulation.motion.segments import (
    HIPS,
    PELVIS,
    RATE_HZ,
    SIDE,
    Array,
    Segment,
    seconds,
    smooth_noise,
    smoothstep,
)


def spline(*knots: tuple[float, float]) -> CubicSpline:
    """Periodic curve over one stride through (fraction of the stride, degrees)."""
    x, y = zip(*knots, strict=True)
    return CubicSpline([*x, x[0] + 1.0], [*y, y[0]], bc_type="periodic")


# Fractions of the stride from heel strike; degrees of flexion (ankle: dorsiflexion).
HIP_CURVE = spline((0.0, 30), (0.12, 25), (0.3, 5), (0.5, -11), (0.62, 0), (0.75, 25), (0.87, 33))
KNEE_CURVE = spline(
    (0.0, 4), (0.14, 18), (0.27, 11), (0.4, 4), (0.5, 10), (0.61, 38), (0.72, 62), (0.85, 35)
)
ANKLE_CURVE = spline(
    (0.0, 0), (0.07, -6), (0.2, 3), (0.42, 11), (0.53, 3), (0.62, -16), (0.75, 0), (0.87, 2)
)


class Curves(NamedTuple):
    """A gait's sagittal angles over one stride."""

    hip: CubicSpline
    knee: CubicSpline
    ankle: CubicSpline


WALKING = Curves(HIP_CURVE, KNEE_CURVE, ANKLE_CURVE)
# Slow running: 40 % of the stride on the ground (Novacheck, "The biomechanics of running",
# Gait & Posture 7, 1998: figures of sagittal kinematics), rounded.
RUN_STANCE = 0.40
RUNNING = Curves(
    spline((0.0, 34), (0.12, 28), (0.28, 6), (0.42, -8), (0.55, 8), (0.75, 42), (0.9, 42)),
    spline((0.0, 16), (0.14, 38), (0.28, 27), (0.4, 16), (0.55, 62), (0.7, 92), (0.88, 38)),
    spline((0.0, 4), (0.18, 20), (0.3, 8), (0.42, -20), (0.6, -8), (0.8, 2)),
)


def step_cycle(
    s: Segment,
    rng: Rng,
    phase: Array,
    size: Array | float,
    arms: float = 1.0,
    elbow: float = 0.0,
    curves: Curves = WALKING,
) -> None:
    """Lay the gait cycle over a posture.

    Args:
        s: the segment to change.
        rng: draws asymmetry and style.
        phase: (N,) strides since a left heel strike.
        size: scale of the leg swing, 1 for a comfortable pace.
        arms: scale of the arm swing.
        elbow: elbow flexion added throughout, degrees.
        curves: of hip, knee and ankle.
    """
    size = np.asarray(size)
    limp = rng.normal(0, 0.04)
    pelvis_turn = rng.uniform(2, 6) * size
    drop = rng.uniform(1.5, 5) * size
    for side in (0, 1):
        p = np.mod(phase + (0.5 + limp) * side, 1.0)
        scale = size * rng.uniform(0.94, 1.06)
        flex_hip(s, side, scale * curves.hip(p))
        flex_knee(s, side, scale * curves.knee(p))
        raise_toes(s, side, scale * curves.ankle(p))
        # The arm is with the other leg: furthest forward at the other heel strike.
        swing = np.cos(2 * np.pi * (p - 0.5))
        reach = arms * rng.uniform(10, 24) * scale
        bend = elbow + arms * rng.uniform(3, 12) * scale * (1 + swing)
        raise_arm(s, side, forward=reach * (swing + 0.1), elbow=bend)
    c, d = np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)
    add(s, PELVIS, Y, -pelvis_turn * c)
    add(s, PELVIS, Z, drop * d)
    for side in (0, 1):
        add(s, HIPS[side], Y, 0.8 * pelvis_turn * c)
        add(s, HIPS[side], Z, -drop * d)
    bend_trunk(
        s,
        rng.uniform(0, 4) * size + 0.8 * np.cos(4 * np.pi * phase),
        drop * d,
        rng.uniform(1.2, 2.2) * pelvis_turn * c,
    )
    move_head(s, 0.8 * np.cos(4 * np.pi * phase + 1.0), -0.7 * pelvis_turn * c)


def march(
    s: Segment, rng: Rng, phase: Array, height: float, knee: float = 1.5, elbow: float = 10.0
) -> None:
    """Lift the knees in turn to ``height`` degrees, arms swinging opposite."""
    swing = rng.uniform(8, 28)
    for side in (0, 1):
        p = phase + 0.5 * side
        up = height * np.maximum(np.sin(2 * np.pi * p), 0) ** 1.5
        flex_hip(s, side, up)
        flex_knee(s, side, knee * up)
        raise_toes(s, side, -0.3 * up)
        raise_arm(s, side, forward=-swing * np.sin(2 * np.pi * p), elbow=elbow)
    bend_trunk(s, rng.uniform(0, 5), 2 * np.sin(2 * np.pi * phase), 3 * np.sin(2 * np.pi * phase))


def walk(rng: Rng, duration: float) -> Segment:
    """Walk towards the goals that the stage sets, at 0.6 to 1.2 of a comfortable pace."""
    s = posture(rng, duration)
    size = rng.uniform(0.65, 1.2)
    hertz = rng.uniform(0.75, 1.05) * size**0.4
    step_cycle(s, rng, phase_at(rng, s, hertz), size, arms=rng.uniform(0.3, 1.4))
    s.travel[:] = 1.0
    return s


def walk_curved(rng: Rng, duration: float) -> Segment:
    """Walk along arcs, leaning a little into them."""
    s = walk(rng, duration)
    curve = rng.uniform(0.2, 0.6) * smooth_noise(rng, len(s), 0.3)
    s.turn += curve
    bend_trunk(s, left=4 * curve, twist=6 * curve)
    return s


def walk_stop_go(rng: Rng, duration: float) -> Segment:
    """Walk, stand still for a moment, walk on."""
    s = posture(rng, duration)
    going = 1 - repeats(rng, s, 5.0, 3.0, 0.12, rng.uniform(0.1, 0.3))
    size = rng.uniform(0.7, 1.1)
    phase = phase_at(rng, s, rng.uniform(0.75, 1.0) * (0.25 + 0.75 * going))
    step_cycle(s, rng, phase, size * going, arms=rng.uniform(0.4, 1.2))
    s.travel[:] = 1.0
    return s


def walk_backwards(rng: Rng, duration: float) -> Segment:
    """Small steps backwards: the gait cycle run in reverse."""
    s = posture(rng, duration)
    step_cycle(s, rng, -phase_at(rng, s, rng.uniform(0.6, 0.8)), rng.uniform(0.4, 0.7), arms=0.5)
    s.travel[:] = 1.0
    s.bearing[:] = np.pi
    return s


def side_steps(rng: Rng, duration: float) -> Segment:
    """Step sideways: one leg opens, the other follows."""
    s = posture(rng, duration)
    lead = int(rng.integers(2))
    phase = phase_at(rng, s, rng.uniform(0.5, 0.9))
    width = rng.uniform(8, 16)
    for side in (0, 1):
        p = phase + 0.5 * (side != lead)
        spread_leg(s, side, 4 + width * np.sin(2 * np.pi * phase - 0.6))
        up = rng.uniform(10, 22) * np.maximum(np.sin(2 * np.pi * p), 0) ** 2
        flex_hip(s, side, up)
        flex_knee(s, side, 2 * up)
        raise_arm(s, side, sideways=6 * np.sin(2 * np.pi * phase) + 6)
    s.travel[:] = 1.0
    s.bearing[:] = SIDE[lead] * np.pi / 2
    return s


def walk_on_spot(rng: Rng, duration: float) -> Segment:
    """March on the spot: knees come up, feet come down where they were."""
    s = posture(rng, duration)
    march(s, rng, phase_at(rng, s, rng.uniform(0.7, 1.1)), rng.uniform(25, 65))
    return s


def jog_on_spot(rng: Rng, duration: float) -> Segment:
    """Jog on the spot: quick, bent elbows, heels up, with a short flight after each push."""
    s = posture(rng, duration)
    hertz = rng.uniform(1.2, 1.6)
    phase = phase_at(rng, s, hertz)
    march(s, rng, phase, rng.uniform(15, 45), knee=2.0, elbow=rng.uniform(40, 80))
    swing = np.sin(2 * np.pi * phase)
    for side in (0, 1):
        # The standing leg gives way a little.
        give = rng.uniform(8, 14) * np.maximum(-SIDE[side] * swing, 0)
        flex_hip(s, side, give)
        flex_knee(s, side, 2 * give)
        raise_toes(s, side, give)
    airtime = rng.uniform(0.08, 0.16)
    s.flight[np.abs(swing) < np.sin(np.pi * airtime * hertz)] = 1.0
    return s


def walk_on_treadmill(rng: Rng, duration: float) -> Segment:
    """Walk on a treadmill (about 3.5 km/h): the gait of walking, the body staying in place."""
    s = posture(rng, duration)
    size = rng.uniform(0.6, 0.95)
    phase = phase_at(rng, s, rng.uniform(0.7, 0.95))
    step_cycle(s, rng, phase, size, arms=rng.uniform(0.3, 1.4))
    s.grip[:] = 0.0
    return s


def jog_on_treadmill(rng: Rng, duration: float) -> Segment:
    """Jog slowly on a treadmill (about 7 km/h), with a flight after each push."""
    s = posture(rng, duration)
    phase = phase_at(rng, s, rng.uniform(1.2, 1.45))
    size, elbow = rng.uniform(0.7, 1.05), rng.uniform(50, 95)
    step_cycle(s, rng, phase, size, rng.uniform(0.4, 1.2), elbow, RUNNING)
    bend_trunk(s, rng.uniform(2, 9))
    after_strike = np.mod(phase, 0.5)
    s.flight[after_strike > RUN_STANCE] = 1.0
    s.grip[:] = 0.0
    return s


def turn_on_spot(s: Segment, rng: Rng, start: float, degrees: float) -> None:
    """Turn with small steps from ``start`` seconds on, the head first."""
    t, angle = seconds(s), np.deg2rad(degrees)
    length = min(t[-1] - start, abs(angle) / rng.uniform(1.2, 2.4))
    progress = smoothstep((t - start) / length)
    s.turn += np.gradient(angle * progress) * RATE_HZ
    busy = progress * (1 - progress) * 4
    phase = phase_at(rng, s, rng.uniform(0.8, 1.2))
    for side in (0, 1):
        up = rng.uniform(12, 28) * busy * np.maximum(np.sin(2 * np.pi * (phase + 0.5 * side)), 0)
        flex_hip(s, side, up)
        flex_knee(s, side, 1.8 * up)
    move_head(s, turn=np.sign(angle) * 22 * busy)
    bend_trunk(s, twist=np.sign(angle) * 10 * busy)


def turn_around(rng: Rng, duration: float) -> Segment:
    """Turn on the spot by 45 to 270 degrees with small steps."""
    s = posture(rng, duration)
    degrees = rng.choice([-1, 1]) * rng.uniform(45, 270)
    turn_on_spot(s, rng, rng.uniform(0, 0.4 * duration), degrees)
    return s
