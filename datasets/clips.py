"""Items for both stages: windows cut from prepared recordings, clips cut from takes."""

import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datasets.augmentation import Augmentation, disturbed, jitter, moved, swapped
from datasets.prepared import PreparedRecording
from datasets.reframing import draw_move, moved_region
from datasets.takes import CLOCK_US, Takes
from eventhpe.body.joints import FLIP_PAIRS
from eventhpe.camera import Crop, region_features
from eventhpe.events.frames import Frames
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream

FlowExtra = Literal["displacement", "flow", "frames"]
MIRROR = np.diag([-1.0, 1.0, 1.0]).astype(np.float32)


class PoseClips(Dataset[dict[str, torch.Tensor]]):
    """Clips of T steps for stage two; see `shapenet.training` for a batch's tensors.

    ``events`` and ``flow`` come as they are stored (`datasets.takes`): the data module makes the
    network's input of them. Recordings take turns; where the truth of some is not used, one with
    truth and one without. Item i is the same for the same seed and i.

    Args:
        takes: of each recording.
        count: items in an epoch.
        augmentation: its mirrors, polarity and busy moments.
        seed: of the draw.
        steps: T.
        seen: image features of each recording (`datasets.seen`), which clips then hold in place of
            images; polarities stay.
        reframe: how far regions are redrawn, `datasets.reframing.draw_move`; clips then hold the
            ``move`` (3,) by which the data module resamples their images.
    """

    def __init__(
        self,
        takes: list[Takes],
        count: int,
        augmentation: Augmentation,
        seed: int,
        steps: int,
        seen: list[NDArray[np.float16]] | None = None,
        reframe: float = 0.0,
    ) -> None:
        if seen is not None and reframe:
            raise ValueError("image features cannot be reframed")
        self.takes = takes
        self.seen = seen
        self.reframe = reframe
        self.count = count
        self.augmentation = augmentation
        self.seed = seed
        self.steps = steps
        self._turns = _turns([found.labelled for found in takes])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        recording = self._turns[index % len(self._turns)]
        takes = self.takes[recording]
        take = int(rng.integers(len(takes)))
        first, last = takes.first[take], takes.first[take + 1]
        starts = rng.integers(first, max(last - self.steps, first) + 1, 2)
        if rng.random() < self.augmentation.busy:
            counts = [takes.activity[start : start + self.steps].sum() for start in starts]
            starts = starts[:: 1 if counts[0] >= counts[1] else -1]
        rows = slice(int(starts[0]), int(starts[0]) + self.steps)
        swap, flip = (
            rng.random() < a for a in (self.augmentation.polarity, self.augmentation.flip)
        )
        if self.seen is not None:
            sample = read_labels(takes, take, rows)
            seen = self.seen[recording][int(flip), rows]
            return (mirrored(sample, takes.width) if flip else sample) | {
                "seen": torch.from_numpy(np.array(seen))
            }
        sample = read_clip(takes, take, rows)
        if swap:
            sample["events"] = -sample["events"]
        if flip:
            sample = mirrored(sample, takes.width)
        if self.reframe:
            move = draw_move(self.reframe, rng)
            sample |= {"move": move, "region": moved_region(sample["region"], move)}
            sample["place"] = place_features(sample)
        return sample


