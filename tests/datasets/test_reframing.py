"""Reframed clips show what a recording's events show in the moved region."""

import numpy as np
import pytest
import torch

from datasets.augmentation import moved
from datasets.reframing import draw_move, moved_inputs, moved_region
from eventhpe.camera import Crop
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream

SIZE = 48
RECIPE = InputRecipe(bins=4, size=SIZE)
WINDOW = (0, RECIPE.window_us)


def blobs(seed: int) -> EventStream:
    """Events of a few dense patches of one polarity each, 346x260."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform((130, 90), (220, 170), (6, 2))
    which = rng.integers(0, 6, 8000)
    x, y = (centre[which] + rng.normal(0, 7, (8000, 2))).round().astype(np.uint16).T
    t = np.sort(rng.integers(*WINDOW, 8000))
    return EventStream(x, y, t, (which % 2).astype(np.uint8), 346, 260)


def grid(events: EventStream, crop: Crop) -> torch.Tensor:
    flow = np.ones((2, SIZE, SIZE), np.float32)
    return torch.from_numpy(np.concatenate([RECIPE.prepare(events, *WINDOW, crop), flow]))


@pytest.mark.parametrize("move", [(1.0, 0.1, -0.05), (0.85, 0.0, 0.0), (1.2, -0.08, 0.06)])
def test_moved_images_are_those_of_the_moved_region(move: tuple[float, float, float]) -> None:
    crop = Crop(90.0, 50.0, 170.0, SIZE)
    clips = torch.stack([grid(blobs(seed), crop) for seed in (0, 1)])
    wanted = torch.stack([grid(blobs(seed), moved(crop, *move)) for seed in (0, 1)])
    got = moved_inputs(clips[None], torch.tensor([move]))[0]
    for mine, theirs, before in zip(got[:, :-2], wanted[:, :-2], clips[:, :-2], strict=True):
        likeness = [
            np.corrcoef(image.flatten(), theirs.flatten())[0, 1] for image in (mine, before)
        ]
        assert likeness[0] > 0.9 > likeness[1]
        filled = mine[mine != 0]
        assert filled.square().mean().sqrt() == pytest.approx(1, abs=0.1)
    middle = got[:, -2:, SIZE // 2, SIZE // 2]
    torch.testing.assert_close(middle, torch.full_like(middle, 1 / move[0]))


def test_a_move_by_whole_pixels_is_exact_and_each_clip_has_its_own() -> None:
    inputs = torch.randn(2, 3, 6, SIZE, SIZE)
    got = moved_inputs(inputs, torch.tensor([[1.0, 5 / SIZE, 2 / SIZE], [1.0, 0.0, 0.0]]))
    torch.testing.assert_close(
        got[0, :, -2:, :-2, :-5], inputs[0, :, -2:, 2:, 5:], atol=1e-4, rtol=0
    )
    torch.testing.assert_close(got[1, :, -2:], inputs[1, :, -2:], atol=1e-4, rtol=0)


def test_moved_regions_are_the_moved_crops() -> None:
    crop = Crop(20.0, 30.0, 80.0, SIZE)
    move = draw_move(0.2, np.random.default_rng(3))
    after = moved(crop, *move.tolist())
    got = moved_region(torch.tensor([[*crop.centre, crop.side]]), move)
    torch.testing.assert_close(got, torch.tensor([[*after.centre, after.side]]))
    assert move[0] != 1
