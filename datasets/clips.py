"""Clips for both stages, cut from prepared recordings and augmented."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datasets.prepared import PreparedRecording
from eventhpe.body.joints import FLIP_PAIRS
from eventhpe.camera import Crop, region_features
from eventhpe.events.frames import Frames
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream

CLOCK_US = 10_000  # clip times are multiples of it, so that labels need no interpolation
FlowExtra = Literal["displacement", "flow", "frames"]
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
        flow_size: side of the grid that FlowNet reads; if it is not the recipe's, ``flow_inputs``
            holds the events on that grid.
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
        flow_size: int,
    ) -> None:
        super().__init__(recordings, recipe, count, augmentation, seed)
        self.flow_recipe = replace(recipe, size=flow_size)
        self.steps = steps
        self.steps_us = steps_us

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        recording, rng = self._draw(index)
        step_us = int(rng.choice(self.steps_us))
        span = self.recipe.window_us + (self.steps - 1) * step_us
        start = self._moment(recording, span, rng)
        events, _ = _augmented(
            recording.events.between(start, start + span), self.augmentation, rng
        )
        jitter = _jitter(self.augmentation, rng)
        ends = start + self.recipe.window_us + step_us * np.arange(self.steps)
        crops = [_moved(recording.crop(int(t), self.recipe.size), *jitter) for t in ends]
        sample = self._labels(recording, ends, crops)
        sample["inputs"] = _grids(self.recipe, events, ends, crops)
        if self.flow_recipe != self.recipe:
            sample["flow_inputs"] = _grids(self.flow_recipe, events, ends, crops)
        if rng.random() < self.augmentation.flip:
            sample = _mirrored(sample, recording.events.width)
        tensors = {
            k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in sample.items()
        }
        return {**tensors, "place": place_features(tensors, step_us)}

    def _labels(
        self, recording: PreparedRecording, ends: NDArray[np.int64], crops: list[Crop]
    ) -> dict[str, Any]:
        truth = recording.known
        labels = truth.labels
        rows = [labels.index(int(t)) for t in ends]
        K = truth.K
        return {
            "rotations": labels.rotations[rows],
            "betas": labels.betas,
            "pelvis": labels.pelvis[rows],
            "present": labels.present[rows].astype(np.float32),
            "intrinsics": np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float32),
            "region": np.array([(*crop.centre, crop.side) for crop in crops], np.float32),
        }


def _grids(
    recipe: InputRecipe, events: EventStream, ends: NDArray[np.int64], crops: list[Crop]
) -> NDArray[np.float32]:
    """(T, C, S, S) a recipe's input of the windows that end at the given times."""
    return np.stack(
        [
            recipe.prepare(
                events, int(t) - recipe.window_us, int(t), replace(crop, size=recipe.size)
            )
            for t, crop in zip(ends, crops, strict=True)
        ]
    )


