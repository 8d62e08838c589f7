"""The markers' model and its priors: kinematics, slopes and mirrored limits."""

import numpy as np
import pytest
import torch

from eventhpe.body import Body
from eventhpe.body.fitting_problems import MotionProblem, PersonProblem
from eventhpe.body.joints import FLIP_PAIRS
from eventhpe.body.marker_model import (
    UNKNOWNS,
    Person,
    Poses,
    Skeleton,
    local_rotations,
    pose,
    rotations,
)
from eventhpe.body.pose_prior import HIGH, LOW, NATURAL, full_angles

RNG = np.random.default_rng(4)
BETAS = RNG.normal(size=10)
OFFSETS = RNG.normal(0, 0.02, (13, 3))


@pytest.fixture(scope="module")
def skeleton(body: Body) -> Skeleton:
    return Skeleton(body)


def some_poses(count: int) -> Poses:
    """Poses within a person's reach, turned any way."""
    rng = np.random.default_rng(7)
    turn = rotations(rng.normal(0, 1, (count, 3)))
    angles = NATURAL + rng.normal(0, 0.2, (count, len(NATURAL)))
    return Poses(turn, rng.normal(0, 1, (count, 3)), angles)


def test_joints_are_those_of_the_body(body: Body, skeleton: Skeleton) -> None:
    poses = some_poses(4)
    placed = pose(poses, skeleton.of(BETAS)).places
    turns = torch.from_numpy(local_rotations(poses)).float()
    transl = torch.from_numpy(poses.place - skeleton.rest_pelvis(BETAS)).float()
    betas = torch.from_numpy(BETAS).float().expand(4, -1)
    wanted = body.joints(betas, turns[:, 0], turns[:, 1:], transl)
    np.testing.assert_allclose(placed, wanted.numpy(), atol=2e-6)


def test_slopes_are_those_of_small_steps(skeleton: Skeleton) -> None:
    poses, bones, small = some_poses(3), skeleton.of(BETAS), 1e-6
    posed = pose(poses, bones)
    slopes = posed.slopes(posed.markers(OFFSETS))
    for unknown in range(UNKNOWNS):
        step = np.zeros((3, UNKNOWNS))
        step[:, unknown] = small
        ahead, behind = (pose(poses.moved(s * step), bones).markers(OFFSETS) for s in (1, -1))
        wanted = (ahead - behind) / (2 * small)
        np.testing.assert_allclose(slopes[..., unknown], wanted, atol=1e-8)


def test_slopes_of_the_shape_are_those_of_small_steps(skeleton: Skeleton) -> None:
    poses, small = some_poses(3), 1e-6
    slopes = pose(poses, skeleton.of(BETAS)).shape_slopes(skeleton.changes)
    for k in range(10):
        step = small * np.eye(10)[k]
        ahead, behind = (
            pose(poses, skeleton.of(BETAS + s * step)).markers(OFFSETS) for s in (1, -1)
        )
        np.testing.assert_allclose(slopes[..., k], (ahead - behind) / (2 * small), atol=1e-8)


def observed_of(poses: Poses, skeleton: Skeleton) -> np.ndarray:
    """Their markers, 5 mm off, one of them hidden."""
    markers = pose(poses, skeleton.of(BETAS)).markers(OFFSETS)
    markers = markers + np.random.default_rng(1).normal(0, 0.005, markers.shape)
    markers[1, 3] = np.nan
    return markers


def test_a_motions_slope_is_that_of_its_cost(skeleton: Skeleton) -> None:
    poses = some_poses(1)
    rng = np.random.default_rng(2)
    # A slow movement: for turns of some degrees a sample the pelvis' slope is exact to a percent.
    steps = np.cumsum(rng.normal(0, 0.01, (6, UNKNOWNS)), axis=0)
    many = poses[np.zeros(6, int)].moved(steps)
    problem = MotionProblem(observed_of(many, skeleton), skeleton, Person(BETAS, OFFSETS))
    _, slope = problem.linear(many)
    wanted = []
    for entry in np.eye(6 * UNKNOWNS):
        step = 1e-6 * entry.reshape(6, UNKNOWNS)
        ahead, behind = (problem.cost(many.moved(s * step)) for s in (1, -1))
        wanted.append((ahead - behind) / 2e-6)
    assert np.linalg.norm(slope - wanted) < 0.01 * np.linalg.norm(wanted)


