"""README.md and docs/: commands are understood, chains of them run, links lead somewhere.

Commands are taken from fenced blocks, and `python ...` in the running text as well. One is
understood when the program's own parser takes it and every file of the repository that it names is
there. What it needs beside that (recordings, data sets, trained weights) need not be.
"""

import argparse
import itertools
import pickle
import re
import shlex
import shutil
import string
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from eventhpe.body import load_body
from eventhpe.body.loading import DEFAULT_PATH
from eventhpe.cli import _parser, main
from eventhpe.export.formats import FORMATS
from eventhpe.sequence import MotionSequence
from scripts import gallery
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = ("datasets", "docs", "eventhpe", "flownet", "scripts", "shapenet", "tests")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
TRAINING = ("train_flownet", "train_shapenet")


class Command(NamedTuple):
    """A documented command."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell would part it, without variables before the program and the comment."""
        words = shlex.split(self.text, comments=True)
        while "=" in words[0]:
            words = words[1:]
        return words


def _commands(page: Path) -> Iterator[Command]:
    text = page.read_text()
    for block in FENCED.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        given = dict(m.groups() for m in map(re.compile(r"(\w+)=(\S+)").fullmatch, lines) if m)
        for line in lines:
            if re.match(r"(\w+=\S+ )*(eventhpe|python|torchrun) ", line):
                typed = " ".join(string.Template(line).safe_substitute(given).split())
                yield Command(page.name, typed)
    for typed in re.findall(r"`(python\s[^`]*)`", FENCED.sub("", text)):
        yield Command(page.name, " ".join(typed.split()))


COMMANDS = [command for page in PAGES for command in _commands(page)]


class _UnderstoodError(Exception):
    """Ends a program after its parser has taken the words."""


def _ended_after(parse: Callable[..., Any]) -> Callable[..., Any]:
    def ended(*args: Any, **options: Any) -> Any:
        parse(*args, **options)
        raise _UnderstoodError

    return ended


def understand(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """Give the words to their program's parser, in a folder that holds the repository's rooms.

    Raises:
        SystemExit: the parser refuses them.
        ImportError, FileNotFoundError: there is no such program or file.
    """
    for word in words:
        for name in word.split("="):
            if name.split("/")[0] in ROOMS and "/" in name and not (ROOT / name).exists():
                raise FileNotFoundError(name)
    program, *rest = words
    if program == "eventhpe":
        _parser().parse_args(rest)
        return
    if program == "torchrun":
        rest = [word for word in rest if not word.startswith("--nproc_per_node=")]
    if rest[:2] == ["-m", "pytest"]:
        return
    if rest[0] == "-m":
        module, rest = rest[1], rest[2:]
    else:
        module, rest = rest[0].removesuffix(".py").replace("/", "."), rest[1:]
    if module.split(".")[-1] in TRAINING:
        _training_parser(module).parse_args(rest)
        return
    if (ROOT / module.replace(".", "/")).is_dir():
        module += ".__main__"
    with patch.context() as inside:
        ended = _ended_after(argparse.ArgumentParser.parse_args)
        inside.setattr(argparse.ArgumentParser, "parse_args", ended)
        inside.setattr(sys, "argv", [module, *rest])
        with pytest.raises(_UnderstoodError):
            import_module(module).main()


@cache
def _training_parser(module: str) -> Any:
    """LightningCLI's parser of a training script: making it takes longer than a parse."""
    from lightning.pytorch.cli import LightningCLI

    made = []

    def keep(cli: Any, parser: Any, *_: Any) -> None:
        made.append(parser)
        raise _UnderstoodError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LightningCLI, "parse_arguments", keep)
        with pytest.raises(_UnderstoodError):
            import_module(module).main()
    return made[0]


@pytest.fixture
def beside_the_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder holds the repository's rooms, and a run to resume."""
    for room in ROOMS:
        (tmp_path / room).symlink_to(ROOT / room)
    run = tmp_path / "runs" / "flownet-small"
    run.mkdir(parents=True)
    shutil.copy(ROOT / "scripts/configs/flownet/small.yaml", run / "config.yaml")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: f"{c.page}: {c.text}"[:90])
def test_every_command_is_understood(command, beside_the_rooms, monkeypatch) -> None:
    understand(command.words, monkeypatch)


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("eventhpe infer walk.h5", SystemExit),
        ("eventhpe infer walk.h5 --out out --refine sharpen", SystemExit),
        ("eventhpe dance walk.h5", SystemExit),
        ("python scripts/evaluate.py pose data/val --fast", SystemExit),
        ("python scripts/evaluate.py pose", SystemExit),
        ("python -m scripts.benchmark --only nothing", SystemExit),
        ("python -m scripts.nothing", ImportError),
        ("python scripts/nothing.py", FileNotFoundError),
        ("eventhpe infer walk.h5 --out out --flownet eventhpe/weights/x.json", FileNotFoundError),
        ("python scripts/train_flownet.py fit --config=scripts/none.yaml", FileNotFoundError),
        ("python scripts/train_flownet.py fit --config runs/none.yaml", SystemExit),
        ("python scripts/train_flownet.py fit --data.rooot=data/own", SystemExit),
        ("python scripts/train_shapenet.py fit --model.coherence=none", SystemExit),
    ],
)
def test_wrong_commands_are_not(typed, error, beside_the_rooms, monkeypatch) -> None:
    with pytest.raises(error):
        understand(typed.split(), monkeypatch)


