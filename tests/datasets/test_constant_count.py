"""DHP19's constant-count frames against figures worked out by hand."""

import numpy as np

from datasets.constant_count import constant_count_frame
from eventhpe.events.stream import EventStream


def stream(rows: list[tuple[int, int, int, int]], side: int) -> EventStream:
    """From (t, x, y, p) rows in any order."""
    t, x, y, p = np.array(sorted(rows), np.int64).reshape(-1, 4).T
    return EventStream.from_arrays(x, y, t, p, side, side)


def test_constant_count_frame_by_hand() -> None:
    counts = {(1, 1): 1, (2, 1): 2, (3, 1): 3, (4, 1): 10}
    rows = [(k, x, y, k % 2) for (x, y), n in counts.items() for k in range(n)]
    frame = constant_count_frame(stream(rows, 8))
    # Mean 4, squared deviations 9 + 4 + 1 + 36 = 50, so sigma = sqrt(50 / 3) = 4.0825.
    assert [frame[y, x] for x, y in counts] == [20, 41, 62, 208]
    assert np.count_nonzero(frame) == 4
    # One busy pixel among many of one event is clipped.
    rows = [(0, x, 0, 1) for x in range(60)] + [(k, 5, 5, 1) for k in range(40)]
    assert constant_count_frame(stream(rows, 64))[5, 5] == 255


def test_constant_count_frame_without_spread() -> None:
    assert not constant_count_frame(EventStream.empty(8, 8)).any()
    # Equal counts have no deviation: the floor makes them all white.
    frame = constant_count_frame(stream([(0, 1, 1, 1), (1, 2, 2, 0)], 8))
    assert frame[1, 1] == frame[2, 2] == 255
    assert np.count_nonzero(frame) == 2
