"""One recording's world: camera, light, background, and the mesh that moves before them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from eventhpe.body.model import Body
from eventhpe.simulation.performance import Motion, Stage, random_motion, single_motion
from eventhpe.simulation.textures import backdrop, dress, pattern, reflectance

Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

SENSORS = {(128, 128): 0.3, (240, 180): 0.38, (346, 260): 0.31, (640, 480): 0.01}
PERSON_HEIGHT = 1.72
WORLD_TO_LEVEL_CAMERA = np.diag([-1.0, -1.0, 1.0])
"""A level camera at the world's origin looks along +z; x right is -x, y down is -y."""


@dataclass(frozen=True)
class View:
    """A static pinhole camera in the y-up world.

    Attributes:
        width, height: pixels.
        K: (3, 3) intrinsics, pixels.
        R: (3, 3) world to camera; the camera frame is x right, y down, z forward.
        centre: (3,) camera centre in the world, metres.
        stage: the floor which is in view.
    """

    width: int
    height: int
    K: Array
    R: Array
    centre: Array
    stage: Stage

    def to_camera(self, points: Array) -> Array:
        """World points (..., 3) to the camera frame."""
        return np.asarray((points - self.centre) @ self.R.T)


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


def random_view(rng: Rng, sensor: tuple[int, int] | None = None) -> View:
    """A random camera which sees a standing person mostly whole on its stage."""
    sizes = list(SENSORS)
    width, height = sensor or sizes[rng.choice(len(sizes), p=list(SENSORS.values()))]
    focal = width / 2 / np.tan(np.deg2rad(35 + 55 * rng.uniform() ** 1.6) / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    K[0, 2] += rng.normal(0, 0.02) * width
    K[1, 2] += rng.normal(0, 0.02) * height
    # The share of the image's height that a person takes in the middle of the stage.
    shares = rng.uniform(0.55, 0.98), rng.uniform(0.3, 0.55), rng.uniform(0.98, 1.5)
    share = rng.choice(shares, p=[0.82, 0.11, 0.07])
    distance = float(np.clip(PERSON_HEIGHT * focal / (share * height), 1.5, 6.5))
    near, far = max(1.4, 0.75 * distance), 1.35 * distance
    if share < 0.98:
        near = max(near, PERSON_HEIGHT * focal / (1.02 * height))
    # Walkers overshoot their goals by some decimetres before they have turned.
    near += 0.3
    slope = max(0.05, 0.9 * width / 2 / focal - 0.75 / distance)
    stage = Stage(near, max(far, near + 0.8), slope)

    camera_height = rng.uniform(0.5, 2.2)
    aim = np.arctan2(camera_height - 0.95, (near + distance) / 2) + np.deg2rad(rng.normal(0, 2.0))
    roll = np.deg2rad(np.clip(rng.normal(0, 3.0), -10, 10))
    R = about_z(roll) @ about_x(aim) @ WORLD_TO_LEVEL_CAMERA
    return View(width, height, K, R, np.array([0.0, camera_height, 0.0]), stage)


def about_x(angle: float) -> Array:
    """Right-handed rotation about x; a camera's positive pitch looks down."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def about_z(angle: float) -> Array:
    """Right-handed rotation about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def random_light(rng: Rng, view: View) -> tuple[Float32, float]:
    """A direction from above the horizon (camera frame) and the ambient share."""
    world = rng.normal(size=3) * [1.0, 0.5, 1.0] + [0.0, 0.9, -0.3]
    light = view.R @ (world / np.linalg.norm(world))
    return light.astype(np.float32), float(rng.uniform(0.25, 0.8))


class Person:
    """The body in a motion, seen by a camera: a `MeshSource` that also knows the truth.

    Args:
        body: the body model.
        betas: (10,) shape.
        motion: world-frame motion at 100 Hz.
        view: the camera.

    Attributes:
        rotations: (M, 24, 3, 3) float32; [:, 0] is the root in the camera frame.
        transl: (M, 3) float32, SMPL's translation in the camera frame.
        joints: (M, 24, 3) float32 camera frame.
    """

    def __init__(self, body: Body, betas: Array, motion: Motion, view: View) -> None:
        self.body = body
        self.betas = betas.astype(np.float32)
        self.faces = np.ascontiguousarray(body.faces, dtype=np.int32)
        rotations = motion.rotations.copy()
        rotations[:, 0] = view.R @ rotations[:, 0]
        self.rotations = rotations.astype(np.float32)
        rest = body.rest_joints(torch.from_numpy(self.betas)[None])[0].detach().numpy()
        # SMPL turns the body about the rest pelvis, which stays at J0(betas) + transl.
        self.transl = (view.to_camera(motion.translation) - rest[0]).astype(np.float32)
        with torch.no_grad():
            self.joints = body.joints(*self._parameters(0, len(rotations))).numpy()

    def _parameters(self, start: int, stop: int) -> tuple[torch.Tensor, ...]:
        rotations = torch.from_numpy(self.rotations[start:stop])
        betas = torch.from_numpy(self.betas).expand(len(rotations), -1)
        transl = torch.from_numpy(self.transl[start:stop])
        return betas, rotations[:, 0], rotations[:, 1:], transl

    def vertices(self, start: int, stop: int) -> Float32:
        """(stop - start, V, 3) camera-frame vertices of the samples [start, stop)."""
        with torch.no_grad():
            return self.body(*self._parameters(start, stop)).vertices.numpy()


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


def random_person(
    rng: Rng, body: Body, view: View, duration: float, motion: str | None
) -> tuple[Person, Float32, tuple[str, ...]]:
    """A dressed person in a random (or the named) motion: the person, albedo, segment names."""
    betas = np.clip(rng.normal(size=10), -2.5, 2.5)
    if motion is None:
        performed = random_motion(rng, duration, view.stage)
    else:
        performed = single_motion(rng, motion, duration, view.stage)
    rest = np.zeros((1, 24, 3, 3), np.float32) + np.eye(3, dtype=np.float32)
    pose = torch.from_numpy(rest)
    with torch.no_grad():
        shown = body(
            torch.from_numpy(betas.astype(np.float32))[None],
            pose[:, 0],
            pose[:, 1:],
            torch.zeros(1, 3),
        )
    vertices, joints = shown.vertices[0].double().numpy(), shown.joints[0].double().numpy()
    albedo = dress(rng, vertices, np.asarray(body.faces), joints)
    return Person(body, betas, performed, view), albedo, performed.names


def random_boxes(rng: Rng, view: View, samples: int) -> tuple[Boxes, Float32]:
    """One to four moving boxes with random albedo per face."""
    boxes = Boxes(rng, view, samples, int(rng.integers(1, 5)))
    centre = boxes.vertices(0, 1)[0][boxes.faces].mean(axis=1).astype(np.float64)
    albedo = np.empty(len(centre))
    for part in np.array_split(np.arange(len(centre)), len(centre) // (12 * (Boxes.GRID - 1) ** 2)):
        albedo[part] = reflectance(rng) * pattern(rng, centre[part])
    return boxes, np.clip(albedo, 0.02, 0.95).astype(np.float32)


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
