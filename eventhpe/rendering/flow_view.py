"""The optical flow that the networks read in the person's region, in colours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from datasets.networks import load_flownet
from eventhpe.camera import Crop, project
from eventhpe.errors import InputError
from eventhpe.events.stream import EventStream
from eventhpe.events.undistortion import Undistortion
from eventhpe.rendering.overlay import BACKGROUND, TEXT_COLOUR, Picture, font
from eventhpe.sequence import ABSENT, MotionSequence
from flownet.colours import flow_to_colour, wheel

MOST_PIXELS = 128  # a side of the network's input
NEAREST_M = 0.1  # joints nearer to the camera have no meaningful pixel
FAST_JOINTS_PERCENTILE = 95.0
_ROUND = (1.0, 2.0, 5.0, 10.0)


class FlowView:
    """Draws FlowNet's flow, window by window.

    Args:
        card: of the FlowNet.
        motion: its camera, window and regions are those of the windows to come.
        full: the speed that has the full colour, pixels of the sensor a second.
        side: of the picture, pixels.

    Raises:
        InputError: the card cannot be used, or its windows have another length than the motion's.
    """

    def __init__(self, card: Path, motion: MotionSequence, full: float, side: int) -> None:
        self._network, read = load_flownet(card)
        # The released ShapeNet reads flow at this size; larger costs time, and shows no more here.
        self._recipe = replace(read.recipe, size=min(read.recipe.size, MOST_PIXELS))
        if self._recipe.window_us != motion.window_us:
            raise InputError(
                card,
                f"windows of {self._recipe.window_us / 1000:g} ms",
                f"the motion's {motion.window_us / 1000:g} ms",
                "Give the FlowNet that the motion was made with, or leave out the view flow.",
            )
        self.full, self._side = full, side
        self._undistort = Undistortion(motion.camera) if motion.camera.bends else None
        self._keep = self._recipe.noise_filter(motion.width, motion.height)
        self._filtered = EventStream.empty(motion.width, motion.height)
        self._seen_until: int | None = None
        self._legend, self._legend_mask = self._wheel()

    def draw(self, events: EventStream, t1: int, region: NDArray[np.float32]) -> Picture:
        """The flow of a window in the region, (side, side, 3), where there are events.

        Args:
            events: of the window that ends at ``t1``; no window ends before an earlier one.
            t1: microseconds.
            region: (4,) x0, y0, width, height in pixels of the undistorted image.
        """
        t0 = t1 - self._recipe.window_us
        self._filter(events, t0, t1)
        picture = np.full((self._side, self._side, 3), BACKGROUND, np.uint8)
        x0, y0, side, _ = region.tolist()
        if side > 0:
            crop = Crop(x0, y0, side, self._recipe.size)
            tile = self._colours(crop, t0, t1)
            whole = Image.fromarray(tile).resize(picture.shape[:2], Image.Resampling.NEAREST)
            picture[:] = np.asarray(whole)
        picture[self._legend_mask] = self._legend[self._legend_mask]
        return picture

    def _colours(self, crop: Crop, t0: int, t1: int) -> Picture:
        grid = self._recipe.prepare(self._filtered, t0, t1, crop)
        with _one_thread(), torch.inference_mode():
            flow = self._network(torch.from_numpy(grid)[None])[-1][0]
            speed = flow / crop.scale / ((t1 - t0) * 1e-6)
            colours = (255 * flow_to_colour(speed, self.full)).round().to(torch.uint8)
        painted = colours.permute(1, 2, 0).numpy().copy()
        painted[~grid.any(axis=0)] = BACKGROUND
        return painted

    def _filter(self, events: EventStream, t0: int, t1: int) -> None:
        """Keep the window's events that pass the noise filter, which sees each event once."""
        since = t0 if self._seen_until is None else max(t0, self._seen_until)
        fresh = events.between(since, t1)
        if self._undistort is not None:
            fresh = self._undistort(fresh)
        fresh = fresh.masked(self._keep(fresh))
        self._seen_until = t1
        self._filtered = EventStream.concatenate([self._filtered.between(t0, since), fresh])

    def _wheel(self) -> tuple[Picture, NDArray[np.bool_]]:
        """The colour wheel in the lower right corner, its scale beside it, and the title."""
        size = self._side // 4
        image = Image.new("RGB", (self._side, self._side), (BACKGROUND,) * 3)
        draw = ImageDraw.Draw(image)
        mask = Image.new("L", image.size)
        round_picture = (255 * wheel(size)).round().to(torch.uint8).permute(1, 2, 0).numpy()
        corner = self._side - size - 6
        image.paste(Image.fromarray(np.ascontiguousarray(round_picture)), (corner, corner))
        ImageDraw.Draw(mask).ellipse([corner, corner, corner + size - 1, corner + size - 1], 255)
        texts = (
            ((6, 10), "optical flow in the region", "lm"),
            ((corner - 6, self._side - 6), f"rim: {self.full:g} px/s", "rb"),
        )
        for place, text, anchor in texts:
            draw.text(place, text, TEXT_COLOUR, font(13), anchor=anchor)
            box = draw.textbbox(place, text, font=font(13), anchor=anchor)
            ImageDraw.Draw(mask).rectangle(box, 255)
        return np.asarray(image), np.asarray(mask) > 0


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: those of the encoder share the cores, and waiting for one another the
    two came to a tenth of the speed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def full_speed(joints: NDArray[np.floating], motion: MotionSequence) -> float:
    """A round speed near that of the fastest joints of most steps in the image, px/s.

    Args:
        joints: (T, 24, 3) of the motion, camera frame, metres.
    """
    present = (motion.state != ABSENT) & (joints[..., 2] > NEAREST_M).all(axis=1)
    pairs = present[1:] & present[:-1]
    if not pairs.any():
        return 100.0
    pixels = project(np.maximum(joints, [-np.inf, -np.inf, NEAREST_M]).astype(float), motion.K)
    moved = np.linalg.norm(np.diff(pixels, axis=0), axis=2)[pairs]
    # The median step: an estimate that jumps once must not pale all the rest.
    of_steps = np.percentile(moved, FAST_JOINTS_PERCENTILE, axis=1)
    speed = float(np.median(of_steps)) / (motion.step_us * 1e-6)
    power = 10.0 ** np.floor(np.log10(max(speed, 1.0)))
    return float(next(power * step for step in _ROUND if power * step >= speed))
