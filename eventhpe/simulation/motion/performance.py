"""From segments to a whole performance: chained, inside joint limits, feet planted, on a stage.

The feet move the body: at every instant the lower foot stays where it is and the pelvis moves
over it, so the root's speed is the gait's own and feet hardly slide.
"""

import math
from dataclasses import dataclass

import numpy as np
import roma
import torch
from scipy.ndimage import gaussian_filter1d

from eventhpe.simulation.motion.registry import MOTIONS
from eventhpe.simulation.motion.segments import RATE_HZ, Array, Segment, chain

Rng = np.random.Generator

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# SMPL's neutral rest offsets below the pelvis (facts/method.md): hips, knees, ankles, feet.
LEG_OFFSETS = {
    1: (0.0695, -0.0914, -0.0068),
    2: (-0.0677, -0.0905, -0.0043),
    4: (0.0343, -0.3752, -0.0045),
    5: (-0.0383, -0.3826, -0.0089),
    7: (-0.0136, -0.3980, -0.0437),
    8: (0.0158, -0.3984, -0.0423),
    10: (0.0264, -0.0558, 0.1193),
    11: (-0.0254, -0.0481, 0.1233),
}
HEEL, TOE = np.array([0.0, -0.075, -0.04]), np.array([0.0, -0.025, 0.05])
CONTACT_SOFTNESS, SWING_SPEED = 0.012, 0.25
TURN_RATE = 2.4

# Degrees (low, high) of the Euler angles x, y, z for the left side; the right mirrors y and z.
LIMITS: dict[int, tuple[tuple[float, float], ...]] = {
    0: ((-30, 60), (-20, 20), (-20, 20)),
    1: ((-115, 30), (-30, 40), (-20, 55)),
    4: ((0, 135), (0, 0), (0, 0)),
    7: ((-30, 45), (-15, 15), (-15, 15)),
    10: ((-20, 30), (0, 0), (0, 0)),
    3: ((-15, 35), (-20, 20), (-20, 20)),
    6: ((-15, 35), (-20, 20), (-20, 20)),
    9: ((-15, 30), (-20, 20), (-15, 15)),
    12: ((-25, 30), (-35, 35), (-20, 20)),
    15: ((-25, 30), (-35, 35), (-20, 20)),
    13: ((-15, 15), (-20, 20), (-15, 35)),
    16: ((-170, 60), (-80, 80), (-95, 80)),
    18: ((-30, 30), (-145, 5), (-10, 10)),
    20: ((-30, 30), (-30, 30), (-50, 50)),
    22: ((0, 0), (0, 0), (-40, 10)),
}
MIRROR = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21, 22: 23}


@dataclass(frozen=True)
class Stage:
    """The floor a person may use: a wedge before the camera, metres.

    Attributes:
        near, far: distances from the camera along its axis.
        slope: largest |x| / z.
    """

    near: float = 2.0
    far: float = 6.0
    slope: float = 0.35


@dataclass(frozen=True)
class Motion:
    """M samples at 100 Hz of a moving skeleton in the y-up world, camera at x = z = 0.

    Attributes:
        rotations: (M, 24, 3, 3) SMPL's rotations: [:, 0] is the root in the world, others local.
        translation: (M, 3) position of the pelvis, metres; the ground is y = 0.
        names: the registered segments it was chained from.
    """

    rotations: Array
    translation: Array
    names: tuple[str, ...]


def limited(angles: Array) -> Array:
    """Clip (N, 24, 3) Euler angles to `LIMITS`, mirrored for the right side."""
    low, high = np.zeros((24, 3)), np.zeros((24, 3))
    for joint, box in LIMITS.items():
        low[joint], high[joint] = np.array(box).T
        if joint in MIRROR:
            other = MIRROR[joint]
            low[other] = low[joint, 0], -high[joint, 1], -high[joint, 2]
            high[other] = high[joint, 0], -low[joint, 1], -low[joint, 2]
    return np.clip(angles, np.deg2rad(low), np.deg2rad(high))


