"""MotionSequence: what is saved comes back, and nothing else is taken for a motion file."""

import io
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from eventhpe.errors import InputError
from eventhpe.sequence import (
    ABSENT,
    CAMERA_UP,
    HELD,
    SCHEMA,
    STATE_NAMES,
    TRACKED,
    MotionSequence,
)

T = 5


def content(frames: int = T) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "t_us": np.arange(1, frames + 1) * 50_000,
        "betas": rng.normal(size=10),
        "global_orient": rng.normal(size=(frames, 3)),
        "body_pose": rng.normal(0, 0.4, size=(frames, 69)),
        "transl": rng.normal(size=(frames, 3)),
        "body_id": "free-body-1",
        "body_sha256": "ab" * 32,
        "K": np.array([[300, 1, 172.5], [0, 301, 129.5], [0, 0, 1]]),
        "distortion": np.array([0.1, 0.2, 0.0, 0.0]),
        "width": 346,
        "height": 260,
        "frame": "camera",
        "region": rng.uniform(0, 100, (frames, 4)),
        "confidence": rng.uniform(size=frames),
        "state": np.arange(frames) % 3,
        "window_us": 50_000,
        "step_us": 50_000,
        "weights": {"flownet": "12" * 32, "shapenet": "34" * 32},
        "command": "eventhpe infer 'ä file.h5' --out motion.npz",
    }


def rewrite(path: Path, **changes: Any) -> None:
    """A saved file with some arrays replaced, or left out when None."""
    with np.load(path) as archive:
        arrays = dict(archive.items())
    arrays.update(changes)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "motion.npz"
    MotionSequence(**content()).save(path)
    return path


@pytest.mark.parametrize("frames", [0, 1, T])
def test_a_saved_sequence_comes_back(tmp_path: Path, frames: int) -> None:
    sequence = MotionSequence(**content(frames))
    sequence.save(tmp_path / "motion")  # the name is kept as given
    again = MotionSequence.load(tmp_path / "motion")
    assert len(again) == frames
    for field in fields(MotionSequence):
        mine, read = getattr(sequence, field.name), getattr(again, field.name)
        assert type(read) is type(mine), field.name
        if isinstance(mine, np.ndarray):
            assert read.dtype == mine.dtype
            np.testing.assert_array_equal(read, mine)
        elif mine != mine:  # NaN
            assert read != read
        else:
            assert read == mine
    assert [p.name for p in tmp_path.iterdir()] == ["motion"]


def test_the_states_have_their_names() -> None:
    assert [STATE_NAMES[i] for i in (ABSENT, HELD, TRACKED)] == ["absent", "held", "tracked"]


