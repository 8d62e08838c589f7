"""The command that makes sets: manifest, seeds, resuming, and other sets in the way."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from datasets import synhpe
from datasets.mmhpsd import Action
from scripts import simulate_dataset
from scripts.simulate_dataset import main


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smoke set of two recordings of 0.3 s, made in this process."""
    preset = replace(synhpe.PRESETS["smoke"], recordings=2, duration_s=0.3)
    monkeypatch.setitem(synhpe.PRESETS, "smoke", preset)
    monkeypatch.setattr(
        simulate_dataset, "run_all", lambda work, workers: [piece() for piece in work]
    )


@pytest.mark.usefixtures("tiny")
def test_a_set_has_a_manifest_and_is_made_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["smoke", str(tmp_path)]) == 0
    assert "2 recordings" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    entries = manifest["recordings"]
    assert [entry["file"] for entry in entries] == ["smoke_0000.h5", "smoke_0001.h5"]
    assert [entry["seed"] for entry in entries] == [[1, 2, 0], [1, 2, 1]]
    for entry in entries:
        with h5py.File(tmp_path / entry["file"]) as file:
            assert len(file["events/t"]) == len(file["truth/event_surface"]) == entry["num_events"]
    # Killed after the first recording: what is there stays, what is missing is made alike.
    first, second = (tmp_path / entry["file"] for entry in entries)
    before, content = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()
    (tmp_path / "smoke_0001.h5.partial").write_text("cut off")
    assert main(["smoke", str(tmp_path)]) == 0
    assert first.stat().st_mtime_ns == before
    assert second.read_bytes() == content
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.usefixtures("tiny")
def test_another_set_in_the_folder_is_not_passed_off_as_this_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["smoke", str(tmp_path)]) == 0
    monkeypatch.setitem(synhpe.PRESETS, "smoke", replace(synhpe.PRESETS["smoke"], family=9))
    assert main(["smoke", str(tmp_path)]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_a_missing_clip_is_an_error_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["val", str(tmp_path), "--mocap", str(tmp_path)]) == 2
    assert "38_01.amc" in capsys.readouterr().err


def test_a_small_clone_of_mmhpsd_serves_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []
    monkeypatch.setattr(
        simulate_dataset, "run_all", lambda work, workers: [piece() for piece in work]
    )
    monkeypatch.setattr(
        simulate_dataset,
        "clone_action",
        lambda raw, *asked: made.append(asked[:3]),
    )
    asked = ["--subjects", "3", "--movements", "2", "--duration", "4"]
    assert main(["mmhpsd-tree", str(tmp_path), *asked]) == 0
    assert "6 actions" in capsys.readouterr().out
    assert made[:3] == [(3, 1, 4.0), (3, 2, 4.0), (15, 1, 4.0)]
    parts = {Action(tmp_path, f"subject{which[0]:02d}_").part for which in made}
    assert parts == {"train", "val", "test"}
    assert json.loads((tmp_path / "manifest.json").read_text())["preset"] == "mmhpsd-tree"


@pytest.mark.parametrize(
    "flags",
    [
        ["smoke", "out", "--workers", "0"],
        ["dhp19-tree", "out", "--movements", "99"],
        ["dhp19-tree", "out", "--duration", "0"],
        ["smoke", "out", "--freeze"],
    ],
)
def test_impossible_numbers_are_refused_before_any_work(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(flags)
    assert stopped.value.code == 2
