"""What a row of the table is, the rows there are, and how work is timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Measured:
    """One measured figure beside its target.

    Attributes:
        name: what was measured.
        value: the median, in ``unit``.
        unit: its unit.
        target: the promised figure, None where nothing is promised.
        more_is_better: whether the target is a floor (else a ceiling).
        note: how it was measured.
        also: further figures of the same run.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    more_is_better: bool = True
    note: str = ""
    also: tuple["Measured", ...] = field(default=())

    @property
    def ok(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.more_is_better else self.value <= self.target


Row = Callable[[], Measured]
ROWS: dict[str, tuple[Row, bool]] = {}


def row(name: str, *, long: bool = False) -> Callable[[Row], Row]:
    """Register a measuring function under ``name``; long rows run with --all or --only."""

    def register(function: Row) -> Row:
        ROWS[name] = (function, long)
        return function

    return register


def median_seconds(work: Callable[[], object], repeats: int = 15) -> float:
    """Median time of ``work`` over at least 7 repeats, after one call that warms it up.

    Processor time of this thread, not wall time: the rows are single-threaded, and another
    program's share of a busy core is none of theirs.
    """
    work()
    seconds = []
    for _ in range(max(7, repeats)):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return float(np.median(seconds))


def median_wall_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of work on several threads, after three calls that warm it up."""
    seconds = []
    for _ in range(3 + repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[3:]))
