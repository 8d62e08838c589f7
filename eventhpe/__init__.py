"""EventHPE: event-camera recordings to moving 3D human meshes.

What is named here is loaded when it is first used (PEP 562), so that importing the package, or one
of its rooms, does not load all of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventhpe.api import infer
    from eventhpe.body import Body, load_body
    from eventhpe.calibration import load_camera
    from eventhpe.camera import Camera
    from eventhpe.errors import InputError
    from eventhpe.events import EventStream, Recording, open_recording
    from eventhpe.refinement import refine
    from eventhpe.rendering import contact_sheet, render_overlay
    from eventhpe.sequence import MotionSequence

__all__ = [
    "Body",
    "Camera",
    "EventStream",
    "InputError",
    "MotionSequence",
    "Recording",
    "contact_sheet",
    "infer",
    "load_body",
    "load_camera",
    "open_recording",
    "refine",
    "render_overlay",
]

_HOMES = {
    "Body": "body",
    "Camera": "camera",
    "EventStream": "events",
    "InputError": "errors",
    "MotionSequence": "sequence",
    "Recording": "events",
    "contact_sheet": "rendering",
    "infer": "api",
    "load_body": "body",
    "load_camera": "calibration",
    "open_recording": "events",
    "refine": "refinement",
    "render_overlay": "rendering",
}

if not TYPE_CHECKING:  # a type checker knows the names above, and reports others

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
