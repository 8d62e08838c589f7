"""`Recording.frames()`: the grayscale frames of each layout, on the clock of the events."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from eventhpe.errors import InputError
from eventhpe.events import open_recording
from eventhpe.events.frames import Frames, StreamedFrames
from tests.events.event_samples import random_events

EVENTS = random_events(500, 20, 12, 200_000)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 12, 20), np.uint8)
AT = np.array([-30_000, 10_000, 50_000, 90_000])  # us from the first event
EPOCH = 1.5e9


def check(frames: Frames | None, pixels: np.ndarray = PIXELS) -> None:
    assert frames is not None
    assert frames.t.tolist() == AT.tolist()
    assert (frames.height, frames.width) == pixels.shape[1:]
    for i in (2, 0, 3, 1):
        assert np.array_equal(frames.read(i), pixels[i])


def test_monash_images(tmp_path: Path) -> None:
    seconds = EPOCH + (EVENTS.t - EVENTS.t[0]) * 1e-6
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in (("xs", EVENTS.x), ("ys", EVENTS.y), ("ts", seconds), ("ps", EVENTS.p)):
            file[f"events/{name}"] = values
        file.attrs["sensor_resolution"] = (12, 20)
        for i, (image, t) in enumerate(zip(PIXELS, AT, strict=True)):
            file[f"images/image{i:09d}"] = image
            file[f"images/image{i:09d}"].attrs["timestamp"] = EPOCH + t * 1e-6
    check(open_recording(tmp_path / "a.h5").frames())
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["images/image000000001"].attrs["timestamp"] = EPOCH - 1
    with pytest.raises(InputError, match="do not increase"):
        open_recording(tmp_path / "a.h5").frames()
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["images/image000000001"]
        file["images/image000000001"] = np.zeros((12, 20, 3), np.uint8)
    with pytest.raises(InputError, match="of uint8, alike"):
        open_recording(tmp_path / "a.h5").frames()


def test_mvsec_image_raw_of_the_same_camera(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 260, 346), np.uint8)
    seconds = EPOCH + (EVENTS.t - EVENTS.t[0]) * 1e-6
    table = np.stack([EVENTS.x, EVENTS.y, seconds, EVENTS.p * 2.0 - 1], 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["davis/left/events"] = file["davis/right/events"] = table
        file["davis/right/image_raw"] = pixels
        file["davis/right/image_raw_ts"] = EPOCH + AT * 1e-6
    assert open_recording(tmp_path / "a.h5").frames() is None
    check(open_recording(tmp_path / "a.h5", camera="right").frames(), pixels)


def test_v2e_frames_keep_its_clock(tmp_path: Path) -> None:
    table = np.stack([EVENTS.t + 1000, EVENTS.x, EVENTS.y, EVENTS.p], 1).astype("u4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"], file["frame"] = table, PIXELS
        file["frame_ts"] = np.array([0, 10_000, 50_000, 90_000], "u4")
    frames = open_recording(tmp_path / "a.h5", width=20, height=12).frames()
    assert frames is not None
    assert frames.t.tolist() == [0, 10_000, 50_000, 90_000]
    assert np.array_equal(frames.read(2), PIXELS[2])


def test_streamed_frames_begin_again_only_to_go_back(tmp_path: Path) -> None:
    begun = []

    def images():
        begun.append(0)
        for image in PIXELS[:3]:
            begun[-1] += 1
            yield image

    frames = StreamedFrames(tmp_path, np.arange(4), 20, 12, images)
    for i in (0, 1, 1, 2):
        assert np.array_equal(frames.read(i), PIXELS[i])
    assert begun == [3]
    assert np.array_equal(frames.read(0), PIXELS[0])
    assert begun == [3, 1]
    with pytest.raises(InputError, match="nothing for a frame"):
        frames.read(3)  # fewer images than times


def test_aedat4_frames_against_the_aedat_package(shared_data: Path) -> None:
    pytest.importorskip("faery")
    aedat = pytest.importorskip("aedat")
    path = shared_data / "recordings" / "aestream_davis346.aedat4"
    theirs = [packet["frame"] for packet in aedat.Decoder(path) if "frame" in packet]
    opened = open_recording(path)
    frames = opened.frames()
    assert frames is not None
    assert (frames.t + opened.t_origin).tolist() == [frame["t"] for frame in theirs]
    for i, frame in enumerate(theirs):
        assert np.array_equal(frames.read(i), frame["pixels"])
