"""Refinement: noise goes, motion and its timing stay, and held stretches take what came after."""

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from eventhpe.body import load_body
from eventhpe.cli import main
from eventhpe.inference import InferenceResult
from eventhpe.refinement import Cutoffs, refine, smooth
from eventhpe.sequence import ABSENT, HELD, TRACKED, MotionSequence

STEPS_US = [20_000, 50_000]
UPRIGHT = np.pi  # about x; one side of it wraps to the other in axis-angle


@pytest.fixture(scope="module")
def body():
    return load_body()


def motion_of(body, steps=120, step_us=50_000, **changes):
    """An upright person who stands still three metres away, tracked throughout."""
    orient = np.zeros((steps, 3))
    orient[:, 0] = UPRIGHT
    fields = {
        "t_us": step_us * np.arange(1, steps + 1),
        "betas": np.full(10, 0.5),
        "global_orient": orient,
        "body_pose": np.full((steps, 69), 0.1),
        "transl": np.tile([0.1, 0.3, 3.0], (steps, 1)),
        "body_id": body.body_id,
        "body_sha256": body.sha256,
        "K": np.array([[300.0, 0, 173], [0, 300, 130], [0, 0, 1]]),
        "distortion": np.zeros(0),
        "width": 346,
        "height": 260,
        "frame": "camera",
        "region": np.tile([70.0, 20, 200, 200], (steps, 1)),
        "confidence": np.full(steps, 0.6),
        "state": np.full(steps, TRACKED),
        "window_us": 50_000,
        "step_us": step_us,
        "weights": {},
        "command": "",
    }
    return MotionSequence(**fields | changes)


def elbow(angles):
    """body_pose (T, 69) of a left elbow (joint 18) that bends about x."""
    pose = np.zeros((len(angles), 69))
    pose[:, 3 * 17] = angles
    return pose


def elbow_of(motion):
    return motion.body_pose[:, 3 * 17].astype(np.float64)


def angle_between(first, second):
    """Degrees between two motions' 24 rotations, (T, 24)."""
    turns = [torch.cat([m.matrices()[0][:, None], m.matrices()[1]], dim=1) for m in (first, second)]
    return torch.rad2deg(roma.rotmat_geodesic_distance(*turns)).numpy()


def with_states(motion, state, held):
    """As an estimator would give it: in ``held`` (slice) steps repeat the pose before."""
    changed = replace(motion)
    before = held.start - 1
    for name in ("global_orient", "body_pose", "transl"):
        values = getattr(motion, name).copy()
        values[held] = values[before]
        setattr(changed, name, values)
    changed.state = motion.state.copy()
    changed.state[held] = state
    return changed


@pytest.mark.parametrize("step_us", STEPS_US)
def test_a_constant_motion_stays_as_it_is(body, step_us):
    motion = motion_of(body, step_us=step_us)
    motion.confidence[:] = np.random.default_rng(0).uniform(0.1, 0.9, len(motion))
    refined = refine(motion, body)
    assert angle_between(motion, refined).max() < 0.1
    np.testing.assert_allclose(refined.transl, motion.transl, atol=1e-5)
    for name in ("t_us", "betas", "region", "confidence", "state", "command"):
        np.testing.assert_array_equal(getattr(refined, name), getattr(motion, name))


@pytest.mark.parametrize("step_us", STEPS_US)
@pytest.mark.parametrize("hz", [0.5, 1.0, 2.0])
def test_motion_keeps_its_time_and_nearly_its_amplitude(body, step_us, hz):
    """The gain is the stated one, 1 / (1 + (f / cutoff)^4), at every step length."""
    t = np.arange(0, 8, step_us * 1e-6)
    phase = 2 * np.pi * hz * t
    motion = motion_of(body, len(t), step_us, body_pose=elbow(0.4 * np.sin(phase)))
    swing = elbow_of(refine(motion, body, Cutoffs(pose=4.0)))
    inner = slice(len(t) // 8, -len(t) // 8)
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)[inner]
    in_phase, shifted = np.linalg.lstsq(basis, swing[inner], rcond=None)[0]
    assert abs(shifted) < 0.002
    assert in_phase == pytest.approx(0.4 / (1 + (hz / 4) ** 4), rel=0.03)


