"""The Python API: light to import, typed, the command's equal, and the README's example runs."""

import argparse
import inspect
import re
import subprocess
import sys
import venv
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from mypy import api as mypy

import eventhpe
from eventhpe.api import InferOptions, estimate
from eventhpe.camera import Camera
from eventhpe.cli import main
from eventhpe.commands import estimate as command
from eventhpe.errors import InputError
from eventhpe.sequence import MotionSequence

ROOT = Path(__file__).resolve().parents[1]


def test_importing_it_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, eventhpe; dir(eventhpe); "
        "assert not {'torch', 'numpy', 'eventhpe.api'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_every_name_is_there_and_listed() -> None:
    assert set(eventhpe.__all__) == set(eventhpe._HOMES)
    for name in eventhpe.__all__:
        home = import_module(f"eventhpe.{eventhpe._HOMES[name]}")
        assert getattr(eventhpe, name) is getattr(home, name)
        assert name in dir(eventhpe)
    with pytest.raises(AttributeError, match="nothing"):
        _ = eventhpe.nothing


def test_a_users_script_sees_the_types(tmp_path, monkeypatch) -> None:
    """Through an environment that has the project in its site-packages, as users have it."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "eventhpe.pth").write_text(f"{ROOT}\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import eventhpe\n"
        'motion = eventhpe.infer("walk.aedat", fov=60.0)\n'
        "reveal_type(motion)\n"
        'reveal_type(motion.to_glb("a.glb", rate_hz=30.0).steps)\n'
        'eventhpe.infer("walk.aedat", fox=60.0)\n'
        'motion.to_glb("a.glb", rate_hz="fast")\n'
        "eventhpe.nothing\n"
    )
    flags = ["--python-executable", str(tmp_path / "venv" / "bin" / "python")]
    flags += ["--config-file=", f"--cache-dir={tmp_path / 'cache'}", "--ignore-missing-imports"]
    monkeypatch.chdir(tmp_path)  # or mypy would find the sources
    told = mypy.run([*flags, str(script)])[0]
    revealed = re.findall(r":(\d+): note: Revealed type is \"(.*)\"", told)
    assert revealed == [("3", "eventhpe.sequence.MotionSequence"), ("4", "int")]
    errors = re.findall(r":(\d+): error: (.*)", told)
    assert [line for line, _ in errors] == ["5", "6", "7"]
    for (_, words), name in zip(errors, ("fox", "rate_hz", "nothing"), strict=True):
        assert name in words


def test_the_command_has_the_same_options_with_the_same_defaults() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    command.add(commands)
    flags = {
        action.dest: action.default
        for action in commands.choices["infer"]._actions
        if action.dest in command.ESTIMATED_BY
    }
    assert set(flags) == set(command.ESTIMATED_BY)
    parameters = inspect.signature(estimate).parameters
    for name, default in flags.items():
        assert parameters[name].default == default, name
    # The recording is no option, a bar is always shown, and the command line is recorded.
    assert set(parameters) - set(flags) == {"recording", "progress", "command"}
    own = set(flags) - {"replay"} | {"progress"}
    assert set(InferOptions.__annotations__) == own


@pytest.fixture
def small(simulated_recording, untrained_cards):
    """A quarter of a second of the walk, by untrained networks."""
    flownet, shapenet = untrained_cards

    def infer(**options) -> MotionSequence:
        return eventhpe.infer(
            simulated_recording,
            flownet=flownet,
            shapenet=shapenet,
            **{"stop_s": 0.25, "progress": False} | options,
        )

    return infer


def test_the_command_gives_the_same_motion(
    small, simulated_recording, untrained_cards, tmp_path
) -> None:
    arguments = ["infer", str(simulated_recording), "--out", str(tmp_path), "--to", "0.25"]
    for flag, path in zip(("--flownet", "--shapenet"), untrained_cards, strict=True):
        arguments += [flag, str(path)]
    arguments += ["--rotate", "90", "--flip-x", "--fov", "60", "--step-ms", "25"]
    arguments += ["--height", "1.8", "--roi", "10,10,100,100", "--backend", "rasterizer"]
    assert main(arguments) == 0
    typed = MotionSequence.load(tmp_path / "motion.npz")
    called = small(rotate=90, flip_x=True, fov=60, step_ms=25, height=1.8, roi=(10, 10, 100, 100))
    for field in fields(MotionSequence):
        if field.name not in ("command", "floor_m"):
            one, other = getattr(typed, field.name), getattr(called, field.name)
            np.testing.assert_array_equal(one, other, field.name)
    np.testing.assert_equal(typed.floor_m, called.floor_m)


def test_refinement_is_on_as_in_the_command(simulated_recording) -> None:
    """By the released networks, which see somebody to smooth."""
    span = {"start_s": 0.5, "stop_s": 1.0, "progress": False}
    raw, smooth, usual = (
        eventhpe.infer(simulated_recording, **span, **options).transl
        for options in ({"refine": "off"}, {"refine": "smooth"}, {})
    )
    assert not np.array_equal(raw, smooth)
    np.testing.assert_array_equal(smooth, usual)


def test_things_may_be_given_instead_of_files(small, simulated_recording, tmp_path) -> None:
    (tmp_path / "camera.yaml").write_text("{width: 128, height: 128, fx: 100, fy: 100, "
                                          "cx: 63.5, cy: 63.5}")  # fmt: skip
    camera = Camera(np.array([[100, 0, 63.5], [0, 100, 63.5], [0, 0, 1]]), 128, 128)
    first = small(camera=camera)
    np.testing.assert_array_equal(small(camera=tmp_path / "camera.yaml").transl, first.transl)
    first.save(tmp_path / "start.npz")
    body = eventhpe.load_body()
    started = [small(start=start, body=body) for start in (first, tmp_path / "start.npz")]
    np.testing.assert_array_equal(started[0].transl, started[1].transl)
    np.testing.assert_array_equal(started[0].betas, first.betas)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refine": "optimize"}, "off or smooth or optimise"),
        ({"camera": Camera.from_fov(346, 260)}, "346x260"),
        ({"camera_name": "cam0"}, "--camera-name"),
        ({"fov": 0}, "--fov"),
        ({"fov": 60, "camera": "cam.yaml"}, "one of the two"),
        ({"device": "cuda:7"}, "--device"),
        ({"body": "nowhere.npz"}, "nowhere.npz"),
        ({"start": "nowhere.npz"}, "nowhere.npz"),
    ],
)
def test_bad_input_is_an_input_error(small, options, words) -> None:
    with pytest.raises(InputError, match=words):
        small(**options)
    with pytest.raises(InputError, match=r"nowhere\.h5"):
        eventhpe.infer("nowhere.h5")


def test_doubts_about_the_scene_are_warnings_and_ctrl_c_is_passed_on(small, monkeypatch) -> None:
    from eventhpe import api

    whole = api.infer_steps

    def doubtful(*args, **options):
        made = whole(*args, **options)
        return replace(made, motion=replace(made.motion, warnings=("it moves",)))

    with monkeypatch.context() as patch:
        patch.setattr(api, "infer_steps", doubtful)
        with pytest.warns(UserWarning, match="it moves"):
            small()
    monkeypatch.setattr(
        api, "infer_steps", lambda *a, **k: replace(whole(*a, **k), interrupted=True)
    )
    with pytest.raises(KeyboardInterrupt):
        small()


def test_the_readmes_example_runs(simulated_recording, tmp_path, monkeypatch, capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (example,) = (block for block in blocks if "eventhpe.infer" in block)
    (tmp_path / "walk.h5").symlink_to(simulated_recording)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
    motion = MotionSequence.load("motion.npz")
    assert motion.t_us[0] == 50_000  # the first window's end
    assert capsys.readouterr().out.startswith(f"{len(motion)} poses")
    assert (tmp_path / "walk.glb").read_bytes()[:4] == b"glTF"
    assert (tmp_path / "walk.mp4").stat().st_size > 1000
