"""The sensor model and the catalogue of cameras against closed forms and statistics."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.simulation.sensor import (
    BRIGHT_NOISE,
    DARK_BANDWIDTH,
    MAX_WAIT_US,
    NO_SURFACE,
    REBOUND_US,
    EventBatch,
    Sensor,
    SensorParameters,
)
from eventhpe.simulation.sensors import SENSORS

IDEAL = SensorParameters(threshold_on=0.2, threshold_off=0.3, mismatch=0.0, refractory_us=0.0)
EVEN = replace(IDEAL, threshold_off=0.2)


def feed(
    parameters: SensorParameters, signal: np.ndarray, step_us: float = 1000.0, seed: int = 0
) -> Sensor:
    """A sensor after (T, H, W) log intensities sampled every ``step_us``."""
    sensor = Sensor(parameters, signal[0].astype(np.float32), np.random.default_rng(seed))
    height, width = signal.shape[1:]
    for k in range(1, len(signal)):
        image = signal[k].astype(np.float32)
        sensor.step(image, (k - 1) * step_us, k * step_us, (0, 0, width, height))
    return sensor


def run(
    parameters: SensorParameters, signal: np.ndarray, step_us: float = 1000.0, seed: int = 0
) -> EventBatch:
    """Its events over the whole time and a little more."""
    end = int((len(signal) - 1) * step_us)
    return feed(parameters, signal, step_us, seed).flush(0, end + 1)


def in_pieces(sensor: Sensor, ends: list[int]) -> EventBatch:
    """Flush stretch after stretch; every one's events must lie in it, in order."""
    batches, start = [], 0
    for end in ends:
        batch = sensor.flush(start, end)
        assert ((batch.t >= start) & (batch.t < end)).all()
        assert (np.diff(batch.t) >= 0).all()
        batches.append(batch)
        start = end
    return EventBatch(*(np.concatenate([getattr(b, name) for b in batches]) for name in "txyp"))


# The pixel


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
    expected = np.repeat(np.arange(1, int(ratio) + 1) * 1000 / ratio, 12)
    assert events.t == pytest.approx(expected, abs=1.1)


def test_up_and_down_restores_the_count_by_the_other_threshold() -> None:
    signal = np.array([0.0, 0.65, 0.0])[:, None, None]
    events = run(IDEAL, signal)
    # Up: levels 0.2, 0.4, 0.6. Down from the level 0.6: 0.3 and 0.0.
    assert events.p.tolist() == [1, 1, 1, 0, 0]
    assert (np.diff(events.t) >= 0).all()


def test_a_sinusoid_fires_at_the_analytic_crossing_times() -> None:
    amplitude, hz, step_us = 0.9, 20.0, 50.0
    time = np.arange(0, 3 * 50_000 + 1, step_us)
    events = run(EVEN, amplitude * np.sin(2e-6 * np.pi * hz * time)[:, None, None], step_us)
    # Levels are multiples of 0.2 from -0.8 to 0.8; at a turning point the last is not repeated.
    rising = np.arcsin(np.arange(-3, 5) * 0.2 / amplitude)
    falling = np.pi - np.arcsin(np.arange(3, -5, -1) * 0.2 / amplitude)
    cycle = np.concatenate([rising, falling]) / (2e-6 * np.pi * hz)
    expected = np.concatenate([cycle + k * 50_000 for k in range(4)])
    expected = expected[(expected > 1) & (expected < time[-1] - 1)]
    assert events.t == pytest.approx(expected, abs=4)


def test_mismatch_spreads_the_thresholds_of_both_polarities_apart() -> None:
    parameters = SensorParameters(0.1, 0.1, mismatch=0.05, refractory_us=0.0)
    counts = []
    for contrast in (3.0, -3.0):
        signal = np.zeros((2, 50, 50))
        signal[1] = contrast
        events = run(parameters, signal)
        counts.append(np.bincount(events.y.astype(int) * 50 + events.x, minlength=2500))
        assert counts[-1].std() / counts[-1].mean() == pytest.approx(0.05, abs=0.01)
    assert abs(np.corrcoef(*counts)[0, 1]) < 0.1