def euler_matrices(angles: Array) -> Array:
    """Rx(a) @ Ry(b) @ Rz(c) of (..., 3) angles: (..., 3, 3)."""
    return roma.euler_to_rotmat("XYZ", torch.from_numpy(np.ascontiguousarray(angles))).numpy()


def contact_points(rotations: Array) -> Array:
    """(N, 4, 3) heels and toes (left heel, left toe, right heel, right toe) from the pelvis.

    Args:
        rotations: (N, 24, 3, 3), joint 0 already in the frame wanted.
    """
    n = len(rotations)
    frame: dict[int, Array] = {0: rotations[:, 0]}
    place: dict[int, Array] = {0: np.zeros((n, 3))}
    for joint, offset in LEG_OFFSETS.items():
        parent = PARENTS[joint]
        place[joint] = place[parent] + frame[parent] @ np.array(offset)
        frame[joint] = frame[parent] @ rotations[:, joint]
    points = [place[j] + frame[j] @ o for j, o in ((7, HEEL), (10, TOE), (8, HEEL), (11, TOE))]
    return np.stack(points, axis=1)


def footing(segment: Segment, local: Array) -> tuple[Array, Array]:
    """Height of the pelvis (N,) and its horizontal velocity (N, 2) = (x, z) in its heading frame.

    The body moves against the mean velocity, relative to the pelvis, of the contact points that
    carry it. Low points weigh most, exp(-height / 12 mm), and of a travelling body those that
    stay behind, exp(-forward speed / 0.25 m/s): toes of the swinging leg pass close to the
    ground, too.
    """
    points = contact_points(local)
    below = points[..., 1] - points[..., 1].min(axis=1, keepdims=True)
    weight = np.exp(-below / CONTACT_SOFTNESS)
    height = -(weight * points[..., 1]).sum(axis=1) / weight.sum(axis=1)
    velocity = np.gradient(points[..., [0, 2]], axis=0) * RATE_HZ
    ahead = np.stack([np.sin(segment.bearing), np.cos(segment.bearing)], axis=-1)
    swing = segment.travel[:, None] * np.einsum("npc,nc->np", velocity, ahead) / SWING_SPEED
    weight = weight * np.exp(-np.clip(swing, -8, 8))
    weight /= weight.sum(axis=1, keepdims=True)
    carried = -(weight[..., None] * velocity).sum(axis=1)
    height = gaussian_filter1d(height, 2.0, mode="nearest") + segment.lift
    return height, gaussian_filter1d(carried, 3.0, axis=0, mode="nearest")


def next_goal(rng: Rng, stage: Stage, x: float, z: float) -> tuple[float, float]:
    """A point to walk to: half the time towards or away from the camera, else across or free."""
    kind = rng.uniform()
    depth = rng.uniform(stage.near, stage.far)
    side = rng.uniform(-1, 1)
    if kind < 0.55:
        depth = stage.near if z > (stage.near + stage.far) / 2 else stage.far
        side = np.clip(x / z / stage.slope + rng.normal(0, 0.4), -1, 1)
    elif kind < 0.8:
        depth = np.clip(z + rng.normal(0, 0.3), stage.near, stage.far)
        side = (-1 if x > 0 else 1) * rng.uniform(0.5, 1.0)
    return float(side * stage.slope * depth), float(depth)


