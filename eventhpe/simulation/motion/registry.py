"""The registry of procedural motions: name -> function of (rng, duration), and how often."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from eventhpe.simulation.motion import gait, gestures
from eventhpe.simulation.motion.segments import Segment


class Entry(NamedTuple):
    """A motion: the function that makes it and how often ``random_motion`` draws it."""

    make: Callable[[np.random.Generator, float], Segment]
    weight: float


_ENTRIES = (
    Entry(gait.walk, 6.0),
    Entry(gait.walk_curved, 2.0),
    Entry(gait.walk_stop_go, 2.0),
    Entry(gait.walk_backwards, 0.6),
    Entry(gait.side_steps, 0.7),
    Entry(gait.walk_on_spot, 1.5),
    Entry(gait.jog_on_spot, 0.8),
    Entry(gait.turn_around, 1.2),
    Entry(gestures.stand, 2.5),
    Entry(gestures.gesture, 2.5),
    Entry(gestures.wave, 1.5),
    Entry(gestures.arms_sideways, 1.0),
    Entry(gestures.arms_forward, 1.0),
    Entry(gestures.punch, 1.0),
    Entry(gestures.kick, 1.0),
    Entry(gestures.leg_lift, 1.0),
    Entry(gestures.squat, 1.0),
    Entry(gestures.bend, 0.8),
    Entry(gestures.twist, 0.8),
    Entry(gestures.star_jump, 0.7),
    Entry(gestures.hop, 0.6),
    Entry(gestures.clap, 0.8),
    Entry(gestures.reach, 1.2),
    Entry(gestures.random_poses, 1.2),
)

MOTIONS: dict[str, Entry] = {entry.make.__name__: entry for entry in _ENTRIES}
