"""Event windows to images: voxel grid, binary frame, count image. Numba, one thread."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventhpe.events.stream import EventStream

FloatArray = NDArray[np.float32]

# Settling the sums of the dense kernel costs less than this many events a pixel added singly.
_DENSE_EVENTS_A_PIXEL = 0.25
_BLOCK = 512
_MOST_STEPS = 1 << 20
_MOST_HELD = 1 << 18


def voxel_grid(
    events: EventStream, t0: int, t1: int, bins: int, *, out: FloatArray | None = None
) -> FloatArray:
    """Signed event votes, split linearly over the two nearest time bins.

    tau = (bins - 1) (t - t0) / (t1 - t0); an event adds (2p - 1) max(0, 1 - |b - tau|) to bin b
    of its pixel (Zhu et al., "Unsupervised Event-based Learning of Optical Flow, Depth, and
    Egomotion", CVPR 2019, Eq. 1 and 2, with the bounds fixed to the window rather than to the
    first and last event, so that grids of parts add up to the grid of the whole).

    Args:
        events: N events; those outside [t0, t1) are left out. Never changed.
        t0, t1: the window in microseconds, half-open.
        bins: number of time bins B (one bin takes the plain signed sum).
        out: optional (B, H, W) float32 array to write to; it is cleared first.

    Returns:
        (B, H, W) float32. Zeros for no events or a window without length. The sum equals the
        signed number of events in the window, up to float32 rounding (1e-6 an event).

    Raises:
        ValueError: ``bins`` < 1, or ``out`` of another shape or type.
    """
    grid = _output(out, (bins, events.height, events.width))
    if t1 > t0 and len(events):
        dense = bins > 1 and len(events) > _DENSE_EVENTS_A_PIXEL * events.width * events.height
        add = _add_dense if dense else _add_sparse
        add(events.x, events.y, events.t, events.p, t0, t1, grid)
    return grid


def binary_frame(events: EventStream, t0: int, t1: int, bins: int = 4) -> FloatArray:
    """1 where any event fell in each of ``bins`` equal spans of [t0, t1), polarity ignored.

    The input of Zou et al., "EventHPE", ICCV 2021, Sec. 4: four frames an interval. Bin of an
    event: floor(bins (t - t0) / (t1 - t0)) in whole numbers.

    Returns:
        (bins, H, W) float32 of 0 and 1.

    Raises:
        ValueError: ``bins`` < 1.
    """
    frame = _output(None, (bins, events.height, events.width))
    if t1 > t0 and len(events):
        _binary_frame(events.x, events.y, events.t, t0, t1, frame)
    return frame


def count_image(events: EventStream) -> FloatArray:
    """Events a pixel and polarity: (2, H, W) float32, channel 0 darker and 1 brighter."""
    image = np.zeros((2, events.height, events.width), np.float32)
    _count_image(events.x, events.y, events.p, image)
    return image


def _output(out: FloatArray | None, shape: tuple[int, int, int]) -> FloatArray:
    if shape[0] < 1:
        raise ValueError(f"bins must be at least 1, not {shape[0]}")
    if out is None:
        return np.zeros(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out must be float32 {shape}, not {out.dtype} {out.shape}")
    out[:] = 0
    return out


# The kernels leave out events outside the window one by one instead of trusting the time order,
# so that they hold for events in any order.


@njit(cache=True, nogil=True)
def _add_sparse(x, y, t, p, t0, t1, grid):  # type: ignore[no-untyped-def]
    """Add each event's two taps straight to the grid."""
    bins = grid.shape[0]
    span = t1 - t0
    for i in range(len(t)):
        if t[i] < t0 or t[i] >= t1:
            continue
        scaled = (bins - 1) * (t[i] - t0)
        lower = scaled // span
        vote = np.float32(1.0) if p[i] else np.float32(-1.0)
        upper_vote = vote * np.float32((scaled - lower * span) / span)
        grid[lower, y[i], x[i]] += vote - upper_vote
        if lower + 1 < bins:
            grid[lower + 1, y[i], x[i]] += upper_vote


