"""What the page's 3D player is fed with: an unposed mesh, its skinning, and rotations a step.

The browser does the forward kinematics and the linear blend skinning (SMPL 2015, eqs. 2-4), so ten
seconds take some hundred kilobytes. Pose blend shapes are left out; `deviation_mm` says how far off
that leaves the vertices.
"""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from eventhpe.body import PARENTS, Body
from eventhpe.export.figure import rest_vertices
from eventhpe.export.skin import Skin, strongest
from eventhpe.rendering.mesh import vertex_normals
from eventhpe.sequence import ABSENT, MotionSequence
from eventhpe.world import World, in_world, world_of

_UNIT = 32767  # of the whole numbers that quaternions are kept in
_FRUSTUM_M = 0.6  # how far the drawn camera's pyramid reaches
_COMPARED = 16  # steps whose vertices are compared with the body's
_FLOOR_STEPS = 32

_TYPES = {"u1": np.uint8, "i1": np.int8, "i2": np.int16, "u4": np.uint32, "f4": np.float32}


def packed(array: NDArray[Any], kind: str) -> dict[str, str]:
    """An array for the page: little-endian, base64; ``kind`` is a key of the page's `TYPES`."""
    values = np.ascontiguousarray(array, dtype=np.dtype(_TYPES[kind]).newbyteorder("<"))
    return {"type": kind, "data": base64.b64encode(values.tobytes()).decode()}


def whole_weights(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Skinning weights (V, 4), the strongest first, as bytes of 255 in sum."""
    whole = np.rint(255 * weights).astype(np.int64)
    whole[:, 0] += 255 - whole.sum(axis=1)  # rounding must not move a vertex as a whole
    return whole.astype(np.uint8)


@dataclass(frozen=True)
class Actor:
    """One motion in the player's world (y up, metres).

    Attributes:
        vertices, joints: (V, 3) and (24, 3) float32 of the unposed body of the motion's shape.
        turns: (T, 24, 4) int16 unit quaternions x, y, z, w: the pelvis in the world, then joints
            relative to their parents.
        transl: (T, 3) float32; the pelvis is at joints[0] + transl.
    """

    vertices: NDArray[np.float32]
    joints: NDArray[np.float32]
    turns: NDArray[np.int16]
    transl: NDArray[np.float32]

    @classmethod
    def of(cls, motion: MotionSequence, body: Body, world: World) -> "Actor":
        """A motion on its body, seen in a world."""
        orient, transl = in_world(motion, body, world)
        turns = torch.cat([orient[:, None], motion.matrices()[1]], dim=1)
        quaternions = roma.rotmat_to_unitquat(turns).numpy()
        betas = torch.from_numpy(motion.betas)
        return cls(
            rest_vertices(body, betas),
            body.rest_joints(betas[None])[0].numpy(),
            np.rint(quaternions * _UNIT).astype(np.int16),
            transl.numpy(),
        )

    def posed(
        self, bones: NDArray[np.uint8], weights: NDArray[np.uint8], step: int
    ) -> NDArray[np.float64]:
        """(V, 3) world vertices of a step, from the whole numbers that the page is given."""
        turns = roma.unitquat_to_rotmat(
            torch.nn.functional.normalize(torch.from_numpy(self.turns[step]).double(), dim=1)
        ).numpy()
        skin = Skin(self.vertices, self.joints, bones, (weights / 255).astype(np.float32))
        return skin.posed(turns, self.joints[0].astype(np.float64) + self.transl[step])

    def as_data(self, faces: NDArray[np.int32], state: NDArray[np.uint8]) -> dict[str, Any]:
        """For the page."""
        normals = np.zeros((len(self.vertices), 4))  # a multiple of four bytes a vertex
        normals[:, :3] = vertex_normals(self.vertices, faces)
        return {
            "vertices": packed(self.vertices, "f4"),
            "normals": packed(np.rint(127 * normals), "i1"),
            "joints": packed(self.joints, "f4"),
            "turns": packed(self.turns, "i2"),
            "transl": packed(self.transl, "f4"),
            "state": packed(state, "u1"),
        }


def player_data(
    motion: MotionSequence, body: Body, truth: MotionSequence | None = None
) -> dict[str, Any]:
    """What the page's player draws, ready for JSON; the truth as a second body.

    Args:
        truth: at the motion's moments, of the same camera and body.

    Raises:
        InputError: a motion belongs to another body.
    """
    world = world_of(motion, body)
    bones, shares = strongest(body)
    weights = whole_weights(shares)
    motions = [motion] if truth is None else [motion, truth]
    actors = [Actor.of(each, body, world) for each in motions]
    mean, most = deviation_mm(motion, body, actors[0], bones, weights, world)
    return {
        "faces": packed(body.faces, "u4"),
        "bones": packed(bones, "u1"),
        "weights": packed(weights, "u1"),
        "parents": list(PARENTS),
        "actors": [
            actor.as_data(body.faces, each.state)
            for actor, each in zip(actors, motions, strict=True)
        ],
        "floor": _floor(motion, body, world),
        "camera": _frustum(motion, world).round(4).tolist(),
        "deviation_mm": [mean, most],
    }


def deviation_mm(
    motion: MotionSequence,
    body: Body,
    actor: Actor,
    bones: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    world: World,
) -> tuple[float, float]:
    """Mean and largest distance, mm, of the player's vertices from the body's, over some steps."""
    steps = _spread(motion, _COMPARED)
    distances = [
        np.linalg.norm(actor.posed(bones, weights, step) - world.points(vertices), axis=1)
        for step, (vertices, _) in zip(steps, motion.posed(body, steps), strict=True)
    ]
    return 1000 * float(np.mean(distances)), 1000 * float(np.max(distances))


def _floor(motion: MotionSequence, body: Body, world: World) -> float:
    """The drawn floor's height: 0 where it is known, else that of the lowest foot seen."""
    if not np.isnan(motion.floor_m):
        return 0.0
    steps = _spread(motion, _FLOOR_STEPS)
    lowest = [world.points(vertices)[:, 1].min() for vertices, _ in motion.posed(body, steps)]
    return round(float(np.min(lowest)), 4)


def _frustum(motion: MotionSequence, world: World) -> NDArray[np.float64]:
    """(5, 3) the camera's place, then its picture's corners clockwise from the top left."""
    width, height = motion.width, motion.height
    edges = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    rays = np.linalg.solve(motion.K, np.concatenate([edges, np.ones((4, 1))], axis=1).T).T
    return world.points(np.concatenate([np.zeros((1, 3)), _FRUSTUM_M * rays]))


def _spread(motion: MotionSequence, most: int) -> list[int]:
    """At most so many steps with a person, evenly spread; any steps where there is no person."""
    steps = np.flatnonzero(motion.state != ABSENT)
    if not len(steps):
        steps = np.arange(len(motion))
    chosen = np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int)
    return [int(step) for step in steps[chosen]]
