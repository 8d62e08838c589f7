"""Fixtures shared by all rooms."""

import os
from pathlib import Path

import pytest

# Tests run in parallel processes, and train in their own: one thread each, set before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the project; tests skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real recordings are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def simulated_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a simulated walk before a 128x128 sensor, with its truth."""
    from eventhpe.body import load_body
    from eventhpe.simulation.sensor import SensorParameters
    from eventhpe.simulation.simulate import SimulationConfig, simulate

    path = tmp_path_factory.mktemp("simulated") / "walk.h5"
    config = SimulationConfig(
        duration_s=2.0,
        sensor="dvs128",
        motion="walk",
        shadow=False,
        flicker=False,
        exact_focal=True,
        parameters=SensorParameters(noise_hz=0.1),
    )
    simulate(config, path, 7, load_body())
    return path


@pytest.fixture(scope="session")
def untrained_cards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Cards of both small networks as they are initialised, FlowNet's and ShapeNet's."""
    import torch

    from eventhpe.events.recipe import InputRecipe
    from eventhpe.weights import Card, save_weights
    from flownet.model import FlowNet
    from shapenet.model import ShapeNet

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    for name, network in (
        ("flownet", FlowNet.preset("small", 8)),
        ("shapenet", ShapeNet.preset("small", 10)),
    ):
        card = Card(name, network.config_dict(), InputRecipe(), {"steps": 0}, "MIT")
        save_weights(folder / f"{name}.json", network.state_dict(), card)
    return folder / "flownet.json", folder / "shapenet.json"
