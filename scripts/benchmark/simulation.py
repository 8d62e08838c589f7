"""Rows of the simulator: rendering, the sensor model, whole recordings."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.benchmark.inputs import HEIGHT, WIDTH
from scripts.benchmark.rows import Measured, median_seconds, row


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
