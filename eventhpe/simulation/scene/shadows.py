"""Shadows that a moving mesh casts on the planes of a room.

A vertex v and its shadow on a plane P lie on one line with the light L: the shadow is
(P . L) v - (P . v) L in homogeneous coordinates, for a lamp and for a direction alike
(Blinn 1988, "Me and my (fake) shadow"). With the camera behind it that is one 3x4 matrix from
vertices to pixels, and a shadow is the union of the triangles which face the light.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventhpe.simulation.imaging import NEAR, grow, union
from eventhpe.simulation.scene.room import Light, Room
from eventhpe.simulation.scene.views import View
from eventhpe.simulation.sensor import Box

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]


@njit(cache=True, nogil=True, error_model="numpy")
def cast(vertices, to_pixels, to_scale, pixels):  # type: ignore[no-untyped-def]
    """Fill (V, 2) pixels of the vertices' shadows and return the box of the image around them.

    Args:
        vertices: (V, 3) float32, camera frame.
        to_pixels: (3, 4) float32 to homogeneous pixels, whose last row is depth times scale.
        to_scale: (4,) float32 the scale; not above 0 for a vertex beyond the lamp.
        pixels: (V, 2) float32, written; NaN where there is no shadow before the camera.
    """
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        scale = to_scale[0] * x + to_scale[1] * y + to_scale[2] * z + to_scale[3]
        w = to_pixels[2, 0] * x + to_pixels[2, 1] * y + to_pixels[2, 2] * z + to_pixels[2, 3]
        if scale > np.float32(0.0) and w > NEAR * scale:
            one = np.float32(1.0) / w
            u = to_pixels[0, 0] * x + to_pixels[0, 1] * y + to_pixels[0, 2] * z + to_pixels[0, 3]
            v = to_pixels[1, 0] * x + to_pixels[1, 1] * y + to_pixels[1, 2] * z + to_pixels[1, 3]
            u, v = u * one, v * one
            pixels[i, 0], pixels[i, 1] = u, v
            left, top = min(left, u), min(top, v)
            right, bottom = max(right, u), max(bottom, v)
        else:
            pixels[i, 0] = pixels[i, 1] = np.float32(np.nan)
    return left, top, right, bottom


@njit(cache=True, nogil=True, error_model="numpy")
def fill(pixels, faces, plane_index, plane, box, mask):  # type: ignore[no-untyped-def]
    """Set (H, W) uint8 ``mask`` to 1 in the plane's pixels that a light-facing triangle covers.

    A plane is seen from the side its light comes from, so what faces the light keeps the turning
    sense of the rasterizer's front faces: a negative area, v pointing down.
    """
    zero, one = np.float32(0.0), np.float32(1.0)
    x_low, y_low = np.float32(box[0]), np.float32(box[1])
    x_high, y_high = np.float32(box[2] - 1), np.float32(box[3] - 1)
    for f in range(faces.shape[0]):
        a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
        au, av, bu, bv = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1]
        cu, cv = pixels[c, 0], pixels[c, 1]
        # NaN is not below zero either.
        if not (bu - au) * (cv - av) - (bv - av) * (cu - au) < zero:
            continue
        left, right = max(min(au, bu, cu), x_low), min(max(au, bu, cu), x_high)
        top, bottom = max(min(av, bv, cv), y_low), min(max(av, bv, cv), y_high)
        if not (left <= right and top <= bottom):
            continue
        x_first, y_first = np.uint32(left), np.uint32(top)
        if x_first < left:
            x_first += np.uint32(1)
        if y_first < top:
            y_first += np.uint32(1)
        x_stop, y_stop = np.uint32(right + one), np.uint32(bottom + one)
        for y in range(y_first, y_stop):
            py = np.float32(y)
            ay, by, cy = av - py, bv - py, cv - py
            for x in range(x_first, x_stop):
                if mask[y, x] != 0 or plane_index[y, x] != plane:
                    continue
                px = np.float32(x)
                ax, bx, cx = au - px, bu - px, cu - px
                least = min(by * cx - bx * cy, cy * ax - cx * ay, ay * bx - ax * by)
                if least >= zero:
                    mask[y, x] = np.uint8(1)


@njit(cache=True, nogil=True, error_model="numpy")
def soften(mask, darkness, box, scratch, attenuation):  # type: ignore[no-untyped-def]
    """Inside ``box``: attenuation = 1 - darkness * (mean of the mask over 3 x 3 pixels)."""
    height, width = mask.shape
    x0, y0, x1, y1 = box
    ninth = np.float32(1.0 / 9.0)
    for y in range(y0, y1):
        above, here, below = mask[max(y - 1, 0)], mask[y], mask[min(y + 1, height - 1)]
        left, right = max(x0 - 1, 0), min(x1 + 1, width)
        for x in range(left, right):
            scratch[x + 1] = above[x] + here[x] + below[x]
        if x0 == 0:
            scratch[0] = scratch[1]
        if x1 == width:
            scratch[width + 1] = scratch[width]
        row, dark = attenuation[y], darkness[y]
        for x in range(x0, x1):
            count = np.float32(scratch[x] + scratch[x + 1] + scratch[x + 2])
            row[x] = np.float32(1.0) - dark[x] * count * ninth


class Shadow:
    """Keeps the image of a moving mesh's shadow up to date, box by box.

    Args:
        view: the camera.
        room: its planes and how much of their light is the source's.
        light: the source.
        strength: 1 for a small source; less where its light is partly spread.

    Attributes:
        mask: (H, W) uint8, 1 where a plane's light is blocked.
        attenuation: (H, W) float32 factor of the background's intensities, 1 outside shadows.
    """

    def __init__(self, view: View, room: Room, light: Light, strength: float = 1.0) -> None:
        self._size = view.width, view.height
        self._plane_index = room.plane_index
        self._darkness = room.direct_share * np.float32(strength)
        self._planes = []
        for i, plane in enumerate(room.planes):
            lit = (room.plane_index == i) & (room.direct_share > 0)
            if lit.any():
                shadow = shadow_matrix(view, plane.normal, plane.offset, light.source)
                to_pixels = (view.K @ shadow[:3]).astype(np.float32)
                self._planes.append((i, to_pixels, shadow[3].astype(np.float32), box_of(lit)))
        self.mask = np.zeros((view.height, view.width), np.uint8)
        self.attenuation = np.ones((view.height, view.width), np.float32)
        self._scratch = np.empty(view.width + 2, np.uint8)
        self._box: Box = (0, 0, 0, 0)

    def update(self, vertices: Float32, faces: NDArray[np.int32]) -> Box:
        """Draw the shadow of a mesh in place of the one before.

        Args:
            vertices: (V, 3) float32, camera frame.
            faces: (F, 3) int32, counter-clockwise from outside.

        Returns:
            The box of pixels where ``attenuation`` may have changed.
        """
        before = self._box
        x0, y0, x1, y1 = before
        self.mask[y0:y1, x0:x1] = 0
        self._box = (0, 0, 0, 0)
        pixels = np.empty((len(vertices), 2), np.float32)
        for index, to_pixels, to_scale, lit in self._planes:
            box = clipped(cast(vertices, to_pixels, to_scale, pixels), lit)
            if box[2] > box[0]:
                fill(pixels, faces, self._plane_index, index, box, self.mask)
                self._box = union(self._box, box)
        changed = grow(union(before, self._box), 1, *self._size)
        soften(self.mask, self._darkness, changed, self._scratch, self.attenuation)
        return changed


def shadow_matrix(view: View, normal: Array, offset: float, source: Array) -> Array:
    """(4, 4) from camera-frame points (x, y, z, 1) to their homogeneous shadows in that frame.

    Args:
        view: the camera.
        normal, offset: the plane n . x = offset in the world.
        source: (4,) homogeneous light in the world, in front of the plane.
    """
    n = view.R @ normal
    plane = np.append(n, normal @ view.centre - offset)
    light = np.append(view.R @ (source[:3] - source[3] * view.centre), source[3])
    return (plane @ light) * np.eye(4) - np.outer(light, plane)


def box_of(mask: NDArray[np.bool_]) -> Box:
    """The smallest box around the pixels of an (H, W) mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def clipped(edges: tuple[float, float, float, float], box: Box) -> Box:
    """The box's pixels inside left, top, right, bottom edges; all 0 when there are none."""
    left, top, right, bottom = edges
    x0, y0, x1, y1 = box
    if not (right >= x0 and bottom >= y0 and left <= x1 - 1 and top <= y1 - 1):
        return (0, 0, 0, 0)
    x0, y0 = int(max(np.ceil(left), x0)), int(max(np.ceil(top), y0))
    x1, y1 = int(min(np.floor(right) + 1, x1)), int(min(np.floor(bottom) + 1, y1))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else (0, 0, 0, 0)
