"""Events in NumPy files: PEDRo's, EVIMO2v2's, tables with named columns, and columns in a .npz.

========== ============================================ ======================= ==================
layout     arrays                                       time                    polarity
========== ============================================ ======================= ==================
PEDRo      (N, 4) int64 [t, x, y, p]                    us                      0/1
EVIMO2v2   ``dataset_events_t`` (N,), ``_xy`` (N, 2),   float seconds           0/1, inverted by
           ``_p`` (N,): three files or one .npz                                 the Samsung camera
table      (N,) with fields x, y, t, p                  us where the types are  0/1 or -1/+1
                                                        Metavision's or
                                                        faery's, else asked for
columns    .npz of x, y, t, p, (N,) each                asked for               0/1 or -1/+1
========== ============================================ ======================= ==================

None states the sensor's size.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.formats.numpy_arrays import StoredArray, array_of_file, arrays_of_archive
from eventhpe.events.formats.time_units import check_order, choose_unit, to_us
from eventhpe.events.recording import RawChunk, Recording, choose_geometry

EVIMO_TIMES = "dataset_events_t.npy"
LAYOUTS = (
    "int64 (N, 4) of t, x, y, p; fields or arrays x, y, t, p; "
    "or EVIMO2v2's dataset_events_t, dataset_events_xy and dataset_events_p"
)
_NAMES = {"x": ("x",), "y": ("y",), "t": ("t", "ts", "timestamp"), "p": ("p", "polarity", "on")}
# Types that a program writes whose times are known to be microseconds: Metavision's, faery's.
_IN_MICROSECONDS = (
    {"x": "<u2", "y": "<u2", "p": "<i2", "t": "<i8"},
    {"t": "<u8", "x": "<u2", "y": "<u2", "on": "|b1"},
)
_EVIMO_CAMERAS = {
    "samsung": True,
    "samsung_mono": True,
    "prophesee": False,
    "left_camera": False,
    "right_camera": False,
}
"""Whether the camera's polarity is stored inverted, by its name or its folder's in the set."""
_WRITE = "Write the events in one of these layouts."
Blocks = Callable[[], Iterator[tuple[NDArray[Any], ...]]]
Asked = tuple[int | None, int | None]


def open_npy(
    path: Path,
    width: int | None = None,
    height: int | None = None,
    camera: int | str | None = None,
    time_unit: str | None = None,
) -> Recording:
    """Open a .npy file, or EVIMO2v2's three by any one of them or by their folder.

    Args:
        path: the file or folder.
        width, height: the sensor's size, which no layout states.
        camera: EVIMO2v2 only, where the folders do not tell it: ``samsung`` or ``prophesee``.
        time_unit: ``s``, ``ms``, ``us`` or ``ns``, where the layout leaves it open.

    Raises:
        InputError: no such layout, damaged arrays, no size, no unit, or no camera.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or path.name.startswith("dataset_events_"):
        names = [f"dataset_events_{part}" for part in ("t", "xy", "p")]
        arrays = {name: array_of_file(folder / f"{name}.npy") for name in names}
        return _open_evimo(path, arrays, (width, height), camera, time_unit)
    return _open_single(path, array_of_file(path), (width, height), camera, time_unit)


def open_npz(
    path: Path,
    width: int | None = None,
    height: int | None = None,
    camera: int | str | None = None,
    time_unit: str | None = None,
) -> Recording:
    """Open a .npz file; see `open_npy`."""
    arrays = arrays_of_archive(path)
    short = {name.removeprefix("dataset_").removeprefix("events_"): name for name in arrays}
    if {"t", "xy", "p"} <= set(short):
        evimo = {f"dataset_events_{part}": arrays[short[part]] for part in ("t", "xy", "p")}
        return _open_evimo(path, evimo, (width, height), camera, time_unit)
    columns = _by_name(arrays)
    if columns is not None:
        _refuse_camera(path, camera)
        parts = [arrays[columns[name]] for name in "xytp"]
        _check_lengths(path, parts, [()] * 4)
        unit = choose_unit(path, None, time_unit, f"times of {parts[2].dtype}")
        return _open(path, "npz", _together(parts), unit, (width, height))
    if len(arrays) == 1:
        return _open_single(path, next(iter(arrays.values())), (width, height), camera, time_unit)
    found = f"arrays {', '.join(sorted(arrays)[:12]) or '(none)'}"
    raise InputError(path, found, LAYOUTS, _WRITE)


