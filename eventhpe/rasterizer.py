"""A z-buffer for triangle meshes: depth, face, barycentrics, vertex visibility, exact mesh flow.

Convention: camera frame x right, y down, z forward, metres; pixel (0, 0) has its centre at
(0.0, 0.0), so a pixel is covered when its integer coordinates lie inside the projected triangle.
``K`` is a full upper-triangular pinhole matrix (skew is used). Lens distortion is not drawn.

Edges are evaluated in float32 as the cross product of the two edge ends seen from the pixel.
Rounding keeps that expression exactly antisymmetric in its ends, so two triangles which share an
edge can never both reject a pixel on it: there are no cracks. A pixel exactly on a shared edge is
offered to both and the nearer (on a tie, the earlier) face keeps it.

Near plane: a triangle with any corner at z <= ``NEAR`` is dropped whole, not clipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEAR = 0.05
"""Triangles with a corner nearer than this (metres) are dropped."""

DEPTH_TOLERANCE = 0.005
"""A vertex may lie this far (metres) behind the drawn surface and still count as visible."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Buffers:
    """What `rasterize` draws; H rows, W columns.

    Attributes:
        depth: (H, W) float32 camera z in metres, inf where there is no surface.
        face_index: (H, W) int32 row of ``faces``, -1 where there is no surface.
        barycentric: (H, W, 2) float32 perspective-correct weights of the face's corners 0 and 1
            (corner 2 has the rest); stale where ``face_index`` is -1.
    """

    depth: Float32
    face_index: NDArray[np.int32]
    barycentric: Float32

    @classmethod
    def allocate(cls, width: int, height: int) -> Buffers:
        """Empty buffers, to be reused from frame to frame."""
        return cls(
            np.full((height, width), np.inf, np.float32),
            np.full((height, width), -1, np.int32),
            np.zeros((height, width, 2), np.float32),
        )

    @property
    def silhouette(self) -> NDArray[np.bool_]:
        """(H, W) True on the body."""
        return self.face_index >= 0


def rasterize(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    K: NDArray[np.floating],
    width: int,
    height: int,
    *,
    cull_backfaces: bool = False,
    out: Buffers | None = None,
) -> Buffers:
    """Draw a mesh with a z-buffer.

    Args:
        vertices: (V, 3) in the camera frame, metres.
        faces: (F, 3) corner indices.
        K: (3, 3) upper-triangular intrinsics, pixels.
        cull_backfaces: skip faces whose counter-clockwise (outward) side looks away. The picture
            of a closed mesh seen from outside stays the same and takes less time.
        out: buffers of an earlier frame, overwritten and returned.

    Raises:
        ValueError: wrong shapes, or a face index outside the vertices.
    """
    vertices, faces = _checked_mesh(vertices, faces)
    if out is None:
        out = Buffers.allocate(width, height)
    elif out.depth.shape != (height, width):
        raise ValueError(f"out is {out.depth.shape}, the image is {(height, width)}")
    projected = np.empty_like(vertices)
    _project(vertices, *_intrinsics(K), projected)
    _rasterize(projected, faces, cull_backfaces, out.depth, out.face_index, out.barycentric)
    return out


def vertex_visibility(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    K: NDArray[np.floating],
    width: int,
    height: int,
    buffers: Buffers,
) -> NDArray[np.bool_]:
    """Which vertices the camera sees, given the ``buffers`` of the same mesh and camera.

    A vertex is visible when it projects inside the image and lies no more than
    `DEPTH_TOLERANCE` behind the face drawn at its nearest pixel. That face's plane is evaluated
    at the vertex itself, so steep surfaces need no larger tolerance. Parts thinner than a pixel
    may leave no pixel drawn; their vertices count as hidden.

    Returns:
        (V,) bool.
    """
    vertices, faces = _checked_mesh(vertices, faces)
    if buffers.depth.shape != (height, width):
        raise ValueError(f"buffers are {buffers.depth.shape}, the image is {(height, width)}")
    projected = np.empty_like(vertices)
    _project(vertices, *_intrinsics(K), projected)
    return _visibility(projected, faces, buffers.face_index, np.float32(DEPTH_TOLERANCE))


