"""Estimation in one call, for Python and for the command line: files in, a motion out."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypedDict, Unpack, get_args

import numpy as np

from eventhpe.body import Body, load_body
from eventhpe.calibration import load_camera
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.estimator import Networks, load_networks
from eventhpe.events.recording import Recording, open_recording
from eventhpe.events.replay import Replay
from eventhpe.events.stream import EventStream
from eventhpe.gravity import given_up
from eventhpe.inference import InferenceResult
from eventhpe.inference import infer as infer_steps
from eventhpe.optimisation import Optimisation, optimise
from eventhpe.refinement import refine as smoothed
from eventhpe.sequence import MotionSequence
from eventhpe.weights import FLOWNET, SHAPENET

DEFAULT_FOV_DEGREES = 55.0

Refinement = Literal["off", "smooth", "optimise"]
Orient = Callable[[EventStream], EventStream]
Region = tuple[int, int, int, int]


class InferOptions(TypedDict, total=False):
    """Keyword arguments of `infer`; `eventhpe infer` has the same as flags, with the same defaults.

    Attributes:
        camera: the recording's camera, or its calibration file (docs/calibration.md).
        camera_name: of several in the file.
        fov: horizontal field of view in degrees instead; without either `DEFAULT_FOV_DEGREES`, and
            metres are up to scale.
        roi: x, y, width, height in pixels, after turning; events outside are ignored.
        rotate: degrees clockwise, 0, 90, 180 or 270, that the events are turned by first.
        flip_x, flip_y: then mirror left and right, top and bottom.
        step_ms: time from one pose to the next, 10 to 100.
        start_s, stop_s: span of the recording in seconds (``--from``, ``--to``).
        height: the person's, metres.
        pitch, roll: of the camera, degrees, after turning: pitch above 0 looks up, roll above 0 is
            clockwise seen from behind; in place of what the files and the motion say of gravity.
        body: to answer with, or its file; the free body without.
        start: its last pose stands until the first motion, and its body shape is kept.
        refine: afterwards "smooth" the whole motion and fill its still start; "optimise": then also
            move it onto its events; "off": as estimated step by step.
        flownet, shapenet: cards of other weights.
        device: torch's name of where the networks run.
        progress: show bars on stderr.
    """

    camera: Camera | str | Path | None
    camera_name: str | None
    fov: float | None
    roi: Region | None
    rotate: int
    flip_x: bool
    flip_y: bool
    step_ms: float
    start_s: float | None
    stop_s: float | None
    height: float | None
    pitch: float | None
    roll: float | None
    body: Body | str | Path | None
    start: MotionSequence | str | Path | None
    refine: Refinement
    flownet: str | Path | None
    shapenet: str | Path | None
    device: str
    progress: bool


@dataclass(frozen=True, eq=False)
class Estimate:
    """What `estimate` returns: a motion, and what it was made of.

    Attributes:
        motion: smoothed, unless that was declined.
        recording, networks, body, roi, orient: as they were used.
        keep_start: its first pose is the user's.
        result: of the estimation step by step.
    """

    motion: MotionSequence
    recording: Recording
    networks: Networks
    body: Body
    roi: Region | None
    orient: Orient | None
    keep_start: bool
    result: InferenceResult

    def optimised(self, progress: bool = True) -> Optimisation:
        """The motion moved onto its events, see `eventhpe.optimisation.optimise`."""
        return optimise(
            self.motion,
            self.recording,
            self.networks,
            self.body,
            roi=self.roi,
            orient=self.orient,
            keep_start=self.keep_start,
            progress=progress,
        )


def infer(recording: Recording | str | Path, **options: Unpack[InferOptions]) -> MotionSequence:
    """Estimate a person's motion from a recording.

    Args:
        recording: a file, or what `open_recording` gives; that takes what some files do not say.
        options: see `InferOptions`.

    Raises:
        InputError: a file or an option that cannot be used.
        KeyboardInterrupt: Ctrl-C; the steps so far are lost.

    Warns:
        UserWarning: an assumption about the scene does not hold.
    """
    made = estimate(recording, **options)
    if made.result.interrupted:
        raise KeyboardInterrupt
    for words in made.motion.warnings:
        warnings.warn(words, stacklevel=2)
    if options.get("refine") != "optimise":
        return made.motion
    final = made.optimised(options.get("progress", True))
    if final.interrupted:
        raise KeyboardInterrupt
    return final.motion


def estimate(
    recording: Recording | str | Path,
    *,
    camera: Camera | str | Path | None = None,
    camera_name: str | None = None,
    fov: float | None = None,
    roi: Region | None = None,
    rotate: int = 0,
    flip_x: bool = False,
    flip_y: bool = False,
    step_ms: float = 50.0,
    start_s: float | None = None,
    stop_s: float | None = None,
    height: float | None = None,
    pitch: float | None = None,
    roll: float | None = None,
    body: Body | str | Path | None = None,
    start: MotionSequence | str | Path | None = None,
    refine: Refinement = "smooth",
    flownet: str | Path | None = None,
    shapenet: str | Path | None = None,
    device: str = "cpu",
    progress: bool = True,
    replay: bool = False,
    command: str = "",
) -> Estimate:
    """`infer` up to the smoothed motion, with all that is known of it.

    Args:
        recording: and what is not named here, as in `infer`.
        replay: read at the pace of the timestamps, and measure the latency.
        command: recorded in the motion.

    Raises:
        InputError: a file or an option that cannot be used.
    """
    if refine not in get_args(Refinement):
        expected = " or ".join(get_args(Refinement))
        raise InputError("--refine", repr(refine), expected, "Choose one of these.")
    if isinstance(recording, str | Path):
        recording = open_recording(recording)
    body = body if isinstance(body, Body) else load_body(body)
    if isinstance(start, str | Path):
        start = MotionSequence.load(start)
    orient = orientation(rotate, flip_x, flip_y)
    networks = load_networks(Path(flownet or FLOWNET), Path(shapenet or SHAPENET), device)
    view = camera_of(recording.width, recording.height, camera, camera_name, fov)
    view = view.reoriented(rotate, flip_x, flip_y)
    result = infer_steps(
        recording,
        networks,
        body,
        view,
        step_us=round(step_ms * 1000),
        start_us=None if start_s is None else round(start_s * 1e6),
        stop_us=None if stop_s is None else round(stop_s * 1e6),
        roi=roi,
        orient=orient,
        height_m=height,
        start=start,
        up=given_up(pitch, roll, view),
        command=command,
        progress=progress,
        replay=Replay(recording) if replay else None,
    )
    motion = replace(
        result.motion,
        turned=np.array([rotate, int(flip_x), int(flip_y)]),
        recording_sha256=recording.fingerprint(),
    )
    if refine != "off":
        motion = smoothed(motion, body)
    return Estimate(motion, recording, networks, body, roi, orient, start is not None, result)


def camera_of(
    width: int,
    height: int,
    camera: Camera | str | Path | None,
    camera_name: str | None,
    fov: float | None,
) -> Camera:
    """The camera of a recording of ``width`` x ``height`` pixels; see `InferOptions`.

    Raises:
        InputError: a file that holds none, a camera of another size, or a field of view out of
            range.
    """
    if camera is None:
        if camera_name is not None:
            remedy = "Give the camera file, or leave it out."
            raise InputError("--camera-name", camera_name, "--camera CAM.yaml", remedy)
        degrees = DEFAULT_FOV_DEGREES if fov is None else fov
        if not 5 <= degrees <= 150:
            raise InputError(
                "--fov", f"{degrees:g}", "5 to 150 degrees", "Give the horizontal field of view."
            )
        return Camera.from_fov(width, height, degrees)
    if fov is not None:
        raise InputError("--fov", f"{fov:g}, and a camera", "one of the two", "Leave one out.")
    source: str | Path = "--camera"
    if not isinstance(camera, Camera):
        source = camera
        camera = load_camera(camera, camera_name)
    if (camera.width, camera.height) != (width, height):
        raise InputError(
            source,
            f"a camera of {camera.width}x{camera.height}",
            f"the recording's {width}x{height}",
            "Give the calibration of this recording's camera.",
        )
    return camera


def orientation(rotate: int, flip_x: bool, flip_y: bool) -> Orient | None:
    """What turns and mirrors events so; None where nothing is to be done."""
    if not (rotate or flip_x or flip_y):
        return None
    return partial(EventStream.reoriented, rotate=rotate, flip_x=flip_x, flip_y=flip_y)
