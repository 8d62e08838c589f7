"""A whole recording: motion, rendering, sensor, and the truth beside the events, in one file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from eventhpe.body.model import Body
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path
from eventhpe.rasterizer import Buffers, rasterize
from eventhpe.simulation.imaging import NEAR, Imager, project_mesh, union, vertex_shade
from eventhpe.simulation.motion.segments import RATE_HZ
from eventhpe.simulation.scene.boxes import random_boxes
from eventhpe.simulation.scene.look import Look, MeshSource, random_look
from eventhpe.simulation.scene.people import Person, random_person
from eventhpe.simulation.scene.views import View, random_view
from eventhpe.simulation.sensor import Box, Sensor, SensorParameters

SIMULATOR_VERSION = 2
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate; None means drawn at random.

    Attributes:
        duration_s: length of the recording.
        sensor: (width, height).
        person: whether there is a person; without one textured boxes move, or nothing.
        motion: a name in `eventhpe.simulation.motion.registry.MOTIONS` for the whole recording.
        parameters: the event camera.
        max_shift_px: between two rendered samples 95 % of the mesh moves less than this.
        max_substeps: rendered samples per 10 ms at most.
    """

    duration_s: float = 16.0
    sensor: tuple[int, int] | None = None
    person: bool = True
    motion: str | None = None
    parameters: SensorParameters | None = None
    max_shift_px: float = 0.7
    max_substeps: int = 10


class Renderer:
    """Moves a mesh before a background and feeds the sensor, adapting the sampling to the speed.

    Args:
        source: the moving mesh.
        view: the camera.
        look: light and colours.
        parameters: the event camera.
        rng: thresholds and noise.
        config: sampling limits.
    """

    def __init__(
        self,
        source: MeshSource | None,
        view: View,
        look: Look,
        parameters: SensorParameters,
        rng: np.random.Generator,
        config: SimulationConfig,
    ) -> None:
        self._source, self._view, self._look, self._config = source, view, look, config
        self._imager = Imager(look.background)
        self._buffers = Buffers.allocate(view.width, view.height)
        self._box: Box = (0, 0, 0, 0)
        # With a low-pass, pixels go on changing for a few time constants after the mesh has left.
        hz = parameters.bandwidth_hz
        self._settle_us = 5e6 / (2 * np.pi * hz) if hz > 0 else 0.0
        self._recent: list[tuple[float, Box]] = []
        if source is not None:
            self._pixels = np.empty((source.vertices(0, 1).shape[1], 2), np.float32)
            self._paint(source.vertices(0, 1)[0])
        self.sensor = Sensor(parameters, self._imager.log_image, rng)

    def _shade(self, vertices: Float32) -> Float32:
        shade = np.empty(len(vertices), np.float32)
        assert self._source is not None
        vertex_shade(
            vertices, self._source.faces, self._look.light, np.float32(self._look.ambient), shade
        )
        return shade

    def _project(self, vertices: Float32, pixels: Float32) -> Box:
        """Fill (V, 2) pixel positions; the box of the image around them."""
        K = self._view.K.astype(np.float32)
        size = (self._view.width, self._view.height)
        return project_mesh(vertices, K[0, 0], K[0, 2], K[1, 1], K[1, 2], *size, pixels)

    def _paint(self, vertices: Float32, shade: Float32 | None = None) -> Box:
        """Render one sample; the box of log pixels that may have changed."""
        assert self._source is not None
        view, look, faces = self._view, self._look, self._source.faces
        rasterize(
            vertices,
            faces,
            view.K,
            view.width,
            view.height,
            cull_backfaces=True,
            out=self._buffers,
        )
        box = self._project(vertices, self._pixels)
        dirty, self._box = union(box, self._box), box
        if shade is None:
            shade = self._shade(vertices)
        return self._imager.update(
            self._buffers.face_index, self._buffers.barycentric, faces, look.albedo, shade, dirty
        )

    def render(self, start: int, stop: int) -> None:
        """Advance over the 100 Hz samples from ``start`` to ``stop`` (both have vertices)."""
        if self._source is None:
            return
        period = 1e6 / RATE_HZ
        vertices = self._source.vertices(start, stop + 1)
        shades = np.stack([self._shade(v) for v in vertices])
        pixels = np.empty((*vertices.shape[:2], 2), np.float32)
        for corners, places in zip(vertices, pixels, strict=True):
            self._project(corners, places)
        for k in range(stop - start):
            steps = self._substeps(pixels[k], pixels[k + 1])
            for i in range(1, steps + 1):
                w = np.float32(i / steps)
                now = vertices[k] + w * (vertices[k + 1] - vertices[k])
                shade = shades[k] + w * (shades[k + 1] - shades[k])
                t1 = (start + k + i / steps) * period
                changed = self._paint(now, shade)
                self._recent = [(t, b) for t, b in self._recent if t > t1 - self._settle_us]
                self._recent.append((t1, changed))
                box = changed
                for _, other in self._recent:
                    box = union(box, other)
                self.sensor.step(self._imager.log_image, t1 - period / steps, t1, box)

    def _substeps(self, before: Float32, after: Float32) -> int:
        """How many rendered samples the way between two projected (V, 2) meshes needs."""
        # A quarter of the vertices tells the speed as well as all.
        shift = np.abs(after[::4] - before[::4])
        largest = np.maximum(shift[:, 0], shift[:, 1])
        rank = int(0.95 * len(largest))
        wanted = np.ceil(np.partition(largest, rank)[rank] / self._config.max_shift_px)
        return int(np.clip(wanted, 1, self._config.max_substeps))


