"""Event-silhouette agreement: events should lie on the body, its moving outline should have events.

A differentiable stand-in for what `eventhpe.evaluation.silhouette` counts. Both distances are
taken to points, and so reach the pose through every projected vertex; beyond a few pixels they
flatten, so that noise far off and limbs that are elsewhere do not pull.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from shapenet.coherence import EVENT_LEVEL, GATE_SIDES_PER_S

TOLERANCE_PX = 1.5  # vertices are spread this densely; nearer is as good as there
REACH_PX = 4.0  # the pull is strongest at 0.6 of it beyond the tolerance, and fades behind it
EVENT_POINTS = 512  # events that speak for a step
_FAR_PX = 1e4


class Agreement(NamedTuple):
    """Robust distances, pixels of the crop, 0 to ``REACH_PX``.

    Attributes:
        events: () of events from the nearest vertex.
        outline: () of the moving outline from the nearest event.
    """

    events: Tensor
    outline: Tensor


def event_points(
    events: Tensor,
    bins: int,
    count: int = EVENT_POINTS,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Pixels with events in a window's last bins, where its final pose left them.

    Args:
        events: (N, C, S, S) event channels of the network's input.
        bins: how many of the last channels to look at.
        count: how many pixels to keep a step; of more, a random choice.
        generator: makes that choice.

    Returns:
        Points (N, count, 2) in pixels, and (N, count) bool: which of them exist.
    """
    fired = (events[:, -bins:].abs() > EVENT_LEVEL).any(dim=1).flatten(1)
    count = min(count, fired.shape[1])
    chance = torch.rand(fired.shape, generator=generator, device=fired.device) * fired
    value, place = chance.topk(count, dim=1)
    side = events.shape[-1]
    row = torch.div(place, side, rounding_mode="floor")
    return torch.stack([place % side, row], dim=-1).to(events.dtype), value > 0


def silhouette_agreement(
    before: Tensor,
    after: Tensor,
    points: Tensor,
    exist: Tensor,
    outline: Tensor,
    step_s: Tensor | float,
    size: int,
) -> Agreement:
    """How far events are from the body, and the body's moving outline from events.

    The first alone would be content with any body that covers all events, the second keeps it from
    growing. An outline vertex counts by how it moves, m^2 / (m^2 + g^2) of the gate of
    `shapenet.coherence.flow_coherence`: at rest it makes no events.

    Args:
        before, after: (N, V, 2) projected vertices at the beginning and the end of the step, in
            pixels of the step's crop. Only ``after`` is pulled.
        points, exist: (N, P, 2) and (N, P) of `event_points`.
        outline: (N, V) bool at the end of the step, see `shapenet.views.seen_vertices`.
        step_s: length of the step, seconds, (N,) or one for all.
        size: side of the crop's grid, pixels.
    """
    with torch.no_grad():
        distance = torch.cdist(points, after)
        to_vertex = distance.argmin(dim=2)
        to_event = distance.masked_fill(~exist[..., None], _FAR_PX).argmin(dim=1)
        step = torch.as_tensor(step_s, dtype=after.dtype, device=after.device).reshape(-1, 1)
        square = (after - before).square().sum(dim=-1)
        moving = square / (square + (GATE_SIDES_PER_S * step * size).square())
        weight = outline * moving * exist.any(dim=1, keepdim=True)
    # Only the nearest pairs are kept for the gradient, not the whole table of distances.
    missed = _robust(points - _rows(after, to_vertex))
    bare = _robust(after - _rows(points, to_event))
    return Agreement(_mean(missed, exist.to(missed.dtype)), _mean(bare, weight))


def _rows(points: Tensor, index: Tensor) -> Tensor:
    return points.gather(1, index[..., None].expand(-1, -1, 2))


def _robust(difference: Tensor) -> Tensor:
    """Geman & McClure's d^2 r / (d^2 + r^2) of what lies beyond the tolerance."""
    length = (difference.square().sum(dim=-1) + 1e-8).sqrt()
    square = (length - TOLERANCE_PX).clamp(min=0).square()
    return REACH_PX * square / (square + REACH_PX**2)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
