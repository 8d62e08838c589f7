"""A clone of DHP19: simulated people before its four cameras, in the data set's raw layout.

Beside the raw files ``truth/S{s}_{k}_{m}.h5`` keeps what no reader of DHP19 may know: the SMPL
parameters of every Vicon sample and the subject's marker offsets (`write_truth`).
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import roma
import torch

from datasets.dhp19_artefacts import artefact_words, clock_origin, special_of
from datasets.dhp19_layout import (
    CHANNELS,
    SESSION_MOVEMENTS,
    VICON_PERIOD_US,
    Events,
    RawRecording,
    write_aedat,
    write_vicon,
)
from datasets.dhp19_studio import film_in_studio
from datasets.dhp19_subjects import (
    Performance,
    draw_subject,
    in_dhp19,
    perform,
    posed_joints,
    vicon_markers,
)
from eventhpe.body.loading import load_body
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.files import atomic_path
from eventhpe.simulation.motion.dhp19 import DHP19_MOVEMENTS
from eventhpe.simulation.motion.retargeting import rest_joints

Rng = np.random.Generator

CLONE_SEED = 19
Film = Callable[[Performance, int, Rng], Iterator[Events]]
"""Simulates a performance before one camera channel: time-sorted batches, t = 0 at sample 0."""


def recordings(subjects: int, movements: int) -> list[RawRecording]:
    """The first ``movements`` movements, in the order of the sessions, of the first subjects."""
    table = [
        (session, movement)
        for session, count in enumerate(SESSION_MOVEMENTS, 1)
        for movement in range(1, count + 1)
    ]
    return [
        RawRecording(subject, session, movement)
        for subject in range(1, subjects + 1)
        for session, movement in table[:movements]
    ]


def truth_path(folder: Path, recording: RawRecording) -> Path:
    """Where a recording's truth is, outside the raw layout."""
    return folder / "truth" / recording.vicon_path(folder).with_suffix(".h5").name


def clone_recording(
    folder: Path,
    subject: int,
    session: int,
    movement: int,
    *,
    duration_s: float = 10.0,
    seed: int = CLONE_SEED,
    body: Body | None = None,
    film: Film = film_in_studio,
) -> dict[str, object]:
    """Simulate one recording into the raw layout, with its truth; finished ones are kept.

    The same arguments give the same files.

    Args:
        folder: the clone's root.
        subject, session, movement: whom and what, see `recordings`.
        duration_s: how long Vicon records; the cameras begin before and end after.
        seed: of the whole clone; a subject looks the same in all its recordings.
        body: the body model; the free default when None.
        film: the simulator.

    Returns:
        The truth's attribute ``description``: the recording's name and motion, how start and
        stop are marked, the timestamps' origin, duration and seed.

    Raises:
        InputError: the folder holds this recording from another seed or of another duration.
    """
    recording = RawRecording(subject, session, movement)
    events, vicon = recording.events_path(folder), recording.vicon_path(folder)
    truth = truth_path(folder, recording)
    if events.exists() and vicon.exists() and truth.exists():
        return finished(truth, {"duration_s": duration_s, "seed": seed})
    rngs = np.random.default_rng([seed, 1, *recording]).spawn(4 + len(CHANNELS))
    motion_rng, marker_rng, artefact_rng, clock_rng, *camera_rngs = rngs
    name = DHP19_MOVEMENTS[session, movement]
    person = draw_subject(seed, subject, body or load_body())
    performance = perform(motion_rng, person, name, duration_s)
    start_us, stop_us = (k * VICON_PERIOD_US for k in (performance.start, performance.stop))
    length_us = (len(performance.motion.rotations) - 1) * VICON_PERIOD_US
    description: dict[str, object] = {
        "name": truth.stem,
        "motion": name,
        "special": (special := special_of(clock_rng, recording)),
        "origin_us": (origin_us := clock_origin(clock_rng, recording, start_us, stop_us)),
        "duration_s": duration_s,
        "seed": seed,
    }
    write_truth(truth, performance, description)
    write_vicon(vicon, vicon_markers(marker_rng, performance))
    write_aedat(
        events,
        lambda channel: film(performance, channel, camera_rngs[channel]),
        start_us,
        stop_us,
        special,
        origin_us,
        artefact_words(artefact_rng, length_us, start_us, stop_us),
    )
    return description


def finished(truth: Path, asked: dict[str, object]) -> dict[str, object]:
    """The description of a recording that is there already.

    Raises:
        InputError: it was made otherwise than asked for.
    """
    with h5py.File(truth) as file:
        description: dict[str, object] = json.loads(file.attrs["description"])
    found = {name: description[name] for name in asked}
    if found != asked:
        raise InputError(
            truth,
            f"a recording of {found}",
            str(asked),
            "Another clone lies here: choose another folder, or empty this one.",
        )
    return description


def write_truth(path: Path, performance: Performance, description: dict[str, object]) -> None:
    """Write the SMPL parameters of Vicon's N samples in DHP19's world, z up, metres.

    ``t_us`` (N,) from the start's special event; ``betas`` (10,), ``global_orient`` (N, 3) and
    ``body_pose`` (N, 69) axis-angle, ``transl`` (N, 3) SMPL's translation, ``joints``
    (N, 24, 3), ``marker_offsets`` (13, 3) in the frames of the joints `DHP19_TO_SMPL`;
    attributes ``body_id``, ``body_sha256``, ``frame`` and ``description`` (JSON).
    """
    subject = performance.subject
    rotations, pelvis = in_dhp19(performance)
    joints = posed_joints(subject, rotations, pelvis)
    vectors = roma.rotmat_to_rotvec(torch.from_numpy(rotations)).numpy().astype(np.float32)
    with atomic_path(path) as partial, h5py.File(partial, "w") as file:
        file["t_us"] = np.arange(len(pelvis), dtype=np.int64) * VICON_PERIOD_US
        file["betas"] = subject.betas.astype(np.float32)
        file["global_orient"] = vectors[:, 0]
        file["body_pose"] = vectors[:, 1:].reshape(len(vectors), 69)
        file["transl"] = (pelvis - rest_joints(subject.body, subject.betas)[0]).astype(np.float32)
        file["joints"] = joints.astype(np.float32)
        file["marker_offsets"] = subject.offsets
        file.attrs["body_id"] = subject.body.body_id
        file.attrs["body_sha256"] = subject.body.sha256
        file.attrs["frame"] = "dhp19 world: z up, metres"
        file.attrs["description"] = json.dumps(description, sort_keys=True)
