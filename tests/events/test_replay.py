"""Packets at the pace of a clock, the same windows from them, and the latency of what is done."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.events import EventStream, time_windows
from eventhpe.events.recording import RawChunk, Recording
from eventhpe.events.replay import Latency, Replay
from eventhpe.events.windows import Packet, packet_windows
from tests.events.event_samples import assert_same_events, random_events

EMPTY = EventStream.empty(20, 12)


class Memory(Recording):
    """A stream as a recording, in chunks of 70."""

    def __init__(self, events: EventStream) -> None:
        super().__init__(Path("memory"), "memory", events.width, events.height, 0)
        self.events = events

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        for i in range(0, len(self.events), 70):
            part = self.events.slice(i, i + 70)
            yield RawChunk(part.x, part.y, part.t, part.p)


class Clock:
    """Stands still but for `sleep` and for work that is added."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def replay_of(events: EventStream, packet_us: int = 5000) -> tuple[Replay, Clock]:
    clock = Clock()
    return Replay(Memory(events), packet_us, clock, clock.sleep), clock


def test_no_packet_comes_before_its_time_and_none_is_lost() -> None:
    events = random_events(500, span_us=100_000)
    replay, clock = replay_of(events)
    packets = []
    for packet in replay.packets(20_000, 91_000):
        packets.append(packet)
        assert clock.now - 1000 == pytest.approx((packet.until - 20_000) * 1e-6)
        assert (packet.events.t < packet.until).all()
    assert [packet.until for packet in packets] == list(range(25_000, 95_001, 5000))
    joined = EventStream.concatenate([packet.events for packet in packets])
    assert_same_events(joined, events.between(20_000, 91_000))


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 40_000), st.integers(1, 9) , st.integers(1, 9), st.integers(0, 60_000),
    st.integers(0, 5),
)  # fmt: skip
def test_packets_give_the_windows_of_the_recording(
    packet_us: int, window: int, step: int, start: int, seed: int
) -> None:
    events = random_events(300, span_us=100_000, seed=seed)
    events = events.masked((events.t < 30_000) | (events.t > 60_000))  # silence in the middle
    recording = Memory(events)
    window_us, step_us, stop = window * 4000, step * 4000, recording.duration_us
    replay, _ = replay_of(events, packet_us)
    packets = replay.packets(start, stop)
    found = list(packet_windows(packets, window_us, step_us, start, stop, EMPTY))
    expected = list(time_windows(recording, window_us, step_us, start, stop))
    assert [(w.t0, w.t1) for w in found] == [(w.t0, w.t1) for w in expected]
    for one, other in zip(found, expected, strict=True):
        assert_same_events(one.events, other.events)


def test_a_window_is_given_when_its_time_is_over_though_nothing_moves() -> None:
    """Events end at 10; the packets go on, and so do the windows, each with its packet."""
    last = EventStream.from_arrays(*(np.array([1, 10 * (n == "t")])[1:] for n in "xytp"), 20, 12)
    taken: list[int] = []

    def packets() -> Iterator[Packet]:
        for until in (20, 40, 60, 80):
            taken.append(until)
            yield Packet(last if until == 20 else EMPTY, until)

    windows = packet_windows(packets(), 20, 20, 0, None, EMPTY)
    for k, window in enumerate(windows):
        assert window.t1 == taken[-1] == 20 * (k + 1)
        assert len(window.events) == (k == 0)
    assert k == 3


def test_latency_is_what_work_and_waiting_take() -> None:
    replay, clock = replay_of(random_events(500, span_us=400_000))
    ages = []
    windows = packet_windows(replay.packets(0, 400_000), 50_000, 50_000, 0, 400_000, EMPTY)
    # Work of 10 ms a step, but for one step of 130 ms, whose backlog takes three steps to clear.
    for k, window in enumerate(windows):
        clock.now += 0.130 if k == 2 else 0.010
        ages.append(replay.age_us(window.t1))
    assert ages == [10_000, 10_000, 130_000, 90_000, 50_000, 10_000, 10_000, 10_000]
    latency = Latency.of(ages, 50_000)
    assert (latency.steps, latency.late, latency.worst_us) == (8, 2, 130_000)
    assert latency.median_us == 10_000
    assert latency.high_us == pytest.approx(np.percentile(ages, 95))
    assert "10.0 ms (median)" in str(latency)
    assert "2 of 8 steps late (by more than 50 ms)" in str(latency)
