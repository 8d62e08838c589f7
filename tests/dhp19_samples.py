"""A prepared and fitted DHP19 of the clone's people, without the cost of filming them."""

from pathlib import Path

import h5py
import numpy as np

from datasets.dhp19_clone import write_truth
from datasets.dhp19_subjects import draw_subject, perform, vicon_markers
from eventhpe.body import Body
from eventhpe.camera import dhp19_camera
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.stream import EventStream
from eventhpe.simulation.motion.dhp19 import DHP19_MOVEMENTS


def write_prepared(
    root: Path,
    body: Body,
    which: tuple[int, int, int],
    seconds: float = 1.5,
    events: int = 40_000,
) -> None:
    """One recording: the markers, the truth in the place of a fit, and, before each camera, events
    at random places near the body's joints."""
    subject, session, movement = which
    name = f"S{subject}_{session}_{movement}"
    rng = np.random.default_rng(which)
    person = draw_subject(19, subject, body)
    performance = perform(rng, person, DHP19_MOVEMENTS[session, movement], seconds)
    markers = vicon_markers(rng, performance)
    fit = root / "smpl" / f"{name}.h5"
    write_truth(fit, performance, {"name": name})
    (root / "vicon").mkdir(exist_ok=True)
    (root / "recordings").mkdir(exist_ok=True)
    with h5py.File(root / "vicon" / f"{name}.h5", "w") as file:
        file["t_us"] = 10_000 * np.arange(len(markers))
        file["markers_mm"] = markers
    with h5py.File(fit) as file:
        joints = file["joints"][:].astype(np.float64)
    for channel in range(4):
        camera = dhp19_camera(channel)
        t = np.sort(rng.integers(0, 10_000 * len(joints), events))
        places = joints[t // 10_000, rng.integers(0, 24, events)]
        pixels = camera.project(camera.to_camera(places)) + rng.normal(0, 4, (events, 2))
        x, y = np.clip(np.rint(pixels), 0, (345, 259)).astype(int).T
        with DsecWriter(root / "recordings" / f"{name}-camera{channel}.h5", 346, 260) as writer:
            writer.append(EventStream.from_arrays(x, y, t, rng.integers(0, 2, events), 346, 260))
