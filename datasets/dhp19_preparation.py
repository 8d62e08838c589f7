"""DHP19's raw recordings made ready: filtered events a camera, markers, frames, and a report.

OUT of ``scripts/prepare_dhp19.py`` holds, for subject s, session k, movement m and camera c,

- ``recordings/S{s}_{k}_{m}-camera{c}.h5``: filtered events, as `eventhpe.events.open_recording`
  reads them; t = 0 us at the start mark, which is the first sample of the markers;
- ``vicon/S{s}_{k}_{m}.h5``: ``t_us`` (N,) int64 on that clock, ``markers_mm`` (N, 13, 3) float64
  in DHP19's world and label order, NaN where hidden;
- ``frames/``: see `datasets.dhp19_frames`, where they are asked for.

Every file carries the attribute ``recipe``. The markers' file is written last and keeps the
recording's row of the report, so that a finished recording is known by its files alone.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.dhp19_artefacts import CORRUPT
from datasets.dhp19_filters import Filters, kept
from datasets.dhp19_frames import constant_count_frames, frame_paths, write_frames
from datasets.dhp19_layout import CHANNELS, HEIGHT, VICON_PERIOD_US, WIDTH, RawRecording
from datasets.dhp19_reading import (
    CorruptMarksError,
    by_camera,
    find_marks,
    mosaic_events,
    read_markers,
    read_words,
)
from eventhpe.errors import InputError
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path

VERSION = 1


@dataclass(frozen=True)
class Preparation:
    """What is made of every recording.

    Attributes:
        filters: how background activity is filtered.
        frames: whether constant-count frames are written.
    """

    filters: Filters = Filters.REFERENCE
    frames: bool = False

    @property
    def recipe(self) -> str:
        """All that shapes the files' contents."""
        return f"dhp19-v{VERSION} filters={self.filters}"


@dataclass(frozen=True)
class Row:
    """A recording's line in the report.

    Attributes:
        subject, session, movement: which one.
        status: ``done``, ``skipped`` (its marks make no sense) or ``failed``.
        duration_s: of the markers.
        events: DVS events in the file, but the first, which readers of DHP19 skip.
        between: those between start and stop whose pixel and camera exist.
        kept_0 .. kept_3: those of each camera that the filters left.
        kept_share: all four over ``between``.
        marks: how the special events tell start and stop.
        repairs: what was odd about the file and how it was met.
        frames: how many were made, None where none were asked for.
        reason: why it is skipped or failed.
    """

    subject: int
    session: int
    movement: int
    status: str
    duration_s: float | None = None
    events: int | None = None
    between: int | None = None
    kept_0: int | None = None
    kept_1: int | None = None
    kept_2: int | None = None
    kept_3: int | None = None
    kept_share: float | None = None
    marks: str = ""
    repairs: str = ""
    frames: int | None = None
    reason: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether the recording is missing for another reason than the two known ones."""
        known = self.status == "skipped" and (self.subject, self.session, self.movement) in CORRUPT
        return self.status != "done" and not known


def find_recordings(raw: Path, subjects: Sequence[int] = ()) -> list[RawRecording]:
    """The recordings of the raw folder in order: every aedat file, and every mat file of a subject
    who has aedat files, so that one without the other is noticed.

    Args:
        raw: DHP19's folder, with ``DVS_movies`` and ``Vicon_data``.
        subjects: only these; all when empty.

    Raises:
        InputError: the folder is missing or not laid out like DHP19, or a subject is not there.
    """
    movies = raw / "DVS_movies"
    found = {
        RawRecording(*map(int, digits.groups()))
        for path in movies.glob("S*/session*/mov*.aedat")
        if (digits := re.search(r"S(\d+)/session(\d+)/mov(\d+)\.aedat$", path.as_posix()))
    }
    if not found:
        there = "no DVS_movies/S*/session*/mov*.aedat" if raw.is_dir() else "no such folder"
        raise InputError(
            raw,
            there,
            "the folder of DHP19 that holds DVS_movies and Vicon_data",
            "Give that folder, its archives unpacked.",
        )
    present = {which.subject for which in found}
    absent = sorted(set(subjects) - present)
    if absent:
        raise InputError(
            movies,
            f"no recordings of S{absent[0]}",
            f"one of {', '.join(f'S{subject}' for subject in sorted(present))}",
            "Leave it out of --subjects.",
        )
    for path in (raw / "Vicon_data").glob("S*_*_*.mat"):
        digits = re.fullmatch(r"S(\d+)_(\d+)_(\d+)", path.stem)
        if digits and int(digits[1]) in present:
            found.add(RawRecording(*map(int, digits.groups())))
    return sorted(which for which in found if not subjects or which.subject in subjects)


def prepare_recording(raw: Path, out: Path, asked: Preparation, which: RawRecording) -> Row:
    """Prepare one recording unless it is finished; what came of it, faults too."""
    try:
        return _finished(raw, out, asked, which) or _prepare(raw, out, asked, which)
    except CorruptMarksError as error:
        return Row(*which, "skipped", reason=str(error))
    except (InputError, OSError) as error:
        return Row(*which, "failed", reason=str(error))


def events_path(out: Path, which: RawRecording, camera: int) -> Path:
    """One camera's events in the prepared folder."""
    return out / "recordings" / f"{which.vicon_path(out).stem}-camera{camera}.h5"


