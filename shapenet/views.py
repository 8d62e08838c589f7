"""What a crop shows of a body: where its points lie, and which of its vertices can be seen."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from torch import Tensor

from eventhpe.body.model import Body
from eventhpe.camera import Crop
from eventhpe.rasterizer import Buffers, four_neighbours_on_body, rasterize, vertex_visibility

VOTERS = 500  # vertices that speak for a whole body: one in 1.5 pixels of a 64-pixel crop
NEAREST_M = 0.3  # points nearer are projected from there: no division by nearly zero


class Seen(NamedTuple):
    """What the crops see of chosen vertices, both (N, K) bool.

    Attributes:
        voters: visible, and on the body with all four pixels that bilinear sampling reads.
        outline: visible, and within a pixel and a half of the silhouette's border.
    """

    voters: NDArray[np.bool_]
    outline: NDArray[np.bool_]


def spread_vertices(body: Body, count: int = VOTERS) -> NDArray[np.int64]:
    """Choose vertices that lie evenly over a body's surface, the same ones every time.

    Farthest-point sampling (Gonzalez 1985) of the rest mesh, begun at vertex 0.

    Returns:
        (count,) rows of the body's vertices.
    """
    points = body.smpl.v_template.detach().cpu().numpy()
    chosen = np.zeros(min(count, len(points)), np.int64)
    nearest = np.full(len(points), np.inf)
    for k in range(1, len(chosen)):
        distance = np.square(points - points[chosen[k - 1]]).sum(axis=1)
        nearest = np.minimum(nearest, distance)
        chosen[k] = nearest.argmax()
    return chosen


def crop_points(points: Tensor, intrinsics: Tensor, region: Tensor, size: int) -> Tensor:
    """Project points into a crop, as `eventhpe.camera.Crop` maps pixels.

    Args:
        points: (N, V, 3) camera frame, metres.
        intrinsics: (N, 4) fx, fy, cx, cy of the sensor, pixels.
        region: (N, 3) centre column, centre row and side of the crop, sensor pixels.
        size: side S of the crop's grid.

    Returns:
        (N, V, 2) pixels of the S x S crop, centres at integers; not clamped to the crop.
    """
    depth = points[..., 2:].clamp(min=NEAREST_M)
    pixels = points[..., :2] / depth * intrinsics[:, None, :2] + intrinsics[:, None, 2:]
    scale = size / region[:, None, 2:]
    return (pixels - region[:, None, :2]) * scale + (size - 1) / 2


def sample(images: Tensor, points: Tensor) -> Tensor:
    """Read images (N, C, S, S) bilinearly at pixels (N, V, 2): (N, V, C), 0 outside.

    Where it is read is not learned: the slope of an image between its pixels is noise.
    """
    side = images.shape[-1]
    grid = (points.detach() * (2.0 / (side - 1)) - 1.0)[:, :, None]
    read = torch.nn.functional.grid_sample(images, grid.to(images.dtype), align_corners=True)
    return read[..., 0].transpose(1, 2)


def seen_vertices(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    intrinsics: NDArray[np.floating],
    region: NDArray[np.floating],
    size: int,
    indices: NDArray[np.integer],
) -> Seen:
    """Which of the chosen vertices each step's crop sees.

    Args:
        vertices: (N, V, 3) whole meshes, camera frame, metres. For coherence those at the
            beginning of the step.
        faces: (F, 3).
        intrinsics, region, size: as in `crop_points`.
        indices: (K,) the chosen rows of ``vertices``.
    """
    shape = (len(vertices), len(indices))
    voters, outline = np.zeros(shape, bool), np.zeros(shape, bool)
    buffers = Buffers.allocate(size, size)
    for n, mesh in enumerate(vertices):
        K = _crop_intrinsics(intrinsics[n], region[n], size)
        rasterize(mesh, faces, K, size, size, cull_backfaces=True, out=buffers)
        visible = vertex_visibility(mesh, faces, K, size, size, buffers)[indices]
        points = mesh[indices].astype(np.float64)
        depth = np.where(visible, points[:, 2], 1.0)[:, None]
        uv = points[:, :2] / depth * K[[0, 1], [0, 1]] + K[:2, 2]
        voters[n] = visible & four_neighbours_on_body(uv, buffers.face_index)
        body = buffers.silhouette
        # The crop's own border is none of the silhouette's: a limb may go on beyond it.
        border = body & ~binary_erosion(body, np.ones((3, 3)), border_value=1)
        nearest = np.rint(np.where(visible[:, None], uv, 0)).astype(int)
        outline[n] = visible & border[nearest[:, 1], nearest[:, 0]]
    return Seen(voters, outline)


def _crop_intrinsics(
    intrinsics: NDArray[np.floating], region: NDArray[np.floating], size: int
) -> NDArray[np.float64]:
    fx, fy, cx, cy = (float(value) for value in intrinsics)
    column, row, side = (float(value) for value in region)
    crop = Crop(column - (side - 1) / 2, row - (side - 1) / 2, side, size)
    return crop.intrinsics(np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))
