"""The command that fits SMPL to a prepared DHP19's markers."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.dhp19_clone import write_truth
from datasets.dhp19_fits import read_markers
from datasets.dhp19_subjects import draw_subject, perform, vicon_markers
from eventhpe.body.joints import DHP19_NAMES
from eventhpe.body.loading import load_body
from eventhpe.errors import InputError
from scripts import fit_smpl

MOVEMENTS = {"S1_1_1": "arm_abduction_left", "S1_2_1": "walk_on_treadmill"}


def write_markers(path: Path, markers_mm: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["t_us"] = 10_000 * np.arange(len(markers_mm), dtype=np.int64)
        file["markers_mm"] = markers_mm


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of one subject, of a second and a half."""
    out = tmp_path_factory.mktemp("prepared")
    subject = draw_subject(51, 1, load_body())
    for name, movement in MOVEMENTS.items():
        rng = np.random.default_rng(len(movement))
        performance = perform(rng, subject, movement, 1.5)
        write_markers(out / "vicon" / f"{name}.h5", vicon_markers(rng, performance))
        write_truth(out / "truth" / f"{name}.h5", performance, {})
    return out


@pytest.fixture
def prepared(whole: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    for path in (whole / "vicon").iterdir():
        (tmp_path / "vicon").mkdir(exist_ok=True)
        (tmp_path / "vicon" / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subjects one after the other in this process: starting others takes seconds each."""

    class Here:
        def __init__(self, workers: int, mp_context: object) -> None: ...
        def __enter__(self) -> "Here":
            return self

        def __exit__(self, *error: object) -> None: ...
        def submit(self, work, *arguments):  # type: ignore[no-untyped-def]
            from concurrent.futures import Future

            future: Future = Future()
            future.set_result(work(*arguments))
            return future

    monkeypatch.setattr(fit_smpl, "ProcessPoolExecutor", Here)


def test_fits_lie_as_the_truth_does(whole: Path, capsys: pytest.CaptureFixture) -> None:
    assert fit_smpl.main([str(whole)]) == 0
    table = capsys.readouterr().out.splitlines()
    for name in MOVEMENTS:
        paths = whole / "smpl" / f"{name}.h5", whole / "truth" / f"{name}.h5"
        with h5py.File(paths[0]) as fit, h5py.File(paths[1]) as truth:
            assert set(fit) == {*truth, "residual_mm"}
            for key in truth:
                assert (fit[key].shape, fit[key].dtype) == (truth[key].shape, truth[key].dtype)
            for key in ("body_id", "body_sha256", "frame"):
                assert fit.attrs[key] == truth.attrs[key]
            np.testing.assert_array_equal(fit["t_us"], truth["t_us"])
            apart = np.linalg.norm(fit["joints"][:] - truth["joints"][:], axis=-1)
            residual = fit["residual_mm"][:]
        assert apart.mean() < 0.03
        line = next(x for x in table if x.startswith(name))
        frames, mean, worst = line.split()[1:4]
        assert int(frames) == len(residual) == 150
        assert float(mean) == pytest.approx(residual.mean(), abs=0.06)
        assert float(worst) == pytest.approx(residual.max(), abs=0.06)


def test_a_parameter_file_gives_back_its_joints(whole: Path) -> None:
    """Through the body model, as any reader would."""
    import roma
    import torch

    fit_smpl.main([str(whole)])
    with h5py.File(whole / "smpl" / "S1_1_1.h5") as file:
        values = {key: torch.from_numpy(file[key][:]) for key in file if key != "marker_offsets"}
    vectors = torch.cat([values["global_orient"], values["body_pose"]], dim=1).view(-1, 24, 3)
    turns = roma.rotvec_to_rotmat(vectors)
    betas = values["betas"].expand(len(turns), -1)
    joints = load_body().joints(betas, turns[:, 0], turns[:, 1:], values["transl"])
    torch.testing.assert_close(joints, values["joints"], atol=1e-4, rtol=0)


def test_what_is_done_is_kept_and_what_changed_is_made_anew(
    prepared: Path, capsys: pytest.CaptureFixture
) -> None:
    fit_smpl.main([str(prepared)])
    paths = sorted((prepared / "smpl").iterdir())
    first = [path.read_bytes() for path in paths]
    stamps = [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()  # as if the run had been stopped after the first recording
    capsys.readouterr()
    fit_smpl.main([str(prepared)])
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] == "kept" for line in table if line.startswith("S1")] == [True, False]
    assert paths[0].stat().st_mtime_ns == stamps[0]
    with h5py.File(paths[1]) as file:
        pose = file["body_pose"][:]
    paths[1].write_bytes(first[1])
    with h5py.File(paths[1]) as file:
        np.testing.assert_array_equal(pose, file["body_pose"][:])
    # Other markers of one recording are another person: both fits are out of date.
    with h5py.File(prepared / "vicon" / "S1_2_1.h5", "r+") as file:
        file["markers_mm"][:] = file["markers_mm"][:] + 1.0
    capsys.readouterr()
    fit_smpl.main([str(prepared)])
    assert "kept" not in capsys.readouterr().out


def test_a_label_without_any_data_is_named(prepared: Path, capsys: pytest.CaptureFixture) -> None:
    for path in (prepared / "vicon").iterdir():
        with h5py.File(path, "r+") as file:
            file["markers_mm"][:, DHP19_NAMES.index("elbowL")] = np.nan
    assert fit_smpl.main([str(prepared)]) == 0
    assert len(re.findall("never seen: elbowL", capsys.readouterr().out)) == 2
    with h5py.File(prepared / "smpl" / "S1_1_1.h5") as file:
        assert np.isfinite(file["joints"][:]).all()


def test_bad_recordings_are_named_and_the_others_fitted(
    prepared: Path, capsys: pytest.CaptureFixture
) -> None:
    vicon = prepared / "vicon"
    write_markers(vicon / "S1_3_1.h5", np.full((200, 13, 3), np.nan))
    write_markers(vicon / "S2_1_1.h5", read_markers(vicon / "S1_1_1.h5").places[:20] * 1000)
    write_markers(vicon / "S2_1_2.h5", np.zeros((50, 12, 3)))
    (vicon / "S2_1_3.h5").write_bytes(b"no HDF5")
    assert fit_smpl.main([str(prepared), "--workers", "1"]) == 1
    out, err = capsys.readouterr()
    assert "2 recordings, 4 could not be fitted" in out
    assert "S1_3_1.h5: found 0 of 200 frames with enough markers" in err
    assert "S2_1_1.h5: found 20 of 20 frames with enough markers" in err
    assert "S2_1_2.h5: found markers_mm of shape (50, 12, 3); expected (50, 13, 3)" in err
    assert "S2_1_3.h5: found it cannot be read" in err
    assert sorted(path.stem for path in (prepared / "smpl").iterdir()) == sorted(MOVEMENTS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--subjects", "1", "9"], "--subjects: found 9"),
        (["--body", "no_such.pkl"], "no_such.pkl: found no such file"),
    ],
)
def test_bad_arguments_end_with_2(
    whole: Path, capsys: pytest.CaptureFixture, arguments: list[str], words: str
) -> None:
    assert fit_smpl.main([str(whole), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_folder_without_markers_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert fit_smpl.main([str(tmp_path)]) == 2
    assert "found no markers" in capsys.readouterr().err
    with pytest.raises(InputError, match="cannot be read"):
        read_markers(tmp_path / "S1_1_1.h5")
