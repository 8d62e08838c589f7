"""How good a motion is where there is no truth: its silhouettes against the events."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from eventhpe.body import Body
from eventhpe.events.recording import Recording
from eventhpe.events.undistortion import Undistortion
from eventhpe.rasterizer import rasterize
from eventhpe.sequence import ABSENT, MotionSequence


@dataclass(frozen=True)
class SilhouetteAgreement:
    """How events and the mesh's silhouette agree over a span.

    Attributes:
        inside: share of the region's events at most ``tolerance`` pixels from the silhouette
            (on it counts as 0).
        contour: share of the region's events at most ``tolerance`` pixels from its outline.
        covered: share of the silhouette's outline at most ``tolerance`` pixels from an event.
        events: number of events in the region.
    """

    inside: float
    contour: float
    covered: float
    events: int


def silhouette_agreement(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    tolerance: float,
    start_us: int,
    stop_us: int,
) -> SilhouetteAgreement:
    """Compare each step's events with its mesh's silhouette, over steps that end in the span.

    Args:
        tolerance: pixels of the sensor.
        start_us, stop_us: half-open span of step ends.
    """
    undistort = Undistortion(motion.camera) if motion.camera.bends else None
    near_body = near_contour = near_event = events_seen = contour_seen = 0
    steps = np.flatnonzero((motion.t_us >= start_us) & (motion.t_us < stop_us)).tolist()
    for i, (vertices, _) in zip(steps, motion.posed(body, steps), strict=True):
        if motion.state[i] == ABSENT:
            mask = np.zeros((motion.height, motion.width), bool)
        else:
            mask = rasterize(
                vertices, body.faces, motion.K, motion.width, motion.height, cull_backfaces=True
            ).silhouette
        t1 = int(motion.t_us[i])
        events = recording.read(t1 - motion.window_us, t1)
        if undistort is not None:  # the mesh and the region are of the undistorted image
            events = undistort(events)
        x0, y0, width, height = motion.region[i]
        inside = (events.x >= x0) & (events.x < x0 + width)
        inside &= (events.y >= y0) & (events.y < y0 + height)
        x, y = events.x[inside], events.y[inside]
        events_seen += len(x)
        if not mask.any():
            continue
        contour = mask & (distance_transform_edt(mask) <= 1.0)
        near_body += int((distance_transform_edt(~mask)[y, x] <= tolerance).sum())
        near_contour += int((distance_transform_edt(~contour)[y, x] <= tolerance).sum())
        fired = np.zeros_like(mask)
        fired[y, x] = True
        contour_seen += int(contour.sum())
        if fired.any():
            near_event += int((distance_transform_edt(~fired)[contour] <= tolerance).sum())
    return SilhouetteAgreement(
        near_body / max(events_seen, 1),
        near_contour / max(events_seen, 1),
        near_event / max(contour_seen, 1),
        events_seen,
    )
