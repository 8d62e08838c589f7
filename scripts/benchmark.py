"""Measure the speeds this project promises, one thread each, and print them beside the targets.

    python -m scripts.benchmark [--all] [--only NAME]

A row is a function without arguments, registered with `@row`, that returns `Measured`; its ratio
rows (``also``) are printed below it. Add a row by writing such a function here.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventhpe.events import DsecWriter, EventStream, open_recording, time_windows, voxel_grid
from eventhpe.events.filters import BackgroundActivityFilter
from eventhpe.events.formats.aedat2 import Aedat2Decoder

WIDTH, HEIGHT, BINS = 346, 260, 10
EVENTS, WINDOW_US = 1_000_000, 50_000
STREAM_EVENTS = 200_000_000


@dataclass(frozen=True)
class Measured:
    """One measured figure beside its target.

    Attributes:
        name: what was measured.
        value: the median, in ``unit``.
        unit: its unit.
        target: the promised figure, None where nothing is promised.
        more_is_better: whether the target is a floor (else a ceiling).
        note: how it was measured.
        also: further figures of the same run.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    more_is_better: bool = True
    note: str = ""
    also: tuple["Measured", ...] = field(default=())

    @property
    def ok(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.more_is_better else self.value <= self.target


Row = Callable[[], Measured]
ROWS: dict[str, tuple[Row, bool]] = {}


def row(name: str, *, long: bool = False) -> Callable[[Row], Row]:
    """Register a measuring function under ``name``; long rows run with --all or --only."""

    def register(function: Row) -> Row:
        ROWS[name] = (function, long)
        return function

    return register


def median_seconds(work: Callable[[], object], repeats: int = 15) -> float:
    """Median time of ``work`` over at least 7 repeats, after one call that warms it up.

    Processor time of this thread, not wall time: the rows are single-threaded, and another
    program's share of a busy core is none of theirs.
    """
    work()
    seconds = []
    for _ in range(max(7, repeats)):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return float(np.median(seconds))


@row("voxel_grid")
def bench_voxel_grid() -> Measured:
    """A million events of 50 ms into 10 bins at 346x260, beside NumPy and torch doing the same.

    Everyone starts from the same event arrays and ends with the grid, in float32.
    """
    import torch

    torch.set_num_threads(1)
    events = _random_events()
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
    events = _random_events()
    address = (np.uint32(HEIGHT - 1) - events.y.astype(np.uint32)) << np.uint32(22)
    address |= (np.uint32(WIDTH - 1) - events.x.astype(np.uint32)) << np.uint32(12)
    address |= events.p.astype(np.uint32) << np.uint32(11)
    pairs = np.stack([address, events.t.astype(np.uint32)], axis=1).astype(">u4")
    words = np.frombuffer(pairs.tobytes(), "<u8")
    x, y = np.empty(EVENTS, np.uint16), np.empty(EVENTS, np.uint16)
    t, p = np.empty(EVENTS, np.int64), np.empty(EVENTS, np.uint8)
    decoder = Aedat2Decoder("aedat2-davis", WIDTH, HEIGHT, 0)
    seconds = median_seconds(lambda: decoder.decode(words, x, y, t, p), 21)
    return Measured("aedat2_decode", EVENTS / seconds / 1e6, "M events/s", 500, note="in memory")


@row("background_activity")
def bench_background_activity() -> Measured:
    """A million events of half a second through the background activity filter, tau 10 ms."""
    events = _random_events(500_000)
    company = BackgroundActivityFilter(WIDTH, HEIGHT, 10_000)
    seconds = median_seconds(lambda: company.keep(events), 21)
    return Measured("background_activity", EVENTS / seconds / 1e6, "M events/s", 150)


@row("rasterizer")
def bench_rasterizer() -> Measured:
    """The default body at 346x260, three metres away, upright and facing the camera.

    Back faces are culled, as in the simulator: the body is a closed mesh.
    """
    import torch

    from eventhpe.body.loading import load_body
    from eventhpe.camera import Camera
    from eventhpe.rasterizer import rasterize

    body = load_body()
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
    posed = body(
        torch.zeros(1, 10),
        upright,
        torch.eye(3).expand(1, 23, 3, 3),
        torch.tensor([[0.0, 0.0, 3.0]]),
    )
    vertices = posed.vertices[0].detach().numpy().astype(np.float32)
    camera = Camera.from_fov(WIDTH, HEIGHT)
    buffers = rasterize(vertices, body.faces, camera.K, WIDTH, HEIGHT)
    seconds = median_seconds(
        lambda: rasterize(
            vertices, body.faces, camera.K, WIDTH, HEIGHT, cull_backfaces=True, out=buffers
        ),
        101,
    )
    note = f"{len(body.faces):,} faces"
    return Measured("rasterizer", seconds * 1e3, "ms/frame", 0.7, False, note)


@row("sensor")
def bench_sensor() -> Measured:
    """A moving texture at 1000 frames/s through the sensor model, 346x260, noise on, sorted.

    From log intensity frames to sorted events, flushed each second; beside it a plain emulator in
    NumPy, with the same low-pass, thresholds and noise but neither reset time nor readout.
    """
    from eventhpe.simulation.sensor import Sensor, SensorParameters

    parameters = SensorParameters(
        bandwidth_hz=200.0,
        noise_hz=0.5,
        leak_hz=0.1,
        hot_pixels=3,
        hot_hz=50.0,
        jitter_us=20.0,
        readout_eps=12e6,
    )
    frames, second = _moving_texture(), 1_000_000
    sensor = Sensor(parameters, frames[0], np.random.default_rng(0))
    emulator = _NumpyEmulator(frames[0], 0.25, 200.0, 0.6)
    clock, counts = iter(range(1000)), []

    def run() -> None:
        start = next(clock) * second
        for k in range(1000):
            t = start + k * 1000.0
            sensor.step(frames[k % len(frames)], t, t + 1000.0, (0, 0, WIDTH, HEIGHT))
        counts.append(len(sensor.flush(start, start + second).t))

    ours = median_seconds(run, 7) / 1000
    plain = median_seconds(lambda: [emulator.step(f, 0.0, 1000.0) for f in frames], 7)
    also = Measured("sensor vs NumPy per frame", plain / len(frames) / ours, "x")
    note = f"346x260, {np.mean(counts[1:]) / 1e6:.2f} M events/s at 1 kHz"
    return Measured("sensor", 1 / ours, "frames/s", 3000, note=note, also=(also,))


def _moving_texture() -> list[NDArray[np.float32]]:
    """40 log intensity frames, there and back, of blobs that move by a fifth of a pixel."""
    from scipy.ndimage import gaussian_filter, shift

    blobs = gaussian_filter(np.random.default_rng(0).normal(size=(HEIGHT, WIDTH + 4)), 6)
    log = np.log(0.2 + 0.7 / (1 + np.exp(-6 * blobs / blobs.std())))
    there = [shift(log, (0, -0.2 * k), order=1)[:, :WIDTH].astype(np.float32) for k in range(20)]
    return there + there[::-1]


class _NumpyEmulator:
    """What a frame-by-frame event emulator does, in whole-image NumPy operations."""

    def __init__(
        self, log: NDArray[np.float32], threshold: float, bandwidth_hz: float, noise_hz: float
    ) -> None:
        self._rng = np.random.default_rng(0)
        self._state, self._reference = log.copy(), log.copy()
        spread = self._rng.normal(1, 0.03, (2, *log.shape)).astype(np.float32)
        self._thresholds = np.float32(threshold) * spread
        self._bandwidth_hz, self._noise_hz = bandwidth_hz, noise_hz

    def step(self, log: NDArray[np.float32], t0: float, t1: float) -> NDArray[np.float64]:
        """(N, 4) sorted events: t, x, y, p."""
        seconds = (t1 - t0) * 1e-6
        corner = np.float32(2 * np.pi * self._bandwidth_hz) * (0.1 + 0.9 * np.exp(log))
        before = self._state
        now = self._state = before + (1 - np.exp(-seconds * corner)) * (log - before)
        moved, level = now - self._reference, self._reference.copy()
        fired = self._rng.random(log.shape, np.float32) < self._noise_hz * seconds
        y, x = np.nonzero(fired)
        t, p = self._rng.uniform(t0, t1, len(x)), self._rng.integers(0, 2, len(x))
        events = [np.stack([t, x, y, p], axis=1)]
        for sign, threshold in zip((-1, 1), self._thresholds, strict=True):
            number = np.maximum(np.floor(sign * moved / threshold), 0)
            for k in range(int(number.max())):
                y, x = np.nonzero(number > k)
                crossed = level[y, x] + sign * (k + 1) * threshold[y, x] - before[y, x]
                t = t0 + (t1 - t0) * np.clip(crossed / (now[y, x] - before[y, x]), 0, 1)
                events.append(np.stack([t, x, y, np.full(len(x), sign > 0)], axis=1))
            self._reference += sign * number * threshold
        together = np.concatenate(events)
        return together[np.argsort(together[:, 0], kind="stable")]


@row("simulate")
def bench_simulate() -> Measured:
    """A walk before a DAVIS346 with noise and truth, simulated seconds per processor second.

    And how the peak memory of a fresh process grows from ten simulated seconds to sixty.
    """
    from eventhpe.body.loading import load_body
    from eventhpe.simulation import SimulationConfig, simulate

    body, seconds = load_body(), 6.0
    config = SimulationConfig(duration_s=seconds, sensor="davis346", motion="walk")
    speeds = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "walk.h5"
        simulate(SimulationConfig(0.5, "davis346", motion="walk", flicker=True), out, 0, body)
        for seed in range(5):
            start = time.process_time()
            simulate(config, out, seed, body)
            speeds.append(seconds / (time.process_time() - start))
    grown = _simulation_peak(60.0) / _simulation_peak(10.0)
    memory = Measured("simulate memory, 60 s over 10 s", grown, "x peak", 1.1, False)
    value = float(np.median(speeds))
    return Measured("simulate", value, "x real time", 1.5, note="346x260 walk", also=(memory,))


def _simulation_peak(seconds: float) -> float:
    """Peak KiB of a fresh process that simulates a walk before a DVS128."""
    code = (
        "import resource, sys; from eventhpe.body.loading import load_body; "
        "from eventhpe.simulation import SimulationConfig, simulate; "
        "config = SimulationConfig(float(sys.argv[1]), 'dvs128', motion='walk', flicker=False); "
        "simulate(config, sys.argv[2], 0, load_body()); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.run(
            [sys.executable, "-c", code, str(seconds), str(Path(folder) / "walk.h5")],
            check=True,
            capture_output=True,
            text=True,
        )
    return float(child.stdout)


@row("infer")
def bench_infer() -> Measured:
    """`infer` on ten seconds of a million events a second, 20 steps/s: recording over wall time.

    The events fall at random into a person-sized box. Both cores work, as for a user; the
    overlay is not drawn.
    """
    from eventhpe.body import load_body
    from eventhpe.camera import Camera
    from eventhpe.estimator import load_networks
    from eventhpe.inference import infer

    seconds, block = 10, _random_events(1_000_000)
    box = EventStream(
        (block.x // 3 + 115).astype(np.uint16), block.y, block.t, block.p, WIDTH, HEIGHT
    )
    networks, body = load_networks(), load_body()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        with DsecWriter(path, WIDTH, HEIGHT) as writer:
            for i in range(seconds):
                t = box.t + i * 1_000_000
                writer.append(EventStream(box.x, box.y, t, box.p, WIDTH, HEIGHT))
        camera = Camera.from_fov(WIDTH, HEIGHT)

        def run(stop_s: int) -> float:
            start = time.perf_counter()
            recording = open_recording(path)
            infer(recording, networks, body, camera, stop_us=stop_s * 1_000_000, progress=False)
            return time.perf_counter() - start

        run(1)
        wall = float(np.median([run(seconds) for _ in range(3)]))
    return Measured("infer", seconds / wall, "x real time", 1.0, note="346x260, 20 steps/s")


@row("stream_200M", long=True)
def bench_stream() -> Measured:
    """Peak memory of a fresh process that streams 200 million events from a DSEC file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        _write_long_recording(path)
        code = "from scripts.benchmark import stream_file; stream_file()"
        root = Path(__file__).resolve().parents[1]
        start = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
    count, peak_kib = map(int, child.stdout.split())
    if count != STREAM_EVENTS:
        raise RuntimeError(f"{count:,} of {STREAM_EVENTS:,} events were read")
    speed = Measured("stream_200M speed", count / seconds / 1e6, "M events/s", note="50 ms windows")
    return Measured(
        "stream_200M", peak_kib / 2**20, "GiB peak", 1.0, False, "DSEC file", also=(speed,)
    )


def stream_file() -> None:
    """Read the file named on the command line in windows; print events and peak KiB."""
    recording = open_recording(sys.argv[1])
    # Without a stop the last window would be left out where its last microsecond is empty.
    stop = STREAM_EVENTS // EVENTS * WINDOW_US
    windows = time_windows(recording, WINDOW_US, WINDOW_US, stop_us=stop)
    count = sum(len(window.events) for window in windows)
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _write_long_recording(path: Path) -> None:
    block = _random_events()
    blocks = STREAM_EVENTS // EVENTS
    with DsecWriter(path, WIDTH, HEIGHT) as writer:
        for i in range(blocks):
            t = block.t + i * WINDOW_US
            writer.append(EventStream(block.x, block.y, t, block.p, WIDTH, HEIGHT))


def _random_events(duration_us: int = WINDOW_US) -> EventStream:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, duration_us, EVENTS))
    x, y = rng.integers(0, WIDTH, EVENTS), rng.integers(0, HEIGHT, EVENTS)
    return EventStream.from_arrays(x, y, t, rng.integers(0, 2, EVENTS), WIDTH, HEIGHT)


def _measure(only: str | None, everything: bool) -> Iterator[Measured]:
    for name, (function, long) in ROWS.items():
        if only is not None and name != only:
            continue
        if only is None and long and not everything:
            continue
        try:
            result = function()
        except ImportError as error:
            yield Measured(name, float("nan"), "", note=f"not measured: {error}")
            continue
        yield result
        yield from result.also


def _print_table(results: list[Measured]) -> None:
    table = [("name", "measured", "unit", "target", "ok", "note")]
    for result in results:
        sign = ">=" if result.more_is_better else "<="
        target = "-" if result.target is None else f"{sign} {result.target:g}"
        ok = "-" if result.target is None else ("yes" if result.ok else "NO")
        table.append((result.name, f"{result.value:.4g}", result.unit, target, ok, result.note))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def main() -> int:
    """Run the rows asked for; exit with 1 if a target is missed."""
    parser = argparse.ArgumentParser(description="Measure the promised speeds, one thread each.")
    parser.add_argument("--only", choices=sorted(ROWS), help="measure one row")
    parser.add_argument("--all", action="store_true", help="long rows too")
    arguments = parser.parse_args()
    results = list(_measure(arguments.only, arguments.all))
    _print_table(results)
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
