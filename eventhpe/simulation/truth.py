"""The truth beside a simulated recording: SMPL parameters in the camera frame, and exact flow.

Group ``truth`` of the recording's HDF5 file: ``t_us`` (M,) int64 at 100 Hz from 0 to the end,
``betas`` (10,), ``global_orient`` (M, 3) and ``body_pose`` (M, 69) axis-angle, ``transl`` (M, 3),
``joints`` (M, 24, 3) metres, ``present`` (M,) bool (a joint is in view), ``visible`` (M, 24) bool
(in the image and not behind an occluder; the body's own limbs do not count), ``K`` (3, 3) pixels,
``K_given`` (3, 3) the intrinsics that a user would have given, ``event_surface`` (N,) uint16 for
each event the face of the dressed mesh that fired it (65535: noise, or not the person),
``occluder`` (H, W) bool pixels of what stands before the person, group ``outfit`` the dressed mesh;
attributes ``body_id``, ``body_sha256``, ``frame`` = "camera" and ``description`` (JSON: motion,
seed, sensor).
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
from eventhpe.camera import project
from eventhpe.errors import InputError
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from eventhpe.rasterizer import NEAR, Buffers, mesh_flow, rasterize
from eventhpe.simulation.scene.outfit import Outfit
from eventhpe.simulation.sensor import NO_SURFACE

Float32 = NDArray[np.float32]

_NO_TRUTH = (
    "no ground truth",
    "a recording with a group 'truth'",
    "Make one with scripts/simulate_dataset.py.",
)


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
        path: the recording.
        rotations: (M, 24, 3, 3) matrices made of ``global_orient`` and ``body_pose``.
        description: the JSON attribute, decoded.
    """

    path: Path
    t_us: NDArray[np.int64]
    betas: Float32
    rotations: Float32
    transl: Float32
    joints: Float32
    present: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    K: NDArray[np.float64]
    K_given: NDArray[np.float64]
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
            found, *rest = _NO_TRUTH
            raise InputError(path, f"{found} ({error.args[0]})", *rest) from error

    @classmethod
    def _read(cls, file: h5py.File) -> "SimulatedTruth":
        group = file["truth"]
        t_us = group["t_us"][:]
        vectors = np.concatenate([group["global_orient"][:], group["body_pose"][:]], axis=1)
        vectors = vectors.reshape(len(t_us), 24, 3).astype(np.float32)
        return cls(
            path=Path(file.filename),
            t_us=t_us,
            betas=group["betas"][:].astype(np.float32),
            rotations=roma.rotvec_to_rotmat(torch.from_numpy(vectors)).numpy(),
            transl=group["transl"][:].astype(np.float32),
            joints=group["joints"][:].astype(np.float32),
            present=group["present"][:].astype(bool),
            visible=group["visible"][:].astype(bool),
            K=group["K"][:],
            K_given=group["K_given"][:],
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
        """(T, V, 3) camera-frame vertices of the body, undressed, at the asked-for times."""
        pose = self.at(t_us)
        rotations = torch.from_numpy(pose.rotations)
        betas = torch.from_numpy(pose.betas).expand(len(rotations), -1)
        with torch.no_grad():
            posed = body(betas, rotations[:, 0], rotations[:, 1:], torch.from_numpy(pose.transl))
        return posed.vertices.numpy()


class TrueSurface:
    """The dressed mesh of a recording's person over time: its shape, depth and exact flow.

    Args:
        truth: of a recording with a person.
        body: the body it was made with.

    Raises:
        ValueError: the recording has no person, or ``body`` is another one.
    """

    def __init__(self, truth: SimulatedTruth, body: Body) -> None:
        if truth.body_sha256 != body.sha256:
            raise ValueError(f"truth of body {truth.body_id}, not of {body.body_id}")
        with h5py.File(truth.path) as file:
            if "truth/outfit" not in file:
                raise ValueError(f"{truth.path} has no person")
            stored = {name: array[...] for name, array in file["truth/outfit"].items()}
            self.occluder = file["truth/occluder"][:]
        self.outfit = Outfit.from_arrays(stored, body)
        self._truth, self._body = truth, body

    def vertices(self, t_us: NDArray[np.integer] | int) -> Float32:
        """(T, V, 3) camera-frame vertices of the dressed mesh at times (T,) or one time."""
        pose = self._truth.at(t_us)
        return self.outfit.pose(self._body, pose.rotations, pose.transl, pose.betas)

    def buffers(self, t_us: int) -> Buffers:
        """Depth, mask (``silhouette``) and face seen at one time, sensor pixels.

        What ``occluder`` hides is still there.
        """
        truth, faces = self._truth, self.outfit.faces
        size = truth.width, truth.height
        return rasterize(self.vertices(t_us)[0], faces, truth.K, *size, cull_backfaces=True)

    def flow(
        self,
        t0_us: int,
        t1_us: int,
        K: NDArray[np.floating] | None = None,
        size: tuple[int, int] | None = None,
    ) -> Float32:
        """Flow from t0 to t1 of the surface that is visible at t0, exact for the mesh.

        Args:
            t0_us, t1_us: start and end of the window, microseconds.
            K: (3, 3) intrinsics of another image (a crop's); the recording's own when None.
            size: (width, height) of that image.

        Returns:
            (2, H, W) float32 pixels (u right, v down), NaN off the body and where something
            stands before it.
        """
        K = self._truth.K if K is None else np.asarray(K)
        width, height = size or (self._truth.width, self._truth.height)
        before, after = self.vertices(np.array([t0_us, t1_us]))
        buffers = rasterize(before, self.outfit.faces, K, width, height, cull_backfaces=True)
        flow = mesh_flow(buffers, self.outfit.faces, before, after, K)
        flow[:, self._hidden(K, width, height)] = np.nan
        return flow

    def _hidden(self, K: NDArray[np.floating], width: int, height: int) -> NDArray[np.bool_]:
        """(H, W) where the occluder shows in an image with intrinsics ``K`` of the same camera."""
        to_sensor = self._truth.K @ np.linalg.inv(K)
        v, u = np.mgrid[0:height, 0:width]
        pixels = np.stack([u, v, np.ones_like(u)], axis=-1) @ to_sensor.T
        x, y = np.rint(pixels[..., :2]).astype(int).transpose(2, 0, 1)
        inside = (x >= 0) & (y >= 0) & (x < self._truth.width) & (y < self._truth.height)
        return inside & self.occluder[np.where(inside, y, 0), np.where(inside, x, 0)]

    def displacements(self, surface: NDArray[np.uint16], t0_us: int, t1_us: int) -> Float32:
        """How far the surface that fired each event moves over a whole window.

        An event far from where its surface stood at t0 has that surface's displacement all the
        same: at a leading edge the pixel showed background at t0. Faces are a pixel or two wide,
        so a face's centroid stands for it.

        Args:
            surface: (N,) the events' face; `NO_SURFACE` for noise and what is not the person.
            t0_us, t1_us: start and end of the window, microseconds.

        Returns:
            (N, 2) float32 pixels of the sensor (u right, v down); NaN where there is no surface.
        """
        moved = np.full((len(surface), 2), np.nan, np.float32)
        signal = np.flatnonzero(surface != NO_SURFACE)
        corners = self.outfit.faces[surface[signal]]
        ends = self.vertices(np.array([t0_us, t1_us])).astype(np.float64)
        before, after = (vertices[corners].mean(axis=1) for vertices in ends)
        in_front = (before[:, 2] > NEAR) & (after[:, 2] > NEAR)
        shift = project(after[in_front], self._truth.K) - project(before[in_front], self._truth.K)
        moved[signal[in_front]] = shift
        return moved

    def event_flow(
        self, events: EventStream, surface: NDArray[np.uint16], t0_us: int, t1_us: int
    ) -> Float32:
        """Flow at event pixels: the mean of `displacements` over a pixel's signal events.

        Returns:
            (2, H, W) float32 sensor pixels from t0 to t1; NaN where no signal event fired.
        """
        return pixel_flow(events, self.displacements(surface, t0_us, t1_us))


def pixel_flow(events: EventStream, moved: Float32) -> Float32:
    """The mean of each pixel's events' known displacements.

    Args:
        events: N events.
        moved: (N, 2) their displacements, NaN where unknown.

    Returns:
        (2, H, W) float32 of the sensor; NaN where no event's displacement is known.
    """
    known = np.isfinite(moved).all(axis=1)
    place = events.y[known].astype(np.int64) * events.width + events.x[known]
    size = events.width * events.height
    count = np.bincount(place, minlength=size)
    sums = [np.bincount(place, moved[known, axis], size) for axis in (0, 1)]
    with np.errstate(invalid="ignore"):
        flow = np.stack(sums) / count
    return flow.reshape(2, events.height, events.width).astype(np.float32)


def signal_events(
    path: str | Path, t0_us: int, t1_us: int
) -> tuple[EventStream, NDArray[np.uint16]]:
    """The events of [t0, t1) of a simulated recording, and the surface that fired each.

    Raises:
        InputError: not a simulated recording.
    """
    recording = open_recording(path)
    with h5py.File(path) as file:
        if "truth/event_surface" not in file:
            raise InputError(path, *_NO_TRUTH)
        first, last = (_index_at(file, t) for t in (t0_us, t1_us))
        return recording.read(t0_us, t1_us), file["truth/event_surface"][first:last]


def _index_at(file: h5py.File, t_us: int) -> int:
    """The first event at or after a time, by the millisecond index of the DSEC layout."""
    index = file["ms_to_idx"]
    row = min(max(t_us // 1000, 0), len(index) - 1)
    first, last = int(index[row]), int(index[min(row + 1, len(index) - 1)])
    return first + int(np.searchsorted(file["events/t"][first:last], t_us))
