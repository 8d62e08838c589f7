"""ShapeNets on takes: the same motions as inference gives, and errors that can be told by hand."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from datasets.clips import read_clip
from datasets.modules import with_inputs
from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.estimator import load_networks
from eventhpe.evaluation.pose_plots import over_time
from eventhpe.evaluation.pose_report import joint_means, memory_ratio, pose_rows, split_rows
from eventhpe.evaluation.pose_rows import CARRIED, RESET, START_HELD, Entrant, evaluate_poses
from eventhpe.evaluation.pose_scores import (
    METRICS,
    Conditions,
    Estimate,
    StepErrors,
    TrueSteps,
    confidence_rho,
    movement,
    score,
    summary,
)
from eventhpe.evaluation.pose_set import (
    SetRecording,
    held_steps,
    motion_of_takes,
    take_steps,
    true_step,
)
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.inference import infer, standing_height
from eventhpe.sequence import ABSENT, HELD, TRACKED
from eventhpe.simulation.truth import SimulatedTruth
from eventhpe.weights import Card, save_weights
from scripts.evaluate import main
from shapenet.model import ShapeNet


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def cards(untrained_cards, tmp_path_factory):
    """FlowNet's card, and those of two ShapeNets with loud heads, absolute and of increments."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("loud")
    for name, preset in (("absolute", "small"), ("increments", "small-increments")):
        network = ShapeNet.preset(preset, 10)
        with torch.no_grad():
            if preset == "small":
                network.heads["presence"].bias.fill_(2.0)
                for head in network.heads.values():
                    head.weight.mul_(20)
            else:
                network.rotation_head.weight.mul_(20)
                network.translation_head.weight.mul_(20)
        card = Card("shapenet", network.config_dict(), InputRecipe(size=96), {"steps": 0}, "MIT")
        save_weights(folder / f"{name}.json", network.state_dict(), card)
    return untrained_cards[0], folder / "absolute.json", folder / "increments.json"


@pytest.fixture(scope="module")
def networks(cards):
    return load_networks(cards[0], cards[1])


@pytest.fixture(scope="module")
def entrant(cards):
    return Entrant.load("net", cards[1], cards[0])


@pytest.fixture(scope="module")
def walk(simulated_recording, tmp_path_factory):
    """A set of the simulated walk alone."""
    return copied(simulated_recording, tmp_path_factory.mktemp("walk"))


@pytest.fixture(scope="module")
def recording(walk, entrant):
    entrant.takes(walk, 50_000)
    return SetRecording.open(walk / "walk.h5", entrant.networks.recipe, load_body())


@pytest.fixture(scope="module")
def takes(walk, entrant):
    return entrant.takes(walk, 50_000)[0]


def copied(source: Path, folder: Path, change=lambda events: events) -> Path:
    """A set of one recording with other events and the same truth."""
    recording = open_recording(source)
    events = change(recording.read(0, recording.duration_us))
    with DsecWriter(folder / "walk.h5", events.width, events.height) as writer:
        writer.append(events)
        with h5py.File(source) as file:
            file.copy("truth", writer.file)
    return folder


def silence(start_us):
    """No events for 0.4 s; the walker leaves the image at the right about the first second."""
    return lambda events: events.masked((events.t < start_us) | (events.t >= start_us + 400_000))


def joints(motion, body):
    return np.stack([step for _, step in motion.posed(body)])


def errors_of(pel, confidence, state, name="a", sensor="s", movement_="m", nobody=(), t_us=None):
    count = len(pel)
    values = {metric.key: np.zeros(count) for metric in METRICS} | {"pel_mm": np.array(pel)}
    t_us = np.arange(1, count + 1) * 50_000 if t_us is None else np.array(t_us)
    return StepErrors(
        name,
        sensor,
        movement_,
        values,
        np.tile(np.array(pel)[:, None], (1, 24)),
        t_us,
        np.array(confidence, np.float32),
        np.array(state, np.uint8),
        np.array(nobody, np.uint8),
        True,
    )


