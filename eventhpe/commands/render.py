"""``render``: a motion over its recording."""

import argparse
from pathlib import Path

from eventhpe.commands.options import (
    Commands,
    add_command,
    backend_option,
    finite,
    force_option,
    motion_options,
    open_source,
    part_of,
    span_options,
)
from eventhpe.errors import InputError

SPEEDS = (0.01, 10.0)


def add(commands: Commands) -> None:
    """Add them to the command line."""
    render = add_command(commands, "render", _render, "draw a motion over its recording")
    motion_options(render, recording_required=True)
    render.add_argument(
        "--out",
        type=Path,
        metavar="NAME",
        help="NAME.mp4, NAME.gif, or a folder for PNG frames; default: overlay.mp4 beside the "
        "motion",
    )
    render.add_argument(
        "--views",
        type=lambda text: text.split(","),
        metavar="LIST",
        help="some of camera,side,top,flow; default: all",
    )
    render.add_argument(
        "--speed", type=finite, default=1.0, metavar="X", help="0.1 is ten times slower; default: 1"
    )
    render.add_argument(
        "--truth",
        type=Path,
        metavar="FILE",
        help="also draw the truth and each joint's error: a recording with truth, or a motion.npz",
    )
    span_options(render, "--to")
    render.add_argument(
        "--flownet", type=Path, metavar="CARD.json", help="weights whose flow is drawn"
    )
    force_option(render)
    backend_option(render)


def _render(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.rendering import VIEWS, ensure_output, load_truth, render_overlay
    from eventhpe.sequence import MotionSequence
    from eventhpe.weights import FLOWNET

    low, high = SPEEDS
    if not low <= options.speed <= high:
        expected = f"{low:g} to {high:g}"
        raise InputError("--speed", f"{options.speed:g}", expected, "Choose one of these.")
    out = options.out or options.motion.parent / "overlay.mp4"
    ensure_output(out, replace=options.force)
    motion = part_of(MotionSequence.load(options.motion), options)
    recording, body = open_source(options), load_body(options.body)
    backend = render_overlay(
        motion,
        recording,
        body,
        out,
        views=options.views or VIEWS,
        truth=load_truth(options.truth, motion, body) if options.truth else None,
        speed=options.speed,
        flownet=options.flownet or FLOWNET,
        backend=options.backend,
    )
    print(f"overlay: {out} (meshes drawn by {backend})")
    return 0
