"""A dressed person as one mesh, and the kernel that poses it."""

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from eventhpe.body.arrays import NUM_JOINTS
from eventhpe.body.joints import PARENTS
from eventhpe.body.model import Body

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

SLOTS = 5
"""Bones a vertex can follow: SMPL's have four and the default body's five. Of a body with more
the strongest count, renormalised."""
UNIT = 2.0**-14
"""Rest positions are multiples of this (metres, 61 um), so 16 bits store them without loss."""
SPLIT = np.float32(0.04)
"""Where one leg's cloth stands out further than the other's by this (metres), it wins wholly."""


@dataclass(frozen=True)
class Outfit:
    """The dressed person in the rest pose of one shape: V vertices, F faces.

    The first B vertices and the first faces are the body's own, in its order, pushed outward
    where clothes or hair cover them; the rest are garments that no displacement can make.

    A hanging vertex (skirt, coat tails) has an ``outward`` direction. Its slots 0, 1 follow the
    left leg and 2, 3 the right one; of the two places they give it takes the one further out,
    so cloth spans the legs as a hull does. Other vertices blend their bones linearly.

    Attributes:
        vertices: (V, 3) metres, multiples of `UNIT`; SMPL's rest frame.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        bones: (V, 5) uint8 joints 0..23.
        weights: (V, 5) rows sum to 1.
        outward: (V - B, 3) horizontal unit directions of the garments' vertices, or zeros.
        albedo: (F,) linear reflectances, exact in 16 bits.
        body_vertices: B; the body's pose blend shapes apply to these.
        body_faces: how many of the faces are the body's.
        names: what is worn, for the recording's description.
    """

    vertices: Float32
    faces: NDArray[np.int32]
    bones: NDArray[np.uint8]
    weights: Float32
    outward: Float32
    albedo: Float32
    body_vertices: int
    body_faces: int
    names: tuple[str, ...] = ()

    def pose(
        self, body: Body, rotations: Float32, transl: Float32, betas: NDArray[np.floating]
    ) -> Float32:
        """Pose blend shapes on the body's vertices, then linear blend skinning of all.

        Args:
            body: the body that was dressed.
            rotations: (T, 24, 3, 3) root in the output frame, then local ones.
            transl: (T, 3) SMPL's translation.
            betas: (10,) the shape that was dressed.

        Returns:
            (T, V, 3) float32 in the frame of ``rotations[:, 0]`` and ``transl``.
        """
        rotations = np.asarray(rotations, dtype=np.float32)
        directions = body.smpl.posedirs.numpy()  # (207, 3 B)
        features = (rotations[:, 1:] - np.eye(3, dtype=np.float32)).reshape(len(rotations), -1)
        offsets = (features @ directions).reshape(len(rotations), self.body_vertices, 3)
        _, joints = rest_shape(body, betas)
        bones = bone_transforms(joints, rotations, np.asarray(transl, dtype=np.float32))
        posed = np.empty((len(rotations), *self.vertices.shape), np.float32)
        skinning = (self.bones, self.weights, self.outward)
        _skin(self.vertices, offsets, *skinning, bones, posed)
        return posed

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What the body does not know, as small plain arrays: `from_arrays` restores it exactly."""
        own = slice(self.body_vertices, None)
        return {
            "vertices": np.rint(self.vertices / UNIT).astype(np.int16),
            "faces": self.faces[self.body_faces :].astype(np.uint16),
            "bones": self.bones[own],
            "weights": self.weights[own],
            "outward": self.outward,
            "albedo": self.albedo.astype(np.float16),
            "names": np.array(self.names, dtype="S"),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], body: Body) -> "Outfit":
        """The outfit that `to_arrays` stored, on the same body."""
        bones, weights = strongest_bones(body)
        return cls(
            vertices=arrays["vertices"].astype(np.float32) * np.float32(UNIT),
            faces=np.concatenate([body.faces, arrays["faces"].astype(np.int32)]),
            bones=np.concatenate([bones, arrays["bones"]]),
            weights=np.concatenate([weights, arrays["weights"]]),
            outward=arrays["outward"],
            albedo=arrays["albedo"].astype(np.float32),
            body_vertices=body.num_vertices,
            body_faces=len(body.faces),
            names=tuple(name.decode() for name in arrays["names"].tolist()),
        )


def undressed(body: Body, betas: Array) -> Outfit:
    """The naked body in uniform grey."""
    vertices, _ = rest_shape(body, betas)
    bones, weights = strongest_bones(body)
    return Outfit(
        vertices=rounded(vertices),
        faces=np.ascontiguousarray(body.faces, dtype=np.int32),
        bones=bones,
        weights=weights,
        outward=np.zeros((0, 3), np.float32),
        albedo=np.full(len(body.faces), 0.5, np.float32),
        body_vertices=body.num_vertices,
        body_faces=len(body.faces),
    )


def rounded(points: Array) -> Float32:
    """Points at the nearest multiples of `UNIT`."""
    return (np.rint(points / UNIT) * UNIT).astype(np.float32)


def rest_shape(body: Body, betas: NDArray[np.floating]) -> tuple[Array, Array]:
    """Vertices (B, 3) and joints (24, 3) of the unposed body with shape ``betas`` (10,)."""
    shape = torch.as_tensor(np.asarray(betas), dtype=torch.float32)
    vertices = body.smpl.v_template + body.smpl.shapedirs @ shape
    joints = body.rest_joints(shape[None])[0]
    return vertices.double().numpy(), joints.double().numpy()


def strongest_bones(body: Body) -> tuple[NDArray[np.uint8], Float32]:
    """The heaviest bones of each body vertex (B, 5) and their renormalised weights (B, 5)."""
    full = body.smpl.lbs_weights.numpy()
    bones = np.argsort(-full, axis=1, kind="stable")[:, :SLOTS]
    weights = np.take_along_axis(full, bones, axis=1)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return bones.astype(np.uint8), weights.astype(np.float32)


def bone_transforms(joints: Array, rotations: Float32, transl: Float32) -> Float32:
    """From the rest pose to each joint's frame (SMPL 2015, eqs. 3-4).

    Args:
        joints: (24, 3) rest joints.
        rotations: (T, 24, 3, 3).
        transl: (T, 3).

    Returns:
        (T, 24, 3, 4): rotation and translation to apply to rest-pose points.
    """
    out = np.empty((len(rotations), NUM_JOINTS, 3, 4), np.float32)
    turns, places = out[..., :3], np.empty((len(rotations), NUM_JOINTS, 3))
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            turns[:, joint] = rotations[:, joint]
            places[:, joint] = joints[joint] + transl
        else:
            turns[:, joint] = turns[:, parent] @ rotations[:, joint]
            places[:, joint] = places[:, parent] + turns[:, parent] @ (
                joints[joint] - joints[parent]
            )
    out[..., 3] = places - (turns @ joints[:, :, None])[..., 0]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _blend(bones, weights, i, first, stop, transforms, x, y, z):  # type: ignore[no-untyped-def]
    """The point x, y, z moved by the weighted sum of slots [first, stop) of vertex i."""
    px, py, pz = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for k in range(first, stop):
        w = weights[i, k]
        if w > np.float32(0.0):
            m = transforms[bones[i, k]]
            px += w * (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3])
            py += w * (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3])
            pz += w * (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3])
    return px, py, pz


@njit(cache=True, nogil=True, error_model="numpy")
def _skin(rest, offsets, bones, weights, outward, transforms, posed):  # type: ignore[no-untyped-def]
    body = offsets.shape[1]
    zero, half, one = np.float32(0.0), np.float32(0.5), np.float32(1.0)
    two, three = np.float32(2.0), np.float32(3.0)
    for t in range(posed.shape[0]):
        bone = transforms[t]
        for i in range(body):
            x = rest[i, 0] + offsets[t, i, 0]
            y = rest[i, 1] + offsets[t, i, 1]
            z = rest[i, 2] + offsets[t, i, 2]
            px, py, pz = _blend(bones, weights, i, 0, SLOTS, bone, x, y, z)
            posed[t, i, 0], posed[t, i, 1], posed[t, i, 2] = px, py, pz
        for i in range(body, rest.shape[0]):
            x, y, z = rest[i, 0], rest[i, 1], rest[i, 2]
            nx, ny, nz = outward[i - body, 0], outward[i - body, 1], outward[i - body, 2]
            if nx == zero and nz == zero:
                px, py, pz = _blend(bones, weights, i, 0, SLOTS, bone, x, y, z)
                posed[t, i, 0], posed[t, i, 1], posed[t, i, 2] = px, py, pz
                continue
            lx, ly, lz = _blend(bones, weights, i, 0, 2, bone, x, y, z)
            rx, ry, rz = _blend(bones, weights, i, 2, 4, bone, x, y, z)
            m = bone[0]
            ahead = (
                (m[0, 0] * nx + m[0, 1] * ny + m[0, 2] * nz) * (lx - rx)
                + (m[1, 0] * nx + m[1, 1] * ny + m[1, 2] * nz) * (ly - ry)
                + (m[2, 0] * nx + m[2, 1] * ny + m[2, 2] * nz) * (lz - rz)
            )
            # Each side has half of the weight, so its place counts twice.
            s = min(max(half + ahead / SPLIT, zero), one)
            s = two * s * s * (three - two * s)
            posed[t, i, 0] = s * lx + (two - s) * rx
            posed[t, i, 1] = s * ly + (two - s) * ry
            posed[t, i, 2] = s * lz + (two - s) * rz
