"""The place a recording is made in: floor, walls, furniture, light, and what stands before people.

Everything here is static. World frame: y up, floor y = 0, camera above x = z = 0 (see `views`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from eventhpe.rasterizer import rasterize
from eventhpe.simulation.scene.backdrops import (
    SPAN,
    TEXEL,
    paint_floor,
    paint_landscape,
    paint_plain,
    paint_wall,
)
from eventhpe.simulation.scene.boxes import unit_box
from eventhpe.simulation.scene.textures import reflectance
from eventhpe.simulation.scene.views import View, about_x, about_y, upward

Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

NO_PLANE = 255
"""`Room.plane_index` where a pixel shows none of the planes: furniture, occluder, nothing."""
PIXEL_QUARTERS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))
NOTHING = 0.3
"""Intensity where a view looks past all planes."""
DIMMEST, BRIGHTEST = 0.01, 1.2
"""Limits of linear intensity; a white surface in full light has about 1."""


@dataclass(frozen=True)
class Light:
    """One source and light from everywhere.

    Attributes:
        source: (4,) homogeneous world point: (direction towards it, 0) or (a lamp's place, 1).
        ambient: share of the light that comes from everywhere.
        reach: metres from a lamp at which its light counts 1; without meaning for a direction.
    """

    source: Array
    ambient: float
    reach: float = 1.0

    def towards(self, point: Array) -> Array:
        """(3,) unit vector from a world point to the source."""
        way = self.source[:3] - self.source[3] * point
        return np.asarray(way / np.linalg.norm(way))

    def direct(self, points: Array, normal: Array) -> Array:
        """Irradiance (...) at world points (..., 3): the cosine, of a lamp times (reach / r)^2."""
        way = self.source[:3] - self.source[3] * points
        square = (way * way).sum(axis=-1)
        cosine = np.maximum((way * normal).sum(axis=-1) / np.sqrt(square), 0)
        near = np.minimum(self.reach**2 / np.maximum(square, 0.05), 2.5)
        return np.asarray(cosine * (near if self.source[3] else 1.0))

    def intensity(self, points: Array, normal: Array) -> Array:
        """All light (...) at world points (..., 3), 1 at the most in the directed light."""
        return self.ambient + (1 - self.ambient) * self.direct(points, normal)


@dataclass(frozen=True)
class Plane:
    """A textured plane n . x = offset, seen from the side its normal points to.

    Attributes:
        normal: (3,) unit vector into the room.
        offset: metres.
        origin: (3,) point where the raster's lower middle (walls) or middle (floor) lies.
        right, up: (3,) unit vectors along the raster's columns and against its rows.
        raster: reflectances; repeats mirrored, but upright planes go on above as at their top.
        from_below: metres of the raster below the origin: 0 for what stands upright.
        texel: metres an element.
        near: whether shadows can fall on it; no far landscape.
    """

    normal: Array
    offset: float
    origin: Array
    right: Array
    up: Array
    raster: Float32
    from_below: float = 0.0
    texel: float = TEXEL
    near: bool = True

    def reflectance(self, points: Array) -> Array:
        """(...) at points (..., 3) of the plane."""
        height, width = self.raster.shape
        away = points - self.origin
        column = away @ self.right / self.texel + (width - 1) / 2
        row = height - 1 - (away @ self.up + self.from_below) / self.texel
        if self.from_below == 0:
            row = np.clip(row, 0, height - 1)
        return np.asarray(map_coordinates(self.raster, [row, column], order=1, mode="mirror"))


@dataclass(frozen=True)
class Room:
    """A place as a view sees it.

    Attributes:
        planes: floor first, then walls and a ceiling.
        plane_index: (H, W) uint8 row of ``planes`` in each pixel, else `NO_PLANE`.
        background: (H, W) float32 intensities, light included, without anybody's shadow.
        direct_share: (H, W) float32 how much of a pixel's light a shadow takes; 0 off the planes.
        occluder_depth: metres from the camera of what stands before the person, or None.
        occluder: (H, W) bool pixels where it hides whatever is behind; ``background`` shows it.
    """

    planes: tuple[Plane, ...]
    plane_index: NDArray[np.uint8]
    background: Float32
    direct_share: Float32
    occluder_depth: float | None
    occluder: NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """A rigid box of one colour: centre (3,), size (3,), R (3, 3) box to world, reflectance."""

    centre: Array
    size: Array
    R: Array
    reflectance: float


def random_planes(rng: Rng, view: View) -> tuple[Plane, ...]:
    """A room with a floor and a wall, mostly; else a studio of one paper, or the open air."""
    kind = rng.choice(["room", "studio", "outdoors"], p=[0.72, 0.13, 0.15])
    clutter = rng.uniform() ** 1.3
    floor = floor_plane(rng, view, paint_floor(rng, clutter))
    if kind == "outdoors":
        return floor, wall_plane(rng, paint_landscape(rng), rng.uniform(15, 40), 0.0)
    turn = float(np.clip(rng.normal(0, 0.25), -0.45, 0.45)) if rng.uniform() < 0.6 else 0.0
    aside = view.stage.slope * view.stage.far
    behind = view.stage.far + 0.6 + abs(np.tan(turn)) * aside + rng.exponential(1.0)
    if kind == "studio":
        paper = paint_plain(rng)
        wall = wall_plane(rng, paper, behind, turn)
        return floor_plane(rng, view, paper * np.float32(rng.uniform(0.7, 1.0))), wall
    planes = [floor, wall_plane(rng, paint_wall(rng, clutter), behind, turn)]
    if rng.uniform() < 0.45:
        # Who leaves the view goes past its edge, but not into the wall.
        least = max(aside + 0.8, view.stage.edge * view.target[2] + 0.7)
        side = float(rng.choice([-1, 1])) * (least + rng.uniform(0.0, 1.5))
        planes.append(side_wall(rng, view, paint_wall(rng, clutter), side))
    if rng.uniform() < 0.7:
        height = max(rng.uniform(2.4, 3.2), view.centre[1] + 0.3)
        down, x, z = np.array([0.0, -1, 0]), np.array([1.0, 0, 0]), np.array([0.0, 0, 1])
        planes.append(Plane(down, -height, view.target, x, z, paint_plain(rng), SPAN / 2))
    return tuple(planes)


def floor_plane(rng: Rng, view: View, raster: Float32) -> Plane:
    """The floor, its raster turned at random about the middle of the stage."""
    turn = about_y(rng.choice([0.0, rng.uniform(0, np.pi)]))
    half = raster.shape[0] * TEXEL / 2
    up, right, ahead = np.array([0.0, 1, 0]), turn[:, 0], turn[:, 2]
    return Plane(up, 0.0, view.target, right, ahead, raster, half)


def wall_plane(rng: Rng, raster: Float32, z: float, turn: float) -> Plane:
    """A wall across the view's axis at a distance, turned about the vertical by radians."""
    R = about_y(turn)
    normal, right = -R[:, 2], -R[:, 0]
    # A far landscape is painted as large as its distance makes it.
    far = z > 12
    texel = TEXEL * z / 5 if far else TEXEL
    origin = np.array([0.0, 0.0, z]) + right * rng.uniform(-2, 2)
    up = np.array([0.0, 1, 0])
    return Plane(normal, float(normal @ origin), origin, right, up, raster, 0.0, texel, not far)


def side_wall(rng: Rng, view: View, raster: Float32, x: float) -> Plane:
    """A wall along the view's axis at x metres."""
    normal = np.array([-np.sign(x), 0.0, 0.0])
    origin = np.array([x, 0.0, view.stage.far + rng.uniform(-2, 2)])
    right = np.array([0.0, 0.0, -np.sign(x)])
    return Plane(normal, -abs(x), origin, right, np.array([0.0, 1, 0]), raster)


def hits(view: View, planes: tuple[Plane, ...], shift: tuple[float, float]) -> tuple[Array, Array]:
    """Which plane each pixel (moved by ``shift``) shows: rows (H, W) or -1, points (H, W, 3)."""
    v, u = np.mgrid[0 : view.height, 0 : view.width].astype(np.float64)
    rays = view.rays(np.stack([u + shift[0], v + shift[1]], axis=-1))
    nearest, index = np.full(u.shape, np.inf), np.full(u.shape, -1)
    for i, plane in enumerate(planes):
        # Seen from the front only: n . ray < 0; the camera lies before every plane.
        facing = np.minimum(rays @ plane.normal, -1e-9)
        distance = (plane.offset - view.centre @ plane.normal) / facing
        nearer = distance < np.minimum(nearest, 1e4)
        nearest[nearer], index[nearer] = distance[nearer], i
    points = view.centre + rays * np.where(index < 0, 0, nearest)[..., None]
    return index, points


def paint_planes(view: View, planes: tuple[Plane, ...], light: Light) -> Float32:
    """(H, W) intensities of the planes, the mean of four points a pixel.

    Of a large sensor one point will do: its pixels are about as fine as the rasters.
    """
    image = np.zeros((view.height, view.width))
    shifts = PIXEL_QUARTERS if view.width <= 400 else ((0.0, 0.0),)
    for shift in shifts:
        index, points = hits(view, planes, shift)
        for i, plane in enumerate(planes):
            where = index == i
            lit = light.intensity(points[where], plane.normal) if plane.near else 1.0
            image[where] += plane.reflectance(points[where]) * lit / len(shifts)
        image[index < 0] += NOTHING / len(shifts)
    return image.astype(np.float32)


def light_shares(planes: tuple[Plane, ...], light: Light, index: Array, points: Array) -> Float32:
    """(H, W) how much of the light at (H, W, 3) points is the source's, for `hits`' results."""
    share = np.zeros(index.shape, np.float32)
    for i, plane in enumerate(planes):
        where = index == i
        if plane.near:
            direct = (1 - light.ambient) * light.direct(points[where], plane.normal)
            share[where] = direct / (light.ambient + direct)
    return share


def draw_blocks(view: View, light: Light, blocks: list[Block]) -> tuple[Float32, Float32]:
    """Blocks in the light: (H, W) intensities, and (H, W) depths in metres, inf where there is
    none."""
    unit, quads = unit_box(2)
    corners = [(unit * block.size) @ block.R.T + block.centre for block in blocks]
    faces = [quads + i * len(unit) for i in range(len(blocks))]
    world = np.concatenate([c[quads] for c in corners])
    normal = np.cross(world[:, 1] - world[:, 0], world[:, 2] - world[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    # The two triangles of a side share their light, or a lamp would show the diagonal.
    middle = world.reshape(-1, 6, 3).mean(axis=1).repeat(2, axis=0)
    shown = np.repeat([block.reflectance for block in blocks], len(quads))
    shown = shown * light.intensity(middle, normal)
    vertices = view.to_camera(np.concatenate(corners)).astype(np.float32)
    drawn = rasterize(
        vertices, np.concatenate(faces).astype(np.int32), view.K, view.width, view.height
    )
    return shown[drawn.face_index].astype(np.float32), drawn.depth


def random_furniture(rng: Rng, view: View, wall: Plane) -> list[Block]:
    """Cupboards, tables and chests with their backs to a wall."""
    blocks = []
    for _ in range(int(rng.integers(0, 5))):
        size = rng.uniform([0.4, 0.35, 0.3], [1.6, 1.4, 0.5])
        along = rng.uniform(-1.2, 1.2) * (0.5 * view.width / view.K[0, 0]) * wall.origin[2]
        R = np.stack([wall.right, wall.up, np.cross(wall.right, wall.up)], axis=1)
        middle = wall.origin + wall.right * along + wall.normal * (size[2] / 2 + 0.02)
        tone = reflectance(rng)
        if rng.uniform() < 0.4:
            blocks += table(middle, size * [1, 0.55, 1], R, tone)
        else:
            blocks.append(Block(middle + upward(size[1] / 2), size, R, tone))
    return blocks


def table(foot: Array, size: Array, R: Array, tone: float) -> list[Block]:
    """A top on four legs standing round ``foot``: (3,) size with the height second."""
    top = np.array([size[0], 0.04, size[2]])
    blocks = [Block(foot + upward(size[1] - 0.02), top, R, tone)]
    for x in (-0.46, 0.46):
        for z in (-0.44, 0.44):
            at = foot + R @ (size * [x, 0.5, z] - [0, 0.02, 0])
            blocks.append(Block(at, np.array([0.05, size[1] - 0.04, 0.05]), R, 0.8 * tone))
    return blocks


def chair_back(foot: Array, size: Array, R: Array, tone: float) -> list[Block]:
    """Two posts and three slats, of the width and height in ``size``."""
    width, height = size[0] * 0.6, size[1]
    posts = [
        Block(foot + R @ [x * width, height / 2, 0], np.array([0.04, height, 0.04]), R, tone)
        for x in (-0.5, 0.5)
    ]
    slats = [
        Block(foot + upward(height * y), np.array([width, 0.07, 0.02]), R, tone)
        for y in (0.95, 0.78, 0.61)
    ]
    return posts + slats


def plant(rng: Rng, foot: Array, size: Array, tone: float) -> list[Block]:
    """A pot and a crown of some thirty flat leaves."""
    height = size[1]
    pot = np.array([0.25, 0.35 * height, 0.25])
    blocks = [Block(foot + upward(pot[1] / 2), pot, about_y(0.5), reflectance(rng))]
    for _ in range(30):
        R = about_y(rng.uniform(0, 6.28)) @ about_x(rng.uniform(-1.2, 1.2))
        reach = rng.uniform(0.0, 0.22, 3) * rng.choice([-1, 1], 3)
        at = foot + reach + upward(height * rng.uniform(0.45, 1.0))
        leaf = np.array([0.05, 0.01, rng.uniform(0.12, 0.3)])
        blocks.append(Block(at, leaf, R, tone * rng.uniform(0.7, 1.4)))
    return blocks


def random_occluder(rng: Rng, view: View) -> list[Block]:
    """A table, chair, pole, plant or chest between the camera and the stage."""
    distance = view.stage.near
    z = rng.uniform(0.45, 0.8) * distance
    # The line of sight from the camera over its top meets the person this high.
    hidden = rng.uniform(0.25, 1.0)
    height = view.centre[1] + (hidden - view.centre[1]) * z / view.target[2]
    x = rng.normal(0, 0.25) * z / distance
    foot, size = np.array([x, 0.0, z]), np.array([rng.uniform(0.4, 1.5), max(height, 0.1), 0.5])
    R, tone = about_y(rng.normal(0, 0.4)), reflectance(rng)
    kind = rng.choice(["table", "chair", "pole", "plant", "chest"])
    if kind == "table":
        return table(foot, size, R, tone)
    if kind == "chair":
        return chair_back(foot, size * [1, 1.15, 1], R, tone)
    if kind == "plant":
        return plant(rng, foot, size * [1, 1.1, 1], tone)
    if kind == "pole":
        size = np.array([rng.uniform(0.04, 0.12), 3.0, 0.05])
    return [Block(foot + upward(size[1] / 2), size, R, tone)]


def standing_figure(view: View) -> NDArray[np.bool_]:
    """(H, W) about where a person standing in the middle of the stage is seen."""
    parts = (
        ((0.0, 0.43, 0.0), (0.3, 0.86, 0.2)),
        ((0.0, 1.15, 0.0), (0.44, 0.6, 0.25)),
        ((0.0, 1.6, 0.0), (0.16, 0.25, 0.2)),
    )
    blocks = [Block(view.target + c, np.array(s), np.eye(3), 1.0) for c, s in parts]
    dark = Light(np.array([0.0, 1, 0, 0]), 1.0)
    return np.isfinite(draw_blocks(view, dark, blocks)[1])


def add_occluder(
    rng: Rng, view: View, light: Light, image: Float32
) -> tuple[float | None, NDArray[np.bool_]]:
    """Draw into the (H, W) image something that hides 5 to 30 % of a standing person.

    Returns:
        Its depth in metres and the (H, W) pixels it takes; none after eight failed tries.
    """
    figure = standing_figure(view)
    for _ in range(8):
        intensity, depth = draw_blocks(view, light, random_occluder(rng, view))
        mask = np.isfinite(depth)
        if 0.05 <= mask[figure].sum() / max(figure.sum(), 1) <= 0.3:
            image[mask] = intensity[mask]
            return float(depth[mask].mean()), mask
    return None, np.zeros_like(figure)


def random_room(rng: Rng, view: View, light: Light, occluder: bool = False) -> Room:
    """A random place behind (and, if asked, with something before) the view's stage.

    Args:
        rng: draws it.
        view: the camera.
        light: already in the intensities.
        occluder: whether to try for something in the foreground.
    """
    planes = random_planes(rng, view)
    image = paint_planes(view, planes, light)
    index, points = hits(view, planes, (0.0, 0.0))
    share = light_shares(planes, light, index, points)
    plane_index = np.where(index < 0, NO_PLANE, index).astype(np.uint8)
    if blocks := (random_furniture(rng, view, planes[1]) if planes[1].near else []):
        intensity, depth = draw_blocks(view, light, blocks)
        mask = np.isfinite(depth)
        image[mask], share[mask], plane_index[mask] = intensity[mask], 0.0, NO_PLANE
    depth_of_occluder, mask = None, np.zeros(index.shape, bool)
    if occluder:
        depth_of_occluder, mask = add_occluder(rng, view, light, image)
        share[mask], plane_index[mask] = 0.0, NO_PLANE
    image = np.clip(image, DIMMEST, BRIGHTEST)
    return Room(planes, plane_index, image, share, depth_of_occluder, mask)
