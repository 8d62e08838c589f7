"""DHP19's protocols: perfect poses reach the label floor, and errors that can be told by hand."""

import csv
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from datasets.dhp19 import Fit, Markers
from datasets.dhp19_splits import write_splits
from datasets.folders import known_truth
from eventhpe.body import DHP19_TO_SMPL, Body, load_body
from eventhpe.camera import DHP19_MATRICES
from eventhpe.errors import InputError
from eventhpe.evaluation.dhp19 import (
    WorldMotion,
    frame_moments,
    hips_centred,
    label_pixels,
    pixels,
    triangulate,
)
from eventhpe.evaluation.dhp19_report import PUBLISHED, dhp19_rows, dhp19_table
from eventhpe.evaluation.dhp19_rows import (
    ALL_CAMERAS,
    CUT,
    FIT,
    IMAGE,
    ONE_CAMERA,
    OWN_MARKERS,
    PROTOCOLS,
    TWO_CAMERAS,
    Method,
    Seen,
    evaluate_dhp19,
    training_offsets,
)
from eventhpe.sequence import MotionSequence
from scripts.evaluate import main
from tests.dhp19_samples import write_prepared

FRAME = 2000  # events, so that few make many frames
EXACT = Method("the truth")


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def prepared(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prepared")
    for subject in (1, 2, 13):
        write_prepared(root, body, (subject, 2, 4), events=12_000)
    write_splits(root)
    return root


@pytest.fixture
def own(prepared: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "own", symlinks=True))


def exact(body: Body, shift_m: float = 0.0):
    """A method that answers with the fit, as a motion in the camera's frame."""

    def predict(index: int, path: Path) -> Seen:
        truth = known_truth(path, body)
        rotations = torch.from_numpy(truth.rotations)
        count = len(rotations)
        motion = MotionSequence.from_matrices(
            rotations[:, 0],
            rotations[:, 1:],
            t_us=truth.t_us,
            betas=truth.betas,
            transl=truth.transl + np.array([0, 0, shift_m]),
            body_id=body.body_id,
            body_sha256=body.sha256,
            K=truth.K,
            distortion=np.zeros(0),
            width=346,
            height=260,
            frame="camera",
            region=np.ones((count, 4)),
            confidence=np.ones(count),
            state=np.full(count, 2),
            window_us=50_000,
            step_us=10_000,
            weights={},
            command="",
        )
        world = WorldMotion.of_camera(motion, int(path.stem[-1]), body)
        labels = {EXACT: lambda t_us: world.labels_mm(t_us, None)}
        return Seen(labels, int(truth.t_us[0]), int(truth.t_us[-1]), {EXACT: motion})

    return predict


def means(scores) -> dict[tuple[str, str, Method], float]:
    return {
        (protocol.name, protocol.alignment, method): float(np.concatenate(found).mean())
        for (protocol, method), found in scores.items()
    }


def test_perfect_poses_get_the_label_floor_in_every_protocol(prepared: Path, body: Body) -> None:
    found = means(
        evaluate_dhp19(prepared / "reference/test", exact(body), body, FRAME, progress=False)
    )
    floor = Method(FIT, True)
    for protocol in PROTOCOLS:
        key = (protocol.name, protocol.alignment)
        assert found[*key, EXACT] == pytest.approx(found[*key, floor], abs=2e-3)
        assert found[*key, EXACT] > 0
    # By hand: the markers stand off the nominal joints by the offsets, and Vicon has noise.
    with h5py.File(prepared / "smpl/S13_2_4.h5") as file:
        reach = 1000 * np.linalg.norm(file["marker_offsets"][:], axis=1).mean()
    assert found[ONE_CAMERA, "none", floor] == pytest.approx(reach, abs=2)
    with_markers = Method(FIT, True, OWN_MARKERS)
    assert found[ONE_CAMERA, "none", with_markers] < 4
    # Both cameras see the same points, so nothing is lost by triangulating.
    assert found[TWO_CAMERAS, "none", floor] == pytest.approx(found[ONE_CAMERA, "none", floor])
    # Pixels are cut off by up to one on both axes: the mean distance from a corner of a square.
    assert found[IMAGE, "none", CUT] == pytest.approx(0.765, abs=0.05)


