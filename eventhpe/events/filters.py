"""Noise filters: hot pixels, background activity, rectangles. Each leaves its input unchanged."""

import numpy as np
from numba import njit

from eventhpe.events.stream import BoolArray, EventStream

# Times are kept as int32 from a moving base, so a map cell is four bytes (measured: 230 against
# 130 million events a second). Anything older than this is older than every allowed tau.
_NEVER = -(1 << 30)


def hot_pixel_mask(
    events: EventStream, *, max_count: int | None = None, max_rate_hz: float | None = None
) -> BoolArray:
    """(H, W) mask, true for pixels that fire as often as the limit or more often.

    Args:
        events: the whole stretch to judge by.
        max_count: hot from this many events on (DHP19's reference uses 10,000 a recording).
        max_rate_hz: hot from this many events a second on, over the time from the first to the
            last event; without any time between them no pixel is hot.

    Raises:
        ValueError: not exactly one limit is given.
    """
    counts = np.zeros((events.height, events.width), np.int64)
    _count_pixels(events.x, events.y, counts)
    if max_count is not None and max_rate_hz is None:
        return counts >= max_count
    if max_rate_hz is None or max_count is not None:
        raise ValueError("give exactly one of max_count and max_rate_hz")
    seconds = (int(events.t[-1]) - int(events.t[0])) * 1e-6 if len(events) else 0.0
    if seconds == 0.0:
        return np.zeros(counts.shape, np.bool_)
    return counts >= max_rate_hz * seconds


def filter_pixels(events: EventStream, remove: BoolArray) -> EventStream:
    """Events of pixels that are not in the (H, W) mask ``remove``.

    Raises:
        ValueError: the mask has another shape than the sensor.
    """
    if remove.shape != (events.height, events.width):
        raise ValueError(
            f"mask of {remove.shape} for a sensor of {(events.height, events.width)} rows, columns"
        )
    return events.masked(~remove[events.y, events.x])


def filter_hot_pixels(
    events: EventStream, *, max_count: int | None = None, max_rate_hz: float | None = None
) -> EventStream:
    """Events without those of hot pixels (see `hot_pixel_mask`)."""
    return filter_pixels(
        events, hot_pixel_mask(events, max_count=max_count, max_rate_hz=max_rate_hz)
    )


def filter_rectangle(
    events: EventStream, x0: int, y0: int, x1: int, y1: int, inside: bool = True
) -> EventStream:
    """Events with x0 <= x < x1 and y0 <= y < y1, or with ``inside=False`` all the others."""
    within = (events.x >= x0) & (events.x < x1) & (events.y >= y0) & (events.y < y1)
    return events.masked(within if inside else ~within)


class BackgroundActivityFilter:
    """Keeps events that have company (Delbruck, "Frame-free dynamic digital vision", 2008).

    An event is kept if one of the 8 pixels around its own (not its own) fired before it, at most
    ``tau_us`` ago. Every event counts as company for later ones, kept or not. State is carried
    from one block of a stream to the next, so the split into blocks does not matter.

    Args:
        width, height: sensor size in pixels.
        tau_us: longest age of the neighbour's event in microseconds, inclusive.

    Raises:
        ValueError: ``tau_us`` is negative or 2^30 (18 minutes) or more.
    """

    def __init__(self, width: int, height: int, tau_us: int) -> None:
        if not 0 <= tau_us < -_NEVER:
            raise ValueError(f"tau must be 0 to {-_NEVER - 1} us, not {tau_us}")
        self.width, self.height, self.tau_us = width, height, tau_us
        # Latest time among a pixel's neighbours, with a margin of one pixel all round.
        self._latest = np.full((height + 2, width + 2), _NEVER, np.int32)
        self._base = 0

    def keep(self, events: EventStream) -> BoolArray:
        """(N,) mask of the events to keep; call with successive blocks.

        Raises:
            ValueError: events of another sensor size.
        """
        if (events.width, events.height) != (self.width, self.height):
            raise ValueError(
                f"events of {events.width}x{events.height}, filter of {self.width}x{self.height}"
            )
        keep = np.empty(len(events), np.bool_)
        i0 = 0
        while i0 < len(events):
            self._rebase(int(events.t[i0]))
            i1 = int(np.searchsorted(events.t, self._base - _NEVER))
            part = events.slice(i0, i1)
            _keep(part.x, part.y, part.t, self._latest, self.tau_us, self._base, keep[i0:i1])
            i0 = i1
        return keep

    def _rebase(self, base: int) -> None:
        aged = self._latest.astype(np.int64) - (base - self._base)
        self._latest = np.maximum(aged, _NEVER).astype(np.int32)
        self._base = base


@njit(cache=True, nogil=True)
def _count_pixels(x, y, counts):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        counts[y[i], x[i]] += 1


# Writing to eight neighbours and reading one cell beats writing one and reading eight: stores
# need no answer, and the comparison is one instead of eight.
@njit(cache=True, nogil=True)
def _keep(x, y, t, latest, tau, base, keep):  # type: ignore[no-untyped-def]
    cells = latest.reshape(-1)
    stride = np.uint32(latest.shape[1])
    one, row = np.uint64(1), np.uint64(stride)
    for i in range(len(t)):
        now = np.int32(t[i] - base)
        above = np.uint64(np.uint32(y[i]) * stride + np.uint32(x[i]))
        here = above + row
        below = here + row
        keep[i] = cells[here + one] >= now - tau
        cells[above], cells[above + one], cells[above + one + one] = now, now, now
        cells[here], cells[here + one + one] = now, now
        cells[below], cells[below + one], cells[below + one + one] = now, now, now
