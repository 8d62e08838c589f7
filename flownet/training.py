"""Training FlowNet from events alone, as a LightningModule."""

from dataclasses import replace
from typing import Literal

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from eventhpe.schedule import cosine_cycle
from flownet.losses import event_loss
from flownet.model import FlowNet, preset_config


class FlowTraining(lightning.LightningModule):
    """Unsupervised flow: average timestamps and smoothness, AdamW, one cosine cycle.

    A batch is a dict of "voxel" (B, C, H, W) float32, normalised; "events" (B, N, 4) as in
    ``average_timestamp_loss``; and, in validation where there is truth, "flow" (B, 2, H, W) in
    pixels per window, NaN where it is not defined or no event tells of it.

    Args:
        preset: which FlowNet to train.
        in_channels: channels of the event representation.
        max_displacement: bound of the flow, pixels per window; None keeps the preset's.
        learning_rate: the cycle's highest.
        weight_decay: AdamW's.
        smoothness_weight: of the smoothness term beside the average timestamps.
        max_steps: optimiser steps of the whole cycle; the rate stays at its lowest after them.
    """

    def __init__(
        self,
        preset: Literal["small", "paper"] = "small",
        in_channels: int = 8,
        max_displacement: float | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        smoothness_weight: float = 0.003,
        max_steps: int = 10_000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        config = preset_config(preset, in_channels)
        if max_displacement is not None:
            config = replace(config, max_displacement=max_displacement)
        self.network = FlowNet(config)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.smoothness_weight = smoothness_weight
        self.max_steps = max_steps

    def forward(self, voxel: Tensor) -> Tensor:
        """Return the finest flow (B, 2, H, W), pixels per window."""
        return self.network(voxel)[-1]

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        loss, _ = self._losses(batch, "train")
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Log the loss and, where there is truth, the flow's error beside that of zero flow."""
        _, flow = self._losses(batch, "val")
        if "flow" in batch:
            self._log_errors(flow, batch["flow"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW with a linear warm-up over 5% of the steps and a cosine to zero."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        schedule = LambdaLR(optimizer, lambda step: cosine_cycle(step, self.max_steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _losses(self, batch: dict[str, Tensor], stage: str) -> tuple[Tensor, Tensor]:
        flows = self.network(batch["voxel"])
        loss, timestamp = event_loss(flows, batch["events"], self.smoothness_weight)
        size = len(batch["voxel"])
        self.log(f"{stage}/loss", loss, batch_size=size, prog_bar=True)
        self.log(f"{stage}/timestamp", timestamp, batch_size=size)
        return loss, flows[-1]

    def _log_errors(self, flow: Tensor, truth: Tensor) -> None:
        known = truth.isfinite().all(dim=1)
        pixels = int(known.sum())
        if pixels == 0:
            return
        truth = torch.nan_to_num(truth)
        # Weighted by pixels, the epoch's mean is one sum over all pixels.
        for name, error in (("aee", flow - truth), ("aee_zero", truth)):
            mean = error.norm(dim=1)[known].mean()
            self.log(f"val/{name}", mean, batch_size=pixels, prog_bar=True)
