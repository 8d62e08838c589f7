"""SMPL fitted to markers of people whose shape, pose and marker offsets are known."""

import numpy as np
import pytest

from eventhpe.body import Body
from eventhpe.body import fitting as fitting_module
from eventhpe.body.fitting import FittedMotion, fit_motion, fit_person, usable
from eventhpe.body.joints import DHP19_HAND_TO_SMPL, DHP19_NAMES
from eventhpe.body.marker_model import Person, Skeleton, rotations
from eventhpe.simulation.motion.retargeting import world_rotations
from scripts.fitting_accuracy import Truth, errors, measure, performances, spread_over

MOVEMENTS = [(1, 1), (1, 7), (2, 1), (5, 7)]  # arm abduction, knee lift, walk, clap
WRIST, KNEE = DHP19_NAMES.index("handR"), DHP19_NAMES.index("kneeL")


@pytest.fixture(scope="module")
def truths(body: Body) -> list[Truth]:
    return performances(101, 1, MOVEMENTS, 3.0, body)


@pytest.fixture(scope="module")
def person(truths: list[Truth], body: Body) -> Person:
    return fit_person([truth.markers for truth in truths], body)


@pytest.fixture(scope="module")
def walk(truths: list[Truth], person: Person, body: Body) -> FittedMotion:
    return fit_motion(truths[2].markers, person, body)


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances of joints in millimetres."""
    return 1000 * np.linalg.norm(a - b, axis=-1)


def test_short_recordings_are_fitted_within_the_targets(
    truths: list[Truth], person: Person, walk: FittedMotion, body: Body
) -> None:
    found = [errors(truths[2], person, walk, body)]
    for truth in (truths[0], truths[3]):
        found.append(errors(truth, person, fit_motion(truth.markers, person, body), body))
    for error in found:
        assert error.joints.mean() < 25
        assert error.vertices < 40
        assert error.labels < 12


def test_a_fits_residual_is_the_distance_to_the_visible_labels(
    truths: list[Truth], person: Person, walk: FittedMotion
) -> None:
    """Calculated from what is returned alone."""
    frames = world_rotations(walk.rotations)
    nominal = [15, 17, 16, 19, 18, 2, 1, 21, 20, 5, 4, 8, 7]
    offsets = np.einsum("nmab,mb->nma", frames[:, nominal], person.offsets)
    off = apart(walk.joints[:, nominal] + offsets, truths[2].markers)
    assert np.isnan(off).any()  # the simulated Vicon has gaps
    np.testing.assert_allclose(walk.residual_mm, np.nanmean(off, axis=1), atol=1e-6)


def test_gaps_are_bridged(truths: list[Truth], person: Person, body: Body) -> None:
    truth = truths[0]
    hidden = truth.markers.copy()
    gap = slice(100, 130)
    hidden[gap, WRIST] = np.nan
    hidden[gap, KNEE] = np.nan
    bridged = fit_motion(hidden, person, body).joints
    whole = fit_motion(truth.markers, person, body).joints
    assert np.isfinite(bridged).all()
    wrist, knee = 21, 4
    assert apart(bridged, whole)[gap][:, [wrist, knee]].max() < 60
    # No jerk at the gap's ends: nowhere do they change speed more than where they are seen.
    inside, everywhere = (
        np.linalg.norm(np.diff(joints[:, [wrist, knee]], 2, axis=0), axis=-1)
        for joints in (bridged, whole)
    )
    assert inside[gap.start - 5 : gap.stop + 5].max() < 1.2 * everywhere.max()


def test_frames_without_any_marker_are_bridged(
    truths: list[Truth], person: Person, walk: FittedMotion, body: Body
) -> None:
    markers = truths[2].markers.copy()
    markers[150:160] = np.nan
    fit = fit_motion(markers, person, body)
    assert np.isnan(fit.residual_mm[150:160]).all()
    assert np.isfinite(fit.residual_mm[:150]).all()
    assert apart(fit.joints, walk.joints).max() < 100


def test_a_marker_that_is_never_seen_is_done_without(truths: list[Truth], body: Body) -> None:
    markers = [truth.markers.copy() for truth in truths]
    for one in markers:
        one[:, KNEE] = np.nan
    person = fit_person(markers, body)
    np.testing.assert_allclose(person.offsets[KNEE], 0.0, atol=1e-6)
    fit = fit_motion(markers[0], person, body)
    assert apart(fit.joints, truths[0].joints).mean() < 35


def test_a_mislabelled_marker_does_no_harm(
    truths: list[Truth], person: Person, walk: FittedMotion, body: Body
) -> None:
    markers = truths[2].markers.copy()
    markers[100:110, WRIST] = markers[100:110, KNEE]
    fit = fit_motion(markers, person, body)
    assert apart(fit.joints, walk.joints).mean(axis=1).max() < 60
    rest = np.r_[0:80, 130 : len(markers)]
    assert apart(fit.joints, walk.joints)[rest].max() < 5


def test_a_turn_about_the_vertical_turns_the_fit(truths: list[Truth], body: Body) -> None:
    turn = rotations(np.array([0.0, 0.0, 2.2]))
    shift = np.array([0.4, -0.7, 0.0])
    start = [truth.markers[:150] for truth in truths]
    moved = [markers @ turn.T + shift for markers in start]
    person, other = fit_person(start, body), fit_person(moved, body)
    np.testing.assert_allclose(other.offsets, person.offsets, atol=1e-4)
    np.testing.assert_allclose(other.betas, person.betas, atol=1e-2)
    fit, turned = fit_motion(start[3], person, body), fit_motion(moved[3], other, body)
    assert apart(fit.joints @ turn.T + shift, turned.joints).max() < 1


def test_fits_are_the_same_every_time(truths: list[Truth], body: Body) -> None:
    markers = [truth.markers[:100] for truth in truths[:2]]
    first, second = (fit_person(markers, body) for _ in range(2))
    np.testing.assert_array_equal(first.offsets, second.offsets)
    np.testing.assert_array_equal(first.betas, second.betas)
    a, b = (fit_motion(markers[0], first, body) for _ in range(2))
    np.testing.assert_array_equal(a.rotations, b.rotations)


def test_stretches_join_without_a_seam(
    truths: list[Truth],
    person: Person,
    walk: FittedMotion,
    body: Body,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting_module, "STRETCH", 90)
    parts = fit_motion(truths[2].markers, person, body)
    assert apart(parts.joints, walk.joints).max() < 3


def test_labels_on_hands_are_told_from_labels_on_wrists(
    truths: list[Truth], person: Person, body: Body
) -> None:
    bones = Skeleton(body).of(truths[0].betas)
    moved = []
    for truth in truths:
        markers, frames = truth.markers.copy(), world_rotations(truth.rotations)
        for label, joint in ((WRIST, 21), (WRIST + 1, 20)):
            markers[:, label] += frames[:, joint] @ bones[joint + 2]
        moved.append(markers)
    other = fit_person(moved, body)
    for label, joint in zip((WRIST, WRIST + 1), DHP19_HAND_TO_SMPL, strict=True):
        along = bones[joint] / np.linalg.norm(bones[joint])
        further = (other.offsets[label] - person.offsets[label]) @ along
        assert 0.6 < further / np.linalg.norm(bones[joint]) < 1.4
    fit = fit_motion(moved[3], other, body)
    assert apart(fit.joints, truths[3].joints).mean() < 25


def test_too_few_usable_frames_are_refused(truths: list[Truth], person: Person, body: Body) -> None:
    markers = truths[0].markers.copy()
    markers[20:, 1:7] = np.nan  # shoulders, elbows and hips: where the trunk is, nobody knows
    assert not usable(markers)[20:].any()
    with pytest.raises(ValueError, match="usable frames; expected at least 30"):
        fit_motion(markers, person, body)
    with pytest.raises(ValueError, match="usable frames; expected at least 30"):
        fit_person([markers], body)


@pytest.mark.slow
@pytest.mark.parametrize("number", [4, 5, 6])
def test_all_targets_on_subjects_of_the_clone(number: int, body: Body) -> None:
    for name, error, _ in measure(19, number, spread_over(6), 10.0, body):
        assert error.joints.mean() < 25, name
        assert error.vertices < 40, name
        assert error.labels < 12, name
