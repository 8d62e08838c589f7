"""The rows of long recordings: memory while one is streamed, and conversion."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin

from eventhpe.events import DsecWriter, EventStream, Recording, open_recording, time_windows
from scripts.benchmark.inputs import EVENTS, HEIGHT, WIDTH, WINDOW_US, davis_words, random_events
from scripts.benchmark.rows import Measured, median_seconds, row

STREAM_EVENTS = 200_000_000
CONVERT_EVENTS = 10_000_000


@row("stream_200M", long=True)
def bench_stream() -> Measured:
    """Peak memory of a fresh process that streams 200 million events from a DSEC file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        _write_long_recording(path)
        start = time.perf_counter()
        count, peak_kib = (int(value) for value in in_a_fresh_process(stream_file, path))
        seconds = time.perf_counter() - start
    if count != STREAM_EVENTS:
        raise RuntimeError(f"{count:,} of {STREAM_EVENTS:,} events were read")
    speed = Measured("stream_200M speed", count / seconds / 1e6, "M events/s", note="50 ms windows")
    return Measured(
        "stream_200M", peak_kib / 2**20, "GiB peak", 1.0, False, "DSEC file", also=(speed,)
    )


@row("convert")
def bench_convert() -> Measured:
    """AEDAT 2.0 to DSEC h5, written, read back and compared, in a fresh process.

    Beside it, in the same run: reading the source alone, and reading it, writing the same arrays
    by h5py with the same compression, and reading those back by h5py, without any digest.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.aedat"
        block = random_events()
        with path.open("wb") as file:
            file.write(b"#!AER-DAT2.0\r\n# AEChip: DAVIS346\r\n#End Of ASCII Header\r\n")
            for i in range(CONVERT_EVENTS // EVENTS):
                t = block.t + i * WINDOW_US
                moved = EventStream(block.x, block.y, t, block.p, WIDTH, HEIGHT)
                file.write(davis_words(moved))
        ours, read, plain, peak_kib = in_a_fresh_process(convert_file, path)
    also = (
        Measured("convert vs reading its source", ours / read, "x", 1.5, False),
        Measured("convert vs h5py's write and read", ours / plain, "x", more_is_better=False),
        Measured("convert memory", peak_kib / 2**20, "GiB peak", 1.0, False),
    )
    note = f"{CONVERT_EVENTS:,} events, zstd, verified"
    return Measured("convert", CONVERT_EVENTS / ours / 1e6, "M events/s", note=note, also=also)


def convert_file() -> None:
    """Convert the file named on the command line; print seconds of that, of reading it, of h5py's
    doing the same, and peak KiB."""
    from eventhpe.events.convert import convert

    path = Path(sys.argv[1])
    recording = open_recording(path)
    ours = median_seconds(lambda: convert(recording, path.with_name("ours.h5")), 7)
    read = median_seconds(lambda: sum(len(events) for events in recording.chunks()), 7)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plain = median_seconds(lambda: _plain_copy(recording, path.with_name("plain.h5")), 7)
    print(ours, read, plain, peak)


def _plain_copy(recording: Recording, path: Path) -> None:
    with h5py.File(path, "w") as file:
        columns = {
            name: file.create_dataset(
                name,
                (0,),
                dtype,
                maxshape=(None,),
                chunks=(1 << 16,),
                compression=hdf5plugin.Blosc(cname="zstd", clevel=1),
            )
            for name, dtype in (("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1"))
        }
        for events in recording.chunks():
            for name, column in columns.items():
                column.resize((len(column) + len(events),))
                column[-len(events) :] = getattr(events, name)
    with h5py.File(path) as file:
        for column in file.values():
            for i in range(0, len(column), EVENTS):
                column[i : i + EVENTS]


def in_a_fresh_process(function: Callable[[], None], path: Path) -> list[float]:
    """The numbers that a function of a module prints for a file."""
    name = function.__name__
    code = f"from {function.__module__} import {name}; {name}()"
    child = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).resolve().parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(value) for value in child.stdout.split()]


def stream_file() -> None:
    """Read the file named on the command line in windows; print events and peak KiB."""
    recording = open_recording(sys.argv[1])
    # Without a stop the last window would be left out where its last microsecond is empty.
    stop = STREAM_EVENTS // EVENTS * WINDOW_US
    windows = time_windows(recording, WINDOW_US, WINDOW_US, stop_us=stop)
    count = sum(len(window.events) for window in windows)
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _write_long_recording(path: Path) -> None:
    block = random_events()
    blocks = STREAM_EVENTS // EVENTS
    with DsecWriter(path, WIDTH, HEIGHT) as writer:
        for i in range(blocks):
            t = block.t + i * WINDOW_US
            writer.append(EventStream(block.x, block.y, t, block.p, WIDTH, HEIGHT))
