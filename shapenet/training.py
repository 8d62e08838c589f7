"""Training of stage two: tensors in, losses out.

A batch holds clips of B recordings and T steps:

====================  =================  ============================================
``inputs``            (B, T, C, S, S)    events, then flow divided by the crop's side; or
``seen``              (B, T, F)          what frozen image features make of them
``place``             (B, T, 4)          the crop's place and the step, see ``ShapeNet``
``step_s``            (B,)               time from step to step, seconds
``intrinsics``        (B, 4)             fx, fy, cx, cy of the sensor, pixels
``region``            (B, T, 3)          centre column, centre row, side, pixels
``labelled``          (B,)               1 where the rest is known, 0 where it is not used
``rotations``         (B, T, 24, 3, 3)   pose at each window's end, camera frame
``betas``             (B, 10)            body shape
``pelvis``            (B, T, 3)          metres, camera frame
``present``           (B, T)             1 where a person is, 0 where nobody is
====================  =================  ============================================
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from eventhpe.body import load_body
from eventhpe.body.model import BodyOutput, BodySubset
from eventhpe.camera import decode_translation, encode_translation
from eventhpe.schedule import cosine_cycle
from shapenet import losses
from shapenet.coherence import flow_coherence, published_coherence
from shapenet.model import ShapeNet, ShapeNetOutput, preset_config
from shapenet.views import crop_points, seen_vertices, spread_vertices

Batch = dict[str, Tensor]
CoherenceForm = Literal["published", "ours"]

WEIGHTS = {
    "rotation": 1.0,
    "joints": 8.0,
    "projection": 6.0,
    "maps": 10.0,
    "code": 1.0,
    "translation": 0.0,
    "vertices": 0.0,
    "shape": 0.02,
    "velocity": 5.0,
    "presence": 0.1,
    "confidence": 0.05,
    "coherence": 0.0,
}
ENDPOINT_PER_COSINE = 0.1  # a pixel's endpoint error counts as much as this much cosine


@dataclass(frozen=True)
class _Posed:
    """Poses of N = B x T steps: joints (N, 24, 3) around the pelvis, the pelvis (N, 3), metres."""

    betas: Tensor
    rotations: Tensor
    joints: Tensor
    pelvis: Tensor

    @property
    def placed(self) -> Tensor:
        return self.joints + self.pelvis[:, None]


class ShapeTraining(LightningModule):
    """Trains a ShapeNet.

    Networks of increments begin each clip from the true pose of its first step, and are scored on
    the others.

    Args:
        preset: name of a ShapeNet preset.
        in_channels: event channels and the two of flow.
        flow: whether the network looks at the flow.
        image_size: side of the input, pixels; None is the preset's.
        frozen_images: train only what lies behind the image features, which then may be computed
            once (``seen``): clips can be long, for the memory. Leaves no images for coherence.
        learning_rate: peak of the cosine cycle.
        weight_decay: of AdamW.
        loss_weights: replaces entries of ``WEIGHTS``; what has weight 0 is not computed.
        coherence: its form, where it has a weight.
        window_s: length of the windows that the flow spans, seconds; for coherence.
    """

    def __init__(
        self,
        preset: str = "small",
        in_channels: int = 10,
        flow: bool = True,
        image_size: int | None = None,
        frozen_images: bool = False,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        loss_weights: dict[str, float] | None = None,
        coherence: CoherenceForm = "ours",
        window_s: float = 0.05,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        config = replace(preset_config(preset), in_channels=in_channels, flow=flow)
        if image_size is not None:
            config = replace(config, image_size=image_size)
        self.network = ShapeNet(config)
        self.body = load_body()
        self.voters = BodySubset(self.body, spread_vertices(self.body))
        self.frozen_images = frozen_images
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        unknown = set(loss_weights or ()) - set(WEIGHTS)
        if unknown:
            raise ValueError(f"no losses {sorted(unknown)}; there are {sorted(WEIGHTS)}")
        self.loss_weights = {**WEIGHTS, **(loss_weights or {})}
        if frozen_images and self.loss_weights["coherence"]:
            raise ValueError("coherence needs images, which frozen_images leaves out")
        self.coherence: CoherenceForm = coherence
        self.window_s = window_s
        if frozen_images:
            for module in self.network.image_modules():
                module.requires_grad_(False)

    def setup(self, stage: str) -> None:
        # The mean pose belongs to the data; a trained network keeps the one it was begun with.
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and data is not None and self.network.untrained_mean():
            self.network.mean_rotations.copy_(data.mean_rotations())

    def train(self, mode: bool = True) -> "ShapeTraining":
        super().train(mode)
        if self.frozen_images:
            for module in self.network.image_modules():
                module.eval()  # batch statistics of other data must not move it, either
        return self

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        terms, _ = self._terms(batch)
        loss = self._total(terms)
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        terms, errors = self._terms(batch)
        # Figures are means over all steps with a person, whatever the recordings' lengths.
        self.log("val/loss", self._total(terms), batch_size=batch["present"].numel())
        people = int(batch["present"].sum())
        for name, value in errors.items() if people else ():
            self.log(f"val/{name}", value, batch_size=people, prog_bar=name == "pel_mm")

    def configure_optimizers(self) -> Any:
        learned = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learned, self.learning_rate, weight_decay=self.weight_decay)
        # Computed anew when a run goes on, so that it may go on for longer than was planned.
        total = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: cosine_cycle(step, total))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _total(self, terms: dict[str, Tensor]) -> Tensor:
        return torch.stack([self.loss_weights[name] * value for name, value in terms.items()]).sum()

    def _terms(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Every loss that has a weight, and figures for validation."""
        batch, output = self._read(batch)
        known = batch["labelled"][:, None].expand(-1, batch["present"].shape[1])
        weight = (batch["present"] * known).flatten()
        found = self._predicted(output, batch)
        truth = self._true(batch)
        centred, true_centred = losses.centred(found.joints), losses.centred(truth.joints)
        distance = (centred - true_centred).norm(dim=-1).mean(dim=-1)
        clips = (*known.shape, *found.joints.shape[1:])
        seen, true_seen = (crop_points(p.placed, *_crops(batch), size=1) for p in (found, truth))
        chosen = self.loss_weights
        terms = {
            "rotation": losses.rotation_loss(found.rotations, truth.rotations, weight),
            "joints": losses.joint_loss(found.joints, truth.joints, weight),
            "projection": losses.projection_loss(seen, true_seen, weight),
        }
        if chosen["translation"]:
            terms["translation"] = losses.translation_loss(found.pelvis, truth.pelvis, weight)
        if chosen["velocity"]:
            terms["velocity"] = losses.velocity_loss(
                found.joints.view(clips), truth.joints.view(clips), weight.view_as(known)
            )
        if chosen["vertices"]:
            terms["vertices"] = self._vertex_loss(found, truth, weight)
        if chosen["coherence"]:
            terms["coherence"] = self._coherence(found, truth, batch)
        if self.network.config.head == "absolute":
            terms |= self._absolute_terms(output, found, truth, distance, weight, known, batch)
        if output.joint_maps is not None and chosen["maps"]:
            maps = output.joint_maps.flatten(0, 1)
            terms["maps"] = losses.joint_map_loss(maps, true_seen, truth.joints[..., 2], weight)
        depth = (found.pelvis - truth.pelvis)[:, 2].abs() / truth.pelvis[:, 2].clamp(min=1e-3)
        absolute = (found.placed - truth.placed).norm(dim=-1).mean(dim=-1)
        errors = {
            "pel_mm": 1000 * losses.weighted_mean(distance, weight),
            "mpjpe_mm": 1000 * losses.weighted_mean(absolute, weight),
            "depth_percent": 100 * losses.weighted_mean(depth, weight),
        }
        return terms, errors

    def _read(self, batch: Batch) -> tuple[Batch, ShapeNetOutput]:
        """The network's answer, and the batch in float32 with the steps that are answered."""
        state, place = None, batch["place"]
        seen = batch["seen"].float() if "seen" in batch else self.network.see(batch["inputs"])
        batch = {k: v.float() for k, v in batch.items()}  # losses stay in float32
        if self.network.config.head == "increments":
            start = (batch["rotations"][:, 0], batch["pelvis"][:, 0], batch["betas"])
            state = self.network.start_state(*start)
            seen, place = seen[:, 1:], place[:, 1:]
            steps = ("inputs", "region", "rotations", "pelvis", "present")
            batch = {k: v[:, 1:] if k in steps else v for k, v in batch.items()}
        output, _ = self.network.remember(seen, place, state)
        return batch, output

    def _absolute_terms(
        self,
        output: ShapeNetOutput,
        found: _Posed,
        truth: _Posed,
        distance: Tensor,
        weight: Tensor,
        known: Tensor,
        batch: Batch,
    ) -> dict[str, Tensor]:
        """Losses of what increments do not predict."""
        presence = functional.binary_cross_entropy_with_logits(
            output.presence_logit.flatten(), batch["present"].flatten(), reduction="none"
        )
        return {
            "code": losses.code_loss(
                output.translation_code.flatten(0, 1), _true_code(batch), weight
            ),
            "shape": losses.weighted_mean((found.betas - truth.betas).square(), weight),
            "presence": losses.weighted_mean(presence, known.flatten()),
            "confidence": losses.confidence_loss(
                output.log_variance.flatten(), 10.0 * distance, weight
            ),
        }

    def _predicted(self, output: ShapeNetOutput, batch: Batch) -> _Posed:
        code = output.translation_code.flatten(0, 1)
        if self.network.config.head == "increments":
            pelvis = code
        else:
            pelvis = decode_translation(code[:, 0], code[:, 1], code[:, 2], *_geometry(batch))
        return self._posed(output.betas.flatten(0, 1), output.rotations.flatten(0, 1), pelvis)

    def _true(self, batch: Batch) -> _Posed:
        steps = batch["present"].shape[1]
        betas = batch["betas"][:, None].expand(-1, steps, -1).flatten(0, 1)
        rotations = batch["rotations"].flatten(0, 1)
        return self._posed(betas, rotations, batch["pelvis"].flatten(0, 1))

    def _posed(self, betas: Tensor, rotations: Tensor, pelvis: Tensor) -> _Posed:
        zero = betas.new_zeros(len(betas), 3)
        joints = self.body.joints(betas, rotations[:, 0], rotations[:, 1:], zero)
        return _Posed(betas, rotations, joints - joints[:, :1], pelvis)

    def _surface(self, posed: _Posed) -> BodyOutput:
        """The voters (N, V, 3), placed, and the pelvis as first joint."""
        rest = self.body.rest_joints(posed.betas)[:, 0]
        rotations = posed.rotations
        out: BodyOutput = self.voters(
            posed.betas, rotations[:, 0], rotations[:, 1:], posed.pelvis - rest
        )
        return out

    def _vertex_loss(self, found: _Posed, truth: _Posed, weight: Tensor) -> Tensor:
        first, second = self._surface(found).vertices, self._surface(truth).vertices
        return losses.vertex_loss(first, second, found.pelvis, truth.pelvis, weight)

    def _coherence(self, found: _Posed, truth: _Posed, batch: Batch) -> Tensor:
        """Coherence of each step but a clip's first, which has no pose before it."""
        clips = batch["present"].shape
        vertices = self._surface(found).vertices.unflatten(0, clips)
        intrinsics, region = (value.unflatten(0, clips)[:, 1:] for value in _crops(batch))
        crops = (intrinsics.flatten(0, 1), region.flatten(0, 1))
        inputs = batch["inputs"][:, 1:].flatten(0, 1)
        events, flow = inputs[:, :-2], inputs[:, -2:]
        step_s = batch["step_s"][:, None].expand(clips)[:, 1:].flatten()
        size = inputs.shape[-1]
        # Steps whose ends both show the person; what unlabelled clips show is not known.
        there = torch.where(batch["labelled"][:, None] > 0, batch["present"], 1.0)
        both = (there[:, 1:] * there[:, :-1]).flatten() > 0
        if not both.any():
            return found.pelvis.sum() * 0.0
        start, stop = (
            crop_points(ends.flatten(0, 1)[both], crops[0][both], crops[1][both], size)
            for ends in (vertices[:, :-1], vertices[:, 1:])
        )
        if self.coherence == "published":
            return published_coherence(start, stop, flow[both], self.window_s, step_s[both])
        voters = self._voters(found, truth, batch, crops, both, size)
        form = flow_coherence(
            start, stop, flow[both], events[both], voters, self.window_s, step_s[both]
        )
        return form.cosine + ENDPOINT_PER_COSINE * form.endpoint

    @torch.no_grad()
    def _voters(
        self,
        found: _Posed,
        truth: _Posed,
        batch: Batch,
        crops: tuple[Tensor, Tensor],
        both: Tensor,
        size: int,
    ) -> Tensor:
        """Which voters each step's beginning shows: by the true mesh where there is one."""
        clips = batch["present"].shape
        known = batch["labelled"][:, None].expand(clips).flatten() > 0

        def begins(name: str) -> Tensor:
            first, second = (getattr(posed, name) for posed in (truth, found))
            mask = known.view(-1, *[1] * (first.ndim - 1))
            merged = torch.where(mask, first, second).unflatten(0, clips)
            return merged[:, :-1].flatten(0, 1)[both]

        betas, rotations, pelvis = (begins(name) for name in ("betas", "rotations", "pelvis"))
        transl = pelvis - self.body.rest_joints(betas)[:, 0]
        mesh = self.body(betas, rotations[:, 0], rotations[:, 1:], transl).vertices
        intrinsics, region = (crop[both].cpu().numpy() for crop in crops)
        seen = seen_vertices(
            mesh.cpu().numpy(), self.body.faces, intrinsics, region, size, self.voters.indices
        )
        return torch.from_numpy(seen.voters).to(betas.device)


def _true_code(batch: Batch) -> Tensor:
    # Steps without a person hold a zero pelvis; any positive depth keeps their code finite.
    pelvis = batch["pelvis"].flatten(0, 1)
    pelvis = torch.where(pelvis[:, 2:] > 0, pelvis, torch.ones_like(pelvis))
    return torch.stack(encode_translation(pelvis, *_geometry(batch)), dim=-1)


def _crops(batch: Batch) -> tuple[Tensor, Tensor]:
    """Intrinsics (N, 4) and region (N, 3) a step."""
    steps = batch["region"].shape[1]
    intrinsics = batch["intrinsics"][:, None].expand(-1, steps, -1).flatten(0, 1)
    return intrinsics, batch["region"].flatten(0, 1)


def _geometry(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Focal lengths (N, 2), region centre (N, 2), side (N,), principal point (N, 2) a step."""
    intrinsics, region = _crops(batch)
    return intrinsics[:, :2], region[:, :2], region[:, 2], intrinsics[:, 2:]
