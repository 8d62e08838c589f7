"""A table for spreadsheets and statistics: a row a step, joints by name."""

import csv
from pathlib import Path

import numpy as np

from eventhpe.body import JOINT_NAMES
from eventhpe.export.figure import Figure
from eventhpe.files import atomic_path
from eventhpe.sequence import STATE_NAMES

HEADER = (
    "t_us",
    "state",
    "confidence",
    *(f"{joint}_{axis}_m" for joint in JOINT_NAMES for axis in "xyz"),
)


def write_csv(figure: Figure, path: Path) -> list[str]:
    """Write `HEADER` and a row a step; joints are ``nan`` where nobody was."""
    motion = figure.motion
    joints = figure.joints().reshape(len(motion), -1)
    joints[~figure.present] = np.nan
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="ascii") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for t_us, state, confidence, row in zip(
            motion.t_us, motion.state, motion.confidence, joints, strict=True
        ):
            places = [f"{value:.5f}" for value in row]
            table.writerow([t_us, STATE_NAMES[state], f"{confidence:.4f}", *places])
    return []
