"""How finely a moving mesh is sampled in time."""

from itertools import pairwise

import numpy as np
import pytest

from eventhpe.body.loading import load_body
from eventhpe.simulation import renderer as module
from eventhpe.simulation.motion.performance import single_motion
from eventhpe.simulation.renderer import LARGEST_SHIFT, Renderer
from eventhpe.simulation.scene.look import random_look
from eventhpe.simulation.scene.people import Person
from eventhpe.simulation.scene.scene import Scene
from eventhpe.simulation.scene.views import random_view
from eventhpe.simulation.scene.wardrobe import dress
from eventhpe.simulation.sensor import SensorParameters


def test_no_vertex_in_view_moves_more_than_half_a_pixel_between_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, body = np.random.default_rng(2), load_body()
    view = random_view(rng, (346, 260))
    motion = single_motion(rng, "punch_forward_left", 1.5, view.stage)
    person = Person(body, np.zeros(10), dress(rng, body, np.zeros(10)), motion, view)
    look = random_look(rng, view, person.outfit.albedo, 0.2, shadow=False, flicker=False)
    drawn: list[np.ndarray] = []
    real = module.rasterize

    def watched(vertices: np.ndarray, *others: object, **more: object) -> object:
        drawn.append(vertices @ view.K.T.astype(np.float32))
        return real(vertices, *others, **more)

    monkeypatch.setattr(module, "rasterize", watched)
    scene = Scene(view, look, person, 0.7)
    list(Renderer(scene, SensorParameters(), rng).batches(len(motion.rotations)))
    assert len(drawn) > 151  # the fist needs more than the 100 Hz of the motion
    largest = 0.0
    for before, after in pairwise(drawn):
        a, b = (points[:, :2] / points[:, 2:] for points in (before, after))
        inside = ((b >= 0) & (b < [346, 260])).all(axis=1)
        largest = max(largest, float(np.abs(b - a)[inside].max(initial=0.0)))
    assert 0.1 < largest <= 1.02 * LARGEST_SHIFT * 346
