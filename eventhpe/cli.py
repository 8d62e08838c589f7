"""The ``eventhpe`` command: one sub-command an intention."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from eventhpe.commands import doctor, estimate, export, recordings, render, report, view
from eventhpe.commands.options import EXIT_INTERRUPTED
from eventhpe.errors import InputError

EXIT_BAD_INPUT = 2
EXIT_BROKEN_PIPE = 141  # as of a process that SIGPIPE ended


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line as for every other bad input, instead of the whole usage."""
        self.exit(EXIT_BAD_INPUT, f"eventhpe: error: {message}. See: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the process's exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.command_line = shlex.join(["eventhpe", *(arguments or sys.argv[1:])])
    try:
        _refuse_own_input(options)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our lines has gone; what was to be written is written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except InputError as error:
        print(f"eventhpe: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("eventhpe: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED


def _refuse_own_input(options: argparse.Namespace) -> None:
    """No command may write over what it reads, with ``--force`` neither."""
    out = getattr(options, "out", None) or getattr(options, "preview", None)
    for name in ("file", "motion", "truth", "video", "camera", "body", "start"):
        source = getattr(options, name, None)
        if out and source and Path(source).exists() and Path(source).resolve() == out.resolve():
            expected = "a name of its own for the output"
            raise InputError(out, "what the command reads", expected, "Choose another name.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="eventhpe", description="Event-camera recordings to moving 3D human meshes."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (recordings, estimate, render, report, view, export, doctor):
        group.add(commands)
    return parser
