"""A clone of MMHPSD's prepared layout, made of simulated recordings of its camera.

Pose files are pickled lists of arrays, which joblib reads, too. What is not needed to train is left
out: ``pose_info.pkl`` and the authors' own flow.
"""

import pickle
from pathlib import Path

import h5py
import numpy as np
import roma
import torch
from numpy.typing import NDArray
from PIL import Image

from datasets.mmhpsd import BINS, INTERVAL_US, K_256, PLANES, SIZE
from eventhpe.body import Body
from eventhpe.camera import project
from eventhpe.events.recording import open_recording
from eventhpe.events.representations import binary_frame
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path
from eventhpe.simulation.motion.dhp19 import DHP19_MOVEMENTS
from eventhpe.simulation.simulate import SimulationConfig, simulate
from eventhpe.simulation.truth import SimulatedTruth

CLONE_SEED = 21
SUBJECTS = (3, 15, 1, 4, 2, 5, 7, 6, 8, 9, 10, 11, 12, 13, 14)
"""The data set's fifteen in the order in which a small clone takes them: one a part first."""


def clone_action(raw: Path, subject: int, number: int, duration_s: float, body: Body) -> None:
    """Simulate one action into the layout; a finished one is kept.

    The simulated recording stays beside it, in ``truth``.

    Args:
        raw: the clone's root.
        subject: 1 to 15, who looks the same in all actions.
        number: of the action, from 1.
        duration_s: its length.
        body: the body model.
    """
    name = f"subject{subject:02d}_group1_time{number}"
    recording = raw / "truth" / f"{name}.h5"
    if not recording.exists():
        motions = list(DHP19_MOVEMENTS.values())
        config = SimulationConfig(
            duration_s=duration_s,
            sensor="celex5",
            motion=motions[(number - 1) % len(motions)],
            person_seed=(CLONE_SEED, subject),
            exact_focal=True,
        )
        simulate(config, recording, [CLONE_SEED, subject, number], body)
    if not (raw / "pose_events" / name).exists():
        write_action(raw, name, recording)


def write_action(raw: Path, name: str, recording: Path) -> None:
    """Write a simulated recording as an action of the layout; its poses come last.

    The picture is that of a camera in the same place with MMHPSD's intrinsics.
    """
    truth, events = SimulatedTruth.load(recording), open_recording(recording).read()
    moved = _moved(events, truth.K)
    count = int(truth.t_us[-1]) // INTERVAL_US
    starts = INTERVAL_US * np.arange(count)
    for number, start in enumerate(starts.tolist()):
        planes = binary_frame(moved, start, start + INTERVAL_US, BINS) > 0
        picture = np.zeros((SIZE, SIZE, BINS), np.uint8)
        picture[..., PLANES] = 255 * planes.transpose(1, 2, 0)
        _save(raw / "events_256" / name / f"event{number:04d}.png", picture, "PNG")
    with h5py.File(recording) as file:
        if "frames" in file:
            for number, start in enumerate(starts.tolist()):
                nearest = int(np.argmin(np.abs(file["frames/t"][:] - start)))
                frame = _resampled(file["frames/image"][nearest], truth.K)
                _save(raw / "full_pic_256" / name / f"fullpic{number:04d}.jpg", frame, "JPEG")
    pose = truth.at(starts)
    vectors = roma.rotmat_to_rotvec(torch.from_numpy(pose.rotations)).numpy()
    folder = raw / "pose_events" / name
    writing = folder.with_name(folder.name + ".partial")
    writing.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        arrays = [
            pose.betas[None],
            vectors[number].reshape(1, 72),
            pose.transl[number, None],
            pose.joints[number],
            project(pose.joints[number].astype(np.float64), K_256).astype(np.float32),
        ]
        (writing / f"pose{number:04d}.pkl").write_bytes(pickle.dumps(arrays, protocol=4))
    writing.rename(folder)


def _moved(events: EventStream, K: NDArray[np.float64]) -> EventStream:
    """Events at the pixels where MMHPSD's intrinsics see them; those beyond are left out."""
    to = K_256 @ np.linalg.inv(K)
    x = np.rint(to[0, 0] * events.x + to[0, 1] * events.y + to[0, 2])
    y = np.rint(to[1, 1] * events.y + to[1, 2])
    keep = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
    t, p = events.t[keep], events.p[keep]
    return EventStream.from_arrays(x[keep], y[keep], t, p, SIZE, SIZE)


def _resampled(image: NDArray[np.uint8], K: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A frame as MMHPSD's intrinsics see it."""
    back = K @ np.linalg.inv(K_256)
    # Pillow counts from pixels' corners, K from their centres.
    offset = back[:2, 2] + 0.5 - back[:2, :2] @ [0.5, 0.5]
    rows = (*back[0, :2], offset[0], *back[1, :2], offset[1])
    picture = Image.fromarray(image).transform(
        (SIZE, SIZE), Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR
    )
    return np.asarray(picture)


def _save(path: Path, picture: NDArray[np.uint8], kind: str) -> None:
    with atomic_path(path) as partial:
        Image.fromarray(picture).save(partial, kind)
