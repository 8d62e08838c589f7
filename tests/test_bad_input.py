"""What docs/limits.md promises for input that breaks the pipeline's assumptions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eventhpe.body import load_body
from eventhpe.body.loading import DEFAULT_PATH
from eventhpe.camera import Camera, project
from eventhpe.cli import main
from eventhpe.estimator import load_networks
from eventhpe.evaluation.presence import presence_shares, presence_table
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import windows_of
from eventhpe.inference import InferenceResult, infer
from eventhpe.scene import SceneWatch
from eventhpe.sequence import ABSENT, HELD, TRACKED
from eventhpe.simulation.sensor import SensorParameters
from eventhpe.simulation.simulate import SimulationConfig, simulate
from eventhpe.simulation.truth import SimulatedTruth
from scripts.scenes import pan

SIDE = 128


@pytest.fixture(scope="module")
def networks():
    return load_networks()


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, body):
    """``simulated(motion, seconds, seed)``: a recording of 128x128 pixels, made once."""
    folder = tmp_path_factory.mktemp("simulated")

    def make(motion: str | None, seconds: float, seed: int) -> Path:
        path = folder / f"{motion}-{seconds}-{seed}.h5"
        if not path.exists():
            config = SimulationConfig(
                duration_s=seconds,
                sensor="dvs128",
                person=motion is not None,
                motion=motion,
                shadow=False,
                flicker=False,
                parameters=SensorParameters(noise_hz=0.1),
            )
            simulate(config, path, seed, body)
        return path

    return make


@pytest.fixture(scope="module")
def jogger(simulated):
    """Two seconds of a person jogging on the spot, in the middle of the picture."""
    return open_recording(simulated("jog_on_spot", 2.0, 3)).read()


@pytest.fixture(scope="module")
def two_joggers(simulated):
    """Four seconds of two people, each in a half of the picture."""
    left = placed(simulated("jog_on_spot", 4.0, 3), 30)
    return merged(left, placed(simulated("walk_on_spot", 4.0, 5), 98))


def placed(path: Path, column: float, tall: float = 60.0) -> EventStream:
    """The recording's events with its person ``tall`` pixels tall, centred in a column."""
    events, truth = open_recording(path).read(), SimulatedTruth.load(path)
    uv = project(truth.joints.astype(np.float64), truth.K)
    low, high = np.median(uv.min(axis=1), axis=0), np.median(uv.max(axis=1), axis=0)
    scale = tall / (high - low)[1]
    x = np.rint((events.x - (low + high)[0] / 2) * scale + column)
    y = np.rint((events.y - (low + high)[1] / 2) * scale + SIDE / 2)
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    moved = [value[inside] for value in (x, y, events.t, events.p)]
    return EventStream.from_arrays(*moved, SIDE, SIDE)


def merged(*streams: EventStream) -> EventStream:
    x, y, t, p = (np.concatenate([getattr(s, name) for s in streams]) for name in "xytp")
    order = np.argsort(t, kind="stable")
    return EventStream(x[order], y[order], t[order], p[order], SIDE, SIDE)


def later(events: EventStream, by_us: int) -> EventStream:
    return replace(events, t=events.t + by_us)


def noise(seconds: float, hz: float) -> EventStream:
    """Events at random, ``hz`` a second and pixel."""
    rng = np.random.default_rng(0)
    count = rng.poisson(SIDE * SIDE * seconds * hz)
    t = np.sort(rng.integers(0, round(seconds * 1e6), count))
    pixels = rng.integers(0, SIDE, (2, count))
    return EventStream.from_arrays(*pixels, t, rng.integers(0, 2, count), SIDE, SIDE)


def written(events: EventStream, path: Path) -> Path:
    with DsecWriter(path, events.width, events.height) as writer:
        writer.append(events)
    return path


