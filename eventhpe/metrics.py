"""Accuracy of poses, meshes and optical flow.

Convention: positions come in metres, (T, J, 3) for T frames; distances go out in millimetres.
The joint metrics give one figure per frame, (T,), so a table can pool or split them as it
needs; a frame whose truth or prediction holds a NaN gives NaN. Each docstring names its alignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]

SMPL_HIPS = (1, 2)
NECK, HEAD = 12, 15
AUC_THRESHOLDS_MM = np.arange(0, 151, 5)
"""Mehta 2017 (MPI-INF-3DHP) averages 3DPCK over these."""


def _distances(pred: Float, truth: Float) -> Float:
    """(T, J) millimetres between points (T, J, 3)."""
    if pred.shape != truth.shape or pred.ndim != 3 or pred.shape[2] != 3:
        raise ValueError(f"pred {pred.shape} and truth {truth.shape} must both be (T, J, 3)")
    return np.asarray(1000 * np.linalg.norm(pred - truth, axis=2))


def _hips_centred(joints: Float, hips: tuple[int, int]) -> Float:
    return np.asarray(joints - joints[:, list(hips)].mean(axis=1, keepdims=True))


def mpjpe(pred: Float, truth: Float) -> Float:
    """Mean joint distance per frame, mm. Alignment: none (camera space)."""
    return np.asarray(_distances(pred, truth).mean(axis=1))


def pel_mpjpe(pred: Float, truth: Float, hips: tuple[int, int] = SMPL_HIPS) -> Float:
    """Mean joint distance per frame, mm. Alignment: the midpoint of ``hips`` at the origin."""
    return mpjpe(_hips_centred(pred, hips), _hips_centred(truth, hips))


@dataclass(frozen=True, slots=True)
class Similarity:
    """x -> scale R x + t for each of T frames: scale (T,), R (T, 3, 3), t (T, 3)."""

    scale: Float
    R: Float
    t: Float

    def apply(self, points: Float) -> Float:
        """Move points (T, N, 3)."""
        turned = points @ self.R.swapaxes(1, 2)
        return np.asarray(self.scale[:, None, None] * turned + self.t[:, None])


def procrustes(pred: Float, truth: Float) -> Similarity:
    """The least-squares similarity from pred to truth (T, J, 3), frame by frame.

    Umeyama 1991, eq. 40-42; reflections are excluded. Frames that are not finite give NaN, and
    so do predictions whose joints all coincide.
    """
    _distances(pred, truth)  # checks the shapes
    frames = len(pred)
    usable = np.isfinite(pred).all(axis=(1, 2)) & np.isfinite(truth).all(axis=(1, 2))
    scale, R, t = (np.full((frames, *shape), np.nan) for shape in ((), (3, 3), (3,)))
    p, q = pred[usable].astype(np.float64), truth[usable].astype(np.float64)
    p_mean, q_mean = p.mean(axis=1), q.mean(axis=1)
    p, q = p - p_mean[:, None], q - q_mean[:, None]
    U, singular, Vt = np.linalg.svd(q.swapaxes(1, 2) @ p)
    guard = np.ones_like(singular)
    guard[:, 2] = np.sign(np.linalg.det(U) * np.linalg.det(Vt))
    spread = (p**2).sum(axis=(1, 2))
    R[usable] = (U * guard[:, None]) @ Vt
    scale[usable] = np.divide(
        (singular * guard).sum(axis=1), spread, out=np.full(len(p), np.nan), where=spread > 0
    )
    turned = np.einsum("tij,tj->ti", R[usable], p_mean)
    t[usable] = q_mean - scale[usable, None] * turned
    return Similarity(scale, R, t)


def procrustes_align(pred: Float, truth: Float) -> Float:
    """pred (T, J, 3) moved onto truth by `procrustes`, metres."""
    return procrustes(pred, truth).apply(pred)


def pa_mpjpe(pred: Float, truth: Float) -> Float:
    """Mean joint distance per frame, mm. Alignment: similarity Procrustes with scale."""
    return mpjpe(procrustes_align(pred, truth), truth)


def pve(
    pred_vertices: Float, truth_vertices: Float, pred_joints: Float, truth_joints: Float
) -> Float:
    """Mean vertex distance per frame, mm. Alignment: the pelvis (joint 0) at the origin."""
    return mpjpe(pred_vertices - pred_joints[:, :1], truth_vertices - truth_joints[:, :1])


def pa_pve(
    pred_vertices: Float, truth_vertices: Float, pred_joints: Float, truth_joints: Float
) -> Float:
    """Mean vertex distance per frame, mm. Alignment: the similarity Procrustes of the *joints*
    (what EventHPE, Zou 2021, calls PVE)."""
    return mpjpe(procrustes(pred_joints, truth_joints).apply(pred_vertices), truth_vertices)


def pck(
    pred: Float, truth: Float, threshold_mm: float = 100.0, hips: tuple[int, int] = SMPL_HIPS
) -> Float:
    """Fraction of joints nearer than the threshold, per frame. Alignment: as `pel_mpjpe`.

    With 150 mm this is 3DPCK.
    """
    return _fraction_within(pred, truth, np.full(len(pred), threshold_mm), hips)


def pckh(pred: Float, truth: Float) -> Float:
    """PCKh@0.5 of EventHPE (Zou 2021): fraction of the 24 SMPL joints nearer than the truth's
    neck-head distance |joint 12 - joint 15| (half a head), per frame. Alignment: as `pel_mpjpe`.
    """
    half_head = 1000 * np.linalg.norm(truth[:, NECK] - truth[:, HEAD], axis=1)
    return _fraction_within(pred, truth, half_head, SMPL_HIPS)


def pck3d_auc(pred: Float, truth: Float, hips: tuple[int, int] = SMPL_HIPS) -> Float:
    """Mean of `pck` over `AUC_THRESHOLDS_MM`, per frame. Alignment: as `pel_mpjpe`."""
    curve = [pck(pred, truth, float(threshold), hips) for threshold in AUC_THRESHOLDS_MM]
    return np.asarray(np.mean(curve, axis=0))


def _fraction_within(
    pred: Float, truth: Float, threshold_mm: Float, hips: tuple[int, int]
) -> Float:
    distances = _distances(_hips_centred(pred, hips), _hips_centred(truth, hips))
    fraction = (distances < threshold_mm[:, None]).mean(axis=1)
    return np.where(np.isnan(distances).any(axis=1), np.nan, fraction)


def acceleration_error(pred: Float, truth: Float, fps: float) -> Float:
    """Mean over joints of |acceleration difference|, m/s^2, for the T-2 inner frames.

    Second differences of camera-space joints, no alignment. Call it once per recording: across
    a recording's border the difference means nothing.
    """
    return mpjpe(np.diff(pred, n=2, axis=0), np.diff(truth, n=2, axis=0)) * fps**2 / 1000


@dataclass(frozen=True, slots=True)
class FlowSums:
    """Flow errors summed over pixels; add those of several windows to pool them."""

    error: float = 0.0
    outliers: int = 0
    pixels: int = 0

    def __add__(self, other: FlowSums) -> FlowSums:
        return FlowSums(
            self.error + other.error, self.outliers + other.outliers, self.pixels + other.pixels
        )

    @property
    def aee(self) -> float:
        """Average endpoint error, pixels; NaN without pixels."""
        return self.error / self.pixels if self.pixels else float("nan")

    @property
    def outlier_percent(self) -> float:
        """Percent of pixels off by more than 3 px and 5% of the truth's length (KITTI 2015)."""
        return 100 * self.outliers / self.pixels if self.pixels else float("nan")


