"""The body room: SMPL-layout bodies, their loading, joints and retargeting."""

from eventhpe.body.joints import DHP19_NAMES, DHP19_TO_SMPL, FLIP_PAIRS, JOINT_NAMES, PARENTS
from eventhpe.body.loading import load_body
from eventhpe.body.model import Body, BodyOutput
from eventhpe.body.retarget import BodyParameters, retarget

__all__ = [
    "DHP19_NAMES",
    "DHP19_TO_SMPL",
    "FLIP_PAIRS",
    "JOINT_NAMES",
    "PARENTS",
    "Body",
    "BodyOutput",
    "BodyParameters",
    "load_body",
    "retarget",
]
