"""Draw a clone of DHP19 as its reference frames: ``python -m scripts.clone_frames FOLDER``.

FOLDER is made by ``python -m scripts.simulate_dataset dhp19-tree FOLDER``. Its first recording is
cleaned as the reference does it, and cut into frames of constant event count, camera by camera.
"""

import argparse
from pathlib import Path

import numpy as np

from datasets.constant_count import EVENTS_A_CAMERA, constant_count_frame
from datasets.dhp19_artefacts import INFRARED
from datasets.dhp19_layout import CHANNELS
from eventhpe.errors import InputError
from eventhpe.events.filters import BackgroundActivityFilter, filter_hot_pixels, filter_rectangle
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from scripts.realism import Picture, captioned, save

MOMENTS = 4
HOT_EVENTS, COMPANY_US = 10_000, 70_000
"""Limits of DHP19's reference: events of a hot pixel, age of a neighbour's event."""


def draw_clone(folder: Path, to: Path) -> str:
    """Draw the first recording's frames of constant count, a row a camera; what was drawn.

    Raises:
        InputError: the folder holds no recording, or one shorter than a frame.
    """
    path = next(iter(sorted((folder / "DVS_movies").rglob("*.aedat"))), None)
    if path is None:
        raise InputError(
            folder,
            "no DVS_movies/**/*.aedat",
            "a clone of DHP19",
            "Make one: scripts/simulate_dataset.py dhp19-tree FOLDER",
        )
    rows: list[Picture] = []
    for channel in CHANNELS:
        events = cleaned(open_recording(path, camera=channel).read(), channel)
        starts = np.linspace(0, len(events) - EVENTS_A_CAMERA, MOMENTS).astype(int)
        if starts[-1] < 0:
            raise InputError(
                path,
                f"{len(events):,} events of view {channel}",
                f"{EVENTS_A_CAMERA:,} at least",
                "Simulate a longer recording (--duration).",
            )
        frames = [constant_count_frame(events.slice(i, i + EVENTS_A_CAMERA)) for i in starts]
        tiles = [np.repeat(frame[..., None], 3, axis=2) for frame in frames]
        rows += captioned(f"camera {channel}: {EVENTS_A_CAMERA:,} events a frame", tiles)
    save(np.concatenate(rows), to)
    return f"{path}: {to}"


def cleaned(events: EventStream, channel: int) -> EventStream:
    """As DHP19's reference cleans them: no hot pixels, lone events and infrared lamps."""
    events = filter_hot_pixels(events, max_count=HOT_EVENTS)
    company = BackgroundActivityFilter(events.width, events.height, COMPANY_US)
    events = events.masked(company.keep(events))
    if channel in INFRARED:
        (x0, x1), (y0, y1), _ = INFRARED[channel]
        events = filter_rectangle(events, x0, y0, x1, y1, inside=False)
    return events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=Path("out/realism/clone.png"), metavar="PNG")
    options = parser.parse_args()
    try:
        print(draw_clone(options.folder, options.out))
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
