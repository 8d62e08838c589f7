"""The row of the report: a motion over its recording as one page."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from eventhpe.body import Body
from eventhpe.camera import Camera
from eventhpe.events import open_recording
from eventhpe.sequence import MotionSequence
from scripts.benchmark.inputs import HEIGHT, WIDTH, WINDOW_US, busy_recording, upright_motion
from scripts.benchmark.rows import Measured, row

SECONDS = 10


@row("report")
def bench_report() -> Measured:
    """The page of ten seconds of a million events a second, with a truth; both cores work.

    The events fall at random into a person-sized box, which compresses worse than any person.
    """
    from eventhpe.body import load_body
    from eventhpe.rendering.report import write_report

    body = load_body()
    with tempfile.TemporaryDirectory() as folder:
        path, page = Path(folder) / "events.h5", Path(folder) / "report.html"
        busy_recording(path, SECONDS)
        motion = _swinging(body)
        truth = replace(motion, transl=motion.transl + np.array([0.1, 0, 0.1], np.float32))

        def run(stop_s: float) -> float:
            start = time.perf_counter()
            part, true = (m.slice(None, round(stop_s * 1e6)) for m in (motion, truth))
            write_report(part, open_recording(path), body, page, truth=true, progress=False)
            return time.perf_counter() - start

        run(0.5)
        wall = run(SECONDS + 1)
        size = Measured("report.size", page.stat().st_size / 1e6, "MB", note="most of it video")
    note = f"{WIDTH}x{HEIGHT}, {SECONDS} s, {len(motion)} steps"
    return Measured("report", wall, "s", 30, more_is_better=False, note=note, also=(size,))


def _swinging(body: Body) -> MotionSequence:
    """Someone three metres off who swings arms and legs once a second."""
    steps = SECONDS * 1_000_000 // WINDOW_US
    swing = np.sin(2 * np.pi * WINDOW_US * 1e-6 * np.arange(1, steps + 1))
    pose = np.zeros((steps, 23, 3))
    for joint, degrees in ((1, 25), (2, -25), (16, -30), (17, 30)):  # hips, then shoulders
        pose[:, joint - 1, 0] = np.radians(degrees) * swing
    place = np.tile([0, 0.2, 3.0], (steps, 1))
    camera = Camera.from_fov(WIDTH, HEIGHT)
    return upright_motion(body, camera, pose.reshape(steps, 69), place, (115, 0, 115, HEIGHT))
