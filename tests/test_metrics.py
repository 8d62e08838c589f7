"""Metrics against hand-computed examples, scipy, and the invariances each one promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.transform import Rotation

from eventhpe.metrics import (
    FlowSums,
    acceleration_error,
    flow_aee,
    flow_outliers,
    flow_sums,
    mpjpe,
    pa_mpjpe,
    pa_pve,
    pck,
    pck3d_auc,
    pckh,
    pel_mpjpe,
    procrustes,
    procrustes_align,
    pve,
)


def poses(seed: int, frames: int = 4, joints: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = shift(rng.normal(0, 0.4, (frames, joints, 3)), 0, 0, 3)
    return truth + rng.normal(0, 0.05, truth.shape), truth


def shift(points: np.ndarray, *by: float) -> np.ndarray:
    return points + np.array(by)


SEEDS = st.integers(0, 2**32 - 1)


def test_mpjpe_of_a_hand_computed_pose() -> None:
    truth = np.zeros((2, 2, 3))
    pred = np.array([[[0.003, 0.004, 0], [0, 0, 0.001]], [[0, 0, 0], [0, 0.002, 0]]])
    np.testing.assert_allclose(mpjpe(pred, truth), [3.0, 1.0])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T, J, 3\)"):
        mpjpe(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="truth"):
        pa_mpjpe(np.zeros((2, 4, 3)), np.zeros((1, 4, 3)))


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_pel_mpjpe_ignores_translation_and_nothing_else(seed: int) -> None:
    pred, truth = poses(seed)
    per_frame = np.random.default_rng(seed).normal(0, 1, (4, 1, 3))
    np.testing.assert_allclose(pel_mpjpe(pred + per_frame, truth), pel_mpjpe(pred, truth))
    assert (mpjpe(shift(pred, 1, 0, 0), truth) > 500).all()
    hips = (truth[:, 1] + truth[:, 2]) / 2 - (pred[:, 1] + pred[:, 2]) / 2
    np.testing.assert_allclose(pel_mpjpe(pred, truth), mpjpe(pred + hips[:, None], truth))


def test_hips_may_be_other_joints() -> None:
    pred, truth = poses(1, joints=13)
    order = np.r_[0, 5, 6, 1:5, 7:13]  # DHP19's hips to places 1 and 2
    np.testing.assert_allclose(
        pel_mpjpe(pred, truth, hips=(5, 6)), pel_mpjpe(pred[:, order], truth[:, order])
    )


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.floats(0.2, 5))
def test_pa_mpjpe_ignores_similarities(seed: int, scale: float) -> None:
    pred, truth = poses(seed)
    turn = Rotation.random(rng=seed).as_matrix()
    moved = shift(scale * pred @ turn.T, 1, -2, 3)
    np.testing.assert_allclose(pa_mpjpe(moved, truth), pa_mpjpe(pred, truth), rtol=1e-9)
    np.testing.assert_allclose(pa_mpjpe(moved, pred), 0, atol=1e-9)


def test_procrustes_matches_scipy() -> None:
    """scipy's disparity: squared residual after scaling the truth to unit norm. It allows
    reflections, which these small disturbances never call for."""
    pred, truth = poses(5)
    aligned = procrustes_align(pred, truth)
    for got, raw, wanted in zip(aligned, pred, truth, strict=True):
        _, _, disparity = scipy_procrustes(wanted, raw)
        centred = wanted - wanted.mean(axis=0)
        assert ((got - wanted) ** 2).sum() / (centred**2).sum() == pytest.approx(disparity)


def test_procrustes_finds_the_optimum_that_a_general_solver_finds() -> None:
    pred, truth = poses(6, frames=1, joints=6)

    def residual(x: np.ndarray) -> np.ndarray:
        turned = Rotation.from_rotvec(x[:3]).apply(pred[0])
        return (np.exp(x[3]) * turned + x[4:] - truth[0]).ravel()

    best = least_squares(residual, np.zeros(7), xtol=1e-14, ftol=1e-14)
    ours = procrustes_align(pred, truth) - truth
    assert (ours**2).sum() == pytest.approx(2 * best.cost, rel=1e-8)


def test_procrustes_never_reflects() -> None:
    _, truth = poses(7)
    mirrored = truth * np.array([-1.0, 1, 1])
    np.testing.assert_allclose(np.linalg.det(procrustes(mirrored, truth).R), 1)
    assert (pa_mpjpe(mirrored, truth) > 50).all()


def test_frames_without_truth_stay_nan_and_leave_others_alone() -> None:
    pred, truth = poses(8)
    broken = truth.copy()
    broken[1, 3] = np.nan
    for metric in (mpjpe, pel_mpjpe, pa_mpjpe, pck, pck3d_auc, pckh):
        got, wanted = metric(pred, broken), metric(pred, truth)
        assert np.isnan(got[1]), metric
        np.testing.assert_allclose(np.delete(got, 1), np.delete(wanted, 1))
    assert np.isnan(pa_mpjpe(np.zeros((1, 24, 3)), truth[:1])).all()
    assert pa_mpjpe(pred[:0], truth[:0]).shape == (0,)


def test_vertex_errors_align_by_pelvis_and_by_the_joints() -> None:
    joints_pred, joints_truth = poses(9)
    rng = np.random.default_rng(9)
    vertices_truth = rng.normal(0, 0.4, (4, 50, 3))
    error = rng.normal(0, 0.02, vertices_truth.shape)
    pelvis = joints_truth[:, :1] - joints_pred[:, :1]
    got = pve(vertices_truth + error, vertices_truth, joints_pred, joints_pred)
    np.testing.assert_allclose(got, 1000 * np.linalg.norm(error, axis=2).mean(axis=1))
    got = pve(vertices_truth - pelvis, vertices_truth, joints_pred, joints_truth)
    np.testing.assert_allclose(got, 0, atol=1e-9)
    # A similarity of body and joints alike leaves nothing; wrong joints spoil right vertices.
    turn = Rotation.random(rng=3).as_matrix().T * 1.3
    got = pa_pve(vertices_truth @ turn, vertices_truth, joints_truth @ turn, joints_truth)
    np.testing.assert_allclose(got, 0, atol=1e-9)
    assert (pa_pve(vertices_truth, vertices_truth, joints_pred, joints_truth) > 1).all()


def figure(offsets_mm: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """One frame of 24 joints; joints 3, 4, ... are off by the given distances."""
    truth = np.random.default_rng(0).normal(0, 0.3, (1, 24, 3))
    truth[0, 15] = truth[0, 12] + [0, 0.08, 0.06]  # neck to head 100 mm
    pred = truth.copy()
    for joint, offset in enumerate(offsets_mm, start=3):
        pred[0, joint, 0] += offset / 1000
    return pred, truth


def test_pck_counts_joints_nearer_than_the_threshold() -> None:
    pred, truth = figure([99, 101, 149, 151, 500, 20])
    assert pck(pred, truth) == pytest.approx(20 / 24)
    assert pck(pred, truth, 150) == pytest.approx(22 / 24)
    assert pck(shift(pred, 5, 5, 5), truth) == pytest.approx(20 / 24)


def test_pckh_measures_by_the_neck_head_distance() -> None:
    pred, truth = figure([99, 101, 49, 51])
    assert pckh(pred, truth) == pytest.approx(23 / 24)
    assert pckh(2 * pred, 2 * truth) == pytest.approx(23 / 24)


def test_auc_of_a_hand_computed_pose() -> None:
    # Off by 52 mm: within 55, 60, ... 150 = 20 of the 31 thresholds; nothing is within 0 mm.
    pred, truth = figure([52.0])
    assert pck3d_auc(pred, truth) == pytest.approx((23 * 30 + 20) / 24 / 31)


def test_acceleration_error_of_a_parabola() -> None:
    seconds = np.arange(10) / 50
    truth = np.zeros((10, 24, 3))
    pred = truth.copy()
    pred[:, :, 1] = (0.5 * 9.81 * seconds**2)[:, None]
    pred[:, :, 0] += (3 + 2 * seconds)[:, None]  # constant velocity does not count
    got = acceleration_error(pred, truth, fps=50)
    assert got.shape == (8,)
    np.testing.assert_allclose(got, 9.81)
    assert acceleration_error(pred[:2], truth[:2], 50).shape == (0,)


def test_flow_errors_over_event_pixels_with_truth() -> None:
    truth = np.zeros((2, 2, 3))
    truth[0, 0] = [10, 100, np.nan]
    pred = truth.copy()
    pred[:, 0, 0] += [3.0, 4.0]  # 5 px: more than 3 px and more than 5% of 10
    pred[1, 0, 1] += 4.0  # 4 px, but under 5% of 100
    pred[0, 1] = [1.0, 50, 50]
    mask = np.array([[True, True, True], [True, False, False]])
    sums = flow_sums(pred, truth, mask)
    assert sums == FlowSums(error=10.0, outliers=1, pixels=3)  # the NaN does not count
    assert flow_aee(pred, truth, mask) == pytest.approx(10 / 3)
    assert flow_outliers(pred, truth, mask) == pytest.approx(100 / 3)
    assert np.isnan(flow_aee(pred, truth, np.zeros_like(mask)))
    assert np.isnan(flow_outliers(pred, truth, np.zeros_like(mask)))


def test_flow_errors_pool_over_pixels() -> None:
    rng = np.random.default_rng(2)
    pred, truth = rng.normal(0, 4, (2, 3, 2, 8, 9))
    mask = rng.random((3, 8, 9)) < np.array([0.1, 0.5, 0.9])[:, None, None]
    whole = flow_sums(pred, truth, mask)
    parts = sum((flow_sums(*part) for part in zip(pred, truth, mask, strict=True)), FlowSums())
    assert (parts.pixels, parts.outliers) == (whole.pixels, whole.outliers)
    assert parts.aee == pytest.approx(whole.aee)
    assert parts.outlier_percent == pytest.approx(whole.outlier_percent)
    with pytest.raises(ValueError, match="2, H, W"):
        flow_sums(pred[:, 0], truth[:, 0], mask)
