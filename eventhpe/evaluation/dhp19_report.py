"""A DHP19 evaluation as a table beside the published results, and as CSV."""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from eventhpe.evaluation.dhp19_rows import (
    IMAGE,
    NO_ALIGNMENT,
    ONE_CAMERA,
    PROTOCOLS,
    TWO_CAMERAS,
    Scores,
)
from eventhpe.files import atomic_path

NOT_STATED = "not stated"
REFERENCE_TEST, SCARPELLINI_TEST = "S13-17", "S1-5, cameras 1, 2"

NOTES = """Mean distance over all labels of the data set's constant-count frames (7,500 events a \
camera); left out are hidden markers and, in 2D, those outside 0 < u <= 344, 0 < v <= 260. Places \
are interpolated between steps of 50 ms. two cameras: 13 points projected into channels 3 and 2 \
(P2, P3) and triangulated linearly. four cameras: their bodies fused into one, nominal joints. \
2D: labels cut to whole pixels. height: whether the person's true height was given. floor: what \
perfect poses get, because markers sit off the joints, because a fit cannot follow them in all, \
and because labels are cut."""


@dataclass(frozen=True)
class Row:
    """A line of the table; ``labels`` is how many distances were averaged, 0 where not stated."""

    protocol: str
    alignment: str
    method: str
    labels_from: str
    height: str
    value: float
    unit: str
    data: str
    labels: int = 0


def _published(protocol: str, method: str, value: float, unit: str, data: str) -> Row:
    alignment = NO_ALIGNMENT if protocol != ONE_CAMERA else NOT_STATED
    return Row(protocol, alignment, method, "trained on the labels", NOT_STATED, value, unit, data)


PUBLISHED = (
    _published(TWO_CAMERAS, "Calabrese et al. 2019", 79.63, "mm", REFERENCE_TEST),
    _published(TWO_CAMERAS, "EventPointPose 2022, PointNet", 82.46, "mm", REFERENCE_TEST),
    _published(TWO_CAMERAS, "EventPointPose 2022, Point Transf.", 73.37, "mm", REFERENCE_TEST),
    _published(ONE_CAMERA, "Scarpellini et al. 2021", 92.09, "mm", SCARPELLINI_TEST),
    _published(ONE_CAMERA, "Scarpellini et al. 2021, voxel grid", 95.51, "mm", SCARPELLINI_TEST),
    _published(IMAGE, "tDenseRNN 2024 + PoseAug", 4.55, "px", NOT_STATED),
)
"""Results of others on the real data set, each by the protocol of its own paper."""


def dhp19_rows(scores: Scores, data: str) -> list[Row]:
    """Published and scored rows, by protocol.

    Args:
        data: what the scored rows were measured on.
    """
    rows = []
    for protocol in PROTOCOLS:
        if protocol.alignment == NO_ALIGNMENT:
            rows += [row for row in PUBLISHED if row.protocol == protocol.name]
        for (scored, method), found in scores.items():
            if scored != protocol:
                continue
            errors = np.concatenate(found)
            rows.append(
                Row(
                    protocol.name,
                    protocol.alignment,
                    method.name,
                    method.markers,
                    "given" if method.height else "not given",
                    float(errors.mean()) if len(errors) else math.nan,
                    protocol.unit,
                    data,
                    len(errors),
                )
            )
    return rows


def dhp19_table(rows: Sequence[Row]) -> str:
    """The rows as aligned text, and what the columns are."""
    heads = ["protocol", "alignment", "method", "labels from", "height", "mean", "", "on", "labels"]
    cells = [heads, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numbers = (5, 8)

    def line(row: Sequence[str]) -> str:
        padded = [
            f"{cell:>{width}}" if i in numbers else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([*map(line, cells), "", NOTES])


def write_dhp19_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as CSV."""
    with atomic_path(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _cells(row: Row) -> list[str]:
    value = "-" if math.isnan(row.value) else f"{row.value:.2f}"
    labels = f"{row.labels:,}" if row.labels else "-"
    words = [row.protocol, row.alignment, row.method, row.labels_from, row.height]
    return [*words, value, row.unit, row.data, labels]
