"""What the surfaces of a room look like: reflectances painted in metres on flat rasters.

A raster is (H, W) float32 linear reflectance, `TEXEL` metres per element; row 0 is the far or
upper end. `clutter` from 0 to 1 says how full of things a surface is.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from eventhpe.simulation.scene.textures import reflectance

Rng = np.random.Generator
Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

TEXEL = 0.01
SPAN = 8.0
"""Length of walls and floors in metres; a longer one repeats, mirrored."""
WALL_HEIGHT = 2.8
DARKEST, BRIGHTEST = 0.02, 0.95


def texels(metres: float) -> int:
    """A length in elements of a raster, one at least."""
    return max(1, round(metres / TEXEL))


def finished(log: Array) -> Float32:
    """Reflectances of (H, W) logarithms."""
    return np.clip(np.exp(log), DARKEST, BRIGHTEST).astype(np.float32)


def clouds(rng: Rng, height: int, width: int, cells: int) -> Array:
    """(H, W) smooth field of about unit deviation: the ``cells`` lowest cosines along each side."""
    waves = np.arange(cells)
    down = np.cos(np.pi * np.outer((np.arange(height) + 0.5) / height, waves))
    across = np.cos(np.pi * np.outer((np.arange(width) + 0.5) / width, waves))
    return np.asarray(down @ rng.normal(size=(cells, cells)) @ across.T * (2 / cells))


def grain(rng: Rng, height: int, width: int, texels_wide: float) -> Array:
    """(H, W) fine noise of unit deviation: plaster, carpet, grass."""
    noise = gaussian_filter(rng.normal(size=(height, width)), texels_wide, mode="wrap")
    return np.asarray(noise / max(noise.std(), 1e-6))


def grid_of(rng: Rng, height: int, width: int, tile: tuple[int, int], shift: bool) -> Array:
    """(H, W) logarithms of planks, bricks or tiles with dark joints: a tone to each.

    Args:
        rng: draws tones, their spread and the joints' depth.
        height, width: elements.
        tile: (rows, columns) of one tile.
        shift: every row of tiles starts at a place of its own.
    """
    rows, columns = tile
    row = np.arange(height) // rows
    starts = rng.integers(0, columns, row[-1] + 1) if shift else np.zeros(row[-1] + 1, np.intp)
    along = np.arange(width)[None, :] + starts[row][:, None]
    column = along // columns
    tones = rng.normal(0, rng.uniform(0.02, 0.25), (row[-1] + 1, column.max() + 1))
    if not shift and rng.uniform() < 0.3:
        tones += rng.uniform(0.2, 0.9) * (np.indices(tones.shape).sum(axis=0) % 2)
    log = tones[row[:, None], column]
    joint = (np.arange(height) % rows == 0)[:, None] | (along % columns == 0)
    return np.asarray(log - rng.uniform(0.1, 0.7) * joint)


def paint_floor(rng: Rng, clutter: float) -> Float32:
    """Planks, tiles, carpet or grass, at times with a rug and with things lying about."""
    side = texels(SPAN)
    kind = rng.choice(["planks", "tiles", "carpet", "plain"], p=[0.35, 0.25, 0.2, 0.2])
    log = 0.1 * clouds(rng, side, side, 5)
    if kind == "planks":
        log += grid_of(rng, side, side, (texels(rng.uniform(0.08, 0.2)), texels(1.2)), True)
        log += 0.04 * grain(rng, side, side // 8, 1.0).repeat(8, axis=1)
    elif kind == "tiles":
        edge = texels(rng.uniform(0.15, 0.6))
        log += grid_of(rng, side, side, (edge, edge), False)
    else:
        size = rng.uniform(1.0, 3.0)
        log += rng.uniform(0.03, 0.3 if kind == "carpet" else 0.06) * grain(rng, side, side, size)
    if rng.uniform() < 0.5:
        log = np.ascontiguousarray(log.T)
    log += np.log(reflectance(rng, 0.06, 0.6))
    if rng.uniform() < 0.5 * clutter + 0.1:
        rug(rng, log)
    scatter(rng, log, clutter)
    return finished(log)


def rug(rng: Rng, log: Array) -> None:
    """Lay a bordered, perhaps striped rug somewhere on the raster."""
    h, w = (texels(x) for x in rng.uniform(1.0, 2.5, 2))
    y, x = rng.integers(0, log.shape[0] - h), rng.integers(0, log.shape[1] - w)
    tone = np.log(reflectance(rng, 0.05, 0.6))
    log[y : y + h, x : x + w] = tone + 0.3 * rng.normal()
    b = texels(0.08)
    inner = log[y + b : y + h - b, x + b : x + w - b]
    inner[:] = tone
    if rng.uniform() < 0.5:
        inner += rng.normal(0, 0.5) * (np.arange(inner.shape[1]) // texels(0.12) % 2)


def scatter(rng: Rng, log: Array, clutter: float) -> None:
    """Rectangles and discs of any tone, some striped: papers, boxes, plates, stains."""
    height, width = log.shape
    for _ in range(int(rng.poisson(14 * clutter))):
        h, w = (texels(x) for x in np.exp(rng.uniform(np.log(0.05), np.log(0.6), 2)))
        y, x = rng.integers(0, height), rng.integers(0, width)
        part = log[y : y + h, x : x + w]
        rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
        if rng.uniform() < 0.35:
            where = (rows / h * 2 - 1) ** 2 + (columns / w * 2 - 1) ** 2 < 1
        else:
            where = np.ones(part.shape, bool)
        tone = np.log(reflectance(rng)) + np.zeros(part.shape)
        if rng.uniform() < 0.4:
            tone += rng.normal(0, 0.6) * (columns // texels(rng.uniform(0.02, 0.1)) % 2)
        part[where] = tone[where]


def paint_wall(rng: Rng, clutter: float) -> Float32:
    """A wall of `SPAN` by `WALL_HEIGHT`: plaster, paper, bricks or planks, and what hangs there."""
    height, width = texels(WALL_HEIGHT), texels(SPAN)
    kind = rng.choice(["plaster", "paper", "bricks", "panels"], p=[0.55, 0.15, 0.15, 0.15])
    log = 0.1 * clouds(rng, height, width, 4)
    if kind == "bricks":
        log += grid_of(rng, height, width, (texels(0.08), texels(0.25)), True)
    elif kind == "panels":
        log += grid_of(rng, height, width, (height, texels(rng.uniform(0.1, 0.9))), False)
    elif kind == "paper":
        period = texels(rng.uniform(0.05, 0.3))
        log += rng.normal(0, 0.25) * (np.arange(width) // period % 2)
    log += rng.uniform(0.0, 0.05) * grain(rng, height, width, 1.5)
    log += np.log(reflectance(rng, 0.06, 0.85))
    if rng.uniform() < 0.6:
        log[-texels(rng.uniform(0.05, 0.15)) :] = np.log(reflectance(rng, 0.05))
    furnishings = (door, window, curtain, bookcase, poster, poster)
    for _ in range(int(rng.poisson(7 * clutter))):
        furnishings[rng.integers(len(furnishings))](rng, log)
    if rng.uniform() < 0.5 * clutter:
        scatter(rng, log, 0.5 * clutter)
    return finished(log)


def place(rng: Rng, log: Array, bottom: float, height: float, width: float) -> Array:
    """The part of a wall's raster of that height and width, ``bottom`` metres above the floor."""
    x = int(rng.integers(0, max(1, log.shape[1] - texels(width))))
    low = log.shape[0] - round(bottom / TEXEL)
    return log[max(0, low - texels(height)) : low, x : x + texels(width)]


