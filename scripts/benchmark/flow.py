"""Rows of stage one: the flow network, and whether its data comes fast enough to train it."""

import tempfile
import time
import warnings
from pathlib import Path

import yaml

from scripts.benchmark.rows import Measured, median_wall_seconds, row

RELEASE = Path(__file__).resolve().parents[1] / "configs" / "flownet" / "small.yaml"


@row("flow_network")
def bench_flow_network() -> Measured:
    """The small FlowNet on one window of 256x256 pixels: wall time on two threads."""
    import torch

    from flownet.model import FlowNet

    torch.set_num_threads(2)
    network = FlowNet.preset("small").eval().requires_grad_(False)
    window = torch.randn(1, network.config.in_channels, 256, 256)
    with torch.inference_mode():
        seconds = median_wall_seconds(lambda: network(window), 51)
    return Measured("flow_network", seconds * 1e3, "ms", 12, False, "256x256, 2 threads")


@row("flow_loader")
def bench_flow_loader() -> Measured:
    """Windows that two warm loader processes give in a second, over those that a training step
    takes on two threads, both with the crops, batches and network of the released FlowNet's run.

    The recordings are simulated on the spot: six seconds of a walk before a DAVIS346 and a VGA
    sensor each.
    """
    import torch

    from datasets.modules import FlowData
    from eventhpe.events.recipe import InputRecipe
    from flownet.training import FlowTraining

    torch.set_num_threads(2)
    batches, workers = 40, 2
    config = yaml.safe_load(RELEASE.read_text())
    recipe = InputRecipe(**config["data"].pop("recipe"))
    with tempfile.TemporaryDirectory() as folder:
        simulate_walks(Path(folder))
        data = FlowData(Path(folder), recipe, workers=workers, **config["data"])
        data.setup("fit")
        stream = iter(data.train_dataloader())
        batch = [next(stream) for _ in range(10)][-1]  # until the workers and their files are warm
        start = time.perf_counter()
        for _ in range(batches):
            next(stream)
        given = batches * data.batch_size / (time.perf_counter() - start)
        del stream  # ends the workers, before their files go
    training = FlowTraining(**config["model"])
    optimizer = torch.optim.AdamW(training.parameters())

    def step() -> None:
        optimizer.zero_grad()
        training.training_step(batch, 0).backward()
        optimizer.step()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no trainer to log to
        taken = data.batch_size / median_wall_seconds(step, 15)
    note = f"{workers} workers, {data.size}x{data.size}, as in flownet/{RELEASE.name}"
    also = Measured("flow_loader windows", given, "windows/s", note=note)
    note = f"over {taken:.0f} windows/s trained"
    return Measured("flow_loader", given / taken, "x training", 2, note=note, also=(also,))


def simulate_walks(root: Path) -> None:
    """Two recordings as ``train``, and the same as ``val``."""
    from eventhpe.body.loading import load_body
    from eventhpe.simulation import SimulationConfig, simulate

    for seed, sensor in enumerate(("davis346", "gen3-vga")):
        config = SimulationConfig(6.0, sensor, motion="walk")
        simulate(config, root / "train" / f"{sensor}.h5", seed, load_body())
    (root / "val").symlink_to(root / "train")
