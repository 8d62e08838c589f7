"""What surfaces look like: parts of a body, colours and patterns. Albedos are linear."""

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

# Bones as (part, from joint, to joint); a part is named by the joint that moves it.
BONES = (
    *((0, 0, 1), (0, 0, 2), (0, 0, 3), (3, 3, 6), (6, 6, 9), (9, 9, 12), (9, 9, 13), (9, 9, 14)),
    *((1, 1, 4), (2, 2, 5), (4, 4, 7), (5, 5, 8), (7, 7, 10), (8, 8, 11), (12, 12, 15)),
    *((13, 13, 16), (14, 14, 17), (16, 16, 18), (17, 17, 19), (18, 18, 20), (19, 19, 21)),
    *((20, 20, 22), (21, 21, 23)),
)
# End bones, which have no child joint: (part, from joint, direction, metres).
TIPS = (
    (15, 15, (0.0, 1.0, 0.1), 0.2),
    (22, 22, (1.0, 0.0, 0.1), 0.12),
    (23, 23, (-1.0, 0.0, 0.1), 0.12),
    (10, 10, (0.0, -0.2, 1.0), 0.08),
    (11, 11, (0.0, -0.2, 1.0), 0.08),
)
HEAD, NECK, HANDS, SHOES = 15, 12, (20, 21, 22, 23), (7, 8, 10, 11)
ARMS, LEGS = (16, 17, 18, 19), (1, 2, 4, 5)


def body_parts(points: Array, joints: Array) -> NDArray[np.intp]:
    """(N,) the part 0..23 of each of (N, 3) rest-pose points: the nearest bone's.

    Args:
        points: rest (T-pose) points, metres, y up, facing +z.
        joints: (24, 3) rest joints.
    """
    best = np.full(len(points), np.inf)
    part = np.zeros(len(points), np.intp)
    spans = [(p, joints[a], joints[b]) for p, a, b in BONES]
    spans += [(p, joints[a], joints[a] + np.array(d) * length) for p, a, d, length in TIPS]
    for name, start, end in spans:
        along = end - start
        s = np.clip((points - start) @ along / (along @ along), 0, 1)
        distance = np.linalg.norm(points - start - s[:, None] * along, axis=1)
        nearer = distance < best
        best[nearer], part[nearer] = distance[nearer], name
    return part


def reflectance(rng: Rng, low: float = 0.04, high: float = 0.85) -> float:
    """A log-uniform albedo."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def pattern(rng: Rng, points: Array) -> Array:
    """(N,) factors about 1 at (N, 3) points: plain, stripes, checks or patches, plus folds."""
    kind = rng.choice(["plain", "stripes", "checks", "patches"], p=[0.55, 0.2, 0.1, 0.15])
    factor = np.ones(len(points))
    contrast = rng.choice([-1, 1]) * rng.uniform(0.3, 1.2)
    size = rng.uniform(0.05, 0.2)
    if kind == "stripes":
        direction = (0.0, 1.0, 0.0) if rng.uniform() < 0.7 else (1.0, 0.0, 0.3)
        factor = np.exp(contrast * (np.mod(points @ np.array(direction) / size, 1.0) < 0.5))
    elif kind == "checks":
        cells = np.floor(points / size).sum(axis=1)
        factor = np.exp(contrast * np.mod(cells, 2))
    elif kind == "patches":
        factor = np.exp(contrast * (waves(rng, points, 0.12, 0.4) > 0.6))
    return factor * np.exp(rng.uniform(0.02, 0.14) * waves(rng, points, 0.04, 0.25))


def waves(rng: Rng, points: Array, shortest: float, longest: float) -> Array:
    """(N,) smooth random field of about unit deviation at (N, 3) points; wavelengths in metres."""
    direction = rng.normal(size=(10, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.exp(rng.uniform(np.log(shortest), np.log(longest), 10))
    phase = points @ (direction / length[:, None]).T * 2 * np.pi + rng.uniform(0, 6.28, 10)
    return np.sin(phase).sum(axis=1) / np.sqrt(5.0)
