"""What surfaces look like: clothes on a body, and backgrounds. Albedos are linear reflectances."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

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


def dress(rng: Rng, vertices: Array, faces: NDArray[np.int32], joints: Array) -> Float32:
    """Random skin, hair, shirt, trousers and shoes: (F,) albedo per face.

    Args:
        rng: draws colours, sleeve and leg lengths, waist, patterns, belt and collar.
        vertices: (V, 3) rest pose.
        faces: (F, 3).
        joints: (24, 3) rest joints.
    """
    centre = vertices[faces].mean(axis=1)
    x, y, z = centre.T
    part = body_parts(centre, joints)
    skin = reflectance(rng, 0.12, 0.6)
    albedo = np.full(len(faces), skin)

    waist = joints[0, 1] + rng.uniform(-0.04, 0.14)
    trunk = ~np.isin(part, (HEAD, NECK, *HANDS, *SHOES, *ARMS, *LEGS))
    sleeve = abs(x) < abs(joints[16, 0]) + rng.choice([0.12, 0.2, 0.45, 0.5])
    shirt = (trunk & (y > waist)) | (np.isin(part, ARMS) & sleeve)
    hem = joints[4, 1] + rng.choice([0.1, -0.32, -0.34, -0.36])
    trousers = (np.isin(part, LEGS) & (y > hem)) | (trunk & (y <= waist))
    shoes = np.isin(part, SHOES)
    for cloth, low in ((shirt, 0.04), (trousers, 0.03), (shoes, 0.03)):
        albedo[cloth] = reflectance(rng, low) * pattern(rng, centre[cloth])

    head = part == HEAD
    middle = joints[15] + np.array([0.0, 0.09, 0.02])
    fringe = rng.uniform(0.02, 0.07)
    hair = head & ((y - middle[1] > fringe) | (z < middle[2] - rng.uniform(0.0, 0.04)))
    if rng.uniform() < 0.9:
        albedo[hair] = reflectance(rng, 0.03, 0.4) * np.exp(
            0.15 * waves(rng, centre[hair], 0.02, 0.1)
        )
    face = head & ~hair & (z > middle[2])
    eyes = face & (abs(y - middle[1]) < 0.012) & (abs(abs(x - middle[0]) - 0.032) < 0.016)
    albedo[eyes] *= 0.35
    if rng.uniform() < 0.5:
        albedo[trunk & (abs(y - waist) < 0.018)] = reflectance(rng, 0.03)
    if rng.uniform() < 0.4:
        collar = (part == NECK) | (trunk & (y > joints[12, 1] - 0.01))
        albedo[collar & (y < joints[12, 1] + rng.uniform(0.0, 0.05))] = reflectance(rng)
    return np.clip(albedo, 0.02, 0.95).astype(np.float32)


def backdrop(rng: Rng, width: int, height: int) -> Float32:
    """(H, W) background intensities, plain to cluttered: clouds, planks, boxes and blobs."""
    mean = reflectance(rng, 0.05, 0.8)
    log = np.zeros((height, width))
    clutter = rng.uniform() ** 1.5
    cells = int(rng.integers(2, 8))
    coarse = rng.normal(size=(cells, cells))
    log += 0.5 * clutter * zoom(coarse, (height / cells, width / cells), order=3)[:height, :width]
    rows, columns = np.mgrid[0:height, 0:width]
    for _ in range(int(rng.poisson(14 * clutter))):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        w, h = np.exp(rng.uniform(np.log(0.04), np.log(0.6), 2)) * width / 2
        angle = rng.normal(0, 0.15)
        u = (columns - cx) * np.cos(angle) + (rows - cy) * np.sin(angle)
        v = (rows - cy) * np.cos(angle) - (columns - cx) * np.sin(angle)
        shape = (
            np.maximum(abs(u) / w, abs(v) / h) if rng.uniform() < 0.7 else np.hypot(u / w, v / h)
        )
        log[shape < 1] += rng.normal(0, 0.7)
    fine = gaussian_filter(rng.normal(size=(height, width)), rng.uniform(0.7, 2.0))
    log += rng.uniform(0, 0.15) * clutter * fine / fine.std()
    log += np.linspace(-1, 1, height)[:, None] * rng.normal(0, 0.15)
    return np.clip(mean * np.exp(log), 0.01, 1.2).astype(np.float32)
