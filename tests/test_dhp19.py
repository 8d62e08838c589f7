"""From DHP19's raw layout to its table, by the commands of docs/dhp19.md."""

import csv
import sys
from pathlib import Path

import pytest

from datasets.dhp19_clone import clone_recording
from scripts import (
    evaluate,
    export_weights,
    fit_smpl,
    prepare_dhp19,
    split_dhp19,
    train_flownet,
    train_shapenet,
)
from tests.conftest import ROOT
from tests.dhp19_samples import film_joints


@pytest.mark.slow
def test_prepare_fit_split_train_both_stages_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "dhp19"
    for subject in (1, 12, 13):
        clone_recording(raw, subject, 1, 8, duration_s=1.5, film=film_joints)
    assert prepare_dhp19.main([str(raw), str(out), "--workers", "1"]) == 0
    assert fit_smpl.main([str(out), "--workers", "1"]) == 0
    assert split_dhp19.main([str(out)]) == 0
    monkeypatch.chdir(ROOT)  # where the configurations find the released weights

    def train(stage: str, main, *flags: str) -> Path:
        asked = [
            "fit",
            f"--config=scripts/configs/{stage}/dhp19.yaml",
            f"--data.root={out}/reference",
            "--data.batch_size=2",
            "--data.workers=0",
            "--trainer.accelerator=cpu",
            "--trainer.max_steps=2",
            "--trainer.val_check_interval=2",
            "--trainer.limit_val_batches=1",
            "--trainer.num_sanity_val_steps=0",
            "--trainer.enable_progress_bar=false",
            f"--trainer.logger.init_args.save_dir={tmp_path}/runs",
            *flags,
        ]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [stage, *asked])
            main()
        card = tmp_path / f"{stage}.json"
        export_weights.export(tmp_path / "runs" / f"{stage}-dhp19", card, "tests alone")
        return card

    flownet = train("flownet", train_flownet.main, "--data.val_count=2", "--data.max_events=256")
    shapenet = train(
        "shapenet",
        train_shapenet.main,
        f"--data.flownet={flownet}",
        "--data.takes=1",
        "--data.windows=8",
        "--data.steps=2",
    )
    asked = ["dhp19", str(out), "--flownet", str(flownet), "--shapenet", str(shapenet)]
    assert evaluate.main([*asked, "--out", str(tmp_path / "results")]) == 0
    with (tmp_path / "results/dhp19.csv").open() as file:
        ours = [row for row in csv.DictReader(file) if row["method"] == "shapenet"]
    # The released weights that stage two begins with have never seen such events, yet a person of
    # some size stands somewhere before each camera.
    assert all(0 < float(row["value"]) < 5000 for row in ours)
    assert {row["data"] for row in ours} == {"the clone, reference test"}
