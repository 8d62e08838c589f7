"""Losses that teach optical flow without labels: from grayscale pairs, or from events alone."""

import torch
from torch import Tensor
from torch.nn import functional

from flownet.model import STRIDES
from flownet.warping import backward_warp, sample_flow, splat, warp_events

_REFERENCES = (0.0, 1.0)


def charbonnier(x: Tensor, epsilon: float = 1e-3, exponent: float = 0.45) -> Tensor:
    """Return (x^2 + epsilon^2)^exponent, elementwise.

    Source: Zou et al. (EventHPE), ICCV 2021, and Zhu et al. (EV-FlowNet), RSS 2018, eq. 3, after
    Sun et al., "A quantitative analysis of current practices in optical flow estimation", IJCV
    2014.
    """
    return (x.square() + epsilon**2) ** exponent


def smoothness_loss(flow: Tensor) -> Tensor:
    """Return the mean Charbonnier difference of a flow between neighbours.

    Four directions (right, down, and both diagonals) reach every pair of the 8-neighbourhood once.
    Source: EV-FlowNet, eq. 4.

    Args:
        flow: (B, 2, H, W), H and W at least 2.
    """
    differences = (
        flow[..., :, 1:] - flow[..., :, :-1],
        flow[..., 1:, :] - flow[..., :-1, :],
        flow[..., 1:, 1:] - flow[..., :-1, :-1],
        flow[..., 1:, :-1] - flow[..., :-1, 1:],
    )
    return torch.stack([charbonnier(difference).mean() for difference in differences]).mean()


def photometric_loss(
    first: Tensor, second: Tensor, flows: list[Tensor], smoothness_weight: float = 0.5
) -> Tensor:
    """Score flows by how well the second image, fetched along them, gives the first.

    Source: EV-FlowNet, eqs. 2 to 5; EventHPE weights smoothness by 0.5 and averages over scales.
    On each scale the images are averaged onto the flow's grid and the flow, which is in
    full-resolution pixels, is divided by its stride. Points fetched from outside do not count.

    Args:
        first, second: (B, C, H, W) images in 0..1.
        flows: as FlowNet returns them.

    Raises:
        ValueError: when the images' values are not those of 0..1 images.
    """
    if max(first.max().item(), second.max().item()) > 1.5:
        raise ValueError("images must be in 0..1: the Charbonnier epsilon belongs to that range")
    total = flows[0].new_zeros(())
    for flow, stride in zip(flows, STRIDES, strict=True):
        target, source = (functional.avg_pool2d(i, stride, ceil_mode=True) for i in (first, second))
        warped, valid = backward_warp(source, flow / stride)
        errors = charbonnier(warped - target) * valid
        photometric = errors.sum() / (valid.sum() * first.shape[1]).clamp(min=1)
        total = total + photometric + smoothness_weight * smoothness_loss(flow)
    return total / len(flows)


def average_timestamp_loss(
    flow: Tensor, events: Tensor, size: tuple[int, int], stride: int = 1
) -> Tensor:
    """Score a flow by how well it brings together events of different times.

    Along the true flow, events that one edge fired at different times land on one pixel, so the
    average timestamp T of a pixel nears the window's middle; unaligned, each pixel keeps one time,
    and the mean of T^2 is higher. Zhu et al., CVPR 2019, eqs. 4 to 6, with bilinear kernel k, for
    each polarity, at both ends of the window (there with 1 - tau in place of tau):

        T(x) = sum_i k(x - x'_i) tau_i / n(x),    n(x) = sum_i k(x - x'_i)

    Their sum over pixels falls when events pile up. Hagenaars et al. (NeurIPS 2021, eq. 5) divide
    by the number of occupied pixels, which falls just as well when late events pile up while early
    ones scatter: on constructed edges and dots, random flow and flow towards a line then beat the
    truth. Here a pixel counts by the events that it holds,

        L = (sum_x n(x) T(x)^2 + sum_{i outside} tau_i^2) / N,

    so scattering is worth nothing: L is the mean of tau^2 less the variance of time *within*
    pixels. An event carried out of the image stays in the mean, as one that met no other (Paredes-
    Valles et al., ICCV 2023, leave it out; then leaving would pay).

    Args:
        flow: (B, 2, ceil(H/stride), ceil(W/stride)) in full-resolution pixels per window.
        events: (B, N, 4) columns x, y (full-resolution pixels), tau in 0..1, polarity +1 or -1;
            polarity 0 is padding.
        size: (H, W) at full resolution.
        stride: of the flow; events are gathered on the flow's own grid, so that coarse flows also
            feel events some pixels away.

    Returns:
        The mean over windows that hold events; 0 (with gradient) when none does. 1/3 is the score
        of evenly timed events that meet no other, 1/4 that of perfect alignment.
    """
    events = events.to(flow.dtype)
    tau, polarity = events[..., 2], events[..., 3]
    real = polarity.ne(0).to(flow.dtype)
    counts = real.sum(dim=1)
    event_flow = sample_flow(flow, events[..., 0], events[..., 1], stride)
    layer = polarity.lt(0).long()
    total = flow.new_zeros(len(flow))
    for reference in _REFERENCES:
        x, y = warp_events(events, event_flow, reference).unbind(dim=-1)
        inside = (x >= 0) & (x <= size[1] - 1) & (y >= 0) & (y <= size[0] - 1)
        held = real * inside
        time = tau if reference == 1.0 else 1 - tau
        x, y = ((c + 0.5) / stride - 0.5 for c in (x, y))
        x, y = x.clamp(0, flow.shape[-1] - 1), y.clamp(0, flow.shape[-2] - 1)
        values = torch.stack([held, held * time], dim=1)
        number, times = splat(x, y, values, layer, (2, *flow.shape[-2:])).unbind(dim=1)
        aligned = (times.square() / (number + 1e-9)).sum(dim=(1, 2, 3))
        total = total + aligned + ((real - held) * time.square()).sum(dim=1)
    score = total / (len(_REFERENCES) * counts.clamp(min=1))
    return score.sum() / counts.gt(0).sum().clamp(min=1)


def event_loss(
    flows: list[Tensor], events: Tensor, smoothness_weight: float
) -> tuple[Tensor, Tensor]:
    """Score FlowNet's flows by events alone.

    Args:
        flows: as FlowNet returns them, the last one at full resolution.
        events: see ``average_timestamp_loss``.
        smoothness_weight: of the smoothness term in the total.

    Returns:
        The total, and its average-timestamp part alone; both averaged over the scales.
    """
    height, width = flows[-1].shape[-2:]
    timestamp = flows[0].new_zeros(())
    smoothness = flows[0].new_zeros(())
    for flow, stride in zip(flows, STRIDES, strict=True):
        timestamp = timestamp + average_timestamp_loss(flow, events, (height, width), stride)
        smoothness = smoothness + smoothness_loss(flow)
    total = (timestamp + smoothness_weight * smoothness) / len(flows)
    return total, timestamp / len(flows)
