"""Samples of an accelerometer beside the events of a recording."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STANDARD_GRAVITY = 9.80665  # m/s^2, CGPM 1901


@dataclass(frozen=True, eq=False)
class Inertia:
    """What a recording's accelerometer measured: at rest, it is pushed up by 1 g.

    Attributes:
        t_us: (N,) int64 microseconds from the recording's origin.
        force: (N, 3) float64 specific force in the sensor's axes, m/s^2.
        to_camera: (3, 3) turns those axes into the camera's (x right, y down, z forward) as it
            stood; None where the format does not say how they lie.
    """

    t_us: NDArray[np.int64]
    force: NDArray[np.float64]
    to_camera: NDArray[np.float64] | None = None
