"""How good a motion is against truth, and the baseline of the mean pose."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from eventhpe import metrics
from eventhpe.body import Body
from eventhpe.camera import project
from eventhpe.estimator import Networks
from eventhpe.events.region import MARGIN
from eventhpe.sequence import MotionSequence
from eventhpe.simulation.truth import SimulatedTruth

FIT_ROUNDS = 8


@dataclass(frozen=True)
class PoseErrors:
    """Mean errors over steps with a person, millimetres, 24 joints.

    Attributes:
        mpjpe: camera space, no alignment.
        pel_mpjpe: hips' midpoint aligned.
        pa_mpjpe: Procrustes with scale, per step.
        steps: how many steps were compared.
    """

    mpjpe: float
    pel_mpjpe: float
    pa_mpjpe: float
    steps: int


def pose_errors(motion: MotionSequence, truth: SimulatedTruth, body: Body) -> PoseErrors:
    """Compare a motion with the truth at its own times, wherever a person is in the image.

    Steps that the motion calls absent count with the pose they hold.
    """
    at = truth.at(motion.t_us)
    present = at.present
    predicted = np.stack([joints for _, joints in motion.posed(body)])[present]
    joints = at.joints[present]
    return PoseErrors(
        float(np.mean(metrics.mpjpe(predicted, joints))),
        float(np.mean(metrics.pel_mpjpe(predicted, joints))),
        float(np.mean(metrics.pa_mpjpe(predicted, joints))),
        int(present.sum()),
    )


def pose_table(rows: dict[str, PoseErrors]) -> str:
    """A table of errors, one row a method."""
    lines = ["mm, 24 joints, no start pose      MPJPE     PEL      PA   steps"]
    for name, errors in rows.items():
        figures = (errors.mpjpe, errors.pel_mpjpe, errors.pa_mpjpe)
        columns = "".join(f"{value:8.1f}" for value in figures)
        lines.append(f"{name:<31}{columns}{errors.steps:8d}")
    return "\n".join(lines)


def mean_pose(motion: MotionSequence, networks: Networks, body: Body) -> MotionSequence:
    """The baseline: the training set's mean pose, fitted into the motion's regions.

    Size and place come from the region alone: the projected mesh is as long as the extent that
    the region was drawn around, and centred in it.
    """
    rotations = networks.shapenet.mean_rotations.cpu()
    betas = torch.zeros(1, 10)
    output = body(betas, rotations[None, 0], rotations[None, 1:], torch.zeros(1, 3))
    vertices = output.vertices[0].detach().numpy()
    transl = _fit(vertices, motion.region, motion.K)
    steps = len(motion)
    still = MotionSequence.from_matrices(
        rotations[:1].expand(steps, 3, 3),
        rotations[None, 1:].expand(steps, 23, 3, 3),
        **{
            name: getattr(motion, name)
            for name in motion.__dataclass_fields__
            if name not in ("global_orient", "body_pose")
        },
    )
    return replace(still, betas=np.zeros(10, np.float32), transl=transl.astype(np.float32))


def _fit(
    vertices: NDArray[np.float32], boxes: NDArray[np.float32], K: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Translations (T, 3) that centre a mesh's picture in regions (T, 4) and give it their
    extent."""
    side = boxes[:, 2].astype(np.float64)
    centre = boxes[:, :2] + (side[:, None] - 1) / 2
    # What stands out in any picture of the mesh lies on its convex hull.
    outer = vertices[ConvexHull(vertices).vertices]
    offset = np.stack([0 * side, 0 * side, 2 * K[0, 0] / side], axis=1)
    for _ in range(FIT_ROUNDS):
        uv = project(outer + offset[:, None], K)
        low, high = uv.min(axis=1), uv.max(axis=1)
        offset[:, 2] *= (high - low).max(axis=1) / (side / MARGIN)
        offset[:, :2] += (centre - (low + high) / 2) * offset[:, 2:] / np.diag(K)[:2]
    return offset
