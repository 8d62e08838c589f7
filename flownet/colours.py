"""Optical flow as colours: the direction is the hue, the length the saturation.

The coding of Baker et al., "A database and evaluation methodology for optical flow", IJCV 2011,
on how flow is shown: white is no motion, right is red, down yellow-green, left cyan, up violet.
Their wheel is a table of 55 colours; this one is smooth: three cosines, a third of a turn apart.
"""

import math

import torch
from torch import Tensor

UNKNOWN = 0.6  # grey of pixels without flow
_TOO_LONG = 0.75  # brightness of flow that is longer than the colours reach


def flow_to_colour(flow: Tensor, maximum: float) -> Tensor:
    """Paint a flow.

    Args:
        flow: (..., 2, H, W), (u right, v down); NaN where it is not known.
        maximum: the length that has the full colour, in the flow's unit, above 0. Longer flow is
            darker, so that it cannot be taken for flow of just that length.

    Returns:
        (..., 3, H, W) red, green, blue in 0..1; unknown pixels are grey.
    """
    u, v = torch.nan_to_num(flow).unbind(dim=-3)
    angle, length = torch.atan2(v, u), torch.hypot(u, v) / maximum
    thirds = torch.arange(3, device=flow.device) * (2 * math.pi / 3)
    hue = 0.5 + 0.5 * torch.cos(angle.unsqueeze(-3) - thirds[:, None, None])
    saturation = length.clamp(max=1).unsqueeze(-3)
    colour = 1 - saturation * (1 - hue)
    # Rounding must not darken the longest flow of an image that is painted at its own maximum.
    colour = colour.where(length.unsqueeze(-3) <= 1 + 1e-4, _TOO_LONG * colour)
    known = flow.isfinite().all(dim=-3, keepdim=True)
    return colour.where(known, torch.full_like(colour, UNKNOWN))


def wheel(size: int) -> Tensor:
    """The legend: (3, size, size), each point painted as the flow from the centre to it.

    The circle that touches the sides has the length of ``flow_to_colour``'s maximum; beyond it the
    picture is white.
    """
    reach = (torch.arange(size) + 0.5) * (2 / size) - 1
    flow = torch.stack([reach.expand(size, size), reach[:, None].expand(size, size)])
    return flow_to_colour(flow, 1.0).where(flow.norm(dim=0) <= 1, torch.ones(3, size, size))
