"""The overlay video: H.264 in mp4, written as it is drawn."""

from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.events.recording import Recording
from eventhpe.files import atomic_path
from eventhpe.rendering.moments import Orient, moments
from eventhpe.rendering.overlay import Layout, overlay_frame
from eventhpe.sequence import MotionSequence


class VideoWriter:
    """H.264 (yuv420p) frames into an mp4 file; use as a context manager.

    Args:
        path: where to write, under any name (the container does not follow from the suffix).
        fps: frames per second.

    Raises:
        InputError: PyAV is not installed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        try:
            self._av: Any = import_module("av")
        except ImportError as error:
            raise InputError(
                path, f"no video writer ({error})", "PyAV", 'Run: pip install "eventhpe[viz]"'
            ) from error
        self._container: Any = self._av.open(str(path), "w", format="mp4")
        # mp4 holds frame rates as fractions with denominators up to 65535.
        self._rate = Fraction(fps).limit_denominator(65535)
        self._stream: Any = None

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame (H, W, 3), all of the first one's size, H and W even.

        Raises:
            ValueError: an odd side (H.264 halves the colour planes), or another size.
        """
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            raise ValueError(f"frame of {frame.shape}: both sides must be even")
        if self._stream is None:
            # Drawing and encoding share the processor: "veryfast" leaves it to the drawing.
            options = {"preset": "veryfast", "crf": "20"}
            self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
        elif (self._stream.width, self._stream.height) != (width, height):
            raise ValueError(f"frame of {frame.shape} after others of another size")
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._container.mux(self._stream.encode(picture))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()


def render_overlay(
    motion: MotionSequence,
    recording: Recording,
    body: Body,
    out: Path,
    *,
    fps: float | None = None,
    progress: bool = True,
    orient: Orient | None = None,
    backend: str | None = None,
) -> str:
    """Write the overlay video of a motion, one frame a step, at real-time speed.

    Args:
        out: the mp4 file, written atomically.
        fps: frames per second; None plays in real time (1e6 / step_us).
        progress: show a bar on stderr.
        orient: turns or mirrors the events as was done at inference.
        backend: see `MeshRenderer`.

    Returns:
        The name of the backend that drew the meshes.

    Raises:
        InputError: the motion is empty or not of this recording and body, no video writer is
            installed, or ``out`` cannot be written.
        ValueError: ``fps`` is not positive.
    """
    steps = range(len(motion))
    if not steps:
        raise InputError("motion", "no steps", "at least one", "Infer over a longer stretch.")
    if fps is not None and fps <= 0:
        raise ValueError(f"fps is {fps:g}, not above 0")
    stream = moments(motion, recording, body, steps, orient)
    layout = Layout(motion.width, motion.height)
    rate = fps or 1e6 / motion.step_us
    with (
        atomic_path(out) as partial,
        layout.renderer(motion.K, backend) as renderer,
        VideoWriter(partial, rate) as video,
    ):
        for moment in tqdm(stream, total=len(steps), unit="frame", disable=not progress):
            mesh = None if moment.vertices is None else (moment.vertices, body.faces)
            video.write(overlay_frame(moment.events, mesh, moment.label, layout, renderer))
        return renderer.backend
