"""Flow coherence against exact flow of known motion: zero at the truth, and downhill to it."""

import numpy as np
import pytest
import roma
import torch

from eventhpe.body import load_body
from eventhpe.body.model import BodySubset
from eventhpe.camera import Camera, Crop
from eventhpe.rasterizer import mesh_flow, rasterize
from shapenet.coherence import event_support, flow_coherence, published_coherence
from shapenet.model import upright_rotations
from shapenet.views import crop_points, seen_vertices, spread_vertices

SIZE = 96
WINDOW_S, STEP_S = 0.05, 0.05
INTRINSICS = torch.tensor([[300.0, 300.0, 172.5, 129.5]])
REGION = torch.tensor([[180.0, 140.0, 240.0]])
EVERYWHERE = torch.ones(1, 8, SIZE, SIZE)


@pytest.fixture(scope="module")
def body():
    torch.set_num_threads(1)
    return load_body()


@pytest.fixture(scope="module")
def subset(body):
    return BodySubset(body, spread_vertices(body))


class Scene:
    """A body that moves over a step, with the exact flow of it on the crop's grid."""

    def __init__(self, body, subset):
        self.betas = torch.zeros(1, 10)
        self.transl = (torch.tensor([[0.0, 0.1, 2.7]]), torch.tensor([[0.06, 0.1, 2.7]]))
        first = upright_rotations()[None]
        turn = torch.zeros(1, 24, 3)
        turn[:, 16, 2], turn[:, 17, 1], turn[:, 4, 0] = -0.25, 0.3, 0.3
        self.pose = (first, first @ roma.rotvec_to_rotmat(turn))
        self.subset = subset
        meshes = [
            body(self.betas, p[:, 0], p[:, 1:], t).vertices
            for p, t in zip(self.pose, self.transl, strict=True)
        ]
        self.seen = seen_vertices(
            meshes[0].numpy(), body.faces, INTRINSICS.numpy(), REGION.numpy(), SIZE, subset.indices
        )
        self.voters = torch.from_numpy(self.seen.voters)
        x, y, side = REGION[0].tolist()
        crop = Crop(x - (side - 1) / 2, y - (side - 1) / 2, side, SIZE)
        fx, fy, cx, cy = INTRINSICS[0].tolist()
        K = crop.intrinsics(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))
        before, after = (m[0].numpy() for m in meshes)
        buffers = rasterize(before, body.faces, K, SIZE, SIZE)
        flow = np.nan_to_num(mesh_flow(buffers, body.faces, before, after, K))
        self.flow = torch.from_numpy(flow)[None] / SIZE

    def points(self, pose, transl, betas=None, region=REGION):
        vertices = self.subset(
            self.betas if betas is None else betas, pose[:, 0], pose[:, 1:], transl
        ).vertices
        return crop_points(vertices, INTRINSICS, region, SIZE)

    def loss(self, pose, transl, betas=None, **changes):
        arguments = {
            "start": self.points(self.pose[0], self.transl[0], betas),
            "stop": self.points(pose, transl, betas),
            "flow": self.flow,
            "events": EVERYWHERE,
            "voters": self.voters,
            "window_s": WINDOW_S,
            "step_s": STEP_S,
        }
        return flow_coherence(**{**arguments, **changes})


@pytest.fixture(scope="module")
def scene(body, subset):
    return Scene(body, subset)


def test_points_follow_the_crops_pixel_convention():
    camera = Camera.from_fov(346, 260)
    crop = Crop(31.5, 20.25, 150.0, 64)
    points = np.array([[0.2, -0.3, 3.0], [-0.5, 0.1, 2.2]])
    expected = crop.to_crop(camera.project(points))
    K = camera.K
    found = crop_points(
        torch.from_numpy(points)[None],
        torch.tensor([[K[0, 0], K[1, 1], K[0, 2], K[1, 2]]]),
        torch.tensor([[*crop.centre, crop.side]]),
        64,
    )
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-4)


def test_true_motion_with_exact_flow_costs_nothing(scene):
    true = scene.loss(scene.pose[1], scene.transl[1])
    still = scene.loss(scene.pose[0], scene.transl[0])
    assert true.votes > 30
    assert still.endpoint > 1.0
    # What is left is bilinear sampling where the surface folds.
    assert true.endpoint < 0.03 * still.endpoint
    assert true.cosine < 0.03 * still.cosine


