"""From a captured skeleton to SMPL's 24 rotations on a body: bone directions kept, twists followed.

In its rest pose a captured skeleton stands upright with its arms out or down, and so does SMPL's.
For each SMPL joint j and its captured joint s, with world rotations W_s relative to rest,

    G_j = W_s A_j,

where the constant A_j poses SMPL's rest body as the captured skeleton rests. Limbs take the
smallest rotation, after their parent's, that brings SMPL's rest bone onto the captured one, so
their directions are exact and twists follow. Trunk, head and collars differ in how joints are
placed rather than in pose, and take the common frame alone. Feet lie flat in both rests: they
take the frame, the legs' splay (about the forward axis) and the bone's own heading, not its
pitch, which depends on how high a skeleton puts the ankle.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import roma
import torch

from eventhpe.body.joints import JOINT_NAMES, PARENTS
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.simulation.motion.capture import Capture, axis_rotations
from eventhpe.simulation.motion.segments import (
    ANKLES,
    ELBOWS,
    FEET,
    HEAD,
    HIPS,
    KNEES,
    NECK,
    PELVIS,
    SHOULDERS,
    SPINE1,
    SPINE2,
    SPINE3,
    WRISTS,
    Array,
)

GROUND_PERCENTILE = 20.0
"""Toes that push off dip below the ground by centimetres: the lowest frame is no measure."""
_SPINE = (PELVIS, SPINE1, SPINE2, SPINE3, NECK, HEAD)
# Each limb joint with the joint its bone ends at.
_BONES = {
    start: end
    for chain in ((HIPS, KNEES, ANKLES), (SHOULDERS, ELBOWS, WRISTS))
    for near, far in pairwise(chain)
    for start, end in zip(near, far, strict=True)
}
_UP_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
LIMBS = tuple(
    (f"{side}_{name}", start[i], end[i])
    for i, side in enumerate(("left", "right"))
    for name, start, end in (
        ("thigh", HIPS, KNEES),
        ("shin", KNEES, ANKLES),
        ("upper_arm", SHOULDERS, ELBOWS),
        ("forearm", ELBOWS, WRISTS),
    )
)
"""Bones whose directions are compared: name, first joint, second joint."""
LINES = (
    ("left_foot", ANKLES[0], FEET[0]),
    ("right_foot", ANKLES[1], FEET[1]),
    ("hips", HIPS[1], HIPS[0]),
    ("shoulders", SHOULDERS[1], SHOULDERS[0]),
    ("trunk", -1, -2),
)
"""Lines that two skeletons place differently: feet, across hips and shoulders, and the trunk."""


@dataclass(frozen=True)
class Pose:
    """SMPL rotations and place of N frames, world y up, and what they were made from.

    Attributes:
        rotations: (N, 24, 3, 3), the root in the world, the others local.
        translation: (N, 3) the pelvis, metres; the ground is y = 0.
        captured: (N, 24, 3) the captured joints, the file's unit, world y up; NaN where unmapped.
    """

    rotations: Array
    translation: Array
    captured: Array


def retarget(
    capture: Capture, joints: dict[str, int], body: Body, betas: Array, up: str | None = None
) -> Pose:
    """Put a captured movement on a body.

    The midpoint of the hips moves as the captured one, scaled by the ratio of hip-to-ankle
    lengths, so that the file's unit never matters; then the ground is put where the body's
    lowest vertex is at `GROUND_PERCENTILE` of the frames.

    Args:
        joints: SMPL joint name -> captured joint, as `find_joints` gives it.
        betas: (10,) of ``body``.
        up: the file's axis that points up, such as "z" or "-y"; None takes the axis along which
            the shoulders are above the hips over the whole movement.

    Raises:
        InputError: the rest pose does not stand upright, or a leg has no length.
    """
    source = {JOINT_NAMES.index(name): index for name, index in joints.items()}
    smpl_rest = rest_joints(body, betas)
    turns, places = capture.posed()
    adjust = _calibration(capture, source, smpl_rest)
    level = _levelling(source, places, up)
    world = {j: level @ turns[:, s] @ adjust[j] for j, s in source.items()}
    _fill_unmapped(world)
    rotations = np.stack([world[j] for j in range(24)], axis=1)
    local = rotations.copy()
    local[:, 1:] = rotations[:, PARENTS[1:]].swapaxes(-1, -2) @ rotations[:, 1:]
    captured = np.full((len(places), 24, 3), np.nan)
    captured[:, list(source)] = places[:, list(source.values())] @ level.T
    scale = _leg_length(smpl_rest) / _leg_length(_captured_rest(capture, source))
    hips = (smpl_rest[HIPS[0]] + smpl_rest[HIPS[1]]) / 2 - smpl_rest[PELVIS]
    translation = scale * captured[:, list(HIPS)].mean(axis=1) - local[:, PELVIS] @ hips
    translation[:, [0, 2]] -= translation[0, [0, 2]]
    translation[:, 1] -= ground_height(local, translation, body, betas)
    return Pose(local, translation, captured)


def rest_joints(body: Body, betas: Array) -> Array:
    """(24, 3) joints of the unposed body, metres."""
    return body.rest_joints(torch.from_numpy(betas).float()[None])[0].double().numpy()


def world_rotations(rotations: Array) -> Array:
    """(N, 24, 3, 3) rotations in the world of SMPL's local ones."""
    world = rotations.copy()
    for joint in range(1, 24):
        world[:, joint] = world[:, PARENTS[joint]] @ rotations[:, joint]
    return world


