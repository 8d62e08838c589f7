"""Frames of recordings: reading, cropping, and files that hold them wrongly."""

import multiprocessing
import pickle
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
import torch
from torch.nn import functional

from eventhpe.camera import Crop
from eventhpe.errors import InputError
from eventhpe.events.frames import Frames, open_frames


def write(path: Path, image: np.ndarray, t: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        compression = hdf5plugin.Blosc(cname="zstd", clevel=3)
        chunks = (1, *image.shape[1:])
        file.create_dataset("frames/image", data=image, chunks=chunks, compression=compression)
        file["frames/t"] = t
    return path


@pytest.fixture
def images() -> np.ndarray:
    """Three frames of a sensor that is wider than high."""
    return np.random.default_rng(0).integers(0, 256, (3, 30, 40), np.uint8)


@pytest.fixture
def frames(images: np.ndarray, tmp_path: Path) -> Frames:
    opened = open_frames(write(tmp_path / "a.h5", images, np.array([0, 50_000, 100_000])))
    assert opened is not None
    return opened


def bordered(image: np.ndarray, x0: int, y0: int, side: int) -> np.ndarray:
    """The square [x0, x0+side) x [y0, y0+side) in 0..1, the border repeated outside."""
    rows = np.clip(np.arange(y0, y0 + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x0, x0 + side), 0, image.shape[1] - 1)
    return image[np.ix_(rows, columns)].astype(np.float32) / 255


def test_frames_are_what_was_written(frames: Frames, images: np.ndarray) -> None:
    assert (len(frames), frames.width, frames.height) == (3, 40, 30)
    assert frames.t.tolist() == [0, 50_000, 100_000]
    for i in (2, 0, 1):
        read = frames.read(i)
        assert read.dtype == np.uint8
        assert np.array_equal(read, images[i])
    for i in (3, -1):
        with pytest.raises(IndexError, match="of 3"):
            frames.read(i)


@pytest.mark.parametrize(("x0", "y0"), [(5, 3), (0, 0), (-4, 10), (30, -6), (-60, 80)])
def test_a_crop_of_its_own_size_is_the_pixels(
    frames: Frames, images: np.ndarray, x0: int, y0: int
) -> None:
    crop = frames.crop(1, Crop(x0, y0, 16, 16))
    assert crop.dtype == np.float32
    assert crop == pytest.approx(bordered(images[1], x0, y0, 16), abs=1e-6)


@pytest.mark.parametrize(("x0", "y0"), [(4, 2), (-5, -7), (20, 15)])
def test_shrinking_by_two_is_the_mean_of_four_pixels(
    frames: Frames, images: np.ndarray, x0: int, y0: int
) -> None:
    cut = bordered(images[0], x0, y0, 24)
    expected = cut.reshape(12, 2, 12, 2).mean(axis=(1, 3))
    assert frames.crop(0, Crop(x0, y0, 24, 12)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("x0", "y0"), [(10, 8), (-3, -2), (30, 20)])
def test_growing_is_bilinear(frames: Frames, images: np.ndarray, x0: int, y0: int) -> None:
    # One pixel more on each side, for interpolation reaches over the crop's edge.
    wide = torch.from_numpy(bordered(images[2], x0 - 1, y0 - 1, 18))[None, None]
    grown = functional.interpolate(wide, scale_factor=3, mode="bilinear", align_corners=False)
    expected = grown[0, 0, 3:-3, 3:-3].numpy()
    assert frames.crop(2, Crop(x0, y0, 16, 48)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("side", [50.0, 21.5, 9.0])
def test_a_crop_puts_points_where_events_have_them(tmp_path: Path, side: float) -> None:
    """The intensity of a ramp tells the place: Crop.from_crop of the pixel's centre."""
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8), (1, 64, 64))
    opened = open_frames(write(tmp_path / "a.h5", ramp, np.array([0])))
    assert opened is not None
    crop = Crop(6.3, 4.1, side, 20)
    centres = np.stack([np.arange(20.0), np.full(20, 10.0)], axis=1)
    # The mean over a part of a pixel is off the ramp by less than a tenth of a pixel.
    place = opened.crop(0, crop)[10] * 255
    assert place == pytest.approx(crop.from_crop(centres)[:, 0], abs=0.1)


def read_second(frames: Frames) -> int:
    return int(frames.read(1).sum(dtype=np.int64))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_worker_processes_read_frames_that_are_already_open(
    frames: Frames, images: np.ndarray, start: str
) -> None:
    frames.read(0)
    with multiprocessing.get_context(start).Pool(1) as pool:
        assert pool.apply(read_second, (frames,)) == images[1].sum(dtype=np.int64)
    assert np.array_equal(pickle.loads(pickle.dumps(frames)).read(2), images[2])
    assert np.array_equal(frames.read(2), images[2])


def test_a_recording_without_frames_has_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "events.h5", "w") as file:
        file["events/x"] = np.zeros(3)
    assert open_frames(tmp_path / "events.h5") is None
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n")
    assert open_frames(tmp_path / "a.aedat") is None


GOOD = np.zeros((3, 4, 5), np.uint8)


@pytest.mark.parametrize(
    ("image", "t", "found"),
    [
        (GOOD, np.array([0, 1]), "3 frames"),
        (GOOD, np.array([[0], [1], [2]]), "3 frames"),
        (GOOD.astype(np.uint16), np.arange(3), "uint16"),
        (GOOD[..., None], np.arange(3), r"\(3, 4, 5, 1\)"),
        (GOOD, np.array([0, 2, 2]), "do not increase"),
        (GOOD, np.array([0, 0.1, 0.2]), "do not increase"),
    ],
)
def test_damaged_frames_are_refused(
    tmp_path: Path, image: np.ndarray, t: np.ndarray, found: str
) -> None:
    with pytest.raises(InputError, match=rf"bad\.h5.*{found}"):
        open_frames(write(tmp_path / "bad.h5", image, t))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        open_frames(tmp_path / "none.h5")
    with h5py.File(tmp_path / "half.h5", "w") as file:
        file["frames/image"] = GOOD
    with pytest.raises(InputError, match=r"half\.h5.*frames with image"):
        open_frames(tmp_path / "half.h5")
    whole = write(tmp_path / "whole.h5", GOOD, np.arange(3)).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.h5.*HDF5"):
        open_frames(tmp_path / "cut.h5")


def test_a_damaged_image_is_refused_when_it_is_read(tmp_path: Path) -> None:
    # Of grey ramps, for noise is stored as it is, and any bytes of it are an image.
    images = np.broadcast_to(np.arange(200, dtype=np.uint8), (3, 100, 200))
    path = write(tmp_path / "a.h5", images, np.arange(3))
    with h5py.File(path) as file:
        place = file["frames/image"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = b"\xff" * place.size
    path.write_bytes(content)
    frames = open_frames(path)
    assert frames is not None
    assert np.array_equal(frames.read(0), images[0])
    with pytest.raises(InputError, match=r"a\.h5.*frame 1"):
        frames.read(1)
