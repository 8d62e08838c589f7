"""Several cameras as one: exact views give the truth, a mistaken one does not move it."""

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from eventhpe.body import load_body
from eventhpe.camera import dhp19_camera
from eventhpe.fusion import fuse, rotation_median
from eventhpe.sequence import ABSENT, TRACKED, MotionSequence

STEPS = 6


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def truth(body):
    """Rotations (T, 24, 3, 3) in the world, and pelvis (T, 3)."""
    torch.manual_seed(0)
    rotations = roma.rotvec_to_rotmat(0.3 * torch.randn(STEPS, 24, 3))
    pelvis = np.array([0.2, -0.1, 1.0]) + 0.05 * np.arange(STEPS)[:, None]
    return rotations, pelvis


def seen_by(channel, truth, body, first=0):
    camera, (rotations, pelvis) = dhp19_camera(channel), truth
    orient = torch.from_numpy(camera.R.astype(np.float32)) @ rotations[:, 0]
    root = body.rest_joints(torch.zeros(1, 10))[0, 0].numpy()
    rows = slice(first, None)
    count = len(pelvis) - first
    motion = MotionSequence(
        t_us=50_000 * np.arange(1 + first, STEPS + 1),
        betas=np.zeros(10),
        global_orient=roma.rotmat_to_rotvec(orient).numpy()[rows],
        body_pose=roma.rotmat_to_rotvec(rotations[:, 1:]).reshape(STEPS, 69).numpy()[rows],
        transl=(camera.to_camera(pelvis) - root)[rows],
        body_id=body.body_id,
        body_sha256=body.sha256,
        K=camera.K,
        distortion=np.zeros(0),
        width=346,
        height=260,
        frame="camera",
        region=np.tile([0.0, 0.0, 100.0, 100.0], (count, 1)),
        confidence=np.full(count, 0.5),
        state=np.full(count, TRACKED),
        window_us=50_000,
        step_us=50_000,
        weights={},
        command="",
    )
    return motion, camera


def test_exact_views_give_the_truth_at_the_moments_all_have(truth, body):
    views = [seen_by(channel, truth, body, first=channel % 2) for channel in range(4)]
    found = fuse(views, body)
    np.testing.assert_array_equal(found.t_us, 50_000 * np.arange(2, STEPS + 1))
    np.testing.assert_allclose(found.pelvis, truth[1][1:], atol=1e-5)
    torch.testing.assert_close(found.rotations, truth[0][1:], atol=1e-4, rtol=0)
    root = found.joints(body)[:, 0].numpy()
    np.testing.assert_allclose(root, truth[1][1:], atol=1e-5)


def test_one_camera_that_mistakes_front_and_back_is_outvoted(truth, body):
    views = [seen_by(channel, truth, body) for channel in range(4)]
    motion, camera = views[2]
    around = roma.rotvec_to_rotmat(torch.tensor([0.0, np.pi, 0.0]))
    turned = roma.rotvec_to_rotmat(torch.from_numpy(motion.global_orient)) @ around
    orient = roma.rotmat_to_rotvec(turned).numpy()
    views[2] = (replace(motion, global_orient=orient), camera)
    found = fuse(views, body)
    angle = roma.rotmat_geodesic_distance(found.rotations[:, 0], truth[0][:, 0])
    assert torch.rad2deg(angle).max() < 3.0


def test_depth_is_believed_less_than_place_across_the_ray(truth, body):
    """Two cameras, one too far by a tenth: the other's rays, nearly square to it, decide."""
    views = [seen_by(channel, truth, body) for channel in (3, 2)]
    motion, camera = views[0]
    root = body.rest_joints(torch.zeros(1, 10))[0, 0].numpy()
    far = 1.1 * (motion.transl + root) - root
    views[0] = (replace(motion, transl=far), camera)
    error = np.linalg.norm(fuse(views, body).pelvis - truth[1], axis=1)
    off = np.linalg.norm(far - motion.transl, axis=1)
    assert (error < 0.15 * off).all()


def test_a_camera_that_sees_nobody_does_not_count(truth, body):
    views = [seen_by(channel, truth, body) for channel in (0, 1)]
    motion, camera = views[0]
    lost = replace(motion, transl=motion.transl + 3.0, state=np.full(STEPS, ABSENT))
    error = np.linalg.norm(fuse([(lost, camera), views[1]], body).pelvis - truth[1], axis=1)
    assert error.max() < 0.2


def test_the_median_has_the_least_sum_of_chords():
    torch.manual_seed(1)
    rotations = roma.random_rotmat(5).view(5, 1, 1, 3, 3)
    rotations[:4] = roma.rotvec_to_rotmat(0.4 * torch.randn(4, 1, 1, 3))
    weights = torch.ones(5, 1)

    def total(candidate):
        return (rotations - candidate).flatten(3).norm(dim=-1).sum()

    best = rotation_median(rotations, weights)[None]
    nearby = roma.rotvec_to_rotmat(0.05 * torch.randn(50, 3))
    assert all(total(best) <= total(best @ turn) + 1e-4 for turn in nearby)


def test_views_without_a_common_moment_are_refused(truth, body):
    motion, camera = seen_by(0, truth, body)
    later = replace(motion, t_us=motion.t_us + 7)
    with pytest.raises(ValueError, match="common"):
        fuse([(motion, camera), (later, camera)], body)
    with pytest.raises(ValueError, match="no views"):
        fuse([], body)
