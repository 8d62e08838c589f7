"""Preparing recordings: what is too short is refused, and no cache outlives its recording."""

import os
from pathlib import Path

import numpy as np
import pytest

from datasets.prepared import PreparedRecording, prepare
from eventhpe.errors import InputError
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream

RECIPE = InputRecipe()


def write(path: Path, duration_us: int, seed: int) -> None:
    """A crowd of random events, so many that the noise filter leaves some."""
    rng = np.random.default_rng(seed)
    count = duration_us // 10
    x, y = (rng.integers(10, 40, count).astype(np.uint16) for _ in range(2))
    t = np.sort(rng.integers(0, duration_us, count)).astype(np.int64)
    p = rng.integers(0, 2, count).astype(np.uint8)
    with DsecWriter(path, 64, 48) as writer:
        writer.append(EventStream(x, y, t, p, 64, 48))


def prepared(path: Path) -> PreparedRecording:
    return prepare(path, path.parent / "cache", RECIPE)


def test_a_recording_shorter_than_a_tracking_step_is_refused_each_time(tmp_path: Path) -> None:
    write(tmp_path / "short.h5", 30_000, 0)
    for _ in range(2):  # the second time from the cache
        with pytest.raises(InputError, match="shorter than a tracking step") as refusal:
            prepared(tmp_path / "short.h5")
        assert "short.h5" in str(refusal.value)
        assert "50 ms" in str(refusal.value)


def test_a_recording_that_was_written_again_is_prepared_again(tmp_path: Path) -> None:
    path = tmp_path / "walk.h5"
    write(path, 120_000, 0)
    before = prepared(path)
    path.unlink()
    write(path, 220_000, 1)
    later = path.stat().st_mtime + 10  # whatever the file system's clock
    os.utime(path, (later, later))
    after = prepared(path)
    assert (before.duration_us, after.duration_us) == (100_000, 200_000)
    path.with_name("other.h5").write_bytes(path.read_bytes())
    fresh = prepared(path.with_name("other.h5"))
    for name in "xytp":
        np.testing.assert_array_equal(getattr(after.events, name), getattr(fresh.events, name))
    np.testing.assert_array_equal(after.kept, fresh.kept)
