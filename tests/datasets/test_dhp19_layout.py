"""DHP19's raw layout as it is written: bytes, marks, and what the project's reader makes of it."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat

from datasets.dhp19_layout import (
    HEADER,
    SPECIALS,
    Words,
    addresses,
    merged,
    write_aedat,
    write_vicon,
)
from eventhpe.body import DHP19_NAMES
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream

FIELDS = (
    *("head", "shoulderR", "shoulderL", "elbowR", "elbowL", "hipR", "hipL"),
    *("handR", "handL", "kneeR", "kneeL", "footR", "footL"),
)
START, STOP = 400_000, 2_400_000


def noise(channel: int, count: int = 3000, stop: int = 3_000_000) -> EventStream:
    """Events at random times and places, another set for each channel."""
    rng = np.random.default_rng(channel)
    x, y, p = (rng.integers(0, high, count) for high in (346, 260, 2))
    return EventStream.from_arrays(x, y, np.sort(rng.integers(1, stop, count)), p, 346, 260)


def seconds_of(events: EventStream) -> Iterator[EventStream]:
    """The events cut into batches of one second."""
    for start in range(0, int(events.t[-1]) + 1, 1_000_000):
        yield events.between(start, start + 1_000_000)


def fake_events(channel: int) -> Iterator[EventStream]:
    return seconds_of(noise(channel))


def words_of(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A file's addresses and timestamps, decoded by struct alone."""
    data = path.read_bytes()[len(HEADER) :]
    pairs = list(struct.iter_unpack(">II", data))
    address, t = np.array(pairs, np.int64).T
    return address, t


def test_the_known_answer_word() -> None:
    word = addresses(np.array([10]), np.array([20]), np.array([1]), 2)
    assert word.tolist() == [0x3BD4F802]


def test_the_file_is_text_then_big_endian_words(tmp_path: Path) -> None:
    one = EventStream.from_arrays([10], [20], [7], [1], 346, 260)  # type: ignore[arg-type]
    write_aedat(
        tmp_path / "a.aedat", lambda c: iter([one] if c == 2 else []), 5, 9, origin_us=0x01020300
    )
    data = (tmp_path / "a.aedat").read_bytes()
    assert data.startswith(b"#!AER-DAT2.0\r\n")
    header = data[: data.index(b"#End Of ASCII Header\r\n") + 22]
    assert all(line.startswith(b"#") for line in header.split(b"\r\n")[:-1])
    events = data[len(header) :].hex(" ", 4)
    assert events == (
        "00000000 01020300 "  # the spurious one that readers skip
        "00000400 01020305 "  # start
        "3bd4f802 01020307 "
        "00000400 01020309"  # stop
    )


def test_the_reader_gives_back_each_camera(tmp_path: Path) -> None:
    path = tmp_path / "mov1.aedat"
    count = write_aedat(path, fake_events, START, STOP, origin_us=123_456_789)
    assert count == 4 * 3000 + 3
    for channel in range(4):
        recording = open_recording(path, camera=channel)
        read, expected = recording.read(), noise(channel)
        if channel == 0:  # has the spurious event as well
            read = read.slice(1, len(read))
        assert (recording.width, recording.height) == (346, 260)
        for name in "xytp":
            np.testing.assert_array_equal(getattr(read, name), getattr(expected, name))


def test_timestamps_wrap_at_32_bits(tmp_path: Path) -> None:
    path = tmp_path / "mov1.aedat"
    write_aedat(path, fake_events, START, STOP, "one-at-start", origin_us=2**32 - 1_000_000)
    _, t = words_of(path)
    steps = np.flatnonzero(np.diff(t) < 0)
    assert len(steps) == 1
    assert t[steps[0]] > 2**32 - 2000
    assert t[steps[0] + 1] < 2000
    read = open_recording(path, camera=3).read()
    np.testing.assert_array_equal(read.t, noise(3).t)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", []),
        ("two", [START, STOP]),
        ("one-at-start", [START]),
        ("one-at-stop", [STOP]),
        ("two-within-1us", [START, START + 1]),
        ("four-within-1us", [START, START, START + 1, START + 1]),
    ],
)
def test_special_events(tmp_path: Path, kind: str, expected: list[int]) -> None:
    write_aedat(tmp_path / "m.aedat", fake_events, START, STOP, kind, origin_us=1000)
    address, t = words_of(tmp_path / "m.aedat")
    assert (np.diff(t) >= 0).all()
    special = address & 0x400 != 0
    assert (t[special] - 1000).tolist() == expected
    if kind == "none":  # then the first and the last event after the spurious one tell
        assert t[1] - 1000 >= START
        assert t[-1] - 1000 < STOP
        assert t[1] - 1000 - START < 5000 > STOP - (t[-1] - 1000)


def test_three_and_five_specials_begin_and_end_with_start_and_stop() -> None:
    for kind, count in (("three", 3), ("five", 5)):
        times, cameras = SPECIALS[kind](START, STOP)
        assert len(times) == len(cameras) == count
        assert (times[0], times[-1]) == (START, STOP)
    assert len(SPECIALS["corrupt"](START, STOP)[0]) > 700


@pytest.mark.parametrize("kind", SPECIALS)
def test_every_kind_of_special_events_can_be_written(tmp_path: Path, kind: str) -> None:
    write_aedat(tmp_path / "m.aedat", fake_events, START, STOP, kind)
    address, t = words_of(tmp_path / "m.aedat")
    assert np.count_nonzero(address & 0x400) == len(SPECIALS[kind](START, STOP)[0])
    assert (np.diff(t) >= 0).all()


def test_merging_keeps_every_event_and_one_batch_a_stream() -> None:
    rng = np.random.default_rng(0)
    pulled = [0, 0, 0]

    def stream(index: int, batches: int) -> Iterator[Words]:
        for k in range(batches):
            pulled[index] += 1
            t = np.sort(rng.integers(k * 1000, (k + 1) * 1000, 50 if k % 3 else 0))
            yield Words(t, np.full(len(t), index, np.uint32))

    seen, latest = [], -1
    for words in merged([stream(0, 20), stream(1, 20), stream(2, 4)]):
        assert words.t[0] >= latest
        assert (np.diff(words.t) >= 0).all()
        latest = int(words.t[-1])
        seen.append(words.address)
        # Empty batches are passed over, so at most two are pulled beyond the present second.
        assert max(pulled[:2]) <= latest // 1000 + 4
    assert np.bincount(np.concatenate(seen)).tolist() == [650, 650, 100]


def test_a_camera_that_steps_back_is_refused(tmp_path: Path) -> None:
    late, early = noise(0), noise(1)
    with pytest.raises(ValueError, match="step back"):
        write_aedat(tmp_path / "m.aedat", lambda channel: iter([late, early]), START, STOP)
    assert not list(tmp_path.iterdir())


def test_the_mat_file_is_the_struct_of_the_data_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    markers = rng.normal(size=(50, 13, 3))
    markers[3:9, 4] = np.nan
    for name in "ab":
        write_vicon(tmp_path / f"{name}.mat", markers)
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()
    found = loadmat(tmp_path / "a.mat")["XYZPOS"]
    assert found.shape == (1, 1)
    assert found.dtype.names == FIELDS == DHP19_NAMES
    for i, name in enumerate(FIELDS):
        assert found[name][0, 0].dtype == np.float64
        np.testing.assert_array_equal(found[name][0, 0], markers[:, i])
