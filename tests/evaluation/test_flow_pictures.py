"""Pictures of flow: the same colours for the same flow, and sharper events on true flow."""

import numpy as np
import pytest

from eventhpe.evaluation.flow import event_truth, window_of
from eventhpe.evaluation.flow_methods import ZeroFlow
from eventhpe.evaluation.flow_pictures import CAPTION, GAP, TILE, flow_picture, focus_picture, sheet

START_US, WINDOW_US = 300_000, 50_000
GREY = 153  # of what is not known


def tile(picture, index):
    """A tile's content, without its title."""
    top, left = (index // 4) * (TILE + CAPTION + GAP) + CAPTION, (index % 4) * (TILE + GAP)
    return picture[top : top + TILE, left : left + TILE]


@pytest.fixture
def window(recording):
    return window_of(recording, START_US, WINDOW_US)


def test_a_right_method_is_painted_like_the_truth_and_zero_flow_white(recording, oracle, window):
    picture = flow_picture(recording, [oracle, ZeroFlow()], window)
    truth, right, still = (tile(picture, index) for index in (1, 3, 4))
    np.testing.assert_array_equal(right, truth)
    assert (still != truth).any()
    known = (truth != GREY).any(axis=2) & (still == 255).all(axis=2)
    assert known.sum() > 1000


def test_pixels_without_truth_are_grey_in_every_flow(recording, oracle, window):
    picture = flow_picture(recording, [oracle], window)
    x0, y0, x1, y1 = window.whole_pixels()
    scale = TILE / max(x1 - x0, y1 - y0)
    fired = {tuple(pixel) for pixel in event_truth(recording, window).pixels.astype(int).tolist()}
    for x, y in ((x0 + 3, y0 + 3), *sorted(fired)[::20]):
        row, column = (int((v + 0.5) * scale) for v in (y - y0, x - x0))
        grey = (tile(picture, 3)[row, column] == GREY).all()
        assert grey == ((x, y) not in fired)


def test_no_motion_and_zero_flow_give_one_image(recording, window):
    picture = focus_picture([ZeroFlow()], window)
    np.testing.assert_array_equal(tile(picture, 0), tile(picture, 1))
    assert tile(picture, 0).max() == 255


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (4, 1, 4), (5, 2, 4)])
def test_tiles_stand_four_in_a_row(count, rows, columns):
    tiles = [np.full((10, 8, 3), k + 100, np.uint8) for k in range(count)]
    picture = sheet(tiles)
    assert picture.shape == (rows * (10 + GAP) - GAP, columns * (8 + GAP) - GAP, 3)
    last = count - 1
    top, left = (last // 4) * (10 + GAP), (last % 4) * (8 + GAP)
    assert (picture[top : top + 10, left : left + 8] == last + 100).all()
