"""Event recordings: reading, windowing, filtering and turning them into images."""

from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recording import Recording, Repairs, open_recording
from eventhpe.events.representations import binary_frame, count_image, voxel_grid
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import Window, count_windows, time_windows

__all__ = [
    "DsecWriter",
    "EventStream",
    "Recording",
    "Repairs",
    "Window",
    "binary_frame",
    "count_image",
    "count_windows",
    "open_recording",
    "time_windows",
    "voxel_grid",
]
