"""SMPL fitted to DHP19's Vicon markers: who a subject is, and how they move in a recording.

A marker sits somewhere near its nominal joint: at ``joint + R offset``, R the orientation of the
bone that the joint turns and ``offset`` the same in all of a subject's recordings. Some hundred
frames of all recordings give betas and offsets (`fit_person`), together with those frames' poses;
then whole recordings are fitted, all frames at once (`fit_motion`). What 13 markers do not show,
natural poses, joint limits and smoothness decide. The world is z up; which way people face, the
markers say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.body.fitting_problems import MotionProblem, PersonProblem, descend
from eventhpe.body.fitting_start import TRUNK, begin, bridged
from eventhpe.body.joints import DHP19_HAND_TO_SMPL, DHP19_NAMES, DHP19_TO_SMPL
from eventhpe.body.marker_model import MARKERS, Person, Poses, Skeleton, local_rotations, pose
from eventhpe.body.model import Body

Array = NDArray[np.float64]

MIN_FRAMES = 30
"""Usable frames that a recording must have."""
PERSON_FRAMES = 330
"""Frames that a person is found from; more change little."""
LEAST_SEEN, LEAST_TRUNK = 8, 3
"""Markers, and of them markers of the trunk, that a usable frame must show."""
STRETCH, MARGIN = 2000, 100
"""Frames that are fitted at once (0.3 GB), and how far a stretch looks beyond its ends."""
OFFSET_SPREAD, FOOT_SPREAD = 0.025, 0.04
"""Metres: how far markers are from their joints, each coordinate (chosen). Feet more: DHP19's
label is somewhere between SMPL's ankle and foot."""

_HANDS = [DHP19_NAMES.index(name) for name in ("handR", "handL")]
_FEET = [DHP19_NAMES.index(name) for name in ("footR", "footL")]
# Bones between two markers: hips to knees and shoulders to elbows; then elbows to hands.
_LONG_BONES = ((5, 9), (6, 10), (1, 3), (2, 4))
_FOREARMS = ((3, 7), (4, 8))


@dataclass(frozen=True)
class FittedMotion:
    """N frames of a body in the markers' world.

    Attributes:
        rotations: (N, 24, 3, 3) SMPL's: the pelvis in the world, the others in their parents.
        transl: (N, 3) metres, SMPL's translation.
        joints: (N, 24, 3) metres.
        residual_mm: (N,) mean distance of the visible markers; NaN where none is visible.
    """

    rotations: Array
    transl: Array
    joints: Array
    residual_mm: Array


def usable(observed: Array) -> NDArray[np.bool_]:
    """(N,) frames of markers (N, 13, 3) that show enough to say where the body is."""
    seen = np.asarray(~np.isnan(observed).any(axis=-1))
    trunk = seen[:, list(TRUNK)].sum(axis=1)
    return np.asarray((seen.sum(axis=1) >= LEAST_SEEN) & (trunk >= LEAST_TRUNK))


def fit_person(recordings: Sequence[Array], body: Body) -> Person:
    """Betas and marker offsets of a subject.

    A marker that is never seen keeps the offset it would have on an average person.

    Args:
        recordings: (N, 13, 3) markers each, metres, z up, DHP19's order; NaN where hidden.
        body: whose betas are found.

    Raises:
        ValueError: fewer than `MIN_FRAMES` usable frames in all.
    """
    skeleton = Skeleton(body)
    chosen = _well_spread(recordings)
    middle = np.zeros((MARKERS, 3))
    if _on_hands(chosen, skeleton):
        middle[_HANDS] = skeleton.bones[list(DHP19_HAND_TO_SMPL)]
    spread = np.full((MARKERS, 1), OFFSET_SPREAD)
    spread[_FEET] = FOOT_SPREAD
    average = Person(np.zeros(10), middle)
    start = begin(chosen, skeleton, average)
    problem = PersonProblem(chosen, skeleton, middle, spread)
    return descend(problem, (average, start), iterations=40, least_gain=1e-4)[0]


def fit_motion(observed: Array, person: Person, body: Body) -> FittedMotion:
    """Poses and places of a whole recording; gaps are bridged smoothly.

    Args:
        observed: (N, 13, 3) markers at 100 Hz, metres, z up; NaN where hidden.
        person: from `fit_person`.
        body: the same as there.

    Raises:
        ValueError: fewer than `MIN_FRAMES` usable frames.
    """
    if (count := int(usable(observed).sum())) < MIN_FRAMES:
        raise ValueError(f"{count} usable frames; expected at least {MIN_FRAMES}")
    skeleton = Skeleton(body)
    filled = bridged(observed)
    parts = []
    for first in range(0, len(observed), STRETCH):
        low, end = max(first - MARGIN, 0), min(first + STRETCH, len(observed))
        rows = slice(low, min(end + MARGIN, len(observed)))
        problem = MotionProblem(observed[rows], skeleton, person)
        start = begin(filled[rows], skeleton, person)
        poses = descend(problem, start, iterations=12, least_gain=1e-4)
        parts.append(poses[first - low : end - low])
    return _as_smpl(Poses.joined(parts), observed, skeleton, person)


def _as_smpl(poses: Poses, observed: Array, skeleton: Skeleton, person: Person) -> FittedMotion:
    posed = pose(poses, skeleton.of(person.betas))
    off = 1000 * np.linalg.norm(posed.markers(person.offsets) - observed, axis=-1)
    seen = ~np.isnan(off)
    total = np.where(seen, off, 0.0).sum(axis=1)
    residual = np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan)
    transl = poses.place - skeleton.rest_pelvis(person.betas)
    return FittedMotion(local_rotations(poses), transl, posed.places, residual)


def _well_spread(recordings: Sequence[Array]) -> Array:
    """`PERSON_FRAMES` usable frames, as many of each recording, evenly over its time."""
    found = [observed[usable(observed)] for observed in recordings]
    found = [observed for observed in found if len(observed)]
    if (count := sum(map(len, found))) < MIN_FRAMES:
        raise ValueError(f"{count} usable frames; expected at least {MIN_FRAMES}")
    each = -(-PERSON_FRAMES // len(found))
    return np.concatenate(
        [
            observed[np.unique(np.linspace(0, len(observed) - 1, each).round().astype(int))]
            for observed in found
        ]
    )


def _on_hands(observed: Array, skeleton: Skeleton) -> bool:
    """Whether the labels of the hands are on the hands rather than on the wrists.

    The elbow's distance to the label, beside those between hip and knee, and shoulder and elbow,
    is nearer to the hand's than to the wrist's. Both arms count together: one subject is
    marked in one way.
    """
    lengths = np.linalg.norm(skeleton.bones, axis=1)
    wrist, hand = lengths[20], np.linalg.norm(skeleton.bones[20] + skeleton.bones[22])

    def measured(pairs: tuple[tuple[int, int], ...]) -> float:
        """Distances beside those of the average body's nominal joints."""
        ratios = []
        for start, end in pairs:
            distance = np.linalg.norm(observed[:, end] - observed[:, start], axis=-1)
            if not np.isnan(distance).all():
                ratios.append(np.nanmedian(distance) / lengths[DHP19_TO_SMPL[end]])
        return float(np.mean(ratios)) if ratios else 1.0

    return bool(measured(_FOREARMS) * wrist > measured(_LONG_BONES) * (wrist + hand) / 2)
