"""Flags that several sub-commands share, and what becomes of them."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventhpe.errors import InputError

if TYPE_CHECKING:  # a sub-command imports what it needs: `eventhpe info` must not wait for torch
    from eventhpe.camera import Camera
    from eventhpe.events.recording import Recording
    from eventhpe.events.stream import EventStream
    from eventhpe.sequence import MotionSequence

EXIT_INTERRUPTED = 130

Commands = Any  # argparse's action that holds sub-commands; its type is not public


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
) -> argparse.ArgumentParser:
    """Add a sub-command that calls ``run``; returns its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary.capitalize() + "."
    )
    parser.set_defaults(run=run)
    return parser


def recording_options(parser: argparse.ArgumentParser) -> None:
    """The recording itself, and `sensor_options`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    sensor_options(parser)


def motion_options(parser: argparse.ArgumentParser, *, recording_required: bool) -> None:
    """A motion, its recording with `sensor_options`, and its body."""
    parser.add_argument("motion", type=Path, metavar="MOTION.npz")
    parser.add_argument(
        "--recording",
        type=Path,
        required=recording_required,
        metavar="FILE",
        dest="file",
        help="what the motion was made from",
    )
    sensor_options(parser)
    body_option(parser)


def span_options(parser: argparse.ArgumentParser, end: str) -> None:
    """A part of a motion, for `part_of`; ``end`` is the flag that ends it."""
    parser.add_argument("--from", type=finite, dest="start_s", metavar="S", help="begin here")
    parser.add_argument(end, type=finite, dest="stop_s", metavar="S", help="end before this")


def part_of(motion: "MotionSequence", options: argparse.Namespace) -> "MotionSequence":
    """The steps that `span_options` ask for.

    Raises:
        InputError: there are none.
    """
    part = motion.slice(microseconds(options.start_s), microseconds(options.stop_s))
    if len(motion) and not len(part):
        found = f"none of the steps from {motion.t_us[0] / 1e6:g} to {motion.t_us[-1] / 1e6:g} s"
        raise InputError("--from", found, "a span with steps", "Choose times among these.")
    return part


def sensor_options(parser: argparse.ArgumentParser) -> None:
    """What a recording may not say of itself."""
    parser.add_argument(
        "--sensor", type=size, metavar="WxH", help="sensor size, where the file holds none"
    )
    parser.add_argument(
        "--channel", type=_channel, metavar="N", help="camera of a file that holds several"
    )
    parser.add_argument(
        "--time-unit", choices=("s", "ms", "us", "ns"), help="of times, where the file says none"
    )


def body_option(parser: argparse.ArgumentParser) -> None:
    """``--body``."""
    parser.add_argument(
        "--body", type=Path, metavar="SMPL", help="SMPL .pkl or .npz; default: the free body"
    )


def backend_option(parser: argparse.ArgumentParser) -> None:
    """``--backend``."""
    parser.add_argument(
        "--backend",
        choices=("rasterizer", "egl", "osmesa"),
        help="what draws meshes in the camera's picture; default: rasterizer",
    )


def force_option(parser: argparse.ArgumentParser) -> None:
    """``--force``, for `eventhpe.files.ensure_writable`."""
    parser.add_argument("--force", action="store_true", help="replace what the output's name holds")


def orientation_options(parser: argparse.ArgumentParser) -> None:
    """``--rotate``, ``--flip-x``, ``--flip-y``, for `orient_of`."""
    parser.add_argument(
        "--rotate", type=int, choices=(0, 90, 180, 270), default=0, help="turn clockwise first"
    )
    parser.add_argument("--flip-x", action="store_true", help="then mirror left and right")
    parser.add_argument("--flip-y", action="store_true", help="then mirror top and bottom")


def view_options(parser: argparse.ArgumentParser) -> None:
    """How a recording is looked at, and by which networks."""
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera",
        type=Path,
        metavar="CAM.yaml",
        help="its calibration by Kalibr, ROS or OpenCV, or as in docs/calibration.md",
    )
    camera.add_argument("--fov", type=finite, metavar="DEG", help="horizontal field of view")
    parser.add_argument("--camera-name", metavar="NAME", help="of several in a camchain: cam0, ...")
    parser.add_argument("--roi", type=_box, metavar="X,Y,W,H", help="look only here")
    orientation_options(parser)
    parser.add_argument("--step-ms", type=finite, default=50.0, help="distance of poses (10-100)")
    parser.add_argument("--from", type=finite, dest="start_s", metavar="S", help="begin here")
    parser.add_argument("--to", type=finite, dest="stop_s", metavar="S", help="end here")
    parser.add_argument("--device", default="cpu", help="torch device of the networks")
    parser.add_argument("--flownet", type=Path, metavar="CARD.json", help="other weights")
    parser.add_argument("--shapenet", type=Path, metavar="CARD.json", help="other weights")


def open_source(options: argparse.Namespace) -> "Recording":
    """The recording of ``file``, see `sensor_options`."""
    from eventhpe.events.recording import open_recording

    width, height = options.sensor or (None, None)
    return open_recording(
        options.file,
        width=width,
        height=height,
        camera=options.channel,
        time_unit=options.time_unit,
    )


def camera_of(options: argparse.Namespace, width: int, height: int) -> "Camera":
    """The camera of the reoriented events."""
    from eventhpe import api

    camera = api.camera_of(width, height, options.camera, options.camera_name, options.fov)
    note_on_camera(options)
    return camera.reoriented(options.rotate, options.flip_x, options.flip_y)


def note_on_camera(options: argparse.Namespace) -> None:
    """Say so where no camera is given."""
    from eventhpe.api import DEFAULT_FOV_DEGREES

    if options.camera is None and options.fov is None:
        print(
            f"note: no camera given: {DEFAULT_FOV_DEGREES:g} degrees horizontally; "
            "metres are up to scale"
        )


def orient_of(options: argparse.Namespace) -> "Callable[[EventStream], EventStream] | None":
    """What `orientation_options` ask for; None where they ask for nothing."""
    from eventhpe.api import orientation

    return orientation(options.rotate, options.flip_x, options.flip_y)


def microseconds(seconds: float | None) -> int | None:
    """Of seconds, or None of None."""
    return None if seconds is None else round(seconds * 1e6)


def _channel(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def size(text: str) -> tuple[int, int]:
    """WxH."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WxH, such as 346x260") from None
    return width, height


def finite(text: str) -> float:
    """A number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def seed(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H in pixels") from None
    return x, y, width, height
