"""The clone's laboratory: a performance filmed by one simulated DAVIS346."""

from collections.abc import Iterator

import numpy as np

from datasets.dhp19_subjects import Performance, before
from eventhpe.simulation.renderer import Renderer
from eventhpe.simulation.scene.look import CHEST, Look
from eventhpe.simulation.scene.people import Person
from eventhpe.simulation.scene.room import Light, Room, random_room
from eventhpe.simulation.scene.scene import Scene
from eventhpe.simulation.scene.views import View
from eventhpe.simulation.sensor import EventBatch
from eventhpe.simulation.sensors import SENSORS

Rng = np.random.Generator

LABORATORY_SEED = 7
CEILING_LAMP, AMBIENT = np.array([0.0, 3.2, 0.0]), 0.5
LENS_BLUR_PX = 0.6
DARKEST = 0.12
"""Median intensity of a camera's background, at least; a white wall in full light has 1."""


def film_in_studio(performance: Performance, channel: int, rng: Rng) -> Iterator[EventBatch]:
    """Simulate one camera of the laboratory: batches of a second, t = 0 at the motion's start.

    Args:
        performance: who moves how.
        channel: DHP19's camera, 0..3.
        rng: draws the sensor. The room behind a camera is the same in all recordings.
    """
    view, motion = before(performance, channel)
    subject = performance.subject
    lamp = view.target + CEILING_LAMP
    reach = float(np.linalg.norm(CEILING_LAMP - CHEST))
    light = Light(np.append(lamp, 1.0), AMBIENT, reach)
    room = bright_room(np.random.default_rng([LABORATORY_SEED, channel]), view, light)
    look = Look(
        background=room.background,
        albedo=subject.outfit.albedo,
        light=(view.R @ light.towards(view.target + CHEST)).astype(np.float32),
        ambient=AMBIENT,
        exposure=1.0,
        room=room,
        shadow=None,
        flicker=None,
    )
    person = Person(subject.body, subject.betas, subject.outfit, motion, view)
    parameters = SENSORS["davis346"].draw(rng)
    renderer = Renderer(Scene(view, look, person, LENS_BLUR_PX), parameters, rng)
    return renderer.batches(len(motion.rotations))


def bright_room(rng: Rng, view: View, light: Light) -> Room:
    """A random place that is not too dark for people to stand out against."""
    room = random_room(rng, view, light)
    while np.median(room.background) < DARKEST:
        room = random_room(rng, view, light)
    return room
