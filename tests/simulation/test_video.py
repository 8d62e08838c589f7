"""Video to events: a moving square with a known contrast, and files that are no videos."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from eventhpe.errors import InputError
from eventhpe.simulation.sensor import EventBatch, SensorParameters
from eventhpe.simulation.video import DARK_SIGNAL, video_events

av = pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed")

IDEAL = SensorParameters(threshold_on=0.2, threshold_off=0.2, mismatch=0.0, refractory_us=0.0)
WIDTH, HEIGHT, SIDE, TOP, LEFT = 128, 64, 24, 20, 10
FPS, SPEED = 25, 6  # frames a second, pixels a frame
DARK, BRIGHT = 90, 220  # 8-bit codes


def frame(left: int) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), DARK, np.uint8)
    picture[TOP : TOP + SIDE, left : left + SIDE] = BRIGHT
    return picture


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    """Lossless, so that the contrast is known."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr0"
        for picture in frames:
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    return path


def events_of(path: Path, **options: object) -> list[EventBatch]:
    return list(video_events(path, None, IDEAL, np.random.default_rng(0), **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [frame(LEFT + SPEED * k) for k in range(12)]
    return write_video(tmp_path_factory.mktemp("video") / "square.mkv", frames)


def linear(code: int) -> float:
    return float(((code / 255 + 0.055) / 1.055) ** 2.4)


def test_the_count_is_log_contrast_over_threshold_for_every_pixel_passed(square: Path) -> None:
    (batch,) = events_of(square)
    contrast = np.log((linear(BRIGHT) + DARK_SIGNAL) / (linear(DARK) + DARK_SIGNAL))
    expected = int(contrast / 0.2)
    passed = 11 * SPEED
    # The front lights up the columns ahead of the square, the back leaves those it stood on dark.
    for polarity, first in ((1, LEFT + SIDE), (0, LEFT)):
        counts = np.zeros((HEIGHT, WIDTH), np.int64)
        of_it = batch.p == polarity
        np.add.at(counts, (batch.y[of_it], batch.x[of_it]), 1)
        swept = counts[TOP : TOP + SIDE, first : first + passed]
        assert np.median(swept) == expected
        # Flow is not exact: at the corners some pixels waver between two samples.
        assert counts.sum() == pytest.approx(SIDE * passed * expected, rel=0.12)


def test_events_lie_at_the_moving_edges_between_the_frames(square: Path) -> None:
    (batch,) = events_of(square)
    assert ((batch.y >= TOP - 1) & (batch.y <= TOP + SIDE)).mean() > 0.99
    # Pixel centres are whole, so the front edge of a square of columns a..b lies at b + 0.5.
    front = LEFT + SIDE - 0.5 + SPEED * batch.t * 1e-6 * FPS
    back = front - SIDE
    for polarity, edge in ((1, front), (0, back)):
        away = np.abs(batch.x - edge)[batch.p == polarity]
        # Faded rather than moved, an edge would be off by up to the 6 pixels of a frame.
        assert np.quantile(away, 0.9) < 1.5


def test_nothing_moves_and_nothing_fires(tmp_path: Path) -> None:
    batches = events_of(write_video(tmp_path / "still.mkv", [frame(LEFT)] * 60))
    assert len(batches) == 3  # 59 frames of 40 ms after the first, a second each
    assert sum(len(batch.t) for batch in batches) == 0


def test_a_video_can_be_left_early(square: Path) -> None:
    (part,) = events_of(square, stop_s=0.16)
    assert 0 <= part.t.min() < 20_000
    assert 100_000 < part.t.max() < 120_000


def test_batches_follow_each_other_at_whole_seconds(tmp_path: Path) -> None:
    back_and_forth = [frame(LEFT + SPEED * abs(k % 20 - 10)) for k in range(60)]
    batches = events_of(write_video(tmp_path / "swing.mkv", back_and_forth))
    for second, batch in enumerate(batches):
        assert len(batch.t)
        assert (np.diff(batch.t) >= 0).all()
        assert batch.t[0] >= second * 1_000_000
        assert batch.t[-1] < (second + 1) * 1_000_000


def test_the_picture_is_cut_to_the_sensors_shape(square: Path) -> None:
    rng = np.random.default_rng(0)
    (batch,) = video_events(square, (32, 32), IDEAL, rng)
    # 64 x 64 pixels from the middle at half size: the square enters at the left.
    assert batch.x.min() == 0
    assert batch.y.min() >= TOP // 2 - 1
    assert batch.y.max() <= (TOP + SIDE) // 2
    assert len(batch.t) > 0


def test_what_is_no_video_is_refused(tmp_path: Path, square: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video at all")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(square.read_bytes()[:300])
    single = write_video(tmp_path / "single.mkv", [frame(LEFT)])
    for path in (tmp_path / "absent.mp4", text, cut, single):
        with pytest.raises(InputError) as error:
            events_of(path)
        assert error.value.source == str(path)
