"""The command that prepares DHP19: what it writes, its report, faults, resuming."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from datasets import dhp19_preparation
from datasets.dhp19_clone import clone_recording
from datasets.dhp19_layout import HEADER, RawRecording, write_aedat, write_vicon
from datasets.dhp19_subjects import Performance
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from scripts import prepare_dhp19
from scripts.prepare_dhp19 import main
from tests.datasets.dhp19_oracle import (
    camera_kept,
    decode,
    mark,
    reference_frames,
    reference_kept,
    word,
)

FIELDS = (
    *("head", "shoulderR", "shoulderL", "elbowR", "elbowL", "hipR", "hipL"),
    *("handR", "handL", "kneeR", "kneeL", "footR", "footL"),
)
START, SAMPLES = 7_000_000, 100


def busy_words(seed: int, marks: Sequence[int] = (START, START + 1_000_000)) -> bytes:
    """A little over a second of four cameras' events, crowded so that many have company."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(START - 100_000, START + 1_100_000, 65_000))
    x, y = rng.integers(140, 190, len(t)), rng.integers(100, 140, len(t))
    camera, p = rng.integers(0, 6, len(t)), rng.integers(0, 2, len(t))
    items = [(when, mark(when)) for when in marks]
    fields = (values.tolist() for values in (x, y, camera, t, p))
    items += [(row[3], word(*row)) for row in zip(*fields, strict=True)]
    return word(0, 0, 0, 0) + b"".join(data for _, data in sorted(items, key=lambda i: i[0]))


def write_raw(raw: Path, which: RawRecording, words: bytes | None = None) -> None:
    path, vicon = which.events_path(raw), which.vicon_path(raw)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER.encode() + (words or busy_words(which.movement)))
    markers = np.random.default_rng(which.movement).normal(0, 500, (SAMPLES, 13, 3))
    markers[10:20, 3] = np.nan
    write_vicon(vicon, markers)


