"""How often a scene is taken for what it is: the figures of docs/limits.md.

``python -m scripts.scenes FOLDER [RECORDING...]`` watches (`eventhpe.scene`) the first seconds of
a folder's recordings, of which each shows one person; of the same ones put side by side, two people
in one picture; of five simulated pans over a patterned wall; and of further recordings. Then it
counts the steps at which the released weights find nobody in five simulated empty rooms, and in the
further recordings.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from datasets.folders import recording_paths
from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.estimator import load_networks
from eventhpe.evaluation.presence import presence_shares, presence_table
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import windows_of
from eventhpe.scene import EVERY_US, SceneWatch
from eventhpe.simulation.simulate import SimulationConfig, simulate

EXIT_BAD_INPUT = 2
SIDE, PAN_STEP_US = 128, 8_000
EMPTY_ROOMS = ("dvs128", "davis240", "davis346", "dvs128", "davis346")


def watched(events: EventStream, seconds: float) -> SceneWatch:
    """A look at the first seconds of some events, as inference takes it."""
    keep = InputRecipe().noise_filter(events.width, events.height)
    watch = SceneWatch(events.width, events.height)
    empty = EventStream.empty(events.width, events.height)
    stop_us = min(round(seconds * 1e6), int(events.t[-1]) + 1)
    for window in windows_of([events], EVERY_US, EVERY_US, int(events.t[0]), stop_us, empty):
        watch.update(window.events.masked(keep(window.events)), window.t0, window.t1)
    return watch


def side_by_side(left: EventStream, right: EventStream) -> EventStream:
    """Two pictures of one height as one."""
    t = np.concatenate([left.t, right.t])
    order = np.argsort(t, kind="stable")
    shifted = right.x.astype(np.int64) + left.width
    x = np.concatenate([left.x, shifted])[order]
    y, p = (np.concatenate(pair)[order] for pair in ((left.y, right.y), (left.p, right.p)))
    return EventStream.from_arrays(x, y, t[order], p, left.width + right.width, left.height)


def pan(grain: float, seconds: float) -> EventStream:
    """A camera that turns before a pattern: its picture moves by a pixel every 8 ms.

    Args:
        grain: size of the pattern's patches, pixels.
        seconds: how long.
    """
    rng = np.random.default_rng(0)
    count = round(seconds * 1e6 / PAN_STEP_US)
    wall = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE + count)), grain) > 0
    parts = []
    for k in range(1, count):
        before, now = wall[:, k - 1 : k - 1 + SIDE], wall[:, k : k + SIDE]
        y, x = np.nonzero(before != now)
        parts.append((x, y, np.full(len(x), PAN_STEP_US * k), now[y, x]))
    x, y, t, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    return EventStream.from_arrays(x, y, t, p, SIDE, SIDE)


def first_seconds(path: Path, seconds: float) -> EventStream:
    """The events that a recording begins with."""
    return open_recording(path).read(0, round(seconds * 1e6))


def pairs(streams: Iterable[EventStream]) -> Iterator[EventStream]:
    """Every two pictures of one size as one picture."""
    for left, right in itertools.combinations(streams, 2):
        if (left.width, left.height) == (right.width, right.height):
            yield side_by_side(left, right)


def row(name: str, watches: Sequence[SceneWatch]) -> str:
    """A line of the table."""
    moving, two = ([w.moving_s for w in watches], [w.two_s for w in watches])
    told = [" ".join(w.warnings()) for w in watches]
    camera, people = (sum(word in line for line in told) for word in ("camera", "people"))
    return (
        f"{name:<34}{len(watches):>6}{max(moving, default=0):>10.2f}{max(two, default=0):>10.2f}"
        f"{camera:>10}{people:>10}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; returns the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("recording", type=Path, nargs="*", metavar="RECORDING")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S")
    options = parser.parse_args(arguments)
    try:
        _scenes(options.folder, options.recording, options.seconds)
        _nobody(options.recording)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


def _scenes(folder: Path, others: Sequence[Path], seconds: float) -> None:
    streams = [first_seconds(path, seconds) for path in recording_paths(folder)]
    print(f"the first {seconds:g} s: most seconds that fire, recordings that are warned of")
    print(f"{'scene':<34}{'count':>6}{'camera, s':>10}{'two, s':>10}{'camera':>10}{'two':>10}")
    print(row("one person", [watched(events, seconds) for events in streams]))
    print(row("two, side by side", [watched(events, seconds) for events in pairs(streams)]))
    print(row("pans", [watched(pan(grain, seconds), seconds) for grain in (2, 3, 4, 6, 8)]))
    for path in others:
        print(row(path.name, [watched(first_seconds(path, seconds), seconds)]))


def _nobody(others: Sequence[Path]) -> None:
    body, networks = load_body(), load_networks()
    with tempfile.TemporaryDirectory() as folder:
        rooms = [Path(folder) / f"empty_{i}_{sensor}.h5" for i, sensor in enumerate(EMPTY_ROOMS)]
        for i, (path, sensor) in enumerate(zip(rooms, EMPTY_ROOMS, strict=True)):
            simulate(SimulationConfig(3.0, sensor, person=False), path, 900 + i, body)
        opened = [open_recording(path) for path in (*rooms, *others)]
        print("\nstates of the steps, released weights")
        print(presence_table(presence_shares(opened, networks, body)))


if __name__ == "__main__":
    sys.exit(main())
