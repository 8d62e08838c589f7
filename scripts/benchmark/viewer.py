"""The rows of the interactive viewer: jumps in a long motion, and the memory that it takes."""

import dataclasses
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from eventhpe.body import Body, load_body
from eventhpe.camera import Camera
from eventhpe.events import DsecWriter, EventStream, open_recording
from eventhpe.sequence import MotionSequence
from scripts.benchmark.inputs import HEIGHT, WIDTH, WINDOW_US, random_events, upright_motion
from scripts.benchmark.rows import Measured, row
from scripts.benchmark.streaming import in_a_fresh_process

SECONDS = 600
JUMPS = 40


@row("viewer", long=True)
def bench_viewer() -> Measured:
    """Ten minutes of motion and recording in a fresh process: opened, then jumped about in.

    A jump poses two meshes, reads the events around its moment, draws the picture and the cloud,
    and hands all to viser. What a browser then takes is not in it. Processor time of the thread
    that does this, as in `rows.median_seconds`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        _write_recording(path)
        opened, jump, worst, peak_kib = in_a_fresh_process(jump_about, path)
    also = (
        Measured("viewer worst jump", worst * 1000, "ms", more_is_better=False),
        Measured("viewer opened", opened, "s", more_is_better=False, note="imports left out"),
        Measured("viewer memory", peak_kib / 2**20, "GiB peak", 1.5, False),
    )
    note = f"median of {JUMPS} jumps in 10 minutes, two meshes"
    return Measured("viewer", jump * 1000, "ms", 100.0, False, note, also)


def jump_about() -> None:
    """Print seconds to open the file named on the command line, of a jump, the worst, and KiB."""
    from eventhpe.rendering.viewer import Viewer

    body = load_body()
    motion = _motion(body)
    other = dataclasses.replace(motion, transl=motion.transl + np.array([0.1, 0, 0], np.float32))
    start = time.thread_time()
    with Viewer(motion, body, open_recording(sys.argv[1]), other, port=0) as viewer:
        opened = time.thread_time() - start
        seconds = []
        for moment in np.random.default_rng(0).uniform(0, SECONDS, JUMPS):
            start = time.thread_time()
            viewer.player.seek(moment)
            viewer.draw()
            seconds.append(time.thread_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(opened, np.median(seconds), max(seconds), peak)


def _motion(body: Body) -> MotionSequence:
    """Somebody who walks to and fro, 3 m before the camera, every limb in motion."""
    t_us = np.arange(1, SECONDS * 1_000_000 // WINDOW_US + 1) * WINDOW_US
    wave = np.sin(t_us / 1e6).astype(np.float32)[:, None]
    return upright_motion(
        body,
        Camera.from_fov(WIDTH, HEIGHT),
        np.repeat(0.3 * wave, 69, axis=1),
        wave * np.array([1, 0, 0], np.float32) + np.array([0, 0, 3], np.float32),
        (0, 0, WIDTH, HEIGHT),
    )


def _write_recording(path: Path) -> None:
    block = random_events(10_000_000)  # a million events
    seconds = block.t[-1] // 1_000_000 + 1
    with DsecWriter(path, WIDTH, HEIGHT) as writer:
        for i in range(SECONDS // int(seconds)):
            t = block.t + i * seconds * 1_000_000
            writer.append(EventStream(block.x, block.y, t, block.p, WIDTH, HEIGHT))
