"""What is wrong with DHP19's files, for its clone: marks, clocks, and events of no person."""

import numpy as np

from datasets.dhp19_layout import (
    CHANNELS,
    HEIGHT,
    SPECIALS,
    WIDTH,
    X_SHIFT,
    Y_SHIFT,
    RawRecording,
    Words,
    addresses,
)

Rng = np.random.Generator

HOT_EVENTS = (9_000, 12_000)
"""Events of a camera's two loudest pixels: below and above the 10,000 that make a hot pixel."""
STRAY_EVENTS = 200
# Infrared light in the masks of the reference reader: channel -> (columns, rows, events a second).
INFRARED = {2: ((88, 117), (115, 144), 4000.0), 3: ((214, 220), (136, 143), 1500.0)}
STROBE_US, STROBE_JITTER_US = 10_000, 300.0

CORRUPT, UNMARKED, WRAPPING = {(4, 3, 4), (4, 3, 6)}, {(14, 5, 3)}, {(14, 1, 1)}
"""The recordings of the original with too many special events, none, and wrapping timestamps."""
RARE_SPECIALS = tuple(kind for kind in SPECIALS if kind not in ("two", "none", "corrupt"))
RARE_SHARE = 0.2


def special_of(rng: Rng, recording: RawRecording) -> str:
    """How start and stop are marked: as in the original's known cases, else mostly ``two``."""
    if recording in CORRUPT:
        return "corrupt"
    if recording in UNMARKED:
        return "none"
    if recording in WRAPPING:
        return "one-at-start"
    return str(rng.choice(RARE_SPECIALS)) if rng.random() < RARE_SHARE else "two"


def clock_origin(rng: Rng, recording: RawRecording, start_us: int, stop_us: int) -> int:
    """Timestamp of the recording's first moment; `WRAPPING` ones wrap 9/10 of the way through."""
    if recording in WRAPPING:
        return 2**32 - start_us - (stop_us - start_us) * 9 // 10
    return int(rng.integers(0, 2**31))


def artefact_words(rng: Rng, length_us: int, start_us: int, stop_us: int) -> Words:
    """Hot pixels, infrared light and events with impossible addresses over [0, length_us).

    Args:
        rng: draws them.
        length_us: the cameras' recording.
        start_us, stop_us: between these a hot pixel reaches its `HOT_EVENTS`.
    """
    parts = [_stray_words(rng, length_us)]
    share = length_us / (stop_us - start_us)
    for channel in CHANNELS:
        for count in HOT_EVENTS:
            t = rng.integers(0, length_us, round(count * share))
            x, y = (np.full(len(t), place) for place in rng.integers(0, (WIDTH, HEIGHT)))
            parts.append(Words(t, addresses(x, y, np.ones_like(t), channel)))
    parts += [_infrared_words(rng, channel, length_us) for channel in INFRARED]
    t = np.concatenate([part.t for part in parts])
    order = np.argsort(t, kind="stable")
    return Words(t[order], np.concatenate([part.address for part in parts])[order])


def _stray_words(rng: Rng, length_us: int) -> Words:
    """Events beyond the columns, beyond the rows, or of cameras that do not exist."""
    raw_x, raw_y, camera = rng.integers(0, ((WIDTH,), (HEIGHT,), (4,)), (3, STRAY_EVENTS))
    broken = np.arange(STRAY_EVENTS) % 3
    raw_x[broken == 0] = rng.integers(WIDTH, 1024, np.count_nonzero(broken == 0))
    raw_y[broken == 1] = rng.integers(HEIGHT, 512, np.count_nonzero(broken == 1))
    camera[broken == 2] = rng.integers(4, 16, np.count_nonzero(broken == 2))
    address = (raw_y << Y_SHIFT | raw_x << X_SHIFT | camera).astype(np.uint32)
    return Words(np.sort(rng.integers(0, length_us, STRAY_EVENTS)), address)


def _infrared_words(rng: Rng, channel: int, length_us: int) -> Words:
    """A strobed spot of light: bursts every 10 ms, Gaussian over its mask, on and off."""
    columns, rows, per_second = INFRARED[channel]
    count = rng.poisson(per_second * length_us * 1e-6)
    flash = rng.integers(0, max(1, length_us // STROBE_US), count) * STROBE_US
    t = np.clip(flash + rng.normal(0, STROBE_JITTER_US, count), 0, length_us - 1)
    x, y = (
        np.clip(rng.normal((low + high - 1) / 2, (high - low) / 5, count), low, high - 1)
        for low, high in (columns, rows)
    )
    p = rng.integers(0, 2, count)
    return Words(t.astype(np.int64), addresses(np.rint(x), np.rint(y), p, channel))
