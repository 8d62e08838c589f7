"""DHP19's constant-count frames and labels against the reference's in plain Python."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.dhp19_frames import constant_count_frames, write_frames
from datasets.dhp19_layout import RawRecording
from datasets.dhp19_reading import mosaic_events
from tests.datasets.dhp19_oracle import decode, reference_frames, word, words_of

START = 2_000_000


def recording(seed: int, count: int, seconds: float) -> tuple[bytes, NDArray[np.float64]]:
    """Events crowded around the middle of four cameras, and markers with gaps."""
    rng = np.random.default_rng(seed)
    t = START + np.sort(rng.integers(1, int(seconds * 1e6), count))
    x = np.clip(rng.normal(170, 12, count), 0, 345).astype(int)
    y = np.clip(rng.normal(80, 60, count), 0, 259).astype(int)
    camera = rng.choice(4, count, p=(0.5, 0.3, 0.19, 0.01))
    data = b"".join(map(word, x.tolist(), y.tolist(), camera.tolist(), t.tolist()))
    markers = rng.normal(0, 500, (int(seconds * 100), 13, 3))
    markers[rng.random(markers.shape[:2]) < 0.3] = np.nan
    markers[:, 5] = np.nan
    return data, markers


@pytest.mark.parametrize("seed", range(3))
def test_frames_and_labels_are_the_references(seed: int, tmp_path: Path) -> None:
    data, markers = recording(seed, 130_000, 1.2)
    markers = markers[:100]  # the fourth frame ends after them
    expected = reference_frames(decode(data), START, markers)
    made = constant_count_frames(mosaic_events(words_of(data)), START, markers)
    assert write_frames(tmp_path, RawRecording(3, 2, 1), made, "any") == len(expected) == 3
    with h5py.File(tmp_path / "S3_session2_mov1_7500events.h5") as file:
        pictures = file["DVS"]
        assert pictures.shape == (3, 260, 346, 4)
        assert pictures.dtype == np.float64
        np.testing.assert_array_equal(pictures[:], [frame for frame, _ in expected])
    with h5py.File(tmp_path / "S3_session2_mov1_7500events_label.h5") as file:
        assert file["XYZ"].shape == (3, 3, 13)
        np.testing.assert_array_equal(file["XYZ"][:], [label for _, label in expected])
        assert np.isnan(file["XYZ"][:, :, 5]).all()


def still(*ends: int) -> bytes:
    """Frames of one pixel each, which end at these times after the start."""
    return b"".join(word(10, 20, 2, START + end) * 30_000 for end in ends)


def test_labels_are_means_of_both_ends_and_times_are_rounded() -> None:
    """By hand: 4,999 us round to sample 1, 5,000 to 2, 24,999 to 3 and 25,000 to 4."""
    markers = np.arange(4.0)[:, None, None] + np.zeros((4, 13, 3))
    for ends, labels in (
        ((4_999, 24_999), [0.0, 1.0]),  # sample 1; then 1 to 3
        ((5_000, 25_000), [0.5, 2.0]),  # samples 1 and 2; then 2 to 4
        ((25_000, 35_000, 35_001), [1.5]),  # sample 5 is beyond the last: no more frames
    ):
        events = mosaic_events(words_of(still(*ends)))
        found = [label for _, label in constant_count_frames(events, START, markers)]
        np.testing.assert_array_equal(found, np.array(labels)[:, None, None] + np.zeros((3, 13)))


def test_a_picture_is_upright() -> None:
    """Raw x runs leftward and raw y upward: (10, 20) is column 335 and row 239."""
    [(frame, _)] = constant_count_frames(
        mosaic_events(words_of(still(10))), START, np.zeros((9, 13, 3))
    )
    assert np.argwhere(frame).tolist() == [[239, 335, 2]]


def test_events_left_over_make_no_frame() -> None:
    events = mosaic_events(words_of(still(10)[:-8]))
    assert not list(constant_count_frames(events, START, np.zeros((9, 13, 3))))
