"""The tracker follows what moves, keeps what rests, and ignores noise."""

import numpy as np

from eventhpe.events.region import MARGIN, SHRINK_PER_S, RegionTracker
from eventhpe.events.stream import EventStream

STEP = 50_000
WIDTH, HEIGHT = 240, 180


def box_events(rng, left, top, right, bottom, count, t0) -> EventStream:
    """Events on a box's outline within one step."""
    along = rng.uniform(0, 1, count)
    side = rng.integers(0, 4, count)
    x = np.choose(side, [left + along * (right - left)] * 2 + [left + 0 * along, right + 0 * along])
    y = np.choose(side, [top + 0 * along, bottom + 0 * along] + [top + along * (bottom - top)] * 2)
    t = np.sort(rng.integers(t0, t0 + STEP, count))
    p = rng.integers(0, 2, count)
    return EventStream.from_arrays(np.floor(x), np.floor(y), t, p, WIDTH, HEIGHT)


def noisy(rng, events: EventStream, count: int, t0: int) -> EventStream:
    t = np.concatenate([events.t, rng.integers(t0, t0 + STEP, count)])
    order = np.argsort(t, kind="stable")
    return EventStream.from_arrays(
        np.concatenate([events.x, rng.integers(0, WIDTH, count)])[order],
        np.concatenate([events.y, rng.integers(0, HEIGHT, count)])[order],
        t[order],
        np.concatenate([events.p, rng.integers(0, 2, count)])[order],
        WIDTH,
        HEIGHT,
    )


def run(tracker, boxes, rng, count=400, noise=0, first=0):
    for k, box in enumerate(boxes, start=first):
        events = box_events(rng, *box, count, k * STEP)
        tracker.update(noisy(rng, events, noise, k * STEP), k * STEP, (k + 1) * STEP)


def test_finds_a_person_under_noise():
    rng = np.random.default_rng(0)
    tracker = RegionTracker(WIDTH, HEIGHT)
    run(tracker, [(100, 40, 140, 150)] * 10, rng, noise=60)
    crop = tracker.crop(128)
    bx, by = crop.centre
    assert abs(bx - 120) < 8
    assert abs(by - 95) < 8
    assert 110 * 1.05 < crop.side < 110 * MARGIN * 1.15


def test_follows_a_walk_across_the_image():
    rng = np.random.default_rng(1)
    tracker = RegionTracker(WIDTH, HEIGHT)
    boxes = [(20 + 2 * k, 40, 50 + 2 * k, 150) for k in range(70)]
    run(tracker, boxes, rng)
    left, _, right, _ = boxes[-1]
    assert abs(tracker.crop(128).centre[0] - (left + right) / 2) < 10


def test_a_lone_moving_arm_keeps_the_whole_person():
    rng = np.random.default_rng(2)
    tracker = RegionTracker(WIDTH, HEIGHT)
    run(tracker, [(100, 40, 140, 150)] * 10, rng)
    before = tracker.crop(128)
    run(tracker, [(130, 60, 140, 80)] * 40, rng, count=150, first=10)
    after = tracker.crop(128)
    assert after.side >= before.side * (1 - SHRINK_PER_S * 40 * STEP * 1e-6) - 1e-6
    assert after.x0 <= 101
    assert after.y0 <= 60


def test_nothing_located_before_there_is_activity():
    tracker = RegionTracker(WIDTH, HEIGHT)
    tracker.update(EventStream.empty(WIDTH, HEIGHT), 0, STEP)
    assert not tracker.located
    crop = tracker.crop(128)
    assert crop.side == WIDTH
    assert crop.y0 == (HEIGHT - WIDTH) / 2


def test_silence_leaves_the_region_where_it_was():
    rng = np.random.default_rng(3)
    tracker = RegionTracker(WIDTH, HEIGHT)
    run(tracker, [(100, 40, 140, 150)] * 10, rng)
    before = tracker.crop(128)
    for k in range(10, 50):
        tracker.update(EventStream.empty(WIDTH, HEIGHT), k * STEP, (k + 1) * STEP)
    after = tracker.crop(128)
    assert abs(after.centre[0] - before.centre[0]) < 15
    assert after.side > 0.7 * before.side


def test_overlapping_windows_count_each_event_once():
    rng = np.random.default_rng(4)
    whole, overlapping = RegionTracker(WIDTH, HEIGHT), RegionTracker(WIDTH, HEIGHT)
    events = [box_events(rng, 100, 40, 140, 150, 300, k * STEP) for k in range(12)]
    for k, block in enumerate(events):
        whole.update(block, k * STEP, (k + 1) * STEP)
        first = max(k - 1, 0)
        joined = EventStream.concatenate(events[first : k + 1])
        overlapping.update(joined, first * STEP, (k + 1) * STEP)
    assert whole.crop(128) == overlapping.crop(128)
