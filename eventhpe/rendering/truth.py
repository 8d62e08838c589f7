"""What is known of a recording's person, as a motion beside an estimated one."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from datasets.dhp19 import fitted_truth
from eventhpe.body import Body, load_body
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.events.recording import open_recording
from eventhpe.sequence import ABSENT, TRACKED, MotionSequence
from eventhpe.simulation.truth import SimulatedTruth


def load_truth(path: Path, motion: MotionSequence, body: Body) -> MotionSequence:
    """The truth at the motion's own moments, in its camera's frame, on ``body``.

    It keeps its own intrinsics and lens: where the motion's camera was a guess, both are in metres
    before the same camera, and each is in the right place of the picture by its own ``camera``.

    Args:
        path: a recording with truth, simulated or of DHP19 with fitted bodies, or another motion
            file of the recording.
        motion: what the truth is laid beside.
        body: that of ``motion``.

    Returns:
        As many steps as the motion has, ``ABSENT`` where there is nobody; confidence 1, the
        motion's regions, and its gravity.

    Raises:
        InputError: the file holds no truth, or that of another recording or camera, of a body that
            is neither ``body`` nor the free one, or of another span of time.
    """
    if not path.exists():
        expected = "a recording with truth, or a motion file"
        raise InputError(path, "no such file", expected, "Check the name.")
    if zipfile.is_zipfile(path):
        known = _of_motion(path, motion)
    else:
        known = _of_recording(path, motion, body)
    known = _on_body(path, known, body)
    return replace(known, up=motion.up, floor_m=motion.floor_m, up_source=motion.up_source)


def _of_motion(path: Path, motion: MotionSequence) -> MotionSequence:
    other = MotionSequence.load(path)
    if not np.array_equal(other.turned, motion.turned):
        found = f"a motion of events turned by {other.turned.tolist()}"
        remedy = "Infer both with the same --rotate and --flip."
        raise InputError(path, found, f"{motion.turned.tolist()}, as the motion's", remedy)
    if other.recording_sha256:
        _check_recording(path, other.recording_sha256, motion)
    _check_size(path, (other.width, other.height), motion)
    if len(other):
        _check_span(path, int(other.t_us[0]), int(other.t_us[-1]), motion)
    elif len(motion):
        raise InputError(path, "no steps", "at least one", "Infer over a longer stretch.")
    return other.at(motion.t_us) if len(motion) else other


def _of_recording(path: Path, motion: MotionSequence, body: Body) -> MotionSequence:
    truth = fitted_truth(path, body) or SimulatedTruth.load(path)
    if motion.recording_sha256:
        _check_recording(path, open_recording(path).fingerprint(), motion)
    camera = Camera(truth.K, truth.width, truth.height)
    rotate, flip_x, flip_y = motion.turned.tolist()
    turned = camera.reoriented(rotate, bool(flip_x), bool(flip_y))
    if np.linalg.det(turned.R) < 0:
        raise InputError(
            path,
            "truth of the recording as it is",
            "that of mirrored events, as the motion's, which no pose has",
            "Compare a motion made without mirroring.",
        )
    _check_size(path, (turned.width, turned.height), motion)
    # The last window of a motion may end up to a step after the recording.
    _check_span(path, 0, int(truth.t_us[-1]) + motion.step_us, motion)
    pose = truth.at(motion.t_us)
    R = torch.from_numpy(turned.R).float()
    rotations = torch.from_numpy(pose.rotations)
    # The pelvis turns with the camera; SMPL's translation is what it is away from its rest place.
    pelvis = pose.joints[:, 0].astype(np.float64) @ turned.R.T
    rest = pose.joints[:, 0] - pose.transl
    steps = len(motion)
    return MotionSequence.from_matrices(
        R @ rotations[:, 0],
        rotations[:, 1:],
        t_us=motion.t_us,
        betas=truth.betas,
        transl=pelvis - rest,
        body_id=truth.body_id,
        body_sha256=truth.body_sha256,
        K=turned.K,
        distortion=np.zeros(0),
        width=turned.width,
        height=turned.height,
        frame=motion.frame,
        region=motion.region,
        confidence=np.ones(steps),
        state=np.where(pose.present, TRACKED, ABSENT),
        window_us=motion.window_us,
        step_us=motion.step_us,
        weights={},
        command=f"truth of {path}",
        turned=motion.turned,
    )


def _on_body(path: Path, known: MotionSequence, body: Body) -> MotionSequence:
    if known.body_sha256 == body.sha256:
        return known
    free = load_body()
    if known.body_sha256 != free.sha256:
        raise InputError(
            path,
            f"parameters of body {known.body_id!r}",
            f"those of {body.body_id!r}, the motion's, or of the free body",
            "Give the motion and its truth one body.",
        )
    return known.on_body(free, body)


def _check_recording(path: Path, sha256: str, motion: MotionSequence) -> None:
    if sha256 != (motion.recording_sha256 or sha256):
        raise InputError(
            path,
            "truth of other events than those that the motion was made from",
            "that of the motion's recording",
            "Give the truth of the recording that the motion was made from.",
        )


def _check_size(path: Path, size: tuple[int, int], motion: MotionSequence) -> None:
    if size != (motion.width, motion.height):
        raise InputError(
            path,
            f"a camera of {size[0]}x{size[1]} pixels",
            f"that of the motion, {motion.width}x{motion.height}",
            "Give the truth of the recording that the motion was made from.",
        )


def _check_span(path: Path, first: int, last: int, motion: MotionSequence) -> None:
    if len(motion) and not first <= motion.t_us[0] <= motion.t_us[-1] <= last:
        raise InputError(
            path,
            f"truth from {first / 1e6:.3f} to {last / 1e6:.3f} s",
            f"the motion's {motion.t_us[0] / 1e6:.3f} to {motion.t_us[-1] / 1e6:.3f} s",
            "Give the truth of the recording that the motion was made from.",
        )
