"""DHP19 made ready for training: whose recording a file is, its camera, and its fitted truth.

``scripts/prepare_dhp19.py`` writes ``recordings/S{s}_{k}_{m}-camera{c}.h5`` and
``vicon/S{s}_{k}_{m}.h5``, ``scripts/fit_smpl.py`` writes ``smpl/S{s}_{k}_{m}.h5`` beside them. The
parts of a split are folders of links to the recordings (`datasets.dhp19_splits`).
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import roma
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from eventhpe.body import Body
from eventhpe.camera import Camera, dhp19_camera, project
from eventhpe.errors import InputError
from eventhpe.simulation.motion.dhp19 import DHP19_MOVEMENTS
from eventhpe.simulation.truth import SimulatedTruth

Float64 = NDArray[np.float64]

FIT_REMEDY = "Run python scripts/fit_smpl.py again with this body."
_NAME = re.compile(r"S(\d+)_(\d+)_(\d+)-camera([0-3])")


@dataclass(frozen=True)
class CameraRecording:
    """One camera's recording of a prepared DHP19.

    Attributes:
        root: the prepared set.
        subject, session, movement: counted from 1.
        channel: the camera, 0 to 3.
    """

    root: Path
    subject: int
    session: int
    movement: int
    channel: int

    @classmethod
    def of(cls, path: Path) -> "CameraRecording | None":
        """What a file is, or what a link points to; None where it is no recording of DHP19."""
        real = path.resolve()
        found = _NAME.fullmatch(real.stem)
        if found is None or real.parent.name != "recordings":
            return None
        return cls(real.parents[1], *map(int, found.groups()))

    @property
    def name(self) -> str:
        """Of the recording, which all four cameras share."""
        return f"S{self.subject}_{self.session}_{self.movement}"

    @property
    def path(self) -> Path:
        return self.root / "recordings" / f"{self.name}-camera{self.channel}.h5"

    @property
    def vicon(self) -> Path:
        """The markers' file, which need not exist."""
        return self.root / "vicon" / f"{self.name}.h5"

    @property
    def fit(self) -> Path:
        """The fitted body's file, which need not exist."""
        return self.root / "smpl" / f"{self.name}.h5"


@cache
def skewless_camera(channel: int) -> Camera:
    """DHP19's camera without skew, in metres: the nearest one in pixels where people move.

    Networks know focal lengths and a principal point alone, but K has a skew of up to 6.4 px.
    Dropping it costs 1 px on average and 2.7 px at most over a box of 1.5 m x 1.5 m x 2 m about
    the world's origin. This camera has the same centre, and focal lengths, principal point and
    axes (turned by about half a degree) with the least squared error over that box: on average
    0.5, 0.7, 0.1 and 0.7 px (channels 0 to 3), 2.4 px at most, which is at the box's corners.
    The calibration itself is 1 to 3 px off.

    Raises:
        ValueError: no such channel.
    """
    camera = dhp19_camera(channel)
    axes = (np.linspace(-0.75, 0.75, 7), np.linspace(-0.75, 0.75, 7), np.linspace(0, 2, 9))
    points = camera.to_camera(np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3))
    pixels = camera.project(points)

    def parts(unknown: Float64) -> tuple[Float64, Float64]:
        fx, fy, cx, cy = unknown[:4]
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        return K, Rotation.from_rotvec(unknown[4:]).as_matrix()

    def error(unknown: Float64) -> Float64:
        K, turn = parts(unknown)
        return np.asarray(project(points @ turn.T, K) - pixels).ravel()

    fx, fy, cx, cy = camera.K[[0, 1, 0, 1], [0, 1, 2, 2]]
    start = np.array([fx, fy, cx, cy, 0, 0, 0])
    K, turn = parts(least_squares(error, start, x_scale="jac").x)
    return Camera(K, camera.width, camera.height, turn @ camera.R, turn @ camera.t)


