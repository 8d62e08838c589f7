"""What a trained ShapeNet's image features make of takes, computed once.

The features of the images as they are and of their mirror images are kept beside the takes, in a
file named by the network: what lies behind them can then be trained on long clips at little cost.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.clips import mirrored_images
from datasets.takes import Takes, image_tensor
from eventhpe.files import atomic_path
from shapenet.model import ShapeNet

BATCH = 64  # windows at once


def prepare_seen(
    folder: Path, takes: Sequence[Takes], network: ShapeNet, sha256: str
) -> list[NDArray[np.float16]]:
    """Features of every window of some recordings' takes.

    Args:
        folder: of the takes, one folder a recording in it.
        network: in evaluation mode.
        sha256: of its tensors.

    Returns:
        For each recording (2, N, F): of its N windows' images and of their mirror images, as
        `shapenet.model.ShapeNet.see` gives them; memory-mapped.
    """
    files = [folder / found.name / f"seen-{sha256[:12]}.npy" for found in takes]
    missing = [pair for pair in zip(files, takes, strict=True) if not pair[0].exists()]
    bar = tqdm(missing, desc="image features", unit="rec", disable=not missing)
    for path, found in bar:
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.save(file, _seen(network, found))
    return [np.load(path, mmap_mode="r") for path in files]


@torch.inference_mode()
def _seen(network: ShapeNet, takes: Takes) -> NDArray[np.float16]:
    parts = []
    for first in range(0, len(takes.t_us), BATCH):
        rows = slice(first, first + BATCH)
        images = {
            "events": torch.from_numpy(np.array(takes.events[rows])),
            "flow": torch.from_numpy(np.array(takes.flow[rows])),
        }
        pair = [network.see(image_tensor(i)[None])[0] for i in (images, mirrored_images(images))]
        parts.append(torch.stack(pair))
    return torch.cat(parts, dim=1).numpy().astype(np.float16)
