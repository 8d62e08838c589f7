"""The main job from end to end with the released weights."""

import re

import pytest

from eventhpe.demo import demo


@pytest.mark.slow
def test_released_weights_beat_the_mean_pose(tmp_path):
    table = demo(tmp_path, seed=1)
    rows = [re.findall(r"\d+\.\d", line) for line in table.splitlines()[1:3]]
    ours, mean = ([float(value) for value in row] for row in rows)
    for error, baseline, share in zip(ours, mean, (0.75, 0.75, 1.0), strict=True):
        assert error < share * baseline
    for name in ("motion.npz", "overlay.mp4", "contact_sheet.png"):
        assert (tmp_path / name).stat().st_size > 1000
