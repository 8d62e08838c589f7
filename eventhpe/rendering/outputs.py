"""Where frames go: an mp4 or GIF file, or a folder of PNG pictures; whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eventhpe.errors import InputError
from eventhpe.files import atomic_path, ensure_frames_folder, ensure_writable, frames_folder
from eventhpe.rendering.overlay import mesh_colours

SUFFIXES = (".mp4", ".gif")
GIF_COLUMNS, GIF_FPS = 960, 10.0
_FRAME = r"frame_\d{6}\.png"


class Output(Protocol):
    """What takes frames (H, W, 3), all of one size."""

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one."""


@contextmanager
def open_output(out: Path, fps: float) -> Iterator[Output]:
    """The writer that the name asks for: NAME.mp4, NAME.gif, or a folder for PNG frames.

    Raises:
        InputError: another suffix, no writer is installed, or the place cannot be written.
    """
    if is_folder(out):
        with frames_folder(out, _FRAME) as partial:
            yield FrameWriter(partial)
        return
    with atomic_path(out) as partial:
        kind = VideoWriter if out.suffix.lower() == ".mp4" else GifWriter
        with kind(partial, fps) as video:
            yield video


def is_folder(out: Path) -> bool:
    """Whether frames are written as pictures into a folder.

    Raises:
        InputError: the suffix is none that is known.
    """
    if out.suffix.lower() in SUFFIXES:
        return False
    if out.suffix and not out.is_dir():
        expected = "NAME.mp4, NAME.gif, or a folder (without suffix) for PNG frames"
        raise InputError(out, f"the suffix {out.suffix!r}", expected, "Choose one of these.")
    return True


def ensure_output(out: Path, *, replace: bool) -> None:
    """Raise at once what `open_output` would raise after the work, or that something stands there.

    Args:
        replace: whether a video, or a folder of frames, may be replaced.

    Raises:
        InputError: as `open_output`, a name that is taken, or a folder that holds other things
            than frames.
    """
    if not is_folder(out):
        ensure_writable(out, replace=replace)
        return
    ensure_frames_folder(out, _FRAME, replace=replace)


def usual_fps(out: Path, step_us: int) -> float:
    """Frames per second of a video at full speed: one a step, and few in a GIF."""
    fps = 1e6 / step_us
    return min(fps, GIF_FPS) if out.suffix.lower() == ".gif" else fps


class FrameWriter:
    """Numbered PNG pictures in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame (H, W, 3)."""
        path = self._folder / f"frame_{self._count:06d}.png"
        # Noise hardly shrinks: the fastest compression takes a third of the time.
        Image.fromarray(frame).save(path, compress_level=1)
        self._count += 1


class _AvWriter:
    """One stream of pictures through PyAV."""

    _container: Any
    _stream: Any = None

    def __init__(self, path: Path, kind: str, fps: float) -> None:
        try:
            self._av: Any = import_module("av")
        except ImportError as error:
            raise InputError(
                path, f"no video writer ({error})", "PyAV", 'Run: pip install "eventhpe[viz]"'
            ) from error
        self._container = self._av.open(str(path), "w", format=kind)
        self._rate = Fraction(fps).limit_denominator(65535)

    def _append(self, picture: Any) -> None:
        if (self._stream.width, self._stream.height) != (picture.width, picture.height):
            size = f"{picture.width}x{picture.height}"
            raise ValueError(f"frame of {size} after others of another size")
        self._container.mux(self._stream.encode(picture))

    def _open(self, codec: str, size: tuple[int, int], pixels: str, **options: Any) -> None:
        self._stream = self._container.add_stream(codec, rate=self._rate, **options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = pixels

    def __exit__(self, *_: object) -> None:
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()


class VideoWriter(_AvWriter):
    """H.264 (yuv420p) frames into an mp4 file; use as a context manager.

    Args:
        path: where to write, under any name (the container does not follow from the suffix).
        fps: frames per second.

    Raises:
        InputError: PyAV is not installed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        super().__init__(path, "mp4", fps)

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame (H, W, 3), all of the first one's size, H and W even.

        Raises:
            ValueError: an odd side (H.264 halves the colour planes), or another size.
        """
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            raise ValueError(f"frame of {frame.shape}: both sides must be even")
        if self._stream is None:
            # Drawing and encoding share the processor: "superfast" leaves it to the drawing.
            # A whole picture at least every 20th frame: who seeks need not wait for hundreds.
            options = {"preset": "superfast", "crf": "22", "g": "20"}
            self._open("libx264", (width, height), "yuv420p", options=options)
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._append(picture)

    def __enter__(self) -> "VideoWriter":
        return self


class GifWriter(_AvWriter):
    """An animated GIF of at most `GIF_COLUMNS` columns; use as a context manager.

    All frames have one palette, made of the first and of what meshes look like: one that changed
    would flicker, and the encoder could not leave out what stays.

    Args:
        path: where to write, under any name.
        fps: frames per second; GIF knows hundredths of a second.

    Raises:
        InputError: PyAV is not installed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        super().__init__(path, "gif", fps)
        self._palette: Image.Image | None = None

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame (H, W, 3), all of the first one's size.

        Raises:
            ValueError: another size.
        """
        picture = Image.fromarray(frame)
        if picture.width > GIF_COLUMNS:
            size = GIF_COLUMNS, round(picture.height * GIF_COLUMNS / picture.width)
            picture = picture.resize(size, Image.Resampling.BOX)
        if self._stream is None:
            self._open("gif", picture.size, "pal8")
        if self._palette is None:
            self._palette = _palette(picture)
        indexed = picture.quantize(palette=self._palette, dither=Image.Dither.NONE)
        self._append(
            self._av.VideoFrame.from_ndarray(
                (np.asarray(indexed), _argb(self._palette)), format="pal8"
            )
        )

    def __enter__(self) -> "GifWriter":
        return self


def _palette(first: Image.Image) -> Image.Image:
    """A picture with the palette; colours count by how they differ, not by how many pixels."""
    seen = np.unique(np.asarray(first).reshape(-1, 3), axis=0)
    every = np.concatenate([seen, mesh_colours()])
    return Image.fromarray(every[None]).quantize(
        255, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )


def _argb(image: Image.Image) -> NDArray[np.uint8]:
    """A picture's palette as (256, 4) alpha, red, green, blue."""
    colours = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
    table = np.zeros((256, 4), np.uint8)
    table[:, 0] = 255
    table[: len(colours), 1:] = colours
    return table
