"""AMASS and SMPL files: posed by other readers they are the same body at the same place."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import smplx
import torch
from scipy.spatial.transform import Rotation

from eventhpe.body import load_body
from eventhpe.body.loading import DEFAULT_PATH
from eventhpe.export.figure import figure_of
from eventhpe.export.formats import export_motion
from eventhpe.simulation.motion.amass import read_amass


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def figure(motion, body, up="y"):
    return figure_of(motion, body, up, rate_hz=None, even=False, ends=False)


@pytest.fixture
def smpl(body):
    """smplx's own model of the free body, which takes axis-angles."""
    with np.load(DEFAULT_PATH) as file:
        arrays = smplx.utils.Struct(**file)
    face = dict.fromkeys(("nose", "reye", "leye", "rear", "lear"), 0)
    options = {"use_feet_keypoints": False, "use_hands": False}
    return smplx.SMPL(model_path="", data_struct=arrays, vertex_ids=face, **options)


@pytest.mark.parametrize("up", ["y", "z"])
def test_smplx_poses_the_smpl_dictionary_as_it_is(wild, body, smpl, tmp_path, up) -> None:
    export_motion(wild, "smpl", tmp_path / "a.npz", up=up)
    posed = smpl(
        **{name: torch.from_numpy(value) for name, value in read(tmp_path / "a.npz").items()}
    )
    made = figure(wild, body, up)
    expected = np.stack(list(made.meshes(range(10))))
    np.testing.assert_allclose(posed.vertices.detach().numpy(), expected, atol=2e-5)


def test_the_smpl_dictionary_has_times_and_says_who_was_there(wild, tmp_path) -> None:
    export_motion(wild, "smpl", tmp_path / "a.npz")
    content = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(content["t_us"], wild.t_us[2:12])
    np.testing.assert_array_equal(np.flatnonzero(~content["present"]), [6, 7])


@pytest.fixture
def licensed(tmp_path):
    """The free body under the name of SMPL's file."""
    shutil.copy(DEFAULT_PATH, tmp_path / "SMPL_FEMALE.npz")
    return load_body(tmp_path / "SMPL_FEMALE.npz")


def amass_joints(content, rest, turns_at_hands=None):
    """Forward kinematics of the first 22 joints (N, 22, 3), as AMASS's files are meant."""
    from eventhpe.body import PARENTS

    poses = content["poses"].reshape(len(content["poses"]), -1, 3)
    joints = np.zeros((len(poses), 22, 3))
    for n, pose in enumerate(poses):
        turns = []
        for joint in range(22):
            own, parent = Rotation.from_rotvec(pose[joint]), PARENTS[joint]
            if parent < 0:
                turns.append(own)
                joints[n, joint] = rest[joint] + content["trans"][n]
            else:
                turns.append(turns[parent] * own)
                step = turns[parent].apply(rest[joint] - rest[parent])
                joints[n, joint] = joints[n, parent] + step
    return joints


@pytest.mark.parametrize("up", [None, "y"])
def test_amass_of_a_smpl_body_poses_to_its_joints(wild, licensed, tmp_path, up) -> None:
    made = export_motion(wild, "amass", tmp_path / "a.npz", body=licensed, up=up)
    content = read(tmp_path / "a.npz")
    assert content["poses"].shape == (10, 156)
    assert not content["poses"][:, 66:].any()
    assert content["betas"].shape == (16,)
    np.testing.assert_allclose(content["betas"][:10], wild.betas)
    assert content["gender"].dtype.kind == "U"
    assert str(content["gender"]) == "female"
    assert float(content["mocap_framerate"]) == pytest.approx(25)
    rest = licensed.rest_joints(torch.from_numpy(wild.betas)[None])[0].numpy()
    expected = figure(wild, licensed, up or "z").joints()[:, :22]
    np.testing.assert_allclose(amass_joints(content, rest), expected, atol=1e-4)
    assert not any("betas" in note for note in made.notes)


def test_amass_of_the_free_body_has_no_shape_and_keeps_its_feet_on_the_floor(
    wild, body, tmp_path
) -> None:
    # Standing still, the soles on the floor: the pelvis is as high as the legs are long.
    betas = torch.from_numpy(wild.betas)[None]
    eye = torch.eye(3).expand(1, 24, 3, 3)
    rest = body(betas, eye[:, 0], eye[:, 1:], torch.zeros(1, 3)).vertices[0, :, 1]
    still = replace(
        wild,
        up=np.array([0.0, -1.0, 0.0]),
        floor_m=0.0,
        global_orient=np.tile(np.array([np.pi, 0, 0]), (14, 1)),
        body_pose=np.zeros((14, 69)),
        transl=np.tile(np.array([0.0, float(rest.min()), 3.0]), (14, 1)),
    )
    # Turned upside down about x, J0 stays where it is: bring the soles to height 0.
    pelvis = body.rest_joints(betas)[0, 0, 1].item()
    still = replace(still, transl=still.transl + np.float32([0, -2 * pelvis, 0]))
    made = export_motion(still, "amass", tmp_path / "a.npz", up="y")
    content = read(tmp_path / "a.npz")
    assert not content["betas"].any()
    assert str(content["gender"]) == "neutral"
    assert any("betas" in note for note in made.notes)
    orient = torch.from_numpy(Rotation.from_rotvec(content["poses"][:1, :3]).as_matrix()).float()
    trans = torch.from_numpy(content["trans"][:1]).float()
    plain = body(torch.zeros(1, 10), orient, eye[:, 1:], trans).vertices[0, :, 1]
    assert plain.min().item() == pytest.approx(0, abs=1e-5)


def test_the_projects_own_reader_reads_amass_back(wild, body, tmp_path) -> None:
    zero = replace(wild, betas=np.zeros(10))
    export_motion(zero, "amass", tmp_path / "a.npz")
    capture, betas = read_amass(tmp_path / "a.npz", body)
    assert not betas.any()
    assert capture.rate_hz == pytest.approx(25)
    _, places = capture.posed()
    expected = figure(zero, body, "z").joints()[:, :22]
    np.testing.assert_allclose(places[:, :22], expected, atol=1e-4)


def test_turns_of_the_hands_that_are_lost_are_told(wild, tmp_path) -> None:
    hands = np.zeros((14, 23, 3))
    hands[:, 22, 0] = np.radians(30)
    bent = replace(wild, body_pose=hands.reshape(14, 69))
    notes = " ".join(export_motion(bent, "amass", tmp_path / "a.npz").notes)
    assert "up to 30 degrees" in notes
    still = replace(wild, body_pose=np.zeros((14, 69)))
    notes = " ".join(export_motion(still, "amass", tmp_path / "a.npz").notes)
    assert "hand" not in notes
