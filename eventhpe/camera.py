"""Pinhole cameras with lens distortion, square crops, and the code a network gives a place by.

Convention: camera frame x right, y down, z forward, metres; pixel (0, 0) has its centre at
(0.0, 0.0). ``K`` is upper-triangular: focal lengths, skew and principal point in pixels.
`project` and the methods of `Crop` take numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import rq
from torch import Tensor

from eventhpe.lens import COEFFICIENTS, distort, undistort

Float64 = NDArray[np.float64]
Array = TypeVar("Array", NDArray[Any], Tensor)


def project(points: Array, K: Array) -> Array:
    """Pinhole projection without distortion.

    Args:
        points: (..., 3) in the camera frame. Points at z <= 0 have no meaningful pixel.
        K: (3, 3); or (..., 3, 3) for points (..., N, 3). Array and dtype kind as ``points``.

    Returns:
        (..., 2) pixels, u right and v down.
    """
    centre = K[..., :2, 2] if K.ndim == 2 else K[..., None, :2, 2]
    return points[..., :2] / points[..., 2:] @ K[..., :2, :2].swapaxes(-1, -2) + centre


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera: x_camera = R x_world + t, then distortion, then K.

    Attributes:
        K: (3, 3) float64 upper-triangular, pixels.
        width, height: image size in pixels.
        R, t: (3, 3) and (3,) float64, world to camera, metres.
        distortion: the lens's coefficients: k1, k2, p1, p2[, k3] or none of ``radtan``,
            k1, k2, k3, k4 of ``equidistant``.
        model: the lens's model, see `eventhpe.lens`.
        world_up: (3,) the world's upward direction; None where it is not known.
        imu: (3, 3) turns vectors of an IMU's frame into that of this camera as it stood, before
            `reoriented`; None where it is not known.
        axes: (3, 3) what `reoriented` has turned the camera by; the identity as it stood.
    """

    K: Float64
    width: int
    height: int
    R: Float64 = field(default_factory=lambda: np.eye(3))
    t: Float64 = field(default_factory=lambda: np.zeros(3))
    distortion: tuple[float, ...] = ()
    model: str = "radtan"
    world_up: Float64 | None = None
    imu: Float64 | None = None
    axes: Float64 = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        for name, shape in (("K", (3, 3)), ("R", (3, 3)), ("t", (3,))):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != shape:
                raise ValueError(f"{name} is {value.shape}, not {shape}")
            object.__setattr__(self, name, value)
        if self.model not in COEFFICIENTS:
            raise ValueError(f"lens model {self.model!r} is none of {', '.join(COEFFICIENTS)}")
        allowed, count = COEFFICIENTS[self.model], len(self.distortion)
        if count not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise ValueError(f"distortion has {count} coefficients, {self.model} {wanted}")

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_degrees: float = 55.0) -> Camera:
        """Square pixels, principal point in the middle; the field of view spans pixel edges."""
        f = width / 2 / np.tan(np.radians(horizontal_degrees) / 2)
        K = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])
        return cls(K, width, height)

    def to_camera(self, points: Float64) -> Float64:
        """World points (..., 3) in the camera frame."""
        return points @ self.R.T + self.t

    @property
    def bends(self) -> bool:
        """Whether the lens shows anything elsewhere than a pinhole would."""
        return self.model == "equidistant" or any(self.distortion)

    def project(self, points: Float64) -> Float64:
        """Camera-frame points (..., 3), z > 0, to pixels (..., 2), through this camera's lens."""
        if not self.bends:
            return project(points, self.K)
        normalised = distort(points[..., :2] / points[..., 2:], self.model, self.distortion)
        return normalised @ self.K[:2, :2].T + self.K[:2, 2]

    def undistort_points(self, uv: Float64) -> Float64:
        """Pixels (..., 2) of this camera to those of the same camera without its lens's bending.

        NaN where the lens shows nothing, or rays at right angles to the axis and beyond.
        """
        return self._through(undistort, uv)

    def distort_points(self, uv: Float64) -> Float64:
        """The inverse of `undistort_points`; places beyond the lens's sight stay at its edge."""
        return self._through(distort, uv)

    def _through(
        self, lens: Callable[[Float64, str, tuple[float, ...]], Float64], uv: Float64
    ) -> Float64:
        if not self.bends:
            return uv
        A, centre = self.K[:2, :2], self.K[:2, 2]
        normalised = (uv - centre) @ np.linalg.inv(A).T
        return lens(normalised, self.model, self.distortion) @ A.T + centre

    def reoriented(self, rotate: int = 0, flip_x: bool = False, flip_y: bool = False) -> Camera:
        """The camera of this camera's images turned clockwise by ``rotate``, then mirrored.

        Pixels map centre to centre: turning by 90 degrees sends (u, v) to (height-1-v, u), a
        mirror in x sends u to width-1-u. R and t turn along, so world points keep projecting to
        the same image content; a single mirror makes R a reflection, because no motion of a
        camera mirrors its image.

        Raises:
            ValueError: ``rotate`` is not 0, 90, 180 or 270.
        """
        if rotate not in (0, 90, 180, 270):
            raise ValueError(f"rotate is {rotate}, not 0, 90, 180 or 270")
        Q, offset = np.eye(2), np.zeros(2)
        width, height = self.width, self.height
        for _ in range(rotate // 90):
            turn = np.array([[0.0, -1.0], [1.0, 0.0]])
            Q, offset = turn @ Q, turn @ offset + [height - 1, 0]
            width, height = height, width
        mirror = np.diag([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0])
        Q = mirror @ Q
        offset = mirror @ offset + [(width - 1) * flip_x, (height - 1) * flip_y]
        # The axes turn with the image; with skew a small turn more makes K triangular again.
        A = Q @ self.K[:2, :2] @ Q.T
        sine, cosine = A[1] / np.hypot(*A[1])
        extra = np.array([[cosine, -sine], [sine, cosine]])
        K, axes = np.eye(3), np.eye(3)
        K[:2, :2] = A @ extra.T
        K[:2, 2] = Q @ self.K[:2, 2] + offset
        axes[:2, :2] = extra @ Q
        distortion = self.distortion
        if self.model == "radtan" and distortion:
            # The tangential term is r^2 q + 2 (q.x) x with q = (p2, p1): q turns as a vector.
            k1, k2, p1, p2, *k3 = distortion
            p2, p1 = axes[:2, :2] @ [p2, p1]
            distortion = (k1, k2, float(p1), float(p2), *k3)
        return replace(
            self,
            K=K,
            width=width,
            height=height,
            R=axes @ self.R,
            t=axes @ self.t,
            distortion=distortion,
            axes=axes @ self.axes,
        )


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the sensor resized to ``size`` x ``size`` pixels.

    Pixel c of the sensor lies at c' = (c - x0 + 0.5) s - 0.5 in the crop, s = size / side:
    pixel *edges* scale, so the edge at x0 - 0.5 becomes the edge at -0.5.

    Attributes:
        x0, y0: first pixel (its index; may be fractional or negative).
        side: pixels of the sensor covered.
        size: pixels of the crop.
    """

    x0: float
    y0: float
    side: float
    size: int

    @property
    def scale(self) -> float:
        """Crop pixels per sensor pixel."""
        return self.size / self.side

    @property
    def centre(self) -> tuple[float, float]:
        """The box's middle (bx, by) in sensor pixel coordinates."""
        return self.x0 + (self.side - 1) / 2, self.y0 + (self.side - 1) / 2

    def to_crop(self, uv: Array) -> Array:
        """Sensor pixels (..., 2) to crop pixels."""
        return (uv - self._origin(uv)) * self.scale - 0.5

    def from_crop(self, uv: Array) -> Array:
        """Crop pixels (..., 2) to sensor pixels."""
        return (uv + 0.5) / self.scale + self._origin(uv)

    def contains(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
        """Which sensor pixels (N,), (N,) the box covers: [x0, x0 + side) on both axes."""
        across, down = x - self.x0, y - self.y0
        inside = (across >= 0) & (across < self.side) & (down >= 0) & (down < self.side)
        return np.asarray(inside)

    def intrinsics(self, K: Array) -> Array:
        """The (..., 3, 3) intrinsics of the crop: f' = s f, c' = (c - x0 + 0.5) s - 0.5."""
        cropped = K.clone() if isinstance(K, Tensor) else K.copy()
        cropped[..., :2, :2] = K[..., :2, :2] * self.scale
        cropped[..., :2, 2] = self.to_crop(K[..., :2, 2])
        return cropped

    def _origin(self, like: Array) -> Array:
        edge = (self.x0 - 0.5, self.y0 - 0.5)
        return like.new_tensor(edge) if isinstance(like, Tensor) else np.asarray(edge)


def decode_translation(
    sigma: Tensor,
    tx: Tensor,
    ty: Tensor,
    focal: Tensor,
    centre: Tensor,
    side: Tensor,
    principal: Tensor,
) -> Tensor:
    """Pelvis position from a network's code for a square region (after CLIFF, Li et al. 2022).

    z = 2 fx / (sigma b), X = tx + (bx - cx) z / fx, Y = ty + (by - cy) z / fy. Everything is in
    pixels of the sensor, not of the crop. Skew is left out: it only moves the anchor of tx.

    Args:
        sigma, tx, ty: (...); sigma > 0, tx and ty in metres.
        focal, centre, principal: (..., 2) as (fx, fy), (bx, by), (cx, cy).
        side: (...) the region's side b.

    Returns:
        (..., 3) pelvis in the camera frame, metres. SMPL's transl is this minus J0(betas).
    """
    z = 2 * focal[..., 0] / (sigma * side)
    anchor = (centre - principal) / focal * z[..., None]
    return torch.stack([tx + anchor[..., 0], ty + anchor[..., 1], z], dim=-1)


def encode_translation(
    pelvis: Tensor, focal: Tensor, centre: Tensor, side: Tensor, principal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of `decode_translation`: pelvis (..., 3) to (sigma, tx, ty)."""
    z = pelvis[..., 2]
    sigma = 2 * focal[..., 0] / (z * side)
    offset = pelvis[..., :2] - (centre - principal) / focal * z[..., None]
    return sigma, offset[..., 0], offset[..., 1]


def region_features(focal: Tensor, centre: Tensor, side: Tensor, principal: Tensor) -> Tensor:
    """Where a crop stands: (..., 3) of (bx - cx)/fx, (by - cy)/fy, b/fx; what a crop hides."""
    place = (centre - principal) / focal
    return torch.cat([place, (side / focal[..., 0])[..., None]], dim=-1)


_P1, _P2, _P3, _P4 = (
    np.array(rows)
    for rows in (
        [
            [-0.06506658794292798, 0.10280371611880136, -0.02991671991993662, 226.32713855489936],
            [-0.07982530276208322, -0.005739210846646318, 0.08041816785398746, 19.108805492245697],
            [-0.0002985130992924634, -2.6319147339609605e-05, -0.00016321114926096114, 1.0],
        ],
        [
            [0.04504472931694892, 0.09380784662930192, -0.014391922975556649, 160.94826518059733],
            [-0.0369902927897163, 0.047861798931755, 0.08092164901391627, 43.386977678106064],
            [-0.0001639806790971754, 0.00019276984391487437, -7.910054207826804e-05, 1.0],
        ],
        [
            [0.09385359589564321, -0.03211491168723093, -0.02381457697985833, 171.9239972226072],
            [0.04888594811112287, 0.04378180959764298, 0.07345563524481341, 52.69097143832967],
            [0.0001649830265849639, 0.00019099866454787284, -0.00010198764454588324, 1.0],
        ],
        [
            [0.05547159207521162, -0.099648113038456, -0.03531374152052813, 195.34742544632326],
            [0.08271149398364297, 0.0017698764732507197, 0.07409964275720979, 32.111135629052015],
            [0.0002786441186927585, 2.790850290513517e-05, -0.00016420305584222833, 1.0],
        ],
    )
)
DHP19_MATRICES: dict[int, Float64] = {0: _P4, 1: _P1, 2: _P3, 3: _P2}
"""DHP19's projection matrices by camera channel: world millimetres to (column, 260 - row)."""


def dhp19_camera(channel: int) -> Camera:
    """A DHP19 camera (Calabrese 2019) in metres, its image y turned down and R right-handed.

    Factors F P = scale K [R | t] by RQ decomposition (Hartley & Zisserman 2004, 6.2.4), with F
    the flip row = 260 - v. K keeps its skew (up to 6.4 px); the set has no distortion model.

    Raises:
        ValueError: no such channel.
    """
    if channel not in DHP19_MATRICES:
        raise ValueError(f"DHP19 has camera channels 0, 1, 2, 3; not {channel}")
    flip = np.array([[1.0, 0, 0], [0, -1, 260], [0, 0, 1]])
    P = flip @ DHP19_MATRICES[channel]
    P = P * np.sign(np.linalg.det(P[:, :3]))
    K, R = rq(P[:, :3])
    signs = np.diag(np.sign(np.diag(K)))
    K, R = K @ signs, signs @ R
    t = np.linalg.solve(K, P[:, 3]) / 1000
    return Camera(K / K[2, 2], 346, 260, R, t)
