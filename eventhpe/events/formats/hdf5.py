"""Recordings in HDF5, whatever their layout (`eventhpe.events.formats.hdf5_layouts`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the Blosc filter that DSEC files need)
import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.formats import metavision
from eventhpe.events.formats.hdf5_frames import layout_frames
from eventhpe.events.formats.hdf5_layouts import (
    Layout,
    Reader,
    Size,
    check_columns,
    column_reader,
    layout_size,
    recognise,
    scalar,
)
from eventhpe.events.frames import Frames
from eventhpe.events.recording import CHUNK_EVENTS, RawChunk, Recording, seconds_to_us


def open_hdf5(
    path: Path, width: int | None = None, height: int | None = None, camera: str | int | None = None
) -> Recording:
    """Recognise an HDF5 layout and open it.

    Args:
        path: the file.
        width, height: the sensor's size where the layout does not state it.
        camera: MVSEC and M3ED only: ``left`` (the default) or ``right``.

    Raises:
        InputError: unknown or ambiguous layout, damaged file, unequal columns, unknown geometry.
    """
    with _opened(path) as file:
        layout = recognise(path, file, camera)
        if camera is not None and layout.format not in ("mvsec", "m3ed"):
            raise InputError(
                path, f"--channel {camera}", "a file of several cameras", "Leave it out."
            )
        length = check_columns(path, file, layout)
        size = layout_size(path, file, layout, length, (width, height))
        origin_s, origin_us = _origin(path, file, layout, length)
        recording = _Hdf5Recording(path, layout, size, length, origin_s, origin_us)
        recording.index = _index_name(file, layout)
    return recording


class _Hdf5Recording(Recording):
    def __init__(
        self,
        path: Path,
        layout: Layout,
        size: Size,
        length: int,
        origin_s: float,
        origin_us: int,
    ) -> None:
        # A DSEC file's stored times are already relative to its t_offset.
        super().__init__(path, layout.format, *size, origin_us)
        self._layout, self._length, self._origin_s = layout, length, origin_s

    @property
    def num_events(self) -> int:
        return self._length

    @property
    def duration_us(self) -> int:
        """From the last two million events: a file's latest event is taken to be among them."""
        if self._length == 0:
            return 0
        with _opened(self.path) as file:
            read = column_reader(self.path, file, self._layout)
            last = max(0, self._length - 2 * CHUNK_EVENTS)
            return int(self._times(file, read, last, self._length).max()) + 1

    def frames(self) -> Frames | None:
        with _opened(self.path) as file:
            return layout_frames(self.path, file, self._layout, self._origin_s, self.t_origin)

    def _times(self, file: h5py.File, read: Reader, i0: int, i1: int) -> NDArray[np.int64]:
        t = read(2, i0, i1)
        if self._layout.seconds:
            return seconds_to_us(self.path, t, self._origin_s)
        relative = self._layout.format != "dsec" or "t_offset" not in file
        return _int64(self.path, t) - (self.t_origin if relative else 0)

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        with _opened(self.path) as file:
            read = column_reader(self.path, file, self._layout)
            first = self._indexed_start(file, read, start_us)
            for i0 in range(first, self._length, CHUNK_EVENTS):
                i1 = min(i0 + CHUNK_EVENTS, self._length)
                t = self._times(file, read, i0, i1)
                # Without an index only the times are read until the start is reached.
                if start_us is None or t.max() >= start_us:
                    yield RawChunk(read(0, i0, i1), read(1, i0, i1), t, read(3, i0, i1))

    def _indexed_start(self, file: h5py.File, read: Reader, start_us: int | None) -> int:
        """An event to begin at, before or at the first one at ``start_us``.

        A wrong index would lose events without a word: it is followed only where the event
        before the one it names is earlier.
        """
        if start_us is None or self.index is None:
            return 0
        offset = self._layout.format == "dsec" and "t_offset" in file
        stored = start_us + (0 if offset else self.t_origin)
        if self._layout.index is None:
            first = metavision.event_before(file, stored)
        else:
            index = file[self._layout.index]
            first = int(index[min(max(stored // 1000, 0), len(index) - 1)])
        if first is None or not 0 < first <= self._length:
            return 0
        return first if int(read(2, first - 1, first)[0]) < stored else 0


def _index_name(file: h5py.File, layout: Layout) -> str | None:
    """The dataset that `_indexed_start` can seek by."""
    if layout.format == "metavision":
        usable = metavision.event_before(file, 0) is not None
        return metavision.INDEX if usable else None
    index = file.get(layout.index) if layout.index else None
    if not isinstance(index, h5py.Dataset) or index.ndim != 1 or len(index) == 0:
        return None
    return layout.index if index.dtype.kind in "iu" else None


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        message = str(error)
        if "filter" in message:
            raise InputError(
                path,
                f"a compression that this HDF5 cannot undo ({message})",
                "a filter of the hdf5plugin package",
                "Run `pip install -U hdf5plugin`.",
            ) from error
        raise InputError(
            path,
            f"an HDF5 file that cannot be read ({message})",
            "a whole HDF5 file",
            "It may be cut short: copy or download it again.",
        ) from error


def _origin(path: Path, file: h5py.File, layout: Layout, length: int) -> tuple[float, int]:
    if layout.format == "dsec" and "t_offset" in file:
        return 0.0, scalar(path, file["t_offset"])
    if layout.format == "v2e" or length == 0:
        return 0.0, 0
    first = column_reader(path, file, layout)(2, 0, 1)
    if layout.seconds:
        # Checked here too: rounding NaN to an integer origin would fail without a word.
        seconds_to_us(path, first, 0.0)
        return float(first[0]), round(float(first[0]) * 1e6)
    return 0.0, int(_int64(path, first)[0])


def _int64(path: Path, t: NDArray[Any]) -> NDArray[np.int64]:
    if t.dtype == np.uint64 and len(t) and int(t.max()) >= 1 << 62:
        raise InputError(
            path,
            f"a timestamp of {int(t.max())} us",
            "microseconds below 2^62",
            "The timestamps are damaged: write the recording again.",
        )
    return t.astype(np.int64)