def test_after_an_event_the_pixel_is_held_and_starts_from_the_signal_then() -> None:
    # 0.05 a millisecond: 4 ms for a threshold of 0.2, then 1 ms held, over and over; steps that
    # end inside, before and after the reset must not matter.
    for step_us in (250.0, 500.0, 3000.0, 60_000.0):
        time = np.arange(0, 60_001, step_us)
        events = run(replace(EVEN, refractory_us=1000.0), (5e-5 * time)[:, None, None], step_us)
        assert events.t == pytest.approx(np.arange(4000, 60_000, 5000), abs=2)


def test_what_comes_and_goes_while_the_pixel_is_held_is_not_seen() -> None:
    signal = np.array([0.0, 0.25, 0.0, 0.0, 0.0, 0.0])[:, None, None]
    assert run(replace(EVEN, refractory_us=2000.0), signal).p.tolist() == [1]
    assert run(EVEN, signal).p.tolist() == [1, 0]


def test_no_two_events_of_a_pixel_within_the_refractory_period() -> None:
    parameters = SensorParameters(0.05, 0.05, 0.0, refractory_us=700.0)
    signal = np.cumsum(np.random.default_rng(0).normal(0, 0.4, (200, 3, 3)), axis=0)
    events = run(parameters, signal)
    place = events.y.astype(int) * 3 + events.x
    for pixel in range(9):
        times = events.t[place == pixel]
        assert len(times) > 50
        assert np.diff(times).min() >= 699


# The photoreceptor


@pytest.mark.parametrize("step_us", [50.0, 500.0])
def test_the_low_pass_answers_an_edge_like_a_first_order_system(step_us: float) -> None:
    sensor = Sensor(
        replace(EVEN, bandwidth_hz=50.0),
        np.full((1, 1), -1.05, np.float32),
        np.random.default_rng(0),
    )
    white, start = np.zeros((1, 1), np.float32), 0.01
    sensor.step(white, 0.0, start, (0, 0, 1, 1))  # the edge itself, in next to no time
    for k in range(int(40_000 / step_us)):
        sensor.step(white, start + k * step_us, start + (k + 1) * step_us, (0, 0, 1, 1))
    events = sensor.flush(0, 40_000)
    # It reaches the share s after -tau ln(1 - s); between two samples it is taken as straight.
    tau = 1e6 / (2 * np.pi * 50)
    expected = -tau * np.log(1 - np.arange(1, 6) * 0.2 / 1.05)
    assert events.t == pytest.approx(expected, abs=2 + step_us**2 / (8 * tau))


@pytest.mark.parametrize("intensity", [1.0, 0.25, 0.001])
@pytest.mark.parametrize("step_us", [50.0, 400.0])
def test_the_low_pass_damps_and_delays_a_sinusoid_more_in_the_dark(
    intensity: float, step_us: float
) -> None:
    hz, bandwidth, amplitude, threshold = 100.0, 200.0, 0.05, 0.0003
    corner = bandwidth * (DARK_BANDWIDTH + (1 - DARK_BANDWIDTH) * intensity)
    time = np.arange(0, 200_001, step_us)
    signal = np.log(intensity) + amplitude * np.sin(2e-6 * np.pi * hz * time)
    parameters = SensorParameters(threshold, threshold, 0.0, 0.0, bandwidth)
    events = run(parameters, signal[:, None, None], step_us)
    late = events.t >= 100_000  # ten cycles later it has settled, and there are ten more
    damped = amplitude / np.hypot(1, hz / corner)
    # A cycle goes through all levels below the amplitude twice up and twice down.
    assert late.sum() / 40 * threshold == pytest.approx(damped, abs=threshold + 0.01 * damped)
    # Events on lie about the rising zero crossing, those off half a cycle later: a lag atan(f/fc).
    sign = 2.0 * events.p[late] - 1
    lag = np.angle((sign * np.exp(2e-6j * np.pi * hz * events.t[late])).mean())
    assert lag == pytest.approx(np.arctan(hz / corner), abs=0.04)