def prepare(raw: Path, out: Path, *flags: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code, and the report's rows by recording."""
    code = main([str(raw), str(out), "--workers", "1", *flags])
    with (out / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return code, {f"{r['subject']}_{r['session']}_{r['movement']}": r for r in rows}


@pytest.mark.parametrize("filters", ["reference", "camera"])
def test_everything_equals_the_oracle(tmp_path: Path, filters: str) -> None:
    raw, out, which = tmp_path / "raw", tmp_path / "out", RawRecording(2, 3, 4)
    write_raw(raw, which)
    code, rows = prepare(raw, out, "--frames", "7500", "--filters", filters)
    events = [e for e in decode(busy_words(4)[8:]) if START < e.t < START + 1_000_000]
    stays = {"reference": reference_kept, "camera": camera_kept}[filters](events)
    expected = [e for e, keep in zip(events, stays, strict=True) if keep]
    for camera in range(4):
        recording = open_recording(out / f"recordings/S2_3_4-camera{camera}.h5")
        read = recording.read()
        mine = [e for e in expected if e.camera == camera]
        assert (recording.width, recording.height) == (346, 260)
        assert recording.t_origin == START
        assert read.x.tolist() == [e.X - 1 - 346 * camera for e in mine]
        assert read.y.tolist() == [e.Y - 1 for e in mine]
        assert read.t.tolist() == [e.t - START for e in mine]
        assert read.p.tolist() == [e.p for e in mine]
        assert rows["2_3_4"][f"kept_{camera}"] == str(len(mine))
    markers = np.stack(
        [loadmat(which.vicon_path(raw))["XYZPOS"][name][0, 0] for name in FIELDS], axis=1
    )
    with h5py.File(out / "vicon/S2_3_4.h5") as file:
        np.testing.assert_array_equal(file["t_us"][:], 10_000 * np.arange(SAMPLES))
        assert file["t_us"].dtype == np.int64
        np.testing.assert_array_equal(file["markers_mm"][:], markers)
    [(frame, label)] = reference_frames(expected, START, markers)
    with h5py.File(out / "frames/S2_session3_mov4_7500events.h5") as file:
        np.testing.assert_array_equal(file["DVS"][:], [frame])
    with h5py.File(out / "frames/S2_session3_mov4_7500events_label.h5") as file:
        np.testing.assert_array_equal(file["XYZ"][:], [label])
    assert code == 0
    row = rows["2_3_4"]
    assert row["kept_share"] == str(round(len(expected) / len(events), 4))
    found = {name: row[name] for name in ("status", "events", "between", "marks", "frames")}
    assert found == {
        "status": "done",
        "events": "65000",
        "between": str(len(events)),
        "marks": "two",
        "frames": "1",
    }
    assert not list(out.rglob("*.partial"))


def film(performance: Performance, channel: int, rng: np.random.Generator) -> Iterator[EventStream]:
    """Two neighbours that fire in turn."""
    t = np.arange(0, 10_000 * (len(performance.motion.rotations) - 1), 5000)
    yield EventStream.from_arrays(173 + t // 5000 % 2, 0 * t + 130, t, t % 2, 346, 260)


def test_the_clones_known_cases(tmp_path: Path) -> None:
    """The wrap, the recording without marks, and the corrupt one that is no fault."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    for which in ((14, 1, 1), (14, 5, 3), (4, 3, 4)):
        clone_recording(raw, *which, duration_s=2.0, film=film)
    code, rows = prepare(raw, out)
    assert code == 0
    assert {name: row["status"] for name, row in rows.items()} == {
        "4_3_4": "skipped",
        "14_1_1": "done",
        "14_5_3": "done",
    }
    assert "721 special events" in rows["4_3_4"]["reason"]
    assert (rows["14_5_3"]["marks"], rows["14_5_3"]["repairs"]) == ("none", "no special events")
    assert rows["14_1_1"]["marks"] == "one-before-wrap"
    assert "timestamps wrap" in rows["14_1_1"]["repairs"]
    last = open_recording(out / "recordings/S14_1_1-camera2.h5").read().t[-1]
    assert 1_790_000 < last < 1_800_000  # the clone wraps after nine tenths of two seconds
    with h5py.File(out / "vicon/S14_1_1.h5") as file, h5py.File(raw / "truth/S14_1_1.h5") as truth:
        np.testing.assert_array_equal(file["t_us"][:], truth["t_us"][:])


def test_faults_among_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    good, no_mat, no_joint, cut, camera5, unmarked = (RawRecording(1, 1, m) for m in range(1, 7))
    unreadable, no_aedat, strange = (RawRecording(1, 2, m) for m in (1, 2, 3))
    for which in (good, no_mat, no_joint, cut, unreadable, no_aedat):
        write_raw(raw, which)
    write_raw(raw, camera5, b"".join(word(5, 5, 5, START + t) for t in range(0, 9000, 9)))
    write_raw(raw, unmarked, busy_words(6, marks=()))
    write_raw(raw, strange, busy_words(7, marks=range(START, START + 700, 100)))
    no_mat.vicon_path(raw).unlink()
    struct = loadmat(no_joint.vicon_path(raw))["XYZPOS"][0, 0]
    savemat(no_joint.vicon_path(raw), {"XYZPOS": {n: struct[n] for n in FIELDS if n != "handR"}})
    content = cut.events_path(raw).read_bytes()
    cut.events_path(raw).write_bytes(content[:-3])
    unreadable.events_path(raw).write_bytes(bytes(range(256)) * 40)
    no_aedat.events_path(raw).unlink()
    code, rows = prepare(raw, out)
    assert code == 1
    reasons = {name: (row["status"], row["reason"]) for name, row in rows.items()}
    assert reasons.pop("1_1_1") == reasons.pop("1_1_6") == ("done", "")
    assert rows["1_1_6"]["repairs"] == "no special events"
    printed = capsys.readouterr().out
    for name, status, part in (
        ("1_1_2", "failed", "S1_1_2.mat: found no such file"),
        ("1_1_3", "failed", "no handR"),
        ("1_1_4", "failed", "mov4.aedat: found a file cut inside an event"),
        ("1_1_5", "failed", "no events of the cameras 0 to 3"),
        ("1_2_1", "failed", "no AEDAT 2.0 header"),
        ("1_2_2", "failed", "mov2.aedat: found no such file"),
        ("1_2_3", "skipped", "7 special events"),
    ):
        found_status, reason = reasons.pop(name)
        assert found_status == status
        assert part in reason
        assert reason in printed
    assert not reasons
    assert "2 done, 1 skipped, 6 failed" in printed
    assert sorted(path.name for path in (out / "vicon").iterdir()) == ["S1_1_1.h5", "S1_1_6.h5"]


def test_a_second_run_repeats_nothing_that_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    first, second = RawRecording(1, 1, 1), RawRecording(2, 1, 2)
    for which in (first, second):
        write_raw(raw, which)
    read: list[str] = []
    reader = dhp19_preparation.read_words

    def noted(path: Path) -> object:
        read.append(f"{path.parts[-3]} {path.stem}")
        return reader(path)

    monkeypatch.setattr(dhp19_preparation, "read_words", noted)

    def run(*flags: str) -> list[str]:
        read.clear()
        code, rows = prepare(raw, out, *flags)
        assert code == 0
        assert {row["status"] for row in rows.values()} == {"done"}
        return read

    assert run("--subjects", "2") == ["S2 mov2"]
    before = prepare(raw, out, "--subjects", "2")
    assert run() == ["S1 mov1"]
    assert run() == []
    assert prepare(raw, out)[1]["2_1_2"] == before[1]["2_1_2"]
    assert list(prepare(raw, out, "--subjects", "2")[1]) == ["1_1_1", "2_1_2"]
    # A lost or torn file, other filters, frames, or newer raw files: made again.
    (out / "recordings/S1_1_1-camera2.h5").unlink()
    (out / "recordings/S2_1_2-camera0.h5").write_bytes(b"torn")
    assert run() == ["S1 mov1", "S2 mov2"]
    assert run("--filters", "camera") == ["S1 mov1", "S2 mov2"]
    assert run("--filters", "camera", "--frames", "7500") == ["S1 mov1", "S2 mov2"]
    assert run("--filters", "camera", "--frames", "7500") == run("--filters", "camera") == []
    write_raw(raw, second)
    assert run("--filters", "camera") == ["S2 mov2"]


def test_an_interrupted_run_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    for movement in (1, 2):
        write_raw(raw, RawRecording(1, 1, movement))

    def stopped(path: Path) -> object:
        if path.stem == "S1_1_2":
            raise KeyboardInterrupt
        return reader(path)

    reader = dhp19_preparation.read_markers
    monkeypatch.setattr(dhp19_preparation, "read_markers", stopped)
    code, rows = prepare(raw, out)
    assert code == 130
    assert list(rows) == ["1_1_1"]
    assert "again" in capsys.readouterr().err
    monkeypatch.undo()
    code, rows = prepare(raw, out)
    assert (code, list(rows)) == (0, ["1_1_1", "1_1_2"])


def test_a_worker_does_the_same(tmp_path: Path) -> None:
    """One recording, for each process that starts takes seconds."""
    raw = tmp_path / "raw"
    write_raw(raw, RawRecording(1, 1, 1))
    alone = prepare(raw, tmp_path / "a")
    assert main([str(raw), str(tmp_path / "b"), "--workers", "2"]) == alone[0] == 0
    for name in ("report.csv", "recordings/S1_1_1-camera0.h5", "recordings/S1_1_1-camera3.h5"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_wrong_folders_stop_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    assert main([str(raw), str(out)]) == 2
    assert "no such folder" in capsys.readouterr().err
    (raw / "DVS_movies" / "S1").mkdir(parents=True)
    assert main([str(raw), str(out)]) == 2
    assert "no DVS_movies/S*/session*/mov*.aedat" in capsys.readouterr().err
    write_raw(raw, RawRecording(1, 1, 1))
    assert main([str(raw), str(out), "--subjects", "3"]) == 2
    assert "no recordings of S3" in capsys.readouterr().err
    assert not out.exists()
    out.write_text("a file")
    assert main([str(raw), str(out)]) == 2
    assert prepare_dhp19.EXIT_BAD_INPUT == 2


def test_a_written_clone_is_one_file_for_four_cameras(tmp_path: Path) -> None:
    """The layout's writer and this reader agree on who is which camera."""
    raw, out, which = tmp_path / "raw", tmp_path / "out", RawRecording(1, 1, 1)

    def events_of(channel: int) -> Iterator[EventStream]:
        t = np.arange(0, 1_200_000, 1000)
        yield EventStream.from_arrays(
            20 * channel + 50 + t // 1000 % 2, 0 * t + 7, t, 0 * t, 346, 260
        )

    write_aedat(which.events_path(raw), events_of, 100_000, 1_100_000, origin_us=5_000_000)
    write_vicon(which.vicon_path(raw), np.zeros((100, 13, 3)))
    assert prepare(raw, out)[0] == 0
    for camera in range(4):
        read = open_recording(out / f"recordings/S1_1_1-camera{camera}.h5").read()
        assert set(read.x.tolist()) == {20 * camera + 50, 20 * camera + 51}
        assert (read.t[0], read.t[-1]) == (2000, 999_000)
