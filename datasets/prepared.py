"""A recording made ready for training: filtered events and tracked regions, memory-mapped.

Filtering and tracking run once, over the whole recording and by the same code as inference; clips
are then cut from flat arrays on disk. The cache folder's name carries every parameter that shaped
its contents, so a stale cache is never read.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventhpe.camera import Crop
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.events.region import TRACKER_ID, RegionTracker
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import time_windows

TRACKING_STEP_US = 50_000
TrueFlow = Callable[[int, int, Crop], NDArray[np.float32]]


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


@dataclass(frozen=True)
class PreparedRecording:
    """What clips are cut from.

    Attributes:
        events: filtered events; arrays are memory-mapped.
        regions: (R, 3) left, top and side of the tracked square after each tracking step.
        K: (3, 3) intrinsics in pixels.
        labels: truth.
        flow: (t0, t1, crop) -> (2, S, S) true flow from t0 to t1 in crop pixels, NaN where it is
            not defined.
    """

    events: EventStream
    regions: NDArray[np.float32]
    K: NDArray[np.float64]
    labels: Labels
    flow: TrueFlow

    @property
    def duration_us(self) -> int:
        return len(self.regions) * TRACKING_STEP_US

    def crop(self, t_us: int, size: int) -> Crop:
        """The region that a tracker knows at a time: that of the last whole tracking step."""
        row = min(max(t_us // TRACKING_STEP_US - 1, 0), len(self.regions) - 1)
        left, top, side = (float(v) for v in self.regions[row])
        return Crop(left, top, side, size)


def prepare(
    path: Path,
    cache: Path,
    recipe: InputRecipe,
    K: NDArray[np.float64],
    labels: Labels,
    flow: TrueFlow,
) -> PreparedRecording:
    """Filter and track a recording, or read what an earlier call left in ``cache``."""
    folder = cache / f"{path.stem}-{cache_id(recipe)}"
    if not folder.is_dir():
        _write(path, folder, recipe)
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xytp"}
    width, height = (int(v) for v in np.load(folder / "size.npy"))
    events = EventStream(**arrays, width=width, height=height)
    return PreparedRecording(events, np.load(folder / "regions.npy"), K, labels, flow)


def cache_id(recipe: InputRecipe) -> str:
    """Every parameter that shapes a prepared recording."""
    return f"ba{recipe.background_activity_us}us-step{TRACKING_STEP_US}us-{TRACKER_ID}"


def _write(path: Path, folder: Path, recipe: InputRecipe) -> None:
    recording = open_recording(path)
    denoise = recipe.noise_filter(recording.width, recording.height)
    tracker = RegionTracker(recording.width, recording.height)
    kept, regions = [EventStream.empty(recording.width, recording.height)], []
    for window in time_windows(recording, TRACKING_STEP_US, TRACKING_STEP_US):
        events = denoise(window.events)
        kept.append(events)
        tracker.update(events, window.t0, window.t1)
        crop = tracker.crop(recipe.size)
        regions.append((crop.x0, crop.y0, crop.side))
    partial = folder.with_name(folder.name + f".{os.getpid()}.partial")
    partial.mkdir(parents=True)
    stream = EventStream.concatenate(kept)
    for name in "xytp":
        np.save(partial / f"{name}.npy", getattr(stream, name))
    np.save(partial / "size.npy", np.array([recording.width, recording.height]))
    np.save(partial / "regions.npy", np.array(regions, np.float32).reshape(-1, 3))
    try:
        partial.rename(folder)
    except OSError:  # another process was faster; its folder is the same
        shutil.rmtree(partial)
