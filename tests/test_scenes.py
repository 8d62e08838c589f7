"""The scenes that docs/limits.md counts warnings in are what they are called."""

import numpy as np

from eventhpe.events.stream import EventStream
from scripts.scenes import main, pairs, pan, side_by_side, watched

RNG = np.random.default_rng(0)


def stream(count, width=20, height=10):
    x, y = RNG.integers(0, width, count), RNG.integers(0, height, count)
    t = np.sort(RNG.integers(0, 1000, count))
    return EventStream.from_arrays(x, y, t, RNG.integers(0, 2, count), width, height)


def test_two_pictures_side_by_side_keep_every_event():
    left, right = stream(50), stream(70)
    both = side_by_side(left, right)
    assert (both.width, both.height) == (40, 10)
    assert (np.diff(both.t) >= 0).all()
    on_the_left = both.masked(both.x < 20)
    for name in ("x", "y", "t", "p"):
        np.testing.assert_array_equal(getattr(on_the_left, name), getattr(left, name))
    on_the_right = both.masked(both.x >= 20)
    np.testing.assert_array_equal(on_the_right.x, right.x + 20)
    np.testing.assert_array_equal(on_the_right.t, right.t)


def test_pairs_are_of_one_size():
    streams = [stream(5), stream(5, width=30), stream(5), stream(5)]
    assert [found.width for found in pairs(streams)] == [40, 40, 40]


def test_a_pan_is_taken_for_a_moving_camera_and_not_for_people():
    watch = watched(pan(4.0, 1.5), 1.5)
    assert watch.moving_s > 1.0
    assert watch.two_s == 0.0


def test_a_folder_without_recordings_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
