"""A person in motion before a camera."""

import numpy as np
import torch
from numpy.typing import NDArray

from eventhpe.body.model import Body
from eventhpe.simulation.motion.performance import Motion, random_motion, single_motion
from eventhpe.simulation.scene.textures import dress
from eventhpe.simulation.scene.views import View

Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]


class Person:
    """The body in a motion, seen by a camera: a `MeshSource` that also knows the truth.

    Args:
        body: the body model.
        betas: (10,) shape.
        motion: world-frame motion at 100 Hz.
        view: the camera.

    Attributes:
        rotations: (M, 24, 3, 3) float32; [:, 0] is the root in the camera frame.
        transl: (M, 3) float32, SMPL's translation in the camera frame.
        joints: (M, 24, 3) float32 camera frame.
    """

    def __init__(self, body: Body, betas: Array, motion: Motion, view: View) -> None:
        self.body = body
        self.betas = betas.astype(np.float32)
        self.faces = np.ascontiguousarray(body.faces, dtype=np.int32)
        rotations = motion.rotations.copy()
        rotations[:, 0] = view.R @ rotations[:, 0]
        self.rotations = rotations.astype(np.float32)
        rest = body.rest_joints(torch.from_numpy(self.betas)[None])[0].detach().numpy()
        # SMPL turns the body about the rest pelvis, which stays at J0(betas) + transl.
        self.transl = (view.to_camera(motion.translation) - rest[0]).astype(np.float32)
        with torch.no_grad():
            self.joints = body.joints(*self._parameters(0, len(rotations))).numpy()

    def _parameters(self, start: int, stop: int) -> tuple[torch.Tensor, ...]:
        rotations = torch.from_numpy(self.rotations[start:stop])
        betas = torch.from_numpy(self.betas).expand(len(rotations), -1)
        transl = torch.from_numpy(self.transl[start:stop])
        return betas, rotations[:, 0], rotations[:, 1:], transl

    def vertices(self, start: int, stop: int) -> Float32:
        """(stop - start, V, 3) camera-frame vertices of the samples [start, stop)."""
        with torch.no_grad():
            return self.body(*self._parameters(start, stop)).vertices.numpy()


def random_person(
    rng: Rng, body: Body, view: View, duration: float, motion: str | None
) -> tuple[Person, Float32, tuple[str, ...]]:
    """A dressed person in a random (or the named) motion: the person, albedo, segment names."""
    betas = np.clip(rng.normal(size=10), -2.5, 2.5)
    if motion is None:
        performed = random_motion(rng, duration, view.stage)
    else:
        performed = single_motion(rng, motion, duration, view.stage)
    rest = np.zeros((1, 24, 3, 3), np.float32) + np.eye(3, dtype=np.float32)
    pose = torch.from_numpy(rest)
    with torch.no_grad():
        shown = body(
            torch.from_numpy(betas.astype(np.float32))[None],
            pose[:, 0],
            pose[:, 1:],
            torch.zeros(1, 3),
        )
    vertices, joints = shown.vertices[0].double().numpy(), shown.joints[0].double().numpy()
    albedo = dress(rng, vertices, np.asarray(body.faces), joints)
    return Person(body, betas, performed, view), albedo, performed.names