def find_way(
    rng: Rng, segment: Segment, velocity: Array, stage: Stage, yaw: float, walking: bool
) -> tuple[Array, Array]:
    """Steer over the stage: (N, 2) places (x, z) and (N,) headings, radians about y.

    A travelling person turns towards the goal at up to `TURN_RATE`; a reached goal is replaced.
    """
    z = rng.uniform(stage.near, stage.far)
    x = rng.uniform(-0.6, 0.6) * stage.slope * z
    goal_x, goal_z = next_goal(rng, stage, x, z)
    if walking:
        yaw = math.atan2(goal_x - x, goal_z - z) - float(segment.bearing[0])
    n = len(segment)
    places, headings, rate = np.empty((n, 2)), np.empty(n), 0.0
    # Plain floats: numpy's scalars would make this loop ten times slower.
    tracks = (segment.bearing, segment.travel, segment.turn, velocity[:, 0], velocity[:, 1])
    rows = zip(*(track.tolist() for track in tracks), strict=True)
    for i, (bearing, travel, turn, sideways, forward) in enumerate(rows):
        places[i], headings[i] = (x, z), yaw
        error = math.remainder(math.atan2(goal_x - x, goal_z - z) - bearing - yaw, math.tau)
        distance = math.hypot(goal_x - x, goal_z - z)
        # A goal inside the turning circle would be circled for ever.
        if distance < 0.6 or (distance < 1.1 and abs(error) > 1.2):
            goal_x, goal_z = next_goal(rng, stage, x, z)
        wanted = travel * max(-TURN_RATE, min(TURN_RATE, 2.2 * error))
        rate += (wanted - rate) * 0.07
        yaw += (rate + turn) / RATE_HZ
        c, s = travel * math.cos(yaw) / RATE_HZ, travel * math.sin(yaw) / RATE_HZ
        x, z = x + c * sideways + s * forward, z - s * sideways + c * forward
    return places, headings


def perform(
    rng: Rng, segment: Segment, stage: Stage, names: tuple[str, ...], yaw: float | None = None
) -> Motion:
    """Put one (chained) segment on the stage.

    Args:
        rng: draws the start, the goals and, without ``yaw``, the first heading of a person who
            does not walk off at once: half the time within 35 degrees of facing the camera.
        segment: the blended tracks.
        stage: where walking may go.
        names: what it was chained from.
        yaw: first heading; pi faces the camera.
    """
    angles = limited(segment.angles)
    local = euler_matrices(angles)
    height, velocity = footing(segment, local)
    if yaw is None:
        yaw = np.pi + rng.normal(0, 0.6) if rng.uniform() < 0.5 else rng.uniform(0, 2 * np.pi)
        walking = bool(segment.travel[0] > 0.5)
    else:
        walking = False
    places, headings = find_way(rng, segment, velocity, stage, yaw, walking)
    turned = euler_matrices(np.stack([0 * headings, headings, 0 * headings], axis=-1))
    rotations = local.copy()
    rotations[:, 0] = turned @ local[:, 0]
    translation = np.stack([places[:, 0], height, places[:, 1]], axis=-1)
    return Motion(rotations, translation, names)


def random_motion(rng: Rng, duration: float, stage: Stage | None = None) -> Motion:
    """Chain random segments into ``duration`` seconds (+1 sample: both ends are covered).

    A quarter of the performances is walking throughout; in the others segments of 2.5 to 7
    seconds follow each other with their registry weights.
    """
    walks = [name for name in MOTIONS if name.startswith("walk") and name != "walk_on_spot"]
    names = walks if rng.uniform() < 0.25 else list(MOTIONS)
    weights = np.array([MOTIONS[name].weight for name in names])
    samples = round(duration * RATE_HZ) + 1
    overlap = rng.uniform(0.4, 0.7)
    parts: list[Segment] = []
    chosen: list[str] = []
    total = 0.0
    while total <= duration + 0.1:
        name = str(rng.choice(names, p=weights / weights.sum()))
        length = rng.uniform(2.5, 7.0)
        parts.append(MOTIONS[name].make(rng, length))
        chosen.append(name)
        total += length - overlap
    whole = chain(parts, overlap)
    whole = Segment(*(getattr(whole, f)[:samples] for f in Segment.__dataclass_fields__))
    return perform(rng, whole, stage or Stage(), tuple(chosen))


def single_motion(rng: Rng, name: str, duration: float, stage: Stage | None = None) -> Motion:
    """One registered motion for ``duration`` seconds (+1 sample).

    Raises:
        KeyError: ``name`` is not registered.
    """
    segment = MOTIONS[name].make(rng, duration + 1 / RATE_HZ)
    return perform(rng, segment, stage or Stage(), (name,))
