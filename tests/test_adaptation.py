"""Adaptation to a recording: it helps what needs help, harms nothing, and gives usable weights."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from eventhpe import adaptation
from eventhpe.adaptation import CLIP, HELD_OUT, adapt
from eventhpe.body import load_body
from eventhpe.camera import Camera
from eventhpe.cli import main
from eventhpe.errors import InputError
from eventhpe.estimator import load_networks
from eventhpe.evaluation import silhouette_agreement
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from eventhpe.inference import infer
from eventhpe.simulation.truth import SimulatedTruth
from eventhpe.weights import Card, load_weights, save_weights
from flownet.model import FlowNet
from shapenet.model import ShapeNet, ShapeNetConfig

STEP_US = 20_000


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    """Small networks that nobody trained, of which ShapeNet sees a person everywhere."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("small")
    config = ShapeNetConfig(image_size=64, widths=(16, 16, 32, 32), grid_channels=16, hidden=64)
    shapenet, flownet = ShapeNet(config), FlowNet.preset("small", 8)
    with torch.no_grad():
        shapenet.heads["presence"].bias.fill_(4.0)
    recipe = InputRecipe(size=64)
    for name, network in (("flownet", flownet), ("shapenet", shapenet)):
        card = Card(name, network.config_dict(), recipe, {"steps": 0}, "MIT")
        save_weights(folder / f"{name}.json", network.state_dict(), card)
    return folder / "flownet.json", folder / "shapenet.json"


@pytest.fixture(scope="module")
def networks(cards):
    torch.set_num_threads(1)
    return load_networks(*cards)


@pytest.fixture(scope="module")
def camera(simulated_recording):
    return Camera(SimulatedTruth.load(simulated_recording).K, 128, 128)


@pytest.fixture
def run(simulated_recording, networks, camera):
    def adapted(**options):
        recording = open_recording(simulated_recording)
        options = {"step_us": STEP_US, "rounds": 2, "progress": False, **options}
        return adapt(recording, networks, camera, **options)

    return adapted


@pytest.fixture
def fast(monkeypatch):
    """Learn as fast as networks can that have nothing to forget."""
    monkeypatch.setattr(adaptation, "LEARNING_RATE", 2e-3)


@pytest.mark.usefixtures("fast")
def test_adapting_brings_the_body_to_its_events(simulated_recording, networks, camera, run):
    result = run(rounds=4)
    assert 1 <= result.best <= 4
    assert result.history[result.best] == min(result.history) < 0.95 * result.history[0]
    body = load_body()
    shapenet = copy.deepcopy(networks.shapenet)
    shapenet.load_state_dict(result.state)
    contour = []
    for network in (networks.shapenet, shapenet):
        recording = open_recording(simulated_recording)
        motion = infer(
            recording,
            replace(networks, shapenet=network),
            body,
            camera,
            step_us=STEP_US,
            progress=False,
        ).motion
        contour.append(silhouette_agreement(motion, recording, body, 3.0, 0, 2_000_000).contour)
    assert contour[1] > contour[0] + 0.05


def test_only_what_follows_the_backbone_learns(networks, run):
    before, after = networks.shapenet.state_dict(), run().state
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"gru.weight_hh_l0", "heads.rotation.weight", "heads.code.bias"} <= changed
    fixed = ("backbone", "joint_maps", "running", "num_batches", "mean_rotations")
    assert not [name for name in changed if any(part in name for part in fixed)]


def test_the_networks_given_are_left_alone(networks, run):
    before = {name: value.clone() for name, value in networks.shapenet.state_dict().items()}
    run(rounds=1)
    assert all(torch.equal(v, before[n]) for n, v in networks.shapenet.state_dict().items())
    assert not any(p.requires_grad for p in networks.shapenet.parameters())


def test_it_reads_what_inference_reads(simulated_recording, networks, camera, run, monkeypatch):
    """The estimates that hold the adapted ones in place are those that `infer` gives."""
    seen = []
    original = adaptation._Adapter.held_out_loss

    def loss(self):
        value = original(self)
        seen.append(self.prior)
        return value

    monkeypatch.setattr(adaptation._Adapter, "held_out_loss", loss)
    run(rounds=1)
    recording = open_recording(simulated_recording)
    motion = infer(recording, networks, load_body(), camera, step_us=STEP_US, progress=False).motion
    rotations = seen[0].rotations.flatten(0, 1)
    _, pose = motion.matrices()
    used = motion.state != 1  # held steps read nothing
    np.testing.assert_allclose(rotations[:40, 1:], pose[torch.from_numpy(used)][:40], atol=5e-3)


