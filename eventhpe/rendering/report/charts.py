"""Which plots a report has, in their order."""

import numpy as np

from eventhpe.body import Body
from eventhpe.evaluation.pose_scores import StepErrors
from eventhpe.rendering.report.curves import SIDES, joint_angles, pelvis_speed
from eventhpe.rendering.report.plots import BLACK, BLUE, VERMILLION, Curve, Plot
from eventhpe.rendering.report.survey import Survey
from eventhpe.sequence import MotionSequence

_ANGLES = (
    ("knee", "Knee flexion"),
    ("hip", "Hip flexion"),
    ("elbow", "Elbow flexion"),
    ("shoulder", "Shoulder elevation"),
)
_SIDE_COLOURS = dict(zip(SIDES, (BLUE, VERMILLION), strict=True))
_UNITS = ((1e6, "million events/s"), (1e3, "thousand events/s"), (1.0, "events/s"))


def charts_of(
    motion: MotionSequence,
    body: Body,
    events: Survey,
    truth: MotionSequence | None,
    errors: StepErrors | None,
) -> list[Plot]:
    """Confidence, event rate, speed, angles, and the error where there is a truth.

    Args:
        truth, errors: at the motion's moments; both or none.
    """
    seconds = motion.t_us * 1e-6
    confidence = Curve("confidence", motion.confidence.astype(float), BLUE)
    plots = [
        Plot("Confidence", "", seconds, (confidence,), 0.0, 1.0, 2),
        _rates(events),
    ]
    if errors is not None:
        pel = np.full(len(motion), np.nan)
        pel[np.isin(motion.t_us, errors.t_us)] = errors.values["pel_mm"]
        curve = Curve("mean over 24 joints", pel, BLUE)
        plots.append(Plot("Error, hips aligned (PEL)", "mm", seconds, (curve,), 0.0))
    speeds = [Curve("pelvis", pelvis_speed(motion), BLUE)]
    if truth is not None:
        speeds.append(Curve("truth", pelvis_speed(truth), BLACK, dashed=True))
    plots.append(Plot("Speed of the pelvis", "m/s", seconds, tuple(speeds), 0.0, None, 2))
    found = joint_angles(motion, body)
    true = None if truth is None else joint_angles(truth, body)
    for joint, title in _ANGLES:
        curves = [Curve(side, found[f"{side}_{joint}"], _SIDE_COLOURS[side]) for side in SIDES]
        if true is not None:
            curves += [
                Curve(f"{side}, truth", true[f"{side}_{joint}"], _SIDE_COLOURS[side], dashed=True)
                for side in SIDES
            ]
        plots.append(Plot(title, "degrees", seconds, tuple(curves)))
    return plots


def _rates(events: Survey) -> Plot:
    most = float(events.rate.max(initial=0.0))
    scale, unit = next((entry for entry in _UNITS if most >= 2 * entry[0]), _UNITS[-1])
    curves = (
        Curve("whole picture", events.rate / scale, BLACK),
        Curve("person's region", events.region_rate / scale, BLUE),
    )
    digits = 0 if scale == 1 else 2
    return Plot("Events", unit, events.t_us * 1e-6, curves, 0.0, None, digits)
