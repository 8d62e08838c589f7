"""Light and colours of a recording, and what a renderer asks of a moving mesh."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.scene.backdrops import clouds
from eventhpe.simulation.scene.room import Light, Room, random_room
from eventhpe.simulation.scene.shadows import Shadow
from eventhpe.simulation.scene.views import View

Rng = np.random.Generator
Float32 = NDArray[np.float32]

CHEST = np.array([0.0, 1.2, 0.0])


@dataclass(frozen=True)
class Flicker:
    """A lamp on the mains beside steady light: its intensity is 1 + depth sin(2 pi hz t + phase).

    Attributes:
        hz: 100 or 120, twice the mains.
        depth: relative amplitude where all light is the lamp's.
        phase: radians at time 0.
        share: (H, W) float32 in 0..1, how much of a pixel's light is the lamp's; smooth.
    """

    hz: float
    depth: float
    phase: float
    share: Float32

    def offset(self, t_us: float) -> float:
        """Log intensity to add at a time (microseconds) where the lamp's share is 1.

        Multiply by ``share`` elsewhere, which is exact to first order in the small depth.
        """
        angle = 2 * np.pi * self.hz * t_us * 1e-6 + self.phase
        return float(np.log1p(self.depth * np.sin(angle)))


@dataclass(frozen=True)
class Look:
    """Light and colours.

    Attributes:
        background: (H, W) float32 intensities, exposure and occluder included.
        albedo: (F,) float32 per face, exposure included.
        light: (3,) float32 unit vector towards the light, camera frame.
        ambient: share of light that comes from everywhere.
        exposure: factor of all intensities: below 1 in dim places.
        room: what the background shows; the pixels of its ``occluder`` hide the mesh.
        shadow: multiplies the background by its attenuation as the mesh moves, or None.
        flicker: a lamp on the mains, or None.
    """

    background: Float32
    albedo: Float32
    light: Float32
    ambient: float
    exposure: float
    room: Room
    shadow: Shadow | None
    flicker: Flicker | None


class MeshSource(Protocol):
    """A mesh in motion, sampled at 100 Hz."""

    faces: NDArray[np.int32]

    def vertices(self, start: int, stop: int) -> Float32:
        """(stop - start, V, 3) camera-frame vertices of the samples [start, stop)."""


def random_light(rng: Rng, view: View) -> Light:
    """A lamp above the stage or light from one direction, often from the camera's side."""
    ambient = float(rng.uniform(0.25, 0.8))
    if rng.uniform() < 0.4:
        lamp = view.target + rng.uniform([-2.5, 2.2, -3.0], [2.5, 3.6, 1.0])
        reach = float(np.linalg.norm(lamp - view.target - CHEST))
        return Light(np.append(lamp, 1.0), ambient, reach)
    towards = rng.normal(size=3) * [1.0, 0.5, 1.0] + [0.0, 0.8, -0.5]
    towards[1] = max(abs(towards[1]), 0.35 * np.linalg.norm(towards))
    return Light(np.append(towards / np.linalg.norm(towards), 0.0), ambient)


def random_exposure(rng: Rng) -> float:
    """Mostly about 1; a fifth of the scenes is dim, a tenth very bright."""
    low, high = ((0.7, 1.1), (0.08, 0.5), (1.1, 1.6))[rng.choice(3, p=[0.7, 0.2, 0.1])]
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_flicker(rng: Rng, view: View, threshold: float) -> Flicker:
    """A weak flicker: from peak to peak 0.5 to 1.1 of the threshold where it is strongest.

    Some pixels fire then, not all of them.

    Args:
        rng: draws rate, depth and where the lamp shines.
        view: the camera.
        threshold: the sensor's contrast threshold, natural log.
    """
    field = clouds(rng, view.height, view.width, 3)
    field = (field - field.min()) / max(np.ptp(field), 1e-6)
    share = (rng.uniform(0.0, 0.5) + field) / 1.5
    depth = np.tanh(rng.uniform(0.5, 1.1) * threshold / 2) / share.max()
    return Flicker(
        float(rng.choice([100.0, 120.0])),
        float(depth),
        float(rng.uniform(0, 2 * np.pi)),
        share.astype(np.float32),
    )


def random_look(
    rng: Rng,
    view: View,
    albedo: Float32,
    threshold: float,
    shadow: bool | None = None,
    flicker: bool | None = None,
) -> Look:
    """Random light and place around given albedos.

    A person who is about as bright as the background would hardly be seen, so a place of
    nearly the same mean is redrawn, four times at most. A third of the scenes has a shadow, a
    tenth something in the foreground, a fifth a flickering lamp, unless told.

    Args:
        rng: draws everything.
        view: the camera.
        albedo: (F,) float32 of the mesh's faces; empty where nothing moves.
        threshold: the sensor's contrast threshold, natural log.
        shadow, flicker: whether there is a cast shadow, a flickering lamp; None draws it.
    """
    light = random_light(rng, view)
    chances = rng.uniform(size=3)
    occluder = chances[0] < 0.1
    shadow = chances[1] < 1 / 3 if shadow is None else shadow
    flicker = chances[2] < 0.2 if flicker is None else flicker
    foreground = np.log(np.median(albedo) * (0.5 + 0.5 * light.ambient)) if len(albedo) else -np.inf
    for _ in range(5):
        room = random_room(rng, view, light, occluder)
        if abs(np.median(np.log(room.background)) - foreground) > 0.4:
            break
    exposure = random_exposure(rng)
    return Look(
        room.background * np.float32(exposure),
        albedo * np.float32(exposure),
        (view.R @ light.towards(view.target + CHEST)).astype(np.float32),
        light.ambient,
        exposure,
        room,
        Shadow(view, room, light, rng.uniform(0.5, 1.0)) if shadow else None,
        random_flicker(rng, view, threshold) if flicker else None,
    )
