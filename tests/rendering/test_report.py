"""The report as it is written: what it holds, what it says, and what it refuses."""

import base64
import dataclasses
import hashlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eventhpe.body import Body, load_body
from eventhpe.body.arrays import check_arrays
from eventhpe.body.loading import DEFAULT_PATH
from eventhpe.camera import Camera
from eventhpe.cli import main
from eventhpe.events.recording import open_recording
from eventhpe.export.skin import strongest
from eventhpe.rendering.report.facts import parameters_of, warnings_of
from eventhpe.rendering.report.player import Actor, deviation_mm, player_data, whole_weights
from eventhpe.rendering.report.scores import errors_of, score_rows
from eventhpe.rendering.report.survey import Survey, survey
from eventhpe.sequence import ABSENT, CAMERA_UP, SCHEMA
from eventhpe.world import world_of
from tests.rendering.rendering_scenes import motion
from tests.rendering.report_scenes import SHIFT_M, walk


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def estimate(simulated_recording, body):
    return walk(simulated_recording, body)[0]


@pytest.fixture(scope="module")
def written(simulated_recording, estimate, tmp_path_factory) -> Path:
    """A report with truth, made by the command."""
    folder = tmp_path_factory.mktemp("report")
    estimate.save(folder / "motion.npz")
    recording = str(simulated_recording)
    arguments = ["report", str(folder / "motion.npz"), "--recording", recording]
    assert main([*arguments, "--truth", recording, "--backend", "rasterizer"]) == 0
    return folder / "report.html"


def test_the_page_needs_nothing_else_and_asks_for_no_more(written: Path) -> None:
    page = written.read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:)\w""", page)
    assert "http" not in re.sub(r"data:[\w/]+;base64,[\w+/=]+", "", page).replace("http-equiv", "")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    texts = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, flags=re.S)
    assert len(texts) == 4
    for text in texts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert sorted(p.name for p in written.parent.iterdir()) == ["motion.npz", "report.html"]


def test_what_comes_from_files_is_text(written: Path) -> None:
    page = written.read_text()
    assert "<b>out" not in page
    assert "&lt;b&gt;out&lt;/b&gt;" in page


def test_the_scores_are_the_known_ones(simulated_recording, estimate, body) -> None:
    truth = walk(simulated_recording, body)[1]
    rows = {title: figure for title, figure, _ in score_rows(errors_of(estimate, truth, body))}
    assert float(rows["MPJPE"].split()[0]) == pytest.approx(1000 * SHIFT_M, abs=0.1)
    for title in ("PEL", "PA", "PVE", "accel"):
        assert float(rows[title].split()[0]) == pytest.approx(0, abs=0.06), title
    assert rows["PCKh@0.5"] == "100.0 %"
    gone = replace(truth, state=np.full(len(truth), ABSENT))
    rows = {title: figure for title, figure, _ in score_rows(errors_of(estimate, gone, body))}
    assert rows["MPJPE"] == rows["PVE"] == "-"


def without_pose_shapes(body: Body) -> Body:
    with np.load(DEFAULT_PATH) as data:
        arrays = check_arrays(DEFAULT_PATH, dict(data))
    return Body(dataclasses.replace(arrays, posedirs=0 * arrays.posedirs), "stiff", "1" * 64)


def test_the_players_bodies_are_the_motions(estimate, body) -> None:
    """Skinned by the page's arithmetic, vertices are those of smplx, in the world."""
    stiff = without_pose_shapes(body)
    sequence = replace(estimate, body_id="stiff", body_sha256=stiff.sha256)
    tilted = np.array([0.1, -0.99, 0.05])
    sequence = replace(sequence, up=tilted / np.linalg.norm(tilted), floor_m=-1.1)
    world = world_of(sequence, stiff)
    actor, (bones, shares) = Actor.of(sequence, stiff, world), strongest(stiff)
    weights = whole_weights(shares)
    assert (weights.sum(axis=1, dtype=int) == 255).all()
    for step, (vertices, _) in zip((5, 30), sequence.posed(stiff, [5, 30]), strict=True):
        assert actor.posed(bones, weights, step) == pytest.approx(world.points(vertices), abs=2e-3)
    mean, most = deviation_mm(sequence, stiff, actor, bones, weights, world)
    assert mean < 0.5
    assert most < 2


def test_the_player_stands_on_the_floor(estimate, body) -> None:
    unknown = player_data(estimate, body)
    world = world_of(estimate, body)
    lowest = min(world.points(v)[:, 1].min() for v, _ in estimate.posed(body, range(4, 36)))
    assert unknown["floor"] == pytest.approx(lowest, abs=0.02)
    assert player_data(replace(estimate, floor_m=-1.0), body)["floor"] == 0


def test_the_drawn_camera_is_the_motions(estimate, body) -> None:
    world = world_of(estimate, body)
    eye, *corners = np.array(player_data(estimate, body)["camera"])
    assert eye == pytest.approx(world.points(np.zeros(3)), abs=1e-3)
    seen = (np.array(corners) - world.offset) @ world.rotation
    pixels = seen @ estimate.K.T
    edges = [[-0.5, -0.5], [127.5, -0.5], [127.5, 127.5], [-0.5, 127.5]]
    assert pixels[:, :2] / pixels[:, 2:] == pytest.approx(np.array(edges), abs=0.05)