class FlowWindows(_Draws):
    """Single windows for stage one: ``voxel`` (C, S, S), ``events`` (N, 4), and what is asked for.

    ``events`` are [x, y, tau, polarity]: crop pixels, 0..1 through the window, +-1; polarity 0
    pads. A window with more than N events is represented by N of them drawn at random.
    Extras:
        ``displacement`` (N, 2): how far the surface that fired each event moves over the window,
            crop pixels; NaN for noise and padding.
        ``flow`` (2, S, S): flow from the window's start to its end of what is seen at its start,
            crop pixels, NaN where it is not known.
        ``frames``: ``first`` and ``second`` (1, S, S), grayscale 0..1 at the window's start and
            end, both brightened until 1% of the first is white, for rooms are lit in many ways;
            windows then begin and end with the recording's frames.

    Args: as in `_Draws`, and
        max_events: N.
        windows_us: lengths to choose from, microseconds, multiples of 10,000.
        extras: what to add.
        zoom: a crop covers at least this share of the region's side, and then lies around one of
            the window's events. Crops of half a region at half the recipe's size show what whole
            ones show at the whole size, for a quarter of the work.

    Raises:
        InputError: on access, where the recordings do not have what ``extras`` asks for.
    """

    def __init__(
        self,
        recordings: list[PreparedRecording],
        recipe: InputRecipe,
        count: int,
        augmentation: Augmentation,
        seed: int,
        max_events: int,
        windows_us: tuple[int, ...],
        extras: tuple[FlowExtra, ...] = (),
        zoom: float = 1.0,
    ) -> None:
        super().__init__(recordings, recipe, count, augmentation, seed)
        self.max_events = max_events
        self.windows_us = windows_us
        self.extras = extras
        self.zoom = zoom

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        recording, rng = self._draw(index)
        t0, t1 = self._span(recording, int(rng.choice(self.windows_us)), rng)
        events, origin = _augmented(recording.events.between(t0, t1), self.augmentation, rng)
        crop = _moved(recording.crop(t1, self.recipe.size), *_jitter(self.augmentation, rng))
        if self.zoom < 1:
            crop = _zoomed(events, crop, rng.uniform(self.zoom, 1.0), rng)
        chosen = _inside(events, crop, self.max_events, rng)
        sample = {
            "voxel": self.recipe.prepare(events, t0, t1, crop),
            "events": _event_rows(events, chosen, t0, t1, crop, self.max_events),
        }
        if "displacement" in self.extras:
            moved = recording.displacements(t0, t1) * np.float32(crop.scale)
            moved = np.append(moved, [[np.nan, np.nan]], axis=0)[origin[chosen]]
            sample["displacement"] = _padded(moved, self.max_events, np.nan)
        if "flow" in self.extras:
            sample["flow"] = recording.motion.flow(t0, t1, crop)
        if "frames" in self.extras:
            sample["first"], sample["second"] = _frame_pair(recording.images, t0, t1, crop)
        if rng.random() < self.augmentation.flip:
            sample = _mirrored_window(sample)
        return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in sample.items()}

    def _span(
        self, recording: PreparedRecording, length: int, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Start and end of a window of about the asked-for length."""
        start = self._moment(recording, length, rng)
        if "frames" not in self.extras:
            return start, start + length
        images = recording.images
        first = min(images.index(start), len(images) - 2)
        second = max(images.index(int(images.t[first]) + length), first + 1)
        return int(images.t[first]), int(images.t[second])


def _zoomed(events: EventStream, crop: Crop, share: float, rng: np.random.Generator) -> Crop:
    """A part of a crop, ``share`` of its side, with one of the events in its middle where the
    crop's borders let it be."""
    inside = _inside(events, crop, 1, rng)
    middle = np.array(crop.centre)
    if len(inside):
        middle = np.array([events.x[inside[0]], events.y[inside[0]]], np.float64)
    side = share * crop.side
    first = np.array([crop.x0, crop.y0])
    corner = np.clip(middle - (side - 1) / 2, first, first + crop.side - side)
    return Crop(float(corner[0]), float(corner[1]), side, crop.size)


def _inside(
    events: EventStream, crop: Crop, most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Indices of at most ``most`` events within the crop."""
    pixels = crop.to_crop(np.stack([events.x, events.y], axis=1).astype(np.float64))
    inside = np.flatnonzero(((pixels > -0.5) & (pixels < crop.size - 0.5)).all(axis=1))
    if len(inside) > most:
        inside = np.sort(rng.choice(inside, most, replace=False))
    return inside


def _frame_pair(images: Frames, t0: int, t1: int, crop: Crop) -> list[NDArray[np.float32]]:
    """Two (1, S, S) images under one gain, which leaves the whitest 1% of the first at 1."""
    pair = [images.crop(images.index(t), crop)[None] for t in (t0, t1)]
    white = max(float(np.quantile(pair[0], 0.99)), 1 / 255)
    return [np.minimum(image / np.float32(white), np.float32(1)) for image in pair]


def _event_rows(
    events: EventStream, chosen: NDArray[np.int64], t0: int, t1: int, crop: Crop, length: int
) -> NDArray[np.float32]:
    x, y, t, p = (array[chosen] for array in (events.x, events.y, events.t, events.p))
    pixels = crop.to_crop(np.stack([x, y], axis=1).astype(np.float64))
    rows = np.column_stack([pixels, (t - t0) / (t1 - t0), 2.0 * p - 1.0])
    return _padded(rows.astype(np.float32), length, 0.0)


def _padded(rows: NDArray[np.float32], length: int, value: float) -> NDArray[np.float32]:
    out = np.full((length, rows.shape[1]), value, np.float32)
    out[: len(rows)] = rows
    return out


def _mirrored_window(sample: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The window as a mirror shows it."""
    mirrored = {k: v[..., ::-1] for k, v in sample.items() if k not in ("events", "displacement")}
    if "flow" in sample:
        mirrored["flow"] = mirrored["flow"] * np.array([-1, 1], np.float32)[:, None, None]
    if "displacement" in sample:
        mirrored["displacement"] = sample["displacement"] * np.array([-1, 1], np.float32)
    rows, last = sample["events"].copy(), sample["voxel"].shape[-1] - 1
    rows[:, 0] = np.where(rows[:, 3] != 0, last - rows[:, 0], 0)
    return {**mirrored, "events": rows}


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
) -> tuple[EventStream, NDArray[np.int64]]:
    """The events after dropout, noise and polarity swap, and which of ``events`` each was (-1:
    noise)."""
    origin = np.arange(len(events))
    if augmentation.dropout > 0:
        stays = rng.random(len(events)) >= rng.uniform(0, augmentation.dropout)
        events, origin = events.masked(stays), origin[stays]
    extra = int(len(events) * rng.uniform(0, augmentation.noise)) if augmentation.noise else 0
    p = events.p
    if rng.random() < augmentation.polarity:
        p = (1 - p).astype(np.uint8)
    if extra == 0:
        stream = EventStream(events.x, events.y, events.t, p, events.width, events.height)
        return stream, origin
    t = np.concatenate([events.t, rng.integers(events.t[0], events.t[-1] + 1, extra)])
    x = np.concatenate([events.x, rng.integers(0, events.width, extra, np.uint16)])
    y = np.concatenate([events.y, rng.integers(0, events.height, extra, np.uint16)])
    p = np.concatenate([p, rng.integers(0, 2, extra, np.uint8)])
    origin = np.concatenate([origin, np.full(extra, -1)])
    order = np.argsort(t, kind="stable")
    stream = EventStream(x[order], y[order], t[order], p[order], events.width, events.height)
    return stream, origin[order]


def _mirrored(sample: dict[str, Any], width: int) -> dict[str, Any]:
    """The clip as a mirror shows it: image, principal point, region, and the pose with its left
    and right joints exchanged."""
    intrinsics, region, pelvis = (sample[k].copy() for k in ("intrinsics", "region", "pelvis"))
    intrinsics[2] = width - 1 - intrinsics[2]
    region[:, 0] = width - 1 - region[:, 0]
    pelvis[:, 0] = -pelvis[:, 0]
    return {
        **sample,
        **{k: sample[k][..., ::-1] for k in ("inputs", "flow_inputs") if k in sample},
        "rotations": MIRROR @ sample["rotations"][:, list(FLIP_PAIRS)] @ MIRROR,
        "intrinsics": intrinsics,
        "region": region,
        "pelvis": pelvis,
    }
