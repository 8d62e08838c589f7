"""The one error a user sees: what was found where, what was expected, and what to do."""

import re
from pathlib import Path


class InputError(Exception):
    """Bad input that the user can mend.

    The command line prints it on one line and exits with code 2. Messages name the source
    (a file or a flag), what was found, what was expected and the remedy.
    """

    def __init__(self, source: str | Path, found: str, expected: str, remedy: str) -> None:
        self.source = str(source)
        self.found = found
        self.expected = expected
        self.remedy = remedy
        message = f"{self.source}: found {found}; expected {expected}. {remedy}"
        # What other packages say, and goes into `found`, may run over several lines.
        super().__init__(re.sub(r"\s*\n\s*", " ", message))

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str, str]]:
        # Exceptions are rebuilt from `args`; worker processes need the four parts instead.
        return InputError, (self.source, self.found, self.expected, self.remedy)
