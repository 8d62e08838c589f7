"""Grayscale frames beside the events of HDF5 layouts."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.formats.hdf5_layouts import Layout
from eventhpe.events.frames import (
    Frames,
    HDF5Frames,
    dataset_frames,
    open_frames,
    require_increasing,
)
from eventhpe.events.recording import seconds_to_us


def layout_frames(
    path: Path, file: h5py.File, layout: Layout, origin_s: float, origin_us: int
) -> Frames | None:
    """The frames of an open recording; None where its layout has none.

    Read are the simulator's ``/frames``, MVSEC's ``image_raw`` of the same camera, Monash's
    ``/images`` and v2e's ``/frame``.

    Args:
        path, file, layout: the recording.
        origin_s, origin_us: its time origin, in seconds where its times are, else microseconds.

    Raises:
        InputError: the frames are damaged.
    """
    if layout.format == "mvsec":
        group = layout.columns[0].rpartition("/")[0]
        names = f"{group}/image_raw", f"{group}/image_raw_ts"
        if not all(name in file for name in names):
            return None
        seconds = _times(path, file, names[1])
        return dataset_frames(path, file[names[0]], seconds_to_us(path, seconds, origin_s))
    if layout.format == "v2e":
        if not all(name in file for name in ("frame", "frame_ts")):
            return None
        t = _times(path, file, "frame_ts").astype(np.int64) - origin_us
        return dataset_frames(path, file["frame"], t)
    if layout.format.startswith("monash"):
        images = file.get("images")
        return _image_group(path, images, origin_s) if isinstance(images, h5py.Group) else None
    return open_frames(path)


def _times(path: Path, file: h5py.File, name: str) -> NDArray[np.float64]:
    times = file[name]
    if not isinstance(times, h5py.Dataset) or times.ndim != 1 or times.dtype.kind not in "iuf":
        raise InputError(path, f"/{name} without times", "a time a frame", "Write it again.")
    return np.asarray(times[...], np.float64)


def _image_group(path: Path, images: h5py.Group, origin_s: float) -> Frames | None:
    """``image000000000`` and so on, (H, W) each, with an attribute ``timestamp`` in seconds."""
    names = sorted(name for name in images if name.startswith("image"))
    if not names:
        return None
    shapes = {getattr(images[name], "shape", None) for name in names}
    types = {getattr(images[name], "dtype", None) for name in names}
    stamps = [images[name].attrs.get("timestamp", np.nan) for name in names]
    if types != {np.dtype(np.uint8)} or len(shapes) != 1 or len(next(iter(shapes)) or ()) != 2:
        found = f"/images of {', '.join(map(str, shapes))} and {', '.join(map(str, types))}"
        raise InputError(path, found, "(H, W) of uint8, alike", "Write them again.")
    t = seconds_to_us(path, np.asarray(stamps, np.float64), origin_s)
    require_increasing(path, "images", t)
    height, width = images[names[0]].shape
    return HDF5Frames(path, [f"images/{name}" for name in names], t, width, height)
