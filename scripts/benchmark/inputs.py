"""The sensor and the events that several rows measure with."""

import numpy as np

from eventhpe.events import EventStream

WIDTH, HEIGHT = 346, 260
EVENTS, WINDOW_US = 1_000_000, 50_000


def random_events(duration_us: int = WINDOW_US) -> EventStream:
    """A million events, evenly at random over the sensor and the duration, sorted by time."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, duration_us, EVENTS))
    x, y = rng.integers(0, WIDTH, EVENTS), rng.integers(0, HEIGHT, EVENTS)
    return EventStream.from_arrays(x, y, t, rng.integers(0, 2, EVENTS), WIDTH, HEIGHT)