def test_an_undamped_step_of_a_motion_solves_the_dense_system(skeleton: Skeleton) -> None:
    poses = some_poses(5)
    problem = MotionProblem(observed_of(poses, skeleton), skeleton, Person(BETAS, OFFSETS))
    bands, slope = problem.linear(poses)
    size = bands.shape[1]
    dense = np.zeros((size, size))
    for k, band in enumerate(bands):
        column = np.arange(size - k) if k else np.arange(size)
        dense[column + k, column] = dense[column, column + k] = band[: size - k]
    moved = problem.step(poses, (bands, slope), 0.0)
    wanted = poses.moved(-np.linalg.solve(dense, slope).reshape(5, UNKNOWNS))
    np.testing.assert_allclose(moved.angles, wanted.angles, atol=1e-6)
    np.testing.assert_allclose(moved.place, wanted.place, atol=1e-6)


def test_a_step_of_the_person_solves_the_dense_system(skeleton: Skeleton) -> None:
    poses, damping = some_poses(4), 0.3
    spread = np.full((13, 1), 0.025)
    problem = PersonProblem(observed_of(poses, skeleton), skeleton, np.zeros((13, 3)), spread)
    state = Person(0.5 * BETAS, 0.5 * OFFSETS), poses
    system = problem.linear(state)
    shared = system.slope.shape[1] - UNKNOWNS
    dense = np.zeros((4 * UNKNOWNS + shared,) * 2)
    right = np.zeros(len(dense))
    for i, (block, slope) in enumerate(zip(system.curvature, system.slope, strict=True)):
        rows = np.r_[i * UNKNOWNS : (i + 1) * UNKNOWNS, 4 * UNKNOWNS : len(dense)]
        dense[np.ix_(rows, rows)] += block
        right[rows] += slope
    last = np.arange(4 * UNKNOWNS, len(dense))
    dense[last, last] += problem.precision
    right[last] += problem.precision * np.concatenate([0.5 * OFFSETS.ravel(), 0.5 * BETAS])
    dense[np.diag_indices(len(dense))] *= 1 + damping
    step = -np.linalg.solve(dense, right)
    person, moved = problem.step(state, system, damping)
    np.testing.assert_allclose(person.betas, 0.5 * BETAS + step[-10:], atol=1e-7)
    wanted = poses.moved(step[: 4 * UNKNOWNS].reshape(4, -1))
    np.testing.assert_allclose(moved.angles, wanted.angles, atol=1e-7)


def test_the_right_side_mirrors_the_left() -> None:
    for sides in (NATURAL, LOW + HIGH, HIGH - LOW):
        angles = full_angles(sides[None])[0]
        mirrored = angles[list(FLIP_PAIRS)]
        # Widths have no sign; a middle about y or z changes its own in a mirror.
        signs = [1, 1, 1] if sides is not NATURAL and (sides >= 0).all() else [1, -1, -1]
        paired = [joint for joint in range(24) if FLIP_PAIRS[joint] != joint]
        np.testing.assert_allclose(angles[paired], (mirrored * signs)[paired], atol=1e-12)


def test_a_natural_pose_stands_with_hanging_arms(skeleton: Skeleton) -> None:
    """World y up here, as the body rests: hands are below and beside the shoulders."""
    natural = Poses(np.eye(3)[None], np.zeros((1, 3)), NATURAL[None])
    places = pose(natural, skeleton.of(np.zeros(10))).places[0]
    for shoulder, wrist in ((16, 20), (17, 21)):
        assert places[wrist, 1] < places[shoulder, 1] - 0.35
        assert abs(places[wrist, 0]) < abs(places[shoulder, 0]) + 0.25
