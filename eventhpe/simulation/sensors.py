"""The event cameras to simulate: sizes, speeds and ranges of their characteristics.

Sizes, readout speeds and least thresholds are those of Table 1 of the survey by Gallego et al.
(TPAMI 2022), and the ranges of the noise lie about its stationary rates of 0.03 to 0.2 events per
second and pixel; other sources stand beside the camera. What depends on a camera's bias settings
(thresholds in use, bandwidth, refractory period) is chosen so that a recording with usual
settings lies inside the range; leak rates of 0.1 Hz and less: Nozaki and Delbruck (IEEE TED 2017).
Mismatch of 2 to 8 %, jitter and hot pixels are chosen.
"""

from dataclasses import dataclass

import numpy as np

from eventhpe.simulation.sensor import SensorParameters

Range = tuple[float, float]


@dataclass(frozen=True)
class SensorKind:
    """A camera model; units and meanings as in `SensorParameters`.

    Attributes:
        name: its key in `SENSORS`.
        width, height: pixels.
        readout_eps: its limit.
        timestamp_us: its resolution.
        threshold: mean over both polarities; they differ by up to 15 % each.
        bandwidth_hz, refractory_us, jitter_us: ranges, drawn evenly in the logarithm.
        noise_hz: the same; per pixel, so that large sensors stay below 0.1 M events/s.
        leak_hz, mismatch: ranges, drawn evenly.
        hot_pixels: their mean number.
        hot_hz: as ``bandwidth_hz``.
        noise_spread, rebound_on, rebound_off, double_off: ranges, drawn evenly. Those of the
            DVS128 and DAVIS lie about what recordings of these cameras show (docs/realism.md).
        frames: whether the pixels also give grayscale frames (`eventhpe.simulation.frames`).
    """

    name: str
    width: int
    height: int
    readout_eps: float
    bandwidth_hz: Range
    timestamp_us: int = 1
    threshold: Range = (0.15, 0.45)
    refractory_us: Range = (100.0, 1000.0)
    jitter_us: Range = (5.0, 50.0)
    noise_hz: Range = (0.02, 1.0)
    leak_hz: Range = (0.0, 0.1)
    mismatch: Range = (0.02, 0.08)
    hot_pixels: float = 3.0
    hot_hz: Range = (5.0, 150.0)
    noise_spread: Range = (0.4, 1.2)
    rebound_on: Range = (0.0, 0.05)
    rebound_off: Range = (0.0, 0.05)
    double_off: Range = (0.0, 0.0)
    frames: bool = False

    def draw(self, rng: np.random.Generator) -> SensorParameters:
        """One camera of this kind with its settings."""
        threshold = float(rng.uniform(*self.threshold))
        return SensorParameters(
            threshold_on=threshold * float(rng.uniform(0.85, 1.15)),
            threshold_off=threshold * float(rng.uniform(0.85, 1.15)),
            mismatch=float(rng.uniform(*self.mismatch)),
            refractory_us=_log_uniform(rng, self.refractory_us),
            bandwidth_hz=_log_uniform(rng, self.bandwidth_hz),
            noise_hz=_log_uniform(rng, self.noise_hz),
            leak_hz=float(rng.uniform(*self.leak_hz)),
            hot_pixels=int(rng.poisson(self.hot_pixels)),
            hot_hz=_log_uniform(rng, self.hot_hz),
            timestamp_us=self.timestamp_us,
            jitter_us=_log_uniform(rng, self.jitter_us),
            readout_eps=self.readout_eps,
            noise_spread=float(rng.uniform(*self.noise_spread)),
            rebound_on=float(rng.uniform(*self.rebound_on)),
            rebound_off=float(rng.uniform(*self.rebound_off)),
            double_off=float(rng.uniform(*self.double_off)),
        )


def _log_uniform(rng: np.random.Generator, ends: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))


_KINDS = (
    # Lichtsteiner et al., JSSC 2008. A small slow sensor that fires in the dark.
    SensorKind(
        "dvs128",
        128,
        128,
        readout_eps=1e6,
        bandwidth_hz=(100.0, 400.0),
        threshold=(0.18, 0.4),
        refractory_us=(200.0, 1500.0),
        jitter_us=(20.0, 200.0),
        noise_hz=(0.05, 0.8),
        noise_spread=(1.0, 2.0),
        rebound_on=(0.2, 0.45),
        rebound_off=(0.07, 0.17),
        double_off=(0.0, 0.35),
        leak_hz=(0.0, 0.15),
        hot_pixels=1.0,
    ),
    # Brandli et al., JSSC 2014.
    SensorKind(
        "davis240",
        240,
        180,
        readout_eps=12e6,
        bandwidth_hz=(80.0, 500.0),
        hot_pixels=2.0,
        rebound_on=(0.0, 0.3),
        rebound_off=(0.0, 0.13),
        frames=True,
    ),
    SensorKind(
        "davis346",
        346,
        260,
        readout_eps=12e6,
        bandwidth_hz=(80.0, 600.0),
        rebound_on=(0.0, 0.3),
        rebound_off=(0.0, 0.13),
        frames=True,
    ),
    # The DVXplorer Lite: its data sheet (iniVation) gives 100 M events/s and stamps of 200 us.
    SensorKind(
        "dvxplorer",
        320,
        240,
        readout_eps=100e6,
        bandwidth_hz=(100.0, 600.0),
        threshold=(0.12, 0.4),
        timestamp_us=200,
        noise_hz=(0.01, 0.2),
        leak_hz=(0.0, 0.02),
    ),
    SensorKind(
        "gen3-vga",
        640,
        480,
        readout_eps=66e6,
        bandwidth_hz=(150.0, 800.0),
        refractory_us=(50.0, 500.0),
        noise_hz=(0.01, 0.2),
        leak_hz=(0.0, 0.02),
    ),
    # Finateu et al., ISSCC 2020: 1.066 G events/s.
    SensorKind(
        "gen4-hd",
        1280,
        720,
        readout_eps=1066e6,
        bandwidth_hz=(200.0, 1000.0),
        threshold=(0.15, 0.35),
        refractory_us=(50.0, 500.0),
        noise_hz=(0.005, 0.07),
        leak_hz=(0.0, 0.01),
        hot_pixels=5.0,
    ),
    # CeleX-V, upright as MMHPSD stores it: 1280x800 turned by a quarter.
    SensorKind(
        "celex5",
        800,
        1280,
        readout_eps=140e6,
        bandwidth_hz=(100.0, 600.0),
        noise_hz=(0.005, 0.07),
        leak_hz=(0.0, 0.01),
        hot_pixels=5.0,
        frames=True,
    ),
)

SENSORS: dict[str, SensorKind] = {kind.name: kind for kind in _KINDS}
"""Every camera by its name."""
