"""DHP19's reference reading, filters and frames in plain Python: what the fast ones must equal.

Written from the facts about the reference scripts alone, in their 1-based coordinates; it shares no
code with the project.
"""

import math
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Event(NamedTuple):
    """One event in the mosaic: X 1..1384, Y 1..260, camera, timestamp us, polarity."""

    X: int
    Y: int
    camera: int
    t: int
    p: int


def word(raw_x: int, raw_y: int, camera: int, t: int, p: int = 0) -> bytes:
    """An event as the file holds it."""
    return struct.pack(">II", raw_y << 22 | raw_x << 12 | p << 11 | camera, t % 2**32)


def mark(t: int) -> bytes:
    """A special event as the file holds it."""
    return struct.pack(">II", 0x400, t % 2**32)


def words_of(data: bytes) -> NDArray[np.uint64]:
    """The form in which the project's functions take the bytes of events."""
    return np.frombuffer(data, "<u8")


def decode(data: bytes) -> list[Event]:
    """DVS events whose pixel and camera exist."""
    events = []
    for address, t in struct.iter_unpack(">II", data):
        if address & 0x80000400:
            continue
        x, y, camera = address >> 12 & 0x3FF, address >> 22 & 0x1FF, address & 0xF
        if x <= 345 and y <= 259 and camera <= 3:
            p = 1 if address & 0x800 else 0
            events.append(Event(346 - x + camera * 346, 260 - y, camera, t, p))
    return events


def hot_pixels(events: Sequence[Event]) -> set[tuple[int, int]]:
    counts: dict[tuple[int, int], int] = {}
    for e in events:
        counts[e.X, e.Y] = counts.get((e.X, e.Y), 0) + 1
    return {pixel for pixel, count in counts.items() if count >= 10_000}


def in_infrared(e: Event) -> bool:
    return (780 < e.X < 810 and 115 < e.Y < 145) or (1252 < e.X < 1259 and 136 < e.Y < 144)


def reference_kept(events: Sequence[Event]) -> list[bool]:
    """The three filters on the mosaic."""
    hot, latest, keep = hot_pixels(events), np.zeros((1385, 261), np.int64), []
    for e in events:
        if (e.X, e.Y) in hot:
            keep.append(False)
            continue
        keep.append(e.t - latest[e.X, e.Y] <= 70_000 and not in_infrared(e))
        if e.X in (1, 1384) or e.Y in (1, 260):
            continue
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                if (dx, dy) != (0, 0):
                    latest[e.X + dx, e.Y + dy] = e.t
    return keep


def camera_kept(events: Sequence[Event]) -> list[bool]:
    """The three filters with company sought within the camera alone, by looking at all pixels
    around."""
    hot, keep = hot_pixels(events), []
    fired: dict[tuple[int, int, int], int] = {}
    for e in events:
        if (e.X, e.Y) in hot:
            keep.append(False)
            continue
        around = [
            fired[e.camera, e.X + dx, e.Y + dy]
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
            if (dx, dy) != (0, 0) and (e.camera, e.X + dx, e.Y + dy) in fired
        ]
        keep.append(bool(around) and e.t - max(around) <= 70_000 and not in_infrared(e))
        fired[e.camera, e.X, e.Y] = e.t
    return keep


def reference_frames(
    events: Sequence[Event], start: int, markers: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Frames (260, 346, 4) and labels (3, 13) of filtered events."""
    image, counter, k_before, made = np.zeros((1384, 260)), 0, 1, []
    for e in events:
        image[e.X - 1, e.Y - 1] += 1
        counter += 1
        if counter < 30_000:
            continue
        product = (e.t - start) * 0.0001
        k = int(product) + (1 if product - int(product) >= 0.5 else 0) + 1
        if k > len(markers):
            break
        frame = np.zeros((260, 346, 4))
        for camera in range(4):
            frame[:, :, camera] = _scaled(image[346 * camera : 346 * (camera + 1)]).T
        label = np.full((3, 13), math.nan)
        for joint in range(13):
            for axis in range(3):
                seen = [v for v in markers[k_before - 1 : k, joint, axis] if not math.isnan(v)]
                if seen:
                    label[axis, joint] = sum(seen) / len(seen)
        made.append((frame, label))
        image, counter, k_before = np.zeros((1384, 260)), 0, k
    return made


def _scaled(image: NDArray[np.float64]) -> NDArray[np.float64]:
    active = [v for v in image.ravel() if v > 0]
    mean = sum(active) / len(active) if active else 0.0
    spread = sum((v - mean) ** 2 for v in active) / (len(active) - 1) if len(active) > 1 else 0.0
    sigma = max(math.sqrt(spread), 0.1 / 255)
    scaled = np.zeros_like(image)
    for (x, y), v in np.ndenumerate(image):
        if v > 0:
            scaled[x, y] = min(255.0, math.floor(v * 255.0 / (3.0 * sigma)))
    return scaled
