"""Where clothes and hair begin and end on a body."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.scene.textures import (
    ARMS,
    HANDS,
    HEAD,
    LEGS,
    NECK,
    SHOES,
    body_parts,
)

Rng = np.random.Generator
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STYLES = {"sport": 0.34, "casual": 0.26, "loose": 0.14, "skirt": 0.13, "coat": 0.13}
HAIR = {"bald": 0.08, "short": 0.4, "thick": 0.16, "bun": 0.08, "ponytail": 0.1, "long": 0.1}
HAIR |= {"cap": 0.08}


@dataclass(frozen=True)
class Cut:
    """Where clothes and hair end, in the rest pose; heights and lengths in metres.

    Attributes:
        style: one of `STYLES`.
        hair: one of `HAIR`.
        waist: height at which the shirt ends and the trousers begin.
        sleeve: |x| at which sleeves end.
        hem: height at which trouser legs end.
        skirt_hem: height at which skirt or coat tails end.
        gap: half of the angle (radians) round the body that a coat is open in front, or 0.
        fringe, back: hair is this high above or this far behind the head's middle.
        middle: (3,) the head's middle.
    """

    style: str
    hair: str
    waist: float
    sleeve: float
    hem: float
    skirt_hem: float
    gap: float
    fringe: float
    back: float
    middle: Array


def draw_cut(rng: Rng, joints: Array) -> Cut:
    """A random cut for a body with (24, 3) rest joints."""
    style = str(rng.choice(list(STYLES), p=list(STYLES.values())))
    hair = str(rng.choice(list(HAIR), p=list(HAIR.values())))
    shoulder, wrist = abs(joints[16, 0]), abs(joints[20, 0])
    arm, thigh = wrist - shoulder, joints[1, 1] - joints[4, 1]
    sleeve = shoulder + arm * rng.choice([0.1, 0.3, 0.45, 0.92, 1.0])
    hem = joints[4, 1] + rng.choice([0.25 * thigh, *([joints[7, 1] - joints[4, 1] + 0.09] * 2)])
    waist = joints[0, 1] + rng.uniform(-0.04, 0.12)
    skirt_hem = joints[4, 1] + rng.choice([0.3, 0.05, -0.15, -0.7]) * thigh
    gap = 0.0
    if style == "coat":
        sleeve = shoulder + arm * rng.uniform(0.9, 1.02)
        hem = joints[7, 1] + 0.07
        skirt_hem = joints[4, 1] + rng.uniform(0.0, 0.6) * thigh
        gap = rng.uniform(0.06, 0.5) if rng.uniform() < 0.6 else 0.0
    if style == "skirt":
        waist, hem = joints[0, 1] + rng.uniform(0.02, 0.05), joints[1, 1] - 0.1
    middle = joints[HEAD] + np.array([0.0, 0.09, 0.02])
    fringe, back = rng.uniform(0.02, 0.07), rng.uniform(0.0, 0.04)
    return Cut(style, hair, waist, sleeve, hem, skirt_hem, gap, fringe, back, middle)


def regions(points: Array, joints: Array, cut: Cut) -> dict[str, Mask]:
    """Which of (N, 3) rest points of the body are covered by what, as (N,) masks."""
    x, y, z = points.T
    part = body_parts(points, joints)
    head = part == HEAD
    trunk = ~np.isin(part, (HEAD, NECK, *HANDS, *SHOES, *ARMS, *LEGS))
    hair = head & ((y - cut.middle[1] > cut.fringe) | (z < cut.middle[2] - cut.back))
    if cut.hair == "cap":
        hair = head & (y - cut.middle[1] > cut.fringe)
    return {
        "shirt": (trunk & (y > cut.waist)) | (np.isin(part, ARMS) & (abs(x) < cut.sleeve)),
        "trousers": (np.isin(part, LEGS) & (y > cut.hem)) | (trunk & (y <= cut.waist)),
        "shoes": np.isin(part, SHOES),
        "hair": hair & (cut.hair != "bald"),
        "face": head & ~hair & (z > cut.middle[2]),
        "trunk": trunk,
        "legs": np.isin(part, LEGS),
        "neck": part == NECK,
    }