@pytest.fixture
def run(networks, body, tmp_path):
    """``run(events)``: the result, which is finite whatever comes in."""

    def run(events: EventStream, **options) -> InferenceResult:
        recording = open_recording(written(events, tmp_path / "recording.h5"))
        camera = Camera.from_fov(SIDE, SIDE)
        result = infer(recording, networks, body, camera, progress=False, **options)
        motion = result.motion
        for name in ("global_orient", "body_pose", "betas", "transl", "region", "confidence"):
            assert np.isfinite(getattr(motion, name)).all(), name
        return result

    return run


def watched(events: EventStream, roi=None, step_us: int = 50_000) -> tuple[str, ...]:
    """The warnings that `infer` would give."""
    recipe = InputRecipe()
    keep = recipe.noise_filter(events.width, events.height)
    watch = SceneWatch(events.width, events.height, roi)
    empty = EventStream.empty(events.width, events.height)
    filtered = events.masked(keep(events))
    end = int(events.t[-1]) + 1
    for window in windows_of([filtered], recipe.window_us, step_us, 0, end, empty):
        watch.update(window.events, window.t0, window.t1)
    return watch.warnings()


def test_a_person_who_walks_out_is_absent_until_the_return(simulated, run):
    """Out to the right within 1.0 s to 1.8 s, back within 2.4 s to 3.2 s."""
    events = open_recording(simulated("jog_on_spot", 4.0, 3)).read()
    out = np.interp(events.t, [1e6, 1.8e6, 2.4e6, 3.2e6], [0, SIDE, SIDE, 0])
    x = np.rint(events.x + out)
    inside = x < SIDE
    moved = [value[inside] for value in (x, events.y, events.t, events.p)]
    motion = run(EventStream.from_arrays(*moved, SIDE, SIDE)).motion
    assert (motion.state[(motion.t_us > 1_850_000) & (motion.t_us < 2_400_000)] == ABSENT).all()
    assert (motion.state[(motion.t_us > 200_000) & (motion.t_us < 1_200_000)] == TRACKED).all()
    assert (motion.state[motion.t_us > 3_000_000] == TRACKED).mean() > 0.9


def test_two_seconds_of_silence_hold_a_person_in_the_picture(jogger, run):
    silent = merged(
        jogger.between(0, 1_000_000), later(jogger.between(1_000_000, 2_000_000), 2**21)
    )
    motion = run(silent).motion
    quiet = (motion.t_us > 1_060_000) & (motion.t_us <= 1_000_000 + 2**21)
    assert (motion.state[quiet] == HELD).all()
    confidence = motion.confidence[quiet]
    assert confidence[-1] < 0.5 * confidence[0]
    assert (motion.state[motion.t_us > 3_300_000] == TRACKED).all()


def test_a_still_start_is_absent_until_the_first_motion(jogger, run):
    motion = run(later(jogger, 2_000_000)).motion
    assert (motion.state[motion.t_us < 2_000_000] == ABSENT).all()
    assert (motion.state[motion.t_us > 2_500_000] == TRACKED).all()


def test_tenfold_noise_neither_warns_nor_loses_the_person(jogger, run):
    """Of the simulated 0.1 events a second and pixel."""
    result = run(merged(jogger, noise(2.0, 1.0)))
    assert result.motion.warnings == ()
    assert (result.motion.state == TRACKED).mean() > 0.8


def test_tenfold_of_the_noisiest_sensor_does_not_warn(jogger, run):
    """Of the 1 event a second and pixel that is the most a simulated sensor has."""
    assert run(merged(jogger, noise(2.0, 10.0))).motion.warnings == ()


def test_noise_alone_is_no_moving_camera():
    assert watched(noise(1.0, 10.0)) == ()


def test_a_moving_camera_is_told(run):
    result = run(pan(5.0, 1.0))
    assert len(result.motion.warnings) == 1
    assert "camera seems to move" in result.motion.warnings[0]


def test_a_camera_that_moves_for_a_moment_is_not_told(jogger):
    moment = later(pan(5.0, 0.2), 1_000_000)
    assert watched(merged(jogger, moment)) == ()


