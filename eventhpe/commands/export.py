"""``export``: a motion as other programs' files."""

import argparse
from pathlib import Path

from eventhpe.commands.options import (
    Commands,
    add_command,
    body_option,
    finite,
    force_option,
    part_of,
    span_options,
)


def add(commands: Commands) -> None:
    """Add it to the command line."""
    export = add_command(commands, "export", _export, "write a motion for other programs")
    export.add_argument("motion", type=Path, metavar="MOTION.npz")
    # The table of formats refuses others; it is not loaded before there is something to write.
    export.add_argument(
        "--to", required=True, metavar="amass|glb|obj|ply|bvh|csv|smpl", help="the format"
    )
    export.add_argument(
        "--out", type=Path, required=True, metavar="OUT", help="the file; for obj and ply a folder"
    )
    export.add_argument("--up", choices=("y", "z"), help="this axis up; default: the format's own")
    export.add_argument(
        "--rate", type=finite, metavar="HZ", help="poses a second; default: the motion's steps"
    )
    body_option(export)
    span_options(export, "--until")
    force_option(export)


def _export(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.export.formats import export_motion
    from eventhpe.sequence import MotionSequence

    motion = MotionSequence.load(options.motion)
    made = export_motion(
        part_of(motion, options),
        options.to,
        options.out,
        body=load_body(options.body),
        up=options.up,
        rate_hz=options.rate,
        replace=options.force,
    )
    print(f"{options.to}: {made.path}: {made.steps} steps at {made.rate_hz:g} Hz")
    for note in made.notes:
        print(f"note: {note}")
    return 0
