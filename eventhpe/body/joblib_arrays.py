"""A reader of joblib's files that knows lists of arrays, and nothing else.

joblib (0.10 to 1.6, at least) pickles a wrapper in an array's place, which says its shape, order
and type; the array's bytes follow it in the stream, in later versions behind a byte that counts the
padding, and the padding. The whole may be compressed by zlib.
"""

import io
import math
import pickle
import zlib
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from eventhpe.body.pickles import ArrayReader

MOST_BYTES = 64 << 20
"""Of a decompressed file: a small one may claim to hold anything."""


class _Wrapper:
    """joblib's NumpyArrayWrapper: keeps its saved state and runs none of its code."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = dict(state) if isinstance(state, dict) else {}


class _Reader(ArrayReader):
    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="latin1")
        self._stream = stream

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return _Wrapper
        return super().find_class(module, name)

    def load_build(self) -> None:
        super().load_build()
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        if isinstance(stack[-1], _Wrapper):  # an array's bytes follow its opcodes
            stack.append(_array(stack.pop().state, self._stream))

    dispatch: ClassVar[dict[int, Any]] = {**ArrayReader.dispatch, pickle.BUILD[0]: load_build}


def _array(state: dict[str, Any], stream: io.BytesIO) -> NDArray[Any]:
    """The array that follows a wrapper.

    Raises:
        ValueError: fewer bytes than it has.
    """
    shape, dtype = tuple(int(n) for n in state["shape"]), state["dtype"]
    if not isinstance(dtype, np.dtype):
        raise ValueError(f"an array of {dtype!r}")
    if state.get("numpy_array_alignment_bytes") is not None:
        stream.read(stream.read(1)[0])
    size = math.prod(shape) * dtype.itemsize
    content = stream.read(size) if 0 <= size <= MOST_BYTES else b""
    if min(shape, default=0) < 0 or len(content) != size:
        raise ValueError(f"an array of {shape} with {len(content)} bytes")
    order: Literal["C", "F"] = "F" if state["order"] == "F" else "C"
    return np.frombuffer(content, dtype).reshape(shape, order=order).copy()


def read_joblib(content: bytes) -> list[NDArray[Any]]:
    """The arrays of a list that joblib, or pickle itself, has dumped.

    Args:
        content: the file's, compressed by zlib or not.

    Raises:
        eventhpe.body.pickles.RefusedPickle: it names a class or function that arrays do not need.
            It is refused when the name is read, before anything is called with it.
        Exception: whatever broken bytes make ``pickle`` and ``zlib`` raise.
    """
    if content[:1] == b"\x78":
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(content, MOST_BYTES)
        if not unpacker.eof:
            raise ValueError(f"more than {MOST_BYTES:,} bytes, or a cut stream")
    found = _Reader(io.BytesIO(content)).load()
    if not isinstance(found, list):
        raise ValueError(f"it holds a {type(found).__name__}, not a list")
    arrays = [np.asarray(value) for value in found]
    if any(array.dtype.kind not in "iuf" for array in arrays):
        raise ValueError("it holds something else than numbers")
    return arrays
