"""Refinement: what a whole recording tells about each of its poses, once it has been seen whole.

Inference looks only back: it jitters, and a pose that nothing moved is the one it last saw.
Looking both ways, `refine` smooths without delay, and mends what was held:

- the still start takes the first tracked pose, for who has not moved yet stood like that;
- a stretch held in the middle is one pose halfway between those before and after it: no events
  mean no motion, and both estimates are of the same stance;
- a stretch in which the person was absent is bridged evenly from one pose to the other;
- unless the person went elsewhere unseen: then the earlier pose stays, and neither side is
  smoothed with the other;
- the still end keeps the last tracked pose.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from scipy import linalg, sparse

from eventhpe.body import Body
from eventhpe.estimator import HELD_CONFIDENCE_S
from eventhpe.gravity import settle
from eventhpe.sequence import HELD, TRACKED, MotionSequence

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

WEIGHT_RANGE = (0.05, 4.0)  # of a tracked step, where one of usual confidence has 1
MIN_DEPTH_M = 0.1  # nearer pelvises are no estimates; their logarithm would reach far
ELSEWHERE_M = 0.5  # moved this far across the ray between two tracked steps with a gap between
INSIDE = (0.1, 0.9)  # share of the image's width; who appears outside it may just have come in


@dataclass(frozen=True)
class Cutoffs:
    """Frequencies that smoothing halves, Hz; slower motion passes. Infinity smooths nothing.

    Attributes:
        pose: of all 24 rotations.
        direction: of the ray to the pelvis.
        depth: of the pelvis along it; lower, for one camera sees depth worst.
    """

    pose: float = 4.0
    direction: float = 3.0
    depth: float = 1.0


def refine(motion: MotionSequence, body: Body, cutoffs: Cutoffs | None = None) -> MotionSequence:
    """Smooth a motion without delay and mend what was held; see the module's docstring.

    Tracked steps count by their confidence, the others for nothing: they are filled in. Rotations
    are smoothed as matrices and turned back into rotations, so no angle wraps. The pelvis is
    smoothed as the direction of its ray and the logarithm of its depth.

    Args:
        motion: the motion of a whole recording.
        body: the body that it belongs to.
        cutoffs: how much to smooth; the default was chosen on synhpe-v1's validation part.

    Returns:
        The motion with other rotations and translations, its floor (and ``up``, if it was taken
        from the motion) found anew. A silent start becomes held if the
        person appears well inside the image, its region the first one tracked, its confidence
        fading backward as that of held steps fades forward; all other regions, confidences and
        states stay. A start pose that the user gave stays, too, and a motion that was never
        tracked comes back as it is.

    Raises:
        ValueError: the motion belongs to another body.
    """
    if body.sha256 != motion.body_sha256:
        raise ValueError(f"the motion belongs to {motion.body_id}, not to {body.body_id}")
    tracked = motion.state == TRACKED
    if not tracked.any():
        return motion
    cutoffs = cutoffs or Cutoffs()
    orient, pose = motion.matrices()
    matrices = torch.cat([orient[:, None], pose], dim=1)
    rest = body.rest_joints(torch.from_numpy(motion.betas)[None])[0, 0].numpy()
    pelvis = motion.transl.astype(np.float64) + rest
    depth = np.maximum(pelvis[:, 2:], MIN_DEPTH_M)
    direction = pelvis[:, :2] / depth
    parts = _parts(tracked, direction, depth)
    time, weight = _moving_time(motion), _weights(motion.confidence, tracked)

    def refined(values: Float64, cutoff_hz: float) -> Float64:
        return np.concatenate(
            [_refined(time[i], values[i], weight[i], tracked[i], cutoff_hz) for i in parts]
        )

    blended = refined(matrices.flatten(1).double().numpy(), cutoffs.pose)
    rotations = roma.special_procrustes(torch.from_numpy(blended).view(-1, 24, 3, 3)).float()
    depth = np.exp(refined(np.log(depth), cutoffs.depth))
    direction = refined(direction, cutoffs.direction)
    transl = np.concatenate([direction * depth, depth], axis=1) - rest
    given = _given_start(motion)
    rotations[:given] = matrices[:given]
    transl[:given] = motion.transl[:given]
    kept = {field.name: getattr(motion, field.name) for field in fields(motion)}
    del kept["global_orient"], kept["body_pose"]
    kept["transl"] = transl
    column = motion.K[0, 2] + motion.K[0, 0] * direction[0, 0]
    refined_motion = MotionSequence.from_matrices(
        rotations[:, 0], rotations[:, 1:], **kept | _still_start(motion, column)
    )
    return settle(refined_motion, body)


def smooth(time_s: Float64, values: Float64, weight: Float64, cutoff_hz: float) -> Float64:
    """The curve nearest to weighted samples whose bending costs (Whittaker 1923), without delay.

    Minimises sum_i w_i |f_i - y_i|^2 + (2 pi cutoff)^-4 sum_i |f''_i|^2, f'' by divided
    differences. At unit weights and even steps it multiplies a frequency by about
    1 / (1 + (frequency / cutoff)^4), whatever the step. A straight line stays as it is.

    Args:
        time_s: (T,) seconds, strictly increasing.
        values: (T, C) samples.
        weight: (T,) above 0; w-fold weights multiply the cutoff by w^(1/4).
        cutoff_hz: the frequency that is halved.

    Returns:
        (T, C).
    """
    if len(values) < 3 or np.isinf(cutoff_hz):
        return values.copy()
    steps = np.diff(time_s)
    spans = (steps[1:] + steps[:-1]) / 2
    identity = sparse.identity(len(values), format="csr")
    slope = sparse.diags(1 / steps) @ (identity[1:] - identity[:-1])
    bend = sparse.diags(1 / spans) @ (slope[1:] - slope[:-1])
    # A long step stands for more of the curve than a short one.
    cost = (2 * np.pi * cutoff_hz) ** -4 * spans / np.median(spans)
    penalty = bend.T @ sparse.diags(cost) @ bend
    bands = np.zeros((3, len(values)))
    for k in range(3):
        bands[k, : len(values) - k] = penalty.diagonal(-k)
    bands[0] += weight
    return np.asarray(linalg.solveh_banded(bands, weight[:, None] * values, lower=True))


def _refined(
    time: Float64, values: Float64, weight: Float64, tracked: Mask, cutoff_hz: float
) -> Float64:
    """Tracked steps smoothed; the others on the straight lines between, and level at the ends."""
    at = time[tracked]
    smoothed = smooth(at, values[tracked], weight[tracked], cutoff_hz)
    return np.stack([np.interp(time, at, column) for column in smoothed.T], axis=1)


def _parts(tracked: Mask, direction: Float64, depth: Float64) -> list[slice]:
    """Stretches of steps to refine on their own: a new one where the person turns up elsewhere."""
    seen = np.flatnonzero(tracked)
    before, after = seen[:-1], seen[1:]
    moved = np.linalg.norm(direction[after] - direction[before], axis=1)
    moved *= np.minimum(depth[after], depth[before])[:, 0]
    borders = after[(after - before > 1) & (moved > ELSEWHERE_M)].tolist()
    return [slice(a, b) for a, b in pairwise([0, *borders, len(tracked)])]


def _moving_time(motion: MotionSequence) -> Float64:
    """(T,) seconds in which the clock stands still while a pose is held, however long.

    A held stretch lies, as one moment, between the steps around it.
    """
    held = motion.state == HELD
    steps = np.diff(motion.t_us, prepend=motion.t_us[0]) * 1e-6
    steps[1:][held[1:] & held[:-1]] = 0.0
    return np.cumsum(steps)


def _weights(confidence: NDArray[np.float32], tracked: Mask) -> Float64:
    """1 at the tracked steps' median confidence, so that the cutoffs hold for a usual step."""
    usual = max(float(np.median(confidence[tracked])), 1e-6)
    return np.clip((confidence.astype(np.float64) / usual) ** 2, *WEIGHT_RANGE)


def _given_start(motion: MotionSequence) -> int:
    """How many steps at the beginning hold a start pose of the user's.

    Without one the person is absent until the first motion, never held.
    """
    return int(np.argmin(np.append(motion.state == HELD, False)))


def _still_start(motion: MotionSequence, column: float) -> dict[str, NDArray[Any]]:
    """State, confidence and region after filling a silent start; ``column`` is the pelvis's."""
    first = int(np.argmax(motion.state == TRACKED))
    low, high = (share * motion.width for share in INSIDE)
    # A silent step has no confidence at all; one in which noise was looked at has some.
    if motion.confidence[:first].any() or not low < column < high:
        return {}
    state, confidence = motion.state.copy(), motion.confidence.copy()
    region = motion.region.copy()
    early_s = (motion.t_us[first] - motion.t_us[:first]) * 1e-6
    state[:first] = HELD
    confidence[:first] = confidence[first] * np.exp(-early_s / HELD_CONFIDENCE_S)
    region[:first] = region[first]
    return {"state": state, "confidence": confidence, "region": region}
