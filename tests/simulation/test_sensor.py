"""The sensor model against closed forms and statistics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.simulation.sensor import EventBatch, Sensor, SensorParameters

IDEAL = SensorParameters(threshold_on=0.2, threshold_off=0.3, mismatch=0.0, refractory_us=0.0)


def run(
    parameters: SensorParameters, signal: np.ndarray, step_us: float = 1000.0, seed: int = 0
) -> EventBatch:
    """Feed (T, H, W) log intensities sampled every ``step_us``."""
    sensor = Sensor(parameters, signal[0].astype(np.float32), np.random.default_rng(seed))
    height, width = signal.shape[1:]
    for k in range(1, len(signal)):
        image = signal[k].astype(np.float32)
        sensor.step(image, (k - 1) * step_us, k * step_us, (0, 0, width, height))
    return sensor.flush(0, int((len(signal) - 1) * step_us))


@settings(max_examples=30, deadline=None)
@given(st.floats(-3.0, 3.0))
def test_an_edge_gives_contrast_over_threshold_events_of_its_polarity(contrast: float) -> None:
    threshold = 0.2 if contrast > 0 else 0.3
    ratio = abs(contrast) / threshold
    if abs(ratio - round(ratio)) < 1e-4:
        return  # on the threshold itself float32 decides
    signal = np.zeros((2, 3, 4))
    signal[1] = contrast
    events = run(IDEAL, signal)
    assert len(events.t) == 12 * int(ratio)
    assert (events.p == (contrast > 0)).all()


def test_a_linear_log_ramp_gives_evenly_spaced_times() -> None:
    signal = np.linspace(0, 2.05, 42)[:, None, None]
    events = run(IDEAL, signal, step_us=1000.0)
    # 2.05 over 41 ms is 0.05 a millisecond: a threshold of 0.2 every 4 ms.
    assert events.t == pytest.approx(np.arange(1, 11) * 4000, abs=2)


def test_up_and_down_restores_the_count_by_the_other_threshold() -> None:
    signal = np.array([0.0, 0.65, 0.0])[:, None, None]
    events = run(IDEAL, signal)
    # Up: levels 0.2, 0.4, 0.6. Down from the level 0.6: 0.3 and 0.0.
    assert events.p.tolist() == [1, 1, 1, 0, 0]
    assert (np.diff(events.t) >= 0).all()


def test_no_two_events_of_a_pixel_within_the_refractory_period() -> None:
    parameters = SensorParameters(0.05, 0.05, 0.0, refractory_us=700.0)
    signal = np.cumsum(np.random.default_rng(0).normal(0, 0.4, (200, 3, 3)), axis=0)
    events = run(parameters, signal)
    place = events.y.astype(int) * 3 + events.x
    for pixel in range(9):
        times = events.t[place == pixel]
        assert len(times) > 50
        assert np.diff(times).min() >= 699


def test_a_static_scene_without_noise_is_silent() -> None:
    signal = np.repeat(np.random.default_rng(0).normal(size=(1, 8, 8)), 50, axis=0)
    assert len(run(SensorParameters(bandwidth_hz=100.0), signal).t) == 0


def test_noise_rate_and_polarity_are_as_asked() -> None:
    parameters = SensorParameters(noise_hz=1.0, leak_hz=0.5)
    events = run(parameters, np.zeros((2, 60, 60)), step_us=5e6)
    expected = 3600 * 5
    # Pixels differ (log-normal, mean 1), so allow for their spread besides Poisson's.
    assert abs(len(events.t) - 1.5 * expected) < 5 * np.sqrt(1.5 * expected) + 0.05 * expected
    assert np.mean(events.p) == pytest.approx((0.5 + 0.5) / 1.5, abs=0.02)
    assert events.t.min() >= 0
    assert events.t.max() < 5e6


def test_a_hot_pixel_fires_at_its_rate() -> None:
    parameters = SensorParameters(hot_pixels=1, hot_hz=100.0)
    events = run(parameters, np.zeros((2, 10, 10)), step_us=10e6)
    assert len(set(zip(events.x, events.y, strict=True))) == 1
    assert abs(len(events.t) - 1000) < 5 * np.sqrt(1000)


def test_the_low_pass_delays_an_edge_and_keeps_its_count() -> None:
    signal = np.zeros((200, 1, 1))
    signal[1:] = 1.05
    slow = SensorParameters(0.2, 0.2, 0.0, 0.0, bandwidth_hz=50.0)
    events = run(slow, signal, step_us=200.0)
    assert len(events.t) == 5
    # A first-order step response reaches the share s after -tau ln(1 - s).
    tau = 1e6 / (2 * np.pi * 50)
    expected = -tau * np.log(1 - np.arange(1, 6) * 0.2 / 1.05)
    assert events.t == pytest.approx(expected, abs=200)


def test_mismatch_spreads_the_thresholds() -> None:
    parameters = SensorParameters(0.1, 0.1, mismatch=0.05, refractory_us=0.0)
    signal = np.zeros((2, 50, 50))
    signal[1] = 3.0
    events = run(parameters, signal)
    counts = np.bincount(events.y.astype(int) * 50 + events.x, minlength=2500)
    assert counts.std() / counts.mean() == pytest.approx(0.05, abs=0.01)
