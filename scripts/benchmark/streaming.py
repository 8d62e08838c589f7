"""The row of long recordings: memory while one is streamed."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from eventhpe.events import DsecWriter, EventStream, open_recording, time_windows
from scripts.benchmark.inputs import EVENTS, HEIGHT, WIDTH, WINDOW_US, random_events
from scripts.benchmark.rows import Measured, row

STREAM_EVENTS = 200_000_000


@row("stream_200M", long=True)
def bench_stream() -> Measured:
    """Peak memory of a fresh process that streams 200 million events from a DSEC file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        _write_long_recording(path)
        code = "from scripts.benchmark.streaming import stream_file; stream_file()"
        root = Path(__file__).resolve().parents[2]
        start = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
    count, peak_kib = map(int, child.stdout.split())
    if count != STREAM_EVENTS:
        raise RuntimeError(f"{count:,} of {STREAM_EVENTS:,} events were read")
    speed = Measured("stream_200M speed", count / seconds / 1e6, "M events/s", note="50 ms windows")
    return Measured(
        "stream_200M", peak_kib / 2**20, "GiB peak", 1.0, False, "DSEC file", also=(speed,)
    )


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
