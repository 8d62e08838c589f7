"""MMHPSD's layout: written by its clone, read back, made into recordings that both stages take."""

import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from datasets.folders import known_truth, load_recording
from datasets.mmhpsd import (
    INTERVAL_US,
    K_256,
    Action,
    find_actions,
    read_events,
    read_poses,
    write_recording,
)
from datasets.mmhpsd_clone import write_action
from datasets.modules import FlowData, PoseData
from eventhpe.body import Body, load_body
from eventhpe.camera import Crop, project
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.events.representations import binary_frame
from eventhpe.simulation.truth import SimulatedTruth
from scripts.prepare_mmhpsd import main

NAME = "subject03_group1_time1"
RECIPE = InputRecipe("binary", 8, 2 * INTERVAL_US, 64, background_activity_us=0)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def clone(framed_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One action of the training, validation and test subjects each, all of the same walk."""
    raw = tmp_path_factory.mktemp("mmhpsd")
    for subject in ("03", "15", "07"):
        write_action(raw, f"subject{subject}_group1_time1", framed_recording)
    return raw


@pytest.fixture(scope="module")
def prepared(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    assert main([str(clone), str(out)]) == 0
    return out


@pytest.fixture
def own(clone: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(clone, tmp_path / "raw"))


def test_the_clone_has_the_layout_of_the_facts(clone: Path) -> None:
    picture = Image.open(clone / f"events_256/{NAME}/event0003.png")
    assert (picture.size, picture.mode) == ((256, 256), "RGBA")
    frame = Image.open(clone / f"full_pic_256/{NAME}/fullpic0003.jpg")
    assert (frame.size, frame.mode) == ((256, 256), "L")
    arrays = pickle.loads((clone / f"pose_events/{NAME}/pose0003.pkl").read_bytes())
    shapes = [array.shape for array in arrays]
    assert shapes == [(1, 10), (1, 72), (1, 3), (24, 3), (24, 2)]
    np.testing.assert_allclose(arrays[4], project(arrays[3].astype(float), K_256), atol=1e-3)
    np.testing.assert_allclose(K_256[[0, 1, 0, 1], [0, 1, 2, 2]], [335.86, 335.86, 128.2, 128.2])


def test_what_the_clone_wrote_is_read_back(clone: Path, framed_recording: Path) -> None:
    action = next(action for action in find_actions(clone) if action.name == NAME)
    truth = SimulatedTruth.load(framed_recording)
    poses = read_poses(action)
    np.testing.assert_array_equal(poses.number, range(14))
    at = truth.at(INTERVAL_US * poses.number)
    np.testing.assert_allclose(poses.joints, at.joints)
    np.testing.assert_allclose(poses.rotations, at.rotations, atol=1e-5)
    # OpenCV's order: the first quarter of the interval is the blue plane.
    events = open_recording(framed_recording).read(3 * INTERVAL_US, 4 * INTERVAL_US)
    early = events.between(3 * INTERVAL_US, 3 * INTERVAL_US + INTERVAL_US // 4)
    scale = K_256[0, 0] / truth.K[0, 0]
    x = np.rint((early.x - truth.K[0, 2]) * scale + K_256[0, 2]).astype(int)
    y = np.rint((early.y - truth.K[1, 2]) * scale + K_256[1, 2]).astype(int)
    inside = (x >= 0) & (x < 256) & (y >= 0) & (y < 256)
    blue = np.zeros((256, 256), bool)
    blue[y[inside], x[inside]] = True
    picture = np.asarray(Image.open(clone / f"events_256/{NAME}/event0003.png"))
    np.testing.assert_array_equal(picture[..., 2] > 0, blue)
    planes = dict(read_events(action))[3]
    np.testing.assert_array_equal(planes[0], blue)


def test_two_intervals_give_their_eight_planes_back(clone: Path, prepared: Path) -> None:
    planes = dict(read_events(Action(clone, NAME)))
    events = open_recording(prepared / f"train/{NAME}.h5").read()
    for number in (0, 4, 11):
        start = number * INTERVAL_US
        frame = binary_frame(events, start, start + 2 * INTERVAL_US, 8)
        np.testing.assert_array_equal(
            frame > 0, np.concatenate([planes[number], planes[number + 1]])
        )
        # And so do windows of the network's recipe, up to its normalisation.
        whole = Crop(0.0, 0.0, 256.0, 256)
        recipe = InputRecipe("binary", 8, 2 * INTERVAL_US, 256, background_activity_us=0)
        grid = recipe.prepare(events, start, start + 2 * INTERVAL_US, whole)
        np.testing.assert_array_equal(grid > 0, frame > 0)


def test_the_truth_is_that_of_the_moments_of_the_poses(
    prepared: Path, framed_recording: Path, body: Body
) -> None:
    path = prepared / f"train/{NAME}.h5"
    found = known_truth(path, body)
    truth = SimulatedTruth.load(framed_recording)
    np.testing.assert_array_equal(np.diff(found.t_us), 10_000)
    np.testing.assert_array_equal(found.K_given, K_256)
    moments = INTERVAL_US * np.arange(14)
    np.testing.assert_allclose(found.at(moments).joints, truth.at(moments).joints, atol=1e-4)
    np.testing.assert_allclose(found.at(moments).rotations, truth.at(moments).rotations, atol=1e-4)
    recording = load_recording(path, RECIPE, body)
    assert recording.known.motion is None
    assert recording.frames is not None
    np.testing.assert_array_equal(recording.frames.t, moments)


def test_both_stages_train_on_it(prepared: Path, untrained_cards, tmp_path: Path) -> None:
    root = Path(shutil.copytree(prepared, tmp_path / "set"))
    flow = FlowData(root, RECIPE, loss="photometric", batch_size=2, workers=0)
    flow.setup("fit")
    sample = next(iter(flow.train_dataloader()))
    assert sample["voxel"].shape == (2, 8, 64, 64)
    assert sample["first"].shape == (2, 1, 64, 64)
    pose = PoseData(
        root, untrained_cards[0], size=32, flow_size=64, takes=1, windows=4, steps=2, workers=0
    )
    pose.setup("fit")
    assert pose.takes["train"][0].labelled
    np.testing.assert_allclose(pose.takes["val"][0].intrinsics, K_256[[0, 1, 0, 1], [0, 1, 2, 2]])


def test_subjects_are_parted_as_published(prepared: Path) -> None:
    parts = {path.parent.name: path.stem for path in prepared.glob("*/*.h5")}
    names = {
        part: f"subject{n}_group1_time1"
        for part, n in (("train", "03"), ("val", "15"), ("test", "07"))
    }
    assert parts == names
    published = [Action(Path(), f"subject{n:02d}_group2_time3").part for n in range(1, 16)]
    assert [n for n, part in enumerate(published, 1) if part == "test"] == [1, 2, 7]
    assert published.count("val") == 1
    with pytest.raises(InputError, match="subject01"):
        _ = Action(Path(), "walking").part


def test_finished_recordings_are_kept_and_spoilt_actions_named(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    picture = own / "events_256/subject07_group1_time1/event0005.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:100])
    assert main([str(own), str(out)]) == 1
    said = capsys.readouterr()
    assert "event0005.png" in said.err
    assert "train 1, val 1, test 0" in said.out
    assert not list(out.rglob("*.partial"))
    before = (out / f"train/{NAME}.h5").stat().st_mtime_ns
    picture.write_bytes(whole)
    assert main([str(own), str(out)]) == 0
    assert (out / f"train/{NAME}.h5").stat().st_mtime_ns == before
    assert "test 1" in capsys.readouterr().out


class Runs:
    """Runs a command when a careless reader unpickles it."""

    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([Runs()], "not run"),
        ([np.zeros((1, 10))], r"arrays of \(\(1, 10\),\)"),
        ({"beta": 1}, "broken"),
    ],
)
def test_pose_files_that_hold_something_else_are_refused(
    own: Path, body: Body, tmp_path: Path, content: object, said: str
) -> None:
    (own / f"pose_events/{NAME}/pose0002.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=rf"pose0002\.pkl.*{said}"):
        write_recording(Action(own, NAME), tmp_path / "x.h5", body, body)


def test_poses_of_another_body_are_told_by_their_joints(
    own: Path, body: Body, tmp_path: Path
) -> None:
    for path in (own / f"pose_events/{NAME}").glob("*.pkl"):
        arrays = pickle.loads(path.read_bytes())
        arrays[0] = arrays[0] + 3  # what these betas mean on another body
        path.write_bytes(pickle.dumps(arrays))
    with pytest.raises(InputError, match="--body"):
        write_recording(Action(own, NAME), tmp_path / "x.h5", body, body)


def test_nobody_is_present_far_from_any_pose(own: Path, body: Body, tmp_path: Path) -> None:
    for number in range(4, 9):
        (own / f"pose_events/{NAME}/pose{number:04d}.pkl").unlink()
    write_recording(Action(own, NAME), tmp_path / "x.h5", body, body)
    with h5py.File(tmp_path / "x.h5") as file:
        present = file["truth/present"][:]
    assert present[: 4 * 7 + 1].all()
    assert not present[5 * 7 : 7 * 7].any()


def test_a_folder_without_the_layout_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), str(tmp_path / "out")]) == 2
    assert "events_256" in capsys.readouterr().err
