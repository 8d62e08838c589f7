"""EventStream: a time-sorted block of events held as four flat arrays."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EventStream:
    """A block of events of one sensor.

    Attributes:
        x: (N,) uint16 columns, 0..width-1 rightward.
        y: (N,) uint16 rows, 0..height-1 downward.
        t: (N,) int64 microseconds from the recording's origin, never decreasing.
        p: (N,) uint8 polarity, 0 darker and 1 brighter.
        width: sensor columns.
        height: sensor rows.

    Values are trusted (`Recording` has cleaned them); only shapes and types are checked here.

    Raises:
        ValueError: the arrays are not flat, not of equal length, or not of the types above.
    """

    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    t: NDArray[np.int64]
    p: NDArray[np.uint8]
    width: int
    height: int

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in "xytp"}
        if len(set(shapes.values())) != 1 or self.t.ndim != 1:
            raise ValueError(f"events need four flat arrays of equal length, not {shapes}")
        types = tuple(getattr(self, name).dtype for name in "xytp")
        if types != (np.uint16, np.uint16, np.int64, np.uint8):
            raise ValueError(
                f"events need uint16, uint16, int64, uint8 for x, y, t, p, not {types}"
            )

    @classmethod
    def from_arrays(
        cls,
        x: NDArray[np.generic],
        y: NDArray[np.generic],
        t: NDArray[np.generic],
        p: NDArray[np.generic],
        width: int,
        height: int,
    ) -> "EventStream":
        """Cast trusted integer arrays to the stream's types (no copy where they already fit)."""
        return cls(
            np.asarray(x).astype(np.uint16, copy=False),
            np.asarray(y).astype(np.uint16, copy=False),
            np.asarray(t).astype(np.int64, copy=False),
            np.asarray(p).astype(np.uint8, copy=False),
            width,
            height,
        )

    @classmethod
    def empty(cls, width: int, height: int) -> "EventStream":
        """A stream of no events."""
        none = np.empty(0, np.int64)
        return cls.from_arrays(none, none, none, none, width, height)

    @classmethod
    def concatenate(cls, streams: Sequence["EventStream"]) -> "EventStream":
        """Join blocks that follow one another in time.

        Raises:
            ValueError: no block, blocks of different sensors, or a block that starts before the
                one ahead of it ends.
        """
        if not streams:
            raise ValueError("concatenate needs at least one stream to know the sensor's size")
        sizes = {(s.width, s.height) for s in streams}
        if len(sizes) != 1:
            raise ValueError(f"streams of different sensors cannot be joined: {sorted(sizes)}")
        if len(streams) == 1:
            return streams[0]
        filled = [s for s in streams if len(s)]
        for before, after in itertools.pairwise(filled):
            if after.t[0] < before.t[-1]:
                raise ValueError(f"a block starts at {after.t[0]} us, before {before.t[-1]} us")
        x, y, t, p = (np.concatenate([getattr(s, name) for s in streams]) for name in "xytp")
        return cls(x, y, t, p, *sizes.pop())

    def __len__(self) -> int:
        return len(self.t)

    def slice(self, i0: int, i1: int) -> "EventStream":
        """Events i0..i1-1 as views of the same memory."""
        return EventStream(
            self.x[i0:i1], self.y[i0:i1], self.t[i0:i1], self.p[i0:i1], self.width, self.height
        )

    def between(self, t0: int, t1: int) -> "EventStream":
        """Events with t0 <= t < t1 (microseconds) as views of the same memory."""
        i0, i1 = np.searchsorted(self.t, (t0, t1), side="left")
        return self.slice(int(i0), int(i1))

    def masked(self, keep: BoolArray) -> "EventStream":
        """Events where ``keep`` (N,) is true."""
        return EventStream(
            self.x[keep], self.y[keep], self.t[keep], self.p[keep], self.width, self.height
        )

    def reoriented(
        self, rotate: int = 0, flip_x: bool = False, flip_y: bool = False
    ) -> "EventStream":
        """Turn the picture clockwise by ``rotate`` degrees, then mirror columns and rows.

        A quarter turn clockwise carries the top-left corner to the top-right one, so
        (x, y) -> (height-1-y, x) and the sensor's sides change places. Times and polarities
        are shared with this stream.

        Raises:
            ValueError: ``rotate`` is not 0, 90, 180 or 270.
        """
        last_x, last_y = np.uint16(self.width - 1), np.uint16(self.height - 1)
        turns = {
            0: lambda: (self.x, self.y),
            90: lambda: (last_y - self.y, self.x),
            180: lambda: (last_x - self.x, last_y - self.y),
            270: lambda: (self.y, last_x - self.x),
        }
        if rotate not in turns:
            raise ValueError(f"rotate must be 0, 90, 180 or 270 degrees, not {rotate}")
        x, y = turns[rotate]()
        sideways = rotate in (90, 270)
        width, height = (self.height, self.width) if sideways else (self.width, self.height)
        if flip_x:
            x = np.uint16(width - 1) - x
        if flip_y:
            y = np.uint16(height - 1) - y
        return EventStream(x, y, self.t, self.p, width, height)
