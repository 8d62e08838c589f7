"""``render``: a motion over its recording."""

import argparse
from pathlib import Path

from eventhpe.commands.options import (
    Commands,
    add_command,
    backend_option,
    body_option,
    force_option,
    open_source,
    orient_of,
    orientation_options,
    sensor_options,
)


def add(commands: Commands) -> None:
    """Add them to the command line."""
    render = add_command(commands, "render", _render, "draw a motion over its recording")
    render.add_argument("motion", type=Path, metavar="MOTION.npz")
    render.add_argument("--recording", type=Path, required=True, metavar="FILE", dest="file")
    render.add_argument(
        "--out", type=Path, metavar="MP4", help="default: overlay.mp4 beside the motion"
    )
    force_option(render)
    sensor_options(render)
    body_option(render)
    backend_option(render)
    orientation_options(render)


def _render(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.rendering import render_overlay
    from eventhpe.sequence import MotionSequence

    motion = MotionSequence.load(options.motion)
    out = options.out or options.motion.parent / "overlay.mp4"
    backend = render_overlay(
        motion,
        open_source(options),
        load_body(options.body),
        out,
        orient=orient_of(options),
        backend=options.backend,
    )
    print(f"overlay: {out} (meshes drawn by {backend})")
    return 0
