"""The two problems of a fit, and how they are solved: who the person is, and how they move.

Both are sums of squares, made small by Levenberg's and Marquardt's method (Marquardt, J. SIAM 11,
1963): Gauss-Newton steps, damped until they lead down. Their systems are sparse. A person's frames
meet only in what all share, which the Schur complement solves for first (as bundle adjustment
does: Triggs et al., "Bundle adjustment - a modern synthesis", 1999). A motion's frame meets only
its two neighbours on either side: a banded Cholesky factorisation takes all frames at once.
"""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from eventhpe.body.fitting_terms import (
    CHANGES,
    System,
    add_prior,
    add_unevenness,
    marker_system,
    misfit,
    prior_squares,
    unevenness,
)
from eventhpe.body.joints import DHP19_TO_SMPL
from eventhpe.body.marker_model import MARKERS, UNKNOWNS, Person, Poses, Skeleton, pose
from eventhpe.body.pose_prior import AXES, JOINTS, Y

Array = NDArray[np.float64]
State = TypeVar("State")
Linear = TypeVar("Linear")

_DAMPING, _HARDER, _EASIER, _TRIES = 0.1, 4.0, 10.0, 10
_SHARED = 3 * MARKERS + 10

# Frames of one person resemble each other: together they say less about what is natural than as
# many strangers would, so natural angles count less. For hinges, whose angle a marker off the limb
# could hide, they hardly count. What a marker's own joint does (ankles, wrists, head, the
# forearm's twist) is held here: free, it would explain noise by markers far off their joints.
_HELD = np.isin(JOINTS, (7, 8, 15, 20, 21)) | (np.isin(JOINTS, (18, 19)) & (AXES != Y))
_HINGES = np.isin(JOINTS, (4, 5, 18, 19))
PERSON_WEIGHTS: Array = np.where(_HELD, 1000.0, np.where(_HINGES, 0.02, 0.2))
MOTION_WEIGHTS: Array = np.full(len(JOINTS), 0.3)


class Problem(Protocol[State, Linear]):
    """What `descend` needs to know."""

    def cost(self, state: State) -> float:
        """Half the sum of squares."""
        ...

    def linear(self, state: State) -> Linear:
        """The system of normal equations there."""
        ...

    def step(self, state: State, system: Linear, damping: float) -> State:
        """The state after solving it with the diagonal grown by the factor 1 + ``damping``."""
        ...


def descend(
    problem: Problem[State, Linear], state: State, iterations: int, least_gain: float
) -> State:
    """Levenberg-Marquardt until a step gains less than a share ``least_gain`` of the cost."""
    damping, cost = _DAMPING, problem.cost(state)
    for _ in range(iterations):
        system = problem.linear(state)
        for _ in range(_TRIES):
            tried = problem.step(state, system, damping)
            after = problem.cost(tried)
            if after < cost:
                break
            damping *= _HARDER
        else:
            return state
        state, gain, cost = tried, (cost - after) / cost, after
        damping = damping / _EASIER
        if gain < least_gain:
            break
    return state


