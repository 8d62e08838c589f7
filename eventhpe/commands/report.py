"""``report``: a motion over its recording, as one page for a browser."""

import argparse
from pathlib import Path

from eventhpe.commands.options import (
    Commands,
    add_command,
    backend_option,
    force_option,
    motion_options,
    open_source,
)
from eventhpe.errors import InputError


def add(commands: Commands) -> None:
    """Add it to the command line."""
    report = add_command(commands, "report", _report, "show a motion on one page for a browser")
    motion_options(report, recording_required=True)
    report.add_argument(
        "--truth",
        type=Path,
        metavar="TRUTH",
        help="a recording with truth, or another motion file; metrics are added",
    )
    report.add_argument(
        "--out", type=Path, metavar="HTML", help="default: report.html beside the motion"
    )
    force_option(report)
    backend_option(report)


def _report(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.files import ensure_writable
    from eventhpe.rendering import load_truth
    from eventhpe.rendering.report import write_report
    from eventhpe.sequence import MotionSequence

    motion = MotionSequence.load(options.motion)
    out = options.out or options.motion.parent / "report.html"
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(out, f"the ending {out.suffix!r}", ".html", "Choose such a name.")
    ensure_writable(out, replace=options.force)
    body = load_body(options.body)
    backend = write_report(
        motion,
        open_source(options),
        body,
        out,
        truth=load_truth(options.truth, motion, body) if options.truth else None,
        backend=options.backend,
        command=options.command_line,
    )
    size = out.stat().st_size / 1e6
    print(f"report: {out} ({size:.1f} MB, meshes drawn by {backend}); open it in a browser")
    return 0
