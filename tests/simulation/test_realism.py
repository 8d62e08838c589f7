"""Measures of event streams whose answers are known."""

import itertools
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.stream import EventStream
from eventhpe.simulation.realism import (
    fired,
    frame_statistics,
    isolated,
    moving,
    stream_statistics,
    thickness,
)
from eventhpe.simulation.scene.outfit import rest_shape
from eventhpe.simulation.sensors import SENSORS
from eventhpe.simulation.simulate import random_blur
from scripts.clone_frames import cleaned, draw_clone
from scripts.realism import (
    LENS_BLUR_PX,
    MATCHES,
    compare,
    picture,
    simulate_match,
    table,
    typical,
    view_of,
    walk_away,
)

SIDE = 64


def stream(rows: list[tuple[int, int, int, int]], side: int = SIDE) -> EventStream:
    """From (t, x, y, p) rows in any order."""
    t, x, y, p = np.array(sorted(rows), np.int64).reshape(-1, 4).T
    return EventStream.from_arrays(x, y, t, p, side, side)


def poisson(rng: np.random.Generator, hz: np.ndarray, seconds: float) -> EventStream:
    """Independent noise of (H, W) rates, both polarities alike."""
    counts = rng.poisson(hz * seconds)
    y, x = (np.repeat(index, counts.ravel()) for index in np.divmod(np.arange(hz.size), SIDE))
    t = np.sort(rng.integers(0, int(seconds * 1e6), len(x)))
    order = rng.permutation(len(x))
    return EventStream.from_arrays(
        x[order], y[order], t, rng.integers(0, 2, len(x)), hz.shape[1], hz.shape[0]
    )


def bar(t0: int, period_us: int, count: int, x: int = 20) -> list[tuple[int, int, int, int]]:
    """A column of 16 pixels which all fire ``count`` times, ON and OFF in turn."""
    return [(t0 + k * period_us, x, y, (k + 1) % 2) for k in range(count) for y in range(20, 36)]


def test_a_flashing_bar_is_what_moves() -> None:
    # 16 pixels at 100 Hz for 1 s, and a hot pixel far away: one pixel is no group.
    hot = [(k * 1000, 50, 50, 1) for k in range(1000)]
    found = stream_statistics(stream(bar(0, 10_000, 100) + hot), 0, 1_000_000)
    assert found.events_per_s == 2600
    assert found.moving_pixels == 16
    assert found.moving_pixel_hz == pytest.approx(100)
    assert found.on_share == pytest.approx((800 + 1000) / 2600)
    # Still pixels lie more than 8 columns or rows from the bar.
    still = SIDE**2 - 17 * (16 + 16)
    assert found.noise_hz == pytest.approx(1000 / still)
    assert found.noise_on_share == 1
    assert found.rate_variation == pytest.approx(0, abs=1e-12)


def test_intervals_doubles_and_rebounds() -> None:
    times = [0, 5, 2_005, 12_005, 112_005, 112_505]
    polarities = [0, 0, 1, 1, 1, 0]
    rows = [(t, 30, 30, p) for t, p in zip(times, polarities, strict=True)]
    found = stream_statistics(stream(rows), 0, 200_000)
    # Intervals: 5 us (double), 2 ms (off -> on), 10 ms, 100 ms, 0.5 ms (on -> off).
    assert found.interval_us == pytest.approx(np.quantile(np.diff(times), [0.1, 0.5, 0.9]))
    assert found.intervals_1ms == pytest.approx(2 / 5)
    assert found.intervals_10ms == pytest.approx(3 / 5)
    assert found.doubles == pytest.approx(1 / 6)
    assert found.off_rebound == pytest.approx(1 / 3)
    assert found.on_rebound == pytest.approx(1 / 3)


def test_the_noise_floor_is_measured_beside_a_moving_bar() -> None:
    rng = np.random.default_rng(0)
    noise = poisson(rng, np.full((SIDE, SIDE), 0.5), 20.0)
    rows = list(zip(noise.t, noise.x, noise.y, noise.p, strict=True))
    for k in range(400):
        rows += bar(k * 50_000, 5_000, 2, x=5 + k % 20)
    found = stream_statistics(stream(rows), 0, 20_000_000)
    assert found.noise_hz == pytest.approx(0.5, rel=0.03)
    assert found.noise_on_share == pytest.approx(0.5, abs=0.02)
    assert found.noise_dispersion == pytest.approx(1.0, rel=0.08)
    # Events of noise that touch the bar belong to its group now and then.
    assert found.moving_pixels == pytest.approx(16, rel=0.15)


