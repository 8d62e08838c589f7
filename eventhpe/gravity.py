"""Which way is up, and where the floor lies: from flags, a calibration, an IMU, or the motion.

`settle` fills a motion's ``up``, ``floor_m`` and ``up_source``. The first of these counts:

1. pitch and roll that the user gives (`up_of_angles`);
2. a camera file that places the camera in a world whose upward axis it names;
3. an IMU beside the events: over a camera that stands still the mean specific force points up;
4. the motion itself (`up_of_motion`): trunks are upright in the mean, and the feet of who walks
   about stay on one plane;
5. nothing: the image's upward direction.

The floor lies at the median height of the soles, whatever ``up`` was taken from: one camera does
not know its own height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eventhpe.body import Body
from eventhpe.body.model import BodySubset
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.events.inertia import STANDARD_GRAVITY
from eventhpe.events.recording import Recording
from eventhpe.sequence import CAMERA_UP, TRACKED, MotionSequence

Float64 = NDArray[np.float64]

ANGLES_UP = "pitch and roll as given"
CAMERA_FILE_UP = "the camera file"
IMU_UP = "the recording's IMU"
MOTION_UP = "trunk and feet of the motion"

NO_T_CAM_IMU = (
    "the recording's IMU is not used: give a Kalibr camchain with T_cam_imu as --camera, which "
    "says how the IMU is turned to the camera"
)
NO_GRAVITY = "the recording's IMU is not used: the median of its force is {:.2f} m/s^2, not 1 g"

LEAST_S = 1.0  # of tracked steps that `up_of_motion` asks for
MOST_STEPS = 4000  # of which it is made; of a longer motion as many, evenly spread
TRUNK_DEG = 3.0  # a mean trunk's distance from upright, standard deviation of each angle
SOLE_M = 0.03  # an estimated sole's distance from the floor
TOGETHER_S = 1.0  # soles err alike for so long: what they weigh together is one measurement
GRAVITY_TOLERANCE = 0.25  # share of 1 g by which accelerometers may be off

_IMAGE_UP = np.array([0.0, -1.0, 0.0])
_ROUNDS = 50  # both iterations have settled by then
_PELVIS, _NECK = 0, 12
_FEET = (7, 8, 10, 11)
_SOLE_THICKNESS_M = 0.012


@dataclass(frozen=True, eq=False)
class Up:
    """A unit vector (3,) against gravity in the camera's frame, and what it was taken from."""

    direction: Float64
    source: str


def up_of_angles(pitch_deg: float, roll_deg: float) -> Float64:
    """Up (3,) in the frame of a camera of known pitch and roll.

    Args:
        pitch_deg: elevation of the optical axis: above 0 the camera looks up, below 0 down.
        roll_deg: above 0 the camera is turned clockwise as seen from behind it, so that upright
            things lean to the left in its image.
    """
    pitch, roll = math.radians(pitch_deg), math.radians(roll_deg)
    level = math.cos(pitch)
    return np.array([-level * math.sin(roll), -level * math.cos(roll), math.sin(pitch)])


def angles_of_up(up: Float64) -> tuple[float, float]:
    """Pitch and roll in degrees, the inverse of `up_of_angles`; a vertical axis has roll 0."""
    pitch = math.degrees(math.asin(min(max(float(up[2]), -1.0), 1.0)))
    return pitch, math.degrees(math.atan2(-up[0], -up[1])) if abs(pitch) < 90 - 1e-6 else 0.0


def given_up(pitch_deg: float | None, roll_deg: float | None, camera: Camera) -> Up | None:
    """Up by the angles that a user gives, see `up_of_angles`; None where both are None.

    Raises:
        InputError: an angle out of range, or the camera's file says where up is.
    """
    if pitch_deg is None and roll_deg is None:
        return None
    for flag, angle, most in (("--pitch", pitch_deg, 90), ("--roll", roll_deg, 180)):
        if angle is None:
            continue
        if not abs(angle) <= most:
            expected = f"{-most} to {most} degrees"
            raise InputError(flag, f"{angle:g}", expected, "Give the angle of the turned picture.")
        if camera.world_up is not None:
            found = f"{flag} {angle:g}, and the camera file says where up is"
            remedy = "Leave the flags out, or `up` in the camera file."
            raise InputError(flag, found, "one of the two", remedy)
    return Up(up_of_angles(pitch_deg or 0.0, roll_deg or 0.0), ANGLES_UP)


def measured_up(
    camera: Camera, recording: Recording, start_us: int, stop_us: int
) -> tuple[Up | None, str | None]:
    """Up by the camera's extrinsics or an IMU, and why an IMU that there is cannot be used.

    Args:
        camera: that of the motion, after `Camera.reoriented`.
        recording: whose IMU is asked where the camera says nothing.
        start_us, stop_us: the IMU's samples of this span count, or all where there are none.

    Raises:
        InputError: the IMU's samples are damaged.
    """
    if camera.world_up is not None:
        return Up(_unit(camera.R @ camera.world_up), CAMERA_FILE_UP), None
    inertia = recording.inertia()
    if inertia is None or not len(inertia.t_us):
        return None, None
    to_camera = inertia.to_camera if camera.imu is None else camera.imu
    if to_camera is None:
        return None, NO_T_CAM_IMU
    within = (inertia.t_us >= start_us) & (inertia.t_us < stop_us)
    force = np.median(inertia.force[within] if within.any() else inertia.force, axis=0)
    size = float(np.linalg.norm(force))
    if not abs(size / STANDARD_GRAVITY - 1) < GRAVITY_TOLERANCE:
        return None, NO_GRAVITY.format(size)
    return Up(_unit(camera.axes @ to_camera @ force), IMU_UP), None


