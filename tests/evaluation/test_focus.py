"""Focus: true flow sharpens, wrong flow blurs, and neither place nor blur by itself counts."""

import numpy as np
import pytest

from eventhpe.evaluation.flow_methods import FlowWindow
from eventhpe.evaluation.focus import (
    MIN_EVENTS,
    FocusScores,
    RegionEvents,
    best_constant_flow,
    evaluate_focus,
    focus_ratios,
    focus_table,
)
from eventhpe.events.formats.dsec_writer import DsecWriter
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.recording import open_recording
from eventhpe.events.stream import EventStream

WINDOW_US = 50_000
SIDE = 96


class Constant:
    name = "constant"

    def __init__(self, flow):
        self.flow = np.array(flow, np.float32)

    def at(self, window, pixels):
        return np.broadcast_to(self.flow, (len(pixels), 2)).astype(np.float32)


def edges(flow, place=(20, 15), rows=60):
    """A window of two slanted lines that move by ``flow``; a pixel fires when one enters it."""
    t = np.arange(0, WINDOW_US, 200)
    v = np.arange(rows)
    starts = np.concatenate([np.stack([0.3 * v, v], 1), np.stack([30 + 0.1 * v, v], 1)])
    points = starts + place + (t / WINDOW_US)[:, None, None] * np.array(flow)
    x, y = np.floor(points + 0.5).astype(int).transpose(2, 0, 1)
    fresh = np.ones(x.shape, bool)
    fresh[1:] = (x[1:] != x[:-1]) | (y[1:] != y[:-1])
    times = np.broadcast_to(t[:, None], x.shape)
    p = np.ones(fresh.sum(), int)
    events = EventStream.from_arrays(x[fresh], y[fresh], times[fresh], p, SIDE, SIDE)
    return FlowWindow(events, 0, WINDOW_US, (0.0, 0.0, float(SIDE)))


def ratio(window, flow):
    return focus_ratios(window, [Constant(flow)])["constant"]


@pytest.mark.parametrize("flow", [(6.0, 0.0), (-4.0, 2.5)])
def test_true_flow_sharpens_and_the_opposite_blurs(flow):
    window = edges(flow)
    assert ratio(window, flow) > 1.3
    assert ratio(window, -np.array(flow)) < 0.8
    assert ratio(window, (0, 0)) == 1


def test_the_ratio_does_not_depend_on_place():
    flow, guess = (5.0, 1.0), (4.3, 0.7)
    ratios = [ratio(edges(flow, place), guess) for place in ((20, 15), (27, 9), (3, 30))]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)


def test_blur_alone_wins_or_loses_little():
    """Scattered events have no edges: no flow sharpens them, however they fall between pixels."""
    rng = np.random.default_rng(0)
    count = 400
    t = np.sort(rng.integers(0, WINDOW_US, count))
    x, y = rng.integers(10, 80, (2, count))
    events = EventStream.from_arrays(x, y, t, np.ones(count, int), SIDE, SIDE)
    window = FlowWindow(events, 0, WINDOW_US, (0.0, 0.0, float(SIDE)))
    for flow in ((0.5, 0.5), (1.0, 0.0), (3.3, -2.1)):
        assert ratio(window, flow) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("shift", [(0, 0), (7, 3)])
def test_contrast_is_the_variance_over_the_region(shift):
    """One pixel with n events, splatted at offsets (d, e) from centres, has the squares
    n^2 (d^2 + (1-d)^2) (e^2 + (1-e)^2); the mean over d = 1/8, 3/8, 5/8, 7/8 is (21/32)^2."""
    n = 10
    place = np.full((n, 2), 5, np.float32) + np.array(shift, np.float32)
    events = RegionEvents(place, np.zeros(n, np.float32), 400.0)
    expected = n**2 * (21 / 32) ** 2 / 400 - (n / 400) ** 2
    assert events.contrast(np.zeros(2, np.float32)) == pytest.approx(expected, rel=1e-5)


def test_events_meet_in_the_windows_middle():
    pixels = np.array([[10, 4], [13, 4], [16, 4]], np.float32)
    events = RegionEvents(pixels, np.array([0, 0.5, 1], np.float32), 400.0)
    warped = events.warped(np.array([6, 0], np.float32))
    np.testing.assert_allclose(warped, [[13, 4]] * 3)
    apart = np.array([[6, 0], [0, 0], [-6, 0]], np.float32)
    np.testing.assert_allclose(events.warped(apart), [[13, 4], [13, 4], [19, 4]])


def test_driving_events_out_of_the_region_wins_nothing():
    window = edges((6.0, 0.0))
    assert ratio(window, (400.0, 0.0)) < 1


@pytest.mark.parametrize("flow", [(6.0, 0.0), (-4.0, 2.5)])
def test_the_best_constant_flow_is_found(flow):
    window = edges(flow)
    events = RegionEvents.of(window)
    found = best_constant_flow(events)
    zero = np.zeros(2, np.float32)
    assert events.contrast(found) >= max(
        events.contrast(zero), 0.98 * events.contrast(np.array(flow, np.float32))
    )
    assert np.abs(found - flow).max() <= 1.0


def test_few_events_and_those_outside_do_not_count():
    window = edges((6.0, 0.0))
    few = window.events.slice(0, MIN_EVENTS)
    assert focus_ratios(FlowWindow(few, 0, WINDOW_US, window.region), []) is None
    elsewhere = (80.0, 80.0, 10.0)
    assert focus_ratios(FlowWindow(window.events, 0, WINDOW_US, elsewhere), []) is None


def test_a_recordings_windows_are_scored_or_counted(tmp_path):
    """Windows of a moving edge, then as many of silence."""
    first = edges((6.0, 0.0)).events
    blocks = [(first.t + k * WINDOW_US, first) for k in range(3)]
    last = np.array([6 * WINDOW_US - 1])
    path = tmp_path / "edges.h5"
    with DsecWriter(path, SIDE, SIDE) as writer:
        for t, events in blocks:
            writer.append(EventStream(events.x, events.y, t, events.p, SIDE, SIDE))
        one = np.array([5])
        writer.append(EventStream.from_arrays(one, one, last, one * 0, SIDE, SIDE))
    recipe = InputRecipe(background_activity_us=0)
    scores = evaluate_focus(open_recording(path), recipe, [Constant((6, 0))], WINDOW_US, False)
    assert scores.starts == [0, WINDOW_US, 2 * WINDOW_US]
    assert scores.sparse == 3
    assert min(scores.ratios["constant"]) > 1.2
    assert scores.spread(2) == [0, 2 * WINDOW_US]
    assert scores.spread(9) == scores.starts


def test_the_table_gives_shares_and_percentiles():
    scores = FocusScores()
    scores.ratios["method"] = [0.5, *np.linspace(1.1, 2.0, 9)]
    row = focus_table(scores).splitlines()[1].split()
    assert row[:2] == ["method", "90%"]
    expected = np.percentile(scores.ratios["method"], (5, 25, 50, 75, 95))
    np.testing.assert_allclose([float(cell) for cell in row[2:]], expected, atol=0.006)
