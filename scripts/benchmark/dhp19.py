"""The row of DHP19: from its raw files to filtered events."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from datasets.dhp19_layout import HEADER, HEIGHT, WIDTH, RawRecording, addresses, write_vicon
from datasets.dhp19_preparation import Preparation, prepare_recording
from scripts.benchmark.rows import Measured, median_seconds, row

EVENTS, SECONDS = 8_000_000, 8


@row("dhp19_prepare")
def bench_dhp19_prepare() -> Measured:
    """Eight million events of four cameras, from the aedat file to each camera's filtered .h5.

    A million a second fall at random over the four sensors. Beside it NumPy, which only decodes
    the same file to columns, rows, cameras, times and polarities.
    """
    which = RawRecording(1, 1, 1)
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "out"
        path = which.events_path(raw)
        path.parent.mkdir(parents=True)
        _write_noise(path)
        which.vicon_path(raw).parent.mkdir()
        write_vicon(which.vicon_path(raw), np.zeros((SECONDS * 100, 13, 3)))
        shares = []

        def prepare() -> None:
            shutil.rmtree(out, ignore_errors=True)
            done = prepare_recording(raw, out, Preparation(), which)
            shares.append(done.kept_share or 0.0)

        ours = median_seconds(prepare, 7)
        theirs = median_seconds(lambda: _decode_numpy(path), 7)
    also = Measured("dhp19_prepare vs NumPy decoding", theirs / ours, "x", note="decoding alone")
    note = f"{EVENTS:,} events, {shares[0]:.0%} kept, aedat to h5"
    return Measured("dhp19_prepare", EVENTS / ours / 1e6, "M events/s", 20, note=note, also=(also,))


def _write_noise(path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = np.empty((EVENTS, 2), ">u4")
    x, y = rng.integers(0, WIDTH, EVENTS), rng.integers(0, HEIGHT, EVENTS)
    p, camera = rng.integers(0, 2, EVENTS), rng.integers(0, 4, EVENTS)
    pairs[:, 0] = addresses(x, y, p, 0) | camera.astype(np.uint32)
    pairs[:, 1] = 1_000_000 + np.sort(rng.integers(0, SECONDS * 1_000_000, EVENTS))
    path.write_bytes(HEADER.encode("ascii") + pairs.tobytes())


def _decode_numpy(path: Path) -> None:
    pairs = np.fromfile(path, ">u4", offset=len(HEADER)).reshape(-1, 2)
    address, t = pairs[:, 0].astype(np.uint32), pairs[:, 1].astype(np.int64)
    x, y = (WIDTH - 1) - (address >> 12 & 0x3FF), (HEIGHT - 1) - (address >> 22 & 0x1FF)
    camera, p = address & 0xF, address >> 11 & 1
    valid = (address & 0x80000400 == 0) & (x < WIDTH) & (y < HEIGHT) & (camera < 4)
    _ = [values[valid] for values in (x, y, camera, t, p)]
