"""Warping images and events along optical flow.

Pixel (0, 0) has its centre at (0.0, 0.0); ``grid_sample`` is called with ``align_corners=True`` on
that grid, so u in 0..W-1 maps to 2 u / (W - 1) - 1 and each axis has its own divisor: the warp is
right at any aspect ratio.
"""

import torch
from torch import Tensor
from torch.nn import functional


def backward_warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Fetch ``image`` along the flow: ``warped(x) = image(x + flow(x))``.

    With the flow from the first to the second instant, warping the second image gives the first.
    Outside the image the nearest border value is taken (its gradient to the flow is zero there);
    the mask says where that happened.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W), (u right, v down), pixels.

    Returns:
        The warped image (B, C, H, W) and a validity mask (B, 1, H, W), True where the fetched point
        lies within the pixel centres of the image.

    Raises:
        ValueError: when the shapes do not belong together.
    """
    batch, _, height, width = image.shape
    if flow.shape != (batch, 2, height, width):
        raise ValueError(f"flow {tuple(flow.shape)} does not fit image {tuple(image.shape)}")
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    u = columns + flow[:, 0]
    v = rows[:, None] + flow[:, 1]
    valid = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    return _sample(image, u, v), valid[:, None]


def sample_flow(flow: Tensor, x: Tensor, y: Tensor, stride: int = 1) -> Tensor:
    """Read a flow bilinearly at points of the full-resolution grid.

    Args:
        flow: (B, 2, H/stride, W/stride); values are returned as they are, not scaled.
        x, y: (B, N) full-resolution pixels; points beyond the border take the border's flow.
        stride: of the flow's grid; its pixel i has its centre at (i + 0.5) stride - 0.5.

    Returns:
        (B, N, 2).
    """
    u = (x + 0.5) / stride - 0.5
    v = (y + 0.5) / stride - 0.5
    return _sample(flow, u[:, None], v[:, None])[:, :, 0].transpose(1, 2)


def warp_events(events: Tensor, event_flow: Tensor, reference: float) -> Tensor:
    """Carry events along their flow to one instant: x' = x + (reference - tau) flow.

    Source: Zhu et al., "Unsupervised event-based learning of optical flow, depth, and egomotion",
    CVPR 2019, eq. 3.

    Args:
        events: (B, N, 4) columns x, y, tau in 0..1, polarity.
        event_flow: (B, N, 2) pixels per window.
        reference: the instant, 0 (the window's start) to 1 (its end).

    Returns:
        Positions (B, N, 2).
    """
    return events[..., :2] + (reference - events[..., 2:3]) * event_flow


def splat(
    x: Tensor, y: Tensor, values: Tensor, layer: Tensor, shape: tuple[int, int, int]
) -> Tensor:
    """Add values to the four pixels around their points, with bilinear weights.

    Args:
        x, y: (B, N) pixels; shares of pixels outside the image are dropped.
        values: (B, C, N).
        layer: (B, N) int64 index of the image that each point belongs to, such as its polarity.
        shape: (layers, height, width).

    Returns:
        (B, C, layers, height, width).
    """
    layers, height, width = shape
    batch, channels, _ = values.shape
    grid = values.new_zeros(batch, channels, layers * height * width)
    left, top = x.detach().floor(), y.detach().floor()
    for step_x in (0, 1):
        for step_y in (0, 1):
            column, row = left + step_x, top + step_y
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = (layer * height + row.long()) * width + column.long()
            index = index.where(inside, torch.zeros_like(index))
            share = values * (weight * inside)[:, None]
            grid = grid.scatter_add(2, index[:, None].expand(-1, channels, -1), share)
    return grid.view(batch, channels, *shape)


def _sample(image: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Read (B, C, H, W) bilinearly at pixels u, v (B, h, w), border values outside."""
    height, width = image.shape[-2:]
    grid = torch.stack([2 * u / max(width - 1, 1) - 1, 2 * v / max(height - 1, 1) - 1], dim=-1)
    return functional.grid_sample(
        image, grid, mode="bilinear", padding_mode="border", align_corners=True
    )