def test_a_static_scene_without_noise_is_silent() -> None:
    signal = np.repeat(np.random.default_rng(0).normal(size=(1, 8, 8)), 50, axis=0)
    assert len(run(SensorParameters(bandwidth_hz=100.0), signal).t) == 0


def test_only_the_pixels_in_the_box_are_looked_at() -> None:
    sensor = Sensor(EVEN, np.zeros((6, 8), np.float32), np.random.default_rng(0))
    sensor.step(np.full((6, 8), 0.25, np.float32), 0.0, 1000.0, (2, 1, 5, 4))
    events = sensor.flush(0, 1000)
    assert sorted(zip(events.x, events.y, strict=True)) == [
        (x, y) for x in range(2, 5) for y in range(1, 4)
    ]


# Noise


def test_shot_noise_is_larger_in_the_dark_and_differs_from_pixel_to_pixel() -> None:
    signal = np.zeros((2, 60, 60))
    signal[:, :30] = np.log(1e-4)
    events = run(SensorParameters(noise_hz=2.0), signal, step_us=20e6)
    counts = np.bincount(events.y.astype(int) * 60 + events.x, minlength=3600).reshape(2, -1)
    assert counts.mean(axis=1) == pytest.approx([40, 40 * BRIGHT_NOISE], rel=0.06)
    # Poisson's variance and that of the log-normal rate.
    variance = 40 + 40**2 * (np.exp(0.25) - 1)
    assert counts[0].var() == pytest.approx(variance, rel=0.15)
    assert np.mean(events.p) == pytest.approx(0.5, abs=0.02)
    assert np.histogram(events.t, 4, (0, 20e6))[0] == pytest.approx(len(events.t) / 4, rel=0.05)


def test_leak_events_are_on_and_come_at_their_rate() -> None:
    events = run(SensorParameters(leak_hz=0.5), np.zeros((2, 60, 60)), step_us=5e6)
    assert abs(len(events.t) - 9000) < 5 * np.sqrt(9000)
    assert events.p.all()


def test_a_hot_pixel_fires_at_its_rate() -> None:
    parameters = SensorParameters(hot_pixels=1, hot_hz=100.0)
    events = run(parameters, np.zeros((2, 10, 10)), step_us=10e6)
    assert len(set(zip(events.x, events.y, strict=True))) == 1
    assert abs(len(events.t) - 1000) < 5 * np.sqrt(1000)


# The readout


def edge(pixels: int, steps: int = 8) -> np.ndarray:
    """A sudden rise by 0.25 of pixels x pixels, at the start of the second millisecond."""
    signal = np.zeros((steps, pixels, pixels))
    signal[2:] = 0.25
    return signal


def test_events_wait_their_turn_and_none_is_lost() -> None:
    everything = run(EVEN, edge(40))
    limited = run(replace(EVEN, readout_eps=0.8e6), edge(40))
    assert len(set(everything.t)) == 1
    # All at once: they pass in the order they came, 1.25 us apart.
    assert limited.t == pytest.approx(everything.t[0] + 1.25 * np.arange(1600), abs=1.001)
    assert np.array_equal(limited.x, everything.x)
    assert np.array_equal(limited.y, everything.y)


def test_events_that_would_wait_too_long_are_dropped() -> None:
    events = run(replace(EVEN, readout_eps=1e6), edge(100, steps=20))
    assert len(events.t) == MAX_WAIT_US + 1
    assert (np.diff(events.t) == 1).all()


