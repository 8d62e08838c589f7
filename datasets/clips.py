"""Clips for both stages, cut from prepared recordings and augmented."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datasets.prepared import PreparedRecording
from eventhpe.body.joints import FLIP_PAIRS
from eventhpe.camera import Crop, region_features
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream

CLOCK_US = 10_000  # clip times are multiples of it, so that labels need no interpolation
MIRROR = np.diag([-1.0, 1.0, 1.0]).astype(np.float32)


@dataclass(frozen=True)
class Augmentation:
    """How far training clips stray from their recordings.

    Attributes:
        flip: chance to mirror left and right.
        polarity: chance to swap polarities.
        dropout: a clip loses up to this share of its events.
        scale: the region's side is multiplied by up to 1 +- this.
        shift: the region moves by up to this share of its side.
        noise: up to this many uniform noise events, as a share of the clip's events.
        busy: chance to take the busier of two random moments, for a person at rest teaches little.
    """

    flip: float = 0.5
    polarity: float = 0.5
    dropout: float = 0.5
    scale: float = 0.15
    shift: float = 0.08
    noise: float = 0.1
    busy: float = 0.7


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class _Draws(Dataset[dict[str, torch.Tensor]]):
    """Items drawn at random from recordings, the same item for the same seed and index.

    Args:
        recordings: item i comes from recording ``i % len(recordings)``.
        recipe: how events become input.
        count: items in an epoch.
        augmentation: how far items stray from their recordings.
        seed: of the draw.
    """

    def __init__(
        self,
        recordings: list[PreparedRecording],
        recipe: InputRecipe,
        count: int,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.recordings = recordings
        self.recipe = recipe
        self.count = count
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def _draw(self, index: int) -> tuple[PreparedRecording, np.random.Generator]:
        rng = np.random.default_rng((self.seed, index))
        return self.recordings[index % len(self.recordings)], rng

    def _moment(self, recording: PreparedRecording, span: int, rng: np.random.Generator) -> int:
        """Start of a stretch of ``span`` microseconds, a multiple of ``CLOCK_US``."""
        latest = max((recording.duration_us - span) // CLOCK_US, 1)
        starts = [CLOCK_US * int(start) for start in rng.integers(0, latest, 2)]
        if rng.random() >= self.augmentation.busy:
            return starts[0]
        return max(starts, key=lambda start: len(recording.events.between(start, start + span)))


class PoseClips(_Draws):
    """Clips of T steps for stage two; see `shapenet.training` for a batch's tensors.

    ``inputs`` holds the events alone; the data module appends the flow.

    Args: as in `_Draws`, and
        steps: T.
        steps_us: step lengths to choose from, microseconds, multiples of 10,000.
    """

    def __init__(
        self,
        recordings: list[PreparedRecording],
        recipe: InputRecipe,
        count: int,
        augmentation: Augmentation,
        seed: int,
        steps: int,
        steps_us: tuple[int, ...],
    ) -> None:
        super().__init__(recordings, recipe, count, augmentation, seed)
        self.steps = steps
        self.steps_us = steps_us

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        recording, rng = self._draw(index)
        step_us = int(rng.choice(self.steps_us))
        span = self.recipe.window_us + (self.steps - 1) * step_us
        start = self._moment(recording, span, rng)
        events = _augmented(recording.events.between(start, start + span), self.augmentation, rng)
        jitter = _jitter(self.augmentation, rng)
        ends = start + self.recipe.window_us + step_us * np.arange(self.steps)
        crops = [_moved(recording.crop(int(t), self.recipe.size), *jitter) for t in ends]
        grids = [
            self.recipe.prepare(events, int(t) - self.recipe.window_us, int(t), crop)
            for t, crop in zip(ends, crops, strict=True)
        ]
        sample = self._labels(recording, ends, crops)
        sample["inputs"] = np.stack(grids)
        if rng.random() < self.augmentation.flip:
            sample = _mirrored(sample, recording.events.width)
        tensors = {
            k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in sample.items()
        }
        return {**tensors, "place": place_features(tensors, step_us)}

    def _labels(
        self, recording: PreparedRecording, ends: NDArray[np.int64], crops: list[Crop]
    ) -> dict[str, Any]:
        labels = recording.labels
        rows = [labels.index(int(t)) for t in ends]
        K = recording.K
        return {
            "rotations": labels.rotations[rows],
            "betas": labels.betas,
            "pelvis": labels.pelvis[rows],
            "present": labels.present[rows].astype(np.float32),
            "intrinsics": np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float32),
            "region": np.array([(*crop.centre, crop.side) for crop in crops], np.float32),
        }


class FlowWindows(_Draws):
    """Single windows for stage one: ``voxel`` (C, S, S), ``events`` (N, 4), and ``flow`` on demand.

    ``events`` are [x, y, tau, polarity]: crop pixels, 0..1 through the window, +-1; polarity 0
    pads. A window with more than N events is represented by N of them drawn at random.
    ``flow`` (2, S, S) is the true flow from the window's start to its end in crop pixels, NaN off
    the body and where no event fired; it cannot be augmented.

    Args: as in `_Draws`, and
        max_events: N.
        with_flow: add ``flow``.
    """

    def __init__(
        self,
        recordings: list[PreparedRecording],
        recipe: InputRecipe,
        count: int,
        augmentation: Augmentation,
        seed: int,
        max_events: int,
        with_flow: bool = False,
    ) -> None:
        super().__init__(recordings, recipe, count, augmentation, seed)
        self.max_events = max_events
        self.with_flow = with_flow

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        recording, rng = self._draw(index)
        window_us = self.recipe.window_us
        t0 = self._moment(recording, window_us, rng)
        t1 = t0 + window_us
        events = _augmented(recording.events.between(t0, t1), self.augmentation, rng)
        crop = _moved(recording.crop(t1, self.recipe.size), *_jitter(self.augmentation, rng))
        grid = self.recipe.prepare(events, t0, t1, crop)
        rows = self._event_rows(events, t0, crop, rng)
        if rng.random() < self.augmentation.flip:
            grid = grid[:, :, ::-1].copy()
            rows[:, 0] = np.where(rows[:, 3] != 0, crop.size - 1 - rows[:, 0], 0)
        sample = {"voxel": torch.from_numpy(grid), "events": torch.from_numpy(rows)}
        if self.with_flow:
            flow = recording.flow(t0, t1, crop)
            flow[:, ~grid.any(axis=0)] = np.nan
            sample["flow"] = torch.from_numpy(flow)
        return sample

    def _event_rows(
        self, events: EventStream, t0: int, crop: Crop, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        pixels = crop.to_crop(np.stack([events.x, events.y], axis=1).astype(np.float64))
        inside = np.flatnonzero(((pixels > -0.5) & (pixels < crop.size - 0.5)).all(axis=1))
        if len(inside) > self.max_events:
            inside = np.sort(rng.choice(inside, self.max_events, replace=False))
        rows = np.zeros((self.max_events, 4), np.float32)
        rows[: len(inside), :2] = pixels[inside]
        rows[: len(inside), 2] = (events.t[inside] - t0) / self.recipe.window_us
        rows[: len(inside), 3] = 2.0 * events.p[inside] - 1.0
        return rows


def place_features(sample: dict[str, torch.Tensor], step_us: int) -> torch.Tensor:
    """ShapeNet's ``place`` (T, 4) for ``intrinsics`` (4,), ``region`` (T, 3) and a step length."""
    region = sample["region"]
    intrinsics = sample["intrinsics"].expand(len(region), 4)
    where = region_features(intrinsics[:, :2], region[:, :2], region[:, 2], intrinsics[:, 2:])
    return torch.cat([where, torch.full((len(region), 1), math.log(step_us * 1e-6))], dim=1)


