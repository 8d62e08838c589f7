"""Where a posed body's markers are, and how they move with each unknown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eventhpe.body.joints import DHP19_TO_SMPL, PARENTS
from eventhpe.body.model import Body
from eventhpe.body.pose_prior import AXES, JOINTS, full_angles

Array = NDArray[np.float64]

MARKERS = len(DHP19_TO_SMPL)
ROOT = 6
"""The first unknowns of a frame: the pelvis' turn in its own frame, then its place."""
UNKNOWNS = ROOT + len(JOINTS)


def _ancestry() -> NDArray[np.bool_]:
    """(24, 24) whether joint [i] is turned by joint [j]: j itself and all above it."""
    above = np.eye(24, dtype=bool)
    for joint in range(1, 24):
        above[joint] |= above[PARENTS[joint]]
    return above


_ABOVE = _ancestry()
# (13, A) which markers a free angle moves; (13, 24) the bones between pelvis and marker.
MOVES: NDArray[np.bool_] = _ABOVE[list(DHP19_TO_SMPL)][:, JOINTS]
_BONES = _ABOVE[list(DHP19_TO_SMPL)].copy()
_BONES[:, 0] = False


@dataclass(frozen=True)
class Person:
    """What stays the same in all of a subject's recordings.

    Attributes:
        betas: (10,) shape of the body.
        offsets: (13, 3) metres, from each marker's nominal joint (`DHP19_TO_SMPL`), in the frame
            of the bone that the joint turns.
    """

    betas: Array
    offsets: Array


@dataclass(frozen=True)
class Poses:
    """N frames: the pelvis' turn (N, 3, 3) and place (N, 3) in the world, free angles (N, A)."""

    turn: Array
    place: Array
    angles: Array

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> "Poses":
        return Poses(self.turn[rows], self.place[rows], self.angles[rows])

    @classmethod
    def joined(cls, parts: Sequence["Poses"]) -> "Poses":
        """Parts, one after the other."""
        turns, places, angles = (
            [getattr(p, n) for p in parts] for n in ("turn", "place", "angles")
        )
        return cls(np.concatenate(turns), np.concatenate(places), np.concatenate(angles))

    def moved(self, step: Array) -> "Poses":
        """After a step (N, UNKNOWNS): radians about the pelvis' own axes, metres, radians."""
        turn = self.turn @ Rotation.from_rotvec(step[:, :3]).as_matrix()
        return Poses(turn, self.place + step[:, 3:ROOT], self.angles + step[:, ROOT:])


class Skeleton:
    """A body's bones as a function of betas, in double precision."""

    def __init__(self, body: Body) -> None:
        parents = list(PARENTS[1:])
        template = body.joint_template.double().cpu().numpy()
        directions = body.joint_directions.double().cpu().numpy()
        self.pelvis = template[0], directions[0]
        self.bones = np.zeros((24, 3))
        self.changes = np.zeros((24, 3, 10))
        self.bones[1:] = template[1:] - template[parents]
        self.changes[1:] = directions[1:] - directions[parents]

    def of(self, betas: Array) -> Array:
        """(24, 3) each joint from its parent at rest, metres."""
        return np.asarray(self.bones + self.changes @ betas)

    def rest_pelvis(self, betas: Array) -> Array:
        """(3,) the pelvis at rest: SMPL's translation is the pelvis less this."""
        return np.asarray(self.pelvis[0] + self.pelvis[1] @ betas)


@dataclass(frozen=True)
class Posed:
    """Frames (N, 24, 3, 3) and places (N, 24, 3) of the joints, and the axes they turn about.

    Attributes:
        frames, places: in the world, metres.
        axes: (N, A, 3) the free angles' axes in the world.
    """

    frames: Array
    places: Array
    axes: Array

    def markers(self, offsets: Array) -> Array:
        """(N, 13, 3) markers at offsets (13, 3)."""
        nominal = list(DHP19_TO_SMPL)
        moved = self.frames[:, nominal] @ offsets[..., None]
        return np.asarray(self.places[:, nominal] + moved[..., 0])

    def slopes(self, markers: Array) -> Array:
        """(N, 13, 3, UNKNOWNS) of the markers (N, 13, 3) by each unknown of their frame.

        A marker p turned about an axis a through c moves by a x (p - c).
        """
        slopes = np.zeros((*markers.shape, UNKNOWNS))
        arms = markers - self.places[:, :1]
        for axis in range(3):
            slopes[..., axis] = np.cross(self.frames[:, None, 0, :, axis], arms)
            slopes[..., axis, 3 + axis] = 1.0
        for marker in range(MARKERS):
            which = np.flatnonzero(MOVES[marker])
            arms = markers[:, marker, None] - self.places[:, JOINTS[which]]
            turned = np.cross(self.axes[:, which], arms)
            slopes[:, marker, :, ROOT + which] = turned.transpose(1, 0, 2)
        return slopes

    def shape_slopes(self, changes: Array) -> Array:
        """(N, 13, 3, 10) of the markers by betas, from the bones' changes (24, 3, 10)."""
        parents = [0, *PARENTS[1:]]
        moved = np.einsum("njab,jbk->njak", self.frames[:, parents], changes)
        return np.einsum("mj,njak->nmak", _BONES.astype(float), moved)


def rotations(angles: Array) -> Array:
    """Rx(a) Ry(b) Rz(c) of (..., 3) radians: (..., 3, 3)."""
    (sa, sb, sc), (ca, cb, cc) = (np.moveaxis(f(angles), -1, 0) for f in (np.sin, np.cos))
    rows = [
        [cb * cc, -cb * sc, sb],
        [sa * sb * cc + ca * sc, ca * cc - sa * sb * sc, -sa * cb],
        [sa * sc - ca * sb * cc, ca * sb * sc + sa * cc, ca * cb],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def local_rotations(poses: Poses) -> Array:
    """SMPL's rotations (N, 24, 3, 3): the pelvis in the world, the others in their parents."""
    turns = rotations(full_angles(poses.angles))
    turns[:, 0] = poses.turn
    return turns


def pose(poses: Poses, bones: Array) -> Posed:
    """Forward kinematics (SMPL 2015, eqs. 3-4) with bones (24, 3) as `Skeleton.of` gives them."""
    angles = full_angles(poses.angles)
    local = rotations(angles)
    frames = np.empty((len(poses), 24, 3, 3))
    places = np.empty((len(poses), 24, 3))
    frames[:, 0], places[:, 0] = poses.turn, poses.place
    for joint in range(1, 24):
        parent = PARENTS[joint]
        places[:, joint] = places[:, parent] + frames[:, parent] @ bones[joint]
        frames[:, joint] = frames[:, parent] @ local[:, joint]
    # The axis of Rx is the parent's x; of Rz the joint's own z; of Ry the parent's Rx y.
    above = frames[:, np.array(PARENTS)[JOINTS]]
    first = angles[:, JOINTS, 0]
    second = above[..., 1] * np.cos(first)[..., None] + above[..., 2] * np.sin(first)[..., None]
    choices = [AXES[:, None] == 0, AXES[:, None] == 1, AXES[:, None] == 2]
    axes = np.select(choices, [above[..., 0], second, frames[:, JOINTS][..., 2]])
    return Posed(frames, places, axes)
