"""The event camera: log intensity in, events out.

Three models make it up:

- the pixel remembers the log intensity of its last reset and fires each time the signal has moved
  on by its threshold, at a time interpolated linearly between the samples (ESIM: Rebecq et al.,
  CoRL 2018, sec. 3.1). After an event its reset is held for the refractory period; it then
  remembers the signal of that moment, so what changed meanwhile is lost;
- the photoreceptor is a first-order low-pass whose corner grows with the intensity, and noise is
  larger in the dark (v2e: Hu, Liu and Delbruck, CVPRW 2021, sec. 4);
- the readout lets events wait for their turn on a bus of limited speed and stamps them then.

Noise, leak and hot pixels are Poisson processes drawn per stretch of time, not per sample; they
do not reset the pixel they fire at. Echoes of events, as old sensors have them, are drawn likewise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventhpe.simulation import sensor_kernels as kernels
from eventhpe.simulation.sensor_kernels import EVENT, NO_SURFACE

Float32 = NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Pixel rectangle x0, y0, x1, y1; x1 and y1 are exclusive."""

DARK_BANDWIDTH = 0.1
"""Corner of a black pixel over that of a white one (v2e, sec. 4: about a tenth)."""
BRIGHT_NOISE = 0.25
"""Shot noise of a white pixel over that of a black one (v2e, sec. 4); linear between."""
MAX_WAIT_US = 5_000.0
"""Events which the readout cannot serve within this time are dropped (chosen)."""


REBOUND_US = {1: (200.0, 1600.0), 0: (600.0, 3000.0)}
"""Delays, evenly spread in the logarithm, of an on event after an off one and the reverse: read
off a DVS128 recording, where 28% and 11% of the events have such an echo."""
DOUBLE_US = 1
"""Delay of the second copy of an event that is read twice (the same recording)."""


