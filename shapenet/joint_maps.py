"""Where each joint lies in the crop, and how deep: maps read out by their centre of mass.

Regressing rotations from pooled features alone learns slowly where limbs are; a map a joint learns
it from few clips, and the regressor is told. A joint's place is the mean of pixel positions under
the softmax of its map, its depth the mean of a second map under the same weights: integral
regression (Sun et al., "Integral human pose regression", ECCV 2018, eqs. 2 and 7), here with a
depth map beside each heat-map instead of a volume (as in Mehta et al., "VNect", SIGGRAPH 2017).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_JOINTS = 24
NUMBERS = 4  # a joint: column, row, depth, and the height of its peak


class JointMaps(nn.Module):
    """A small feature pyramid and two maps a joint on its finest level.

    Args:
        channels: of the feature maps given, fine to coarse, each half the size of the one before.
        width: channels of the pyramid.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.maps = nn.Conv2d(width, 2 * NUM_JOINTS, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Read the joints.

        Args:
            features: (N, channels[i], H_i, W_i), fine to coarse.

        Returns:
            (N, 24, 4): column and row from the crop's centre in crop sides (-0.5 to 0.5), depth
            relative to the pelvis in metres, and the largest weight of the joint's softmax.
        """
        laterals = zip(self.laterals, features, strict=True)
        levels = [lateral(feature) for lateral, feature in laterals]
        total = levels[-1]
        for level in levels[-2::-1]:
            total = level + functional.interpolate(total, size=level.shape[-2:], mode="nearest")
        maps = self.maps(self.smooth(functional.relu(total))).float()
        height, width = maps.shape[-2:]
        heat, depth = maps.flatten(2).split(NUM_JOINTS, dim=1)
        weight = heat.softmax(dim=-1)
        row, column = torch.meshgrid(_centres(height, maps), _centres(width, maps), indexing="ij")
        places = [(weight * grid.flatten()).sum(-1) for grid in (column, row)]
        return torch.stack([*places, (weight * depth).sum(-1), weight.amax(-1)], dim=-1)


def _centres(count: int, like: Tensor) -> Tensor:
    """Centres of ``count`` cells of one crop side, from its middle."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count - 0.5
