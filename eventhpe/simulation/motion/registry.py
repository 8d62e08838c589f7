"""The registry of procedural motions: name -> function of (rng, duration), and how often."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from eventhpe.simulation.motion import exercises, gait, gestures, jumps, poses
from eventhpe.simulation.motion.segments import Segment

Maker = Callable[[np.random.Generator, float], Segment]


class Entry(NamedTuple):
    """A motion: the function that makes it and how often ``random_motion`` draws it."""

    make: Maker
    weight: float


def _sided(name: str, make: Callable[..., Segment], weight: float) -> dict[str, Entry]:
    """The same motion of the subject's left and of the right side."""
    return {
        f"{name}_left": Entry(partial(make, sides=(0,)), weight),
        f"{name}_right": Entry(partial(make, sides=(1,)), weight),
    }


MOTIONS: dict[str, Entry] = {
    "walk": Entry(gait.walk, 8.0),
    "walk_curved": Entry(gait.walk_curved, 3.0),
    "walk_stop_go": Entry(gait.walk_stop_go, 3.0),
    "walk_backwards": Entry(gait.walk_backwards, 0.8),
    "side_steps": Entry(gait.side_steps, 0.8),
    "walk_on_spot": Entry(gait.walk_on_spot, 1.0),
    "walk_on_treadmill": Entry(gait.walk_on_treadmill, 0.8),
    "jog_on_spot": Entry(gait.jog_on_spot, 0.6),
    "jog_on_treadmill": Entry(gait.jog_on_treadmill, 0.6),
    "turn_around": Entry(gait.turn_around, 1.4),
    "stand": Entry(gestures.stand, 1.8),
    "stand_still": Entry(gestures.stand_still, 0.8),
    "gesture": Entry(gestures.gesture, 2.0),
    "wave": Entry(gestures.wave, 0.4),
    "arms_sideways": Entry(gestures.arms_sideways, 0.5),
    "arms_forward": Entry(gestures.arms_forward, 0.8),
    "clap": Entry(gestures.clap, 0.6),
    "reach": Entry(gestures.reach, 1.2),
    "punch": Entry(exercises.punch, 0.5),
    "kick": Entry(exercises.kick, 0.5),
    "leg_lift": Entry(exercises.leg_lift, 0.5),
    "squat": Entry(exercises.squat, 0.8),
    "bend": Entry(exercises.bend, 0.8),
    "twist": Entry(exercises.twist, 0.7),
    "jump_up_down": Entry(jumps.jump_up_down, 0.4),
    "jump_forward": Entry(jumps.jump_forward, 0.4),
    "jumps_up_down": Entry(jumps.jumps_up_down, 0.4),
    "hop": Entry(jumps.hop, 0.3),
    "star_jump": Entry(jumps.star_jump, 0.5),
    "random_poses": Entry(poses.random_poses, 1.5),
    "random_posture": Entry(poses.random_posture, 3.0),
    **_sided("arm_abduction", gestures.arms_sideways, 0.15),
    **_sided("biceps_curl", gestures.biceps_curl, 0.15),
    **_sided("wave_hello", gestures.wave, 0.25),
    **_sided("circle_hand", partial(gestures.trace, loops=1), 0.2),
    **_sided("figure_eight_hand", partial(gestures.trace, loops=2), 0.2),
    **_sided("leg_abduction", partial(exercises.leg_lift, kind="abduction"), 0.15),
    **_sided("knee_lift", partial(exercises.leg_lift, kind="knee"), 0.15),
    **_sided("punch_forward", exercises.punch, 0.15),
    **_sided("punch_up", partial(exercises.punch, aim="up"), 0.15),
    **_sided("punch_down", partial(exercises.punch, aim="down"), 0.15),
    **_sided("kick_forward", exercises.kick, 0.15),
    **_sided("kick_sideways", partial(exercises.kick, sideways=True), 0.15),
    **_sided("hop", jumps.hop, 0.2),
}
