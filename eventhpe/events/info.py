"""What a recording holds: figures for `eventhpe info`, and a picture."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eventhpe.events.recording import Recording
from eventhpe.events.representations import count_image
from eventhpe.files import atomic_path


def describe(recording: Recording) -> dict[str, Any]:
    """Read a recording once and sum it up.

    Returns:
        path, format, width, height, t_origin_us, num_events, duration_us (last event + 1 us from
        the origin), events_per_second (over the time from the first to the last event),
        on_share (0..1), busiest_pixel (x, y, events), frames (grayscale ones beside the events),
        index (what a later start is found by), and the repairs made.

    Raises:
        InputError: the recording is damaged.
    """
    counts = np.zeros((2, recording.height, recording.width), np.int64)
    first = last = None
    for events in recording.chunks():
        counts += count_image(events).astype(np.int64)
        first = int(events.t[0]) if first is None else first
        last = int(events.t[-1])
    total = int(counts.sum())
    span = (last - first) if first is not None and last is not None else 0
    frames = recording.frames()
    y, x = np.unravel_index(int(counts.sum(0).argmax()), counts.shape[1:])
    return {
        "path": str(recording.path),
        "format": recording.format,
        "width": recording.width,
        "height": recording.height,
        "t_origin_us": recording.t_origin,
        "num_events": total,
        "duration_us": 0 if last is None else last + 1,
        "events_per_second": total / (span * 1e-6) if span else 0.0,
        "on_share": float(counts[1].sum() / total) if total else 0.0,
        "busiest_pixel": (int(x), int(y), int(counts[:, y, x].sum())),
        "frames": 0 if frames is None else len(frames),
        "index": recording.index or "none: read forward only",
        "repairs": asdict(recording.repairs),
    }


def preview(recording: Recording, png: str | Path, window_us: int = 50_000) -> None:
    """Write a PNG of the busiest of ten windows spread over the recording.

    Brighter events are blue and darker ones red on white; the darkest colour is three events or
    more at a pixel.

    Raises:
        InputError: the recording is damaged or ``png`` cannot be written.
    """
    starts = np.linspace(0, max(0, recording.duration_us - window_us), 10).astype(np.int64)
    windows = (recording.read(int(start), int(start) + window_us) for start in starts)
    darker, brighter = count_image(max(windows, key=len)).clip(0, 3) / 3
    rgb = np.stack([1 - brighter, 1 - np.maximum(darker, brighter), 1 - darker], axis=-1)
    with atomic_path(png) as partial:
        Image.fromarray((rgb * 255).astype(np.uint8)).save(partial, format="PNG")
