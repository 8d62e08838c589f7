"""Pose scores as a table for the eye, as CSV and Markdown."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eventhpe.body.joints import JOINT_NAMES
from eventhpe.evaluation.pose_rows import CARRIED, CLIP_STEPS, RESET
from eventhpe.evaluation.pose_scores import (
    JUDGEMENTS,
    METRICS,
    VERTEX_STRIDE,
    Conditions,
    Metric,
    Scores,
    StepErrors,
    grouped,
    summary,
)
from eventhpe.files import atomic_path

Cell = str | int | float | None
Row = dict[str, Cell]

ALIGNMENT = "; ".join(
    f"{metric.title} {metric.alignment}" for metric in METRICS if "%" not in metric.alignment
)
_WORDS = ("method", "start", "region", "step_ms", "memory")
_NOTES = f"""Means over steps with a person; steps called absent count with the pose they hold. \
24 SMPL joints, camera space. PEL: hips' midpoint aligned; PA: similarity, per step; PVE: all \
vertices, pelvis aligned, every {VERTEX_STRIDE}th step; PCKh@0.5 within half a head, 3DPCK within \
150 mm and its AUC over 0..150 mm, both hips aligned; accel: of three consecutive steps, no \
alignment; 2D: all joints, in the image or not, pixels of the sensor and % of the region's side; \
depth: of the pelvis, % of its distance. rho: Spearman's rank correlation of confidence with minus \
the PEL error over tracked steps (positive: the surer, the better). absent, held, tracked: steps \
with a person; nobody: absent ones among the steps without. start: the pose a method is given; \
memory: what a network carries. "last quarter" rows score the same steps of each recording, and \
clips of {CLIP_STEPS} steps those after each true start pose."""


def pose_rows(scores: Scores) -> list[Row]:
    """One row for each method and its conditions, `summary` beside them."""
    return [
        {**_words(conditions), "joints": 24, "alignment": ALIGNMENT, **_cells(summary(errors))}
        for conditions, errors in scores.items()
    ]


def split_rows(scores: Scores) -> list[Row]:
    """One row for each method and joint, movement and sensor; joints have a PEL error alone."""
    rows: list[Row] = []
    for conditions, errors in scores.items():
        head: Row = {**_words(conditions), "joints": 24, "alignment": ALIGNMENT}
        steps = sum(len(error.t_us) for error in errors)
        for name, value in zip(JOINT_NAMES, joint_means(errors), strict=True):
            rows.append({**head, "split": "joint", "group": name, "steps": steps, "pel_mm": value})
        for split in ("movement", "sensor"):
            for group, members in grouped(errors, lambda e: str(getattr(e, split))).items():  # noqa: B023
                rows.append({**head, "split": split, "group": group, **_cells(summary(members))})
    return rows


def joint_means(errors: Sequence[StepErrors]) -> list[float]:
    """PEL error of each of the 24 joints, millimetres; NaN without steps."""
    joints = np.concatenate([np.zeros((0, 24)), *(error.joint_mm for error in errors)])
    if not len(joints):
        return [math.nan] * 24
    return [float(value) for value in joints.mean(axis=0)]


def memory_ratio(scores: Scores) -> float:
    """PEL error of the last quarter with all memory over that with memory of a second; NaN where
    there is none."""
    found = {}
    for ending in (CARRIED, RESET):
        rows = [errors for conditions, errors in scores.items() if _ends(conditions, ending)]
        found[ending] = summary(rows[0])["pel_mm"] if rows else math.nan
    return found[CARRIED] / found[RESET]


