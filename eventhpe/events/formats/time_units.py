"""Times of files that state no unit: the user says it, nothing guesses it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.recording import seconds_to_us

UNITS = ("s", "ms", "us", "ns")
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_STEPS_BACK = 0.25


def choose_unit(path: Path, stated: str | None, asked: str | None, what: str) -> str:
    """The unit of a file's times: its layout's, else the one asked for.

    Args:
        path: the file.
        stated: what the layout says; None where it leaves it open.
        asked: what the user says.
        what: the times as they are, for the error.

    Raises:
        InputError: nobody says it, both say different things, or there is no such unit.
    """
    if asked is not None and asked not in UNITS:
        raise InputError("--time-unit", asked, ", ".join(UNITS), "Choose one of these.")
    if stated and asked and stated != asked:
        found, expected = f"times in {stated}", f"the {asked} asked for"
        raise InputError(path, found, expected, "Leave --time-unit out: the layout says it.")
    unit = stated or asked
    if unit is None:
        expected, remedy = "a layout that says it", "Say it with --time-unit s, ms, us or ns."
        raise InputError(path, f"{what} without their unit", expected, remedy)
    return unit


def check_order(path: Path, t: NDArray[Any], expected: str) -> None:
    """Refuse a block of times (N,) that is some other column.

    Raises:
        InputError: more than a quarter of them step back; times do so seldom, any other column half
            the time.
    """
    back = np.count_nonzero(t[1:] < t[:-1])
    if back > _STEPS_BACK * len(t):
        found = f"times of which {back:,} of {len(t):,} step back"
        raise InputError(path, found, expected, "Check the order of the columns, and of the lines.")


def to_us(path: Path, t: NDArray[Any], origin: Any, unit: str) -> NDArray[np.int64]:
    """Times to int64 microseconds from ``origin``, which is subtracted before scaling.

    Whole numbers stay whole (nanoseconds are rounded down), others are rounded to nearest.

    Args:
        path: the file, for the error.
        t: (N,) times.
        origin: a time of the same kind and unit.
        unit: one of `UNITS`.

    Raises:
        InputError: times that are no numbers, or beyond 64 bits of microseconds.
    """
    if t.dtype.kind == "f":
        seconds = (t.astype(np.float64) - float(origin)) / _PER_SECOND[unit]
        return seconds_to_us(path, seconds, 0.0)
    most = 1 << 62
    if unit in ("s", "ms"):
        most //= 1_000_000 // _PER_SECOND[unit]
    if len(t) and not (-most < int(t.min()) - int(origin) and int(t.max()) - int(origin) < most):
        found = f"timestamps from {t.min()} to {t.max()} {unit}"
        raise InputError(path, found, "below 64 bits of microseconds", "Write it again.")
    # Wrapping in 64 bits is exact here: the differences have been seen to fit.
    whole = (t.astype(np.uint64) - np.uint64(int(origin) % (1 << 64))).view(np.int64)
    if unit == "ns":
        return whole // 1000
    return whole * (1_000_000 // _PER_SECOND[unit])
