"""Text and csv recordings: written here, read back, and their columns in every other order."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.errors import InputError
from eventhpe.events import EventStream, open_recording
from eventhpe.events.formats import text
from tests.events.event_samples import assert_same_events, random_events

EVENTS = random_events(2000, 20, 12, 3_000_000, seed=1)
RELATIVE = EventStream(EVENTS.x, EVENTS.y, EVENTS.t - EVENTS.t[0], EVENTS.p, 20, 12)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many block borders in small files."""
    monkeypatch.setattr(text, "_BLOCK_BYTES", 1000)


def e2vid_lines(events: EventStream = EVENTS, epoch: int = 0) -> str:
    rows = zip(events.t.tolist(), events.x, events.y, events.p, strict=True)
    return "".join(
        f"{(t + epoch) // 10**6}.{(t + epoch) % 10**6:06d} {x} {y} {p}\n" for t, x, y, p in rows
    )


@pytest.mark.parametrize("epoch", [0, 1_605_537_493_718_345])
@pytest.mark.parametrize("zipped", [False, True])
def test_e2vid_text_and_zip(tmp_path: Path, epoch: int, zipped: bool) -> None:
    path = tmp_path / "named.wrongly"
    lines = "20 12\n" + e2vid_lines(epoch=epoch)
    if zipped:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("events.txt", lines)
            archive.writestr("__MACOSX/._events.txt", "\0what macOS adds")
    else:
        path.write_text(lines)
    opened = open_recording(path)
    assert (opened.format, opened.width, opened.height) == (
        "e2vid-zip" if zipped else "e2vid-text", 20, 12,
    )  # fmt: skip
    assert abs(opened.t_origin - int(EVENTS.t[0]) - epoch) <= 1
    assert_same_events(opened.read(), RELATIVE)
    assert_same_events(opened.read(10_000, 900_000), RELATIVE.between(10_000, 900_000))
    assert opened.duration_us == RELATIVE.t[-1] + 1
    assert opened.index is None


def test_without_the_first_line_the_size_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "events.txt"
    path.write_text(e2vid_lines())
    with pytest.raises(InputError, match="--sensor WxH"):
        open_recording(path)
    assert_same_events(open_recording(path, width=20, height=12).read(), RELATIVE)


@pytest.mark.parametrize(("unit", "factor"), [("us", 1), ("ns", 1000)])
def test_whole_times_need_their_unit(tmp_path: Path, unit: str, factor: int) -> None:
    path = tmp_path / "events.txt"
    rows = zip(EVENTS.t.tolist(), EVENTS.x, EVENTS.y, EVENTS.p, strict=True)
    path.write_text("20 12\n" + "".join(f"{t * factor} {x} {y} {p}\n" for t, x, y, p in rows))
    with pytest.raises(InputError, match="--time-unit s, ms, us or ns"):
        open_recording(path)
    assert_same_events(open_recording(path, time_unit=unit).read(), RELATIVE)
    with pytest.raises(InputError, match="--time-unit"):
        open_recording(path, time_unit="weeks")


def test_times_with_decimals_are_seconds_whatever_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("20 12\n0.5 1 2 1\n0.75 3 4 0\n")
    assert open_recording(path, time_unit="s").read().t.tolist() == [0, 250_000]
    with pytest.raises(InputError, match="times in s"):
        open_recording(path, time_unit="us")


def test_lines_that_run_backward_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    lines = [f"{k / 100} 1 2 1\n" for k in range(20)]
    path.write_text("20 12\n" + "".join(lines[::-1]))
    with pytest.raises(InputError, match="19 of 20 step back"):
        open_recording(path).read()
    # A few late ones are repaired, as everywhere.
    path.write_text("20 12\n" + "".join(lines[:5] + lines[2:3] + lines[5:]))
    assert len(open_recording(path).read()) == 21


def test_no_events_and_no_last_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("20 12\n")
    assert len(open_recording(path).read()) == 0
    path.write_text("20 12\n0.5 1 2 1\n\n0.6 3 4 0")
    assert open_recording(path).read().t.tolist() == [0, 100_000]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("20 12\n0.1 1 2 1\n0.2 1 2\n", "no numbers"),
        ("20 12\n0.1 1 2 1\n0.2 one 2 1\n", "no numbers"),
        ("20 12\n0.1 1 2 1 5\n", "a line '0.1 1 2 1 5'"),
        ("20 12\n0.1 1 2 1\n0.2 1 2 1" + "9" * 3000, "a line of over"),
        ("20 12\n0.1 1 2 1\nnan 1 2 1\n", "NaN or infinite"),
        ("20 12\n0.1 1 2 1\n0.2 1.5 2 1\n", "fractional x"),
        ("20 12\n0.1 1 2 1\n0.2 1 2 7\n", "polarity values"),
        ("20 12\n0.1 1 2 1\n0.2 1 2 \xe9\n", "no numbers"),
        ("20 12\n0.1 1 2 1\n99999999 1 2 1\n", "s after the start"),
    ],
)
def test_damaged_text_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content, encoding="latin1")
    with pytest.raises(InputError, match=message):
        open_recording(path).read()


