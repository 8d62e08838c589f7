"""The default body stands upright in the overlay, in its place."""

import dataclasses

import numpy as np
import pytest

from eventhpe.body import load_body
from eventhpe.camera import project
from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.rendering.moments import moments
from tests.rendering.rendering_scenes import MemoryRecording, motion


def test_an_upright_body_is_drawn_in_its_place_with_its_head_up() -> None:
    body = load_body()
    K = np.array([[120.0, 0, 60], [0, 120, 65], [0, 0, 1]])
    standing = dataclasses.replace(
        motion(),
        body_id=body.body_id,
        body_sha256=body.sha256,
        K=K,
        # Half a turn about x: the y-up body in the y-down camera, facing it.
        global_orient=np.tile([np.pi, 0, 0], (8, 1)),
    )
    vertices = next(moments(standing, MemoryRecording(), body, range(1))).vertices
    assert vertices is not None
    with MeshRenderer(128, 120, K, "rasterizer") as renderer:
        _, mask = renderer.render(vertices, body.faces)
    rows, columns = np.nonzero(mask)
    seen = project(vertices.astype(float), K)
    assert [columns.min(), rows.min()] == pytest.approx(seen.min(axis=0), abs=1)
    assert [columns.max(), rows.max()] == pytest.approx(seen.max(axis=0), abs=1)
    # About 1.7 m tall, arms spread, 3 m off.
    assert np.ptp(rows) == pytest.approx(120 * 1.7 / 3, rel=0.15)
    top = columns[rows < rows.min() + 5]
    assert np.ptp(top) < 20, "the head is narrow and up"
