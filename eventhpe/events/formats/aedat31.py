"""AEDAT 3.1 (cAER): the polarity packets of one camera.

As iniVation publishes the format ("AEDAT file formats", version 3.1): header lines that start with
``#``, the last ``#!END-HEADER``, then little-endian packets. A packet's header is eight fields in
28 bytes: kind i16 (1: polarity events), source i16, bytes an event, offset of the timestamp in it,
overflow of the timestamps, capacity, number and number valid, i32 each. Room for as many events as
its capacity follows. A polarity event is u32 (bit 0 valid, bit 1 polarity, 15 bits row, 15 bits
column from above) and an i32 timestamp; its time is overflow * 2^31 + timestamp microseconds.
Pixel (0, 0) is the upper left one. Other packets (special, frame, IMU) are skipped.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.recording import CHUNK_EVENTS, RawChunk, Recording, choose_geometry

_HEADER = np.dtype(
    [("kind", "<i2"), ("source", "<i2")]
    + [(name, "<i4") for name in ("size", "offset", "overflow", "capacity", "number", "valid")]
)
_POLARITY, _EVENT_BYTES = 1, 8
_LONGEST_PACKET = 1 << 28  # bytes: a damaged header must not ask for gigabytes
_SIZES = {
    "DVS128": (128, 128),
    "DAVIS240": (240, 180),
    "DAVIS346": (346, 260),
    "DAVIS640": (640, 480),
}
_AGAIN = "Copy or download it again."


class _Packet(NamedTuple):
    source: int
    overflow: int
    events: NDArray[np.uint32]
    """(N, 2): address and timestamp."""
    stray: int
    """Bytes of an event cut short after them."""


def open_aedat31(
    path: Path, width: int | None = None, height: int | None = None, camera: int | str | None = None
) -> Recording:
    """Open an AEDAT 3.1 file.

    Args:
        path: the file.
        width, height: sensor size where the header names no camera of a known size.
        camera: the source to read in a file of several.

    Raises:
        InputError: compressed or damaged packets, several sources and no ``camera``, or no size.
    """
    header, start = _read_header(path)
    kind = re.search(r"^#Format: *(\S+)", header, re.MULTILINE)
    if kind is not None and kind[1] != "RAW":
        found, remedy = f"AEDAT 3.1 packets in the form {kind[1]}", "Save it uncompressed."
        raise InputError(path, found, "the form RAW", remedy)
    sources = {packet.source for packet in _packets(path, start)}
    if camera is None and len(sources) > 1:
        shown = ", ".join(map(str, sorted(sources)))
        raise InputError(path, f"sources {shown}", "one of them", "Choose it with --channel N.")
    source = camera if camera is not None else min(sources, default=0)
    if camera is not None and camera not in sources:
        shown = ", ".join(map(str, sorted(sources))) or "none"
        raise InputError(path, f"--channel {camera}", f"one of the sources {shown}", "Choose one.")
    named = re.search(rf"^#Source {source}: *({'|'.join(_SIZES)})", header, re.MULTILINE)
    size = choose_geometry(path, _SIZES[named[1]] if named else None, (width, height))
    return _Aedat31Recording(path, size, start, int(source))


def _read_header(path: Path) -> tuple[str, int]:
    lines = []
    with path.open("rb") as file:
        while line := file.readline(1 << 16):
            if not line.startswith(b"#"):
                break
            lines.append(line.decode("ascii", "replace").rstrip())
            if lines[-1] == "#!END-HEADER":
                return "\n".join(lines), file.tell()
    raise InputError(path, "a header without its end", "#!END-HEADER", _AGAIN)


def _packets(path: Path, start: int) -> Iterator[_Packet]:
    """Polarity packets that are not empty, in file order; the last may be cut short."""
    with path.open("rb") as file:
        file.seek(start)
        while header := _next_header(path, file):
            kind, source, size, _, overflow, capacity, number, _ = header
            if kind != _POLARITY:
                file.seek(capacity * size, 1)
                continue
            data = file.read(capacity * size)
            whole = min(number, len(data) // _EVENT_BYTES)
            stray = len(data) % _EVENT_BYTES
            if whole or stray:
                events = np.frombuffer(data, "<u4", count=2 * whole).reshape(-1, 2)
                yield _Packet(source, overflow, events, stray)


def _next_header(path: Path, file: BinaryIO) -> tuple[int, ...] | None:
    data = file.read(_HEADER.itemsize)
    if len(data) < _HEADER.itemsize:
        return None
    header = tuple(int(value) for value in np.frombuffer(data, _HEADER)[0])
    kind, source, size, offset, overflow, capacity, number, valid = header
    numbers = 0 <= valid <= number <= capacity and size > 0 and capacity * size <= _LONGEST_PACKET
    fits = kind != _POLARITY or (size == _EVENT_BYTES and offset == 4)
    if not (numbers and fits and kind >= 0 and source >= 0 and overflow >= 0):
        found = f"no packet at byte {file.tell() - len(data):,} ({header})"
        raise InputError(path, found, "AEDAT 3.1 packets", _AGAIN)
    return header


class _Aedat31Recording(Recording):
    """Times count from the first event's. Events that their camera marked invalid are left out."""

    def __init__(self, path: Path, size: tuple[int, int], start: int, source: int) -> None:
        super().__init__(path, "aedat31", *size, 0)
        self._start, self._source = start, source
        first = next((chunk for chunk in self._raw_chunks(None) if len(chunk.t)), None)
        self.t_origin = 0 if first is None else int(first.t[0])

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        waiting: list[_Packet] = []
        held = 0
        for packet in _packets(self.path, self._start):
            if packet.source != self._source:
                continue
            self.repairs.truncated_bytes = packet.stray
            waiting.append(packet)
            held += len(packet.events)
            if held >= CHUNK_EVENTS:
                yield self._decoded(waiting)
                waiting, held = [], 0
        if waiting:
            yield self._decoded(waiting)

    def _decoded(self, packets: list[_Packet]) -> RawChunk:
        events = np.concatenate([packet.events for packet in packets])
        overflow = np.repeat([p.overflow for p in packets], [len(p.events) for p in packets])
        valid = (events[:, 0] & 1).astype(bool)
        address, t = events[valid].T
        # The sign bit of a timestamp is never set: the overflow counts instead.
        time = (overflow[valid].astype(np.int64) << 31) + (t & 0x7FFFFFFF) - self.t_origin
        p = ((address >> 1) & 1).astype(np.uint8)
        return RawChunk(address >> 17, (address >> 2) & 0x7FFF, time, p)
