"""A prepared and fitted DHP19 of the clone's people, without the cost of filming them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.dhp19_clone import write_truth
from datasets.dhp19_subjects import (
    Performance,
    draw_subject,
    in_dhp19,
    perform,
    posed_joints,
    vicon_markers,
)
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
        with DsecWriter(root / "recordings" / f"{name}-camera{channel}.h5", 346, 260) as writer:
            writer.append(joint_events(joints, channel, rng, events))


def film_joints(
    performance: Performance, channel: int, rng: np.random.Generator
) -> Iterator[EventStream]:
    """`joint_events` of a whole performance, as the clone's camera."""
    everything = replace(performance, start=0, stop=len(performance.motion.rotations))
    joints = posed_joints(performance.subject, *in_dhp19(everything))
    yield joint_events(joints, channel, rng, 30_000 * len(joints) // 100)


def joint_events(
    joints: NDArray[np.float64], channel: int, rng: np.random.Generator, count: int
) -> EventStream:
    """Events at random places near joints (N, 24, 3) of DHP19's world, a centisecond each."""
    camera = dhp19_camera(channel)
    t = np.sort(rng.integers(0, 10_000 * len(joints), count))
    places = joints[t // 10_000, rng.integers(0, 24, count)]
    pixels = camera.project(camera.to_camera(places)) + rng.normal(0, 4, (count, 2))
    x, y = np.clip(np.rint(pixels), 0, (345, 259)).astype(int).T
    return EventStream.from_arrays(x, y, t, rng.integers(0, 2, count), 346, 260)
