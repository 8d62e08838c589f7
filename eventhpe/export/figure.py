"""A motion as its exports show it: cut and resampled, upright, the floor at height 0."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eventhpe.body import Body
from eventhpe.sequence import ABSENT, CAMERA_UP, MotionSequence
from eventhpe.world import UpAxis, World, in_world, pelvis_at_rest, world_of

EVEN_US = 1.0  # steps this near to an even grid are even: whole microseconds round


@dataclass(frozen=True, eq=False)
class Figure:
    """T steps of a body in a world (see `eventhpe.world`), metres.

    Attributes:
        motion: the steps, in the camera's frame; their times, states and shape.
        body: the one that the motion belongs to.
        up: the world's axis that points up.
        world: from the camera's frame.
        rate_hz: steps a second, the mean if they are uneven.
        rotations: (T, 24, 3, 3) float32, the pelvis's in the world and each other joint's relative
            to its parent's.
        transl: (T, 3) float32 SMPL's translation in the world.
        notes: what whoever exports should know, one sentence each.
    """

    motion: MotionSequence
    body: Body
    up: UpAxis
    world: World
    rate_hz: float
    rotations: Tensor
    transl: Tensor
    notes: tuple[str, ...]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(T,) whether a person was there."""
        return self.motion.state != ABSENT

    @property
    def betas(self) -> Tensor:
        """(T, 10) float32, the motion's one shape at each step."""
        return torch.from_numpy(self.motion.betas).expand(len(self.motion), -1)

    @property
    def pelvis(self) -> NDArray[np.float64]:
        """(T, 3) the pelvis in the world."""
        return self.transl.double().numpy() + pelvis_at_rest(self.motion, self.body)

    def joints(self) -> NDArray[np.float32]:
        """(T, 24, 3) SMPL's joints in the world."""
        turns = self.rotations
        with torch.no_grad():
            return self.body.joints(self.betas, turns[:, 0], turns[:, 1:], self.transl).numpy()

    def meshes(self, steps: Sequence[int]) -> Iterator[NDArray[np.float64]]:
        """Vertices (V, 3) in the world, step by step."""
        for vertices, _ in self.motion.posed(self.body, steps):
            yield self.world.points(vertices)


def figure_of(
    motion: MotionSequence,
    body: Body,
    up: UpAxis,
    *,
    rate_hz: float | None,
    even: bool,
    ends: bool,
) -> Figure:
    """Prepare a motion for export.

    Args:
        motion: with a pose at least.
        body: the one that the motion belongs to.
        up: the axis that is to point up.
        rate_hz: poses a second, or None for the motion's own steps.
        even: resample uneven steps, at the motion's ``step_us``.
        ends: keep the steps before the person came and after they left.

    Raises:
        InputError: the motion belongs to another body.
    """
    motion.require_body(body)
    notes = _notes_on_the_world(motion)
    if not ends:
        here = np.flatnonzero(motion.state != ABSENT)
        cut = motion.slice(int(motion.t_us[here[0]]), int(motion.t_us[here[-1]]) + 1)
        if len(cut) < len(motion):
            notes.append(f"left out: {len(motion) - len(cut)} steps at the ends, without a person")
        motion = cut
    if rate_hz is None and even and not _is_even(motion):
        rate_hz = 1e6 / motion.step_us
        notes.append(f"the steps were uneven and are resampled at {rate_hz:g} Hz")
    if rate_hz is not None:
        motion = motion.resample(rate_hz)
    world = world_of(motion, body, up)
    orient, transl = in_world(motion, body, world)
    rotations = torch.cat([orient[:, None], motion.matrices()[1]], dim=1)
    rate = rate_hz or _mean_rate(motion)
    return Figure(motion, body, up, world, rate, rotations, transl, tuple(notes))


def rest_vertices(body: Body, betas: Tensor) -> NDArray[np.float32]:
    """Vertices (V, 3) of the unposed body with shape ``betas`` (10,), metres."""
    still = torch.eye(3).expand(1, 24, 3, 3)
    with torch.no_grad():
        return body(betas[None], still[:, 0], still[:, 1:], torch.zeros(1, 3)).vertices[0].numpy()


def _notes_on_the_world(motion: MotionSequence) -> list[str]:
    notes = [f"up: {motion.up_source}"]
    if motion.up_source == CAMERA_UP:
        notes = ["gravity is not known: upward is the image's upward direction"]
    if np.isnan(motion.floor_m):
        notes.append("the floor is not known: height 0 is the camera's")
    return notes


def _mean_rate(motion: MotionSequence) -> float:
    if len(motion) < 2:
        return 1e6 / motion.step_us
    return 1e6 * (len(motion) - 1) / float(motion.t_us[-1] - motion.t_us[0])


def _is_even(motion: MotionSequence) -> bool:
    grid = motion.t_us[0] + np.arange(len(motion)) * 1e6 / _mean_rate(motion)
    return bool(np.abs(motion.t_us - grid).max() <= EVEN_US)
