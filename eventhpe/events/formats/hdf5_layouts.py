"""Which HDF5 layout a file has, told by its signature, and whether its parts fit together."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.formats.metavision import EVENTS as METAVISION_EVENTS
from eventhpe.events.formats.metavision import EventTable, stated_size
from eventhpe.events.recording import CHUNK_EVENTS, choose_geometry

LAYOUTS = (
    "Metavision (/CD/events), M3ED (/prophesee/{left,right}/{x,y,t,p}), "
    "DSEC (/events/{x,y,t,p} and /ms_to_idx), RVT (/events/{x,y,t,p}), "
    "Monash (/events/{xs,ys,ts,ps} or /events/{x,y,ts,p}), MVSEC (/davis/{left,right}/events), "
    "v2e (/events of N x 4) or EventEgo3D (/event of N x 4 to 6)"
)
# A Monash attribute is checked against at most this many events before it is trusted.
_GEOMETRY_CHECK_EVENTS = 1 << 24
Size = tuple[int, int]
Reader = Callable[[int, int, int], NDArray[Any]]
"""Column 0..3 for x, y, t, p; first row; row after the last -> the column's values."""


@dataclass(frozen=True)
class Layout:
    """Where an HDF5 layout keeps its columns.

    Attributes:
        format: short name.
        columns: dataset name of each of x, y, t, p; for one table the same name four times.
        matrix: column numbers of x, y, t, p in a matrix of N rows; None for flat datasets.
        widths: columns such a matrix may have.
        seconds: times are float seconds; otherwise integer microseconds.
        index: dataset of the first event of each millisecond, where the layout has one.
    """

    format: str
    columns: tuple[str, str, str, str]
    matrix: tuple[int, int, int, int] | None = None
    widths: tuple[int, ...] = (4,)
    seconds: bool = False
    index: str | None = None


def recognise(path: Path, file: h5py.File, camera: str | int | None) -> Layout:
    """The layout of an open file.

    Raises:
        InputError: none that is known, or a camera that it does not have.
    """
    if METAVISION_EVENTS in file:
        return Layout("metavision", (METAVISION_EVENTS,) * 4)
    sides = [side for side in ("left", "right") if f"prophesee/{side}/x" in file]
    if sides:
        group = f"prophesee/{_side(path, sides, camera)}"
        x, y, t, p = (f"{group}/{name}" for name in "xytp")
        return Layout("m3ed", (x, y, t, p), index=f"{group}/ms_map_idx")
    events = file.get("events")
    keys = set(events.keys()) if isinstance(events, h5py.Group) else set()
    if keys >= set("xytp"):
        names = ("events/x", "events/y", "events/t", "events/p")
        indexed = "ms_to_idx" in file
        return Layout("dsec", names, index="ms_to_idx") if indexed else Layout("rvt", names)
    if keys >= {"xs", "ys", "ts", "ps"}:
        return Layout("monash", ("events/xs", "events/ys", "events/ts", "events/ps"), seconds=True)
    if keys >= {"x", "y", "ts", "p"}:
        return Layout(
            "monash-legacy", ("events/x", "events/y", "events/ts", "events/p"), seconds=True
        )
    sides = [side for side in ("left", "right") if f"davis/{side}/events" in file]
    if sides:
        name = f"davis/{_side(path, sides, camera)}/events"
        return Layout("mvsec", (name,) * 4, (0, 1, 2, 3), seconds=True)
    if isinstance(events, h5py.Dataset) and events.ndim == 2 and events.shape[1] == 4:
        return Layout("v2e", ("events",) * 4, (1, 2, 0, 3))
    if isinstance(file.get("event"), h5py.Dataset):
        return Layout("eventego3d", ("event",) * 4, (0, 1, 2, 3), widths=(4, 5, 6))
    if "DVS" in file:
        raise _prepared_frames(path)
    raise InputError(path, _what_is_there(file), LAYOUTS, "Convert it to one of these layouts.")


def _side(path: Path, have: list[str], camera: str | int | None) -> str:
    side = "left" if camera is None else camera
    if side in have:
        return str(side)
    expected, remedy = f"camera {' or '.join(have)}", f"Choose it with --channel {have[0]}."
    raise InputError(path, f"no camera {side!r}", expected, remedy)


def _prepared_frames(path: Path) -> InputError:
    """DHP19's own preparation: its names tell which raw file the frames were counted from."""
    name = re.match(r"S(\d+)_session(\d+)_mov(\d+)", path.name)
    raw = "S{}/session{}/mov{}.aedat".format(*(name.groups() if name else ("*", "*", "*")))
    return InputError(
        path,
        "/DVS, DHP19 frames, not events",
        "the raw recording that they were made from",
        f"Open DVS_movies/{raw} of DHP19 with --channel 0..3 instead.",
    )


def _what_is_there(file: h5py.File) -> str:
    names: list[str] = []
    file.visit(lambda name: names.append(f"/{name}"))
    return "the groups " + (", ".join(names[:12]) if names else "(none)")


