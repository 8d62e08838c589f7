"""ECF, the compression of Metavision's HDF5 events (HDF5 filter 36559), decoded in Numba.

A chunk is little-endian and holds a header, the times, then rows, columns and polarities:

- header u32: bit 0 columns and polarities packed together, bit 1 rows too, the rest n events;
- times: u64 first time; then bytes of a high nibble a and a low nibble c: the clock goes on by a
  and c events follow (15: as many as the next u16 says); bytes with a = 15 are a longer step of
  the clock, their low nibbles the number, least significant first;
- with bit 1: groups of four events, 24 bits each (11 of row, 11 of column, 1 of polarity) in three
  u32, the last event's bytes spread over the spare bytes of the others;
- else rows as u16 of 11 bits row and 5 bits count (31: as many as the next u16 says); then with
  bit 0 groups of four events, 12 bits each (11 of column, 1 of polarity), in three u16, else
  columns as u16 of 11 bits column and a mask of the five columns after it, and polarities as bytes
  of 1 bit and 7 bits count (127: as many as the next u16 says).

Every read is checked against the chunk's end and every write against n: a damaged chunk is an
error, whatever its bytes. Each loop uses up bytes, so that none can go on for ever.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

FILTER = 36559
MOST_EVENTS = 65_535
"""Events that a chunk can hold at most."""

_TOO_SHORT, _TOO_MANY, _BAD_TIME = -1, -2, -3
_WRONG = {
    _TOO_SHORT: "it ends within its events",
    _TOO_MANY: "its counts say more events than its header",
    _BAD_TIME: "a time beyond 62 bits",
}
_LATEST = np.int64(1 << 62)


def decode_chunk(
    chunk: NDArray[np.uint8],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    t: NDArray[np.int64],
    p: NDArray[np.uint8],
) -> int:
    """Fill the first n places of x, y, t (us as stored) and p; returns n.

    Args:
        chunk: (B,) the bytes as they stand in the file.
        x, y, t, p: arrays with room for the chunk's events; what lies beyond n is kept.

    Raises:
        ValueError: the chunk is damaged, or holds more events than there is room for.
    """
    if len(chunk) < 4:
        raise ValueError(f"{len(chunk)} bytes")
    header = int.from_bytes(chunk[:4].tobytes(), "little")
    n = header >> 2
    room = min(len(x), len(y), len(t), len(p))
    if n > min(room, MOST_EVENTS):
        raise ValueError(f"{n:,} events where at most {min(room, MOST_EVENTS):,} can be")
    if n == 0:
        return 0
    code = int(_decode(chunk, header & 3, x[:n], y[:n], t[:n], p[:n]))
    if code < 0:
        raise ValueError(_WRONG[code])
    return n


@njit(cache=True, nogil=True)
def _decode(data, packed, x, y, t, p):  # type: ignore[no-untyped-def]
    """The end of what was read, or a negative code."""
    at = _times(data, 4, t)
    if at < 0:
        return at
    if packed & 2:
        return _packed_events(data, at, x, y, p)
    at = _rows(data, at, y)
    if at < 0:
        return at
    if packed & 1:
        return _packed_columns(data, at, x, p)
    at = _columns(data, at, x)
    if at < 0:
        return at
    return _polarities(data, at, p)


@njit(cache=True, nogil=True)
def _u8(data, at):  # type: ignore[no-untyped-def]
    return np.int64(data[at])


@njit(cache=True, nogil=True)
def _u16(data, at):  # type: ignore[no-untyped-def]
    return _u8(data, at) | (_u8(data, at + 1) << 8)


@njit(cache=True, nogil=True)
def _u32(data, at):  # type: ignore[no-untyped-def]
    return _u16(data, at) | (_u16(data, at + 2) << 16)


@njit(cache=True, nogil=True)
def _times(data, at, t):  # type: ignore[no-untyped-def]
    end, n = len(data), len(t)
    if at + 8 > end:
        return _TOO_SHORT
    if data[at + 7] & 0xC0:
        return _BAD_TIME
    now = _u32(data, at) | (_u32(data, at + 4) << 32)
    at += 8
    done = 0
    while done < n:
        if at >= end:
            return _TOO_SHORT
        value = _u8(data, at)
        step, count = value >> 4, value & 15
        if step == 15:
            gap, shift = np.int64(0), np.int64(0)
            while at < end and data[at] >> 4 == 15:
                digit = _u8(data, at) & 15
                if digit and shift > 56:
                    return _BAD_TIME
                gap |= digit << min(shift, np.int64(60))
                shift += 4
                at += 1
            if gap > _LATEST - now:
                return _BAD_TIME
            now += gap
            continue
        at += 1
        now += step
        if count == 15:
            if at + 2 > end:
                return _TOO_SHORT
            count = _u16(data, at)
            at += 2
        if count > n - done:
            return _TOO_MANY
        for i in range(done, done + count):
            t[i] = now
        done += count
    return at


@njit(cache=True, nogil=True)
def _packed_events(data, at, x, y, p):  # type: ignore[no-untyped-def]
    n = len(x)
    if at + 12 * ((n + 3) // 4) > len(data):
        return _TOO_SHORT
    for first in range(0, n, 4):
        w0, w1, w2 = _u32(data, at), _u32(data, at + 4), _u32(data, at + 8)
        at += 12
        _put_event(first, w0 >> 8, x, y, p)
        if first + 1 < n:
            _put_event(first + 1, (w0 & 0xFF) | ((w1 >> 16) << 8), x, y, p)
        if first + 2 < n:
            _put_event(first + 2, (w1 & 0xFFFF) | ((w2 >> 24) << 16), x, y, p)
        if first + 3 < n:
            _put_event(first + 3, w2 & 0xFFFFFF, x, y, p)
    return at


@njit(cache=True, nogil=True)
def _put_event(i, value, x, y, p):  # type: ignore[no-untyped-def]
    y[i] = (value >> 12) & 0x7FF
    x[i] = (value >> 1) & 0x7FF
    p[i] = value & 1


@njit(cache=True, nogil=True)
def _rows(data, at, y):  # type: ignore[no-untyped-def]
    end, n = len(data), len(y)
    done = 0
    while done < n:
        if at + 2 > end:
            return _TOO_SHORT
        value = _u16(data, at)
        at += 2
        count = value & 31
        if count == 31:
            if at + 2 > end:
                return _TOO_SHORT
            count = _u16(data, at)
            at += 2
        if count > n - done:
            return _TOO_MANY
        for i in range(done, done + count):
            y[i] = value >> 5
        done += count
    return at


@njit(cache=True, nogil=True)
def _packed_columns(data, at, x, p):  # type: ignore[no-untyped-def]
    n = len(x)
    if at + 6 * ((n + 3) // 4) > len(data):
        return _TOO_SHORT
    for first in range(0, n, 4):
        w0, w1, w2 = _u16(data, at), _u16(data, at + 2), _u16(data, at + 4)
        at += 6
        v1 = (w0 & 15) | ((w1 >> 8) << 4)
        v2 = (w1 & 0xFF) | ((w2 >> 12) << 8)
        x[first], p[first] = w0 >> 5, (w0 >> 4) & 1
        if first + 1 < n:
            x[first + 1], p[first + 1] = v1 >> 1, v1 & 1
        if first + 2 < n:
            x[first + 2], p[first + 2] = v2 >> 1, v2 & 1
        if first + 3 < n:
            x[first + 3], p[first + 3] = (w2 >> 1) & 0x7FF, w2 & 1
    return at


@njit(cache=True, nogil=True)
def _columns(data, at, x):  # type: ignore[no-untyped-def]
    end, n = len(data), len(x)
    done = 0
    while done < n:
        if at + 2 > end:
            return _TOO_SHORT
        value = _u16(data, at)
        at += 2
        column = value >> 5
        x[done] = column
        done += 1
        for j in range(5):
            if value & (16 >> j):
                if done >= n:
                    return _TOO_MANY
                x[done] = column + j + 1
                done += 1
    return at


@njit(cache=True, nogil=True)
def _polarities(data, at, p):  # type: ignore[no-untyped-def]
    end, n = len(data), len(p)
    done = 0
    while done < n:
        if at >= end:
            return _TOO_SHORT
        value = _u8(data, at)
        at += 1
        count = value & 127
        if count == 127:
            if at + 2 > end:
                return _TOO_SHORT
            count = _u16(data, at)
            at += 2
        if count > n - done:
            return _TOO_MANY
        for i in range(done, done + count):
            p[i] = value >> 7
        done += count
    return at
