"""Where the person is: a square region that follows event activity with memory.

Works on events alone, so that training boxes and inference boxes come from the same code.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eventhpe.camera import Crop
from eventhpe.events.stream import EventStream

CELLS = 48  # activity is tracked on a grid with this many cells along the longer side
MEMORY_S = 0.12  # time constant of the activity map
GROWTH_S = 0.15  # time constant with which the region grows
SHRINK_PER_S = 0.10  # the region's extent shrinks no faster: a still limb stays inside
MARGIN = 1.2  # side of the square over the longer extent
MIN_EVENTS = 25.0  # activity under which nothing is located
MIN_SHARE = 0.08  # a blob with a smaller share of the activity is noise
LONE_EVENT = 0.6  # smoothed activity that one or two scattered events cannot reach
TAIL = 0.01  # share of activity left outside on each side of the extent
NOISE_FLOOR = 2.0  # a cell stands out when it is this many times as active as the median cell
# Caches of tracked regions carry it in their name.
TRACKER_ID = "track" + "-".join(
    f"{value:g}"
    for value in (CELLS, MEMORY_S, GROWTH_S, SHRINK_PER_S, MARGIN, MIN_SHARE, TAIL, NOISE_FLOOR)
)


@dataclass
class _Axis:
    """An interval on one image axis, [start, start + extent)."""

    start: float
    extent: float

    def follow(self, low: float, high: float, dt_s: float) -> None:
        """Cover [low, high) with the least movement, growing fast and shrinking slowly."""
        wanted = high - low
        if wanted > self.extent:
            gain = 1.0 - math.exp(-dt_s / GROWTH_S)
            grown = self.extent + gain * (wanted - self.extent)
            centre = self.start + self.extent / 2
            centre += gain * ((low + high) / 2 - centre)
            self.start, self.extent = centre - grown / 2, grown
        else:
            smaller = max(wanted, self.extent * (1.0 - SHRINK_PER_S * dt_s))
            self.start += (self.extent - smaller) / 2
            self.extent = smaller
            self.start = min(max(self.start, high - self.extent), low)


class RegionTracker:
    """Follows the one person in front of a static camera.

    Args:
        width, height: sensor size in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cell = max(width, height) / CELLS
        self._shape = (math.ceil(height / self._cell), math.ceil(width / self._cell))
        self._activity: NDArray[np.float64] = np.zeros(self._shape)
        self._last_us: int | None = None
        self._x: _Axis | None = None
        self._y: _Axis | None = None

    @property
    def located(self) -> bool:
        """Whether activity was ever enough to locate somebody."""
        return self._x is not None

    def update(self, events: EventStream, t0: int, t1: int) -> None:
        """Take in a window's filtered events; those seen by the last call are skipped.

        Args:
            events: time-sorted events.
            t0, t1: the window in microseconds; ``t1`` must not step back.
        """
        since = t0 if self._last_us is None else max(t0, self._last_us)
        dt_s = max(t1 - (t0 if self._last_us is None else self._last_us), 0) * 1e-6
        self._last_us = t1
        fresh = events.between(since, t1)
        self._activity *= math.exp(-dt_s / MEMORY_S)
        rows = (fresh.y / self._cell).astype(np.int64)
        columns = (fresh.x / self._cell).astype(np.int64)
        np.add.at(self._activity, (rows, columns), 1.0)
        box = self._measure()
        if box is None:
            return
        left, top, right, bottom = box
        if self._x is None or self._y is None:
            self._x = _Axis(left, right - left)
            self._y = _Axis(top, bottom - top)
        else:
            self._x.follow(left, right, dt_s)
            self._y.follow(top, bottom, dt_s)

    def crop(self, size: int) -> Crop:
        """The square region now, as a crop of ``size`` pixels; the whole image before anything
        was located. It may reach over the image's border."""
        if self._x is None or self._y is None:
            side = float(max(self.width, self.height))
            return Crop((self.width - side) / 2, (self.height - side) / 2, side, size)
        side = MARGIN * max(self._x.extent, self._y.extent, 4 * self._cell)
        x = self._x.start + self._x.extent / 2
        y = self._y.start + self._y.extent / 2
        return Crop(x - side / 2, y - side / 2, side, size)

    def _measure(self) -> tuple[float, float, float, float] | None:
        """Robust extent (left, top, right, bottom) of the activity, in pixels."""
        if self._activity.sum() < MIN_EVENTS:
            return None
        # The square root keeps a fast limb from outvoting a slow trunk.
        smooth = ndimage.gaussian_filter(np.sqrt(self._activity), 0.7)
        high = float(np.quantile(smooth[smooth > 0], 0.98))
        noise = min(NOISE_FLOOR * float(np.median(smooth)), 0.6 * high)
        mask = smooth > max(0.15 * high, noise, LONE_EVENT)
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        mass = ndimage.sum_labels(self._activity, labels, np.arange(1, count + 1))
        kept = np.flatnonzero(mass >= MIN_SHARE * mass.sum()) + 1
        if len(kept) == 0:
            return None
        person = np.where(np.isin(labels, kept), np.sqrt(self._activity), 0.0)
        left, right = _extent(person.sum(axis=0))
        top, bottom = _extent(person.sum(axis=1))
        return (
            left * self._cell,
            top * self._cell,
            min(right * self._cell, self.width),
            min(bottom * self._cell, self.height),
        )


def _extent(profile: NDArray[np.float64]) -> tuple[float, float]:
    """Positions, in cells, between which all but TAIL of the mass on each side lies."""
    edges = np.concatenate([[0.0], np.cumsum(profile)])
    low, high = TAIL * edges[-1], (1 - TAIL) * edges[-1]
    positions = np.arange(len(edges), dtype=np.float64)
    return float(np.interp(low, edges, positions)), float(np.interp(high, edges, positions))
