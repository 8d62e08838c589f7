"""Joint names, tree and left-right pairs of SMPL's 24 joints, and DHP19's 13 labels."""

JOINT_NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
    "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
"""Names of SMPL's 24 joints in SMPL order (hands as one joint a side)."""

PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
)  # fmt: skip
"""Parent of each joint; -1 for the pelvis. A parent always comes before its children."""

FLIP_PAIRS: tuple[int, ...] = (
    0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22,
)  # fmt: skip
"""``FLIP_PAIRS[j]`` is the joint that ``j`` becomes in a mirror (its own inverse)."""

DHP19_NAMES: tuple[str, ...] = (
    "head", "shoulderR", "shoulderL", "elbowR", "elbowL", "hipR", "hipL",
    "handR", "handL", "kneeR", "kneeL", "footR", "footL",
)  # fmt: skip
"""DHP19's 13 Vicon labels in the order of its files."""

DHP19_TO_SMPL: tuple[int, ...] = (15, 17, 16, 19, 18, 2, 1, 21, 20, 5, 4, 8, 7)
"""Nominal SMPL joint of each DHP19 label. Hands are taken as wrists and feet as ankles; the
markers sit off the joints by unknown offsets, one set a subject."""

DHP19_HAND_TO_SMPL: tuple[int, int] = (23, 22)
"""SMPL's hand joints for (handR, handL), where bone lengths say the marker is on the hand."""
