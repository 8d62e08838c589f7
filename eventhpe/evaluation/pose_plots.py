"""Pictures of pose scores: errors by joint, movement, sensor and time, and against confidence."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.body.joints import JOINT_NAMES
from eventhpe.errors import InputError
from eventhpe.evaluation.pose_report import joint_means, label
from eventhpe.evaluation.pose_rows import CARRIED, RESET
from eventhpe.evaluation.pose_scores import (
    Conditions,
    Scores,
    StepErrors,
    confidence_rho,
    grouped,
    summary,
)
from eventhpe.files import atomic_path
from eventhpe.sequence import TRACKED

MOST_METHODS = 6  # that bars and curves can tell apart
BIN_S = 0.5  # of the curves over time
BINS = 10  # of confidence, with equally many steps each


def load_pyplot() -> Any:
    """The module ``matplotlib.pyplot``, drawing to files; the extra ``viz`` installs it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise InputError(
            "matplotlib", "no matplotlib", "it, to draw plots", "pip install 'eventhpe[viz]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw_pose_plots(scores: Scores, main: str, out: Path) -> None:
    """Write ``pel_by_joint.png``, ``pel_by_movement.png``, ``pel_by_sensor.png``,
    ``pel_over_time.png`` and ``confidence.png``.

    Args:
        main: the method whose confidence is drawn.
        out: folder to write into.
    """
    pyplot = load_pyplot()
    shown = _shown(scores, main)
    joints = {name: joint_means(errors) for name, errors in shown.items()}
    titles = [name.replace("_", " ") for name in JOINT_NAMES]
    _bars(pyplot, joints, titles, "joint", out / "pel_by_joint.png")
    splits: dict[str, Callable[[StepErrors], str]] = {
        "movement": lambda error: error.movement,
        "sensor": lambda error: error.sensor,
    }
    for split, key in splits.items():
        found = {name: grouped(errors, key) for name, errors in shown.items()}
        groups = sorted({group for parts in found.values() for group in parts})
        means = {
            name: [summary(parts.get(group, []))["pel_mm"] for group in groups]
            for name, parts in found.items()
        }
        _bars(pyplot, means, groups, split, out / f"pel_by_{split}.png")
    _over_time(pyplot, shown, out / "pel_over_time.png")
    _confidence(pyplot, scores.get(Conditions(main), []), main, out / "confidence.png")


def over_time(errors: Sequence[StepErrors]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds since the start, in the middle of `BIN_S` each, and the median over recordings of
    their mean PEL error there, millimetres; spans that no recording has are left out."""
    rows: dict[int, list[float]] = {}
    for error in errors:
        bins = (error.t_us * 1e-6 / BIN_S).astype(int)
        for index in np.unique(bins).tolist():
            mean = float(error.values["pel_mm"][bins == index].mean())
            rows.setdefault(index, []).append(mean)
    order = sorted(rows)
    return (np.array(order) + 0.5) * BIN_S, np.array([np.median(rows[index]) for index in order])


def _shown(scores: Scores, main: str) -> Mapping[str, list[StepErrors]]:
    """Rows over whole recordings by their names in a legend: at most `MOST_METHODS`, baselines and
    networks before the main network's variants."""
    rows = {
        label(conditions): errors
        for conditions, errors in scores.items()
        if not conditions.method.endswith((CARRIED, RESET)) and any(len(e.t_us) for e in errors)
    }
    methods = {conditions.method for conditions in scores}
    variants = [name for name in rows if name not in methods or name.startswith(f"{main}, ")]
    first = [name for name in rows if name not in variants]
    return {name: rows[name] for name in [*first, *variants][:MOST_METHODS]}


def _bars(
    pyplot: Any,
    values: Mapping[str, Sequence[float]],
    groups: Sequence[str],
    split: str,
    path: Path,
) -> None:
    """Groups across, methods side by side in each."""
    figure, axes = pyplot.subplots(figsize=(max(7.0, 1.5 + 0.55 * len(groups)), 5.2))
    width = 0.84 / max(len(values), 1)
    places = np.arange(len(groups))
    for index, (name, heights) in enumerate(values.items()):
        shift = (index - (len(values) - 1) / 2) * width
        axes.bar(places + shift, heights, width, label=name, color=f"C{index}")
    turned = len(groups) > 8
    axes.set_xticks(places, groups, **({"rotation": 55, "ha": "right"} if turned else {}))
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylabel("PEL error, mm (hips' midpoint aligned)")
    axes.set_title(f"Error by {split}")
    _finish(pyplot, figure, axes, path, below=0.28 if turned else 0.12)


def _over_time(pyplot: Any, shown: Mapping[str, list[StepErrors]], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(8.0, 5.2))
    for index, (name, errors) in enumerate(shown.items()):
        axes.plot(*over_time(errors), label=name, color=f"C{index}", linewidth=1.5)
    axes.set_xlabel("time since the recording's start, s")
    axes.set_ylabel("PEL error, mm: median over recordings")
    axes.set_title(f"Error over time, {BIN_S:g} s at once")
    axes.set_ylim(bottom=0)
    _finish(pyplot, figure, axes, path)


def _confidence(pyplot: Any, errors: Sequence[StepErrors], name: str, path: Path) -> None:
    """Every tracked step, and the median of steps of like confidence."""
    tracked = [(e, e.state == TRACKED) for e in errors]
    confidence = np.concatenate([np.zeros(0), *(e.confidence[mask] for e, mask in tracked)])
    error = np.concatenate([np.zeros(0), *(e.values["pel_mm"][mask] for e, mask in tracked)])
    figure, axes = pyplot.subplots(figsize=(7.0, 5.2))
    axes.plot(confidence, error, ".", markersize=2, alpha=0.25, color="C0", label="a tracked step")
    if len(error) >= BINS:
        parts = np.array_split(np.argsort(confidence), BINS)
        middles = [(np.median(confidence[part]), np.median(error[part])) for part in parts]
        axes.plot(*np.transpose(middles), "o-", color="C3", label=f"median of a {BINS}th of them")
    axes.set_xlabel("confidence")
    axes.set_ylabel("PEL error, mm")
    axes.set_title(f"{name}: rank correlation with minus the error {confidence_rho(errors):.2f}")
    axes.set_ylim(bottom=0)
    _finish(pyplot, figure, axes, path)


def _finish(pyplot: Any, figure: Any, axes: Any, path: Path, below: float = 0.12) -> None:
    """Write the figure, its legend ``below`` the axes by this share of their height."""
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -below)}
    axes.legend(**place, ncols=2, frameon=False, fontsize=9)
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=110, bbox_inches="tight")
    pyplot.close(figure)
