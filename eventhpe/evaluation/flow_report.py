"""The scores of optical flow as a table for the eye and as rows for a file."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path

from eventhpe.evaluation.flow import SPEED_BANDS, TRUTHS, FlowScores
from eventhpe.evaluation.flow_methods import ZeroFlow
from eventhpe.files import atomic_path
from eventhpe.metrics import FlowSums

ZERO = ZeroFlow.name
_NAME, _CELL = 28, 10  # columns of text
_TITLES = {
    "events": "event pixels; truth: displacement over the window of the surface that fired",
    "surface": "pixels of the body seen at the window's start; truth: their flow from then on",
}

Row = dict[str, str | int | float | None]


def flow_rows(scores: FlowScores) -> list[Row]:
    """One row for each truth, method and group that has pixels.

    ``aee`` is in sensor pixels per window, ``outlier_percent`` as in `FlowSums`, and
    ``aee_over_zero`` the AEE over that of zero flow on the same pixels.
    """
    rows: list[Row] = []
    for (truth, method, group), sums in scores.sums.items():
        zero = scores.sums.get((truth, ZERO, group), FlowSums())
        if sums.pixels:
            rows.append(
                {
                    "truth": truth,
                    "method": method,
                    "group": group,
                    "aee": sums.aee,
                    "outlier_percent": sums.outlier_percent,
                    "aee_over_zero": sums.error / zero.error if zero.error else None,
                    "pixels": sums.pixels,
                }
            )
    return rows


def flow_table(scores: FlowScores) -> str:
    """Two blocks, one a truth: methods down; all pixels, speed bands and sensors across."""
    groups = [*SPEED_BANDS, *_sensors(scores)]
    names = ["AEE, px", "vs zero", "% out", *groups]
    head = f"{'':{_NAME}}" + "".join(f"{name:>{_CELL}}" for name in names)
    methods = list(dict.fromkeys(method for _, method, _ in scores.sums))
    lines = []
    for truth in TRUTHS:
        lines += ["", _TITLES[truth], head]
        zero = scores.sums[truth, ZERO, "all"]
        for method in methods:
            whole = scores.sums[truth, method, "all"]
            ratio = whole.error / zero.error if zero.error else math.nan
            parts = [scores.sums[truth, method, group].aee for group in groups]
            cells = map(_cell, [whole.aee, ratio, whole.outlier_percent, *parts])
            lines.append(f"{method:<{_NAME}}" + "".join(cells))
        shares = [scores.sums[truth, ZERO, group].pixels / max(zero.pixels, 1) for group in groups]
        counted = f"{f'of {zero.pixels:,} pixels':<{_NAME + 3 * _CELL}}"
        lines.append(counted + "".join(f"{share:>{_CELL}.0%}" for share in shares))
    return "\n".join(lines[1:])


def write_flow_report(scores: FlowScores, about: Mapping[str, object], out: Path) -> None:
    """Write ``flow.json`` and ``flow.csv`` into a folder.

    Args:
        about: what was evaluated; goes into the JSON file beside the rows.
    """
    rows = flow_rows(scores)
    counts = {
        "windows": len(scores.windows),
        "windows_without_signal": scores.silent,
        "windows_without_person": scores.absent,
        "interrupted": scores.interrupted,
    }
    with atomic_path(out / "flow.json") as partial:
        partial.write_text(json.dumps({**about, **counts, "rows": rows}, indent=1) + "\n")
    with atomic_path(out / "flow.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _sensors(scores: FlowScores) -> list[str]:
    """Sensors' sizes, the smallest first."""
    groups = {group for _, _, group in scores.sums} - {"all", *SPEED_BANDS}
    return sorted(groups, key=lambda size: math.prod(map(int, size.split("x"))))


def _cell(value: float) -> str:
    return f"{'-' if math.isnan(value) else f'{value:.2f}':>{_CELL}}"
