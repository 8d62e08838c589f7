"""A living body is never quite still: breathing, postural sway, heartbeat, tremor.

Quiet standing: the body sways as an inverted pendulum about the ankles fore and aft and by
loading one leg or the other sideways, most of it below 1 Hz (Winter, "Human balance and posture
control during standing and walking", Gait & Posture 3, 1995). People breathe 12 to 20 times a
minute at rest. The amplitudes are chosen, so that the head moves at 8 to 20 mm/s.
"""

import numpy as np

from eventhpe.simulation.motion.posing import Rng, X, Y, Z, add, bend_trunk, lean, move_head
from eventhpe.simulation.motion.segments import (
    COLLARS,
    ELBOWS,
    RATE_HZ,
    SHOULDERS,
    SIDE,
    SPINE1,
    SPINE3,
    Array,
    Segment,
    seconds,
    smooth_noise,
)


def breathe(s: Segment, rng: Rng) -> None:
    """Lift chest and shoulders with every breath: some millimetres, 0.2 to 0.35 Hz."""
    n = len(s)
    rate = rng.uniform(0.2, 0.35) * (1 + 0.1 * smooth_noise(rng, n, 0.1))
    phase = 2 * np.pi * np.cumsum(rate) / RATE_HZ + rng.uniform(0, 6.28)
    # The second harmonic makes breathing in shorter than breathing out.
    breath = np.sin(phase) + 0.2 * np.sin(2 * phase)
    chest, shoulders = rng.uniform(0.4, 1.0), rng.uniform(0.6, 1.8)
    add(s, SPINE1, X, 0.5 * chest * breath)
    add(s, SPINE3, X, -chest * breath)
    for side in (0, 1):
        add(s, COLLARS[side], Z, SIDE[side] * shoulders * breath)
        add(s, SHOULDERS[side], Z, -0.7 * SIDE[side] * shoulders * breath)


def enliven(s: Segment, rng: Rng) -> None:
    """Add all that keeps a person from being a statue to a whole performance, in place."""
    n, t = len(s), seconds(s)
    breathe(s, rng)
    amount = np.exp(rng.normal(0, 0.2))

    def drift(slow: float, quick: float) -> Array:
        slow_part, quick_part = smooth_noise(rng, n, 0.35), smooth_noise(rng, n, 1.2)
        return amount * (slow * slow_part + quick * quick_part)

    # One degree about the ankles is 27 mm at the head.
    lean(s, drift(0.26, 0.06), drift(0.35, 0.08))
    bend_trunk(s, drift(0.2, 0.08), drift(0.15, 0.06), drift(0.5, 0.15))
    move_head(s, drift(0.6, 0.25), drift(0.8, 0.3), drift(0.3, 0.1))
    beat = 2 * np.pi * rng.uniform(0.9, 1.5) * t + rng.uniform(0, 6.28)
    move_head(s, nod=0.05 * (np.sin(beat) + 0.5 * np.sin(2 * beat + 1.0)))
    for side in (0, 1):
        tremor = 0.02 * np.sin(2 * np.pi * rng.uniform(8, 11) * t) * smooth_noise(rng, n, 1.0)
        add(s, SHOULDERS[side], X, drift(0.4, 0.15) + tremor)
        add(s, ELBOWS[side], Y, drift(0.4, 0.15) + tremor)
