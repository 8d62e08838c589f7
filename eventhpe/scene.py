"""What the pipeline assumes of a scene, one person and a static camera, watched while it runs.

Works on events alone and costs a small part of a step. All thresholds were set on the recordings
that docs/limits.md names.
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eventhpe.events.stream import EventStream

EVERY_US = 50_000  # a look at the scene takes at least this long
LEAST_BLOCK = 4.0  # pixels a side of the blocks in which events are counted ...
MOST_BLOCKS = 96  # ... which grow so that there are no more along the longer side
CELL = 4  # blocks along a cell's side: enough to see whether events lie on edges or evenly
TILES = 4  # the picture is divided into so many tiles a side

CELL_EVENTS = 16  # a cell with fewer events says nothing
EDGES = 0.4  # relative variance of a cell's blocks beyond Poisson's; noise and flicker stay below
TILE_SHARE = 0.15  # share of its cells that makes a tile fire
MOVING_TILES = 12  # of 16 tiles: a near person leaves more of the picture alone
MOVING_S, MOVING_SHARE = 1.0, 0.25  # so long, or this share of a shorter recording

MOST_EVENTS = 50_000  # of more, every n-th is counted: relative variances do not change by it

MEMORY_S = 10.0  # so long, a limb that moved now and then counts as part of its person
NOISE_FLOOR = 3.0  # a block is active when it has so many times the median block's events
OCCUPIED = 0.02  # share of the memory's time for which a block of a person is active
LEAST_BLOCKS = 3  # fewer blocks together are no part of a person
LEAST_HEIGHT = 0.2  # of the picture: what is smaller is not taken for a person
ALIKE = 0.4  # of two people, the smaller is at least so tall beside the taller
GAP = 0.1  # columns without activity between two people, over the taller one's height
TWO_S, TWO_SHARE = 2.0, 0.1  # so long, and at least this share of the recording


class SceneWatch:
    """Tells a moving camera and a second person from what the pipeline is made for.

    Args:
        width, height: sensor size in pixels.
        roi: x, y, width, height of the part of the picture that is looked at; None is all of it.

    Attributes:
        moving_s, two_s: seconds in which most of the picture changed, and two things moved.
    """

    def __init__(
        self, width: int, height: int, roi: tuple[int, int, int, int] | None = None
    ) -> None:
        x0, y0, w, h = roi or (0, 0, width, height)
        self._w, self._h = min(w, width - x0), min(h, height - y0)
        block = max(LEAST_BLOCK, max(self._w, self._h) / MOST_BLOCKS)
        self._columns = CELL * max(round(self._w / (CELL * block)), 1)
        self._rows = CELL * max(round(self._h / (CELL * block)), 1)
        # Tables, because dividing every event's place costs more than all the rest.
        self._column_of = (np.arange(width) - x0).clip(0, self._w - 1) * self._columns // self._w
        self._row_of = (np.arange(height) - y0).clip(0, self._h - 1) * self._rows // self._h
        self._occupied: NDArray[np.float64] = np.zeros((self._rows, self._columns))
        self._until: int | None = None
        self._seconds = 0.0
        self.moving_s = self.two_s = 0.0

    def update(self, events: EventStream, t0: int, t1: int) -> None:
        """Look at a window's events; calls sooner than 50 ms after the last look are passed over.

        Args:
            events: of the window, after the noise filter, all of them inside the ROI.
            t0, t1: the window in microseconds.
        """
        since = t0 if self._until is None else self._until
        if t1 < since + EVERY_US:
            return
        seconds = (t1 - since) * 1e-6
        self._until = t1
        self._seconds += seconds
        counts = self._count(events)
        moving = _fires_all_over(counts)
        fade = math.exp(-seconds / MEMORY_S)
        active = counts > max(1.0, NOISE_FLOOR * float(np.median(counts)))
        self._occupied = fade * self._occupied + (1 - fade) * active
        if moving:
            self.moving_s += seconds
        elif _two_people(self._occupied > OCCUPIED, self._h / self._rows, self._w / self._columns):
            self.two_s += seconds

    def warnings(self) -> tuple[str, ...]:
        """One line for each assumption that the recording so far breaks."""
        total = max(self._seconds, 1e-9)
        found = []
        if self.moving_s and self.moving_s >= min(MOVING_S, MOVING_SHARE * total):
            found.append(
                f"the camera seems to move: most of the picture changes in "
                f"{self.moving_s / total:.0%} of the time; a static camera is assumed"
            )
        if self.two_s >= max(TWO_S, TWO_SHARE * total):
            found.append(
                f"two people, or another thing as large, seem to move in "
                f"{self.two_s / total:.0%} of the time; choose one with --roi X,Y,W,H"
            )
        return tuple(found)

    def _count(self, events: EventStream) -> NDArray[np.float64]:
        """Events of each block, (rows, columns)."""
        step = len(events) // MOST_EVENTS + 1
        column = self._column_of[events.x[::step]]
        row = self._row_of[events.y[::step]]
        size = self._rows * self._columns
        counts = np.bincount(row * self._columns + column, minlength=size)
        return counts.reshape(self._rows, self._columns).astype(np.float64)


def _fires_all_over(counts: NDArray[np.float64]) -> bool:
    """Whether edges move in nearly all parts of the picture.

    Edges crowd the events of a cell into few of its blocks. Noise and flicker spread them, and
    what the relative variance of the blocks has beyond Poisson's does not grow with their number.
    """
    rows, columns = counts.shape[0] // CELL, counts.shape[1] // CELL
    if min(rows, columns) < TILES:
        return False  # too small a picture to have parts
    cells = counts.reshape(rows, CELL, columns, CELL).swapaxes(1, 2).reshape(rows, columns, -1)
    mean = cells.mean(axis=-1)
    enough = mean * CELL**2 >= CELL_EVENTS
    excess = (cells.var(axis=-1, ddof=1) - mean) / np.where(enough, mean, 1.0) ** 2
    edges = (enough & (excess > EDGES)).astype(np.float64)
    y, x = (np.arange(TILES) * n // TILES for n in (rows, columns))
    hits = np.add.reduceat(np.add.reduceat(edges, y, axis=0), x, axis=1)
    sizes = np.outer(np.diff(y, append=rows), np.diff(x, append=columns))
    return int((hits > TILE_SHARE * sizes).sum()) >= MOVING_TILES


def _two_people(mask: NDArray[np.bool_], block_h: float, block_w: float) -> bool:
    """Whether two things in the mask are person-sized, upright, alike and side by side.

    Things are told apart by columns without activity: one person's trunk lies between the arms,
    and over seconds it moves too.

    Args:
        mask: (rows, columns) blocks that were active.
        block_h, block_w: a block's sides in pixels.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    mask = mask & (sizes >= LEAST_BLOCKS)[labels]
    edges = np.diff(mask.any(axis=0).astype(np.int8), prepend=0, append=0)
    people: list[tuple[int, int, float]] = []
    for left, right in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        rows = np.flatnonzero(mask[:, left:right].any(axis=1))
        tall = float(rows[-1] + 1 - rows[0]) * block_h
        if tall >= max(LEAST_HEIGHT * len(mask) * block_h, (right - left) * block_w):
            people.append((int(left), int(right), tall))
    return any(
        min(tall, other_tall) >= ALIKE * max(tall, other_tall)
        and (other_left - right) * block_w >= GAP * max(tall, other_tall)
        for (_, right, tall), (other_left, _, other_tall) in itertools.combinations(people, 2)
    )
