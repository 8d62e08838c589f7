"""Atomic writing: a file has its final name only when it is whole."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventhpe.errors import InputError

RESERVE = 32 << 20
"""Bytes that stay free on a disk: what HDF5 holds in its caches, and what closing a file needs."""


@contextmanager
def atomic_path(path: str | Path, *, resumable: bool = False) -> Iterator[Path]:
    """Yield ``NAME.partial`` to write to; rename it to ``NAME`` when the block succeeds.

    On an exception the partial file is removed and whatever stood at ``path`` is untouched. With
    ``resumable`` the partial file outlives Ctrl-C, and the next writer finds it as it was left.

    Raises:
        InputError: the folder cannot be created or written to, ``path`` is a folder, or the disk
            is full.
    """
    path = Path(path)
    partial = _begin(path)
    interrupted = False
    try:
        yield partial
        os.replace(partial, path)
    except KeyboardInterrupt:
        interrupted = True
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            path, "a full disk", "room for the file", "Free some, or choose another place."
        ) from error
    finally:
        if not (interrupted and resumable):
            partial.unlink(missing_ok=True)


def ensure_writable(path: str | Path) -> None:
    """Raise at once what `atomic_path` would raise for ``path`` after hours of work."""
    _begin(Path(path)).unlink()


def require_room(path: Path, size: int) -> None:
    """Raise what a full disk raises unless ``size`` bytes and `RESERVE` fit beside ``path``.

    HDF5 cannot be trusted to meet a full disk: it loses errors, and may crash as it closes a file
    that it could not write. So whoever writes one asks before.

    Raises:
        OSError: ENOSPC; `atomic_path` tells the user.
    """
    if shutil.disk_usage(path.parent).free < size + RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _begin(path: Path) -> Path:
    """The empty partial file."""
    partial = path.with_name(path.name + ".partial")
    try:
        if path.is_dir():
            raise InputError(path, "a folder", "a file to write", "Choose another name.")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise InputError(
            path, f"it cannot be written ({error.strerror})", "a writable place", "Choose another."
        ) from error
    return partial
