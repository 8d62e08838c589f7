"""How far a motion is from its truth, in the benchmark's own terms."""

import math

from eventhpe.body import Body
from eventhpe.evaluation.pose_scores import (
    JUDGEMENTS,
    METRICS,
    Estimate,
    StepErrors,
    TrueSteps,
    step_errors,
    summary,
)
from eventhpe.sequence import MotionSequence

_RANK = next(metric for metric in JUDGEMENTS if metric.key == "confidence_rho")


def errors_of(motion: MotionSequence, truth: MotionSequence, body: Body) -> StepErrors:
    """Every step of a motion against a truth at the same moments, both on ``body``."""
    true = TrueSteps.of(truth, body)
    return step_errors(Estimate.whole(motion), true, truth.K, body, name="", sensor="", kind="")


def score_rows(errors: StepErrors) -> list[tuple[str, str, str]]:
    """What is measured, its mean with its unit, and the alignment before it is measured."""
    means = summary([errors])
    rows = [
        (metric.title, _figure(means[metric.key], metric.digits, metric.unit), metric.alignment)
        for metric in METRICS
    ]
    rank = _figure(means[_RANK.key], _RANK.digits, "")
    return [*rows, ("rank correlation of confidence with minus the PEL error", rank, "")]


def _figure(value: float, digits: int, unit: str) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f} {unit}".rstrip()
