"""Lightning data modules: clips for both stages from a folder of recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from datasets.clips import NO_AUGMENTATION, Augmentation, FlowWindows, PoseClips
from datasets.prepared import PreparedRecording
from datasets.simulated import load_simulated
from eventhpe.body import load_body
from eventhpe.events.recipe import InputRecipe
from eventhpe.weights import load_weights
from flownet.model import FlowNet, FlowNetConfig

VALIDATION_SEED = 20_000


class SimulatedData(LightningDataModule):
    """What both stages share: the recordings of a simulated train and val folder.

    Args:
        root: folder with ``train`` and ``val``, written by ``simulate_dataset.py``.
        recipe: how events become input.
        batch_size: items a batch.
        count: items an epoch.
        val_count: items of the fixed validation draw.
        workers: loader processes.
        seed: of the training draw; a run that continues another takes another seed.
    """

    def __init__(
        self,
        root: Path,
        recipe: InputRecipe,
        batch_size: int,
        count: int,
        val_count: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.root, self.recipe, self.batch_size = Path(root), recipe, batch_size
        self.count, self.val_count = count, val_count
        self.workers, self.seed = workers, seed
        self.recordings: dict[str, list[PreparedRecording]] = {}

    def setup(self, stage: str) -> None:
        body = load_body()
        for part in ("train", "val"):
            if part not in self.recordings:
                self.recordings[part] = load_simulated(self.root / part, self.recipe, body)

    def _loader(self, dataset: Any, shuffle: bool) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            self.batch_size,
            shuffle=shuffle,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            drop_last=shuffle,
        )


class FlowData(SimulatedData):
    """Windows for stage one.

    Args: as in `SimulatedData`, and
        max_events: events that stand for a window in the loss.
    """

    def __init__(
        self,
        root: Path,
        recipe: InputRecipe | None = None,
        batch_size: int = 32,
        count: int = 64_000,
        val_count: int = 512,
        max_events: int = 4096,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        recipe = recipe or InputRecipe()
        super().__init__(root, recipe, batch_size, count, val_count, workers, seed)
        self.max_events = max_events

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self._windows("train", self.count, Augmentation(), self.seed), True)

    def val_dataloader(self) -> DataLoader[Any]:
        windows = self._windows("val", self.val_count, NO_AUGMENTATION, VALIDATION_SEED)
        return self._loader(windows, False)

    def _windows(self, part: str, count: int, augmentation: Augmentation, seed: int) -> FlowWindows:
        recordings = self.recordings[part]
        return FlowWindows(
            recordings, self.recipe, count, augmentation, seed, self.max_events, part == "val"
        )


class PoseData(SimulatedData):
    """Clips for stage two, with a trained FlowNet's flow beside the events.

    Args: as in `SimulatedData`, and
        flownet: card of the FlowNet whose flow is appended; its recipe is used.
        steps: T.
        steps_us: step lengths to train on, microseconds.
    """

    def __init__(
        self,
        root: Path,
        flownet: Path,
        batch_size: int = 8,
        count: int = 16_000,
        val_count: int = 192,
        steps: int = 12,
        steps_us: tuple[int, ...] = (20_000, 30_000, 50_000, 50_000, 50_000, 70_000, 100_000),
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        state, card = load_weights(Path(flownet), "flownet")
        super().__init__(root, card.recipe, batch_size, count, val_count, workers, seed)
        self.steps, self.steps_us = steps, tuple(steps_us)
        self.flownet = FlowNet(FlowNetConfig(**card.config))
        self.flownet.load_state_dict(state)
        self.flownet.eval().requires_grad_(False)

    def mean_rotations(self) -> torch.Tensor:
        """(24, 3, 3) chordal mean of the training poses (Hartley et al., IJCV 2013, section 5)."""
        present = [r for r in self.recordings["train"] if r.labels.present.any()]
        total = sum(r.labels.rotations[r.labels.present].mean(axis=0) for r in present)
        u, _, vt = np.linalg.svd(total)
        u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
        return torch.from_numpy((u @ vt).astype(np.float32))

    def train_dataloader(self) -> DataLoader[Any]:
        clips = self._clips("train", self.count, Augmentation(), self.seed, self.steps_us)
        return self._loader(clips, True)

    def val_dataloader(self) -> DataLoader[Any]:
        clips = self._clips("val", self.val_count, NO_AUGMENTATION, VALIDATION_SEED, (50_000,))
        return self._loader(clips, False)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Append FlowNet's flow, in crop sides, to the events of every step."""
        events = batch["inputs"]
        flownet = self.flownet.to(events.device)
        with torch.no_grad():
            flow = flownet(events.flatten(0, 1))[-1].float() / self.recipe.size
        flow = flow.unflatten(0, events.shape[:2])
        return {**batch, "inputs": torch.cat([events, flow], dim=2)}

    def _clips(
        self,
        part: str,
        count: int,
        augmentation: Augmentation,
        seed: int,
        steps_us: tuple[int, ...],
    ) -> PoseClips:
        recordings = self.recordings[part]
        return PoseClips(recordings, self.recipe, count, augmentation, seed, self.steps, steps_us)
