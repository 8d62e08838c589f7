"""Worlds: up is up, the floor lies at height 0, and the body that moves there is the same one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from eventhpe.body import load_body
from eventhpe.sequence import ABSENT, MotionSequence
from eventhpe.world import UpAxis, in_world, world_of
from tests.rendering.rendering_scenes import motion

AXIS = {"y": 1, "z": 2}


def tilted(up: tuple[float, float, float] = (0.1, -0.9, 0.3)) -> MotionSequence:
    unit = np.array(up) / np.linalg.norm(up)
    body = load_body()
    return replace(
        motion(),
        up=unit,
        floor_m=-1.4,
        up_source="pitch and roll",
        body_id=body.body_id,
        body_sha256=body.sha256,
        global_orient=np.random.default_rng(0).normal(size=(8, 3)),
    )


@pytest.mark.parametrize("axis", ["y", "z"])
@pytest.mark.parametrize("up", [(0.1, -0.9, 0.3), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0)])
def test_up_is_the_axis_and_the_floor_is_zero(axis: UpAxis, up: tuple[float, float, float]) -> None:
    sequence = tilted(up)
    world = world_of(sequence, load_body(), axis)
    np.testing.assert_allclose(world.rotation @ world.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(world.rotation) == pytest.approx(1)
    np.testing.assert_allclose(world.rotation @ sequence.up, np.eye(3)[AXIS[axis]], atol=1e-12)
    on_the_floor = sequence.up * sequence.floor_m + np.cross(sequence.up, [0.3, 0.5, 0.2])
    assert world.points(on_the_floor)[AXIS[axis]] == pytest.approx(0)


@pytest.mark.parametrize("axis", ["y", "z"])
def test_a_level_camera_looks_where_the_text_says(axis: UpAxis) -> None:
    world = world_of(replace(motion(), floor_m=-1.0), load_body(), axis)
    forward, right = world.rotation @ [0, 0, 1], world.rotation @ [1, 0, 0]
    np.testing.assert_allclose(right, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(forward, [0, 0, -1] if axis == "y" else [0, 1, 0], atol=1e-12)


def test_the_body_posed_in_the_world_is_the_cameras_body_moved_there() -> None:
    body, sequence = load_body(), tilted()
    world = world_of(sequence, body)
    orient, transl = in_world(sequence, body, world)
    betas = torch.from_numpy(sequence.betas).expand(len(sequence), -1)
    moved = body(betas, orient, sequence.matrices()[1], transl)
    for step, (vertices, joints) in enumerate(sequence.posed(body)):
        np.testing.assert_allclose(moved.vertices[step], world.points(vertices), atol=1e-5)
        np.testing.assert_allclose(moved.joints[step], world.points(joints), atol=1e-5)
    first = int(np.flatnonzero(sequence.state != ABSENT)[0])
    np.testing.assert_allclose(moved.joints[first, 0, [0, 2]], 0, atol=1e-5)
