"""Light and colours of a recording, and what a renderer asks of a moving mesh."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.scene.textures import backdrop
from eventhpe.simulation.scene.views import View

Rng = np.random.Generator
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """Light and colours.

    Attributes:
        background: (H, W) float32 intensities.
        albedo: (F,) float32 per face.
        light: (3,) float32 unit vector towards the light, camera frame.
        ambient: share of light that comes from everywhere.
    """

    background: Float32
    albedo: Float32
    light: Float32
    ambient: float


class MeshSource(Protocol):
    """A mesh in motion, sampled at 100 Hz."""

    faces: NDArray[np.int32]

    def vertices(self, start: int, stop: int) -> Float32:
        """(stop - start, V, 3) camera-frame vertices of the samples [start, stop)."""


def random_light(rng: Rng, view: View) -> tuple[Float32, float]:
    """A direction from above the horizon (camera frame) and the ambient share."""
    world = rng.normal(size=3) * [1.0, 0.5, 1.0] + [0.0, 0.9, -0.3]
    light = view.R @ (world / np.linalg.norm(world))
    return light.astype(np.float32), float(rng.uniform(0.25, 0.8))


def random_look(rng: Rng, view: View, albedo: Float32) -> Look:
    """Random light and background around given albedos.

    A person who is about as bright as the background would hardly be seen, so a background of
    nearly the same mean is redrawn, four times at most.
    """
    light, ambient = random_light(rng, view)
    foreground = np.log(np.median(albedo) * (0.5 + 0.5 * ambient)) if len(albedo) else -np.inf
    for _ in range(5):
        background = backdrop(rng, view.width, view.height)
        if abs(np.median(np.log(background)) - foreground) > 0.4:
            break
    return Look(background, albedo, light, ambient)
