"""Losses of stage two: zero at the truth, known values, finite slopes, weights honoured."""

import math

import pytest
import roma
import torch

from shapenet import losses

ONES = torch.ones(4)


def poses(seed=0):
    return roma.random_rotmat((4, 24)) if seed is None else _seeded(seed)


def _seeded(seed):
    generator = torch.Generator().manual_seed(seed)
    return roma.rotvec_to_rotmat(torch.randn(4, 24, 3, generator=generator) * 0.5)


@pytest.mark.parametrize("degrees", [1.0, 30.0, 90.0, 170.0])
def test_geodesic_angle_of_a_known_turn(degrees):
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, math.radians(degrees), 0.0]))
    start = poses()[0, 0]
    angle = losses.geodesic_angle(start @ turn, start)
    assert math.degrees(angle) == pytest.approx(degrees, abs=0.05)


def test_geodesic_angle_has_a_finite_slope_everywhere():
    for degrees in (0.0, 180.0):
        vector = torch.tensor([math.radians(degrees), 0.0, 0.0], requires_grad=True)
        losses.geodesic_angle(roma.rotvec_to_rotmat(vector), torch.eye(3)).backward()
        assert torch.isfinite(vector.grad).all()


def test_joint_loss_ignores_where_the_body_stands():
    joints = torch.randn(4, 24, 3)
    assert losses.joint_loss(joints + torch.tensor([1.0, 2.0, 3.0]), joints, ONES) < 1e-6
    moved = joints.clone()
    moved[:, 20] += torch.tensor([0.0, 0.24, 0.0])
    assert losses.joint_loss(moved, joints, ONES) == pytest.approx(0.01, rel=1e-4)


def test_steps_without_a_person_do_not_count():
    joints = torch.randn(4, 24, 3)
    wrong = joints.clone()
    wrong[2:, 5] += 10.0
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert losses.joint_loss(wrong, joints, weight) < 1e-6
    assert losses.joint_loss(wrong, joints, torch.zeros(4)) == 0


def test_projection_loss_keeps_its_slope_outside_the_image():
    truth = torch.zeros(4, 24, 2)
    far = torch.full((4, 24, 2), 3.0, requires_grad=True)
    losses.projection_loss(far, truth, ONES).backward()
    assert (far.grad > 0).all()


def test_code_loss_is_relative_in_depth():
    truth = torch.tensor([[1.0, 0.0, 0.0]]).expand(4, 3)
    near = losses.code_loss(truth * torch.tensor([1.1, 1, 1]), truth, ONES)
    assert near == pytest.approx(math.log(1.1) / 3, rel=1e-4)


def test_translation_loss_is_in_metres_and_pulls_all_axes():
    truth = torch.tensor([[0.1, -0.2, 3.0]]).expand(4, 3)
    moved = (truth + torch.tensor([0.1, -0.2, 0.3])).requires_grad_()
    loss = losses.translation_loss(moved, truth, ONES)
    assert loss.item() == pytest.approx(0.6, rel=1e-5)
    loss.backward()
    assert (moved.grad.sign() == torch.tensor([1.0, -1.0, 1.0])).all()


def test_vertex_loss_measures_after_pelvis_alignment():
    truth, pelvis = torch.randn(4, 50, 3), torch.randn(4, 3)
    offset = torch.tensor([0.5, 0.0, 2.0])
    moved = losses.vertex_loss(truth + offset, truth, pelvis + offset, pelvis, ONES)
    assert moved < 2e-4
    bent = truth.clone()
    bent[:, :10, 1] += 0.2
    assert losses.vertex_loss(bent, truth, pelvis, pelvis, ONES) == pytest.approx(0.04, abs=2e-4)


def test_vertex_loss_has_a_finite_slope_at_the_truth():
    truth, pelvis = torch.randn(4, 50, 3), torch.randn(4, 3)
    predicted = truth.clone().requires_grad_()
    losses.vertex_loss(predicted, truth, pelvis, pelvis, ONES).backward()
    assert torch.isfinite(predicted.grad).all()


def test_velocity_loss_sees_jitter_and_not_offset():
    truth = torch.randn(2, 5, 24, 3)
    weight = torch.ones(2, 5)
    offset = torch.randn(2, 1, 24, 3)
    assert losses.velocity_loss(truth + offset, truth, weight) < 1e-5
    jitter = truth + 0.05 * torch.randn(2, 5, 24, 3)
    assert losses.velocity_loss(jitter, truth, weight) > 0.02


def test_confidence_is_best_at_the_errors_own_scale():
    error = torch.full((4,), 0.7)
    scores = {
        scale: float(losses.confidence_loss(torch.full((4,), 2 * math.log(scale)), error, ONES))
        for scale in (0.1, 0.35, 0.7, 1.4, 5.0)
    }
    assert min(scores, key=scores.get) == 0.7


def test_confidence_never_shapes_the_pose():
    error = torch.ones(4, requires_grad=True)
    variance = torch.zeros(4, requires_grad=True)
    losses.confidence_loss(variance, error, ONES).backward()
    assert error.grad is None
    assert variance.grad is not None
