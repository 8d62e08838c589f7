"""The container of glTF 2.0: JSON and one binary buffer in a .glb file.

Format: Khronos, "glTF 2.0 Specification" (ISO/IEC 12113:2022), 3.6 for buffers and accessors, 4
for the file.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.files import atomic_path

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
_COMPONENTS = {np.dtype(np.uint8): 5121, np.dtype("<u4"): 5125, np.dtype("<f4"): 5126}
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_LARGEST = 2**32 - 1  # bytes: lengths are four bytes long


class Buffer:
    """The binary part, and the entries in the JSON that say what lies where."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: NDArray[Any], target: int | None = None) -> int:
        """Append an array; returns its accessor's index.

        Args:
            values: (N, ...) uint8, uint32 or float32: N scalars, vectors of 3 or 4, or 4x4
                matrices (rows and columns as in mathematics; glTF stores columns).
            target: `ARRAY_BUFFER` or `ELEMENT_ARRAY_BUFFER` for a mesh's data.
        """
        stored = values.swapaxes(1, 2) if values.ndim == 3 else values
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.content)}
        view["byteLength"] = values.nbytes
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.content += np.ascontiguousarray(stored).tobytes()
        self.content += bytes(-len(self.content) % 4)
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": _COMPONENTS[values.dtype],
            "count": len(values),
            "type": _TYPES[values.shape[1:]],
        }
        if values.ndim < 3 and values.dtype == np.float32:
            # Required of positions and times, allowed for all.
            rows = values.reshape(len(values), -1)
            accessor["min"], accessor["max"] = rows.min(0).tolist(), rows.max(0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def write_glb(path: Path, document: dict[str, Any], buffer: Buffer) -> None:
    """Write a .glb.

    Args:
        document: the JSON without its buffers, views and accessors.

    Raises:
        ValueError: more than 4 GB.
    """
    whole = {
        **document,
        "buffers": [{"byteLength": len(buffer.content)}],
        "bufferViews": buffer.views,
        "accessors": buffer.accessors,
    }
    text = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(buffer.content)
    if size > _LARGEST:
        raise ValueError(f"{size} bytes are more than a .glb holds")
    with atomic_path(path) as partial, partial.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, size))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", len(buffer.content), b"BIN\0") + buffer.content)
