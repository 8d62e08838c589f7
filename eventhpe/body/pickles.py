"""A pickle reader that knows arrays, sparse matrices and chumpy's wrappers, and nothing else."""

import io
import pickle
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from eventhpe.body.arrays import KEYS


class RefusedPickle(Exception):
    """The pickle names something that is not needed to hold arrays."""


class _Stub:
    """Stands in for a foreign class: keeps the saved state, runs none of its code."""

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = dict(state) if isinstance(state, dict) else {}


class _Chumpy(_Stub):
    """A chumpy expression; the value of the leaf class ``Ch`` is its ``x``."""


class _Csc(_Stub):
    """scipy.sparse.csc_matrix."""


class _Csr(_Stub):
    """scipy.sparse.csr_matrix."""


class _Coo(_Stub):
    """scipy.sparse.coo_matrix."""


def _new_object(cls: type, base: type, state: object) -> object:
    """What ``copyreg._reconstructor`` does for plain objects, for our stubs alone."""
    if not (isinstance(cls, type) and issubclass(cls, _Stub)) or base is not object:
        raise RefusedPickle("a pickle that builds an object of another kind")
    return cls()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickle(f"a pickle with bytes in {encoding!r}")
    return text.encode("latin1")


def _number_type(code: object, *_: object) -> np.dtype[Any]:
    """``numpy.dtype`` for numbers alone."""
    if not isinstance(code, str) or (found := np.dtype(code)).kind not in "biuf":
        raise RefusedPickle(f"a pickle that asks for arrays of {code!r}, not of numbers")
    return found


# Python 2 and 3 names of the few callables that pickled arrays need.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _new_object,
    ("copyreg", "_reconstructor"): _new_object,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _number_type,
}
# numpy's own pickles name the functions, whose modules differ between its versions.
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = np.empty(0).__reduce__()[0]
    _ALLOWED[f"{_core}.multiarray", "scalar"] = np.float64(0).__reduce__()[0]
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = np.zeros(1).__reduce_ex__(5)[0]
for _stub, _kind in ((_Csc, "csc"), (_Csr, "csr"), (_Coo, "coo")):
    _ALLOWED[f"scipy.sparse.{_kind}", f"{_kind}_matrix"] = _stub
    _ALLOWED[f"scipy.sparse._{_kind}", f"{_kind}_matrix"] = _stub


class ArrayReader(pickle._Unpickler):
    """Reads arrays of numbers; what names anything else is a `RefusedPickle`.

    It is the reader in Python, for the one in C cannot be kept from applying the saved state of an
    array's type, which can make numpy take numbers for pointers.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module == "chumpy" or module.startswith("chumpy."):
            return _Chumpy
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RefusedPickle(f"a pickle that asks for {module}.{name}") from None

    def load_build(self) -> None:
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        if not isinstance(stack[-2], np.dtype):
            pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]
        elif stack.pop()[1] == ">":
            raise ValueError("numbers with their bytes in big-endian order")

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
    }


def read_pickle(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a pickled SMPL dictionary; keys that a body does not need are left out.

    Raises:
        RefusedPickle: the pickle names a class or function outside the list above. It is
            refused when the name is read, before anything is called with it.
        Exception: whatever broken bytes make ``pickle`` raise.
    """
    found = ArrayReader(io.BytesIO(content), encoding="latin1").load()
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not a dictionary")
    return {key: _array(key, found[key]) for key in KEYS if key in found}


def _array(key: str, value: object) -> np.ndarray:
    if isinstance(value, _Chumpy):
        if "x" not in value.state:
            raise ValueError(f"{key} is a chumpy expression without a value")
        value = value.state["x"]
    if isinstance(value, _Stub):
        return _dense(value)
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{key} is a {type(value).__name__}, not an array")
    return value


def _dense(stub: _Stub) -> np.ndarray:
    """Rebuild a sparse matrix from its saved parts; scipy checks indices on the way."""
    state = stub.state
    shape = tuple(int(n) for n in state["_shape"])
    if len(shape) != 2 or np.prod(shape, dtype=float) > 1e8:
        raise ValueError(f"a sparse matrix of shape {shape}")
    if isinstance(stub, _Coo):
        row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
        return scipy.sparse.coo_matrix((state["data"], (row, column)), shape=shape).toarray()
    make = scipy.sparse.csc_matrix if isinstance(stub, _Csc) else scipy.sparse.csr_matrix
    matrix = make((state["data"], state["indices"], state["indptr"]), shape=shape)
    matrix.check_format(full_check=True)
    return matrix.toarray()