def test_the_file_needs_no_pickle(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as archive:
        assert all(archive[name].dtype.kind in "fiuU" for name in archive.files)


def test_matrices_are_the_axis_angles_rotations() -> None:
    sequence = MotionSequence(**content())
    turn, pose = sequence.matrices()
    assert (turn.dtype, pose.dtype) == (torch.float32, torch.float32)
    expected = Rotation.from_rotvec(sequence.global_orient).as_matrix()
    np.testing.assert_allclose(turn.numpy(), expected, atol=1e-6)
    expected = Rotation.from_rotvec(sequence.body_pose.reshape(-1, 3)).as_matrix()
    np.testing.assert_allclose(pose.numpy().reshape(-1, 3, 3), expected, atol=1e-6)
    others = content()
    del others["global_orient"], others["body_pose"]
    again = MotionSequence.from_matrices(turn, pose, **others)
    np.testing.assert_allclose(again.body_pose, sequence.body_pose, atol=1e-5)
    np.testing.assert_allclose(again.global_orient, sequence.global_orient, atol=1e-5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("betas", np.zeros(9), "betas is"),
        ("transl", np.zeros((T + 1, 3)), "transl is"),
        ("K", np.zeros(9), "K is"),
        ("body_pose", np.full((T, 69), np.nan), "NaN"),
        ("t_us", np.array([1, 2, 2, 3, 4]), "increase"),
        ("t_us", np.array([1, 2, 2.5, 3, 4]), "does not fit"),
        ("state", np.full(T, 3), "state"),
        ("state", np.full(T, 256), "does not fit"),
        ("confidence", np.full(T, 1.5), "0..1"),
        ("K", np.zeros((3, 3)), "focal lengths 0"),
        ("distortion", np.zeros(3), "3 coefficients"),
        ("width", 0, "width is 0"),
        ("step_us", 0, "step_us is 0"),
        ("window_us", -1, "window_us is -1"),
    ],
)
def test_wrong_fields_are_refused_by_code_and_by_file(
    saved: Path, field: str, value: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MotionSequence(**{**content(), field: value})
    rewrite(saved, **{field: value})
    with pytest.raises(InputError, match=message):
        MotionSequence.load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": SCHEMA + 1}, "Update eventhpe"),
        ({"schema": 0}, "schema 0"),
        ({"schema": "one"}, "no number"),
        ({"schema": None}, "no field 'schema'"),
        ({"transl": None, "frame": None}, "no field transl, frame"),
        ({"transl": np.array([["a"] * 3] * T)}, "not numbers"),
        ({"width": np.array([1, 2])}, "width is"),
        ({"width": 1.5}, "width is"),
        ({"command": 3}, "command is"),
        ({"weights": "[]"}, "weights"),
        ({"weights": "{"}, "wrong content"),
        ({"body_id": np.array([{"a": 1}], dtype=object)}, "pickled"),
    ],
)
def test_wrong_files_are_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(saved, **changes)
    with pytest.raises(InputError, match=message):
        MotionSequence.load(saved)


def test_files_of_schema_1_are_read_as_radtan(saved: Path) -> None:
    rewrite(saved, schema=1, distortion_model=None)
    again = MotionSequence.load(saved)
    assert again.camera.model == "radtan"
    assert again.camera.distortion == (0.1, 0.2, 0.0, 0.0)
    rewrite(saved, distortion_model=None, schema=SCHEMA)
    with pytest.raises(InputError, match="no field distortion_model"):
        MotionSequence.load(saved)


def test_files_of_schema_2_know_nothing_of_gravity(saved: Path) -> None:
    rewrite(
        saved,
        schema=2,
        up=None,
        floor_m=None,
        up_source=None,
        turned=None,
        warnings=None,
        recording_sha256=None,
    )
    again = MotionSequence.load(saved)
    np.testing.assert_array_equal(again.up, [0, -1, 0])
    assert np.isnan(again.floor_m)
    assert again.up_source == CAMERA_UP
    assert again.turned.tolist() == [0, 0, 0]


def test_gravity_is_kept_and_checked(saved: Path) -> None:
    up = np.array([0.0, -0.8, 0.6])
    known = {"up": up, "floor_m": -1.25, "up_source": "pitch and roll"}
    MotionSequence(**content(), **known, warnings=("it moves", "two \u00e4")).save(saved)
    again = MotionSequence.load(saved)
    assert again.warnings == ("it moves", "two \u00e4")
    np.testing.assert_array_equal(again.up, up)
    assert (again.floor_m, again.up_source) == (-1.25, "pitch and roll")
    rewrite(saved, up=np.array([0.0, -2.0, 0.0]))
    with pytest.raises(InputError, match="up has length 2"):
        MotionSequence.load(saved)


def test_poses_between_steps_lie_on_the_shortest_turn() -> None:
    motion = MotionSequence(**content() | {"state": np.full(T, TRACKED)})
    wanted = np.array([50_000, 62_500, 100_000, 240_000, 250_000])
    got = motion.at(wanted)
    joints = np.concatenate([motion.global_orient, motion.body_pose], axis=1).reshape(T, 24, 3)
    mine = np.concatenate([got.global_orient, got.body_pose], axis=1).reshape(-1, 24, 3)
    for joint in range(24):
        oracle = Slerp(motion.t_us, Rotation.from_rotvec(joints[:, joint]))(wanted)
        difference = oracle.inv() * Rotation.from_rotvec(mine[:, joint])
        assert difference.magnitude().max() < 1e-5
    for name in ("transl", "region"):
        values = getattr(motion, name)
        oracle = [np.interp(wanted, motion.t_us, column) for column in values.T]
        np.testing.assert_allclose(getattr(got, name), np.stack(oracle, 1), rtol=1e-5, atol=1e-5)
    for t_us in ([49_999], [250_001], [60_000, 60_000]):
        with pytest.raises(ValueError, match=r"times|increase"):
            motion.at(np.array(t_us))


