"""A run that is stopped anywhere and continued ends as if it had never been stopped: to the bit."""

import signal
from collections import Counter
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datasets.clips import FlowWindows
from datasets.ordered import OrderedSampler
from flownet.training import FlowTraining
from shapenet.training import ShapeTraining

MODULES = {"flownet": FlowTraining, "shapenet": ShapeTraining}
SHORT = (
    "--data.count=6",  # three steps an epoch
    "--trainer.val_check_interval=4",
    "--trainer.log_every_n_steps=1",
)


@pytest.fixture
def interrupted(train, monkeypatch):
    """``train``, with Ctrl-C in the middle of one step."""

    def run(stop: int, stage: str, out: Path, *flags: str) -> Path:
        step = MODULES[stage].training_step

        def with_interrupt(self, batch, index):
            if self.global_step + 1 == stop:
                signal.raise_signal(signal.SIGINT)
            return step(self, batch, index)

        with monkeypatch.context() as patch:
            patch.setattr(MODULES[stage], "training_step", with_interrupt)
            with pytest.raises(SystemExit):
                train(stage, out, *flags)
        return out / f"{stage}-small"

    return run


def state(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run)).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if "/" in tag]
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def assert_same(run: Path, other: Path) -> None:
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        torch.testing.assert_close(state(run)[part], state(other)[part], rtol=0, atol=0)
    assert logged(run) == logged(other)


@pytest.mark.parametrize(
    ("stage", "stops", "flags"),
    [
        # In the middle of an epoch, with a loader that runs ahead; then where a validation is due.
        ("flownet", (2, 4), ("--data.workers=1",)),
        # At the end of an epoch, where the rate falls.
        ("flownet", (9,), ("--model.schedule=step",)),
        ("shapenet", (5,), ()),
    ],
)
def test_stopped_and_resumed_is_uninterrupted(train, interrupted, stage, stops, flags, tmp_path):
    flags += (*SHORT, f"--trainer.max_steps={max(stops) + 2}")
    whole = train(stage, tmp_path / "whole", *flags)
    assert len(logged(whole)["train/loss"]) == max(stops) + 2
    more: tuple[str, ...] = ()
    for stop in stops:
        run = interrupted(stop, stage, tmp_path / "parts", *flags, *more)
        assert state(run)["global_step"] == stop
        more = (f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}",)
    assert_same(train(stage, tmp_path / "parts", *flags, *more), whole)


def test_a_finished_run_can_go_on(train, tmp_path):
    flags = (*SHORT, "--model.schedule=step")  # this schedule does not ask where the run ends
    whole = train("flownet", tmp_path / "whole", *flags, "--trainer.max_steps=5")
    run = train("flownet", tmp_path / "parts", *flags, "--trainer.max_steps=3")
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    train("flownet", tmp_path / "parts", *flags, "--trainer.max_steps=5", last)
    assert_same(run, whole)


def test_batches_of_another_size_go_on_behind_the_items_already_used(train, tmp_path, monkeypatch):
    used = []
    fetch = FlowWindows.__getitem__

    def noted(self, index):
        used.append(index)
        return fetch(self, index)

    monkeypatch.setattr(FlowWindows, "__getitem__", noted)
    flags = (*SHORT, "--trainer.limit_val_batches=0")
    run = train("flownet", tmp_path, *flags, "--trainer.max_steps=2")
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    train("flownet", tmp_path, *flags, "--data.batch_size=3", "--trainer.max_steps=4", last)
    assert used == list(range(2 * 2 + 2 * 3))


def test_last_is_kept_where_validation_has_not_improved(train, tmp_path, monkeypatch):
    """Figures get worse and worse: the best checkpoint stays, and the last one goes on."""
    worse = iter(range(1, 9))
    monkeypatch.setattr(
        FlowTraining,
        "validation_step",
        lambda self, batch, index: self.log("val/loss", float(next(worse))),
    )
    flags = ("--trainer.max_steps=4", "--trainer.val_check_interval=2")
    run = train("flownet", tmp_path, *flags)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert (best["global_step"], state(run)["global_step"]) == (2, 4)


def test_ranks_share_an_epoch_and_every_item_is_used_once():
    used = Counter()
    for rank in range(3):
        used.update(OrderedSampler(26, 4, lambda: 100, rank, 3))
    assert used == Counter(range(100, 124))  # 26 items have room for two steps of twelve


def test_two_ranks_use_the_items_of_one_with_twice_the_batch():
    alone = list(OrderedSampler(48, 8, lambda: 0))
    ranks = [list(OrderedSampler(48, 4, lambda: 0, rank, 2)) for rank in range(2)]
    for step in range(6):
        together = [item for rank in ranks for item in rank[4 * step : 4 * step + 4]]
        assert together == alone[8 * step : 8 * step + 8]