@pytest.mark.parametrize("step_us", [50_000, 20_000])
@pytest.mark.parametrize("silent_us", [None, 1_000_000])
def test_a_motion_is_the_one_that_inference_gives(
    step_us, silent_us, walk, entrant, networks, body, tmp_path, simulated_recording
):
    folder = walk
    if silent_us is not None:
        folder = copied(simulated_recording, tmp_path, silence(silent_us))
    [takes] = entrant.takes(folder, step_us)
    recording = SetRecording.open(folder / "walk.h5", networks.recipe, load_body())
    steps = take_steps(networks, recording, takes)
    found = motion_of_takes(steps, networks, recording, body, step_us)
    wanted = infer(
        open_recording(folder / "walk.h5"),
        networks,
        body,
        recording.camera,
        step_us=step_us,
        stop_us=int(takes.t_us[-1]),
        progress=False,
    ).motion
    np.testing.assert_array_equal(found.t_us, wanted.t_us)
    np.testing.assert_array_equal(found.state, wanted.state)
    np.testing.assert_allclose(found.region, wanted.region, atol=1e-3)
    # Takes hold events in 8 bits and flow in 16: up to a hundredth of a cell's usual value.
    np.testing.assert_allclose(found.confidence, wanted.confidence, atol=2e-3)
    np.testing.assert_allclose(found.betas, wanted.betas, atol=2e-3)
    far = np.linalg.norm(joints(found, body) - joints(wanted, body), axis=2)
    moved = np.linalg.norm(np.diff(joints(wanted, body), axis=0), axis=2).mean()
    assert far.max() < 0.01
    assert far.mean() < 0.1 * moved
    if silent_us is not None:
        silent = (found.t_us >= 1_100_000) & (found.t_us <= 1_350_000)
        assert (found.state[silent] == ABSENT).all()  # who was last seen at the border has gone
        assert TRACKED in found.state


def test_silence_in_the_middle_of_the_image_holds_the_pose(
    entrant, networks, body, tmp_path, simulated_recording
):
    folder = copied(simulated_recording, tmp_path, silence(400_000))
    [takes] = entrant.takes(folder, 50_000)
    recording = SetRecording.open(tmp_path / "walk.h5", networks.recipe, load_body())
    steps = take_steps(networks, recording, takes)
    silent = [step for step in steps if 500_000 <= step.t_us <= 750_000]
    assert {step.state for step in silent} == {HELD}
    np.testing.assert_array_equal(silent[0].rotations, silent[-1].rotations)
    lost = silent[-1].confidence / silent[0].confidence
    assert lost == pytest.approx(math.exp(-0.25 / 2.0), rel=1e-5)


def test_memory_that_is_cleared_knows_nothing_of_before(networks, recording, takes):
    whole = take_steps(networks, recording, takes, reset_every=8)
    alone = take_steps(networks, recording, takes, rows=range(16, 24))
    carried = take_steps(networks, recording, takes)
    for a, b, c in zip(whole[16:24], alone, carried[16:24], strict=True):
        np.testing.assert_allclose(a.rotations, b.rotations, atol=1e-5)
        assert np.abs(a.rotations - c.rotations).max() > 1e-4


def test_increments_go_on_from_the_true_pose(cards, walk, body):
    entrant = Entrant.load("steps", cards[2], cards[0], "increments")
    networks = entrant.networks
    [takes] = entrant.takes(walk, 130_000)
    recording = SetRecording.open(walk / "walk.h5", networks.recipe, load_body())
    takes = replace(takes, activity=takes.activity + 8, located=takes.located | True)
    steps = take_steps(networks, recording, takes, rows=range(1, 9), start=true_step(takes, 0))
    # As training does it: the clip's first step gives the start, the network answers the others.
    clip = with_inputs({k: v[None] for k, v in read_clip(takes, 0, slice(0, 9)).items()})
    start = (clip["rotations"][:, 0].float(), clip["pelvis"][:, 0], clip["betas"])
    state = networks.shapenet.start_state(*start)
    with torch.no_grad():
        output, _ = networks.shapenet(clip["inputs"][:, 1:], clip["place"][:, 1:], state)
    np.testing.assert_allclose(
        np.stack([step.rotations for step in steps]), output.rotations[0], atol=1e-5
    )
    np.testing.assert_allclose(
        np.stack([step.pelvis for step in steps]), output.translation_code[0], atol=1e-5
    )


def test_a_network_of_another_head_is_refused(cards):
    with pytest.raises(InputError, match="increments"):
        Entrant.load("net", cards[2], cards[0])


def true_motion(recording, takes, networks, body):
    steps = [true_step(takes, row) for row in range(len(takes.t_us))]
    return motion_of_takes(steps, networks, recording, body, 50_000, betas=takes.betas)


