"""Fixtures shared by all rooms."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: `scripts.fuzz` is for looking further.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

# Tests run in parallel processes, and train in their own: one thread each, set before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the project; tests skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real recordings are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def simulated_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a simulated walk before a 128x128 sensor, with its truth."""
    return _walk(tmp_path_factory.mktemp("simulated"), "dvs128", 2.0)


@pytest.fixture(scope="session")
def framed_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a simulated walk before a DAVIS346, with frames and its truth."""
    return _walk(tmp_path_factory.mktemp("framed"), "davis346", 1.02)


def _walk(folder: Path, sensor: str, duration_s: float) -> Path:
    from eventhpe.body import load_body
    from eventhpe.simulation.sensor import SensorParameters
    from eventhpe.simulation.simulate import SimulationConfig, simulate

    config = SimulationConfig(
        duration_s=duration_s,
        sensor=sensor,
        motion="walk",
        shadow=False,
        flicker=False,
        exact_focal=True,
        parameters=SensorParameters(noise_hz=0.1),
    )
    simulate(config, folder / "walk.h5", 7, load_body())
    return folder / "walk.h5"


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
    for name, network, size in (
        ("flownet", FlowNet.preset("small", 8), 64),
        ("shapenet", ShapeNet.preset("small", 10), 96),
    ):
        recipe = InputRecipe(size=size)
        card = Card(name, network.config_dict(), recipe, {"steps": 0}, "MIT")
        save_weights(folder / f"{name}.json", network.state_dict(), card)
    return folder / "flownet.json", folder / "shapenet.json"


@pytest.fixture(scope="session")
def simulated_set(simulated_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set to train on: the simulated walk in ``train`` and in ``val``."""
    return _set_of(simulated_recording, tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="session")
def framed_set(framed_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `simulated_set`, of a recording with frames."""
    return _set_of(framed_recording, tmp_path_factory.mktemp("framed_set"))


@pytest.fixture(scope="session")
def set_without_truth(simulated_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `simulated_set`, of a recording that holds events alone, as a real camera's would."""
    import h5py

    root = _set_of(simulated_recording, tmp_path_factory.mktemp("set_without_truth"))
    for path in root.glob("*/walk.h5"):
        with h5py.File(path, "a") as file:
            del file["truth"]
    return root


def _set_of(recording: Path, root: Path) -> Path:
    for part in ("train", "val"):
        (root / part).mkdir()
        shutil.copy(recording, root / part / "walk.h5")
    return root


@pytest.fixture
def training_flags(simulated_set: Path, untrained_cards: tuple[Path, Path]):
    """What makes a run of either stage small: ``training_flags(stage, out)``."""

    def flags(stage: str, out: Path) -> list[str]:
        small = [
            "fit",
            f"--config={ROOT}/scripts/configs/{stage}/small.yaml",
            f"--data.root={simulated_set}",
            "--data.workers=0",
            "--data.batch_size=2",
            f"--trainer.logger.init_args.save_dir={out}",
            "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false",
            "--trainer.num_sanity_val_steps=0",
        ]
        if stage == "flownet":
            small += ["--data.recipe.size=64", "--data.size=64", "--data.max_events=256"]
            small += ["--data.val_count=2"]
        if stage == "shapenet":
            small += [f"--data.flownet={untrained_cards[0]}", "--data.flow_size=64"]
            small += ["--data.steps=2", "--data.takes=1", "--data.windows=8"]
        return small

    return flags


@pytest.fixture
def train(training_flags, monkeypatch: pytest.MonkeyPatch):
    """Run a stage's script in this process; ``train(stage, out, *flags)`` is the run's folder."""
    from scripts import train_flownet, train_shapenet

    mains = {"flownet": train_flownet.main, "shapenet": train_shapenet.main}

    def run(stage: str, out: Path, *flags: str) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [stage, *training_flags(stage, out), *flags])
            mains[stage]()
        return out / f"{stage}-small"

    return run
