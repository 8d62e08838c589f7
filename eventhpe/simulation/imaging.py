"""From a rasterized mesh to the log intensity image, only inside a box of pixels.

Everything is float32 and compiled: these functions run some hundred times a simulated second.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventhpe.simulation.sensor import Box

Float32 = NDArray[np.float32]

NEAR = np.float32(0.05)
LN2 = np.float32(np.log(2.0))
# log2(1 + m) = m + m (1 - m) q(m) on 0..1: exact at both ends, so continuous over the octaves;
# q fitted by least squares at Chebyshev points, largest error 6e-6 octaves.
_NODES = 0.5 - 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 200)
_Q = np.polynomial.polynomial.polyfit(
    _NODES, (np.log2(1 + _NODES) - _NODES) / (_NODES * (1 - _NODES)), 5
).astype(np.float32)
Q0, Q1, Q2, Q3, Q4, Q5 = _Q


@njit(cache=True, nogil=True, error_model="numpy")
def vertex_shade(vertices, faces, light, ambient, shade):  # type: ignore[no-untyped-def]
    """Lambert shading: shade = ambient + (1 - ambient) max(0, n . light) with area-weighted
    vertex normals.

    Args:
        vertices: (V, 3) float32, faces counter-clockwise from outside.
        faces: (F, 3) int32.
        light: (3,) float32 unit vector towards the light.
        ambient: share of light from everywhere.
        shade: (V,) float32, written.
    """
    normal = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        vx, vy, vz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            normal[k, 0] += nx
            normal[k, 1] += ny
            normal[k, 2] += nz
    for i in range(vertices.shape[0]):
        nx, ny, nz = normal[i, 0], normal[i, 1], normal[i, 2]
        length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-20)
        cosine = (nx * light[0] + ny * light[1] + nz * light[2]) / length
        shade[i] = ambient + (np.float32(1.0) - ambient) * max(cosine, np.float32(0.0))


@njit(cache=True, nogil=True, error_model="numpy")
def project_mesh(vertices, fx, cx, fy, cy, width, height, pixels):  # type: ignore[no-untyped-def]
    """Project (V, 3) camera-frame vertices into ``pixels`` (V, 2) and return the box around them.

    Vertices nearer than `NEAR` are projected as if they lay there and do not count for the box.
    """
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for i in range(vertices.shape[0]):
        z = max(vertices[i, 2], NEAR)
        u, v = fx * vertices[i, 0] / z + cx, fy * vertices[i, 1] / z + cy
        pixels[i, 0], pixels[i, 1] = u, v
        if vertices[i, 2] > NEAR:
            left, top = min(left, u), min(top, v)
            right, bottom = max(right, u), max(bottom, v)
    if not (right > -1 and bottom > -1 and left < width and top < height):
        return (0, 0, 0, 0)
    x0, y0 = int(max(np.floor(left), 0)), int(max(np.floor(top), 0))
    x1, y1 = int(min(np.ceil(right) + 1, width)), int(min(np.ceil(bottom) + 1, height))
    return (x0, y0, x1, y1)


@njit(cache=True, nogil=True, error_model="numpy")
def compose(face_index, barycentric, faces, albedo, shade, background, box, image):  # type: ignore[no-untyped-def]
    """Paint the mesh over the background inside ``box``; ``image`` (H, W) is written there."""
    x0, y0, x1, y1 = box
    for y in range(y0, y1):
        for x in range(x0, x1):
            f = face_index[y, x]
            if f < 0:
                image[y, x] = background[y, x]
            else:
                wa, wb = barycentric[y, x, 0], barycentric[y, x, 1]
                light = (
                    wa * shade[faces[f, 0]]
                    + wb * shade[faces[f, 1]]
                    + (np.float32(1.0) - wa - wb) * shade[faces[f, 2]]
                )
                image[y, x] = albedo[f] * light


@njit(cache=True, nogil=True, error_model="numpy")
def lens_log(image, box, scratch, scratch_bits, out):  # type: ignore[no-untyped-def]
    """Blur with the binomial (1 2 1)/4 in both directions, then the natural log, inside ``box``.

    The lens's blur of about a pixel also smooths the hard edges that rasterizing leaves. Edges
    of the image repeat.

    Args:
        image: (H, W) positive intensities, valid one pixel beyond the box.
        box: pixels to write.
        scratch: (W + 2,) float32, ``scratch_bits`` the same memory as int32.
        out: (H, W) float32, written inside the box.
    """
    height, width = image.shape
    x0, y0, x1, y1 = box
    for y in range(y0, y1):
        above, below = image[max(y - 1, 0)], image[min(y + 1, height - 1)]
        here = image[y]
        left, right = max(x0 - 1, 0), min(x1 + 1, width)
        for x in range(left, right):
            scratch[x + 1] = above[x] + np.float32(2.0) * here[x] + below[x]
        if x0 == 0:
            scratch[0] = scratch[1]
        if x1 == width:
            scratch[width + 1] = scratch[width]
        row = out[y]
        for x in range(x0, x1):
            row[x] = np.float32(0.0625) * (
                scratch[x] + np.float32(2.0) * scratch[x + 1] + scratch[x + 2]
            )
        for x in range(x0, x1):
            scratch[x] = row[x]
        for x in range(x0, x1):
            bits = scratch_bits[x]
            m = np.float32(bits & 0x7FFFFF) * np.float32(1.0 / 8388608.0)
            q = Q0 + m * (Q1 + m * (Q2 + m * (Q3 + m * (Q4 + m * Q5))))
            octave = np.float32((bits >> 23) - 127)
            row[x] = LN2 * (octave + m + m * (np.float32(1.0) - m) * q)


class Imager:
    """Keeps the intensity and log images of one scene up to date, box by box.

    Args:
        background: (H, W) float32 positive intensities behind the person.

    Attributes:
        log_image: (H, W) float32 natural log of the blurred intensity.
    """

    def __init__(self, background: Float32) -> None:
        self.background = np.ascontiguousarray(background, dtype=np.float32)
        self.height, self.width = background.shape
        self._image = self.background.copy()
        self._scratch = np.empty(self.width + 2, np.float32)
        self._bits = self._scratch.view(np.int32)
        self.log_image = np.empty_like(self.background)
        lens_log(
            self._image,
            (0, 0, self.width, self.height),
            self._scratch,
            self._bits,
            self.log_image,
        )

    def update(
        self,
        face_index: NDArray[np.int32],
        barycentric: Float32,
        faces: NDArray[np.int32],
        albedo: Float32,
        shade: Float32,
        box: Box,
    ) -> Box:
        """Repaint ``box`` (where the mesh is or was); returns the box of changed log pixels."""
        compose(face_index, barycentric, faces, albedo, shade, self.background, box, self._image)
        changed = grow(box, 1, self.width, self.height)
        lens_log(self._image, changed, self._scratch, self._bits, self.log_image)
        return changed


def grow(box: Box, pixels: int, width: int, height: int) -> Box:
    """A box with a margin, inside the image; an empty box stays empty."""
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        return (0, 0, 0, 0)
    return (
        max(x0 - pixels, 0),
        max(y0 - pixels, 0),
        min(x1 + pixels, width),
        min(y1 + pixels, height),
    )


def union(a: Box, b: Box) -> Box:
    """The smallest box around two boxes; empty ones do not count."""
    if a[2] <= a[0] or a[3] <= a[1]:
        return b
    if b[2] <= b[0] or b[3] <= b[1]:
        return a
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