def test_backwards_in_time_gives_the_same(body):
    rng = np.random.default_rng(1)
    bends = np.cumsum(rng.normal(0, 0.1, 120))
    forward = elbow_of(refine(motion_of(body, body_pose=elbow(bends)), body))
    backward = elbow_of(refine(motion_of(body, body_pose=elbow(bends[::-1])), body))
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)


@pytest.mark.parametrize("step_us", STEPS_US)
def test_noise_is_reduced_and_depth_most(body, step_us):
    rng = np.random.default_rng(2)
    clean = motion_of(body, 200, step_us)
    noisy = motion_of(
        body,
        200,
        step_us,
        body_pose=clean.body_pose + rng.normal(0, 0.1, clean.body_pose.shape),
        transl=clean.transl + rng.normal(0, 0.05, clean.transl.shape),
    )
    refined = refine(noisy, body)
    assert angle_between(refined, clean)[:, 1:].mean() < 0.75 * angle_between(noisy, clean).mean()
    left = (refined.transl - clean.transl).std(axis=0) / (noisy.transl - clean.transl).std(axis=0)
    assert (left < 0.75).all()
    assert left[2] < 0.5


def test_turns_about_the_wrapping_angle_do_not_unwind(body):
    """Just under and over 180 degrees are 2 degrees apart, their axis-angles opposite."""
    turns = np.zeros((60, 3))
    turns[:, 0] = np.where(np.arange(60) % 2, 1, -1) * (np.pi - np.deg2rad(1))
    refined = refine(motion_of(body, 60, global_orient=turns), body)
    straight = motion_of(body, 60)
    straight.body_pose[:] = refined.body_pose
    assert angle_between(refined, straight).max() < 1.0


def test_a_doubtful_step_weighs_little(body):
    bends = np.zeros(60)
    bends[30] = 1.0
    trusted = motion_of(body, 60, body_pose=elbow(bends))
    doubtful = replace(trusted, confidence=np.where(bends > 0, 0.1, 0.6).astype(np.float32))
    assert elbow_of(refine(doubtful, body))[30] < 0.2 * elbow_of(refine(trusted, body))[30]


def test_a_silent_start_takes_the_first_tracked_pose(body):
    motion = motion_of(body, 60)
    motion.body_pose[:20], motion.transl[:20] = 0.0, [0.0, 0.2, 9.0]
    motion.region[:20] = [0, 0, 346, 346]
    motion.state[:20], motion.confidence[:20] = ABSENT, 0.0
    refined = refine(motion, body)
    np.testing.assert_allclose(refined.body_pose[:20], 0.1, atol=1e-5)
    np.testing.assert_allclose(refined.transl[:20], [[0.1, 0.3, 3.0]] * 20, atol=1e-5)
    assert (refined.state[:20] == HELD).all()
    np.testing.assert_array_equal(refined.region[:20], motion.region[20:40])
    assert (np.diff(refined.confidence[:21]) > 0).all()
    assert refined.confidence[20] == motion.confidence[20]


def test_who_comes_in_at_the_border_was_not_there_before(body):
    motion = motion_of(body, 60)
    motion.transl[:, 0] = -1.6  # 160 of 173 pixels left of the centre
    motion.state[:20], motion.confidence[:20] = ABSENT, 0.0
    refined = refine(motion, body)
    assert (refined.state[:20] == ABSENT).all()
    assert (refined.confidence[:20] == 0).all()


def test_a_given_start_pose_stays(body):
    motion = motion_of(body, 60)
    motion.body_pose[:20], motion.state[:20] = 0.3, HELD
    refined = refine(motion, body)
    np.testing.assert_allclose(refined.body_pose[:20], 0.3, atol=1e-5)
    np.testing.assert_allclose(refined.body_pose[20:], 0.1, atol=1e-5)


def test_held_in_the_middle_is_one_pose_of_both_sides(body):
    """Two estimates of one stance, 0.2 and 0.4 rad: it was 0.3 all the time, and moved never."""
    bends = np.where(np.arange(120) < 80, 0.2, 0.4)
    motion = with_states(motion_of(body, body_pose=elbow(bends)), HELD, slice(40, 80))
    refined = elbow_of(refine(motion, body))
    np.testing.assert_allclose(refined[40:80], 0.3, atol=1e-3)
    np.testing.assert_allclose(refined[:30], 0.2, atol=2e-3)
    assert np.ptp(refined[40:80]) < 1e-6


