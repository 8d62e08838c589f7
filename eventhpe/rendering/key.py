"""The key beside the pictures: what each colour means."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw

from eventhpe.rendering.errors import FULL_MM, error_colours
from eventhpe.rendering.overlay import (
    BACKGROUND,
    POLARITY_COLOURS,
    REGION_COLOUR,
    STATE_COLOURS,
    STRIPE,
    TEXT_COLOUR,
    TRUTH_COLOUR,
    Colour,
    Picture,
    font,
)

_MOST_ROW, _SWATCH, _LEFT = 19, 13, 8
_DIM = (170, 170, 170)
_SCALE_ROWS = 3  # that the scale of errors takes


def key_picture(size: tuple[int, int], *, truth: bool, notes: list[str]) -> Picture:
    """The key, drawn once, in lines as high as fit.

    Args:
        size: (width, height), pixels.
        truth: whether there is one, and so errors.
        notes: lines of text to stand below; each is broken where it is too long.
    """
    off, on = (_colour(c) for c in POLARITY_COLOURS.tolist())
    entries: list[tuple[Colour, str, str]] = [
        (on, "event: got brighter", "full"),
        (off, "event: got darker", "full"),
        (STATE_COLOURS["tracked"], "estimate, tracked", "full"),
        (STATE_COLOURS["held"], "estimate, held", "striped"),
    ]
    if truth:
        entries.append((TRUTH_COLOUR, "truth", "full"))
    entries.append((REGION_COLOUR, "person's region", "framed"))
    broken = [line for note in notes for line in textwrap.wrap(note, (size[0] - 16) // 7)]
    lines = len(entries) + truth * _SCALE_ROWS + len(broken)
    row = min(_MOST_ROW, (size[1] - 8) // lines)
    writer = _Writer(Image.new("RGB", size, (BACKGROUND,) * 3), row)
    for colour, text, look in entries:
        writer.entry(_swatch(colour, look), text)
    if truth:
        writer.error_scale()
    for line in broken:
        writer.text(_LEFT, line, _DIM)
        writer.y += row
    return np.asarray(writer.image)


class _Writer:
    """Writes line by line."""

    def __init__(self, image: Image.Image, row: int) -> None:
        self.image, self.row = image, row
        self.y = 4 + row // 2
        self._draw = ImageDraw.Draw(image)

    def text(self, x: float, text: str, colour: Colour, anchor: str = "lm") -> None:
        """Into the line where it stands."""
        size = min(13.0, 0.75 * self.row)
        self._draw.text((x, self.y), text, colour, font(size), anchor=anchor)

    def entry(self, swatch: Picture, text: str) -> None:
        """A line with a swatch before it."""
        self.image.paste(Image.fromarray(swatch), (_LEFT, self.y - _SWATCH // 2))
        self.text(_LEFT + 2 * _SWATCH, text, TEXT_COLOUR)
        self.y += self.row

    def error_scale(self) -> None:
        """Its title, its colours, and its ends."""
        self.text(_LEFT, "error of a joint, hips aligned", TEXT_COLOUR)
        self.y += self.row
        width = self.image.width - 2 * _LEFT
        columns = np.linspace(0, 255, width).astype(int)
        bar = np.repeat(error_colours()[columns][None], 10, axis=0)
        self.image.paste(Image.fromarray(bar), (_LEFT, self.y - 5))
        self.y += self.row
        for share, anchor in ((0.0, "lm"), (0.5, "mm"), (1.0, "rm")):
            text = f"{share * FULL_MM:g}" + (" mm" if share == 1 else "")
            self.text(_LEFT + share * width, text, TEXT_COLOUR, anchor)
        self.y += self.row


def _colour(values: list[int]) -> Colour:
    red, green, blue = values
    return red, green, blue


def _swatch(colour: Colour, look: str) -> Picture:
    rows, columns = np.indices((_SWATCH, _SWATCH))
    square: Picture = np.full((_SWATCH, _SWATCH, 3), colour, np.uint8)
    if look == "striped":
        square[(rows + columns) // STRIPE % 2 == 1] = BACKGROUND
    elif look == "framed":
        square[1:-1, 1:-1] = BACKGROUND
    return square
