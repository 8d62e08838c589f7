"""A folder of recordings, made ready for training."""

import resource
from pathlib import Path

import h5py
from tqdm import tqdm

from datasets.dhp19 import CameraRecording, fitted_truth
from datasets.prepared import ARRAYS, PreparedRecording, Truth, prepare
from datasets.simulated import checked_truth, labels_of, simulated_truth
from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.simulation.truth import SimulatedTruth


def load_recordings(folder: Path, recipe: InputRecipe, body: Body) -> list[PreparedRecording]:
    """Every ``*.h5`` recording of a folder, filtered and tracked (cached in ``folder/cache``).

    Args:
        folder: recordings, simulated ones with their truth, DHP19's with fitted bodies, or any
            others without.
        recipe: names the filter.
        body: the body that truth belongs to.

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


def known_truth(path: Path, body: Body) -> SimulatedTruth:
    """The poses of a simulated recording, or those fitted to one of DHP19, in the camera frame.

    Raises:
        InputError: nothing is known of it, or the truth belongs to another body.
    """
    return fitted_truth(path, body) or checked_truth(path, body)


def changed_at(path: Path) -> float:
    """When a recording or the truth that lies beside it was last written, seconds."""
    recording = CameraRecording.of(path)
    files = [path]
    if recording is not None and recording.fit.exists():
        files.append(recording.fit)
    return max(file.stat().st_mtime for file in files)


def _truth(path: Path, body: Body) -> Truth | None:
    try:
        with h5py.File(path) as file:
            known = "truth" in file
    except OSError:
        return None  # reading its events says what is wrong
    if known:
        return simulated_truth(path, body)
    fitted = fitted_truth(path, body)
    return None if fitted is None else Truth(fitted.K, labels_of(fitted, body), None)
