"""Writing the DSEC layout piece by piece: the format `convert` and the simulator produce."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from eventhpe.events.stream import EventStream
from eventhpe.files import require_room

SIDES = "width", "height"
_CHUNK = 1 << 16
_REOPENED = 1 << 20  # events read at once from a file that is gone on with


class DsecWriter:
    """Append events to an HDF5 file in the DSEC layout (Gehrig et al., RA-L 2021).

    Datasets: ``events/{x,y,t,p}`` (uint16, uint16, int64 us, uint8; Blosc), scalars
    ``events/width`` and ``events/height``, ``t_offset`` (us to add to ``t``), and ``ms_to_idx``
    with t[ms_to_idx[ms]] >= 1000 ms and t[ms_to_idx[ms] - 1] < 1000 ms for every whole
    millisecond up to the last event's, and one entry beyond it.

    Blosc's ``compressor`` is ``zstd``, or ``lz4``: twice as fast to write, files a fifth larger.

    Writes straight to ``path``: wrap in `eventhpe.files.atomic_path` for an atomic file. As a
    context manager it closes at the end of the block; `close` may be called twice.

    Attributes:
        file: the open `h5py.File`, so that other groups can be added before closing.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        t_origin: int = 0,
        compressor: Literal["zstd", "lz4"] = "zstd",
    ) -> None:
        self._path = Path(path)
        self.width, self.height, self.t_origin = width, height, t_origin
        self.num_events = 0
        self._last_t = 0
        self._index: list[NDArray[np.uint64]] = []
        self._milliseconds = 0
        self.file = h5py.File(path, "w")
        self.file["t_offset"] = np.int64(t_origin)
        for name, side in zip(SIDES, (width, height), strict=True):
            self.file[f"events/{name}"] = np.int64(side)
        types = {"x": np.uint16, "y": np.uint16, "t": np.int64, "p": np.uint8}
        for name, dtype in types.items():
            self.file.create_dataset(
                f"events/{name}",
                shape=(0,),
                maxshape=(None,),
                chunks=(_CHUNK,),
                dtype=dtype,
                compression=hdf5plugin.Blosc(cname=compressor, clevel=1),
            )

    def append(self, events: EventStream) -> None:
        """Write a block that follows the ones before it; times are relative to ``t_origin``.

        Raises:
            ValueError: another sensor size, negative times, or a step back in time.
        OSError: the disk is full.
        """
        if (events.width, events.height) != (self.width, self.height):
            raise ValueError(
                f"events of {events.width}x{events.height} in a {self.width}x{self.height} file"
            )
        if len(events) == 0:
            return
        if int(events.t[0]) < self._last_t or bool((events.t[1:] < events.t[:-1]).any()):
            raise ValueError(
                f"times from {events.t[0]} us step back (before {self._last_t} us, the end of "
                "what is written, or within the block)"
            )
        require_room(self._path, 13 * len(events))
        stop = self.num_events + len(events)
        for name in "xytp":
            dataset = self.file[f"events/{name}"]
            dataset.resize((stop,))
            dataset[self.num_events :] = getattr(events, name)
        self._settle(events.t)

    def _settle(self, t: NDArray[np.int64]) -> None:
        """Index the times just written, up to their last millisecond: later events come later."""
        self._last_t = int(t[-1])
        settled = self._last_t // 1000 + 1
        marks = np.arange(self._milliseconds, settled, dtype=np.int64) * 1000
        found = np.searchsorted(t, marks, side="left") + self.num_events
        self._index.append(found.astype(np.uint64))
        self._milliseconds = settled
        self.num_events += len(t)

    @classmethod
    def reopen(cls, path: str | Path) -> "DsecWriter":
        """Go on with a file whose writer was interrupted, after its last whole event.

        Raises:
            OSError, KeyError, ValueError: it is no such file, or too damaged to go on with.
        """
        writer = cls.__new__(cls)
        writer._path = Path(path)
        writer._last_t = writer.num_events = writer._milliseconds = 0
        writer._index = []
        writer.file = file = h5py.File(path, "r+")
        try:
            writer.width, writer.height = (int(file[f"events/{n}"][()]) for n in SIDES)
            writer.t_origin = int(file["t_offset"][()])
            if "ms_to_idx" in file:
                del file["ms_to_idx"]
            written = min(len(file[f"events/{name}"]) for name in "xytp")
            for name in "xytp":
                file[f"events/{name}"].resize((written,))
            for i in range(0, written, _REOPENED):
                writer._settle(file["events/t"][i : i + _REOPENED])
        except BaseException:
            file.close()
            raise
        return writer

    def written(self) -> Iterator[EventStream]:
        """The events so far, in blocks."""
        for i in range(0, self.num_events, _REOPENED):
            part = slice(i, min(i + _REOPENED, self.num_events))
            x, y, t, p = (self.file[f"events/{name}"][part] for name in "xytp")
            yield EventStream.from_arrays(x, y, t, p, self.width, self.height)

    def close(self) -> None:
        """Write the millisecond index and close the file."""
        if not self.file:
            return
        for name in "xytp":  # an interrupted `append` may have left one longer than the others
            self.file[f"events/{name}"].resize((self.num_events,))
        end = np.array([self.num_events], np.uint64)
        self.file["ms_to_idx"] = np.concatenate([*self._index, end])
        self.file.close()

    def __enter__(self) -> "DsecWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
