"""AEDAT 4, ES, DAT, EVT3 and CSV, written and read back by faery (an optional package)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.formats.faery_formats import _import_faery
from eventhpe.events.stream import EventStream
from eventhpe.files import require_room

_BYTES = 40  # an event's at most, as text
_SILENCE_US = 100  # ES spends a byte on every 127 us without events, the others less
_EVT3_WRAP_US = 1 << 24
_DAT_FIELDS = [("t", "=u8"), ("x", "=u2"), ("y", "=u2"), ("payload", "u1")]


@dataclass(frozen=True)
class Container:
    """What one of faery's formats can hold.

    Attributes:
        encode: (faery, path, size) to an encoder.
        decode: (faery, path, size) to an iterable of packets.
        epoch: whether times from any origin are held; else they count from the recording's.
        largest_side: of the sensor, pixels.
        longest_gap_us: time without events that a reader can still follow.
    """

    encode: Callable[[Any, Path, tuple[int, int]], Any]
    decode: Callable[[Any, Path, tuple[int, int]], Any]
    epoch: bool = False
    largest_side: int = 1 << 14
    longest_gap_us: int = 1 << 62


CONTAINERS = {
    "aedat4": Container(
        lambda faery, path, size: faery.aedat.Encoder(
            path, _description(faery, size), faery.aedat.LZ4_DEFAULT
        ),
        lambda faery, path, _: (packet for _, packet in faery.aedat.Decoder(path)),
        epoch=True,
    ),
    "es": Container(
        lambda faery, path, size: faery.es.Encoder(path, "dvs", False, size),
        lambda faery, path, _: faery.es.Decoder(path, 0),
    ),
    "dat": Container(
        lambda faery, path, size: faery.dat.Encoder(path, "dat2", "cd", False, size),
        lambda faery, path, size: faery.dat.Decoder(path, size, "dat2"),
        longest_gap_us=1 << 32,
    ),
    "raw": Container(
        lambda faery, path, size: faery.evt.Encoder(path, "evt3", False, size, True),
        lambda faery, path, size: (
            packet["events"]
            for packet in faery.evt.Decoder(path, size, "evt3")
            if "events" in packet
        ),
        largest_side=1 << 11,
        longest_gap_us=_EVT3_WRAP_US,
    ),
    "csv": Container(
        lambda faery, path, size: faery.csv.Encoder(path, ord(","), True, size, True),
        lambda faery, path, size: faery.csv.Decoder(
            path, size, True, ord(","), 0, 1, 2, 3, 0.0, 0, b"1", b"0", False
        ),
        epoch=True,
    ),
}
"""By the file's suffix. faery writes DAT 1 and EVT2 as well, which hold less; not EVT2.1."""


class FaeryWriter:
    """Append events to a file of one of `CONTAINERS`.

    Args:
        path: the file.
        kind: a key of `CONTAINERS`.
        width, height: sensor size in pixels.
        t_origin: added to all times where the container holds times from any origin.

    Attributes:
        origin: what is added to the events' times.

    Raises:
        InputError: faery is missing, or the container does not hold so large a sensor.
    """

    def __init__(self, path: Path, kind: str, width: int, height: int, t_origin: int) -> None:
        self._path, self._kind, self._size = path, kind, (width, height)
        self._container = CONTAINERS[kind]
        self.origin = t_origin if self._container.epoch else 0
        self._last_t = 0
        largest = self._container.largest_side
        if max(width, height) > largest:
            raise self._too_small(f"{width}x{height} pixels", f"at most {largest} a side")
        self._faery = _import_faery(path)
        self._encoder = self._container.encode(self._faery, path, self._size).__enter__()

    def append(self, events: EventStream) -> None:
        """Write a block that follows the ones before it.

        Raises:
            InputError: a time without events longer than the container can hold.
            OSError: the disk is full.
        """
        gaps = np.diff(events.t, prepend=self._last_t)
        require_room(self._path, _BYTES * len(events) + int(gaps.sum()) // _SILENCE_US)
        if gaps.max(initial=0) >= self._container.longest_gap_us:
            found = f"{gaps.max() / 1e6:.1f} s without events"
            longest = self._container.longest_gap_us
            raise self._too_small(found, f"less than {longest / 1e6:.1f} s without events")
        self._last_t = int(events.t[-1])
        block = np.empty(len(events), self._faery.EVENTS_DTYPE)
        block["t"], block["x"], block["y"] = events.t + self.origin, events.x, events.y
        block["on"] = events.p
        if self._kind == "es":  # rows count upward
            block["y"] = self._size[1] - 1 - block["y"]
        with self._told():
            self._encode(block)

    def close(self) -> None:
        """Write what is left and close the file.

        Raises:
            InputError: the place does not take it.
        """
        with self._told():
            self._encoder.__exit__(None, None, None)

    def _encode(self, block: NDArray[Any]) -> None:
        if self._kind == "aedat4":
            self._encoder.write(0, block)
        elif self._kind == "raw":
            self._encoder.write({"events": block})
        else:
            self._encoder.write(block.astype(_DAT_FIELDS) if self._kind == "dat" else block)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """faery says in a RuntimeError what went wrong with the file."""
        try:
            yield
        except RuntimeError as error:
            found = f"it cannot be written ({error})"
            remedy = "Free some room, or choose another place."
            raise InputError(self._path, found, "a writable place", remedy) from error

    def read_back(self) -> Iterator[EventStream]:
        """The events of the closed file, times as `append` was given them."""
        for packet in self._container.decode(self._faery, self._path, self._size):
            x, y, p = (packet[name] for name in ("x", "y", packet.dtype.names[-1]))
            t: NDArray[np.int64] = packet["t"].astype(np.int64) - self.origin
            if self._kind == "es":
                y = self._size[1] - 1 - y
            yield EventStream.from_arrays(x, y, t, p, *self._size)

    def _too_small(self, found: str, expected: str) -> InputError:
        remedy = "Convert to .h5, which holds every recording."
        return InputError(f"a .{self._kind} file", f"a recording with {found}", expected, remedy)


def _description(faery: Any, size: tuple[int, int]) -> list[Any]:
    """The header of an AEDAT 4 file with one stream of events, as inivation's DV writes it."""
    node, attribute = faery.aedat.DescriptionNode, faery.aedat.DescriptionAttribute
    root = "/mainloop/Recorder/outInfo/"
    stream = {
        "compression": attribute("string", "LZ4"),
        "originalOutputName": attribute("string", "events"),
        "typeIdentifier": attribute("string", "EVTS"),
    }
    sensor = {
        "sizeX": attribute("int", size[0]),
        "sizeY": attribute("int", size[1]),
        "source": attribute("string", "eventhpe"),
    }
    info = node("info", f"{root}0/info/", sensor, [])
    return [node("outInfo", root, {}, [node("0", f"{root}0/", stream, [info])])]
