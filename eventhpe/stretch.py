"""Stretches of steps whose poses are moved, and what it costs; see `eventhpe.optimisation`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import roma
import torch
from torch import Tensor

from eventhpe.body import Body
from eventhpe.camera import encode_translation
from eventhpe.estimator import Reading, Step
from eventhpe.refinement import MIN_DEPTH_M
from eventhpe.sequence import HELD, MotionSequence
from shapenet.model import ShapeNetOutput
from shapenet.self_supervision import SelfSupervision, Sight

WEIGHTS = {"endpoint": 0.25, "cosine": 0.25, "events": 1.0, "outline": 1.0}
"""Of `SelfSupervision.terms`. Estimated flow is off everywhere a little, and where it is trusted
more, bodies that stood right move away."""
SPREADS = (0.3, 0.03, 0.1)  # of rotations, radians; of the pelvis's ray, x/z; of its log depth
PRIOR = 0.05  # pixels, as of `SelfSupervision.terms`, that moving one number by its spread costs
LEAST_CONFIDENCE = 0.1  # the least that an estimate holds
CUTOFF_HZ = 1.5  # corrections that swing so fast cost about twice as much as steady ones
CLIP, BATCH = 11, 4  # steps, the first one the last of the clip before; clips at once
JUDGE = 1  # seed of event pixels that were not optimised for
NUM_OFFSETS = 75

Batch = dict[str, Tensor]
Taken = list[tuple[int, Reading]]


@dataclass(frozen=True)
class Poses:
    """Poses of T steps, in the numbers that are moved.

    Attributes:
        rotations: (T, 24, 3, 3).
        ray: (T, 2) x/z and y/z of the pelvis.
        depth: (T, 1) metres.
        rest: (3,) the pelvis of the unposed body.
    """

    rotations: Tensor
    ray: Tensor
    depth: Tensor
    rest: Tensor

    @classmethod
    def of(cls, motion: MotionSequence, body: Body) -> "Poses":
        """The poses of a motion; pelvises nearer than ``MIN_DEPTH_M`` are put there."""
        orient, pose = motion.matrices()
        rest = body.rest_joints(torch.from_numpy(motion.betas)[None])[0, 0]
        pelvis = torch.from_numpy(motion.transl) + rest
        depth = pelvis[:, 2:].clamp(min=MIN_DEPTH_M)
        rotations = torch.cat([orient[:, None], pose], dim=1)
        return cls(rotations, pelvis[:, :2] / depth, depth, rest)

    def at(self, rows: list[int], device: torch.device) -> "Poses":
        """Some of the steps, on a device."""
        steps = (self.rotations[rows], self.ray[rows], self.depth[rows], self.rest)
        return Poses(*(value.to(device) for value in steps))

    def moved(self, offsets: Tensor, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Rotations (N, 24, 3, 3) and pelvis (N, 3), metres, of some steps.

        Args:
            offsets: (N, 75) in ``SPREADS``: a rotation vector for each joint, in its own frame and
                as long as the geodesic angle; then of the ray, and of the logarithm of depth.
        """
        turns = SPREADS[0] * offsets[:, :72].unflatten(1, (24, 3))
        rotations = self.rotations[rows] @ roma.rotvec_to_rotmat(turns)
        ray = self.ray[rows] + SPREADS[1] * offsets[:, 72:74]
        depth = self.depth[rows] * torch.exp(SPREADS[2] * offsets[:, 74:])
        return rotations, torch.cat([ray * depth, depth], dim=1)

    def first_step(self, motion: MotionSequence) -> Step:
        """The first pose as the start of an `Estimator`."""
        pelvis = torch.cat([self.ray[0] * self.depth[0], self.depth[0]]).numpy()
        x0, y0, width, height = motion.region[0].tolist()
        rotations = self.rotations[0].numpy()
        return Step(0, rotations, motion.betas, pelvis, (x0, y0, width, height), 1.0, HELD)