def flow_sums(pred: Float, truth: Float, mask: NDArray[np.bool_]) -> FlowSums:
    """Errors over the pixels of ``mask`` (..., H, W; those with events) that have a truth.

    Args:
        pred, truth: (..., 2, H, W) pixels per window; truth is NaN where there is none.
    """
    if pred.shape != truth.shape or pred.shape[-3] != 2:
        raise ValueError(f"pred {pred.shape} and truth {truth.shape} must both be (..., 2, H, W)")
    counted = mask & np.isfinite(truth).all(axis=-3)
    error = np.linalg.norm(pred - truth, axis=-3)[counted]
    length = np.linalg.norm(truth, axis=-3)[counted]
    outliers = (error > 3) & (error > 0.05 * length)
    return FlowSums(float(error.sum(dtype=np.float64)), int(outliers.sum()), int(counted.sum()))


def flow_aee(pred: Float, truth: Float, mask: NDArray[np.bool_]) -> float:
    """`FlowSums.aee` of one set of arrays; pool several through `flow_sums`."""
    return flow_sums(pred, truth, mask).aee


def flow_outliers(pred: Float, truth: Float, mask: NDArray[np.bool_]) -> float:
    """`FlowSums.outlier_percent` of one set of arrays; pool several through `flow_sums`."""
    return flow_sums(pred, truth, mask).outlier_percent
