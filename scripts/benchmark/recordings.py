"""Rows of whole recordings, from the file to cleaned events, beside a plain read of the bytes."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from eventhpe.events import DsecWriter, EventStream, open_recording
from eventhpe.events.formats import ecf, metavision
from scripts.benchmark.inputs import EVENTS, HEIGHT, WIDTH, WINDOW_US, random_events
from scripts.benchmark.rows import Measured, median_seconds, row

MILLIONS = 16
"""Events in each of the files: 128 MB in AEDAT 2.0."""
ECF_CHUNK = 16_384
REAL_ECF = "recordings/prophesee_sparklers_ecf.hdf5"


@row("ecf")
def bench_ecf() -> Measured:
    """A Metavision file of packed chunks to cleaned events, and the vendor's own chunks."""
    with _folder() as folder:
        path, count = folder / "events.hdf5", ECF_CHUNK * 256
        _write_ecf(path, count)
        seconds = median_seconds(lambda: _stream(path, count), 7)
    also = tuple(_real_chunks())
    note = f"{count:,} events, file to cleaned events"
    return Measured("ecf", count / seconds / 1e6, "M events/s", 50, note=note, also=also)


def _real_chunks() -> Iterator[Measured]:
    """The decoder alone on the recording that the vendor's encoder wrote, where it is."""
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / REAL_ECF
    if not path.exists():
        return
    with h5py.File(path) as file:
        table = file[metavision.EVENTS]
        starts = range(0, len(table) - ECF_CHUNK, ECF_CHUNK)
        chunks = [np.frombuffer(table.id.read_direct_chunk((i,))[1], np.uint8) for i in starts]
    x, y = np.empty(ECF_CHUNK, np.uint16), np.empty(ECF_CHUNK, np.uint16)
    t, p = np.empty(ECF_CHUNK, np.int64), np.empty(ECF_CHUNK, np.uint8)

    def decode() -> None:
        for chunk in chunks:
            ecf.decode_chunk(chunk, x, y, t, p)

    speed = len(chunks) * ECF_CHUNK / median_seconds(decode, 31) / 1e6
    yield Measured("ecf, the vendor's chunks", speed, "M events/s", 50, note="in memory")


@row("aedat2_file")
def bench_aedat2_file() -> Measured:
    """Opening and reading a DAVIS file, beside NumPy's reading of its bytes into one array."""
    with _folder() as folder:
        path = folder / "events.aedat"
        _write_aedat2(path)
        plain = median_seconds(lambda: np.fromfile(path, ">u4"), 7)
        ours = median_seconds(lambda: _stream(path, MILLIONS * EVENTS), 7)
    speed = Measured("aedat2_file speed", MILLIONS * EVENTS / ours / 1e6, "M events/s")
    note = "of numpy.fromfile; bytes in the page cache"
    return Measured("aedat2_file", ours / plain, "x", 1.5, False, note, also=(speed,))


@row("dsec_file")
def bench_dsec_file() -> Measured:
    """Opening and reading a DSEC file, beside h5py's reading of its four columns."""
    with _folder() as folder:
        path = folder / "events.h5"
        with DsecWriter(path, WIDTH, HEIGHT) as writer:
            for block in _blocks():
                writer.append(block)
        plain = median_seconds(lambda: _read_columns(path), 7)
        ours = median_seconds(lambda: _stream(path, MILLIONS * EVENTS), 7)
    speed = Measured("dsec_file speed", MILLIONS * EVENTS / ours / 1e6, "M events/s")
    note = "of h5py's reading of the same blocks"
    return Measured("dsec_file", ours / plain, "x", 1.5, False, note, also=(speed,))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _stream(path: Path, expected: int) -> None:
    count = sum(len(events) for events in open_recording(path).chunks())
    if count != expected:
        raise RuntimeError(f"{count:,} of {expected:,} events were read")


def _blocks() -> Iterator[EventStream]:
    """A million events again and again, each 50 ms later."""
    block = random_events()
    for i in range(MILLIONS):
        t = block.t + i * WINDOW_US
        yield EventStream(block.x, block.y, t, block.p, WIDTH, HEIGHT)


def _write_aedat2(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346\r\n")
        for block in _blocks():
            address = (np.uint32(HEIGHT - 1) - block.y.astype(np.uint32)) << np.uint32(22)
            address |= (np.uint32(WIDTH - 1) - block.x.astype(np.uint32)) << np.uint32(12)
            address |= block.p.astype(np.uint32) << np.uint32(11)
            file.write(np.stack([address, block.t.astype(np.uint32)], 1).astype(">u4").tobytes())


def _read_columns(path: Path) -> None:
    with h5py.File(path) as file:
        for start in range(0, MILLIONS * EVENTS, 1 << 20):
            for name in "xytp":
                file[f"events/{name}"][start : start + (1 << 20)]


def _write_ecf(path: Path, count: int) -> None:
    """Chunks that differ by their first time only."""
    events = random_events().slice(0, ECF_CHUNK)
    body = _packed(events)
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = f"{WIDTH}x{HEIGHT}"
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((ECF_CHUNK,))
        properties.set_filter(ecf.FILTER, h5py.h5z.FLAG_OPTIONAL)
        file.create_group("CD")
        kind = h5py.h5t.py_create(metavision.ECF_ROW)
        space = h5py.h5s.create_simple((count,))
        name = metavision.EVENTS.encode()
        table = h5py.h5d.create(file.id, name, kind, space, properties)
        header = np.uint32((ECF_CHUNK << 2) | 2).tobytes()
        for i, start in enumerate(range(0, count, ECF_CHUNK)):
            first = np.uint64(i * int(events.t[-1])).tobytes()
            table.write_direct_chunk((start,), header + first + body)


def _packed(events: EventStream) -> bytes:
    """Times a byte a run of equal ones (steps and runs are short), then groups of four events."""
    times, counts = np.unique(events.t, return_counts=True)
    steps = np.diff(times, prepend=0)
    runs = bytearray()
    for step, n in zip(steps.tolist(), counts.tolist(), strict=True):
        runs.append((step << 4) | min(n, 15))
        if n >= 15:
            runs += int(n).to_bytes(2, "little")
    y, x, p = (getattr(events, name).astype(np.uint32) for name in "yxp")
    v = ((y << np.uint32(12)) | (x << np.uint32(1)) | p).reshape(-1, 4).T
    words: NDArray[np.uint32] = np.stack(
        [
            (v[0] << 8) | (v[1] & 0xFF),
            ((v[1] >> 8) << 16) | (v[2] & 0xFFFF),
            ((v[2] >> 16) << 24) | v[3],
        ],
        axis=1,
    )
    return bytes(runs) + words.astype("<u4").tobytes()
