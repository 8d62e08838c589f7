"""Held and drifting poses: hands anywhere they reach, crouching, kneeling, bending, leaning.

A pose is drawn in three independent parts (arms, legs, trunk), so that few parts make many poses.
Arms go where the wrists should be: the four angles of an arm follow by least squares.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from eventhpe.simulation.motion.clearance import arm_limits, arm_points, depths, torso
from eventhpe.simulation.motion.limbs import REST_OFFSETS
from eventhpe.simulation.motion.posing import (
    Rng,
    Y,
    add,
    bend_trunk,
    envelope,
    flex_hip,
    flex_knee,
    lean,
    move_head,
    posture,
    raise_arm,
    raise_toes,
    spread_leg,
    tip_pelvis,
)
from eventhpe.simulation.motion.segments import (
    ELBOWS,
    HIPS,
    SHOULDERS,
    SIDE,
    Array,
    Segment,
    seconds,
    smooth_noise,
    smoothstep,
)

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
# Where the left wrist goes, metres from the pelvis of an upright body: x left, y up, z forward.
WRIST_BOXES: dict[str, Box] = {
    "hands on hips": ((0.22, 0.26), (0.02, 0.1), (-0.02, 0.05)),
    "arms crossed": ((-0.1, 0.0), (0.22, 0.32), (0.19, 0.25)),
    "hands clasped": ((0.03, 0.05), (-0.1, 0.2), (0.2, 0.3)),
    "carrying": ((0.12, 0.25), (0.0, 0.35), (0.25, 0.4)),
    "holding up": ((0.05, 0.35), (0.8, 1.0), (-0.05, 0.2)),
    "hands at the head": ((0.15, 0.22), (0.55, 0.7), (0.0, 0.12)),
    "hands behind": ((0.03, 0.12), (-0.02, 0.12), (-0.24, -0.18)),
    "hand at the chin": ((0.03, 0.1), (0.38, 0.46), (0.18, 0.26)),
    "looking at a phone": ((0.0, 0.12), (0.25, 0.42), (0.25, 0.38)),
    "arms out": ((0.55, 0.66), (0.2, 0.65), (-0.1, 0.25)),
    "pointing": ((0.1, 0.5), (0.2, 0.7), (0.25, 0.55)),
    "on the belly": ((0.0, 0.12), (0.05, 0.15), (0.17, 0.25)),
}
_REST_TORSO = torso(np.eye(3)[None, None].repeat(24, axis=1), REST_OFFSETS)
_NATURAL = np.deg2rad([0.0, 0.0, -70.0, -40.0])


def mirrored(arm: Array, side: int) -> Array:
    """Left arm's angles (shoulder x, y, z and elbow y) to those of ``side``."""
    return arm * np.array([1.0, SIDE[side], SIDE[side], SIDE[side]])


def arm_to(target: Array, side: int, natural: Array = _NATURAL) -> Array:
    """(4,) shoulder x, y, z and elbow y, radians, that bring a wrist to a point.

    Args:
        target: (3,) metres from the pelvis of an upright body.
        side: 0 left, 1 right.
        natural: (4,) a left arm's angles to stay near to; it decides where the elbow goes.
    """
    preferred = mirrored(natural, side)

    def residuals(arm: Array) -> Array:
        points = arm_points(arm[None], _REST_TORSO, REST_OFFSETS, side)
        inside = depths(points, _REST_TORSO).ravel()
        return np.concatenate([10 * (points[0, 2] - target), 8 * inside, 0.12 * (arm - preferred)])

    return np.asarray(least_squares(residuals, preferred, bounds=arm_limits(side), max_nfev=25).x)


def draw_arms(rng: Rng) -> dict[int, Array]:
    """Angles (4,) of the arms that leave the posture, by side."""
    swivel = _NATURAL + rng.normal(0, [0.3, 0.5, 0.3, 0.3])
    low, high = arm_limits(0)
    swivel = np.clip(swivel, low + 0.01, high - 0.01)
    kind = rng.uniform()
    if kind < 0.5:
        box = np.array(WRIST_BOXES[str(rng.choice(list(WRIST_BOXES)))])
        point = rng.uniform(box[:, 0], box[:, 1])
        sides = (0, 1) if rng.uniform() < 0.75 else (int(rng.integers(2)),)
        # The second hand a little off, or folded arms would share one place.
        away = np.array([0.0, 0.05, -0.03]) * rng.choice([-1, 1])
        targets = {k: point * [SIDE[k], 1, 1] + k * away for k in sides}
    else:
        free = (0, 1) if kind < 0.85 else (int(rng.integers(2)),)
        targets = {k: reachable(rng, k) for k in free}
    return {side: arm_to(target, side, swivel) for side, target in targets.items()}


def reachable(rng: Rng, side: int) -> Array:
    """(3,) a point around the shoulder that the wrist reaches, mostly before the body."""
    way = rng.normal([0.4 * SIDE[side], -0.1, 0.7])
    shoulder = _REST_TORSO.shoulder_places[0, side]
    return np.asarray(shoulder + rng.uniform(0.28, 0.5) * way / np.linalg.norm(way))


def place_arms(s: Segment, w: Array, arms: dict[int, Array]) -> None:
    """Blend the arms towards the angles (4,) by (N,) weights."""
    for side, arm in arms.items():
        shoulder, elbow = s.angles[:, SHOULDERS[side]], s.angles[:, ELBOWS[side], 1]
        shoulder += w[:, None] * (arm[:3] - shoulder)
        elbow += w * (arm[3] - elbow)


