"""DHP19's subjects for its clone: who they are, how they perform, and what Vicon sees of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.body.joints import DHP19_TO_SMPL
from eventhpe.body.model import Body
from eventhpe.camera import dhp19_camera
from eventhpe.simulation.motion.performance import Motion
from eventhpe.simulation.motion.performance import perform as put_on_stage
from eventhpe.simulation.motion.registry import MOTIONS
from eventhpe.simulation.motion.retargeting import rest_joints, smpl_joints, world_rotations
from eventhpe.simulation.motion.segments import RATE_HZ
from eventhpe.simulation.motion.stage import Stage
from eventhpe.simulation.scene.outfit import Outfit
from eventhpe.simulation.scene.views import View, dhp19_view
from eventhpe.simulation.scene.wardrobe import dress

Rng = np.random.Generator
Array = NDArray[np.float64]

WORLD_TO_DHP19 = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
"""From the simulator's world (y up, the audience at -z) to DHP19's: z up, and the cameras of the
headline results, channels 2 and 3, at -y. Both have the subject's place as their origin."""

MARKER_REACH_M, MARKER_NOISE_MM = 0.04, 2.0
GAPS_PER_S, GAP_SAMPLES = 0.12, (3, 40)
STAGE, STAGE_CENTRE = Stage(2.85, 3.15, 0.05), np.array([0.0, 0.0, 3.0])
FACING_DEG = 8.0


@dataclass(frozen=True)
class Subject:
    """One person, the same in all recordings.

    Attributes:
        body: the body model.
        betas: (10,) shape.
        offsets: (13, 3) metres, from each marker's nominal joint, in the frame of the bone that
            the joint turns.
        outfit: sports clothes.
    """

    body: Body
    betas: Array
    offsets: Array
    outfit: Outfit


@dataclass(frozen=True)
class Performance:
    """What the four cameras film.

    Attributes:
        subject: who moves.
        motion: (M, ...) in the simulator's world, the subject's place at the origin and facing -z.
        start, stop: the motion's samples [start, stop) that Vicon sees.
    """

    subject: Subject
    motion: Motion
    start: int
    stop: int


def draw_subject(seed: int, number: int, body: Body) -> Subject:
    """The subject of this number: shape within 2 deviations, markers uniform in a 40 mm ball."""
    rng = np.random.default_rng([seed, 0, number])
    direction = rng.normal(size=(len(DHP19_TO_SMPL), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = MARKER_REACH_M * np.cbrt(rng.random((len(direction), 1)))
    betas = np.clip(rng.normal(size=10), -2.0, 2.0)
    outfit = dress(rng, body, betas)
    while "sport" not in outfit.names:
        outfit = dress(rng, body, betas)
    return Subject(body, betas, reach * direction, outfit)


def perform(rng: Rng, subject: Subject, name: str, duration_s: float) -> Performance:
    """A motion on the spot, facing the audience, with time before and after Vicon's."""
    start = int(rng.integers(30, 80))
    stop = start + round(duration_s * RATE_HZ)
    total = stop + int(rng.integers(20, 60))
    segment = MOTIONS[name].make(rng, (total + 1) / RATE_HZ)
    yaw = np.pi + np.deg2rad(rng.normal(0, FACING_DEG))
    motion = put_on_stage(
        rng, segment, STAGE, (name,), yaw, rest_joints=rest_joints(subject.body, subject.betas)
    )
    translation = motion.translation - STAGE_CENTRE
    return Performance(subject, Motion(motion.rotations, translation, (name,)), start, stop)


def before(performance: Performance, channel: int) -> tuple[View, Motion]:
    """A camera's view, and the motion in that view's own world."""
    view = dhp19_view(channel)
    turn = view.R.T @ dhp19_camera(channel).R @ WORLD_TO_DHP19
    motion = performance.motion
    rotations = motion.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    return view, Motion(rotations, motion.translation @ turn.T + view.target, motion.names)


def posed_joints(subject: Subject, rotations: Array, pelvis: Array) -> Array:
    """Joints (M, 24, 3) for a pelvis (M, 3), metres, and SMPL's rotations (M, 24, 3, 3)."""
    rest = rest_joints(subject.body, subject.betas)
    return pelvis[:, None] + smpl_joints(rotations, rest)


def in_dhp19(performance: Performance) -> tuple[Array, Array]:
    """Rotations (N, 24, 3, 3) and pelvis (N, 3), metres, in DHP19's world: Vicon's N samples."""
    window = slice(performance.start, performance.stop)
    rotations = performance.motion.rotations[window].copy()
    rotations[:, 0] = WORLD_TO_DHP19 @ rotations[:, 0]
    return rotations, performance.motion.translation[window] @ WORLD_TO_DHP19.T


def vicon_markers(rng: Rng, performance: Performance) -> Array:
    """(N, 13, 3) markers as Vicon saw them: millimetres, with noise, NaN while hidden."""
    rotations, pelvis = in_dhp19(performance)
    joints = posed_joints(performance.subject, rotations, pelvis)
    frames = world_rotations(rotations)
    nominal = list(DHP19_TO_SMPL)
    offsets = performance.subject.offsets[..., None]
    markers = 1000 * (joints[:, nominal] + (frames[:, nominal] @ offsets)[..., 0])
    markers += rng.normal(0, MARKER_NOISE_MM, markers.shape)
    samples = len(markers)
    for marker in range(len(nominal)):
        for _ in range(rng.poisson(GAPS_PER_S * samples / RATE_HZ)):
            first = int(rng.integers(0, samples))
            markers[first : first + int(rng.integers(*GAP_SAMPLES)), marker] = np.nan
    return markers
