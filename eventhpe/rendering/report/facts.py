"""What a report says in words: warnings, and the parameters of the run."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from eventhpe.body import Body
from eventhpe.camera import Camera
from eventhpe.events.recording import Recording
from eventhpe.rendering.report.survey import Survey
from eventhpe.sequence import ABSENT, CAMERA_UP, HELD, STATE_NAMES, TRACKED, MotionSequence

Rows = list[tuple[str, str]]

LOW_CONFIDENCE = 0.3
MUCH = 0.25  # share of the steps from which on a state is worth a warning
_PACKAGES = ("eventhpe", "numpy", "torch", "smplx")


def warnings_of(motion: MotionSequence, events: Survey) -> list[str]:
    """One line for each thing that makes the motion less trustworthy."""
    steps = len(motion)
    tracked = motion.state == TRACKED
    found = list(events.warnings)
    if not tracked.any():
        found.append("no person found: no step is tracked")
    for code, meaning in (
        (ABSENT, "nobody is claimed there"),
        (HELD, "nothing moved there, and the pose was kept"),
    ):
        share = float((motion.state == code).mean())
        if MUCH <= share < 1:
            found.append(f"{share:.0%} of {steps} steps are {STATE_NAMES[code]}: {meaning}")
    if tracked.any() and float(np.median(motion.confidence[tracked])) < LOW_CONFIDENCE:
        middle = float(np.median(motion.confidence[tracked]))
        found.append(f"the median confidence of tracked steps is {middle:.2f}")
    if np.allclose(motion.K, Camera.from_fov(motion.width, motion.height).K):
        found.append(
            "the camera is the one taken where none is given (55 degrees): metres are up "
            "to scale; give --camera or --fov to eventhpe infer"
        )
    if motion.up_source == CAMERA_UP:
        found.append("nothing told of gravity: the picture's upward direction stands in for it")
    if np.isnan(motion.floor_m):
        found.append("the floor's height is not known: the player's lies under the lowest foot")
    if events.repairs:
        found.append(f"the recording was mended: {events.repairs}")
    return found


def parameters_of(
    motion: MotionSequence, recording: Recording, body: Body, events: Survey, command: str
) -> Rows:
    """Names and values of what the motion was made with, and this page.

    Args:
        command: the command line of the page.
    """
    camera = motion.camera
    K = motion.K
    lens = ", ".join(f"{value:g}" for value in camera.distortion)
    counts = [(int((motion.state == k).sum()), name) for k, name in enumerate(STATE_NAMES)]
    up = ", ".join(f"{value:.3f}" for value in motion.up)
    floor = "not known" if np.isnan(motion.floor_m) else f"{motion.floor_m:.3f} m along up"
    rotate, flip_x, flip_y = motion.turned.tolist()
    rows = [
        ("recording", f"{recording.path} ({recording.format})"),
        ("sensor", f"{recording.width} x {recording.height} pixels"),
        ("turned", _turned(rotate, bool(flip_x), bool(flip_y))),
        (
            "camera",
            f"{motion.width} x {motion.height} pixels; focal lengths {K[0, 0]:.2f} and "
            f"{K[1, 1]:.2f}, principal point {K[0, 2]:.2f}, {K[1, 2]:.2f}, skew {K[0, 1]:g}",
        ),
        ("lens", f"{camera.model}: {lens}" if camera.bends else "no distortion"),
        ("span", f"{motion.t_us[0] / 1e6:.3f} to {motion.t_us[-1] / 1e6:.3f} s"),
        ("steps", f"{len(motion)} ({', '.join(f'{n} {name}' for n, name in counts)})"),
        ("step, window", f"{motion.step_us / 1000:g} ms, {motion.window_us / 1000:g} ms"),
        ("gravity", f"{motion.up_source}; up is {up} in the camera's frame"),
        ("floor", floor),
        ("body", f"{body.body_id}, sha256 {body.sha256 or 'unknown'}"),
        ("shape (betas)", ", ".join(f"{value:.3f}" for value in motion.betas)),
    ]
    if events.lens:
        rows.append(("undistortion", events.lens))
    rows += [(f"weights: {name}", f"sha256 {digest}") for name, digest in motion.weights.items()]
    rows += [
        ("motion made by", motion.command or "not recorded"),
        ("page made by", command or "not recorded"),
        ("versions, of the page", ", ".join(_versions())),
    ]
    return rows


def _turned(rotate: int, flip_x: bool, flip_y: bool) -> str:
    said = [f"{rotate} degrees clockwise"] if rotate else []
    said += ["mirrored left and right"] if flip_x else []
    said += ["mirrored top and bottom"] if flip_y else []
    return ", then ".join(said) or "no"


def _versions() -> Iterable[str]:
    yield f"Python {platform.python_version()}"
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:  # run from a folder that was not installed
            yield f"{name} not installed"