def _open_single(
    path: Path, array: StoredArray, asked: Asked, camera: int | str | None, time_unit: str | None
) -> Recording:
    _refuse_camera(path, camera)
    if array.dtype.names is not None:
        fields = _by_name(array.dtype.names)
        if fields is None:
            found = f"fields {', '.join(array.dtype.names)}"
            raise InputError(path, found, LAYOUTS, _WRITE)
        types = {name: array.dtype[name].str for name in array.dtype.names}
        stated = "us" if types in _IN_MICROSECONDS else None
        times = f"times of {array.dtype[fields['t']]}"
        unit = choose_unit(path, stated, time_unit, times)

        def named() -> Iterator[tuple[NDArray[Any], ...]]:
            for block in array.blocks():
                yield tuple(block[fields[name]] for name in "xytp")

        return _open(path, "npy-table", named, unit, asked)
    if array.dtype != np.int64 or array.shape[1:] != (4,):
        found = f"an array of {array.dtype} and shape {array.shape}"
        raise InputError(path, found, LAYOUTS, _WRITE)

    def matrix() -> Iterator[tuple[NDArray[Any], ...]]:
        for block in array.blocks():
            yield block[:, 1], block[:, 2], block[:, 0], block[:, 3]

    unit = choose_unit(path, "us", time_unit, "times")
    return _open(path, "pedro", matrix, unit, asked)


def _open_evimo(
    path: Path,
    arrays: Mapping[str, StoredArray],
    asked: Asked,
    camera: int | str | None,
    time_unit: str | None,
) -> Recording:
    t, xy, p = (arrays[f"dataset_events_{part}"] for part in ("t", "xy", "p"))
    _check_lengths(path, [t, xy, p], [(), (2,), ()])
    if t.dtype.kind != "f":
        found, remedy = f"times of {t.dtype}", "Write the times in seconds."
        raise InputError(path, found, "float seconds, as EVIMO2v2 has them", remedy)
    inverted = _is_inverted(path, camera)

    def triplet() -> Iterator[tuple[NDArray[Any], ...]]:
        for block_t, block_xy, block_p in zip(t.blocks(), xy.blocks(), p.blocks(), strict=True):
            polarity = block_p
            if inverted:
                if not np.isin(block_p, (0, 1)).all():
                    shown = ", ".join(map(str, np.unique(block_p)[:6]))
                    raise InputError(path, f"polarity values {shown}", "0 and 1", "Check the file.")
                polarity = 1 - block_p.astype(np.int8)
            yield block_xy[:, 0], block_xy[:, 1], block_t, polarity

    unit = choose_unit(path, "s", time_unit, "times")
    return _open(path, "evimo2v2", triplet, unit, asked)


def _is_inverted(path: Path, camera: int | str | None) -> bool:
    """Samsung's polarity is stored inverted; its folder in the set is called samsung_mono."""
    names = path.resolve().parts if camera is None else (str(camera),)
    known = [_EVIMO_CAMERAS[name] for name in names if name in _EVIMO_CAMERAS]
    if known:
        return known[-1]
    raise InputError(
        path,
        "EVIMO2v2's layout without its camera" if camera is None else f"--channel {camera}",
        "samsung, whose polarity is inverted, or prophesee",
        "Say it with --channel samsung or --channel prophesee.",
    )


def _open(path: Path, format: str, blocks: Blocks, unit: str, asked: Asked) -> Recording:
    return _NumpyRecording(path, format, choose_geometry(path, None, asked), blocks, unit)


class _NumpyRecording(Recording):
    """Times count from the first event's."""

    def __init__(
        self, path: Path, format: str, size: tuple[int, int], blocks: Blocks, unit: str
    ) -> None:
        super().__init__(path, format, *size, 0)
        self._blocks, self._unit, self._origin = blocks, unit, 0
        first = next(blocks(), None)
        if first is None:
            return
        t = first[2]
        check_order(path, t, LAYOUTS)
        self._origin = t[0]
        self.t_origin = int(to_us(path, t[:1], 0, unit)[0])

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        for x, y, t, p in self._blocks():
            yield RawChunk(x, y, to_us(self.path, t, self._origin, self._unit), p)


def _together(arrays: list[StoredArray]) -> Blocks:
    return lambda: zip(*(array.blocks() for array in arrays), strict=True)


def _by_name(names: Iterable[str]) -> dict[str, str] | None:
    """Which of the names are x, y, t and p; None unless each is there once."""
    found = {}
    for part, known in _NAMES.items():
        matching = [name for name in names if name in known]
        if len(matching) != 1:
            return None
        found[part] = matching[0]
    return found


def _check_lengths(path: Path, arrays: list[StoredArray], rest: list[tuple[int, ...]]) -> None:
    shapes = [array.shape for array in arrays]
    if len({shape[0] for shape in shapes}) != 1 or [shape[1:] for shape in shapes] != rest:
        found = ", ".join(f"{array.name} {array.shape}" for array in arrays)
        raise InputError(path, found, "arrays of equal length", "Write them again.")


def _refuse_camera(path: Path, camera: int | str | None) -> None:
    if camera is not None:
        raise InputError(path, f"--channel {camera}", "a file of several cameras", "Leave it out.")
