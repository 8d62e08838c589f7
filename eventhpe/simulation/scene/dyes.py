"""The colours of clothes, hair and skin: an albedo per face."""

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation.scene.cut import Cut, regions
from eventhpe.simulation.scene.garments import Garment
from eventhpe.simulation.scene.textures import NECK, pattern, reflectance, waves

Rng = np.random.Generator
Array = NDArray[np.float64]

# Middles of the four triangles that a face's edge midpoints cut it into. Colours are averaged
# over them: a border that crosses a face greys it, and looks less jagged.
SAMPLES = np.array([[2, 2, 2], [4, 1, 1], [1, 4, 1], [1, 1, 4]]) / 6


def samples(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """(4 F, 3) points, four on each of F faces."""
    return np.einsum("sk,fkc->fsc", SAMPLES, vertices[faces]).reshape(-1, 3)


class Cloth:
    """A material: albedo times a pattern, the same function of the place for all its faces."""

    def __init__(self, rng: Rng, low: float, high: float = 0.85, plain: bool = False) -> None:
        self._albedo = reflectance(rng, low, high)
        self._seed = int(rng.integers(2**63))
        self._plain = plain

    def __call__(self, points: Array) -> Array:
        """(N,) albedos at (N, 3) points."""
        rng = np.random.default_rng(self._seed)
        if self._plain:
            return np.asarray(self._albedo * np.exp(0.15 * waves(rng, points, 0.02, 0.1)))
        return np.asarray(self._albedo * pattern(rng, points))


def paint(
    rng: Rng,
    naked: Array,
    dressed: Array,
    joints: Array,
    cut: Cut,
    made: list[Garment],
) -> Array:
    """Albedos of the body's faces and then of the garments'.

    Args:
        naked, dressed: (4 F, 3) `samples` of the body's faces without and with clothes.
        joints: (24, 3) rest joints.
        cut: what is where.
        made: the garments.
    """
    x, y, _ = naked.T
    covered = regions(naked, joints, cut)
    albedo = np.full(len(naked), reflectance(rng, 0.12, 0.6))
    cloth = Cloth(rng, 0.04)
    albedo[covered["shirt"]] = cloth(dressed[covered["shirt"]])
    if cut.gap:  # what an open coat shows
        strip = covered["shirt"] & (abs(x) < 0.15 * np.sin(cut.gap)) & (naked[:, 2] > joints[0, 2])
        albedo[strip] = Cloth(rng, 0.04)(dressed[strip])
    trousers = covered["trousers"]
    albedo[trousers] = Cloth(rng, 0.03)(dressed[trousers])
    albedo[covered["shoes"]] = Cloth(rng, 0.03, plain=True)(dressed[covered["shoes"]])
    strands = Cloth(rng, 0.03, 0.4, plain=True)
    hat = Cloth(rng, 0.04)
    albedo[covered["hair"]] = (hat if cut.hair == "cap" else strands)(dressed[covered["hair"]])
    dx, dy = abs(x - cut.middle[0]), abs(y - cut.middle[1])
    albedo[covered["face"] & (dy < 0.012) & (abs(dx - 0.032) < 0.016)] *= 0.35
    mouth = covered["face"] & (abs(cut.middle[1] - 0.065 - y) < 0.006) & (dx < 0.022)
    albedo[mouth] *= 0.7
    if rng.uniform() < 0.5:
        albedo[covered["trunk"] & (abs(y - cut.waist) < 0.018)] = reflectance(rng, 0.03)
    if rng.uniform() < 0.4:
        collar = covered["neck"] | (covered["trunk"] & (y > joints[NECK, 1] - 0.01))
        albedo[collar & (y < joints[NECK, 1] + rng.uniform(0.0, 0.05))] = reflectance(rng)
    skirt = cloth if cut.style == "coat" or rng.uniform() < 0.4 else Cloth(rng, 0.03)
    dyes = {"skirt": skirt, "coat": skirt, "cap": hat}
    parts = [albedo]
    for garment in made:
        points = samples(garment.vertices, garment.faces)
        parts.append(dyes.get(garment.name, strands)(points))
        if garment.name in ("skirt", "coat"):
            # Should the body ever poke through the cloth, it shows the cloth's colour.
            under = (covered["trousers"] | covered["legs"]) & (y > cut.skirt_hem + 0.1)
            if cut.gap:
                under &= naked[:, 2] < joints[0, 2]
            albedo[under] = skirt(dressed[under])
    return np.clip(np.concatenate(parts).reshape(-1, len(SAMPLES)).mean(axis=1), 0.02, 0.95)
