"""A recording made ready for training: filtered events and tracked regions, memory-mapped.

Filtering and tracking run once, over the whole recording and by the same code as inference; clips
are then cut from flat arrays on disk. The cache folder's name carries every parameter that shaped
its contents, and a folder that is older than its recording is made again.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventhpe.camera import Crop
from eventhpe.errors import InputError
from eventhpe.events.frames import Frames, open_frames
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.events.region import TRACKER_ID, RegionTracker
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import time_windows

TRACKING_STEP_US = 50_000
CACHE_VERSION = 2  # of the folder's files
ARRAYS = 5  # memory-mapped ones of a recording


@dataclass(frozen=True)
class Labels:
    """Truth of a recording on a regular clock, camera frame.

    Attributes:
        step_us: distance of two samples; sample i is at i * step_us.
        rotations: (M, 24, 3, 3).
        betas: (10,).
        pelvis: (M, 3) metres.
        present: (M,) whether the person is in the image.
    """

    step_us: int
    rotations: NDArray[np.float32]
    betas: NDArray[np.float32]
    pelvis: NDArray[np.float32]
    present: NDArray[np.bool_]

    def index(self, t_us: int) -> int:
        """The sample nearest to a time, within the recording."""
        return min(max(round(t_us / self.step_us), 0), len(self.present) - 1)


class TrueMotion(Protocol):
    """How the surfaces of a recording move, where that is known exactly."""

    def displacements(self, events: NDArray[np.uint32], t0: int, t1: int) -> NDArray[np.float32]:
        """Displacement from t0 to t1 of the surface that fired each event.

        Args:
            events: (N,) ascending indices into the recording.
            t0, t1: microseconds.

        Returns:
            (N, 2) sensor pixels (u right, v down); NaN for noise and what is not known.
        """

    def flow(self, t0: int, t1: int, crop: Crop) -> NDArray[np.float32]:
        """Flow from t0 to t1 of what is seen at t0: (2, S, S) pixels of the crop, NaN where it is
        not known."""


@dataclass(frozen=True)
class Truth:
    """What is known of a recording beside its events.

    Attributes:
        K: (3, 3) intrinsics in pixels that a network is given.
        labels: the person's poses.
        motion: None where only poses are known.
    """

    K: NDArray[np.float64]
    labels: Labels
    motion: TrueMotion | None


@dataclass(frozen=True)
class PreparedRecording:
    """What clips are cut from.

    Attributes:
        path: the recording.
        events: filtered events; arrays are memory-mapped.
        kept: (N,) uint32 index in the recording of each of ``events``.
        regions: (R, 3) left, top and side of the tracked square after each tracking step.
        frames: grayscale images; None where there are none.
        truth: None where there is none.
    """

    path: Path
    events: EventStream
    kept: NDArray[np.uint32]
    regions: NDArray[np.float32]
    frames: Frames | None
    truth: Truth | None

    @property
    def duration_us(self) -> int:
        return len(self.regions) * TRACKING_STEP_US

    @property
    def known(self) -> Truth:
        """The truth of a recording that must have one.

        Raises:
            InputError: there is none.
        """
        if self.truth is None:
            raise InputError(
                self.path,
                "a recording without ground truth",
                "one with a person's poses",
                "Train stage one by events or frames alone, or use a set with truth.",
            )
        return self.truth

    @property
    def images(self) -> Frames:
        """The frames of a recording that must have some.

        Raises:
            InputError: there are none.
        """
        if self.frames is None:
            raise missing_frames(self.path)
        return self.frames

    @property
    def motion(self) -> TrueMotion:
        """The surfaces' motion of a recording that must have it.

        Raises:
            InputError: it is not known.
        """
        if self.known.motion is None:
            raise InputError(
                self.path, "poses alone", "exact surface motion", "Use a simulated set."
            )
        return self.known.motion

    def displacements(self, t0: int, t1: int) -> NDArray[np.float32]:
        """(n, 2) true displacements of ``events.between(t0, t1)``, as `TrueMotion` gives them."""
        first, last = np.searchsorted(self.events.t, (t0, t1))
        return self.motion.displacements(self.kept[first:last], t0, t1)

    def crop(self, t_us: int, size: int) -> Crop:
        """The region that a tracker knows at a time: that of the last whole tracking step."""
        row = min(max(t_us // TRACKING_STEP_US - 1, 0), len(self.regions) - 1)
        left, top, side = (float(v) for v in self.regions[row])
        return Crop(left, top, side, size)


def missing_frames(path: Path) -> InputError:
    """The error of a recording, or a folder of them, without the frames that a loss needs."""
    return InputError(
        path,
        "no grayscale frames",
        "frames, which the photometric loss compares",
        "Train by events (--model.loss=events), or on recordings of a camera that takes frames.",
    )


def prepare(
    path: Path, cache: Path, recipe: InputRecipe, truth: Truth | None = None
) -> PreparedRecording:
    """Filter and track a recording, or read what an earlier call left in ``cache``.

    Raises:
        InputError: the recording cannot be read, or is shorter than a tracking step.
    """
    folder = cache / f"{path.stem}-{cache_id(recipe)}"
    if folder.is_dir() and folder.stat().st_mtime < path.stat().st_mtime:
        shutil.rmtree(folder)  # of a recording that was written again since
    if not folder.is_dir():
        _write(path, folder, recipe)
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xytp"}
    kept = np.load(folder / "kept.npy", mmap_mode="r")
    width, height = (int(v) for v in np.load(folder / "size.npy"))
    events = EventStream(**arrays, width=width, height=height)
    regions = np.load(folder / "regions.npy")
    if not len(regions):
        raise InputError(
            path,
            "a recording shorter than a tracking step",
            f"at least {TRACKING_STEP_US / 1000:g} ms",
            "Leave it out of the set.",
        )
    frames = open_frames(path)
    if frames is not None and (frames.width, frames.height) != (width, height):
        raise InputError(
            path,
            f"frames of {frames.width}x{frames.height} pixels",
            f"{width}x{height}, as the events",
            "Write frames and events of one pixel grid.",
        )
    return PreparedRecording(path, events, kept, regions, frames, truth)


def cache_id(recipe: InputRecipe) -> str:
    """Every parameter that shapes a prepared recording."""
    noise = recipe.background_activity_us
    return f"v{CACHE_VERSION}-ba{noise}us-step{TRACKING_STEP_US}us-{TRACKER_ID}"


def _write(path: Path, folder: Path, recipe: InputRecipe) -> None:
    recording = open_recording(path)
    keep = recipe.noise_filter(recording.width, recording.height)
    tracker = RegionTracker(recording.width, recording.height)
    kept, regions = [EventStream.empty(recording.width, recording.height)], []
    stays = [np.zeros(0, bool)]
    for window in time_windows(recording, TRACKING_STEP_US, TRACKING_STEP_US):
        stays.append(keep(window.events))
        events = window.events.masked(stays[-1])
        kept.append(events)
        tracker.update(events, window.t0, window.t1)
        crop = tracker.crop(recipe.size)
        regions.append((crop.x0, crop.y0, crop.side))
    partial = folder.with_name(folder.name + f".{os.getpid()}.partial")
    partial.mkdir(parents=True)
    stream = EventStream.concatenate(kept)
    for name in "xytp":
        np.save(partial / f"{name}.npy", getattr(stream, name))
    np.save(partial / "kept.npy", np.flatnonzero(np.concatenate(stays)).astype(np.uint32))
    np.save(partial / "size.npy", np.array([recording.width, recording.height]))
    np.save(partial / "regions.npy", np.array(regions, np.float32).reshape(-1, 3))
    try:
        partial.rename(folder)
    except OSError:  # another process was faster; its folder is the same
        shutil.rmtree(partial)
