"""Where the camera stands: static pinhole cameras in the y-up world.

The world is y up, floor y = 0, the camera above x = z = 0, z roughly where it looks and x to its
left; metres. Pitch is the optical axis' elevation: positive looks up, negative down. Roll is
positive when the camera turns clockwise as seen from behind it, so that the image turns
counter-clockwise.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eventhpe.camera import dhp19_camera
from eventhpe.simulation.motion.stage import Stage

Rng = np.random.Generator
Array = NDArray[np.float64]
Framing = Literal["whole", "knees_up", "head_and_shoulders"]

PERSON_HEIGHT = 1.72
WORLD_TO_LEVEL_CAMERA = np.diag([-1.0, -1.0, 1.0])
"""A level camera at the world's origin looks along +z; x right is -x, y down is -y."""
DHP19_TO_Y_UP = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
"""DHP19's world (z up) with its axes renamed, still right-handed: x, y, z are its y, z, x."""
SMALLEST_PX, LARGEST_PX = 60, 600
"""Limits of a whole person's height in the image, standing in the middle of the stage."""
PITCH_LIMITS = np.deg2rad([-30.0, 20.0])
FOV_LIMITS = np.deg2rad([35.0, 90.0])
MIDDLE_HEIGHT = {"whole": 0.92, "knees_up": 1.18, "head_and_shoulders": 1.45}
"""What the camera aims at, by framing: metres above the floor."""
DISTANCES = {"whole": (1.5, 6.0), "knees_up": (1.3, 5.0), "head_and_shoulders": (1.0, 4.0)}


@dataclass(frozen=True)
class View:
    """A static pinhole camera in the y-up world.

    Attributes:
        width, height: pixels.
        K: (3, 3) intrinsics, pixels; may have skew.
        R: (3, 3) world to camera; the camera frame is x right, y down, z forward.
        centre: (3,) camera centre in the world, metres; x = z = 0.
        stage: the floor which is in view.
    """

    width: int
    height: int
    K: Array
    R: Array
    centre: Array
    stage: Stage

    @property
    def target(self) -> Array:
        """(3,) the floor point in the middle of the stage: where one stands who stays put."""
        return np.array([0.0, 0.0, (self.stage.near + self.stage.far) / 2])

    def to_camera(self, points: Array) -> Array:
        """World points (..., 3) to the camera frame."""
        return np.asarray((points - self.centre) @ self.R.T)

    def rays(self, pixels: Array) -> Array:
        """World directions (..., 3), camera z = 1, of the light that meets pixels (..., 2)."""
        homogeneous = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
        return np.asarray(homogeneous @ np.linalg.inv(self.K).T @ self.R)


def random_view(rng: Rng, size: tuple[int, int], framing: Framing = "whole") -> View:
    """A random camera which sees a person standing on its stage, framed as asked.

    The share of the image that a person takes is drawn first, then a field of view (35 to 90
    degrees across) for which some distance gives that share, and the distance follows.

    Args:
        rng: draws everything.
        size: (width, height) in pixels.
        framing: what of a standing person in the middle of the stage is in the image.
    """
    width, height = size
    share = max(person_share(rng, framing), SMALLEST_PX / height)
    if framing == "whole":
        share = min(share, LARGEST_PX / height)
    pixels = share * height
    focal = random_focal(rng, width, pixels, DISTANCES[framing])
    distance = PERSON_HEIGHT * focal / pixels
    K = intrinsics(focal, (width - 1) / 2, (height - 1) / 2)
    K[:2, 2] += rng.normal(0, 0.02, 2) * (width, height)
    near, far = stage_depths(framing, distance, PERSON_HEIGHT * focal / (1.02 * height))
    slope = max(0.05, 0.9 * width / 2 / focal - 0.75 / distance)
    # The principal point off the middle is made up for, as by whoever aims a camera.
    off_middle = np.arctan((K[1, 2] - (height - 1) / 2) / focal)
    slack = np.arctan(max(0.02, 0.5 - share / 2) * height / focal)
    shift = float(off_middle + np.clip(rng.normal(0, 0.3), -0.7, 0.7) * min(slack, 0.12))
    middle = MIDDLE_HEIGHT[framing] + rng.normal(0, 0.03)
    R, camera_height = aimed(rng, middle, distance, shift, 3.0)
    centre = np.array([0.0, camera_height, 0.0])
    return View(width, height, K, R, centre, Stage(near, far, slope, edge_of(K, width)))


def person_share(rng: Rng, framing: Framing) -> float:
    """The height of a standing person over the image's: a whole one mostly takes 55 to 98 %."""
    if framing == "knees_up":
        return float(rng.uniform(1.2, 1.5))
    if framing == "head_and_shoulders":
        return float(rng.uniform(1.9, 2.8))
    low, high = ((0.55, 0.98), (0.3, 0.55), (0.98, 1.15))[rng.choice(3, p=[0.84, 0.11, 0.05])]
    return float(rng.uniform(low, high))


