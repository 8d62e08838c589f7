"""An ordinary video through the event camera: what it would have seen of the same scene.

Frames of 30 a second are far too sparse for events: an edge would jump by pixels. Between two of
them the picture is moved along dense optical flow (DIS: Kroeger et al., "Fast Optical Flow using
Dense Inverse Search", ECCV 2016, as in OpenCV) in as many steps as keep every shift small.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from tqdm import tqdm

from eventhpe.errors import InputError
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.stream import EventStream
from eventhpe.files import atomic_path
from eventhpe.simulation.renderer import LARGEST_SHIFT
from eventhpe.simulation.sensor import EventBatch, Sensor, SensorParameters
from eventhpe.simulation.sensors import SensorKind

Float32 = NDArray[np.float32]

FLUSH_US = 1_000_000
FASTEST = 0.999  # quantile of the shifts: a few wild flow vectors must not set the step
MOST_SAMPLES = 200  # between two frames
AGREEMENT_PX = 1.0  # forward and backward flow differ by more where something is hidden
DARK_SIGNAL = 0.01
"""Added to the intensity (white is 1): no sensor is without it, and black needs a logarithm."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Rec. ITU-R BT.709, linear RGB


def video_events(
    path: str | Path,
    size: tuple[int, int] | None,
    parameters: SensorParameters,
    rng: np.random.Generator,
    stop_s: float | None = None,
) -> Iterator[EventBatch]:
    """The events of a video in batches of one second; memory does not grow with its length.

    Times are microseconds from the first frame used. Frames are turned to linear luminance (the
    sRGB curve undone), cut in the middle to the sensor's shape, and resized.

    Args:
        path: any container and codec that FFmpeg reads.
        size: (width, height) of the sensor; None is the video's own size.
        parameters: the event camera.
        rng: its thresholds and noise.
        stop_s: only frames shown before; None is the end.

    Raises (as the batches are taken):
        InputError: the file cannot be read as a video, has fewer than two frames in that time,
            or PyAV or OpenCV is not installed.
    """
    path = Path(path)
    cv2 = _package("cv2", "opencv-python-headless", path)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    frames = _frames(path, size, stop_s, cv2)
    first = next(frames, None)
    if first is None:
        raise _too_short(path)
    origin, before = first
    height, width = before.shape
    sensor = Sensor(parameters, np.log(before), rng)
    flushed, now, start = 0, 0.0, 0.0
    for time, after in frames:
        stop = (time - origin) * 1e6
        for share, image in _between(before, after, flow):
            then, now = now, start + share * (stop - start)
            sensor.step(np.log(image), then, now, (0, 0, width, height))
            while now >= flushed + FLUSH_US:
                yield sensor.flush(flushed, flushed + FLUSH_US)
                flushed += FLUSH_US
        start, before = stop, after
    if now == 0.0:
        raise _too_short(path)
    if round(now) > flushed:
        yield sensor.flush(flushed, round(now))


def _between(before: Float32, after: Float32, flow: Any) -> Iterator[tuple[float, Float32]]:
    """Samples (share of the way, intensities) from one frame to the next; the last is the next."""
    # DIS wants 8 bits; the square root spends them evenly, as a video's own curve does.
    a, b = (np.minimum(255.0 * np.sqrt(frame), 255.0).astype(np.uint8) for frame in (before, after))
    forth, back = flow.calc(a, b, None), flow.calc(b, a, None)
    shift = float(np.quantile(np.linalg.norm(forth, axis=2), FASTEST))
    samples = int(np.clip(np.ceil(shift / (LARGEST_SHIFT * before.shape[1])), 1, MOST_SAMPLES))
    hidden = np.empty(before.shape, np.bool_)
    _hidden(forth, back, np.float32(AGREEMENT_PX), hidden)
    for k in range(1, samples):
        image = np.empty_like(before)
        _moved(before, after, forth, hidden, np.float32(k / samples), image)
        yield k / samples, image
    yield 1.0, after


def _frames(
    path: Path, size: tuple[int, int] | None, stop_s: float | None, cv2: Any
) -> Iterator[tuple[float, Float32]]:
    """(seconds, (H, W) float32 intensities) of the frames before ``stop_s``, times rising."""
    with _opened(path) as (container, stream):
        latest = -np.inf
        for index, frame in enumerate(container.decode(stream)):
            rate = float(stream.average_rate or 25)
            time = index / rate if frame.time is None else float(frame.time)
            if stop_s is not None and time >= stop_s:
                return
            if time <= latest:
                continue
            latest = time
            yield time, _intensity(frame.to_ndarray(format="rgb24"), size, cv2)


def _intensity(rgb: NDArray[np.uint8], size: tuple[int, int] | None, cv2: Any) -> Float32:
    """Linear luminance plus the dark signal, cut in the middle to ``size``'s shape and resized."""
    height, width = rgb.shape[:2]
    target = size or (width, height)
    scale = min(width / target[0], height / target[1])
    columns, rows = round(target[0] * scale), round(target[1] * scale)
    x0, y0 = (width - columns) // 2, (height - rows) // 2
    linear = _SRGB[rgb[y0 : y0 + rows, x0 : x0 + columns]] @ LUMINANCE + np.float32(DARK_SIGNAL)
    if linear.shape == target[::-1]:
        return linear
    kind = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(linear, target, interpolation=kind))


