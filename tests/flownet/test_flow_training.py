"""FlowTraining: what it logs, how its rate runs, and that it needs nothing of rendering."""

import subprocess
import sys
from itertools import pairwise

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from eventhpe.schedule import cosine_cycle
from flownet.training import FlowTraining


def items(count: int, truth: bool = True) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    made = []
    for _ in range(count):
        events = torch.rand(50, 4) * torch.tensor([31.0, 31.0, 1.0, 1.0])
        events[:, 3] = torch.where(torch.rand(50) < 0.5, -1.0, 1.0)
        item = {"voxel": torch.randn(5, 32, 32), "events": events}
        moved = torch.full((50, 2), float("nan"))
        moved[:20] = torch.tensor([3.0, 4.0])
        made.append(item | {"displacement": moved} if truth else item)
    return made


def trainer(**options: int) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,  # type: ignore[arg-type]
    )


def test_an_epoch_trains_and_logs_the_error_beside_that_of_zero_flow():
    module = FlowTraining(in_channels=5)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    run = trainer(max_epochs=1)
    run.fit(module, DataLoader(items(4), batch_size=2), DataLoader(items(2), batch_size=2))
    changed = [
        not torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True)
    ]
    assert all(changed)
    assert run.logged_metrics["val/aee_zero"].item() == pytest.approx(5.0)
    assert {"train/loss", "val/loss", "val/aee", "val/events"} <= set(run.logged_metrics)


def test_errors_are_averaged_over_events_not_over_batches():
    sparse, dense = items(2)
    sparse["displacement"][:] = float("nan")
    sparse["displacement"][0] = torch.tensor([30.0, 40.0])
    run = trainer()
    run.validate(FlowTraining(in_channels=5), DataLoader([sparse, dense]), verbose=False)
    expected = (50.0 + 20 * 5.0) / 21
    assert run.logged_metrics["val/aee_zero"].item() == pytest.approx(expected)


def test_validation_without_truth_logs_the_loss_alone():
    run = trainer()
    loader = DataLoader(items(2, truth=False), batch_size=2)
    run.validate(FlowTraining(in_channels=5), loader, verbose=False)
    assert "val/loss" in run.logged_metrics
    assert "val/aee" not in run.logged_metrics


def test_rate_warms_up_and_falls_to_zero():
    rates = [cosine_cycle(step, 100) for step in range(130)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(a >= b for a, b in pairwise(rates[5:]))
    assert rates[100:] == pytest.approx([0.0] * 30)


def test_hyperparameters_rebuild_the_module():
    module = FlowTraining("small", in_channels=5, max_displacement=20.0, learning_rate=3e-4)
    twin = FlowTraining(**module.hparams)
    assert twin.network.config == module.network.config
    assert twin.network.config.max_displacement == 20.0
    assert twin.learning_rate == 3e-4


def test_imports_nothing_of_the_pipeline():
    code = (
        "import sys, flownet.training\n"
        "unwanted = ('pyrender', 'faery', 'viser', 'datasets', 'shapenet')\n"
        "found = [m for m in sys.modules if m.split('.')[0] in unwanted]\n"
        "ours = [m for m in sys.modules if m.startswith('eventhpe.')]\n"
        "found += [m for m in ours if m != 'eventhpe.schedule']\n"
        "print(found)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("loss", ["events", "photometric", "supervised"])
@pytest.mark.parametrize("window", ["empty", "one event", "one pixel"])
def test_a_step_on_a_degenerate_window_is_finite(loss, window, monkeypatch):
    torch.manual_seed(0)
    module = FlowTraining(loss=loss, in_channels=5, references=(0.0, 1.0))
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    count = {"empty": 0, "one event": 1, "one pixel": 30}[window]
    events = torch.zeros(2, 30, 4)
    events[:, :count] = torch.tensor([9.0, 7.0, 0.5, 1.0])
    voxel = torch.zeros(2, 5, 32, 32)
    voxel[:, 2, 7, 9] = count
    black = torch.zeros(2, 1, 32, 32)
    unknown = torch.full((2, 30, 2), float("nan"))
    batch = {"voxel": voxel, "events": events, "displacement": unknown}
    result = module.training_step({**batch, "first": black, "second": black}, 0)
    result.backward()
    assert torch.isfinite(result)
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
