"""The person seen from the side and from above, in the upright world, at one fixed scale.

Both views have the distance from the camera to the right, so that they stand over one another as
in a technical drawing. From the side, up is up; from above, the camera's right is down. They are
drawn from afar, so that lengths hardly depend on the distance from the viewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.rendering.overlay import BACKGROUND, Figure, Picture, draw_figures, font
from eventhpe.sequence import MotionSequence
from eventhpe.world import World

Float64 = NDArray[np.float64]

WORLD_VIEWS = ("side", "top")
MARGIN_M = 0.3  # around the joints: the body reaches further than its joints
CAMERA_M = 0.15  # around the camera
AFAR_M = 60.0  # the viewer's distance
ALPHA = 0.95

_TITLES = {"side": "from the side", "top": "from above"}
_TITLE_ROWS = 20
_LINE, _FLOOR, _TEXT = (52,) * 3, (120,) * 3, (170,) * 3
_CAMERA = (235, 235, 235)
# From the world "y" (x to the camera's right, y up, z towards it) to a view's right, down, away.
_AXES = {
    "side": np.array([[0.0, 0, -1], [0, -1, 0], [-1, 0, 0]]),
    "top": np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]]),
}


@dataclass(frozen=True, eq=False)
class Extent:
    """What the views must hold: the lowest and highest corner (3,) in the world "y", metres."""

    low: Float64
    high: Float64

    @classmethod
    def of(cls, joints: NDArray[np.floating], world: World) -> "Extent":
        """Of joints (N, 3), camera frame, with the body around them, the camera and the floor."""
        points = world.points(joints)
        around = [points - MARGIN_M, points + MARGIN_M]
        camera = world.points(np.zeros((1, 3)))
        floor = np.array([[camera[0, 0], 0.0, camera[0, 2]]])
        every = np.concatenate([*around, camera - CAMERA_M, camera + CAMERA_M, floor])
        return cls(every.min(axis=0), every.max(axis=0))

    def along(self, view: str) -> Float64:
        """(3,) metres to the right, down and away in a view."""
        return np.abs(_AXES[view] @ (self.high - self.low))


def shares(extent: Extent, views: Sequence[str], size: tuple[int, int]) -> list[int]:
    """Rows for each view, one over the other, so that all have one scale and fill ``size``."""
    down = np.array([extent.along(view)[1] for view in views])
    rows = size[1] - _TITLE_ROWS * len(views)
    edges = np.round(np.cumsum(np.append(0.0, down / down.sum())) * rows).astype(int)
    return [int(n) + _TITLE_ROWS for n in np.diff(edges)]


class WorldView:
    """One of `WORLD_VIEWS`.

    Args:
        view: its name.
        extent: what must be seen.
        world: from the camera's frame to the world "y".
        motion: its camera and floor are drawn.
        size: (width, height) of the picture, pixels.
    """

    def __init__(
        self,
        view: str,
        extent: Extent,
        world: World,
        motion: MotionSequence,
        size: tuple[int, int],
    ) -> None:
        width, height = size
        rows = height - _TITLE_ROWS
        span = extent.along(view)
        # What is nearest to the viewer is seen largest, and must fit, too.
        self.scale = float(min(np.array([width, rows]) / span[:2]) * (1 - span[2] / 2 / AFAR_M))
        centre = (extent.low + extent.high) / 2
        self._turn = _AXES[view] @ world.rotation
        self._shift = _AXES[view] @ (world.offset - centre) + [0, 0, AFAR_M]
        self._focal = self.scale * AFAR_M
        self._middle = np.array([(width - 1) / 2, _TITLE_ROWS + (rows - 1) / 2])
        K = np.array(
            [[self._focal, 0, self._middle[0]], [0, self._focal, self._middle[1]], [0, 0, 1]]
        )
        # pyrender ends all OpenGL of a process with one canvas, so there can be no second one.
        self._renderer = MeshRenderer(width, height, K, "rasterizer")
        self._ground = self._backdrop(view, extent, world, motion, size)

    def draw(self, figures: Sequence[Figure]) -> Picture:
        """The picture with meshes that are given in the camera's frame."""
        picture = self._ground.copy()
        placed = [f._replace(vertices=self._placed(f.vertices)) for f in figures]
        draw_figures(picture, placed, self._renderer, ALPHA)
        return picture

    def pixels(self, points: NDArray[np.floating]) -> Float64:
        """Where points (..., 3) of the camera's frame are seen: (..., 2)."""
        placed = self._placed(points)
        return np.asarray(placed[..., :2] / placed[..., 2:] * self._focal + self._middle)

    def _placed(self, points: NDArray[np.floating]) -> Float64:
        return np.asarray(points @ self._turn.T + self._shift)

    def _backdrop(
        self,
        view: str,
        extent: Extent,
        world: World,
        motion: MotionSequence,
        size: tuple[int, int],
    ) -> Picture:
        """The grid of metres, the floor, the camera with its field of view, and the title."""
        image = Image.new("RGB", size, (BACKGROUND,) * 3)
        draw = ImageDraw.Draw(image)
        inverse = world.rotation.T

        def at(point: Float64) -> tuple[float, float]:
            u, v = self.pixels((point - world.offset) @ inverse.T)
            return float(u), float(v)

        camera = world.points(np.zeros(3))
        width, height = size
        far = int(np.ceil(width / self.scale)) + 1
        every = 1 if self.scale > 34 else 2
        for metres in range(-far, far + 1):
            u = at(camera - [0, 0, metres])[0]
            draw.line([(u, _TITLE_ROWS), (u, height)], fill=_LINE)
            aside = np.array([metres, 0, 0]) + camera
            v = at(np.array([0, metres, 0]) if view == "side" else aside)[1]
            on_floor = view == "side" and metres == 0 and not np.isnan(motion.floor_m)
            if v >= _TITLE_ROWS:
                draw.line([(0, v), (width, v)], fill=_FLOOR if on_floor else _LINE)
        self._draw_camera(draw, view, motion, extent)
        for metres in range(every, far, every):
            u = at(camera - [0, 0, metres])[0]
            if 12 < u < width - 12:
                draw.text((u, height - 2), f"{metres} m", _TEXT, font(11), anchor="mb")
        draw.rectangle([0, 0, width, _TITLE_ROWS - 1], fill=(BACKGROUND,) * 3)
        draw.text((6, _TITLE_ROWS / 2), _TITLES[view], _TEXT, font(13), anchor="lm")
        return np.asarray(image).copy()

    def _draw_camera(
        self, draw: ImageDraw.ImageDraw, view: str, motion: MotionSequence, extent: Extent
    ) -> None:
        """A wedge where the camera stands, and the borders of what it sees."""
        far = float(np.linalg.norm(extent.high - extent.low))
        middle, last = (
            motion.K[:2, 2],
            np.array([motion.width - 1.0, motion.height - 1.0]),
        )
        ends = [[middle[0], 0.0], [middle[0], last[1]]]
        if view == "top":
            ends = [[0.0, middle[1]], [last[0], middle[1]]]
        place = self.pixels(np.zeros(3))
        wedge = [tuple(place)]
        for end in ends:
            ray = np.linalg.inv(motion.K) @ [*end, 1.0]
            ray /= np.linalg.norm(ray)
            draw.line([tuple(place), tuple(self.pixels(ray * far))], fill=_FLOOR)
            wedge.append(tuple(self.pixels(ray * 14 / self.scale)))
        draw.polygon(wedge, fill=_CAMERA)
