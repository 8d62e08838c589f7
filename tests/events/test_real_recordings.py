"""Recordings of real cameras, cross-checked with the packages that also read them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eventhpe.cli import main
from eventhpe.events import open_recording, time_windows
from eventhpe.events.convert import convert
from eventhpe.events.info import describe, preview

SIZES = {
    "evt2": {"width": 640, "height": 480},
    "evt3": {"width": 1280, "height": 720},
    "dat2": {"width": 78, "height": 42},
}
FILES = [
    ("dvs128_neal_walking.aedat", "aedat2-dvs128", 128, 128, 70_304),
    ("tonic_sample_dvxplorer320x240.aedat4", "aedat4", 320, 240, 111_954),
    ("aestream_davis346.aedat4", "aedat4", 346, 260, 117_667),
    ("prophesee_sparklers_evt2.raw", "evt2", 640, 480, 521_252),
    ("expelliarmus_evt3_sample.raw", "evt3", 1280, 720, 219_596),
    ("prophesee_sparklers_ecf.hdf5", "metavision", 640, 480, 150_000),
    ("tonic_sample_ncars.dat", "dat2", 78, 42, 2009),
]


@pytest.mark.parametrize(("name", "kind", "width", "height", "count"), FILES)
def test_counts_sizes_and_conversion(
    shared_data: Path, tmp_path: Path, name: str, kind: str, width: int, height: int, count: int
) -> None:
    if not kind.startswith(("aedat2", "metavision")):
        pytest.importorskip("faery")
    opened = open_recording(shared_data / "recordings" / name, **SIZES.get(kind, {}))
    assert (opened.format, opened.width, opened.height) == (kind, width, height)
    events = opened.read()
    assert len(events) == count
    assert not opened.repairs
    windows = time_windows(opened, 1000, 1000, stop_us=opened.duration_us + 999)
    assert sum(len(window.events) for window in windows) == count
    assert convert(opened, tmp_path / "a.h5").events == count
    again = open_recording(tmp_path / "a.h5")
    assert again.t_origin == opened.t_origin
    for field in "xytp":
        np.testing.assert_array_equal(getattr(again.read(), field), getattr(events, field))


@pytest.mark.parametrize(("name", "kind", "width", "height", "count"), FILES)
def test_info_prints_what_is_in_it(
    shared_data: Path, capsys: pytest.CaptureFixture[str],
    name: str, kind: str, width: int, height: int, count: int,
) -> None:  # fmt: skip
    if not kind.startswith(("aedat2", "metavision")):
        pytest.importorskip("faery")
    size = ["--sensor", f"{width}x{height}"] if kind in SIZES else []
    assert main(["info", str(shared_data / "recordings" / name), *size]) == 0
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert (told["format"], told["num_events"]) == (kind, str(count))
    assert (told["width"], told["height"]) == (str(width), str(height))
    assert told["index"] == ("CD/indexes" if kind == "metavision" else "none: read forward only")
    assert told["frames"] == ("3" if "davis" in name else "0")
    assert told["repairs"] == "nothing to repair"


def test_every_recording_of_the_folder_is_tried(shared_data: Path) -> None:
    there = {path.name for path in (shared_data / "recordings").iterdir()}
    assert there == {file[0] for file in FILES}


def test_dat_against_faery_and_the_bits_of_the_format(shared_data: Path) -> None:
    pytest.importorskip("faery")
    path = shared_data / "recordings" / "tonic_sample_ncars.dat"
    data = path.read_bytes()
    start = data.rindex(b"% ", 0, 200)
    start = data.index(b"\n", start) + 3  # after the last header line and the two bytes
    words = np.frombuffer(data[start:], "<u4").reshape(-1, 2).astype(np.int64)
    opened = open_recording(path, **SIZES["dat2"])
    events = opened.read()
    np.testing.assert_array_equal(events.t + opened.t_origin, words[:, 0])
    np.testing.assert_array_equal(events.x, words[:, 1] & 0x3FFF)
    np.testing.assert_array_equal(events.y, (words[:, 1] >> 14) & 0x3FFF)
    np.testing.assert_array_equal(events.p, (words[:, 1] >> 28) & 1)


def test_dvs128_against_a_plain_reading(shared_data: Path) -> None:
    path = shared_data / "recordings" / "dvs128_neal_walking.aedat"
    data = path.read_bytes()
    start = 0
    while data[start : start + 1] == b"#":
        start = data.index(b"\n", start) + 1
    pairs = np.frombuffer(data[start:], ">u4").reshape(-1, 2).astype(np.int64)
    a, t = pairs[(pairs[:, 0] & 0x8000) == 0].T
    events = open_recording(path).read()
    np.testing.assert_array_equal(events.x, 127 - ((a >> 1) & 127))
    np.testing.assert_array_equal(events.y, 127 - ((a >> 8) & 127))
    np.testing.assert_array_equal(events.p, 1 - (a & 1))
    np.testing.assert_array_equal(events.t, t - t[0])


@pytest.mark.parametrize("name", [file[0] for file in FILES if file[1] == "aedat4"])
def test_aedat4_against_the_aedat_package(shared_data: Path, name: str) -> None:
    pytest.importorskip("faery")
    aedat = pytest.importorskip("aedat")
    path = shared_data / "recordings" / name
    packets = [p["events"] for p in aedat.Decoder(path) if "events" in p]
    expected = np.concatenate(packets)
    opened = open_recording(path)
    events = opened.read()
    np.testing.assert_array_equal(events.t + opened.t_origin, expected["t"].astype(np.int64))
    for field, theirs in (("x", "x"), ("y", "y"), ("p", "on")):
        np.testing.assert_array_equal(getattr(events, field), expected[theirs])


def test_info_and_preview(shared_data: Path, tmp_path: Path) -> None:
    opened = open_recording(shared_data / "recordings" / "dvs128_neal_walking.aedat")
    told = describe(opened)
    assert (told["num_events"], told["duration_us"]) == (70_304, opened.duration_us)
    assert 0 < told["on_share"] < 1
    assert told["repairs"]["backward_timestamps"] == 0
    preview(opened, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (128, 128)
        assert len(image.convert("RGB").getcolors()) > 3