def test_the_truth_scores_nothing_and_a_shift_what_it_is(recording, takes, networks, body):
    motion = true_motion(recording, takes, networks, body)
    truth = TrueSteps.at(recording, motion, body)
    right = summary([score(Estimate.whole(motion), truth, recording, body)])
    for metric in METRICS:
        best = 100 if metric.key in ("pckh_percent", "pck150_percent") else 0
        if metric.key == "auc_percent":  # at 0 mm nothing is near enough
            best = pytest.approx(100 * 30 / 31)
        assert right[metric.key] == pytest.approx(best, abs=0.05), metric.key
    assert right["steps"] == truth.present.sum()

    shifted = replace(motion, transl=motion.transl + np.array([0.1, 0, 0], np.float32))
    moved = summary([score(Estimate.whole(shifted), truth, recording, body)])
    assert moved["mpjpe_mm"] == pytest.approx(100, abs=0.01)
    for key in ("pel_mm", "pa_mm", "pve_mm", "depth_percent", "acceleration_m_s2"):
        assert moved[key] == pytest.approx(right[key], abs=0.05), key
    depth = truth.joints[truth.present][..., 2]
    pixels = 0.1 * recording.truth.K[0, 0] / depth
    assert moved["image_px"] == pytest.approx(pixels.mean(), rel=1e-3)
    sides = motion.region[truth.present, 2]
    assert moved["image_side_percent"] == pytest.approx(
        100 * (pixels.mean(axis=1) / sides).mean(), rel=1e-3
    )

    farther = replace(motion, transl=motion.transl * 1.1)
    rest = body.rest_joints(torch.from_numpy(motion.betas)[None])[0, 0].numpy()
    pelvis = (motion.transl + rest)[truth.present][:, 2]
    expected = 100 * (np.abs(motion.transl[truth.present][:, 2]) * 0.1 / pelvis).mean()
    far = summary([score(Estimate.whole(farther), truth, recording, body)])
    assert far["depth_percent"] == pytest.approx(expected, rel=1e-3)


def test_steps_that_do_not_count_and_borders_of_clips_are_left_out(
    recording, takes, networks, body
):
    motion = true_motion(recording, takes, networks, body)
    truth = replace(TrueSteps.at(recording, motion, body), present=np.arange(len(motion)) < 20)
    truth = replace(truth, posed=truth.posed[:4], vertices=truth.vertices[:4])
    jump = motion.transl.copy()
    jump[10:] += 0.5  # from clip to clip
    motion = replace(motion, transl=jump, state=np.where(np.arange(len(motion)) < 25, 0, 2))
    counted = np.arange(len(motion)) >= 4
    piece = (np.arange(len(motion)) >= 10).astype(np.int64)
    errors = score(Estimate(motion, counted, piece), truth, recording, body)
    assert len(errors.t_us) == 16
    assert len(errors.values["acceleration_m_s2"]) == (10 - 4 - 2) + (20 - 10 - 2)
    assert errors.values["acceleration_m_s2"].max() < 0.1
    assert len(errors.values["pve_mm"]) == 4  # at 0.25, 0.5, 0.75 and 1 s
    row = summary([errors])
    assert (row["absent_percent"], row["tracked_percent"]) == (100, 0)
    assert row["nobody_absent_percent"] == pytest.approx(100 * 5 / (len(motion) - 20))


def test_means_are_over_steps_not_over_recordings():
    long, short = errors_of([1.0] * 9, [0.5] * 9, [2] * 9), errors_of([11.0], [0.5], [1])
    row = summary([long, short])
    assert row["pel_mm"] == 2.0
    assert (row["tracked_percent"], row["held_percent"]) == (90, 10)
    assert joint_means([long, short]) == [2.0] * 24


def test_confidence_that_falls_with_the_error_correlates_positively():
    rng = np.random.default_rng(0)
    pel, confidence = rng.uniform(20, 200, 50), rng.uniform(0, 1, 50)
    state = [TRACKED] * 40 + [HELD] * 10
    expected = -stats.spearmanr(confidence[:40].astype(np.float32), pel[:40]).statistic
    assert confidence_rho([errors_of(pel, confidence, state)]) == pytest.approx(expected)
    assert confidence_rho([errors_of([3, 2, 1], [0.1, 0.2, 0.3], [TRACKED] * 3)]) == 1
    assert math.isnan(confidence_rho([errors_of([3, 2], [0.1, 0.2], [HELD] * 2)]))


