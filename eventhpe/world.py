"""The world that exports stand in: gravity along an axis, the floor at height 0.

World frames, metres, right-handed. "y": x to the camera's right, y up, z towards the camera, as
glTF, BVH and SMPL's rest pose have it; "z": x to the camera's right, y away from it, z up, as AMASS
has it. The origin lies on the floor, under the pelvis at the first step with a person.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eventhpe.body import Body
from eventhpe.sequence import ABSENT, MotionSequence

UpAxis = Literal["y", "z"]

_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # from the world "y"


@dataclass(frozen=True, eq=False)
class World:
    """x_world = rotation x_camera + offset.

    Attributes:
        rotation: (3, 3) float64.
        offset: (3,) float64, metres.
    """

    rotation: NDArray[np.float64]
    offset: NDArray[np.float64]

    def points(self, camera: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (..., 3) of the camera's frame in the world's."""
        return np.asarray(camera @ self.rotation.T + self.offset, dtype=np.float64)


def world_of(motion: MotionSequence, body: Body, up: UpAxis = "y") -> World:
    """The world of a motion. Where its floor is not known, height 0 is that of the camera.

    Args:
        body: the one that the motion belongs to.
        up: the axis that points up.
    """
    rotation = _upright(motion.up)
    if up == "z":
        rotation = _Z_UP @ rotation
    axis = 1 if up == "y" else 2
    offset = np.zeros(3)
    present = np.flatnonzero(motion.state != ABSENT)
    if len(present):
        pelvis = pelvis_at_rest(motion, body) + motion.transl[present[0]]
        offset = -(rotation @ pelvis)
    offset[axis] = 0.0 if np.isnan(motion.floor_m) else -motion.floor_m
    return World(rotation, offset)


def in_world(motion: MotionSequence, body: Body, world: World) -> tuple[Tensor, Tensor]:
    """SMPL's global_orient (T, 3, 3) and transl (T, 3) in the world, float32.

    Args:
        body: the one that the motion belongs to: SMPL turns about the pelvis at rest, which is no
            part of ``transl``.
    """
    rotation = torch.from_numpy(world.rotation)
    orient = rotation @ motion.matrices()[0].double()
    rest = pelvis_at_rest(motion, body)
    transl = world.points(rest + motion.transl) - rest
    return orient.float(), torch.from_numpy(transl).float()


def pelvis_at_rest(motion: MotionSequence, body: Body) -> NDArray[np.float64]:
    """J0(betas), (3,) metres, see `MotionSequence.transl`."""
    betas = torch.from_numpy(motion.betas)[None]
    with torch.no_grad():
        return body.rest_joints(betas)[0, 0].double().numpy()


def _upright(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows: the world "y"'s axes in the camera's frame, x as near to the camera's x as can be."""
    right = np.array([1.0, 0.0, 0.0]) - up[0] * up
    if np.linalg.norm(right) < 1e-3:  # the camera lies on its side: go by its forward direction
        right = np.cross(np.array([0.0, 0.0, 1.0]), -up)
    right = right / np.linalg.norm(right)
    return np.stack([right, up, np.cross(right, up)])
