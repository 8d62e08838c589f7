"""Up and the floor: known angles, cameras, IMUs and motions, and what is said of them."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eventhpe import gravity
from eventhpe.body import load_body
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.evaluation import gravity as evaluation
from eventhpe.evaluation.gravity import evaluate_gravity, gravity_table, true_view
from eventhpe.events.inertia import Inertia
from eventhpe.events.recipe import InputRecipe
from eventhpe.gravity import Up, angles_of_up, measured_up, settle, up_of_angles, up_of_motion
from eventhpe.inference import infer
from eventhpe.refinement import refine
from eventhpe.sequence import ABSENT, CAMERA_UP, TRACKED, MotionSequence
from eventhpe.simulation.scene.views import WORLD_TO_LEVEL_CAMERA, about_x, about_z
from eventhpe.simulation.truth import SimulatedTruth
from tests.rendering.rendering_scenes import MemoryRecording, motion

G = 9.80665


def degrees(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


class StillRecording(MemoryRecording):
    """A recording with an IMU."""

    def __init__(self, samples: Inertia | None) -> None:
        super().__init__()
        self.samples = samples

    def inertia(self) -> Inertia | None:
        return self.samples


def still(
    force: tuple[float, float, float], to_camera: NDArray[np.float64] | None
) -> StillRecording:
    noise = np.random.default_rng(1).normal(0, 0.01, (500, 3))
    t_us = np.arange(500, dtype=np.int64) * 2000
    return StillRecording(Inertia(t_us, np.array(force) + noise, to_camera))


@pytest.fixture(scope="module")
def walk(simulated_recording: Path) -> tuple[MotionSequence, SimulatedTruth]:
    """The true motion of the simulated walk."""
    truth = SimulatedTruth.load(simulated_recording)
    return true_motion(truth), truth


def true_motion(truth: SimulatedTruth) -> MotionSequence:
    body, t_us = load_body(), np.arange(100_000, 2_000_000, 50_000)
    pose = truth.at(t_us)
    given = replace(motion(len(t_us)), t_us=t_us, step_us=50_000, state=np.full(len(t_us), TRACKED))
    vectors = roma.rotmat_to_rotvec(torch.from_numpy(pose.rotations)).numpy()
    return replace(
        given,
        betas=pose.betas,
        global_orient=vectors[:, 0],
        body_pose=vectors[:, 1:].reshape(len(t_us), 69),
        transl=pose.transl,
        body_id=body.body_id,
        body_sha256=body.sha256,
    )


def turned(sequence: MotionSequence, R: NDArray[np.float64]) -> MotionSequence:
    """As a camera turned by R^T about its centre sees it."""
    rest = load_body().rest_joints(torch.from_numpy(sequence.betas)[None])[0, 0].numpy()
    matrices = torch.from_numpy(R) @ sequence.matrices()[0].double()
    return replace(
        sequence,
        global_orient=roma.rotmat_to_rotvec(matrices).numpy(),
        transl=(sequence.transl + rest) @ R.T - rest,
    )


@given(st.floats(-89, 89), st.floats(-179, 179))
def test_pitch_and_roll_mean_what_the_simulator_means(pitch: float, roll: float) -> None:
    camera = about_z(-np.radians(roll)) @ about_x(-np.radians(pitch)) @ WORLD_TO_LEVEL_CAMERA
    up = up_of_angles(pitch, roll)
    np.testing.assert_allclose(up, camera @ [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(angles_of_up(up), (pitch, roll), atol=1e-6)


def test_a_camera_that_looks_down_sees_the_horizon_above_its_middle() -> None:
    up = up_of_angles(-30, 0)
    ahead = np.array([0.0, 0, 1]) - up[2] * up  # level, straight ahead
    assert ahead[1] < 0
    assert up_of_angles(0, 20)[0] < 0  # turned clockwise: what is upright leans to the left


def test_up_and_floor_of_a_true_walk(walk: tuple[MotionSequence, SimulatedTruth]) -> None:
    view = true_view(walk[1])
    found = settle(walk[0], load_body())
    assert found.up_source == gravity.MOTION_UP
    assert degrees(found.up, view.R @ [0, 1, 0]) < 2.0
    assert degrees(np.array([0.0, -1, 0]), view.R @ [0, 1, 0]) > 4.0  # the image's is not it
    known = settle(walk[0], load_body(), Up(view.R @ [0.0, 1, 0], "truth"))
    assert known.floor_m == pytest.approx(-view.centre[1], abs=0.015)
    assert known.up_source == "truth"


def test_the_floor_lies_under_the_lowest_vertices(
    walk: tuple[MotionSequence, SimulatedTruth],
) -> None:
    found = settle(walk[0], load_body())
    lowest = [float((vertices @ found.up).min()) for vertices, _ in walk[0].posed(load_body())]
    assert found.floor_m == pytest.approx(np.median(lowest), abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_up_turns_with_the_camera(walk: tuple[MotionSequence, SimulatedTruth], seed: int) -> None:
    R = roma.random_rotmat(dtype=torch.float64).numpy() if seed else np.diag([-1.0, -1, 1])
    before, after = (settle(m, load_body()) for m in (walk[0], turned(walk[0], R)))
    np.testing.assert_allclose(after.up, R @ before.up, atol=1e-4)
    assert after.floor_m == pytest.approx(before.floor_m, abs=1e-4)


def test_jumps_and_lost_feet_hardly_move_the_floor(
    walk: tuple[MotionSequence, SimulatedTruth],
) -> None:
    sequence, body = walk[0], load_body()
    plain = settle(sequence, body)
    transl = sequence.transl.copy()
    transl[5:14] += 0.4 * plain.up
    jumped = settle(replace(sequence, transl=transl), body)
    assert degrees(jumped.up, plain.up) < 1.5
    assert jumped.floor_m == pytest.approx(plain.floor_m, abs=0.03)


def test_absent_steps_do_not_count(walk: tuple[MotionSequence, SimulatedTruth]) -> None:
    sequence, body = walk[0], load_body()
    state, orient = sequence.state.copy(), sequence.global_orient.copy()
    state[:8], orient[:8] = ABSENT, 0.0
    found = settle(replace(sequence, state=state, global_orient=orient), body)
    expected = settle(sequence.slice(int(sequence.t_us[8])), body)
    np.testing.assert_allclose(found.up, expected.up, atol=1e-9)
    assert found.floor_m == pytest.approx(expected.floor_m)


def test_less_than_a_second_says_nothing_of_up_but_something_of_the_floor(
    walk: tuple[MotionSequence, SimulatedTruth],
) -> None:
    body = load_body()
    short = walk[0].slice(None, 900_000)
    assert up_of_motion(short, body) is None
    found = settle(short, body)
    assert found.up_source == CAMERA_UP
    np.testing.assert_array_equal(found.up, [0, -1, 0])
    assert -3 < found.floor_m < 0
    assert "not known" in gravity.said(found)
    nobody = settle(replace(short, state=np.zeros(len(short), np.uint8)), body)
    assert np.isnan(nobody.floor_m)
    assert "floor" not in gravity.said(nobody)


def test_what_is_known_outlives_refinement_and_what_is_found_is_found_anew(
    walk: tuple[MotionSequence, SimulatedTruth],
) -> None:
    sequence, body = walk[0], load_body()
    up = up_of_angles(-7, 3)
    known = refine(settle(sequence, body, Up(up, gravity.ANGLES_UP)), body)
    np.testing.assert_array_equal(known.up, up)
    assert known.up_source == gravity.ANGLES_UP
    assert "pitch -7.0, roll +3.0" in gravity.said(known)
    R = about_x(0.5)
    # Its own `up` is that of another motion; refined, it has the one that fits.
    again = refine(turned(settle(sequence, body), R), body)
    expected = settle(refine(turned(sequence, R), body), body)
    np.testing.assert_allclose(again.up, expected.up, atol=1e-9)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [False, True])
def test_extrinsics_turn_with_the_picture(rotate: int, flip: bool) -> None:
    R = roma.random_rotmat(dtype=torch.float64).numpy()
    K = np.array([[200.0, 0, 90], [0, 200, 50], [0, 0, 1]])
    camera = Camera(K, 160, 120, R, np.array([0.1, 0.2, 3.0]), world_up=np.array([0, 0, 1.0]))
    seen = camera.reoriented(rotate, flip_x=flip)
    up, note = measured_up(seen, StillRecording(None), 0, 1)
    assert up is not None
    assert note is None
    assert up.source == gravity.CAMERA_FILE_UP
    feet, head = np.array([[0.3, -0.2, 0.4], [0.3, -0.2, 1.4]])
    moved = seen.to_camera(head) - seen.to_camera(feet)
    np.testing.assert_allclose(up.direction, moved, atol=1e-9)


def test_an_imu_at_rest_points_up() -> None:
    camera = Camera.from_fov(128, 120)
    # The axes of an AEDAT 4 file; the camera looks up by 30 degrees: its back points down.
    axes = np.diag([-1.0, 1, -1])
    force = (0.0, -G * np.cos(np.pi / 6), -G * 0.5)
    up, note = measured_up(camera, still(force, axes), 0, 10**6)
    assert up is not None
    assert note is None
    assert up.source == gravity.IMU_UP
    assert degrees(up.direction, up_of_angles(30, 0)) < 0.1
    # The same camera, upside down on its stand, and its picture turned back.
    force = (0.0, G * np.cos(np.pi / 6), -G * 0.5)
    up, _ = measured_up(camera.reoriented(180), still(force, axes), 0, 10**6)
    assert up is not None
    assert degrees(up.direction, up_of_angles(30, 0)) < 0.1


def test_a_camchains_imu_rotation_counts_before_the_formats() -> None:
    rotation = roma.random_rotmat(dtype=torch.float64).numpy()
    camera = replace(Camera.from_fov(128, 120), imu=rotation)
    expected = up_of_angles(-12, 5)
    force = tuple(G * rotation.T @ expected)
    for axes in (None, np.diag([-1.0, 1, -1])):
        up, _ = measured_up(camera, still(force, axes), 0, 10**6)
        assert up is not None
        assert degrees(up.direction, expected) < 0.1


def test_only_the_spans_samples_count() -> None:
    force = np.tile([0.0, -G, 0.0], (100, 1))
    force[50:] = [G, 0.0, 0.0]
    t_us = np.arange(100, dtype=np.int64) * 1000
    recording = StillRecording(Inertia(t_us, force, np.eye(3)))
    camera = Camera.from_fov(128, 120)
    for span, expected in (((0, 50_000), [0, -1, 0]), ((60_000, 90_000), [1, 0, 0])):
        up, _ = measured_up(camera, recording, *span)
        assert up is not None
        np.testing.assert_allclose(up.direction, expected)


@pytest.mark.parametrize(
    ("force", "axes", "words"),
    [
        ((0.0, -G, 0.0), None, "T_cam_imu"),
        ((0.0, -1.0, 0.0), np.eye(3), "m/s\\^2"),
        ((float("nan"), -G, 0.0), np.eye(3), "nan"),
    ],
)
def test_an_imu_that_cannot_be_used_is_said(
    force: tuple[float, float, float], axes: NDArray[np.float64] | None, words: str
) -> None:
    up, note = measured_up(Camera.from_fov(128, 120), still(force, axes), 0, 10**6)
    assert up is None
    assert note is not None
    assert re.search(words, note)


def test_infer_fills_the_motion(
    simulated_recording: Path, untrained_cards: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventhpe.estimator import load_networks
    from eventhpe.events.recording import open_recording

    recording = open_recording(simulated_recording)
    rest = load_networks(*untrained_cards), load_body(), Camera.from_fov(128, 128)

    def run(samples: Inertia | None, up: Up | None = None) -> tuple[MotionSequence, str]:
        monkeypatch.setattr(recording, "inertia", lambda: samples)
        result = infer(recording, *rest, stop_us=400_000, progress=False, up=up)
        return result.motion, " ".join(result.warnings)

    force = np.tile([0.0, -G, 0.0], (10, 1))
    samples = Inertia(np.arange(10, dtype=np.int64), force, np.eye(3))
    found, words = run(samples)
    assert (found.up_source, "IMU" in words) == (gravity.IMU_UP, False)
    np.testing.assert_array_equal(found.up, [0, -1, 0])
    _, words = run(replace(samples, to_camera=None))
    assert "T_cam_imu" in words
    found, words = run(replace(samples, to_camera=None), Up(up_of_angles(9, 0), "given"))
    assert (found.up_source, "IMU" in words) == ("given", False)


OWN = "width: 128\nheight: 128\nfx: 100\nfy: 100\ncx: 63\ncy: 63\n"


@pytest.mark.parametrize(
    ("flags", "content", "words"),
    [
        (["--pitch", "95"], None, "--pitch"),
        (["--roll=-200"], None, "--roll"),
        (["--pitch", "nan"], None, "not a number"),
        (["--pitch", "-5"], OWN + "up: -y\n", "one of the two"),
        (["--roll", "5"], OWN + "up: -y\n", "one of the two"),
        ([], OWN + "up: sky\n", "up: sky"),
    ],
)
def test_bad_input_is_one_clear_line(
    flags: list[str],
    content: str | None,
    words: str,
    simulated_recording: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from eventhpe.cli import main

    if content is not None:
        (tmp_path / "camera.yaml").write_text(content)
        flags = [*flags, "--camera", str(tmp_path / "camera.yaml")]
    command = ["infer", str(simulated_recording), "--out", str(tmp_path / "out"), *flags]
    try:
        code = main(command)
    except SystemExit as stopped:  # argparse's own
        code = int(stopped.code or 0)
    assert code == 2
    text = capsys.readouterr().err
    assert words in text
    assert text.count("\n") == 1


def test_the_command_says_and_keeps_it(
    simulated_recording: Path,
    untrained_cards: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from eventhpe.cli import main

    flownet, shapenet = map(str, untrained_cards)
    command = ["infer", str(simulated_recording), "--flownet", flownet, "--shapenet", shapenet]
    command += ["--to", "0.3", "--backend", "rasterizer", "--out", str(tmp_path)]
    assert main([*command, "--pitch=-10"]) == 0
    assert "gravity: by pitch and roll as given: pitch -10.0" in capsys.readouterr().out
    np.testing.assert_allclose(
        MotionSequence.load(tmp_path / "motion.npz").up, up_of_angles(-10, 0), atol=1e-12
    )


def test_the_evaluation_measures_by_how_much_a_motion_is_turned(
    simulated_recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = turned(true_motion(SimulatedTruth.load(simulated_recording)), about_x(np.radians(12)))
    monkeypatch.setattr(evaluation, "take_steps", lambda *_: None)
    monkeypatch.setattr(evaluation, "motion_of_takes", lambda *_: made)
    entrant: Any = SimpleNamespace(
        takes=lambda *_, workers: [None], networks=SimpleNamespace(recipe=InputRecipe())
    )
    folder = simulated_recording.parent
    (row,) = evaluate_gravity(folder, entrant, load_body(), progress=False)
    view = true_view(SimulatedTruth.load(simulated_recording))
    assert row.image_deg == pytest.approx(degrees(np.array([0, -1.0, 0]), view.R @ [0, 1, 0]))
    assert row.true_motion_deg < 2
    assert row.motion_deg == pytest.approx(12, abs=2)
    assert len(row.contact_mm) > 20
    assert np.median(row.contact_mm) < 10
    table = gravity_table([row, replace(row, name="other", motion_deg=row.motion_deg + 2)])
    assert f"largest{row.image_deg:27.1f}" in table
    assert f"{row.motion_deg + 1:.1f}\nmedian" in table
    nobody = replace(made, state=np.zeros(len(made), np.uint8))
    monkeypatch.setattr(evaluation, "motion_of_takes", lambda *_: nobody)
    with pytest.raises(InputError, match="nobody tracked"):
        evaluate_gravity(folder, entrant, load_body(), progress=False)


@pytest.mark.parametrize("change", [{"seed": 8}, {"framing": "knees_up"}])
def test_a_camera_that_is_not_the_seeds_is_refused(
    simulated_recording: Path, change: dict[str, object]
) -> None:
    truth = SimulatedTruth.load(simulated_recording)
    with pytest.raises(InputError, match="its seed does not make"):
        true_view(replace(truth, description=truth.description | change))
