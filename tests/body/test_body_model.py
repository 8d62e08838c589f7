"""Body against independent skinning, and its promises on kinematics."""

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.body import PARENTS, Body, load_body
from eventhpe.body.loading import DEFAULT_PATH
from eventhpe.body.model import BodySubset


def random_parameters(seed: int, batch: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    turns = roma.rotvec_to_rotmat(0.6 * draw(batch, 24, 3))
    return draw(batch, 10), turns[:, 0], turns[:, 1:], draw(batch, 3)


def skin_by_hand(
    betas: np.ndarray, turns: np.ndarray, transl: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """SMPL 2015, equations 2 to 9, straight from the file in float64, one body."""
    data = {k: v.astype(np.float64) for k, v in np.load(DEFAULT_PATH).items()}
    shaped = data["v_template"] + data["shapedirs"] @ betas
    rest = data["J_regressor"] @ shaped
    posed = shaped + data["posedirs"] @ (turns[1:] - np.eye(3)).reshape(-1)
    world = np.zeros((24, 4, 4))
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = rest[joint] - (rest[parent] if parent >= 0 else 0)
        world[joint] = local if parent < 0 else world[parent] @ local
    joints = world[:, :3, 3] + transl
    for joint in range(24):
        world[joint, :3, 3] -= world[joint, :3, :3] @ rest[joint]
    blended = np.einsum("vj,jab->vab", data["weights"], world)
    vertices = np.einsum("vab,vb->va", blended[:, :3, :3], posed) + blended[:, :3, 3]
    return vertices + transl, joints


def test_forward_equals_skinning_by_hand(body: Body) -> None:
    betas, orient, pose, transl = random_parameters(0, 3)
    out = body(betas, orient, pose, transl)
    for k in range(3):
        turns = torch.cat([orient[k : k + 1], pose[k]]).numpy()
        vertices, joints = skin_by_hand(betas[k].numpy(), turns, transl[k].numpy())
        np.testing.assert_allclose(out.vertices[k].numpy(), vertices, atol=2e-5)
        np.testing.assert_allclose(out.joints[k].numpy(), joints, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_joints_equal_those_of_forward(seed: int) -> None:
    body, parameters = BODY, random_parameters(seed, 2)
    torch.testing.assert_close(
        body.joints(*parameters), body(*parameters).joints, atol=1e-5, rtol=0
    )


BODY = load_body()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_global_orientation_moves_everything_rigidly_about_the_pelvis(seed: int) -> None:
    betas, orient, pose, transl = random_parameters(seed, 1)
    turn = roma.random_rotmat(1)
    before = BODY(betas, orient, pose, transl)
    after = BODY(betas, turn @ orient, pose, transl)
    pelvis = before.joints[:, :1]
    torch.testing.assert_close(
        after.vertices, (before.vertices - pelvis) @ turn.mT + pelvis, atol=1e-5, rtol=0
    )


def test_pelvis_is_the_rest_pelvis_plus_transl(body: Body) -> None:
    betas, orient, pose, transl = random_parameters(5, 4)
    joints = body.joints(betas, orient, pose, transl)
    torch.testing.assert_close(joints[:, 0], body.rest_joints(betas)[:, 0] + transl)


def test_upright_person_faces_the_camera(body: Body) -> None:
    """180 degrees about x: head above (smaller y), toes towards the camera (smaller z)."""
    orient = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
    joints = body.joints(
        torch.zeros(1, 10), orient, torch.eye(3).expand(1, 23, 3, 3), torch.tensor([[0, 0, 3.0]])
    )[0]
    assert joints[15, 1] < joints[0, 1] < joints[7, 1]
    assert joints[10, 2] < joints[7, 2]
    assert joints[16, 0] > joints[17, 0]  # their left is on the picture's right


def test_gradients_reach_every_parameter(body: Body) -> None:
    parameters = [x.clone().requires_grad_() for x in random_parameters(1, 2)]
    out = body(*parameters)
    (out.vertices.square().sum() + out.joints.sum()).backward()
    assert all(x.grad is not None and bool(x.grad.abs().sum() > 0) for x in parameters)


def test_a_subset_is_posed_like_the_whole_body(body: Body) -> None:
    rows = np.array([7000, 3, 3, 512, 4100])
    parameters = random_parameters(2, 3)
    whole, some = body(*parameters), BodySubset(body, rows)(*parameters)
    torch.testing.assert_close(some.vertices, whole.vertices[:, rows], atol=1e-5, rtol=0)
    torch.testing.assert_close(some.joints, whole.joints, atol=1e-5, rtol=0)


def test_a_subset_sends_the_same_gradients(body: Body) -> None:
    rows = np.arange(0, body.num_vertices, 50)
    slopes = []
    for pose in (lambda *p: body(*p).vertices[:, rows], lambda *p: BodySubset(body, rows)(*p)[0]):
        parameters = [x.clone().requires_grad_() for x in random_parameters(3, 2)]
        pose(*parameters).sin().mean().backward()
        slopes.append([x.grad for x in parameters])
    for whole, some in zip(*slopes, strict=True):
        torch.testing.assert_close(some, whole, atol=1e-5, rtol=1e-3)


def test_a_subset_of_absent_vertices_is_refused(body: Body) -> None:
    with pytest.raises(ValueError, match="within"):
        BodySubset(body, np.array([body.num_vertices]))


def test_checkpoints_carry_no_body(body: Body) -> None:
    assert body.state_dict() == {}
    assert list(body.parameters()) == []
    assert BodySubset(body, np.arange(9)).state_dict() == {}


def test_wrong_shapes_are_named(body: Body) -> None:
    betas, orient, pose, transl = random_parameters(1, 2)
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        body(betas, orient, pose, transl[:1])
    with pytest.raises(ValueError, match=r"\(2, 22, 3, 3\)"):
        body.joints(betas, orient, pose[:, 1:], transl)


def test_loading_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    load_body()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
