"""A motion of the simulated walk that is off by a known shift, and its report's parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from eventhpe.body import Body
from eventhpe.rendering.truth import load_truth
from eventhpe.sequence import ABSENT, HELD, TRACKED, MotionSequence
from tests.rendering.rendering_scenes import motion

SHIFT_M = 0.1  # of the estimate along the camera's x


def walk(recording: Path, body: Body, steps: int = 36) -> tuple[MotionSequence, MotionSequence]:
    """An estimate of the walk, 50 ms a step, and its truth.

    The estimate stands 0.1 m beside the truth, is absent at first and held for a while.
    """
    frame = replace(
        motion(steps, 50_000, 50_000), body_id=body.body_id, body_sha256=body.sha256, height=128
    )
    truth = load_truth(recording, frame, body)
    state = np.full(steps, TRACKED, np.uint8)
    state[:4], state[20:30] = ABSENT, HELD
    estimate = replace(
        truth,
        transl=truth.transl + np.float32([SHIFT_M, 0, 0]),
        state=state,
        confidence=np.linspace(0.2, 0.9, steps),
        command="eventhpe infer walk.h5 --out '<b>out</b>' --roi 4,4,120,120",
        weights={"flownet": "ab" * 32},
    )
    return estimate, truth
