"""Frames of the simulator: against its events, its flow truth, and images drawn on their own."""

from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the compression of the datasets)
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, map_coordinates

from eventhpe.body.loading import load_body
from eventhpe.body.model import Body
from eventhpe.events.frames import Frames, open_frames
from eventhpe.events.recording import open_recording
from eventhpe.simulation import SimulatedTruth, SimulationConfig, TrueSurface, simulate
from eventhpe.simulation.frames import READ_NOISE, expose
from eventhpe.simulation.renderer import Canvas
from eventhpe.simulation.sensor import SensorParameters
from eventhpe.simulation.sensors import SENSORS
from eventhpe.simulation.simulate import draw

WALK = SimulationConfig(
    duration_s=1.02,
    sensor="davis240",
    motion="walk",
    shadow=True,
    flicker=False,
    exact_focal=True,
    parameters=SensorParameters(threshold_on=0.2, threshold_off=0.2, bandwidth_hz=0.0),
)
SEED = 8


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def walk(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A walking person and its shadow before a DAVIS240 without noise in its events."""
    path = tmp_path_factory.mktemp("frames") / "walk.h5"
    simulate(WALK, path, SEED, body)
    return path


def frames_of(path: Path) -> Frames:
    frames = open_frames(path)
    assert frames is not None
    return frames


def test_frames_come_at_20_hz_from_the_start_one_chunk_each(walk: Path) -> None:
    frames = frames_of(walk)
    assert frames.t.tolist() == list(range(0, 1_000_001, 50_000))
    assert (frames.width, frames.height) == (240, 180)
    with h5py.File(walk) as file:
        assert file["frames/image"].chunks == (1, 180, 240)
        assert file["frames/t"].dtype == np.int64


def test_only_sensors_with_active_pixels_have_frames(body: Body, tmp_path: Path) -> None:
    assert {name for name, kind in SENSORS.items() if kind.frames} == {
        "davis240",
        "davis346",
        "celex5",
    }
    config = SimulationConfig(duration_s=0.1, sensor="dvs128", person=False)
    simulate(config, tmp_path / "x.h5", 0, body)
    assert open_frames(tmp_path / "x.h5") is None


def test_frames_leave_the_events_and_the_truth_as_they_are(
    body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SimulationConfig(duration_s=0.3, sensor="davis240", shadow=True, flicker=True)
    simulate(config, tmp_path / "with", 5, body)
    monkeypatch.setitem(SENSORS, "davis240", replace(SENSORS["davis240"], frames=False))
    simulate(config, tmp_path / "without", 5, body)
    with h5py.File(tmp_path / "with") as one, h5py.File(tmp_path / "without") as other:
        assert set(one) - set(other) == {"frames"}
        assert len(one["events/t"]) > 1000
        for name in ("events/x", "events/y", "events/t", "events/p", "truth/event_surface"):
            assert np.array_equal(one[name][:], other[name][:])
        assert dict(one["truth"].attrs) == dict(other["truth"].attrs)


def test_the_same_seed_gives_the_same_frames(walk: Path, body: Body, tmp_path: Path) -> None:
    simulate(replace(WALK, duration_s=0.2), tmp_path / "again.h5", SEED + 1, body)
    simulate(replace(WALK, duration_s=0.2), tmp_path / "twice.h5", SEED + 1, body)
    again, twice = frames_of(tmp_path / "again.h5"), frames_of(tmp_path / "twice.h5")
    assert np.array_equal(again.read(3), twice.read(3))
    assert not np.array_equal(again.read(3), frames_of(walk).read(3))


def test_each_frame_equals_the_scene_painted_at_its_time_alone(walk: Path, body: Body) -> None:
    """Nothing of the frame before stays behind, neither of the person nor of the shadow."""
    frames = frames_of(walk)
    images = {}
    for sample in (0, 50, 100):
        scene = draw(np.random.default_rng(SEED), WALK, body).scene
        canvas, mesh = Canvas(scene), scene.mesh
        assert mesh is not None
        vertices = mesh.vertices(sample, sample + 1)[0]
        canvas.paint(mesh, vertices, canvas.shade(mesh, vertices))
        images[sample] = np.exp(canvas.seen(sample * 1e4))
    gain = 200 / np.percentile(images[0], 97)
    for sample, image in images.items():
        off = frames.read(sample // 5) - np.minimum(image * gain, 255)
        assert np.abs(off).max() < 6 * READ_NOISE  # 43,200 pixels reach 4.3 deviations
        assert off.std() < 1.2 * READ_NOISE


def test_frames_change_where_events_fired_between_them(walk: Path) -> None:
    frames, recording = frames_of(walk), open_recording(walk)
    for i in range(2, 20, 5):
        events = recording.read(int(frames.t[i]), int(frames.t[i + 1]))
        fired = np.zeros((180, 240), bool)
        fired[events.y, events.x] = True
        before, after = (frames.read(k).astype(float) for k in (i, i + 1))
        change = np.abs(after - before)
        assert fired.sum() > 100
        assert change[fired].mean() > 10 * change[~binary_dilation(fired, iterations=2)].mean()
        # Between frames an ON pixel became brighter and an OFF pixel darker, if it fired once.
        count = np.zeros((180, 240), int)
        np.add.at(count, (events.y, events.x), 1)
        once = count[events.y, events.x] == 1
        sign = np.where(events.p, 1, -1)[once]
        moved = (after - before)[events.y, events.x][once]
        clear = np.abs(moved) > 4 * READ_NOISE
        assert (np.sign(moved) == sign)[clear].mean() > 0.9


def test_the_second_frame_fetched_along_the_true_flow_is_the_first(walk: Path, body: Body) -> None:
    frames = frames_of(walk)
    surface = TrueSurface(SimulatedTruth.load(walk), body)
    v, u = np.mgrid[0:180, 0:240].astype(float)
    still, warped, backward = [], [], []
    for i in range(2, 18, 5):
        flow = surface.flow(int(frames.t[i]), int(frames.t[i + 1]))
        known = np.isfinite(flow[0])
        first, second = (frames.read(k).astype(float) for k in (i, i + 1))
        for errors, factor in ((still, 0), (warped, 1), (backward, -1)):
            place = v[known] + factor * flow[1][known], u[known] + factor * flow[0][known]
            fetched = map_coordinates(second, place, order=1, mode="nearest")
            errors.append(np.abs(fetched - first[known]).mean())
    assert np.mean(warped) < 0.5 * np.mean(still)
    assert np.mean(still) < np.mean(backward)


def test_a_static_scene_shows_the_read_noise_alone(body: Body, tmp_path: Path) -> None:
    config = SimulationConfig(duration_s=0.1, sensor="davis240", person=False, flicker=False)
    for seed in range(40):
        drawn = draw(np.random.default_rng(seed), config, body)
        if drawn.motions == ("nothing",):
            break
    simulate(config, tmp_path / "x.h5", seed, body)
    frames = frames_of(tmp_path / "x.h5")
    first, second = (frames.read(i).astype(float) for i in (0, 1))
    clear = (first > 5) & (first < 250)
    assert np.percentile(first, 97) == pytest.approx(200, abs=2)
    # Rounding to whole levels adds 1/12 to the variance of each frame.
    expected = np.sqrt(2 * (READ_NOISE**2 + 1 / 12))
    assert (second - first)[clear].std() == pytest.approx(expected, rel=0.05)


def test_levels_are_linear_and_saturate() -> None:
    image = np.repeat(np.array([0, 10, 50, 100, 1000], np.float32), 400).reshape(5, 400)
    levels = expose(image, 2.0, np.random.default_rng(0)).mean(axis=1)
    assert levels[1:4] == pytest.approx([20, 100, 200], abs=0.2)
    assert levels[0] < 0.5
    assert levels[4] == 255
