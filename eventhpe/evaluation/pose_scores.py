"""Errors of motions against a simulated set's truth, step by step, and what they come to.

Steps without a person do not count; steps that a method calls absent count with the pose they hold.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from eventhpe import metrics
from eventhpe.body import Body
from eventhpe.camera import project
from eventhpe.evaluation.pose_set import SetRecording
from eventhpe.sequence import ABSENT, STATE_NAMES, TRACKED, MotionSequence

Float = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

VERTEX_STRIDE = 5  # vertices are compared at every fifth step
NEAREST_M = 0.1  # joints nearer to the camera, or behind it, are drawn as if they were here
LOCOMOTION = ("walk", "jog", "run")
MOCAP = "motion capture"


@dataclass(frozen=True)
class Metric:
    """A column of a table: its key, what it is called, its unit and alignment, its digits."""

    key: str
    title: str
    unit: str
    alignment: str
    digits: int


METRICS = (
    Metric("mpjpe_mm", "MPJPE", "mm", "none", 1),
    Metric("pel_mm", "PEL", "mm", "hips' midpoint", 1),
    Metric("pa_mm", "PA", "mm", "similarity", 1),
    Metric("pve_mm", "PVE", "mm", "pelvis", 1),
    Metric("pckh_percent", "PCKh@0.5", "%", "hips' midpoint", 1),
    Metric("pck150_percent", "3DPCK", "%", "hips' midpoint", 1),
    Metric("auc_percent", "AUC", "%", "hips' midpoint", 1),
    Metric("acceleration_m_s2", "accel", "m/s^2", "none", 2),
    Metric("image_px", "2D", "px", "none", 2),
    Metric("image_side_percent", "2D", "% of side", "none", 2),
    Metric("depth_percent", "depth", "% of it", "none", 2),
)
"""Errors of a step with a person; all but PVE and depth are of the 24 joints. Depth is that of the
pelvis. Acceleration is of three consecutive steps, PVE of every fifth step."""

JUDGEMENTS = (
    Metric("confidence_rho", "rho", "", "", 2),
    Metric("absent_percent", "absent", "%", "", 1),
    Metric("held_percent", "held", "%", "", 1),
    Metric("tracked_percent", "tracked", "%", "", 1),
    Metric("nobody_absent_percent", "nobody", "%", "", 1),
)
"""What a method says of itself: Spearman's rank correlation of confidence with minus the PEL error
over tracked steps (positive: the surer, the better); states over steps with a person; absent ones
over steps without."""


@dataclass(frozen=True)
class Conditions:
    """What names a row: a method, and what it was given.

    Attributes:
        start: "none", or "true pose".
        region: "tracked", "truth", or "none" where no region is looked at.
        memory: what a network carries from step to step; "none" without a network.
    """

    method: str
    start: str = "none"
    region: str = "tracked"
    step_ms: int = 50
    memory: str = "whole recording"


@dataclass(frozen=True)
class Estimate:
    """A method's motion on a recording.

    Attributes:
        counted: (T,) steps that are scored.
        piece: (T,) number of the clip that a step belongs to; acceleration needs three steps of
            one clip.
        judges: whether confidence and state are the method's own.
    """

    motion: MotionSequence
    counted: Mask
    piece: NDArray[np.int64]
    judges: bool = True

    @classmethod
    def whole(cls, motion: MotionSequence, judges: bool = True) -> "Estimate":
        """Every step of a motion."""
        steps = len(motion)
        return cls(motion, np.ones(steps, bool), np.zeros(steps, np.int64), judges)


@dataclass(frozen=True)
class TrueSteps:
    """The truth at a motion's T times.

    Attributes:
        present: (T,).
        joints: (T, 24, 3) metres, camera frame.
        posed: (P,) steps with a person at which there are vertices.
        vertices: (P, V, 3).
    """

    present: Mask
    joints: Float
    posed: NDArray[np.int64]
    vertices: Float

    @classmethod
    def at(cls, recording: SetRecording, motion: MotionSequence, body: Body) -> "TrueSteps":
        """The truth at a motion's times."""
        t_us = motion.t_us
        pose = recording.truth.at(t_us)
        posed = np.flatnonzero(pose.present & _fifth(motion))
        vertices = (
            recording.truth.vertices(body, t_us[posed]) if len(posed) else np.zeros((0, 1, 3))
        )
        return cls(pose.present, pose.joints, posed, vertices)

    @classmethod
    def of(cls, truth: MotionSequence, body: Body) -> "TrueSteps":
        """A truth that is a motion of ``body``, with nobody where it says ``ABSENT``."""
        present = truth.state != ABSENT
        posed = np.flatnonzero(present & _fifth(truth))
        if not len(posed):
            return cls(present, truth.joints(body), posed, np.zeros((0, 1, 3)))
        vertices = np.stack([v for v, _ in truth.posed(body, posed.tolist())])
        return cls(present, truth.joints(body), posed, vertices)


