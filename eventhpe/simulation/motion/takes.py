"""Takes: motion files as SMPL motions at 100 Hz on any body, ready for the stage."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from scipy.ndimage import gaussian_filter1d

from eventhpe.body.joints import FLIP_PAIRS
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.simulation.motion.amass import read_amass
from eventhpe.simulation.motion.asf_amc import read_amc
from eventhpe.simulation.motion.bvh import read_bvh
from eventhpe.simulation.motion.capture import Capture
from eventhpe.simulation.motion.joint_maps import JointMap, find_joints
from eventhpe.simulation.motion.performance import Motion, Rng, Stage, euler_matrices
from eventhpe.simulation.motion.retargeting import Pose, retarget
from eventhpe.simulation.motion.segments import RATE_HZ, Array

TURN_SAMPLES = 8.0
"""Deviation, in samples, of the smoothing where a take that is too short turns round."""
_MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Take:
    """A motion file on a body: M samples at 100 Hz in a y-up world, feet on the ground y = 0.

    Attributes:
        name: the file's name without its ending.
        rotations: (M, 24, 3, 3) SMPL's rotations: [:, 0] is the root in the world, others local.
        translation: (M, 3) the pelvis, metres; it starts at x = z = 0.
        betas: (10,) of the body it was made for; zero unless the file has some of that body.
    """

    name: str
    rotations: Array
    translation: Array
    betas: Array

    @property
    def duration_s(self) -> float:
        return (len(self.rotations) - 1) / RATE_HZ

    def motion(self, start_s: float, duration_s: float, speed: float = 1.0) -> Motion:
        """``duration_s`` seconds (+1 sample) from ``start_s``.

        A take that ends too early runs back to its start and forward again, easing through each
        turning point over about a third of a second.

        Args:
            speed: 1.2 plays it a fifth faster.

        Raises:
            InputError: ``start_s`` is outside the take, or a duration or speed is not positive.
        """
        if not (0 <= start_s <= self.duration_s and duration_s > 0 and speed > 0):
            found = f"{duration_s:g} s from {start_s:g} s at speed {speed:g}"
            expected = f"a start from 0 to {self.duration_s:g} s, duration and speed above 0"
            raise InputError(self.name, found, expected, "Choose another part of the take.")
        last = len(self.rotations) - 1
        when = start_s * RATE_HZ + np.arange(round(duration_s * RATE_HZ) + 1) * speed
        if when[-1] > last + 1e-6:
            when = last - np.abs(np.mod(when, 2 * last) - last)
            when = gaussian_filter1d(when, TURN_SAMPLES, mode="nearest")
        return Motion(*self._at(np.clip(when, 0, last)), (self.name,))

    def mirrored(self) -> "Take":
        """The take seen in a mirror: left and right exchanged (for a symmetric body)."""
        rotations = _MIRROR @ self.rotations[:, FLIP_PAIRS] @ _MIRROR
        return Take(f"{self.name}-mirrored", rotations, self.translation @ _MIRROR, self.betas)

    def _at(self, when: Array) -> tuple[Array, Array]:
        """Rotations and places at fractional samples, between neighbours on the shortest way."""
        before = np.minimum(when.astype(int), len(self.rotations) - 2)
        share = when - before
        start = torch.from_numpy(self.rotations[before])
        step = roma.rotmat_to_rotvec(start.mT @ torch.from_numpy(self.rotations[before + 1]))
        turn = roma.rotvec_to_rotmat(step * torch.from_numpy(share)[:, None, None])
        way = self.translation[before + 1] - self.translation[before]
        return (start @ turn).numpy(), self.translation[before] + share[:, None] * way


def load_take(
    path: str | Path,
    body: Body,
    *,
    rate_hz: float | None = None,
    up: str | None = None,
    skeleton: str | Path | None = None,
    joint_map: JointMap | Path | str | None = None,
) -> Take:
    """Read a motion file (.amc, .bvh, or AMASS-style .npz) and put it on a body.

    Args:
        rate_hz: frames a second, over what the file says; an AMC without it has CMU's 120.
        up: the file's axis that points up, such as "z"; None finds it (see `retarget`).
        skeleton: the .asf of an .amc; None looks beside it.
        joint_map: SMPL joint name to joint name in the file, or a YAML file of that; None knows
            the usual names (`SCHEMES`).

    Raises:
        InputError: a file is absent, of another kind, cut short or damaged; no rate is known; or
            the skeleton cannot be understood.
    """
    pose, betas = load_pose(path, body, rate_hz, up, skeleton, joint_map)
    return Take(Path(path).stem, pose.rotations, pose.translation, betas)


def load_pose(
    path: str | Path,
    body: Body,
    rate_hz: float | None = None,
    up: str | None = None,
    skeleton: str | Path | None = None,
    joint_map: JointMap | Path | str | None = None,
) -> tuple[Pose, Array]:
    """What `load_take` does, with the captured joints beside the pose; and betas (10,)."""
    path = Path(path)
    capture, betas = _read(path, body, rate_hz, skeleton)
    joints = find_joints(path, capture.names, joint_map)
    return retarget(capture.without_start_pose().resampled(RATE_HZ), joints, body, betas, up), betas


def placed(motion: Motion, x: float, z: float, turn: float) -> Motion:
    """The motion turned by ``turn`` radians about the vertical, the middle of its way at (x, z).

    The middle is that of the bounding box of the pelvis on the floor, metres.
    """
    rotation = euler_matrices(np.array([0.0, turn, 0.0]))
    rotations = motion.rotations.copy()
    rotations[:, 0] = rotation @ rotations[:, 0]
    translation = motion.translation @ rotation.T
    low, high = translation.min(axis=0), translation.max(axis=0)
    shift = np.array([x, 0.0, z]) - (low + high) / 2
    shift[1] = 0.0
    return Motion(rotations, translation + shift, motion.names)


def place_on_stage(rng: Rng, motion: Motion, stage: Stage, heading: float | None = None) -> Motion:
    """The motion at a random place where the stage holds its way.

    A way too wide or too deep is centred on the stage, and walks out of view; it never comes
    nearer to the camera than the stage does.

    Args:
        heading: radians from the camera's axis to where the person faces first, about the
            vertical; 0 faces away, None is any.
    """
    if heading is None:
        heading = rng.uniform(0, 2 * np.pi)
    ahead = motion.rotations[0, 0, :, 2]
    turned = placed(motion, 0.0, 0.0, heading - np.arctan2(ahead[0], ahead[2]))
    half = turned.translation.max(axis=0)
    nearest, farthest = stage.near + half[2], stage.far - half[2]
    if nearest > farthest:
        z = max(nearest, (stage.near + stage.far) / 2)
    else:
        z = rng.uniform(nearest, farthest)
    room = max(0.0, stage.slope * z - half[0])
    return placed(turned, rng.uniform(-room, room), z, 0.0)


def _read(
    path: Path, body: Body, rate_hz: float | None, skeleton: str | Path | None
) -> tuple[Capture, Array]:
    ending = path.suffix.lower()
    if ending == ".amc":
        asf = None if skeleton is None else Path(skeleton)
        return read_amc(path, asf, rate_hz), np.zeros(10)
    if ending == ".bvh":
        return read_bvh(path, rate_hz), np.zeros(10)
    if ending == ".npz":
        return read_amass(path, body, rate_hz)
    found = f"the ending {path.suffix!r}"
    raise InputError(path, found, ".amc, .bvh or .npz", "Give a file of one of these kinds.")