def test_held_out_clips_are_never_trained_on(run, monkeypatch):
    trained, original = [], adaptation._Adapter._loss

    def loss(self, output, rows):
        if torch.is_grad_enabled():
            trained.append((set(rows.tolist()), set(self.held_out.tolist())))
        return original(self, output, rows)

    monkeypatch.setattr(adaptation._Adapter, "_loss", loss)
    run()
    assert trained
    assert all(held and not rows & held for rows, held in trained)


def test_where_no_round_helps_the_weights_stay(networks, run, monkeypatch):
    monkeypatch.setattr(adaptation, "LEARNING_RATE", 0.5)  # learns nonsense
    result = run()
    assert result.best == 0
    assert len(result.history) == 3
    before = networks.shapenet.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in result.state.items())


def test_interruption_keeps_the_best_so_far(run, monkeypatch):
    calls, original = [], adaptation._Adapter.train

    def train(self):
        calls.append(self)
        if len(calls) == 3:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(adaptation._Adapter, "train", train)
    result = run(rounds=5)
    assert result.interrupted
    assert len(result.history) == 3
    assert result.best == int(np.argmin(result.history))


def test_seconds_limit_what_is_read(run):
    assert run(rounds=1, seconds=1.0).steps == 40
    assert run(rounds=1).steps > 80


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rounds": 0}, "--rounds"),
        ({"seconds": 0.0}, "--seconds"),
        ({"step_us": 5_000}, "--step-ms"),
        ({"roi": (500, 0, 20, 20)}, "--roi"),
        ({"stop_us": 300_000}, f"at least {CLIP * HELD_OUT}"),
    ],
)
def test_bad_options_name_the_flag(options, words, run):
    with pytest.raises(InputError, match=words):
        run(**options)


def test_a_recording_without_a_person_is_refused(networks, camera, tmp_path):
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 3_000_000, 300))
    pixels = rng.integers(0, 128, (2, 300))
    with DsecWriter(tmp_path / "noise.h5", 128, 128) as writer:
        writer.append(EventStream.from_arrays(*pixels, t, np.ones(300, int), 128, 128))
    with pytest.raises(InputError, match="with a person"):
        adapt(open_recording(tmp_path / "noise.h5"), networks, camera, progress=False)


def test_increments_are_refused(simulated_recording, networks, camera):
    config = ShapeNetConfig(
        head="increments",
        image_size=64,
        grid_channels=0,
        map_channels=0,
        hidden=256,
        place_width=0,
    )
    other = replace(networks, shapenet=ShapeNet(config))
    with pytest.raises(InputError, match="increments"):
        adapt(open_recording(simulated_recording), other, camera)


@pytest.mark.usefixtures("fast")
def test_the_command_writes_weights_that_infer_takes(simulated_recording, cards, tmp_path, capsys):
    flags = ["--flownet", str(cards[0])]
    out = tmp_path / "own.json"
    arguments = ["adapt", str(simulated_recording), "--out", str(out), "--step-ms", "20", *flags]
    assert main([*arguments, "--rounds", "1", "--shapenet", str(cards[1])]) == 0
    assert "held-out loss" in capsys.readouterr().out
    state, card = load_weights(out, "shapenet")
    first, source = load_weights(cards[1], "shapenet")
    assert card.training["adapted_from"]["sha256"] == source.sha256
    assert card.training["recording"] == simulated_recording.name
    assert card.recipe == source.recipe
    assert not torch.equal(state["gru.bias_hh_l0"], first["gru.bias_hh_l0"])
    span = ["--to", "0.3", "--backend", "rasterizer", "--out", str(tmp_path / "motion")]
    infer = ["infer", str(simulated_recording), *span, *flags, "--shapenet", str(out)]
    assert main(infer) == 0


@pytest.mark.parametrize("name", ["own.npz", "{source}"])
def test_the_command_refuses_to_overwrite_what_it_adapts(
    name, simulated_recording, cards, tmp_path, capsys
):
    out = name.format(source=cards[1])
    flags = ["--flownet", str(cards[0]), "--shapenet", str(cards[1])]
    before = cards[1].read_bytes()
    assert main(["adapt", str(simulated_recording), "--out", out, *flags]) == 2
    assert "--out" in capsys.readouterr().err
    assert cards[1].read_bytes() == before
