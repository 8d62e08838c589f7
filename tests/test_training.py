"""Both training scripts run, learn, stop, use two processes, and export what they learned."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from eventhpe.weights import load_weights
from flownet.training import FlowTraining
from scripts.export_weights import export
from shapenet.model import ShapeNet

ROOT = Path(__file__).parents[1]
STAGES = ("flownet", "shapenet")


def last(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("stage", STAGES)
def test_train_export_and_begin_with_the_export(stage, train, tmp_path):
    flags = ("--trainer.val_check_interval=2", "--trainer.max_steps=2")
    run = train(stage, tmp_path, *flags)
    assert last(run)["global_step"] == 2
    card = export(run, tmp_path / "card.json", "MIT")
    assert card.network == stage
    state, again = load_weights(tmp_path / "card.json", stage)
    assert again.sha256 == card.sha256
    assert all(value.isfinite().all() for value in state.values())
    # Begun with these weights and not moved, another run ends with them.
    still = (f"--init={tmp_path / 'card.json'}", "--model.learning_rate=0")
    after = last(train(stage, tmp_path / "still", *flags, *still))["state_dict"]
    for key, value in state.items():
        if key.endswith("conv.weight") or key == "mean_rotations":
            assert torch.equal(after[f"network.{key}"], value)


def test_memory_is_trained_on_features_that_are_computed_once(train, tmp_path):
    """The second part of the released ShapeNet's training: the image features stay."""
    steps = ("--trainer.val_check_interval=2", "--trainer.max_steps=2")
    card = tmp_path / "first.json"
    export(train("shapenet", tmp_path, *steps), card, "MIT")
    begun = (f"--init={card}", f"--data.features={card}", "--model.frozen_images=true")
    after = last(train("shapenet", tmp_path / "memory", *steps, *begun))["state_dict"]
    before, _ = load_weights(card, "shapenet")
    same = {name for name, value in before.items() if torch.equal(after[f"network.{name}"], value)}
    images = {
        name for name in before if name.split(".")[0] in ("backbone", "squeeze", "joint_maps")
    }
    assert images <= same
    assert not any(name.startswith(("gru.", "heads.")) for name in same)


def test_a_network_without_flow_begins_with_one_that_has_it(train, tmp_path):
    steps = ("--trainer.val_check_interval=1", "--trainer.max_steps=1")
    card = tmp_path / "flow.json"
    export(train("shapenet", tmp_path, *steps), card, "MIT")
    flags = (f"--init={card}", "--model.flow=false", "--model.learning_rate=0")
    after = last(train("shapenet", tmp_path / "without", *steps, *flags))["state_dict"]
    before, _ = load_weights(card, "shapenet")
    first = ShapeNet.FIRST_LAYER
    assert torch.equal(after[f"network.{first}"], before[first][:, :-2])
    assert torch.equal(after["network.gru.weight_hh_l0"], before["gru.weight_hh_l0"])


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--data.recipe.window_us=40000", "window_us = 50000"),
        ("--model.max_displacement=32", "max_displacement = 64.0"),
    ],
)
def test_weights_of_another_recipe_or_network_are_refused(
    flag, told, train, untrained_cards, tmp_path, capfd
):
    begin = (f"--init={untrained_cards[0]}", "--model.max_displacement=64", flag)
    with pytest.raises(SystemExit) as exit_code:
        train("flownet", tmp_path, *begin)
    assert exit_code.value.code == 2
    assert told in capfd.readouterr().err


@pytest.mark.parametrize("stage", STAGES)
def test_fast_dev_run_does_one_step_and_one_validation_and_writes_nothing(stage, train, tmp_path):
    train(stage, tmp_path, "--trainer.fast_dev_run=true")
    assert list(tmp_path.rglob("*.ckpt")) == []


@pytest.mark.parametrize("loss", ["supervised", "photometric"])
def test_fast_dev_run_does_one_step_of_every_loss(loss, train, framed_set, tmp_path):
    flags = (f"--model.loss={loss}", f"--data.root={framed_set}", "--trainer.fast_dev_run=true")
    train("flownet", tmp_path, *flags)


def refused(train, out: Path, capfd, *flags: str) -> list[str]:
    """What a run that ends with exit code 2 says about its input."""
    with pytest.raises(SystemExit) as exit_code:
        train("flownet", out, "--trainer.fast_dev_run=true", *flags)
    assert exit_code.value.code == 2
    said = capfd.readouterr().err
    assert "Traceback" not in said
    return [line for line in said.splitlines() if line.startswith("error:")]


def test_a_set_without_frames_is_refused_where_frames_teach(train, simulated_set, tmp_path, capfd):
    said = refused(train, tmp_path, capfd, "--model.loss=photometric")
    assert len(said) == 1
    assert said[0].startswith(f"error: {simulated_set}/train: found no grayscale frames")


def test_a_set_without_truth_is_refused_where_truth_teaches(
    train, set_without_truth, tmp_path, capfd
):
    flags = ("--model.loss=supervised", f"--data.root={set_without_truth}")
    (said,) = refused(train, tmp_path, capfd, *flags)
    assert "without ground truth" in said


