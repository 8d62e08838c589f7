"""AEDAT 4, Prophesee EVT2, EVT2.1, EVT3 and DAT, and ES, decoded by faery (an optional package)."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.frames import Frames, StreamedFrames, require_increasing
from eventhpe.events.inertia import STANDARD_GRAVITY, Inertia
from eventhpe.events.recording import RawChunk, Recording, choose_geometry

# Larger than any Prophesee sensor: events are checked against the real size afterwards.
_LARGEST = (2048, 2048)
_WORD_BYTES = {"evt2": 4, "evt2.1": 8, "evt3": 2}
# The IMU's axes in an AEDAT 4 file are x left, y down, z backward (docs/gravity.md has how this was
# seen), accelerations in g.
_IMU_TO_CAMERA = np.diag([-1.0, 1.0, -1.0])
Packets = Callable[[], Iterator[RawChunk]]
"""Begins at the file's first event; times are the file's own."""


def open_aedat4(path: Path, width: int | None = None, height: int | None = None) -> Recording:
    """Open the first event stream of an AEDAT 4 file.

    Raises:
        InputError: faery is missing, the file is damaged, or it holds no event stream.
    """
    faery = _import_faery(path)
    with _decoding(path):
        tracks = faery.aedat.Decoder(path).tracks()
    events = [track for track in tracks if track.data_type == "events"]
    if not events:
        kinds = ", ".join(track.data_type for track in tracks) or "nothing"
        raise InputError(path, f"streams of {kinds}", "a stream of events", "Record events too.")
    size = choose_geometry(path, events[0].dimensions, (width, height))

    def packets() -> Iterator[RawChunk]:
        for track, packet in faery.aedat.Decoder(path):
            if track.id == events[0].id:
                yield _chunk(packet)

    return _Aedat4Recording(path, "aedat4", size, packets)


def open_evt(path: Path, width: int | None = None, height: int | None = None) -> Recording:
    """Open a Prophesee RAW or DAT file; one without a size needs ``width`` and ``height``.

    Raises:
        InputError: faery is missing, no version or sensor size is known, or a damaged file.
    """
    header, start = _percent_header(path)
    if re.search(r"^% Version [12]$", header, re.MULTILINE) and not re.search(
        r"^% (evt|format)", header, re.IGNORECASE | re.MULTILINE
    ):
        return _open_dat(path, start, (width, height))
    if not re.search(r"^% (evt|format evt)", header, re.IGNORECASE | re.MULTILINE):
        raise InputError(
            path,
            f"a header without an EVT or DAT version ({header[:60]!r})",
            "a Prophesee RAW file of EVT2, EVT2.1 or EVT3, or a DAT file",
            "Convert other Prophesee files with Metavision's tools first.",
        )
    faery = _import_faery(path)
    with _decoding(path):
        version = faery.evt.Decoder(path, _LARGEST, None).version
    stated = _stated_size(path, lambda: faery.evt.Decoder(path, None, version))
    size = choose_geometry(path, stated, (width, height))

    def packets() -> Iterator[RawChunk]:
        for packet in faery.evt.Decoder(path, _LARGEST, version):
            if "events" in packet:
                yield _chunk(packet["events"])

    recording = _FaeryRecording(path, version, size, packets)
    recording.repairs.truncated_bytes = (path.stat().st_size - start) % _WORD_BYTES[version]
    return recording


def _open_dat(path: Path, start: int, asked: tuple[int | None, int | None]) -> Recording:
    """A DAT file; after its header come two bytes, the kind of events and their size."""
    faery = _import_faery(path)
    with _decoding(path):
        decoder = faery.dat.Decoder(path, _LARGEST, None)
        version, kind = decoder.version, decoder.event_type
    if kind not in ("cd", "2d"):
        found, expected = f"DAT events of the kind {kind!r}", "change detections (cd or 2d)"
        raise InputError(path, found, expected, "Record them.")
    stated = _stated_size(path, lambda: faery.dat.Decoder(path, None, version))
    size = choose_geometry(path, stated, asked)

    def packets() -> Iterator[RawChunk]:
        for packet in faery.dat.Decoder(path, _LARGEST, version):
            yield _chunk(packet, "payload")

    recording = _FaeryRecording(path, version, size, packets)
    recording.repairs.truncated_bytes = (path.stat().st_size - start - 2) % 8
    return recording


def open_es(path: Path, width: int | None = None, height: int | None = None) -> Recording:
    """Open an Event Stream file, whose header states the size and whose rows count upward.

    Raises:
        InputError: faery is missing, the file is damaged, or its events are not of a DVS.
    """
    faery = _import_faery(path)
    with _decoding(path):
        decoder = faery.es.Decoder(path, 0)
        kind, stated = decoder.event_type, decoder.dimensions
    if kind not in ("dvs", "atis"):
        found = f"ES events of the kind {kind!r}"
        raise InputError(path, found, "dvs or atis events", "Record change detections.")
    size = choose_geometry(path, stated, (width, height))

    def packets() -> Iterator[RawChunk]:
        for packet in faery.es.Decoder(path, 0):
            if kind == "atis":  # whose exposure measurements are no change detections
                packet = packet[~packet["exposure"].astype(bool)]
            chunk = _chunk(packet, "on" if kind == "dvs" else "polarity")
            yield chunk._replace(y=size[1] - 1 - chunk.y.astype(np.int32))

    return _FaeryRecording(path, "es", size, packets)


def _chunk(packet: Any, polarity: str = "on") -> RawChunk:
    return RawChunk(packet["x"], packet["y"], packet["t"].astype(np.int64), packet[polarity])


class _FaeryRecording(Recording):
    """Times count from the file's first event."""

    def __init__(self, path: Path, format: str, size: tuple[int, int], packets: Packets) -> None:
        self._packets = packets
        self.path = path
        super().__init__(path, format, *size, 0)
        first = next((chunk for chunk in self._guarded() if len(chunk.t)), None)
        if first is not None:
            self.t_origin = int(first.t[0])

    def _guarded(self) -> Iterator[RawChunk]:
        with _decoding(self.path):
            yield from self._packets()

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        for chunk in self._guarded():
            yield chunk._replace(t=chunk.t - self.t_origin)


