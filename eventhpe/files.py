"""Atomic writing: a file has its final name only when it is whole."""

import errno
import os
import re
import resource
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eventhpe.errors import InputError

RESERVE = 32 << 20
"""Bytes that stay free on a disk: what HDF5 holds in its caches, and what closing a file needs."""

_NO_ROOM = {
    errno.ENOSPC: "a full disk",
    errno.EDQUOT: "a full disk",
    errno.EFBIG: "a limit on the size of files",
}


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
        _tell_of_room(path, error)
        raise
    finally:
        if not (interrupted and resumable):
            partial.unlink(missing_ok=True)


@contextmanager
def frames_folder(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield ``NAME.partial``, a folder to write frames to; it becomes ``NAME`` when all is done.

    On an exception, Ctrl-C too, the partial folder is removed, and what stood there is untouched.

    Raises:
        InputError: as `ensure_frames_folder` where frames may be replaced.
    """
    ensure_frames_folder(folder, pattern, replace=True)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.is_dir():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    except OSError as error:
        _tell_of_room(folder, error)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def ensure_frames_folder(folder: Path, pattern: str, *, replace: bool) -> None:
    """Raise at once what `frames_folder` would raise after the work, or that frames stand there.

    Args:
        pattern: regular expression of a frame's name.
        replace: whether frames that stand there may be replaced.

    Raises:
        InputError: a file of that name, a folder that holds other things than frames or may not be
            replaced, or a place that cannot be written to.
    """
    if folder.is_file():
        raise InputError(folder, "a file's name", "a folder", "Choose another name.")
    inside = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in inside if not re.fullmatch(pattern, name)]
    if others:
        found = f"a folder that holds {others[0]}"
        raise InputError(folder, found, "a new or empty folder", "Choose another name.")
    if inside and not replace:
        remedy = "Choose another, or add --force."
        raise InputError(folder, f"a folder of {len(inside)} frames", "a new name", remedy)
    ensure_writable(folder.with_name(folder.name + ".frames"))  # tries the place, leaves nothing


def ensure_writable(path: str | Path, *, replace: bool = True) -> None:
    """Raise at once what `atomic_path` would raise for ``path`` after hours of work.

    Args:
        replace: whether a file that stands there may be replaced.

    Raises:
        InputError: as `atomic_path`, or there is such a file and it may not be replaced.
    """
    if not replace:
        refuse_existing(path)
    _begin(Path(path)).unlink()


def refuse_existing(path: str | Path) -> None:
    """Raise where something stands at ``path``, which may not be replaced.

    Raises:
        InputError: there is.
    """
    if Path(path).exists():
        raise InputError(
            path, "a file of that name", "a new name", "Choose another, or add --force."
        )


def require_room(path: Path, size: int) -> None:
    """Raise what a full disk raises unless ``size`` bytes and `RESERVE` fit beside ``path``.

    HDF5 cannot be trusted to meet a full disk: it loses errors, and may crash as it closes a file
    that it could not write. So whoever writes one asks before.

    Raises:
        OSError: ENOSPC, or EFBIG where files may not grow so large; `atomic_path` tells the user.
    """
    if shutil.disk_usage(path.parent).free < size + RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = path.stat().st_size if path.exists() else 0
    if largest != resource.RLIM_INFINITY and written + size + RESERVE > largest:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))


@contextmanager
def interrupts_between_blocks() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C take effect where the function that is yielded is called, and nowhere else.

    Inside of a call into HDF5 Python can often do nothing with an interrupt but print and forget
    it. A second Ctrl-C stops at once. Outside the main thread, which gets no signals, nothing
    changes.
    """
    asked = False

    def ask(_number: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def _tell_of_room(path: Path, error: OSError) -> None:
    """Raise the error that the user can mend where there was no room."""
    found = _NO_ROOM.get(error.errno or 0)
    if found is not None:
        raise InputError(
            path, found, "room for the file", "Free some, or choose another place."
        ) from error


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
