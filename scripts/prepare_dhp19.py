"""Prepare DHP19: ``python scripts/prepare_dhp19.py RAW OUT``.

RAW is the data set's folder with ``DVS_movies`` and ``Vicon_data``. OUT gets each camera's
filtered events in ``recordings``, the markers in ``vicon``, the reference's frames in ``frames``
with ``--frames 7500``, and ``report.csv`` with a row a recording. Finished recordings are kept, so
an interrupted run goes on where it stopped.

Exit codes: 0 all recordings are done (but for the two that are corrupt in DHP19 itself); 1 some
are skipped or failed, and the report says why; 2 RAW, OUT or a flag is wrong; 130 interrupted.
"""

import argparse
import csv
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from datasets.constant_count import EVENTS_A_CAMERA
from datasets.dhp19_filters import Filters
from datasets.dhp19_layout import RawRecording
from datasets.dhp19_preparation import Preparation, Row, find_recordings, prepare_recording
from eventhpe.errors import InputError
from eventhpe.files import atomic_path, ensure_writable

EXIT_FAULTS, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130


def prepare_all(
    raw: Path, out: Path, asked: Preparation, todo: Sequence[RawRecording], workers: int
) -> Iterator[Row]:
    """Prepare recordings in processes of their own; rows come as they are done.

    Raises:
        InputError: the system killed a worker.
    """
    work = partial(prepare_recording, raw, out, asked)
    if workers == 1:
        yield from map(work, todo)
        return
    # Ctrl-C reaches every process: the workers finish what they have begun.
    ignore = signal.signal, (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(workers, get_context("spawn"), *ignore) as pool:
        jobs = [pool.submit(work, which) for which in todo]
        try:
            yield from (job.result() for job in as_completed(jobs))
        except BrokenProcessPool as error:
            raise InputError(
                f"--workers {workers}",
                "a worker that was killed, most likely for want of memory",
                "room for as many recordings at a time",
                "Use fewer; what is done is kept.",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def write_report(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows in the recordings' order, with those an earlier report has of others."""
    names = [field.name for field in fields(Row)]
    table = {}
    if path.exists():
        with path.open(newline="") as file:
            earlier = csv.DictReader(file)
            if earlier.fieldnames == names:
                table = {tuple(int(row[name]) for name in names[:3]): row for row in earlier}
    for row in rows:
        table[row.subject, row.session, row.movement] = asdict(row)
    with atomic_path(path) as to, to.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(table[which] for which in sorted(table))


def summary(rows: Sequence[Row], report: Path) -> str:
    """What to say at the end: how many of each status, and every fault."""
    counts = dict.fromkeys(("done", "skipped", "failed"), 0)
    for row in rows:
        counts[row.status] += 1
    faults = [
        f"S{row.subject} session {row.session} movement {row.movement} {row.status}: {row.reason}"
        for row in rows
        if row.is_fault
    ]
    totals = ", ".join(f"{count} {status}" for status, count in counts.items())
    return "\n".join([*faults, f"{report}: {totals}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path, metavar="RAW", help="DHP19's folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for what is prepared")
    parser.add_argument(
        "--filters",
        type=Filters,
        choices=list(Filters),
        default=Filters.REFERENCE,
        help="background activity on the mosaic of the four images, as the reference filters it "
        "(default), or camera by camera",
    )
    parser.add_argument(
        "--frames",
        type=int,
        choices=(EVENTS_A_CAMERA,),
        help="the reference's frames and labels too, of so many events a camera",
    )
    parser.add_argument(
        "--subjects", type=int, nargs="+", default=(), metavar="S", help="only these, e.g. 1 2"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    given = parser.parse_args(arguments)
    if not 1 <= given.workers <= 256:
        parser.error(f"--workers is {given.workers}, not 1 to 256")
    report, rows = given.out / "report.csv", []
    try:
        todo = find_recordings(given.raw, given.subjects)
        ensure_writable(report)
        asked = Preparation(given.filters, frames=given.frames is not None)
        progress = tqdm(total=len(todo), unit="recording")
        try:
            for row in prepare_all(given.raw, given.out, asked, todo, given.workers):
                rows.append(row)
                progress.update()
        except KeyboardInterrupt:
            print("interrupted: run the same command again to go on", file=sys.stderr)
            return EXIT_INTERRUPTED
        finally:
            progress.close()
            write_report(report, rows)
    except InputError as error:
        print(f"prepare_dhp19: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    print(summary(rows, report))
    return EXIT_FAULTS if any(row.is_fault for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
