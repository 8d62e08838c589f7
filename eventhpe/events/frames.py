"""Grayscale frames beside the events of a recording, read one at a time."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the compression of the images)
import numpy as np
from numpy.typing import NDArray

from eventhpe.camera import Crop
from eventhpe.errors import InputError
from eventhpe.events.recipe import axis_taps

_REMEDY = "Write the recording again."


class Frames(ABC):
    """The frames of one recording; a subclass reads them from one kind of container.

    Attributes:
        path: the file.
        t: (N,) int64 microseconds from the recording's origin, increasing.
        width, height: pixels, those of the event sensor.
    """

    def __init__(self, path: Path, t: NDArray[np.int64], width: int, height: int) -> None:
        self.path = path
        self.t = t
        self.width, self.height = width, height

    def __len__(self) -> int:
        return len(self.t)

    def index(self, t_us: int) -> int:
        """The frame nearest to a time."""
        return int(np.argmin(np.abs(self.t - t_us)))

    @abstractmethod
    def read(self, i: int) -> NDArray[np.uint8]:
        """(H, W) grey levels of frame ``i`` of 0..len - 1.

        Raises:
            IndexError: there is no such frame.
            InputError: the file cannot be read.
        """

    def crop(self, i: int, crop: Crop) -> NDArray[np.float32]:
        """(size, size) of 0..1: frame ``i`` resampled as events are.

        By area where the crop shrinks and bilinearly where it grows (`eventhpe.events.recipe`).
        Outside the sensor its border goes on: black there would be an edge that no event has.
        """
        image = self.read(i)
        rows, down = _axis(self.height, crop.y0, crop)
        columns, across = _axis(self.width, crop.x0, crop)
        part = image[rows, columns].astype(np.float32) / np.float32(255)
        return np.asarray(down @ part @ across.T)


def _axis(length: int, origin: float, crop: Crop) -> tuple[slice, NDArray[np.float32]]:
    """One axis of a crop from ``origin``: which n pixels it needs, and (size, n) their weights."""
    # The sensor goes on far enough that no crop pixel reaches beyond it.
    before = max(0, int(np.ceil(-origin)) + 1)
    after = max(0, int(np.ceil(origin + crop.side)) + 1 - length)
    longer = before + length + after
    first, _, taps = axis_taps(longer, origin + before, crop.side, crop.size)
    pixel = np.clip(np.arange(longer) - before, 0, length - 1)
    rows = np.minimum(first[:, None] + np.arange(taps.shape[1]), crop.size - 1)  # 0 beyond
    weights = np.zeros((crop.size, length), np.float32)
    np.add.at(weights, (rows, pixel[:, None]), taps)
    used = np.flatnonzero(weights.any(axis=0))
    needed = slice(int(used[0]), int(used[-1]) + 1)
    return needed, weights[:, needed]


class HDF5Frames(Frames):
    """Frames in one dataset (N, H, W) of an HDF5 file, or in N datasets (H, W).

    The file is opened at the first read in each process, so that an instance may be pickled or
    inherited by worker processes.

    Args:
        path: the file.
        dataset: its name, or one name a frame; checked by the caller.
        t, width, height: see `Frames`.
    """

    def __init__(
        self,
        path: Path,
        dataset: str | Sequence[str],
        t: NDArray[np.int64],
        width: int,
        height: int,
    ) -> None:
        super().__init__(path, t, width, height)
        self._dataset = dataset
        self._opened: tuple[int, h5py.File] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def read(self, i: int) -> NDArray[np.uint8]:
        if not 0 <= i < len(self):
            raise IndexError(f"frame {i} of {len(self)}")
        try:
            if isinstance(self._dataset, str):
                return np.asarray(self._file()[self._dataset][i])
            return np.asarray(self._file()[self._dataset[i]][...])
        except OSError as error:
            found = f"frame {i} unreadable ({error})"
            raise InputError(self.path, found, "whole images", _REMEDY) from error

    def _file(self) -> h5py.File:
        # A file that a parent process opened is not shared: both would move one read position.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = None
            # Without a cache of chunks: a frame is a chunk, and hundreds of files may be open.
            self._opened = os.getpid(), h5py.File(self.path, rdcc_nbytes=0)
        return self._opened[1]


class StreamedFrames(Frames):
    """Frames of a container that can only be read forward: going back begins at its start.

    Args:
        path: the file.
        t, width, height: see `Frames`.
        images: begins at the first frame and gives each (H, W) uint8 in turn.
    """

    def __init__(
        self,
        path: Path,
        t: NDArray[np.int64],
        width: int,
        height: int,
        images: Callable[[], Iterator[NDArray[np.uint8]]],
    ) -> None:
        super().__init__(path, t, width, height)
        self._images = images
        self._coming: Iterator[NDArray[np.uint8]] = iter(())
        self._held: tuple[int, NDArray[np.uint8]] | None = None

    def read(self, i: int) -> NDArray[np.uint8]:
        if not 0 <= i < len(self):
            raise IndexError(f"frame {i} of {len(self)}")
        if self._held is None or i < self._held[0]:
            self._coming, self._held = self._images(), None
        while self._held is None or self._held[0] < i:
            image = next(self._coming, None)
            if image is None or image.shape != (self.height, self.width):
                shape = "nothing" if image is None else f"{image.shape}"
                found, expected = f"{shape} for a frame", f"({self.height}, {self.width})"
                raise InputError(self.path, found, expected, _REMEDY)
            self._held = (0 if self._held is None else self._held[0] + 1), image
        return self._held[1]


def open_frames(path: str | Path) -> Frames | None:
    """The frames of a recording; None where it has none.

    Raises:
        InputError: no such file, or frames that are damaged: another number of images than of
            times, images that are not grey levels of 8 bits, or times that do not increase.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no file", "an event recording", "Check the path.")
    if not h5py.is_hdf5(path):
        return None
    try:
        with h5py.File(path) as file:
            named = isinstance(file.get("frames"), h5py.Group)
            return _group_frames(path, file) if named else None
    except OSError as error:
        found = f"no readable HDF5 file ({error})"
        raise InputError(path, found, "an event recording", _REMEDY) from error


