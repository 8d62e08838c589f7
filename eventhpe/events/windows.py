"""Time and count windows over a stream of event chunks, with memory bounded by the window."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream


@dataclass(frozen=True, slots=True)
class Window:
    """Events of the half-open span [t0, t1), microseconds from the recording's origin."""

    t0: int
    t1: int
    events: EventStream


class Packet(NamedTuple):
    """What a camera hands over at once.

    Attributes:
        events: time-sorted, none before the last packet's ``until``; may be empty.
        until: every event before this time (us) has now arrived.
    """

    events: EventStream
    until: int


def time_windows(
    recording: Recording,
    window_us: int,
    step_us: int,
    start_us: int | None = None,
    stop_us: int | None = None,
) -> Iterator[Window]:
    """Whole windows of a recording: window k covers [start + k step, start + k step + window).

    Worked example. Ten events at t = 0 10 20 30 40 50 60 70 80 90, window 40, step 20:
    [0,40) holds 0..30, [20,60) holds 20..50, [40,80) holds 40..70; [60,100) would end after the
    last event (90) is over at 91, so it is not whole and not given. With ``stop_us=100`` it is.

    Windows without events are given too: time goes on while nothing moves.

    Args:
        recording: where the events come from.
        window_us: length of a window.
        step_us: distance between the ends of successive windows; may be longer than a window.
        start_us: where window 0 starts; None means the recording's origin (0).
        stop_us: no window ends after it; None means the last event's time + 1.

    Raises:
        ValueError: a window or step that is not positive.
    """
    start = 0 if start_us is None else start_us
    chunks = recording.chunks(start, stop_us)
    empty = EventStream.empty(recording.width, recording.height)
    yield from windows_of(chunks, window_us, step_us, start, stop_us, empty)


def windows_of(
    chunks: Iterable[EventStream],
    window_us: int,
    step_us: int,
    start_us: int,
    stop_us: int | None,
    empty: EventStream,
) -> Iterator[Window]:
    """`time_windows` over any iterable of time-sorted chunks.

    A window is given as soon as an event at or after its end has arrived.
    """
    packets = packets_of(chunks)
    yield from packet_windows(packets, window_us, step_us, start_us, stop_us, empty)


def packets_of(chunks: Iterable[EventStream]) -> Iterator[Packet]:
    """Time-sorted chunks as packets; more may come at the time of a chunk's last event."""
    return (Packet(chunk, int(chunk.t[-1])) for chunk in chunks if len(chunk))


def packet_windows(
    packets: Iterable[Packet],
    window_us: int,
    step_us: int,
    start_us: int,
    stop_us: int | None,
    empty: EventStream,
) -> Iterator[Window]:
    """`time_windows` over packets, such as a camera's, from a recording's or any other source.

    A window is given as soon as a packet reaches to its end, with or without events, so that time
    goes on while nothing moves. At most the events of one window and one packet are held.

    Args:
        packets: in order of time.
        window_us, step_us, start_us: as for `time_windows`.
        stop_us: no window ends after it; when packets end before it, windows of silence follow.
            None means the end of the packets.
        empty: a stream without events, of the sensor's size.

    Raises:
        ValueError: a window or step that is not positive.
    """
    if window_us <= 0 or step_us <= 0:
        raise ValueError(f"window and step must be positive, not {window_us} and {step_us} us")
    t0, held, seen_until = start_us, empty, start_us
    for packet in packets:
        if len(packet.events):
            # Events before the next window are never needed again: drop them before joining.
            held = EventStream.concatenate([held.between(t0, seen_until), packet.events])
            seen_until = int(packet.events.t[-1]) + 1
        until = packet.until if stop_us is None else min(packet.until, stop_us)
        while t0 + window_us <= until:
            yield Window(t0, t0 + window_us, held.between(t0, t0 + window_us))
            t0 += step_us
    end = seen_until if stop_us is None else stop_us
    while t0 + window_us <= end:
        yield Window(t0, t0 + window_us, held.between(t0, t0 + window_us))
        t0 += step_us


def count_windows(recording: Recording, count: int) -> Iterator[Window]:
    """Successive windows of exactly ``count`` events; the remainder at the end is not given.

    A window's span is [first event's t, last event's t + 1): half-open, holding all its events.
    Windows whose border falls among events of equal time overlap by that one microsecond.

    Raises:
        ValueError: ``count`` is not positive.
    """
    yield from count_windows_of(recording.chunks(), count)


def count_windows_of(chunks: Iterable[EventStream], count: int) -> Iterator[Window]:
    """`count_windows` over any iterable of time-sorted chunks."""
    if count <= 0:
        raise ValueError(f"a window needs at least one event, not {count}")
    waiting: list[EventStream] = []
    held = 0
    for chunk in chunks:
        waiting.append(chunk)
        held += len(chunk)
        if held < count:
            continue
        events = EventStream.concatenate(waiting)
        for i in range(0, held - count + 1, count):
            piece = events.slice(i, i + count)
            yield Window(int(piece.t[0]), int(piece.t[-1]) + 1, piece)
        rest = events.slice(held - held % count, held)
        waiting, held = [rest], len(rest)