class WholeTakes(Dataset[dict[str, torch.Tensor]]):
    """Every take from its first window to its last, in order.

    Args:
        takes: of each recording.
        seen: as for `PoseClips`.
        steps: cut takes into clips of so many windows; what is left over is left out.
    """

    def __init__(
        self,
        takes: list[Takes],
        seen: list[NDArray[np.float16]] | None = None,
        steps: int | None = None,
    ) -> None:
        self.takes = takes
        self.seen = seen
        self.places = [
            (i, k, slice(start, start + (steps or last - first)))
            for i, found in enumerate(takes)
            for k, (first, last) in enumerate(pairwise(found.first.tolist()))
            for start in range(first, last - (steps or 1) + 1, steps or last - first)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        recording, take, rows = self.places[index]
        takes = self.takes[recording]
        if self.seen is None:
            return read_clip(takes, take, rows)
        seen = torch.from_numpy(np.array(self.seen[recording][0, rows]))
        return read_labels(takes, take, rows) | {"seen": seen}


def _turns(labelled: list[bool]) -> list[int]:
    """The order in which recordings give clips: those with and without truth in turn, the fewer of
    them more often."""
    known, unknown = ([i for i, k in enumerate(labelled) if k is kind] for kind in (True, False))
    if not known or not unknown:
        return list(range(len(labelled)))
    pairs = range(max(len(known), len(unknown)))
    return [found[k % len(found)] for k in pairs for found in (known, unknown)]


def read_clip(takes: Takes, take: int, rows: slice) -> dict[str, torch.Tensor]:
    """Some windows of a take as tensors; T is their number.

    Raises:
        ValueError: windows outside the take.
    """
    sample = read_labels(takes, take, rows)
    images = {name: np.array(getattr(takes, name)[rows]) for name in ("events", "flow")}
    return sample | {name: torch.from_numpy(image) for name, image in images.items()}


def read_labels(takes: Takes, take: int, rows: slice) -> dict[str, torch.Tensor]:
    """`read_clip` without the images."""
    if not takes.first[take] <= rows.start < rows.stop <= takes.first[take + 1]:
        raise ValueError(f"windows {rows.start} to {rows.stop} are not in take {take}")
    arrays: dict[str, Any] = {
        name: getattr(takes, name)[rows]
        for name in ("region", "rotations", "pelvis", "present", "activity")
    }
    sample = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    sample["present"] = sample["present"].float()
    sample["betas"] = torch.from_numpy(takes.betas)
    sample["intrinsics"] = torch.from_numpy(takes.intrinsics)
    sample["labelled"] = torch.tensor(float(takes.labelled))
    sample["step_s"] = torch.tensor(float(takes.step_us[take]) * 1e-6)
    return {**sample, "place": place_features(sample)}


class FlowWindows(Dataset[dict[str, torch.Tensor]]):
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

    Item i comes from recording ``i % len(recordings)``, and is the same for the same seed and i.

    Args:
        recordings: what windows are cut from.
        recipe: how events become input.
        count: items in an epoch.
        augmentation: how far items stray from their recordings.
        seed: of the draw.
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
        self.recordings = recordings
        self.recipe = recipe
        self.count = count
        self.augmentation = augmentation
        self.seed = seed
        self.max_events = max_events
        self.windows_us = windows_us
        self.extras = extras
        self.zoom = zoom

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        recording = self.recordings[index % len(self.recordings)]
        t0, t1 = self._span(recording, int(rng.choice(self.windows_us)), rng)
        events, origin = disturbed(recording.events.between(t0, t1), self.augmentation, rng)
        if rng.random() < self.augmentation.polarity:
            events = swapped(events)
        crop = moved(recording.crop(t1, self.recipe.size), *jitter(self.augmentation, rng))
        if self.zoom < 1:
            crop = _zoomed(events, crop, rng.uniform(self.zoom, 1.0), rng)
        chosen = _inside(events, crop, self.max_events, rng)
        sample = {
            "voxel": self.recipe.prepare(events, t0, t1, crop),
            "events": _event_rows(events, chosen, t0, t1, crop, self.max_events),
        }
        if "displacement" in self.extras:
            shifts = recording.displacements(t0, t1) * np.float32(crop.scale)
            shifts = np.append(shifts, [[np.nan, np.nan]], axis=0)[origin[chosen]]
            sample["displacement"] = _padded(shifts, self.max_events, np.nan)
        if "flow" in self.extras:
            sample["flow"] = recording.motion.flow(t0, t1, crop)
        if "frames" in self.extras:
            sample["first"], sample["second"] = _frame_pair(recording.images, t0, t1, crop)
        if rng.random() < self.augmentation.flip:
            sample = _mirrored_window(sample)
        return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in sample.items()}

    def _moment(self, recording: PreparedRecording, span: int, rng: np.random.Generator) -> int:
        """Start of a stretch of ``span`` microseconds, a multiple of ``CLOCK_US``."""
        latest = max((recording.duration_us - span) // CLOCK_US, 1)
        starts = [CLOCK_US * int(start) for start in rng.integers(0, latest, 2)]
        if rng.random() >= self.augmentation.busy:
            return starts[0]
        return max(starts, key=lambda start: len(recording.events.between(start, start + span)))

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


def place_features(sample: dict[str, torch.Tensor]) -> torch.Tensor:
    """ShapeNet's ``place`` (T, 4) for ``intrinsics`` (4,), ``region`` (T, 3) and ``step_s`` ()."""
    region = sample["region"]
    intrinsics = sample["intrinsics"].expand(len(region), 4)
    where = region_features(intrinsics[:, :2], region[:, :2], region[:, 2], intrinsics[:, 2:])
    log_step = math.log(float(sample["step_s"]))
    return torch.cat([where, torch.full((len(region), 1), log_step)], dim=1)


def mirrored(sample: dict[str, torch.Tensor], width: int) -> dict[str, torch.Tensor]:
    """The clip as a mirror shows it: images (where it has them), principal point and region, and
    the pose with its left and right joints exchanged.

    Args:
        width: of the sensor, pixels.
    """
    intrinsics, region, pelvis = (sample[k].clone() for k in ("intrinsics", "region", "pelvis"))
    intrinsics[2] = width - 1 - intrinsics[2]
    region[:, 0] = width - 1 - region[:, 0]
    pelvis[:, 0] = -pelvis[:, 0]
    mirror = torch.from_numpy(MIRROR)
    changed = {
        **sample,
        **(mirrored_images(sample) if "events" in sample else {}),
        "rotations": mirror @ sample["rotations"][:, list(FLIP_PAIRS)] @ mirror,
        "intrinsics": intrinsics,
        "region": region,
        "pelvis": pelvis,
    }
    return {**changed, "place": place_features(changed)}


def mirrored_images(sample: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``events`` (T, C, S, S) and ``flow`` (T, 2, S, S) as a mirror shows them."""
    flow = sample["flow"].flip(-1)
    flow[:, 0] = -flow[:, 0]
    return {"events": sample["events"].flip(-1), "flow": flow}