def markers_path(out: Path, which: RawRecording) -> Path:
    """The markers in the prepared folder."""
    return out / "vicon" / f"{which.vicon_path(out).stem}.h5"


def _finished(raw: Path, out: Path, asked: Preparation, which: RawRecording) -> Row | None:
    """The row of a recording whose files are all there, of this recipe and not out of date."""
    markers = markers_path(out, which)
    paths = [*(events_path(out, which, camera) for camera in CHANNELS), markers]
    if asked.frames:
        paths += frame_paths(out / "frames", which)
    if any(_recipe_of(path) != asked.recipe for path in paths):
        return None
    made = min(path.stat().st_mtime for path in paths)
    sources = which.events_path(raw), which.vicon_path(raw)
    if any(source.exists() and source.stat().st_mtime > made for source in sources):
        return None
    with h5py.File(markers) as file:
        return Row(**json.loads(file.attrs["report"]))


def _recipe_of(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with h5py.File(path) as file:
            return str(file.attrs.get("recipe"))
    except OSError:
        return None  # no longer an HDF5 file: it is made again


def _prepare(raw: Path, out: Path, asked: Preparation, which: RawRecording) -> Row:
    source = which.events_path(raw)
    if not source.is_file():
        raise InputError(source, "no such file", "the movement's events", "Download it.")
    markers = read_markers(which.vicon_path(raw))
    words = read_words(source)
    marks = find_marks(source, words, len(markers))
    between = mosaic_events(words[marks.first : marks.end])
    del words
    if not len(between.t):
        raise InputError(
            source,
            "no events of the cameras 0 to 3",
            "DHP19's four cameras, their number in the lowest four bits of an address",
            "Download this file again.",
        )
    keep = kept(between, asked.filters)
    cameras = by_camera(between, keep, marks.start)
    for camera, events in enumerate(cameras):
        _write_events(events_path(out, which, camera), events, marks.start, asked.recipe)
    counts = [len(events) for events in cameras]
    row = Row(
        *which,
        status="done",
        duration_s=len(markers) * VICON_PERIOD_US * 1e-6,
        events=marks.events,
        between=len(between.t),
        kept_0=counts[0],
        kept_1=counts[1],
        kept_2=counts[2],
        kept_3=counts[3],
        kept_share=round(sum(counts) / len(between.t), 4),
        marks=marks.case,
        repairs="; ".join(marks.repairs),
    )
    if asked.frames:
        frames = constant_count_frames(between.masked(keep), marks.start, markers)
        row = replace(row, frames=write_frames(out / "frames", which, frames, asked.recipe))
    _write_markers(markers_path(out, which), markers, row, asked.recipe)
    return row


def _write_events(path: Path, events: EventStream, start: int, recipe: str) -> None:
    with (
        atomic_path(path) as partial,
        DsecWriter(partial, WIDTH, HEIGHT, start, compressor="lz4") as writer,
    ):
        writer.file.attrs["recipe"] = recipe
        writer.append(events)


def _write_markers(path: Path, markers: NDArray[np.float64], row: Row, recipe: str) -> None:
    with atomic_path(path) as partial, h5py.File(partial, "w") as file:
        file["t_us"] = np.arange(len(markers), dtype=np.int64) * VICON_PERIOD_US
        file["markers_mm"] = markers
        file.attrs["recipe"] = recipe
        file.attrs["report"] = json.dumps(asdict(row))
