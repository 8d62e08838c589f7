"""The truth beside a motion: the recording's own poses at the motion's moments, turned along."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from eventhpe.body import Body, load_body
from eventhpe.body.arrays import check_arrays
from eventhpe.body.loading import DEFAULT_PATH
from eventhpe.camera import project
from eventhpe.errors import InputError
from eventhpe.events import DsecWriter, open_recording
from eventhpe.rendering.moments import check_match
from eventhpe.rendering.truth import load_truth
from eventhpe.sequence import ABSENT, TRACKED, MotionSequence
from eventhpe.simulation.truth import SimulatedTruth
from tests.rendering.rendering_scenes import MemoryRecording, motion


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def estimate(simulated_recording: Path, body: Body) -> MotionSequence:
    """A motion on the free body before a camera of 128x128 pixels, 0.06 to 0.34 s."""
    return dataclasses.replace(
        motion(), body_id=body.body_id, body_sha256=body.sha256, height=128, confidence=[0.5] * 8
    )


def joints(known: MotionSequence, body: Body) -> np.ndarray:
    return np.stack([j for _, j in known.posed(body)])


def test_it_has_the_recordings_joints_at_the_motions_moments(simulated_recording, estimate, body):
    known = load_truth(simulated_recording, estimate, body)
    truth = SimulatedTruth.load(simulated_recording)
    assert np.array_equal(known.t_us, estimate.t_us)
    # The moments lie on the truth's 100 Hz clock, whose joints the simulator wrote itself.
    expected = truth.joints[estimate.t_us // 10_000]
    assert joints(known, body) == pytest.approx(expected, abs=1e-4)
    assert np.array_equal(known.K, truth.K)
    assert np.array_equal(known.state == TRACKED, truth.present[estimate.t_us // 10_000])


@pytest.mark.parametrize("turned", [(90, 0, 0), (180, 0, 0), (270, 0, 0), (0, 1, 1), (90, 1, 1)])
def test_it_turns_with_the_motions_events(turned, simulated_recording, estimate, body):
    """Its joints' pixels are the untouched truth's, turned as pixels are."""
    known = load_truth(
        simulated_recording, dataclasses.replace(estimate, turned=np.array(turned)), body
    )
    truth = SimulatedTruth.load(simulated_recording)
    u, v = np.moveaxis(project(truth.joints[estimate.t_us // 10_000], truth.K), -1, 0)
    for _ in range(turned[0] // 90):
        u, v = 127 - v, u
    u, v = (127 - u if turned[1] else u), (127 - v if turned[2] else v)
    found = project(joints(known, body).astype(float), known.K)
    assert found == pytest.approx(np.stack([u, v], -1), abs=0.02)


def test_nobody_is_absent(simulated_recording, estimate, body, monkeypatch):
    read = SimulatedTruth.load(simulated_recording)
    gone = dataclasses.replace(read, present=np.zeros_like(read.present))
    monkeypatch.setattr(SimulatedTruth, "load", lambda _: gone)
    assert (load_truth(simulated_recording, estimate, body).state == ABSENT).all()


def test_another_motion_is_truth_at_the_moments_between_its_steps(tmp_path, body):
    other = dataclasses.replace(motion(), body_id=body.body_id, body_sha256=body.sha256)
    other.save(tmp_path / "other.npz")
    half = other.at(other.t_us[:-1] + 20_000)
    known = load_truth(tmp_path / "other.npz", half, body)
    assert known.transl == pytest.approx((other.transl[1:] + other.transl[:-1]) / 2, abs=1e-6)


def test_a_truth_of_the_free_body_moves_to_the_motions(simulated_recording, estimate, tmp_path):
    with np.load(DEFAULT_PATH) as data:
        arrays = check_arrays(DEFAULT_PATH, dict(data))
    # The shape directions in reverse order: other betas for the same person.
    poorer = dataclasses.replace(arrays, shapedirs=arrays.shapedirs[..., ::-1].copy())
    other = Body(poorer, "other")
    foreign = dataclasses.replace(estimate, body_id="other", body_sha256=other.sha256)
    known = load_truth(simulated_recording, foreign, other)
    assert known.body_sha256 == other.sha256
    expected = SimulatedTruth.load(simulated_recording).joints[estimate.t_us // 10_000]
    assert joints(known, other) == pytest.approx(expected, abs=0.01)
    third = dataclasses.replace(known, body_sha256="2" * 64)
    third.save(tmp_path / "third.npz")
    with pytest.raises(InputError, match="free"):
        load_truth(tmp_path / "third.npz", foreign, other)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"height": 120}, "128x128"),
        ({"t_us": 1_900_000 + 40_000 * np.arange(8)}, "2.0"),
        ({"turned": np.array([0, 1, 0])}, "mirrored"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(changes, told, simulated_recording, estimate, body):
    with pytest.raises(InputError, match=told):
        load_truth(simulated_recording, dataclasses.replace(estimate, **changes), body)


def test_files_without_truth_are_refused(tmp_path, estimate, body):
    (tmp_path / "walk.aedat").write_bytes(b"#!AER-DAT2.0\r\n")
    with pytest.raises(InputError, match="HDF5"):
        load_truth(tmp_path / "walk.aedat", estimate, body)
    np.savez(tmp_path / "events.npz", t=np.arange(3))
    with pytest.raises(InputError, match="schema"):
        load_truth(tmp_path / "events.npz", estimate, body)
    estimate.save(tmp_path / "short.npz")
    later = dataclasses.replace(estimate, t_us=estimate.t_us + 10)
    with pytest.raises(InputError, match=r"0\.060 to 0\.340"):
        load_truth(tmp_path / "short.npz", later, body)
    turned = dataclasses.replace(estimate, turned=np.array([90, 0, 0]))
    with pytest.raises(InputError, match="--rotate"):
        load_truth(tmp_path / "short.npz", turned, body)


def test_another_recording_of_the_same_sensor_and_length_is_refused(
    simulated_recording, estimate, tmp_path, body
):
    recording = open_recording(simulated_recording)
    made = dataclasses.replace(estimate, recording_sha256=recording.fingerprint())
    events = recording.read()
    events = dataclasses.replace(events, t=events.t - events.t[0])  # as some containers count
    for name, polarity in (("same.h5", events.p), ("other.h5", 1 - events.p)):
        with DsecWriter(tmp_path / name, recording.width, recording.height) as writer:
            writer.append(dataclasses.replace(events, p=polarity))
    check_match(made, recording, body)
    check_match(made, open_recording(tmp_path / "same.h5"), body)  # a conversion
    with pytest.raises(InputError, match="other events"):
        check_match(made, open_recording(tmp_path / "other.h5"), body)
    wrong = dataclasses.replace(made, recording_sha256="ab" * 32)
    made.save(tmp_path / "motion.npz")
    for truth in (simulated_recording, tmp_path / "motion.npz"):
        assert len(load_truth(truth, made, body)) == len(made)
        with pytest.raises(InputError, match="other events"):
            load_truth(truth, wrong, body)


def test_a_fingerprint_counts_no_repairs() -> None:
    recording = MemoryRecording()
    known = recording.fingerprint()
    recording.repairs.out_of_sensor = 3
    assert recording.fingerprint() == known
    assert recording.repairs.out_of_sensor == 3