def test_a_pose_beside_an_absent_step_is_absent() -> None:
    motion = MotionSequence(**content(3) | {"state": np.array([TRACKED, HELD, ABSENT])})
    got = motion.at(np.array([50_000, 70_000, 80_000, 100_000, 101_000, 150_000]))
    assert got.state.tolist() == [TRACKED, TRACKED, HELD, HELD, ABSENT, ABSENT]


def test_resampling_gives_the_rate_and_the_poses_that_were_there() -> None:
    motion = MotionSequence(**content())
    doubled = motion.resample(40)
    assert doubled.t_us.tolist() == list(range(50_000, 250_001, 25_000))
    assert doubled.step_us == 25_000
    np.testing.assert_allclose(doubled.transl[::2], motion.transl, atol=1e-6)
    # 200 ms at 30 Hz: 6 steps of 33,333.3 us end at the last pose.
    assert motion.resample(30).t_us[-1] == motion.t_us[-1]
    for rate in (0, -1, 2e6):
        with pytest.raises(ValueError, match="rate"):
            motion.resample(rate)
    with pytest.raises(ValueError, match="no moments"):
        MotionSequence(**content(0)).resample(20)


def test_a_slice_is_half_open() -> None:
    motion = MotionSequence(**content())
    part = motion.slice(100_000, 200_000)
    assert part.t_us.tolist() == [100_000, 150_000]
    np.testing.assert_array_equal(part.body_pose, motion.body_pose[1:3])
    assert len(motion.slice()) == T
    assert len(motion.slice(250_001)) == 0


def test_the_cameras_lens_is_kept(saved: Path) -> None:
    MotionSequence(**content(), distortion_model="equidistant").save(saved)
    camera = MotionSequence.load(saved).camera
    assert (camera.model, camera.distortion) == ("equidistant", (0.1, 0.2, 0.0, 0.0))
    assert (camera.width, camera.height) == (346, 260)
    rewrite(saved, distortion_model="thin-prism")
    with pytest.raises(InputError, match="thin-prism"):
        MotionSequence.load(saved)


def test_extra_fields_do_no_harm(saved: Path) -> None:
    rewrite(saved, note="mine")
    assert len(MotionSequence.load(saved)) == T


@pytest.mark.parametrize("keep", [0, 1, 30, 200, 0.5, 0.99])
def test_truncated_files_are_refused(saved: Path, keep: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(keep if keep >= 1 or keep == 0 else keep * len(whole))])
    with pytest.raises(InputError, match="motion"):
        MotionSequence.load(saved)


def test_every_flipped_byte_is_refused_or_harmless(saved: Path) -> None:
    whole = saved.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(whole), 150):
        broken = bytearray(whole)
        broken[position] ^= 0x55
        saved.write_bytes(bytes(broken))
        try:
            assert len(MotionSequence.load(saved)) == T
        except InputError:
            continue


def test_other_files_are_refused(tmp_path: Path) -> None:
    array, text, folder = tmp_path / "a.npy", tmp_path / "a.txt", tmp_path / "folder"
    np.save(array, np.zeros(3))
    text.write_text("hello")
    folder.mkdir()
    plain_zip = io.BytesIO()
    with zipfile.ZipFile(plain_zip, "w") as archive:
        archive.writestr("readme.txt", "hello")
    (tmp_path / "a.zip").write_bytes(plain_zip.getvalue())
    for path in (array, text, folder, tmp_path / "a.zip", tmp_path / "absent.npz"):
        with pytest.raises(InputError, match="motion file"):
            MotionSequence.load(path)


def test_a_failed_save_leaves_the_earlier_file(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        MotionSequence(**content()).save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
