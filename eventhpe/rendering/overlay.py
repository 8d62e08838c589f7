"""The camera's picture: events in the colours of their polarity, and meshes laid over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eventhpe.events.stream import EventStream
from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.sequence import HELD, STATE_NAMES

Picture = NDArray[np.uint8]
Mesh = tuple[NDArray[np.floating], NDArray[np.integer]]
Colour = tuple[int, int, int]

# Okabe and Ito's palette, told apart with every common kind of colour vision. Orange events got
# brighter, blue ones darker; an estimate is green or, held, purple and striped; the truth yellow.
BACKGROUND = 24  # of 255, grey
POLARITY_COLOURS = np.array([[70, 150, 225], [230, 159, 0]], dtype=np.uint8)
STATE_COLOURS: dict[str, Colour] = {"tracked": (20, 200, 145), "held": (215, 130, 180)}
TRUTH_COLOUR: Colour = (240, 228, 66)
REGION_COLOUR: Colour = (190, 190, 190)
TEXT_COLOUR: Colour = (235, 235, 235)
ALPHA = 0.6
STRIPE = 5  # pixels

_ENOUGH_ROWS = 450
_MOST_COLUMNS, _MOST_ROWS = 32 / 15, 1.6  # of a panel, over the rows that are enough


@dataclass(frozen=True)
class Layout:
    """How large a panel shows a sensor of ``width`` x ``height`` pixels.

    Small sensors are enlarged by a whole factor until at least ``rows`` rows are filled, large
    ones shrunk until they have 1.6 as many rows, or too many columns (960x720 for 450 rows);
    pixel u of the sensor is then seen at (u + 0.5) scale - 0.5.
    """

    width: int
    height: int
    rows: int = _ENOUGH_ROWS

    @property
    def scale(self) -> float:
        """Enlargement factor, a whole number where it is above 1."""
        if self.height < self.rows:
            return float(-(-self.rows // self.height))
        most = self.rows * _MOST_COLUMNS / self.width, self.rows * _MOST_ROWS / self.height
        return min(1.0, *most)

    @property
    def panel(self) -> tuple[int, int]:
        """(width, height) of one panel."""
        return round(self.width * self.scale), round(self.height * self.scale)

    @property
    def caption(self) -> int:
        """Rows of the strip of text above a panel."""
        return 26

    def intrinsics(self, K: NDArray[np.floating]) -> NDArray[np.float64]:
        """The enlarged panel's intrinsics, by the half-pixel convention."""
        enlarge = np.array(
            [
                [self.scale, 0, (self.scale - 1) / 2],
                [0, self.scale, (self.scale - 1) / 2],
                [0, 0, 1],
            ]
        )
        return np.asarray(enlarge @ K, dtype=np.float64)

    def renderer(self, K: NDArray[np.floating], backend: str | None = None) -> MeshRenderer:
        """A renderer for one panel, from the sensor's intrinsics."""
        return MeshRenderer(*self.panel, self.intrinsics(K), backend)


@dataclass(frozen=True)
class Label:
    """What is written and drawn beside the mesh.

    Attributes:
        t_us: the window's end, microseconds from the recording's origin.
        state: index into ``STATE_NAMES``: absent draws no mesh, held another tint.
        confidence: 0..1.
        region: x0, y0, w, h in sensor pixels, or None; not drawn where empty or not finite.
    """

    t_us: int
    state: int
    confidence: float
    region: tuple[float, float, float, float] | None = None

    @property
    def text(self) -> str:
        """One line: time, state and confidence."""
        return f"{self.t_us / 1e6:8.3f} s   {STATE_NAMES[self.state]}   conf. {self.confidence:.2f}"


def event_picture(events: EventStream, scale: float = 1.0) -> Picture:
    """Each pixel in the colour of its last event's polarity, resized without smoothing.

    Returns (round(height * scale), round(width * scale), 3) uint8.
    """
    shape = (round(events.height * scale), round(events.width * scale), 3)
    picture = np.full(shape, BACKGROUND, dtype=np.uint8)
    block = max(1, int(scale))
    across = (np.arange(events.width) * scale).astype(np.int64).clip(max=shape[1] - block)
    down = (np.arange(events.height) * scale).astype(np.int64).clip(max=shape[0] - block)
    _paint(events.x, events.y, events.p, across, down, block, POLARITY_COLOURS, picture)
    return picture


class Figure(NamedTuple):
    """A mesh to draw: vertices (V, 3) before the renderer's camera, faces (F, 3), its colour."""

    vertices: NDArray[np.floating]
    faces: NDArray[np.integer]
    colour: Colour
    striped: bool = False


def estimate_figure(mesh: Mesh | None, state: int) -> Figure | None:
    """The estimate in its state's look; None where there is nobody."""
    colour = STATE_COLOURS.get(STATE_NAMES[state])
    return None if mesh is None or colour is None else Figure(*mesh, colour, state == HELD)


