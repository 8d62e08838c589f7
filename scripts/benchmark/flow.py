"""Rows of stage one: the flow network, and whether its data comes fast enough to train it."""

import tempfile
from pathlib import Path

import yaml

from scripts.benchmark.rows import Measured, median_wall_seconds, row
from scripts.benchmark.training import loaded, simulate_walks, trained

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
    workers = 2
    config = yaml.safe_load(RELEASE.read_text())
    recipe = InputRecipe(**config["data"].pop("recipe"))
    with tempfile.TemporaryDirectory() as folder:
        simulate_walks(Path(folder))
        data = FlowData(Path(folder), recipe, workers=workers, **config["data"])
        batch, given = loaded(data)
    taken = trained(FlowTraining(**config["model"]), batch, data.batch_size, 15)
    note = f"{workers} workers, {data.size}x{data.size}, as in flownet/{RELEASE.name}"
    also = Measured("flow_loader windows", given, "windows/s", note=note)
    note = f"over {taken:.0f} windows/s trained"
    return Measured("flow_loader", given / taken, "x training", 2, note=note, also=(also,))