class _Aedat4Recording(_FaeryRecording):
    """Its frames are those of the first frame stream with the sensor's size, its inertia that of
    the first IMU."""

    def frames(self) -> Frames | None:
        stamps = [frame.t for frame in self._frames()]
        if not stamps:
            return None
        t = np.array(stamps, np.int64) - self.t_origin
        require_increasing(self.path, "the frame stream", t)
        return StreamedFrames(self.path, t, self.width, self.height, self._images)

    def inertia(self) -> Inertia | None:
        faery = _import_faery(self.path)
        samples, stream = [], None
        with _decoding(self.path):
            for track, packet in faery.aedat.Decoder(self.path):
                if track.data_type == "imus":
                    stream = track.id if stream is None else stream
                    if track.id == stream:
                        samples.append(packet)
        if not samples:
            return None
        found = np.concatenate(samples)
        force = np.stack([found[f"accelerometer_{axis}"] for axis in "xyz"], axis=1)
        t = found["t"].astype(np.int64) - self.t_origin
        return Inertia(t, STANDARD_GRAVITY * force.astype(np.float64), _IMU_TO_CAMERA)

    def _frames(self) -> Iterator[Any]:
        faery = _import_faery(self.path)
        stream = None
        with _decoding(self.path):
            for track, packet in faery.aedat.Decoder(self.path):
                wanted = track.data_type == "frame"
                if wanted and tuple(track.dimensions) == (self.width, self.height):
                    stream = track.id if stream is None else stream
                    if track.id == stream:
                        yield packet

    def _images(self) -> Iterator[NDArray[np.uint8]]:
        for frame in self._frames():
            if frame.pixels.dtype != np.uint8 or frame.pixels.ndim != 2:
                found = f"frames of {frame.format}, {frame.pixels.shape} of {frame.pixels.dtype}"
                raise InputError(self.path, found, "grey levels of 8 bits", "Record these.")
            yield frame.pixels


def _import_faery(path: Path) -> Any:
    try:
        import faery
    except ImportError as error:
        raise InputError(
            path,
            "a format that needs the package faery, which is not installed",
            "faery",
            "Run `pip install eventhpe[io]`.",
        ) from error
    return faery


def _percent_header(path: Path) -> tuple[str, int]:
    """Header text and where the words start."""
    lines, start = [], 0
    with path.open("rb") as file:
        while (line := file.readline(1 << 12)).startswith(b"% "):
            lines.append(line.decode("ascii", "replace").strip())
            start = file.tell()
    return "\n".join(lines), start


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Whatever faery meets in a damaged file, as one InputError."""
    try:
        yield
    except BaseException as error:
        # A panic of faery's Rust code is no Exception, and its type cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        found = f"data that cannot be decoded ({error})"
        raise InputError(path, found, "a whole file", "Copy or download it again.") from error


def _stated_size(path: Path, decoder: Callable[[], Any]) -> tuple[int, int] | None:
    """The size in a file's header; None where it has none, which faery tells by an error."""
    try:
        with _decoding(path):
            size: tuple[int, int] = decoder().dimensions
            return size
    except InputError as error:
        if "size" not in error.found:
            raise
        return None
