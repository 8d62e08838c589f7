"""``eventhpe export`` and `MotionSequence.to_*`: one table behind both, and words for bad input."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eventhpe.cli import main
from eventhpe.commands import export
from eventhpe.errors import InputError
from eventhpe.export.formats import FORMATS, export_motion
from eventhpe.sequence import ABSENT


@pytest.fixture
def file(wild, tmp_path) -> Path:
    wild.save(tmp_path / "motion.npz")
    return tmp_path / "motion.npz"


def out(to: str) -> str:
    return f"out{FORMATS[to].ending}"


@pytest.mark.parametrize("to", FORMATS)
def test_command_and_method_write_the_same(to, file, wild, tmp_path, capsys) -> None:
    typed, called = tmp_path / "typed" / out(to), tmp_path / "called" / out(to)
    assert main(["export", str(file), "--to", to, "--out", str(typed), "--rate", "20"]) == 0
    text = capsys.readouterr().out
    made = getattr(wild, f"to_{to}")(called, rate_hz=20)
    assert made.path == called
    assert f"{made.steps} steps at 20 Hz" in text
    assert "note: up: pitch and roll" in text
    pairs = [(typed, called)]
    if typed.is_dir():
        names = [sorted(f.name for f in folder.iterdir()) for folder in (typed, called)]
        assert names[0] == names[1]
        pairs = [(typed / name, called / name) for name in names[0]]
    for one, other in pairs:
        assert _content(one) == _content(other)


def _content(path: Path) -> object:
    if path.suffix != ".npz":
        return path.read_bytes()
    with np.load(path) as arrays:  # the archive itself has the time of day in it
        return {name: arrays[name].tolist() for name in arrays.files}


def test_the_commands_help_names_every_format() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    export.add(commands)
    text = commands.choices["export"].format_help()
    assert "|".join(FORMATS) in text


def test_a_span_is_cut(file, wild, tmp_path) -> None:
    begin, end = (f"{wild.t_us[step] / 1e6}" for step in (3, 6))
    table = tmp_path / "a.csv"
    arguments = ["export", str(file), "--to", "csv", "--out", str(table)]
    assert main([*arguments, "--from", begin, "--until", end]) == 0
    rows = np.genfromtxt(table, delimiter=",", names=True, dtype=None)
    np.testing.assert_array_equal(rows["t_us"], wild.t_us[3:6])


@pytest.mark.parametrize("to", FORMATS)
def test_what_exists_is_replaced_with_force_only(to, file, tmp_path, capsys) -> None:
    place = tmp_path / "results" / out(to)
    arguments = ["export", str(file), "--to", to, "--out", str(place)]
    assert main(arguments) == 0
    kept = {f: f.read_bytes() for f in place.parent.rglob("*") if f.is_file()}
    assert main([*arguments, "--rate", "10"]) == 2
    assert "--force" in capsys.readouterr().err
    assert {f: f.read_bytes() for f in place.parent.rglob("*") if f.is_file()} == kept
    assert main([*arguments, "--rate", "10", "--force"]) == 0
    assert {f: f.read_bytes() for f in place.parent.rglob("*") if f.is_file()} != kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "fbx", "--out", "{tmp}/a.fbx"], "amass, glb, obj"),
        (["--to", "glb", "--out", "{tmp}/a.gltf"], ".glb"),
        (["--to", "glb", "--out", "{tmp}/a.glb", "--up", "z"], "--up"),
        (["--to", "obj", "--out", "{tmp}/a.obj"], "a folder"),
        (["--to", "ply", "--out", "{tmp}/motion.npz"], "what the command reads"),
        (["--to", "ply", "--out", "/proc/nowhere"], "/proc/nowhere"),
        (["--to", "csv", "--out", "/proc/nowhere/a.csv"], "/proc/nowhere"),
        (["--to", "csv", "--out", "{tmp}/a.csv", "--rate", "0"], "--rate"),
        (["--to", "bvh", "--out", "{tmp}/a.bvh", "--rate", "1e5"], "--rate"),
        (["--to", "csv", "--out", "{tmp}/a.csv", "--from", "100"], "none of the steps"),
        (["--to", "csv", "--out", "{tmp}/a.csv", "--body", "{tmp}/motion.npz"], "motion.npz"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    arguments, words, file, tmp_path, capsys
) -> None:
    filled = [a.format(tmp=tmp_path) for a in arguments]
    assert main(["export", str(file), *filled]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("eventhpe: error:")
    assert words in error[0]
    assert [f.name for f in tmp_path.iterdir()] == ["motion.npz"]


def test_a_motion_of_another_body_names_both(wild, tmp_path) -> None:
    other = replace(wild, body_id="smpl-male", body_sha256="1" * 64)
    with pytest.raises(InputError, match=r"smpl-male.*eventhpe-default-1"):
        other.to_csv(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", FORMATS)
def test_a_motion_with_nobody_in_it_is_refused(to, wild, tmp_path) -> None:
    for nobody in (replace(wild, state=np.full(14, ABSENT)), wild.slice(0, 1)):
        with pytest.raises(InputError, match="a step with a person"):
            export_motion(nobody, to, tmp_path / out(to))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", FORMATS)
def test_one_step_is_enough(to, wild, tmp_path) -> None:
    one = wild.slice(int(wild.t_us[3]), int(wild.t_us[4]))
    assert export_motion(one, to, tmp_path / out(to)).steps == 1


def test_a_newer_motion_file_is_refused(file, tmp_path, capsys) -> None:
    with np.load(file) as arrays:
        content = dict(arrays) | {"schema": np.array(99)}
    np.savez(file, **content)
    assert main(["export", str(file), "--to", "csv", "--out", str(tmp_path / "a.csv")]) == 2
    assert "Update eventhpe" in capsys.readouterr().err