def pose_set_table(scores: Scores) -> str:
    """The rows as aligned text, and what the columns are."""
    columns = [*METRICS, *JUDGEMENTS]
    rows = [_printed(conditions, summary(errors)) for conditions, errors in scores.items()]
    heads = [*_WORDS, *(metric.title for metric in columns), "steps"]
    units = ["", "", "", "", "", *(metric.unit for metric in columns), ""]
    widths = [max(map(len, column)) for column in zip(heads, units, *rows, strict=True)]
    words = len(_WORDS)

    def line(cells: Sequence[str]) -> str:
        padded = [
            f"{cell:<{width}}" if index < words else f"{cell:>{width}}"
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    lines = [line(heads), line(units), *(line(row) for row in rows)]
    ratio = (
        f"last quarter, memory of all before over memory of a second: {memory_ratio(scores):.3f}"
    )
    return "\n".join([*lines, "", ratio, "", _NOTES])


def pose_markdown(scores: Scores, about: Mapping[str, object]) -> str:
    """The tables of rows, joints, movements and sensors as Markdown."""
    columns = [*METRICS, *JUDGEMENTS]
    heads = [*_WORDS, *(_head(metric) for metric in columns), "steps"]
    rows = [_printed(conditions, summary(errors)) for conditions, errors in scores.items()]
    parts = ["# Poses", *(f"- {name}: {value}" for name, value in about.items()), ""]
    parts += [_markdown(heads, rows), "", _NOTES, ""]
    parts += [f"Memory: the last quarter's ratio is {memory_ratio(scores):.3f}.", ""]
    for split in ("joint", "movement", "sensor"):
        parts += [f"## PEL error by {split}, mm", "", _split_table(scores, split), ""]
    return "\n".join(parts)


def write_pose_report(scores: Scores, about: Mapping[str, object], out: Path) -> None:
    """Write ``pose.csv``, ``pose_splits.csv`` and ``pose.md`` into a folder.

    Args:
        about: what was evaluated; goes before the Markdown tables.
    """
    for name, rows in (("pose.csv", pose_rows(scores)), ("pose_splits.csv", split_rows(scores))):
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with atomic_path(out / name) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    with atomic_path(out / "pose.md") as partial:
        partial.write_text(pose_markdown(scores, about))


def label(conditions: Conditions) -> str:
    """A row's name with what is unusual about it, for a legend or a narrow table."""
    usual = Conditions(conditions.method)
    said = [conditions.method]
    if conditions.region == "truth":
        said.append("truth region")
    if conditions.step_ms != usual.step_ms:
        said.append(f"{conditions.step_ms} ms steps")
    if conditions.memory.endswith(" steps"):
        said.append(f"memory of {conditions.memory}")
    return ", ".join(said)


def _ends(conditions: Conditions, ending: str) -> bool:
    return conditions.method.endswith(ending)


def _words(conditions: Conditions) -> Row:
    return {name: getattr(conditions, name) for name in _WORDS}


def _cells(values: Mapping[str, float]) -> Row:
    """NaN as an empty cell."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _printed(conditions: Conditions, values: Mapping[str, float]) -> list[str]:
    words = [str(getattr(conditions, name)) for name in _WORDS]
    numbers = [
        "-" if math.isnan(values[metric.key]) else f"{values[metric.key]:.{metric.digits}f}"
        for metric in (*METRICS, *JUDGEMENTS)
    ]
    return [*words, *numbers, f"{values['steps']:,.0f}"]


def _head(metric: Metric) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    aligned = f" ({metric.alignment})" if metric.alignment else ""
    return f"{metric.title}{unit}{aligned}"


def _split_table(scores: Scores, split: str) -> str:
    """Groups down, methods across."""
    columns: dict[str, dict[str, float]] = {}
    for conditions, errors in scores.items():
        name = label(conditions)
        if split == "joint":
            columns[name] = dict(zip(JOINT_NAMES, joint_means(errors), strict=True))
        else:
            groups = grouped(errors, lambda e: str(getattr(e, split)))
            columns[name] = {group: summary(found)["pel_mm"] for group, found in groups.items()}
    groups_down = list(dict.fromkeys(group for found in columns.values() for group in found))
    rows = []
    for group in groups_down:
        values = [found.get(group, math.nan) for found in columns.values()]
        rows.append([group, *("-" if math.isnan(value) else f"{value:.1f}" for value in values)])
    return _markdown([split, *columns], rows)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
