"""MMHPSD (Zou et al., ICCV 2021) in its prepared layout, and its way to recordings.

``events_256/<action>/event%04d.png`` has the four binary frames of an interval between grayscale
frames, ``full_pic_256/<action>/fullpic%04d.jpg`` the frames, and
``pose_events/<action>/pose%04d.pkl`` a joblib list of SMPL's beta (1, 10), theta (1, 72), tran
(1, 3), joints3d (24, 3) and joints2d, in the camera frame. What the layout does not say is assumed:

- an action's name begins with its subject, as ``subject01_group1_time1`` does;
- interval i lies between the frames i and i + 1, and pose i is of the moment of frame i;
- a PNG was written by OpenCV, with its planes in the order of time (blue, green, red, alpha).

An action becomes a recording of events, one for each lit pixel in the middle of its quarter of the
interval: ``binary`` recipes of two intervals and eight bins give the PNGs' planes back. Events have
no polarity then (all 1), and an interval, a fifteenth of a second, lasts 70 ms on the recording's
clock, for the clock of labels is 10 ms: real motion is 5 % faster.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py
import hdf5plugin
import numpy as np
import roma
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from eventhpe.body import Body
from eventhpe.body.joblib_arrays import read_joblib
from eventhpe.body.pickles import RefusedPickle
from eventhpe.body.retarget import retarget
from eventhpe.camera import project
from eventhpe.errors import InputError
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path
from eventhpe.simulation.truth import SimulatedTruth

Float32 = NDArray[np.float32]
Result = TypeVar("Result")

SIZE, BINS = 256, 4
INTERVAL_US, CLOCK_US = 70_000, 10_000
K_256 = np.array([[1679.3, 0, 641.0], [0, 1679.3, 641.0], [0, 0, 5.0]]) / 5.0
"""(1679.3, 1679.3, 641, 641) * 256 / 1280: the intrinsics that the set's authors use at 256 px."""
PLANES = [2, 1, 0, 3]  # of a PNG as Pillow reads it: red, green, blue, alpha
TEST_SUBJECTS, VAL_SUBJECTS = (1, 2, 7), (15,)
BODY_TOLERANCE_M = 0.01
_SHAPES = ((1, 10), (1, 72), (1, 3), (24, 3))
_REMEDY = "Take the file from the data set again, or take the action out."


@dataclass(frozen=True)
class Action:
    """An action's place in the prepared layout: ``raw`` is the folder that holds
    ``events_256``."""

    raw: Path
    name: str

    @property
    def subject(self) -> int:
        """From 1.

        Raises:
            InputError: the name does not begin with it.
        """
        found = re.match(r"subject(\d+)", self.name)
        if found is None:
            place = self.raw / "events_256" / self.name
            raise InputError(place, self.name, "a name like subject01_group1_time1", _REMEDY)
        return int(found[1])

    @property
    def part(self) -> str:
        """``test`` for the published test subjects 01, 02 and 07; ``val`` for the last subject,
        15, which is our choice; else ``train``."""
        if self.subject in TEST_SUBJECTS:
            return "test"
        return "val" if self.subject in VAL_SUBJECTS else "train"

    def files(self, kind: str) -> dict[int, Path]:
        """Files by number: of ``events_256``, ``full_pic_256`` or ``pose_events``."""
        found = {}
        for path in (self.raw / kind / self.name).glob("*"):
            if number := re.fullmatch(r"(?:event|fullpic|pose)(\d+)", path.stem):
                found[int(number[1])] = path
        return dict(sorted(found.items()))


def find_actions(raw: Path) -> list[Action]:
    """The actions of a prepared layout, in the order of their names.

    Raises:
        InputError: there is none.
    """
    names = sorted(path.name for path in (raw / "events_256").glob("*") if path.is_dir())
    if not names:
        expected = "MMHPSD's folders events_256, full_pic_256, pose_events"
        raise InputError(raw, "no events_256/<action>", expected, "Give the folder above them.")
    return [Action(raw, name) for name in names]