def random_focal(rng: Rng, width: int, pixels: float, distances: tuple[float, float]) -> float:
    """A log-uniform focal length for which ``pixels`` of height lie within the distances.

    Where the limits of the field of view leave no such focal length, the nearest one is taken.
    """
    widest, longest = width / 2 / np.tan(FOV_LIMITS[::-1] / 2)
    near, far = (pixels * d / PERSON_HEIGHT for d in distances)
    low, high = np.clip([near, far], widest, longest)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def stage_depths(framing: Framing, distance: float, fits: float) -> tuple[float, float]:
    """The nearest and farthest goals for a walker, about a distance.

    Args:
        framing: a close view leaves little room.
        distance: of the person, metres.
        fits: nearest distance at which a whole person is in the image.
    """
    near, far = 0.85 * distance, 1.2 * distance
    if framing == "whole":
        near, far = 0.75 * distance, 1.35 * distance
        near = max(near, min(fits, distance))
    # Walkers overshoot their goals by some decimetres before they have turned.
    near = max(1.0, near + (0.3 if framing == "whole" else 0.0))
    return near, max(far, near + 0.8)


def edge_of(K: Array, width: int) -> float:
    """Largest |x| / z in an image of that width, at the height of the principal point."""
    return float(max(K[0, 2], width - 1 - K[0, 2]) / K[0, 0])


def aimed(
    rng: Rng, middle: float, distance: float, shift: float, roll_degrees: float
) -> tuple[Array, float]:
    """A camera of random height looking at a height ``middle`` at ``distance``: R, height.

    The camera is lowered or raised where it would have to look up or down beyond -30..20 degrees.

    Args:
        rng: draws the height, mostly a tripod's or a shelf's, and the roll.
        middle: metres above the floor.
        distance: along the floor, metres.
        shift: radians added to the pitch.
        roll_degrees: standard deviation of the roll, which is cut off at 10 degrees.
    """
    low, high = ((0.7, 1.8), (1.8, 2.9), (0.15, 0.7))[rng.choice(3, p=[0.62, 0.26, 0.12])]
    wanted = np.arctan2(middle - rng.uniform(low, high), distance)
    pitch = np.clip(wanted + shift, *PITCH_LIMITS)
    camera_height = max(0.1, middle - distance * np.tan(pitch - shift))
    roll = np.deg2rad(np.clip(rng.normal(0, roll_degrees), -10, 10))
    return about_z(-roll) @ about_x(-pitch) @ WORLD_TO_LEVEL_CAMERA, float(camera_height)


def dhp19_view(channel: int) -> View:
    """One of DHP19's four real cameras, with its skew, height, pitch and roll.

    Its world is only turned and moved along the floor: the camera comes to stand above
    x = z = 0, and DHP19's origin, about which its subjects move, to lie straight ahead (x = 0) in
    the middle of the stage.

    Raises:
        ValueError: no such channel.
    """
    camera = dhp19_camera(channel)
    R = camera.R @ DHP19_TO_Y_UP.T
    x, height, z = -R.T @ camera.t
    distance = float(np.hypot(x, z))
    # The columns are the new axes in the old world: z points from the camera to the origin.
    ahead = np.array([-x, 0, -z]) / distance
    up = np.array([0.0, 1, 0])
    R = R @ np.stack([np.cross(up, ahead), up, ahead], axis=1)
    edge = edge_of(camera.K, camera.width)
    stage = Stage(distance - 0.5, distance + 0.5, 0.5 / distance, edge)
    return View(
        camera.width, camera.height, camera.K, R, np.array([0.0, float(height), 0.0]), stage
    )


def mmhpsd_view(rng: Rng) -> View:
    """A camera with the intrinsics of MMHPSD (facts: f = 1679.3, 800 x 1280 pixels).

    Distance and height are not published with the set; 3 to 4 m makes its persons' size.
    """
    distance = rng.uniform(3.0, 4.0)
    R, height = aimed(rng, 0.92, distance, 0.0, 1.0)
    K = intrinsics(1679.3, 401.0, 641.0)
    stage = Stage(distance - 0.4, distance + 0.6, 0.08, edge_of(K, 800))
    return View(800, 1280, K, R, np.array([0.0, height, 0.0]), stage)


def given_K(rng: Rng, K: Array) -> Array:
    """The intrinsics a user might believe in: half the time the true ones (3, 3), else with both
    focal lengths wrong by one log-uniform factor of up to 20 %."""
    given = K.copy()
    if rng.uniform() < 0.5:
        given[:2, :2] *= np.exp(rng.uniform(-1, 1) * np.log(1.2))
    return given


def upward(metres: float) -> Array:
    """(3,) so many metres up in the world."""
    return np.array([0.0, metres, 0.0])


def intrinsics(focal: float, cx: float, cy: float) -> Array:
    """(3, 3) for square pixels without skew."""
    return np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1.0]])


def about_x(angle: float) -> Array:
    """Right-handed rotation about x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def about_y(angle: float) -> Array:
    """Right-handed rotation about y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def about_z(angle: float) -> Array:
    """Right-handed rotation about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
