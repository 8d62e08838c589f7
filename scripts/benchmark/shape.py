"""The row of stage two: whether its clips come fast enough to train it."""

import tempfile
import time
import warnings
from pathlib import Path

import yaml

from scripts.benchmark.flow import simulate_walks
from scripts.benchmark.rows import Measured, median_wall_seconds, row

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "shapenet"


@row("clip_loader")
def bench_clip_loader() -> Measured:
    """Clips that one warm loader process gives in a second, over those that a training step takes
    on two threads, both as in the first part of the released ShapeNet's run."""
    import torch

    from datasets.modules import PoseData
    from shapenet.training import ShapeTraining

    torch.set_num_threads(2)
    batches = 40
    data_config = yaml.safe_load((CONFIGS / "common.yaml").read_text())["data"]
    config = yaml.safe_load((CONFIGS / "small.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        simulate_walks(Path(folder))
        places = {"root": Path(folder), "flownet": Path(data_config["flownet"]), "workers": 1}
        data = PoseData(**{**data_config, **config["data"], **places})
        data.setup("fit")
        stream = iter(data.train_dataloader())
        batch = [next(stream) for _ in range(10)][-1]  # until the worker and its files are warm
        start = time.perf_counter()
        for _ in range(batches):
            next(stream)
        given = batches * data.batch_size / (time.perf_counter() - start)
        del stream  # ends the worker, before its files go
        batch = data.on_after_batch_transfer(batch, 0)
    training = ShapeTraining(**config["model"])
    optimizer = torch.optim.AdamW(training.parameters())

    def step() -> None:
        optimizer.zero_grad()
        training.training_step(batch, 0).backward()
        optimizer.step()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no trainer to log to
        taken = data.batch_size / median_wall_seconds(step, 7)
    note = f"1 worker, clips of {data.steps} steps, as in shapenet/small.yaml"
    return Measured(
        "clip_loader",
        given / taken,
        "x training",
        2,
        note=note,
        also=(Measured("clip_loader.step", taken * data.steps, "windows/s", note="trained"),),
    )
