"""Random clothes and hair for a body: which parts they cover, how thick they are, their colours."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from eventhpe.body.model import Body
from eventhpe.simulation.scene import garments
from eventhpe.simulation.scene.cut import Cut, draw_cut, regions
from eventhpe.simulation.scene.dyes import paint, samples
from eventhpe.simulation.scene.garments import CHEST, HEAD, NECK, Drape, Garment
from eventhpe.simulation.scene.outfit import Outfit, rest_shape, rounded, strongest_bones
from eventhpe.simulation.scene.textures import ARMS, HANDS, body_parts, waves

Rng = np.random.Generator
Array = NDArray[np.float64]

THICKEST = 0.04
"""Clothes and hair lie at most this far from the skin (metres), but for garments' own meshes."""
# Metres (low, high) at the trunk, and more towards cuffs and hems, per style.
ROOM = {
    "sport": ((0.0, 0.004), (0.0, 0.002)),
    "casual": ((0.004, 0.012), (0.0, 0.012)),
    "loose": ((0.014, 0.03), (0.006, 0.024)),
    "skirt": ((0.002, 0.01), (0.0, 0.01)),
    "coat": ((0.014, 0.026), (0.004, 0.014)),
}
HAIR_ROOM = {"short": (0.005, 0.016), "thick": (0.018, 0.036), "cap": (0.01, 0.018)}


class Surface:
    """The naked body's surface in the rest pose.

    Args:
        vertices: (B, 3).
        faces: (F, 3).

    Attributes:
        normals: (B, 3) unit, smoothed, so that neighbours move alike.
    """

    def __init__(self, vertices: Array, faces: NDArray[np.int32]) -> None:
        self.vertices = vertices
        rows, columns = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
        ones = np.ones(len(rows))
        edges = csr_array((ones, (rows, columns)), shape=(len(vertices),) * 2)
        edges = edges + edges.T
        self._mean = csr_array(edges / edges.sum(axis=1)[:, None])
        a, b, c = vertices[faces].transpose(1, 0, 2)
        normals = np.zeros_like(vertices)
        np.add.at(normals, faces, np.cross(b - a, c - a)[:, None])
        own = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        smooth = self.smooth(own, 4)
        smooth /= np.linalg.norm(smooth, axis=1, keepdims=True)
        # Where a smooth normal would point into the body (thin parts), the own one stays.
        inward = (smooth * own).sum(axis=1) < 0.6
        self.normals = np.where(inward[:, None], own, smooth)

    def smooth(self, values: Array, times: int) -> Array:
        """Values (B, ...) averaged over neighbours ``times`` times."""
        for _ in range(times):
            values = 0.5 * values + 0.5 * (self._mean @ values)
        return values


def thickness(rng: Rng, surface: Surface, joints: Array, cut: Cut) -> Array:
    """(B,) metres by which clothes and hair stand off the body, 0 on bare skin."""
    points, normals = surface.vertices, surface.normals
    covered = regions(points, joints, cut)
    room, growth = (rng.uniform(*span) for span in ROOM[cut.style])
    looser = rng.uniform(0.6, 1.4)
    out = np.zeros(len(points))
    shoulder, hip = abs(joints[16, 0]), joints[1, 1]
    along_arm = np.clip((abs(points[:, 0]) - shoulder) / (cut.sleeve - shoulder), 0, 1)
    along_leg = np.clip((hip - points[:, 1]) / (hip - cut.hem), 0, 1)
    shirt, trousers, hair = covered["shirt"], covered["trousers"], covered["hair"]
    out[shirt] = room + growth * along_arm[shirt]
    out[trousers] = looser * (0.6 * room + growth * along_leg[trousers])
    # Cloth bridges hollows: how far the surface lies behind its own smooth version.
    hollow = ((surface.smooth(points, 30) - points) * normals).sum(axis=1)
    cloth = shirt | trousers
    out[cloth] += min(1.0, room / 0.012) * np.clip(hollow, 0, 0.02)[cloth]
    folds = waves(rng, points, 0.05, 0.25)
    out[cloth] += (rng.uniform(0.1, 0.35) * out * folds)[cloth]
    # Thighs and armpits leave no room for two layers of cloth.
    facing = np.clip(-normals[:, 0] * np.sign(points[:, 0]), 0, 1)
    out[trousers] *= (1 - 0.75 * facing * (1 - along_leg))[trousers]
    out[shirt] *= np.clip((joints[NECK, 1] + 0.03 - points[:, 1]) / 0.06, 0.25, 1)[shirt]
    out = np.where(cloth, surface.smooth(out, 2), 0)
    shoes = covered["shoes"]
    out[shoes] = rng.uniform(0.004, 0.012) + np.clip(hollow, 0, 0.025)[shoes]
    if hair.any():
        thick = rng.uniform(*HAIR_ROOM.get(cut.hair, (0.008, 0.016)))
        rough = 0.25 if cut.hair == "thick" else 0.1
        out[hair] = thick * (1 + rough * waves(rng, points[hair], 0.02, 0.1))
        out = np.where(hair, surface.smooth(out, 2), out)
    return np.clip(out, 0, THICKEST)


