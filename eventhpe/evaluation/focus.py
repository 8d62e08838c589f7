"""How sharp events become along a flow: a score for real recordings, where flow has no truth.

Events carried along their true flow to one instant pile up on the edges that fired them, so the
image of warped events gains contrast, its variance (Gallego et al., "A unifying contrast
maximization framework for event cameras", CVPR 2018, eq. 3). But every warp also blurs: an event
between pixels is shared among four. So both contrasts of a ratio, the flow's and that of no
motion, are averaged over the same sub-pixel shifts of the whole image; zero flow has a ratio of 1.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray
from tqdm import tqdm

from eventhpe.evaluation.flow_methods import FlowMethod, FlowWindow
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import Recording
from eventhpe.events.region import RegionTracker
from eventhpe.events.windows import time_windows

Float32 = NDArray[np.float32]

MIN_EVENTS = 300  # windows with no more filtered events in the region tell nothing
REFERENCE = 0.5  # events are carried to the window's middle, the least way for all
SHIFTS = 4  # sub-pixel shifts on each axis
PERCENTILES = (5, 25, 50, 75, 95)
REACH = 0.125  # the constant flow is searched up to this share of the region's side a window
CONSTANT = "best constant flow"


@dataclass(frozen=True)
class RegionEvents:
    """A window's events inside its region, both polarities alike.

    Attributes:
        pixels: (N, 2) columns x, y of the sensor.
        tau: (N,) 0 at the window's start, 1 at its end.
        area: of the region, square pixels.
    """

    pixels: Float32
    tau: Float32
    area: float

    @classmethod
    def of(cls, window: FlowWindow) -> "RegionEvents":
        """The events whose pixel lies in the region."""
        pixels = np.stack([window.events.x, window.events.y], axis=1).astype(np.float32)
        inside = window.holds(pixels)
        tau = (window.events.t[inside] - window.t0) / (window.t1 - window.t0)
        return cls(pixels[inside], tau.astype(np.float32), window.region[2] ** 2)

    def __len__(self) -> int:
        return len(self.tau)

    def warped(self, flow: Float32) -> Float32:
        """Positions (N, 2) at the window's middle along a flow for each event (N, 2), or one for
        all (2,), in pixels per window."""
        return np.asarray(self.pixels + (REFERENCE - self.tau)[:, None] * flow, np.float32)

    def contrast(self, flow: Float32, shifts: int = SHIFTS) -> float:
        """Variance of the image of warped events on the sensor's grid, averaged over
        ``shifts`` x ``shifts`` shifts that cover a pixel evenly.

        It is taken over the region's area; events carried out of the region stay counted, or a
        flow could win by driving events away.
        """
        squares = _mean_square_sum(self.warped(flow), shifts)
        return float(squares / self.area - (len(self) / self.area) ** 2)


@dataclass
class FocusScores:
    """Contrast ratios of a recording's windows.

    Attributes:
        ratios: by method's name, one a scored window; above 1 the flow sharpens the events.
        starts: of the scored windows, microseconds.
        sparse: windows with too few events.
        interrupted: Ctrl-C came before the end.
    """

    ratios: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    starts: list[int] = field(default_factory=list)
    sparse: int = 0
    interrupted: bool = False

    def spread(self, count: int) -> list[int]:
        """Starts of ``count`` scored windows evenly over the recording; fewer where there are
        fewer."""
        picks = np.linspace(0, len(self.starts) - 1, min(count, len(self.starts)))
        return [self.starts[round(pick)] for pick in picks]


def best_constant_flow(events: RegionEvents) -> Float32:
    """The one flow (2,) for all events with the most contrast, to a quarter of a pixel.

    Flows within reach are tried two pixels apart (an event half a window from the middle is then
    off by half a pixel at most), then ever nearer ones about the best.
    """
    zero = np.zeros(2, np.float32)
    reach = max(1, round(REACH * events.area**0.5 / 2))
    best = _best(events, zero, 2 * np.arange(-reach, reach + 1), SHIFTS // 2)
    for step in (1.0, 0.5, 0.25):
        best = _best(events, best, step * np.arange(-1, 2), SHIFTS)
    return max((best, zero), key=events.contrast)


def focus_ratios(window: FlowWindow, methods: Sequence[FlowMethod]) -> dict[str, float] | None:
    """Each method's contrast over that of no motion, and the best constant flow's; None where the
    region holds too few events."""
    events = RegionEvents.of(window)
    if len(events) <= MIN_EVENTS:
        return None
    still = events.contrast(np.zeros(2, np.float32))
    flows = {method.name: method.at(window, events.pixels) for method in methods}
    flows[CONSTANT] = best_constant_flow(events)
    return {name: events.contrast(flow) / still for name, flow in flows.items()}


def tracked_windows(
    recording: Recording, recipe: InputRecipe, window_us: int
) -> Iterator[FlowWindow]:
    """Consecutive windows of a recording, filtered and tracked as inference does it."""
    keep = recipe.noise_filter(recording.width, recording.height)
    tracker = RegionTracker(recording.width, recording.height)
    for window in time_windows(recording, window_us, window_us):
        events = window.events.masked(keep(window.events))
        tracker.update(events, window.t0, window.t1)
        crop = tracker.crop(recipe.size)
        yield FlowWindow(events, window.t0, window.t1, (crop.x0, crop.y0, crop.side))


def evaluate_focus(
    recording: Recording,
    recipe: InputRecipe,
    methods: Sequence[FlowMethod],
    window_us: int,
    progress: bool = True,
) -> FocusScores:
    """Score methods on consecutive windows of a recording.

    Ctrl-C ends it early: what is scored by then is returned.

    Args:
        recipe: names the noise filter.
    """
    scores = FocusScores()
    total = recording.duration_us // window_us
    windows = tracked_windows(recording, recipe, window_us)
    try:
        for window in tqdm(windows, recording.path.stem, total, disable=not progress):
            ratios = focus_ratios(window, methods)
            if ratios is None:
                scores.sparse += 1
                continue
            scores.starts.append(window.t0)
            for name, ratio in ratios.items():
                scores.ratios[name].append(ratio)
    except KeyboardInterrupt:
        scores.interrupted = True
    return scores


def focus_table(scores: FocusScores) -> str:
    """Methods down; share of windows with a ratio above 1, and percentiles of the ratio across."""
    heads = ["> 1", *(f"{percent}%" for percent in PERCENTILES)]
    lines = [f"{'contrast over no motion':<28}" + "".join(f"{head:>8}" for head in heads)]
    for name, ratios in scores.ratios.items():
        share = np.mean(np.array(ratios) > 1)
        spread = np.percentile(ratios, PERCENTILES)
        lines.append(f"{name:<28}{share:>8.0%}" + "".join(f"{value:8.2f}" for value in spread))
    return "\n".join(lines)


def _best(events: RegionEvents, about: Float32, steps: NDArray[np.number], shifts: int) -> Float32:
    """The flow of most contrast on a square grid about a flow."""
    flows = [about + np.array([u, v], np.float32) for u in steps for v in steps]
    return max(flows, key=lambda flow: events.contrast(flow, shifts))


@njit(cache=True, nogil=True)
def _mean_square_sum(points, shifts):  # type: ignore[no-untyped-def]
    """Sum of the squared pixels of the points' bilinear image, averaged over sub-pixel shifts."""
    left, top = np.floor(points[:, 0].min()), np.floor(points[:, 1].min())
    width = int(points[:, 0].max() - left) + 3
    height = int(points[:, 1].max() - top) + 3
    total = 0.0
    for shift in range(shifts * shifts):
        # Evenly over a pixel, and none by a whole one: all shifts blur whole pixels alike.
        right = (shift % shifts + 0.5) / shifts - left
        down = (shift // shifts + 0.5) / shifts - top
        image = np.zeros((height, width), np.float32)
        for i in range(len(points)):
            x, y = points[i, 0] + right, points[i, 1] + down
            column, row = int(x), int(y)
            fx, fy = np.float32(x - column), np.float32(y - row)
            image[row, column] += (1 - fx) * (1 - fy)
            image[row, column + 1] += fx * (1 - fy)
            image[row + 1, column] += (1 - fx) * fy
            image[row + 1, column + 1] += fx * fy
        for value in image.ravel():
            total += float(value * value)
    return total / (shifts * shifts)
