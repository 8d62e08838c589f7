"""What rows about training share: recordings, the pace of loaders, and that of training steps."""

import time
import warnings
from pathlib import Path
from typing import Any

from scripts.benchmark.rows import median_wall_seconds


def simulate_walks(root: Path) -> None:
    """Two recordings as ``train``, and the same as ``val``."""
    from eventhpe.body.loading import load_body
    from eventhpe.simulation import SimulationConfig, simulate

    for seed, sensor in enumerate(("davis346", "gen3-vga")):
        config = SimulationConfig(6.0, sensor, motion="walk")
        simulate(config, root / "train" / f"{sensor}.h5", seed, load_body())
    (root / "val").symlink_to(root / "train")


def loaded(data: Any, batches: int = 40) -> tuple[Any, float]:
    """A training batch of a data module, and the items that its warm loader gives in a second."""
    data.setup("fit")
    stream = iter(data.train_dataloader())
    batch = [next(stream) for _ in range(10)][-1]  # until the workers and their files are warm
    start = time.perf_counter()
    for _ in range(batches):
        next(stream)
    given = batches * data.batch_size / (time.perf_counter() - start)
    del stream  # ends the workers, before their files go
    return data.on_after_batch_transfer(batch, 0), given


def trained(training: Any, batch: Any, items: int, repeats: int) -> float:
    """The items that a training step of a Lightning module takes in a second."""
    import torch

    optimizer = torch.optim.AdamW(training.parameters())

    def step() -> None:
        optimizer.zero_grad()
        training.training_step(batch, 0).backward()
        optimizer.step()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no trainer to log to
        return items / median_wall_seconds(step, repeats)