def simulate(
    config: SimulationConfig, out: str | Path, seed: int | list[int], body: Body
) -> dict[str, object]:
    """Simulate one recording into a DSEC-layout file with its truth.

    Beside ``events`` the file has a group ``truth`` (see `eventhpe.simulation.truth`).
    The same configuration, seed and body give the same bytes.

    Args:
        config: what is fixed; the rest is drawn.
        out: the HDF5 file, written atomically.
        seed: of every random choice.
        body: the body model.

    Returns:
        The description that is also stored as JSON in the attributes of ``truth``.
    """
    rng = np.random.default_rng(seed)
    view = random_view(rng, config.sensor)
    parameters = config.parameters or SensorParameters.random(rng)
    samples = round(config.duration_s * RATE_HZ) + 1
    names: tuple[str, ...]
    source: MeshSource | None
    if config.person:
        source, albedo, names = random_person(rng, body, view, config.duration_s, config.motion)
    elif rng.uniform() < 0.75:
        source, albedo = random_boxes(rng, view, samples)
        names = ("boxes",)
    else:
        source, albedo, names = None, np.zeros(0, np.float32), ("nothing",)
    look = random_look(rng, view, albedo)
    renderer = Renderer(source, view, look, parameters, rng, config)
    person = source if isinstance(source, Person) else None

    with (
        atomic_path(out) as partial,
        DsecWriter(partial, view.width, view.height) as writer,
    ):
        num_events = 0
        for start in range(0, samples - 1, RATE_HZ):
            stop = min(start + RATE_HZ, samples - 1)
            renderer.render(start, stop)
            batch = renderer.sensor.flush(start * 10_000, stop * 10_000)
            # An interpolated crossing may fall on the chunk's end, which is the next one's start.
            t = np.minimum(batch.t, stop * 10_000 - 1)
            writer.append(EventStream(batch.x, batch.y, t, batch.p, view.width, view.height))
            num_events += len(t)
        description: dict[str, object] = {
            "motion": list(names),
            "seed": seed,
            "simulator_version": SIMULATOR_VERSION,
            "sensor": asdict(parameters),
            "num_events": num_events,
            "camera_height_m": float(view.centre[1]),
            "ambient": look.ambient,
            "background_mean": float(look.background.mean()),
        }
        write_truth(writer, view, person, samples, body, description)
    return description


def write_truth(
    writer: DsecWriter,
    view: View,
    person: Person | None,
    samples: int,
    body: Body,
    description: dict[str, object],
) -> None:
    """Add the group ``truth``: SMPL parameters in the camera frame at 100 Hz."""
    if person is None:
        vectors = np.zeros((samples, 24, 3), np.float32)
        transl, joints = np.zeros((samples, 3), np.float32), vectors
        betas, present = np.zeros(10, np.float32), np.zeros(samples, bool)
    else:
        vectors = roma.rotmat_to_rotvec(torch.from_numpy(person.rotations)).numpy()
        transl, joints, betas = person.transl, person.joints, person.betas
        present = in_view(joints, view)
    group = writer.file.create_group("truth")
    group["t_us"] = np.arange(samples, dtype=np.int64) * 10_000
    group["betas"] = betas
    group["global_orient"] = vectors[:, 0]
    group["body_pose"] = vectors[:, 1:].reshape(samples, 69)
    group["transl"] = transl
    group["joints"] = joints
    group["present"] = present
    group["K"] = view.K
    group.attrs["frame"] = "camera"
    group.attrs["body_id"] = body.body_id
    group.attrs["body_sha256"] = body.sha256
    group.attrs["description"] = json.dumps(description, sort_keys=True)


def in_view(joints: Float32, view: View) -> NDArray[np.bool_]:
    """(M,) whether any of the (M, 24, 3) camera-frame joints projects into the image."""
    z = joints[..., 2]
    uv = joints[..., :2] / np.maximum(z, NEAR)[..., None] * view.K[[0, 1], [0, 1]] + view.K[:2, 2]
    inside = (uv > -0.5).all(axis=-1) & (uv < [view.width - 0.5, view.height - 0.5]).all(axis=-1)
    return np.asarray((inside & (z > NEAR)).any(axis=1))
