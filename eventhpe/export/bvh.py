"""BVH: a skeleton of the body's 24 joints and their Euler angles.

Format: Lander, "Working with Motion Capture File Formats", Game Developer, January 1998.
"""

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eventhpe.body import JOINT_NAMES, PARENTS
from eventhpe.body.arrays import NUM_JOINTS
from eventhpe.export.figure import Figure
from eventhpe.files import atomic_path

CENTIMETRES = 100.0  # a metre in the file's unit
ROOT_ORDER = {"y": "YXZ", "z": "ZYX"}  # heading first, so that no heading is singular
_END = 0.5  # of a leaf's own bone is the length of what ends it


def write_bvh(figure: Figure, path: Path) -> list[str]:
    """Write the rest pose's offsets, and a line of angles in degrees a step; lengths in cm."""
    rest = figure.body.rest_joints(figure.betas[:1])[0].double().numpy() * CENTIMETRES
    orders = [ROOT_ORDER[figure.up], *map(_order, JOINT_NAMES[1:])]
    angles = _angles(figure.rotations.double().numpy(), orders)
    # The hierarchy goes into the depth, and so does the order of the channels.
    turns = angles[:, _depth_first()].reshape(len(angles), -1)
    table = np.concatenate([figure.pelvis * CENTIMETRES, turns], axis=1)
    with atomic_path(path) as partial, partial.open("w", encoding="ascii") as file:
        file.write("HIERARCHY\n" + _hierarchy(rest, orders))
        file.write(f"MOTION\nFrames: {len(table)}\nFrame Time: {1 / figure.rate_hz:.9f}\n")
        np.savetxt(file, table, fmt="%.5f")
    return []


def _order(name: str) -> str:
    """The order of a joint's rotation channels, "XZY" for R = Rx Rz Ry.

    It is singular where the middle one is a right angle, so that is the axis which the joint turns
    about least; the last one runs along the bone.
    """
    if name.endswith(("collar", "shoulder")):
        return "ZYX"
    return "YZX" if name.endswith(("elbow", "wrist", "hand")) else "XZY"


def _angles(rotations: NDArray[np.float64], orders: list[str]) -> NDArray[np.float64]:
    """Degrees (T, 24, 3) in the order of the channels, each step's nearest to those before.

    Programs draw straight lines between them. Ra(a) Rb(b) Rc(c) is also
    Ra(a + 180) Rb(180 - b) Rc(c + 180), and whole turns change nothing.
    """
    with warnings.catch_warnings():
        # At a singular rotation scipy takes one of many right answers, and says so.
        warnings.filterwarnings("ignore", "Gimbal lock")
        each = [
            Rotation.from_matrix(rotations[:, joint]).as_euler(order, degrees=True)
            for joint, order in enumerate(orders)
        ]
    angles = np.stack(each, axis=1)
    joints = np.arange(len(orders))
    for before, step in pairwise(angles):
        both = np.stack([step, step * [1, -1, 1] + 180])
        both -= 360 * np.round((both - before) / 360)
        step[:] = both[np.abs(both - before).sum(axis=2).argmin(axis=0), joints]
    return angles


def _depth_first() -> list[int]:
    """The joints as a nested hierarchy lists them."""

    def below(joint: int) -> list[int]:
        children = [child for child in range(NUM_JOINTS) if PARENTS[child] == joint]
        return [joint, *(deeper for child in children for deeper in below(child))]

    return below(0)


def _hierarchy(rest: NDArray[np.float64], orders: list[str]) -> str:
    """The nested joints.

    Args:
        rest: (24, 3) joints at rest, cm.
        orders: 24 times the axes of the rotation channels.
    """

    def block(joint: int, indent: str) -> str:
        parent = PARENTS[joint]
        offset = rest[joint] - (rest[parent] if parent >= 0 else rest[joint])
        channels = [f"{axis}rotation" for axis in orders[joint]]
        if parent < 0:
            channels = [*(f"{axis}position" for axis in "XYZ"), *channels]
        children = [child for child in range(NUM_JOINTS) if PARENTS[child] == joint]
        inner = indent + "  "
        inside = "".join(block(child, inner) for child in children)
        if not children:
            inside = f"{inner}End Site\n{inner}{{\n{inner}  {_offset(_END * offset)}{inner}}}\n"
        return (
            f"{indent}{'ROOT' if parent < 0 else 'JOINT'} {JOINT_NAMES[joint]}\n{indent}{{\n"
            f"{inner}{_offset(offset)}{inner}CHANNELS {len(channels)} {' '.join(channels)}\n"
            f"{inside}{indent}}}\n"
        )

    return block(0, "")


def _offset(values: NDArray[np.float64]) -> str:
    return "OFFSET " + " ".join(f"{value:.5f}" for value in values) + "\n"
