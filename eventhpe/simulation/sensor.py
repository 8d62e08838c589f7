"""The event camera: log intensity in, events out.

A pixel remembers the log intensity at its last event and fires each time the signal has moved on
by its threshold; crossing times are interpolated linearly between the samples (ESIM: Rebecq et
al., CoRL 2018, sec. 3.1). Noise is drawn per stretch of time, not per sample.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Pixel rectangle x0, y0, x1, y1; x1 and y1 are exclusive."""

MAX_EVENTS_PER_STEP = 64
"""A pixel fires at most this often between two samples; the rest of its swing is skipped."""


@dataclass(frozen=True)
class SensorParameters:
    """One camera's characteristics.

    Attributes:
        threshold_on, threshold_off: mean contrast thresholds, natural log units.
        mismatch: relative standard deviation of the thresholds over the pixels.
        refractory_us: time after an event in which a pixel cannot fire.
        bandwidth_hz: corner of the first-order low-pass of the photoreceptor; 0 means none.
        noise_hz: shot noise, events per second and pixel, both polarities.
        leak_hz: leak events (on only), per second and pixel.
        hot_pixels: number of pixels which fire at ``hot_hz``.
        hot_hz: their rate.
    """

    threshold_on: float = 0.25
    threshold_off: float = 0.25
    mismatch: float = 0.03
    refractory_us: float = 500.0
    bandwidth_hz: float = 0.0
    noise_hz: float = 0.0
    leak_hz: float = 0.0
    hot_pixels: int = 0
    hot_hz: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator) -> "SensorParameters":
        """Draw a camera: thresholds 0.15 to 0.45, noise 0.02 to 2 Hz (quiet more often)."""
        mean = float(rng.uniform(0.15, 0.45))
        return cls(
            threshold_on=mean * float(rng.uniform(0.85, 1.15)),
            threshold_off=mean * float(rng.uniform(0.85, 1.15)),
            mismatch=float(rng.uniform(0.02, 0.08)),
            refractory_us=float(np.exp(rng.uniform(np.log(100), np.log(2000)))),
            bandwidth_hz=float(np.exp(rng.uniform(np.log(60), np.log(600)))),
            noise_hz=float(0.02 * 100 ** (rng.uniform() ** 1.3)),
            leak_hz=float(rng.uniform(0.0, 0.15)),
            hot_pixels=int(rng.poisson(3.0)),
            hot_hz=float(np.exp(rng.uniform(np.log(5.0), np.log(150.0)))),
        )


@dataclass
class EventBatch:
    """Events in time order as plain arrays: t int64 us, x and y uint16, p uint8."""

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.uint8]


