"""What the events say beside a motion: how many there are, and whether the scene is as assumed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream
from eventhpe.inference import STEP_RANGE_US, prepared_windows
from eventhpe.scene import EVERY_US, SceneWatch
from eventhpe.sequence import MotionSequence

Roi = tuple[int, int, int, int]


@dataclass(frozen=True)
class Survey:
    """Event rates in B windows that follow one another, and what they tell of the scene.

    Attributes:
        t_us: (B,) the windows' ends, microseconds from the recording's origin.
        rate: (B,) events a second of the whole picture, or of the ROI.
        region_rate: (B,) those of them inside the person's region.
        warnings: one line for each assumption about the scene that does not hold, as `infer` says.
        lens: how many events the lens's undistortion drops, in words; "" where the lens is ideal.
        repairs: what was mended in the events, in words; "" where nothing was.
    """

    t_us: NDArray[np.int64]
    rate: NDArray[np.float64]
    region_rate: NDArray[np.float64]
    warnings: tuple[str, ...]
    lens: str
    repairs: str


def survey(
    motion: MotionSequence,
    recording: Recording,
    *,
    roi: Roi | None = None,
    progress: bool = True,
) -> Survey:
    """Read the motion's span of its recording once.

    The events are those that inference sees: reoriented, without the lens's distortion, inside the
    ROI. The scene is judged on what passes the default recipe's noise filter.

    Args:
        roi: x, y, width, height in pixels of the motion's camera, as given to `infer`.
        progress: show a bar on stderr.

    Raises:
        InputError: the ROI is not inside the picture, or the recording is damaged.
    """
    start = max(int(motion.t_us[0]) - motion.window_us, 0)
    stop = int(motion.t_us[-1])
    bin_us = int(np.clip(stop - start, STEP_RANGE_US[0], EVERY_US))
    recipe, camera = InputRecipe(window_us=bin_us), motion.camera
    windows, total, lens = prepared_windows(
        recording, recipe, camera, bin_us, start, max(stop, start + bin_us), roi, motion.turn
    )
    keep = recipe.noise_filter(camera.width, camera.height)
    watch = SceneWatch(camera.width, camera.height, roi)
    ends: list[int] = []
    counts: list[tuple[int, int]] = []
    for window in tqdm(windows, total=total, unit="window", disable=not progress):
        events = window.events
        region = motion.region[nearest_step(motion, window.t1)]
        ends.append(window.t1)
        counts.append((len(events), int(_inside(events, region).sum())))
        watch.update(events.masked(keep(events)), window.t0, window.t1)
    rates = np.array(counts, dtype=np.float64).reshape(-1, 2) / (bin_us * 1e-6)
    repairs = str(recording.repairs) if recording.repairs else ""
    lens_words = "" if lens is None else str(lens)
    return Survey(
        np.array(ends, np.int64), rates[:, 0], rates[:, 1], watch.warnings(), lens_words, repairs
    )


def nearest_step(motion: MotionSequence, t_us: int) -> int:
    """Index of the pose nearest to a time."""
    return int(np.abs(motion.t_us - t_us).argmin())


def _inside(events: EventStream, region: NDArray[Any]) -> NDArray[np.bool_]:
    """Which events lie in a region x0, y0, width, height; its edges lie on pixel borders."""
    x0, y0, width, height = (float(value) for value in region)
    x, y = events.x.astype(np.float32), events.y.astype(np.float32)
    across = (x >= x0 - 0.5) & (x < x0 + width - 0.5)
    return np.asarray(across & (y >= y0 - 0.5) & (y < y0 + height - 0.5))
