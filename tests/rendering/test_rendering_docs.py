"""docs/rendering.md: its commands are commands, and it leaves no flag out."""

import argparse
import re
import shlex
from pathlib import Path

from eventhpe.cli import _parser

TEXT = (Path(__file__).parents[2] / "docs" / "rendering.md").read_text()
COMMANDS = re.findall(r"^eventhpe .*$", TEXT, re.MULTILINE)


def test_every_command_is_understood() -> None:
    assert len(COMMANDS) > 10
    for line in COMMANDS:
        _parser().parse_args(shlex.split(line)[1:])


def test_every_flag_of_render_is_in_a_command_and_explained() -> None:
    (sub,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    flags = {f for action in sub.choices["render"]._actions for f in action.option_strings}
    used = {
        word for line in COMMANDS if line.startswith("eventhpe render") for word in line.split()
    }
    wanted = {f for f in flags if f.startswith("--") and f != "--help"}
    assert wanted <= used
    for flag in wanted - {"--recording"}:
        assert f"`{flag}" in TEXT
