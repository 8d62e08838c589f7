"""Moving boxes: what moves in a recording without a person."""

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.scene.textures import pattern, reflectance
from eventhpe.simulation.scene.views import View, about_x

Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]


class Boxes:
    """Rigid textured boxes that drift and turn: what moves in a recording without a person.

    Args:
        rng: draws sizes and paths.
        view: the camera.
        samples: how many at 100 Hz.
        count: number of boxes.
    """

    GRID = 7

    def __init__(self, rng: Rng, view: View, samples: int, count: int) -> None:
        unit, quads = unit_box(self.GRID)
        t = np.arange(samples)[:, None] / 100.0
        parts, faces = [], []
        for i in range(count):
            size = np.exp(rng.uniform(np.log(0.06), np.log(0.6), 3))
            depth = rng.uniform(view.stage.near, view.stage.far)
            reach = depth * np.array([view.width, view.height]) / 2 / view.K[0, 0]
            swing = rng.uniform(0.2, 1.2, 3) * [reach[0], reach[1], 0.2]
            rate, phase = rng.uniform(0.05, 0.4, 3), rng.uniform(0, 6.28, 3)
            place = swing * np.sin(2 * np.pi * rate * t + phase) + [0, 0, depth]
            spin = rng.normal(0, 0.8) * t[:, 0] + rng.uniform(0, 6.28)
            c, s = np.cos(spin)[:, None], np.sin(spin)[:, None]
            x, y, z = (unit * size).T
            tilt = about_x(rng.uniform(-1, 1))
            turned = np.stack(
                [c * x + s * z, np.broadcast_to(y, (samples, len(y))), c * z - s * x], -1
            )
            parts.append(turned @ tilt.T + place[:, None])
            faces.append(quads + i * len(unit))
        self._vertices = np.concatenate(parts, axis=1).astype(np.float32)
        self.faces = np.concatenate(faces).astype(np.int32)

    def vertices(self, start: int, stop: int) -> Float32:
        """(stop - start, V, 3) camera-frame vertices of the samples [start, stop)."""
        return self._vertices[start:stop]


def unit_box(grid: int) -> tuple[Array, NDArray[np.int32]]:
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


def random_boxes(rng: Rng, view: View, samples: int) -> tuple[Boxes, Float32]:
    """One to four moving boxes with random albedo per face."""
    boxes = Boxes(rng, view, samples, int(rng.integers(1, 5)))
    centre = boxes.vertices(0, 1)[0][boxes.faces].mean(axis=1).astype(np.float64)
    albedo = np.empty(len(centre))
    for part in np.array_split(np.arange(len(centre)), len(centre) // (12 * (Boxes.GRID - 1) ** 2)):
        albedo[part] = reflectance(rng) * pattern(rng, centre[part])
    return boxes, np.clip(albedo, 0.02, 0.95).astype(np.float32)