def test_absence_is_bridged_evenly(body):
    bends = np.where(np.arange(120) < 80, 0.2, 0.4)
    motion = with_states(motion_of(body, body_pose=elbow(bends)), ABSENT, slice(40, 80))
    refined = elbow_of(refine(motion, body))[40:80]
    rate = np.diff(refined)
    assert (rate > 0).all()
    np.testing.assert_allclose(rate, rate.mean(), rtol=0.05)


@pytest.mark.parametrize("state", [HELD, ABSENT])
def test_who_went_elsewhere_unseen_is_not_dragged_there(body, state):
    motion = motion_of(body)
    motion.transl[80:, 0] = 1.2
    motion.body_pose[80:] = 0.3
    motion = with_states(motion, state, slice(40, 80))
    refined = refine(motion, body)
    np.testing.assert_allclose(refined.transl, motion.transl, atol=1e-5)
    np.testing.assert_allclose(refined.body_pose, motion.body_pose, atol=1e-5)


def test_the_end_keeps_the_last_pose(body):
    motion = with_states(motion_of(body), HELD, slice(80, 120))
    refined = refine(motion, body)
    np.testing.assert_allclose(refined.body_pose[80:], 0.1, atol=1e-5)


@pytest.mark.parametrize("tracked", [0, 1, 2, 3])
def test_hardly_or_never_tracked(body, tracked):
    motion = motion_of(body, 10)
    motion.state[tracked:], motion.confidence[:] = ABSENT, 0.0
    refined = refine(motion, body)
    np.testing.assert_allclose(refined.transl, motion.transl, atol=1e-5)


def test_a_pelvis_behind_the_camera_does_no_harm(body):
    motion = motion_of(body)
    motion.transl[50, 2] = -1.0
    assert np.isfinite(refine(motion, body).transl).all()  # MotionSequence refuses NaN, too


def test_the_motion_of_another_body_is_refused(body):
    with pytest.raises(ValueError, match="belongs to"):
        refine(motion_of(body, body_sha256="other"), body)


def test_smoothing_follows_uneven_steps():
    """A straight line stays straight wherever its samples lie."""
    t = np.cumsum(np.random.default_rng(3).uniform(0.01, 0.1, 50))
    line = np.stack([2 * t + 1, -t], axis=1)
    np.testing.assert_allclose(smooth(t, line, np.ones(50), 0.5), line, atol=1e-6)


def test_infer_refines_when_asked(body, simulated_recording, tmp_path, monkeypatch):
    noise = np.random.default_rng(4).normal(0, 0.1, (10, 69))
    K = np.array([[150.0, 0, 64], [0, 150, 64], [0, 0, 1]])
    made = motion_of(body, 10, body_pose=noise, K=K, width=128, height=128)
    monkeypatch.setattr("eventhpe.api.load_networks", lambda *_: None)
    monkeypatch.setattr("eventhpe.api.infer_steps", lambda *_, **__: InferenceResult(made, False))
    smoothed = refine(made, body)
    cases = {"off": (["--refine", "off"], made), "default": ([], smoothed)}
    cases |= {"alone": (["--refine"], smoothed), "smooth": (["--refine", "smooth"], smoothed)}
    for name, (refinement, expected) in cases.items():
        out = tmp_path / name
        flags = ["--out", str(out), "--backend", "rasterizer", *refinement]
        assert main(["infer", str(simulated_recording), *flags]) == 0
        written = MotionSequence.load(out / "motion.npz")
        np.testing.assert_array_equal(written.body_pose, expected.body_pose)


def test_an_interrupted_run_leaves_no_pictures_of_an_earlier_motion(
    body, simulated_recording, tmp_path, monkeypatch
):
    made = motion_of(body, 10, K=np.array([[150.0, 0, 64], [0, 150, 64], [0, 0, 1]]))
    monkeypatch.setattr("eventhpe.api.load_networks", lambda *_: None)
    monkeypatch.setattr("eventhpe.api.infer_steps", lambda *_, **__: InferenceResult(made, True))
    for name in ("motion.npz", "overlay.mp4", "contact_sheet.png"):
        (tmp_path / name).write_text("earlier")
    assert main(["infer", str(simulated_recording), "--out", str(tmp_path), "--force"]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["motion.npz"]
    assert len(MotionSequence.load(tmp_path / "motion.npz")) == 10
