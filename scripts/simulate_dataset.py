"""Simulate a set of recordings: ``python scripts/simulate_dataset.py PRESET OUT``.

Presets: ``smoke`` (4 recordings), ``train`` (two hours), ``val`` and ``test`` (the benchmark
synhpe-v1), ``dhp19-tree`` (a clone of DHP19 in its own raw layout) and ``mmhpsd-tree`` (one of
MMHPSD in its prepared layout). Finished recordings are
kept, so an interrupted run goes on where it stopped.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from datasets.dhp19_clone import clone_recording, recordings
from datasets.mmhpsd_clone import SUBJECTS, clone_action
from datasets.synhpe import PRESETS, Job, check_frozen, freeze, plan
from eventhpe.body.loading import load_body
from eventhpe.errors import InputError
from eventhpe.files import atomic_path
from eventhpe.simulation.motion.takes import load_take
from eventhpe.simulation.simulate import SIMULATOR_VERSION, simulate
from eventhpe.simulation.truth import SimulatedTruth

EXIT_BAD_INPUT = 2


def make_one(folder: Path, job: Job) -> dict[str, object]:
    """Simulate one recording unless it exists; its entry in the manifest."""
    torch.set_num_threads(1)
    path = folder / f"{job.name}.h5"
    if not path.exists():
        body = load_body()
        take = load_take(job.take, body) if job.take else None
        simulate(replace(job.config, take=take), path, list(job.seed), body)
    truth = SimulatedTruth.load(path)
    found = {
        "seed": truth.description["seed"],
        "version": truth.description["simulator_version"],
        "sensor": truth.description["sensor_name"],
        "seconds": float(truth.t_us[-1] * 1e-6),
        "take": truth.description["take"],
    }
    asked = {
        "seed": list(job.seed),
        "version": SIMULATOR_VERSION,
        "sensor": job.config.sensor,
        "seconds": job.config.duration_s,
        "take": job.take.stem if job.take else None,
    }
    if found != asked:
        remedy = "Another set lies here: choose another folder, or empty this one."
        raise InputError(path, f"a recording of {found}", str(asked), remedy)
    size = {"width": truth.width, "height": truth.height}
    return {"file": path.name, "name": job.name, "subset": job.subset, **size, **truth.description}


def run_all(work: Sequence[Callable[[], dict[str, object]]], workers: int) -> list[dict]:
    """Run independent pieces of work in processes, in any order, with a progress bar."""
    results = []
    # Fresh processes: forking after torch has started its threads can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(piece) for piece in work]
        try:
            for job in tqdm(as_completed(jobs), total=len(jobs), unit="recording"):
                results.append(job.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def make_set(name: str, out: Path, workers: int, mocap: Path | None, new: bool) -> int:
    """Make a preset of `datasets.synhpe` and its manifest; returns the exit code."""
    jobs = plan(name, mocap, check=not new)
    entries = run_all([partial(make_one, out, job) for job in jobs], workers)
    write_manifest(out, name, PRESETS[name].duration_s, entries)
    if new and mocap:
        freeze(name, entries, mocap)
    differing = check_frozen(name, entries)
    if differing:
        print(f"not synhpe-v1: {len(differing)} of {len(entries)} differ: {', '.join(differing)}")
        return 1
    print(f"{out}: {len(entries)} recordings, {PRESETS[name].duration_s:g} s each")
    return 0


def write_manifest(out: Path, preset: str, duration_s: float, entries: list[dict]) -> None:
    """Write ``manifest.json``, the recordings in the order of their names."""
    entries.sort(key=lambda entry: str(entry["name"]))
    manifest = {
        "preset": preset,
        "duration_s": duration_s,
        "simulator_version": SIMULATOR_VERSION,
        "recordings": entries,
    }
    with atomic_path(out / "manifest.json") as partial_path:
        partial_path.write_text(json.dumps(manifest, indent=1))


def make_tree(out: Path, workers: int, subjects: int, movements: int, duration_s: float) -> int:
    """Make a clone of DHP19's raw folders; returns the exit code."""
    work = [
        partial(clone_recording, out, *which, duration_s=duration_s)
        for which in recordings(subjects, movements)
    ]
    entries = run_all(work, workers)
    write_manifest(out, "dhp19-tree", duration_s, entries)
    print(f"{out}: {len(entries)} recordings of four cameras")
    return 0


def make_action(folder: Path, subject: int, number: int, duration_s: float) -> dict[str, object]:
    """Simulate one action of a clone of MMHPSD unless it exists; its entry in the manifest."""
    torch.set_num_threads(1)
    clone_action(folder, subject, number, duration_s, load_body())
    return {"name": f"subject{subject:02d}_group1_time{number}", "duration_s": duration_s}


def make_actions(out: Path, workers: int, subjects: int, movements: int, duration_s: float) -> int:
    """Make a clone of MMHPSD's prepared folders; returns the exit code."""
    work = [
        partial(make_action, out, subject, number, duration_s)
        for subject in SUBJECTS[:subjects]
        for number in range(1, movements + 1)
    ]
    entries = run_all(work, workers)
    write_manifest(out, "mmhpsd-tree", duration_s, entries)
    print(f"{out}: {len(entries)} actions")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", choices=[*PRESETS, "dhp19-tree", "mmhpsd-tree"])
    parser.add_argument("out", type=Path, help="folder for the recordings and manifest.json")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument(
        "--mocap",
        type=Path,
        metavar="DIR",
        help="folder with the CMU clips (docs/benchmark.md)",
    )
    parser.add_argument(
        "--freeze", action="store_true", help="declare what val or test gives the new benchmark"
    )
    tree = parser.add_argument_group("dhp19-tree and mmhpsd-tree")
    tree.add_argument("--subjects", type=int, default=17, metavar="N", help="the first N")
    tree.add_argument("--movements", type=int, default=33, metavar="N", help="the first N of 33")
    tree.add_argument("--duration", type=float, default=10.0, metavar="S", help="of a movement")
    asked = parser.parse_args(arguments)
    for flag, low, high in (
        ("workers", 1, 256),
        ("subjects", 1, 17),
        ("movements", 1, 33),
        ("duration", 1, 600),
    ):
        if not low <= getattr(asked, flag) <= high:
            parser.error(f"--{flag} is {getattr(asked, flag)}, not {low} to {high}")
    if asked.freeze and (asked.preset not in ("val", "test") or asked.mocap is None):
        parser.error("--freeze is for val and test, with --mocap")
    try:
        trees = {"dhp19-tree": make_tree, "mmhpsd-tree": make_actions}
        if asked.preset in trees:
            return trees[asked.preset](
                asked.out, asked.workers, asked.subjects, asked.movements, asked.duration
            )
        return make_set(asked.preset, asked.out, asked.workers, asked.mocap, asked.freeze)
    except InputError as error:
        print(f"simulate_dataset: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
