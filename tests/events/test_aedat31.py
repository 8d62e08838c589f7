"""AEDAT 3.1 packets written by the published format."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.errors import InputError
from eventhpe.events import EventStream, open_recording
from eventhpe.events.formats import aedat31
from tests.events.event_samples import assert_same_events, random_events

EVENTS = random_events(1000, 128, 128, 900_000, seed=4)
RELATIVE = EventStream(EVENTS.x, EVENTS.y, EVENTS.t - EVENTS.t[0], EVENTS.p, 128, 128)
HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def packet(events: EventStream, source: int = 1, start: int = 0, invalid: int = -1) -> bytes:
    t = events.t + start
    assert len(set((t >> 31).tolist())) <= 1, "one overflow a packet"
    address = (events.x.astype("u4") << 17) | (events.y.astype("u4") << 2) | (events.p << 1) | 1
    if invalid >= 0:
        address[invalid] &= ~np.uint32(1)
    words = np.stack([address, (t & 0x7FFFFFFF).astype("u4")], 1).astype("<u4")
    n = len(events)
    over = int(t[0] >> 31) if n else 0
    return struct.pack("<hh6i", 1, source, 8, 4, over, n, n, n - (invalid >= 0)) + words.tobytes()


def other_packet() -> bytes:
    """Three special events, which stand for all that is skipped."""
    return struct.pack("<hh6i", 0, 1, 8, 4, 0, 3, 3, 3) + bytes(24)


def parts() -> list[EventStream]:
    return [EVENTS.slice(i, i + 125) for i in range(0, 1000, 125)]


@pytest.mark.parametrize("overflow", [0, 3])
def test_packets_come_back(tmp_path: Path, overflow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aedat31, "CHUNK_EVENTS", 300)
    path, start = tmp_path / "named.wrongly", overflow << 31
    path.write_bytes(HEADER + other_packet().join(packet(part, 1, start) for part in parts()))
    opened = open_recording(path)
    assert (opened.format, opened.width, opened.height) == ("aedat31", 128, 128)
    assert opened.t_origin == EVENTS.t[0] + start
    assert_same_events(opened.read(), RELATIVE)
    assert_same_events(opened.read(1000, 500_000), RELATIVE.between(1000, 500_000))


def test_times_go_on_over_the_31st_bit(tmp_path: Path) -> None:
    path, start = tmp_path / "a.aedat", (1 << 31) - int(EVENTS.t[499]) - 1
    first, second = EVENTS.slice(0, 500), EVENTS.slice(500, 1000)
    path.write_bytes(HEADER + packet(first, 1, start) + packet(second, 1, start))
    assert_same_events(open_recording(path).read(), RELATIVE)


def test_by_hand_with_an_invalid_event(tmp_path: Path) -> None:
    words = [(5 << 17) | (7 << 2) | 3, 100, (6 << 17) | (8 << 2) | 2, 101, (9 << 17) | 1, 104]
    data = struct.pack("<hh6i", 1, 1, 8, 4, 0, 3, 3, 2) + np.array(words, "<u4").tobytes()
    (tmp_path / "a").write_bytes(HEADER + data)
    found = open_recording(tmp_path / "a").read()
    assert (found.x.tolist(), found.y.tolist()) == ([5, 9], [7, 0])
    assert (found.t.tolist(), found.p.tolist()) == ([0, 4], [1, 0])


def test_several_sources_and_an_unknown_camera(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(HEADER + packet(EVENTS, 1) + packet(EVENTS.slice(0, 9), 4))
    with pytest.raises(InputError, match="sources 1, 4"):
        open_recording(path)
    assert_same_events(open_recording(path, camera=1).read(), RELATIVE)
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path, camera=4)
    assert len(open_recording(path, camera=4, width=128, height=128).read()) == 9
    with pytest.raises(InputError, match="--channel 2"):
        open_recording(path, camera=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.replace(b"RAW", b"SerializedTS"), "SerializedTS"),
        (b"#!AER-DAT3.1\r\n#Format: RAW\r\n", "without its end"),
        (HEADER + b"\xff" * 40, "no packet at byte"),
        (HEADER + struct.pack("<hh6i", 1, 1, 8, 4, 0, 1 << 30, 1, 1), "no packet"),
        (HEADER + struct.pack("<hh6i", 1, 1, 12, 4, 0, 1, 1, 1), "no packet"),
        (HEADER + struct.pack("<hh6i", 1, 1, 8, 4, 0, 1, 2, 1), "no packet"),
        (HEADER + struct.pack("<hh6i", 7, 1, 0, 4, 0, 0, 0, 0), "no packet"),
    ],
)
def test_damage_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_recording(tmp_path / "a")


def test_a_cut_file_gives_its_whole_events(tmp_path: Path) -> None:
    whole = HEADER + packet(EVENTS)
    for cut in (1, 8, 804, 7995):
        (tmp_path / "a").write_bytes(whole[:-cut])
        opened = open_recording(tmp_path / "a")
        assert_same_events(opened.read(), RELATIVE.slice(0, 1000 - -(-cut // 8)))
        assert opened.repairs.truncated_bytes == -cut % 8


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(HEADER + b"".join(packet(part) for part in parts()[:2]))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(12, 150))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(content)
    try:
        events = open_recording(path).read()
    except InputError:
        return
    assert (np.diff(events.t) >= 0).all()
