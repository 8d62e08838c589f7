"""DHP19's fitted truth in its cameras' frames, and its splits."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from datasets.dhp19 import CameraRecording, Fit, Markers, fitted_truth, skewless_camera
from datasets.dhp19_splits import SPLITS, write_splits
from datasets.folders import changed_at, known_truth, load_recording, load_recordings
from datasets.modules import FlowData, PoseData
from eventhpe.body import Body, load_body
from eventhpe.camera import DHP19_MATRICES, dhp19_camera, project
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from scripts.split_dhp19 import main
from tests.dhp19_samples import write_prepared

RECIPE = InputRecipe(size=64)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def prepared(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subjects 1 and 12 of the reference's train and val, and 13 of its test."""
    root = tmp_path_factory.mktemp("prepared")
    for subject in (1, 12, 13):
        write_prepared(root, body, (subject, 1, 8))
    write_splits(root)
    return root


@pytest.fixture
def own(prepared: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "own", symlinks=True))


@pytest.mark.parametrize("channel", range(4))
def test_the_skewless_camera_is_nearer_in_pixels_than_dropping_the_skew(channel: int) -> None:
    """People stand and reach about the origin; measured where the fit did not look."""
    points = np.random.default_rng(1).uniform((-0.7, -0.7, 0.05), (0.7, 0.7, 1.9), (4000, 3))
    camera, whole = skewless_camera(channel), dhp19_camera(channel)
    P = DHP19_MATRICES[channel]
    u, v, w = (P @ np.c_[1000 * points, np.ones(len(points))].T)[:]
    published = np.stack([u / w, 260 - v / w], axis=1)
    error = np.linalg.norm(camera.project(camera.to_camera(points)) - published, axis=1)
    without = whole.K * [[1, 0, 1], [0, 1, 1], [0, 0, 1]]
    dropped = np.linalg.norm(project(whole.to_camera(points), without) - published, axis=1)
    assert camera.K[0, 1] == 0
    assert error.mean() < 0.75
    assert error.max() < 2.5
    assert error.mean() < 0.7 * dropped.mean()
    np.testing.assert_allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(camera.R) == pytest.approx(1)
    np.testing.assert_allclose(-camera.R.T @ camera.t, -whole.R.T @ whole.t, atol=1e-9)


