"""Lightning data modules: clips for both stages from a folder of recordings."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from datasets.augmentation import NO_AUGMENTATION, Augmentation
from datasets.clips import FlowExtra, FlowWindows, PoseClips, WholeTakes
from datasets.folders import load_recordings
from datasets.networks import load_flownet, load_shapenet
from datasets.ordered import OrderedSampler
from datasets.prepared import PreparedRecording, missing_frames
from datasets.reframing import moved_inputs
from datasets.seen import prepare_seen
from datasets.takes import (
    Takes,
    TakeSpec,
    chordal_mean,
    image_tensor,
    prepare_takes,
    whole_recordings,
)
from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe

VALIDATION_SEED = 20_000
FlowLoss = Literal["events", "photometric", "supervised"]


class TrainingData(LightningDataModule):
    """What both stages share: a train and a val folder, and where a run stands in its items.

    Args:
        root: folder with ``train`` and ``val``, such as ``simulate_dataset.py`` writes.
        recipe: how events become input.
        batch_size: items a batch.
        count: items an epoch.
        workers: loader processes.
        seed: of the training draw; a run begun by ``--init`` on the same set takes another.
    """

    def __init__(
        self,
        root: Path,
        recipe: InputRecipe,
        batch_size: int,
        count: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.root, self.recipe, self.batch_size = Path(root), recipe, batch_size
        self.count, self.workers, self.seed = count, workers, seed
        self._resumed = {"items": 0, "batches": 0}

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
            pin_memory=torch.cuda.is_available(),
        )


class FlowData(TrainingData):
    """Windows for stage one.

    Args: as in `TrainingData`, and
        val_count: items of the fixed validation draw.
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
        super().__init__(root, recipe, batch_size, count, workers, seed)
        self.val_count = val_count
        self.recordings: dict[str, list[PreparedRecording]] = {}
        self.loss: FlowLoss = loss
        self.windows_us = tuple(windows_us or (recipe.window_us,))
        self.max_events = max_events
        self.size, self.zoom = size or recipe.size, zoom

    def setup(self, stage: str) -> None:
        for part in ("train", "val"):
            if part not in self.recordings:
                self.recordings[part] = self._load(part)

    def _load(self, part: str) -> list[PreparedRecording]:
        """The recordings of ``train`` or ``val`` that have what the loss needs."""
        recordings = load_recordings(self.root / part, self.recipe, load_body())
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
    """Clips for stage two: takes hold a trained FlowNet's flow beside the events.

    Args: as in `TrainingData`, and
        flownet: card of the FlowNet whose flow is used; its recipe is used.
        size: side of the events' grid, pixels; the flow is averaged onto it.
        flow_size: side of the grid that FlowNet reads; None is its card's.
        takes, windows: how much of a recording training takes hold (`TakeSpec`).
        steps: T.
        steps_us: step lengths to draw training takes from, microseconds, multiples of 10,000.
        val_step_us: step length of validation.
        val_steps: validate on clips of so many steps; None is on whole recordings.
        features: card of a trained ShapeNet whose image features clips hold in place of images, for
            training what lies behind them (``--model.frozen_images``, begun with that card).
        labelled: share of the training recordings whose truth is used, which then give half of the
            clips; of the others, events alone.
        takes_seed: of the takes; another number makes others.
        reframe: how far regions are redrawn with every clip (`datasets.reframing.draw_move`).
    """

    def __init__(
        self,
        root: Path,
        flownet: Path,
        size: int = 96,
        flow_size: int | None = None,
        takes: int = 4,
        windows: int = 64,
        batch_size: int = 8,
        count: int = 16_000,
        steps: int = 16,
        steps_us: tuple[int, ...] = (20_000, 30_000, 50_000, 50_000, 50_000, 70_000, 100_000),
        val_step_us: int = 50_000,
        val_steps: int | None = None,
        features: Path | None = None,
        labelled: float = 1.0,
        workers: int = 1,
        seed: int = 0,
        takes_seed: int = 0,
        reframe: float = 0.0,
    ) -> None:
        self.flownet = Path(flownet)
        _, card = load_flownet(self.flownet)
        recipe = replace(card.recipe, size=size)
        super().__init__(root, recipe, batch_size, count, workers, seed)
        self.flow_size = flow_size or card.recipe.size
        self.steps, self.val_steps, self.labelled = steps, val_steps, labelled
        self.features, self.reframe = features, reframe
        self.seen: dict[str, list[NDArray[np.float16]] | None] = {"train": None, "val": None}
        self.specs = {
            "train": TakeSpec(
                recipe,
                self.flow_size,
                card.sha256,
                takes,
                windows,
                tuple(steps_us),
                seed=takes_seed,
            ),
            "val": whole_recordings(recipe, self.flow_size, card.sha256, val_step_us),
        }
        self.takes: dict[str, list[Takes]] = {}

    def setup(self, stage: str) -> None:
        for part, spec in self.specs.items():
            if part not in self.takes:
                folder = self.root / part
                self.takes[part] = prepare_takes(folder, spec, self.flownet, self.workers + 1)
        unknown = sum(not take.labelled for take in self.takes["val"])
        if unknown:
            raise InputError(
                self.root / "val",
                f"{unknown} recordings without ground truth",
                "truth for every recording, by which checkpoints are chosen",
                "Leave them out of val.",
            )
        self.takes["train"] = [
            replace(take, labelled=take.labelled and stays)
            for take, stays in zip(
                self.takes["train"],
                _spread(len(self.takes["train"]), self.labelled),
                strict=True,
            )
        ]

        if self.features is not None:
            network, card = load_shapenet(self.features)
            for part, spec in self.specs.items():
                folder = self.root / part / "cache" / spec.name
                self.seen[part] = prepare_seen(folder, self.takes[part], network, card.sha256)

    def mean_rotations(self) -> torch.Tensor:
        """(24, 3, 3) the training poses' mean."""
        return chordal_mean(self.takes["train"])

    def train_dataloader(self) -> DataLoader[Any]:
        clips = PoseClips(
            self.takes["train"],
            self.count,
            Augmentation(),
            self.seed,
            self.steps,
            self.seen["train"],
            self.reframe,
        )
        return self._loader(clips, True)

    def val_dataloader(self) -> DataLoader[Any]:
        takes = WholeTakes(self.takes["val"], self.seen["val"], self.val_steps)
        return DataLoader(takes, batch_size=1)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch if "seen" in batch else with_inputs(batch)


def with_inputs(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Replace a batch's stored ``events`` and ``flow``, and its ``move`` if it has one, by
    ``inputs`` (B, T, C + 2, S, S)."""
    rest = {n: value for n, value in batch.items() if n not in ("events", "flow", "move")}
    inputs = image_tensor(batch)
    if "move" in batch:
        inputs = moved_inputs(inputs, batch["move"])
    return {**rest, "inputs": inputs}


def _spread(count: int, share: float) -> list[bool]:
    """A share of ``count`` items, evenly spread."""
    marks = np.floor(np.arange(count + 1) * share)
    return (np.diff(marks) > 0).tolist()


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches loader processes, too: the trainer needs them to finish its step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
