"""AEDAT 2.0 written here word by word, decoded, and damaged."""

from pathlib import Path

import numpy as np
import pytest

from eventhpe.errors import InputError
from eventhpe.events import EventStream, open_recording
from eventhpe.events.formats import aedat2
from tests.events.event_samples import assert_same_events, random_events

MAGIC = "#!AER-DAT2.0\r\n"
DVS128 = MAGIC + "# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
DAVIS346 = MAGIC + "# AEChip: eu.seebetter.ini.chips.davis.Davis346B\r\n"


def davis_words(events: EventStream, camera: int | np.ndarray = 0) -> np.ndarray:
    a = (events.height - 1 - events.y.astype(np.int64)) << 22
    a |= (events.width - 1 - events.x.astype(np.int64)) << 12
    return a | (events.p.astype(np.int64) << 11) | camera


def dvs128_words(events: EventStream) -> np.ndarray:
    y, x = 127 - events.y.astype(np.int64), 127 - events.x.astype(np.int64)
    return (y << 8) | (x << 1) | (1 - events.p)


def write(path: Path, header: str, words: np.ndarray, t: np.ndarray, tail: bytes = b"") -> Path:
    pairs = np.stack([words, t % 2**32], axis=1).astype(">u4")
    path.write_bytes(header.encode() + pairs.tobytes() + tail)
    return path


def sample(width: int, height: int, n: int = 5000) -> EventStream:
    events = random_events(n, width, height, 60_000, seed=2)
    return EventStream(events.x, events.y, events.t - events.t[0], events.p, width, height)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aedat2, "READ_EVENTS", 1500)


@pytest.mark.parametrize("keep", [12, 20, 60, -1])
def test_a_header_cut_short(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes((DAVIS346 + "# more\r\n").encode()[:keep])
    with pytest.raises(InputError, match="header cut short"):
        open_recording(path)


def test_a_sensor_much_too_small_is_refused(tmp_path: Path) -> None:
    events = sample(346, 260)
    path = write(tmp_path / "a.aedat", MAGIC, davis_words(events), events.t)
    with pytest.raises(InputError, match=r"outside the sensor of 40x40.*--sensor"):
        open_recording(path, width=40, height=40).read()


def test_known_answer_word(tmp_path: Path) -> None:
    path = write(tmp_path / "a.aedat", MAGIC, np.array([0x3BD4F802]), np.array([77]))
    events = open_recording(path, camera=2).read()
    assert (events.x[0], events.y[0], events.p[0], events.t[0]) == (10, 20, 1, 0)
    assert len(open_recording(path, camera=3).read()) == 0
    with pytest.raises(InputError, match="--channel"):
        open_recording(path)
    with pytest.raises(InputError, match="0, 1, 2, 3"):
        open_recording(path, camera=4)


@pytest.mark.parametrize("header", [DVS128, MAGIC])
def test_dvs128(tmp_path: Path, header: str) -> None:
    events = sample(128, 128)
    words = dvs128_words(events)
    words = np.insert(words, [3, 2000], 0x8001)
    t = np.insert(events.t, [3, 2000], [events.t[3], events.t[2000]]) + 10_000
    opened = open_recording(write(tmp_path / "a.raw", header, words, t))
    assert (opened.format, opened.t_origin) == ("aedat2-dvs128", 10_000)
    assert_same_events(opened.read(), events)
    assert opened.duration_us == events.t[-1] + 1


def test_davis_skips_aps_and_special_events(tmp_path: Path) -> None:
    events = sample(346, 260)
    odd = np.array([0x80000000, 0x80000400, 0x400, 0x80000FFF, 0x0000_0C0F])
    places = [0, 1, 1023, 1500, 5000]
    words = np.insert(davis_words(events), places, odd)
    stamps = events.t[np.minimum(places, 4999)]
    t = np.insert(events.t, places, stamps)
    path = write(tmp_path / "a.aedat", DAVIS346, words, t)
    opened = open_recording(path)
    assert (opened.format, opened.width, opened.height) == ("aedat2-davis", 346, 260)
    assert_same_events(opened.read(), events)
    assert opened.special_times().tolist() == [stamps[2], stamps[4]]
    assert_same_events(open_recording(path, camera=0).read(), events)
    with pytest.raises(InputError, match="--channel 1"):
        open_recording(path, camera=1)


def test_davis_without_a_chip_name_asks_for_the_size(tmp_path: Path) -> None:
    events = sample(240, 180)
    path = write(tmp_path / "a.aedat", MAGIC, davis_words(events), events.t)
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path)
    assert_same_events(open_recording(path, width=240, height=180).read(), events)
    named = write(tmp_path / "b.aedat", MAGIC + "# AEChip: DAVIS240C\r\n", davis_words(events),
                  events.t)  # fmt: skip
    assert_same_events(open_recording(named).read(), events)