@dataclass(frozen=True)
class SensorParameters:
    """One camera's characteristics; intensity 1 is a white surface in full light.

    Attributes:
        threshold_on, threshold_off: mean contrast thresholds, natural log units.
        mismatch: relative standard deviation of the thresholds over pixels and polarities.
        refractory_us: time after an event during which the pixel is held in reset.
        bandwidth_hz: corner of the photoreceptor's low-pass at intensity 1; 0 means none.
        noise_hz: shot noise in the dark, events per second and pixel, both polarities.
        leak_hz: leak events (on only), per second and pixel.
        hot_pixels: number of pixels which fire at ``hot_hz``.
        hot_hz: their rate.
        timestamp_us: resolution of the time stamps, whole microseconds.
        jitter_us: standard deviation of an event's time.
        readout_eps: most events per second that the readout passes on; 0 means no limit.
        noise_spread: standard deviation, over the pixels, of the log of their noise rates.
        rebound_on: share of the off events after which their pixel fires on within `REBOUND_US`;
            rebound_off: of the on events after which it fires off.
        double_off: share of the off events that are read out twice.
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
    timestamp_us: int = 1
    jitter_us: float = 0.0
    readout_eps: float = 0.0
    noise_spread: float = 0.5
    rebound_on: float = 0.0
    rebound_off: float = 0.0
    double_off: float = 0.0

    @property
    def settle_us(self) -> float:
        """Five time constants of a black pixel: so long a change goes on; 0 without low-pass."""
        if self.bandwidth_hz <= 0:
            return 0.0
        return 5e6 / (2 * np.pi * DARK_BANDWIDTH * self.bandwidth_hz)


@dataclass
class EventBatch:
    """Events in time order as plain arrays: t int64 us, x and y uint16, p uint8.

    ``surface`` (uint16) says what each event's pixel showed, `NO_SURFACE` for noise and where
    there was none; it is None if the sensor was never told.
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.uint8]
    surface: NDArray[np.uint16] | None = None


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
        state = log_intensity.astype(np.float32)
        on, off = (self._thresholds(p) for p in (parameters.threshold_on, parameters.threshold_off))
        # Order as in `kernels.step`: filtered signal, its last input, reference, end of the reset.
        self._pixels = (state, state.copy(), state.copy(), np.zeros(state.shape), on, off)
        self._scratch = (np.empty(self.width, np.float32), np.empty(self.width, np.uint8))
        spread = parameters.noise_spread
        shots = rng.lognormal(-(spread**2) / 2, spread, state.size) * parameters.noise_hz
        self._shots = np.cumsum(shots)
        self._hot = rng.integers(0, state.size, parameters.hot_pixels)
        self._events = np.empty(self.width * kernels.MAX_EVENTS_PER_STEP * 4, EVENT)
        self._count = self._carried = 0
        self._bus_free = -np.inf
        self._shown: NDArray[np.uint16] | None = None

    def _thresholds(self, mean: float) -> Float32:
        spread = self._rng.normal(1.0, self.parameters.mismatch, (self.height, self.width))
        return np.maximum(mean * spread, 0.3 * mean).astype(np.float32)

    def step(
        self,
        log_intensity: Float32,
        t0: float,
        t1: float,
        box: Box,
        surface: NDArray[np.uint16] | None = None,
    ) -> None:
        """Advance from ``t0`` to ``t1`` (us, t0 < t1).

        Between the two the log intensity is linear in time, for the low-pass as well.

        Args:
            log_intensity: (H, W) float32, natural log of the intensity at ``t1``.
            t0, t1: the step; the first starts where the state was settled.
            box: the only pixels looked at: outside, the signal must not have changed for
                `SensorParameters.settle_us`.
            surface: (H, W) uint16, what each pixel shows at ``t1``, `NO_SURFACE` where nothing is
                followed. Events carry it, at a blurred silhouette from the surface beside it.
        """
        if box[2] <= box[0] or box[3] <= box[1]:
            return
        p = self.parameters
        first, row = self._count, box[1]
        angular = np.float32(2e-6 * np.pi * p.bandwidth_hz * (t1 - t0))
        low_pass = (angular * np.float32(DARK_BANDWIDTH), angular * np.float32(1 - DARK_BANDWIDTH))
        while True:
            row, self._count = kernels.step(
                log_intensity,
                self._pixels,
                low_pass,
                box,
                row,
                (float(t0), float(t1), float(p.refractory_us)),
                self._scratch,
                self._events,
                self._count,
            )
            if row == box[3]:
                break
            self._make_room(len(self._events))
        if surface is not None:
            self._tell_surfaces(surface, box, first)

    def _tell_surfaces(self, surface: NDArray[np.uint16], box: Box, first: int) -> None:
        if self._shown is None:
            self._shown = surface.copy()
        kernels.tell_surfaces(self._events[first : self._count], surface, self._shown)
        x0, y0, x1, y1 = box
        self._shown[y0:y1, x0:x1] = surface[y0:y1, x0:x1]

    def _make_room(self, more: int) -> None:
        if self._count + more > len(self._events):
            grown = np.empty(max(2 * len(self._events), self._count + more), EVENT)
            grown[: self._count] = self._events[: self._count]
            self._events = grown

    def flush(self, t0: int, t1: int) -> EventBatch:
        """Take the events that the readout passes on in [t0, t1), sorted by time.

        Noise over the same time is drawn here. Events still waiting, or moved beyond ``t1`` by
        the jitter, come with the next flush: call it for one stretch after the other.
        """
        self._jitter(t0)
        self._add_noise(t0, t1)
        self._add_echoes()
        p = self.parameters
        events = kernels.sort_by_time(self._events[: self._count], t0, t1)
        t, x, y, polarity = (np.empty(len(events), kind) for kind in ("i8", "u2", "u2", "u1"))
        surface = np.empty(len(events), np.uint16)
        service = 1e6 / p.readout_eps if p.readout_eps > 0 else 0.0
        taken, n, self._bus_free = kernels.read_out(
            events,
            t1,
            (service, MAX_WAIT_US, p.timestamp_us),
            self._bus_free,
            (t, x, y, polarity, surface),
        )
        self._carried = self._count = len(events) - taken
        self._events[: self._count] = events[taken:]
        shown = None if self._shown is None else surface[:n]
        return EventBatch(t[:n], x[:n], y[:n], polarity[:n], shown)

    def _jitter(self, t0: int) -> None:
        """Move the events fired since the last flush; none back into what was handed over."""
        if self.parameters.jitter_us <= 0:
            return
        t = self._events["t"][self._carried : self._count]
        shift = self._rng.standard_normal(len(t), np.float32) * self.parameters.jitter_us
        np.maximum(t + np.rint(shift).astype(np.int64), t0, out=t)

    def _add_noise(self, t0: int, t1: int) -> None:
        """Append the Poisson events of every pixel over [t0, t1): numbers, then places, times."""
        p, rng, seconds = self.parameters, self._rng, (t1 - t0) * 1e-6
        total = self._shots[-1]
        shots = np.searchsorted(self._shots, rng.random(rng.poisson(total * seconds)) * total)
        # Drawn as in the dark; a share of them, larger in the light, does not happen.
        light = np.minimum(np.exp(self._pixels[0].ravel()[shots]), 1.0)
        shots = shots[rng.random(len(shots)) < 1 - (1 - BRIGHT_NOISE) * light]
        hot = np.repeat(self._hot, rng.poisson(p.hot_hz * seconds, len(self._hot)))
        pixels = self.width * self.height
        leaks = rng.integers(0, pixels, rng.poisson(p.leak_hz * pixels * seconds))
        place = np.concatenate([shots, hot, leaks])
        self._make_room(len(place))
        noise = self._events[self._count : self._count + len(place)]
        noise["t"] = t0 + (rng.random(len(place)) * (t1 - t0)).astype(np.int64)
        noise["y"], noise["x"] = np.divmod(place, self.width)
        noise["p"] = rng.integers(0, 2, len(place))
        noise["p"][len(place) - len(leaks) :] = 1
        noise["surface"] = NO_SURFACE
        self._count += len(place)

    def _add_echoes(self) -> None:
        """Append what the pixels and the readout add of themselves to the new events."""
        p, rng = self.parameters, self._rng
        new = self._events[self._carried : self._count]
        off = new["p"] == 0
        echoes = []
        for polarity, share in ((1, p.rebound_on), (0, p.rebound_off)):
            source = new[off == bool(polarity)]
            echo = source[rng.random(len(source)) < share] if share > 0 else source[:0]
            low, high = np.log(REBOUND_US[polarity])
            echo["t"] += np.exp(rng.uniform(low, high, len(echo))).astype(np.int64)
            echo["p"] = polarity
            echoes.append(echo)
        if p.double_off > 0:
            source = new[off]
            echo = source[rng.random(len(source)) < p.double_off]
            echo["t"] += DOUBLE_US
            echoes.append(echo)
        added = np.concatenate(echoes)
        self._make_room(len(added))
        self._events[self._count : self._count + len(added)] = added
        self._count += len(added)
