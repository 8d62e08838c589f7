"""DHP19's constant-count frames with their labels, after its reference scripts.

Frame n shows in ``/DVS[n, row, column, camera]`` an upright picture, its top left at [0, 0]: the
mosaic of `datasets.dhp19_reading` cut into its cameras. Its label ``/XYZ[n]`` (3, 13) is the mean
of the marker samples since the frame before, in mm.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.constant_count import EVENTS_A_CAMERA, normalised
from datasets.dhp19_layout import CHANNELS, HEIGHT, VICON_PERIOD_US, WIDTH, RawRecording
from datasets.dhp19_reading import MosaicEvents
from eventhpe.files import atomic_path, require_room

FRAME_EVENTS = EVENTS_A_CAMERA * len(CHANNELS)
Frame = tuple[NDArray[np.float64], NDArray[np.float64]]


def frame_paths(folder: Path, which: RawRecording) -> tuple[Path, Path]:
    """A recording's frames and labels, named as the reference names them."""
    subject, session, movement = which
    name = f"S{subject}_session{session}_mov{movement}_{EVENTS_A_CAMERA}events"
    return folder / f"{name}.h5", folder / f"{name}_label.h5"


def constant_count_frames(
    events: MosaicEvents, start: int, markers: NDArray[np.float64]
) -> Iterator[Frame]:
    """Each 30,000 events of the four cameras together as a frame and its label.

    A frame's last event at t belongs to sample k = round((t - start) * 1e-4) + 1, counted from 1:
    MATLAB rounds its product of a uint32 and a double, so the floor around it does nothing. The
    label is the mean of samples k of the frame before (1 for the first) to k, both included,
    leaving out hidden ones. The first frame whose k is beyond the last sample, and all after it,
    are not made; nor is one from the events left over.

    Args:
        events: filtered events of a recording.
        start: its start mark, us on the events' clock.
        markers: (N, 13, 3).

    Yields:
        frame: (260, 346, 4) of whole numbers 0..255, see `datasets.constant_count.normalised`.
        label: (3, 13), NaN where a marker is hidden all the time.
    """
    k_before = 1
    for stop in range(FRAME_EVENTS, len(events.t) + 1, FRAME_EVENTS):
        k = nearest_sample(int(events.t[stop - 1]) - start) + 1
        if k > len(markers):
            return
        counts = np.bincount(
            events.place[stop - FRAME_EVENTS : stop], minlength=HEIGHT * WIDTH * len(CHANNELS)
        )
        cameras = counts.astype(np.float64).reshape(HEIGHT, len(CHANNELS), WIDTH)
        frame = np.stack([normalised(cameras[:, c]) for c in CHANNELS], axis=-1)
        yield frame.astype(np.float64), mean_of_seen(markers[k_before - 1 : k]).T
        k_before = k


def nearest_sample(t_us: int) -> int:
    """Vicon's sample at a time from the start mark, counted from 0.

    Halves go away from 0, as MATLAB rounds; it is a uint32 there, so nothing is below 0.
    """
    value = t_us * (1 / VICON_PERIOD_US)
    whole = math.floor(value)
    return max(0, whole + int(value - whole >= 0.5))


def mean_of_seen(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """NumPy's nanmean over the first axis, without its warning where nothing is seen."""
    seen = ~np.isnan(samples)
    total = np.where(seen, samples, 0.0).sum(axis=0)
    count = seen.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def write_frames(folder: Path, which: RawRecording, frames: Iterable[Frame], recipe: str) -> int:
    """Write ``/DVS`` (N, 260, 346, 4) and ``/XYZ`` (N, 3, 13), doubles; returns N.

    Any HDF5 reads them: they are compressed by gzip. Both files get the attribute ``recipe``.
    """
    frames_path, labels_path = frame_paths(folder, which)
    shape = HEIGHT, WIDTH, len(CHANNELS)
    labels: list[NDArray[np.float64]] = []
    with atomic_path(labels_path) as partial_labels, atomic_path(frames_path) as partial:
        with h5py.File(partial, "w") as file:
            file.attrs["recipe"] = recipe
            pictures = file.create_dataset(
                "DVS",
                (0, *shape),
                np.float64,
                maxshape=(None, *shape),
                chunks=(1, *shape),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            for picture, label in frames:
                require_room(partial, picture.nbytes)
                pictures.resize(len(labels) + 1, axis=0)
                pictures[-1] = picture
                labels.append(label)
        with h5py.File(partial_labels, "w") as file:
            file.attrs["recipe"] = recipe
            file["XYZ"] = np.array(labels, np.float64).reshape(-1, 3, 13)
    return len(labels)