@dataclass(frozen=True)
class Fit:
    """The body fitted to a recording's markers, in DHP19's world (z up), metres.

    Attributes:
        t_us: (N,) from the start mark.
        betas: (10,).
        rotations: (N, 24, 3, 3), the root's in the world.
        transl: (N, 3) SMPL's translation; joints: (N, 24, 3).
        marker_offsets: (13, 3) from the joints `DHP19_TO_SMPL`, in the frames of the bones that
            these turn.
    """

    t_us: NDArray[np.int64]
    betas: NDArray[np.float32]
    rotations: NDArray[np.float32]
    transl: NDArray[np.float32]
    joints: NDArray[np.float32]
    marker_offsets: Float64

    @classmethod
    def load(cls, path: Path, body: Body) -> "Fit":
        """Read ``smpl/S{s}_{k}_{m}.h5``.

        Raises:
            InputError: there is none, it cannot be read, or it belongs to another body.
        """
        try:
            with h5py.File(path) as file:
                body_id, sha256 = str(file.attrs["body_id"]), str(file.attrs["body_sha256"])
                arrays = {
                    name: file[name][:]
                    for name in ("t_us", "betas", "transl", "joints", "marker_offsets")
                }
                vectors = np.concatenate([file["global_orient"][:], file["body_pose"][:]], axis=1)
        except (OSError, KeyError) as error:
            found = f"no fitted body ({error})" if path.exists() else "no file"
            remedy = "Run python scripts/fit_smpl.py on the prepared set."
            raise InputError(path, found, "a body fitted to the markers", remedy) from error
        if sha256 != body.sha256:
            found, expected = f"a fit of body {body_id}", f"one of body {body.body_id}"
            raise InputError(path, found, expected, FIT_REMEDY)
        vectors = vectors.reshape(len(vectors), 24, 3).astype(np.float32)
        rotations = roma.rotvec_to_rotmat(torch.from_numpy(vectors)).numpy()
        return cls(rotations=rotations, **arrays)


def fitted_truth(path: Path, body: Body) -> SimulatedTruth | None:
    """The fit beside a recording as the truth of its camera, `skewless_camera`.

    A person is present where a joint is in the image.

    Args:
        path: a recording of a prepared DHP19, or a link to one.
        body: the body that the fit must belong to.

    Returns:
        None where the file is no recording of DHP19, or nothing has been fitted to it.

    Raises:
        InputError: the fit cannot be read, or belongs to another body.
    """
    recording = CameraRecording.of(path)
    if recording is None or not recording.fit.exists():
        return None
    fit = Fit.load(recording.fit, body)
    camera = skewless_camera(recording.channel)
    joints = camera.to_camera(fit.joints.astype(np.float64))
    pixels = camera.project(joints)
    inside = (pixels > -0.5) & (pixels < (camera.width - 0.5, camera.height - 0.5))
    visible = inside.all(axis=-1) & (joints[..., 2] > 0)
    root = body.rest_joints(torch.from_numpy(fit.betas)[None])[0, 0].numpy()
    pelvis = camera.to_camera((fit.transl + root).astype(np.float64))
    rotations = fit.rotations.copy()
    rotations[:, 0] = camera.R.astype(np.float32) @ rotations[:, 0]
    motion = DHP19_MOVEMENTS.get((recording.session, recording.movement), "unknown")
    return SimulatedTruth(
        path=path,
        t_us=fit.t_us,
        betas=fit.betas,
        rotations=rotations,
        transl=(pelvis - root).astype(np.float32),
        joints=joints.astype(np.float32),
        present=np.asarray(visible.any(axis=1)),
        visible=visible,
        K=camera.K,
        K_given=camera.K,
        width=camera.width,
        height=camera.height,
        body_id=body.body_id,
        body_sha256=body.sha256,
        description={"motion": [motion], "sensor_name": "davis346", "take": None},
    )


@dataclass(frozen=True)
class Markers:
    """What Vicon saw: ``t_us`` (N,) from the start mark, ``mm`` (N, 13, 3) in DHP19's world and
    label order, NaN while hidden."""

    t_us: NDArray[np.int64]
    mm: Float64

    @classmethod
    def load(cls, path: Path) -> "Markers":
        """Read ``vicon/S{s}_{k}_{m}.h5``.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        try:
            with h5py.File(path) as file:
                return cls(file["t_us"][:], file["markers_mm"][:])
        except (OSError, KeyError) as error:
            found = f"no markers ({error})" if path.exists() else "no file"
            remedy = "Run python scripts/prepare_dhp19.py again; its report says what is missing."
            raise InputError(path, found, "t_us and markers_mm", remedy) from error
