"""Where a person may go: the stage before the camera, goals on it, and the way over it."""

import math
from dataclasses import dataclass

import numpy as np

from eventhpe.simulation.motion.segments import RATE_HZ, Array, Segment

Rng = np.random.Generator
TURN_RATE = 2.4
SPOT, HOMING = 0.45, 1.0
"""Who exercises on the spot drifts no further than about so many metres: beyond, the feet slide
back at ``HOMING`` of the excess a second."""
MARGIN = 0.8
"""A pelvis this far (metres) beyond the image's edge takes the whole body out of the view."""


@dataclass(frozen=True)
class Stage:
    """The floor a person may use: a wedge before the camera, metres.

    Attributes:
        near, far: distances from the camera along its axis.
        slope: largest |x| / z.
        edge: |x| / z at the image's sides; who leaves the view goes beyond it.
    """

    near: float = 2.0
    far: float = 6.0
    slope: float = 0.35
    edge: float = 0.6


@dataclass(frozen=True)
class Leave:
    """A way out of the view and back.

    Attributes:
        sample: when the person makes for the side.
        away: samples spent beyond the edge before turning back.
    """

    sample: int
    away: int


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


def entrance(rng: Rng, stage: Stage, course: float) -> tuple[float, float, float, float]:
    """A start (x, z) with room ahead in direction ``course`` (radians), and the first goal there.

    The start with the longest way ahead out of eight is taken, so walkers set off in any
    direction without leaving the stage.
    """
    best = (-1.0, 0.0, 0.0)
    for _ in range(8):
        z = rng.uniform(stage.near, stage.far)
        x = rng.uniform(-0.7, 0.7) * stage.slope * z
        best = max(best, (room_ahead(stage, x, z, course), x, z))
    room, x, z = best
    ahead = 0.8 * room
    return x, z, x + ahead * math.sin(course), z + ahead * math.cos(course)


def room_ahead(stage: Stage, x: float, z: float, course: float) -> float:
    """Metres from a point on the stage to its border in a direction."""
    dx, dz = math.sin(course), math.cos(course)
    # The four borders as (how far inside, how fast that shrinks).
    borders = (
        (z - stage.near, -dz),
        (stage.far - z, dz),
        (stage.slope * z - x, dx - stage.slope * dz),
        (stage.slope * z + x, -dx - stage.slope * dz),
    )
    return min((inside / pace for inside, pace in borders if pace > 1e-9), default=0.0)


def find_way(
    rng: Rng,
    segment: Segment,
    velocity: Array,
    pivot: Array,
    stage: Stage,
    yaw: float,
    leave: Leave | None = None,
) -> tuple[Array, Array]:
    """Steer over the stage: (N, 2) places (x, z) and (N,) headings, radians about y.

    A travelling person turns towards the goal at up to `TURN_RATE`; a reached goal is replaced.

    Args:
        rng: draws start and goals.
        segment: the blended tracks.
        velocity, pivot: (N, 2), see `eventhpe.simulation.motion.footing.footing`.
        stage: where the goals are.
        yaw: first heading; pi faces the camera.
        leave: goes out of the view and comes back, when given.
    """
    x, z, goal_x, goal_z = entrance(rng, stage, yaw + float(segment.bearing[0]))
    home_x, home_z = x, z
    n, rate, side, away = len(segment), 0.0, 0.0, leave.away if leave else 0
    places, headings = np.empty((n, 2)), np.empty(n)
    # Plain floats: numpy's scalars would make this loop ten times slower.
    tracks = (segment.bearing, segment.travel, segment.turn, *velocity.T, *pivot.T)
    rows = zip(*(track.tolist() for track in tracks), strict=True)
    for i, (bearing, travel, turn, sideways, forward, pivot_x, pivot_z) in enumerate(rows):
        places[i], headings[i] = (x, z), yaw
        error = math.remainder(math.atan2(goal_x - x, goal_z - z) - bearing - yaw, math.tau)
        distance = math.hypot(goal_x - x, goal_z - z)
        if leave and i == leave.sample:
            # To the side the person is nearer to; straight across, so the way is short.
            side = 1.0 if x + 0.5 * math.sin(yaw + bearing) > 0 else -1.0
        if side:
            goal_x, goal_z = side * (stage.edge * z + MARGIN + 1.0), z
            away -= abs(x) > stage.edge * z + MARGIN
            if away <= 0:
                side = 0.0
                goal_x, goal_z = next_goal(rng, stage, 0.0, min(max(z, stage.near), stage.far))
        # A goal inside the turning circle would be circled for ever.
        elif distance < 0.6 or (distance < 1.1 and abs(error) > 1.2):
            goal_x, goal_z = next_goal(rng, stage, x, z)
        wanted = travel * max(-TURN_RATE, min(TURN_RATE, 2.2 * error))
        rate += (wanted - rate) * 0.07
        spin = rate + turn
        # The body turns about the foot it stands on.
        sideways, forward = sideways - spin * pivot_z, forward + spin * pivot_x
        yaw += spin / RATE_HZ
        c, s = math.cos(yaw) / RATE_HZ, math.sin(yaw) / RATE_HZ
        x, z = x + c * sideways + s * forward, z - s * sideways + c * forward
        if travel > 0.5:
            home_x, home_z = x, z
        astray = math.hypot(x - home_x, z - home_z)
        back = HOMING / RATE_HZ * max(astray - SPOT, 0.0) / max(astray, SPOT)
        x, z = x + back * (home_x - x), z + back * (home_z - z)
    return places, headings