def four_neighbours_on_body(
    uv: NDArray[np.floating], face_index: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Whether all four pixels that bilinear sampling at ``uv`` (N, 2) reads lie on the body.

    Points outside the image (or not finite) are False. Returns (N,) bool.
    """
    height, width = face_index.shape
    uv = np.asarray(uv)
    inside = (uv >= 0).all(axis=1) & (uv[:, 0] <= width - 1) & (uv[:, 1] <= height - 1)
    corner = np.floor(np.where(inside[:, None], uv, 0)).astype(np.int64)
    x0, y0 = corner[:, 0], corner[:, 1]
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    body = face_index >= 0
    return inside & body[y0, x0] & body[y0, x1] & body[y1, x0] & body[y1, x1]


def mesh_flow(
    buffers: Buffers,
    faces: NDArray[np.integer],
    vertices0: NDArray[np.floating],
    vertices1: NDArray[np.floating],
    K: NDArray[np.floating],
) -> Float32:
    """Displacement in pixels, from t0 to t1, of the surface point seen at each pixel at t0.

    Args:
        buffers: the mesh drawn at t0 with ``vertices0`` and ``K``.
        vertices0, vertices1: (V, 3) camera frame at t0 and at t1.

    Returns:
        (2, H, W) float32 (u right, v down); NaN off the body and where the point reaches the
        near plane. Whether the point is still visible at t1 is not asked.
    """
    vertices0, faces = _checked_mesh(vertices0, faces)
    vertices1, _ = _checked_mesh(vertices1, faces)
    flow = np.empty((2, *buffers.depth.shape), np.float32)
    seen = (buffers.face_index, buffers.barycentric)
    _flow(*seen, faces, vertices0, vertices1, *_intrinsics(K), flow)
    return flow


def _checked_mesh(
    vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> tuple[Float32, NDArray[np.int32]]:
    points = np.ascontiguousarray(vertices, dtype=np.float32)
    corners = np.ascontiguousarray(faces, dtype=np.int32)
    if points.ndim != 2 or points.shape[1] != 3 or corners.ndim != 2 or corners.shape[1] != 3:
        raise ValueError(f"vertices {points.shape} and faces {corners.shape}; both must be (N, 3)")
    # Compiled code does not check bounds; a wild index would read foreign memory.
    if corners.size and (corners.min() < 0 or corners.max() >= len(points)):
        raise ValueError(f"faces refer to vertices outside 0..{len(points) - 1}")
    return points, corners


def _intrinsics(
    K: NDArray[np.floating],
) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32]:
    K = np.asarray(K, dtype=np.float64)
    if K.shape != (3, 3):
        raise ValueError(f"K is {K.shape}, not (3, 3)")
    return (
        np.float32(K[0, 0]),
        np.float32(K[0, 1]),
        np.float32(K[0, 2]),
        np.float32(K[1, 1]),
        np.float32(K[1, 2]),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _project(vertices, fx, skew, cx, fy, cy, projected):  # type: ignore[no-untyped-def]
    """(u, v, 1/z) per vertex; all 0 for one at or before the near plane, or not finite."""
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        inverse = np.float32(1.0) / z
        u = (fx * x + skew * y) * inverse + cx
        v = fy * y * inverse + cy
        if z > NEAR and np.isfinite(u) and np.isfinite(v):
            projected[i, 0], projected[i, 1], projected[i, 2] = u, v, inverse
        else:
            projected[i, :] = np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _rasterize(projected, faces, cull, depth, face_index, barycentric):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    depth[:] = np.float32(np.inf)
    face_index[:] = np.int32(-1)
    zero, one = np.float32(0.0), np.float32(1.0)
    columns, rows = np.float32(width), np.float32(height)
    for f in range(faces.shape[0]):
        # Unsigned indices spare the wrap-around test that negative ones need (a tenth faster).
        a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
        au, av, ai = projected[a, 0], projected[a, 1], projected[a, 2]
        bu, bv, bi = projected[b, 0], projected[b, 1], projected[b, 2]
        cu, cv, ci = projected[c, 0], projected[c, 1], projected[c, 2]
        area = (bu - au) * (cv - av) - (bv - av) * (cu - au)
        # Seen from outside, a counter-clockwise face has a negative area, for v points down.
        if (cull and area > zero) or not min(ai, bi, ci) > zero:
            continue
        left = min(max(min(au, bu, cu), zero), columns)
        top = min(max(min(av, bv, cv), zero), rows)
        x_first, y_first = np.uint32(left), np.uint32(top)
        if x_first < left:
            x_first += np.uint32(1)
        if y_first < top:
            y_first += np.uint32(1)
        x_stop = np.uint32(max(min(max(au, bu, cu) + one, columns), zero))
        y_stop = np.uint32(max(min(max(av, bv, cv) + one, rows), zero))
        if x_first >= x_stop or y_first >= y_stop:
            continue
        sign = -one if area > zero else one
        for y in range(y_first, y_stop):
            py = np.float32(y)
            ay, by, cy = av - py, bv - py, cv - py
            for x in range(x_first, x_stop):
                px = np.float32(x)
                ax, bx, cx = au - px, bu - px, cu - px
                wa = sign * (by * cx - bx * cy)
                wb = sign * (cy * ax - cx * ay)
                wc = sign * (ay * bx - ax * by)
                # One test of the least weight mispredicts less often than three.
                if min(wa, wb, wc) >= zero:
                    area = wa + wb + wc
                    # 1/z is linear on the image: each weight counts times its corner's 1/z.
                    wa, wb, wc = wa * ai, wb * bi, wc * ci
                    inverse = wa + wb + wc
                    # A triangle without area gives 0/0, which is never nearer.
                    z = area / inverse
                    if z < depth[y, x]:
                        depth[y, x] = z
                        face_index[y, x] = f
                        barycentric[y, x, 0] = wa / inverse
                        barycentric[y, x, 1] = wb / inverse


@njit(cache=True, nogil=True, error_model="numpy")
def _visibility(projected, faces, face_index, tolerance):  # type: ignore[no-untyped-def]
    height, width = face_index.shape
    visible = np.zeros(projected.shape[0], np.bool_)
    for i in range(projected.shape[0]):
        u, v, inverse = projected[i, 0], projected[i, 1], projected[i, 2]
        if not (inverse > 0 and u >= 0 and v >= 0 and u <= width - 1 and v <= height - 1):
            continue
        f = face_index[int(v + 0.5), int(u + 0.5)]
        if f < 0:
            continue
        a, b, c = projected[faces[f, 0]], projected[faces[f, 1]], projected[faces[f, 2]]
        wa = (b[0] - u) * (c[1] - v) - (b[1] - v) * (c[0] - u)
        wb = (c[0] - u) * (a[1] - v) - (c[1] - v) * (a[0] - u)
        wc = (a[0] - u) * (b[1] - v) - (a[1] - v) * (b[0] - u)
        surface = (wa * a[2] + wb * b[2] + wc * c[2]) / (wa + wb + wc)
        # The plane of a nearly edge-on face runs away outside it; the face itself does not.
        surface = min(max(surface, min(a[2], b[2], c[2])), max(a[2], b[2], c[2]))
        visible[i] = 1 / inverse <= 1 / surface + tolerance
    return visible


@njit(cache=True, nogil=True, error_model="numpy")
def _flow(face_index, barycentric, faces, before, after, fx, skew, cx, fy, cy, flow):  # type: ignore[no-untyped-def]
    height, width = face_index.shape
    for y in range(height):
        for x in range(width):
            f = face_index[y, x]
            flow[0, y, x] = flow[1, y, x] = np.float32(np.nan)
            if f < 0:
                continue
            wa, wb = barycentric[y, x, 0], barycentric[y, x, 1]
            wc = np.float32(1.0) - wa - wb
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            x0 = wa * before[a, 0] + wb * before[b, 0] + wc * before[c, 0]
            y0 = wa * before[a, 1] + wb * before[b, 1] + wc * before[c, 1]
            z0 = wa * before[a, 2] + wb * before[b, 2] + wc * before[c, 2]
            x1 = wa * after[a, 0] + wb * after[b, 0] + wc * after[c, 0]
            y1 = wa * after[a, 1] + wb * after[b, 1] + wc * after[c, 1]
            z1 = wa * after[a, 2] + wb * after[b, 2] + wc * after[c, 2]
            if z1 > NEAR:
                flow[0, y, x] = (fx * x1 + skew * y1) / z1 - (fx * x0 + skew * y0) / z0
                flow[1, y, x] = fy * y1 / z1 - fy * y0 / z0
