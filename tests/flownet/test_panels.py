"""Panels: what each tile shows, and that a run's event file holds them."""

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from flownet.panels import TAG, FlowPanels, draw_windows
from flownet.training import FlowTraining

SIDE = 80
TILE = 2 * SIDE  # enlarged to at least 160
STEP = TILE + 4
TOP = 16


def moving_dot(polarity: float = 1.0, count: int = 9) -> torch.Tensor:
    """Events (1, count, 4) of a dot that goes right by 8 px in the window, starting at (20, 40)."""
    tau = torch.linspace(0, 1, count)
    columns = (20 + 8 * tau, torch.full_like(tau, 40.0), tau, torch.full_like(tau, polarity))
    return torch.stack(columns, dim=-1)[None]


def tile(picture: np.ndarray, column: int, row: int = 0) -> np.ndarray:
    """One tile at its own resolution, in 0..255."""
    top, left = TOP + row * STEP, column * STEP
    return picture[top : top + TILE : 2, left : left + TILE : 2].astype(int)


def batch(with_truth: bool = True, with_frames: bool = True) -> dict[str, torch.Tensor]:
    events = torch.cat([moving_dot(), moving_dot(-1.0)])
    made = {"voxel": torch.randn(2, 8, SIDE, SIDE), "events": events}
    if with_truth:
        flow = torch.full((2, 2, SIDE, SIDE), float("nan"))
        flow[:, :, 30:50, 10:40] = torch.tensor([8.0, 0.0]).view(2, 1, 1)
        made["flow"] = flow
    if with_frames:
        first = torch.rand(2, 1, SIDE, SIDE)
        made |= {"first": first, "second": first.roll(8, dims=-1)}
    return made


def constant(u: float, v: float) -> torch.Tensor:
    return torch.tensor([u, v]).view(1, 2, 1, 1).repeat(2, 1, SIDE, SIDE)


def test_tiles_show_what_their_titles_say():
    made = batch()
    picture = draw_windows(made, constant(8.0, 0.0))
    assert picture.shape == (TOP + 2 * STEP, 8 * STEP, 3)
    events = tile(picture, 0)
    assert (events[0, 0] == 255).all()
    red, green, blue = events[40, 24]
    assert red > green == blue
    red, green, blue = tile(picture, 0, row=1)[40, 24]
    assert blue > green == red
    predicted, truth = tile(picture, 1), tile(picture, 2)
    assert (predicted[40, 20] == truth[40, 20]).all()
    assert (truth[0, 0] == round(0.6 * 255)).all()
    # Nine events on nine pixels come together on one, in the middle of their way.
    came, carried = tile(picture, 4)[..., 0], tile(picture, 5)[..., 0]
    assert (came > 0).sum() == 9
    assert [tuple(at) for at in np.argwhere(carried > 0)] == [(40, 24)]
    first, fetched = tile(picture, 6), tile(picture, 7)
    assert np.abs(first - fetched)[:, : SIDE - 8].max() <= 1


def test_columns_follow_what_the_batch_holds():
    flow = constant(1.0, 1.0)
    assert draw_windows(batch(False, False), flow).shape[1] == 5 * STEP
    assert draw_windows(batch(True, False), flow).shape[1] == 6 * STEP
    assert draw_windows(batch(False, True), flow).shape[1] == 7 * STEP


@pytest.mark.parametrize("truth", [0.0, float("nan")])
def test_windows_without_events_or_motion_can_be_drawn(truth):
    made = batch()
    made["events"] = torch.zeros_like(made["events"])
    made["flow"] = torch.full_like(made["flow"], truth)
    picture = draw_windows(made, constant(0.0, 0.0))
    assert (tile(picture, 0) == 255).all()
    assert (tile(picture, 5) == 0).all()


def test_each_validation_writes_the_same_windows(tmp_path):
    items = [{k: v[i] for k, v in batch(with_frames=False).items()} for i in (0, 1, 0)]
    logger = TensorBoardLogger(tmp_path, name="", version="")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=logger,
        callbacks=[FlowPanels(windows=1)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(items, batch_size=2)
    trainer.fit(FlowTraining(in_channels=8), loader, loader)
    written = EventAccumulator(str(tmp_path)).Reload().Images(TAG)
    # Neither the check before training nor the second batch is drawn.
    assert [image.step for image in written] == [2, 4]
    assert {(image.width, image.height) for image in written} == {(6 * STEP, TOP + STEP)}


def test_a_run_without_tensorboard_draws_nothing():
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[FlowPanels()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(FlowTraining(in_channels=8), DataLoader([{"voxel": 0}][:0]), verbose=False)
