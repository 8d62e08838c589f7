"""Where things stand in the viewer's world: the camera's sight, the floor, the first view."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.body import Body
from eventhpe.camera import project
from eventhpe.sequence import ABSENT, MotionSequence
from eventhpe.world import World

Float64 = NDArray[np.float64]

_SEEN_APART = 0.02  # of the picture's longer side
_LOOKED_AT = 200  # poses, evenly taken, tell enough of where a person goes


@dataclass(frozen=True, eq=False)
class Sight:
    """The part of a plane before the camera that its image shows, camera frame, metres.

    Attributes:
        corners: (4, 3) upper left, upper right, lower right, lower left outer pixel edges.
    """

    corners: Float64

    @property
    def centre(self) -> Float64:
        """(3,) the middle of the image."""
        return np.asarray(self.corners.mean(axis=0))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        across, down = self.corners[1] - self.corners[0], self.corners[3] - self.corners[0]
        return float(np.linalg.norm(across)), float(np.linalg.norm(down))

    @property
    def outline(self) -> NDArray[np.float32]:
        """(4, 2, 3) the four edges."""
        return np.stack([self.corners, np.roll(self.corners, -1, axis=0)], axis=1).astype(
            np.float32
        )

    @property
    def rays(self) -> NDArray[np.float32]:
        """(4, 2, 3) lines from the camera to the corners."""
        return np.stack([np.zeros((4, 3)), self.corners], axis=1).astype(np.float32)


def sight(motion: MotionSequence, depth_m: float) -> Sight:
    """What a camera without a lens's bending shows of the plane z = ``depth_m``.

    Pixel (0, 0) has its centre at (0, 0), so the image's edges lie half a pixel further out.
    """
    right, bottom = motion.width - 0.5, motion.height - 0.5
    pixels = [(-0.5, -0.5, 1), (right, -0.5, 1), (right, bottom, 1), (-0.5, bottom, 1)]
    return Sight(np.array(pixels) @ np.linalg.inv(motion.K).T * depth_m)


def same_view(motion: MotionSequence, other: MotionSequence) -> bool:
    """Whether the cameras of both see a point in one pixel or nearly so, lenses left aside.

    Where one camera's focal length was a guess, its events lie on other rays than the other
    motion's person, though both are drawn in metres before the same place.
    """
    corners = sight(motion, 1.0).corners
    seen = project(corners, motion.K) - project(corners, other.K)
    return bool(np.abs(seen).max() <= _SEEN_APART * max(motion.width, motion.height))


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Where the person goes.

    Attributes:
        pelvis: (N, 3) places of the pelvis at moments taken evenly, camera frame.
        floor: height of the floor in the world, metres.
        floor_known: whether the motion knows it; otherwise it is put under the feet.
    """

    pelvis: Float64
    floor: float
    floor_known: bool

    @property
    def depth(self) -> float:
        """Median distance of the pelvis along the camera's axis, metres."""
        return float(np.median(self.pelvis[:, 2]))


def surroundings(motion: MotionSequence, body: Body, world: World) -> Surroundings:
    """Look over a motion. Without a person in it: somebody 3 m before the camera, no floor.

    Args:
        world: a world with z up.
    """
    present = np.flatnonzero(motion.state != ABSENT)
    known = not np.isnan(motion.floor_m)
    if not len(present):
        return Surroundings(np.array([[0.0, 0.0, 3.0]]), 0.0 if known else -1.0, known)
    chosen = present[np.linspace(0, len(present) - 1, _LOOKED_AT).round().astype(int)]
    seen = motion.at(motion.t_us[np.unique(chosen)])
    joints = np.stack([joints for _, joints in seen.posed(body)]).astype(np.float64)
    lowest = world.points(joints)[..., 2].min(axis=1)
    return Surroundings(joints[:, 0], 0.0 if known else float(np.median(lowest)), known)


def first_view(around: Surroundings, world: World) -> tuple[Float64, Float64]:
    """Where to look from and to at first, (3,) and (3,) in the world.

    From above and beside the camera's line of sight, far enough for camera and person.
    """
    person = world.points(np.median(around.pelvis, axis=0))
    camera = world.offset
    line = person - camera
    line[2] = 0.0
    reach = max(float(np.linalg.norm(line)), 2.0)
    line /= max(float(np.linalg.norm(line)), 1e-9)
    aside = np.array([line[1], -line[0], 0.0])
    # The panel covers the right of the page, so the person is put left of the middle.
    target = person - 0.25 * reach * line + 0.1 * reach * aside
    eye = target - 1.05 * reach * line + 0.5 * reach * aside
    eye[2] = max(person[2], camera[2]) + 0.28 * reach
    return eye, target
