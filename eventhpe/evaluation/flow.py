"""Optical flow against the truth of simulated recordings, every error summed over pixels."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datasets.prepared import PreparedRecording
from eventhpe.camera import Crop
from eventhpe.evaluation.flow_methods import FlowMethod, FlowWindow
from eventhpe.metrics import FlowSums, flow_sums
from eventhpe.simulation.truth import pixel_flow

Float32 = NDArray[np.float32]

SPEED_EDGES = (1.0, 3.0, 10.0)
"""Sensor pixels per window between the speed bands."""

SPEED_BANDS = ("<1 px", "1-3 px", "3-10 px", ">10 px")


@dataclass(frozen=True)
class TruePixels:
    """Pixels of the sensor where the flow is known.

    Attributes:
        pixels: (P, 2) columns x, y.
        flow: (P, 2) sensor pixels per window.
    """

    pixels: Float32
    flow: Float32


def event_truth(recording: PreparedRecording, window: FlowWindow) -> TruePixels:
    """Truth at event pixels: the mean displacement, over the window, of the surfaces that fired
    a pixel's signal events.

    Pixels with noise alone and those outside the region are left out.
    """
    flow = pixel_flow(window.events, recording.displacements(window.t0, window.t1))
    v, u = np.nonzero(np.isfinite(flow).all(axis=0))
    pixels = np.stack([u, v], axis=1).astype(np.float32)
    inside = window.holds(pixels)
    return TruePixels(pixels[inside], flow[:, v[inside], u[inside]].T)


def surface_truth(recording: PreparedRecording, window: FlowWindow) -> TruePixels:
    """Truth at pixels of the body seen at the window's start: their flow until its end.

    Pixels outside the region or the sensor are left out.
    """
    x0, y0, x1, y1 = window.whole_pixels()
    side = max(x1 - x0, y1 - y0)
    # A crop of whole pixels at scale 1 is a cut-out of the sensor's own grid.
    flow = recording.motion.flow(window.t0, window.t1, Crop(x0, y0, side, side))
    v, u = np.nonzero(np.isfinite(flow[:, : y1 - y0, : x1 - x0]).all(axis=0))
    pixels = np.stack([u + x0, v + y0], axis=1).astype(np.float32)
    inside = window.holds(pixels)
    return TruePixels(pixels[inside], flow[:, v[inside], u[inside]].T)


TRUTHS: dict[str, Callable[[PreparedRecording, FlowWindow], TruePixels]] = {
    "events": event_truth,
    "surface": surface_truth,
}
"""By the name of what is scored: the pixels and their true flow."""


@dataclass
class FlowScores:
    """Errors summed over windows.

    Attributes:
        sums: by (truth, method, group): a name in `TRUTHS`, a method's name, and ``all``, one of
            `SPEED_BANDS` or the sensor's size.
        windows: scored ones, as (recording's index, start in microseconds).
        activity: of each scored window: how far its event pixels move in all, as a share of the
            region (pixels by their mean displacement, over its side cubed).
        silent: windows without a signal event in the region.
        absent: windows without a person.
        interrupted: Ctrl-C came before the end.
    """

    sums: defaultdict[tuple[str, str, str], FlowSums] = field(
        default_factory=lambda: defaultdict(FlowSums)
    )
    windows: list[tuple[int, int]] = field(default_factory=list)
    activity: list[float] = field(default_factory=list)
    silent: int = 0
    absent: int = 0
    interrupted: bool = False

    def add(self, truth: str, method: str, sensor: str, flow: Float32, known: TruePixels) -> None:
        """Take in a method's flow (P, 2) at pixels with a truth."""
        speed = np.linalg.norm(known.flow, axis=1)
        band = np.searchsorted(SPEED_EDGES, speed, side="right")
        for index, name in enumerate(SPEED_BANDS):
            part = flow_sums(flow.T[:, None], known.flow.T[:, None], (band == index)[None])
            for group in ("all", name, sensor):
                self.sums[truth, method, group] += part

    def busiest(self, count: int) -> list[tuple[int, int]]:
        """The busiest window of each of ``count`` equal stretches of the windows scored."""
        parts = np.array_split(np.arange(len(self.windows)), max(count, 1))[:count]
        best = [max(part, key=lambda i: self.activity[i]) for part in parts if len(part)]
        return [self.windows[i] for i in best]


def window_of(recording: PreparedRecording, t0: int, window_us: int) -> FlowWindow:
    """The window [t0, t0 + window_us) of a recording, with the region tracked at its end."""
    t1 = t0 + window_us
    crop = recording.crop(t1, 1)
    return FlowWindow(recording.events.between(t0, t1), t0, t1, (crop.x0, crop.y0, crop.side))


def evaluate_flow(
    recordings: Sequence[PreparedRecording],
    methods: Sequence[FlowMethod],
    window_us: int,
    every_us: int,
    progress: bool = True,
) -> FlowScores:
    """Score methods on windows that start every ``every_us`` microseconds.

    Ctrl-C ends it early: what is scored by then is returned.

    Raises:
        InputError: a recording's surface motion is not known.
    """
    scores = FlowScores()
    starts = [
        (index, t0)
        for index, recording in enumerate(recordings)
        for t0 in range(0, recording.duration_us - window_us + 1, every_us)
    ]
    try:
        for index, t0 in tqdm(starts, unit="window", disable=not progress):
            recording = recordings[index]
            window = window_of(recording, t0, window_us)
            if not recording.known.labels.present[recording.known.labels.index(t0)]:
                scores.absent += 1
            elif _score(scores, recording, methods, window):
                scores.windows.append((index, t0))
            else:
                scores.silent += 1
    except KeyboardInterrupt:
        scores.interrupted = True
    return scores


def _score(
    scores: FlowScores,
    recording: PreparedRecording,
    methods: Sequence[FlowMethod],
    window: FlowWindow,
) -> bool:
    """Score every method on one window; False where no signal event tells of the person."""
    truths = {name: truth(recording, window) for name, truth in TRUTHS.items()}
    known = truths["events"]
    if not len(known.pixels):
        return False
    pixels = np.concatenate([truth.pixels for truth in truths.values()])
    ends = np.cumsum([len(truth.pixels) for truth in truths.values()])[:-1]
    flows = {method.name: np.split(method.at(window, pixels), ends) for method in methods}
    # Only now, so that Ctrl-C never leaves a window scored for some methods alone.
    sensor = f"{window.events.width}x{window.events.height}"
    for method, parts in flows.items():
        for (name, truth), flow in zip(truths.items(), parts, strict=True):
            scores.add(name, method, sensor, flow, truth)
    speed = np.linalg.norm(known.flow, axis=1)
    scores.activity.append(float(speed.sum(dtype=np.float64)) / window.region[2] ** 3)
    return True
