"""Garments and hair that need a mesh of their own: skirts, coat tails, long hair, buns, brims.

All are made in SMPL's rest frame (T-pose, y up, facing +z, metres).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.scene.outfit import SLOTS

Rng = np.random.Generator
Array = NDArray[np.float64]

THICKNESS = 0.003
PELVIS, CHEST, NECK, HEAD = 0, 9, 12, 15
LEFT_LEG, RIGHT_LEG = (1, 4), (2, 5)
SEGMENTS = 60


@dataclass(frozen=True)
class Garment:
    """A mesh as in `eventhpe.simulation.scene.outfit.Outfit`, its faces counting from 0.

    Attributes:
        name: what it is.
        vertices: (N, 3).
        faces: (M, 3) int32.
        bones: (N, 5) uint8.
        weights: (N, 5).
        outward: (N, 3).
    """

    name: str
    vertices: Array
    faces: NDArray[np.int32]
    bones: NDArray[np.uint8]
    weights: Array
    outward: Array


def hull_radius(points: Array, angles: Array) -> Array:
    """(A,) distance from the origin to the convex hull of (N, 2) points around it.

    Along the direction ``(sin a, cos a)`` the nearest supporting line ends the hull.
    """
    directions = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    support = (points @ np.stack([np.sin(directions), np.cos(directions)])).max(axis=0)
    cosine = np.cos(angles[:, None] - directions)
    reach = np.where(cosine > 0.05, support / np.maximum(cosine, 0.05), np.inf)
    return np.asarray(reach.min(axis=1))


def grid_faces(rows: int, columns: int, closed: bool) -> NDArray[np.int32]:
    """Two triangles per cell of a (rows, columns) grid whose columns run counter-clockwise seen
    from above and whose rows run downward: outside faces away from the axis."""
    row, column = np.meshgrid(
        np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij"
    )
    right = (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = a + columns, b + columns
    faces = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], axis=-2)
    return faces.reshape(-1, 3).astype(np.int32)


def shell(
    name: str, rings: Array, bones: Array, weights: Array, outward: Array, closed: bool
) -> Garment:
    """Cloth with an outer and an inner side.

    The sides have vertices of their own, so each is lit by its own normals.

    Args:
        name: what it is.
        rings: (R, C, 3) from the top down, each counter-clockwise seen from above.
        bones, weights: (R, 5) of each ring.
        outward: (R, C, 3) of each vertex; zeros for cloth that does not hang on the legs.
        closed: whether the last column joins the first.
    """
    rows, columns, _ = rings.shape
    radial = rings - rings.mean(axis=1, keepdims=True)
    radial /= np.linalg.norm(radial, axis=-1, keepdims=True) + 1e-9
    faces = grid_faces(rows, columns, closed)
    inner = (rings - THICKNESS * radial).reshape(-1, 3)
    return Garment(
        name,
        np.concatenate([rings.reshape(-1, 3), inner]),
        np.concatenate([faces, faces[:, ::-1] + rows * columns]),
        np.tile(np.repeat(bones, columns, axis=0), (2, 1)).astype(np.uint8),
        np.tile(np.repeat(weights, columns, axis=0), (2, 1)).astype(np.float32),
        np.tile(outward.reshape(-1, 3), (2, 1)),
    )


def smoothstep(x: Array) -> Array:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def widened(slots: Array) -> Array:
    """(R, k) bones or weights with zeros after them, (R, `SLOTS`)."""
    return np.pad(slots, ((0, 0), (0, SLOTS - slots.shape[1])))


def leg_skinning(heights: Array, joints: Array) -> tuple[Array, Array]:
    """Bones and weights (R, 5) of rings that hang on pelvis, thighs and shanks at ``heights``.

    Slots 0, 1 are the left side's and 2, 3 the right side's, with half of the weight each.
    """
    hip, knee = joints[1, 1], joints[4, 1]
    above_knee = heights > knee + 0.09
    upper = np.where(above_knee, PELVIS, LEFT_LEG[0])
    lower = np.where(above_knee, LEFT_LEG[0], LEFT_LEG[1])
    start = np.where(above_knee, hip + 0.05, knee + 0.08)
    share = smoothstep((start - heights) / np.where(above_knee, 0.15, 0.16))
    bones = np.stack([upper, lower, np.where(above_knee, PELVIS, RIGHT_LEG[0]), lower + 1], axis=1)
    weights = 0.5 * np.stack([1 - share, share, 1 - share, share], axis=1)
    return widened(bones), widened(weights)


@dataclass(frozen=True)
class Drape:
    """How cloth hangs from the waist.

    Attributes:
        top, hem: heights in the rest frame, metres.
        ease: room between body and cloth at the top.
        flare: how much wider it gets per metre downward.
        folds: how far the folds stand out at the hem.
        gap: half of the angle (radians) that is open in front; 0 for closed.
    """

    top: float
    hem: float
    ease: float
    flare: float
    folds: float
    gap: float


def hanging_cloth(rng: Rng, name: str, points: Array, joints: Array, drape: Drape) -> Garment:
    """Cloth round hips and legs, from the waist to the hem.

    It follows the hull of the body inside, never narrower than further up: it hangs from the
    widest part.

    Args:
        rng: draws the folds.
        name: what it is.
        points: (N, 3) dressed vertices of trunk and legs.
        joints: (24, 3) rest joints.
        drape: its cut.
    """
    closed = drape.gap == 0
    rows = max(6, int((drape.top - drape.hem) / 0.025))
    heights = np.linspace(drape.top, drape.hem, rows)
    angles = np.linspace(drape.gap, 2 * np.pi - drape.gap, SEGMENTS + (not closed))
    if closed:
        angles = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)
    axis = np.array([0.0, joints[0, 2] - 0.01])
    depth = (drape.top - heights) / (drape.top - drape.hem)
    radius = np.zeros((rows, len(angles)))
    for row, height in enumerate(heights):
        slab = points[abs(points[:, 1] - height) < 0.03][:, [0, 2]]
        radius[row] = hull_radius(slab - axis, angles) if len(slab) else 0
    radius = np.maximum.accumulate(radius, axis=0)
    radius += drape.ease + drape.flare * (drape.top - heights)[:, None]
    count, phase = rng.integers(5, 12), rng.uniform(0, 6.28, 2)
    waves = np.sin(count * angles + phase[0]) + np.sin((count + 3) * angles + phase[1])
    radius += drape.folds * depth[:, None] * (1 + 0.5 * waves)
    unit = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=1)
    rings = radius[..., None] * unit + [0.0, 0.0, axis[1]]
    rings[..., 1] = heights[:, None]
    bones, weights = leg_skinning(heights, joints)
    return shell(name, rings, bones, weights, np.broadcast_to(unit, rings.shape), closed)


def head_skinning(heights: Array, joints: Array) -> tuple[Array, Array]:
    """Bones and weights (R, 5) of hair: the head's above the neck, ever more the chest's below."""
    share = 0.75 * smoothstep((joints[15, 1] - heights) / 0.25)
    bones = np.tile([HEAD, CHEST], (len(heights), 1))
    return widened(bones), widened(np.stack([1 - share, share], axis=1))


def long_hair(points: Array, joints: Array, top: float, end: float, volume: float) -> Garment:
    """A curtain of hair from the head's sides and back down to the shoulders or the back.

    Args:
        points: (N, 3) dressed vertices of head, neck and the trunk's middle.
        joints: (24, 3) rest joints.
        top, end: heights, metres.
        volume: room between head and hair, metres.
    """
    rows = max(6, int((top - end) / 0.025))
    heights = np.linspace(top, end, rows)
    axis = np.array([0.0, joints[15, 2]])
    below = smoothstep((joints[15, 1] - heights) / 0.12)
    half = np.deg2rad(105 - 45 * below)
    angles = np.pi + half[:, None] * np.linspace(-1, 1, 25)
    radius = np.zeros_like(angles)
    for row, height in enumerate(heights):
        slab = points[abs(points[:, 1] - height) < 0.02][:, [0, 2]]
        radius[row] = hull_radius(slab - axis, angles[row]) if len(slab) else 0
    radius = np.maximum.accumulate(radius, axis=0) + volume
    rings = np.stack(
        [
            radius * np.sin(angles),
            np.broadcast_to(heights[:, None], angles.shape),
            radius * np.cos(angles) + axis[1],
        ],
        axis=-1,
    )
    bones, weights = head_skinning(heights, joints)
    return shell("long hair", rings, bones, weights, np.zeros_like(rings), False)


def tube(name: str, centres: Array, radii: Array, joints: Array) -> Garment:
    """Horizontal rings round (R, 3) centres with (R,) radii, from the top down: bun or ponytail."""
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    unit = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=1)
    rings = centres[:, None] + radii[:, None, None] * unit
    bones, weights = head_skinning(centres[:, 1], joints)
    return shell(name, rings, bones, weights, np.zeros_like(rings), True)


def bun(rng: Rng, points: Array, joints: Array) -> Garment:
    """A ball of hair at the back or the top of the head, given its (N, 3) vertices."""
    radius = rng.uniform(0.03, 0.045)
    elevation = np.deg2rad(rng.uniform(10, 80))
    direction = np.array([0.0, np.sin(elevation), -np.cos(elevation)])
    middle = points.mean(axis=0)
    centre = middle + ((points - middle) @ direction).max() * direction
    polar = np.linspace(0, np.pi, 9)
    centres = centre + radius * np.cos(polar)[:, None] * [0.0, 1.0, 0.0]
    return tube("bun", centres, radius * np.sin(polar), joints)


def ponytail(rng: Rng, points: Array, joints: Array) -> Garment:
    """A tail from the back of the head, given its (N, 3) vertices; it swings with the neck."""
    length, radius = rng.uniform(0.18, 0.35), rng.uniform(0.015, 0.03)
    back = points[points[:, 2].argmin()]
    start = np.array([0.0, back[1] + rng.uniform(0.0, 0.05), back[2]])
    s = np.linspace(0, 1, 12)
    centres = start + np.stack([0 * s, -length * s, -0.035 * np.sin(np.pi * s) - 0.01], axis=1)
    radii = radius * np.sqrt(np.maximum(1 - (2 * s - 1) ** 4, 0))
    return tube("ponytail", centres, radii, joints)


def brim(rng: Rng, points: Array, joints: Array, height: float) -> Garment:
    """The peak of a cap, in front of the head's (N, 3) dressed vertices at ``height``."""
    length = rng.uniform(0.05, 0.08)
    side = np.linspace(-1.1, 1.1, 15)
    slab = points[abs(points[:, 1] - height) < 0.02][:, [0, 2]]
    axis = np.array([0.0, slab[:, 1].mean()])
    near = hull_radius(slab - axis, side) - 0.005
    reach = np.linspace(0, 1, 4)
    radius = near + reach[:, None] * length * np.cos(side * 1.3) ** 0.5
    rings = np.stack(
        [
            radius * np.sin(side),
            height - 0.3 * reach[:, None] * length - 0.05 * abs(side) ** 2 * reach[:, None],
            radius * np.cos(side) + axis[1],
        ],
        axis=-1,
    )
    bones, weights = head_skinning(np.full(4, joints[15, 1] + 1), joints)
    garment = shell("cap", rings, bones, weights, np.zeros_like(rings), False)
    # The lower side of a lying sheet is below it, not nearer to the axis.
    lower = garment.vertices[rings.size // 3 :]
    lower[:] = rings.reshape(-1, 3) - [0.0, THICKNESS, 0.0]
    return garment
