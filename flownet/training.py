"""Training FlowNet, by events alone, by frames or by true flow, as a LightningModule."""

from dataclasses import replace
from typing import Literal

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, StepLR

from eventhpe.schedule import cosine_cycle
from flownet.losses import endpoint_loss, event_loss, focus_loss, frame_loss
from flownet.model import FlowNet, preset_config
from flownet.warping import sample_flow


class FlowTraining(lightning.LightningModule):
    """Trains FlowNet with AdamW.

    A batch is a dict of "voxel" (B, C, H, W) float32, normalised; "events" (B, N, 4) as in
    `average_timestamp_loss`; for the photometric loss "first" and "second" (B, 1, H, W) in 0..1,
    grayscale at the window's start and end; and, for supervision and for the errors that validation
    logs, "displacement" (B, N, 2), how far what fired each event moves over the window, pixels, NaN
    where that is not known.

    Args:
        preset: which FlowNet to train.
        loss: "events" (`event_loss`) and "photometric" (`frame_loss`) need no truth; "supervised"
            (`endpoint_loss`) is the bound that they are compared with.
        in_channels: channels of the event representation.
        max_displacement: bound of the flow, pixels per window; None keeps the preset's.
        learning_rate: the cycle's highest.
        weight_decay: AdamW's.
        smoothness_weight: of the smoothness term of the losses without truth. Ten times the default
            keeps the lesser component of the flow at zero (docs/flow.md).
        references: instants of the window that the photometric loss chooses from.
        schedule: "cosine", one cycle over the run with a warm-up over its first 5%, or "step", a
            tenth of the rate after every third epoch (Zou et al., ICCV 2021).
    """

    def __init__(
        self,
        preset: Literal["small", "paper"] = "small",
        loss: Literal["events", "photometric", "supervised"] = "events",
        in_channels: int = 8,
        max_displacement: float | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        smoothness_weight: float = 0.0003,
        references: tuple[float, ...] = (0.0,),
        schedule: Literal["cosine", "step"] = "cosine",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        config = preset_config(preset, in_channels)
        if max_displacement is not None:
            config = replace(config, max_displacement=max_displacement)
        self.network = FlowNet(config)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.loss = loss
        self.smoothness_weight = smoothness_weight
        self.references = references
        self.schedule = schedule

    def forward(self, voxel: Tensor) -> Tensor:
        """Return the finest flow (B, 2, H, W), pixels per window."""
        return self.network(voxel)[-1]

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        return self._loss(batch, self.network(batch["voxel"]), "train")

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Log the loss and the focus (`focus_loss`), which any two networks can be compared by, and
        where there is truth the flow's error beside that of zero flow."""
        flows = self.network(batch["voxel"])
        self._loss(batch, flows, "val")
        focus = focus_loss(flows[-1].float(), batch["events"])
        self.log("val/focus", focus, batch_size=len(batch["voxel"]))
        if "displacement" in batch:
            self._log_errors(flows[-1], batch["events"], batch["displacement"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW (Adam, where the decay is 0) and the schedule of its rate."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        if self.schedule == "step":
            tenths = StepLR(optimizer, step_size=3, gamma=0.1)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": tenths, "interval": "epoch"},
            }
        # Asked anew when a run goes on, so that it may go on for longer than was planned.
        total = int(self.trainer.estimated_stepping_batches)
        cycle = LambdaLR(optimizer, lambda step: cosine_cycle(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def _loss(self, batch: dict[str, Tensor], flows: list[Tensor], stage: str) -> Tensor:
        # Coordinates of 64 pixels and more need more digits than bfloat16 has.
        flows = [flow.float() for flow in flows]
        with torch.autocast(flows[0].device.type, enabled=False):
            if self.loss == "events":
                loss, part = event_loss(flows, batch["events"], self.smoothness_weight)
            elif self.loss == "photometric":
                images = batch["first"], batch["second"]
                loss, part = frame_loss(flows, *images, self.smoothness_weight, self.references)
            else:
                loss = part = endpoint_loss(flows, batch["events"], batch["displacement"])
        size = len(batch["voxel"])
        self.log(f"{stage}/loss", loss, batch_size=size, prog_bar=True)
        self.log(f"{stage}/{self.loss}", part, batch_size=size)
        return loss

    def _log_errors(self, flow: Tensor, events: Tensor, displacement: Tensor) -> None:
        known = displacement.isfinite().all(dim=-1) & events[..., 3].ne(0)
        count = int(known.sum())
        if count == 0:
            return
        predicted = sample_flow(flow.float(), events[..., 0], events[..., 1])[known]
        truth = displacement[known]
        # Weighted by events, the epoch's mean is one sum over all of them.
        for name, error in (("aee", predicted - truth), ("aee_zero", truth)):
            self.log(f"val/{name}", error.norm(dim=-1).mean(), batch_size=count, prog_bar=True)
