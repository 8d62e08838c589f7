"""Fit SMPL to DHP19's markers: ``python scripts/fit_smpl.py OUT``.

OUT is what scripts/prepare_dhp19.py made. Reads OUT/vicon/*.h5 and writes OUT/smpl/*.h5: shape and
marker offsets of each subject, pose and place of each Vicon frame. Fits that were made of the same
markers are kept, so an interrupted run goes on where it stopped. Ends with a table; the exit code
is 1 where a recording could not be fitted.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from datasets.dhp19_fits import (
    Markers,
    digest,
    read_done,
    read_markers,
    vicon_files,
    write_fit,
)
from eventhpe.body.fitting import fit_motion, fit_person
from eventhpe.body.loading import load_body
from eventhpe.errors import InputError

EXIT_SOME_FAILED, EXIT_BAD_INPUT = 1, 2
COLUMNS = "{:<12}{:>8}{:>10}{:>8}{:>10}{:>10}"
HEADER = COLUMNS.format("recording", "frames", "label mm", "worst", "hidden %", "frames/s")


@dataclass(frozen=True)
class Fitted:
    """A subject's rows of the table, what failed, and processor seconds of the fits made now."""

    rows: list[str]
    failed: list[str]
    frames: int
    seconds: float


def fit_subject(out: Path, files: Sequence[Path], body_path: Path | None) -> Fitted:
    """Fit all recordings of one subject."""
    torch.set_num_threads(1)
    start = time.process_time()
    body = load_body(body_path)
    recordings: dict[str, Markers] = {}
    failed = []
    for path in files:
        try:
            recordings[path.stem] = read_markers(path)
        except InputError as error:
            failed.append(str(error))
    inputs = digest(body, recordings.items())
    done = {name: read_done(out / "smpl" / f"{name}.h5") for name in recordings}
    kept = {name: fit for name, fit in done.items() if fit is not None and fit.inputs == inputs}
    rows, frames = [], 0
    if len(kept) < len(recordings):
        # The same markers give the same person, so a run that goes on fits as one that never broke.
        person = fit_person([markers.places for markers in recordings.values()], body)
    for name, markers in recordings.items():
        if name in kept:
            rows.append(row(name, markers, kept[name].residual_mm, "kept"))
            continue
        begun = time.process_time()
        motion = fit_motion(markers.places, person, body)
        speed = len(markers.places) / (time.process_time() - begun)
        write_fit(out / "smpl" / f"{name}.h5", markers.t_us, person, motion, body, inputs)
        rows.append(row(name, markers, motion.residual_mm, f"{speed:.0f}"))
        frames += len(markers.places)
    return Fitted(rows, failed, frames, time.process_time() - start)


def row(name: str, markers: Markers, residual_mm: np.ndarray, speed: str) -> str:
    """One recording's figures: the labels' mean distance, and its worst frame's."""
    mean, worst = np.nanmean(residual_mm), np.nanmax(residual_mm)
    figures = f"{mean:.1f}", f"{worst:.1f}", f"{100 * markers.hidden:.2f}"
    never = f"  never seen: {', '.join(markers.never_seen)}" if markers.never_seen else ""
    return COLUMNS.format(name, len(residual_mm), *figures, speed) + never


def fit_all(out: Path, asked: Sequence[int] | None, workers: int, body: Path | None) -> int:
    """Fit the subjects asked for, all when None, and print the table; returns the exit code."""
    files = vicon_files(out)
    if missing := set(asked or ()) - set(files):
        raise InputError(
            "--subjects",
            f"{', '.join(map(str, sorted(missing)))}, of whom {out}/vicon has nothing",
            f"some of {', '.join(map(str, files))}",
            "Name others, or prepare these.",
        )
    load_body(body)
    start = time.perf_counter()
    results: dict[int, Fitted] = {}
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    # Fresh processes: forking after torch has started its threads can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {
            pool.submit(fit_subject, out, paths, body): subject
            for subject, paths in files.items()
            if asked is None or subject in asked
        }
        try:
            for job in tqdm(as_completed(jobs), total=len(jobs), unit="subject"):
                results[jobs[job]] = job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return report([results[subject] for subject in sorted(results)], time.perf_counter() - start)


def report(results: Sequence[Fitted], seconds: float) -> int:
    """Print the table and what failed; returns the exit code."""
    print(HEADER)
    for line in (line for result in results for line in result.rows):
        print(line)
    failed = [message for result in results for message in result.failed]
    frames, busy = sum(r.frames for r in results), sum(r.seconds for r in results)
    print(f"{sum(len(r.rows) for r in results)} recordings, {len(failed)} could not be fitted")
    if frames:
        print(
            f"{frames} frames fitted in {seconds:.1f} s ({frames / seconds:.0f} frames/s), "
            f"{busy:.1f} s of processor time ({frames / busy:.0f} frames/s and core)"
        )
    for message in failed:
        print(f"fit_smpl: error: {message}", file=sys.stderr)
    return EXIT_SOME_FAILED if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the prepared DHP19")
    parser.add_argument("--subjects", type=int, nargs="+", metavar="S", help="default: all")
    parser.add_argument(
        "--body", type=Path, metavar="SMPL", help="SMPL .pkl or .npz; default: the free body"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    asked = parser.parse_args(arguments)
    if not 1 <= asked.workers <= 256:
        parser.error(f"--workers is {asked.workers}, not 1 to 256")
    try:
        return fit_all(asked.out, asked.subjects, asked.workers, asked.body)
    except InputError as error:
        print(f"fit_smpl: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
