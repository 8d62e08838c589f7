"""Lens models: how normalised image coordinates bend, and back.

``radtan`` is OpenCV's radial-tangential model (Brown 1966), ROS's ``plumb_bob``: k1, k2, p1, p2
and optionally k3. ``equidistant`` is Kannala and Brandt's (TPAMI 2006), OpenCV's ``fisheye``: the
angle t from the axis is seen at the radius t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8).

A fitted polynomial turns back somewhere; beyond that it means nothing, and points far outside the
picture would fold into it. `distort` holds such points at the turning point, `undistort` gives NaN.
"""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

COEFFICIENTS = {"radtan": (0, 4, 5), "equidistant": (4,)}
"""How many coefficients each model takes; none means no distortion."""

_NEWTON_STEPS = 30
_TANGENTIAL_STEPS = 12
_TOLERANCE = 1e-7  # of a normalised coordinate: a ten-thousandth of a pixel


def distort(xy: Float64, model: str, coefficients: tuple[float, ...]) -> Float64:
    """Normalised pinhole coordinates (..., 2) = (X / Z, Y / Z), Z > 0, to distorted ones."""
    if not coefficients:
        return xy
    series = _series(model, coefficients)
    r = np.hypot(xy[..., 0], xy[..., 1])
    if model == "equidistant":
        angle = np.minimum(np.arctan(r), _limit(series))
        return xy * _ratio(angle * _even(series, angle), r)[..., None]
    held = xy * np.minimum(1.0, _ratio(np.full_like(r, _limit(series)), r))[..., None]
    radial = _even(series, np.hypot(held[..., 0], held[..., 1]))
    return np.asarray(held * radial[..., None] + _tangential(held, coefficients))


def undistort(xy: Float64, model: str, coefficients: tuple[float, ...]) -> Float64:
    """The inverse of `distort`: (..., 2) to (..., 2), NaN where no ray is seen at a place."""
    if not coefficients:
        return xy
    series = _series(model, coefficients)
    if model == "equidistant":
        r = np.hypot(xy[..., 0], xy[..., 1])
        angle = _inverse(series, r)
        angle = np.where(angle < np.pi / 2, angle, np.nan)  # a pinhole sees no further
        return np.asarray(xy * _ratio(np.tan(angle), r)[..., None])
    ideal, target = xy, xy
    for _ in range(_TANGENTIAL_STEPS if any(coefficients[2:4]) else 1):
        target = xy - np.nan_to_num(_tangential(ideal, coefficients))
        r = np.hypot(target[..., 0], target[..., 1])
        ideal = target * _ratio(_inverse(series, r), r)[..., None]
    return np.asarray(ideal)


def _series(model: str, coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """Coefficients of r^2, r^4, ... in the model's radial polynomial."""
    return coefficients if model == "equidistant" else (*coefficients[:2], *coefficients[4:])


def _even(series: tuple[float, ...], r: Float64) -> Float64:
    """1 + s1 r^2 + s2 r^4 + ..."""
    return np.asarray(np.polynomial.polynomial.polyval(r * r, (1.0, *series)))


def _slopes(series: tuple[float, ...]) -> list[float]:
    """Coefficients in r^2 of the derivative of r (1 + s1 r^2 + ...)."""
    return [1.0, *((2 * k + 3) * s for k, s in enumerate(series))]


def _limit(series: tuple[float, ...]) -> float:
    """Where the polynomial first stops growing; infinity where it never does."""
    roots = np.roots(np.trim_zeros(_slopes(series), "b")[::-1])
    real = roots[np.abs(roots.imag) < 1e-12].real
    return float(np.sqrt(real[real > 0].min())) if (real > 0).any() else np.inf


def _inverse(series: tuple[float, ...], seen: Float64) -> Float64:
    """r with r (1 + s1 r^2 + ...) = seen, below the limit, by Newton's method; NaN if there is
    none."""
    limit, slopes = _limit(series), _slopes(series)
    r = np.minimum(seen, limit)
    for _ in range(_NEWTON_STEPS):
        slope = np.polynomial.polynomial.polyval(r * r, slopes)
        step = (r * _even(series, r) - seen) / np.maximum(slope, 1e-6)
        r = np.clip(r - step, 0.0, limit)
    return np.where(np.abs(r * _even(series, r) - seen) < _TOLERANCE, r, np.nan)


def _tangential(xy: Float64, coefficients: tuple[float, ...]) -> Float64:
    p1, p2 = coefficients[2:4]
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    return np.stack(
        [2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=-1
    )


def _ratio(above: Float64, below: Float64) -> Float64:
    """above / below, and 1 on the axis, where both vanish."""
    on_axis = below < 1e-12
    return np.asarray(np.where(on_axis, 1.0, above / np.where(on_axis, 1.0, below)))
