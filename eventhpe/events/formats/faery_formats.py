"""AEDAT 4, Prophesee EVT2, EVT2.1 and EVT3, decoded by faery (an optional package)."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eventhpe.errors import InputError
from eventhpe.events.recording import RawChunk, Recording, choose_geometry

# Larger than any Prophesee sensor: events are checked against the real size afterwards.
_LARGEST = (2048, 2048)
_WORD_BYTES = {"evt2": 4, "evt2.1": 8, "evt3": 2}
Packets = Callable[[], Iterator[Any]]


def open_aedat4(path: Path, width: int | None = None, height: int | None = None) -> Recording:
    """Open the first event stream of an AEDAT 4 file.

    Raises:
        InputError: faery is missing, the file is damaged, or it holds no event stream.
    """
    faery = _import_faery(path)
    try:
        tracks = faery.aedat.Decoder(path).tracks()
    except Exception as error:
        raise _damaged(path, error) from error
    events = [track for track in tracks if track.data_type == "events"]
    if not events:
        kinds = ", ".join(track.data_type for track in tracks) or "nothing"
        raise InputError(path, f"streams of {kinds}", "a stream of events", "Record events too.")
    size = choose_geometry(path, events[0].dimensions, (width, height))

    def packets() -> Iterator[Any]:
        for track, packet in faery.aedat.Decoder(path):
            if track.id == events[0].id:
                yield packet

    return _FaeryRecording(path, "aedat4", size, packets)


def open_evt(path: Path, width: int | None = None, height: int | None = None) -> Recording:
    """Open a Prophesee RAW file; a header without a size needs ``width`` and ``height``.

    Raises:
        InputError: faery is missing, no EVT version or sensor size is known, or a damaged file.
    """
    header, start = _percent_header(path)
    if not re.search(r"^% (evt|format evt)", header, re.IGNORECASE | re.MULTILINE):
        raise InputError(
            path,
            f"a header without an EVT version ({header[:60]!r})",
            "a Prophesee RAW file of EVT2, EVT2.1 or EVT3",
            "Convert other Prophesee files with Metavision's tools first.",
        )
    faery = _import_faery(path)
    stated = None
    try:
        version = faery.evt.Decoder(path, _LARGEST, None).version
    except Exception as error:
        raise _damaged(path, error) from error
    try:
        stated = faery.evt.Decoder(path, None, version).dimensions
    except Exception as error:
        if "size" not in str(error):
            raise _damaged(path, error) from error
    size = choose_geometry(path, stated, (width, height))

    def packets() -> Iterator[Any]:
        for packet in faery.evt.Decoder(path, _LARGEST, version):
            if "events" in packet:
                yield packet["events"]

    recording = _FaeryRecording(path, version, size, packets)
    recording.repairs.truncated_bytes = (path.stat().st_size - start) % _WORD_BYTES[version]
    return recording


class _FaeryRecording(Recording):
    """Times count from the file's first event."""

    def __init__(self, path: Path, format: str, size: tuple[int, int], packets: Packets) -> None:
        self._packets = packets
        self.path = path
        super().__init__(path, format, *size, 0)
        first = next((packet for packet in self._guarded() if len(packet)), None)
        if first is not None:
            self.t_origin = int(first["t"][0])

    def _guarded(self) -> Iterator[Any]:
        try:
            yield from self._packets()
        except Exception as error:
            raise _damaged(self.path, error) from error

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        for packet in self._guarded():
            t = packet["t"].astype(np.int64) - self.t_origin
            yield RawChunk(packet["x"], packet["y"], t, packet["on"])


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


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        path, f"data that cannot be decoded ({error})", "a whole file", "Copy or download it again."
    )