@dataclass(frozen=True)
class Poses:
    """An action's P poses.

    Attributes:
        number: (P,) of their frames.
        betas: (10,) their mean.
        rotations: (P, 24, 3, 3); transl, joints: (P, 3) and (P, 24, 3) metres; camera frame.
    """

    number: NDArray[np.int64]
    betas: Float32
    rotations: Float32
    transl: Float32
    joints: Float32


def read_poses(action: Action) -> Poses:
    """The poses of an action, as its files have them.

    Raises:
        InputError: there are not two, or a file holds something else, which is never run.
    """
    files = action.files("pose_events")
    if len(files) < 2:
        place = action.raw / "pose_events" / action.name
        raise InputError(place, f"{len(files)} poses", "two pose%04d.pkl or more", _REMEDY)
    found = [_pose(path) for path in files.values()]
    betas, theta, transl, joints = (np.stack(part) for part in zip(*found, strict=True))
    vectors = torch.from_numpy(theta.reshape(-1, 24, 3))
    return Poses(
        np.array(list(files), np.int64),
        betas[:, 0].mean(axis=0),
        roma.rotvec_to_rotmat(vectors).numpy(),
        transl[:, 0],
        joints,
    )


def on_body(poses: Poses, source: Body, target: Body, place: Path) -> Poses:
    """The poses on the body that networks know.

    Args:
        source: the body that the set's parameters belong to.
        place: what to name where they do not.

    Raises:
        InputError: the parameters do not give ``source`` the joints that the files have.
    """
    rotations, transl = torch.from_numpy(poses.rotations), torch.from_numpy(poses.transl)
    betas = torch.from_numpy(poses.betas)
    parameters = (rotations[:, 0], rotations[:, 1:])
    given = source.joints(betas.expand(len(rotations), -1), *parameters, transl).numpy()
    off = float(np.median(np.linalg.norm(given - poses.joints, axis=-1)))
    if not off < BODY_TOLERANCE_M:
        raise InputError(
            place,
            f"joints {1000 * off:.0f} mm from those of body {source.body_id}",
            f"at most {1000 * BODY_TOLERANCE_M:g} mm",
            "Give the SMPL file that the set was made with: --body SMPL.pkl.",
        )
    if source.sha256 == target.sha256:
        return poses
    moved = retarget(*parameters, betas, transl, source, target)
    turned = torch.cat([moved.global_orient[:, None], moved.body_pose], dim=1)
    betas = moved.betas.expand(len(turned), -1)
    joints = target.joints(betas, turned[:, 0], turned[:, 1:], moved.transl)
    return Poses(
        poses.number,
        moved.betas.numpy(),
        turned.numpy(),
        moved.transl.numpy(),
        joints.numpy(),
    )


def read_events(action: Action) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """An action's intervals: their number and planes (4, 256, 256), in order.

    Raises:
        InputError: a file is no such picture.
    """
    for number, path in action.files("events_256").items():
        picture = _checked(path, _picture, "a PNG")
        if picture.shape != (SIZE, SIZE, BINS):
            found = f"a picture of {picture.shape}"
            raise InputError(path, found, f"{(SIZE, SIZE, BINS)}", _REMEDY)
        yield number, picture[..., PLANES].transpose(2, 0, 1) > 0


def write_recording(action: Action, out: Path, source: Body, target: Body) -> None:
    """Write an action as a recording with frames and truth; finished ones are kept.

    Args:
        out: the HDF5 file, written atomically.
        source: the body of the set's parameters.
        target: the body of the truth.

    Raises:
        InputError: a file of the action cannot be read, or belongs to another body.
    """
    if out.exists():
        return
    poses = on_body(read_poses(action), source, target, action.raw / "pose_events" / action.name)
    first = min(action.files("events_256"), default=0)
    with atomic_path(out) as partial, DsecWriter(partial, SIZE, SIZE) as writer:
        stop = first
        for number, planes in read_events(action):
            start = (number - first) * INTERVAL_US
            plane, y, x = np.nonzero(planes)
            t = start + (2 * plane + 1) * INTERVAL_US // (2 * BINS)
            writer.append(EventStream.from_arrays(x, y, t, np.ones_like(t), SIZE, SIZE))
            stop = number + 1
        _write_frames(writer.file, action, first)
        _write_truth(writer.file, poses, first, stop, action.name, target)


