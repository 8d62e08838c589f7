"""How events become a network's input: one recipe, the same in training and in inference.

The recipe travels inside a network's card (`eventhpe.weights`), so that weights can never be fed
with windows of another length, other bins or another filter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventhpe.camera import Crop
from eventhpe.events.filters import BackgroundActivityFilter
from eventhpe.events.representations import binary_frame
from eventhpe.events.stream import EventStream

CLIP = 5.0  # input cells are clipped to this many RMS: a hot pixel must not dim the person


@dataclass(frozen=True)
class InputRecipe:
    """What a network was trained to see.

    Attributes:
        representation: ``voxel``, a signed grid bilinear in time (Zhu et al., CVPR 2019, eq. 1-2),
            or ``binary``, the binary frames of EventHPE (Zou et al., ICCV 2021, section 3.1).
        bins: temporal bins in a window, the network's event channels.
        window_us: length of a window in microseconds.
        size: side of the square input in pixels.
        background_activity_us: an event stays only if a neighbour fired within this time
            before it; 0 switches the filter off.

    Raises:
        ValueError: an unknown representation, or a number that is none or out of range.
    """

    representation: Literal["voxel", "binary"] = "voxel"
    bins: int = 8
    window_us: int = 50_000
    size: int = 64
    background_activity_us: int = 30_000

    def __post_init__(self) -> None:
        if self.representation not in ("voxel", "binary"):
            raise ValueError(f"unknown representation {self.representation!r}")
        for name, least in (
            ("bins", 1),
            ("window_us", 1),
            ("size", 1),
            ("background_activity_us", 0),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}, not a whole number from {least}")

    def noise_filter(self, width: int, height: int) -> Callable[[EventStream], NDArray[np.bool_]]:
        """A fresh filter for one recording: feed it consecutive blocks, each event once, and it
        says which events stay."""
        if self.background_activity_us == 0:
            return lambda events: np.ones(len(events), bool)
        return BackgroundActivityFilter(width, height, self.background_activity_us).keep

    def prepare(self, events: EventStream, t0: int, t1: int, crop: Crop) -> NDArray[np.float32]:
        """Accumulate the events of [t0, t1) and resample them to the crop.

        The grid lives on the sensor's pixels and is resized by area when it shrinks and
        bilinearly when it grows. Both steps are linear, so the voxel grid is built in one pass:
        each event is spread over the crop's pixels that its sensor pixel contributes to.

        Args:
            events: filtered events; those outside [t0, t1) are ignored.
            t0, t1: the window in microseconds, half-open.
            crop: square region of the sensor; its ``size`` is the recipe's.

        Returns:
            (bins, size, size) float32, divided by the root mean square of the non-zero cells
            and clipped to +-5; all zero for an empty window.

        Raises:
            ValueError: the crop's size is not the recipe's.
        """
        if crop.size != self.size:
            raise ValueError(f"crop of size {crop.size} for a recipe of size {self.size}")
        taps_x = axis_taps(events.width, crop.x0, crop.side, crop.size)
        taps_y = axis_taps(events.height, crop.y0, crop.side, crop.size)
        inside = events.between(t0, t1)
        if self.representation == "voxel":
            grid = np.zeros((self.size, self.size, self.bins), np.float32)
            _splat(
                inside.x, inside.y, inside.t, inside.p, t0, t1, *taps_x, *taps_y, grid
            )  # bins last: the two taps in time are neighbours in memory
            grid = np.ascontiguousarray(grid.transpose(2, 0, 1))
        else:
            frame = binary_frame(inside, t0, t1, self.bins)
            grid = np.zeros((self.bins, self.size, self.size), np.float32)
            _resample(frame, *taps_x, *taps_y, grid)
        return _normalise(grid)


def axis_taps(
    length: int, origin: float, side: float, size: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Which crop pixels each sensor pixel of one axis contributes to, and how much.

    Pixel j covers [j, j+1); the crop covers [origin, origin + side) with ``size`` pixels.
    Shrinking (size < side) averages by area; growing interpolates bilinearly.

    Returns:
        first (length,) index of the first crop pixel, count (length,) number of crop pixels,
        weights (length, most) float32.
    """
    scale = size / side
    # In crop pixels: area weights span the sensor pixel itself, bilinear ones its neighbours too.
    reach = 0.0 if scale < 1 else 0.5
    j = np.arange(length)
    low = (j - reach - origin) * scale - (0.5 if scale >= 1 else 0.0)
    high = (j + 1 + reach - origin) * scale - (0.5 if scale >= 1 else 0.0)
    first = np.clip(np.floor(low), 0, size).astype(np.int32)
    last = np.clip(np.ceil(high), 0, size).astype(np.int32)
    count = np.maximum(last - first, 0).astype(np.int32)
    most = max(int(count.max(initial=0)), 1)
    u = first[:, None] + np.arange(most)[None, :]
    if scale < 1:
        overlap = np.minimum(u + 1, high[:, None]) - np.maximum(u, low[:, None])
        weights = np.clip(overlap, 0.0, None)
    else:
        source = (u + 0.5) / scale - 0.5 + origin
        weights = np.clip(1.0 - np.abs(source - j[:, None]), 0.0, None)
    weights = np.where(np.arange(most)[None, :] < count[:, None], weights, 0.0)
    return first, count, weights.astype(np.float32)


@njit(cache=True, nogil=True)
def _splat(x, y, t, p, t0, t1, fx, nx, wx, fy, ny, wy, grid):  # type: ignore[no-untyped-def]
    bins = grid.shape[2]
    per_us = (bins - 1) / max(t1 - t0, 1)
    for i in range(len(t)):
        tau = (t[i] - t0) * per_us
        b = min(int(tau), bins - 1)
        late = np.float32(tau - b)
        sign = np.float32(1.0) if p[i] else np.float32(-1.0)
        column, row = x[i], y[i]
        for m in range(ny[row]):
            for n in range(nx[column]):
                value = sign * wy[row, m] * wx[column, n]
                cell = grid[fy[row] + m, fx[column] + n]
                cell[b] += value * (np.float32(1.0) - late)
                if late > 0:
                    cell[b + 1] += value * late


@njit(cache=True, nogil=True)
def _resample(frame, fx, nx, wx, fy, ny, wy, grid):  # type: ignore[no-untyped-def]
    for c in range(frame.shape[0]):
        for row in range(frame.shape[1]):
            for column in range(frame.shape[2]):
                value = frame[c, row, column]
                if value == 0:
                    continue
                for m in range(ny[row]):
                    for n in range(nx[column]):
                        grid[c, fy[row] + m, fx[column] + n] += value * wy[row, m] * wx[column, n]


@njit(cache=True, nogil=True)
def _normalise(grid):  # type: ignore[no-untyped-def]
    flat = grid.ravel()
    total, cells = 0.0, 0
    for value in flat:
        if value != 0:
            total += value * value
            cells += 1
    if cells > 0:
        gain = np.float32(1.0 / np.sqrt(total / cells))
        for i in range(len(flat)):
            flat[i] = min(max(flat[i] * gain, -CLIP), CLIP)
    return grid
