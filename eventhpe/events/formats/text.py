"""Events as text: e2vid's .txt and .zip, and the csv of a CeleX sensor (MMHPSD).

e2vid: a first line ``width height``, then ``t x y p`` with t in seconds. Files without the first
line, which other sets use, are read when the size is given.

CeleX: lines ``v,u,in_pixel_time,off_pixel_time,polarity`` without a header, one file a frame
interval. The 1280x800 sensor is stored mirrored both ways: column = 1279 - v, row = 799 - u. The
event's own time is ``in_pixel_time``, whose unit the layout leaves open.
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.formats.time_units import check_order, choose_unit, to_us
from eventhpe.events.recording import RawChunk, Recording, choose_geometry

CELEX_SIZE = (1280, 800)
_BLOCK_BYTES = 1 << 23
_NUMBER = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SIZE_LINE = re.compile(rb"\s*(\d{1,6})\s+(\d{1,6})\s*")
_EVENT_LINE = re.compile(rb"\s*(" + _NUMBER + rb")" + (rb"\s+" + _NUMBER) * 3 + rb"\s*")
_CELEX_LINE = re.compile(rb"\s*[+-]?\d+\s*(?:,\s*[+-]?\d+\s*){4}")
_MEND = "Write the file again."
Opener = Callable[[], IO[bytes]]


def is_event_text(first_line: bytes) -> bool:
    """Whether it begins a text of events."""
    return bool(_SIZE_LINE.fullmatch(first_line) or _EVENT_LINE.fullmatch(first_line))


def is_celex_text(first_line: bytes) -> bool:
    """Whether it begins a CeleX csv."""
    return bool(_CELEX_LINE.fullmatch(first_line))


def open_text(
    path: Path, width: int | None = None, height: int | None = None, time_unit: str | None = None
) -> Recording:
    """Open e2vid's text.

    Raises:
        InputError: no size is known, or whole-number times whose unit nobody says.
    """
    return _open_text(path, lambda: path.open("rb"), "e2vid-text", (width, height), time_unit)


def zip_members(archive: zipfile.ZipFile) -> list[str]:
    """Names of an archive's files, without what macOS adds of its own."""
    return [name for name in archive.namelist() if not name.startswith("__MACOSX/")]


def open_text_zip(
    path: Path, width: int | None = None, height: int | None = None, time_unit: str | None = None
) -> Recording:
    """Open the one text in a zip archive; see `open_text`."""
    with zipfile.ZipFile(path) as archive:
        (member,) = zip_members(archive)

    def opener() -> IO[bytes]:
        return zipfile.ZipFile(path).open(member)

    return _open_text(path, opener, "e2vid-zip", (width, height), time_unit)


def _open_text(
    path: Path,
    opener: Opener,
    format: str,
    asked: tuple[int | None, int | None],
    time_unit: str | None,
) -> Recording:
    with _reading(path, opener) as file:
        first = file.readline(1 << 12)
        size = _SIZE_LINE.fullmatch(first)
        line = file.readline(1 << 12) if size else first
    stated = (int(size[1]), int(size[2])) if size else None
    event = _EVENT_LINE.fullmatch(line)
    if event is None and line:
        raise _no_events(path, line, "t x y p")
    unit = "s"
    if event is not None:
        decimal = any(mark in event[1] for mark in b".eE")
        times = f"times such as {event[1].decode()}"
        unit = choose_unit(path, "s" if decimal else None, time_unit, times)
    geometry = choose_geometry(path, stated, asked)
    origin = float(event[1]) if event else 0.0
    return _TextRecording(path, format, geometry, opener, bool(size), origin, unit)


class _TextRecording(Recording):
    """Times count from the first line's."""

    def __init__(
        self,
        path: Path,
        format: str,
        size: tuple[int, int],
        opener: Opener,
        headed: bool,
        origin: float,
        unit: str,
    ) -> None:
        super().__init__(path, format, *size, 0)
        self._opener, self._headed, self._origin, self._unit = opener, headed, origin, unit
        self.t_origin = int(to_us(path, np.array([origin]), 0.0, unit)[0])

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        with _reading(self.path, self._opener) as file:
            if self._headed:
                file.readline(1 << 12)
            for lines in _whole_lines(self.path, file):
                table = _numbers(self.path, lines, None, 4, "t x y p")
                check_order(self.path, table[:, 0], "lines of t x y p in the order of time")
                t = to_us(self.path, table[:, 0], self._origin, self._unit)
                yield RawChunk(table[:, 1], table[:, 2], t, table[:, 3])