def _write_frames(file: h5py.File, action: Action, first: int) -> None:
    files = {n: path for n, path in action.files("full_pic_256").items() if n >= first}
    if not files:
        return
    images = file.create_dataset(
        "frames/image",
        (len(files), SIZE, SIZE),
        np.uint8,
        chunks=(1, SIZE, SIZE),
        compression=hdf5plugin.Blosc(cname="zstd", clevel=3),
    )
    for row, path in enumerate(files.values()):
        image = _checked(path, _grey, "a JPEG")
        if image.shape != (SIZE, SIZE):
            raise InputError(path, f"a picture of {image.shape}", f"{(SIZE, SIZE)}", _REMEDY)
        images[row] = image
    file["frames/t"] = (np.array(list(files), np.int64) - first) * INTERVAL_US


def _write_truth(
    file: h5py.File, poses: Poses, first: int, stop: int, name: str, body: Body
) -> None:
    """The group ``truth`` that `eventhpe.simulation.truth` reads: poses alone, every 10 ms.

    Between poses it is interpolated; nobody is present further than an interval from a pose.
    """
    t_us = (poses.number - first) * INTERVAL_US
    known = SimulatedTruth(
        Path(file.filename),
        t_us,
        poses.betas,
        poses.rotations,
        poses.transl,
        poses.joints,
        np.ones(len(t_us), bool),
        np.ones((len(t_us), 24), bool),
        K_256,
        K_256,
        SIZE,
        SIZE,
        body.body_id,
        body.sha256,
        {},
    )
    clock = np.arange(0, (stop - first) * INTERVAL_US + 1, CLOCK_US, dtype=np.int64)
    pose = known.at(clock)
    vectors = roma.rotmat_to_rotvec(torch.from_numpy(pose.rotations)).numpy()
    pixels = project(pose.joints.astype(np.float64), K_256)
    inside = ((pixels > -0.5) & (pixels < SIZE - 0.5)).all(axis=-1) & (pose.joints[..., 2] > 0)
    near = np.abs(clock[:, None] - t_us).min(axis=1) <= INTERVAL_US
    truth: dict[str, Any] = {
        "t_us": clock,
        "betas": poses.betas,
        "global_orient": vectors[:, 0],
        "body_pose": vectors[:, 1:].reshape(len(clock), 69),
        "transl": pose.transl,
        "joints": pose.joints,
        "present": inside.any(axis=1) & near,
        "visible": inside & near[:, None],
        "K": K_256,
        "K_given": K_256,
    }
    for key, value in truth.items():
        file[f"truth/{key}"] = value
    attributes = file["truth"].attrs
    attributes["body_id"], attributes["body_sha256"] = body.body_id, body.sha256
    attributes["frame"] = "camera"
    attributes["description"] = f'{{"motion": ["{name}"], "sensor_name": "celex5"}}'


def _pose(path: Path) -> list[Float32]:
    """beta, theta, tran and joints3d of a file."""
    arrays = _checked(path, lambda place: read_joblib(place.read_bytes()), "lists of arrays")
    shapes = tuple(array.shape for array in arrays[:4])
    if shapes != _SHAPES or not all(np.isfinite(array).all() for array in arrays[:4]):
        expected = "beta (1, 10), theta (1, 72), tran (1, 3), joints3d (24, 3), all finite"
        raise InputError(path, f"arrays of {shapes}", expected, _REMEDY)
    return [array.astype(np.float32) for array in arrays[:4]]


def _checked(path: Path, read: Callable[[Path], Result], expected: str) -> Result:
    """What ``read`` makes of a file.

    Raises:
        InputError: it cannot be read, or asks to run something.
    """
    try:
        return read(path)
    except RefusedPickle as error:
        raise InputError(path, str(error), expected, f"It was not run. {_REMEDY}") from error
    except UnidentifiedImageError as error:
        raise InputError(path, "no picture", expected, _REMEDY) from error
    except Exception as error:  # broken bytes make the decoders raise nearly anything
        found = f"a broken file ({type(error).__name__}: {error})"
        raise InputError(path, found, expected, _REMEDY) from error


def _picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def _grey(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))
