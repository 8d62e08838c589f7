"""Arrays in a .npy or .npz file, read forward in blocks, never through pickle."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.recording import CHUNK_EVENTS

_AGAIN = "Copy or write it again."


class StoredArray:
    """An array of one or two axes in a file, or in a member of an archive.

    Args:
        path: the file.
        opener: opens the ``.npy`` data at its start.
        name: what the array is called in errors.

    Attributes:
        dtype, shape: its type and shape.

    Raises:
        InputError: no such data, more axes, or a type that needs pickle.
    """

    def __init__(self, path: Path, opener: Callable[[], IO[bytes]], name: str) -> None:
        self._path, self._opener, self.name = path, opener, name
        try:
            with opener() as file:
                version = npy.read_magic(file)
                readers = {
                    (1, 0): npy.read_array_header_1_0,
                    (2, 0): npy.read_array_header_2_0,
                }
                if version not in readers:
                    raise ValueError(f"version {version} of the npy format")
                self.shape, self._fortran, self.dtype = readers[version](file)
                self._start = file.tell()
        except Exception as error:  # of the archive, the compression or the header's parser
            found = f"{name} without a readable header ({error})"
            raise InputError(path, found, "an array of numbers", _AGAIN) from error
        named = self.dtype.names is not None
        kinds = [self.dtype[name].kind for name in self.dtype.names or ()] or [self.dtype.kind]
        axes = len(self.shape) in ((1,) if named else (1, 2)) and min(self.shape) >= 0
        if not axes or not set(kinds) <= set("biuf") or self.dtype.itemsize == 0:
            found = f"{name} of {self.dtype} and shape {self.shape}"
            raise InputError(path, found, "numbers in rows", _AGAIN)

    @property
    def rows(self) -> int:
        return int(self.shape[0])

    def blocks(self, rows: int = CHUNK_EVENTS) -> Iterator[NDArray[Any]]:
        """Successive rows, at most ``rows`` at a time.

        Raises:
            InputError: there is less data than the header says.
        """
        columns = self.shape[1] if len(self.shape) == 2 else 1
        by_column = self._fortran and columns > 1
        with ExitStack() as stack:
            files = []
            for column in range(columns if by_column else 1):
                files.append(stack.enter_context(self._opener()))
                self._seek(files[-1], self._start + column * self.rows * self.dtype.itemsize)
            for first in range(0, self.rows, rows):
                n = min(rows, self.rows - first)
                if by_column:
                    yield np.stack([self._read(file, n) for file in files], axis=1)
                else:
                    yield self._read(files[0], n * columns).reshape(n, *self.shape[1:])

    def _seek(self, file: IO[bytes], place: int) -> None:
        try:
            file.seek(place)
        except Exception as error:  # beyond what a file can hold, or of the compression
            raise self._cut(f"no byte {place:,}: {error}") from error

    def _read(self, file: IO[bytes], items: int) -> NDArray[Any]:
        size = items * self.dtype.itemsize
        try:
            data = file.read(size)
        except Exception as error:  # zlib, lzma and bz2 have errors of their own
            raise self._cut(f"it cannot be unpacked: {error}") from error
        if len(data) < size:
            raise self._cut("its data ends too early")
        return np.frombuffer(data, self.dtype)

    def _cut(self, why: str) -> InputError:
        found = f"{self.name} of shape {self.shape} cut short ({why})"
        return InputError(self._path, found, "a whole file", _AGAIN)


def array_of_file(path: Path) -> StoredArray:
    """The array of a .npy file."""
    return StoredArray(path, lambda: path.open("rb"), path.name)


def arrays_of_archive(path: Path) -> dict[str, StoredArray]:
    """The arrays of a .npz file by name, their data unread.

    Raises:
        InputError: the archive is damaged, or one of them is no array of numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, zipfile.BadZipFile) as error:
        found = f"an archive that cannot be read ({error})"
        raise InputError(path, found, "a whole file", _AGAIN) from error

    def opener(member: str) -> Callable[[], IO[bytes]]:
        return lambda: zipfile.ZipFile(path).open(member)

    return {name[:-4]: StoredArray(path, opener(name), name[:-4]) for name in members}
