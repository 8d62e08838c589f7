"""How far the estimate's joints are from the truth's, in colours on the skeleton."""

from functools import cache
from importlib import import_module
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eventhpe import metrics
from eventhpe.body import PARENTS
from eventhpe.rendering.overlay import Picture

FULL_MM = 200.0
_BONE, _RIM = (235, 235, 235), (0, 0, 0)


class JointErrors(NamedTuple):
    """One moment's errors, millimetres.

    Attributes:
        mpjpe: mean over the joints, camera space.
        pel: mean over the joints, hips' midpoints laid over one another.
        joints: (24,) of each joint, likewise.
    """

    mpjpe: float
    pel: float
    joints: NDArray[np.floating]

    @classmethod
    def of(cls, estimate: NDArray[np.floating], truth: NDArray[np.floating]) -> "JointErrors":
        """Of joints (24, 3), metres."""
        hips = list(metrics.SMPL_HIPS)
        moved = estimate - estimate[hips].mean(axis=0) + truth[hips].mean(axis=0)
        pairs = estimate[None], truth[None]
        return cls(
            float(metrics.mpjpe(*pairs)[0]),
            float(metrics.pel_mpjpe(*pairs)[0]),
            1000 * np.linalg.norm(moved - truth, axis=1),
        )


@cache
def error_colours() -> NDArray[np.uint8]:
    """(256, 3) from no error to `FULL_MM`: cividis (Nunez, Anderton and Renslow 2018), whose
    lightness rises evenly for colour-blind eyes, too."""
    colours = import_module("matplotlib").colormaps["cividis"](np.arange(256))[:, :3]
    return np.asarray(np.round(255 * colours), dtype=np.uint8)


def colour_of(millimetres: float) -> tuple[int, int, int]:
    """The colour of an error; that of `FULL_MM` for all above."""
    index = int(min(max(millimetres / FULL_MM, 0.0), 1.0) * 255 + 0.5)
    red, green, blue = error_colours()[index].tolist()
    return red, green, blue


def draw_skeleton(picture: Picture, pixels: NDArray[np.floating], errors: JointErrors) -> None:
    """Bones and joints over a picture, in place.

    Args:
        pixels: (24, 2) of the joints in the picture.
        errors: their colours.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    places = [(float(u), float(v)) for u, v in pixels]
    for joint in range(1, len(places)):
        draw.line([places[PARENTS[joint]], places[joint]], fill=_BONE, width=2)
    radius = max(3.0, picture.shape[0] / 110)
    for (u, v), error in zip(places, errors.joints, strict=True):
        disc = [u - radius, v - radius, u + radius, v + radius]
        draw.ellipse(disc, fill=colour_of(float(error)), outline=_RIM)
    picture[:] = np.asarray(image)
