"""DHP19's raw layout (Calabrese et al., CVPR Workshops 2019): its file names, and writing them.

``DVS_movies/S{s}/session{k}/mov{m}.aedat`` holds the events of four DAVIS346 in one AEDAT 2.0
file, ``Vicon_data/S{s}_{k}_{m}.mat`` thirteen markers at 100 Hz. The recording begins before the
markers do and ends after them; special events in the aedat file mark both ends.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from eventhpe.body.joints import DHP19_NAMES
from eventhpe.files import atomic_path

Int64 = NDArray[np.int64]

WIDTH, HEIGHT = 346, 260
CHANNELS = (0, 1, 2, 3)
SESSION_MOVEMENTS = (8, 6, 6, 6, 7)
"""How many movements each of the five sessions has; they are counted from 1 in each session."""
VICON_PERIOD_US = 10_000

# Address bits of a DAVIS (jAER); the camera's number is in the lowest four.
Y_SHIFT, X_SHIFT, ON_BIT, SPECIAL_BIT = 22, 12, 0x800, 0x400

HEADER = (
    "#!AER-DAT2.0\r\n"
    "# Event data as jAER writes it; simulated by EventHPE\r\n"
    "# Every event is a 32-bit address and a 32-bit timestamp, big-endian\r\n"
    "# Timestamps tick is 1 us\r\n"
    "# Four DAVIS346 cameras; the camera's number is in the lowest 4 bits of the address\r\n"
    "#End Of ASCII Header\r\n"
)
MAT_DESCRIPTION_BYTES = 116


class Events(Protocol):
    """A batch of one camera: t us, column x, row y (downward) and polarity p, all (N,)."""

    @property
    def t(self) -> Int64: ...
    @property
    def x(self) -> NDArray[Any]: ...
    @property
    def y(self) -> NDArray[Any]: ...
    @property
    def p(self) -> NDArray[Any]: ...


EventsOf = Callable[[int], Iterator[Events]]
"""Camera channel to its time-sorted batches, t in us from one origin for all four cameras."""


class RawRecording(NamedTuple):
    """One recording's place in the data set; all three count from 1."""

    subject: int
    session: int
    movement: int

    def events_path(self, folder: Path) -> Path:
        """The aedat file of the four cameras."""
        place = folder / "DVS_movies" / f"S{self.subject}" / f"session{self.session}"
        return place / f"mov{self.movement}.aedat"

    def vicon_path(self, folder: Path) -> Path:
        """The mat file of the markers."""
        return folder / "Vicon_data" / f"S{self.subject}_{self.session}_{self.movement}.mat"


class Words(NamedTuple):
    """Events as AEDAT 2.0 stores them: t (N,) int64 us, not yet wrapped; address (N,) uint32."""

    t: Int64
    address: NDArray[np.uint32]


NO_WORDS = Words(np.empty(0, np.int64), np.empty(0, np.uint32))


def addresses(
    x: NDArray[np.integer], y: NDArray[np.integer], p: NDArray[np.integer], channel: int
) -> NDArray[np.uint32]:
    """(N,) DAVIS346 addresses of events at columns x and rows y: stored mirrored and y upward."""
    raw_x = (WIDTH - 1 - x.astype(np.int64)).astype(np.uint32)
    raw_y = (HEIGHT - 1 - y.astype(np.int64)).astype(np.uint32)
    polarity = p.astype(np.uint32) * np.uint32(ON_BIT)
    return raw_y << np.uint32(Y_SHIFT) | raw_x << np.uint32(X_SHIFT) | polarity | np.uint32(channel)


def special_words(kind: str, start_us: int, stop_us: int) -> Words:
    """The special events that mark a recording's start and stop, in one of the set's ways.

    Args:
        kind: a name in `SPECIALS`. ``two`` is the usual one, ``corrupt`` what S4's session 3 has
            in movements 4 and 6: far too many.
        start_us, stop_us: first Vicon sample, and the end of the last one.
    """
    times, cameras = SPECIALS[kind](start_us, stop_us)
    address = np.array(cameras, np.uint32) | np.uint32(SPECIAL_BIT)
    return Words(np.array(times, np.int64), address)


