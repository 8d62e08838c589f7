"""The row of the overlay video."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from eventhpe.body import Body, load_body
from eventhpe.camera import Camera
from eventhpe.events import DsecWriter, EventStream, open_recording
from eventhpe.rendering import VIEWS, render_overlay
from eventhpe.sequence import MotionSequence
from scripts.benchmark.inputs import WINDOW_US, random_events, upright_motion
from scripts.benchmark.rows import Measured, row

WIDTH, HEIGHT = 640, 480
SECONDS = 5


@row("overlay")
def bench_overlay() -> Measured:
    """Frames a second of an mp4 with all views of a 640x480 recording, a frame a step.

    Half a million events a second; a person 1.7 m tall, 3 m off, walks to the side. Reading,
    posing, FlowNet, drawing and encoding, over wall time: two cores work, as for a user.
    """
    body = load_body()
    motion = _motion(body)
    beside = np.array([0.1, 0.0, 0.2], np.float32)
    truth = replace(motion, transl=motion.transl + beside)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        _write_events(path)

        def rate(**options: object) -> float:
            start = time.perf_counter()
            out = Path(folder) / "overlay.mp4"
            recording = open_recording(path)
            render_overlay(motion, recording, body, out, progress=False, **options)  # type: ignore[arg-type]
            return len(motion) / (time.perf_counter() - start)

        rate()
        whole, with_truth = (
            float(np.median([rate(**options) for _ in range(3)]))
            for options in ({}, {"truth": truth})
        )
    note = f"640x480, {', '.join(VIEWS)}, mp4, 2 cores"
    also = Measured("overlay.truth", with_truth, "frames/s", note="with truth and its errors")
    return Measured("overlay", whole, "frames/s", 20, note=note, also=(also,))


def _write_events(path: Path) -> None:
    block = random_events(2_000_000)
    rng = np.random.default_rng(1)
    x = rng.integers(0, WIDTH, len(block)).astype(np.uint16)
    y = rng.integers(0, HEIGHT, len(block)).astype(np.uint16)
    with DsecWriter(path, WIDTH, HEIGHT) as writer:
        for start in range(0, SECONDS * 1_000_000, 2_000_000):
            writer.append(EventStream(x, y, block.t + start, block.p, WIDTH, HEIGHT))


def _motion(body: Body) -> MotionSequence:
    steps = SECONDS * 1_000_000 // WINDOW_US
    swing = 0.5 * np.sin(np.arange(steps) * WINDOW_US * 1e-6 * 2 * np.pi)
    pose = np.zeros((steps, 69), np.float32)
    pose[:, 0], pose[:, 3] = swing, -swing  # the hips
    place = np.stack(
        [np.linspace(-0.8, 0.8, steps), np.full(steps, -0.2), np.full(steps, 3.0)], axis=1
    )
    camera = Camera.from_fov(WIDTH, HEIGHT)
    return replace(upright_motion(body, camera, pose, place, (120, 40, 400, 400)), floor_m=-1.2)
