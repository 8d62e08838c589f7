"""What an event stream is like in numbers, to hold a simulated recording against a real one.

Every measure is a plain count, so that it means the same for any camera. Three things are told
apart: what moves, the noise floor away from it, and the rhythm of each single pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import label, maximum_filter, uniform_filter1d

from eventhpe.events.filters import BackgroundActivityFilter
from eventhpe.events.stream import BoolArray, EventStream

WINDOW_US = 50_000
GROUP_PIXELS = 10
"""Noise of 0.2 Hz a pixel fills a hundredth of a window's pixels and never makes such a group."""
STILL_MARGIN = 8
COMPANY_US = 10_000
RATE_BINS = 20
EIGHT = np.ones((3, 3), np.bool_)


@dataclass(frozen=True)
class StreamStatistics:
    """Measures over a span of time; a share or rate of nothing is nan.

    A *moving pixel* of a window of 50 ms lies in a group of at least `GROUP_PIXELS` pixels which
    fired in it and touch one another, diagonals included. A *still pixel* of a window is more than
    `STILL_MARGIN` pixels away (in x or in y) from every moving one. An *interval* is the time
    between two successive events of one pixel.

    Attributes:
        events_per_s: all events over the span.
        moving_pixels: a window's moving pixels, mean over the windows.
        moving_pixel_hz: events of moving pixels a second and moving pixel.
        on_share: ON events among all.
        interval_us: the 10, 50 and 90 % quantiles of the intervals, microseconds.
        intervals_1ms, intervals_10ms: share of the intervals shorter than 1 ms and 10 ms.
        doubles: share of the events that repeat their pixel's last polarity within 10 us (the
            readout took one event twice).
        off_rebound, on_rebound: share of the OFF (ON) events after which the pixel's next event is
            of the other polarity and comes within 3 ms.
        isolated: share of the events without an event of the 8 pixels around in the 10 ms before
            and after.
        noise_hz: events a second and still pixel.
        noise_on_share: ON events among those of still pixels.
        noise_dispersion: mean squared deviation of the still pixels' counts from that rate, over
            the counts it predicts; 1 where all pixels fire alike and at random (Poisson), larger
            where some are noisier or fire in bursts. Only pixels still for half the span count.
        rate_variation: standard deviation of the windows' event counts, each divided by the mean
            of the second around it: the rhythm of steps and gestures.
    """

    events_per_s: float
    moving_pixels: float
    moving_pixel_hz: float
    on_share: float
    interval_us: tuple[float, float, float]
    intervals_1ms: float
    intervals_10ms: float
    doubles: float
    off_rebound: float
    on_rebound: float
    isolated: float
    noise_hz: float
    noise_on_share: float
    noise_dispersion: float
    rate_variation: float


@dataclass(frozen=True)
class FrameStatistics:
    """Measures of frames of equal event counts, means over the frames.

    Attributes:
        milliseconds: how long a frame's events take.
        active: share of the pixels with an event.
        thickness: pixels; the shorter of the horizontal and the vertical run of active pixels
            through an active pixel, mean over the active pixels with an active neighbour. A
            straight upright contour of width w has w, a diagonal one 1.4 w, a filled square its
            side.
        mixed: share of the active pixels with events of both polarities.
    """

    milliseconds: float
    active: float
    thickness: float
    mixed: float


def stream_statistics(events: EventStream, t0: int, t1: int) -> StreamStatistics:
    """Measure the events of [t0, t1), microseconds; a window cut short at the end is left out.

    Raises:
        ValueError: the span is shorter than one window.
    """
    if t1 - t0 < WINDOW_US:
        raise ValueError(f"a span of {t1 - t0} us is shorter than a window of {WINDOW_US} us")
    t1 = t0 + (t1 - t0) // WINDOW_US * WINDOW_US
    span = events.between(t0, t1)
    activity = _Activity(span, t0, t1)
    interval, before, after = pixel_intervals(span)
    other = before != after
    return StreamStatistics(
        events_per_s=len(span) / (t1 - t0) * 1e6,
        moving_pixels=activity.moving_pixels,
        moving_pixel_hz=activity.moving_pixel_hz,
        on_share=_share(span.p == 1),
        interval_us=_quantiles(interval),
        intervals_1ms=_share(interval < 1_000),
        intervals_10ms=_share(interval < 10_000),
        doubles=_ratio(np.count_nonzero(~other & (interval <= 10)), len(span)),
        off_rebound=_ratio(
            np.count_nonzero(other & (before == 0) & (interval <= 3_000)),
            np.count_nonzero(span.p == 0),
        ),
        on_rebound=_ratio(
            np.count_nonzero(other & (before == 1) & (interval <= 3_000)),
            np.count_nonzero(span.p == 1),
        ),
        isolated=_share(isolated(span, COMPANY_US)),
        noise_hz=activity.noise_hz,
        noise_on_share=activity.noise_on_share,
        noise_dispersion=activity.noise_dispersion,
        rate_variation=activity.rate_variation,
    )


def frame_statistics(events: EventStream, count: int) -> FrameStatistics:
    """Measure the successive frames of ``count`` events; a remainder is left out.

    Raises:
        ValueError: fewer events than one frame needs.
    """
    if not 0 < count <= len(events):
        raise ValueError(f"{len(events)} events do not fill a frame of {count}")
    rows = []
    for start in range(0, len(events) - count + 1, count):
        frame = events.slice(start, start + count)
        on, off = (fired(frame.masked(frame.p == p)) for p in (1, 0))
        either = on | off
        span = float(frame.t[-1] - frame.t[0]) / 1e3
        rows.append(
            (span, either.mean(), thickness(either), _ratio((on & off).sum(), either.sum()))
        )
    return FrameStatistics(*(float(v) for v in np.mean(rows, axis=0)))


