"""Folders written by ``scripts/simulate_dataset.py``."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from datasets.prepared import Labels, PreparedRecording, prepare
from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.simulation.truth import SimulatedTruth


def load_simulated(
    folder: Path, recipe: InputRecipe, body: Body, most: int | None = None
) -> list[PreparedRecording]:
    """Every recording of a simulated set, filtered and tracked (cached in ``folder/cache``).

    Args:
        folder: holds ``*.h5`` recordings with a ``/truth`` group.
        recipe: names the filter.
        body: the body the truth's betas belong to.
        most: read only the first so many recordings.

    Raises:
        InputError: the folder holds no recording, or their truth belongs to another body.
    """
    paths = sorted(folder.glob("*.h5"))[:most]
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
        recordings.append(prepare(path, cache, recipe, truth.K, labels_of(truth, body)))
    return recordings


def labels_of(truth: SimulatedTruth, body: Body) -> Labels:
    """A recording's truth as training labels."""
    with torch.no_grad():
        root = body.rest_joints(torch.from_numpy(truth.betas)[None])[0, 0]
    return Labels(
        step_us=int(truth.t_us[1] - truth.t_us[0]),
        rotations=truth.rotations,
        betas=truth.betas,
        pelvis=(truth.transl + root.numpy()).astype(np.float32),
        present=truth.present,
    )