def draw_figures(
    picture: Picture, figures: Sequence[Figure], renderer: MeshRenderer, alpha: float
) -> None:
    """Lay meshes over a picture of the renderer's size, in place; the nearer one hides the other.

    Args:
        alpha: how much of a mesh is seen, against what it lies on; stripes show half as much.
    """
    nearest: NDArray[np.float32] = np.full(picture.shape[:2], np.inf, np.float32)
    colours = np.empty_like(picture)
    seen = np.zeros(picture.shape[:2], np.float32)
    for figure in figures:
        rgb, depth = renderer.draw(figure.vertices, figure.faces, figure.colour)
        _put(rgb, depth, alpha, figure.striped, nearest, colours, seen)
    _blend(picture, colours, seen)


def draw_body(
    picture: Picture, mesh: Mesh | None, label: Label, layout: Layout, renderer: MeshRenderer
) -> None:
    """Lay the mesh and the region's box over one panel, in place.

    Args:
        picture: events, as large as the layout's panel.
        mesh: vertices (V, 3) in the camera frame and faces (F, 3); None, or an absent person's,
            draws nothing.
        renderer: from ``layout.renderer``.
    """
    figure = estimate_figure(mesh, label.state)
    if figure is not None:
        draw_figures(picture, [figure], renderer, ALPHA)
    draw_region(picture, label.region, layout.scale)


def draw_region(
    picture: Picture, region: tuple[float, float, float, float] | None, scale: float
) -> None:
    """A one-pixel box around the sensor pixels of a region, cut at the picture's border."""
    if region is None or not (np.isfinite(region).all() and min(region[2:]) > 0):
        return
    x0, y0, w, h = region
    # Box edges lie on pixel borders: sensor pixel x0 begins at picture column x0 * scale.
    left, right = round(x0 * scale), round((x0 + w) * scale) - 1
    top, bottom = round(y0 * scale), round((y0 + h) * scale) - 1
    rows, columns = picture.shape[:2]
    across = slice(max(left, 0), max(right + 1, 0))
    down = slice(max(top, 0), max(bottom + 1, 0))
    for y in (top, bottom):
        if 0 <= y < rows:
            picture[y, across] = REGION_COLOUR
    for x in (left, right):
        if 0 <= x < columns:
            picture[down, x] = REGION_COLOUR


def write_text(
    picture: Picture, text: str | Sequence[str], rows: int, widest: Sequence[str] = ()
) -> None:
    """Write one line into the top ``rows`` of the picture, in place, as large as it fits.

    Args:
        text: of one piece, or of several.
        widest: as many texts that take the most room, where pieces shall keep their places.
    """
    pieces = [text] if isinstance(text, str) else list(text)
    width = picture.shape[1]
    strip = Image.new("RGB", (width, rows), (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(strip)
    size = rows * 0.6
    room = [font(size).getlength(piece) + size for piece in widest or pieces]
    size *= min(1.0, (width - 12) / (sum(room) - size))
    x = 6.0
    for piece, taken in zip(pieces, room, strict=True):
        draw.text((x, rows / 2), piece, fill=TEXT_COLOUR, font=font(size), anchor="lm")
        x += taken * size / (rows * 0.6)
    picture[:rows] = np.asarray(strip)


def mesh_colours() -> Picture:
    """(M, 3) what meshes look like: every tint, from dark to lit, over all that may lie behind."""
    tints = np.array([*STATE_COLOURS.values(), TRUTH_COLOUR], float)
    light = np.linspace(0.3, 1.25, 12)[:, None, None]
    shades = np.minimum(tints * light, 255).reshape(-1, 1, 3)
    behind = np.concatenate([np.full((1, 3), BACKGROUND), POLARITY_COLOURS])
    mixed = np.concatenate([a * shades + (1 - a) * behind for a in (ALPHA, 0.5 * ALPHA, 1.0)])
    return np.unique(mixed.reshape(-1, 3).round().astype(np.uint8), axis=0)


@cache
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, ``size`` pixels."""
    return ImageFont.load_default(size)


@njit(cache=True, nogil=True)
def _paint(xs, ys, ps, across, down, block, colours, picture):  # type: ignore[no-untyped-def]
    for i in range(len(xs)):
        x0, y0, p = across[xs[i]], down[ys[i]], ps[i]
        for y in range(y0, y0 + block):
            for x in range(x0, x0 + block):
                for k in range(3):
                    picture[y, x, k] = colours[p, k]


@njit(cache=True, nogil=True)
def _put(rgb, depth, alpha, striped, nearest, colours, seen):  # type: ignore[no-untyped-def]
    """Keep what is nearer than all before: its colour, depth, and how much of it is seen."""
    height, width = depth.shape
    for y in range(height):
        for x in range(width):
            if depth[y, x] < nearest[y, x]:
                nearest[y, x] = depth[y, x]
                colours[y, x] = rgb[y, x]
                faint = striped and (x + y) // STRIPE % 2 == 1
                seen[y, x] = 0.5 * alpha if faint else alpha


@njit(cache=True, nogil=True)
def _blend(picture, colours, seen):  # type: ignore[no-untyped-def]
    """picture = seen colours + (1 - seen) picture, in place."""
    height, width = seen.shape
    for y in range(height):
        for x in range(width):
            share = seen[y, x]
            if share > 0:
                for k in range(3):
                    mixed = share * colours[y, x, k] + (1 - share) * picture[y, x, k]
                    picture[y, x, k] = np.uint8(mixed + 0.5)
