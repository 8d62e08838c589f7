"""Reading DHP19's raw files: the four cameras' events between start and stop, and the markers.

Everything here follows the data set's reference scripts (Calabrese et al., CVPR Workshops 2019).
Events are placed in their mosaic, the four images side by side: the reference's 1-based
X = (346 - x) + 346 camera and Y = 260 - y, with x and y as the file stores them. The file stores
x mirrored and y upward (jAER), so X - 1 - 346 camera is the column and Y - 1 the row of an upright
picture, counted from its top left: no image has to be turned or mirrored after that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.io import loadmat

from datasets.dhp19_layout import CHANNELS, HEIGHT, VICON_PERIOD_US, WIDTH
from eventhpe.body.joints import DHP19_NAMES
from eventhpe.errors import InputError
from eventhpe.events.formats.aedat2 import DAVIS_SKIP, DAVIS_SPECIAL, read_header, timestamp
from eventhpe.events.stream import EventStream

Words = NDArray[np.uint64]

MOSAIC_WIDTH = WIDTH * len(CHANNELS)
MOST_MARKS = 5
"""Recordings with more special events are corrupt."""
NEW_CLOCK_US = 1_000_000
"""A step back by more is a clock that begins again (timestamps wrap); smaller ones are disorder."""
_GAP_US = 100_000  # without events at an end; noise alone gives some every millisecond


class CorruptMarksError(InputError):
    """A recording that the reference leaves out: its special events make no sense."""


class Marks(NamedTuple):
    """Where a recording starts and stops.

    Attributes:
        case: how its special events tell, for example ``two`` or ``one-at-start``.
        start, stop: timestamps in us; the events lie strictly between them.
        first, end: its words are ``words[first:end]``.
        events: how many DVS events the whole file has.
        repairs: what is odd about it, in words.
    """

    case: str
    start: int
    stop: int
    first: int
    end: int
    events: int
    repairs: tuple[str, ...]


class MosaicEvents(NamedTuple):
    """Events of four cameras in the file's order.

    Attributes:
        t: (N,) uint32 us, timestamps as stored.
        place: (N,) uint32 row * 1384 + 346 * camera + column.
        p: (N,) uint8 polarity.
    """

    t: NDArray[np.uint32]
    place: NDArray[np.uint32]
    p: NDArray[np.uint8]

    def masked(self, keep: NDArray[np.bool_]) -> "MosaicEvents":
        """The events where ``keep`` (N,) is true."""
        return MosaicEvents(self.t[keep], self.place[keep], self.p[keep])


def read_words(path: Path) -> Words:
    """(N,) all events but the first, each 8 bytes of the file read as a little-endian u64.

    Raises:
        InputError: no AEDAT 2.0 file, one cut inside an event, or one without events.
    """
    header, start = read_header(path)
    if not header.startswith("#!AER-DAT2"):
        raise InputError(
            path, "no AEDAT 2.0 header", "a movement of DHP19", "Download this file again."
        )
    left_over = (path.stat().st_size - start) % 8
    if left_over:
        raise InputError(
            path,
            f"a file cut inside an event ({left_over} bytes of 8)",
            "a whole recording",
            "Download this file again.",
        )
    words = np.fromfile(path, "<u8", offset=start)
    if len(words) < 2:
        raise InputError(path, "no events", "a movement of DHP19", "Download this file again.")
    return words[1:]


def read_markers(path: Path) -> NDArray[np.float64]:
    """(N, 13, 3) markers in mm, 100 Hz, in DHP19's world and label order; NaN where hidden.

    Raises:
        InputError: the file is missing or unreadable, has no struct ``XYZPOS``, lacks a joint, or
            its joints are not (N, 3) alike.
    """
    expected, remedy = "the struct XYZPOS of DHP19's 13 joints", "Download this file again."
    if not path.is_file():
        raise InputError(path, "no such file", expected, "Put Vicon_data beside DVS_movies.")
    try:
        struct = loadmat(path)["XYZPOS"]
        names = struct.dtype.names or ()
        fields = [struct[name][0, 0] for name in DHP19_NAMES if name in names]
    except Exception as error:  # SciPy raises nearly anything for a broken file
        raise InputError(
            path, f"an unreadable file ({type(error).__name__}: {error})", expected, remedy
        ) from error
    missing = [name for name in DHP19_NAMES if name not in names]
    if missing:
        raise InputError(path, f"no {', '.join(missing)}", expected, remedy)
    shapes = {np.shape(field) for field in fields}
    if len(shapes) != 1 or len(fields[0]) == 0 or np.shape(fields[0])[1:] != (3,):
        raise InputError(
            path, f"joints of {sorted(shapes)}", "(N, 3) doubles for each joint", remedy
        )
    return np.stack(fields, axis=1).astype(np.float64)


def find_marks(path: Path, words: Words, samples: int) -> Marks:
    """Start and stop of a recording, by the reference's rules for its special events.

    - none: the first and the last event;
    - one, or two or four within 1 us of each other: the first of them is the start or the stop,
      whichever end of the file is nearer, and the other end is ``samples`` * 10,000 us away;
    - three, five, and two or four that lie apart: the first and the last of them;
    - more: corrupt.

    Where timestamps wrap, what comes after is left out, and a single mark is the start: the events
    are those from the mark's time on (that time included) to the last one before the wrap.

    Args:
        path: named in errors.
        words: `read_words`.
        samples: how many the markers have.

    Raises:
        CorruptMarksError: more than five special events.
        InputError: no DVS events, none between start and stop, or marks only after a wrap.
    """
    first, last, wrap, events, backward = _survey(words)
    if events == 0:
        raise InputError(path, "no DVS events", "a movement of DHP19", "Download this file again.")
    special = np.flatnonzero((words & DAVIS_SKIP) == DAVIS_SPECIAL)
    if len(special) > MOST_MARKS:
        raise CorruptMarksError(
            path, f"{len(special)} special events", f"at most {MOST_MARKS}", "It is left out."
        )
    repairs = []
    wraps = wrap < len(words)
    if wraps:
        repairs.append(f"timestamps wrap: {events - _count_events(words[:wrap]):,} events dropped")
        if len(special) and special[0] > wrap:
            raise InputError(
                path, "its marks after its timestamps wrap", "them before", "Leave it out."
            )
        special = special[special < wrap]
    if backward:
        repairs.append(f"{backward:,} timestamps step back")
    if not len(special):
        repairs.append("no special events")
    marks = timestamp(words[special]).astype(np.int64)
    limits = int(timestamp(words[first])), int(timestamp(words[last]))
    case, start, stop = _start_and_stop(marks, limits, samples, wraps)
    # The mark before a wrap is the one start whose own time belongs to the recording.
    begin, end = _between(words[:wrap], start - int(case.endswith("-before-wrap")), stop)
    if begin >= end:
        raise InputError(
            path,
            f"no events between start ({start} us) and stop ({stop} us)",
            "a movement of DHP19",
            "Leave it out.",
        )
    ends = int(timestamp(words[begin])), int(timestamp(words[end - 1]))
    repairs += _gaps(ends, start, start + samples * VICON_PERIOD_US)
    return Marks(case, start, stop, begin, end, events, tuple(repairs))


def _gaps(ends: tuple[int, int], start: int, stop: int) -> Iterator[str]:
    """What to say of a first and a last event that are far from the markers' ends, us."""
    early, late = ends[0] - start, stop - ends[1]
    if early > _GAP_US:
        yield f"events begin {early * 1e-6:.1f} s after the markers"
    if late > _GAP_US:
        yield f"events end {late * 1e-6:.1f} s before the markers"


