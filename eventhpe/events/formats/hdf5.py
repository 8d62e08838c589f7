"""HDF5 layouts: DSEC, RVT, Monash and its legacy form, MVSEC and v2e, told apart by signature."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the Blosc filter that DSEC files need)
import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.recording import (
    CHUNK_EVENTS,
    RawChunk,
    Recording,
    choose_geometry,
    seconds_to_us,
)

LAYOUTS = (
    "DSEC (/events/{x,y,t,p} and /ms_to_idx), RVT (/events/{x,y,t,p}), "
    "Monash (/events/{xs,ys,ts,ps} or /events/{x,y,ts,p}), MVSEC (/davis/{left,right}/events) "
    "or v2e (/events of N x 4)"
)
# A Monash attribute is checked against at most this many events before it is trusted.
_GEOMETRY_CHECK_EVENTS = 1 << 24
Size = tuple[int, int]


@dataclass(frozen=True)
class _Layout:
    """Where an HDF5 layout keeps its columns.

    Attributes:
        format: short name.
        columns: dataset name of each of x, y, t, p; for a matrix the same name four times.
        matrix: column numbers of x, y, t, p in an (N, 4) matrix; None for flat datasets.
        seconds: times are float seconds; otherwise integer microseconds.
    """

    format: str
    columns: tuple[str, str, str, str]
    matrix: tuple[int, int, int, int] | None = None
    seconds: bool = False


def open_hdf5(
    path: Path, width: int | None = None, height: int | None = None, camera: str | int | None = None
) -> Recording:
    """Recognise an HDF5 layout and open it.

    Args:
        path: the file.
        width, height: the sensor's size where the layout does not state it.
        camera: MVSEC only: ``left`` (the default) or ``right``.

    Raises:
        InputError: unknown or ambiguous layout, damaged file, unequal columns, unknown geometry.
    """
    with _opened(path) as file:
        layout = _recognise(path, file, camera)
        if camera is not None and layout.format != "mvsec":
            raise InputError(
                path, f"--channel {camera}", "a file of several cameras", "Leave it out."
            )
        length = _check_columns(path, file, layout)
        size = _geometry(path, file, layout, length, (width, height))
        origin_s, origin_us = _origin(path, file, layout, length)
    return _Hdf5Recording(path, layout, size, length, origin_s, origin_us)


class _Hdf5Recording(Recording):
    def __init__(
        self,
        path: Path,
        layout: _Layout,
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
            read = _reader(file, self._layout)
            return (
                int(
                    self._times(
                        file, read, max(0, self._length - 2 * CHUNK_EVENTS), self._length
                    ).max()
                )
                + 1
            )

    def _times(
        self, file: h5py.File, read: Callable[[int, int, int], NDArray[Any]], i0: int, i1: int
    ) -> NDArray[np.int64]:
        t = read(2, i0, i1)
        if self._layout.seconds:
            return seconds_to_us(self.path, t, self._origin_s)
        relative = self._layout.format != "dsec" or "t_offset" not in file
        return _int64(self.path, t) - (self.t_origin if relative else 0)

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        with _opened(self.path) as file:
            read = _reader(file, self._layout)
            first = self._indexed_start(file, start_us)
            for i0 in range(first, self._length, CHUNK_EVENTS):
                i1 = min(i0 + CHUNK_EVENTS, self._length)
                t = self._times(file, read, i0, i1)
                # Without an index only the times are read until the start is reached.
                if start_us is None or t.max() >= start_us:
                    yield RawChunk(read(0, i0, i1), read(1, i0, i1), t, read(3, i0, i1))

    def _indexed_start(self, file: h5py.File, start_us: int | None) -> int:
        """An event to begin at, before or at the first one at ``start_us``.

        A wrong index would lose events without a word: it is followed only where the event
        before the one it names is earlier.
        """
        index = file.get("ms_to_idx")
        if start_us is None or self._layout.format != "dsec" or not _is_index(index):
            return 0
        stored = start_us + (0 if "t_offset" in file else self.t_origin)
        first = int(index[min(max(stored // 1000, 0), len(index) - 1)])
        if not 0 < first <= self._length or int(file["events/t"][first - 1]) >= stored:
            return 0
        return first


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
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


def _reader(file: h5py.File, layout: _Layout) -> Callable[[int, int, int], NDArray[Any]]:
    """A function (column 0..3 for x, y, t, p; i0; i1) -> values."""
    if layout.matrix is None:
        columns = [file[name] for name in layout.columns]
        return lambda column, i0, i1: columns[column][i0:i1]
    table, order = file[layout.columns[0]], layout.matrix
    held: dict[tuple[int, int], NDArray[Any]] = {}

    def column_of_rows(column: int, i0: int, i1: int) -> NDArray[Any]:
        # The four columns of a chunk are asked for one by one but lie in the same rows.
        if (i0, i1) not in held:
            held.clear()
            held[i0, i1] = table[i0:i1]
        return held[i0, i1][:, order[column]]

    return column_of_rows


def _recognise(path: Path, file: h5py.File, camera: str | int | None) -> _Layout:
    events = file.get("events")
    keys = set(events.keys()) if isinstance(events, h5py.Group) else set()
    if keys >= set("xytp"):
        names = ("events/x", "events/y", "events/t", "events/p")
        return _Layout("dsec" if "ms_to_idx" in file else "rvt", names)
    if keys >= {"xs", "ys", "ts", "ps"}:
        return _Layout("monash", ("events/xs", "events/ys", "events/ts", "events/ps"), seconds=True)
    if keys >= {"x", "y", "ts", "p"}:
        return _Layout(
            "monash-legacy", ("events/x", "events/y", "events/ts", "events/p"), seconds=True
        )
    if any(f"davis/{side}/events" in file for side in ("left", "right")):
        return _mvsec(path, file, camera)
    if isinstance(events, h5py.Dataset) and events.ndim == 2 and events.shape[1] == 4:
        return _Layout("v2e", ("events",) * 4, (1, 2, 0, 3))
    raise InputError(path, _what_is_there(file), LAYOUTS, "Convert it to one of these layouts.")


def _mvsec(path: Path, file: h5py.File, camera: str | int | None) -> _Layout:
    side = "left" if camera is None else camera
    name = f"davis/{side}/events"
    if side not in ("left", "right") or name not in file:
        have = [s for s in ("left", "right") if f"davis/{s}/events" in file]
        raise InputError(
            path,
            f"no camera {side!r}",
            f"camera {' or '.join(have)}",
            f"Choose it with --channel {have[0]}.",
        )
    return _Layout("mvsec", (name,) * 4, (0, 1, 2, 3), seconds=True)


def _what_is_there(file: h5py.File) -> str:
    known = {"DVS": "DHP19 frames, not events (read the raw .aedat instead)"}
    known["CD/events"] = "the Metavision HDF5 layout"
    known["event"] = "the EventEgo3D layout"
    for name, what in known.items():
        if name in file:
            return f"/{name}, {what}"
    names: list[str] = []
    file.visit(lambda name: names.append(f"/{name}"))
    return "the groups " + (", ".join(names[:12]) if names else "(none)")


def _is_index(index: h5py.Dataset | h5py.Group | None) -> bool:
    """Whether it can be a millisecond index at all."""
    if not isinstance(index, h5py.Dataset) or index.ndim != 1:
        return False
    return index.dtype.kind in "iu" and len(index) > 0


def _check_columns(path: Path, file: h5py.File, layout: _Layout) -> int:
    columns = [file[name] for name in layout.columns]
    for name, column in zip(layout.columns, columns, strict=True):
        if not isinstance(column, h5py.Dataset) or column.dtype.kind not in "biuf":
            kind = column.dtype if isinstance(column, h5py.Dataset) else "a group"
            raise InputError(
                path, f"/{name} as {kind}", "a data set of numbers", "Write the recording again."
            )
    if layout.matrix is not None:
        if columns[0].ndim != 2 or columns[0].shape[1] != 4:
            raise InputError(
                path,
                f"/{layout.columns[0]} of shape {columns[0].shape}",
                "N x 4",
                "Check the file.",
            )
    else:
        shapes = {name: file[name].shape for name in layout.columns}
        if len(set(shapes.values())) != 1 or columns[0].ndim != 1:
            shown = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise InputError(path, shown, "columns of equal length", "Write the recording again.")
    kind = columns[2].dtype.kind
    if kind not in ("f" if layout.seconds else "iu"):
        units = "float seconds" if layout.seconds else "integer microseconds"
        raise InputError(
            path,
            f"{columns[2].dtype} timestamps in the {layout.format} layout",
            units,
            "The unit would be a guess: write the times in the layout's own unit.",
        )
    return int(columns[0].shape[0])


def _origin(path: Path, file: h5py.File, layout: _Layout, length: int) -> tuple[float, int]:
    if layout.format == "dsec" and "t_offset" in file:
        return 0.0, _scalar(path, file["t_offset"])
    if layout.format == "v2e" or length == 0:
        return 0.0, 0
    first = _reader(file, layout)(2, 0, 1)
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


def _geometry(
    path: Path, file: h5py.File, layout: _Layout, length: int, asked: tuple[int | None, int | None]
) -> Size:
    if layout.format == "mvsec":
        return choose_geometry(path, (346, 260), asked)
    if layout.format in ("dsec", "rvt"):
        events = file["events"]
        stated = None
        if "width" in events and "height" in events:
            stated = (_scalar(path, events["width"]), _scalar(path, events["height"]))
        default = (640, 480) if layout.format == "dsec" else None
        return choose_geometry(path, stated, asked, default=default)
    if layout.format in ("monash", "monash-legacy"):
        return choose_geometry(path, _monash_size(path, file, layout, length), asked)
    return choose_geometry(path, None, asked)


def _scalar(path: Path, dataset: h5py.Dataset) -> int:
    try:
        value = int(np.asarray(dataset[()]).reshape(-1)[0])
        if abs(value) < 1 << 62:
            return value
        found = str(value)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        found = str(error)
    raise InputError(
        path, f"{dataset.name} without a number ({found})", "a whole number", "Write it again."
    )


def _monash_size(path: Path, file: h5py.File, layout: _Layout, length: int) -> Size | None:
    """``sensor_resolution`` (H, W), one more each way if its writer inferred it.

    Writers that know no sensor store max(y), max(x): one short. The attribute is trusted when
    the first 16 million events lie inside it, and enlarged by one when an event lies exactly on
    its border but none beyond; else it is trusted again and such events count as out of sensor.
    """
    resolution = file.attrs.get("sensor_resolution")
    if resolution is None:
        return None
    try:
        height, width = (int(side) for side in np.asarray(resolution).reshape(-1)[:2])
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            path,
            f"a sensor_resolution of {resolution!r}",
            "height and width in pixels",
            "Write the attribute again.",
        ) from error
    read = _reader(file, layout)
    farthest = [-1, -1]
    for i0 in range(0, min(length, _GEOMETRY_CHECK_EVENTS), CHUNK_EVENTS):
        for axis in (0, 1):
            values = read(axis, i0, min(i0 + CHUNK_EVENTS, length))
            most = values.max()
            if not np.isfinite(most):
                name = layout.columns[axis]
                raise InputError(path, f"{most} in /{name}", "pixels", "Write the recording again.")
            farthest[axis] = max(farthest[axis], int(most))
    on_border = farthest[0] == width or farthest[1] == height
    if on_border and farthest[0] <= width and farthest[1] <= height:
        return width + 1, height + 1
    return width, height