def column_reader(path: Path, file: h5py.File, layout: Layout) -> Reader:
    """A function that reads rows of one column."""
    if layout.format != "metavision" and layout.matrix is None:
        columns = [file[name] for name in layout.columns]
        return lambda column, i0, i1: columns[column][i0:i1]
    rows = _table_rows(path, file, layout)
    held: dict[tuple[int, int], tuple[NDArray[Any], ...]] = {}

    def column_of_rows(column: int, i0: int, i1: int) -> NDArray[Any]:
        # The four columns of a chunk are asked for one by one but lie in the same rows.
        if (i0, i1) not in held:
            held.clear()
            held[i0, i1] = rows(i0, i1)
        return held[i0, i1][column]

    return column_of_rows


def _table_rows(
    path: Path, file: h5py.File, layout: Layout
) -> Callable[[int, int], tuple[NDArray[Any], ...]]:
    table, order = file[layout.columns[0]], layout.matrix
    if order is None:
        return EventTable(path, table).rows

    def rows(i0: int, i1: int) -> tuple[NDArray[Any], ...]:
        block = table[i0:i1]
        return tuple(block[:, column] for column in order)

    return rows


def check_columns(path: Path, file: h5py.File, layout: Layout) -> int:
    """The number of events.

    Raises:
        InputError: the datasets are not numbers, of other shapes than the layout's, of unequal
            length, or the times are of a kind that makes their unit a guess.
    """
    columns = [file.get(name) for name in layout.columns]
    if layout.format == "metavision":
        return EventTable(path, columns[0]).length
    for name, column in zip(layout.columns, columns, strict=True):
        if not isinstance(column, h5py.Dataset) or column.dtype.kind not in "biuf":
            kind = column.dtype if isinstance(column, h5py.Dataset) else "a group"
            found = "no " + f"/{name}" if column is None else f"/{name} as {kind}"
            raise InputError(path, found, "a data set of numbers", "Write the recording again.")
    if layout.matrix is not None:
        if columns[0].ndim != 2 or columns[0].shape[1] not in layout.widths:
            raise InputError(
                path,
                f"/{layout.columns[0]} of shape {columns[0].shape}",
                " or ".join(f"N x {width}" for width in layout.widths),
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


def layout_size(
    path: Path, file: h5py.File, layout: Layout, length: int, asked: tuple[int | None, int | None]
) -> Size:
    """The sensor's (width, height): see `choose_geometry`."""
    if layout.format == "mvsec":
        return choose_geometry(path, (346, 260), asked)
    if layout.format == "metavision":
        return choose_geometry(path, stated_size(path, file), asked)
    if layout.format == "m3ed":
        group = layout.index.rpartition("/")[0] if layout.index else ""
        return choose_geometry(path, _calibrated_size(path, file, f"{group}/calib"), asked)
    if layout.format == "eventego3d":
        return choose_geometry(path, _size_beside(path), asked)
    if layout.format in ("dsec", "rvt"):
        events = file["events"]
        stated = None
        if "width" in events and "height" in events:
            stated = (scalar(path, events["width"]), scalar(path, events["height"]))
        default = (640, 480) if layout.format == "dsec" else None
        return choose_geometry(path, stated, asked, default=default)
    if layout.format in ("monash", "monash-legacy"):
        return choose_geometry(path, _monash_size(path, file, layout, length), asked)
    return choose_geometry(path, None, asked)


def _calibrated_size(path: Path, file: h5py.File, calibration: str) -> Size | None:
    """``resolution`` (width, height) of M3ED's calibration, where it is there."""
    resolution = file.get(f"{calibration}/resolution")
    if not isinstance(resolution, h5py.Dataset):
        return None
    return _two_sides(path, resolution[()], f"/{calibration}/resolution")


def _size_beside(path: Path) -> Size | None:
    """``event_meta.json`` in EventEgo3D's folder, where it is there."""
    meta = path.with_name("event_meta.json")
    if not meta.exists():
        return None
    try:
        stated = json.loads(meta.read_text())
        return _two_sides(meta, (stated["width"], stated["height"]), "a size")
    except (OSError, ValueError, KeyError, TypeError) as error:
        found, expected = f"no size ({error!r})", '{"height": H, "width": W}'
        raise InputError(meta, found, expected, "Mend or remove this file.") from error


def _two_sides(path: Path, values: object, name: str) -> Size:
    try:
        first, second = (int(side) for side in np.asarray(values).reshape(-1)[:2])
    except (ValueError, TypeError, OverflowError) as error:
        found, expected = f"{name} of {values!r}", "two sides in pixels"
        raise InputError(path, found, expected, "Write it again.") from error
    return first, second


def scalar(path: Path, dataset: h5py.Dataset) -> int:
    """The whole number in a dataset.

    Raises:
        InputError: it holds none, or none below 2^62.
    """
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


def _monash_size(path: Path, file: h5py.File, layout: Layout, length: int) -> Size | None:
    """``sensor_resolution`` (H, W), one more each way if its writer inferred it.

    Writers that know no sensor store max(y), max(x): one short. The attribute is trusted when
    the first 16 million events lie inside it, and enlarged by one when an event lies exactly on
    its border but none beyond; else it is trusted again and such events count as out of sensor.
    """
    resolution = file.attrs.get("sensor_resolution")
    if resolution is None:
        return None
    height, width = _two_sides(path, resolution, "a sensor_resolution")
    read = column_reader(path, file, layout)
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
