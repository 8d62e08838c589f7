"""The compiled inner loops of `eventhpe.simulation.sensor`.

Everything per pixel is float32, and the loops over a row touch few arrays each, so that they
become SIMD code; only pixels which may fire are looked at one by one.
"""

import numpy as np
from numba import njit

NO_SURFACE = 65535
"""Surface id of a pixel that shows none which is followed, and of noise events."""

EVENT = np.dtype(
    [
        ("t", np.int64),
        ("x", np.uint16),
        ("y", np.uint16),
        ("surface", np.uint16),
        ("p", np.uint8),
        ("unused", np.uint8),
    ]
)
"""An event before readout; sixteen bytes, so sorting moves one piece of memory each."""

MAX_EVENTS_PER_STEP = 64
"""A pixel fires at most this often in a step; the rest of its swing is skipped."""

_AROUND = [(dy, dx) for dy in range(-3, 4) for dx in range(-3, 4) if 0 < dy * dy + dx * dx <= 9]
NEIGHBOURS = tuple(sorted(_AROUND, key=lambda at: at[0] ** 2 + at[1] ** 2))
"""Offsets (dy, dx) up to three pixels away, nearest first: as far as a lens blurs an edge."""

# Contraction to fused multiply-adds only: NaN marks pixels held in reset and must stay one.
FASTMATH = {"contract"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH, inline="always")
def _relaxed(a):  # type: ignore[no-untyped-def]
    """1 - exp(-a) for -4 <= a <= 16 in float32: a series at a / 32, its argument doubled 5 times.

    Relative error below 3e-7 for positive, 1e-5 for negative a.
    """
    one, two = np.float32(1.0), np.float32(2.0)
    z = a * np.float32(1 / 32)
    g = z * (one - z * (np.float32(1 / 2) - z * (np.float32(1 / 6) - z * np.float32(1 / 24))))
    g *= two - g
    g *= two - g
    g *= two - g
    g *= two - g
    g *= two - g
    return g


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _filter_row(target, before, was, dark, light, now):  # type: ignore[no-untyped-def]
    """One row of the low-pass, exact for a signal going linearly from ``was`` to ``target``.

    With a the step over the time constant, g = 1 - exp(-a):
    now = before + g (was - before) + (1 - g / a) (target - was).
    """
    one = np.float32(1.0)
    for x in range(len(now)):
        u0, u1, y0 = was[x], target[x], before[x]
        log_mean = np.float32(0.5) * (u0 + u1)
        intensity = one - _relaxed(min(max(-log_mean, np.float32(-4.0)), np.float32(16.0)))
        a = dark + light * intensity
        g = _relaxed(min(a, np.float32(16.0)))
        now[x] = y0 + g * (u0 - y0) + (one - g / a) * (u1 - u0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def step(  # type: ignore[no-untyped-def]
    target, pixels, low_pass, box, row, times, scratch, events, n
):
    """Advance the pixels in ``box`` from ``row`` on and append their events.

    Args:
        target: (H, W) log intensity at the end of the step.
        pixels: filtered signal, its last input, reference (NaN: held in reset), end of the reset
            (us), thresholds on and off; (H, W) each.
        low_pass: step over time constant of a black pixel, and what intensity 1 adds.
        box: x0, y0, x1, y1.
        row: the first row to do.
        times: start, end and refractory period, us.
        scratch: (W,) float32 and (W,) uint8.
        events: `EVENT` records, the first ``n`` of them used.

    Returns:
        The first row not done, for want of room, or y1; and the new number of events.
    """
    state, last_input, reference, held, on, off = pixels
    dark, light = low_pass
    before, hit = scratch
    x0, _, x1, y1 = box
    for y in range(row, y1):
        if n + (x1 - x0) * MAX_EVENTS_PER_STEP > len(events):
            return y, n
        # Views of the box's row: their indices start at 0, so there is no test for negative ones.
        now, was, goal = state[y, x0:x1], last_input[y, x0:x1], target[y, x0:x1]
        level, up, down = reference[y, x0:x1], on[y, x0:x1], off[y, x0:x1]
        for x in range(len(now)):
            before[x] = now[x]
        if dark > np.float32(0.0):
            _filter_row(goal, before, was, dark, light, now)
            for x in range(len(now)):
                was[x] = goal[x]
        else:
            for x in range(len(now)):
                now[x] = goal[x]
        for x in range(len(now)):
            quiet = (now[x] < level[x] + up[x]) & (now[x] > level[x] - down[x])
            hit[x] = not quiet  # so it is, too, where the level is NaN
        for x in range(len(now)):
            if hit[x]:
                thresholds = (up[x], down[x])
                n = _fire(
                    x0 + x, y, before[x], now[x], reference, held, thresholds, times, events, n
                )
    return y1, n


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def _fire(  # type: ignore[no-untyped-def]
    x, y, before, now, reference, held, thresholds, times, events, n
):
    """The events of one pixel whose signal goes from ``before`` to ``now``, linear in time."""
    (on, off), (t0, t1, refractory) = thresholds, times
    slope = (np.float64(now) - before) / (t1 - t0)
    level, awake = reference[y, x], t0
    if np.isnan(level):
        if held[y, x] > t1:
            return n
        awake = max(held[y, x], t0)
        level = np.float32(before + (awake - t0) * slope)
    for _ in range(MAX_EVENTS_PER_STEP):
        above, below = level + on, level - off
        if now < above and now > below:
            reference[y, x] = level
            return n
        p = now >= above
        level = above if p else below
        t = min(max(t0 + (level - before) / slope, awake), t1)
        events[n].t, events[n].x, events[n].y = np.int64(t), x, y
        events[n].p, events[n].surface = p, NO_SURFACE
        n += 1
        if refractory > 0:
            awake = t + refractory
            held[y, x] = awake
            if awake > t1:
                reference[y, x] = np.nan
                return n
            level = np.float32(before + (awake - t0) * slope)
    reference[y, x] = now
    return n


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def tell_surfaces(events, surface, shown):  # type: ignore[no-untyped-def]
    """Write every event's surface id: its pixel's own now, else at the step before (``shown``),
    else of the nearest of the `NEIGHBOURS` that show one now, else `NO_SURFACE`."""
    height, width = surface.shape
    for i in range(len(events)):
        x, y = np.int64(events[i].x), np.int64(events[i].y)
        own = surface[y, x]
        if own == NO_SURFACE:
            own = shown[y, x]
        if own == NO_SURFACE:
            for dy, dx in NEIGHBOURS:
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    own = surface[y + dy, x + dx]
                    if own != NO_SURFACE:
                        break
        events[i].surface = own


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def sort_by_time(events, t0, t1):  # type: ignore[no-untyped-def]
    """A copy sorted by time, stable, by counting the events of each microsecond.

    Those before ``t0`` come first and those from ``t1`` on last, each in the order they had.
    """
    last = t1 - t0
    place = np.zeros(last + 2, np.int64)
    for i in range(len(events)):
        place[min(max(events[i].t - t0, 0), last) + 1] += 1
    for k in range(last):
        place[k + 1] += place[k]
    out = np.empty_like(events)
    for i in range(len(events)):
        key = min(max(events[i].t - t0, 0), last)
        out[place[key]] = events[i]
        place[key] += 1
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)
def read_out(events, t1, readout, free, out):  # type: ignore[no-untyped-def]
    """Pass sorted events over the bus, one after the other, until ``t1``.

    Args:
        events: sorted `EVENT` records.
        t1: stamps stay below it.
        readout: time per event, longest wait (us, else dropped), resolution of the stamps, which
            are rounded up to it: the clock's next tick.
        free: when the bus is free.
        out: arrays t, x, y, p, surface to fill.

    Returns:
        How many events were taken, how many of them passed on, when the bus is free again.
    """
    service, longest, resolution = readout
    t, x, y, p, surface = out
    n = 0
    for i in range(len(events)):
        event = events[i]
        at = max(np.float64(event.t), free)
        stamp = -(-np.int64(at) // resolution) * resolution
        if stamp >= t1:
            return i, n, free
        if at - event.t > longest:
            continue
        free = at + service
        t[n], x[n], y[n], p[n], surface[n] = stamp, event.x, event.y, event.p, event.surface
        n += 1
    return len(events), n, free