def _srgb_table() -> Float32:
    """(256,) linear value of each 8-bit code (IEC 61966-2-1)."""
    code = np.arange(256) / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype("f4")


_SRGB = _srgb_table()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; what FFmpeg says of bad files as `InputError`."""
    av = _package("av", "av", path)
    if not path.is_file():
        raise InputError(path, "no such file", "a video", "Check the path.")
    remedy = "Give a file that a video player plays, for example mp4."
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(path, "no pictures", "a video", remedy)
            yield container, container.streams.video[0]
    except av.error.FFmpegError as error:
        raise InputError(path, f"damaged data ({error.strerror})", "a video", remedy) from error


def _too_short(path: Path) -> InputError:
    remedy = "Choose a longer video, or a wider stretch of it."
    return InputError(path, "fewer than two frames", "a video", remedy)


def _package(module: str, package: str, path: Path) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            path, f"no video reader ({error})", package, 'Run: pip install "eventhpe[viz]"'
        ) from error


@njit(cache=True, nogil=True)
def _hidden(forth, back, limit, hidden):  # type: ignore[no-untyped-def]
    """Which pixels of the first frame something covers in the second: the flows disagree there."""
    height, width = hidden.shape
    for y in range(height):
        for x in range(width):
            u, v = forth[y, x, 0], forth[y, x, 1]
            column, row = int(np.round(x + u)), int(np.round(y + v))
            if 0 <= column < width and 0 <= row < height:
                du, dv = u + back[row, column, 0], v + back[row, column, 1]
                hidden[y, x] = du * du + dv * dv > limit * limit
            else:
                hidden[y, x] = True


@njit(cache=True, nogil=True)
def _moved(before, after, forth, hidden, share, image):  # type: ignore[no-untyped-def]
    """The picture at ``share`` of the way: every pixel moves along its flow, faster ones in front.

    What is hidden later is taken from the frame before alone; what nothing moved to was hidden,
    and is taken from the frame after, with the slower flow of the two sides of the gap.
    """
    height, width = image.shape
    origin = np.full((height, width), -1, np.int64)
    speed = np.full((height, width), np.float32(-1.0))
    for y in range(height):
        for x in range(width):
            u, v = forth[y, x, 0], forth[y, x, 1]
            square = u * u + v * v
            column, row = int(np.round(x + share * u)), int(np.round(y + share * v))
            if 0 <= column < width and 0 <= row < height and square > speed[row, column]:
                speed[row, column] = square
                origin[row, column] = y * width + x
    one = np.float32(1.0)
    for y in range(height):
        left = -1
        for x in range(width):
            place = origin[y, x]
            if place >= 0:
                left = place
                fy, fx = place // width, place % width
                weight = np.float32(0.0) if hidden[fy, fx] else share
            else:
                right = x
                while right < width and origin[y, right] < 0:
                    right += 1
                place = origin[y, right] if right < width else left
                if left >= 0 and place != left and place >= 0:
                    a, b = forth[left // width, left % width], forth[place // width, place % width]
                    if a[0] * a[0] + a[1] * a[1] < b[0] * b[0] + b[1] * b[1]:
                        place = left
                fy, fx = (place // width, place % width) if place >= 0 else (y, x)
                weight = one
            u, v = forth[fy, fx, 0], forth[fy, fx, 1]
            value = np.float32(0.0)
            if weight < one:
                value += (one - weight) * _bilinear(before, x - share * u, y - share * v)
            if weight > np.float32(0.0):
                value += weight * _bilinear(after, x + (one - share) * u, y + (one - share) * v)
            image[y, x] = value


@njit(cache=True, nogil=True)
def _bilinear(image, x, y):  # type: ignore[no-untyped-def]
    """The value at a fractional place; the border repeats."""
    height, width = image.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    x0, y0 = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    a, b = np.float32(x - x0), np.float32(y - y0)
    top = image[y0, x0] + a * (image[y0, x1] - image[y0, x0])
    bottom = image[y1, x0] + a * (image[y1, x1] - image[y1, x0])
    return top + b * (bottom - top)


def simulate_video(
    path: str | Path, out: str | Path, kind: SensorKind, seed: int, duration_s: float | None = None
) -> int:
    """Write the events of a video's first ``duration_s`` seconds (None: all) as a DSEC file.

    Returns:
        How many events there are.

    Raises:
        InputError: see `video_events`; or ``out`` cannot be written.
    """
    rng = np.random.default_rng(seed)
    size = kind.width, kind.height
    batches = video_events(path, size, kind.draw(rng), rng, stop_s=duration_s)
    with atomic_path(out) as partial, DsecWriter(partial, *size) as writer:
        for batch in tqdm(batches, unit="s"):
            writer.append(EventStream(batch.x, batch.y, batch.t, batch.p, *size))
        return writer.num_events
