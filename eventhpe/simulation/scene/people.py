"""A dressed person in motion before a camera."""

import numpy as np
import torch
from numpy.typing import NDArray

from eventhpe.body.model import Body
from eventhpe.simulation.motion.performance import Motion
from eventhpe.simulation.scene.outfit import Outfit
from eventhpe.simulation.scene.views import View

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]


class Person:
    """The dressed body in a motion, seen by a camera: a `MeshSource` that also knows the truth.

    Args:
        body: the body model.
        betas: (10,) shape.
        outfit: what it wears, made for these betas.
        motion: world-frame motion at 100 Hz.
        view: the camera.

    Attributes:
        rotations: (M, 24, 3, 3) float32; [:, 0] is the root in the camera frame.
        transl: (M, 3) float32, SMPL's translation in the camera frame.
        joints: (M, 24, 3) float32 camera frame.
        motions: names of what is performed.
    """

    def __init__(
        self, body: Body, betas: Array, outfit: Outfit, motion: Motion, view: View
    ) -> None:
        self.body, self.outfit = body, outfit
        self.betas = betas.astype(np.float32)
        self.faces = outfit.faces
        self.motions = motion.names
        rotations = motion.rotations.astype(np.float32)
        rotations[:, 0] = view.R @ motion.rotations[:, 0]
        self.rotations = rotations
        shape = torch.from_numpy(self.betas)
        # SMPL turns the body about the rest pelvis, which stays at J0(betas) + transl.
        rest = body.rest_joints(shape[None])[0, 0].numpy()
        self.transl = (view.to_camera(motion.translation) - rest).astype(np.float32)
        turns, transl = torch.from_numpy(rotations), torch.from_numpy(self.transl)
        shapes = shape.expand(len(turns), -1)
        with torch.no_grad():
            self.joints = body.joints(shapes, turns[:, 0], turns[:, 1:], transl).numpy()

    def vertices(self, start: int, stop: int) -> Float32:
        """(stop - start, V, 3) camera-frame vertices of the samples [start, stop)."""
        part = slice(start, stop)
        return self.outfit.pose(self.body, self.rotations[part], self.transl[part], self.betas)