@given(st.permutations(range(4)))
@settings(max_examples=24, deadline=None)
def test_shuffled_columns_are_refused(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    table = np.stack([1000 + EVENTS.t * 1e-6, EVENTS.x, EVENTS.y, EVENTS.p], 1)
    with path.open("w") as file:
        file.write("20 12\n")
        # Times keep their decimals wherever they stand.
        np.savetxt(file, table[:, order], fmt=["%.6f" if k == 0 else "%d" for k in order])
    if order == [0, 1, 2, 3]:
        assert_same_events(open_recording(path).read(), RELATIVE)
    elif order == [0, 2, 1, 3]:
        # x and y cannot be told apart but by the sensor's sides.
        opened = open_recording(path)
        assert len(opened.read()) < len(EVENTS)
        assert opened.repairs.out_of_sensor > 0
    else:
        with pytest.raises(InputError):
            open_recording(path).read()


def write_celex(path: Path, events: EventStream, t: np.ndarray, off: int = 0) -> Path:
    """As MMHPSD stores it: mirrored both ways, two clocks."""
    columns = [events.width - 1 - events.x.astype(int), events.height - 1 - events.y.astype(int)]
    table = np.stack([*columns, t, t + off, events.p], 1)
    np.savetxt(path, table, fmt="%d", delimiter=",")
    return path


def test_celex_file_and_folder(tmp_path: Path) -> None:
    events = random_events(900, 1280, 800, 200_000, seed=7)
    relative = EventStream(events.x, events.y, events.t - events.t[0], events.p, 1280, 800)
    for i in (0, 1, 2):  # named so that the order of the alphabet would be another
        part = events.slice(300 * i, 300 * (i + 1))
        write_celex(tmp_path / f"event{8 + i}.csv", part, part.t, 77)
    with pytest.raises(InputError, match="--time-unit"):
        open_recording(tmp_path)
    opened = open_recording(tmp_path, time_unit="us")
    assert (opened.format, opened.width, opened.height) == ("celex-csv", 1280, 800)
    assert opened.t_origin == events.t[0]
    assert_same_events(opened.read(), relative)
    one = open_recording(tmp_path / "event8.csv", time_unit="us").read()
    assert_same_events(one, relative.slice(0, 300))


def test_celex_by_hand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1279,799,10,0,1\n1269,779,12,0,0\n")
    found = open_recording(tmp_path / "a.csv", time_unit="ms").read()
    assert (found.x.tolist(), found.y.tolist()) == ([0, 10], [0, 20])
    assert (found.t.tolist(), found.p.tolist()) == ([0, 2000], [1, 0])


def test_celex_files_that_begin_again_are_refused(tmp_path: Path) -> None:
    events = random_events(50, 1280, 800, 1000)
    for name in ("a", "b"):
        write_celex(tmp_path / f"{name}.csv", events, events.t)
    with pytest.raises(InputError, match=r"b\.csv.*before the file before it ends"):
        open_recording(tmp_path, time_unit="us").read()


@given(st.permutations(range(5)).filter(lambda order: order[2:] != [2, 3, 4]))
@settings(max_examples=40, deadline=None)
def test_shuffled_celex_columns_are_refused(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    events = random_events(2000, 1280, 800, 60_000_000, seed=2)
    path = tmp_path_factory.mktemp("celex") / "a.csv"
    table = np.stack(
        [1279 - events.x.astype(int), 799 - events.y.astype(int), events.t + 10_000,
         events.t + 90_000, events.p], 1
    )  # fmt: skip
    np.savetxt(path, table[:, order], fmt="%d", delimiter=",")
    if order[2:] == [3, 2, 4]:
        return  # two clocks, either of which may be the finer one
    with pytest.raises(InputError):
        open_recording(path, time_unit="us").read()


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_after_a_good_start_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "tail"
    for start in (b"20 12\n0.1 1 2 1\n", b"5,4,3,2,1\n"):
        path.write_bytes(start + tail[:cut])
        try:
            opened = open_recording(path, time_unit="us")
            events = opened.read()
        except InputError:
            continue
        assert (np.diff(events.t) >= 0).all()
        assert (events.x < opened.width).all()