def smpl_joints(rotations: Array, rest: Array) -> Array:
    """(N, 24, 3) joints from the pelvis of rotations (N, 24, 3, 3) on rest joints (24, 3)."""
    world = world_rotations(rotations)
    places = np.zeros((len(rotations), 24, 3))
    for joint in range(1, 24):
        parent = PARENTS[joint]
        places[:, joint] = places[:, parent] + world[:, parent] @ (rest[joint] - rest[parent])
    return places


@torch.no_grad()
def ground_height(rotations: Array, translation: Array, body: Body, betas: Array) -> float:
    """Height of the ground that the body stands on, metres: see `retarget`."""
    frames = np.linspace(0, len(rotations) - 1, min(len(rotations), 48)).round().astype(int)
    turns = torch.from_numpy(rotations[frames]).float()
    place = torch.from_numpy(translation[frames]).float()
    place = place - torch.from_numpy(rest_joints(body, betas)[PELVIS]).float()
    shape = torch.from_numpy(betas).float().expand(len(frames), -1)
    vertices = body(shape, turns[:, 0], turns[:, 1:], place).vertices
    lowest = vertices[..., 1].min(dim=1).values.numpy()
    return float(np.percentile(lowest, GROUND_PERCENTILE))


def direction_errors(pose: Pose, rest: Array) -> dict[str, Array]:
    """Angle in degrees, (N,) a bone, between SMPL's bones and the captured ones.

    `LIMBS` first, then those of `LINES` that the capture has.

    Args:
        rest: (24, 3) the body's rest joints.
    """
    placed = smpl_joints(pose.rotations, rest)
    errors = {}
    for name, start, end in LIMBS + LINES:
        a, b = _line(placed, start, end), _line(pose.captured, start, end)
        if not np.isnan(b).any():
            errors[name] = angles_between(a, b)
    return errors


def angles_between(a: Array, b: Array) -> Array:
    """Degrees between vectors (..., 3)."""
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.degrees(np.arctan2(cross, (a * b).sum(axis=-1)))


def _line(places: Array, start: int, end: int) -> Array:
    if start < 0:  # the trunk: from the middle of the hips to the middle of the shoulders
        return places[:, list(SHOULDERS)].mean(axis=1) - places[:, list(HIPS)].mean(axis=1)
    return places[:, end] - places[:, start]


def _captured_rest(capture: Capture, source: dict[int, int]) -> Array:
    """(24, 3) rest joints of the capture, NaN where unmapped."""
    rest = np.full((24, 3), np.nan)
    rest[list(source)] = capture.rest()[list(source.values())]
    return rest


def _leg_length(rest: Array) -> float:
    thigh = rest[list(KNEES)] - rest[list(HIPS)]
    shin = rest[list(ANKLES)] - rest[list(KNEES)]
    return float(np.linalg.norm(np.stack([thigh, shin]), axis=-1).sum() / 2)


def _nearest_axis(vector: Array) -> Array:
    """The signed coordinate axis closest to a vector."""
    axis = np.zeros(3)
    largest = int(np.abs(vector).argmax())
    axis[largest] = np.copysign(1.0, vector[largest])
    return axis


