"""What a motion file holds: a skeleton at rest, and its joints' turns and place over time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from eventhpe.errors import InputError
from eventhpe.simulation.motion.segments import Array

RATES_HZ = (5.0, 2000.0)
START_JUMP, START_FRAMES = np.deg2rad(2.5), 10
"""Joints that turn more than this in the mean from the first frame to the second, and a third of
it at most within so many frames, leave a calibration pose."""
LARGEST = 1e6
"""No value of a motion file is larger, in whatever unit it is."""


@dataclass(frozen=True)
class Capture:
    """N frames of a skeleton of J joints; parents come before their children.

    Attributes:
        path: the file it came from.
        names: J joint names as the file has them; an end site is ``<joint>_end``.
        parents: J parents, -1 for the root.
        offsets: (J, 3) each joint from its parent at rest, in the file's unit and axes.
        rotations: (N, J, 3, 3) local rotations; identity is the rest pose.
        root: (N, 3) place of the root joint, same unit.
        rate_hz: frames a second.
    """

    path: Path
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    rotations: Array
    root: Array
    rate_hz: float

    def rest(self) -> Array:
        """(J, 3) joints of the rest pose, the root at the origin."""
        places = np.zeros_like(self.offsets)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                places[joint] = places[parent] + self.offsets[joint]
        return places

    def posed(self) -> tuple[Array, Array]:
        """Forward kinematics: world rotations (N, J, 3, 3) and joint places (N, J, 3)."""
        turns, places = np.empty_like(self.rotations), np.empty(self.rotations.shape[:3])
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                turns[:, joint], places[:, joint] = self.rotations[:, joint], self.root
                continue
            turns[:, joint] = turns[:, parent] @ self.rotations[:, joint]
            places[:, joint] = places[:, parent] + turns[:, parent] @ self.offsets[joint]
        return turns, places

    def without_start_pose(self) -> "Capture":
        """The same without the frames in which the body jumps from its first pose to the next.

        Converters put a calibration pose before the movement, such as the T-pose that begins
        BVH conversions of CMU's motions; some smooth the jump over a few frames.
        """
        first = torch.from_numpy(self.rotations[: START_FRAMES + 2])
        steps = roma.rotmat_geodesic_distance(first[:-1], first[1:]).mean(dim=1).numpy()
        calm = np.flatnonzero(steps < steps[:1] / 3)
        if len(calm) == 0 or steps[0] < START_JUMP:
            return self
        begin = int(calm[0])
        return replace(self, rotations=self.rotations[begin:], root=self.root[begin:])

    def resampled(self, rate_hz: float) -> "Capture":
        """The same movement at another rate, first frame kept.

        Cubic splines through the places and through the unit quaternions, which are then
        normalised: velocities stay continuous where a slow file becomes a faster one.

        Raises:
            InputError: less than two frames are left.
        """
        times = np.arange(len(self.root)) / self.rate_hz
        # Frame times are written with few digits: a sample a hair after the end is the last one.
        count = int(times[-1] * rate_hz + 0.01) + 1
        if count < 2:
            found = f"{len(times)} frames at {self.rate_hz:g} Hz"
            raise InputError(self.path, found, "a longer movement", "Check the rate.")
        wanted = np.minimum(np.arange(count) / rate_hz, times[-1])
        turns = roma.rotmat_to_unitquat(torch.from_numpy(self.rotations)).numpy()
        flips = np.sign(np.einsum("tjq,tjq->tj", turns[1:], turns[:-1]))
        turns[1:] *= np.cumprod(np.where(flips < 0, -1.0, 1.0), axis=0)[..., None]
        turns = CubicSpline(times, turns)(wanted)
        turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
        rotations = roma.unitquat_to_rotmat(torch.from_numpy(turns)).numpy()
        root = CubicSpline(times, self.root)(wanted)
        return replace(self, rotations=rotations, root=root, rate_hz=rate_hz)


def axis_rotations(axes: str, degrees: Array) -> Array:
    """Product, in the order written, of turns about ``axes``: "zyx" is Rz @ Ry @ Rx.

    Args:
        axes: letters among x, y and z.
        degrees: (..., len(axes)) angles.

    Returns:
        (..., 3, 3).
    """
    if not axes:
        return np.broadcast_to(np.eye(3), (*degrees.shape[:-1], 3, 3))
    angles = torch.from_numpy(np.ascontiguousarray(degrees))
    return roma.euler_to_rotmat(axes.upper(), angles, degrees=True).numpy()


def checked_rate(path: Path, rate_hz: float) -> float:
    """``rate_hz`` itself.

    Raises:
        InputError: it is no rate of motion capture.
    """
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        expected = f"a rate from {RATES_HZ[0]:g} to {RATES_HZ[1]:g} Hz"
        raise InputError(path, f"a rate of {rate_hz:g} Hz", expected, "Give the rate yourself.")
    return float(rate_hz)


def checked_values(path: Path, what: str, values: ArrayLike) -> Array:
    """``values`` as float64.

    Raises:
        InputError: one is NaN, infinite or beyond any unit of length or angle.
    """
    array = np.asarray(values, dtype=np.float64)
    if not (np.abs(array) < LARGEST).all():  # False for NaN, too
        found = f"{what} that are not finite or beyond {LARGEST:g}"
        raise InputError(path, found, "finite numbers", "The file is damaged: export it again.")
    return array


def parse_numbers(path: Path, words: Iterable[str], where: str) -> list[float]:
    """Words as numbers.

    Raises:
        InputError: a word is none.
    """
    try:
        return [float(word) for word in words]
    except ValueError as error:
        reason = f"{error} in {where}"
        raise InputError(path, reason, "numbers", "The file is damaged or cut short.") from error


def read_words(path: Path) -> list[list[str]]:
    """The words of each line that has any, comments (#) left out.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    try:
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise InputError(path, reason, "a motion file", "Check the path.") from error
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    lines = [words for words in lines if words]
    if not lines:
        raise InputError(path, "an empty file", "a motion file", "Export or fetch it again.")
    return lines
