"""One picture of the result: the events on the left, the mesh laid over them on the right."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eventhpe.events.stream import EventStream
from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.sequence import STATE_NAMES

Picture = NDArray[np.uint8]
Mesh = tuple[NDArray[np.floating], NDArray[np.integer]]
Colour = tuple[int, int, int]

# Okabe and Ito's palette, told apart with every common kind of colour vision. Orange events got
# brighter, blue ones darker; the body's two tints differ from both.
BACKGROUND = 24  # of 255, grey
POLARITY_COLOURS = np.array([[70, 150, 225], [230, 159, 0]], dtype=np.uint8)
STATE_COLOURS: dict[str, Colour] = {"tracked": (20, 200, 145), "held": (215, 130, 180)}
REGION_COLOUR: Colour = (240, 228, 66)
TEXT_COLOUR: Colour = (235, 235, 235)
ALPHA = 0.6

_ENOUGH_ROWS = 450
_GAP, _GAP_GREY = 4, 90


@dataclass(frozen=True)
class Layout:
    """Where things stand in the picture of a sensor of ``width`` x ``height`` pixels.

    Small sensors are enlarged by a whole factor ``scale`` until at least ``rows`` rows are
    filled; pixel u of the sensor is then seen at (u + 0.5) scale - 0.5. All picture sizes are
    even, as H.264 asks.
    """

    width: int
    height: int
    rows: int = _ENOUGH_ROWS

    @property
    def scale(self) -> int:
        """Whole enlargement factor, at least 1."""
        return max(1, -(-self.rows // self.height))

    @property
    def panel(self) -> tuple[int, int]:
        """(width, height) of one panel."""
        return self.width * self.scale, self.height * self.scale

    @property
    def caption(self) -> int:
        """Rows of the strip of text above the panels."""
        return 26 + self.panel[1] % 2

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the whole picture: two panels, a gap, and the caption above."""
        return 2 * self.panel[0] + _GAP, self.caption + self.panel[1]

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


def event_picture(events: EventStream, scale: int = 1) -> Picture:
    """Each pixel in the colour of its last event's polarity, enlarged without smoothing.

    Returns (height * scale, width * scale, 3) uint8.
    """
    shape = (events.height * scale, events.width * scale, 3)
    picture = np.full(shape, BACKGROUND, dtype=np.uint8)
    _paint(events.x, events.y, events.p, scale, POLARITY_COLOURS, picture)
    return picture


def draw_body(
    picture: Picture, mesh: Mesh | None, label: Label, layout: Layout, renderer: MeshRenderer
) -> None:
    """Lay the mesh and the region's box over one panel, in place.

    Args:
        picture: (H scale, W scale, 3) events.
        mesh: vertices (V, 3) in the camera frame and faces (F, 3); None, or an absent person's,
            draws nothing.
        renderer: from ``layout.renderer``.
    """
    colour = STATE_COLOURS.get(STATE_NAMES[label.state])
    if mesh is not None and colour is not None:
        rgb, mask = renderer.render(*mesh, colour=colour)
        _blend(picture, rgb, mask, np.float32(ALPHA))
    if label.region is not None:
        _outline(picture, label.region, layout.scale)


def overlay_frame(
    events: EventStream, mesh: Mesh | None, label: Label, layout: Layout, renderer: MeshRenderer
) -> Picture:
    """The video's frame: events left, the same events under the mesh right, a caption above.

    Args as in `draw_body`. Returns (height, width, 3) uint8 of ``layout.size``.

    Raises:
        ValueError: the events are of another sensor than the layout.
    """
    if (events.width, events.height) != (layout.width, layout.height):
        raise ValueError(
            f"events of {events.width}x{events.height}, layout of {layout.width}x{layout.height}"
        )
    width, height = layout.size
    frame = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    panel = event_picture(events, layout.scale)
    across = layout.panel[0]
    frame[layout.caption :, :across] = panel
    frame[layout.caption :, across : across + _GAP] = _GAP_GREY
    draw_body(panel, mesh, label, layout, renderer)
    frame[layout.caption :, across + _GAP :] = panel
    write_text(frame, f"{label.text}   {len(events):,} events", layout.caption)
    return frame


def write_text(picture: Picture, text: str, rows: int) -> None:
    """Write one line into the top ``rows`` of the picture, in place."""
    strip = Image.new("RGB", (picture.shape[1], rows), (BACKGROUND,) * 3)
    ImageDraw.Draw(strip).text(
        (6, rows / 2), text, fill=TEXT_COLOUR, font=_font(rows * 0.6), anchor="lm"
    )
    picture[:rows] = np.asarray(strip)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _outline(picture: Picture, region: tuple[float, float, float, float], scale: int) -> None:
    """A one-pixel box around the sensor pixels of the region, cut at the picture's border."""
    x0, y0, w, h = region
    if not (np.isfinite(region).all() and w > 0 and h > 0):
        return
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


@njit(cache=True, nogil=True)
def _paint(xs, ys, ps, scale, colours, picture):  # type: ignore[no-untyped-def]
    for i in range(len(xs)):
        x0, y0, p = xs[i] * scale, ys[i] * scale, ps[i]
        for y in range(y0, y0 + scale):
            for x in range(x0, x0 + scale):
                for k in range(3):
                    picture[y, x, k] = colours[p, k]


@njit(cache=True, nogil=True)
def _blend(picture, rgb, mask, alpha):  # type: ignore[no-untyped-def]
    """picture = alpha rgb + (1 - alpha) picture on the mask, in place."""
    height, width = mask.shape
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                for k in range(3):
                    mixed = alpha * rgb[y, x, k] + (1 - alpha) * picture[y, x, k]
                    picture[y, x, k] = np.uint8(mixed + 0.5)
