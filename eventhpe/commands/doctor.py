"""``doctor``: this installation."""

import argparse

from eventhpe.commands.options import (
    Commands,
    add_command,
)


def add(commands: Commands) -> None:
    """Add them to the command line."""
    add_command(commands, "doctor", _doctor, "check this installation")


def _doctor(options: argparse.Namespace) -> int:
    from eventhpe.doctor import checks, format_checks

    found = checks()
    print(format_checks(found))
    return 0 if all(check.ok or check.optional for check in found) else 1
