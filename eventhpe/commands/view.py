"""``view``: a motion in a browser."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from eventhpe.commands.options import (
    Commands,
    add_command,
    motion_options,
    open_source,
)

if TYPE_CHECKING:
    from eventhpe.events.recording import Recording
    from eventhpe.sequence import MotionSequence

_LONG_US = 60_000_000


def add(commands: Commands) -> None:
    """Add it to the command line."""
    view = add_command(commands, "view", _view, "look at a motion in a browser")
    motion_options(view, recording_required=False)
    view.add_argument(
        "--compare",
        type=Path,
        metavar="OTHER",
        help="a recording with truth, or another motion.npz, shown in yellow",
    )
    view.add_argument("--port", type=int, default=8080, help="default: 8080; 0: any that is free")
    view.add_argument(
        "--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine reaches"
    )
    view.add_argument("--open", action="store_true", help="also open the page in the browser")


def _view(options: argparse.Namespace) -> int:
    import webbrowser

    from eventhpe.body import load_body
    from eventhpe.rendering.truth import load_truth
    from eventhpe.rendering.viewer import Viewer
    from eventhpe.sequence import MotionSequence

    motion, body = MotionSequence.load(options.motion), load_body(options.body)
    recording = open_source(options) if options.file else None
    other = load_truth(options.compare, motion, body) if options.compare else None
    with Viewer(motion, body, recording, other, host=options.host, port=options.port) as viewer:
        try:
            print(f"viewer: {viewer.url} (Ctrl-C ends it)", flush=True)
            for words in _remarks(options, viewer.note, recording, motion):
                print(words, file=sys.stderr)
            if options.open:
                webbrowser.open(viewer.url)
            viewer.run()
        except KeyboardInterrupt:
            # How a viewer is meant to end: nothing is cut short.
            print("viewer: ended")
    return 0


def _remarks(
    options: argparse.Namespace,
    note: str,
    recording: "Recording | None",
    motion: "MotionSequence",
) -> Iterator[str]:
    from eventhpe.rendering.viewer.server import is_loopback

    if not is_loopback(options.host):
        danger = "everybody who reaches this machine can look at it, for nobody is asked who"
        yield f"warning: --host {options.host}: {danger}"
    if recording is not None and recording.index is None and motion.t_us[-1] > _LONG_US:
        remedy = "eventhpe convert FILE NAME.h5 makes jumps fast"
        yield f"note: {recording.path}: read forward only; {remedy}"
    if note:
        yield f"note: {options.compare}: {note}"
