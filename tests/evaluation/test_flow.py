"""Flow scores: truth lands on the right pixels, errors are summed over pixels, methods agree on
what they are asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.evaluation.flow import (
    SPEED_BANDS,
    FlowScores,
    TruePixels,
    evaluate_flow,
    event_truth,
    surface_truth,
    window_of,
)
from eventhpe.evaluation.flow_methods import (
    ClassicalFlow,
    FlowWindow,
    NetworkFlow,
    ZeroFlow,
    load_flow_networks,
    load_opencv,
)
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream
from eventhpe.simulation.truth import SimulatedTruth, TrueSurface, signal_events
from eventhpe.weights import Card, load_weights, save_weights

WINDOW_US = 50_000
START_US = 300_000  # the person is in the middle of the image


def rows_of(events):
    return list(zip(*(getattr(events, name).tolist() for name in "xytp"), strict=True))


def moving_texture(flow, seed=0, side=64, density=0.06):
    """Dots of a random texture that move by ``flow`` in a window; each fires once a step."""
    rng = np.random.default_rng(seed)
    dots = rng.uniform(0, side, (int(density * side**2), 2))
    t = np.arange(0, WINDOW_US, 1000)
    place = dots[None] + (t / WINDOW_US)[:, None, None] * np.asarray(flow)
    x, y = np.rint(place).astype(int).transpose(2, 0, 1)
    inside = (x >= 0) & (y >= 0) & (x < side) & (y < side)
    times = np.broadcast_to(t[:, None], x.shape)
    # A pixel fires anew only when a dot comes to it.
    fresh = np.ones_like(inside)
    fresh[1:] = (x[1:] != x[:-1]) | (y[1:] != y[:-1])
    keep = inside & fresh
    p = np.ones(keep.sum(), int)
    events = EventStream.from_arrays(x[keep], y[keep], times[keep], p, side, side)
    return FlowWindow(events, 0, WINDOW_US, (0.0, 0.0, float(side)))


def test_event_truth_is_the_mean_of_the_kept_events_of_a_pixel(recording):
    """Beside `TrueSurface.event_flow` over the raw events, without those that the filter took."""
    window = window_of(recording, START_US, WINDOW_US)
    known = event_truth(recording, window)
    raw, surface = signal_events(recording.path, window.t0, window.t1)
    left = set(rows_of(window.events))
    kept = np.array([row in left for row in rows_of(raw)])
    assert 0 < kept.sum() < len(raw)
    true = TrueSurface(SimulatedTruth.load(recording.path), load_body())
    dense = true.event_flow(raw.masked(kept), surface[kept], window.t0, window.t1)
    x, y = known.pixels.astype(int).T
    assert len(x) > 50
    np.testing.assert_allclose(known.flow, dense[:, y, x].T, atol=1e-4)
    v, u = np.nonzero(np.isfinite(dense[0]))
    inside = window.holds(np.stack([u, v], axis=1))
    assert set(zip(u[inside], v[inside], strict=True)) == set(zip(x, y, strict=True))


def test_surface_truth_is_the_sensors_flow_inside_the_region(recording):
    window = window_of(recording, START_US, WINDOW_US)
    known = surface_truth(recording, window)
    true = TrueSurface(SimulatedTruth.load(recording.path), load_body())
    dense = true.flow(window.t0, window.t1)
    v, u = np.nonzero(np.isfinite(dense).all(axis=0))
    inside = window.holds(np.stack([u, v], axis=1))
    assert len(known.pixels) == inside.sum() > 300
    x, y = known.pixels.astype(int).T
    np.testing.assert_allclose(known.flow, dense[:, y, x].T, atol=1e-3)


def test_a_region_holds_what_the_networks_crop_shows(recording):
    window = replace(window_of(recording, START_US, WINDOW_US), region=(10.3, -4.2, 30.5))
    pixels = np.stack(np.meshgrid(np.arange(128), np.arange(128)), axis=-1).reshape(-1, 2)
    crop = window.crop(64).to_crop(pixels.astype(float))
    shown = ((crop > -0.5) & (crop < 63.5)).all(axis=1)
    np.testing.assert_array_equal(window.holds(pixels), shown)
    x0, y0, x1, y1 = window.whole_pixels()
    held = pixels[window.holds(pixels)]
    assert (held.min(axis=0) >= (x0, y0)).all()
    assert (held.max(axis=0) < (x1, y1)).all()


def test_sums_are_over_pixels_not_over_windows():
    """A window of 1 pixel off by 6 and one of 5 pixels off by 0 average to 1, not to 3."""
    scores = FlowScores()
    for pixels, error in ((1, 6.0), (5, 0.0)):
        truth = TruePixels(np.zeros((pixels, 2), np.float32), np.full((pixels, 2), 2, np.float32))
        found = truth.flow + np.array([error, 0], np.float32)
        scores.add("events", "method", "8x8", found, truth)
    sums = scores.sums["events", "method", "all"]
    assert sums.aee == pytest.approx(1.0)
    assert sums.outlier_percent == pytest.approx(100 / 6)
    assert scores.sums["events", "method", "8x8"] == sums
    assert scores.sums["events", "method", "1-3 px"].pixels == 6
    assert scores.sums["events", "method", ">10 px"].pixels == 0


@pytest.mark.parametrize(("speed", "band"), [(0.5, 0), (1.0, 1), (2.9, 1), (9.9, 2), (10.0, 3)])
def test_bands_are_by_the_true_speed(speed, band):
    scores = FlowScores()
    truth = TruePixels(np.zeros((1, 2), np.float32), np.array([[0, speed]], np.float32))
    scores.add("events", "zero", "8x8", np.zeros((1, 2), np.float32), truth)
    for index, name in enumerate(SPEED_BANDS):
        assert scores.sums["events", "zero", name].pixels == (index == band)


def test_truth_scores_zero_and_zero_flow_the_mean_speed(recording, oracle):
    scores = evaluate_flow([recording], [ZeroFlow(), oracle], WINDOW_US, 500_000, False)
    assert [start for _, start in scores.windows] == [0, 500_000, 1_000_000, 1_500_000]
    assert scores.sums["events", "oracle", "all"].aee == pytest.approx(0, abs=1e-5)
    parts = [event_truth(recording, window_of(recording, t, WINDOW_US)) for _, t in scores.windows]
    speed = np.concatenate([np.linalg.norm(part.flow, axis=1) for part in parts])
    assert scores.sums["events", "zero flow", "all"].aee == pytest.approx(speed.mean(), rel=1e-5)
    bands = [scores.sums["surface", "zero flow", band].pixels for band in SPEED_BANDS]
    assert sum(bands) == scores.sums["surface", "zero flow", "all"].pixels
    assert scores.sums["surface", "zero flow", "128x128"].pixels == sum(bands)


def test_windows_without_person_or_signal_are_counted(recording):
    nobody = replace(recording.known.labels, present=recording.known.labels.present & False)
    empty = replace(recording, truth=replace(recording.known, labels=nobody))
    scores = evaluate_flow([empty], [ZeroFlow()], WINDOW_US, 500_000, False)
    assert (scores.windows, scores.absent, scores.silent) == ([], 4, 0)
    mute = replace(
        recording,
        events=recording.events.slice(0, 0),
        kept=recording.kept[:0],
    )
    scores = evaluate_flow([mute], [ZeroFlow()], WINDOW_US, 500_000, False)
    assert (scores.windows, scores.absent, scores.silent) == ([], 0, 4)


def test_an_interruption_keeps_whole_windows(recording):
    class Impatient(ZeroFlow):
        name = "impatient"
        calls = 0

        def at(self, window, pixels):
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().at(window, pixels)

    methods = [ZeroFlow(), Impatient()]
    scores = evaluate_flow([recording], methods, WINDOW_US, 250_000, False)
    assert scores.interrupted
    assert len(scores.windows) == 2
    pixels = {method.name: scores.sums["events", method.name, "all"].pixels for method in methods}
    assert len(set(pixels.values())) == 1


def test_the_busiest_windows_are_spread_over_the_set():
    scores = FlowScores(windows=[(0, t) for t in range(6)], activity=[1, 5, 2, 9, 8, 3])
    assert scores.busiest(3) == [(0, 1), (0, 3), (0, 4)]
    assert len(scores.busiest(50)) == 6
    assert scores.busiest(0) == []


@pytest.mark.parametrize("region", [(0.0, 0.0, 64.0), (-7.5, 3.2, 80.0)])
def test_a_networks_flow_comes_in_sensor_pixels(region):
    """A network that always says (3, -2) crop pixels says so many region / 32 on the sensor."""

    class Constant(torch.nn.Module):
        def forward(self, x):
            return [torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 32, 32)]

    window = replace(moving_texture((2, 0)), region=region)
    method = NetworkFlow("constant", Constant(), InputRecipe(size=32))
    found = method.at(window, np.array([[20, 30], [40, 11]], np.float32))
    np.testing.assert_allclose(found, [[3 * region[2] / 32, -2 * region[2] / 32]] * 2, rtol=1e-5)


def test_a_networks_flow_is_read_bilinearly_at_the_pixel():
    """A network that says of each crop pixel where it lies says of a sensor pixel where it lies."""

    class Ramp(torch.nn.Module):
        def forward(self, x):
            ramp = torch.arange(32.0)
            return [torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32)])[None]]

    window = replace(moving_texture((2, 0)), region=(5.25, 2.5, 50.0))
    pixels = np.array([[20, 30], [40, 11]], np.float32)
    found = NetworkFlow("ramp", Ramp(), InputRecipe(size=32)).at(window, pixels)
    crop = window.crop(32)
    np.testing.assert_allclose(found * crop.scale, crop.to_crop(pixels), rtol=1e-4)


@pytest.mark.parametrize("flow", [(6.0, 0.0), (-3.0, 4.0)])
def test_the_classical_method_finds_a_moving_texture(flow):
    pytest.importorskip("cv2")
    window = moving_texture(flow)
    y, x = np.mgrid[12:52, 12:52]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    found = ClassicalFlow(load_opencv()).at(window, pixels)
    error = np.linalg.norm(found - np.array(flow), axis=1).mean()
    assert error < 0.3 * np.linalg.norm(flow)


@pytest.mark.parametrize("region", [(60.0, 60.0, 3.0), (-40.0, 10.0, 20.0), (0.0, 0.0, 64.0)])
def test_the_classical_method_stands_any_region_and_silence(region):
    pytest.importorskip("cv2")
    window = FlowWindow(EventStream.empty(64, 64), 0, WINDOW_US, region)
    found = ClassicalFlow(load_opencv()).at(window, np.array([[61, 61]], np.float32))
    np.testing.assert_array_equal(found, 0)


def test_cards_that_cannot_be_compared_are_refused(untrained_cards, tmp_path):
    state, card = load_weights(untrained_cards[0], "flownet")
    names = {
        "other": replace(card.recipe, background_activity_us=0),
        "bins": replace(card.recipe, bins=5),
        "fine": replace(card.recipe, size=32),
    }
    for name, recipe in names.items():
        new = Card("flownet", card.config, recipe, {}, "MIT")
        save_weights(tmp_path / f"{name}.json", state, new)
    networks = load_flow_networks([untrained_cards[0], tmp_path / "fine.json"])
    assert [network.name for network in networks] == ["flownet", "fine"]
    with pytest.raises(InputError, match="noise filter"):
        load_flow_networks([untrained_cards[0], tmp_path / "other.json"])
    with pytest.raises(InputError, match="bins"):
        load_flow_networks([tmp_path / "bins.json"])
    (tmp_path / "there").mkdir()
    save_weights(tmp_path / "there" / "fine.json", state, card)
    with pytest.raises(InputError, match="two cards named fine"):
        load_flow_networks([tmp_path / "fine.json", tmp_path / "there" / "fine.json"])
    with pytest.raises(InputError, match="shapenet"):
        load_flow_networks([untrained_cards[1]])


def test_without_opencv_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(InputError, match="viz"):
        load_opencv()
