"""The sets' plans: exact shares, nothing shared between splits, and the frozen benchmark."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datasets import synhpe
from datasets.synhpe import MOCAP, PRESETS, check_frozen, plan
from eventhpe.errors import InputError


@pytest.fixture
def cmu(shared_data: Path) -> Path:
    return shared_data / "motion"


def test_the_benchmark_has_its_shares_of_sensors_framings_and_effects(cmu: Path) -> None:
    jobs = plan("test", cmu)
    assert len(jobs) == 60
    assert Counter(job.config.sensor for job in jobs) == {
        "dvs128": 9,
        "davis346": 33,
        "gen3-vga": 12,
        "gen4-hd": 6,
    }
    assert sum(job.config.framing != "whole" for job in jobs) == 12
    assert sum(bool(job.config.shadow or job.config.flicker) for job in jobs) == 6
    assert not any(job.config.shadow and job.config.flicker for job in jobs)
    assert Counter(job.subset for job in jobs) == {"procedural": 36, "mocap": 24}
    assert {job.take.name for job in jobs if job.take} == set(MOCAP["test"])
    assert len({job.config.person_seed for job in jobs}) == 12
    headings = np.sort([job.config.heading for job in jobs])
    assert np.diff(headings) == pytest.approx(2 * np.pi / 60)
    assert all(job.config.exact_focal and job.config.duration_s == 20 for job in jobs)


def test_training_is_two_hours_with_a_tenth_of_empty_recordings() -> None:
    jobs = plan("train", None)
    assert sum(job.config.duration_s for job in jobs) == 7200
    assert sum(not job.config.person for job in jobs) == len(jobs) // 10
    assert all(job.take is None for job in jobs)
    assert all(job.config.sensor == "davis346" for job in jobs if job.config.dhp19_camera)


def test_splits_share_no_seed_and_no_clip() -> None:
    seeds = [job.seed for name in PRESETS for job in plan(name, None)]
    assert len(set(seeds)) == len(seeds)
    assert len({preset.family for preset in PRESETS.values()}) == len(PRESETS)
    clips = [clip for split in MOCAP.values() for clip in split]
    assert len(set(clips)) == len(clips)


def test_without_the_clips_the_benchmark_keeps_its_procedural_part_unchanged(cmu: Path) -> None:
    whole, part = plan("val", cmu), plan("val", None)
    assert part == [job for job in whole if job.subset == "procedural"]


def test_a_missing_or_changed_clip_is_named(cmu: Path, tmp_path: Path) -> None:
    for path in cmu.rglob("*"):
        if path.is_file() and path.name != "38_01.amc":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(InputError, match=r"no 38_01\.amc"):
        plan("val", tmp_path)
    (tmp_path / "38_01.amc").write_text("another take")
    with pytest.raises(InputError, match=r"38_01\.amc.*sha256"):
        plan("val", tmp_path)


def test_a_recording_counts_as_frozen_within_a_thousandth() -> None:
    frozen = json.loads(synhpe.FROZEN.read_text())
    name, events = next(iter(frozen["num_events"].items()))
    split = name.split("_")[0]
    entry = {"name": name, "simulator_version": frozen["simulator_version"]}
    assert check_frozen(split, [{**entry, "num_events": round(events * 1.0009)}]) == []
    assert check_frozen(split, [{**entry, "num_events": round(events * 1.002)}]) == [name]
    assert check_frozen(split, [{**entry, "num_events": events, "simulator_version": 0}]) == [name]
    assert check_frozen("train", [{"name": "train_0000", "num_events": 1}]) == []


def test_every_recording_of_the_benchmark_is_frozen(cmu: Path) -> None:
    frozen = json.loads(synhpe.FROZEN.read_text())
    planned = {job.name for split in ("val", "test") for job in plan(split, cmu)}
    assert set(frozen["num_events"]) == planned
