"""A recording given at the pace of its timestamps: it stands where a camera will stand."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import Packet, windows_of

PACKET_US = 5_000
"""Length of a packet; event cameras' drivers hand over every 1 to 10 ms."""


class Replay:
    """Packets of a recording, none before the time of its end has come.

    The clock starts when the first packet is asked for. Whoever takes packets too slowly gets the
    next ones at once: they wait as in a driver's queue, and none is lost.

    Args:
        recording: where the events come from.
        packet_us: length of a packet.
        clock: seconds that only rise.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        recording: Recording,
        packet_us: int = PACKET_US,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recording, self._packet_us = recording, packet_us
        self._clock, self._sleep = clock, sleep
        self._zero_s = 0.0

    def packets(self, start_us: int, stop_us: int) -> Iterator[Packet]:
        """Packets that cover [start_us, stop_us), with or without events."""
        span, length = stop_us - start_us, self._packet_us
        # Whole packets: the last one may reach beyond the stop, and holds nothing there.
        end = start_us + -(-span // length) * length
        chunks = self._recording.chunks(start_us, stop_us)
        empty = EventStream.empty(self._recording.width, self._recording.height)
        self._zero_s = self._clock() - start_us * 1e-6
        for window in windows_of(chunks, length, length, start_us, end, empty):
            wait = self._zero_s + window.t1 * 1e-6 - self._clock()
            if wait > 0:
                self._sleep(wait)
            yield Packet(window.events, window.t1)

    def age_us(self, t_us: int) -> int:
        """How long ago the recording's moment ``t_us`` was, in microseconds."""
        return round((self._clock() - self._zero_s) * 1e6) - t_us


@dataclass(frozen=True)
class Latency:
    """How old the ends of windows were when their steps were done.

    Attributes:
        steps: how many were measured.
        median_us, high_us, worst_us: median, 95th percentile and largest.
        late: steps done only after the next one's window had ended as well.
        step_us: time from one step to the next.
    """

    steps: int
    median_us: float
    high_us: float
    worst_us: int
    late: int
    step_us: int

    @classmethod
    def of(cls, ages_us: Sequence[int], step_us: int) -> "Latency":
        """Sum up one age or more."""
        median, high = np.percentile(ages_us, (50, 95)).tolist()
        late = sum(age > step_us for age in ages_us)
        return cls(len(ages_us), median, high, max(ages_us), late, step_us)

    def __str__(self) -> str:
        median, high, worst = (us / 1000 for us in (self.median_us, self.high_us, self.worst_us))
        late = f"{self.late} of {self.steps} steps late (by more than {self.step_us / 1000:g} ms)"
        return (
            f"latency of a step {median:.1f} ms (median), {high:.1f} ms (95%), {worst:.1f} ms "
            f"(worst); {late}"
        )
