"""Simulate a set of recordings: ``python -m scripts.simulate_dataset PRESET OUT [--workers 2]``.

Finished recordings are kept, so an interrupted run goes on where it stopped.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import h5py
import torch
from tqdm import tqdm

from eventhpe.body.loading import load_body
from eventhpe.files import atomic_path
from eventhpe.simulation.simulate import SIMULATOR_VERSION, SimulationConfig, simulate


@dataclass(frozen=True)
class Preset:
    """A set of recordings.

    Attributes:
        recordings: how many.
        duration_s: length of each.
        family: first number of every seed; no two presets share it.
        empty_every: each so-manieth recording has no person.
    """

    recordings: int
    duration_s: float
    family: int
    empty_every: int = 10


PRESETS = {
    "smoke": Preset(recordings=4, duration_s=4.0, family=1, empty_every=4),
    "train": Preset(recordings=240, duration_s=8.0, family=2),
    "val": Preset(recordings=20, duration_s=8.0, family=3),
}


def make_one(folder: Path, name: str, index: int) -> dict[str, object]:
    """Simulate recording ``index`` of a preset unless it exists; its manifest entry."""
    torch.set_num_threads(1)
    preset = PRESETS[name]
    path = folder / f"{name}_{index:04d}.h5"
    if not path.exists():
        person = (index + 1) % preset.empty_every != 0
        config = SimulationConfig(duration_s=preset.duration_s, person=person)
        simulate(config, path, [preset.family, index], load_body())
    with h5py.File(path) as file:
        entry = json.loads(file["truth"].attrs["description"])
        width, height = (int(file[f"events/{side}"][()]) for side in ("width", "height"))
    return {"file": path.name, "width": width, "height": height, **entry}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("out", type=Path, help="folder for the recordings and manifest.json")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    asked = parser.parse_args(arguments)
    preset = PRESETS[asked.preset]
    asked.out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    # Fresh processes: forking after torch has started its threads can hang.
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(make_one, asked.out, asked.preset, index)
            for index in range(preset.recordings)
        ]
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="recording"):
            entries.append(job.result())
    entries.sort(key=lambda entry: str(entry["file"]))
    manifest = {
        "preset": asked.preset,
        "duration_s": preset.duration_s,
        "simulator_version": SIMULATOR_VERSION,
        "recordings": entries,
    }
    with atomic_path(asked.out / "manifest.json") as partial:
        partial.write_text(json.dumps(manifest, indent=1))


if __name__ == "__main__":
    main()
