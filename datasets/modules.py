"""Lightning data modules: clips for both stages from a folder of recordings."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from datasets.clips import NO_AUGMENTATION, Augmentation, FlowExtra, FlowWindows, PoseClips
from datasets.folders import load_recordings
from datasets.networks import load_flownet
from datasets.ordered import OrderedSampler
from datasets.prepared import PreparedRecording, missing_frames
from eventhpe.body import load_body
from eventhpe.events.recipe import InputRecipe
from flownet.model import flow_in_sides

VALIDATION_SEED = 20_000
FlowLoss = Literal["events", "photometric", "supervised"]


class TrainingData(LightningDataModule):
    """What both stages share: the recordings of a train and a val folder.

    Args:
        root: folder with ``train`` and ``val``, such as ``simulate_dataset.py`` writes.
        recipe: how events become input.
        batch_size: items a batch.
        count: items an epoch.
        val_count: items of the fixed validation draw.
        workers: loader processes.
        seed: of the training draw; a run begun by ``--init`` on the same set takes another.
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
        self._resumed = {"items": 0, "batches": 0}

    def setup(self, stage: str) -> None:
        for part in ("train", "val"):
            if part not in self.recordings:
                self.recordings[part] = self.load(part)

    def load(self, part: str) -> list[PreparedRecording]:
        """The recordings of ``train`` or ``val``."""
        return load_recordings(self.root / part, self.recipe, load_body())

    def state_dict(self) -> dict[str, int]:
        """Where the run stands: a checkpoint keeps it."""
        return {"items": self._items_used(), "batches": self._batches_done()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on behind the items that the run had used, also with batches of another size."""
        self._resumed = state_dict

    def _items_used(self) -> int:
        """Training items that the run has used, of all ranks, those before a resume included."""
        world = self.trainer.world_size if self.trainer else 1
        # The trainer may ask for the loader before it knows how many batches lie behind it.
        since = max(self._batches_done() - self._resumed["batches"], 0)
        return self._resumed["items"] + since * self.batch_size * world

    def _batches_done(self) -> int:
        # Counted by the trainer, not by the loader, whose workers run ahead of training.
        return self.trainer.fit_loop.total_batch_idx + 1 if self.trainer else 0

    def _loader(self, dataset: Any, training: bool) -> DataLoader[Any]:
        sampler = None
        if training:
            rank, world = (
                (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
            )
            sampler = OrderedSampler(
                len(dataset), self.batch_size, self._items_used, rank=rank, world=world
            )
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=sampler,
            num_workers=self.workers,
            worker_init_fn=_ignore_interrupt,
            persistent_workers=self.workers > 0,
        )


class FlowData(TrainingData):
    """Windows for stage one.

    Args: as in `TrainingData`, and
        loss: what the training loss needs beside events: frames, or true displacements.
        windows_us: lengths of window to train on, microseconds; None is the recipe's alone.
        max_events: events that stand for a window in the loss.
        size: side of the training crops, pixels; None is the recipe's.
        zoom: least share of the region's side that a training crop covers (see `FlowWindows`).
    """

    def __init__(
        self,
        root: Path,
        recipe: InputRecipe | None = None,
        loss: FlowLoss = "events",
        windows_us: tuple[int, ...] | None = None,
        batch_size: int = 32,
        count: int = 64_000,
        val_count: int = 512,
        max_events: int = 4096,
        size: int | None = None,
        zoom: float = 1.0,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        recipe = recipe or InputRecipe()
        super().__init__(root, recipe, batch_size, count, val_count, workers, seed)
        self.loss: FlowLoss = loss
        self.windows_us = tuple(windows_us or (recipe.window_us,))
        self.max_events = max_events
        self.size, self.zoom = size or recipe.size, zoom

    def load(self, part: str) -> list[PreparedRecording]:
        recordings = super().load(part)
        if self.loss == "supervised":
            for recording in recordings:
                _ = recording.motion  # says here, not in a loader process, that it is not known
        if self.loss != "photometric":
            return recordings
        with_frames = [recording for recording in recordings if len(recording.frames or ()) > 1]
        if not with_frames:
            raise missing_frames(self.root / part)
        return with_frames

    def train_dataloader(self) -> DataLoader[Any]:
        needs: dict[FlowLoss, tuple[FlowExtra, ...]] = {
            "events": (),
            "photometric": ("frames",),
            "supervised": ("displacement",),
        }
        windows = FlowWindows(
            self.recordings["train"],
            replace(self.recipe, size=self.size),
            self.count,
            Augmentation(),
            self.seed,
            self.max_events,
            self.windows_us,
            needs[self.loss],
            self.zoom,
        )
        return self._loader(windows, True)

    def val_dataloader(self) -> DataLoader[Any]:
        recordings = self.recordings["val"]
        extras: tuple[FlowExtra, ...] = ("frames",) if self.loss == "photometric" else ()
        if all(r.truth is not None and r.truth.motion is not None for r in recordings):
            extras = (*extras, "displacement", "flow")
        draw = (recordings, self.recipe, self.val_count, NO_AUGMENTATION, VALIDATION_SEED)
        return self._loader(
            FlowWindows(*draw, self.max_events, (self.recipe.window_us,), extras), False
        )


class PoseData(TrainingData):
    """Clips for stage two, with a trained FlowNet's flow beside the events.

    Args: as in `TrainingData`, and
        flownet: card of the FlowNet whose flow is appended; its recipe is used.
        size: side of the events' grid, pixels; the flow is averaged onto it.
        steps: T.
        steps_us: step lengths to train on, microseconds.
    """

    def __init__(
        self,
        root: Path,
        flownet: Path,
        size: int = 64,
        batch_size: int = 8,
        count: int = 16_000,
        val_count: int = 192,
        steps: int = 12,
        steps_us: tuple[int, ...] = (20_000, 30_000, 50_000, 50_000, 50_000, 70_000, 100_000),
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        network, card = load_flownet(Path(flownet))
        recipe = replace(card.recipe, size=size)
        super().__init__(root, recipe, batch_size, count, val_count, workers, seed)
        self.flow_size = card.recipe.size
        self.steps, self.steps_us = steps, tuple(steps_us)
        self.flownet = network

    def mean_rotations(self) -> torch.Tensor:
        """(24, 3, 3) chordal mean of the training poses (Hartley et al., IJCV 2013, section 5)."""
        labels = [recording.known.labels for recording in self.recordings["train"]]
        people = [known for known in labels if known.present.any()]
        total = sum(known.rotations[known.present].mean(axis=0) for known in people)
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
        flow_events = batch.pop("flow_inputs", events).flatten(0, 1)
        with torch.no_grad():
            flownet = self.flownet.to(events.device)
            flow = flow_in_sides(flownet, flow_events, self.recipe.size).float()
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
        draw = (self.recordings[part], self.recipe, count, augmentation, seed)
        return PoseClips(*draw, self.steps, steps_us, self.flow_size)


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches loader processes, too: the trainer needs them to finish its step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