def extra_garments(rng: Rng, dressed: Array, joints: Array, cut: Cut) -> list[Garment]:
    """Skirt or coat tails, and what hair or cap need, round the (B, 3) dressed body."""
    part = body_parts(dressed, joints)
    made = []
    if cut.style in ("skirt", "coat"):
        inside = dressed[~np.isin(part, (*ARMS, *HANDS, HEAD, NECK))]
        coat = cut.style == "coat"
        drape = Drape(
            top=cut.waist + (0.03 if coat else 0.01),
            hem=cut.skirt_hem,
            ease=0.008,
            flare=rng.uniform(0.0, 0.12) if coat else rng.uniform(0.0, 0.14),
            folds=rng.uniform(0.003, 0.01) if coat else rng.uniform(0.003, 0.02),
            gap=cut.gap,
        )
        name = "coat" if coat else "skirt"
        made.append(garments.hanging_cloth(rng, name, inside, joints, drape))
    head = dressed[part == HEAD]
    if cut.hair == "bun":
        made.append(garments.bun(rng, head, joints))
    elif cut.hair == "ponytail":
        made.append(garments.ponytail(rng, head, joints))
    elif cut.hair == "long":
        near = (dressed[:, 1] > joints[CHEST, 1] - 0.2) & (abs(dressed[:, 0]) < 0.1)
        end = joints[NECK, 1] - rng.uniform(-0.02, 0.16)
        volume = rng.uniform(0.006, 0.02)
        top = cut.middle[1] + 0.05
        made.append(garments.long_hair(dressed[near], joints, top, end, volume))
    elif cut.hair == "cap":
        made.append(garments.brim(rng, head, joints, cut.middle[1] + cut.fringe + 0.01))
    return made


def dress(rng: Rng, body: Body, betas: Array) -> Outfit:
    """Random clothes, hair, shoes and colours for the body of shape ``betas`` (10,).

    The same generator state, body and betas give the same outfit.
    """
    vertices, joints = rest_shape(body, betas)
    faces = np.ascontiguousarray(body.faces, dtype=np.int32)
    cut = draw_cut(rng, joints)
    surface = Surface(vertices, faces)
    room = thickness(rng, surface, joints, cut)
    dressed = vertices + room[:, None] * surface.normals
    made = extra_garments(rng, dressed, joints, cut)
    albedo = paint(rng, samples(vertices, faces), samples(dressed, faces), joints, cut, made)
    bones, weights = strongest_bones(body)
    starts = np.cumsum([len(vertices), *(len(g.vertices) for g in made)])
    return Outfit(
        vertices=rounded(np.concatenate([dressed, *(g.vertices for g in made)])),
        faces=np.concatenate(
            [faces, *(g.faces + int(s) for g, s in zip(made, starts, strict=False))]
        ).astype(np.int32),
        bones=np.concatenate([bones, *(g.bones for g in made)]),
        weights=np.concatenate([weights, *(g.weights for g in made)]),
        outward=np.concatenate(
            [np.zeros((0, 3), np.float32), *(g.outward.astype(np.float32) for g in made)]
        ),
        albedo=albedo.astype(np.float16).astype(np.float32),
        body_vertices=len(vertices),
        body_faces=len(faces),
        names=(cut.style, cut.hair if cut.hair in ("bald", "cap") else f"{cut.hair} hair"),
    )