def test_a_step_of_half_a_window_moves_half_as_far(scene):
    start = scene.points(scene.pose[0], scene.transl[0])
    stop = scene.points(scene.pose[1], scene.transl[1])
    half = scene.loss(
        scene.pose[1], scene.transl[1], stop=start + 0.5 * (stop - start), step_s=0.5 * WINDOW_S
    )
    assert half.endpoint < 0.05
    assert scene.loss(scene.pose[1], scene.transl[1], step_s=0.5 * WINDOW_S).endpoint > 0.5


def descend_translation(scene, form):
    shift = torch.tensor([[-0.05, 0.06, 0.0]])
    value = (scene.transl[1] + shift).requires_grad_()
    optimiser = torch.optim.Adam([value], lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        getattr(scene.loss(scene.pose[1], value), form).backward()
        optimiser.step()
    error = (value.detach() - scene.transl[1])[0, :2].norm().item()
    return value.detach(), error / shift.norm().item()


def test_its_gradient_finds_a_perturbed_translation(scene):
    assert descend_translation(scene, "endpoint")[1] < 0.25


def test_the_cosine_alone_finds_the_direction_and_not_the_length(scene):
    """Why there is an endpoint form beside it."""
    value, share = descend_translation(scene, "cosine")
    assert scene.loss(scene.pose[1], value).cosine < 0.1
    assert share > 0.5


def test_its_gradient_finds_a_perturbed_pose(scene):
    wrong = torch.zeros(1, 24, 3)
    wrong[:, 16, 2], wrong[:, 17, 1], wrong[:, 4, 0] = 0.25, -0.2, -0.2
    turn = wrong.clone().requires_grad_()
    optimiser = torch.optim.Adam([turn], lr=0.02)

    def error():
        return turn.detach()[:, [16, 17, 4]].norm().item()

    before = error()
    for _ in range(40):
        optimiser.zero_grad()
        pose = scene.pose[1] @ roma.rotvec_to_rotmat(turn)
        loss = scene.loss(pose, scene.transl[1])
        (loss.endpoint + loss.cosine).backward()
        optimiser.step()
    assert error() < 0.5 * before


def test_its_gradient_reaches_pose_translation_and_shape(scene):
    pose = scene.pose[0].clone().requires_grad_()
    transl = scene.transl[0].clone().requires_grad_()
    betas = torch.zeros(1, 10, requires_grad=True)
    loss = scene.loss(pose, transl, betas)
    (loss.endpoint + loss.cosine).backward()
    assert all(torch.isfinite(x.grad).all() and x.grad.any() for x in (pose, transl))
    betas.grad = None
    scene.loss(scene.pose[1], scene.transl[0], betas).endpoint.backward()
    assert betas.grad.any()


def test_flow_is_an_observation(scene):
    flow = scene.flow.clone().requires_grad_()
    pose = scene.pose[0].clone().requires_grad_()
    scene.loss(pose, scene.transl[1], flow=flow).endpoint.backward()
    assert flow.grad is None


def occluded_scene(scene):
    """Flow that is turned round at every vertex that does not vote, and nowhere else."""
    start = scene.points(scene.pose[0], scene.transl[0])
    read = torch.zeros(SIZE + 1, SIZE + 1, dtype=torch.bool)
    corner = start[scene.voters].floor().long()
    for dx in (0, 1):
        for dy in (0, 1):
            read[corner[:, 1] + dy, corner[:, 0] + dx] = True
    return torch.where(read[:SIZE, :SIZE], scene.flow, -5.0 * scene.flow + 0.03)


def test_occluded_vertices_do_not_vote(scene):
    changed = occluded_scene(scene)
    assert (changed != scene.flow).float().mean() > 0.5
    plain = scene.loss(scene.pose[0], scene.transl[1])
    moved = scene.loss(scene.pose[0], scene.transl[1], flow=changed)
    assert moved.endpoint == plain.endpoint
    assert moved.cosine == plain.cosine


def test_hidden_vertices_are_no_voters(body, subset):
    """Of a ball of vertices about the body's middle, those on its back are never seen."""
    pose = upright_rotations()[None]
    transl = torch.tensor([[0.0, 0.1, 2.7]])
    mesh = body(torch.zeros(1, 10), pose[:, 0], pose[:, 1:], transl).vertices.numpy()
    seen = seen_vertices(mesh, body.faces, INTRINSICS.numpy(), REGION.numpy(), SIZE, subset.indices)
    chosen = mesh[0, subset.indices]
    trunk = (np.abs(chosen[:, 0]) < 0.1) & (chosen[:, 1] < 0.2)
    middle = np.median(chosen[trunk, 2])
    assert not seen.voters[0, trunk & (chosen[:, 2] > middle + 0.08)].any()
    assert seen.voters[0, trunk & (chosen[:, 2] < middle - 0.08)].mean() > 0.5
    assert (seen.outline[0] & ~seen.voters[0]).any()


def test_the_crops_own_motion_adds_nothing(scene):
    """A body at rest under still flow costs nothing where the next window's crop is elsewhere,
    and would if each moment had its own crop."""
    start = scene.points(scene.pose[0], scene.transl[0])
    elsewhere = REGION + torch.tensor([[9.0, -5.0, 12.0]])
    own = scene.points(scene.pose[0], scene.transl[0], region=elsewhere)
    still = torch.full_like(scene.flow, 0.0)
    still[:, 0] = 0.01  # a little flow, so that there are votes at all
    together = scene.loss(scene.pose[0], scene.transl[0], stop=start, flow=still)
    apart = scene.loss(scene.pose[0], scene.transl[0], stop=own, flow=still)
    assert together.endpoint == pytest.approx(0.01 * SIZE - 0.1, abs=0.02)
    assert apart.endpoint > 3 * together.endpoint
    # The same scene seen by another crop has the same motion in crop sides.
    other = crop_points(torch.tensor([[[0.1, 0.2, 2.5], [0.2, 0.2, 2.5]]]), INTRINSICS, REGION, 96)
    moved = crop_points(
        torch.tensor([[[0.1, 0.2, 2.5], [0.2, 0.2, 2.5]]]),
        INTRINSICS,
        REGION + torch.tensor([[7.0, 3.0, 0.0]]),
        96,
    )
    torch.testing.assert_close(other.diff(dim=1), moved.diff(dim=1))


@pytest.mark.parametrize(
    "nothing",
    [
        {"voters": torch.zeros(1, 500, dtype=torch.bool)},
        {"flow": torch.zeros(1, 2, SIZE, SIZE)},
        {"events": torch.zeros(1, 8, SIZE, SIZE)},
    ],
)
def test_no_votes_give_zero_and_a_finite_slope(scene, nothing):
    pose = scene.pose[1].clone().requires_grad_()
    loss = scene.loss(pose, scene.transl[1], **nothing)
    (loss.cosine + loss.endpoint).backward()
    assert loss.cosine == loss.endpoint == loss.votes == 0
    assert torch.isfinite(pose.grad).all()


def test_vertices_at_infinity_that_do_not_vote_do_no_harm(scene):
    start = scene.points(scene.pose[0], scene.transl[0])
    stop = scene.points(scene.pose[1], scene.transl[1])
    hidden = ~scene.voters[..., None]
    plain = scene.loss(scene.pose[1], scene.transl[1])
    wild = torch.where(hidden, torch.full_like(stop, torch.inf), stop).requires_grad_()
    loss = scene.loss(scene.pose[1], scene.transl[1], start=start, stop=wild)
    assert loss.endpoint == plain.endpoint
    loss.endpoint.backward()
    assert torch.isfinite(wild.grad).all()


def test_support_is_the_share_of_bins_with_events():
    events = torch.zeros(1, 4, 9, 9)
    events[:, :2, 3:6, 3:6] = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1)
    support = event_support(events)[0, 0]
    assert support[4, 4] == pytest.approx(0.5)
    assert support[0, 0] == 0
    assert support[4, 2] == pytest.approx(0.5 / 3)


def test_the_published_form_hears_occluded_vertices_and_dilutes_the_moving_ones(scene):
    start = scene.points(scene.pose[0], scene.transl[0])
    stop = scene.points(scene.pose[1], scene.transl[1])

    def published(flow, begin=start, end=stop):
        return published_coherence(begin, end, flow, WINDOW_S, STEP_S).item()

    assert published(occluded_scene(scene)) > published(scene.flow) + 0.05
    # Every moving vertex goes the wrong way: 2 each, but the mean is over the still ones too.
    half = scene.flow.clone()
    half[:, :, : SIZE // 2] = 0
    opposed = flow_coherence(
        start, start - (stop - start), half, EVERYWHERE, scene.voters, WINDOW_S, STEP_S
    )
    assert opposed.cosine > 1.8
    assert published(half, start, start - (stop - start)) < 1.2
