"""Retargeting between the default body and a second one with other bones and betas."""

import dataclasses

import numpy as np
import pytest
import roma
import torch

from eventhpe.body import PARENTS, Body, retarget
from eventhpe.body.arrays import BodyArrays, check_arrays
from eventhpe.body.loading import DEFAULT_PATH


@pytest.fixture(scope="module")
def arrays() -> BodyArrays:
    with np.load(DEFAULT_PATH) as data:
        return check_arrays(DEFAULT_PATH, dict(data))


@pytest.fixture(scope="module")
def other(arrays: BodyArrays) -> Body:
    """Another rest pose (arms lowered by 20 degrees, knees bent by 10) and mixed betas."""
    first = Body(arrays, "first")
    vectors = torch.zeros(24, 3)
    vectors[16, 2], vectors[17, 2] = -0.35, 0.35
    vectors[4, 0] = vectors[5, 0] = 0.17
    turns = roma.rotvec_to_rotmat(vectors)
    # Posing every shape direction with the same rotations gives a linear body in a new rest pose.
    shapes = torch.cat([torch.zeros(1, 10), torch.eye(10)])
    count = len(shapes)
    posed = first(
        shapes,
        turns[0].expand(count, 3, 3),
        turns[1:].expand(count, 23, 3, 3),
        torch.zeros(count, 3),
    )
    mixing = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0]
    vertices, joints = (x.double().numpy() for x in posed)
    change = (vertices[1:] - vertices[0]).transpose(1, 2, 0) @ mixing
    regressor = _refit(vertices, joints, arrays.J_regressor)
    moved = dataclasses.replace(
        arrays,
        v_template=vertices[0].astype(np.float32),
        shapedirs=change.astype(np.float32),
        J_regressor=regressor,
        posedirs=np.zeros_like(arrays.posedirs),
    )
    return Body(moved, "other")


def _refit(vertices: np.ndarray, joints: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The least change of the regressor that finds the posed joints in the posed vertices."""
    count = vertices.shape[1]
    system = np.concatenate([vertices.transpose(0, 2, 1).reshape(-1, count), np.ones((1, count))])
    wanted = np.concatenate([joints.transpose(0, 2, 1).reshape(-1, 24), np.ones((1, 24))])
    change = np.linalg.lstsq(system, wanted - system @ start.T, rcond=None)[0]
    return (start + change.T).astype(np.float32)


def motion(seed: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    turns = roma.rotvec_to_rotmat(0.5 * torch.randn(frames, 24, 3, generator=generator))
    return turns[:, 0], turns[:, 1:], torch.randn(frames, 3, generator=generator)


def joints_of(body: Body, orient, pose, betas, transl) -> torch.Tensor:  # type: ignore[no-untyped-def]
    return body.joints(betas.expand(len(transl), -1), orient, pose, transl)


def test_same_body_gives_the_same_motion(body: Body) -> None:
    orient, pose, transl = motion(0, 4)
    betas = torch.tensor([1.0, -1, 0.5, 0, 0, 0, 0, 0, 0, 0])
    moved = retarget(orient, pose, betas, transl, body, body)
    torch.testing.assert_close(
        joints_of(body, *moved), joints_of(body, orient, pose, betas, transl), atol=0.003, rtol=0
    )
    torch.testing.assert_close(moved.body_pose, pose, atol=0.02, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_joints_arrive_within_15_mm_both_ways(body: Body, other: Body, seed: int) -> None:
    orient, pose, transl = motion(seed, 20)
    betas = torch.randn(10, generator=torch.Generator().manual_seed(seed))
    for source, target in ((body, other), (other, body)):
        wanted = joints_of(source, orient, pose, betas, transl)
        moved = retarget(orient, pose, betas, transl, source, target)
        error = (joints_of(target, *moved) - wanted).norm(dim=-1)
        assert error.max() < 0.015
        copied = (joints_of(target, orient, pose, betas, transl) - wanted).norm(dim=-1)
        assert error.mean() < 0.2 * copied.mean()


def test_limbs_point_the_same_way(body: Body, other: Body) -> None:
    orient, pose, transl = motion(7, 10)
    betas = torch.zeros(10)
    moved = retarget(orient, pose, betas, transl, body, other)
    before = joints_of(body, orient, pose, betas, transl)
    after = joints_of(other, *moved)
    for joint in (4, 5, 7, 8, 10, 11, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23):
        a = before[:, joint] - before[:, PARENTS[joint]]
        b = after[:, joint] - after[:, PARENTS[joint]]
        assert torch.cosine_similarity(a, b, dim=-1).min() > np.cos(np.deg2rad(0.5))


def test_rotations_stay_rotations(body: Body, other: Body) -> None:
    moved = retarget(*motion(3, 5)[:2], torch.zeros(10), torch.zeros(5, 3), body, other)
    for turns in (moved.global_orient, moved.body_pose):
        assert roma.is_rotation_matrix(turns.double(), 1e-5)


def test_betas_of_a_batch_are_refused(body: Body) -> None:
    orient, pose, transl = motion(0, 2)
    with pytest.raises(ValueError, match=r"\(2, 10\)"):
        retarget(orient, pose, torch.zeros(2, 10), transl, body, body)
