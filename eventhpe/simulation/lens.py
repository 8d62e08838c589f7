"""The lens: a Gaussian blur, then the natural log of the intensity, inside a box of pixels.

The blur of about a pixel also smooths the hard edges that rasterizing leaves.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventhpe.simulation.sensor import Box

Float32 = NDArray[np.float32]

CUT_OFF = 0.005
"""Share of a Gaussian's weights, sampled at whole pixels, that may be left out; the blurred
image is wrong by at most twice that of its range."""

LN2 = np.float32(np.log(2.0))
# log2(1 + m) = m + m (1 - m) q(m) on 0..1: exact at both ends, so continuous over the octaves;
# q fitted by least squares at Chebyshev points, largest error 6e-6 octaves.
_NODES = 0.5 - 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 200)
_Q = np.polynomial.polynomial.polyfit(
    _NODES, (np.log2(1 + _NODES) - _NODES) / (_NODES * (1 - _NODES)), 5
).astype(np.float32)
Q0, Q1, Q2, Q3, Q4, Q5 = _Q


class Lens:
    """A lens's blur for images of one size; edges of the image repeat.

    Args:
        sigma: of the blur, pixels (0.3 to 1.5 is what lenses and pixels give).
        width, height: of the images.

    Attributes:
        radius: how far, in pixels, a changed pixel changes the blurred image.
        weights: (radius + 1,) float32, of the middle and of the pixels on either side; their sum
            over the ``2 radius + 1`` taps is 1.
    """

    def __init__(self, sigma: float, width: int, height: int) -> None:
        self.weights = gaussian_weights(sigma)
        self.radius = len(self.weights) - 1
        self.width, self.height = width, height
        self._column = np.empty(width + 2 * self.radius, np.float32)
        self._row = np.empty(width, np.float32)

    def log(self, image: Float32, box: Box, out: Float32) -> None:
        """Natural log of the blurred image, inside ``box``.

        Args:
            image: (H, W) float32 positive intensities, valid `radius` pixels beyond the box.
            box: pixels to write.
            out: (H, W) float32, written inside the box.
        """
        _lens_log(image, self.weights, box, self._column, self._row, self._row.view(np.int32), out)


def gaussian_weights(sigma: float) -> Float32:
    """Normalised Gaussian from its middle outward, of the fewest taps that leave out less than
    `CUT_OFF` of the whole."""
    weights = np.exp(-0.5 * (np.arange(int(8 * sigma) + 2) / sigma) ** 2)
    beyond = 2 * np.cumsum(weights[::-1])[::-1] / (2 * weights.sum() - weights[0])
    taps = max(int(np.argmax(beyond < CUT_OFF)), 1)
    weights = weights[:taps]
    return np.asarray(weights / (2 * weights.sum() - weights[0]), dtype=np.float32)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _lens_log(image, weights, box, column, row, bits, out):  # type: ignore[no-untyped-def]
    """Blur down the columns, then along the row, then the log; see `Lens.log`.

    ``column`` (W + 2 radius,) holds a row blurred vertically with its margins, ``row`` (W,) the
    result before the log, and ``bits`` is the same memory as int32.
    """
    height, width = image.shape
    x0, y0, x1, y1 = box
    radius = len(weights) - 1
    left, right = max(x0 - radius, 0), min(x1 + radius, width)
    for y in range(y0, y1):
        # Loops over views start at 0: without tests for negative indices they become SIMD code.
        blurred, here = column[left + radius : right + radius], image[y, left:right]
        for x in range(len(blurred)):
            blurred[x] = weights[0] * here[x]
        for k in range(1, radius + 1):
            above = image[max(y - k, 0), left:right]
            below = image[min(y + k, height - 1), left:right]
            for x in range(len(blurred)):
                blurred[x] += weights[k] * (above[x] + below[x])
        if left == 0:
            column[:radius] = column[radius]
        if right == width:
            column[width + radius :] = column[width + radius - 1]
        total, middle = row[: x1 - x0], column[x0 + radius : x1 + radius]
        for x in range(len(total)):
            total[x] = weights[0] * middle[x]
        for k in range(1, radius + 1):
            before, after = column[x0 + radius - k :], column[x0 + radius + k :]
            for x in range(len(total)):
                total[x] += weights[k] * (before[x] + after[x])
        _log(bits[: x1 - x0], out[y, x0:x1])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _log(bits, out):  # type: ignore[no-untyped-def]
    """Natural logs of the positive normal float32 numbers whose bits are given as int32."""
    for x in range(len(out)):
        m = np.float32(bits[x] & 0x7FFFFF) * np.float32(1.0 / 8388608.0)
        q = Q0 + m * (Q1 + m * (Q2 + m * (Q3 + m * (Q4 + m * Q5))))
        octave = np.float32((bits[x] >> 23) - 127)
        out[x] = LN2 * (octave + m + m * (np.float32(1.0) - m) * q)
