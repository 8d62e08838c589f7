"""From a scene to events: moves the mesh finely enough, paints it, and feeds the sensor."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eventhpe.rasterizer import Buffers, rasterize
from eventhpe.simulation.imaging import Imager, project_mesh, union, vertex_shade
from eventhpe.simulation.motion.segments import RATE_HZ
from eventhpe.simulation.scene.look import MeshSource
from eventhpe.simulation.scene.scene import Scene
from eventhpe.simulation.sensor import Box, EventBatch, Sensor, SensorParameters

Float32 = NDArray[np.float32]
PERIOD_US = 1e6 / RATE_HZ
LARGEST_SHIFT = 0.5 / 346
"""No vertex in view moves further between two rendered images; share of the image's width."""
MAX_SUBSTEPS = 64
"""Rendered images per 10 ms at most: reached only by what passes right before the lens."""
LAMP_STEPS = 10
"""Rendered images per 10 ms at least, where a lamp flickers: ten to its 100 or 120 Hz cycle."""


class Canvas:
    """The image of one scene at any moment, repainted only where it changes.

    Args:
        scene: what is seen.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        view = scene.view
        self._imager = Imager(scene.look.background, scene.look.room.occluder, scene.blur_px)
        self._buffers = Buffers.allocate(view.width, view.height)
        self._box: Box = (0, 0, 0, 0)

    @property
    def surface(self) -> NDArray[np.uint16]:
        """(H, W) the mesh's face seen at each pixel, or `NO_SURFACE`."""
        return self._imager.surface

    def shade(self, mesh: MeshSource, vertices: Float32) -> Float32:
        """(V,) light that camera-frame vertices (V, 3) of the mesh reflect."""
        shade = np.empty(len(vertices), np.float32)
        light, ambient = self._scene.look.light, np.float32(self._scene.look.ambient)
        vertex_shade(vertices, mesh.faces, light, ambient, shade)
        return shade

    def project(self, vertices: Float32, pixels: Float32) -> Box:
        """Fill (V, 2) pixel positions; the box of the image around them."""
        view = self._scene.view
        K = view.K.astype(np.float32)
        intrinsics = (K[0, 0], K[0, 1], K[0, 2], K[1, 1], K[1, 2])
        return project_mesh(vertices, *intrinsics, view.width, view.height, pixels)

    def paint(self, mesh: MeshSource, vertices: Float32, shade: Float32) -> Box:
        """Paint the mesh in place of where it was; the box of log pixels that may have changed."""
        scene, view = self._scene, self._scene.view
        rasterize(
            vertices,
            mesh.faces,
            view.K,
            view.width,
            view.height,
            cull_backfaces=True,
            out=self._buffers,
        )
        box = self.project(vertices, np.empty((len(vertices), 2), np.float32))
        dirty, self._box = union(box, self._box), box
        if scene.look.shadow is not None:
            dirty = union(dirty, scene.look.shadow.update(vertices, mesh.faces))
            self._imager.lit = scene.look.shadow.attenuation
        seen = self._buffers.face_index, self._buffers.barycentric
        return self._imager.update(*seen, mesh.faces, scene.look.albedo, shade, dirty)

    def seen(self, t_us: float) -> Float32:
        """(H, W) log intensities of what is painted, under the lamps at a time."""
        lamp = self._scene.look.flicker
        if lamp is None:
            return self._imager.log_image
        return self._imager.log_image + np.float32(lamp.offset(t_us)) * lamp.share


class Renderer:
    """Renders one scene for one event camera.

    Args:
        scene: what is seen.
        parameters: the event camera.
        rng: the sensor's thresholds and noise.
    """

    def __init__(
        self, scene: Scene, parameters: SensorParameters, rng: np.random.Generator
    ) -> None:
        self._scene = scene
        width, height = scene.view.width, scene.view.height
        self._canvas = Canvas(scene)
        self._whole: Box = (0, 0, width, height)
        # Low-passed pixels go on changing for a while after the mesh has left them.
        self._settle_us = parameters.settle_us
        self._recent: list[tuple[float, Box]] = []
        if scene.mesh is not None:
            first = scene.mesh.vertices(0, 1)[0]
            self._canvas.paint(scene.mesh, first, self._canvas.shade(scene.mesh, first))
        self.sensor = Sensor(parameters, self._canvas.seen(0.0), rng)

    def batches(self, samples: int) -> Iterator[EventBatch]:
        """Events of the first ``samples`` 100 Hz samples, in pieces of a second, sorted by time."""
        for start in range(0, samples - 1, RATE_HZ):
            stop = min(start + RATE_HZ, samples - 1)
            if self._scene.mesh is not None:
                self._render(self._scene.mesh, start, stop)
            elif self._scene.look.flicker is not None:
                for k in range(start * LAMP_STEPS, stop * LAMP_STEPS):
                    self._expose(k * PERIOD_US / LAMP_STEPS, (k + 1) * PERIOD_US / LAMP_STEPS)
            yield self.sensor.flush(round(start * PERIOD_US), round(stop * PERIOD_US))

    def _render(self, mesh: MeshSource, start: int, stop: int) -> None:
        """Advance from the 100 Hz sample ``start`` to ``stop`` (both have vertices)."""
        vertices = mesh.vertices(start, stop + 1)
        shades = [self._canvas.shade(mesh, corners) for corners in vertices]
        pixels = np.empty((*vertices.shape[:2], 2), np.float32)
        for corners, places in zip(vertices, pixels, strict=True):
            self._canvas.project(corners, places)
        for k in range(stop - start):
            steps = self._substeps(pixels[k], pixels[k + 1])
            for i in range(1, steps + 1):
                w = np.float32(i / steps)
                now = vertices[k] + w * (vertices[k + 1] - vertices[k])
                shade = shades[k] + w * (shades[k + 1] - shades[k])
                box = self._canvas.paint(mesh, now, shade)
                t1 = (start + k + i / steps) * PERIOD_US
                self._expose(t1 - PERIOD_US / steps, t1, box)

    def _substeps(self, before: Float32, after: Float32) -> int:
        """How many rendered images the way between two projected (V, 2) meshes needs."""
        width, height = self._scene.view.width, self._scene.view.height
        near_image = (np.abs(after - [width / 2, height / 2]) < [width, height]).all(axis=1)
        shift = np.abs(after - before)[near_image]
        least = LAMP_STEPS if self._scene.look.flicker is not None else 1
        wanted = np.ceil(shift.max(initial=0.0) / (LARGEST_SHIFT * width))
        return int(np.clip(wanted, least, MAX_SUBSTEPS))

    def _expose(self, t0: float, t1: float, changed: Box = (0, 0, 0, 0)) -> None:
        """Let the sensor see the present image from t0 to t1, where it has changed."""
        box = changed
        if self._scene.look.flicker is not None:
            box = self._whole
        self._recent = [(t, b) for t, b in self._recent if t > t1 - self._settle_us]
        self._recent.append((t1, box))
        for _, other in self._recent:
            box = union(box, other)
        self.sensor.step(self._canvas.seen(t1), t0, t1, box, self._canvas.surface)