@pytest.mark.parametrize("channel", range(4))
def test_labels_pose_the_body_where_the_published_matrix_shows_the_fit(
    prepared: Path, body: Body, channel: int
) -> None:
    path = prepared / "recordings" / f"S12_1_8-camera{channel}.h5"
    truth = load_recording(path, RECIPE, body).known
    labels = truth.labels
    assert truth.motion is None
    assert labels.step_us == 10_000
    betas = torch.from_numpy(labels.betas).expand(len(labels.pelvis), -1)
    root = body.rest_joints(betas)[:, 0]
    rotations = torch.from_numpy(labels.rotations)
    place = torch.from_numpy(labels.pelvis) - root
    joints = body.joints(betas, rotations[:, 0], rotations[:, 1:], place).numpy()
    with h5py.File(prepared / "smpl/S12_1_8.h5") as file:
        world = file["joints"][:].astype(np.float64)
    flat = np.c_[1000 * world.reshape(-1, 3), np.ones(world.size // 3)]
    u, v, w = DHP19_MATRICES[channel] @ flat.T
    seen = project(joints.reshape(-1, 3).astype(np.float64), truth.K)
    error = np.linalg.norm(seen - np.stack([u / w, 260 - v / w], axis=1), axis=1)
    assert error.mean() < 1.0
    assert error.max() < 2.5
    # A rigid move of the world: distances stay.
    between = np.linalg.norm(joints[:, 15] - joints[:, 7], axis=1)
    np.testing.assert_allclose(
        between, np.linalg.norm(world[:, 15] - world[:, 7], axis=1), atol=1e-4
    )
    assert labels.present.all()


def test_who_leaves_the_image_is_not_present(own: Path, body: Body) -> None:
    with h5py.File(own / "smpl/S1_1_8.h5", "a") as file:
        for name in ("joints", "transl"):
            places = file[name][:]
            places[50:] += [3, 0, 0] if name == "transl" else np.array([3, 0, 0])
            file[name][:] = places
    truth = fitted_truth(own / "recordings/S1_1_8-camera3.h5", body)
    assert truth is not None
    assert truth.present[:50].all()
    assert not truth.present[50:].any()


def test_a_link_has_the_truth_of_its_recording(prepared: Path, body: Body) -> None:
    link = prepared / "reference/val/S12_1_8-camera2.h5"
    assert link.readlink() == Path("../../recordings/S12_1_8-camera2.h5")
    recording = CameraRecording.of(link)
    assert recording == CameraRecording(prepared.resolve(), 12, 1, 8, 2)
    assert known_truth(link, body).path == link
    (loaded, *_) = load_recordings(link.parent, RECIPE, body)
    assert loaded.truth is not None
    assert CameraRecording.of(prepared / "recordings/walk.h5") is None


def test_without_a_fit_events_alone_are_left(own: Path, body: Body) -> None:
    (own / "smpl/S1_1_8.h5").unlink()
    path = own / "reference/train/S1_1_8-camera0.h5"
    recording = load_recording(path, RECIPE, body)
    assert recording.truth is None
    assert len(recording.events) > 1000
    with pytest.raises(InputError, match="no ground truth"):
        known_truth(path, body)


def test_a_fit_of_another_body_is_refused(own: Path, body: Body) -> None:
    with h5py.File(own / "smpl/S1_1_8.h5", "a") as file:
        file.attrs["body_sha256"], file.attrs["body_id"] = "0" * 64, "smpl-male"
    with pytest.raises(InputError, match=r"smpl-male.*eventhpe-default-1.*fit_smpl"):
        load_recording(own / "recordings/S1_1_8-camera0.h5", RECIPE, body)


@pytest.mark.parametrize("load", [Markers.load, lambda path: Fit.load(path, load_body())])
def test_files_that_are_absent_or_something_else_are_named(load, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        load(tmp_path / "S1_1_1.h5")
    (tmp_path / "S1_1_2.h5").write_text("text")
    with pytest.raises(InputError, match=r"S1_1_2\.h5"):
        load(tmp_path / "S1_1_2.h5")


def test_a_fit_made_again_makes_takes_stale(own: Path) -> None:
    path = own / "recordings/S1_1_8-camera0.h5"
    before = changed_at(path)
    stat = path.stat()
    fit = own / "smpl/S1_1_8.h5"
    os.utime(fit, (stat.st_mtime + 100, stat.st_mtime + 100))
    assert changed_at(path) == pytest.approx(stat.st_mtime + 100)
    assert before < changed_at(path)


def test_both_stages_train_from_a_split(prepared: Path, untrained_cards, tmp_path: Path) -> None:
    root = Path(shutil.copytree(prepared, tmp_path / "set", symlinks=True)) / "reference"
    flow = FlowData(root, RECIPE, batch_size=2, workers=0)
    flow.setup("fit")
    assert len(flow.recordings["train"]) == 4
    pose = PoseData(
        root, untrained_cards[0], size=32, flow_size=64, takes=1, windows=4, steps=2, workers=0
    )
    pose.setup("fit")
    assert all(take.labelled for take in pose.takes["train"] + pose.takes["val"])
    # Labels are those of a window's end.
    take = pose.takes["val"][1]
    truth = known_truth(root / "val/S12_1_8-camera1.h5", load_body())
    np.testing.assert_allclose(take.rotations[3], truth.rotations[take.t_us[3] // 10_000])


def test_splits_are_those_of_the_two_papers() -> None:
    reference, scarpellini = SPLITS["reference"], SPLITS["scarpellini"]
    assert [*reference["train"].subjects, *reference["val"].subjects] == list(range(1, 13))
    assert list(reference["test"].subjects) == [13, 14, 15, 16, 17]
    assert list(scarpellini["test"].subjects) == [1, 2, 3, 4, 5]
    assert tuple(scarpellini["test"].channels) == (1, 2)
    assert [*scarpellini["train"].subjects, *scarpellini["val"].subjects] == list(range(6, 18))


def test_parts_hold_links_that_follow_what_is_prepared_and_fitted(
    own: Path, body: Body, capsys: pytest.CaptureFixture[str]
) -> None:
    def links(part: str) -> list[str]:
        return sorted(path.name for path in (own / part).glob("*.h5"))

    assert main([str(own)]) == 0
    assert "reference: train 4, val 4, test 4" in capsys.readouterr().out
    assert links("scarpellini/test") == ["S1_1_8-camera1.h5", "S1_1_8-camera2.h5"]
    assert links("scarpellini/train") == [
        f"S{s}_1_8-camera{c}.h5" for s in (12, 13) for c in range(4)
    ]
    (own / "smpl/S13_1_8.h5").unlink()
    (own / "recordings/S1_1_8-camera2.h5").unlink()
    write_prepared(own, body, (2, 1, 1), 0.5, 2000)
    (own / "reference/val/mine.h5").write_bytes(b"kept")
    assert main([str(own)]) == 0
    assert links("reference/test") == []
    assert len(links("scarpellini/train")) == 8
    assert len(links("reference/train")) == 3 + 4
    assert "mine.h5" in links("reference/val")
    assert all(path.exists() for path in own.glob("*/*/*.h5"))


def test_a_folder_that_nothing_was_prepared_in_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "prepare_dhp19.py" in capsys.readouterr().err