def _jitter(augmentation: Augmentation, rng: np.random.Generator) -> tuple[float, float, float]:
    scale = 1.0 + augmentation.scale * rng.uniform(-1, 1)
    x, y = augmentation.shift * rng.uniform(-1, 1, 2)
    return scale, float(x), float(y)


def _moved(crop: Crop, scale: float, x: float, y: float) -> Crop:
    """The crop scaled about its centre and moved by a share of its side."""
    side = crop.side * scale
    left = crop.x0 + (crop.side - side) / 2 + x * side
    top = crop.y0 + (crop.side - side) / 2 + y * side
    return Crop(left, top, side, crop.size)


def _augmented(
    events: EventStream, augmentation: Augmentation, rng: np.random.Generator
) -> EventStream:
    if augmentation.dropout > 0:
        events = events.masked(rng.random(len(events)) >= rng.uniform(0, augmentation.dropout))
    extra = int(len(events) * rng.uniform(0, augmentation.noise)) if augmentation.noise else 0
    p = events.p
    if rng.random() < augmentation.polarity:
        p = (1 - p).astype(np.uint8)
    if extra == 0:
        return EventStream(events.x, events.y, events.t, p, events.width, events.height)
    t = np.concatenate([events.t, rng.integers(events.t[0], events.t[-1] + 1, extra)])
    x = np.concatenate([events.x, rng.integers(0, events.width, extra, np.uint16)])
    y = np.concatenate([events.y, rng.integers(0, events.height, extra, np.uint16)])
    p = np.concatenate([p, rng.integers(0, 2, extra, np.uint8)])
    order = np.argsort(t, kind="stable")
    return EventStream(x[order], y[order], t[order], p[order], events.width, events.height)


def _mirrored(sample: dict[str, Any], width: int) -> dict[str, Any]:
    """The clip as a mirror shows it: image, principal point, region, and the pose with its left
    and right joints exchanged."""
    intrinsics, region, pelvis = (sample[k].copy() for k in ("intrinsics", "region", "pelvis"))
    intrinsics[2] = width - 1 - intrinsics[2]
    region[:, 0] = width - 1 - region[:, 0]
    pelvis[:, 0] = -pelvis[:, 0]
    return {
        **sample,
        "inputs": sample["inputs"][..., ::-1],
        "rotations": MIRROR @ sample["rotations"][:, list(FLIP_PAIRS)] @ MIRROR,
        "intrinsics": intrinsics,
        "region": region,
        "pelvis": pelvis,
    }
