"""OBJ and PLY: a folder of meshes, one a step.

Formats: Wavefront's OBJ (Advanced Visualizer manual, appendix B1); Turk, "The PLY Polygon File
Format", 1994.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from eventhpe.export.figure import Figure
from eventhpe.files import frames_folder

FRAME = r"frame_\d{6,}\.(obj|ply)"

Encode = Callable[[NDArray[np.float64], str], bytes]


def write_obj(figure: Figure, folder: Path) -> list[str]:
    """Write ``frame_NNNNNN.obj``: text, metres, the step's time in a comment."""
    corners = figure.body.faces + 1
    faces = ("f %d %d %d\n" * len(corners)) % tuple(corners.ravel())

    def encode(vertices: NDArray[np.float64], comment: str) -> bytes:
        places = ("v %.5f %.5f %.5f\n" * len(vertices)) % tuple(vertices.ravel())
        return f"# {comment}\n{places}{faces}".encode("ascii")

    return _write_frames(figure, folder, "obj", encode)


def write_ply(figure: Figure, folder: Path) -> list[str]:
    """Write ``frame_NNNNNN.ply``: little-endian binary, metres, the step's time in a comment."""
    faces = np.zeros(len(figure.body.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, figure.body.faces

    def encode(vertices: NDArray[np.float64], comment: str) -> bytes:
        header = (
            f"ply\nformat binary_little_endian 1.0\ncomment {comment}\n"
            f"element vertex {len(vertices)}\n"
            "property float x\nproperty float y\nproperty float z\n"
            f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
        )
        return header.encode("ascii") + vertices.astype("<f4").tobytes() + faces.tobytes()

    return _write_frames(figure, folder, "ply", encode)


def _write_frames(figure: Figure, folder: Path, ending: str, encode: Encode) -> list[str]:
    """One file a step with a person, all of them or none; the number is the step's."""
    steps = np.flatnonzero(figure.present).tolist()
    times = figure.motion.t_us
    # No bar where nobody would see it: exports also run from other programs.
    bar = tqdm(figure.meshes(steps), total=len(steps), unit="file", disable=None)
    with frames_folder(folder, FRAME) as partial:
        for step, vertices in zip(steps, bar, strict=True):
            comment = f"t_us {times[step]}; metres, {figure.up} up"
            path = partial / f"frame_{step:06d}.{ending}"
            path.write_bytes(encode(vertices, comment))
    return []
