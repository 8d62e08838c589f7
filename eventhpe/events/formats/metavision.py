"""Metavision's HDF5: one table of events in /CD/events, its ECF chunks decoded without a plugin."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.formats import ecf

EVENTS, INDEX = "CD/events", "CD/indexes"
ECF_ROW = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)
"""What a row is once its chunk is decoded."""
_AGAIN = "Copy or download it again."
Columns = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


class EventTable:
    """The rows of a table of x, y, p and t (us), compressed by ECF, by another filter, or plain.

    Args:
        path: the file.
        table: what lies at ``/CD/events``.

    Attributes:
        length: events in it.

    Raises:
        InputError: it is no table, lacks a column, or its chunks cannot be ECF's.
    """

    def __init__(self, path: Path, table: h5py.Dataset | h5py.Group | None) -> None:
        if not isinstance(table, h5py.Dataset) or table.ndim != 1 or table.dtype.names is None:
            found = f"/{EVENTS} without rows"
            raise InputError(path, found, "a table of x, y, p and t", "Write it again.")
        kinds = {name: table.dtype[name].kind for name in table.dtype.names}
        if any(kinds.get(name, "-") not in "iu" for name in "xypt"):
            shown = ", ".join(f"{name} {table.dtype[name]}" for name in kinds)
            found, expected = f"/{EVENTS} of {shown}", "whole numbers x, y, p and t (microseconds)"
            raise InputError(path, found, expected, "Write it again.")
        self.length = int(table.shape[0])
        self._path, self._table = path, table
        self._ecf_rows = self._check_filters()

    def _check_filters(self) -> int | None:
        """Rows of an ECF chunk; None where HDF5 itself can read the table."""
        plist = self._table.id.get_create_plist()
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        if ecf.FILTER not in filters:
            return None
        rows = int(self._table.chunks[0])
        if len(filters) > 1 or rows > ecf.MOST_EVENTS or self._table.dtype != ECF_ROW:
            raise InputError(
                self._path,
                f"filters {filters} on chunks of {rows:,} rows of {self._table.dtype}",
                f"ECF alone, on at most {ecf.MOST_EVENTS:,} rows of x u2, y u2, p i2, t i8",
                "Write it again with Metavision's tools.",
            )
        return rows

    def rows(self, i0: int, i1: int) -> Columns:
        """x, y, t, p of rows i0..i1-1.

        Raises:
            InputError: an ECF chunk is damaged.
        """
        if self._ecf_rows is None:
            block = self._table[i0:i1]
            return block["x"], block["y"], block["t"], block["p"]
        return self._decoded(i0, i1, self._ecf_rows)

    def _decoded(self, i0: int, i1: int, size: int) -> Columns:
        first = i0 // size * size
        # Each chunk has a whole chunk's room: the file's last one is written padded.
        room = -(-max(i1 - first, 0) // size) * size
        x, y = np.empty(room, np.uint16), np.empty(room, np.uint16)
        t, p = np.empty(room, np.int64), np.empty(room, np.uint8)
        for row in range(first, i1, size):
            at = slice(row - first, row - first + size)
            needed = min(size, self.length - row)
            self._decode(row, x[at], y[at], t[at], p[at], needed)
        wanted = slice(i0 - first, i1 - first)
        return x[wanted], y[wanted], t[wanted], p[wanted]

    def _decode(
        self,
        row: int,
        x: NDArray[np.uint16],
        y: NDArray[np.uint16],
        t: NDArray[np.int64],
        p: NDArray[np.uint8],
        needed: int,
    ) -> None:
        skipped, data = self._table.id.read_direct_chunk((row,))
        try:
            if skipped:  # the writer left this chunk as it is
                plain = np.frombuffer(data, ECF_ROW, count=min(len(x), len(data) // 16))
                n = len(plain)
                x[:n], y[:n], t[:n], p[:n] = plain["x"], plain["y"], plain["t"], plain["p"]
            else:
                n = ecf.decode_chunk(np.frombuffer(data, np.uint8), x, y, t, p)
            if n < needed:
                raise ValueError(f"{n:,} of {needed:,} events")
        except ValueError as error:
            found = f"a damaged ECF chunk at event {row:,} ({error})"
            raise InputError(self._path, found, "a whole file", _AGAIN) from error


def stated_size(path: Path, file: h5py.File) -> tuple[int, int] | None:
    """The root attribute ``geometry`` ("WxH"), where it is there.

    Raises:
        InputError: it is something else.
    """
    geometry = file.attrs.get("geometry")
    if geometry is None:
        return None
    text = geometry.decode("ascii", "replace") if isinstance(geometry, bytes) else str(geometry)
    sides = re.fullmatch(r"\s*(\d{1,6})\s*x\s*(\d{1,6})\s*", text)
    if sides is None:
        raise InputError(path, f"a geometry of {text[:40]!r}", "WxH", "Write the attribute again.")
    return int(sides[1]), int(sides[2])


def event_before(file: h5py.File, stored_us: int) -> int | None:
    """An event that by /CD/indexes comes at or before ``stored_us``; None without a usable index.

    Row k of the index names an event and its time, 2000 us after row k-1's; its attribute
    ``offset`` is what was added to the times in it. Whoever asks must check the answer.
    """
    index = file.get(INDEX)
    if not isinstance(index, h5py.Dataset) or set(index.dtype.names or ()) < {"id", "ts"}:
        return None
    try:
        offset = int(index.attrs.get("offset", "0"))
    except (ValueError, TypeError):
        return None
    entries = index[...]
    if entries.ndim != 1 or any(entries[name].dtype.kind not in "iu" for name in ("id", "ts")):
        return None
    k = int(np.searchsorted(entries["ts"].astype(np.int64), stored_us + offset, "right")) - 1
    return int(entries["id"][k]) if k >= 0 else 0
