"""The main job from end to end with the released weights."""

import re
from pathlib import Path

import pytest

from eventhpe.demo import demo

pytestmark = pytest.mark.slow
Errors = dict[str, tuple[float, float]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Errors]:
    """The demo's folder, and each error of ours beside the mean pose's."""
    out = tmp_path_factory.mktemp("demo")
    table = demo(out, seed=1).splitlines()
    ours, mean = (map(float, re.findall(r"\d+\.\d", line)) for line in table[1:3])
    pairs = zip(ours, mean, strict=True)
    return out, dict(zip(("MPJPE", "PEL", "PA"), pairs, strict=True))


def test_the_demo_leaves_motion_video_and_sheet(results: tuple[Path, Errors]) -> None:
    out, _ = results
    for name in ("motion.npz", "overlay.mp4", "contact_sheet.png"):
        assert (out / name).stat().st_size > 1000


@pytest.mark.parametrize(("error", "share"), [("MPJPE", 0.75), ("PEL", 0.75), ("PA", 1.0)])
def test_released_weights_beat_the_mean_pose(
    results: tuple[Path, Errors], error: str, share: float
) -> None:
    ours, mean = results[1][error]
    assert ours < share * mean