@dataclass(frozen=True)
class StepErrors:
    """A recording's errors by one method.

    Attributes:
        name, sensor, movement: of the recording.
        values: by a metric's key, (N,) of the steps with a person; acceleration and PVE fewer.
        joint_mm: (N, 24) PEL distance of each joint.
        t_us, confidence, state: (N,) of the same steps.
        nobody: (M,) states of the steps without a person.
        judges: whether confidence and states are the method's own.
    """

    name: str
    sensor: str
    movement: str
    values: dict[str, Float]
    joint_mm: Float
    t_us: NDArray[np.int64]
    confidence: NDArray[np.float32]
    state: NDArray[np.uint8]
    nobody: NDArray[np.uint8]
    judges: bool


Scores = dict[Conditions, list[StepErrors]]


def score(estimate: Estimate, truth: TrueSteps, recording: SetRecording, body: Body) -> StepErrors:
    """Compare a motion with the truth at its own times."""
    known = recording.truth
    name, sensor = known.path.stem, str(known.description.get("sensor_name", "unknown"))
    return step_errors(
        estimate, truth, known.K, body, name=name, sensor=sensor, kind=movement(known.description)
    )


def step_errors(
    estimate: Estimate,
    truth: TrueSteps,
    K: NDArray[np.float64],
    body: Body,
    *,
    name: str,
    sensor: str,
    kind: str,
) -> StepErrors:
    """Compare a motion with the truth at its own times.

    Args:
        K: (3, 3) the intrinsics that the truth is seen with.
        body: that of the motion.
        name, sensor, kind: what the recording is called, and what is moved before which sensor.
    """
    motion, counted = estimate.motion, estimate.counted & truth.present
    joints = motion.joints(body)
    pred, true = joints[counted], truth.joints[counted]
    image_px = _image_error(pred, true, motion, K)
    hips = list(metrics.SMPL_HIPS)
    centred, true_centred = (x - x[:, hips].mean(axis=1, keepdims=True) for x in (pred, true))
    values = {
        "mpjpe_mm": metrics.mpjpe(pred, true),
        "pel_mm": metrics.pel_mpjpe(pred, true),
        "pa_mm": metrics.pa_mpjpe(pred, true),
        "pve_mm": _vertex_error(estimate, joints, truth, body),
        "pckh_percent": 100 * metrics.pckh(pred, true),
        "pck150_percent": 100 * metrics.pck(pred, true, 150.0),
        "auc_percent": 100 * metrics.pck3d_auc(pred, true),
        "acceleration_m_s2": _acceleration(estimate, joints, truth),
        "image_px": image_px,
        "image_side_percent": 100 * image_px / motion.region[counted, 2],
        "depth_percent": 100 * np.abs(pred[:, 0, 2] - true[:, 0, 2]) / true[:, 0, 2],
    }
    return StepErrors(
        name,
        sensor,
        kind,
        values,
        1000 * np.linalg.norm(centred - true_centred, axis=2),
        motion.t_us[counted],
        motion.confidence[counted],
        motion.state[counted],
        motion.state[estimate.counted & ~truth.present],
        estimate.judges,
    )


