"""Overlay videos and contact sheets of a motion over its recording."""

from eventhpe.rendering.composition import VIEWS
from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.rendering.outputs import ensure_output
from eventhpe.rendering.overlay import Label, Layout
from eventhpe.rendering.sheet import contact_sheet
from eventhpe.rendering.truth import load_truth
from eventhpe.rendering.video import render_overlay

__all__ = [
    "VIEWS",
    "Label",
    "Layout",
    "MeshRenderer",
    "contact_sheet",
    "ensure_output",
    "load_truth",
    "render_overlay",
]
