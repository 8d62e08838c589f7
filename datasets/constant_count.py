"""DHP19's frames of constant event count, after its reference scripts (facts: dhp19.md)."""

import numpy as np
from numpy.typing import NDArray

from eventhpe.events.representations import count_image
from eventhpe.events.stream import EventStream

EVENTS_A_CAMERA = 7500
LEAST_SIGMA = 0.1 / 255


def constant_count_frame(events: EventStream) -> NDArray[np.uint8]:
    """The picture of one camera's events: counts, polarity ignored, as `normalised` scales them.

    The reference takes the events of all four cameras 30,000 at a time, about `EVENTS_A_CAMERA`
    each.

    Args:
        events: those of one frame.

    Returns:
        (H, W) uint8; all 0 without events.
    """
    return normalised(count_image(events).sum(axis=0, dtype=np.float64))


def normalised(counts: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Event counts (H, W) of one camera as a picture, scaled by 3 sigma.

    With sigma the sample standard deviation (N - 1) over the pixels that have events, but at
    least 0.1/255, a count v becomes min(255, floor(255 v / (3 sigma))). With a single active
    pixel sigma is 0, so the least.
    """
    active = counts[counts > 0]
    sigma = max(float(active.std(ddof=1)) if len(active) > 1 else 0.0, LEAST_SIGMA)
    return np.minimum(255, np.floor(255 * counts / (3 * sigma))).astype(np.uint8)