def open_celex(
    path: Path, width: int | None = None, height: int | None = None, time_unit: str | None = None
) -> Recording:
    """Open a CeleX csv, or a folder of them, which follow one another by name.

    Raises:
        InputError: nobody says the unit of the times.
    """
    files = sorted(path.glob("*.csv"), key=_natural) if path.is_dir() else [path]
    unit = choose_unit(path, None, time_unit, "in_pixel_time")
    size = choose_geometry(path, None, (width, height), default=CELEX_SIZE)
    return _CelexRecording(path, files, size, unit)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """``event10`` after ``event9``."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


class _CelexRecording(Recording):
    """Times count from the first event's."""

    def __init__(self, path: Path, files: list[Path], size: tuple[int, int], unit: str) -> None:
        super().__init__(path, "celex-csv", *size, 0)
        self._files, self._unit, self._origin = files, unit, 0
        first = next((table for _, table in self._tables() if len(table)), None)
        if first is not None:
            self._origin = int(first[0, 2])
            self.t_origin = int(to_us(path, first[:1, 2], 0, unit)[0])

    def _tables(self) -> Iterator[tuple[Path, NDArray[np.int64]]]:
        for path in self._files:
            with _reading(path, lambda path=path: path.open("rb")) as file:  # type: ignore[misc]
                for lines in _whole_lines(path, file):
                    columns = "v,u,in_pixel_time,off_pixel_time,polarity"
                    yield path, _numbers(path, lines, ",", 5, columns, np.int64)

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        last, of = 0, self._files[:1]
        for path, table in self._tables():
            t = to_us(path, table[:, 2], self._origin, self._unit)
            if [path] != of and len(t) and int(t[0]) < last:
                raise InputError(
                    path,
                    f"times that begin {last - int(t[0]):,} us before the file before it ends",
                    "files of one clock, in the order of their names",
                    "Open the files one by one.",
                )
            if len(t):
                last, of = int(t.max()), [path]
            yield RawChunk(
                self.width - 1 - table[:, 0], self.height - 1 - table[:, 1], t, table[:, 4]
            )


@contextmanager
def _reading(path: Path, opener: Opener) -> Iterator[IO[bytes]]:
    try:
        with opener() as file:
            yield file
    except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        found = f"data that cannot be read ({error})"
        raise InputError(path, found, "a whole file", "Copy or download it again.") from error
    except Exception as error:
        # zlib, lzma and bz2 have errors of their own.
        if not zipfile.is_zipfile(path) or isinstance(error, InputError):
            raise
        found = f"an archive that cannot be unpacked ({error})"
        raise InputError(path, found, "a whole file", "Copy or download it again.") from error


def _whole_lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Blocks of about `_BLOCK_BYTES` that end where a line does."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut == 0 and len(block) == _BLOCK_BYTES:
            raise InputError(path, f"a line of over {len(block):,} bytes", "lines of text", _MEND)
        yield rest + block[:cut]
        rest = block[cut:]
    yield rest


def _numbers(
    path: Path,
    lines: bytes,
    delimiter: str | None,
    columns: int,
    expected: str,
    dtype: Any = np.float64,
) -> NDArray[Any]:
    try:
        text = lines.decode("ascii")
        if not text.strip():
            return np.empty((0, columns), dtype)
        table = np.loadtxt(text.split("\n"), dtype, delimiter=delimiter, comments=None, ndmin=2)
    except (ValueError, OverflowError) as error:
        found = f"lines that are no numbers ({error})"
        raise InputError(path, found, f"lines of {expected}", _MEND) from error
    if table.shape[1] != columns:
        raise _no_events(path, lines.split(b"\n", 1)[0], expected)
    return table


def _no_events(path: Path, line: bytes, expected: str) -> InputError:
    shown = line.decode("ascii", "replace").strip()[:60]
    return InputError(path, f"a line {shown!r}", f"lines of {expected}", _MEND)
