"""DHP19's splits as folders of links to the prepared recordings.

``reference`` is that of the data set's paper (Calabrese et al., CVPR Workshops 2019): S1 to S12
train, S13 to S17 test. ``scarpellini`` is that of Scarpellini et al. (2021): S1 to S5 test, seen by
cameras 1 and 2 (taken here as channels 1 and 2); the other subjects train, seen by all four.
Neither names subjects to choose checkpoints by: the last training subject (S12, S17) is ours.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.dhp19 import CameraRecording
from datasets.dhp19_layout import CHANNELS
from eventhpe.errors import InputError

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """Subjects, and the camera channels that they are seen by."""

    subjects: Sequence[int]
    channels: Sequence[int] = CHANNELS

    def holds(self, recording: CameraRecording) -> bool:
        return recording.subject in self.subjects and recording.channel in self.channels


SPLITS: dict[str, dict[str, Part]] = {
    "reference": {
        "train": Part(range(1, 12)),
        "val": Part((12,)),
        "test": Part(range(13, 18)),
    },
    "scarpellini": {
        "train": Part(range(6, 17)),
        "val": Part((17,)),
        "test": Part(range(1, 6), (1, 2)),
    },
}


def prepared_recordings(root: Path) -> list[CameraRecording]:
    """Every camera's recordings of a prepared set, in the order of subject, session, movement.

    Raises:
        InputError: there is none.
    """
    paths = (root.resolve() / "recordings").glob("*.h5")
    found = [recording for path in paths if (recording := CameraRecording.of(path))]
    if not found:
        raise InputError(
            root,
            "no recordings/S*_*_*-camera*.h5",
            "a prepared DHP19",
            f"Run: python scripts/prepare_dhp19.py RAW {root}",
        )
    return sorted(found, key=lambda r: (r.subject, r.session, r.movement, r.channel))


def write_splits(root: Path) -> dict[str, dict[str, int]]:
    """Write ``SPLIT/PART/`` with a relative link to each of its recordings.

    A second call adds what has been prepared since, and takes away links that no longer belong
    there. ``train`` holds recordings without labels, too: stage one learns from events alone.
    ``val`` and ``test`` hold those alone that have a fitted body, or, before any fitting, markers.

    Returns:
        How many recordings each part of each split has.

    Raises:
        InputError: nothing has been prepared.
    """
    recordings, root = prepared_recordings(root), root.resolve()
    fitted = any(recording.fit.exists() for recording in recordings)
    labelled = [r for r in recordings if (r.fit if fitted else r.vicon).exists()]
    counts: dict[str, dict[str, int]] = {}
    for split, parts in SPLITS.items():
        counts[split] = {}
        for name, part in parts.items():
            chosen = recordings if name == "train" else labelled
            members = [recording for recording in chosen if part.holds(recording)]
            _link(root / split / name, members)
            counts[split][name] = len(members)
    return counts


def _link(folder: Path, recordings: Iterable[CameraRecording]) -> None:
    """Make a folder's links those to the recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {r.path.name: Path(os.path.relpath(r.path, folder)) for r in recordings}
    for link in folder.glob("*.h5"):
        if link.is_symlink() and (link.name not in wanted or link.readlink() != wanted[link.name]):
            link.unlink()
    for name, target in wanted.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