def movement(description: dict[str, Any]) -> str:
    """What kind of motion a recording shows, from its description.

    Recordings hold several motions one after the other, so they are told apart by what is among
    them: a captured take, walking and jogging alone (standing does not count), none, or both.
    """
    if description.get("take"):
        return MOCAP
    kinds = [str(name) for name in description.get("motion", ())]
    walks = [name for name in kinds if name.startswith(LOCOMOTION)]
    others = [name for name in kinds if not name.startswith((*LOCOMOTION, "stand"))]
    if walks and others:
        return "walking and gestures"
    return "walking" if walks else "gestures"


def summary(errors: Iterable[StepErrors]) -> dict[str, float]:
    """By key, the means over all steps of all recordings, `JUDGEMENTS`, and ``steps``.

    What has no step is NaN.
    """
    found = list(errors)
    row = {metric.key: _mean([e.values[metric.key] for e in found]) for metric in METRICS}
    judged = [e for e in found if e.judges]
    row["confidence_rho"] = confidence_rho(judged)
    for code, name in enumerate(STATE_NAMES):
        row[f"{name}_percent"] = 100 * _mean([e.state == code for e in judged])
    row["nobody_absent_percent"] = 100 * _mean([e.nobody == ABSENT for e in judged])
    row["steps"] = sum(len(e.t_us) for e in found)
    return row


def confidence_rho(errors: Iterable[StepErrors]) -> float:
    """Spearman's rank correlation of confidence with minus the PEL error over tracked steps.

    Positive where surer steps are better; NaN where there are fewer than three, or all are alike.
    """
    tracked = [(e, e.state == TRACKED) for e in errors]
    confidence = np.concatenate([np.zeros(0), *(e.confidence[mask] for e, mask in tracked)])
    error = np.concatenate([np.zeros(0), *(e.values["pel_mm"][mask] for e, mask in tracked)])
    if len(error) < 3 or np.ptp(confidence) == 0 or np.ptp(error) == 0:
        return math.nan
    return float(stats.spearmanr(confidence, -error).statistic)


def grouped(
    errors: Iterable[StepErrors], key: Callable[[StepErrors], str]
) -> dict[str, list[StepErrors]]:
    """Recordings with a person by sensor or movement, in the order of the names."""
    groups: dict[str, list[StepErrors]] = {}
    for error in errors:
        if len(error.t_us):
            groups.setdefault(key(error), []).append(error)
    return dict(sorted(groups.items()))


def _mean(parts: list[NDArray[Any]]) -> float:
    values = np.concatenate([np.zeros(0), *parts])
    return float(values.mean()) if len(values) else math.nan


def _fifth(motion: MotionSequence) -> Mask:
    """(T,) every fifth step by the clock, so that a motion and a part of it are compared at the
    same moments."""
    return np.asarray(motion.t_us // motion.step_us % VERTEX_STRIDE == 0)


def _vertex_error(estimate: Estimate, joints: Float, truth: TrueSteps, body: Body) -> Float:
    chosen = estimate.counted[truth.posed]
    steps = truth.posed[chosen]
    if not len(steps):
        return np.zeros(0)
    vertices = np.stack([v for v, _ in estimate.motion.posed(body, steps.tolist())])
    return metrics.pve(vertices, truth.vertices[chosen], joints[steps], truth.joints[steps])


def _acceleration(estimate: Estimate, joints: Float, truth: TrueSteps) -> Float:
    """(M,) of the middle steps of three that all count, in one clip."""
    if len(joints) < 3:
        return np.zeros(0)
    # NaN marks what does not count; a difference that touches it is left out.
    true = np.where((estimate.counted & truth.present)[:, None, None], truth.joints, np.nan)
    error = metrics.acceleration_error(joints, true, 1e6 / estimate.motion.step_us)
    same = (estimate.piece[2:] == estimate.piece[:-2]) & np.isfinite(error)
    return np.asarray(error[same])


def _image_error(pred: Float, true: Float, motion: MotionSequence, K: NDArray[np.float64]) -> Float:
    """(N,) mean distance of joints in the image, pixels of the sensor."""
    before = pred.astype(np.float64)
    before[..., 2] = np.maximum(before[..., 2], NEAREST_M)
    distance = project(before, motion.K) - project(true.astype(np.float64), K)
    return np.asarray(np.linalg.norm(distance, axis=2).mean(axis=1))
