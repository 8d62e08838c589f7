"""Flow coherence: the moving body must move as the events' flow says.

Steps are flat, N = clips x time. Points are pixels of step k's S x S crop, for both moments: the
crop that moves from window to window then adds nothing. Flow is FlowNet's, in crop sides over its
window, and is compared with the body's motion over the step as motion of constant speed. It is an
observation here and receives no gradient.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from shapenet.views import sample

GATE_SIDES_PER_S = 30.0 / 256.0  # 4 pixels in 133 ms of a 256-pixel crop, as published
EPSILON_PX = 0.1  # motion under it has no direction, and differences under it no slope
EVENT_LEVEL = 0.1  # a voxel holds events from this share of the grid's root mean square


class Coherence(NamedTuple):
    """Both forms of the disagreement, averaged over the voters.

    Attributes:
        cosine: () 1 - cosine between the body's motion and the flow, 0 to 2.
        endpoint: () robust length of their difference, pixels of the crop.
        votes: () sum of the votes' weights; under 1 the averages fade to 0.
    """

    cosine: Tensor
    endpoint: Tensor
    votes: Tensor


def flow_coherence(
    start: Tensor,
    stop: Tensor,
    flow: Tensor,
    events: Tensor,
    voters: Tensor,
    window_s: Tensor | float,
    step_s: Tensor | float,
) -> Coherence:
    """Compare the motion of projected vertices with the flow they stand on.

    A voter's weight is its event support times m^2 / (m^2 + g^2) for a flow of m and the published
    gate of g pixels a step: still places say little, and no vertex is counted in or out by a hair.
    The endpoint form is Charbonnier's sqrt(d^2 + e^2) - e. The cosine is between (motion, e) and
    (flow, e), which Barron et al. (IJCV 1994) measure flow by: 1 where both are equal, even at
    rest, with a finite slope everywhere. Both have e = ``EPSILON_PX``.

    Args:
        start, stop: (N, V, 2) vertices at the step's beginning and end, pixels of its crop.
        flow: (N, 2, S, S) over the window, crop sides.
        events: (N, C, S, S) event channels of the network's input.
        voters: (N, V) bool, see `shapenet.views.seen_vertices`; others count for nothing.
        window_s, step_s: length of the window and of the step, seconds, (N,) or one for all.
    """
    seen = voters[..., None]
    # Vertices that do not vote may lie anywhere, even at infinity: they never enter a sum.
    start = torch.where(seen, start, torch.zeros_like(start))
    stop = torch.where(seen, stop, torch.zeros_like(stop))
    motion, observed = stop - start, _flow_of_step(flow, start, window_s, step_s)
    with torch.no_grad():
        gate = _column(GATE_SIDES_PER_S * step_s, flow) * flow.shape[-1]
        square = observed.square().sum(dim=-1)
        support = sample(event_support(events), start)[..., 0]
        weight = voters * support * square / (square + gate.square())
    epsilon = EPSILON_PX**2
    difference = (motion - observed).square().sum(dim=-1)
    endpoint = (difference + epsilon).sqrt() - EPSILON_PX
    norms = (motion.square().sum(dim=-1) + epsilon) * (square + epsilon)
    cosine = 1.0 - ((motion * observed).sum(dim=-1) + epsilon) / norms.sqrt()
    votes = weight.sum()
    enough = votes.clamp(min=1.0)
    return Coherence((weight * cosine).sum() / enough, (weight * endpoint).sum() / enough, votes)


def published_coherence(
    start: Tensor,
    stop: Tensor,
    flow: Tensor,
    window_s: Tensor | float,
    step_s: Tensor | float,
) -> Tensor:
    """Flow coherence as published (EventHPE, Zou et al., ICCV 2021): the mean over all vertices of
    [|flow| > gate] (1 - cosine).

    Hidden vertices vote on the flow of what hides them, and the more of the body stands still,
    the less the moving rest counts. Arguments as in `flow_coherence`; the gate is the published
    speed.
    """
    motion, observed = stop - start, _flow_of_step(flow, start, window_s, step_s)
    gate = _column(GATE_SIDES_PER_S * step_s, flow) * flow.shape[-1]
    moving = observed.norm(dim=-1) > gate
    cosine = torch.cosine_similarity(motion, observed, dim=-1, eps=EPSILON_PX**2)
    return (moving * (1.0 - cosine)).mean()


def event_support(events: Tensor) -> Tensor:
    """Share of the bins and pixels around each pixel that hold events.

    Args:
        events: (N, C, S, S) event channels of the network's input.

    Returns:
        (N, 1, S, S), 0 to 1, over 3 x 3 pixels.
    """
    held = (events.abs() > EVENT_LEVEL).to(events.dtype).mean(dim=1, keepdim=True)
    return torch.nn.functional.avg_pool2d(held, 3, stride=1, padding=1)


def _flow_of_step(
    flow: Tensor, start: Tensor, window_s: Tensor | float, step_s: Tensor | float
) -> Tensor:
    """Pixels of the crop (N, V, 2) that the flow at ``start`` moves in a step."""
    share = _column(step_s, flow) / _column(window_s, flow)
    return sample(flow.detach(), start) * (flow.shape[-1] * share)[..., None]


def _column(value: Tensor | float, like: Tensor) -> Tensor:
    """(N,) or a number as (N, 1) or (1, 1)."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(-1, 1)
