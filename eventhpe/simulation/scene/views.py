"""Where the camera stands: static pinhole cameras in the y-up world."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.motion.performance import Stage

Rng = np.random.Generator
Array = NDArray[np.float64]


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
