"""Optimisation: a disturbed motion comes back to its events, and a true one stays where it is."""

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from eventhpe import optimisation
from eventhpe.body import load_body
from eventhpe.camera import project
from eventhpe.cli import main
from eventhpe.estimator import load_networks
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.inference import InferenceResult
from eventhpe.optimisation import optimise
from eventhpe.refinement import refine
from eventhpe.sequence import ABSENT, HELD, TRACKED, MotionSequence
from eventhpe.simulation.truth import SimulatedTruth
from eventhpe.weights import FLOWNET, Card, save_weights
from shapenet.model import ShapeNet, ShapeNetConfig
from shapenet.self_supervision import SelfSupervision

STEP_US = 50_000
LEFT_SHOULDER, LEFT_ARM = 16, [18, 20, 22]
SHIFT = np.array([0.06, -0.04, 0.1], np.float32)  # metres


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """The released FlowNet; of ShapeNet only the size matters, for its poses are not used."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = ShapeNetConfig(image_size=64, widths=(16, 16, 32, 32), grid_channels=16, hidden=64)
    network, card = ShapeNet(config), tmp_path_factory.mktemp("small") / "shapenet.json"
    recipe = InputRecipe(size=64)
    content = Card("shapenet", network.config_dict(), recipe, {"steps": 0}, "MIT")
    save_weights(card, network.state_dict(), content)
    return load_networks(FLOWNET, card)


@pytest.fixture(scope="module")
def truth(simulated_recording):
    return SimulatedTruth.load(simulated_recording)


@pytest.fixture(scope="module")
def true_motion(truth, body):
    """The walk while it is in the picture, as an estimator would give it that is always right."""
    return motion_of(truth, body, np.arange(100_000, 710_000, STEP_US))


def motion_of(truth, body, t_us, **changes):
    at = truth.at(t_us)
    rotations = torch.from_numpy(changes.pop("rotations", at.rotations))
    fields = {
        "t_us": t_us,
        "betas": at.betas,
        "transl": at.transl,
        "body_id": body.body_id,
        "body_sha256": body.sha256,
        "K": truth.K,
        "distortion": np.zeros(0),
        "width": truth.width,
        "height": truth.height,
        "frame": "camera",
        "region": np.tile([0.0, 0, truth.height, truth.height], (len(t_us), 1)),
        "confidence": np.full(len(t_us), 0.6),
        "state": np.full(len(t_us), TRACKED),
        "window_us": 50_000,
        "step_us": STEP_US,
        "weights": {},
        "command": "",
    }
    return MotionSequence.from_matrices(rotations[:, 0], rotations[:, 1:], **fields | changes)


@pytest.fixture(scope="module")
def disturbed(truth, body, true_motion):
    """Shifted in place, with the left arm raised by 0.4 rad."""
    at = truth.at(true_motion.t_us)
    rotations = at.rotations.copy()
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 0.4])).numpy()
    rotations[:, LEFT_SHOULDER] = rotations[:, LEFT_SHOULDER] @ turn
    return motion_of(truth, body, true_motion.t_us, rotations=rotations, transl=at.transl + SHIFT)


@pytest.fixture
def run(simulated_recording, networks, body):
    def optimised(motion, **options):
        recording = open_recording(simulated_recording)
        return optimise(motion, recording, networks, body, progress=False, **options)

    return optimised


@pytest.fixture
def quick(monkeypatch):
    """For what does not depend on how far it goes."""
    monkeypatch.setattr(optimisation, "ITERATIONS", 3)


def errors_px(motion, truth, body):
    """(T, 24) distances of the joints from the true ones in the image."""
    joints = np.stack([joints for _, joints in motion.posed(body)]).reshape(-1, 3)
    true = truth.at(motion.t_us).joints.reshape(-1, 3)
    away = np.linalg.norm(project(joints, truth.K) - project(true, truth.K), axis=1)
    return away.reshape(len(motion), 24)


def moved_m(first, second):
    return np.linalg.norm(first.transl - second.transl, axis=1)


def test_a_disturbed_motion_comes_back_to_its_events(disturbed, truth, body, run):
    result = run(disturbed)
    before, after = (errors_px(m, truth, body) for m in (disturbed, result.motion))
    assert result.steps == len(disturbed)
    assert result.after < 0.7 * result.before
    assert after.mean() < 0.8 * before.mean()
    assert after[:, LEFT_ARM].mean() < 0.75 * before[:, LEFT_ARM].mean()
    for name in ("t_us", "betas", "region", "confidence", "state"):
        np.testing.assert_array_equal(getattr(result.motion, name), getattr(disturbed, name))


def test_the_truth_stays(true_motion, truth, body, run):
    """Within a pixel and a half of the sensor, which is about one of the network's crop."""
    assert errors_px(run(true_motion).motion, truth, body).mean() < 1.5


