"""Recording: a lazily read event file, cleaned chunk by chunk, whatever its format."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError
from eventhpe.events.stream import EventStream

if TYPE_CHECKING:
    from eventhpe.events.frames import Frames
    from eventhpe.events.inertia import Inertia

CHUNK_EVENTS = 1 << 20
ENOUGH_EVENTS = 1000  # in a block: when most of so many lie outside, the sensor's size is wrong
FINGERPRINT_EVENTS = 10_000
LARGEST_SIDE = 4096  # pixels; a larger "sensor" would ask for gigabytes to draw
LONGEST_US = 86_400 * 1_000_000  # a damaged timestamp must not make a recording of centuries
SENSOR_REMEDY = "Give the sensor's size with --sensor WxH (for example --sensor 640x480)."


class RawChunk(NamedTuple):
    """Events as a reader decoded them: ``t`` in int64 us from the origin, the rest uncleaned."""

    x: NDArray[Any]
    y: NDArray[Any]
    t: NDArray[np.int64]
    p: NDArray[Any]


@dataclass(slots=True)
class Repairs:
    """What was mended in the events read so far (reading a stretch again counts it again).

    Attributes:
        backward_timestamps: events that stepped back in time, set to the running maximum.
        out_of_sensor: events outside the sensor, dropped.
        truncated_bytes: bytes after the last whole event of a file cut short, ignored.
    """

    backward_timestamps: int = 0
    out_of_sensor: int = 0
    truncated_bytes: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        parts = (
            (self.backward_timestamps, "backward timestamps raised"),
            (self.out_of_sensor, "events outside the sensor dropped"),
            (self.truncated_bytes, "bytes of a cut event ignored"),
        )
        return ", ".join(f"{n:,} {what}" for n, what in parts if n) or "nothing to repair"


class Recording(ABC):
    """One event recording. Nothing is read before `chunks`, `read` or a counting property.

    Attributes:
        path: the file.
        format: short name of the layout, for example ``dsec`` or ``aedat2-davis``.
        width, height: sensor size in pixels.
        t_origin: the file's own time origin in microseconds (the first event's time where the
            layout has no origin); all times handed out are relative to it.
        index: what in the file a later start is found by; None: it is read forward only.
        repairs: what has been mended in the events handed out so far.
    """

    def __init__(self, path: Path, format: str, width: int, height: int, t_origin: int) -> None:
        self.path = path
        self.format = format
        self.width = width
        self.height = height
        self.t_origin = t_origin
        self.index: str | None = None
        self.repairs = Repairs()

    @abstractmethod
    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        """Decoded chunks in file order; events before ``start_us`` may be left out."""

    @property
    def num_events(self) -> int | None:
        """Events stored in the file, or None where only reading it all would tell."""
        return None

    def frames(self) -> "Frames | None":
        """The grayscale frames beside the events, on the same clock; None where there are none.

        Raises:
            InputError: the frames are damaged, or no grey levels of 8 bits.
        """
        return None

    def inertia(self) -> "Inertia | None":
        """What an accelerometer beside the events measured; None where the file has none.

        Raises:
            InputError: the samples are damaged.
        """
        return None

    @property
    def duration_us(self) -> int:
        """The last event's time + 1 us, so that [0, duration_us) holds every event; 0 if none."""
        latest = -1
        for chunk in self._raw_chunks(None):
            if len(chunk.t):
                latest = max(latest, int(chunk.t.max()))
        return latest + 1

    def chunks(
        self, start_us: int | None = None, stop_us: int | None = None
    ) -> Iterator[EventStream]:
        """Events with start_us <= t < stop_us as non-empty, time-sorted blocks of bounded size.

        Raises:
            InputError: the events are damaged (see `_Cleaner`), most of them lie outside the
                sensor, or the file cannot be read.
        """
        cleaner = _Cleaner(self)
        kept = False
        for raw in self._raw_chunks(start_us):
            events = cleaner.clean(raw)
            if len(events) == 0:
                continue
            kept = True
            finished = stop_us is not None and int(events.t[-1]) >= stop_us
            if start_us is not None or finished:
                low = int(events.t[0]) if start_us is None else start_us
                high = stop_us if finished and stop_us is not None else int(events.t[-1]) + 1
                events = events.between(low, high)
            if len(events):
                yield events
            if finished:
                return
        if cleaner.dropped and not kept:
            raise self.misfit(cleaner.dropped, cleaner.dropped)

    def misfit(self, outside: int, events: int) -> InputError:
        """The error that most events lie outside the sensor."""
        return InputError(
            self.path,
            f"{outside:,} of {events:,} events outside the sensor of {self.width}x{self.height}",
            "events inside it",
            "Check --sensor, and that the columns are in the layout's order.",
        )

    def read(self, start_us: int | None = None, stop_us: int | None = None) -> EventStream:
        """All events with start_us <= t < stop_us in one stream (all of them in memory)."""
        empty = EventStream.empty(self.width, self.height)
        return EventStream.concatenate([empty, *self.chunks(start_us, stop_us)])

    def fingerprint(self) -> str:
        """sha256 of the first `FINGERPRINT_EVENTS` events; a conversion has its source's.

        Times count from the first event, for containers differ in their origin. Nothing is added to
        ``repairs``: who asks has not read the recording.

        Raises:
            InputError: as `chunks`.
        """
        before = replace(self.repairs)
        blocks, count = [EventStream.empty(self.width, self.height)], 0
        for events in self.chunks():
            blocks.append(events)
            count += len(events)
            if count >= FINGERPRINT_EVENTS:
                break
        for field in fields(before):
            setattr(self.repairs, field.name, getattr(before, field.name))
        first = EventStream.concatenate(blocks)
        digest = hashlib.sha256()
        for column in (first.x, first.y, first.t - first.t[:1], first.p):
            digest.update(np.ascontiguousarray(column[:FINGERPRINT_EVENTS]).tobytes())
        return digest.hexdigest()