def test_curves_are_medians_of_recordings_means():
    t_us = [100_000, 400_000, 600_000]
    errors = [errors_of(pel, [1] * 3, [2] * 3, t_us=t_us) for pel in ([1, 3, 9], [4, 4, 1])]
    errors.append(errors_of([100], [1], [2], t_us=[50_000]))
    seconds, medians = over_time(errors)
    np.testing.assert_allclose(seconds, [0.25, 0.75])
    np.testing.assert_allclose(medians, [4, 5])


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ({"motion": ["38_01-mirrored"], "take": "38_01"}, "motion capture"),
        ({"motion": ["stand_still", "walk_curved", "jog_on_spot"], "take": None}, "walking"),
        ({"motion": ["walk", "punch"], "take": None}, "walking and gestures"),
        ({"motion": ["random_poses", "stand"], "take": None}, "gestures"),
    ],
)
def test_movements_are_told_apart_by_what_is_among_them(description, kind):
    assert movement(description) == kind


@pytest.fixture(scope="module")
def scores(cards, entrant, walk, body):
    steps = Entrant.load("steps", cards[2], cards[0], "increments")
    other = replace(entrant, name="other")
    return evaluate_poses(walk, entrant, [other], [steps], body, progress=False)


def test_rows_name_what_they_are_given(scores):
    assert [tuple(vars(conditions).values()) for conditions in scores] == [
        ("mean pose in the region", "none", "tracked", 50, "none"),
        (START_HELD, "true pose", "none", 50, "none"),
        ("net", "none", "tracked", 50, "whole recording"),
        ("net, refined", "none", "tracked", 50, "whole recording"),
        ("net, true height", "none", "tracked", 50, "whole recording"),
        (f"net, {CARRIED}", "none", "tracked", 50, "whole recording"),
        (f"net, {RESET}", "none", "tracked", 50, "1 s and more"),
        ("net", "none", "truth", 50, "whole recording"),
        ("net", "none", "tracked", 20, "whole recording"),
        ("net", "none", "tracked", 50, "8 steps"),
        ("other", "none", "tracked", 50, "whole recording"),
        ("steps", "true pose", "tracked", 130, "8 steps"),
        (f"{START_HELD}, clips of steps", "true pose", "none", 130, "none"),
    ]
    rows = {tuple(vars(key).values()): summary(errors) for key, errors in scores.items()}
    net, other = (rows[name, "none", "tracked", 50, "whole recording"] for name in ("net", "other"))
    # Takes are read alike, and NaN is nothing's equal.
    assert net == pytest.approx(other, nan_ok=True)
    carried, reset = (
        rows[f"net, {CARRIED}", "none", "tracked", 50, "whole recording"],
        rows[f"net, {RESET}", "none", "tracked", 50, "1 s and more"],
    )
    assert carried["steps"] == reset["steps"] > 0
    assert memory_ratio(scores) == pytest.approx(carried["pel_mm"] / reset["pel_mm"])


def test_a_held_start_is_off_by_how_far_the_person_went(scores, walk, takes):
    truth = SimulatedTruth.load(walk / "walk.h5")
    first = int(np.argmax(takes.present))
    true = truth.at(takes.t_us).joints
    far = 1000 * np.linalg.norm(true[takes.present] - true[first], axis=2).mean(axis=1)
    [errors] = scores[Conditions(START_HELD, "true pose", "none", memory="none")]
    np.testing.assert_allclose(errors.values["mpjpe_mm"], far, atol=0.5)
    held = f"{START_HELD}, clips of steps"
    [clips] = scores[Conditions(held, "true pose", "none", 130, "none")]
    ends = np.arange(50_000, 50_000 + 9 * 130_000, 130_000)
    true = truth.at(ends).joints
    far = 1000 * np.linalg.norm(true[1:] - true[0], axis=2).mean(axis=1)
    np.testing.assert_allclose(clips.values["mpjpe_mm"], far, atol=0.5)


def test_the_true_height_makes_the_body_that_tall(networks, recording, takes, body):
    steps = take_steps(networks, recording, takes)
    plain = motion_of_takes(steps, networks, recording, body, 50_000)
    tall = motion_of_takes(steps, networks, recording, body, 50_000, height_m=1.9)
    height = float(standing_height(body, torch.from_numpy(tall.betas)))
    assert height == pytest.approx(1.9, abs=0.005)
    assert tall.betas.tolist() != plain.betas.tolist()


