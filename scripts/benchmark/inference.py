"""The row of a user's whole run: recording in, motion out."""

import tempfile
import time
from pathlib import Path

import numpy as np

from eventhpe.events import DsecWriter, EventStream, open_recording
from scripts.benchmark.inputs import HEIGHT, WIDTH, random_events
from scripts.benchmark.rows import Measured, row


@row("infer")
def bench_infer() -> Measured:
    """`infer` on ten seconds of a million events a second, 20 steps/s: recording over wall time.

    The events fall at random into a person-sized box. Both cores work, as for a user; the
    overlay is not drawn.
    """
    from eventhpe.body import load_body
    from eventhpe.camera import Camera
    from eventhpe.estimator import load_networks
    from eventhpe.inference import infer

    seconds, block = 10, random_events(1_000_000)
    box = EventStream(
        (block.x // 3 + 115).astype(np.uint16), block.y, block.t, block.p, WIDTH, HEIGHT
    )
    networks, body = load_networks(), load_body()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        with DsecWriter(path, WIDTH, HEIGHT) as writer:
            for i in range(seconds):
                t = box.t + i * 1_000_000
                writer.append(EventStream(box.x, box.y, t, box.p, WIDTH, HEIGHT))
        camera = Camera.from_fov(WIDTH, HEIGHT)

        def run(stop_s: int) -> float:
            start = time.perf_counter()
            recording = open_recording(path)
            infer(recording, networks, body, camera, stop_us=stop_s * 1_000_000, progress=False)
            return time.perf_counter() - start

        run(1)
        wall = float(np.median([run(seconds) for _ in range(3)]))
    return Measured("infer", seconds / wall, "x real time", 1.0, note="346x260, 20 steps/s")