def test_uneven_noise_is_dispersed_more_than_chance() -> None:
    rng = np.random.default_rng(1)
    rates = np.where(rng.random((SIDE, SIDE)) < 0.5, 0.1, 0.9)
    found = stream_statistics(poisson(rng, rates, 20.0), 0, 20_000_000)
    # Variance over mean of counts: 1 + T var(rate) / mean(rate) = 1 + 20 * 0.16 / 0.5.
    assert found.noise_dispersion == pytest.approx(1 + 20 * 0.16 / 0.5, rel=0.1)


def test_isolated_events_against_all_pairs() -> None:
    rng = np.random.default_rng(2)
    n = 400
    t = np.sort(rng.integers(0, 100_000, n))
    x, y = rng.integers(0, 20, n), rng.integers(0, 20, n)
    events = EventStream.from_arrays(x, y, t, rng.integers(0, 2, n), 20, 20)
    alone = np.ones(n, bool)
    for i, j in itertools.permutations(range(n), 2):
        apart = max(abs(x[i] - x[j]), abs(y[i] - y[j]))
        if apart == 1 and abs(t[i] - t[j]) <= 3_000:
            alone[i] = False
    assert 0.1 < alone.mean() < 0.9
    assert np.array_equal(isolated(events, 3_000), alone)


def test_thickness_of_shapes() -> None:
    upright, square, slanted = (np.zeros((40, 40), bool) for _ in range(3))
    upright[5:35, 10:13] = True
    square[10:20, 10:20] = True
    for k in range(30):
        slanted[5 + k, 5 + k : 8 + k] = True
    assert thickness(upright) == 3
    assert thickness(square) == 10
    assert thickness(slanted) == pytest.approx(3, abs=0.2)
    dots = np.zeros((40, 40), bool)
    dots[::4, ::4] = True
    assert np.isnan(thickness(dots))
    # Lone noise pixels do not make a contour look thinner.
    upright[::4, 20::4] = True
    assert thickness(upright) == 3


def test_groups_need_ten_touching_pixels() -> None:
    mask = np.zeros((40, 40), bool)
    mask[range(3, 13), range(3, 13)] = True  # ten on a diagonal
    mask[20:29, 20] = True  # nine in a column
    expected = np.zeros_like(mask)
    expected[range(3, 13), range(3, 13)] = True
    assert np.array_equal(moving(mask), expected)


def test_frames_of_equal_counts() -> None:
    # Each frame of 32: the bar fires ON and, 10 ms later, OFF; then 30 ms pass.
    rows = [row for k in range(5) for row in bar(40_000 * k, 10_000, 2)]
    found = frame_statistics(stream(rows), 32)
    assert found.milliseconds == pytest.approx(10)
    assert found.active == pytest.approx(16 / SIDE**2)
    assert found.thickness == 1
    assert found.mixed == 1
    with pytest.raises(ValueError, match="do not fill"):
        frame_statistics(stream(rows), 161)


def test_the_steps_of_a_walk_show_in_the_rate() -> None:
    rng = np.random.default_rng(3)
    swing = 0.4
    times = [
        t
        for t in rng.uniform(0, 20e6, 200_000)
        if rng.uniform(0, 1 + swing) < 1 + swing * np.sin(2 * np.pi * 2.0 * t * 1e-6)
    ]
    rows = [(int(t), 30, 30, 1) for t in times]
    found = stream_statistics(stream(rows), 0, 20_000_000)
    assert found.rate_variation == pytest.approx(swing / np.sqrt(2), rel=0.1)


def test_an_empty_span_has_no_shares_and_a_short_one_is_refused() -> None:
    empty = EventStream.empty(SIDE, SIDE)
    found = stream_statistics(empty, 0, 100_000)
    assert (found.events_per_s, found.moving_pixels, found.noise_hz) == (0, 0, 0)
    assert np.isnan(found.on_share)
    assert np.isnan(found.moving_pixel_hz)
    with pytest.raises(ValueError, match="shorter than a window"):
        stream_statistics(empty, 0, 49_999)


def test_the_table_of_a_stream_and_itself_has_ratios_of_one() -> None:
    rows = [row for k in range(100) for row in bar(10_000 * k, 10_000, 1)]
    events = stream(rows)
    text = table(events, [events, events], [32, 10_000])
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()[2:]]
    assert {line[5] for line in lines} <= {"1.00", "-"}
    values = {line[1]: line[2:5] for line in lines}
    assert values["events/s"] == ["1.6e+03", "1.6e+03", "1.6e+03 to 1.6e+03"]
    assert values["32 events: thickness, px"] == ["1", "1", "1 to 1"]
    assert not any("10,000" in name for name in values)


