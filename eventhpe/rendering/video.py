"""The overlay video, written as it is drawn."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recording import Recording
from eventhpe.rendering.composition import VIEWS, Composer
from eventhpe.rendering.moments import Orient, Pose, check_match, moments, poses
from eventhpe.rendering.outputs import open_output, usual_fps
from eventhpe.sequence import MotionSequence
from eventhpe.weights import FLOWNET


def render_overlay(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    out: str | Path,
    *,
    views: Sequence[str] = VIEWS,
    truth: MotionSequence | None = None,
    speed: float = 1.0,
    flownet: Path = FLOWNET,
    fps: float | None = None,
    progress: bool = True,
    orient: Orient | None = None,
    backend: str | None = None,
) -> str:
    """Write a motion over its recording as a video.

    Args:
        out: NAME.mp4, NAME.gif, or a folder of numbered PNG frames (any name without suffix);
            written whole or not at all.
        views: some of `VIEWS`.
        truth: the motion's own moments, as `load_truth` gives them; drawn beside it, with the
            joints' errors.
        speed: of the video against the recording. Between steps poses are interpolated, and of
            each window's events the last ``speed`` of it is shown.
        flownet: card of the network whose flow is shown.
        fps: frames per second; None: at full speed a frame a step, for a GIF at most 10.
        progress: show a bar on stderr.
        orient: turns or mirrors the events as was done at inference; None: as the motion says.
        backend: see `MeshRenderer`.

    Returns:
        The name of the backend that drew the meshes.

    Raises:
        InputError: the motion is empty or not of this recording and body, a view is unknown, no
            video writer is installed, or ``out`` cannot be written.
        ValueError: ``fps`` or ``speed`` is not positive.
    """
    out = Path(out)
    if not len(motion):
        raise InputError("motion", "no steps", "at least one", "Infer over a longer stretch.")
    if (fps is not None and fps <= 0) or speed <= 0:
        raise ValueError(f"fps is {fps}, speed {speed:g}; both must be above 0")
    check_match(motion, recording, body, orient)
    rate = fps or usual_fps(out, motion.step_us)
    fine = _at_rate(motion, rate / speed)
    beside = None if truth is None else replace(truth.at(fine.t_us), step_us=fine.step_us)
    shown_us = max(1, round(motion.window_us * min(1.0, speed)))
    note = "" if speed == 1 else f"speed {speed:g}"
    with (
        Composer(
            fine,
            body,
            views,
            truth=beside,
            flownet=flownet,
            shown_us=shown_us,
            note=note,
            backend=backend,
        ) as composer,
        open_output(out, rate) as video,
    ):
        steps = range(len(fine))
        stream = moments(fine, recording, body, steps, orient)
        known: Iterable[Pose | None] = itertools.repeat(None)
        if beside is not None:
            known = poses(beside, body, steps, fine.K)
        bar = tqdm(stream, total=len(steps), unit="frame", disable=not progress)
        for step, (moment, true) in enumerate(zip(bar, known, strict=False)):
            video.write(composer.frame(step, moment, true))
        return composer.backend


def _at_rate(motion: MotionSequence, per_second: float) -> MotionSequence:
    """The motion with so many poses a second of the recording."""
    interval = max(1, round(1e6 / per_second))
    first, last = int(motion.t_us[0]), int(motion.t_us[-1])
    return replace(motion.at(np.arange(first, last + 1, interval)), step_us=interval)
