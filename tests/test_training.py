"""Both training scripts run, learn and resume, on a two-second recording."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dataset(simulated_recording, tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    for part in ("train", "val"):
        (root / part).mkdir()
        shutil.copy(simulated_recording, root / part / "walk.h5")
    return root


def fit(stage, dataset, out, *flags):
    command = [
        sys.executable,
        f"scripts/train_{stage}.py",
        "fit",
        "--config",
        f"scripts/configs/{stage}/small.yaml",
        f"--data.root={dataset}",
        "--data.workers=0",
        "--data.batch_size=2",
        "--data.val_count=4",
        "--trainer.enable_progress_bar=false",
        f"--trainer.default_root_dir={out}",
        f"--trainer.logger.init_args.save_dir={out}",
        *flags,
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return out / f"{stage}-small"


@pytest.mark.parametrize("stage", ["flownet", "shapenet"])
def test_train_resume_export(stage, dataset, tmp_path, untrained_cards):
    from eventhpe.weights import load_weights
    from scripts.export_weights import export

    more = [f"--data.flownet={untrained_cards[0]}", "--data.steps=3"] if stage == "shapenet" else []
    steps = "--trainer.val_check_interval=2"
    run = fit(stage, dataset, tmp_path, *more, steps, "--trainer.max_steps=2")
    first = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert first["global_step"] == 2
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    fit(stage, dataset, tmp_path, *more, steps, "--trainer.max_steps=4", last)
    second = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert second["global_step"] == 4
    name = next(k for k in first["state_dict"] if k.endswith("weight"))
    assert not torch.equal(first["state_dict"][name], second["state_dict"][name])
    card = export(run, tmp_path / "card.json")
    assert card.network == stage
    state, again = load_weights(tmp_path / "card.json", stage)
    assert again.sha256 == card.sha256
    assert all(value.isfinite().all() for value in state.values())
    # Begun with these weights and not moved, another run ends with them.
    still = (f"--init={tmp_path / 'card.json'}", "--model.learning_rate=0")
    kept = fit(stage, dataset, tmp_path / "still", *more, steps, "--trainer.max_steps=2", *still)
    after = torch.load(kept / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for key, value in state.items():
        if key.endswith("conv.weight") or key == "mean_rotations":
            assert torch.equal(after[f"network.{key}"], value)
