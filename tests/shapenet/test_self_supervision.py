"""The loss without labels: least where estimates are true, and only over steps that can be told."""

import math

import numpy as np
import pytest
import roma
import torch

from eventhpe.body import load_body
from eventhpe.camera import encode_translation
from eventhpe.rasterizer import mesh_flow, rasterize
from shapenet.model import ShapeNetOutput, upright_rotations
from shapenet.self_supervision import SelfSupervision, join, select

SIZE, STEPS, STEP_S = 96, 4, 0.05
INTRINSICS = torch.tensor([[300.0, 300.0, 172.5, 129.5]])
REGION = torch.tensor([180.0, 140.0, 240.0])


class Scene:
    """A person who slides sideways and lifts both arms, with exact flow and its outline's events.

    The region moves along, so that each step has a crop of its own.
    """

    def __init__(self):
        torch.set_num_threads(1)
        self.body = load_body()
        turn = torch.zeros(STEPS, 24, 3)
        for k in range(STEPS):
            turn[k, 16, 2], turn[k, 17, 2] = 0.12 * k, -0.12 * k
        self.rotations = upright_rotations() @ roma.rotvec_to_rotmat(turn)
        self.pelvis = torch.tensor([[0.05 * k, 0.2, 2.7] for k in range(STEPS)])
        self.region = REGION + torch.tensor([[4.0 * k, 0.0, 0.0] for k in range(STEPS)])
        self.supervision = SelfSupervision(self.body, 8, STEP_S)
        self.batch = {
            "inputs": torch.zeros(1, STEPS, 10, SIZE, SIZE),
            "place": torch.full((1, STEPS, 4), math.log(STEP_S)),
            "region": self.region[None],
            "intrinsics": INTRINSICS,
            "follows": torch.ones(1, STEPS, dtype=torch.bool),
            "present": torch.ones(1, STEPS, dtype=torch.bool),
        }
        true = self.output(self.rotations, self.pelvis)
        meshes = self.supervision._pose(self.body, true, self.batch)[0].numpy()
        for k in range(1, STEPS):
            (x, y, side), scale = self.region[k].tolist(), SIZE / 240.0
            assert side == 240.0
            shift = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
            fx, fy, cx, cy = INTRINSICS[0].tolist()
            K = shift @ np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
            K = np.diag([scale, scale, 1]) @ K
            K[:2, 2] += (SIZE - 1) / 2
            drawn = rasterize(meshes[k - 1], self.body.faces, K, SIZE, SIZE)
            flow = mesh_flow(drawn, self.body.faces, meshes[k - 1], meshes[k], K)
            self.batch["inputs"][0, k, 8:] = torch.from_numpy(np.nan_to_num(flow)) / SIZE
            after = rasterize(meshes[k], self.body.faces, K, SIZE, SIZE).silhouette
            moved = torch.from_numpy(drawn.silhouette | after)
            self.batch["inputs"][0, k, :8] = moved.float()
            self.batch["inputs"][0, k, 5:8] = torch.from_numpy(after).float()

    def output(self, rotations, pelvis, betas=None):
        focal = INTRINSICS[:, :2].expand(STEPS, 2)
        principal = INTRINSICS[:, 2:].expand(STEPS, 2)
        code = encode_translation(pelvis, focal, self.region[:, :2], self.region[:, 2], principal)
        return ShapeNetOutput(
            rotations=rotations[None],
            betas=torch.zeros(1, STEPS, 10) if betas is None else betas,
            translation_code=torch.stack(code, dim=-1)[None],
            log_variance=torch.zeros(1, STEPS),
            presence_logit=torch.zeros(1, STEPS),
        )

    def terms(self, output, **changes):
        batch = {**self.batch, **changes}
        return self.supervision.terms(output, batch, self.supervision.look(output, batch))


@pytest.fixture(scope="module")
def scene():
    return Scene()


def test_every_term_is_least_at_the_truth(scene):
    """With a region that moves: were its motion taken for the body's, no pose would fit."""
    true = scene.terms(scene.output(scene.rotations, scene.pelvis))
    still = scene.terms(scene.output(scene.rotations[:1].expand(STEPS, -1, -1, -1), scene.pelvis))
    held = scene.terms(scene.output(scene.rotations, scene.pelvis[:1].expand(STEPS, 3)))
    aside = scene.terms(scene.output(scene.rotations, scene.pelvis + torch.tensor([0.15, 0, 0])))
    assert true["endpoint"] < 0.1
    assert true["cosine"] < 0.05
    assert still["endpoint"] > 1.5 * true["endpoint"]
    assert held["endpoint"] > 10 * true["endpoint"]
    assert aside["events"] > 3 * true["events"]
    assert aside["outline"] > 3 * true["outline"]


def test_every_term_reaches_pose_place_and_shape(scene):
    for term in ("endpoint", "cosine", "events", "outline"):
        wrong = scene.rotations @ roma.rotvec_to_rotmat(0.1 * torch.ones(STEPS, 24, 3))
        leaves = [wrong, scene.pelvis + torch.tensor([0.1, 0, 0]), torch.zeros(1, STEPS, 10)]
        leaves = [leaf.clone().requires_grad_() for leaf in leaves]
        output = scene.output(*leaves)
        scene.supervision.terms(output, scene.batch, scene.supervision.look(output, scene.batch))[
            term
        ].backward()
        for leaf in leaves:
            assert torch.isfinite(leaf.grad).all()
            assert leaf.grad.any()


@pytest.mark.parametrize("name", ["follows", "present"])
def test_steps_that_do_not_follow_or_show_nobody_do_not_count(scene, name):
    pelvis = scene.pelvis.clone()
    pelvis[2:] += torch.tensor([0.3, 0.0, 0.0])  # a jump between steps 1 and 2
    jump = scene.terms(scene.output(scene.rotations, pelvis))
    mask = torch.ones(1, STEPS, dtype=torch.bool)
    mask[:, 2:] = False
    whole = scene.terms(scene.output(scene.rotations, scene.pelvis), **{name: mask})
    masked = scene.terms(scene.output(scene.rotations, pelvis), **{name: mask})
    assert jump["endpoint"] > 1.0
    for term, value in masked.items():
        torch.testing.assert_close(value, whole[term])


def test_no_steps_at_all_give_zero(scene):
    nobody = torch.zeros(1, STEPS, dtype=torch.bool)
    terms = scene.terms(scene.output(scene.rotations, scene.pelvis), present=nobody)
    assert all(value == 0 for value in terms.values())


def test_pixels_are_those_of_one_size(scene):
    """The same scene on a grid of twice the pixels costs the same."""
    wide = scene.batch["inputs"][0].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    aside = scene.output(scene.rotations, scene.pelvis[:1].expand(STEPS, 3))
    one, two = scene.terms(aside), scene.terms(aside, inputs=wide[None])
    assert two["endpoint"] == pytest.approx(one["endpoint"].item(), rel=0.15)


def test_outputs_are_joined_and_selected(scene):
    one = scene.output(scene.rotations, scene.pelvis)
    other = scene.output(scene.rotations.flip(0), scene.pelvis)
    both = join([one, other])
    torch.testing.assert_close(select(both, torch.tensor([1])).rotations, other.rotations)
    torch.testing.assert_close(select(both, torch.tensor([0])).betas, one.betas)