def test_what_one_camera_cannot_know_shows_in_the_absolute_error_alone(
    prepared: Path, body: Body
) -> None:
    folder = prepared / "reference/test"
    near = means(evaluate_dhp19(folder, exact(body), body, FRAME, progress=False))
    far = means(evaluate_dhp19(folder, exact(body, 0.2), body, FRAME, progress=False))
    absolute = (ONE_CAMERA, "none", EXACT)
    assert 150 < far[absolute] < 250
    assert far[absolute] > near[absolute] + 100
    aligned = (ONE_CAMERA, "hips' midpoint", EXACT)
    assert far[aligned] == pytest.approx(near[aligned], abs=0.01)


def test_two_cameras_take_the_depth_from_each_other(prepared: Path, body: Body) -> None:
    """200 mm along each line of sight hardly moves a point that two lines of sight meet in."""
    folder = prepared / "reference/test"
    found = means(evaluate_dhp19(folder, exact(body, 0.2), body, FRAME, progress=False))
    assert found[TWO_CAMERAS, "none", EXACT] < found[ONE_CAMERA, "none", EXACT] / 2
    # So do four cameras' bodies, whose places are believed less along the lines of sight.
    assert found[ALL_CAMERAS, "none", EXACT] < found[ONE_CAMERA, "none", EXACT] / 2


def test_a_part_without_both_cameras_has_no_two_camera_rows(prepared: Path, body: Body) -> None:
    folder = prepared / "scarpellini/test"
    found = means(evaluate_dhp19(folder, exact(body), body, FRAME, progress=False))
    assert {name for name, *_ in found} == {ONE_CAMERA, IMAGE}


def test_triangulation_gives_points_back_and_minimises_the_algebraic_error() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform((-600, -600, 0), (600, 600, 1900), (40, 13, 3))
    views = np.stack([pixels(points, channel) for channel in (3, 2)])
    np.testing.assert_allclose(triangulate(views, (3, 2)), points, atol=1e-5)
    views[0, 5, 7] = np.nan
    assert np.isnan(triangulate(views, (3, 2))[5, 7]).all()
    # One point alone, by the matrices as they are written down.
    X = np.array([100.0, -200.0, 1100.0, 1.0])
    u, v, w = DHP19_MATRICES[3] @ X
    np.testing.assert_allclose(pixels(X[None, :3], 3), [[u / w, 260 - v / w]])


def test_labels_in_pixels_are_cut_and_left_out_beyond_the_image() -> None:
    inside, left = np.array([0.0, 0, 1000]), np.array([0.0, 0, 6000])
    cut = label_pixels(np.stack([inside, left, [np.nan] * 3])[None], 3)[0]
    column, row = pixels(inside, 3)
    np.testing.assert_array_equal(cut[0], [int(column), int(row)])
    assert pixels(left, 3)[1] < 0
    assert np.isnan(cut[1:]).all()


def test_the_hips_midpoint_is_that_of_the_two_hip_markers() -> None:
    mm = np.arange(39.0).reshape(1, 13, 3)
    np.testing.assert_array_equal(hips_centred(mm)[0, 5] + hips_centred(mm)[0, 6], [0, 0, 0])
    mm[0, 5] = np.nan
    assert np.isnan(hips_centred(mm)).all()


def test_frames_end_with_every_nth_event_of_all_cameras(prepared: Path) -> None:
    """Frame by frame with plain loops, in the reference's own one-based counting."""
    paths = [prepared / f"recordings/S13_2_4-camera{c}.h5" for c in range(4)]
    markers = Markers.load(prepared / "vicon/S13_2_4.h5")
    moments = frame_moments(paths, markers, FRAME)
    times = []
    for path in paths:
        with h5py.File(path) as file:
            times += file["events/t"][:].tolist()
    times.sort()
    previous, labels, t_us = 1, [], []
    for i in range(FRAME, len(times) + 1, FRAME):
        k = round(times[i - 1] * 1e-4) + 1
        if k > len(markers.mm):
            break
        samples = markers.mm[previous - 1 : k]
        label = [
            s[~np.isnan(s[:, 0])].mean(axis=0) if (~np.isnan(s[:, 0])).any() else [np.nan] * 3
            for s in samples.transpose(1, 0, 2)
        ]
        labels.append(label)
        t_us.append(((previous - 1) + (k - 1)) / 2 * 10_000)
        previous = k
    assert len(labels) > 15
    np.testing.assert_allclose(moments.mm, labels, atol=1e-9)
    np.testing.assert_array_equal(moments.t_us, t_us)


