"""What stands in a motion file: its arrays, and their reading without pickle."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError

# None is the number of frames; -1 any length.
ARRAYS: dict[str, tuple[type, tuple[int | None, ...]]] = {
    "t_us": (np.int64, (None,)),
    "betas": (np.float32, (10,)),
    "global_orient": (np.float32, (None, 3)),
    "body_pose": (np.float32, (None, 69)),
    "transl": (np.float32, (None, 3)),
    "K": (np.float64, (3, 3)),
    "distortion": (np.float64, (-1,)),
    "up": (np.float64, (3,)),
    "turned": (np.int64, (3,)),
    "region": (np.float32, (None, 4)),
    "confidence": (np.float32, (None,)),
    "state": (np.uint8, (None,)),
}


def read_npz(path: Path, expected: str, remedy: str) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz, none of them pickled.

    Raises:
        InputError: no such file, or something else; ``expected`` and ``remedy`` are its words.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        # numpy and zipfile raise OSError without a reason for damaged files, too.
        raise InputError(path, error.strerror or str(error), expected, remedy) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise InputError(path, f"a damaged file ({error})", expected, remedy) from error
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        # Object arrays (pickle), an encrypted member, and what is no archive, as .npy files are.
        raise InputError(path, "something else, or pickled objects", expected, remedy) from error


def field_value(name: str, array: NDArray[Any]) -> Any:
    """One field from its array. Raises ValueError when the array cannot be that field."""
    if name in ARRAYS:
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} holds {array.dtype}, not numbers")
        return array
    kind = "U"
    if name in ("width", "height", "window_us", "step_us"):
        kind = "iu"
    elif name == "floor_m":
        kind = "f"
    if array.shape != () or array.dtype.kind not in kind:
        raise ValueError(f"{name} is {array.dtype} {array.shape}")
    if kind != "U":
        return array.item()
    text = str(array)
    if name != "weights":
        return text
    weights = json.loads(text)
    if not isinstance(weights, dict):
        raise ValueError("weights is no table")
    return weights
