"""The filters of DHP19's reference scripts (Calabrese et al., CVPR Workshops 2019), in Numba.

In this order: hot pixels, background activity, the light of two infrared lamps. The reference
filters the mosaic of the four images (`datasets.dhp19_reading`) as if it were one sensor. So an
event in a camera's first or last column keeps company with the neighbouring camera's edge, which
is another place altogether; `Filters.CAMERA` judges each camera by itself.
"""

from enum import StrEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from datasets.dhp19_layout import CHANNELS, HEIGHT, WIDTH
from datasets.dhp19_reading import MOSAIC_WIDTH, MosaicEvents

HOT_EVENTS = 10_000
COMPANY_US = 70_000
INFRARED = ((780, 810, 115, 145), (1252, 1259, 136, 144))
"""x0, x1, y0, y1 in the mosaic's 1-based coordinates: x0 < X < x1 and y0 < Y < y1 is masked."""
_HOT, _MASKED, _BORDER = 1, 2, 4


class Filters(StrEnum):
    """Which background activity filter: the reference's on the mosaic, or one a camera."""

    REFERENCE = "reference"
    CAMERA = "camera"


def kept(events: MosaicEvents, filters: Filters = Filters.REFERENCE) -> NDArray[np.bool_]:
    """(N,) mask of the events that pass all three filters.

    1. A pixel with 10,000 events or more is hot and loses all of them; they are nobody's company.
    2. An event stays if the latest event among its 8 neighbours is at most 70,000 us old. Every
       event is company for later ones, masked and removed ones too.
       ``reference``: the map of latest times begins at 0, on the file's own clock, and events on
       the mosaic's border are nobody's company. ``camera``: no event is older than the first, and
       borders are like other pixels, but nothing reaches from one camera to another.
    3. Events in a mask of `INFRARED` go.

    Args:
        events: those between start and stop, in the file's order.
        filters: see step 2.
    """
    counts = np.zeros((HEIGHT, MOSAIC_WIDTH), np.uint32)
    _count(events.place, counts.ravel())
    flags = _HOT * (counts >= HOT_EVENTS).astype(np.uint8) | _masks()
    keep = np.empty(len(events.t), np.bool_)
    if not len(keep):
        return keep
    if filters == Filters.CAMERA:
        # Cells have a margin of a pixel around each camera, so that borders need no care; times
        # count from a moment before which company is too old for the first event.
        shape, origin = (HEIGHT + 2, MOSAIC_WIDTH + 2 * len(CHANNELS)), int(events.t.min())
        origin -= COMPANY_US + 1
    else:
        shape, origin = (HEIGHT, MOSAIC_WIDTH), 0
        flags[[0, -1]] |= _BORDER
        flags[:, [0, -1]] |= _BORDER
    latest = np.zeros(shape, np.uint32)
    _keep(events.t, events.place, flags.ravel(), latest, origin, keep)
    return keep


def _masks() -> NDArray[np.uint8]:
    """(260, 1384) flags of the infrared lamps' rectangles."""
    masks = np.zeros((HEIGHT, MOSAIC_WIDTH), np.uint8)
    for x0, x1, y0, y1 in INFRARED:
        masks[y0 : y1 - 1, x0 : x1 - 1] = _MASKED  # X = x0 + 1 is the column with index x0
    return masks


@njit(cache=True, nogil=True)
def _count(place, counts):  # type: ignore[no-untyped-def]
    for i in range(len(place)):
        counts[place[i]] += np.uint32(1)


@njit(cache=True, nogil=True)
def _keep(t, place, flags, latest, origin, keep):  # type: ignore[no-untyped-def]
    cells, stride = latest.reshape(-1), np.int64(latest.shape[1])
    margins = stride != MOSAIC_WIDTH
    for i in range(len(t)):
        here, flag = np.int64(place[i]), flags[place[i]]
        if flag & _HOT:
            keep[i] = False
            continue
        if margins:
            row, column = place[i] // np.uint32(MOSAIC_WIDTH), place[i] % np.uint32(MOSAIC_WIDTH)
            here = (row + 1) * stride + column + 1 + 2 * (column // np.uint32(WIDTH))
        now = np.int64(t[i]) - origin
        keep[i] = (now - np.int64(cells[here]) <= COMPANY_US) & (flag & _MASKED == 0)
        if flag & _BORDER:
            continue
        above, below, stamp = here - stride, here + stride, np.uint32(now)
        cells[above - 1], cells[above], cells[above + 1] = stamp, stamp, stamp
        cells[here - 1], cells[here + 1] = stamp, stamp
        cells[below - 1], cells[below], cells[below + 1] = stamp, stamp, stamp
