"""Draw a mesh shaded: by our own rasterizer, which runs everywhere, or by OpenGL if asked to."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventhpe.rasterizer import Buffers, rasterize
from eventhpe.rendering.opengl import PyrenderCanvas, missing_backend, require_backend

BACKENDS = ("rasterizer", "egl", "osmesa")
DEFAULT_COLOUR = (0, 190, 140)

# Towards the light, camera frame (y down, z forward): over the viewer's left shoulder.
_LIGHT = np.array([-0.4, -0.5, -1.0], dtype=np.float32) / np.float32(np.sqrt(1.41))
_AMBIENT, _DIFFUSE = 0.3, 0.95


class MeshRenderer:
    """Renders meshes seen by one pinhole camera; use as a context manager.

    Camera frame: x right, y down, z forward, metres; pixel (0, 0) has its centre at (0.0, 0.0).
    fx != fy, an off-centre principal point and skew are honoured; lens distortion is not.

    Args:
        width, height: image size in pixels.
        K: (3, 3) upper-triangular intrinsics.
        backend: one of ``BACKENDS``; None is the first.

    Attributes:
        backend: which of ``BACKENDS`` draws.

    Raises:
        ValueError: unknown backend, or K of another shape.
        InputError: the backend asked for does not work here.
    """

    def __init__(
        self, width: int, height: int, K: NDArray[np.floating], backend: str | None = None
    ) -> None:
        if backend is not None and backend not in BACKENDS:
            raise ValueError(f"backend {backend!r} is none of {BACKENDS}")
        self._K = np.array(K, dtype=np.float64)
        if self._K.shape != (3, 3):
            raise ValueError(f"K has shape {self._K.shape}, not (3, 3)")
        self.backend = backend or BACKENDS[0]
        self._canvas: PyrenderCanvas | None = None
        self._buffers: Buffers | None = None
        self._width, self._height = width, height
        if self.backend != "rasterizer":
            self._canvas = self._opengl()

    def _opengl(self) -> PyrenderCanvas:
        require_backend(self.backend)
        try:
            return PyrenderCanvas(self._width, self._height, self._K, self.backend)
        # PyOpenGL and drivers fail in many types.
        except Exception as error:
            raise missing_backend(self.backend, f"{type(error).__name__}: {error}") from error

    def render(
        self,
        vertices: NDArray[np.floating],
        faces: NDArray[np.integer],
        colour: tuple[int, int, int] = DEFAULT_COLOUR,
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Draw vertices (V, 3), camera frame, and faces (F, 3).

        Returns:
            rgb (H, W, 3) uint8 and mask (H, W), True where the mesh is seen. What rgb holds
            outside the mask depends on the backend. Both are the caller's own.

        Raises:
            ValueError: wrong shapes.
        """
        rgb, depth = self.draw(vertices, faces, colour)
        return rgb, np.isfinite(depth)

    def draw(
        self,
        vertices: NDArray[np.floating],
        faces: NDArray[np.integer],
        colour: tuple[int, int, int] = DEFAULT_COLOUR,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """As `render`, with the depth (H, W) in metres instead of the mask: inf off the mesh.

        The depth is overwritten by the next picture.
        """
        vertices = np.asarray(vertices, dtype=np.float32)
        if vertices.ndim != 2 or vertices.shape[1] != 3:
            raise ValueError(f"vertices have shape {vertices.shape}, not (V, 3)")
        if self._canvas is not None:
            return self._canvas.draw(vertices, np.asarray(faces, dtype=np.int32), colour)
        return self._rasterize(vertices, np.ascontiguousarray(faces, dtype=np.int32), colour)

    def _rasterize(
        self,
        vertices: NDArray[np.float32],
        faces: NDArray[np.int32],
        colour: tuple[int, int, int],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        self._buffers = buffers = rasterize(
            vertices, faces, self._K, self._width, self._height, out=self._buffers
        )
        rgb = np.zeros((self._height, self._width, 3), dtype=np.uint8)
        normals = vertex_normals(vertices, faces)
        _shade(
            buffers.face_index,
            buffers.barycentric,
            faces,
            normals,
            _LIGHT,
            np.array(colour, dtype=np.float32),
            rgb,
        )
        return rgb, buffers.depth

    def close(self) -> None:
        """Free the OpenGL context, where there is one."""
        if self._canvas is not None:
            self._canvas.close()
            self._canvas = None

    def __enter__(self) -> "MeshRenderer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@njit(cache=True, nogil=True)
def vertex_normals(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """Unit normals (V, 3): the area-weighted mean of the faces around each vertex.

    A vertex without a face has a zero normal.
    """
    normals = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        # The cross product of two edges has twice the face's area as its length.
        for k in range(3):
            i, j = (k + 1) % 3, (k + 2) % 3
            n = (vertices[b, i] - vertices[a, i]) * (vertices[c, j] - vertices[a, j])
            n -= (vertices[b, j] - vertices[a, j]) * (vertices[c, i] - vertices[a, i])
            normals[a, k] += n
            normals[b, k] += n
            normals[c, k] += n
    for v in range(vertices.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            normals[v] /= length
    return normals


@njit(cache=True, nogil=True)
def _shade(face_index, barycentric, faces, normals, light, colour, rgb):  # type: ignore[no-untyped-def]
    """Wrapped Lambert shading, (0.5 + 0.5 n.l)^2, with the vertices' outward normals interpolated.

    The wrap keeps the side away from the light readable under the half-transparent overlay.
    """
    height, width = face_index.shape
    for y in range(height):
        for x in range(width):
            f = face_index[y, x]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb = barycentric[y, x, 0], barycentric[y, x, 1]
            wc = np.float32(1.0) - wa - wb
            dot = np.float32(0.0)
            square = np.float32(1e-12)
            for k in range(3):
                n = wa * normals[a, k] + wb * normals[b, k] + wc * normals[c, k]
                dot += n * light[k]
                square += n * n
            wrapped = 0.5 + 0.5 * dot / np.sqrt(square)
            lit = _AMBIENT + _DIFFUSE * wrapped * wrapped
            for k in range(3):
                rgb[y, x, k] = np.uint8(min(255.0, colour[k] * lit))