class PersonProblem:
    """Betas and marker offsets, with the poses of frames that show them.

    Args:
        observed: (N, 13, 3) markers, metres; NaN where hidden.
        skeleton: the body's bones.
        middle, spread: (13, 3) and (13, 1) metres, where markers are before anything is seen.
    """

    def __init__(self, observed: Array, skeleton: Skeleton, middle: Array, spread: Array) -> None:
        self.observed, self.skeleton, self.middle = observed, skeleton, middle
        offsets = np.repeat(spread, 3, axis=1).ravel() ** -2.0
        self.precision = np.concatenate([offsets, np.ones(10)])

    def _shared(self, person: Person) -> Array:
        """(49,) how far the person is from the average one."""
        return np.concatenate([(person.offsets - self.middle).ravel(), person.betas])

    def cost(self, state: tuple[Person, Poses]) -> float:
        person, poses = state
        posed = pose(poses, self.skeleton.of(person.betas))
        squares = misfit(posed, person.offsets, self.observed)[2]
        squares = squares + prior_squares(poses, PERSON_WEIGHTS)
        return float(squares.sum() + self.precision @ self._shared(person) ** 2 / 2)

    def linear(self, state: tuple[Person, Poses]) -> System:
        """One system over each frame's unknowns, then the shared ones, frame by frame."""
        person, poses = state
        posed = pose(poses, self.skeleton.of(person.betas))
        off, weights, _ = misfit(posed, person.offsets, self.observed)
        slopes = np.zeros((len(poses), MARKERS, 3, UNKNOWNS + _SHARED))
        slopes[..., :UNKNOWNS] = posed.slopes(posed.markers(person.offsets))
        for marker, joint in enumerate(DHP19_TO_SMPL):
            first = UNKNOWNS + 3 * marker
            slopes[:, marker, :, first : first + 3] = posed.frames[:, joint]
        slopes[..., -10:] = posed.shape_slopes(self.skeleton.changes)
        system = marker_system(slopes, off, weights)
        own = System(system.curvature[:, :UNKNOWNS, :UNKNOWNS], system.slope[:, :UNKNOWNS])
        add_prior(own, poses, PERSON_WEIGHTS)
        return system

    def step(
        self, state: tuple[Person, Poses], system: System, damping: float
    ) -> tuple[Person, Poses]:
        person, poses = state
        own = system.curvature[:, :UNKNOWNS, :UNKNOWNS].copy()
        diagonal = np.arange(UNKNOWNS)
        own[:, diagonal, diagonal] *= 1 + damping
        cross = system.curvature[:, :UNKNOWNS, UNKNOWNS:]
        right = np.concatenate([system.slope[:, :UNKNOWNS, None], cross], axis=-1)
        solved = np.linalg.solve(own, right)
        shared = system.curvature[:, UNKNOWNS:, UNKNOWNS:].sum(axis=0) + np.diag(self.precision)
        shared[np.diag_indices(_SHARED)] *= 1 + damping
        slope = system.slope[:, UNKNOWNS:].sum(axis=0) + self.precision * self._shared(person)
        left = shared - np.tensordot(cross, solved[..., 1:], axes=((0, 1), (0, 1)))
        change = -np.linalg.solve(left, slope - np.einsum("nuk,nu->k", cross, solved[..., 0]))
        moved = poses.moved(-solved[..., 0] - solved[..., 1:] @ change)
        offsets = person.offsets + change[:-10].reshape(-1, 3)
        return Person(person.betas + change[-10:], offsets), moved


class MotionProblem:
    """The poses of a recording's frames, of a person who is known.

    Args:
        observed: (N, 13, 3) markers at 100 Hz, metres; NaN where hidden; N at least 3.
        skeleton: the body's bones.
        person: whose markers they are.
    """

    def __init__(self, observed: Array, skeleton: Skeleton, person: Person) -> None:
        self.observed, self.person = observed, person
        self.bones = skeleton.of(person.betas)

    def cost(self, state: Poses) -> float:
        squares = misfit(pose(state, self.bones), self.person.offsets, self.observed)[2]
        squares = squares + prior_squares(state, MOTION_WEIGHTS)
        return float(squares.sum() + (unevenness(state) ** 2).sum() / 2)

    def linear(self, state: Poses) -> tuple[Array, Array]:
        """The lower bands (2 UNKNOWNS + 1, N UNKNOWNS) of the curvature, and the slope."""
        posed = pose(state, self.bones)
        off, weights, _ = misfit(posed, self.person.offsets, self.observed)
        slopes = posed.slopes(posed.markers(self.person.offsets))
        system = marker_system(slopes, off, weights)
        add_prior(system, state, MOTION_WEIGHTS)
        add_unevenness(system, state)
        return _bands(system.curvature), system.slope.ravel()

    def step(self, state: Poses, system: tuple[Array, Array], damping: float) -> Poses:
        bands = system[0].copy()
        bands[0] *= 1 + damping
        step = solveh_banded(bands, -system[1], overwrite_ab=True, lower=True, check_finite=False)
        return state.moved(step.reshape(-1, UNKNOWNS))


def _bands(curvature: Array) -> Array:
    """Blocks (N, U, U) and the curvature of `unevenness`, as LAPACK stores lower bands."""
    frames, unknowns = curvature.shape[:2]
    bands = np.zeros((2 * unknowns + 1, frames, unknowns))
    for k in range(unknowns):
        column = np.arange(unknowns - k)
        bands[k, :, : unknowns - k] = curvature[:, column + k, column]
    # The square of second differences (1, -2, 1) along time, shorter at both ends.
    for k, products in enumerate(((1, 4, 1), (-2, -2), (1,))):
        along = np.zeros((frames, 1))
        for first, product in enumerate(products):
            along[first : frames - 2 + first] += product
        bands[k * unknowns] += along * CHANGES**-2.0
    return bands.reshape(2 * unknowns + 1, -1)
