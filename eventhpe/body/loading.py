"""Reading a body from a file without running anything that the file says."""

import hashlib
import io
import re
import zipfile
from pathlib import Path

import numpy as np

from eventhpe.body.arrays import KEYS, check_arrays
from eventhpe.body.model import Body
from eventhpe.body.pickles import RefusedPickle, read_pickle
from eventhpe.errors import InputError

DEFAULT_PATH = Path(__file__).parent / "data" / "default_body.npz"
DEFAULT_ID = "eventhpe-default-1"


def load_body(path: str | Path | None = None) -> Body:
    """Load a body model; None is the free default that comes with the package.

    Args:
        path: a SMPL ``.pkl`` (old chumpy files and 300-beta files too) or an ``.npz`` of the
            same arrays. SMPL's own files are licensed for non-commercial use.

    Raises:
        InputError: the file is absent, truncated, of another format or model, or a pickle that
            asks for anything but arrays. Nothing in the file is ever executed.
    """
    path = DEFAULT_PATH if path is None else Path(path)
    remedy = "Give a SMPL .pkl or .npz file, or leave the body out to use the free default."
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise InputError(path, reason, "a body model file", remedy) from error
    readers = {".npz": _read_npz, ".pkl": read_pickle}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(path, f"the ending {path.suffix!r}", ".pkl or .npz", remedy)
    try:
        found = reader(content)
    except RefusedPickle as error:
        raise InputError(
            path, str(error), "nothing but arrays in a body file", f"It was not run. {remedy}"
        ) from error
    except Exception as error:  # broken bytes make the decoders raise nearly anything
        what = f"a broken or truncated file ({type(error).__name__}: {error})"
        raise InputError(path, what, f"a whole {path.suffix} body file", remedy) from error
    return Body(check_arrays(path, found), _body_id(path), hashlib.sha256(content).hexdigest())


def _read_npz(content: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        return {key: data[key] for key in KEYS if key in data}


def _body_id(path: Path) -> str:
    """A short name: SMPL's known file names by gender, others by the file's own name."""
    if path.resolve() == DEFAULT_PATH.resolve():
        return DEFAULT_ID
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    known = re.match(r"(?:smpl|basicmodel)-(neutral|female|male|f|m)(?:-|$)", name)
    if known is None:
        return name
    return "smpl-" + {"f": "female", "m": "male"}.get(known[1], known[1])
