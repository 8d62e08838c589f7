"""Simulated sets: what each recording of `train`, `val`, `test` and `smoke` is made of.

``synhpe-v1`` is the fixed benchmark: `val` and `test`. Its plan follows from constants alone, so
anyone who makes it gets the same recordings; ``synhpe-v1.json`` holds the simulator's version,
every recording's number of events, and the sha256 of the motion-capture files it uses.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eventhpe.errors import InputError
from eventhpe.files import atomic_path
from eventhpe.simulation.scene.views import Framing
from eventhpe.simulation.simulate import SIMULATOR_VERSION, SimulationConfig

FROZEN = Path(__file__).parent / "synhpe-v1.json"
EVENT_TOLERANCE = 1e-3

# Clips of the CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu), by split.
MOCAP = {
    "train": (
        *("02_01.amc", "02_02.amc", "02_03.amc", "02_06.amc", "02_07.amc", "02_08.amc"),
        *("02_09.amc", "02_10.amc", "03_01.amc", "05_01.amc", "06_01.amc", "07_01.amc"),
        *("35_01.amc", "35_30.amc", "12_01.bvh", "131_01.bvh", "131_03.bvh"),
    ),
    "val": ("38_01.amc", "39_01.amc", "10_03.bvh"),
    "test": ("02_04.amc", "16_15.amc", "43_01.amc", "49_01.amc", "55_04.amc", "05_06.bvh"),
}


@dataclass(frozen=True)
class Job:
    """One recording of a set.

    Attributes:
        name: the file's name without its suffix.
        config: what is simulated.
        seed: of everything the configuration leaves open.
        take: the motion file that drives it; None for a procedural motion.
    """

    name: str
    config: SimulationConfig
    seed: tuple[int, ...]
    take: Path | None

    @property
    def subset(self) -> str:
        return "procedural" if self.take is None else "mocap"


@dataclass(frozen=True)
class Preset:
    """A set of recordings; numbers of recordings, seconds, shares.

    Attributes:
        family: first number of every seed; no two presets share it.
        recordings, duration_s: how many, and the length of each.
        sensors: sensor name -> share of the recordings.
        mocap: share driven by motion capture.
        bodies: number of different people, 0 for a new one each time.
        truncated, shadow, flicker, empty: shares of the recordings; the rest has none.
        dhp19: share of the DAVIS346's recordings that one of DHP19's cameras makes.
        exact_focal: the camera given to the network is the true one.
    """

    family: int
    recordings: int
    duration_s: float
    sensors: dict[str, float]
    truncated: float
    shadow: float
    flicker: float
    mocap: float = 0.0
    empty: float = 0.0
    dhp19: float = 0.0
    bodies: int = 0
    exact_focal: bool = False


_BENCHMARK_SENSORS = {"dvs128": 0.15, "davis346": 0.55, "gen3-vga": 0.20, "gen4-hd": 0.10}
_TRAIN_SENSORS = {
    "dvs128": 0.24,
    "davis240": 0.12,
    "dvxplorer": 0.08,
    "davis346": 0.43,
    "gen3-vga": 0.10,
    "gen4-hd": 0.02,
    "celex5": 0.01,
}

_VAL = Preset(
    family=3,
    recordings=20,
    duration_s=20.0,
    sensors=_BENCHMARK_SENSORS,
    truncated=0.2,
    shadow=0.05,
    flicker=0.05,
    mocap=0.3,
    bodies=10,
    exact_focal=True,
)

PRESETS = {
    "smoke": Preset(
        family=1,
        recordings=4,
        duration_s=4.0,
        sensors={"dvs128": 0.5, "davis346": 0.5},
        truncated=0.25,
        shadow=0.25,
        flicker=0.25,
        empty=0.25,
    ),
    "train": Preset(
        family=2,
        recordings=600,
        duration_s=12.0,
        sensors=_TRAIN_SENSORS,
        truncated=0.2,
        shadow=1 / 3,
        flicker=0.2,
        mocap=0.2,
        empty=0.1,
        dhp19=0.2,
    ),
    "val": _VAL,
    "test": replace(_VAL, family=4, recordings=60, mocap=0.4, bodies=12),
}


def plan(name: str, mocap: Path | None, check: bool = True) -> list[Job]:
    """The recordings of a preset.

    Properties are dealt out in exact shares and shuffled, each by a draw of its own, so that
    none goes with another; headings are spread evenly over the circle.

    Args:
        name: of the preset.
        mocap: folder searched for the CMU clips; without it, what they would drive is left out
            of the benchmark, and becomes procedural in the other sets.
        check: whether the clips must be those of the frozen benchmark.

    Raises:
        InputError: a clip is missing in the folder, or not the one that the benchmark names.
    """
    preset = PRESETS[name]
    rng = np.random.default_rng((preset.family, 0))
    n = preset.recordings
    sensors = rng.permutation(np.repeat(*_counts(preset.sensors, n)))
    subset = rng.permutation(_flags(preset.mocap, n))
    empty = np.zeros(n, bool)
    empty[rng.permutation(np.flatnonzero(~subset))[: round(preset.empty * n)]] = True
    cut = rng.permutation(_flags(preset.truncated, n))
    close: tuple[Framing, Framing] = ("knees_up", "head_and_shoulders")
    effect = rng.permutation(n)
    shadow = effect < round(preset.shadow * n)
    flicker = effect >= n - round(preset.flicker * n)
    heading = rng.permutation(n) * 2 * np.pi / n
    dhp19 = rng.permutation(_flags(preset.dhp19, n)) & ~cut
    takes = _takes(name, mocap, check) if preset.mocap and mocap else []
    jobs = []
    for i in range(n):
        if subset[i] and not takes and preset.bodies:
            continue
        driven = bool(subset[i]) and bool(takes)
        config = SimulationConfig(
            duration_s=preset.duration_s,
            sensor=str(sensors[i]),
            person=not empty[i],
            dhp19_camera=bool(sensors[i] == "davis346" and dhp19[i]),
            framing=close[i % 2] if cut[i] else "whole",
            shadow=bool(shadow[i]),
            flicker=bool(flicker[i]),
            heading=float(heading[i]),
            person_seed=(preset.family, 1, i % preset.bodies) if preset.bodies else None,
            exact_focal=preset.exact_focal,
        )
        take = takes[int(subset[:i].sum()) % len(takes)] if driven else None
        jobs.append(Job(f"{name}_{i:04d}", config, (preset.family, 2, i), take))
    return jobs


def _counts(shares: dict[str, float], n: int) -> tuple[list[str], list[int]]:
    """Names and whole numbers in proportion to the shares, n in all (largest remainders)."""
    exact = np.array(list(shares.values())) * n
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return list(shares), counts.tolist()


def _flags(share: float, n: int) -> np.ndarray:
    return np.arange(n) < round(share * n)


def _takes(split: str, folder: Path, check: bool = True) -> list[Path]:
    found = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
    missing = [name for name in MOCAP[split] if name not in found]
    if missing:
        raise InputError(
            folder,
            f"no {', '.join(missing)}",
            f"the CMU motion capture clips {', '.join(MOCAP[split])} and their .asf files",
            "Get them from mocap.cs.cmu.edu, or leave --mocap out.",
        )
    if check and split != "train":
        _check_digests([found[name] for name in MOCAP[split]])
    return [found[name] for name in MOCAP[split]]


def _check_digests(paths: Sequence[Path]) -> None:
    known = json.loads(FROZEN.read_text())["mocap_sha256"]
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != known[path.name]:
            raise InputError(
                path,
                f"sha256 {digest[:16]}...",
                f"{known[path.name][:16]}..., the clip of synhpe-v1",
                "Get the original file from mocap.cs.cmu.edu.",
            )


def check_frozen(name: str, entries: Sequence[dict[str, object]]) -> list[str]:
    """Compare a made set with the frozen benchmark; the names of recordings that differ.

    A recording differs when its number of events is more than 0.1% off, or when another version
    of the simulator made it. Sets that are not part of the benchmark never differ.
    """
    if name not in ("val", "test"):
        return []
    frozen = json.loads(FROZEN.read_text())
    known = frozen["num_events"]
    differing = []
    for entry in entries:
        wanted = known[str(entry["name"])]
        off = abs(int(str(entry["num_events"])) - wanted) > EVENT_TOLERANCE * wanted
        if off or entry["simulator_version"] != frozen["simulator_version"]:
            differing.append(str(entry["name"]))
    return differing


def freeze(name: str, entries: Sequence[dict[str, object]], mocap: Path) -> None:
    """Make a set part of the frozen benchmark: for a new version of it, `val` and `test` whole."""
    empty: dict[str, Any] = {
        "simulator_version": SIMULATOR_VERSION,
        "mocap_sha256": {},
        "num_events": {},
    }
    known = json.loads(FROZEN.read_text()) if FROZEN.exists() else empty
    known["simulator_version"] = SIMULATOR_VERSION
    for path in _takes(name, mocap, check=False):
        known["mocap_sha256"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    for entry in entries:
        known["num_events"][str(entry["name"])] = entry["num_events"]
    with atomic_path(FROZEN) as partial:
        partial.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
