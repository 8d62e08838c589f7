"""Overlay videos and contact sheets of a motion over its recording."""

from eventhpe.rendering.contact_sheet import contact_sheet
from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.rendering.overlay import Label, Layout, overlay_frame
from eventhpe.rendering.video import render_overlay

__all__ = [
    "Label",
    "Layout",
    "MeshRenderer",
    "contact_sheet",
    "overlay_frame",
    "render_overlay",
]
