"""Whole recordings: files, truth, and events that lie where the truth says the person is."""

import hashlib
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the compression of the event datasets)
import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from eventhpe.body.loading import load_body
from eventhpe.body.model import Body
from eventhpe.camera import project
from eventhpe.errors import InputError
from eventhpe.events.recording import open_recording
from eventhpe.rasterizer import rasterize
from eventhpe.simulation import SimulatedTruth, SimulationConfig, TrueSurface, simulate
from eventhpe.simulation.motion.performance import Motion
from eventhpe.simulation.sensor import NO_SURFACE, SensorParameters
from eventhpe.simulation.truth import signal_events

module = sys.modules["eventhpe.simulation.simulate"]
CLEAN = SensorParameters(threshold_on=0.2, threshold_off=0.2, bandwidth_hz=0.0)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def clean(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A noiseless waving person at 128x128."""
    path = tmp_path_factory.mktemp("simulated") / "clean.h5"
    config = SimulationConfig(
        duration_s=1.5,
        sensor="dvs128",
        motion="walk",
        shadow=False,
        flicker=False,
        exact_focal=True,
        parameters=CLEAN,
    )
    simulate(config, path, 8, body)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_seed_gives_the_same_bytes(body: Body, tmp_path: Path) -> None:
    config = SimulationConfig(duration_s=0.4, sensor="dvs128")
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
    surface = TrueSurface(truth, body)
    on_body, near_body = [], []
    for t in range(100_000, 1_500_000, 100_000):
        drawn = surface.buffers(t)
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
    surface = TrueSurface(truth, body)
    flow = surface.flow(500_000, 550_000)
    drawn = surface.buffers(500_000)
    assert np.array_equal(np.isfinite(flow[0]), drawn.silhouette)
    # Of an image of half the size the flow is half as long.
    half = np.diag([0.5, 0.5, 1.0]) @ truth.K
    half[:2, 2] -= 0.25
    small = surface.flow(500_000, 550_000, K=half, size=(64, 64))
    assert np.nanmean(np.hypot(*small)) == pytest.approx(np.nanmean(np.hypot(*flow)) / 2, rel=0.15)


def test_the_outfit_covers_the_body_whose_parameters_are_the_truth(clean: Path, body: Body) -> None:
    truth = SimulatedTruth.load(clean)
    dressed = TrueSurface(truth, body).buffers(500_000).silhouette
    naked = rasterize(truth.vertices(body, 500_000)[0], body.faces, truth.K, 128, 128).silhouette
    assert naked.sum() > 200
    assert (dressed & naked).sum() > 0.98 * naked.sum()
    assert dressed.sum() < 2.0 * naked.sum()


def test_each_event_of_a_clean_recording_knows_a_surface_that_was_there(
    clean: Path, body: Body
) -> None:
    truth = SimulatedTruth.load(clean)
    surface = TrueSurface(truth, body)
    away = []
    for t in range(200_000, 1_400_000, 200_000):
        events, faces = signal_events(clean, t - 2_000, t + 2_000)
        assert len(events) == len(faces)
        known = faces != NO_SURFACE
        assert known.mean() > 0.85
        centre = surface.vertices(t)[0][surface.outfit.faces[faces[known]]].mean(axis=1)
        uv = project(centre.astype(np.float64), truth.K)
        away.append(np.hypot(uv[:, 0] - events.x[known], uv[:, 1] - events.y[known]))
    distance = np.concatenate(away)
    assert len(distance) > 100
    # A face is a pixel or two wide, and the lens blurs an edge over as much again.
    assert np.median(distance) < 1.5
    assert np.quantile(distance, 0.99) < 6.0


def test_event_flow_is_the_displacement_of_the_surface_that_fired(clean: Path, body: Body) -> None:
    truth = SimulatedTruth.load(clean)
    surface = TrueSurface(truth, body)
    t0, t1 = 600_000, 650_000
    events, faces = signal_events(clean, t0, t1)
    moved = surface.displacements(faces, t0, t1)
    assert np.isnan(moved[faces == NO_SURFACE]).all()
    # Independently: each vertex of a fired face moves about as far as the face's middle.
    ends = surface.vertices(np.array([t0, t1])).astype(np.float64)
    for i in np.flatnonzero(faces != NO_SURFACE)[::97]:
        corner = surface.outfit.faces[faces[i], 0]
        shift = project(ends[1, corner], truth.K) - project(ends[0, corner], truth.K)
        assert moved[i] == pytest.approx(shift, abs=0.35)
    flow = surface.event_flow(events, faces, t0, t1)
    fired = np.zeros((128, 128), bool)
    known = faces != NO_SURFACE
    fired[events.y[known], events.x[known]] = True
    assert np.array_equal(np.isfinite(flow[0]), fired)
    y, x = events.y[known][0], events.x[known][0]
    here = known & (events.y == y) & (events.x == x)
    assert flow[:, y, x] == pytest.approx(moved[here].mean(axis=0), abs=1e-5)


def test_warping_events_along_their_true_flow_sharpens_them(clean: Path, body: Body) -> None:
    """Moved back to the window's start, the events of one surface meet again."""
    surface = TrueSurface(SimulatedTruth.load(clean), body)
    sharper = []
    for t0 in range(300_000, 1_300_000, 200_000):
        events, faces = signal_events(clean, t0, t0 + 100_000)
        known = faces != NO_SURFACE
        moved = surface.displacements(faces, t0, t0 + 100_000)[known]
        share = ((events.t - t0) / 100_000)[known, None]
        place = np.stack([events.x, events.y], axis=1)[known].astype(float)
        counts = [
            len(np.unique(np.rint(place - k * share * moved), axis=0)) for k in (0.0, 1.0, -1.0)
        ]
        sharper.append(counts[1] < min(counts[0], counts[2]))
    assert np.mean(sharper) >= 0.8


def test_a_wrong_focal_length_is_given_and_the_true_one_kept(body: Body, tmp_path: Path) -> None:
    ratios = []
    for seed in range(6):
        config = SimulationConfig(duration_s=0.1, sensor="dvs128", person=False)
        simulate(config, tmp_path / "x.h5", seed, body)
        truth = SimulatedTruth.load(tmp_path / "x.h5")
        ratios.append(truth.K_given[0, 0] / truth.K[0, 0])
        assert np.array_equal(truth.K_given[:2, 2], truth.K[:2, 2])
    assert max(np.abs(np.log(ratios))) <= np.log(1.2) + 1e-9
    assert len(set(ratios)) > 1


def test_joints_out_of_the_image_are_not_visible(body: Body, tmp_path: Path) -> None:
    config = SimulationConfig(
        duration_s=0.2, sensor="dvs128", motion="stand", framing="head_and_shoulders"
    )
    simulate(config, tmp_path / "x.h5", 1, body)
    truth = SimulatedTruth.load(tmp_path / "x.h5")
    head, ankles = 15, [7, 8]
    assert truth.present.all()
    assert truth.visible[:, head].any()
    assert not truth.visible[:, ankles].any()


def test_without_a_person_nothing_is_present(body: Body, tmp_path: Path) -> None:
    for seed in range(3):
        path = tmp_path / f"{seed}.h5"
        simulate(SimulationConfig(duration_s=0.3, sensor="dvs128", person=False), path, seed, body)
        truth = SimulatedTruth.load(path)
        assert not truth.present.any()
        assert not truth.betas.any()
        assert len(truth.description["motion"]) == 1
        with pytest.raises(ValueError, match="no person"):
            TrueSurface(truth, body)


def test_a_motionless_scene_is_silent(body: Body, tmp_path: Path) -> None:
    config = SimulationConfig(
        duration_s=0.3, sensor="dvs128", person=False, flicker=False, parameters=CLEAN
    )
    counts: dict[str, list[int]] = {}
    for seed in range(12):
        made = simulate(config, tmp_path / "x.h5", seed, body)
        counts.setdefault(made["motion"][0], []).append(made["num_events"])
    assert set(counts.pop("nothing")) == {0}
    assert max(max(events) for events in counts.values()) > 0


def test_a_flickering_lamp_fires_at_its_rate_where_nothing_moves(
    body: Body, tmp_path: Path
) -> None:
    config = SimulationConfig(
        duration_s=0.5,
        sensor="dvs128",
        person=False,
        flicker=True,
        parameters=replace(CLEAN, mismatch=0.25),
    )
    spectra = []
    for seed in range(12):
        made = simulate(config, tmp_path / "x.h5", seed, body)
        if made["motion"] != ["nothing"] or made["num_events"] < 200:
            continue
        events = open_recording(tmp_path / "x.h5").read(0, 500_000)
        t = events.t[events.p == 1] * 1e-6
        power = {hz: abs(np.exp(2j * np.pi * hz * t).mean()) for hz in (77.0, 100.0, 120.0)}
        spectra.append(max(power[100.0], power[120.0]) > 4 * power[77.0])
    assert spectra
    assert all(spectra)


def test_a_person_that_is_never_seen_is_refused(
    body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind_the_camera(motion: Motion, *_: object) -> Motion:
        away = motion.translation - [0, 0, 50]
        return Motion(motion.rotations, away, motion.names)

    real = module.make_motion
    monkeypatch.setattr(module, "make_motion", lambda *given: behind_the_camera(real(*given)))
    config = SimulationConfig(duration_s=0.2, sensor="dvs128", motion="wave")
    with pytest.raises(InputError, match=r"wave.*never sees"):
        simulate(config, tmp_path / "x.h5", 0, body)
    assert not list(tmp_path.iterdir())


def test_flow_is_not_told_where_something_stands_before_the_person(
    clean: Path, body: Body, tmp_path: Path
) -> None:
    truth = SimulatedTruth.load(clean)
    free = TrueSurface(truth, body)
    seen = free.buffers(500_000).silhouette
    copy = tmp_path / "table.h5"
    copy.write_bytes(clean.read_bytes())
    table = np.zeros(seen.shape, bool)
    table[np.flatnonzero(seen.any(axis=1)).mean().astype(int) :] = True
    with h5py.File(copy, "r+") as file:
        file["truth/occluder"][:] = table
    flow = TrueSurface(SimulatedTruth.load(copy), body).flow(500_000, 550_000)
    assert np.array_equal(np.isfinite(flow[0]), seen & ~table)
    # Likewise in a crop of half the resolution.
    half = np.diag([0.5, 0.5, 1.0]) @ truth.K
    half[:2, 2] -= 0.25
    small = TrueSurface(SimulatedTruth.load(copy), body).flow(500_000, 550_000, half, (64, 64))
    rows = np.flatnonzero(np.isfinite(small[0]).any(axis=1))
    assert abs(2 * rows.max() + 0.5 - np.flatnonzero(table.any(axis=1)).min()) <= 3


def test_a_disk_that_fills_up_leaves_nothing_behind(
    body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**12, 0])  # room for the first second, none for the next
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(next(free)))
    config = SimulationConfig(duration_s=2.5, sensor="dvs128", motion="wave")
    out = tmp_path / "x.h5"
    out.write_text("what stood here before")
    with pytest.raises(InputError, match=r"x\.h5.*full disk"):
        simulate(config, out, 0, body)
    assert out.read_text() == "what stood here before"
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_a_file_without_truth_is_refused_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["events/x"] = np.zeros(3)
    with pytest.raises(InputError, match=r"real\.h5.*truth"):
        SimulatedTruth.load(tmp_path / "real.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="HDF5"):
        SimulatedTruth.load(tmp_path / "text.h5")
