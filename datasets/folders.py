"""A folder of recordings, made ready for training."""

import resource
from pathlib import Path

import h5py
from tqdm import tqdm

from datasets.prepared import ARRAYS, PreparedRecording, Truth, prepare
from datasets.simulated import simulated_truth
from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe


def load_recordings(folder: Path, recipe: InputRecipe, body: Body) -> list[PreparedRecording]:
    """Every ``*.h5`` recording of a folder, filtered and tracked (cached in ``folder/cache``).

    Args:
        folder: recordings, simulated ones with their truth or any others without.
        recipe: names the filter.
        body: the body that simulated truth belongs to.

    Raises:
        InputError: the folder holds no recording, one cannot be read, or its truth belongs to
            another body.
    """
    paths = recording_paths(folder)
    _allow_open_files(ARRAYS * len(paths))
    progress = tqdm(paths, desc=f"prepare {folder.name}", unit="rec")
    return [load_recording(path, recipe, body) for path in progress]


def load_recording(path: Path, recipe: InputRecipe, body: Body) -> PreparedRecording:
    """One recording of a folder, as `load_recordings` gives it."""
    return prepare(path, path.parent / "cache", recipe, _truth(path, body))


def recording_paths(folder: Path) -> list[Path]:
    """The recordings of a folder in the order of their names.

    Raises:
        InputError: there is none.
    """
    paths = sorted(folder.glob("*.h5"))
    if not paths:
        raise InputError(
            folder,
            "no .h5 recordings",
            "a folder of recordings",
            f"Run: python scripts/simulate_dataset.py train {folder}, or put yours there "
            "(eventhpe convert writes .h5).",
        )
    return paths


def _allow_open_files(more: int) -> None:
    """Memory-mapped arrays hold a file each, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft + more, hard), hard))


def _truth(path: Path, body: Body) -> Truth | None:
    try:
        with h5py.File(path) as file:
            known = "truth" in file
    except OSError:
        return None  # reading its events says what is wrong
    return simulated_truth(path, body) if known else None