def _group_frames(path: Path, file: h5py.File) -> Frames:
    """Frames in the group ``frames`` of the simulator (`eventhpe.simulation.frames`)."""
    if any(name not in file for name in ("frames/image", "frames/t")):
        expected = "frames/image (N, H, W) and frames/t (N,)"
        raise InputError(path, f"frames with {', '.join(file['frames'])}", expected, _REMEDY)
    return dataset_frames(path, file["frames/image"], file["frames/t"][...])


def dataset_frames(path: Path, image: h5py.Dataset, t: NDArray[Any]) -> Frames:
    """Frames in a dataset (N, H, W) of uint8, with (N,) times in us from the recording's origin.

    Raises:
        InputError: another shape or type, another number of times, or times that do not increase.
    """
    name = image.name.strip("/")
    if not isinstance(image, h5py.Dataset) or image.ndim != 3 or image.dtype != np.uint8:
        shape = f"{image.shape} of {image.dtype}" if isinstance(image, h5py.Dataset) else "a group"
        raise InputError(path, f"{name} {shape}", "(N, H, W) of uint8", _REMEDY)
    if t.shape != image.shape[:1]:
        raise InputError(path, f"{len(image)} frames, {t.shape} times", "one time each", _REMEDY)
    require_increasing(path, name, t)
    height, width = image.shape[1:]
    return HDF5Frames(path, name, t.astype(np.int64), width, height)


def require_increasing(path: Path, name: str, t: NDArray[Any]) -> None:
    """Raise InputError unless frame times are whole and increase."""
    if t.dtype.kind not in "iu" or (np.diff(t.astype(np.int64)) <= 0).any():
        found = f"times of {name} that do not increase"
        raise InputError(path, found, "whole microseconds that increase", _REMEDY)
