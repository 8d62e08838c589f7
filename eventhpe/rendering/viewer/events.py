"""The events around a moment: read by chunks, as a picture and as a cloud in space and time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream

MOST_POINTS = 20_000  # a browser draws so many without effort
METRES_A_SECOND = 4.0  # how long a second is in the cloud
_JUMP_US = 1_000_000

Prepare = Callable[[EventStream], EventStream]


class EventReader:
    """Stretches of a recording, in any order, holding no more than the last one and a chunk.

    A stretch that begins where the last one did or later is read on from there. One that lies
    before, or, where the recording has an index, far ahead, is looked for anew.

    Args:
        recording: what is read.
        prepare: turns, mirrors and undistorts events, as was done before inference.
    """

    def __init__(self, recording: Recording, prepare: Prepare) -> None:
        self._recording, self._prepare = recording, prepare
        self._held = prepare(EventStream.empty(recording.width, recording.height))
        self._chunks: Iterator[EventStream] | None = None
        self._from_us = self._until_us = 0

    def between(self, start_us: int, stop_us: int) -> EventStream:
        """The events of start_us <= t < stop_us.

        Raises:
            InputError: see `Recording.chunks`.
        """
        leap = self._recording.index is not None and start_us > self._until_us + _JUMP_US
        if self._chunks is None or start_us < self._from_us or leap:
            self._chunks = self._recording.chunks(max(start_us, 0))
            self._held = self._held.slice(0, 0)
            self._until_us = start_us
        self._from_us = start_us
        blocks = [self._held.between(start_us, self._until_us)]
        # The next chunk may begin at the very time at which the last one ended.
        while self._until_us <= stop_us and (chunk := next(self._chunks, None)) is not None:
            blocks.append(self._prepare(chunk))
            self._until_us = int(chunk.t[-1]) + 1
        self._held = EventStream.concatenate(blocks)
        return self._held.between(start_us, stop_us)


@dataclass(frozen=True, eq=False)
class Cloud:
    """Events as points in the camera's frame.

    Attributes:
        points: (N, 3) float32, metres.
        polarity: (N,) uint8, 0 darker and 1 brighter.
    """

    points: NDArray[np.float32]
    polarity: NDArray[np.uint8]


def event_cloud(
    events: EventStream,
    K: NDArray[np.float64],
    now_us: int,
    depth_m: float,
    most: int = MOST_POINTS,
) -> Cloud:
    """Each event on the ray of its pixel, as far as its time is past.

    An event of ``now_us`` lies ``depth_m`` before the camera, an older one `METRES_A_SECOND`
    deeper, a later one nearer. Seen from the camera every event lies on its pixel.

    Args:
        events: of a camera without a lens's bending.
        K: (3, 3) its intrinsics.
        most: points; where there are more events, every so-and-so-many-th is taken.
    """
    chosen = np.arange(len(events))
    if len(events) > most:
        chosen = np.linspace(0, len(events) - 1, most).round().astype(np.intp)
    pixels = np.stack([events.x[chosen], events.y[chosen], np.ones(len(chosen))], axis=1)
    depth = depth_m + METRES_A_SECOND * (now_us - events.t[chosen]) / 1e6
    points = pixels @ np.linalg.inv(K).T * depth[:, None]
    return Cloud(points.astype(np.float32), events.p[chosen])
