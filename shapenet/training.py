"""Training of stage two: tensors in, losses out.

A batch holds clips of B recordings and T steps:

====================  =================  ============================================
``inputs``            (B, T, C, S, S)    events, then flow divided by the crop's side
``place``             (B, T, 4)          the crop's place and the step, see ``ShapeNet``
``rotations``         (B, T, 24, 3, 3)   pose at each window's end, camera frame
``betas``             (B, 10)            body shape
``pelvis``            (B, T, 3)          metres, camera frame
``intrinsics``        (B, 4)             fx, fy, cx, cy of the sensor, pixels
``region``            (B, T, 3)          centre column, centre row, side, pixels
``present``           (B, T)             1 where a person is, 0 where nobody is
====================  =================  ============================================
"""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from eventhpe.body import load_body
from eventhpe.camera import decode_translation, encode_translation
from eventhpe.schedule import cosine_cycle
from shapenet import losses
from shapenet.model import ShapeNet, ShapeNetOutput, upright_rotations

Batch = dict[str, Tensor]
NEAREST_M = 0.3  # depths under it are projected from there: no division by nearly zero

WEIGHTS = {
    "rotation": 1.0,
    "joints": 8.0,
    "projection": 6.0,
    "code": 1.0,
    "shape": 0.02,
    "velocity": 5.0,
    "presence": 0.1,
    "confidence": 0.05,
}


class ShapeTraining(LightningModule):
    """Trains a ShapeNet with absolute poses.

    Args:
        preset: name of a ShapeNet preset.
        in_channels: event channels and the two of flow.
        learning_rate: peak of the cosine cycle.
        weight_decay: of AdamW.
        loss_weights: replaces entries of ``WEIGHTS``.
    """

    def __init__(
        self,
        preset: str = "small",
        in_channels: int = 10,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        loss_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = ShapeNet.preset(preset, in_channels)
        self.body = load_body()
        self.body.requires_grad_(False)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.loss_weights = {**WEIGHTS, **(loss_weights or {})}

    def setup(self, stage: str) -> None:
        # The mean pose belongs to the data; a trained network keeps the one it was begun with.
        data = getattr(self.trainer, "datamodule", None)
        mean = self.network.mean_rotations
        untrained = torch.equal(mean.cpu(), upright_rotations())
        if stage == "fit" and data is not None and untrained:
            mean.copy_(data.mean_rotations())

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        terms, _ = self._terms(batch)
        loss = self._total(terms)
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        terms, errors = self._terms(batch)
        size = len(batch["inputs"])
        self.log("val/loss", self._total(terms), batch_size=size)
        for name, value in errors.items():
            self.log(f"val/{name}", value, batch_size=size, prog_bar=name == "pel_mm")

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.network.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        # Computed anew when a run goes on, so that it may go on for longer than was planned.
        total = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: cosine_cycle(step, total))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _total(self, terms: dict[str, Tensor]) -> Tensor:
        return torch.stack([self.loss_weights[name] * value for name, value in terms.items()]).sum()

    def _terms(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        output, _ = self.network(batch["inputs"], batch["place"], None)
        batch = {k: v.float() for k, v in batch.items()}  # losses stay in float32
        steps = batch["present"].shape[1]
        weight = batch["present"].flatten()
        true_betas = batch["betas"][:, None].expand(-1, steps, -1).flatten(0, 1)
        joints = self._joints(output.betas.flatten(0, 1), output.rotations.flatten(0, 1))
        truth = self._joints(true_betas, batch["rotations"].flatten(0, 1))
        pelvis, true_pelvis = self._pelvis(output, batch), batch["pelvis"].flatten(0, 1)
        distance = (losses.centred(joints) - losses.centred(truth)).norm(dim=-1).mean(dim=-1)
        shape = (len(batch["inputs"]), steps, *joints.shape[1:])
        terms = {
            "rotation": losses.rotation_loss(
                output.rotations.flatten(0, 1), batch["rotations"].flatten(0, 1), weight
            ),
            "joints": losses.joint_loss(joints, truth, weight),
            "projection": losses.projection_loss(
                self._project(joints + pelvis[:, None], batch),
                self._project(truth + true_pelvis[:, None], batch),
                weight,
            ),
            "code": losses.code_loss(
                output.translation_code.flatten(0, 1), self._true_code(batch), weight
            ),
            "shape": losses.weighted_mean(
                (output.betas.flatten(0, 1) - true_betas).square(), weight
            ),
            "velocity": losses.velocity_loss(
                joints.view(shape), truth.view(shape), batch["present"]
            ),
            "presence": functional.binary_cross_entropy_with_logits(
                output.presence_logit.flatten(), weight
            ),
            "confidence": losses.confidence_loss(
                output.log_variance.flatten(), 10.0 * distance, weight
            ),
        }
        errors = {
            "pel_mm": 1000 * losses.weighted_mean(distance, weight),
            "depth_mm": 1000 * losses.weighted_mean((pelvis - true_pelvis)[:, 2].abs(), weight),
        }
        return terms, errors

    def _joints(self, betas: Tensor, rotations: Tensor) -> Tensor:
        """Joints (N, 24, 3) relative to the pelvis, metres."""
        zero = betas.new_zeros(len(betas), 3)
        joints = self.body.joints(betas, rotations[:, 0], rotations[:, 1:], zero)
        return joints - joints[:, :1]

    def _pelvis(self, output: ShapeNetOutput, batch: Batch) -> Tensor:
        code = output.translation_code.flatten(0, 1)
        focal, centre, side, principal = _geometry(batch)
        return decode_translation(
            code[:, 0], code[:, 1], code[:, 2], focal, centre, side, principal
        )

    def _true_code(self, batch: Batch) -> Tensor:
        focal, centre, side, principal = _geometry(batch)
        # Steps without a person hold a zero pelvis; any positive depth keeps their code finite.
        pelvis = batch["pelvis"].flatten(0, 1)
        pelvis = torch.where(pelvis[:, 2:] > 0, pelvis, torch.ones_like(pelvis))
        return torch.stack(encode_translation(pelvis, focal, centre, side, principal), dim=-1)

    def _project(self, joints: Tensor, batch: Batch) -> Tensor:
        """Joints (N, 24, 3) in the crop, (N, 24, 2) in crop sides from its centre."""
        focal, centre, side, principal = _geometry(batch)
        depth = joints[..., 2:].clamp(min=NEAREST_M)
        pixels = joints[..., :2] / depth * focal[:, None] + principal[:, None]
        return (pixels - centre[:, None]) / side[:, None, None]


def _geometry(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Focal lengths (N, 2), region centre (N, 2), side (N,), principal point (N, 2) a step."""
    steps = batch["region"].shape[1]
    intrinsics = batch["intrinsics"][:, None].expand(-1, steps, -1).flatten(0, 1)
    region = batch["region"].flatten(0, 1)
    return intrinsics[:, :2], region[:, :2], region[:, 2], intrinsics[:, 2:]