def test_the_table_tells_mean_and_range_of_the_simulated() -> None:
    real, few, many = (
        stream([row for k in range(n) for row in bar(1_000_000 // n * k, 1, 1)])
        for n in (40, 20, 100)
    )
    line = table(real, [few, many], []).splitlines()[2]
    # Rates over each stream's own length: from its first to its last event.
    rates = [len(e) / (int(e.t[-1]) // 50_000 * 50_000) * 1e6 for e in (few, many)]
    ends = [float(end) for end in line.split("|")[4].split(" to ")]
    assert ends == pytest.approx(rates, rel=0.15)
    assert float(line.split("|")[3]) == pytest.approx(np.mean(ends), rel=0.01)


def test_a_recording_that_is_not_the_one_meant_is_refused(tmp_path: Path) -> None:
    path, kind = tmp_path / "real.h5", SENSORS["dvs128"]
    for side, rows, seeds, expected in (
        (SIDE, bar(1_000_000, 10_000, 20), 1, "128x128, as dvs128 has"),
        (kind.width, bar(1_000_000, 1_000, 20), 1, "100 ms of events"),
        (kind.width, bar(1_000_000, 10_000, 20), 0, "1 or more"),
    ):
        with DsecWriter(path, side, side) as writer:
            writer.append(stream(rows, side))
        with pytest.raises(InputError, match=expected):
            compare("walker", path, seeds, tmp_path)


def test_a_match_ends_in_a_table_and_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "real.h5"
    with DsecWriter(path, 128, 128) as writer:
        writer.append(stream(bar(1_000_000, 10_000, 20), 128))
    assert "| moving pixels (of 50 ms) | 16 |" in compare("walker", path, 1, tmp_path)
    with Image.open(tmp_path / "walker.png") as image:
        assert image.width == 7 * 128 * 2


def test_the_picture_shows_equal_counts_side_by_side() -> None:
    events = stream(bar(0, 10_000, 100))
    image = picture({"a": events, "b": events}, [16, 32])
    rows = np.array_split(image, 4)
    assert np.array_equal(rows[0][30:], rows[1][30:])
    # The colour of an event says its polarity; of two in one pixel the later one is seen.
    assert len(np.unique(rows[0][30:].reshape(-1, 3), axis=0)) in (2, 3)


def test_the_typical_camera_and_lens_are_in_the_middle_of_their_ranges() -> None:
    rng = np.random.default_rng(5)
    draws = [SENSORS["dvs128"].draw(rng) for _ in range(400)]
    for field in fields(draws[0]):
        values = np.array([getattr(draw, field.name) for draw in draws])
        assert np.quantile(values, 0.4) <= getattr(typical("dvs128"), field.name)
        assert np.quantile(values, 0.6) >= getattr(typical("dvs128"), field.name)
    blurs = [random_blur(rng) for _ in range(400)]
    assert np.quantile(blurs, 0.4) < LENS_BLUR_PX < np.quantile(blurs, 0.6)


def test_the_simulated_walker_goes_straight_away_and_shrinks() -> None:
    match = MATCHES["walker"]
    joints = rest_shape(load_body(), np.zeros(10))[1]
    motion = walk_away(np.random.default_rng(0), 2.0, view_of(match).stage, joints)
    path = motion.translation
    assert len(path) >= 201
    assert path[0, 2] == pytest.approx(match.near_m)
    assert path[-1, 2] - path[0, 2] > 1.0
    assert np.ptp(path[:, 0]) < 0.25
    # The back is turned to the camera throughout.
    assert (motion.rotations[:, 0, 2, 2] > 0.8).all()
    events = simulate_match(match, 0, 0.3)
    active = np.argwhere(moving(fired(events)))
    top, bottom = active[:, 0].min(), active[:, 0].max()
    assert 0 < top < 30
    assert 100 < bottom < 127


def test_the_simulated_head_is_as_large_as_the_real_one() -> None:
    events = simulate_match(MATCHES["turning"], 0, 0.3)
    active = np.argwhere(moving(fired(events)))
    assert 0 < active[:, 0].min() < 75
    # The trunk goes on below the image.
    assert active[:, 0].max() == 239


def test_clone_frames_show_no_lone_event_and_no_infrared_lamp() -> None:
    person = [(t, x, 50, 1) for t in range(100_000, 300_000, 1_000) for x in (200, 201)]
    lamp = [(t, x, 130, 1) for t in range(100_000, 300_000, 1_000) for x in (100, 101)]
    lone, hot = [(150_000, 20, 20, 1)], [(t, 30, 30, 0) for t in range(100_000, 120_000)]
    beside_hot = [(150_000, 31, 30, 1)]
    rows = np.array(sorted(person + lamp + lone + hot + beside_hot), np.int64)
    events = EventStream.from_arrays(rows[:, 1], rows[:, 2], rows[:, 0], rows[:, 3], 346, 260)
    for channel, seen in ((0, {50, 130}), (2, {50})):
        assert set(cleaned(events, channel).y.tolist()) == seen


def test_clone_frames_need_a_clone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a clone of DHP19"):
        draw_clone(tmp_path, tmp_path / "clone.png")
