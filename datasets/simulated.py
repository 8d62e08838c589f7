"""Folders written by ``scripts/simulate_dataset.py``."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.prepared import Labels, PreparedRecording, prepare
from eventhpe.body import Body
from eventhpe.camera import Crop
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.simulation.truth import SimulatedTruth, TrueSurface


def load_simulated(folder: Path, recipe: InputRecipe, body: Body) -> list[PreparedRecording]:
    """Every recording of a simulated set, filtered and tracked (cached in ``folder/cache``).

    Args:
        folder: holds ``*.h5`` recordings with a ``/truth`` group.
        recipe: names the filter.
        body: the body the truth's betas belong to.

    Raises:
        InputError: the folder holds no recording, or their truth belongs to another body.
    """
    paths = sorted(folder.glob("*.h5"))
    if not paths:
        raise InputError(
            folder,
            "no .h5 recordings",
            "a folder written by simulate_dataset.py",
            f"Run: python scripts/simulate_dataset.py train {folder}",
        )
    cache = folder / "cache"
    recordings = []
    for path in tqdm(paths, desc=f"prepare {folder.name}", unit="rec"):
        truth = SimulatedTruth.load(path)
        if truth.body_sha256 != body.sha256:
            raise InputError(
                path,
                f"truth for body {truth.body_id}",
                f"truth for body {body.body_id}",
                "Simulate the set again with this body.",
            )
        flow = partial(_crop_flow, truth, body)
        labels = labels_of(truth, body)
        recordings.append(prepare(path, cache, recipe, truth.K_given, labels, flow))
    return recordings


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


def _crop_flow(
    truth: SimulatedTruth, body: Body, t0: int, t1: int, crop: Crop
) -> NDArray[np.float32]:
    """Flow of the body's surface from t0 to t1 in crop pixels (2, S, S), NaN off the body."""
    size = (crop.size, crop.size)
    if not truth.present.any():
        return np.full((2, *size), np.nan, np.float32)
    return TrueSurface(truth, body).flow(t0, t1, crop.intrinsics(truth.K), size)