def crouch(rng: Rng, s: Segment, w: Array) -> None:
    """Knees bent, a little or to a deep squat, as if to sit."""
    depth = rng.uniform(15, 105)
    for side in (0, 1):
        flex_hip(s, side, depth * w)
        flex_knee(s, side, 1.15 * depth * w)
        raise_toes(s, side, 0.33 * depth * w)
        spread_leg(s, side, rng.uniform(0, 14) * w)
    tip_pelvis(s, 0.25 * depth * w)
    bend_trunk(s, 0.1 * depth * w)


def kneel(rng: Rng, s: Segment, w: Array) -> None:
    """Down on one knee, or on the way there (a lunge)."""
    front, depth = int(rng.integers(2)), rng.uniform(0.4, 1.0)
    flex_hip(s, front, 88 * depth * w)
    flex_knee(s, front, 88 * depth * w)
    flex_hip(s, 1 - front, -8 * depth * w)
    flex_knee(s, 1 - front, 92 * depth * w)
    raise_toes(s, 1 - front, -25 * depth * w)
    tip_pelvis(s, rng.uniform(-4, 12) * w)


def straddle(rng: Rng, s: Segment, w: Array) -> None:
    """Legs apart, weight on one of them."""
    for side in (0, 1):
        spread = rng.uniform(8, 24)
        spread_leg(s, side, spread * w)
        add(s, HIPS[side], Y, SIDE[side] * rng.uniform(0, 15) * w)
    lean(s, 0.0, rng.uniform(-8, 8) * w)


def one_leg(rng: Rng, s: Segment, w: Array) -> None:
    """One foot off the ground: forward, sideways or back."""
    side, hip = int(rng.integers(2)), rng.uniform(-20, 80)
    flex_hip(s, side, hip * w)
    flex_knee(s, side, (max(hip, 0) * rng.uniform(0.2, 1.2) + rng.uniform(5, 40)) * w)
    spread_leg(s, side, rng.uniform(-2, 25) * w)
    lean(s, 0.0, -SIDE[side] * 3 * w)


def stand_easy(rng: Rng, s: Segment, w: Array) -> None:
    """Weight on one leg, the other slack."""
    side, slack = int(rng.integers(2)), rng.uniform(5, 22)
    flex_hip(s, side, slack * w)
    flex_knee(s, side, 2 * slack * w)
    raise_toes(s, side, slack * w)
    lean(s, 0.0, -SIDE[side] * rng.uniform(1, 4) * w)


def tilt_trunk(rng: Rng, s: Segment, w: Array) -> None:
    """Upright with some twist, half the time; else bent forward, to a side, or back."""
    twist, turn, nod = rng.normal(0, 12) * w, rng.normal(0, 22) * w, rng.normal(0, 12) * w
    forward, left = rng.normal(3, 5), rng.normal(0, 4)
    if rng.uniform() < 0.3:
        depth = rng.uniform(15, 70)
        tip_pelvis(s, 0.6 * depth * w)
        lean(s, -0.1 * depth * w)
        forward += 0.6 * depth
    elif rng.uniform() < 0.3:
        left += rng.choice([-1, 1]) * rng.uniform(8, 25)
    bend_trunk(s, forward * w, left * w, twist)
    move_head(s, nod - 0.3 * forward * w, turn)


_LEGS: tuple[Callable[[Rng, Segment, Array], None], ...] = (
    stand_easy,
    straddle,
    crouch,
    kneel,
    one_leg,
)
_LEG_WEIGHTS = (0.4, 0.2, 0.2, 0.12, 0.08)


def random_posture(rng: Rng, duration: float) -> Segment:
    """Go to random natural poses one after the other, and hold each for a while."""
    s = posture(rng, duration, lively=rng.uniform(0.1, 0.8))
    t, end = seconds(s), 0.0
    while end < duration - 1.6:
        move, hold = rng.uniform(0.7, 1.4), rng.uniform(0.5, 3.0)
        back = min(end + move + hold, duration - move)
        w = smoothstep((t - end) / move) - smoothstep((t - back) / move)
        place_arms(s, w, draw_arms(rng))
        _LEGS[rng.choice(len(_LEGS), p=_LEG_WEIGHTS)](rng, s, w)
        tilt_trunk(rng, s, w)
        # The next pose begins while this one ends.
        end = back + rng.uniform(0.0, 0.5)
    return s


def random_poses(rng: Rng, duration: float) -> Segment:
    """Drift smoothly through random poses inside the joint limits."""
    s = posture(rng, duration)
    e, n, hertz = envelope(s, 0.8), len(s), rng.uniform(0.3, 0.9)

    def drift(low: float, high: float) -> Array:
        mid, half = (low + high) / 2, (high - low) / 2
        return e * (mid + half * np.clip(0.7 * smooth_noise(rng, n, hertz), -1, 1))

    crouched = np.maximum(drift(-30, rng.uniform(10, 70)), 0)
    for side in (0, 1):
        raise_arm(s, side, drift(-30, 120), drift(0, 90), drift(0, 110), drift(-25, 30))
        # Both legs share the crouch; each adds some of its own.
        step = np.maximum(drift(-15, 20), 0)
        flex_hip(s, side, crouched + step)
        flex_knee(s, side, 1.15 * crouched + 1.5 * step)
        raise_toes(s, side, 0.3 * crouched)
        spread_leg(s, side, drift(-3, 18))
        add(s, HIPS[side], Y, SIDE[side] * drift(-10, 20))
    tip_pelvis(s, 0.25 * crouched + np.maximum(drift(-20, 25), 0))
    bend_trunk(s, drift(-10, 30), drift(-15, 15), drift(-20, 20))
    move_head(s, drift(-20, 25), drift(-40, 40), drift(-12, 12))
    return s
