"""A recording's world as one camera sees it."""

from dataclasses import dataclass

from eventhpe.simulation.scene.look import Look, MeshSource
from eventhpe.simulation.scene.views import View


@dataclass(frozen=True)
class Scene:
    """What a renderer needs.

    Attributes:
        view: the camera.
        look: light, place and colours.
        mesh: what moves; None where nothing does.
        blur_px: standard deviation of the lens's blur, pixels.
    """

    view: View
    look: Look
    mesh: MeshSource | None
    blur_px: float