def test_events_alone_train_and_keep_the_best_by_their_loss(train, set_without_truth, tmp_path):
    flags = ("--trainer.val_check_interval=1", "--trainer.max_steps=2")
    run = train("flownet", tmp_path, f"--data.root={set_without_truth}", *flags)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    (kept,) = [state for name, state in best["callbacks"].items() if "ModelCheckpoint" in name]
    assert kept["monitor"] == "val/loss"
    assert 0 < kept["best_model_score"].item() < 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_without_recordings_is_refused_in_one_line(stage, train, tmp_path, capfd):
    with pytest.raises(SystemExit) as exit_code:
        train(stage, tmp_path, f"--data.root={tmp_path}")
    assert exit_code.value.code == 2
    assert f"error: {tmp_path}/train: found no .h5 recordings" in capfd.readouterr().err


def test_a_step_in_bfloat16_is_finite(train, tmp_path):
    run = train("flownet", tmp_path, "--trainer.precision=bf16-mixed", "--trainer.max_steps=1")
    state = last(run)["state_dict"]
    assert all(value.isfinite().all() for value in state.values())
    assert all(v.dtype == torch.float32 for k, v in state.items() if k.endswith("weight"))


def test_losses_are_computed_in_float32_under_bfloat16(monkeypatch):
    """Event coordinates in bfloat16 would be off by up to half a pixel."""
    torch.manual_seed(0)
    module = FlowTraining(in_channels=8)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    events = torch.rand(2, 500, 4) * torch.tensor([63.0, 63.0, 1.0, 1.0])
    events[..., 3] = 1.0
    batch = {"voxel": torch.randn(2, 8, 64, 64), "events": events}
    exact = module.training_step(batch, 0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = module.training_step(batch, 0)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=1e-3, atol=0)


def test_ctrl_c_keeps_every_finished_step(training_flags, tmp_path):
    """As in a terminal, where the signal also reaches the loader's processes."""
    flags = training_flags("flownet", tmp_path)
    flags += ["--data.workers=1", "--trainer.max_steps=100000", "--trainer.val_check_interval=2"]
    run = subprocess.Popen(
        [sys.executable, "scripts/train_flownet.py", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    checkpoint = tmp_path / "flownet-small" / "checkpoints" / "last.ckpt"
    patience = time.monotonic() + 120
    while not checkpoint.exists() and run.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert "Stopping after this step" in said
    assert "Traceback" not in said
    state = last(tmp_path / "flownet-small")
    steps = state["global_step"]
    assert 2 <= steps < 100_000
    # The weights, the optimiser and the place in the data are of one step.
    assert state["FlowData"] == {"items": 2 * steps, "batches": steps}
    assert {int(s["step"]) for s in state["optimizer_states"][0]["state"].values()} == {steps}


RANK = """
import sys, torch
from flownet.training import FlowTraining
from scripts import train_flownet

out, kept, step = sys.argv.pop(), {}, FlowTraining.training_step

def training_step(self, batch, index):
    if not kept:
        kept.update(batch=batch, before={k: v.clone() for k, v in self.state_dict().items()})
    return step(self, batch, index)

def on_before_optimizer_step(self, optimizer):
    kept.setdefault("gradients", {k: p.grad.clone() for k, p in self.named_parameters()})

def on_train_end(self):
    kept["after"] = {k: p.detach() for k, p in self.named_parameters()}
    torch.save(kept, f"{out}/rank{self.global_rank}.pt")

FlowTraining.training_step = training_step
FlowTraining.on_before_optimizer_step = on_before_optimizer_step
FlowTraining.on_train_end = on_train_end
train_flownet.main()
"""


@pytest.mark.slow
def test_two_processes_train_one_network_on_different_items(training_flags, tmp_path, monkeypatch):
    """Under torchrun: the gradients are the mean of those of both ranks' batches alone."""
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    flags = training_flags("flownet", tmp_path)
    flags += ["--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.accelerator=cpu"]
    flags += ["--trainer.max_steps=2", "--trainer.val_check_interval=2"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*torchrun, script, *flags, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(tmp_path / f"rank{i}.pt", weights_only=True) for i in range(2)]
    assert not torch.equal(ranks[0]["batch"]["voxel"], ranks[1]["batch"]["voxel"])
    for part in ("before", "after"):
        torch.testing.assert_close(ranks[0][part], ranks[1][part], rtol=0, atol=0)
    assert not torch.equal(
        *(ranks[0][part]["network.heads.0.weight"] for part in ("before", "after"))
    )
    alone = []
    config = yaml.safe_load((tmp_path / "flownet-small" / "config.yaml").read_text())
    for rank in ranks:
        module = FlowTraining(**config["model"])
        module.load_state_dict(rank["before"])
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        module.training_step(rank["batch"], 0).backward()
        alone.append({name: p.grad for name, p in module.named_parameters()})
    for name, gradient in ranks[0]["gradients"].items():
        mean = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(gradient, mean, rtol=1e-4, atol=1e-7)
    assert last(tmp_path / "flownet-small")["FlowData"] == {"items": 8, "batches": 2}