def test_there_are_commands_of_each_kind() -> None:
    programs = {" ".join(command.words[:2]) for command in COMMANDS}
    wanted = {"eventhpe", "python scripts/", "python -m", "torchrun --nproc"}
    assert all(any(found.startswith(kind) for found in programs) for kind in wanted)
    assert len(COMMANDS) > 150


LINK = re.compile(r"(?:\]\(|src=\")([^)\s\"]+)")
MENTIONED = re.compile(rf"\b(?:{'|'.join(ROOMS)})/[\w./-]+\.(?:py|md|json|yaml|png|npz)\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_pictures_and_named_files_are_there(page) -> None:
    text = page.read_text()
    for target in LINK.findall(text):
        if not target.startswith(("https://", "http://")):
            assert (page.parent / target).exists(), target
    for name in MENTIONED.findall(text):
        assert (ROOT / name).exists(), name


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, ahead = set(), {ROOT / "README.md"}
    while ahead:
        page = ahead.pop()
        seen.add(page)
        linked = {(page.parent / target).resolve() for target in LINK.findall(page.read_text())}
        ahead |= {found for found in linked if found.suffix == ".md"} - seen
    assert set(PAGES) <= seen


def test_the_gallery_shows_what_is_made_for_it_and_stays_small() -> None:
    made = {path: path.stat().st_size for path in (ROOT / "docs/gallery").iterdir()}
    shown = LINK.findall((ROOT / "docs/gallery.md").read_text())
    assert {f"gallery/{path.name}" for path in made} == {x for x in shown if "/" in x}
    assert sum(made.values()) < 3_000_000
    commands = [command.text for command in COMMANDS if command.page == "gallery.md"]
    assert [shlex.join(words) for words in gallery.documented()] == commands[1:]


FLAGS_ON = {
    "info": "docs/recordings.md",
    "convert": "docs/converting.md",
    "simulate": "docs/simulation.md",
    "infer": "README.md",
    "render": "docs/rendering.md",
    "report": "docs/report.md",
    "view": "docs/viewer.md",
    "export": "docs/export.md",
}


@pytest.mark.parametrize("name", FLAGS_ON)
def test_every_flag_is_on_its_commands_page(name) -> None:
    (groups,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    text = (ROOT / FLAGS_ON[name]).read_text()
    for action in groups.choices[name]._actions:
        for flag in action.option_strings:
            assert flag in ("-h", "--help") or re.search(rf"{flag}\b", text), flag


# What of a page's commands is run, with flags that make it small; a later flag counts.
SMALL = {
    "infer": ["--to", "1.2", "--force"],
    "render": ["--to", "0.15", "--force"],
    "report": ["--force"],
    "export": ["--force"],
    "view": ["--port", "0"],
    "simulate": ["--duration", "0.2", "--force"],
    "info": [],
    "convert": [],
}
CHAINS = {
    "README.md": set(SMALL),
    "export.md": {"infer", "export"},
    "report.md": {"report"},
    "smpl.md": {"infer", "render", "report", "view", "export", "simulate"},
}


@pytest.fixture(scope="module")
def walked(simulated_recording, tmp_path_factory) -> Path:
    """A folder with ``walk.aedat`` (a recording is known by its content) and a motion of it."""
    folder = tmp_path_factory.mktemp("walked")
    shutil.copy(simulated_recording, folder / "walk.aedat")
    arguments = ["infer", f"{folder}/walk.aedat", "--out", f"{folder}/out/walk"]
    assert main([*arguments, *SMALL["infer"]]) == 0
    return folder


@pytest.fixture
def in_a_users_folder(walked, tmp_path, monkeypatch) -> None:
    """As `walked`; beside it another body, in the layout and under the name of SMPL's."""
    shutil.copytree(walked, tmp_path, dirs_exist_ok=True)
    (tmp_path / "eventhpe").symlink_to(ROOT / "eventhpe")
    monkeypatch.chdir(tmp_path)
    with np.load(DEFAULT_PATH) as data:
        arrays = dict(data)
    arrays["v_template"] *= 1.05
    Path("SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(arrays, protocol=2))


@pytest.mark.parametrize("page", CHAINS)
def test_the_commands_of_a_page_run_one_after_another(page, in_a_users_folder, monkeypatch) -> None:
    if page != "README.md":  # which makes a walk.h5 itself
        shutil.copy("walk.aedat", "walk.h5")
    monkeypatch.setattr("eventhpe.rendering.viewer.Viewer.run", _interrupted)
    done = []
    for command in COMMANDS:
        program, name, *rest = command.words
        if command.page == page and program == "eventhpe" and name in CHAINS[page]:
            assert main([name, *rest, *SMALL[name]]) == 0, command.text
            done.append(name)
            for flag, out in itertools.pairwise(rest):
                assert flag not in ("--out", "--preview") or Path(out).exists(), command.text
    assert set(done) == CHAINS[page]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_every_export_format_is_documented_by_a_command_that_runs() -> None:
    pages = {command.text for command in COMMANDS if command.page == "export.md"}
    assert {to for to in FORMATS if any(f"--to {to} " in text for text in pages)} == set(FORMATS)


def test_the_example_of_the_page_about_bodies_runs(in_a_users_folder) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/smpl.md").read_text(), re.DOTALL)
    exec(compile(example, "smpl.md", "exec"), {"__name__": "__main__"})
    moved = MotionSequence.load("out/walk/smpl.npz")
    moved.require_body(load_body("SMPL_NEUTRAL.pkl"))
    assert len(moved) == len(MotionSequence.load("out/walk/motion.npz"))
