"""The posed meshes of a motion at any moment, few at a time."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eventhpe.body import Body
from eventhpe.sequence import ABSENT, MotionSequence

_BLOCK = 8  # posed at once: takes about as long as two, and scrubbing does not notice
_KEPT_BYTES = 128 << 20


@dataclass(frozen=True, eq=False)
class Pose:
    """A person at one moment, camera frame, metres.

    Attributes:
        vertices: (V, 3) float32.
        joints: (24, 3) float32, SMPL's order.
        state: index into `eventhpe.sequence.STATE_NAMES`.
        confidence: 0..1.
    """

    vertices: NDArray[np.float32]
    joints: NDArray[np.float32]
    state: int
    confidence: float


class Poses:
    """Poses of a motion at given moments, made when asked for; the latest are kept.

    Args:
        motion: at moments between its poses it is interpolated, see `MotionSequence.at`.
        body: the one that the motion belongs to.
        ticks: (N,) microseconds, strictly increasing, within the motion's time.
        kept_bytes: bound on the memory of what is kept.
    """

    def __init__(
        self,
        motion: MotionSequence,
        body: Body,
        ticks: NDArray[np.int64],
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        self._motion, self._body, self._ticks = motion, body, ticks
        blocks = kept_bytes // (_BLOCK * body.num_vertices * 3 * 4)
        self._block = lru_cache(maxsize=max(1, blocks))(self._pose)

    def at(self, tick: int) -> Pose | None:
        """The pose of ``ticks[tick]``; None where nobody is there.

        Raises:
            InputError: the motion belongs to another body.
        """
        first = tick - tick % _BLOCK
        return self._block(first).get(tick)

    def _pose(self, first: int) -> dict[int, Pose]:
        """The poses of a block by their ticks."""
        motion = self._motion.at(self._ticks[first : first + _BLOCK])
        present = np.flatnonzero(motion.state != ABSENT)
        posed = motion.posed(self._body, present.tolist())
        return {
            first + int(k): Pose(*pose, int(motion.state[k]), float(motion.confidence[k]))
            for k, pose in zip(present, posed, strict=True)
        }
