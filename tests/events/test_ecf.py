"""ECF chunks: an encoder as oracle in every bit case, the vendor's own file, and any damage."""

import hashlib
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.errors import InputError
from eventhpe.events import EventStream, open_recording
from eventhpe.events.formats.ecf import MOST_EVENTS, decode_chunk
from tests.events.ecf_encoder import ROW, encode, write_metavision
from tests.events.event_samples import assert_same_events, random_events


def decode(chunk: bytes, room: int) -> EventStream:
    x, y = np.full(room, 9999, np.uint16), np.full(room, 9999, np.uint16)
    t, p = np.full(room, -1, np.int64), np.full(room, 99, np.uint8)
    n = decode_chunk(np.frombuffer(chunk, np.uint8), x, y, t, p)
    assert (t[n:] == -1).all()
    assert (x[n:] == 9999).all()
    return EventStream(x[:n], y[:n], t[:n], p[:n], 2048, 2048)


STEPS = st.one_of(st.just(0), st.integers(0, 16), st.integers(0, 1 << 40))


@st.composite
def streams(draw: st.DrawFn) -> EventStream:
    """Events in runs: equal times, rows and polarities, and neighbouring columns, are common."""
    runs = draw(
        st.lists(
            st.tuples(
                STEPS, st.integers(0, 2047), st.integers(0, 2041), st.integers(0, 1),
                st.sampled_from([1, 1, 2, 3, 5, 6, 7, 14, 15, 16, 31, 40, 127, 300]), st.booleans(),
            ),
            max_size=12,
        )
    )  # fmt: skip
    x, y, t, p = [np.empty(0, np.int64)], [], [], []
    now = draw(st.integers(0, 1 << 50))
    for step, row, column, polarity, count, beside in runs:
        now += step
        x.append(column + (np.arange(count) % 7 if beside else np.zeros(count, np.int64)))
        y += [row] * count
        t += [now] * count
        p += [polarity] * count
    return EventStream.from_arrays(
        np.concatenate(x), np.array(y), np.array(t), np.array(p), 2048, 2048
    )


@given(streams(), st.integers(0, 2))
@settings(max_examples=300, deadline=None)
def test_every_bit_case_comes_back(events: EventStream, packed: int) -> None:
    assert_same_events(decode(encode(events, packed), len(events) + 3), events)


def test_the_most_events_of_a_chunk_in_one_run() -> None:
    ones = np.ones(MOST_EVENTS, np.int64)
    events = EventStream.from_arrays(ones, ones, ones, ones, 2048, 2048)
    assert_same_events(decode(encode(events, 0), MOST_EVENTS), events)


def test_a_chunk_by_hand() -> None:
    # Three events: t 1000, 1000, 1000 + 0x123; row 2; columns 5, 7, 6; polarities 1, 1, 0.
    times = struct.pack("<Q", 1000) + bytes([0x02, 0xF3, 0xF2, 0xF1, 0x01])
    rest = struct.pack("<3H", (2 << 5) | 3, (5 << 5) | 0b01000, 6 << 5) + bytes([0x82, 0x01])
    found = decode(struct.pack("<I", 3 << 2) + times + rest, 3)
    assert found.t.tolist() == [1000, 1000, 1291]
    assert (found.x.tolist(), found.y.tolist(), found.p.tolist()) == ([5, 7, 6], [2] * 3, [1, 1, 0])


@given(streams().filter(len), st.integers(0, 2), st.data())
@settings(max_examples=300, deadline=None)
def test_a_cut_chunk_is_refused(events: EventStream, packed: int, data: st.DataObject) -> None:
    chunk = encode(events, packed)
    cut = chunk[: data.draw(st.integers(0, len(chunk) - 1))]
    with pytest.raises(ValueError, match=r"bytes|ends within"):
        decode(cut, len(events))


@given(st.integers(0, 3), st.integers(0, 300), st.binary(max_size=600))
@settings(max_examples=600, deadline=None)
def test_any_bytes_end_and_write_within_their_room(packed: int, n: int, tail: bytes) -> None:
    try:
        found = decode(struct.pack("<I", (n << 2) | packed) + tail, n + 5)
    except ValueError:
        return
    assert len(found) == n
    assert (found.t >= 0).all()


def test_more_events_than_room_and_wrong_counts() -> None:
    events = random_events(10)
    with pytest.raises(ValueError, match="10 events where at most 9"):
        decode(encode(events, 0), 9)
    one = struct.pack("<IQ", 1 << 2, 0)
    for bad, message in (
        (one + b"\x0f\x02\x00", "counts"),
        (one + b"\x01" + struct.pack("<H", 2), "counts"),
        (one + b"\x01" + struct.pack("<2H", 1, 1 << 4), "counts"),
        (one + b"\x01" + struct.pack("<2H", 1, 0) + b"\x02", "counts"),
        (struct.pack("<IQ", 1 << 2, 1 << 63) + b"\x01", "62 bits"),
        (one + b"\xf1" * 17 + b"\x01", "62 bits"),
        (one + b"\xf0" * 15 + b"\xff\x01", "62 bits"),
        (struct.pack("<IQ", 1 << 2, (1 << 62) - 1) + b"\xff\x01", "62 bits"),
    ):
        with pytest.raises(ValueError, match=message):
            decode(bad, 5)


EVENTS = random_events(3000, 40, 30, 90_000, seed=3)
LATE = EventStream(EVENTS.x, EVENTS.y, EVENTS.t + 12_345, EVENTS.p, 40, 30)