QUIET = Survey(np.array([0]), np.zeros(1), np.zeros(1), "", "")


KNOWN = replace(motion(), up_source="--pitch", floor_m=-1.2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": np.full(8, ABSENT)}, "no person found"),
        ({"state": [0, 0, 0, 2, 2, 2, 2, 2]}, "38% of 8 steps are absent"),
        ({"state": [1, 1, 1, 2, 2, 2, 2, 2]}, "38% of 8 steps are held"),
        ({"confidence": np.full(8, 0.1)}, "the median confidence of tracked steps is 0.10"),
        ({"up_source": CAMERA_UP}, "nothing told of gravity"),
        ({"floor_m": np.nan}, "the floor's height is not known"),
        ({"K": Camera.from_fov(128, 120).K}, "55 degrees"),
    ],
)
def test_warnings_name_what_is_not_known_or_not_seen(changes, words) -> None:
    assert warnings_of(KNOWN, QUIET) == []
    (line,) = warnings_of(replace(KNOWN, **changes), QUIET)
    assert words in line


def test_warnings_of_the_scene_and_repairs_are_passed_on() -> None:
    warned = replace(KNOWN, warnings=("the camera seems to move",))
    first, second = warnings_of(warned, replace(QUIET, repairs="3 events dropped"))
    assert first == "the camera seems to move"
    assert "3 events dropped" in second


def test_the_parameters_tell_how_the_motion_was_made(simulated_recording, estimate, body) -> None:
    recording = open_recording(simulated_recording)
    events = survey(estimate, recording, progress=False)
    rows = dict(parameters_of(estimate, recording, body, events, "eventhpe report x"))
    assert rows["weights: flownet"] == "sha256 " + "ab" * 32
    assert rows["motion made by"] == estimate.command
    assert rows["page made by"] == "eventhpe report x"
    assert body.sha256 in rows["body"]
    assert rows["step, window"] == "50 ms, 50 ms"
    assert rows["steps"] == "36 (4 absent, 10 held, 22 tracked)"


def test_a_report_that_exists_is_replaced_only_with_force(
    written: Path, simulated_recording, capsys
) -> None:
    before = written.read_bytes()
    arguments = ["report", str(written.parent / "motion.npz")]
    arguments += ["--recording", str(simulated_recording), "--backend", "rasterizer"]
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert written.read_bytes() == before
    other = written.parent / "forced.html"
    other.write_text("old")
    assert main([*arguments, "--out", str(other), "--force"]) == 0
    page = other.read_text()
    other.unlink()
    assert "Against the truth" not in page
    assert len(json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))["plots"]) == 7


def test_a_motion_of_one_step_is_reported(simulated_recording, estimate, tmp_path) -> None:
    estimate.slice(1_000_000, 1_050_000).save(tmp_path / "one.npz")
    arguments = ["report", str(tmp_path / "one.npz"), "--recording", str(simulated_recording)]
    assert main([*arguments, "--backend", "rasterizer"]) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 346, "height": 260}, "128x128"),
        ({"t_us": 9_000_000 + 50_000 * np.arange(36)}, "9.000"),
        ({"body_id": "other", "body_sha256": "1" * 64}, "other"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes, words, simulated_recording, estimate, tmp_path, capsys
) -> None:
    replace(estimate, **changes).save(tmp_path / "motion.npz")
    arguments = ["report", str(tmp_path / "motion.npz"), "--recording", str(simulated_recording)]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("eventhpe: error:")
    assert words in error
    assert [p.name for p in tmp_path.iterdir()] == ["motion.npz"]


def test_a_newer_schema_an_empty_motion_and_a_foreign_truth_are_refused(
    simulated_recording, framed_recording, estimate, tmp_path, capsys
) -> None:
    path = tmp_path / "motion.npz"
    arguments = ["report", str(path), "--recording", str(simulated_recording)]
    estimate.save(path)
    content = dict(np.load(path))
    np.savez(path, **(content | {"schema": np.array(SCHEMA + 1)}))
    assert main(arguments) == 2
    assert f"schema {SCHEMA + 1}" in capsys.readouterr().err
    estimate.slice(0, 0).save(path)
    assert main(arguments) == 2
    assert "no steps" in capsys.readouterr().err
    estimate.save(path)
    assert main([*arguments, "--truth", str(framed_recording)]) == 2
    assert "346x260" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["motion.npz"]


def test_without_a_video_writer_the_extra_is_named(
    simulated_recording, estimate, tmp_path, monkeypatch, capsys
) -> None:
    estimate.save(tmp_path / "motion.npz")
    monkeypatch.setitem(sys.modules, "av", None)
    arguments = ["report", str(tmp_path / "motion.npz"), "--recording", str(simulated_recording)]
    assert main([*arguments, "--backend", "rasterizer"]) == 2
    assert "eventhpe[viz]" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["motion.npz"]
