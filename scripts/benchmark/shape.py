"""The row of stage two: whether its clips come fast enough to train it."""

import tempfile
from pathlib import Path

import yaml

from scripts.benchmark.rows import Measured, row
from scripts.benchmark.training import loaded, simulate_walks, trained

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "shapenet"


@row("clip_loader")
def bench_clip_loader() -> Measured:
    """Clips that one warm loader process gives in a second, over those that a training step takes
    on two threads, both as in the first part of the released ShapeNet's run."""
    import torch

    from datasets.modules import PoseData
    from shapenet.training import ShapeTraining

    torch.set_num_threads(2)
    data_config = yaml.safe_load((CONFIGS / "common.yaml").read_text())["data"]
    config = yaml.safe_load((CONFIGS / "small.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        simulate_walks(Path(folder))
        places = {"root": Path(folder), "flownet": Path(data_config["flownet"]), "workers": 1}
        data = PoseData(**{**data_config, **config["data"], **places})
        batch, given = loaded(data)
    taken = trained(ShapeTraining(**config["model"]), batch, data.batch_size, 7)
    note = f"1 worker, clips of {data.steps} steps, as in shapenet/small.yaml"
    return Measured(
        "clip_loader",
        given / taken,
        "x training",
        2,
        note=note,
        also=(Measured("clip_loader.step", taken * data.steps, "windows/s", note="trained"),),
    )