def framed(rng: Rng, part: Array, edge: float) -> Array:
    """Paint a frame ``edge`` metres wide round a part of a raster; what is inside it."""
    part[:] = np.log(reflectance(rng, 0.05))
    b = texels(edge)
    inner = part[b:-b, b:-b]
    inner[:] = np.log(reflectance(rng))
    return inner


def door(rng: Rng, log: Array) -> None:
    """A door with its frame and handle."""
    leaf = framed(rng, place(rng, log, 0.0, 2.05, 0.95), 0.06)
    y = leaf.shape[0] // 2
    leaf[y : y + texels(0.03), texels(0.06) : texels(0.18)] += rng.choice([-1.2, 0.8])


def window(rng: Rng, log: Array) -> None:
    """A bright or a dark window with a cross."""
    panes = framed(rng, place(rng, log, 0.9, 1.3, rng.uniform(0.8, 2.0)), 0.05)
    panes[:] = np.log(0.9 if rng.uniform() < 0.6 else 0.05)
    panes += 0.2 * clouds(rng, panes.shape[0], panes.shape[1], 4)
    bar = texels(0.025)
    rows, columns = panes.shape[0] // 2, panes.shape[1] // 2
    tone = np.log(reflectance(rng, 0.1))
    panes[rows - bar : rows + bar] = tone
    panes[:, columns - bar : columns + bar] = tone


