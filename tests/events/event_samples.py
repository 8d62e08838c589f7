"""Small random streams shared by the tests of the events room."""

import numpy as np

from eventhpe.events import EventStream


def random_events(
    n: int = 500, width: int = 20, height: int = 12, span_us: int = 10_000, seed: int = 0
) -> EventStream:
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        rng.integers(0, width, n),
        rng.integers(0, height, n),
        np.sort(rng.integers(0, span_us, n)),
        rng.integers(0, 2, n),
        width,
        height,
    )


def assert_same_events(found: EventStream, expected: EventStream) -> None:
    for name in "xytp":
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    assert (found.width, found.height) == (expected.width, expected.height)