@pytest.mark.parametrize("start", [0, 1, 12_345, 1 << 40])
def test_a_file_of_all_kinds_of_chunks(tmp_path: Path, start: int) -> None:
    stored = EventStream(EVENTS.x, EVENTS.y, EVENTS.t + start, EVENTS.p, 40, 30)
    opened = open_recording(write_metavision(tmp_path / "named.raw", stored))
    assert (opened.format, opened.width, opened.height) == ("metavision", 40, 30)
    assert (opened.num_events, opened.index) == (3000, "CD/indexes")
    t = EVENTS.t - EVENTS.t[0]
    expected = EventStream(EVENTS.x, EVENTS.y, t, EVENTS.p, 40, 30)
    assert opened.t_origin == stored.t[0]
    assert opened.duration_us == t[-1] + 1
    assert_same_events(opened.read(), expected)
    for t0, t1 in ((0, 1), (1999, 2001), (40_000, 50_000), (89_000, 10**9), (10**8, 10**9)):
        assert_same_events(opened.read(t0, t1), expected.between(t0, t1))


@pytest.mark.parametrize("filters", [{}, {"compression": "gzip", "chunks": (100,)}])
def test_tables_without_ecf(tmp_path: Path, filters: dict[str, object]) -> None:
    rows = np.zeros(len(LATE), ROW)
    for name in "xytp":
        rows[name] = getattr(LATE, name)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("CD/events", data=rows, **filters)
    opened = open_recording(tmp_path / "a.h5", width=40, height=30)
    assert opened.index is None
    t = LATE.t - LATE.t[0]
    assert_same_events(opened.read(), EventStream(LATE.x, LATE.y, t, LATE.p, 40, 30))


@pytest.mark.parametrize("seed", range(8))
def test_an_index_of_nonsense_loses_nothing(tmp_path: Path, seed: int) -> None:
    path = write_metavision(tmp_path / "a.h5", LATE)
    rng = np.random.default_rng(seed)
    with h5py.File(path, "a") as file:
        entries = file["CD/indexes"][:]
        entries["id"] = rng.integers(0, 1 << 63, len(entries), np.uint64)
        entries["ts"] = rng.integers(-(1 << 62), 1 << 62, len(entries))
        file["CD/indexes"][...] = np.sort(entries) if seed % 2 else entries
    found = open_recording(path).read(50_000)
    expected = EventStream(LATE.x, LATE.y, LATE.t - LATE.t[0], LATE.p, 40, 30)
    assert_same_events(found, expected.between(50_000, 10**9))


def test_missing_geometry_is_asked_for_and_a_wrong_one_refused(tmp_path: Path) -> None:
    path = write_metavision(tmp_path / "a.h5", LATE, geometry=False)
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path)
    with h5py.File(path, "a") as file:
        file.attrs["geometry"] = "wide"
    with pytest.raises(InputError, match="a geometry of 'wide'"):
        open_recording(path)


def test_a_damaged_chunk_names_its_events(tmp_path: Path) -> None:
    path = write_metavision(tmp_path / "a.h5", LATE)
    with h5py.File(path, "a") as file:
        file["CD/events"].id.write_direct_chunk((1024,), b"\x00\x20\x00\x00garbage")
    with pytest.raises(InputError, match=r"damaged ECF chunk at event 1,024"):
        open_recording(path).read()
    with h5py.File(path, "a") as file:
        file["CD/events"].id.write_direct_chunk((1024,), encode(random_events(9), 0))
    with pytest.raises(InputError, match="9 of 512 events"):
        open_recording(path).read()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_with_any_bytes_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.h5"
    if not whole.exists():
        write_metavision(whole, LATE)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = folder / "damaged.h5"
    damaged.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        opened = open_recording(damaged)
        events = opened.read()
    except InputError:
        return
    assert (np.diff(events.t) >= 0).all()
    assert (events.x < opened.width).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("x", "<u2"), ("y", "<u2"), ("t", "<i8")], "whole numbers x, y, p and t"),
        ([("x", "<f4"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")], "whole numbers"),
        ([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<f8")], "whole numbers"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, fields: list, message: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["CD/events"] = np.zeros(4, fields)
    with pytest.raises(InputError, match=message):
        open_recording(tmp_path / "a.h5", width=4, height=4)


def test_the_vendors_own_file(shared_data: Path) -> None:
    """Digests of each field as int64 that the vendor's decoder gave."""
    opened = open_recording(shared_data / "recordings" / "prophesee_sparklers_ecf.hdf5")
    events = opened.read()
    assert (len(events), opened.width, opened.height) == (150_000, 640, 480)
    digests = {"x": "b0dee5a20ef382e1", "y": "6c0d86b844ceac7a", "p": "7001ade4b42cae3f",
               "t": "bd39b8a219d0f0ed"}  # fmt: skip
    for name, digest in digests.items():
        values = getattr(events, name).astype("<i8") + (opened.t_origin if name == "t" else 0)
        assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == digest, name
    assert_same_events(opened.read(9000, 12_000), events.between(9000, 12_000))


def test_the_vendors_file_against_faerys_reading_of_the_same_events(shared_data: Path) -> None:
    pytest.importorskip("faery")
    ours = open_recording(shared_data / "recordings" / "prophesee_sparklers_ecf.hdf5").read()
    raw = shared_data / "recordings" / "prophesee_sparklers_evt2.raw"
    theirs = open_recording(raw, width=640, height=480).read().slice(0, len(ours))
    assert_same_events(ours, theirs)
