"""The truth of recordings written by ``scripts/simulate_dataset.py``."""

from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from datasets.prepared import Labels, Truth
from eventhpe.body import Body
from eventhpe.camera import Crop
from eventhpe.errors import InputError
from eventhpe.simulation.truth import SimulatedTruth, TrueSurface


def simulated_truth(path: Path, body: Body) -> Truth:
    """What is known of a simulated recording, or of one with poses alone in its ``truth``.

    Raises:
        InputError: it has no truth, or its truth belongs to another body.
    """
    truth = checked_truth(path, body)
    with h5py.File(path) as file:
        surfaces = "truth/event_surface" in file
    motion = SimulatedMotion(truth, body) if surfaces else None
    return Truth(truth.K_given, labels_of(truth, body), motion)


def checked_truth(path: Path, body: Body) -> SimulatedTruth:
    """The truth of a simulated recording.

    Raises:
        InputError: it has none, or it belongs to another body.
    """
    truth = SimulatedTruth.load(path)
    if truth.body_sha256 != body.sha256:
        raise InputError(
            path,
            f"truth for body {truth.body_id}",
            f"truth for body {body.body_id}",
            "Simulate the set again with this body.",
        )
    return truth


def labels_of(truth: SimulatedTruth, body: Body) -> Labels:
    """A recording's truth as training labels for the camera that is given to the network.

    Where the given focal length is g times the true one, a body of the true size has the same
    image (to first order) at g times the distance: that is what a network can be asked for.
    """
    with torch.no_grad():
        root = body.rest_joints(torch.from_numpy(truth.betas)[None])[0, 0]
    pelvis = truth.transl + root.numpy()
    pelvis[:, 2] *= truth.K_given[0, 0] / truth.K[0, 0]
    return Labels(
        step_us=int(truth.t_us[1] - truth.t_us[0]),
        rotations=truth.rotations,
        betas=truth.betas,
        pelvis=pelvis.astype(np.float32),
        present=truth.present,
    )


class SimulatedMotion:
    """The motion of the dressed mesh, as `datasets.prepared.TrueMotion`.

    Args:
        truth: of the recording.
        body: the body it was made with.
    """

    def __init__(self, truth: SimulatedTruth, body: Body) -> None:
        self._truth, self._body = truth, body

    def displacements(self, events: NDArray[np.uint32], t0: int, t1: int) -> NDArray[np.float32]:
        if self._surface is None or not len(events):
            return np.full((len(events), 2), np.nan, np.float32)
        first, last = int(events[0]), int(events[-1]) + 1
        with h5py.File(self._truth.path) as file:
            faces = file["truth/event_surface"][first:last]
        return self._surface.displacements(faces[events - first], t0, t1)

    def flow(self, t0: int, t1: int, crop: Crop) -> NDArray[np.float32]:
        size = (crop.size, crop.size)
        if self._surface is None:
            return np.full((2, *size), np.nan, np.float32)
        return self._surface.flow(t0, t1, crop.intrinsics(self._truth.K), size)

    @cached_property
    def _surface(self) -> TrueSurface | None:
        return TrueSurface(self._truth, self._body) if self._truth.present.any() else None
