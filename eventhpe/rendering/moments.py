"""The steps of a motion, each with its events and its posed mesh, streamed with bounded memory."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.body import Body
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import windows_of
from eventhpe.rendering.overlay import Label
from eventhpe.sequence import ABSENT, MotionSequence

Orient = Callable[[EventStream], EventStream]


@dataclass(frozen=True)
class Pose:
    """The posed body.

    Attributes:
        seen: (V, 3) where a pinhole camera sees the vertices as the true one does, see `as_seen`.
        vertices, joints: (V, 3) and (24, 3), camera frame, metres.
    """

    seen: NDArray[np.float32]
    vertices: NDArray[np.float32]
    joints: NDArray[np.float32]


@dataclass(frozen=True)
class Moment:
    """One step: the events of its window [t - window, t), the pose (None if absent), the label."""

    events: EventStream
    pose: Pose | None
    label: Label

    @property
    def vertices(self) -> NDArray[np.float32] | None:
        """The pose's ``seen``."""
        return None if self.pose is None else self.pose.seen


def moments(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    steps: range,
    orient: Orient | None = None,
) -> Iterator[Moment]:
    """The moments of ``steps`` in order; the recording is read once, from the first to the last.

    The check is made at the call, the reading as the moments are taken.

    Args:
        steps: indices into the motion, rising.
        orient: turns or mirrors the events as was done at inference; None: as the motion says.

    Raises:
        InputError: the motion is not of this recording or body, see `check_match`.
    """
    check_match(motion, recording, body, orient)
    return _stream(motion, recording, body, steps, orient)


def _stream(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    steps: range,
    orient: Orient | None,
) -> Iterator[Moment]:
    if not steps:
        return
    first = int(motion.t_us[steps[0]]) - motion.window_us
    last = int(motion.t_us[steps[-1]])
    turned = map(orient or motion.turn, recording.chunks(first, last))
    windows = windows_of(
        turned,
        motion.window_us,
        motion.step_us * steps.step,
        first,
        last,
        EventStream.empty(motion.width, motion.height),
    )
    known = poses(motion, body, steps, motion.K)
    for step, window, pose in zip(steps, windows, known, strict=True):
        yield Moment(window.events, pose, _label(motion, step))


def poses(
    motion: MotionSequence, body: Body, steps: range, K: NDArray[np.float64]
) -> Iterator[Pose | None]:
    """The poses of ``steps`` in order, None where nobody is there.

    Args:
        K: (3, 3) of the pinhole camera that shall see them as the motion's own camera does.
    """
    camera = motion.camera
    for step, (vertices, joints) in zip(steps, motion.posed(body, steps), strict=True):
        absent = motion.state[step] == ABSENT
        yield None if absent else Pose(as_seen(vertices, camera, K), vertices, joints)


def check_match(
    motion: MotionSequence, recording: Recording, body: Body, orient: Orient | None = None
) -> None:
    """Refuse a motion that cannot belong to this recording and body.

    Raises:
        InputError: another sensor size, times outside the recording, uneven steps, another body.
    """
    source = recording.path
    empty = EventStream.empty(recording.width, recording.height)
    seen = (orient or motion.turn)(empty)
    if (seen.width, seen.height) != (motion.width, motion.height):
        raise InputError(
            source,
            f"events of {seen.width}x{seen.height} pixels",
            f"the {motion.width}x{motion.height} of the motion",
            "Give the recording the motion was made from, turned in the same way.",
        )
    motion.require_body(body)
    if not (np.diff(motion.t_us) == motion.step_us).all():
        raise InputError(
            "motion", "uneven times", f"steps of {motion.step_us} us", "Make the motion again."
        )
    made_from = motion.recording_sha256
    if made_from and made_from != recording.fingerprint():
        raise InputError(
            source,
            "other events than those that the motion was made from",
            "that recording, or a conversion of it",
            "Give the recording the motion was made from.",
        )
    # The last window may end up to a step after the last event.
    end = recording.duration_us + motion.step_us
    if len(motion.t_us) and not (motion.t_us[0] > 0 and motion.t_us[-1] <= end):
        raise InputError(
            source,
            f"{recording.duration_us / 1e6:.3f} s of events",
            f"the motion's {motion.t_us[0] / 1e6:.3f} to {motion.t_us[-1] / 1e6:.3f} s",
            "Give the recording the motion was made from.",
        )


def _label(motion: MotionSequence, step: int) -> Label:
    x0, y0, w, h = (float(value) for value in motion.region[step])
    return Label(
        int(motion.t_us[step]),
        int(motion.state[step]),
        float(motion.confidence[step]),
        _box_through_lens((x0, y0, w, h), motion.camera),
    )


def as_seen(
    points: NDArray[np.float32], camera: Camera, K: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Move points at equal depth to where a pinhole camera of ``K`` sees them as ``camera`` does.

    The sensor's events are distorted by its lens, and the renderers know pinholes only. Exact at
    the vertices; edges between them stay straight.
    """
    if not camera.bends and np.array_equal(camera.K, K):
        return points
    z = points[:, 2:].astype(np.float64)
    pixels = camera.project(points.astype(np.float64))
    rays = (pixels - K[:2, 2]) @ np.linalg.inv(K[:2, :2]).T
    return np.concatenate([rays * z, z], axis=1).astype(np.float32)


def _box_through_lens(
    region: tuple[float, float, float, float], camera: Camera
) -> tuple[float, float, float, float]:
    """The upright box around a region of the undistorted image, where the lens shows it."""
    x0, y0, w, h = region
    if not camera.bends or not np.isfinite(region).all():
        return region
    # Box edges lie on pixel borders. A bent edge may reach furthest anywhere along it.
    along = np.linspace(0, 1, 33)[:, None]
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * (w, h) + (x0 - 0.5, y0 - 0.5)
    outline = np.concatenate([a + along * (b - a) for a, b in itertools.pairwise(corners)])
    bent = camera.distort_points(outline) + 0.5
    (left, top), (right, bottom) = bent.min(axis=0).tolist(), bent.max(axis=0).tolist()
    return left, top, right - left, bottom - top
