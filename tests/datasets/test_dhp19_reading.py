"""DHP19's raw files as they are read: start and stop in all their cases, and faulty files."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from datasets.dhp19_layout import HEADER, SPECIALS, write_aedat, write_vicon
from datasets.dhp19_reading import (
    CorruptMarksError,
    by_camera,
    find_marks,
    mosaic_events,
    read_markers,
    read_words,
)
from eventhpe.errors import InputError
from eventhpe.events.stream import EventStream
from tests.datasets.dhp19_oracle import decode, mark, word, words_of

HERE = Path("mov1.aedat")
SPURIOUS = word(0, 0, 0, 0)


def recording(*marks: int, first: int = 1000, last: int = 3_001_000, step: int = 500) -> bytes:
    """Events every 500 us with marks among them; where times are equal the mark comes first."""
    items = [(t, mark(t)) for t in marks]
    items += [(t, word(t // step % 346, t // step % 260, 1, t)) for t in range(first, last, step)]
    return b"".join(data for _, data in sorted(items, key=lambda item: item[0]))


def times(data: bytes, samples: int) -> tuple[str, int, int]:
    """Case, start and stop."""
    return find_marks(HERE, words_of(data), samples)[:3]


@pytest.mark.parametrize(
    ("marks", "samples", "expected"),
    [
        ((), 200, ("none", 1000, 3_000_500)),
        ((600_000,), 200, ("one-at-start", 600_000, 2_600_000)),
        ((2_500_000,), 200, ("one-at-stop", 500_000, 2_500_000)),
        ((1_500_750,), 100, ("one-at-start", 1_500_750, 2_500_750)),  # as near to both ends
        ((1_500_751,), 100, ("one-at-stop", 500_751, 1_500_751)),
        ((600_000, 600_001), 200, ("two-within-1us-at-start", 600_000, 2_600_000)),
        ((2_500_000, 2_500_000), 200, ("two-within-1us-at-stop", 500_000, 2_500_000)),
        ((600_000, 600_002), 200, ("two", 600_000, 600_002)),
        ((600_000, 2_590_000), 200, ("two", 600_000, 2_590_000)),
        ((600_000, 600_000, 2_590_000), 200, ("three", 600_000, 2_590_000)),
        (
            (600_000, 600_000, 600_001, 600_001),
            200,
            ("four-within-1us-at-start", 600_000, 2_600_000),
        ),
        ((600_000, 600_001, 600_002, 2_000_000), 200, ("four", 600_000, 2_000_000)),
        ((600_000, 700_000, 900_000, 900_001, 2_000_000), 200, ("five", 600_000, 2_000_000)),
    ],
)
def test_the_rules_of_special_events(
    marks: tuple[int, ...], samples: int, expected: tuple[str, int, int]
) -> None:
    data = recording(*marks)
    if expected[2] - expected[1] < 10:  # no events in between, and that is said
        with pytest.raises(InputError, match="no events between"):
            times(data, samples)
        return
    assert times(data, samples) == expected


@pytest.mark.parametrize("special", [kind for kind in SPECIALS if kind != "corrupt"])
def test_what_the_clone_marks_is_found(tmp_path: Path, special: str) -> None:
    t = np.arange(0, 3_000_000, 700)
    one = EventStream.from_arrays(t % 346, t % 260, t, t % 2, 346, 260)
    path, origin = tmp_path / "mov1.aedat", 4_000_000_000
    write_aedat(path, lambda channel: iter([one]), 400_000, 2_400_000, special, origin)
    words = read_words(path)
    marks = find_marks(path, words, 200)
    assert marks.case.startswith(special)
    assert marks.events == len(words) - len(SPECIALS[special](0, 1)[0])
    found = marks.start - origin, marks.stop - origin
    assert found == ((400_400, 2_399_600) if special == "none" else (400_000, 2_400_000))
    between = mosaic_events(words[marks.first : marks.end]).t.astype(np.int64) - origin
    inside = t[(t > found[0]) & (t < found[1])]
    np.testing.assert_array_equal(between, np.repeat(inside, 4))


def test_events_lie_strictly_between_start_and_stop() -> None:
    words = words_of(recording(600_000, 2_590_000))
    marks = find_marks(HERE, words, 199)
    between = mosaic_events(words[marks.first : marks.end])
    assert (between.t[0], between.t[-1]) == (600_500, 2_589_500)
    assert len(between.t) == (2_589_500 - 600_500) // 500 + 1
    assert not marks.repairs


def test_too_many_special_events_are_corrupt() -> None:
    with pytest.raises(CorruptMarksError, match="6 special events"):
        times(recording(*range(600_000, 660_000, 10_000)), 200)


def wrapping(mark_at: int) -> bytes:
    """Three seconds of events whose timestamps wrap after 2.5 s."""
    return recording(mark_at, first=2**32 - 2_500_000, last=2**32 + 500_000)


def test_a_wrapping_recording_runs_from_its_mark_to_the_wrap() -> None:
    """Both ends included; nearer to the end or not, the mark is the start."""
    start = 2**32 - 900_000
    words = words_of(wrapping(start))
    marks = find_marks(HERE, words, 200)
    assert marks.case == "one-before-wrap"
    between = mosaic_events(words[marks.first : marks.end])
    assert (between.t[0], between.t[-1]) == (start, 2**32 - 500)
    assert len(between.t) == 900_000 // 500
    assert marks.start == start
    assert "1,000 events dropped" in marks.repairs[0]
    assert "events end 1.1 s before the markers" in marks.repairs[1]


def test_a_wrap_before_the_marks_is_refused_and_one_after_both_cuts_nothing() -> None:
    with pytest.raises(InputError, match="marks after its timestamps wrap"):
        times(wrapping(2**32 + 200_000), 200)
    early = 2**32 - 2_000_000, 2**32 - 1_000_000
    data = recording(*early, first=2**32 - 2_500_000, last=2**32 + 500_000)
    assert times(data, 100) == ("two", *early)


def test_missing_marks_and_steps_back_are_reported() -> None:
    assert find_marks(HERE, words_of(recording()), 300).repairs == ("no special events",)
    data = mark(100) + b"".join(word(5, 5, 2, t) for t in (200, 300, 250, 260, 400, 390, 900))
    marks = find_marks(HERE, words_of(data + mark(1000)), 1)
    assert marks.repairs == ("2 timestamps step back",)
    events = mosaic_events(words_of(data))
    streams = by_camera(events, np.ones(7, np.bool_), 100)
    assert streams[2].t.tolist() == [100, 200, 200, 200, 300, 300, 800]
    assert [len(stream) for stream in streams] == [0, 0, 7, 0]


def test_cameras_come_apart_as_upright_pictures() -> None:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(1_000, 9_000, 4000))
    draws = [rng.integers(0, high, 4000) for high in (400, 280, 6, 2)]
    data = b"".join(
        word(*map(int, (x, y, c, t, p))) for x, y, c, p, t in zip(*draws, t, strict=True)
    )
    events, expected = mosaic_events(words_of(data)), decode(data)
    keep = rng.random(len(expected)) < 0.6
    for camera, stream in enumerate(by_camera(events, keep, 900)):
        wanted = [
            (e.X - 1 - 346 * camera, e.Y - 1, e.t - 900, e.p)
            for e, stays in zip(expected, keep, strict=True)
            if stays and e.camera == camera
        ]
        found = [getattr(stream, name).tolist() for name in "xytp"]
        assert list(zip(*found, strict=True)) == wanted
        assert len(wanted) > 200


def test_the_first_event_is_skipped_and_faulty_files_are_named(tmp_path: Path) -> None:
    path, body = tmp_path / "mov1.aedat", SPURIOUS + recording()
    path.write_bytes(HEADER.encode() + body)
    np.testing.assert_array_equal(read_words(path), words_of(body[8:]))
    for content, says in (
        (HEADER.encode() + body[:-3], "cut inside an event"),
        (HEADER.encode(), "no events"),
        (HEADER.encode() + SPURIOUS, "no events"),
        (b"", "no AEDAT 2.0 header"),
        (body, "no AEDAT 2.0 header"),
        (HEADER.encode()[:100], "cut short"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=says):
            read_words(path)


def test_markers_are_read_in_label_order_with_their_gaps(tmp_path: Path) -> None:
    markers = np.random.default_rng(0).normal(size=(50, 13, 3))
    markers[3:9, 4] = np.nan
    write_vicon(tmp_path / "a.mat", markers)
    np.testing.assert_array_equal(read_markers(tmp_path / "a.mat"), markers)


def test_faulty_marker_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "S1_1_1.mat"
    with pytest.raises(InputError, match="no such file"):
        read_markers(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file, but cut")
    with pytest.raises(InputError, match="unreadable"):
        read_markers(path)
    write_vicon(path, np.zeros((50, 13, 3)))
    struct = loadmat(path)["XYZPOS"][0, 0]
    fields = {name: struct[name] for name in struct.dtype.names}
    for broken, says in (
        ({"other": fields}, "XYZPOS"),
        ({"XYZPOS": {k: v for k, v in fields.items() if k != "kneeL"}}, "no kneeL"),
        ({"XYZPOS": fields | {"kneeL": fields["kneeL"][:-1]}}, "joints of"),
        ({"XYZPOS": {name: np.zeros((0, 3)) for name in fields}}, "joints of"),
        ({"XYZPOS": np.zeros(3)}, "no head"),
    ):
        savemat(path, broken)
        with pytest.raises(InputError, match=says):
            read_markers(path)
