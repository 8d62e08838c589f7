"""The formats that a motion is exported in: one table, for the command and for `MotionSequence`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from eventhpe.body import Body, load_body
from eventhpe.errors import InputError
from eventhpe.export.amass import write_amass
from eventhpe.export.bvh import write_bvh
from eventhpe.export.csv_table import write_csv
from eventhpe.export.figure import Figure, figure_of
from eventhpe.export.glb import write_skinned
from eventhpe.export.meshes import FRAME, write_obj, write_ply
from eventhpe.export.smpl import write_smpl
from eventhpe.files import ensure_frames_folder, ensure_writable
from eventhpe.sequence import ABSENT, MotionSequence
from eventhpe.world import UpAxis


@dataclass(frozen=True)
class Format:
    """How a format is written.

    Attributes:
        write: to a path; returns notes on what the format could not hold.
        ending: of the file's name; none where a folder is written.
        gaps: what becomes of steps between others at which nobody was there.
        up: axes that may point up, the usual one first.
        even: it knows one rate and no times.
        ends: it has steps before the person came and after they left.
    """

    write: Callable[[Figure, Path], list[str]]
    ending: str
    gaps: str
    up: tuple[UpAxis, ...] = ("y", "z")
    even: bool = False
    ends: bool = False


FORMATS = {
    "amass": Format(write_amass, ".npz", "false in the array present", up=("z", "y"), even=True),
    "glb": Format(write_skinned, ".glb", "hidden", up=("y",)),
    "obj": Format(write_obj, "", "without a file"),
    "ply": Format(write_ply, "", "without a file"),
    "bvh": Format(write_bvh, ".bvh", "with the motion's pose, not marked", even=True),
    "csv": Format(write_csv, ".csv", "with joints nan", ends=True),
    "smpl": Format(write_smpl, ".npz", "false in the array present"),
}


class ExportOptions(TypedDict, total=False):
    """Keyword arguments of `export_motion`."""

    body: Body | None
    up: UpAxis | None
    rate_hz: float | None
    replace: bool


@dataclass(frozen=True)
class Exported:
    """What `export_motion` has written.

    Attributes:
        path: the file or folder.
        steps: how many.
        rate_hz: of them a second.
        notes: what whoever goes on with it should know, one sentence each.
    """

    path: Path
    steps: int
    rate_hz: float
    notes: tuple[str, ...]


def export_motion(
    motion: MotionSequence,
    to: str,
    path: str | Path,
    *,
    body: Body | None = None,
    up: UpAxis | None = None,
    rate_hz: float | None = None,
    replace: bool = True,
) -> Exported:
    """Write a motion for other programs, upright with the floor at height 0, in metres or as told.

    Args:
        motion: a person's motion.
        to: a key of `FORMATS`; docs/export.md has their conventions.
        path: the file, or the folder for a file a step.
        body: the body that the motion belongs to; None is the free default.
        up: the axis that points up; None is the format's usual one.
        rate_hz: poses a second; None keeps the motion's steps.
        replace: whether what stands at ``path`` may be replaced.

    Raises:
        InputError: no such format, another ending, an axis that the format does not have, a rate
            out of range, a motion of another body or with nobody in it, or a place that cannot be
            written to or may not be replaced.
    """
    if to not in FORMATS:
        raise InputError("--to", repr(to), f"one of {', '.join(FORMATS)}", "Choose one of these.")
    chosen, path = FORMATS[to], Path(path)
    axis = up or chosen.up[0]
    if axis not in chosen.up:
        remedy = f"{to} files have this axis up by their definition: leave it out."
        raise InputError("--up", axis, " or ".join(chosen.up), remedy)
    if rate_hz is not None and not 1 <= rate_hz <= 1000:
        raise InputError("--rate", f"{rate_hz:g} Hz", "1 to 1000 Hz", "Give poses a second.")
    if (motion.state == ABSENT).all():
        found = f"{len(motion)} steps without a person" if len(motion) else "no steps"
        remedy = "Choose another span, or look at the recording: nobody was found in it."
        raise InputError("the motion", found, "a step with a person", remedy)
    _check_place(path, to, chosen, replace)
    figure = figure_of(
        motion,
        load_body() if body is None else body,
        axis,
        rate_hz=rate_hz,
        even=chosen.even,
        ends=chosen.ends,
    )
    notes = [*figure.notes, *chosen.write(figure, path)]
    gaps = int(np.count_nonzero(~figure.present))
    if gaps:
        notes.append(f"{gaps} steps without a person: {chosen.gaps}")
    return Exported(path, len(figure.motion), figure.rate_hz, tuple(notes))


def _check_place(path: Path, to: str, chosen: Format, replace: bool) -> None:
    if chosen.ending:
        if path.suffix.lower() != chosen.ending:
            remedy = "Other programs go by the name: choose one with this ending."
            raise InputError(path, f"the ending {path.suffix!r}", chosen.ending, remedy)
        ensure_writable(path, replace=replace)
        return
    if path.suffix.lower() == f".{to}":
        remedy = "There will be a file a step in it: choose a folder's name."
        raise InputError(path, "a file's name", "a folder", remedy)
    ensure_frames_folder(path, FRAME, replace=replace)
