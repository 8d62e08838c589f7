"""How training data stray from their recordings: events lost and added, regions moved, rolls."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.camera import Crop
from eventhpe.events.stream import EventStream


@dataclass(frozen=True)
class Augmentation:
    """How far training items stray from their recordings.

    Attributes:
        flip: chance to mirror left and right.
        polarity: chance to swap polarities.
        dropout: an item loses up to this share of its events.
        scale: the region's side is multiplied by up to 1 +- this.
        shift: the region moves by up to this share of its side.
        noise: up to this many uniform noise events, as a share of the item's events.
        busy: chance to take the busier of two random moments, for a person at rest teaches little.
    """

    flip: float = 0.5
    polarity: float = 0.5
    dropout: float = 0.5
    scale: float = 0.15
    shift: float = 0.08
    noise: float = 0.1
    busy: float = 0.7


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def jitter(augmentation: Augmentation, rng: np.random.Generator) -> tuple[float, float, float]:
    """A draw of scale and of the two shifts, as `moved` takes them."""
    scale = 1.0 + augmentation.scale * rng.uniform(-1, 1)
    x, y = augmentation.shift * rng.uniform(-1, 1, 2)
    return scale, float(x), float(y)


def moved(crop: Crop, scale: float, x: float, y: float) -> Crop:
    """The crop scaled about its centre and moved by a share of its side."""
    side = crop.side * scale
    left = crop.x0 + (crop.side - side) / 2 + x * side
    top = crop.y0 + (crop.side - side) / 2 + y * side
    return Crop(left, top, side, crop.size)


def disturbed(
    events: EventStream, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[EventStream, NDArray[np.int64]]:
    """The events after dropout and noise, and which of ``events`` each was (-1: noise)."""
    origin = np.arange(len(events))
    if augmentation.dropout > 0:
        stays = rng.random(len(events)) >= rng.uniform(0, augmentation.dropout)
        events, origin = events.masked(stays), origin[stays]
    extra = int(len(events) * rng.uniform(0, augmentation.noise)) if augmentation.noise else 0
    if extra == 0:
        return events, origin
    # Two sorted runs merge in linear time.
    noise_t = np.sort(rng.integers(events.t[0], events.t[-1] + 1, extra))
    t = np.concatenate([events.t, noise_t])
    x = np.concatenate([events.x, rng.integers(0, events.width, extra, np.uint16)])
    y = np.concatenate([events.y, rng.integers(0, events.height, extra, np.uint16)])
    p = np.concatenate([events.p, rng.integers(0, 2, extra, np.uint8)])
    origin = np.concatenate([origin, np.full(extra, -1)])
    order = np.argsort(t, kind="stable")
    stream = EventStream(x[order], y[order], t[order], p[order], events.width, events.height)
    return stream, origin[order]


def swapped(events: EventStream) -> EventStream:
    """The events with ON and OFF exchanged."""
    p = (1 - events.p).astype(np.uint8)
    return EventStream(events.x, events.y, events.t, p, events.width, events.height)


def rolled(events: EventStream, K: NDArray[np.float64], angle: float) -> EventStream:
    """What the camera would see turned about its optical axis; events that leave are dropped.

    A point at the normalised (x, y) goes to (x cos a - y sin a, x sin a + y cos a): with y down, a
    positive angle turns the picture clockwise. Events go to the nearest pixel.

    Args:
        K: (3, 3) pinhole intrinsics, pixels; skew is passed over.
        angle: radians.
    """
    places = rolled_points(np.stack([events.x, events.y], axis=1).astype(np.float64), K, angle)
    places = np.rint(places)
    stays = ((places >= 0) & (places < (events.width, events.height))).all(axis=1)
    x, y = places[stays].astype(np.uint16).T
    return EventStream(
        x.copy(), y.copy(), events.t[stays], events.p[stays], events.width, events.height
    )


def rolled_points(
    points: NDArray[np.float64], K: NDArray[np.float64], angle: float
) -> NDArray[np.float64]:
    """Pixels (..., 2) after the roll of `rolled`."""
    focal, centre = np.diag(K)[:2], K[:2, 2]
    turned = (points - centre) / focal @ turn(angle)[:2, :2].T
    return np.asarray(turned * focal + centre)


def turn(angle: float) -> NDArray[np.float64]:
    """(3, 3) rotation by ``angle`` radians about the camera's z axis."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