def test_the_readout_never_exceeds_its_rate() -> None:
    signal = np.cumsum(np.random.default_rng(1).normal(0, 0.3, (50, 20, 20)), axis=0)
    fast = in_pieces(feed(EVEN, signal), [50_000])
    slow = in_pieces(feed(replace(EVEN, readout_eps=0.1e6), signal), [50_000])
    assert len(fast.t) > 1.2 * len(slow.t) > 0
    assert (slow.t[100:] - slow.t[:-100]).min() >= 100 * 10 - 1


@pytest.mark.parametrize("resolution", [1, 64])
def test_flushing_in_pieces_gives_the_same_events(resolution: int) -> None:
    signal = np.cumsum(np.random.default_rng(2).normal(0, 0.3, (40, 10, 10)), axis=0)
    parameters = replace(EVEN, readout_eps=0.05e6, timestamp_us=resolution)
    whole = in_pieces(feed(parameters, signal), [60_000])
    pieces = in_pieces(feed(parameters, signal), [1000, 1001, 7777, 39_000, 41_003, 60_000])
    assert len(whole.t) > 1000
    for name in "txyp":
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))


def test_stamps_are_the_clocks_next_tick() -> None:
    signal = np.cumsum(np.random.default_rng(3).normal(0, 0.3, (40, 10, 10)), axis=0)
    fine = in_pieces(feed(EVEN, signal), [50_000])
    coarse = in_pieces(feed(replace(EVEN, timestamp_us=200), signal), [50_000])
    assert (coarse.t % 200 == 0).all()
    assert ((coarse.t - fine.t >= 0) & (coarse.t - fine.t < 200)).all()
    assert np.array_equal(coarse.x, fine.x)


def test_jitter_moves_events_by_a_normal_shift_and_loses_none() -> None:
    exact = run(EVEN, edge(60)).t[0]
    events = in_pieces(feed(replace(EVEN, jitter_us=50.0), edge(60)), [1840, 7001])
    # The first stretch ends 40 us after the true time: the later ones come with the second.
    assert len(events.t) == 3600
    shift = (events.t - exact) / 50.0
    assert abs(shift.mean()) < 5 / 60
    assert shift.std() == pytest.approx(1.0, abs=0.06)
    assert np.mean(np.abs(shift) < 1) == pytest.approx(0.683, abs=0.04)


def test_the_same_seed_gives_the_same_events() -> None:
    signal = np.cumsum(np.random.default_rng(4).normal(0, 0.3, (20, 30, 30)), axis=0)
    parameters = SENSORS["dvs128"].draw(np.random.default_rng(5))
    first, second, other = (run(parameters, signal, seed=seed) for seed in (6, 6, 7))
    for name in "txyp":
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert first.t.tobytes() != other.t.tobytes()


# Surfaces


def test_events_carry_the_surface_at_or_beside_their_pixel() -> None:
    surface = np.full((2, 5, 7), NO_SURFACE, np.uint16)
    surface[0, 2, 3] = 8
    surface[1, 2, 2] = 9
    sensor = Sensor(EVEN, np.zeros((5, 7), np.float32), np.random.default_rng(0))
    assert sensor.flush(0, 1).surface is None
    box = (0, 0, 7, 5)
    sensor.step(np.zeros((5, 7), np.float32), 0.0, 1000.0, box, surface[0])
    sensor.step(np.full((5, 7), 0.25, np.float32), 1000.0, 2000.0, box, surface[1])
    events = sensor.flush(1, 2000)
    assert events.surface is not None
    found = np.zeros((5, 7), np.uint16)
    found[events.y, events.x] = events.surface
    expected = np.full((5, 7), NO_SURFACE)
    away = np.hypot(*np.mgrid[-2:3, -2:5])
    expected[away <= 3] = 9  # the face of this step, as far as a lens blurs it
    expected[2, 3] = 8  # which showed this one a step ago
    assert np.array_equal(found, expected)


