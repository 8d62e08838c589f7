"""Inference as a user meets it: silence, spans, regions, heights, interruption."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from eventhpe.body import load_body
from eventhpe.body.loading import DEFAULT_PATH
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.estimator import Estimator, load_networks
from eventhpe.evaluation import mean_pose, pose_errors, silhouette_agreement
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from eventhpe.inference import betas_of_height, infer
from eventhpe.sequence import ABSENT, HELD, TRACKED, MotionSequence
from eventhpe.simulation.truth import SimulatedTruth
from shapenet.model import ShapeNet


@pytest.fixture(scope="module")
def networks(untrained_cards):
    loaded = load_networks(*untrained_cards)
    # Untrained presence is a coin's toss; let it say that somebody is there.
    with torch.no_grad():
        loaded.shapenet.heads["presence"].bias.fill_(4.0)
    return loaded


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def camera(simulated_recording):
    return Camera(SimulatedTruth.load(simulated_recording).K, 128, 128)


def run(path, networks, body, camera, **options):
    return infer(open_recording(path), networks, body, camera, progress=False, **options).motion


def joints(motion, body):
    return np.stack([step for _, step in motion.posed(body)])


def recording_of(events: EventStream, path):
    with DsecWriter(path, events.width, events.height) as writer:
        writer.append(events)
    return path


def test_poses_stand_at_the_windows_ends(simulated_recording, networks, body, camera):
    motion = run(simulated_recording, networks, body, camera, step_us=20_000)
    assert motion.t_us[0] == 50_000
    assert set(np.diff(motion.t_us)) == {20_000}
    assert motion.t_us[-1] <= 2_000_000
    assert motion.window_us == 50_000
    assert motion.weights == networks.hashes
    assert motion.body_sha256 == body.sha256


def test_a_span_gives_the_steps_of_that_span(simulated_recording, networks, body, camera):
    motion = run(simulated_recording, networks, body, camera, start_us=500_000, stop_us=1_000_000)
    assert motion.t_us[0] == 550_000
    assert motion.t_us[-1] == 1_000_000


def test_silence_holds_the_pose(simulated_recording, networks, body, camera, tmp_path):
    # Before the walker is at the picture's border: one who walks out is not held.
    events = open_recording(simulated_recording).read(0, 700_000)
    late = open_recording(simulated_recording).read(1_900_000, 2_000_000)
    late = replace(late, t=late.t + 1_000_000)
    path = recording_of(EventStream.concatenate([events, late]), tmp_path / "silent.h5")
    motion = run(path, networks, body, camera)
    silent = (motion.t_us > 800_000) & (motion.t_us < 2_850_000)
    assert (motion.state[silent] == HELD).all()
    assert (motion.state[~silent] == TRACKED).any()
    held = motion.body_pose[silent]
    np.testing.assert_array_equal(held, np.broadcast_to(held[0], held.shape))
    assert (np.diff(motion.confidence[silent]) < 0).all()


@pytest.mark.parametrize("count", [1, 2, 30])
def test_hardly_any_events_find_nobody(count, networks, body, tmp_path):
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 600_000, count))
    t[-1] = 600_000
    pixels = rng.integers(0, 128, (2, count))
    events = EventStream.from_arrays(*pixels, t, np.ones(count, int), 128, 128)
    path = recording_of(events, tmp_path / "few.h5")
    motion = run(path, networks, body, Camera.from_fov(128, 128))
    assert (motion.state == ABSENT).all()
    assert (motion.confidence == 0).all()


def test_a_recording_shorter_than_a_window_is_an_error(networks, body, tmp_path):
    one = np.array([5])
    path = recording_of(
        EventStream.from_arrays(one, one, one, one * 0, 128, 128), tmp_path / "1.h5"
    )
    with pytest.raises(InputError, match="at least one window"):
        run(path, networks, body, Camera.from_fov(128, 128))


def test_height_scales_the_body_and_its_distance(simulated_recording, networks, body, camera):
    plain = run(simulated_recording, networks, body, camera)
    tall = run(simulated_recording, networks, body, camera, height_m=1.95)
    eye = torch.eye(3).expand(1, 24, 3, 3)
    vertices = body(
        torch.from_numpy(tall.betas)[None], eye[:, 0], eye[:, 1:], torch.zeros(1, 3)
    ).vertices[0, :, 1]
    assert float(vertices.max() - vertices.min()) == pytest.approx(1.95, abs=2e-3)
    _, ratio = betas_of_height(body, plain.betas, 1.95)
    pelvis = [joints(m, body)[:, 0] for m in (plain, tall)]
    np.testing.assert_allclose(pelvis[1], ratio * pelvis[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"step_us": 5_000}, "--step-ms"),
        ({"step_us": 200_000}, "--step-ms"),
        ({"start_us": 100_000, "stop_us": 120_000}, "--from/--to"),
        ({"start_us": 9_000_000}, "--from"),
        ({"roi": (500, 0, 20, 20)}, "--roi"),
        ({"roi": (0, 0, 500, 500)}, "--roi"),
        ({"height_m": 17.5}, "--height"),
    ],
)
def test_bad_options_name_the_flag(options, flag, simulated_recording, networks, body, camera):
    with pytest.raises(InputError, match=flag):
        run(simulated_recording, networks, body, camera, **options)


def test_roi_hides_what_is_outside(simulated_recording, networks, body, camera):
    motion = run(simulated_recording, networks, body, camera, roi=(0, 0, 8, 8))
    assert (motion.state == ABSENT).all()


def test_reoriented_events_with_a_reoriented_camera_see_the_same(
    simulated_recording, networks, body, camera
):
    """Turning four times by a quarter is turning not at all, also for region and camera."""
    from functools import partial

    plain = run(simulated_recording, networks, body, camera)
    upside = run(
        simulated_recording,
        networks,
        body,
        camera.reoriented(180),
        orient=partial(EventStream.reoriented, rotate=180),
    )
    centre = plain.region[:, :2] + plain.region[:, 2:] / 2
    turned = upside.region[:, :2] + upside.region[:, 2:] / 2
    np.testing.assert_allclose(turned[5:], 128 - centre[5:], atol=3.0)


def test_interruption_keeps_what_is_done(simulated_recording, networks, body, camera, monkeypatch):
    done = 0
    original = Estimator.step

    def step(self, window, step_us):
        nonlocal done
        done += 1
        if done == 6:
            raise KeyboardInterrupt
        return original(self, window, step_us)

    monkeypatch.setattr(Estimator, "step", step)
    result = infer(open_recording(simulated_recording), networks, body, camera, progress=False)
    assert result.interrupted
    assert len(result.motion) == 5


@pytest.fixture(scope="module")
def start(body, camera):
    return MotionSequence(
        t_us=np.array([0]),
        betas=np.full(10, 0.3),
        global_orient=np.array([[np.pi, 0, 0]]),
        body_pose=np.full((1, 69), 0.1),
        transl=np.array([[0.0, 0.2, 3.0]]),
        body_id=body.body_id,
        body_sha256=body.sha256,
        K=camera.K,
        distortion=np.zeros(0),
        width=128,
        height=128,
        frame="camera",
        region=np.array([[0, 0, 128, 128]]),
        confidence=np.ones(1),
        state=np.array([TRACKED]),
        window_us=50_000,
        step_us=50_000,
        weights={},
        command="",
    )


def test_a_start_pose_stands_until_the_first_motion(networks, body, camera, start, tmp_path):
    t = np.array([0, 400_000])
    path = recording_of(
        EventStream.from_arrays(t * 0, t * 0, t, t * 0, 128, 128), tmp_path / "s.h5"
    )
    motion = run(path, networks, body, camera, start=start)
    np.testing.assert_allclose(motion.betas, 0.3)
    np.testing.assert_allclose(motion.body_pose, 0.1, atol=1e-5)
    np.testing.assert_allclose(motion.transl, [[0.0, 0.2, 3.0]] * len(motion), atol=1e-5)
    assert (motion.state == HELD).all()


def test_increments_begin_from_the_start_pose(simulated_recording, networks, body, camera, start):
    """Untrained increments are none: the published network then holds the pose it was given."""
    config = replace(
        networks.shapenet.config,
        head="increments",
        place_width=0,
        grid_channels=0,
        map_channels=0,
        hidden=256,
    )
    shapenet = ShapeNet(config).eval()
    with torch.no_grad():  # what is left of increments at random does not matter here
        shapenet.rotation_head.weight.zero_()
        shapenet.translation_head.weight.zero_()
    published = replace(networks, shapenet=shapenet)
    motion = run(simulated_recording, published, body, camera, start=start, stop_us=300_000)
    assert (motion.state == TRACKED).any()
    np.testing.assert_allclose(motion.body_pose, 0.1, atol=0.02)
    np.testing.assert_allclose(motion.transl, [[0.0, 0.2, 3.0]] * len(motion), atol=0.05)
    with pytest.raises(InputError, match="--start"):
        run(simulated_recording, published, body, camera)


def test_another_body_moves_alike(simulated_recording, networks, body, camera, tmp_path):
    """Networks know the default body; a body with other rest bones gets the same joints."""
    with np.load(DEFAULT_PATH) as content:
        arrays = dict(content)
    stretch = np.array([1.03, 0.97, 1.0], np.float32)
    arrays["v_template"] = arrays["v_template"] * stretch
    arrays["shapedirs"] = (arrays["shapedirs"] * stretch[:, None])[..., ::-1]
    np.savez(tmp_path / "other.npz", **arrays)
    other = load_body(tmp_path / "other.npz")
    plain = run(simulated_recording, networks, body, camera, stop_us=500_000)
    moved = run(simulated_recording, networks, other, camera, stop_us=500_000)
    assert moved.body_sha256 == other.sha256 != body.sha256
    distance = np.linalg.norm(joints(moved, other) - joints(plain, body), axis=-1)
    assert distance.max() < 0.015


def test_a_distorting_lens_is_taken_out(simulated_recording, networks, body, camera, tmp_path):
    """Events bent by a lens, with that lens given, track like the straight ones."""
    bent = replace(camera, distortion=(-0.25, 0.05, 0.0, 0.0))
    events = open_recording(simulated_recording).read(0, 600_000)
    rays = np.stack([events.x, events.y, np.ones(len(events))], axis=1) @ np.linalg.inv(camera.K).T
    uv = np.rint(bent.project(rays)).astype(np.uint16)
    bent_events = replace(events, x=uv[:, 0].copy(), y=uv[:, 1].copy())
    path = recording_of(bent_events, tmp_path / "bent.h5")
    straight = run(simulated_recording, networks, body, camera, stop_us=600_000)
    recovered = run(path, networks, body, bent, stop_us=600_000)
    ignored = run(path, networks, body, camera, stop_us=600_000)
    gap = [np.abs(m.region - straight.region)[3:].max() for m in (recovered, ignored)]
    assert gap[0] < 3.0
    assert gap[1] > gap[0]


def test_each_event_is_undistorted_once(simulated_recording, networks, body, camera):
    """Windows of 50 ms every 20 ms overlap; what leaves the image is counted once all the same."""
    bent = replace(camera, distortion=(-0.4, 0.1, 0.0, 0.0))
    recording = open_recording(simulated_recording)
    result = infer(recording, networks, body, bent, step_us=20_000, stop_us=300_000, progress=False)
    events = recording.read(0, 300_000)
    pixels = np.stack([events.x, events.y], axis=1).astype(float)
    moved = np.rint(bent.undistort_points(pixels))
    inside = ((moved >= 0) & (moved < (camera.width, camera.height))).all(axis=1)
    assert result.undistortion.seen == len(events)
    assert result.undistortion.dropped == (~inside).sum() > 0


def test_truth_scores_zero_and_beats_the_mean_pose(simulated_recording, networks, body, camera):
    truth = SimulatedTruth.load(simulated_recording)
    guess = run(simulated_recording, networks, body, camera)
    at = truth.at(guess.t_us)
    rotations = torch.from_numpy(at.rotations)
    others = {
        name: getattr(guess, name)
        for name in guess.__dataclass_fields__
        if name not in ("global_orient", "body_pose", "betas", "transl")
    }
    exact = MotionSequence.from_matrices(
        rotations[:, 0], rotations[:, 1:], betas=at.betas, transl=at.transl, **others
    )
    exact.state[:] = TRACKED
    errors = pose_errors(exact, truth, body)
    assert errors.mpjpe < 0.1
    recording = open_recording(simulated_recording)
    span = (500_000, 2_000_000)
    true_fit = silhouette_agreement(exact, recording, body, 5.0, *span)
    still = mean_pose(exact, networks, body)
    still_fit = silhouette_agreement(still, recording, body, 5.0, *span)
    assert true_fit.contour > still_fit.contour
    assert true_fit.covered > still_fit.covered
    assert true_fit.inside > 0.5
