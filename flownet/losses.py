"""Losses that teach optical flow without labels: from grayscale pairs, or from events alone."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from flownet.model import STRIDES
from flownet.warping import backward_warp, sample_flow, splat, warp_events

_REFERENCES = (0.0, 1.0)
_SHIFTS = (0.25, 0.75)


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
    first: Tensor, second: Tensor, flow: Tensor, references: Sequence[float] = (0.0,)
) -> Tensor:
    """Score a flow by how alike the two images are along it.

    A flow that belongs to the instant tau of the window joins the points x - tau F(x) of the first
    image and x + (1 - tau) F(x) of the second; points fetched from outside do not count:

        L = mean_x min_tau charbonnier(first(x - tau F) - second(x + (1 - tau) F))

    With the one reference 0 it is EV-FlowNet's eq. 2 (Zhu et al., RSS 2018) and EventHPE's: the
    flow at the window's start. But events fire where a surface passes during the window, also on
    pixels that it reaches only later, and there that flow is the background's, which is covered at
    the window's end. The least error over several references (after Godard et al., ICCV 2019,
    eq. 4) asks that *some* surface which is at x during the window moves by F(x).

    Args:
        first, second: (B, C, H, W) images in 0..1.
        flow: (B, 2, H, W) pixels of this grid per window.
        references: instants tau, 0 (the window's start) to 1 (its end).

    Returns:
        The mean over pixels with a valid reference; 0 (with gradient) when none has one.

    Raises:
        ValueError: when the images' values are not those of 0..1 images.
    """
    if max(first.max().item(), second.max().item()) > 1.5:
        raise ValueError("images must be in 0..1: the Charbonnier epsilon belongs to that range")
    least, seen = None, torch.zeros_like(first[:, :1], dtype=torch.bool)
    for tau in references:
        before, valid_before = backward_warp(first, -tau * flow)
        after, valid_after = backward_warp(second, (1 - tau) * flow)
        valid = valid_before & valid_after
        error = charbonnier(before - after).mean(dim=1, keepdim=True)
        error = error.masked_fill(~valid, torch.inf)
        least = error if least is None else torch.minimum(least, error)
        seen = seen | valid
    if least is None:
        raise ValueError("no reference")
    return least.where(seen, 0 * flow[:, :1]).sum() / seen.sum().clamp(min=1)


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


def frame_loss(
    flows: list[Tensor],
    first: Tensor,
    second: Tensor,
    smoothness_weight: float,
    references: Sequence[float] = (0.0,),
) -> tuple[Tensor, Tensor]:
    """Score FlowNet's flows by two grayscale images.

    On each scale the images are averaged onto the flow's grid and fetched along the flow divided by
    its stride; smoothness is that of full-resolution pixels on every scale.

    Args:
        flows: as FlowNet returns them.
        first, second: see `photometric_loss`, full resolution.
        smoothness_weight: of the smoothness term; EventHPE has 0.5 for images in 0..255.
        references: see `photometric_loss`.

    Returns:
        The total, and its photometric part alone; both averaged over the scales.
    """
    photometric = smoothness = flows[0].new_zeros(())
    for flow, stride in zip(flows, STRIDES, strict=True):
        before, after = (functional.avg_pool2d(i, stride, ceil_mode=True) for i in (first, second))
        photometric = photometric + photometric_loss(before, after, flow / stride, references)
        smoothness = smoothness + smoothness_loss(flow)
    return (photometric + smoothness_weight * smoothness) / len(flows), photometric / len(flows)


def endpoint_loss(flows: list[Tensor], events: Tensor, displacement: Tensor) -> Tensor:
    """Score FlowNet's flows by the true displacement of what fired each event: the bound of what
    the network could learn, for comparison.

    Args:
        flows: as FlowNet returns them.
        events: (B, N, 4), see `average_timestamp_loss`.
        displacement: (B, N, 2) pixels per window; NaN where it is not known.

    Returns:
        Mean endpoint error over the events and scales (with a rounded tip of 0.01 px); 0 (with
        gradient) where no displacement is known.
    """
    known = displacement.isfinite().all(dim=-1) & events[..., 3].ne(0)
    truth = torch.nan_to_num(displacement)
    total = flows[0].new_zeros(())
    for flow, stride in zip(flows, STRIDES, strict=True):
        error = sample_flow(flow, events[..., 0], events[..., 1], stride) - truth
        length = (error.square().sum(dim=-1) + 1e-4).sqrt()
        total = total + (length * known).sum() / known.sum().clamp(min=1)
    return total / len(flows)


def focus_loss(flow: Tensor, events: Tensor) -> Tensor:
    """Score a flow by how sharp the image of events becomes along it, relative to no motion.

    A measure for validation without truth: as a term beside the average timestamps it brought no
    better flow in trials, and costs more than they do.

    Maximising the gradient of the image of warped events H relative to the unwarped one, at several
    reference times, is Shiba et al., "Secrets of event-based optical flow", ECCV 2022, eqs. 4 to 6:

        G(F; tau) = mean_x |grad H(x; F, tau)|^2,    L = mean_tau G(0) / G(F; tau)

    One polarity each, tau in {0, 1/2, 1}. A flow that lets events collapse is sharp at one instant
    and blurred at the others, which costs more than it gains, for L is the mean of inverses. Events
    stand on whole pixels until a warp moves them between pixels, where the bilinear kernel blurs
    them: so all images are smoothed by a (1/4, 1/2, 1/4) kernel, and both G are averaged over
    shifts of the grid by a quarter and three quarters of a pixel.

    Args:
        flow: (B, 2, H, W) pixels per window.
        events: (B, N, 4), see `average_timestamp_loss`.

    Returns:
        The mean over windows with events: 1 for no motion, below 1 where events became sharper, at
        most 100 (where they left the image); 1 when no window has events.
    """
    events = events.to(flow.dtype)
    size = (flow.shape[-2], flow.shape[-1])
    event_flow = sample_flow(flow, events[..., 0], events[..., 1])
    still = _sharpness(events, torch.zeros_like(event_flow), 0.0, size)
    ratios = [
        still / _sharpness(events, event_flow, reference, size).maximum(0.01 * still + 1e-12)
        for reference in (0.0, 0.5, 1.0)
    ]
    has_events = events[..., 3].ne(0).any(dim=1) & still.gt(0)
    ratio = torch.stack(ratios).mean(dim=0).where(has_events, torch.zeros_like(still))
    empty = has_events.logical_not().all().to(flow.dtype)
    return ratio.sum() / has_events.sum().clamp(min=1) + empty


def _sharpness(
    events: Tensor, event_flow: Tensor, reference: float, size: tuple[int, int]
) -> Tensor:
    """(B,) mean squared gradient of the smoothed image of warped events, over sub-pixel shifts."""
    x, y = warp_events(events, event_flow, reference).unbind(dim=-1)
    real, layer = events[..., 3].ne(0).to(event_flow.dtype)[:, None], events[..., 3].lt(0).long()
    kernel = event_flow.new_tensor([0.25, 0.5, 0.25])
    kernel = (kernel[:, None] * kernel).expand(2, 1, 3, 3)
    total = event_flow.new_zeros(len(events))
    for right in _SHIFTS:
        for down in _SHIFTS:
            # A border of one pixel takes the shifted events.
            shape = (2, size[0] + 1, size[1] + 1)
            image = splat(x + right, y + down, real, layer, shape)[:, 0]
            image = functional.conv2d(functional.pad(image, (2, 2, 2, 2)), kernel, groups=2)
            across, along = image.diff(dim=-1), image.diff(dim=-2)
            total = total + across.square().mean(dim=(1, 2, 3)) + along.square().mean(dim=(1, 2, 3))
    return total / len(_SHIFTS) ** 2


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