def test_the_neighbour_across_an_edge_goes_before_the_one_across_a_corner() -> None:
    surface = np.full((3, 3), NO_SURFACE, np.uint16)
    surface[0, 0], surface[2, 1] = 1, 2
    sensor = Sensor(EVEN, np.zeros((3, 3), np.float32), np.random.default_rng(0))
    image = np.zeros((3, 3), np.float32)
    image[1, 1] = 0.25
    sensor.step(image, 0.0, 1000.0, (0, 0, 3, 3), surface)
    batch = sensor.flush(0, 1000)
    assert batch.surface is not None
    assert batch.surface.tolist() == [2]


def test_noise_shows_no_surface() -> None:
    parameters = SensorParameters(noise_hz=5.0, leak_hz=5.0, hot_pixels=1, hot_hz=50.0)
    sensor = Sensor(parameters, np.zeros((8, 8), np.float32), np.random.default_rng(0))
    image, surface = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.uint16)
    sensor.step(image, 0.0, 1000.0, (0, 0, 8, 8), surface)
    batch = sensor.flush(0, 1_000_000)
    assert batch.surface is not None
    assert len(batch.t) > 100
    assert (batch.surface == NO_SURFACE).all()


# The catalogue


@pytest.mark.parametrize("name", SENSORS)
def test_every_camera_draws_itself_within_its_ranges(name: str) -> None:
    kind, rng = SENSORS[name], np.random.default_rng(0)
    drawn = [kind.draw(rng) for _ in range(200)]
    for p in drawn:
        assert 0.85 * kind.threshold[0] <= p.threshold_on <= 1.15 * kind.threshold[1]
        assert kind.bandwidth_hz[0] <= p.bandwidth_hz <= kind.bandwidth_hz[1]
        assert (p.timestamp_us, p.readout_eps) == (kind.timestamp_us, kind.readout_eps)
        hz = (p.noise_hz + p.leak_hz) * kind.width * kind.height + p.hot_pixels * p.hot_hz
        assert hz < 0.2e6
        assert hz < 0.1e6 or kind.width * kind.height < 0.1e6
    assert len({p.threshold_off for p in drawn}) == 200
    assert kind.draw(np.random.default_rng(1)) == kind.draw(np.random.default_rng(1))


def test_off_events_are_followed_by_on_echoes_and_doubles_in_their_share() -> None:
    signal = np.zeros((2, 60, 60))
    signal[1] = -0.31  # one off event a pixel
    echoing = replace(IDEAL, rebound_on=0.3, double_off=0.1)
    events = feed(echoing, signal, step_us=10_000.0).flush(0, 20_000)
    off, on = events.p == 0, events.p == 1
    fired = 60 * 60
    assert off.sum() - fired == pytest.approx(0.1 * fired, abs=5 * np.sqrt(0.1 * fired))
    assert on.sum() == pytest.approx(0.3 * fired, abs=5 * np.sqrt(0.3 * fired))
    first = events.t[off].min()
    low, high = REBOUND_US[1]
    assert events.t[on].min() >= first + low - 1
    assert events.t[on].max() <= events.t[off].max() + high
    # On events have no echo here.
    signal[1] = 0.21
    assert (run(echoing, signal).p == 1).all()


def test_the_noise_spreads_over_the_pixels_as_asked() -> None:
    even, uneven = (
        run(SensorParameters(noise_hz=2.0, noise_spread=spread), np.zeros((2, 60, 60)), 10e6)
        for spread in (0.0, 1.5)
    )
    counts = [np.bincount(e.y.astype(int) * 60 + e.x, minlength=3600) for e in (even, uneven)]
    dispersion = [count.var() / count.mean() for count in counts]
    assert dispersion[0] == pytest.approx(1.0, abs=0.15)  # Poisson
    assert dispersion[1] > 5
    assert counts[1].mean() == pytest.approx(counts[0].mean(), rel=0.25)
