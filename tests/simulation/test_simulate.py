"""Whole recordings: files, truth, and events that lie where the truth says the person is."""

import hashlib
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the compression of the event datasets)
import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from eventhpe.body.loading import load_body
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.events.recording import open_recording
from eventhpe.rasterizer import rasterize
from eventhpe.simulation import SimulatedTruth, SimulationConfig, simulate, truth_flow
from eventhpe.simulation.scene.boxes import Boxes, unit_box
from eventhpe.simulation.scene.views import random_view
from eventhpe.simulation.sensor import SensorParameters

CLEAN = SensorParameters(threshold_on=0.2, threshold_off=0.2, bandwidth_hz=0.0)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def clean(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A noiseless waving person at 128x128."""
    path = tmp_path_factory.mktemp("simulated") / "clean.h5"
    config = SimulationConfig(
        duration_s=1.5, sensor=(128, 128), motion="arms_sideways", parameters=CLEAN
    )
    simulate(config, path, 8, body)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_seed_gives_the_same_bytes(body: Body, tmp_path: Path) -> None:
    config = SimulationConfig(duration_s=0.4, sensor=(128, 128))
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        simulate(config, tmp_path / name, seed, body)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_the_file_opens_as_a_recording_in_time_order(clean: Path) -> None:
    recording = open_recording(clean)
    events = recording.read(0, 1_500_000)
    assert (recording.width, recording.height) == (128, 128)
    assert len(events) > 500
    assert (np.diff(events.t) >= 0).all()
    assert events.t[-1] < 1_500_000


def test_truth_equals_the_body_posed_with_its_parameters(clean: Path, body: Body) -> None:
    truth = SimulatedTruth.load(clean)
    assert truth.t_us.tolist() == list(range(0, 1_500_001, 10_000))
    assert truth.body_sha256 == body.sha256
    rotations = torch.from_numpy(truth.rotations)
    betas = torch.from_numpy(truth.betas).expand(len(rotations), -1)
    with torch.no_grad():
        posed = body(betas, rotations[:, 0], rotations[:, 1:], torch.from_numpy(truth.transl))
    assert posed.joints.numpy() == pytest.approx(truth.joints, abs=2e-4)
    assert truth.vertices(body, truth.t_us[30])[0] == pytest.approx(
        posed.vertices[30].numpy(), abs=2e-4
    )
    assert truth.present.all()


def test_the_person_stands_upright_before_the_camera(clean: Path) -> None:
    joints = SimulatedTruth.load(clean).joints
    assert (joints[..., 2] > 0.5).all()
    # y points down: the head is above the pelvis, the ankles are below it.
    assert (joints[:, 15, 1] < joints[:, 0, 1] - 0.3).all()
    assert (joints[:, 7, 1] > joints[:, 0, 1] + 0.5).all()


def test_projected_joints_lie_on_the_silhouette_and_events_near_it(clean: Path, body: Body) -> None:
    truth = SimulatedTruth.load(clean)
    events = open_recording(clean).read(0, 1_500_000)
    on_body, near_body = [], []
    for t in range(100_000, 1_500_000, 100_000):
        vertices = truth.vertices(body, t)[0]
        drawn = rasterize(vertices, body.faces, truth.K, 128, 128)
        distance = distance_transform_edt(~drawn.silhouette)
        uvw = truth.at(t).joints[0] @ truth.K.T
        u, v = np.rint(uvw[:, :2] / uvw[:, 2:]).astype(int).T
        inside = (u >= 0) & (v >= 0) & (u < 128) & (v < 128)
        on_body.append(distance[v[inside], u[inside]] <= 1.0)
        now = events.between(t - 4_000, t + 4_000)
        near_body.append(distance[now.y, now.x] <= 3.0)
    assert np.concatenate(on_body).mean() > 0.97
    near = np.concatenate(near_body)
    assert len(near) > 50
    # The lens's blur and 4 ms of movement reach a little beyond the silhouette, no further.
    assert near.mean() > 0.99


def test_interpolated_truth_is_exact_at_samples_and_half_way_between(clean: Path) -> None:
    truth = SimulatedTruth.load(clean)
    pose = truth.at(np.array([200_000, 205_000, 210_000]))
    assert pose.rotations[0] == pytest.approx(truth.rotations[20], abs=1e-5)
    assert pose.rotations[2] == pytest.approx(truth.rotations[21], abs=1e-5)
    to_first = pose.rotations[0].swapaxes(-1, -2) @ pose.rotations[1]
    to_last = pose.rotations[1].swapaxes(-1, -2) @ pose.rotations[2]
    assert to_first == pytest.approx(to_last, abs=1e-4)
    assert pose.transl[1] == pytest.approx((truth.transl[20] + truth.transl[21]) / 2, abs=1e-6)
    assert truth.at(-5).transl[0] == pytest.approx(truth.transl[0])
    assert truth.at(10**9).present.shape == (1,)


def test_flow_truth_moves_the_visible_surface(clean: Path, body: Body) -> None:
    truth = SimulatedTruth.load(clean)
    flow = truth_flow(truth, body, 500_000, 550_000)
    vertices = truth.vertices(body, 500_000)[0]
    drawn = rasterize(vertices, body.faces, truth.K, 128, 128)
    assert np.array_equal(np.isfinite(flow[0]), drawn.silhouette)
    # Of an image of half the size the flow is half as long.
    half = np.diag([0.5, 0.5, 1.0]) @ truth.K
    half[:2, 2] -= 0.25
    small = truth_flow(truth, body, 500_000, 550_000, K=half, size=(64, 64))
    assert np.nanmean(np.hypot(*small)) == pytest.approx(np.nanmean(np.hypot(*flow)) / 2, rel=0.15)


def test_without_a_person_nothing_is_present(body: Body, tmp_path: Path) -> None:
    for seed in range(3):
        path = tmp_path / f"{seed}.h5"
        simulate(
            SimulationConfig(duration_s=0.3, sensor=(128, 128), person=False), path, seed, body
        )
        truth = SimulatedTruth.load(path)
        assert not truth.present.any()
        assert not truth.betas.any()
        assert truth.description["motion"] in (["boxes"], ["nothing"])
        assert np.isnan(truth_flow(truth, body, 0, 100_000)).all()


def test_a_motionless_scene_is_silent(body: Body, tmp_path: Path) -> None:
    config = SimulationConfig(duration_s=0.3, sensor=(128, 128), person=False, parameters=CLEAN)
    counts = {}
    for seed in range(8):
        simulate(config, tmp_path / "x.h5", seed, body)
        truth = SimulatedTruth.load(tmp_path / "x.h5")
        counts.setdefault(truth.description["motion"][0], []).append(
            truth.description["num_events"]
        )
    assert set(counts["nothing"]) == {0}
    assert max(counts["boxes"]) > 0


def test_cubes_are_closed_and_face_outward() -> None:
    vertices, faces = unit_box(3)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    assert ((normal * (a + b + c)).sum(axis=1) > 0).all()
    assert np.linalg.norm(normal, axis=1).sum() / 2 == pytest.approx(6.0)


def test_boxes_follow_smooth_paths_in_front_of_the_camera() -> None:
    rng = np.random.default_rng(0)
    boxes = Boxes(rng, random_view(rng), 200, 3)
    vertices = boxes.vertices(0, 200)
    assert vertices.shape == (200, 3 * 6 * 49, 3)
    assert vertices[..., 2].min() > 0
    assert np.abs(np.diff(vertices, axis=0)).max() < 0.1


def test_cameras_see_most_of_a_standing_person() -> None:
    heights = []
    for seed in range(200):
        view = random_view(np.random.default_rng(seed))
        middle = (view.stage.near + view.stage.far) / 2
        ends = view.to_camera(np.array([[0, 0, middle], [0, 1.72, middle]]))
        uv = ends @ view.K.T
        v = uv[:, 1] / uv[:, 2]
        assert v[1] < v[0]
        assert np.linalg.det(view.R) == pytest.approx(1.0)
        heights.append((v[0] - v[1]) / view.height)
    assert np.mean((np.array(heights) > 0.42) & (np.array(heights) < 1.0)) > 0.75


def test_a_file_without_truth_is_refused_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["events/x"] = np.zeros(3)
    with pytest.raises(InputError, match=r"real\.h5.*truth"):
        SimulatedTruth.load(tmp_path / "real.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="HDF5"):
        SimulatedTruth.load(tmp_path / "text.h5")