def curtain(rng: Rng, log: Array) -> None:
    """Cloth in folds from top to bottom."""
    part = place(rng, log, 0.05, 2.6, rng.uniform(0.5, 1.8))
    x = np.arange(part.shape[1]) * TEXEL
    folds = np.sin(2 * np.pi * x / rng.uniform(0.08, 0.25) + 2 * np.sin(5 * x))
    part[:] = np.log(reflectance(rng, 0.06)) + rng.uniform(0.1, 0.4) * folds


def bookcase(rng: Rng, log: Array) -> None:
    """Shelves full of upright books."""
    boards = framed(rng, place(rng, log, 0.0, rng.uniform(0.8, 2.2), rng.uniform(0.6, 1.6)), 0.03)
    pitch = texels(rng.uniform(0.27, 0.4))
    for top in range(0, boards.shape[0], pitch):
        x = 0
        while x < boards.shape[1]:
            wide = texels(rng.uniform(0.02, 0.06))
            low = top + pitch - texels(0.03)
            book = boards[low - texels(rng.uniform(0.15, 0.26)) : low, x : x + wide]
            if rng.uniform() < 0.85:
                book[:] = np.log(reflectance(rng))
            x += wide


def poster(rng: Rng, log: Array) -> None:
    """A framed picture at eye level: blots, rectangles, lines of writing."""
    height, width = rng.uniform(0.25, 1.1, 2)
    sheet = framed(rng, place(rng, log, rng.uniform(0.9, 1.5), height, width), 0.02)
    sheet += rng.uniform(0.0, 0.5) * clouds(rng, sheet.shape[0], sheet.shape[1], 4)
    scatter(rng, sheet, 0.3)
    if rng.uniform() < 0.4:
        lines = np.arange(sheet.shape[0]) // texels(0.03) % 2 == 0
        sheet[lines] += 0.3 * rng.normal(size=(int(lines.sum()), sheet.shape[1]))


def paint_landscape(rng: Rng) -> Float32:
    """What is far away outdoors, on a raster like a wall's: sky above hills, trees or houses."""
    height, width = texels(WALL_HEIGHT), texels(SPAN)
    log = np.log(rng.uniform(0.5, 0.95)) + rng.uniform(0, 0.25) * clouds(rng, height, width, 6)
    for _ in range(int(rng.integers(1, 4))):
        top = rng.uniform(0.15, 0.6) * height
        skyline = top + rng.uniform(0.03, 0.12) * height * clouds(rng, 1, width, 9)[0]
        if rng.uniform() < 0.5:
            skyline += rng.uniform(1, 8) * grain(rng, 1, width, 3.0)[0]
        else:
            block = texels(rng.uniform(0.1, 0.5))
            skyline = np.repeat(skyline[::block], block)[:width]
        below = np.arange(height)[:, None] > height - skyline
        tuft = rng.uniform(0.03, 0.25)
        tone = np.log(reflectance(rng, 0.05, 0.5)) + tuft * grain(rng, height, width, 2.0)
        log[below] = tone[below]
    return finished(log)


def paint_plain(rng: Rng) -> Float32:
    """A plain surface, such as a ceiling or a studio's paper."""
    side = texels(SPAN)
    return finished(np.log(reflectance(rng, 0.06, 0.85)) + 0.06 * clouds(rng, side, side, 4))