class Stretch:
    """N steps that are optimised together, and their clips for the self-supervision.

    Args:
        steps: rows of the motion, and what the networks read there.
        motion, poses: the whole motion, twice.
        supervision: of the motion's body, on the readings' device.

    Attributes:
        clips: (B, ``CLIP``) rows of the N steps; the last clip's end repeats the last step.
        follows: (N,) whether a step comes one step of time after the one before it.
    """

    def __init__(
        self, steps: Taken, motion: MotionSequence, poses: Poses, supervision: SelfSupervision
    ) -> None:
        rows, readings = [k for k, _ in steps], [reading for _, reading in steps]
        device = readings[0].place.device
        self.poses = poses.at(rows, device)
        self.supervision = supervision
        self.betas = torch.from_numpy(motion.betas).to(device)
        self.inputs = torch.cat([reading.inputs[0] for reading in readings])
        self.place = torch.cat([reading.place[0] for reading in readings])
        self.region = torch.tensor(
            [(*r.crop.centre, r.crop.side) for r in readings], dtype=torch.float32, device=device
        )
        K = motion.K
        focal = [K[0, 0], K[1, 1], K[0, 2], K[1, 2]]
        self.intrinsics = torch.tensor(focal, dtype=torch.float32, device=device)
        self.confidence = torch.from_numpy(motion.confidence[rows]).to(device)
        self.step_s = motion.step_us * 1e-6
        gaps = np.diff(motion.t_us[rows]) == motion.step_us
        self.follows = torch.from_numpy(np.append(False, gaps)).to(device)
        count = len(rows)
        first = torch.arange(0, max(count - 1, 1), CLIP - 1)[:, None]
        self.clips = (first + torch.arange(CLIP)).clamp(max=count - 1).to(device)

    def look(self, offsets: Tensor, seed: int = 0) -> list[Sight]:
        """What is seen of the moved body, a sight for each batch of clips."""
        with torch.no_grad():
            return [
                self.supervision.look(*self._batch(offsets, rows), seed)
                for rows in self.clips.split(BATCH)
            ]

    def losses(self, offsets: Tensor, sights: list[Sight]) -> Iterator[Tensor]:
        """Parts () of the loss without labels, batch by batch; their sum is the mean of a step."""
        for rows, sight in zip(self.clips.split(BATCH), sights, strict=True):
            output, batch = self._batch(offsets, rows)
            terms = self.supervision.terms(output, batch, sight)
            share = batch["follows"].sum() / self.follows.sum().clamp(min=1)
            yield share * sum(WEIGHTS[name] * value for name, value in terms.items())

    @torch.no_grad()
    def judged(self, offsets: Tensor) -> float:
        """The loss by what is seen now, with event pixels that nothing was optimised for."""
        return sum(float(loss) for loss in self.losses(offsets, self.look(offsets, JUDGE)))

    def prior(self, offsets: Tensor) -> Tensor:
        """() what it costs to leave the estimate, mean of a step.

        w |u|^2 + (2 pi cutoff)^-4 |u''|^2 for offsets u and confidence w: as
        `eventhpe.refinement.smooth`, of corrections.
        """
        away = self.confidence.clamp(min=LEAST_CONFIDENCE) * offsets.square().sum(dim=1)
        bends = offsets.diff(n=2, dim=0).square().sum(dim=1)
        bends = bends * (self.follows[2:] & self.follows[1:-1])
        swing = (2.0 * math.pi * CUTOFF_HZ * self.step_s) ** -4 * bends
        return PRIOR * (away.sum() + swing.sum()) / len(offsets)

    def _batch(self, offsets: Tensor, rows: Tensor) -> tuple[ShapeNetOutput, Batch]:
        """Some clips (B, ``CLIP``) as a network would have given them, and what they are of."""
        flat = rows.flatten()
        rotations, pelvis = self.poses.moved(offsets[flat], flat)
        region = self.region[flat]
        focal, principal = self.intrinsics.expand(len(flat), 4).split(2, dim=1)
        code = encode_translation(pelvis, focal, region[:, :2], region[:, 2], principal)
        output = ShapeNetOutput(
            rotations=rotations.unflatten(0, rows.shape),
            betas=self.betas.expand(*rows.shape, -1),
            translation_code=torch.stack(code, dim=-1).unflatten(0, rows.shape),
            log_variance=pelvis.new_zeros(rows.shape),
            presence_logit=pelvis.new_zeros(rows.shape),
        )
        follows = self.follows[rows] & (rows.diff(dim=1, prepend=rows[:, :1]) == 1)
        batch = {
            "inputs": self.inputs[rows],
            "place": self.place[rows],
            "region": self.region[rows],
            "intrinsics": self.intrinsics.expand(len(rows), 4),
            "follows": follows,
            "present": torch.ones_like(follows),
        }
        return output, batch
