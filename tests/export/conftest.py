"""A motion to export: wild turns, a tilted camera, gaps at the ends and in the middle."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from eventhpe.body import Body, load_body
from eventhpe.sequence import ABSENT, TRACKED, MotionSequence
from tests.rendering.rendering_scenes import motion

STEPS = 14
GAP = slice(6, 8)  # of the steps that are there, 2 to 11
FLOOR_M = -1.4


@pytest.fixture(scope="session")
def body() -> Body:
    return load_body()


@pytest.fixture
def wild(body: Body) -> MotionSequence:
    """14 steps of 40 ms; nobody at the first two, at steps 8 and 9, and at the last two."""
    rng = np.random.default_rng(0)
    state = np.full(STEPS, TRACKED)
    state[[0, 1, 8, 9, 12, 13]] = ABSENT
    up = np.array([0.1, -0.9, 0.3])
    # The heading runs through more than a whole turn, and every joint turns a little each step.
    heading = Rotation.from_rotvec(np.linspace(0, 8, STEPS)[:, None] * [0.0, 1.0, 0.0])
    upright = heading * Rotation.from_rotvec([np.pi, 0, 0])
    pose = rng.normal(0, 0.4, 69) + np.cumsum(rng.normal(0, 0.1, (STEPS, 69)), axis=0)
    return replace(
        motion(STEPS),
        up=up / np.linalg.norm(up),
        floor_m=FLOOR_M,
        up_source="pitch and roll",
        body_id=body.body_id,
        body_sha256=body.sha256,
        betas=rng.normal(0, 1, 10),
        global_orient=upright.as_rotvec(),
        body_pose=pose,
        state=state,
    )
