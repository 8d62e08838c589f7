"""Folders of meshes, read by trimesh, and the table, read by csv."""

import csv

import numpy as np
import pytest
import trimesh

from eventhpe.body import JOINT_NAMES
from eventhpe.errors import InputError
from eventhpe.export.figure import figure_of
from eventhpe.export.formats import export_motion
from eventhpe.sequence import STATE_NAMES

PRESENT = [0, 1, 2, 3, 4, 5, 8, 9]


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("to", ["obj", "ply"])
def test_a_mesh_a_step_is_the_body_in_the_world(wild, body, tmp_path, to, up) -> None:
    export_motion(wild, to, tmp_path / "meshes", up=up)
    files = sorted((tmp_path / "meshes").iterdir())
    assert [f.name for f in files] == [f"frame_{step:06d}.{to}" for step in PRESENT]
    figure = figure_of(wild, body, up, rate_hz=None, even=False, ends=False)
    for path, vertices in zip(files, figure.meshes(PRESENT), strict=True):
        mesh = trimesh.load(path, process=False, maintain_order=True)
        np.testing.assert_allclose(mesh.vertices, vertices, atol=1e-5)
        np.testing.assert_array_equal(mesh.faces, body.faces)
    assert f"t_us {wild.t_us[2]}; metres, {up} up".encode() in files[0].read_bytes()[:200]


@pytest.mark.parametrize("to", ["obj", "ply"])
def test_an_interrupted_export_leaves_nothing(wild, tmp_path, to, monkeypatch) -> None:
    from eventhpe.export.figure import Figure

    whole = Figure.meshes

    def stopped(self, steps):
        for k, vertices in enumerate(whole(self, steps)):
            if k == 3:
                raise KeyboardInterrupt
            yield vertices

    monkeypatch.setattr(Figure, "meshes", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_motion(wild, to, tmp_path / "meshes")
    assert list(tmp_path.iterdir()) == []


def test_another_export_into_the_folder_leaves_none_of_the_earlier_frames(wild, tmp_path) -> None:
    folder = tmp_path / "meshes"
    export_motion(wild, "ply", folder)
    with pytest.raises(InputError, match="--force"):
        export_motion(wild, "ply", folder, replace=False)
    assert len(list(folder.iterdir())) == 8
    export_motion(wild.slice(None, int(wild.t_us[5])), "obj", folder)
    assert sorted(f.name for f in folder.iterdir()) == [
        "frame_000000.obj",
        "frame_000001.obj",
        "frame_000002.obj",
    ]
    (folder / "frame_notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"frame_notes\.txt"):
        export_motion(wild, "obj", folder)
    assert len(list(folder.iterdir())) == 4


def test_the_table_has_a_row_a_step_and_nan_where_nobody_is(wild, body, tmp_path) -> None:
    export_motion(wild, "csv", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["t_us"]) for row in rows] == wild.t_us.tolist()
    assert [row["state"] for row in rows] == [STATE_NAMES[state] for state in wild.state]
    assert {float(row["confidence"]) for row in rows} == {0.9}
    names = [f"{joint}_{axis}_m" for joint in JOINT_NAMES for axis in "xyz"]
    read = np.array([[float(row[name]) for name in names] for row in rows])
    figure = figure_of(wild, body, "y", rate_hz=None, even=False, ends=True)
    expected = figure.joints().reshape(len(rows), -1)
    np.testing.assert_allclose(read[figure.present], expected[figure.present], atol=1e-5)
    assert np.isnan(read[~figure.present]).all()
    # numpy reads the numbers, too.
    numbers = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True, dtype=None)
    np.testing.assert_array_equal(numbers["pelvis_x_m"], read[:, 0])