@pytest.mark.parametrize("step_us", [10_000, 50_000, 100_000])
def test_two_people_are_told_and_one_of_them_is_not(step_us, two_joggers):
    (warning,) = watched(two_joggers, step_us=step_us)
    assert "two people" in warning
    assert "--roi" in warning
    left = (0, 0, SIDE // 2, SIDE)
    inside = two_joggers.masked(two_joggers.x < SIDE // 2)
    assert watched(inside, left, step_us=step_us) == ()


def test_inference_gives_the_warning_of_two_people(two_joggers, run):
    result = run(two_joggers)
    assert [warning.split(",")[0] for warning in result.motion.warnings] == ["two people"]


def test_real_recordings(shared_data):
    """An office wall before a camera in motion, and a person before one at rest."""
    recordings = shared_data / "recordings"
    wall = open_recording(recordings / "aestream_davis346.aedat4").read()
    walker = open_recording(recordings / "dvs128_neal_walking.aedat").read()
    assert ["camera" in warning for warning in watched(wall)] == [True]
    assert watched(walker) == ()


def test_nobody_is_found_where_nobody_is(simulated, networks, body):
    """In one empty room; docs/limits.md says in how many others the weights see somebody."""
    paths = (simulated(None, 1.0, 2), simulated("jog_on_spot", 2.0, 3))
    empty, person = presence_shares(map(open_recording, paths), networks, body)
    assert empty.absent + empty.held + empty.tracked == pytest.approx(1)
    assert empty.absent > 0.9
    assert person.tracked > 0.9
    assert paths[0].name in presence_table([empty, person])


def test_less_than_a_window_of_events_finds_nobody(jogger, networks, body, tmp_path):
    short = open_recording(written(jogger.between(0, 9_000), tmp_path / "short.h5"))
    (shares,) = presence_shares([short], networks, body, step_us=20_000)
    assert (shares.steps, shares.absent) == (1, 1.0)


@pytest.fixture
def command(simulated, tmp_path, capsys):
    """``command(*flags)``: exit code of ``eventhpe infer`` on a jogger, and its stderr."""

    def command(*flags: str, path: Path | None = None) -> tuple[int, str]:
        recording = path or simulated("jog_on_spot", 2.0, 3)
        out = ["--out", str(tmp_path / "out"), "--backend", "rasterizer"]
        code = main(["infer", str(recording), *out, "--force", "--to", "0.2", *flags])
        return code, capsys.readouterr().err

    return command


def test_the_command_warns_and_goes_on(command, tmp_path):
    code, error = command(path=written(pan(5.0, 0.4), tmp_path / "panned.h5"))
    assert code == 0
    assert error.count("warning: the camera seems to move") == 1


@pytest.mark.parametrize("zero", ["fx", "fy"])
def test_intrinsics_of_zero_are_refused(zero, command, tmp_path):
    values = {"width": SIDE, "height": SIDE, "fx": 120, "fy": 120, "cx": 64, "cy": 64, zero: 0}
    path = tmp_path / "zero.yaml"
    path.write_text("\n".join(f"{name}: {value}" for name, value in values.items()))
    code, error = command("--camera", str(path))
    assert code == 2
    assert error.startswith(f"eventhpe: error: {path}: found")
    assert f"{zero}=0" in error
    assert error.count("\n") == 1


def test_a_body_of_other_vertices_works_and_of_other_joints_is_refused(command, tmp_path):
    with np.load(DEFAULT_PATH) as content:
        arrays = dict(content)
    more = dict(arrays)
    for name in ("v_template", "shapedirs", "posedirs", "weights"):
        more[name] = np.concatenate([arrays[name], arrays[name][:1]])
    more["J_regressor"] = np.pad(np.asarray(arrays["J_regressor"]), ((0, 0), (0, 1)))
    np.savez(tmp_path / "more.npz", **more)
    assert command("--body", str(tmp_path / "more.npz"))[0] == 0

    tree = np.stack([np.arange(55) - 1, np.arange(55)])
    np.savez(tmp_path / "joints.npz", **{**arrays, "kintree_table": tree})
    code, error = command("--body", str(tmp_path / "joints.npz"))
    assert code == 2
    assert "joints.npz: found kintree_table of shape (2, 55)" in error
    assert "24 joints" in error