def _levelling(source: dict[int, int], places: Array, up: str | None) -> Array:
    """The rotation (3, 3) of the file's axes that brings its upward axis to y."""
    if up is None:
        mapped = np.full((len(places), 24, 3), np.nan)
        mapped[:, list(source)] = places[:, list(source.values())]
        wanted = _nearest_axis(_line(mapped, -1, -2).mean(axis=0))
    elif up.lstrip("+-") in _UP_AXES:
        wanted = np.array(_UP_AXES[up.lstrip("+-")]) * (-1 if up.startswith("-") else 1)
    else:
        raise InputError("the upward axis", repr(up), "x, y or z, perhaps with a sign", "Mend it.")
    return smallest_turn(wanted, np.array([0.0, 1.0, 0.0]))


def _calibration(capture: Capture, source: dict[int, int], smpl: Array) -> dict[int, Array]:
    """A_j (3, 3) of each mapped joint: SMPL's body, posed as the captured skeleton rests."""
    rest = _captured_rest(capture, source)
    frame = _rest_frame(capture, rest)
    adjust = dict.fromkeys(source, frame)
    for joint, end in sorted(_BONES.items()):
        parent = frame if joint in HIPS + SHOULDERS else adjust[PARENTS[joint]]
        bone = rest[end] - rest[joint]
        adjust[joint] = smallest_turn(parent @ (smpl[end] - smpl[joint]), bone) @ parent
    for wrist, elbow in zip(WRISTS, ELBOWS, strict=True):
        adjust[wrist] = adjust[elbow]
    for side, ankle in enumerate(ANKLES):
        legs = [frame.T @ (rest[ankle] - rest[HIPS[side]]), smpl[ankle] - smpl[HIPS[side]]]
        splay = [np.degrees(np.arctan2(leg[0], -leg[1])) for leg in legs]
        adjust[ankle] = frame @ axis_rotations("z", np.array([splay[0] - splay[1]]))
        if FEET[side] in source:
            bones = rest[FEET[side]] - rest[ankle], smpl[FEET[side]] - smpl[ankle]
            feet = adjust[ankle].T @ bones[0], bones[1]
            heading = [np.degrees(np.arctan2(foot[0], foot[2])) for foot in feet]
            turn = axis_rotations("y", np.array([heading[0] - heading[1]]))
            adjust[ankle] = adjust[FEET[side]] = adjust[ankle] @ turn
    for joint in source:
        if PARENTS[joint] in WRISTS:
            adjust[joint] = adjust[PARENTS[joint]]
    return adjust


def _rest_frame(capture: Capture, rest: Array) -> Array:
    """Columns: the captured rest pose's left, up and forward, each along a coordinate axis."""
    bones = [rest[list(_BONES.values())] - rest[list(_BONES)]]
    trunk = _line(rest[None], -1, -2)[0]
    legs = rest[list(ANKLES)].mean(axis=0) - rest[list(HIPS)].mean(axis=0)
    up, left = _nearest_axis(trunk), _nearest_axis(rest[HIPS[0]] - rest[HIPS[1]])
    standing = trunk @ up > 0 > legs @ up and np.linalg.norm(bones, axis=-1).min() > 1e-6
    if not standing or abs(up @ left) > 0:
        found = "a skeleton that does not stand upright in its rest pose"
        expected = "hips below shoulders and above ankles, side by side, and limbs of some length"
        remedy = "Export it with a T-pose as rest pose, or mend the joint map."
        raise InputError(capture.path, found, expected, remedy)
    return np.stack([left, up, np.cross(left, up)], axis=1)


def smallest_turn(start: Array, end: Array) -> Array:
    """The smallest rotation (3, 3) that turns direction ``start`` (3,) to ``end`` (Rodrigues)."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    if a @ b < -1 + 1e-9:  # opposite: half a turn about any axis across
        across = np.cross(a, _nearest_axis(np.roll(_nearest_axis(a), 1)))
        across /= np.linalg.norm(across)
        return 2 * np.outer(across, across) - np.eye(3)
    x, y, z = np.cross(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + a @ b)


def _fill_unmapped(world: dict[int, Array]) -> None:
    """World rotations of joints without a captured one, in place.

    Along the spine they lie evenly between their mapped neighbours; others follow their parents.
    """
    for joint in range(1, 24):
        if joint in world:
            continue
        before = world[PARENTS[joint]]
        above = _SPINE[_SPINE.index(joint) + 1 :] if joint in _SPINE else ()
        steps = next((i for i, other in enumerate(above, 2) if other in world), None)
        world[joint] = before
        if steps is not None:
            after = torch.from_numpy(world[above[steps - 2]])
            bend = roma.rotmat_to_rotvec(torch.from_numpy(before).mT @ after) / steps
            world[joint] = before @ roma.rotvec_to_rotmat(bend).numpy()
