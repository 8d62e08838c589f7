"""Which moment is shown, and whether time runs: the viewer's clock, which knows no browser."""

import threading

import numpy as np
from numpy.typing import NDArray

SPEEDS = (0.1, 2.0)
TICK_US = 10_000  # moments at most so far apart, that slow motion is no slide show


def ticks_of(t_us: NDArray[np.int64], spacing_us: int = TICK_US) -> NDArray[np.int64]:
    """The moments that can be shown: the poses' own, and evenly between two of them some more.

    Args:
        t_us: (T,) moments of the poses, microseconds, strictly increasing, T > 0.
        spacing_us: how far apart moments may be, where poses are as far apart as they mostly are.

    Returns:
        (N,) microseconds, strictly increasing, from the first pose to the last.
    """
    parts = 1 if len(t_us) < 2 else -(-int(np.median(np.diff(t_us))) // spacing_us)
    poses = np.arange(len(t_us))
    places = np.arange((len(t_us) - 1) * parts + 1) / parts
    between = np.rint(np.interp(places, poses, t_us)).astype(np.int64)
    return np.unique(between)  # poses a microsecond apart leave no room between


class Player:
    """The moment shown. Methods may be called from any thread; `wait` tells of every change.

    Args:
        ticks: (N,) the moments that can be shown, microseconds, strictly increasing, N > 0.

    Attributes:
        ticks: as given.
        playing: whether time runs.
        speed: recorded seconds a second.
    """

    def __init__(self, ticks: NDArray[np.int64]) -> None:
        self.ticks = ticks
        self.playing = False
        self.speed = 1.0
        self._now_us = float(ticks[0])
        self._since_s: float | None = None
        self._changed = True
        self._condition = threading.Condition()

    @property
    def tick(self) -> int:
        """Index of the moment shown: the one nearest to the time that has been reached."""
        after = int(np.searchsorted(self.ticks, self._now_us).clip(1, max(1, len(self.ticks) - 1)))
        if after >= len(self.ticks):
            return 0
        before = after - 1
        nearer_after = self.ticks[after] - self._now_us < self._now_us - self.ticks[before]
        return after if nearer_after else before

    @property
    def now_s(self) -> float:
        """The moment shown, in seconds from the recording's origin."""
        return float(self.ticks[self.tick]) / 1e6

    def seek(self, seconds: float) -> None:
        """Show that time, or the nearest there is, and stand still there."""
        with self._condition:
            self.playing = False
            self._move(seconds * 1e6)

    def step(self, ticks: int) -> None:
        """Go so many moments on (back, below 0), to the ends at most, and stand still there."""
        with self._condition:
            self.playing = False
            self._move(float(self.ticks[min(max(self.tick + ticks, 0), len(self.ticks) - 1)]))

    def toggle(self) -> None:
        """Play, or stand still."""
        with self._condition:
            self.playing = not self.playing
            self._notify()

    def set_speed(self, speed: float) -> None:
        """Play at ``speed``, brought into `SPEEDS`."""
        with self._condition:
            self.speed = min(max(speed, SPEEDS[0]), SPEEDS[1])

    def advance(self, clock_s: float) -> None:
        """Let time run on; after the last moment comes the first.

        Args:
            clock_s: of a steady clock, seconds. What passed since the last call counts if time ran
                at that call, too.
        """
        with self._condition:
            since, self._since_s = self._since_s, clock_s if self.playing else None
            if since is None or not self.playing:
                return
            self._now_us += (clock_s - since) * self.speed * 1e6
            if self._now_us > float(self.ticks[-1]):
                self._now_us = float(self.ticks[0])

    def touch(self) -> None:
        """Have the moment drawn again: what is to be seen of it has changed."""
        with self._condition:
            self._notify()

    def wait(self, frame_s: float) -> None:
        """Return at the next change; while time runs, after ``frame_s`` at the latest."""
        with self._condition:
            if not self._changed:
                self._condition.wait(frame_s if self.playing else None)
            self._changed = False

    def _move(self, us: float) -> None:
        self._now_us = min(max(us, float(self.ticks[0])), float(self.ticks[-1]))
        self._notify()

    def _notify(self) -> None:
        self._changed = True
        self._condition.notify_all()