def test_splits_pool_to_the_whole(scores):
    key = Conditions("net")
    rows = [r for r in split_rows(scores) if r["method"] == "net" and r["region"] == "tracked"]
    rows = [r for r in rows if r["step_ms"] == 50 and r["memory"] == "whole recording"]
    [whole] = pose_rows({key: scores[key]})
    parts = [r["pel_mm"] for r in rows if r["split"] == "joint"]
    assert len(parts) == 24
    assert np.mean(parts) == pytest.approx(whole["pel_mm"])
    [sensor] = [r for r in rows if r["split"] == "sensor"]
    assert (sensor["group"], sensor["pel_mm"]) == ("dvs128", whole["pel_mm"])
    [moved] = [r for r in rows if r["split"] == "movement"]
    assert moved["group"] == "walking"


def test_held_steps_keep_a_pose_and_move_with_the_clock(takes):
    start = true_step(takes, 3)
    steps = held_steps(start, takes, range(4, 8))
    assert [step.t_us for step in steps] == takes.t_us[4:8].tolist()
    assert all(step.rotations is start.rotations for step in steps)


def test_pose_prints_a_table_and_writes_tables_and_plots(cards, walk, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    flownet, absolute, increments = map(str, cards)
    arguments = ["pose", str(walk), "--flownet", flownet, "--shapenet", absolute]
    arguments += ["--card", f"other={absolute}", "--increments", f"steps={increments}"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    with (tmp_path / "pose.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    assert {row["joints"] for row in rows} == {"24"}
    assert all("PA similarity" in row["alignment"] for row in rows)
    for row in rows:
        assert f"{float(row['pel_mm']):.1f}" in printed
        assert (row["confidence_rho"] == "") == (
            row["method"].startswith((START_HELD, "mean")) or row["method"] == "steps"
        )
    markdown = (tmp_path / "pose.md").read_text()
    assert "PEL error by sensor" in markdown
    assert "| dvs128 |" in markdown
    for name in ("joint", "movement", "sensor"):
        assert min(Image.open(tmp_path / f"pel_by_{name}.png").size) > 300
    for name in ("pel_over_time", "confidence"):
        assert min(Image.open(tmp_path / f"{name}.png").size) > 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none"], "no .h5 recordings"),
        (["{plain}"], "no ground truth"),
        (["{folder}", "--shapenet", "{flownet}"], "a card of flownet"),
        (["{folder}", "--card", "other=none.json"], "cannot be read"),
        (["{folder}", "--card", "absolute={absolute}"], "two networks named absolute"),
        (["{folder}", "--increments", "other={absolute}"], "one with the head 'increments'"),
    ],
)
def test_bad_input_is_told_in_a_line(arguments, message, cards, walk, tmp_path, capsys):
    with DsecWriter(tmp_path / "plain.h5", 128, 128) as writer:
        writer.append(open_recording(walk / "walk.h5").read(0, 600_000))
    names = {"folder": walk, "plain": tmp_path, "flownet": cards[0], "absolute": cards[1]}
    flags = ["--flownet", str(cards[0])]
    if "--shapenet" not in arguments:
        flags += ["--shapenet", str(cards[1])]
    given = [argument.format(**names) for argument in arguments]
    assert main(["pose", *given, *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_card_needs_a_label(walk):
    with pytest.raises(SystemExit) as stop:
        main(["pose", str(walk), "--card", "card.json"])
    assert stop.value.code == 2


def test_ctrl_c_stops(cards, walk, monkeypatch, capsys):
    def interrupt(*_arguments, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr("eventhpe.evaluation.pose_rows.take_steps", interrupt)
    flags = ["--flownet", str(cards[0]), "--shapenet", str(cards[1])]
    assert main(["pose", str(walk), *flags]) == 130
    assert capsys.readouterr().err.endswith("stopped\n")


def test_motion_compares_a_motion_file_with_the_truth(
    networks, recording, takes, body, walk, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("scripts.evaluate.load_networks", lambda: networks)
    true_motion(recording, takes, networks, body).save(tmp_path / "motion.npz")
    flags = [str(tmp_path / "motion.npz"), "--recording", str(walk / "walk.h5")]
    assert main(["motion", *flags]) == 0
    own, mean = capsys.readouterr().out.splitlines()[1:]
    assert own.split()[1:4] == ["0.0", "0.0", "0.0"]
    assert float(mean.split()[-2]) > 50
    assert main(["silhouette", *flags, "--to", "0.3"]) == 0
    assert "\nmotion " in capsys.readouterr().out
