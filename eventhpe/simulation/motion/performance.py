"""From segments to a whole performance: chained, alive, inside joint limits, on a stage.

The feet move the body: at every instant the lower foot stays where it is and the pelvis moves
over it, so the root's speed is the gait's own and feet hardly slide.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eventhpe.simulation.motion.clearance import push_out
from eventhpe.simulation.motion.footing import footing
from eventhpe.simulation.motion.limbs import REST_OFFSETS, euler_matrices, limited, offsets_of
from eventhpe.simulation.motion.registry import MOTIONS
from eventhpe.simulation.motion.segments import RATE_HZ, Array, Segment, chain, cut
from eventhpe.simulation.motion.stage import Leave, Rng, Stage, find_way
from eventhpe.simulation.motion.sway import enliven

LEAVING_S = 11.0
"""Walking time that covers a way out of the view and back."""


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


@dataclass(frozen=True)
class Plan:
    """What a performance is to contain.

    Attributes:
        still_start_s: the person first stands quietly (breathing, swaying) for so long, seconds.
        leaves: walks out of the view to a side and comes back.
        names: registered motions to draw from; all when None.
        heading: radians, where the person faces first: 0 away from the camera, pi towards it;
            any direction when None.
    """

    still_start_s: float = 0.0
    leaves: bool = False
    names: tuple[str, ...] | None = None
    heading: float | None = None


def perform(
    rng: Rng,
    segment: Segment,
    stage: Stage,
    names: tuple[str, ...],
    yaw: float | None = None,
    leave: Leave | None = None,
    rest_joints: Array | None = None,
) -> Motion:
    """Put one (chained) segment on the stage.

    Args:
        rng: draws the start, the goals and, without ``yaw``, the first heading: any direction.
        segment: the blended tracks.
        stage: where walking may go.
        names: what it was chained from.
        yaw: first heading; pi faces the camera.
        leave: see `Leave`.
        rest_joints: (24, 3) joints of the body at rest, metres, whose feet shall touch the
            ground; the default body's mean shape when None.
    """
    offsets = REST_OFFSETS if rest_joints is None else offsets_of(rest_joints)
    enliven(segment, rng)
    angles = push_out(limited(segment.angles), offsets)
    rotations = euler_matrices(angles)
    height, velocity, pivot = footing(segment, rotations, offsets)
    first = rng.uniform(0, 2 * np.pi) if yaw is None else yaw
    places, headings = find_way(rng, segment, velocity, pivot, stage, first, leave)
    turned = euler_matrices(np.stack([0 * headings, headings, 0 * headings], axis=-1))
    rotations[:, 0] = turned @ rotations[:, 0]
    translation = np.stack([places[:, 0], height, places[:, 1]], axis=-1)
    return Motion(rotations, translation, names)


def compose(
    rng: Rng, draw: Callable[[], str], duration: float, plan: Plan
) -> tuple[Segment, tuple[str, ...], Leave | None]:
    """Chain segments of 2.5 to 7 s that ``draw`` names into ``duration`` seconds + 1 sample."""
    overlap = rng.uniform(0.4, 0.7)
    parts: list[Segment] = []
    chosen: list[str] = []

    def put(name: str, length: float) -> None:
        parts.append(MOTIONS[name].make(rng, length))
        chosen.append(name)

    # Without a still start the recording begins in the middle of a motion.
    skip = 0.0 if plan.still_start_s > 0 else rng.uniform(0.0, 2.0)
    if plan.still_start_s > 0:
        put("stand_still", plan.still_start_s + overlap)
    leave_at, latest = None, max(duration - LEAVING_S, 0.0)
    leave_from = rng.uniform(min(plan.still_start_s, latest), latest)
    while (total := _length(parts, overlap)) <= duration + skip + 0.1:
        if plan.leaves and leave_at is None and total - skip >= leave_from:
            leave_at = max(total - skip, 0.0)
            put("walk", LEAVING_S)
        else:
            put(draw(), rng.uniform(2.5, 7.0))
    start = round(skip * RATE_HZ)
    whole = cut(chain(parts, overlap), start, start + round(duration * RATE_HZ) + 1)
    leave = None
    if leave_at is not None:
        leave = Leave(round(leave_at * RATE_HZ), round(rng.uniform(0.02, 0.3) * RATE_HZ))
    return whole, tuple(chosen), leave


def _length(parts: list[Segment], overlap: float) -> float:
    """Seconds that the parts take when chained."""
    return sum(len(part) / RATE_HZ - overlap for part in parts) + overlap * bool(parts)


def random_motion(
    rng: Rng,
    duration: float,
    stage: Stage | None = None,
    plan: Plan | None = None,
    rest_joints: Array | None = None,
) -> Motion:
    """Chain random segments into ``duration`` seconds (+1 sample: both ends are covered).

    A quarter of the performances is walking throughout; in the others segments of 2.5 to 7
    seconds follow each other with their registry weights. Any length: only tracks are kept.

    Args:
        rng: every choice.
        duration: seconds.
        stage: where walking may go.
        plan: still start, leaving, names to draw from.
        rest_joints: see `perform`.

    Raises:
        KeyError: a name in the plan is not registered.
    """
    plan = plan or Plan()
    walks = tuple(name for name in MOTIONS if name.startswith("walk_") or name == "walk")
    in_place = ("walk_on_spot", "walk_on_treadmill")
    walks = tuple(name for name in walks if name not in in_place)
    names = plan.names or (walks if rng.uniform() < 0.25 else tuple(MOTIONS))
    weights = np.array([MOTIONS[name].weight for name in names])
    weights /= weights.sum()

    def draw() -> str:
        return names[rng.choice(len(names), p=weights)]

    whole, chosen, leave = compose(rng, draw, duration, plan)
    return perform(rng, whole, stage or Stage(), chosen, plan.heading, leave, rest_joints)


def single_motion(
    rng: Rng,
    name: str,
    duration: float,
    stage: Stage | None = None,
    plan: Plan | None = None,
    rest_joints: Array | None = None,
) -> Motion:
    """One registered motion again and again for ``duration`` seconds (+1 sample).

    Arguments as in `random_motion`; the plan's names are not used.

    Raises:
        KeyError: ``name`` is not registered.
    """
    plan = plan or Plan()
    whole, chosen, leave = compose(rng, lambda: name, duration, plan)
    return perform(rng, whole, stage or Stage(), chosen, plan.heading, leave, rest_joints)
