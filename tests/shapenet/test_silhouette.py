"""Event-silhouette agreement: a body that is off goes back to where its events are."""

import pytest
import roma
import torch

from eventhpe.body import load_body
from eventhpe.body.model import BodySubset
from shapenet.model import upright_rotations
from shapenet.silhouette import REACH_PX, event_points, silhouette_agreement
from shapenet.views import crop_points, seen_vertices, spread_vertices

SIZE = 96
INTRINSICS = torch.tensor([[300.0, 300.0, 172.5, 129.5]])
REGION = torch.tensor([[180.0, 140.0, 240.0]])
TRUE = torch.tensor([[0.06, 0.1, 2.7]])


class Scene:
    """A body that moves sideways, and events on its outline."""

    def __init__(self):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.body = load_body()
        self.subset = BodySubset(self.body, spread_vertices(self.body))
        self.pose = upright_rotations()[None]
        outline = self.points(self.pose, TRUE)[:, self.outline(self.pose, TRUE)[0]]
        pixels = outline.round().long()[0]
        self.events = torch.zeros(1, 8, SIZE, SIZE)
        self.events[0, -1, pixels[:, 1], pixels[:, 0]] = 1.0

    def points(self, pose, transl):
        vertices = self.subset(torch.zeros(1, 10), pose[:, 0], pose[:, 1:], transl).vertices
        return crop_points(vertices, INTRINSICS, REGION, SIZE)

    def outline(self, pose, transl):
        with torch.no_grad():
            mesh = self.body(torch.zeros(1, 10), pose[:, 0], pose[:, 1:], transl).vertices
        seen = seen_vertices(
            mesh.numpy(),
            self.body.faces,
            INTRINSICS.numpy(),
            REGION.numpy(),
            SIZE,
            self.subset.indices,
        )
        return torch.from_numpy(seen.outline)

    def agreement(self, pose, transl, events=None, motion=0.06):
        after = self.points(pose, transl)
        before = self.points(pose, transl - torch.tensor([[motion, 0.0, 0.0]]))
        points, exist = event_points(self.events if events is None else events, bins=2)
        outline = self.outline(pose, transl.detach())
        return silhouette_agreement(before, after, points, exist, outline, 0.05, SIZE)


@pytest.fixture(scope="module")
def scene():
    return Scene()


def descend(scene, value, pose_of, transl_of, events=None):
    optimiser = torch.optim.Adam([value], lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        agreement = scene.agreement(pose_of(value), transl_of(value), events)
        (agreement.events + agreement.outline).backward()
        optimiser.step()
    return value.detach()


def test_a_body_on_its_events_agrees_with_them(scene):
    there = scene.agreement(scene.pose, TRUE)
    off = scene.agreement(scene.pose, TRUE + torch.tensor([[0.12, 0.0, 0.0]]))
    assert there.events < 0.02 * REACH_PX
    assert there.outline < 0.02 * REACH_PX
    assert off.events > 10 * there.events
    assert off.outline > 10 * there.outline


def test_a_shifted_body_goes_back_to_its_events_through_noise(scene):
    noisy = scene.events.clone()
    noise = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(1)) < 0.004
    noisy[0, -2] = noise.float()
    shift = torch.tensor([[0.12, -0.08, 0.0]])
    start = (TRUE + shift).requires_grad_()
    end = descend(scene, start, lambda _: scene.pose, lambda t: t, noisy)
    assert (end - TRUE)[0, :2].norm() < 0.25 * shift.norm()


def test_a_limb_goes_back_to_its_events(scene):
    turn = torch.tensor(0.25, requires_grad=True)  # of the left shoulder, in the image's plane

    def pose_of(angle):
        vector = torch.zeros(24, 3).index_put((torch.tensor(16), torch.tensor(2)), angle)
        return scene.pose @ roma.rotvec_to_rotmat(vector)[None]

    assert descend(scene, turn, pose_of, lambda _: TRUE).abs() < 0.1


def test_only_what_moves_must_have_events(scene):
    empty_side = scene.events.clone()
    empty_side[..., : SIZE // 2] = 0
    moving = scene.agreement(scene.pose, TRUE, empty_side).outline
    resting = scene.agreement(scene.pose, TRUE, empty_side, motion=0.0).outline
    assert moving > 0.3
    assert resting == 0


def test_no_events_pull_nowhere(scene):
    transl = TRUE.clone().requires_grad_()
    agreement = scene.agreement(scene.pose, transl, torch.zeros_like(scene.events))
    (agreement.events + agreement.outline).backward()
    assert agreement.events == agreement.outline == 0
    assert not transl.grad.any()


def test_far_noise_costs_a_bounded_amount_and_hardly_pulls(scene):
    far = torch.zeros(1, 8, SIZE, SIZE)
    far[0, -1, 2, 2] = 1.0
    transl = TRUE.clone().requires_grad_()
    cost = scene.agreement(scene.pose, transl, far).events
    cost.backward()
    near = torch.zeros_like(far)
    edge = scene.points(scene.pose, TRUE)[0]
    column, row = (edge[edge[:, 0].argmin()] - torch.tensor([4.0, 0.0])).round().long()
    near[0, -1, row, column] = 1.0
    other = TRUE.clone().requires_grad_()
    scene.agreement(scene.pose, other, near).events.backward()
    assert cost <= REACH_PX
    assert transl.grad.norm() < 0.1 * other.grad.norm()


def test_event_points_are_pixels_with_events_in_the_last_bins():
    events = torch.zeros(2, 4, 8, 8)
    events[0, 3, 2, 5] = -1.0
    events[0, 0, 6, 6] = 1.0
    points, exist = event_points(events, bins=2, count=5)
    assert exist.sum(dim=1).tolist() == [1, 0]
    assert points[exist].tolist() == [[5.0, 2.0]]
