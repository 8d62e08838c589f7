"""Rows of the event side: grids, decoding, filtering."""

import numpy as np

from eventhpe.events import EventStream, voxel_grid
from eventhpe.events.filters import BackgroundActivityFilter
from eventhpe.events.formats.aedat2 import Aedat2Decoder
from scripts.benchmark.inputs import EVENTS, HEIGHT, WIDTH, WINDOW_US, davis_words, random_events
from scripts.benchmark.rows import Measured, median_seconds, row

BINS = 10


@row("voxel_grid")
def bench_voxel_grid() -> Measured:
    """A million events of 50 ms into 10 bins at 346x260, beside NumPy and torch doing the same.

    Everyone starts from the same event arrays and ends with the grid, in float32.
    """
    import torch

    torch.set_num_threads(1)
    events = random_events()
    out = np.zeros((BINS, HEIGHT, WIDTH), np.float32)
    ours = median_seconds(lambda: voxel_grid(events, 0, WINDOW_US, BINS, out=out), 31)

    rivals = (
        ("numpy.add.at", 3.0, lambda: _voxel_grid_numpy(events)),
        ("torch scatter_add_", 3.0, lambda: _voxel_grid_torch(events, False)),
        ("torch index_put_", 10.0, lambda: _voxel_grid_torch(events, True)),
    )
    also = tuple(
        Measured(f"voxel_grid vs {name}", median_seconds(work, 7) / ours, "x", target)
        for name, target, work in rivals
    )
    note = f"{EVENTS:,} events, {BINS}x{HEIGHT}x{WIDTH}"
    return Measured("voxel_grid", EVENTS / ours / 1e6, "M events/s", 250, note=note, also=also)


def _voxel_grid_numpy(events: EventStream) -> None:
    tau = (events.t * ((BINS - 1) / WINDOW_US)).astype(np.float32)
    lower = tau.astype(np.int64)
    late = tau - lower
    sign = events.p.astype(np.float32) * 2 - 1
    cell = (lower * HEIGHT + events.y) * WIDTH + events.x
    grid = np.zeros(BINS * HEIGHT * WIDTH, np.float32)
    np.add.at(grid, cell, sign * (1 - late))
    np.add.at(grid, cell + WIDTH * HEIGHT, sign * late)


def _voxel_grid_torch(events: EventStream, index_put: bool) -> None:
    import torch

    t, x, y, p = (torch.from_numpy(getattr(events, name)) for name in "txyp")
    tau = t.float() * ((BINS - 1) / WINDOW_US)
    lower = tau.long()
    late = tau - lower
    sign = p.float() * 2 - 1
    cell = (lower * HEIGHT + y.long()) * WIDTH + x.long()
    grid = torch.zeros(BINS * HEIGHT * WIDTH)
    for index, weight in ((cell, sign * (1 - late)), (cell + WIDTH * HEIGHT, sign * late)):
        if index_put:
            grid.index_put_((index,), weight, accumulate=True)
        else:
            grid.scatter_add_(0, index, weight)


@row("aedat2_decode")
def bench_aedat2_decode() -> Measured:
    """A million DAVIS words in memory into arrays allocated before."""
    events = random_events()
    words = np.frombuffer(davis_words(events), "<u8")
    x, y = np.empty(EVENTS, np.uint16), np.empty(EVENTS, np.uint16)
    t, p = np.empty(EVENTS, np.int64), np.empty(EVENTS, np.uint8)
    decoder = Aedat2Decoder("aedat2-davis", WIDTH, HEIGHT, 0)
    seconds = median_seconds(lambda: decoder.decode(words, x, y, t, p), 21)
    return Measured("aedat2_decode", EVENTS / seconds / 1e6, "M events/s", 500, note="in memory")


@row("background_activity")
def bench_background_activity() -> Measured:
    """A million events of half a second through the background activity filter, tau 10 ms."""
    events = random_events(500_000)
    company = BackgroundActivityFilter(WIDTH, HEIGHT, 10_000)
    seconds = median_seconds(lambda: company.keep(events), 21)
    return Measured("background_activity", EVENTS / seconds / 1e6, "M events/s", 150)
