"""Joint angles and speeds of a motion.

Angles are of joint centres, so that motions on different bodies can be compared:

- **knee, elbow flexion**: 180 degrees minus the angle between thigh and shank (upper arm and
  forearm): 0 where the three joint centres lie on a line. Unsigned.
- **hip flexion**: the thigh's direction seen from the side of the pelvis, whose frame is SMPL's
  (x to the left, y up, z forward): atan2(z, -y) of knee minus hip; 0 where it points down, 90
  where it points forward, negative behind.
- **shoulder elevation**: the angle between the upper arm and the downward direction of the thorax
  (SMPL's spine3): 0 hanging, 90 level in any direction, 180 overhead. Of an arm that points
  sideways no flexion can be told, but its elevation can (after the elevation of the thorax-to-arm
  joint in Wu et al. 2005, ISB recommendation, part II).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.body import Body
from eventhpe.body.joints import JOINT_NAMES
from eventhpe.sequence import ABSENT, MotionSequence

Float = NDArray[np.floating[Any]]

SIDES = ("left", "right")
_PELVIS_TO_THORAX = (3, 6, 9)  # spine1, spine2, spine3


def joint_angles(motion: MotionSequence, body: Body) -> dict[str, Float]:
    """``left_knee``, ``right_knee`` and so on of knees, hips, elbows and shoulders.

    Returns:
        (T,) degrees by name, as this module defines them; NaN where the person is absent.
    """
    joints = motion.joints(body)
    orient, pose = motion.matrices()
    pelvis, thorax = orient.numpy(), orient
    for joint in _PELVIS_TO_THORAX:
        thorax = thorax @ pose[:, joint - 1]
    down = -thorax.numpy()[:, :, 1]
    angles: dict[str, Float] = {}
    for side in SIDES:
        at = {
            name: joints[:, JOINT_NAMES.index(f"{side}_{name}")]
            for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
        }
        thigh, shank = at["knee"] - at["hip"], at["ankle"] - at["knee"]
        upper_arm, forearm = at["elbow"] - at["shoulder"], at["wrist"] - at["elbow"]
        _, y, z = np.einsum("tij,ti->jt", pelvis, thigh)
        angles[f"{side}_knee"] = _between(thigh, shank)
        angles[f"{side}_hip"] = np.degrees(np.arctan2(z, -y))
        angles[f"{side}_elbow"] = _between(upper_arm, forearm)
        angles[f"{side}_shoulder"] = _between(upper_arm, down)
    absent = motion.state == ABSENT
    return {name: np.where(absent, np.nan, values) for name, values in angles.items()}


def pelvis_speed(motion: MotionSequence) -> Float:
    """(T,) metres a second of the pelvis, by central differences; NaN beside an absent step.

    The pelvis moves as ``transl`` does, for one shape stands for the whole motion.
    """
    if len(motion) < 2:
        return np.full(len(motion), np.nan)
    place = np.where((motion.state == ABSENT)[:, None], np.nan, motion.transl.astype(np.float64))
    return np.asarray(np.linalg.norm(np.gradient(place, motion.t_us * 1e-6, axis=0), axis=1))


def _between(first: Float, second: Float) -> Float:
    """(T,) degrees between vectors (T, 3)."""
    # By both sine and cosine: arccos alone is inexact near 0 and 180 degrees.
    sine = np.linalg.norm(np.cross(first, second), axis=1)
    return np.asarray(np.degrees(np.arctan2(sine, (first * second).sum(axis=1))))