def test_places_between_steps_are_interpolated(prepared: Path, body: Body) -> None:
    fit = Fit.load(prepared / "smpl/S13_2_4.h5", body)
    world = WorldMotion.of_fit(fit)
    nominal = 1000 * fit.joints[:, list(DHP19_TO_SMPL)]
    found = world.labels_mm(np.array([200_000.0, 205_000.0]), None)
    np.testing.assert_allclose(found[0], nominal[20], atol=1e-3)
    np.testing.assert_allclose(found[1], (nominal[20] + nominal[21]) / 2, atol=1e-3)


def test_training_offsets_are_the_mean_over_subjects(prepared: Path, body: Body) -> None:
    fits = [Fit.load(prepared / f"smpl/S{s}_2_4.h5", body) for s in (1, 2)]
    expected = (fits[0].marker_offsets + fits[1].marker_offsets) / 2
    found = training_offsets(prepared / "reference/train", body)
    np.testing.assert_allclose(found, expected)
    assert training_offsets(prepared / "reference/val", body) is None


def test_the_command_prints_published_rows_beside_ours(
    own: Path, untrained_cards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flownet, shapenet = untrained_cards
    asked = ["dhp19", str(own), "--flownet", str(flownet), "--shapenet", str(shapenet)]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "79.63" in printed
    assert "the clone, reference test" in printed
    with (tmp_path / "out/dhp19.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["labels"] == "0"]) == len(PUBLISHED)
    ours = [row for row in rows if row["method"] == "shapenet"]
    # 3 protocols and alignments of 3D and one of 2D, with and without height and offsets; one
    # mesh in two alignments, with and without height.
    assert len(ours) == 4 * 4 + 2 * 2
    assert all(float(row["value"]) > 0 for row in ours)
    assert {row["method"] for row in rows} >= {"mean pose in the region", FIT, CUT.name}


def test_published_rows_stand_once_each_beside_scored_ones() -> None:
    scores = {(PROTOCOLS[1], EXACT): [np.array([1.0, 3.0]), np.array([5.0])]}
    rows = dhp19_rows(scores, "DHP19, reference test")
    assert [row.value for row in rows if row.labels] == [3.0]
    assert sorted(row.method for row in rows if not row.labels) == sorted(
        p.method for p in PUBLISHED
    )
    assert "DHP19, reference test" in dhp19_table(rows)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "recordings/S13_2_4-camera0.h5").rename(root / "away.h5"), "four"),
        (lambda root: (root / "vicon/S13_2_4.h5").unlink(), "prepare_dhp19"),
        (lambda root: (root / "smpl/S13_2_4.h5").unlink(), "fit_smpl"),
    ],
)
def test_what_is_missing_is_named(own: Path, body: Body, spoil, said: str) -> None:
    (own / "reference/test/S13_2_4-camera0.h5").unlink()
    spoil(own)
    with pytest.raises(InputError, match=said):
        evaluate_dhp19(own / "reference/test", exact(body), body, FRAME, progress=False)


def test_a_folder_that_is_no_part_of_a_split_is_refused(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(own / "recordings/S1_2_4-camera0.h5", own / "reference/test/walk.h5")
    assert main(["dhp19", str(own)]) == 2
    assert "split_dhp19.py" in capsys.readouterr().err


def test_the_errors_of_other_sets_are_scored_on_a_split_too(
    own: Path, untrained_cards, capsys: pytest.CaptureFixture[str]
) -> None:
    flownet, shapenet = untrained_cards
    asked = ["pose", str(own / "reference/test"), "--quick"]
    assert main([*asked, "--flownet", str(flownet), "--shapenet", str(shapenet)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in lines if line.startswith("shapenet  ")]
    # Four cameras, 1.5 s each, a step every 50 ms.
    assert row[-1] in ("116", "120")