def settle(motion: MotionSequence, body: Body, known: Up | None = None) -> MotionSequence:
    """The motion with ``up``, ``floor_m`` and ``up_source`` that fit it.

    Args:
        motion: its own ``up`` stays if it was given or measured, and is estimated anew if not.
        body: the one that it belongs to.
        known: replaces what the motion says of ``up``.
    """
    if known is not None:
        up, source = known.direction, known.source
    elif motion.up_source not in (MOTION_UP, CAMERA_UP):
        up, source = motion.up, motion.up_source
    else:
        found = up_of_motion(motion, body)
        up, source = (found, MOTION_UP) if found is not None else (_IMAGE_UP, CAMERA_UP)
    heights = sole_heights(motion, body, up)
    floor = float(np.median(heights)) if len(heights) else math.nan
    return replace(motion, up=up, floor_m=floor, up_source=source)


def up_of_motion(motion: MotionSequence, body: Body) -> Float64 | None:
    """Up (3,) from trunks and feet; None where there is less than `LEAST_S` of tracked steps.

    The spatial median of the directions from pelvis to neck comes first. It is then turned so that
    the soles' lowest points c lie in a plane c . up = floor: least squares over both angles and the
    floor with the trunk as their prior, a step's weight 1 / (1 + (its distance / `SOLE_M`)^2)
    (Cauchy's), so that jumps and lost feet count little. Who stands still says nothing of the
    plane, and the trunk stays.
    """
    steps = _steps(motion)
    if len(steps) * motion.step_us * 1e-6 < LEAST_S:
        return None
    soles, joints = _posed(motion, body, steps)
    trunk = _spatial_median(joints[:, _NECK] - joints[:, _PELVIS])
    across = np.linalg.svd(trunk[None])[2][1:]
    spread = math.radians(TRUNK_DEG)
    tracked_s = (motion.state == TRACKED).sum() * motion.step_us * 1e-6
    usual = max(tracked_s / TOGETHER_S, 1.0) / len(steps) / SOLE_M**2
    prior = np.diag([spread**-2, spread**-2, 0.0])
    up, weight = trunk, np.ones(len(steps))
    for _ in range(_ROUNDS):
        lowest = soles[np.arange(len(soles)), (soles @ up).argmin(axis=1)]
        # With up = trunk + angles . across, the distance from the plane is design @ x - heights.
        design = np.column_stack([lowest @ across.T, -np.ones(len(lowest))])
        heights = -(lowest @ trunk)
        weighted = design * (usual * weight)[:, None]
        x = np.linalg.solve(design.T @ weighted + prior, weighted.T @ heights)
        weight = 1 / (1 + ((design @ x - heights) / SOLE_M) ** 2)
        up = _unit(trunk + x[:2] @ across)
    return up


def sole_heights(motion: MotionSequence, body: Body, up: Float64) -> Float64:
    """Height (N,) of the lowest point of the soles along ``up`` above the camera, metres, at the
    tracked steps (of a long motion at `MOST_STEPS` of them)."""
    steps = _steps(motion)
    if not len(steps):
        return np.zeros(0)
    return np.asarray((_posed(motion, body, steps)[0] @ up).min(axis=1))


def said(motion: MotionSequence) -> str:
    """What is known of gravity, on one line."""
    if motion.up_source == CAMERA_UP:
        text = "not known: up is the image's upward direction (camera frame)"
    else:
        pitch, roll = angles_of_up(motion.up)
        text = f"by {motion.up_source}: pitch {pitch:+.1f}, roll {roll:+.1f} degrees"
    if math.isnan(motion.floor_m):
        return text
    side = "below" if motion.floor_m < 0 else "above"
    return f"{text}; floor {abs(motion.floor_m):.2f} m {side} the camera"


def _steps(motion: MotionSequence) -> NDArray[np.int64]:
    tracked = np.flatnonzero(motion.state == TRACKED)
    if len(tracked) <= MOST_STEPS:
        return tracked
    return tracked[np.linspace(0, len(tracked) - 1, MOST_STEPS).astype(np.int64)]


def _posed(motion: MotionSequence, body: Body, steps: NDArray[np.int64]) -> tuple[Float64, Float64]:
    """Vertices of the soles (N, K, 3) and joints (N, 24, 3), metres, camera frame."""
    subset = BodySubset(body, sole_vertices(body))
    orient, pose = motion.matrices()
    betas = torch.from_numpy(motion.betas).expand(len(steps), -1)
    with torch.no_grad():
        posed = subset(betas, orient[steps], pose[steps], torch.from_numpy(motion.transl[steps]))
    return posed.vertices.double().numpy(), posed.joints.double().numpy()


def sole_vertices(body: Body) -> NDArray[np.int64]:
    """Indices of the lowest vertices of both feet, as the body stands unposed."""
    rest = body.smpl.v_template.numpy()[:, 1]
    of_feet = body.smpl.lbs_weights.numpy()[:, list(_FEET)].sum(axis=1) > 0.5
    return np.flatnonzero(of_feet & (rest < rest[of_feet].min() + _SOLE_THICKNESS_M))


def _spatial_median(vectors: Float64) -> Float64:
    """The direction with the least sum of chords to those of (N, 3) (Weiszfeld 1937)."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    median = units.mean(axis=0)
    for _ in range(_ROUNDS):
        weight = 1 / np.maximum(np.linalg.norm(units - median, axis=1), 1e-4)
        median = weight @ units / weight.sum()
    return _unit(median)


def _unit(vector: NDArray[Any]) -> Float64:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)