class _Cleaner:
    """Turns raw chunks into streams, remembering what must hold across chunk borders.

    Backward timestamps are raised to the running maximum (those before the origin to 0), events
    outside the sensor dropped; both are counted in the recording's repairs. Polarity 0/1 and
    -1/+1 become {0, 1}.

    Attributes:
        dropped: events outside the sensor so far.

    Raises (from `clean`):
        InputError: polarities of neither kind, coordinates that are not whole numbers or mostly
            outside the sensor, or a time beyond `LONGEST_US`.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.latest = 0
        self.dropped = 0
        self.polarities: set[int] = set()

    def clean(self, raw: RawChunk) -> EventStream:
        recording = self.recording
        if len(raw.t) == 0:
            return EventStream.empty(recording.width, recording.height)
        t = self._sorted(raw.t)
        p = self._polarity(raw.p)
        inside = _inside(raw.x, recording.width) & _inside(raw.y, recording.height)
        x, y = raw.x, raw.y
        if not inside.all():
            outside = int(len(inside) - np.count_nonzero(inside))
            if outside > len(inside) // 2 and len(inside) >= ENOUGH_EVENTS:
                raise recording.misfit(outside, len(inside))
            recording.repairs.out_of_sensor += outside
            self.dropped += outside
            x, y, t, p = x[inside], y[inside], t[inside], p[inside]
        for name, values in (("x", x), ("y", y)):
            if values.dtype.kind == "f" and not np.array_equal(values, np.floor(values)):
                raise InputError(
                    recording.path,
                    f"fractional {name} coordinates",
                    "whole pixel coordinates",
                    "Give the raw events, not undistorted ones.",
                )
        return EventStream.from_arrays(x, y, t, p, recording.width, recording.height)

    def _sorted(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        if int(t[0]) < self.latest or bool((t[1:] < t[:-1]).any()):
            raised = np.maximum(np.maximum.accumulate(t), self.latest)
            self.recording.repairs.backward_timestamps += int(np.count_nonzero(raised != t))
            t = raised
        self.latest = int(t[-1])
        if self.latest > LONGEST_US:
            raise InputError(
                self.recording.path,
                f"an event {self.latest / 1e6:,.0f} s after the start",
                f"recordings of at most {LONGEST_US // 3_600_000_000} hours",
                "The timestamps are damaged or in another unit: write the file again.",
            )
        return t

    def _polarity(self, p: NDArray[Any]) -> NDArray[np.uint8]:
        if p.dtype == np.bool_:
            return p.view(np.uint8)
        low, high = p.min(), p.max()
        if low >= 0 and high <= 1 and p.dtype.kind in "iu":
            if low == 0:
                self.polarities.add(0)
            self._check_polarities(set())
            return p.astype(np.uint8, copy=False)
        found = set(np.unique(p).tolist())
        self.polarities |= found & {-1, 0}
        self._check_polarities(found)
        return (p > 0).astype(np.uint8)

    def _check_polarities(self, found: set[float]) -> None:
        if found <= {-1, 0, 1} and self.polarities != {-1, 0}:
            return
        shown = ", ".join(f"{value:g}" for value in sorted(found | self.polarities)[:6])
        raise InputError(
            self.recording.path,
            f"polarity values {shown}",
            "0 and 1, or -1 and +1",
            "Check that the columns are in the layout's order.",
        )


def _inside(values: NDArray[Any], size: int) -> NDArray[np.bool_]:
    inside = values < size
    if values.dtype.kind != "u":
        inside &= values >= 0
    return inside


def seconds_to_us(path: Path, t: NDArray[np.floating[Any]], origin_s: float) -> NDArray[np.int64]:
    """Seconds to int64 microseconds from ``origin_s``, rounded to nearest.

    The origin is subtracted before scaling: epoch seconds in float64 keep about 0.2 us, and
    scaling first would spend bits on the epoch.

    Raises:
        InputError: a time is NaN, infinite, or too far away for microseconds in 64 bits.
    """
    relative = t.astype(np.float64) - origin_s
    # Written so that NaN fails too.
    if not (np.abs(relative) < 2.0**62 * 1e-6).all():
        raise InputError(
            path,
            "NaN or infinite timestamps, or beyond 64 bits of microseconds",
            "finite seconds",
            "Write the recording again.",
        )
    return np.rint(relative * 1e6).astype(np.int64)


def choose_geometry(
    path: Path,
    stated: tuple[int, int] | None,
    asked: tuple[int | None, int | None],
    *,
    default: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """The sensor's (width, height): stated by the file, else asked for, else the layout's own.

    Raises:
        InputError: nobody knows it, it is not positive, or the file and the flag disagree.
    """
    width, height = asked
    if (width is None) != (height is None):
        raise InputError("--sensor", "only one side", "both width and height", SENSOR_REMEDY)
    given = None if width is None or height is None else (width, height)
    if stated and given and stated != given:
        raise InputError(
            path,
            f"a sensor of {stated[0]}x{stated[1]}",
            f"the {given[0]}x{given[1]} asked for",
            "Leave --sensor out: the file knows its size.",
        )
    size = stated or given or default
    if size is None:
        raise InputError(path, "no sensor size", "a layout that states it", SENSOR_REMEDY)
    if not all(0 < side <= LARGEST_SIDE for side in size):
        found, expected = f"a sensor of {size[0]}x{size[1]}", f"sides of 1 to {LARGEST_SIDE} pixels"
        raise InputError(path, found, expected, SENSOR_REMEDY)
    return int(size[0]), int(size[1])


def open_recording(
    path: str | Path,
    *,
    width: int | None = None,
    height: int | None = None,
    camera: int | str | None = None,
    time_unit: str | None = None,
) -> Recording:
    """Open an event recording; its format is told by its content, never by its name.

    Args:
        path: the file, or the folder of a recording of several files.
        width, height: sensor size in pixels, for files that do not state it.
        camera: one view of a file of several: 0..3 of DHP19's, ``left`` or ``right`` of MVSEC's
            and M3ED's, a topic of a ROS bag's or its number, a source of AEDAT 3.1's.
        time_unit: ``s``, ``ms``, ``us`` or ``ns``, for files that do not state it.

    Raises:
        InputError: no such file, an unknown or damaged format, a size, a unit or a camera nobody
            stated, or one given that the file has no use for.
    """
    # Imported here because the readers build on this module.
    from eventhpe.events.formats import faery_formats, numpy_formats, text
    from eventhpe.events.formats.aedat2 import open_aedat2
    from eventhpe.events.formats.aedat31 import open_aedat31
    from eventhpe.events.formats.hdf5 import open_hdf5
    from eventhpe.events.formats.rosbag import open_rosbag
    from eventhpe.events.formats.signatures import recognise

    path = Path(path)
    kind = recognise(path)
    of_cameras = {
        "hdf5": open_hdf5,
        "aedat2": open_aedat2,
        "aedat31": open_aedat31,
        "rosbag": open_rosbag,
    }
    without_unit = {
        "text": text.open_text,
        "text-zip": text.open_text_zip,
        "celex": text.open_celex,
    }
    arrays = {"npy": numpy_formats.open_npy, "npz": numpy_formats.open_npz}
    if kind in arrays:
        return arrays[kind](path, width, height, camera, time_unit)
    if camera is not None and kind not in of_cameras:
        raise InputError(path, f"--channel {camera}", "a file of several cameras", "Leave it out.")
    if kind in without_unit:
        return without_unit[kind](path, width, height, time_unit)
    if time_unit is not None:
        found, expected = f"--time-unit {time_unit}", "a file that leaves its unit open"
        raise InputError(path, found, expected, "Leave it out: the file says it.")
    if kind in of_cameras:
        return of_cameras[kind](path, width, height, camera)
    through_faery = {
        "aedat4": faery_formats.open_aedat4,
        "prophesee": faery_formats.open_evt,
        "es": faery_formats.open_es,
    }
    return through_faery[kind](path, width, height)