class Sensor:
    """A sensor array with its state; feed it log intensities in time order.

    Args:
        parameters: the camera.
        log_intensity: (H, W) natural log of the intensity at time 0; every pixel starts settled
            on it.
        rng: draws the thresholds, hot pixels and noise.
    """

    def __init__(
        self, parameters: SensorParameters, log_intensity: Float32, rng: np.random.Generator
    ) -> None:
        self.parameters = parameters
        self.height, self.width = log_intensity.shape
        self._rng = rng
        self._state = log_intensity.astype(np.float32)
        self._on = self._thresholds(parameters.threshold_on)
        self._off = self._thresholds(parameters.threshold_off)
        self._reference = self._state.copy()
        self._last = np.full(log_intensity.shape, -np.inf)
        self._noise = self._noise_rates()
        self._capacity = self.width * self.height * 4
        self._count = 0
        self._allocate()

    def _thresholds(self, mean: float) -> Float32:
        spread = self._rng.normal(1.0, self.parameters.mismatch, (self.height, self.width))
        return np.maximum(mean * spread, 0.3 * mean).astype(np.float32)

    def _noise_rates(self) -> NDArray[np.float64]:
        p = self.parameters
        rates = np.full(self.width * self.height, p.noise_hz)
        rates *= self._rng.lognormal(-0.125, 0.5, rates.shape)
        if p.hot_pixels:
            rates[self._rng.integers(0, rates.size, p.hot_pixels)] += p.hot_hz
        return rates

    def _allocate(self) -> None:
        self._t = np.empty(self._capacity)
        self._place = np.empty(self._capacity, np.uint32)
        self._p = np.empty(self._capacity, np.uint8)

    def _make_room(self, pixels: int) -> None:
        while self._count + pixels * MAX_EVENTS_PER_STEP > self._capacity:
            t, place, p, n = self._t, self._place, self._p, self._count
            self._capacity *= 2
            self._allocate()
            self._t[:n], self._place[:n], self._p[:n] = t[:n], place[:n], p[:n]

    def step(self, log_intensity: Float32, t0: float, t1: float, box: Box) -> None:
        """Advance from ``t0`` to ``t1`` (us); ``log_intensity`` (H, W) holds at ``t1``.

        Only pixels in ``box`` are looked at: outside, the signal must not have changed (with a
        low-pass: not for some of its time constants).
        """
        x0, y0, x1, y1 = box
        if x1 <= x0 or y1 <= y0:
            return
        self._make_room((x1 - x0) * (y1 - y0))
        bandwidth = self.parameters.bandwidth_hz
        decay = np.exp(-2 * np.pi * bandwidth * (t1 - t0) * 1e-6) if bandwidth > 0 else 0.0
        state = (self._state, self._reference, self._last)
        self._count = _step(
            log_intensity,
            *state,
            self._on,
            self._off,
            box,
            np.float32(1.0 - decay),
            t0,
            t1,
            self.parameters.refractory_us,
            self._t,
            self._place,
            self._p,
            self._count,
        )

    def flush(self, t0: int, t1: int) -> EventBatch:
        """Take the events fired since the last flush, with noise over [t0, t1), sorted by time."""
        n = self._count
        noise_t, noise_place, noise_p = self._draw_noise(t0, t1)
        t = np.concatenate([self._t[:n].astype(np.int64), noise_t])
        place = np.concatenate([self._place[:n], noise_place])
        p = np.concatenate([self._p[:n], noise_p])
        self._count = 0
        order = np.argsort(t, kind="stable")
        t, place, p = t[order], place[order], p[order]
        y, x = np.divmod(place, np.uint32(self.width))
        return EventBatch(t, x.astype(np.uint16), y.astype(np.uint16), p)

    def _draw_noise(
        self, t0: int, t1: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]:
        """Poisson events of every pixel over [t0, t1): a count, then places and times."""
        rng, seconds = self._rng, (t1 - t0) * 1e-6
        cumulative = np.cumsum(self._noise)
        shots = rng.poisson(cumulative[-1] * seconds)
        leaks = rng.poisson(self.parameters.leak_hz * self._noise.size * seconds)
        place = np.concatenate(
            [
                np.searchsorted(cumulative, rng.random(shots) * cumulative[-1], side="right"),
                rng.integers(0, self._noise.size, leaks),
            ]
        )
        p = np.concatenate([rng.integers(0, 2, shots), np.ones(leaks, np.int64)])
        t = t0 + (rng.random(shots + leaks) * (t1 - t0)).astype(np.int64)
        return t, np.minimum(place, self._noise.size - 1).astype(np.uint32), p.astype(np.uint8)


@njit(cache=True, nogil=True, error_model="numpy")
def _step(  # type: ignore[no-untyped-def]
    target,
    state,
    reference,
    last,
    on,
    off,
    box,
    gain,
    t0,
    t1,
    refractory,
    out_t,
    out_place,
    out_p,
    n,
):
    x0, y0, x1, y1 = box
    width = state.shape[1]
    for y in range(y0, y1):
        for x in range(x0, x1):
            before = state[y, x]
            now = before + gain * (target[y, x] - before)
            if now == before:
                continue
            state[y, x] = now
            level = reference[y, x]
            if now - level >= on[y, x]:
                delta, p = on[y, x], 1
            elif level - now >= off[y, x]:
                delta, p = -off[y, x], 0
            else:
                continue
            pace = (t1 - t0) / (now - before)
            for _ in range(MAX_EVENTS_PER_STEP):
                if (now - level - delta) * (2 * p - 1) < 0:
                    break
                level += delta
                # The signal may have passed the level before t0 when a threshold lies behind it.
                t = min(max(t0 + (level - before) * pace, t0), t1)
                if t - last[y, x] >= refractory:
                    last[y, x] = t
                    out_t[n] = t
                    out_place[n] = y * width + x
                    out_p[n] = p
                    n += 1
            reference[y, x] = level
    return n
