"""The truth beside a simulated recording: SMPL parameters in the camera frame, and exact flow.

Group ``truth`` of the recording's HDF5 file: ``t_us`` (M,) int64 at 100 Hz from 0 to the end,
``betas`` (10,), ``global_orient`` (M, 3) and ``body_pose`` (M, 69) axis-angle, ``transl`` (M, 3),
``joints`` (M, 24, 3) metres, ``present`` (M,) bool, ``K`` (3, 3) pixels; attributes ``body_id``,
``body_sha256``, ``frame`` = "camera" and ``description`` (JSON: motion, seed, sensor).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import roma
import torch
from numpy.typing import NDArray

from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.rasterizer import mesh_flow, rasterize

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """The person at T asked-for times, camera frame.

    Attributes:
        betas: (10,).
        rotations: (T, 24, 3, 3) root first, then local rotations.
        transl: (T, 3) metres.
        joints: (T, 24, 3) metres, interpolated linearly.
        present: (T,) bool, of the nearest sample.
    """

    betas: Float32
    rotations: Float32
    transl: Float32
    joints: Float32
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class SimulatedTruth:
    """A recording's truth; the module's docstring has shapes and units.

    Attributes:
        rotations: (M, 24, 3, 3) matrices made of ``global_orient`` and ``body_pose``.
        description: the JSON attribute, decoded.
    """

    t_us: NDArray[np.int64]
    betas: Float32
    rotations: Float32
    transl: Float32
    joints: Float32
    present: NDArray[np.bool_]
    K: NDArray[np.float64]
    width: int
    height: int
    body_id: str
    body_sha256: str
    description: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> "SimulatedTruth":
        """Read the truth of a simulated recording.

        Raises:
            InputError: not an HDF5 file, or one without a complete group ``truth``.
        """
        try:
            with h5py.File(path) as file:
                return cls._read(file)
        except OSError as error:
            raise InputError(
                path, f"no readable HDF5 file ({error})", "a simulated recording", "Check the path."
            ) from error
        except KeyError as error:
            raise InputError(
                path,
                f"no ground truth ({error.args[0]})",
                "a recording with a group 'truth'",
                "Make one with scripts/simulate_dataset.py.",
            ) from error

    @classmethod
    def _read(cls, file: h5py.File) -> "SimulatedTruth":
        group = file["truth"]
        t_us = group["t_us"][:]
        vectors = np.concatenate([group["global_orient"][:], group["body_pose"][:]], axis=1)
        vectors = vectors.reshape(len(t_us), 24, 3).astype(np.float32)
        return cls(
            t_us=t_us,
            betas=group["betas"][:].astype(np.float32),
            rotations=roma.rotvec_to_rotmat(torch.from_numpy(vectors)).numpy(),
            transl=group["transl"][:].astype(np.float32),
            joints=group["joints"][:].astype(np.float32),
            present=group["present"][:].astype(bool),
            K=group["K"][:],
            width=int(file["events/width"][()]),
            height=int(file["events/height"][()]),
            body_id=str(group.attrs["body_id"]),
            body_sha256=str(group.attrs["body_sha256"]),
            description=json.loads(group.attrs["description"]),
        )

    def at(self, t_us: NDArray[np.integer] | int) -> Pose:
        """The person at times (T,) or one time, microseconds; clamped to the recording.

        Rotations are interpolated spherically between the 100 Hz samples, positions linearly.
        """
        t = np.clip(np.atleast_1d(t_us).astype(np.float64), self.t_us[0], self.t_us[-1])
        i = np.clip(np.searchsorted(self.t_us, t, side="right") - 1, 0, len(self.t_us) - 2)
        w = ((t - self.t_us[i]) / (self.t_us[i + 1] - self.t_us[i])).astype(np.float32)
        first = torch.from_numpy(self.rotations[i])
        change = roma.rotmat_to_rotvec(first.mT @ torch.from_numpy(self.rotations[i + 1]))
        part = roma.rotvec_to_rotmat(change * torch.from_numpy(w)[:, None, None])

        def mix(values: Float32) -> Float32:
            share = w.reshape((-1,) + (1,) * (values.ndim - 1))
            return np.asarray(values[i] + share * (values[i + 1] - values[i]))

        nearest = i + (w >= 0.5)
        return Pose(
            betas=self.betas,
            rotations=(first @ part).numpy(),
            transl=mix(self.transl),
            joints=mix(self.joints),
            present=self.present[nearest],
        )

    def vertices(self, body: Body, t_us: NDArray[np.integer] | int) -> Float32:
        """(T, V, 3) camera-frame vertices at the asked-for times."""
        pose = self.at(t_us)
        rotations = torch.from_numpy(pose.rotations)
        betas = torch.from_numpy(pose.betas).expand(len(rotations), -1)
        with torch.no_grad():
            posed = body(betas, rotations[:, 0], rotations[:, 1:], torch.from_numpy(pose.transl))
        return posed.vertices.numpy()


def truth_flow(
    truth: SimulatedTruth,
    body: Body,
    t0_us: int,
    t1_us: int,
    K: NDArray[np.floating] | None = None,
    size: tuple[int, int] | None = None,
) -> Float32:
    """Flow from t0 to t1 of the surface that is visible at t0, exact for the mesh.

    Args:
        truth: the recording's truth.
        body: the body it was made with.
        t0_us, t1_us: start and end of the window, microseconds.
        K: (3, 3) intrinsics of another image (a crop's); the recording's own when None.
        size: (width, height) of that image.

    Returns:
        (2, H, W) float32 pixels (u right, v down), NaN off the body; all NaN without a person.
    """
    K = truth.K if K is None else np.asarray(K)
    width, height = size or (truth.width, truth.height)
    if not truth.present.any():
        return np.full((2, height, width), np.nan, np.float32)
    before, after = truth.vertices(body, np.array([t0_us, t1_us]))
    buffers = rasterize(before, body.faces, K, width, height, cull_backfaces=True)
    return mesh_flow(buffers, body.faces, before, after, K)
