"""What moves in a recording without a person: boxes, a door, a curtain, a ball, leaves, nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.motion.segments import RATE_HZ
from eventhpe.simulation.scene.textures import pattern, reflectance
from eventhpe.simulation.scene.views import View, about_x, about_y, upward

Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]
Faces = NDArray[np.int32]

GRID = 7
"""Vertices along the edge of a moving box: enough for patterns."""


@dataclass(frozen=True)
class Part:
    """A rigid body on its way: point p is at R p + place.

    Attributes:
        points: (V, 3) about its own origin.
        faces: (F, 3), counter-clockwise from outside.
        R: (M, 3, 3) to the world, at 100 Hz.
        place: (M, 3) its origin in the world, metres.
    """

    points: Array
    faces: Faces
    R: Array
    place: Array


class MovingThings:
    """Rigid parts in motion: a `MeshSource`."""

    def __init__(self, parts: list[Part], view: View) -> None:
        self._parts, self._view = parts, view
        first = np.cumsum([0] + [len(part.points) for part in parts])
        self.faces = np.concatenate(
            [part.faces + start for part, start in zip(parts, first[:-1], strict=True)]
        ).astype(np.int32)

    def vertices(self, start: int, stop: int) -> Float32:
        """(stop - start, V, 3) camera-frame vertices of the samples [start, stop)."""
        world = [
            part.points @ part.R[start:stop].swapaxes(1, 2) + part.place[start:stop, None]
            for part in self._parts
        ]
        return self._view.to_camera(np.concatenate(world, axis=1)).astype(np.float32)


def unit_box(grid: int) -> tuple[Array, Faces]:
    """A cube of side 1 about the origin: six grids of vertices and their triangles."""
    line = np.linspace(-0.5, 0.5, grid)
    u, v = (a.ravel() for a in np.meshgrid(line, line, indexing="ij"))
    w = np.full_like(u, 0.5)
    sides = []
    for axis in range(3):
        front = np.roll(np.stack([u, v, w], axis=1), axis, axis=1)
        sides += [front, -front]
    i, j = (a.ravel() for a in np.meshgrid(range(grid - 1), range(grid - 1), indexing="ij"))
    corner = i * grid + j
    square = np.stack(
        [corner, corner + grid, corner + grid + 1, corner, corner + grid + 1, corner + 1]
    )
    triangles = square.T.reshape(-1, 3)
    faces = []
    for k in range(6):
        faces.append((triangles if k % 2 == 0 else triangles[:, ::-1]) + k * grid * grid)
    return np.concatenate(sides), np.concatenate(faces).astype(np.int32)


def spot(rng: Rng, view: View, above: float) -> Array:
    """(3,) a world point in view on the stage, at least ``above`` metres over the floor."""
    pixel = rng.uniform(0.15, 0.85, 2) * (view.width, view.height)
    at = view.centre + rng.uniform(view.stage.near, view.stage.far) * view.rays(pixel)
    return np.array([at[0], max(at[1], above), at[2]])


def swings(rng: Rng, samples: int, reach: Array, low: float, high: float) -> Array:
    """(M, N) sines of (N,) amplitudes, each at a rate between low and high Hz of its own."""
    t = np.arange(samples)[:, None] / RATE_HZ
    rate, phase = rng.uniform(low, high, reach.shape), rng.uniform(0, 2 * np.pi, reach.shape)
    return np.asarray(reach * np.sin(2 * np.pi * rate * t + phase))


def turns(angles: Array, axis: int) -> Array:
    """(M, 3, 3) right-handed rotations by (M,) angles about the x (0), y (1) or z (2) axis."""
    R = np.zeros((len(angles), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R[:, axis, axis] = 1
    R[:, i, i] = R[:, j, j] = np.cos(angles)
    R[:, j, i] = np.sin(angles)
    R[:, i, j] = -R[:, j, i]
    return R


def drifting_boxes(rng: Rng, view: View, samples: int) -> list[Part]:
    """One to four boxes that swing to and fro and turn."""
    unit, faces = unit_box(GRID)
    parts = []
    for _ in range(int(rng.integers(1, 5))):
        size = np.exp(rng.uniform(np.log(0.06), np.log(0.6), 3))
        at = spot(rng, view, 0.6)
        half = at[2] * np.array([view.width, view.height]) / 2 / view.K[0, 0]
        reach = rng.uniform(0.2, 1.2, 3) * [half[0], min(half[1], at[1] - 0.4), 0.2]
        spin = rng.normal(0, 0.8) * np.arange(samples) / RATE_HZ + rng.uniform(0, 2 * np.pi)
        R = about_x(rng.uniform(-1, 1)) @ turns(spin, 1)
        parts.append(Part(unit * size, faces, R, at + swings(rng, samples, reach, 0.05, 0.4)))
    return parts


def swinging_door(rng: Rng, view: View, samples: int) -> list[Part]:
    """A leaf that swings about its upright edge, resting at the ends."""
    unit, faces = unit_box(GRID)
    size = np.array([rng.uniform(0.4, 1.1), rng.uniform(0.6, 2.0), 0.04])
    at = spot(rng, view, size[1] / 2)
    swing = np.tanh(rng.uniform(1, 4) * swings(rng, samples, np.ones(1), 0.05, 0.3)[:, 0])
    R = turns(rng.uniform(0, 2 * np.pi) + rng.uniform(0.2, 0.8) * swing, 1)
    return [Part((unit + np.array([0.5, 0, 0])) * size, faces, R, np.tile(at, (samples, 1)))]


def swaying_curtain(rng: Rng, view: View, samples: int) -> list[Part]:
    """Upright strips hung side by side; a wave of air runs along them."""
    unit, faces = unit_box(4)
    size = np.array([rng.uniform(0.08, 0.2), rng.uniform(0.6, 1.8), 0.02])
    at = spot(rng, view, size[1] / 2) + upward(size[1] / 2)
    heading = about_y(rng.normal(0, 0.5))
    t = np.arange(samples) / RATE_HZ
    gusts = swings(rng, samples, rng.uniform(0.05, 0.2, 2), 0.03, 0.2).sum(axis=1)
    rate, lag = rng.uniform(0.3, 1.2), rng.uniform(0.2, 0.9)
    parts = []
    for i in range(int(rng.integers(4, 12))):
        R = heading @ turns(gusts * (1 + np.sin(2 * np.pi * rate * t - lag * i)), 0)
        hook = at + heading @ [size[0] * i, 0, 0]
        parts.append(Part((unit - [0, 0.5, 0]) * size, faces, R, np.tile(hook, (samples, 1))))
    return parts


def rolling_ball(rng: Rng, view: View, samples: int) -> list[Part]:
    """A ball that rolls to and fro across the view, at times bouncing."""
    unit, faces = unit_box(GRID)
    radius = rng.uniform(0.06, 0.3)
    at = spot(rng, view, radius)
    path = rng.uniform(0.3, 1.2) * view.width / view.K[0, 0] * at[2] / 2
    rolled = swings(rng, samples, np.array([path]), 0.05, 0.25)[:, 0]
    place = at + np.outer(rolled, [1.0, 0, 0])
    if rng.uniform() < 0.4:
        place[:, 1] += abs(swings(rng, samples, rng.uniform(0.1, 0.6, 1), 0.4, 0.9)[:, 0])
    # Rolling towards +x without slipping turns it clockwise about z.
    R = turns(-rolled / radius, 2)
    sphere = unit / np.linalg.norm(unit, axis=1, keepdims=True) * radius
    return [Part(sphere, faces, R, place)]


def fluttering_leaves(rng: Rng, view: View, samples: int) -> list[Part]:
    """A branch of eight to thirty leaves in the wind."""
    unit, faces = unit_box(3)
    at, spread = spot(rng, view, 0.8), rng.uniform(0.1, 0.5)
    wind = swings(rng, samples, rng.uniform(0.0, 0.12, 3), 0.1, 0.6)
    parts = []
    for _ in range(int(rng.integers(8, 31))):
        size = rng.uniform([0.03, 0.004, 0.05], [0.1, 0.01, 0.2])
        angles = swings(rng, samples, rng.uniform(0.1, 0.7, 2), 0.5, 3.0)
        rest = about_y(rng.uniform(0, 2 * np.pi)) @ about_x(rng.uniform(-1.5, 1.5))
        R = rest @ turns(angles[:, 0], 0) @ turns(angles[:, 1], 2)
        place = at + rng.normal(0, spread, 3) + wind * rng.uniform(0.5, 1.5)
        parts.append(Part(unit * size, faces, R, place))
    return parts


KINDS = {
    "boxes": drifting_boxes,
    "door": swinging_door,
    "curtain": swaying_curtain,
    "ball": rolling_ball,
    "leaves": fluttering_leaves,
}


def random_things(rng: Rng, view: View, samples: int) -> tuple[MovingThings | None, Float32, str]:
    """One kind of moving things, or nothing at all in a fifth of the cases.

    Args:
        rng: draws everything.
        view: the camera.
        samples: how many at 100 Hz.

    Returns:
        The mesh source or None, (F,) float32 albedo per face, and the name of the kind.
    """
    if rng.uniform() < 0.2:
        return None, np.zeros(0, np.float32), "nothing"
    name = str(rng.choice(list(KINDS)))
    parts = KINDS[name](rng, view, samples)
    albedo = [
        reflectance(rng) * pattern(rng, part.points[part.faces].mean(axis=1)) for part in parts
    ]
    shown = np.clip(np.concatenate(albedo), 0.02, 0.95).astype(np.float32)
    return MovingThings(parts, view), shown, name
