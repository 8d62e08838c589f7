"""Atomic writing: a file has its final name only when it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventhpe.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield ``NAME.partial`` to write to; rename it to ``NAME`` when the block succeeds.

    On an exception the partial file is removed and whatever stood at ``path`` is untouched.

    Raises:
        InputError: the folder cannot be created or written to.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise InputError(
            path, f"it cannot be written ({error.strerror})", "a writable place", "Choose another."
        ) from error
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
