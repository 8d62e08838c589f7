"""Regions redrawn as clips are read: takes hold few of them, and a network learns them by heart.

A move is (scale, x, y) as `datasets.augmentation.moved` takes it: the region's side is multiplied
by ``scale``, and the region then moved by shares of its new side. What lay outside a take's region
is not known, and stays empty.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eventhpe.events.recipe import CLIP

FLOW_CHANNELS = 2


def draw_move(reach: float, rng: np.random.Generator) -> Tensor:
    """A random move (3,): sides up to exp(+-reach) as long, half of ``reach`` of them away."""
    scale = np.exp(reach * rng.uniform(-1, 1))
    x, y = 0.5 * reach * rng.uniform(-1, 1, 2)
    return torch.tensor([scale, x, y], dtype=torch.float32)


def moved_region(region: Tensor, move: Tensor) -> Tensor:
    """The regions (..., 3) of centre column, centre row and side, pixels, after a move (3,)."""
    side = region[..., 2:] * move[0]
    return torch.cat([region[..., :2] + move[1:] * side, side], dim=-1)


def moved_inputs(inputs: Tensor, moves: Tensor) -> Tensor:
    """A network's input (B, T, C + 2, S, S), resampled for the moves (B, 3) of its clips.

    Events are divided anew by the root mean square of their non-zero cells, as
    `eventhpe.events.recipe.InputRecipe.prepare` does; flow is in sides of the region.
    """
    steps, size = inputs.shape[1], inputs.shape[-1]
    scale, shift = moves[:, 0], moves[:, 1:]
    # grid_sample's coordinates run from -1 to 1 over the sides of the old region.
    affine = torch.zeros(len(moves), 2, 3, device=inputs.device)
    affine[:, 0, 0] = affine[:, 1, 1] = scale
    affine[:, :, 2] = 2 * shift * scale[:, None]
    shape = [len(moves), 1, size, size]
    grid = functional.affine_grid(affine, shape, align_corners=False)
    images = functional.grid_sample(inputs.flatten(1, 2), grid, align_corners=False)
    images = images.unflatten(1, (steps, -1))
    events, flow = images[:, :, :-FLOW_CHANNELS], images[:, :, -FLOW_CHANNELS:]
    filled = (events != 0).sum(dim=(2, 3, 4), keepdim=True).clamp(min=1)
    rms = (events.square().sum(dim=(2, 3, 4), keepdim=True) / filled).sqrt().clamp(min=1e-6)
    events = (events / rms).clamp(-CLIP, CLIP)
    return torch.cat([events, flow / scale.view(-1, 1, 1, 1, 1)], dim=2)
