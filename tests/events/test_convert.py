"""Conversion: what is written is what was read, whatever the container and the interruptions."""

import hashlib
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import faery
import h5py
import numpy as np
import pytest

from eventhpe.errors import InputError
from eventhpe.events import DsecWriter, EventStream, open_recording
from eventhpe.events import convert as module
from eventhpe.events.convert import SUFFIXES, convert
from eventhpe.events.formats.faery_writer import FaeryWriter
from eventhpe.events.recording import RawChunk, Recording
from tests.events.event_samples import assert_same_events, random_events

EVENTS = random_events(5000, span_us=400_000)
ORIGIN = 1_700_000_000_000_000


class Source(Recording):
    """Events in chunks of a thousand; Ctrl-C after ``until`` of them."""

    def __init__(self, events: EventStream = EVENTS, until: int | None = None) -> None:
        super().__init__(Path("source"), "memory", events.width, events.height, ORIGIN)
        self.events, self.until = events, until
        self.given = 0

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        for i in range(0, len(self.events), 1000):
            if i == self.until:
                raise KeyboardInterrupt
            part = self.events.slice(i, i + 1000)
            self.given = i
            yield RawChunk(part.x, part.y, part.t, part.p)


def by_faery(path: Path) -> EventStream:
    """The file through faery's high-level interface, absolute times."""
    stream = faery.events_stream_from_file(path, dimensions_fallback=(20, 12))
    packets = [packet.copy() for packet in stream]
    columns = (np.concatenate([packet[name] for packet in packets]) for name in "xyt")
    on = np.concatenate([packet["on"] for packet in packets])
    return EventStream.from_arrays(*columns, on, 20, 12)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_container_gives_back_what_was_read(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    made = convert(Source(), out)
    assert (made.events, made.resumed) == (5000, 0)
    types = {"x": "<u2", "y": "<u2", "t": "<i8", "p": "u1"}
    for name, dtype in types.items():
        content = getattr(EVENTS, name).astype(dtype).tobytes()
        assert made.digests[name] == hashlib.sha256(content).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if suffix in (".h5", ".hdf5"):
        again = open_recording(out)
        assert again.t_origin == ORIGIN
        assert_same_events(again.read(), EVENTS)
        return
    found = by_faery(out)
    shift = ORIGIN if suffix in (".aedat4", ".csv") else 0
    assert_same_events(found, EventStream(EVENTS.x, EVENTS.y, EVENTS.t + shift, EVENTS.p, 20, 12))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recording_without_events_is_converted(suffix: str, tmp_path: Path) -> None:
    assert convert(Source(EventStream.empty(20, 12)), tmp_path / f"out{suffix}").events == 0


@pytest.mark.parametrize("suffix", [".h5", ".aedat4", ".csv", ".es"])
def test_two_hours_of_silence_are_kept(suffix: str, tmp_path: Path) -> None:
    t = np.array([5, 6, 7_200_000_006, 7_200_000_007])
    events = EventStream.from_arrays(t % 5, t % 3, t, t % 2, 20, 12)
    assert convert(Source(events), tmp_path / f"out{suffix}").events == 4


def test_an_interrupted_conversion_goes_on(tmp_path: Path) -> None:
    whole = convert(Source(), tmp_path / "whole.h5")
    out = tmp_path / "out.h5"
    with pytest.raises(KeyboardInterrupt):
        convert(Source(until=3000), out)
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == ["out.h5.partial"]
    with pytest.raises(KeyboardInterrupt):
        convert(Source(until=4000), out)
    made = convert(Source(), out)
    assert (made.events, made.resumed, made.digests) == (5000, 4000, whole.digests)
    with h5py.File(out) as one, h5py.File(tmp_path / "whole.h5") as other:
        for name in ("ms_to_idx", "t_offset", *(f"events/{n}" for n in "xytp")):
            np.testing.assert_array_equal(one[name], other[name])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.h5", "whole.h5"]


def test_ctrl_c_inside_of_a_write_stops_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There Python may only print an interrupt; it is kept until the block is written."""
    append = DsecWriter.append

    def interrupted(writer: DsecWriter, events: EventStream) -> None:
        if writer.num_events == 1000:
            signal.raise_signal(signal.SIGINT)
        append(writer, events)

    monkeypatch.setattr(DsecWriter, "append", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        convert(Source(), tmp_path / "out.h5")
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    assert convert(Source(), tmp_path / "out.h5").resumed == 2000


@pytest.mark.parametrize("suffix", [".h5", ".aedat4", ".csv"])
def test_a_limit_on_the_size_of_files_is_one_error(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(InputError, match="limit on the size of files"):
            convert(Source(), out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_killed_conversion_goes_on(tmp_path: Path) -> None:
    """The file as it lies on the disk while the fourth block is read, its writer still open."""
    out = tmp_path / "out.h5"
    lying = tmp_path / "lying"

    class Killed(Source):
        def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
            for i, chunk in enumerate(super()._raw_chunks(start_us)):
                if i == 3:
                    shutil.copy(tmp_path / "other.h5.partial", lying)
                yield chunk

    convert(Killed(), tmp_path / "other.h5")
    shutil.move(lying, tmp_path / "out.h5.partial")
    made = convert(Source(), out)
    assert (made.events, made.resumed) == (5000, 3000)
    assert_same_events(open_recording(out).read(), EVENTS)


@pytest.mark.parametrize("left", ["other events", "longer", "another sensor", "no HDF5", "cut"])
def test_a_partial_file_of_something_else_is_written_anew(left: str, tmp_path: Path) -> None:
    partial = tmp_path / "out.h5.partial"
    stray = {
        "other events": EventStream(EVENTS.y, EVENTS.x, EVENTS.t, EVENTS.p, 20, 12).slice(0, 2000),
        "longer": EventStream.concatenate([EVENTS, EVENTS.slice(4999, 5000)]),
        "another sensor": EventStream(EVENTS.x, EVENTS.y, EVENTS.t, EVENTS.p, 30, 12),
    }
    if left == "no HDF5":
        partial.write_bytes(b"nothing of the kind")
    else:
        events = stray.get(left, EVENTS)
        with DsecWriter(partial, events.width, events.height, ORIGIN) as writer:
            writer.append(events)
    if left == "cut":
        with h5py.File(partial, "r+") as file:
            del file["events/p"]
    made = convert(Source(), tmp_path / "out.h5")
    assert (made.events, made.resumed) == (5000, 0)
    assert_same_events(open_recording(tmp_path / "out.h5").read(), EVENTS)


def test_other_containers_leave_nothing_when_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(Source(until=3000), tmp_path / "out.es")
    assert not list(tmp_path.iterdir())


def test_a_file_that_gives_back_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lossy(FaeryWriter):
        def append(self, events: EventStream) -> None:
            super().append(EventStream(events.x, events.x // 2, events.t, events.p, 20, 12))

    monkeypatch.setattr(module, "FaeryWriter", Lossy)
    with pytest.raises(InputError, match=r"other values of y \(5,000 events\)"):
        convert(Source(), tmp_path / "out.aedat4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "events", "found"),
    [
        ("out.mp4", EVENTS, "suffix '.mp4'"),
        ("out", EVENTS, "suffix ''"),
        ("out.raw", random_events(10, width=3000), "3000x12 pixels"),
        ("out.raw", random_events(10, span_us=1 << 29), "s without events"),
        ("out.dat", random_events(3, span_us=1 << 35), "s without events"),
    ],
)
def test_what_a_container_cannot_hold_is_told(
    name: str, events: EventStream, found: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=found):
        convert(Source(events), tmp_path / name)
    assert not list(tmp_path.iterdir())