SPECIALS: dict[str, Callable[[int, int], tuple[Sequence[int] | Int64, Sequence[int]]]] = {
    "two": lambda start, stop: ((start, stop), (0, 0)),
    "none": lambda start, stop: ((), ()),
    "one-at-start": lambda start, stop: ((start,), (0,)),
    "one-at-stop": lambda start, stop: ((stop,), (0,)),
    "two-within-1us": lambda start, stop: ((start, start + 1), (0, 1)),
    "three": lambda start, stop: ((start, start + 1, stop), (0, 1, 0)),
    "four-within-1us": lambda start, stop: ((start, start, start + 1, start + 1), CHANNELS),
    "five": lambda start, stop: (
        (start, start + 1, (start + stop) // 2, stop - 1, stop),
        (0, 1, 2, 1, 0),
    ),
    "corrupt": lambda start, stop: (np.linspace(start, stop, 721).astype(int), (0,) * 721),
}
"""Special events by name: from (start, stop) in us to their times and camera numbers."""


def write_aedat(
    path: Path,
    events_of: EventsOf,
    start_us: int,
    stop_us: int,
    special: str = "two",
    origin_us: int = 0,
    artefacts: Words = NO_WORDS,
) -> int:
    """Write four cameras into one AEDAT 2.0 file, streaming: one batch a camera is in memory.

    A spurious event comes first, which readers of DHP19 skip. Without special events nothing
    else would tell start and stop, so that then the events outside them are left out.

    Args:
        path: written atomically.
        events_of: the cameras' batches, t >= 0.
        start_us, stop_us: see `special_words`; on the cameras' clock.
        special: a name in `SPECIALS`.
        origin_us: timestamp of t = 0. Timestamps wrap at 2^32.
        artefacts: further events to weave in, sorted by time.

    Returns:
        How many events there are in the file, special ones too.
    """
    spurious = Words(np.zeros(1, np.int64), np.zeros(1, np.uint32))
    streams = [iter([special_words(special, start_us, stop_us)]), iter([artefacts])]
    streams += [_encoded(events_of(channel), channel) for channel in CHANNELS]
    with atomic_path(path) as partial, open(partial, "wb") as file:
        file.write(HEADER.encode("ascii"))
        _write_words(file, spurious, origin_us)
        count = 1
        for words in merged(streams):
            if special == "none":
                low, high = np.searchsorted(words.t, (start_us, stop_us))
                words = Words(words.t[low:high], words.address[low:high])
            _write_words(file, words, origin_us)
            count += len(words.t)
    return count


def _encoded(batches: Iterator[Events], channel: int) -> Iterator[Words]:
    for batch in batches:
        yield Words(batch.t, addresses(batch.x, batch.y, batch.p, channel))


def _write_words(file: BinaryIO, words: Words, origin_us: int) -> None:
    pairs = np.empty((len(words.t), 2), ">u4")
    pairs[:, 0] = words.address
    pairs[:, 1] = (words.t + origin_us) & 0xFFFFFFFF
    file.write(pairs.tobytes())


def merged(streams: Sequence[Iterator[Words]]) -> Iterator[Words]:
    """Interleave time-sorted streams by time; the streams' order decides between equal times.

    Holds one batch of each stream: up to the earliest of their ends everything is known.

    Raises:
        ValueError: a stream steps back in time.
    """
    waiting = [_next_filled(stream, NO_WORDS) for stream in streams]
    while any(len(words.t) for words in waiting):
        horizon = min(words.t[-1] for words in waiting if len(words.t))
        ready = []
        for i, words in enumerate(waiting):
            cut = np.searchsorted(words.t, horizon, side="right")
            ready.append(Words(words.t[:cut], words.address[:cut]))
            waiting[i] = Words(words.t[cut:], words.address[cut:])
            if cut and cut == len(words.t):
                waiting[i] = _next_filled(streams[i], words)
        t = np.concatenate([words.t for words in ready])
        order = np.argsort(t, kind="stable")
        yield Words(t[order], np.concatenate([words.address for words in ready])[order])


def _next_filled(stream: Iterator[Words], before: Words) -> Words:
    """The stream's next batch with events, or none at its end."""
    for words in stream:
        if len(words.t):
            steps = np.diff(words.t, prepend=before.t[-1:])
            if len(steps) and steps.min() < 0:
                raise ValueError("a camera's events step back in time")
            return words
    return NO_WORDS


def write_vicon(path: Path, markers_mm: NDArray[np.float64]) -> None:
    """Write the struct ``XYZPOS``: one (N, 3) field of doubles a marker, in DHP19's order.

    Args:
        path: a MATLAB 5 file, written atomically; the same markers give the same bytes.
        markers_mm: (N, 13, 3) in DHP19's world, millimetres, 100 Hz; NaN where a marker is hidden.
    """
    fields = {
        name: np.ascontiguousarray(markers_mm[:, i], np.float64)
        for i, name in enumerate(DHP19_NAMES)
    }
    buffer = io.BytesIO()
    savemat(buffer, {"XYZPOS": fields}, oned_as="column")
    # SciPy puts the time of day into the free text that a MATLAB file begins with.
    description = b"MATLAB 5.0 MAT-file, written by EventHPE".ljust(MAT_DESCRIPTION_BYTES)
    with atomic_path(path) as partial:
        partial.write_bytes(description + buffer.getvalue()[MAT_DESCRIPTION_BYTES:])
