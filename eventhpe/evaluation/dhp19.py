"""DHP19's protocols: at which moments, against which labels, and by which distances.

Methods are compared at the moments of the data set's constant-count frames and against those
frames' labels, as the published ones were (`frame_moments`). Everything is in DHP19's world, and
pixels are those of its published matrices, skew and all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.dhp19 import Fit, Markers, skewless_camera
from datasets.dhp19_frames import FRAME_EVENTS, mean_of_seen, nearest_sample
from datasets.dhp19_layout import HEIGHT, VICON_PERIOD_US
from eventhpe.body import Body
from eventhpe.body.joints import DHP19_NAMES, DHP19_TO_SMPL
from eventhpe.camera import DHP19_MATRICES
from eventhpe.events.recording import open_recording
from eventhpe.fusion import FusedMotion
from eventhpe.sequence import MotionSequence
from eventhpe.simulation.motion.retargeting import world_rotations

Float64 = NDArray[np.float64]

HIPS = (DHP19_NAMES.index("hipR"), DHP19_NAMES.index("hipL"))
LAST_COLUMN, LAST_ROW = 344, 260  # labels beyond do not count


@dataclass(frozen=True)
class Moments:
    """When a recording is scored, and against what.

    Attributes:
        t_us: (F,) mean times of the labels' samples, from the start mark.
        mm: (F, 13, 3) labels in DHP19's world, NaN where a marker was hidden throughout.
    """

    t_us: Float64
    mm: Float64

    def within(self, first_us: int, last_us: int) -> "Moments":
        """Those in [first, last]."""
        kept = (self.t_us >= first_us) & (self.t_us <= last_us)
        return Moments(self.t_us[kept], self.mm[kept])


def frame_moments(
    recordings: Sequence[Path], markers: Markers, events_a_frame: int = FRAME_EVENTS
) -> Moments:
    """The labels of the reference's frames of constant event count.

    A frame ends with every ``events_a_frame``-th event of the cameras together. Its label is the
    mean, without hidden ones, of Vicon's samples from the one nearest to the end of the frame
    before (of the first frame, sample 0) to the one nearest to its own end; frames end when the
    samples do.

    Args:
        recordings: of all four cameras.
        markers: on the same clock.

    Raises:
        InputError: a recording cannot be read.
    """
    t = np.concatenate(
        [chunk.t for path in recordings for chunk in open_recording(path).chunks()]
        or [np.empty(0, np.int64)]
    )
    ends = np.sort(t)[events_a_frame - 1 :: events_a_frame]
    nearest = np.array([nearest_sample(int(end)) for end in ends], np.int64)
    nearest = nearest[: np.searchsorted(nearest, len(markers.mm))]
    before = np.concatenate([[0], nearest])[: len(nearest)]
    labels = np.full((len(nearest), *markers.mm.shape[1:]), np.nan)
    for frame, (first, last) in enumerate(zip(before, nearest, strict=True)):
        labels[frame] = mean_of_seen(markers.mm[first : last + 1])
    return Moments((before + nearest) / 2 * VICON_PERIOD_US, labels)


@dataclass(frozen=True)
class WorldMotion:
    """A body's motion in DHP19's world, metres.

    Attributes:
        t_us: (T,) from the start mark.
        joints: (T, 24, 3).
        turns: (T, 24, 3, 3) rotations of the bones in the world.
    """

    t_us: NDArray[np.int64]
    joints: Float64
    turns: Float64

    @classmethod
    def of_fit(cls, fit: Fit) -> "WorldMotion":
        """The fit itself, which no method can beat but by chance."""
        turns = world_rotations(fit.rotations.astype(np.float64))
        return cls(fit.t_us, fit.joints.astype(np.float64), turns)

    @classmethod
    def of_camera(cls, motion: MotionSequence, channel: int, body: Body) -> "WorldMotion":
        """A motion in the frame of `datasets.dhp19.skewless_camera`."""
        camera = skewless_camera(channel)
        joints = np.stack([joints for _, joints in motion.posed(body)]).astype(np.float64)
        orient, pose = (part.numpy().astype(np.float64) for part in motion.matrices())
        rotations = np.concatenate([(camera.R.T @ orient)[:, None], pose], axis=1)
        return cls(motion.t_us, (joints - camera.t) @ camera.R, world_rotations(rotations))

    @classmethod
    def of_fused(cls, motion: FusedMotion, body: Body) -> "WorldMotion":
        """A motion of several cameras (`eventhpe.fusion`)."""
        turns = world_rotations(motion.rotations.numpy().astype(np.float64))
        return cls(motion.t_us, motion.joints(body).numpy().astype(np.float64), turns)

    def labels_mm(self, t_us: Float64, offsets: Float64 | None) -> Float64:
        """Where this motion puts the 13 labels at times (F,): (F, 13, 3) millimetres.

        Between steps places are interpolated linearly.

        Args:
            offsets: (13, 3) of the markers from their joints, in the bones' frames, metres; None
                takes the nominal joints themselves.
        """
        nominal = list(DHP19_TO_SMPL)
        points = self.joints[:, nominal]
        if offsets is not None:
            points = points + (self.turns[:, nominal] @ offsets[..., None])[..., 0]
        flat = points.reshape(len(points), -1).T
        columns = [np.interp(t_us, self.t_us, column) for column in flat]
        return 1000 * np.stack(columns, axis=-1).reshape(len(t_us), *points.shape[1:])


def pixels(mm: Float64, channel: int) -> Float64:
    """World points (..., 3) in millimetres to (..., 2) column and row of a camera."""
    P = DHP19_MATRICES[channel]
    u, v, w = np.moveaxis(mm @ P[:, :3].T + P[:, 3], -1, 0)
    return np.stack([u / w, HEIGHT - v / w], axis=-1)


def triangulate(seen: Float64, channels: Sequence[int]) -> Float64:
    """World points from their pixels in several cameras, linearly.

    Each view gives the equations u p3 - p1 and v p3 - p2 of the homogeneous point; the singular
    vector of the least singular value solves them (Hartley & Zisserman 2004, 12.2).

    Args:
        seen: (C, ..., 2) columns and rows.
        channels: of the C cameras.

    Returns:
        (..., 3) millimetres; NaN where a pixel is.
    """
    rows = []
    for view, channel in zip(seen, channels, strict=True):
        P = DHP19_MATRICES[channel] * [1000, 1000, 1000, 1]  # metres condition the equations
        u, v = view[..., 0, None], HEIGHT - view[..., 1, None]
        rows += [u * P[2] - P[0], v * P[2] - P[1]]
    equations = np.stack(rows, axis=-2)
    known = np.isfinite(equations).all(axis=(-1, -2))
    points = np.full((*known.shape, 3), np.nan)
    homogeneous = np.linalg.svd(equations[known])[2][:, -1]
    points[known] = 1000 * homogeneous[:, :3] / homogeneous[:, 3:]
    return points


def distances(pred: Float64, truth: Float64) -> Float64:
    """(K,) distances of the points (F, 13, D) that both have."""
    found = np.linalg.norm(pred - truth, axis=-1)
    return np.asarray(found[np.isfinite(found)])


def hips_centred(mm: Float64) -> Float64:
    """Points (F, 13, 3) about the midpoint of the hips; NaN where a hip is hidden."""
    return np.asarray(mm - mm[:, list(HIPS)].mean(axis=1, keepdims=True))


def label_pixels(mm: Float64, channel: int) -> Float64:
    """The 2D protocol's labels (F, 13, 2): whole pixels, cut off; NaN where they do not count."""
    cut = np.trunc(pixels(mm, channel))
    column, row = cut[..., 0], cut[..., 1]
    counts = (column > 0) & (column <= LAST_COLUMN) & (row > 0) & (row <= LAST_ROW)
    return np.where(counts[..., None], cut, np.nan)
