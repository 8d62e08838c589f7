"""Small scenes for the rendering tests: a ball as the body, a recording in memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from eventhpe.body.model import BodyOutput
from eventhpe.events.recording import RawChunk, Recording
from eventhpe.sequence import STATE_NAMES, MotionSequence

K = np.array([[150.0, 0, 60], [0, 190, 70], [0, 0, 1]])
TRACKED, HELD, ABSENT = (STATE_NAMES.index(name) for name in ("tracked", "held", "absent"))


def ball(
    x: float, y: float, z: float, radius: float = 0.2
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Vertices and faces of a ball around (x, y, z), camera frame."""
    sphere = trimesh.creation.icosphere(3, radius)
    return (sphere.vertices + np.array([x, y, z])).astype(np.float32), sphere.faces.astype(np.int32)


class BallBody:
    """Stands in for the body: a ball at ``transl``."""

    body_id, sha256 = "ball", "0" * 64

    def __init__(self) -> None:
        vertices, self.faces = ball(0, 0, 0)
        self.rest = torch.from_numpy(vertices)

    def __call__(
        self,
        betas: torch.Tensor,
        global_orient: torch.Tensor,
        body_pose: torch.Tensor,
        transl: torch.Tensor,
    ) -> BodyOutput:
        assert len(betas) == len(global_orient) == len(body_pose) == len(transl)
        joints = self.joints(betas, global_orient, body_pose, transl)
        return BodyOutput(self.rest + transl[:, None], joints)

    def joints(
        self,
        betas: torch.Tensor,
        global_orient: torch.Tensor,
        body_pose: torch.Tensor,
        transl: torch.Tensor,
    ) -> torch.Tensor:
        """All in the middle of the ball."""
        return transl[:, None].expand(-1, 24, 3)

    def rest_joints(self, betas: torch.Tensor) -> torch.Tensor:
        """All at the origin."""
        return torch.zeros(len(betas), 24, 3)


class MemoryRecording(Recording):
    """Ten thousand random events a second on a 128x120 sensor."""

    def __init__(self, seconds: float = 1.0, width: int = 128, height: int = 120) -> None:
        super().__init__(Path("memory.h5"), "memory", width, height, 0)
        self._seconds = seconds

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        random = np.random.default_rng(0)
        n = int(self._seconds * 10_000)
        t = np.linspace(0, self._seconds * 1e6 - 1, n).astype(np.int64)
        x, y = random.integers(0, self.width, n), random.integers(0, self.height, n)
        p = random.integers(0, 2, n)
        for i in range(0, n, 777):
            part = slice(i, i + 777)
            yield RawChunk(x[part], y[part], t[part], p[part])


def motion(steps: int = 8, step_us: int = 40_000, window_us: int = 60_000) -> MotionSequence:
    """A ball that moves right, 3 m off; tracked, but held at step 2 and absent at step 3."""
    state = np.full(steps, TRACKED, np.uint8)
    state[2:3], state[3:4] = HELD, ABSENT
    return MotionSequence(
        t_us=window_us + step_us * np.arange(steps, dtype=np.int64),
        betas=np.zeros(10, np.float32),
        global_orient=np.zeros((steps, 3), np.float32),
        body_pose=np.zeros((steps, 69), np.float32),
        transl=np.stack(
            [np.linspace(-0.4, 0.4, steps), np.zeros(steps), np.full(steps, 3.0)], axis=1
        ).astype(np.float32),
        body_id=BallBody.body_id,
        body_sha256=BallBody.sha256,
        K=K,
        distortion=np.zeros(0),
        width=128,
        height=120,
        frame="camera",
        region=np.tile(np.float32([10, 20, 50, 60]), (steps, 1)),
        confidence=np.full(steps, 0.9, np.float32),
        state=state,
        window_us=window_us,
        step_us=step_us,
        weights={},
        command="",
    )
