"""Several cameras' motions of one person as one motion in the world.

Each camera knows places well across its rays and badly along them, and every camera takes another
one of a person's ambiguous poses for true now and then. So places are combined by their precision,
and rotations by a median, which one camera that mistakes front and back does not move.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from eventhpe.body import Body
from eventhpe.camera import Camera
from eventhpe.sequence import TRACKED, MotionSequence

ALONG, ACROSS = 0.1, 0.02
"""Spread of a pelvis's place along a camera's ray and across it, in distances (chosen: of the
released weights' size on validation)."""
LEAST_WEIGHT = 1e-3  # of a camera that does not see the person: it decides where none does
ROUNDS = 10  # of the median's iteration
NEAREST = 0.02  # chords under this, about a degree, pull no harder


@dataclass(frozen=True)
class FusedMotion:
    """T poses in the world.

    Attributes:
        t_us: (T,) moments that all cameras have.
        betas: (10,) SMPL shape.
        rotations: (T, 24, 3, 3) the pelvis's in the world, the others in their parents.
        pelvis: (T, 3) metres.
    """

    t_us: NDArray[np.int64]
    betas: Tensor
    rotations: Tensor
    pelvis: NDArray[np.float64]

    def joints(self, body: Body) -> Tensor:
        """(T, 24, 3) metres."""
        betas = self.betas.expand(len(self.rotations), -1)
        transl = torch.from_numpy(self.pelvis.astype(np.float32)) - body.rest_joints(betas)[:, 0]
        with torch.no_grad():
            return body.joints(betas, self.rotations[:, 0], self.rotations[:, 1:], transl)


def fuse(views: Sequence[tuple[MotionSequence, Camera]], body: Body) -> FusedMotion:
    """One motion of what several cameras saw at the same time.

    Args:
        views: each camera's motion, in its frame and on one clock, with the camera in the world.
        body: the body that all motions belong to.

    Raises:
        ValueError: no view, or no moment that all have.
    """
    if not views:
        raise ValueError("no views to fuse")
    times = reduce(np.intersect1d, [motion.t_us for motion, _ in views])
    if not len(times):
        raise ValueError("the views have no moment in common")
    rotations, places, precisions, weights = [], [], [], []
    for motion, camera in views:
        rows = np.searchsorted(motion.t_us, times)
        orient, pose = (part[rows] for part in motion.matrices())
        turn = torch.from_numpy(camera.R.astype(np.float32))
        rotations.append(torch.cat([(turn.T @ orient)[:, None], pose], dim=1))
        root = body.rest_joints(torch.from_numpy(motion.betas)[None])[0, 0].numpy()
        pelvis = (motion.transl[rows] + root).astype(np.float64)
        places.append((pelvis - camera.t) @ camera.R)
        seen = np.where(motion.state[rows] == TRACKED, motion.confidence[rows], 0.0)
        weights.append(np.maximum(seen, LEAST_WEIGHT))
        precisions.append(_precision(pelvis, camera.R) * weights[-1][:, None, None])
    total = sum(precisions)
    pulled = sum((P @ place[..., None]) for P, place in zip(precisions, places, strict=True))
    shape = np.average([motion.betas for motion, _ in views], axis=0, weights=np.mean(weights, 1))
    median = rotation_median(torch.stack(rotations), torch.from_numpy(np.stack(weights)).float())
    betas = torch.from_numpy(shape.astype(np.float32))
    return FusedMotion(times, betas, median, np.linalg.solve(total, pulled)[..., 0])


def rotation_median(rotations: Tensor, weights: Tensor) -> Tensor:
    """The rotations with the least weighted sum of chords to others, over the first axis.

    Weiszfeld's iteration (Hartley, Aftab, Trumpf, "L1 rotation averaging using the Weiszfeld
    algorithm", CVPR 2011) with the chord |A - B| in the angle's place, begun at the chordal mean.

    Args:
        rotations: (V, T, J, 3, 3).
        weights: (V, T), above 0.

    Returns:
        (T, J, 3, 3).
    """
    given = weights[:, :, None].expand(rotations.shape[:3])
    pull = given
    for _ in range(ROUNDS):
        mean = roma.special_procrustes((pull[..., None, None] * rotations).sum(dim=0))
        chord = (rotations - mean).square().sum(dim=(-2, -1)).sqrt()
        pull = given / chord.clamp(min=NEAREST)
    return mean


def _precision(pelvis: NDArray[np.float64], R: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3, 3) inverse covariance, in the world, of places (T, 3) in a camera's frame."""
    distance = np.linalg.norm(pelvis, axis=1)[:, None, None]
    ray = (pelvis / distance[..., 0]) @ R
    along = ray[:, :, None] * ray[:, None, :]
    return np.asarray((along / ALONG**2 + (np.eye(3) - along) / ACROSS**2) / distance**2)
