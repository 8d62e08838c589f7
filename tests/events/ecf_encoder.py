"""An encoder of Metavision's ECF chunks, written from the layout, and files that hold them."""

import struct
from pathlib import Path

import h5py
import numpy as np

from eventhpe.events import EventStream

ECF = 36559
ROW = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)


def runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Successive equal values as (value, how many)."""
    found: list[tuple[int, int]] = []
    for value in values.tolist():
        if found and found[-1][0] == value:
            found[-1] = value, found[-1][1] + 1
        else:
            found.append((value, 1))
    return found


def encode_times(t: np.ndarray) -> bytes:
    now = int(t[0])
    out = bytearray(struct.pack("<Q", now))
    for time, count in runs(t):
        step = time - now
        if step >= 15:
            while step:
                out.append(0xF0 | (step & 15))
                step >>= 4
        out.append((step << 4) | min(count, 15))
        if count >= 15:
            out += struct.pack("<H", count)
        now = time
    return bytes(out)


def encode_rows(y: np.ndarray) -> bytes:
    out = bytearray()
    for value, count in runs(y):
        out += struct.pack("<H", (value << 5) | min(count, 31))
        if count >= 31:
            out += struct.pack("<H", count)
    return bytes(out)


def encode_columns(x: np.ndarray) -> bytes:
    out, left = bytearray(), x.tolist()
    while left:
        first, mask = left.pop(0), 0
        for j in range(5):
            if left and left[0] == first + j + 1:
                mask |= 1 << (4 - j)
                left.pop(0)
        out += struct.pack("<H", (first << 5) | mask)
    return bytes(out)


def encode_polarities(p: np.ndarray) -> bytes:
    out = bytearray()
    for value, count in runs(p):
        out.append((value << 7) | min(count, 127))
        if count >= 127:
            out += struct.pack("<H", count)
    return bytes(out)


def in_fours(values: list[int]) -> list[list[int]]:
    padded = values + [0] * (-len(values) % 4)
    return [padded[i : i + 4] for i in range(0, len(padded), 4)]


def encode_packed_columns(x: np.ndarray, p: np.ndarray) -> bytes:
    out = b""
    for v0, v1, v2, v3 in in_fours(((x << 1) | p).tolist()):
        words = (v0 << 4) | (v1 & 15), ((v1 >> 4) << 8) | (v2 & 255), ((v2 >> 8) << 12) | v3
        out += struct.pack("<3H", *words)
    return out


def encode_packed_events(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> bytes:
    out = b""
    for v0, v1, v2, v3 in in_fours(((y << 12) | (x << 1) | p).tolist()):
        words = (
            (v0 << 8) | (v1 & 255),
            ((v1 >> 8) << 16) | (v2 & 0xFFFF),
            ((v2 >> 16) << 24) | v3,
        )
        out += struct.pack("<3I", *words)
    return out


def encode(events: EventStream, packed: int) -> bytes:
    """``packed``: 0 rows, columns and polarities apart; 1 columns with polarities; 2 all."""
    header = struct.pack("<I", (len(events) << 2) | packed)
    if len(events) == 0:
        return header
    x, y, p = (getattr(events, name).astype(np.int64) for name in "xyp")
    start = header + encode_times(events.t)
    if packed & 2:
        return start + encode_packed_events(x, y, p)
    if packed & 1:
        return start + encode_rows(y) + encode_packed_columns(x, p)
    return start + encode_rows(y) + encode_columns(x) + encode_polarities(p)


def padded(events: EventStream, n: int) -> EventStream:
    """The last event again and again until there are n."""
    i = np.minimum(np.arange(n), len(events) - 1)
    return EventStream(events.x[i], events.y[i], events.t[i], events.p[i], events.width,
                       events.height)  # fmt: skip


def write_metavision(
    path: Path, events: EventStream, chunk: int = 512, *, index: bool = True, geometry: bool = True
) -> Path:
    """A Metavision file whose chunks are compressed in each of the three ways in turn."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((chunk,))
        properties.set_filter(ECF, h5py.h5z.FLAG_OPTIONAL)
        file.create_group("CD")
        space = h5py.h5s.create_simple((len(events),), (h5py.h5s.UNLIMITED,))
        kind = h5py.h5t.py_create(ROW)
        table = h5py.h5d.create(file.id, b"CD/events", kind, space, properties)
        for i, start in enumerate(range(0, len(events), chunk)):
            part = padded(events.slice(start, min(start + chunk, len(events))), chunk)
            table.write_direct_chunk((start,), encode(part, i % 3))
        if geometry:
            file.attrs["geometry"] = f"{events.width}x{events.height}"
        if index and len(events):
            marks = np.arange(0, int(events.t[-1] - events.t[0]) + 2000, 2000)
            entries = np.zeros(len(marks), [("id", "<u8"), ("ts", "<i8")])
            entries["id"] = np.searchsorted(events.t - events.t[0], marks)
            entries["ts"] = marks
            file["CD/indexes"] = entries
            file["CD/indexes"].attrs["offset"] = str(-int(events.t[0]))
    return path