@njit(cache=True, nogil=True)
def _add_dense(x, y, t, p, t0, t1, grid):  # type: ignore[no-untyped-def]
    """Add both taps of an event with one integer addition, for windows of many events.

    Between two bin centres k and k+1 a pixel's votes are settled by two sums: of the signs s and
    of s (t - start). Both travel in one int64, the first above bit 40, the second below, and
    become the two taps when time moves on to the next pair of centres. Integer sums are exact
    whatever the order. Times are coarsened so that a stretch has at most 2^20 steps (never for
    stretches under a second), and sums are taken out after 2^18 events, so the lower 40 bits
    cannot overflow.
    """
    bins, height, width = grid.shape
    flat = grid.reshape(bins, height * width)
    sums = np.zeros(height * width, np.int64)
    span, steps = t1 - t0, bins - 1
    coarse = np.int64(0)
    while (span // steps) >> coarse > _MOST_STEPS:
        coarse += 1
    k, start, stop = 0, t0, t0 - (-span // steps)
    unit = np.int64(1 << 40)
    cell, vote = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.int64)
    held = 0
    for first in range(0, len(t), _BLOCK):
        bx, by = x[first : first + _BLOCK], y[first : first + _BLOCK]
        bt, bp = t[first : first + _BLOCK], p[first : first + _BLOCK]
        n = len(bt)
        if held + n > _MOST_HELD:
            _settle(sums, flat, k, start, t0, span, coarse)
            held = 0
        held += n
        # Plain loops without branches, which compile to vector code; the sum needs no multiply:
        # (v ^ s) - s is v for s = 0 and -v for s = -1.
        strayed = False
        for i in range(n):
            strayed |= (bt[i] < start) | (bt[i] >= stop)
            sign = np.int64(bp[i]) - np.int64(1)
            late = (bt[i] - start) >> coarse
            vote[i] = ((late + unit) ^ sign) - sign
        for i in range(n):
            cell[i] = np.uint32(by[i]) * np.uint32(width) + np.uint32(bx[i])
        if not strayed:
            for i in range(n):
                sums[np.uint64(cell[i])] += vote[i]
            continue
        for i in range(n):
            if bt[i] < t0 or bt[i] >= t1:
                continue
            if bt[i] < start:
                # Out of order: going back would settle the whole sensor for one event.
                _add_sparse(
                    bx[i : i + 1], by[i : i + 1], bt[i : i + 1], bp[i : i + 1], t0, t1, grid
                )
                continue
            if bt[i] >= stop:
                _settle(sums, flat, k, start, t0, span, coarse)
                k = steps * (bt[i] - t0) // span
                start, stop = t0 - (-k * span // steps), t0 - (-(k + 1) * span // steps)
                held = n
            sign = np.int64(bp[i]) - np.int64(1)
            late = (bt[i] - start) >> coarse
            sums[np.uint64(cell[i])] += ((late + unit) ^ sign) - sign
    _settle(sums, flat, k, start, t0, span, coarse)


@njit(cache=True, nogil=True)
def _settle(sums, flat, k, start, t0, span, coarse):  # type: ignore[no-untyped-def]
    """Turn the packed sums of the stretch from ``start`` into taps of bins k, k+1; clear them."""
    steps = flat.shape[0] - 1
    lower, upper = flat[k], flat[k + 1]
    # tau - k = (steps (t - t0) - k span) / span, split at the stretch's first whole microsecond.
    slope = np.float32(steps * (1 << coarse) / span)
    offset = np.float32((steps * (start - t0) - k * span) / span)
    half = np.int64(1 << 39)
    for i in range(len(sums)):
        votes = (sums[i] + half) >> 40
        late = np.float32(sums[i] - (votes << 40)) * slope + np.float32(votes) * offset
        lower[i] += np.float32(votes) - late
        upper[i] += late
        sums[i] = 0


@njit(cache=True, nogil=True)
def _binary_frame(x, y, t, t0, t1, frame):  # type: ignore[no-untyped-def]
    bins = frame.shape[0]
    for i in range(len(t)):
        if t0 <= t[i] < t1:
            frame[bins * (t[i] - t0) // (t1 - t0), y[i], x[i]] = np.float32(1.0)


@njit(cache=True, nogil=True)
def _count_image(x, y, p, image):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        image[p[i], y[i], x[i]] += np.float32(1.0)