def test_each_view_of_four_cameras_on_one_clock(tmp_path: Path) -> None:
    events = sample(346, 260)
    camera = np.random.default_rng(1).integers(0, 4, len(events))
    path = write(tmp_path / "a.aedat", MAGIC, davis_words(events, camera), events.t + 500)
    for view in range(4):
        opened = open_recording(path, camera=view)
        assert (opened.format, opened.t_origin) == ("aedat2-dhp19", 500)
        assert_same_events(opened.read(), events.masked(camera == view))
        part = events.masked(camera == view).between(20_000, 30_000)
        assert_same_events(opened.read(20_000, 30_000), part)


def test_timestamps_that_wrap(tmp_path: Path) -> None:
    events = sample(346, 260)
    first = 2**32 - int(events.t[2500])
    path = write(tmp_path / "a.aedat", DAVIS346, davis_words(events), events.t + first)
    opened = open_recording(path)
    assert_same_events(opened.read(), events)
    assert opened.repairs.backward_timestamps == 0


def test_backward_timestamps_across_chunks(tmp_path: Path) -> None:
    events = sample(346, 260)
    t = events.t.copy()
    t[1499] += 3000
    opened = open_recording(write(tmp_path / "a", DAVIS346, davis_words(events), t))
    found = opened.read()
    np.testing.assert_array_equal(found.t, np.maximum.accumulate(t))
    assert opened.repairs.backward_timestamps == np.count_nonzero(found.t != t) > 100


def test_events_beyond_the_sensor_are_dropped(tmp_path: Path) -> None:
    events = sample(346, 260, 10)
    words = davis_words(events)
    words[4] = (260 << 22) | (3 << 12)
    words[5] = (3 << 22) | (346 << 12)
    opened = open_recording(write(tmp_path / "a", DAVIS346, words, events.t))
    assert len(opened.read()) == 8
    assert opened.repairs.out_of_sensor == 2


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_cut_inside_an_event_keeps_the_whole_ones(tmp_path: Path, cut: int) -> None:
    events = sample(128, 128)
    path = write(tmp_path / "a", DVS128, dvs128_words(events), events.t, tail=b"\0" * cut)
    opened = open_recording(path)
    assert_same_events(opened.read(), events)
    assert opened.repairs.truncated_bytes == cut
    assert f"{cut} bytes" in str(opened.repairs)


def test_no_events(tmp_path: Path) -> None:
    none = np.empty(0, np.int64)
    opened = open_recording(write(tmp_path / "a", DVS128, none, none))
    assert (len(opened.read()), opened.duration_us) == (0, 0)
    with pytest.raises(InputError, match="neither a chip name nor events"):
        open_recording(write(tmp_path / "b", MAGIC, none, none))


def test_first_event_that_begins_like_a_header_line(tmp_path: Path) -> None:
    word = np.array([0x23 << 24 | 5 << 12])
    path = write(tmp_path / "a", DAVIS346, word, np.array([10]))
    events = open_recording(path).read()
    assert events.y.tolist() == [259 - (0x23 << 24 >> 22)]


def test_decoder_wants_arrays_long_enough() -> None:
    decoder = aedat2.Aedat2Decoder("aedat2-davis", 346, 260, 0)
    short = EventStream.empty(1, 1)
    with pytest.raises(ValueError, match="0 places for 3"):
        decoder.decode(np.zeros(3, np.uint64), short.x, short.y, short.t, short.p)