def test_nothing_is_kept_that_does_not_lower_the_loss(true_motion, run, monkeypatch):
    monkeypatch.setattr(optimisation, "RATE", 5.0)  # tears the body apart
    monkeypatch.setattr(optimisation, "ITERATIONS", 2)
    result = run(true_motion)
    assert result.motion is true_motion
    assert result.after == result.before > 0


@pytest.mark.usefixtures("quick")
def test_steps_between_follow_their_neighbours(disturbed, run):
    motion = replace(disturbed, state=disturbed.state.copy())
    motion.state[:2], motion.state[6:8] = HELD, HELD
    result = run(motion)
    assert result.steps == len(motion) - 4
    change = result.motion.transl - motion.transl
    assert (np.abs(change[2:6]).max(axis=1) > 1e-4).all()
    turns = [roma.rotmat_geodesic_distance(motion.matrices()[1], result.motion.matrices()[1])]
    np.testing.assert_allclose(turns[0][0], turns[0][2], atol=1e-3)
    assert moved_m(run(motion, keep_start=True).motion, motion)[:2].max() < 1e-5


@pytest.mark.usefixtures("quick")
def test_stretches_give_nearly_what_the_whole_gives(disturbed, run, monkeypatch):
    whole = run(disturbed)
    monkeypatch.setattr(optimisation, "STRETCH", 6)
    parts = run(disturbed)
    assert parts.steps == whole.steps
    assert parts.before == pytest.approx(whole.before, rel=0.2)
    assert moved_m(parts.motion, whole.motion).max() < 0.05


@pytest.mark.usefixtures("quick")
def test_who_leaves_the_picture_is_left_alone(truth, body, run):
    t_us = np.arange(600_000, 1_100_000, STEP_US)
    motion = motion_of(truth, body, t_us)
    columns = project(truth.at(t_us).joints[:, 0], truth.K)[:, 0]
    inside = int((columns < 0.9 * truth.width).sum())
    assert 0 < inside < len(motion)
    assert run(motion).steps <= inside


def test_nobody_and_a_single_step_change_nothing(true_motion, run):
    for tracked in (0, 1):
        motion = replace(true_motion, state=np.full(len(true_motion), ABSENT))
        motion.state[:tracked] = TRACKED
        result = run(motion)
        assert result.motion is motion
        assert result.after == result.before == 0


def test_interruption_keeps_what_there_was(true_motion, run, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SelfSupervision, "terms", stop)
    result = run(true_motion)
    assert result.interrupted
    assert result.motion is true_motion


@pytest.mark.parametrize("change", [{"body_sha256": "other"}, {"window_us": 40_000}])
def test_another_body_or_window_is_refused(change, true_motion, run):
    with pytest.raises(ValueError, match="the motion"):
        run(replace(true_motion, **change))


def test_the_command_smooths_then_optimises(
    disturbed, body, networks, simulated_recording, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(optimisation, "ITERATIONS", 12)
    monkeypatch.setattr("eventhpe.api.load_networks", lambda *_: networks)
    given = InferenceResult(disturbed, False)
    monkeypatch.setattr("eventhpe.api.infer_steps", lambda *_, **__: given)
    flags = ["--out", str(tmp_path), "--backend", "rasterizer", "--refine", "optimise"]
    assert main(["infer", str(simulated_recording), *flags]) == 0
    assert "loss without labels" in capsys.readouterr().out
    smoothed, written = refine(disturbed, body), MotionSequence.load(tmp_path / "motion.npz")
    assert 1e-4 < moved_m(written, smoothed).max() < 0.3
