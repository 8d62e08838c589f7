"""Any recording to another container, chunk by chunk, and read back to check it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from eventhpe.errors import InputError
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.formats.faery_writer import CONTAINERS, FaeryWriter
from eventhpe.events.recording import Recording, Repairs, open_recording
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path, interrupts_between_blocks

DSEC_SUFFIXES = (".h5", ".hdf5")
SUFFIXES = (*DSEC_SUFFIXES, *(f".{kind}" for kind in CONTAINERS))


@dataclass(frozen=True)
class Conversion:
    """What `convert` returns.

    Attributes:
        events: how many were written.
        resumed: how many of them an interrupted run had written before.
        digests: SHA-256 in hexadecimal of each field's values, read and written alike: ``x`` and
            ``y`` as uint16, ``t`` as int64 us from the recording's origin, ``p`` as uint8, all
            little-endian.
    """

    events: int
    resumed: int
    digests: dict[str, str]


class Digests:
    """SHA-256 of each field of successive blocks."""

    def __init__(self) -> None:
        self._hashes = {name: hashlib.sha256() for name in "xytp"}
        self.events = 0

    def update(self, events: EventStream) -> None:
        """Take in the next block."""
        for name, digest in self._hashes.items():
            digest.update(getattr(events, name).tobytes())
        self.events += len(events)

    def hex(self) -> dict[str, str]:
        """Field to digest of all blocks so far."""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}


class _Writer(Protocol):
    def append(self, events: EventStream) -> None: ...

    def close(self) -> None: ...


def convert(recording: Recording, out_path: str | Path, *, progress: bool = False) -> Conversion:
    """Write a recording in the container that the suffix of ``out_path`` names.

    ``.h5`` and ``.hdf5`` are the DSEC layout (see `DsecWriter`), which keeps everything;
    ``.aedat4``, ``.es``, ``.dat`` (version 2), ``.raw`` (EVT3) and ``.csv`` are faery's. Memory
    stays bounded by a chunk, and ``out_path`` appears only when it is whole and gives back the
    events that were read. Events are cleaned on the way (``recording.repairs``).

    A DSEC file whose writing was interrupted is gone on with by the next call, after its events
    have been compared with the recording's; the other containers begin anew.

    Args:
        recording: what to convert.
        out_path: the file to write.
        progress: show bars on stderr.

    Raises:
        InputError: the recording is damaged, the suffix is unknown, the container cannot hold
            the recording, ``out_path`` cannot be written, or holds other events than were read.
    """
    out_path = Path(out_path)
    suffix = out_path.suffix.lower()
    if suffix not in SUFFIXES:
        expected, remedy = f"one of {', '.join(SUFFIXES)}", "Choose one of these."
        raise InputError(out_path, f"the suffix {suffix!r}", expected, remedy)
    with (
        interrupts_between_blocks() as check,
        closing(_Bars(recording, progress, check)) as bars,
    ):
        if suffix in DSEC_SUFFIXES:
            return _to_dsec(recording, out_path, bars)
        return _through_faery(recording, out_path, suffix[1:], bars)


def _through_faery(recording: Recording, out_path: Path, kind: str, bars: "_Bars") -> Conversion:
    source, found = Digests(), Digests()
    with atomic_path(out_path) as partial:
        size = recording.width, recording.height
        writer = FaeryWriter(partial, kind, *size, recording.t_origin)
        _write(bars("writing", recording.chunks()), writer, source)
        for events in bars("checking", writer.read_back()):
            found.update(events)
        _compare(out_path, source, found)
    return Conversion(source.events, 0, source.hex())


def _to_dsec(recording: Recording, out_path: Path, bars: "_Bars") -> Conversion:
    with atomic_path(out_path, resumable=True) as partial:
        writer, source, rest = _resumed(recording, partial, bars)
        resumed = source.events
        _write(_flushed(bars("writing", rest, resumed), writer), writer, source)
        found = Digests()
        for events in bars("checking", open_recording(partial).chunks()):
            found.update(events)
        _compare(out_path, source, found)
    return Conversion(source.events, resumed, source.hex())


def _flushed(chunks: Iterable[EventStream], writer: DsecWriter) -> Iterator[EventStream]:
    """The chunks; each is on the disk before the next one, so that a killed run is not lost."""
    for events in chunks:
        yield events
        writer.file.flush()


def _write(chunks: Iterable[EventStream], writer: _Writer, source: Digests) -> None:
    try:
        for events in chunks:
            writer.append(events)
            source.update(events)
    finally:
        writer.close()


def _compare(out_path: Path, source: Digests, found: Digests) -> None:
    wanted, got = source.hex(), found.hex()
    wrong = [name for name in wanted if wanted[name] != got[name]]
    if wrong:
        raise InputError(
            out_path,
            f"other values of {', '.join(wrong)} ({found.events:,} events) than were written",
            f"the recording's {source.events:,} events",
            "Nothing was kept. Convert to .h5; if that fails too, check the disk.",
        )


def _resumed(
    recording: Recording, partial: Path, bars: "_Bars"
) -> tuple[DsecWriter, Digests, Iterator[EventStream]]:
    """A writer that stands after what is written already, the digests of that, and what follows.

    A partial file that holds anything else than the recording's first events is written anew.
    """
    source, chunks = Digests(), recording.chunks()
    try:
        writer = DsecWriter.reopen(partial)
    except (OSError, KeyError, ValueError, RuntimeError):
        writer = None
    if writer is not None:
        written = Digests()
        for events in writer.written():
            written.update(events)
        rest = EventStream.empty(recording.width, recording.height)
        for events in bars("comparing", chunks):
            share = min(writer.num_events - source.events, len(events))
            source.update(events.slice(0, share))
            rest = events.slice(share, len(events))
            if source.events == writer.num_events:
                break
        same = (writer.width, writer.height) == (recording.width, recording.height)
        same &= writer.t_origin == recording.t_origin
        if same and written.hex() == source.hex():
            return writer, source, _joined(rest, chunks)
        writer.file.close()
        recording.repairs = Repairs(truncated_bytes=recording.repairs.truncated_bytes)
    size = recording.width, recording.height
    return DsecWriter(partial, *size, recording.t_origin), Digests(), recording.chunks()


def _joined(first: EventStream, others: Iterator[EventStream]) -> Iterator[EventStream]:
    if len(first):
        yield first
    yield from others


class _Bars:
    """Bars on stderr, counting the recording's events; ``check`` is called after each block."""

    def __init__(self, recording: Recording, shown: bool, check: Callable[[], None]) -> None:
        self._recording, self._shown, self._check = recording, shown, check
        self._bar: tqdm | None = None

    def __call__(
        self, what: str, blocks: Iterable[EventStream], before: int = 0
    ) -> Iterator[EventStream]:
        """The blocks, ``before`` events of the recording having been done already."""
        with tqdm(
            desc=what,
            total=self._recording.num_events,
            initial=before,
            unit="event",
            unit_scale=True,
            disable=not self._shown,
        ) as self._bar:
            for events in blocks:
                yield events
                self._bar.update(len(events))
                self._check()

    def close(self) -> None:
        """End the bar of an unfinished run, before anything else is printed."""
        if self._bar is not None:
            self._bar.close()