def _start_and_stop(
    marks: NDArray[np.int64], limits: tuple[int, int], samples: int, wraps: bool
) -> tuple[str, int, int]:
    count = ("none", "one", "two", "three", "four", "five")[len(marks)]
    if len(marks) == 0:
        return (count, *limits)
    together = len(marks) in (1, 2, 4) and int(marks.max() - marks.min()) <= 1
    mark = int(marks[0])
    if not together:
        return count, mark, int(marks[-1])
    case = count if len(marks) == 1 else f"{count}-within-1us"
    if wraps:
        return f"{case}-before-wrap", mark, limits[1] + 1
    length = samples * VICON_PERIOD_US
    if mark - limits[0] > limits[1] - mark:
        return f"{case}-at-stop", mark - length, mark
    return f"{case}-at-start", mark, mark + length


def mosaic_events(words: Words) -> MosaicEvents:
    """The DVS events among the words whose column, row and camera exist."""
    t, place = np.empty(len(words), np.uint32), np.empty(len(words), np.uint32)
    p = np.empty(len(words), np.uint8)
    n = _decode(words, t, place, p)
    return MosaicEvents(t[:n], place[:n], p[:n])


def by_camera(events: MosaicEvents, keep: NDArray[np.bool_], start: int) -> list[EventStream]:
    """The events to keep (N,) as one stream a camera, in upright pictures; t counts from start.

    Times that step back, or that lie before the start, are held at the latest time so far.
    """
    counts = _count_cameras(events.place, keep)
    # Each camera has a place to spare, where an event that is not kept may lie at the end.
    starts = np.cumsum(counts + 1) - (counts + 1)
    room = int(counts.sum()) + len(counts)
    x, y = np.empty(room, np.uint16), np.empty(room, np.uint16)
    t, p = np.empty(room, np.int64), np.empty(room, np.uint8)
    _split(*events, keep, start, starts.copy(), x, y, t, p)
    together = EventStream(x, y, t, p, WIDTH, HEIGHT)
    return [
        together.slice(int(first), int(first + n)) for first, n in zip(starts, counts, strict=True)
    ]


