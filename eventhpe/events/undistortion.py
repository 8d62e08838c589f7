"""Taking a lens's distortion out of events, by lookup table."""

from dataclasses import replace

import numpy as np

from eventhpe.camera import Camera
from eventhpe.events.stream import EventStream


class Undistortion:
    """Moves events to the nearest pixel of the same camera without its lens's bending.

    One table entry a pixel. Events that leave the image, or that the lens's model gives no ray,
    are dropped and counted.

    Args:
        camera: of the events.

    Attributes:
        seen, dropped: events so far, and how many of them left the image.
    """

    def __init__(self, camera: Camera) -> None:
        pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
        table = np.rint(camera.undistort_points(pixels.astype(np.float64)))
        # NaN compares false.
        within = (table >= 0) & (table < (camera.width, camera.height))
        self._inside = within[..., 0] & within[..., 1]
        self._table = np.where(self._inside[..., None], table, 0).astype(np.uint16)
        self.seen = self.dropped = 0

    def __call__(self, events: EventStream) -> EventStream:
        """The events without distortion."""
        kept = events.masked(self._inside[events.y, events.x])
        self.seen += len(events)
        self.dropped += len(events) - len(kept)
        moved = self._table[kept.y, kept.x]
        return replace(kept, x=moved[:, 0].copy(), y=moved[:, 1].copy())

    def __str__(self) -> str:
        share = self.dropped / max(self.seen, 1)
        return f"{self.dropped:,} of {self.seen:,} events ({share:.1%}) left the undistorted image"