def fired(events: EventStream) -> BoolArray:
    """(H, W) mask of the pixels with an event."""
    mask = np.zeros((events.height, events.width), np.bool_)
    mask[events.y, events.x] = True
    return mask


def moving(mask: BoolArray) -> BoolArray:
    """(H, W) the moving ones among the pixels that fired in a window (see `StreamStatistics`)."""
    groups, _ = label(mask, EIGHT)
    large = np.bincount(groups.ravel()) >= GROUP_PIXELS
    large[0] = False
    return large[groups]


def isolated(events: EventStream, within_us: int) -> BoolArray:
    """(N,) true for events without one of the 8 pixels around at most ``within_us`` away in time.

    The background activity filter sees the past only; run over the reversed stream as well, it
    sees the future.
    """
    if len(events) == 0:
        return np.zeros(0, np.bool_)
    size = (events.width, events.height, within_us)
    reversed_ = EventStream(
        events.x[::-1],
        events.y[::-1],
        events.t[-1] - events.t[::-1],
        events.p[::-1],
        events.width,
        events.height,
    )
    past = BackgroundActivityFilter(*size).keep(events)
    future = BackgroundActivityFilter(*size).keep(reversed_)[::-1]
    return ~(past | future)


def pixel_intervals(
    events: EventStream,
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    """Times between successive events of one pixel, us, and the polarities before and after."""
    interval = np.empty(len(events), np.int64)
    before = np.empty(len(events), np.uint8)
    last_t = np.full((events.height, events.width), -1, np.int64)
    last_p = np.zeros((events.height, events.width), np.uint8)
    _intervals(events.x, events.y, events.t, events.p, last_t, last_p, interval, before)
    again = interval >= 0
    return interval[again], before[again], events.p[again]


def thickness(mask: BoolArray) -> float:
    """Mean width of what is set in a (H, W) mask (see `FrameStatistics`); nan where nothing is."""
    neighbours = _neighbours(mask)
    return float(_thickness(mask & neighbours))


class _Activity:
    """The measures that look at windows: what moves, what is still, and the noise there."""

    def __init__(self, events: EventStream, t0: int, t1: int) -> None:
        shape = (events.height, events.width)
        still_windows = np.zeros(shape, np.int64)
        still_events = np.zeros(shape, np.int64)
        counts, pixels, moving_events, still_on = [], 0, 0, 0
        for window in _windows(events, t0, t1):
            active = moving(fired(window))
            still = ~maximum_filter(active, 2 * STILL_MARGIN + 1, mode="constant")
            here = still[window.y, window.x]
            np.add.at(still_events, (window.y[here], window.x[here]), 1)
            still_windows += still
            still_on += int(window.p[here].sum())
            moving_events += int(active[window.y, window.x].sum())
            pixels += int(active.sum())
            counts.append(len(window))
        seconds = WINDOW_US * 1e-6
        self.moving_pixels = pixels / len(counts)
        self.moving_pixel_hz = _ratio(moving_events, pixels * seconds)
        self.noise_hz = _ratio(still_events.sum(), still_windows.sum() * seconds)
        self.noise_on_share = _ratio(still_on, still_events.sum())
        often = still_windows * 2 >= len(counts)
        expected = still_windows[often] * seconds * self.noise_hz
        self.noise_dispersion = _ratio(
            np.square(still_events[often] - expected).sum(), expected.sum()
        )
        rate = np.array(counts, np.float64)
        trend = uniform_filter1d(rate, RATE_BINS, mode="nearest")
        busy = trend > 0
        swing = np.square(rate[busy] / trend[busy] - 1).sum()
        self.rate_variation = float(np.sqrt(_ratio(swing, np.count_nonzero(busy))))


def _windows(events: EventStream, t0: int, t1: int) -> Iterator[EventStream]:
    for start in range(t0, t1, WINDOW_US):
        yield events.between(start, start + WINDOW_US)


def _share(mask: BoolArray) -> float:
    return float(mask.mean()) if len(mask) else float("nan")


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")


def _quantiles(values: NDArray[np.int64]) -> tuple[float, float, float]:
    if len(values) == 0:
        return (float("nan"),) * 3
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return float(low), float(middle), float(high)


def _neighbours(mask: BoolArray) -> BoolArray:
    """(H, W) whether one of the 8 pixels around is set."""
    around = EIGHT.copy()
    around[1, 1] = False
    return maximum_filter(mask, footprint=around, mode="constant")


@njit(cache=True, nogil=True)
def _intervals(x, y, t, p, last_t, last_p, interval, before):  # type: ignore[no-untyped-def]
    """Per event, the time since its pixel's last one (-1 at the first) and that one's polarity."""
    for i in range(len(t)):
        last = last_t[y[i], x[i]]
        interval[i] = t[i] - last if last >= 0 else -1
        before[i] = last_p[y[i], x[i]]
        last_t[y[i], x[i]] = t[i]
        last_p[y[i], x[i]] = p[i]


@njit(cache=True, nogil=True)
def _thickness(mask):  # type: ignore[no-untyped-def]
    height, width = mask.shape
    across = np.zeros((height, width), np.int64)
    for y in range(height):
        start = 0
        for x in range(width + 1):
            if x == width or not mask[y, x]:
                across[y, start:x] = x - start
                start = x + 1
    total, pixels = 0, 0
    for x in range(width):
        start = 0
        for y in range(height + 1):
            if y == height or not mask[y, x]:
                for k in range(start, y):
                    total += min(across[k, x], y - start)
                    pixels += 1
                start = y + 1
    return total / pixels if pixels else np.nan