@njit(cache=True, nogil=True)
def _count_cameras(place, keep):  # type: ignore[no-untyped-def]
    counts = np.zeros(4, np.int64)
    for i in range(len(place)):
        counts[place[i] % np.uint32(MOSAIC_WIDTH) // np.uint32(WIDTH)] += np.int64(keep[i])
    return counts


# Written first and counted after, for a branch on noise is mostly guessed wrong.
@njit(cache=True, nogil=True)
def _split(t, place, p, keep, start, at, to_x, to_y, to_t, to_p):  # type: ignore[no-untyped-def]
    latest = np.int64(0)
    for i in range(len(t)):
        row, column = place[i] // np.uint32(MOSAIC_WIDTH), place[i] % np.uint32(MOSAIC_WIDTH)
        camera = column // np.uint32(WIDTH)
        latest = max(latest, np.int64(t[i]) - start)
        n = at[camera]
        to_x[n], to_y[n] = column - camera * np.uint32(WIDTH), row
        to_t[n], to_p[n] = latest, p[i]
        at[camera] = n + np.int64(keep[i])


@njit(cache=True, nogil=True)
def _survey(words):  # type: ignore[no-untyped-def]
    """Index of the first DVS word, of the last before the clock begins again, of the first one
    after that (or the number of words); number of DVS words, and of small steps back."""
    first, last, wrap = -1, -1, len(words)
    events, backward = 0, 0
    previous = np.int64(0)
    for i in range(len(words)):
        if words[i] & DAVIS_SKIP:
            continue
        events += 1
        if wrap < len(words):
            continue
        t = np.int64(timestamp(words[i]))
        if first < 0:
            first, previous = i, t
        if t < previous - NEW_CLOCK_US:
            wrap = i
            continue
        backward += int(t < previous)
        last, previous = i, t
    return first, last, wrap, events, backward


@njit(cache=True, nogil=True)
def _count_events(words):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(words)):
        count += int(words[i] & DAVIS_SKIP == 0)
    return count


@njit(cache=True, nogil=True)
def _between(words, start, stop):  # type: ignore[no-untyped-def]
    """The range of words from the first DVS word after start to the last one before stop."""
    begin, end = 0, len(words)
    while begin < end and (words[begin] & DAVIS_SKIP or np.int64(timestamp(words[begin])) <= start):
        begin += 1
    while end > begin and (
        words[end - 1] & DAVIS_SKIP or np.int64(timestamp(words[end - 1])) >= stop
    ):
        end -= 1
    return begin, end


@njit(cache=True, nogil=True)
def _decode(words, t, place, p):  # type: ignore[no-untyped-def]
    u = np.uint64
    n = 0
    for i in range(len(words)):
        w = words[i]
        raw_x = ((w >> u(4)) & u(0x3F0)) | ((w >> u(20)) & u(0xF))
        raw_y = ((w & u(0x7F)) << u(2)) | ((w >> u(14)) & u(3))
        camera = (w >> u(24)) & u(0xF)
        row, column = u(HEIGHT - 1) - raw_y, u(WIDTH - 1) - raw_x
        t[n] = timestamp(w)
        place[n] = row * u(MOSAIC_WIDTH) + camera * u(WIDTH) + column
        p[n] = (w >> u(19)) & u(1)
        valid = (w & DAVIS_SKIP == 0) & (raw_x < WIDTH) & (raw_y < HEIGHT) & (camera < 4)
        n += int(valid)
    return n
