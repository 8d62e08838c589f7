"""From a rasterized mesh to the log intensity image, only inside a box of pixels.

Everything is float32 and compiled: these functions run some hundred times a simulated second.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventhpe.simulation.lens import Lens
from eventhpe.simulation.sensor import NO_SURFACE, Box

Float32 = NDArray[np.float32]

NEAR = np.float32(0.05)


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
def project_mesh(vertices, fx, skew, cx, fy, cy, width, height, pixels):  # type: ignore[no-untyped-def]
    """Project (V, 3) camera-frame vertices into ``pixels`` (V, 2) and return the box around them.

    Vertices nearer than `NEAR` are projected as if they lay there and do not count for the box.
    """
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for i in range(vertices.shape[0]):
        z = max(vertices[i, 2], NEAR)
        v = fy * vertices[i, 1] / z
        u, v = (fx * vertices[i, 0] + skew * vertices[i, 1]) / z + cx, v + cy
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
def compose(  # type: ignore[no-untyped-def]
    face_index, barycentric, faces, albedo, shade, background, lit, occluder, box, image, surface
):
    """Paint the mesh over the background, inside ``box``.

    Args:
        face_index, barycentric: what the rasterizer drew (see `eventhpe.rasterizer.Buffers`).
        faces: (F, 3) int32; albedo: (F,), shade: (V,) float32.
        background: (H, W) float32 intensities; lit: (H, W) float32 share of light that a cast
            shadow leaves them.
        occluder: (H, W) bool where the background stands before the mesh.
        box: pixels to write.
        image: (H, W) float32 intensities, written.
        surface: (H, W) uint16 the face seen or `NO_SURFACE`, written.
    """
    x0, y0, x1, y1 = box
    one = np.float32(1.0)
    for y in range(y0, y1):
        # Views of the box's row: their indices start at 0, so there is no test for negative ones.
        seen, place = face_index[y, x0:x1], background[y, x0:x1]
        light, hidden = lit[y, x0:x1], occluder[y, x0:x1]
        painted, shown = image[y, x0:x1], surface[y, x0:x1]
        for x in range(len(painted)):
            f = seen[x]
            if f < 0 or hidden[x]:
                painted[x] = place[x] * light[x]
                shown[x] = NO_SURFACE
            else:
                wa, wb = barycentric[y, x0 + x, 0], barycentric[y, x0 + x, 1]
                a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
                shaded = wa * shade[a] + wb * shade[b] + (one - wa - wb) * shade[c]
                painted[x] = albedo[f] * shaded
                shown[x] = f


class Imager:
    """Keeps the intensity and log images of one scene up to date, box by box.

    Args:
        background: (H, W) float32 positive intensities of the place.
        occluder: (H, W) bool where the place hides the mesh.
        blur_px: standard deviation of the lens's blur, pixels.

    Attributes:
        log_image: (H, W) float32 natural log of the blurred intensity.
        surface: (H, W) uint16 the mesh's face seen at each pixel, or `NO_SURFACE`.
        lit: (H, W) float32 share of light that shadows leave the background.
    """

    def __init__(self, background: Float32, occluder: NDArray[np.bool_], blur_px: float) -> None:
        self.height, self.width = background.shape
        self._background = np.ascontiguousarray(background, dtype=np.float32)
        self._occluder = np.ascontiguousarray(occluder)
        self._image = self._background.copy()
        self._lens = Lens(blur_px, self.width, self.height)
        self.surface = np.full(background.shape, NO_SURFACE, np.uint16)
        self.lit = np.ones_like(self._background)
        self.log_image = np.empty_like(self._background)
        self._lens.log(self._image, (0, 0, self.width, self.height), self.log_image)

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
        behind = (self._background, self.lit, self._occluder)
        mesh = (face_index, barycentric, faces, albedo, shade)
        compose(*mesh, *behind, box, self._image, self.surface)
        changed = grow(box, self._lens.radius, self.width, self.height)
        self._lens.log(self._image, changed, self.log_image)
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
