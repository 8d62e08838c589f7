"""The BVH, read by a parser of its own and by the project's reader: SMPL's joints to 1 mm."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eventhpe.body import JOINT_NAMES
from eventhpe.export.figure import figure_of
from eventhpe.export.formats import export_motion
from eventhpe.simulation.motion.bvh import read_bvh
from eventhpe.simulation.motion.takes import load_take


def play(path: Path) -> tuple[float, list[str], NDArray[np.float64]]:
    """Frame time, joint names in the file's order, and joints (N, J, 3), straight from the text."""
    hierarchy, motion = path.read_text().split("MOTION\n")
    frames, frame_time, *rows = motion.splitlines()
    table = np.array([[float(word) for word in row.split()] for row in rows])
    assert frames == f"Frames: {len(table)}"
    words, column = iter(hierarchy.split()), 0
    names: list[str] = []
    places: list[NDArray[np.float64]] = []

    def play_joint(parent_turn: Rotation, parent_place: NDArray[np.float64]) -> None:
        nonlocal column
        names.append(next(words))
        places.append(parent_place)
        own, turn, place = len(places) - 1, parent_turn, parent_place
        while (word := next(words)) != "}":
            if word == "OFFSET":
                offset = np.array([float(next(words)) for _ in range(3)])
                place = places[own] = parent_place + parent_turn.apply(offset)
            elif word == "CHANNELS":
                for _ in range(int(next(words))):
                    kind, values = next(words), table[:, column]
                    column += 1
                    if kind.endswith("position"):
                        place[:, "XYZ".index(kind[0])] += values
                    else:
                        angles = values[:, None]
                        turn = turn * Rotation.from_euler(kind[0], angles, degrees=True)
            elif word == "JOINT":
                play_joint(turn, place)
            elif word == "End":
                assert [next(words) for _ in range(3)] == ["Site", "{", "OFFSET"]
                assert [next(words) for _ in range(4)][3] == "}"

    assert [next(words), next(words)] == ["HIERARCHY", "ROOT"]
    play_joint(Rotation.identity(len(table)), np.zeros((len(table), 3)))
    assert column == table.shape[1]
    return float(frame_time.split()[2]), names, np.stack(places, axis=1)


@pytest.mark.parametrize("up", ["y", "z"])
def test_played_from_its_text_it_is_smpls_joints(wild, body, tmp_path, up) -> None:
    export_motion(wild, "bvh", tmp_path / "a.bvh", up=up)
    seconds, names, places = play(tmp_path / "a.bvh")
    assert seconds == pytest.approx(0.04, abs=1e-9)
    assert sorted(names) == sorted(JOINT_NAMES)
    expected = figure_of(wild, body, up, rate_hz=None, even=True, ends=False).joints() * 100
    order = [JOINT_NAMES.index(name) for name in names]
    np.testing.assert_allclose(places, expected[:, order], atol=0.01)  # a tenth of a millimetre


def test_the_projects_reader_plays_the_same(wild, body, tmp_path) -> None:
    export_motion(wild, "bvh", tmp_path / "a.bvh")
    capture = read_bvh(tmp_path / "a.bvh")
    _, places = capture.posed()
    order = [capture.names.index(name) for name in JOINT_NAMES]
    expected = figure_of(wild, body, "y", rate_hz=None, even=True, ends=False).joints() * 100
    np.testing.assert_allclose(places[:, order], expected, atol=0.01)


def test_its_joints_are_known_by_name_where_it_is_read_as_a_take(wild, body, tmp_path) -> None:
    export_motion(wild, "bvh", tmp_path / "a.bvh", rate_hz=30)
    take = load_take(tmp_path / "a.bvh", body)
    assert take.duration_s == pytest.approx(9 * 0.04, abs=0.04)


def angles(path: Path) -> NDArray[np.float64]:
    """Rotation channels (N, 72)."""
    rows = path.read_text().split("Frame Time")[1].splitlines()[1:]
    return np.array([[float(word) for word in row.split()] for row in rows])[:, 3:]


@pytest.mark.parametrize("up", ["y", "z"])
def test_a_heading_through_more_than_a_turn_does_not_jump(wild, tmp_path, up) -> None:
    """35 degrees a step."""
    still = replace(wild, body_pose=np.zeros((14, 69)))
    export_motion(still, "bvh", tmp_path / "a.bvh", up=up)
    table = angles(tmp_path / "a.bvh")
    assert np.abs(np.diff(table, axis=0)).max() < 60
    assert np.ptp(table[:, 0]) > 250


@pytest.mark.parametrize(
    ("joint", "axis", "degrees"),
    [
        ("left_knee", 0, 140),
        ("right_hip", 0, -120),
        ("left_shoulder", 1, -130),
        ("right_shoulder", 2, 120),
        ("left_elbow", 1, -150),
        ("right_elbow", 1, 150),
        ("head", 1, 80),
    ],
)
def test_limbs_bend_past_right_angles_without_jumps(
    wild, tmp_path, joint: str, axis: int, degrees: float
) -> None:
    """A programme that draws straight lines between steps bends them evenly, too."""
    pose = np.zeros((14, 23, 3))
    pose[:, JOINT_NAMES.index(joint) - 1, axis] = np.radians(np.linspace(0, degrees, 14))
    bent = replace(wild, body_pose=pose.reshape(14, 69), state=np.full(14, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_motion(bent, "bvh", tmp_path / "a.bvh")
    turns = np.abs(np.diff(angles(tmp_path / "a.bvh")[:, 3:], axis=0))
    assert turns.max() == pytest.approx(abs(degrees) / 13, abs=0.01)


def test_a_joint_at_its_singular_angle_is_right_and_silent(wild, body, tmp_path) -> None:
    pose = np.zeros((14, 23, 3))
    pose[:, JOINT_NAMES.index("left_shoulder") - 1, 1] = -np.pi / 2
    bent = replace(wild, body_pose=pose.reshape(14, 69))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_motion(bent, "bvh", tmp_path / "a.bvh")
    _, names, places = play(tmp_path / "a.bvh")
    expected = figure_of(bent, body, "y", rate_hz=None, even=True, ends=False).joints() * 100
    order = [JOINT_NAMES.index(name) for name in names]
    np.testing.assert_allclose(places, expected[:, order], atol=0.01)


@pytest.mark.parametrize("rate_hz", [24.0, 30.0, 120.0])
def test_the_frame_time_is_the_rates(wild, tmp_path, rate_hz: float) -> None:
    export_motion(wild, "bvh", tmp_path / "a.bvh", rate_hz=rate_hz)
    seconds, _, places = play(tmp_path / "a.bvh")
    assert seconds == pytest.approx(1 / rate_hz, abs=1e-9)
    assert len(places) == int(9 * 0.04 * rate_hz + 1e-6) + 1
