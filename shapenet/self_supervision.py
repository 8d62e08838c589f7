"""What a recording without labels says about estimated poses: flow coherence and silhouettes.

A batch holds clips of B recordings and T steps, as in `shapenet.training`: ``inputs``, ``place``,
``intrinsics`` and ``region``; and ``follows`` (B, T) bool, whether a step follows the one before it
in the clip by one step of time, ``present`` (B, T) bool, whether a person is there.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from eventhpe.body.model import Body, BodySubset
from eventhpe.camera import decode_translation
from shapenet.coherence import flow_coherence
from shapenet.model import ShapeNetOutput
from shapenet.silhouette import event_points, silhouette_agreement
from shapenet.views import crop_points, seen_vertices, spread_vertices

RECENT = 0.375  # share of a window's bins whose events show where the pose at its end is
UNIT_SIDE = 64.0  # losses in pixels are those of a crop of so many, whatever the network's size


@dataclass(frozen=True)
class Sight:
    """What each step's crop sees of an estimate: observations, without gradient.

    Attributes:
        voters: (B, T, K) bool for coherence, at the step's beginning.
        outline: (B, T, K) bool at its end.
        points, exist: (B, T, P, 2) and (B, T, P) of `shapenet.silhouette.event_points`.
    """

    voters: Tensor
    outline: Tensor
    points: Tensor
    exist: Tensor

    def select(self, rows: Tensor) -> "Sight":
        """The sight of some clips, by index over B."""
        return Sight(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def join(cls, sights: "list[Sight]") -> "Sight":
        """The sights of several batches as one."""
        return cls(*(torch.cat([getattr(s, f.name) for s in sights]) for f in fields(cls)))


class SelfSupervision:
    """Terms of a loss that needs no labels.

    Args:
        body: that the network was trained with, on the network's device.
        event_channels: of the network's input; flow lies behind them.
        window_s: length of the windows, seconds.
    """

    def __init__(self, body: Body, event_channels: int, window_s: float) -> None:
        self.body = body
        self.subset = BodySubset(body, spread_vertices(body))
        self.event_channels = event_channels
        self.window_s = window_s

    def terms(
        self, output: ShapeNetOutput, batch: dict[str, Tensor], sight: Sight
    ) -> dict[str, Tensor]:
        """``endpoint`` and ``cosine`` of flow coherence, ``events`` and ``outline`` of silhouettes.

        Each reaches rotations, translation and betas of the output. ``endpoint``, ``events`` and
        ``outline`` are in pixels of a crop of ``UNIT_SIDE`` pixels. A clip's first step has no step
        before it and takes part only as the beginning of the second.
        """
        images = batch["inputs"][:, 1:].flatten(0, 1)
        size = images.shape[-1]
        vertices = self._pose(self.subset, output, batch)
        before, after = (
            crop_points(part.flatten(0, 1), *_view(batch), size)
            for part in (vertices[:, :-1], vertices[:, 1:])
        )
        present = batch["present"]
        pairs = (batch["follows"][:, 1:] & present[:, 1:] & present[:, :-1]).flatten()[:, None]
        voters, outline, points, exist = (
            value[:, 1:].flatten(0, 1)
            for value in (sight.voters, sight.outline, sight.points, sight.exist)
        )
        step_s = batch["place"][:, 1:, 3].flatten().exp()
        events, flow = images[:, : self.event_channels], images[:, self.event_channels :]
        coherence = flow_coherence(
            before, after, flow, events, voters & pairs, self.window_s, step_s
        )
        agreement = silhouette_agreement(
            before, after, points, exist & pairs, outline & pairs, step_s, size
        )
        scale = UNIT_SIDE / size
        return {
            "endpoint": coherence.endpoint * scale,
            "cosine": coherence.cosine,
            "events": agreement.events * scale,
            "outline": agreement.outline * scale,
        }

    @torch.no_grad()
    def look(self, output: ShapeNetOutput, batch: dict[str, Tensor], seed: int = 0) -> Sight:
        """Draw the estimated meshes and say which of their vertices each step's crop sees.

        Args:
            seed: of the choice of event pixels; one seed chooses the same ones every time.
        """
        clips, steps = batch["present"].shape
        device = batch["place"].device
        intrinsics, region = (values.cpu().numpy() for values in _view(batch))
        meshes = self._pose(self.body, output, batch)
        begin, end = (
            seen_vertices(
                part.flatten(0, 1).cpu().numpy(),
                self.body.faces,
                intrinsics,
                region,
                batch["inputs"].shape[-1],
                self.subset.indices,
            )
            for part in (meshes[:, :-1], meshes[:, 1:])
        )
        voters, outline = (
            functional.pad(torch.from_numpy(seen).unflatten(0, (clips, -1)), (0, 0, 1, 0))
            for seen in (begin.voters, end.outline)
        )
        generator = torch.Generator(device).manual_seed(seed)
        events = batch["inputs"][:, :, : self.event_channels].flatten(0, 1)
        bins = max(1, round(RECENT * self.event_channels))
        points, exist = event_points(events, bins, generator=generator)
        return Sight(
            voters.to(device),
            outline.to(device),
            points.unflatten(0, (clips, steps)),
            exist.unflatten(0, (clips, steps)),
        )

    def _pose(
        self, body: Body | BodySubset, output: ShapeNetOutput, batch: dict[str, Tensor]
    ) -> Tensor:
        """Vertices (B, T, V, 3) in the camera frame, metres."""
        rotations = output.rotations.flatten(0, 1)
        betas = output.betas.flatten(0, 1)
        posed = body(betas, rotations[:, 0], rotations[:, 1:], betas.new_zeros(len(betas), 3))
        code, region, intrinsics = output.translation_code, batch["region"], batch["intrinsics"]
        pelvis = decode_translation(
            code[..., 0],
            code[..., 1],
            code[..., 2],
            intrinsics[:, None, :2].expand_as(code[..., :2]),
            region[..., :2],
            region[..., 2],
            intrinsics[:, None, 2:],
        )
        placed = posed.vertices - posed.joints[:, :1] + pelvis.flatten(0, 1)[:, None]
        return placed.unflatten(0, code.shape[:2])


def select(output: ShapeNetOutput, rows: Tensor) -> ShapeNetOutput:
    """Some clips of an output, by index over B."""
    return _each([output], lambda values: values[0][rows])


def join(outputs: list[ShapeNetOutput]) -> ShapeNetOutput:
    """Outputs of several clips as one, along B."""
    return _each(outputs, torch.cat)


def _each(
    outputs: list[ShapeNetOutput], function: Callable[[list[Tensor]], Tensor]
) -> ShapeNetOutput:
    """Apply to each of the outputs' tensors; what a network does not give stays None."""
    values: dict[str, Any] = {}
    for field in fields(ShapeNetOutput):
        column = [getattr(output, field.name) for output in outputs]
        values[field.name] = None if column[0] is None else function(column)
    return ShapeNetOutput(**values)


def _view(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Intrinsics and regions of all steps but each clip's first, flat."""
    region = batch["region"][:, 1:]
    intrinsics = batch["intrinsics"][:, None].expand(-1, region.shape[1], -1)
    return intrinsics.flatten(0, 1), region.flatten(0, 1)
