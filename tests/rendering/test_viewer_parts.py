"""What the viewer shows, worked out without a browser: moments, poses, events, places, words."""

import dataclasses
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.body import load_body
from eventhpe.body.model import BodyOutput
from eventhpe.camera import project
from eventhpe.events.recording import RawChunk
from eventhpe.events.stream import EventStream
from eventhpe.rendering.errors import JointErrors
from eventhpe.rendering.viewer.events import METRES_A_SECOND, EventReader, event_cloud
from eventhpe.rendering.viewer.panel import Moment, describe
from eventhpe.rendering.viewer.places import (
    Surroundings,
    first_view,
    same_view,
    sight,
    surroundings,
)
from eventhpe.rendering.viewer.player import Player, ticks_of
from eventhpe.rendering.viewer.poses import Pose, Poses
from eventhpe.sequence import ABSENT, TRACKED, MotionSequence
from eventhpe.world import World, world_of
from tests.rendering.rendering_scenes import BallBody, K, MemoryRecording, motion

SECOND = 1_000_000


class CountedBody(BallBody):
    """Counts how often it is posed."""

    def __init__(self) -> None:
        super().__init__()
        self.num_vertices = len(self.rest)
        self.calls = 0

    def __call__(self, *parameters: torch.Tensor) -> BodyOutput:
        self.calls += 1
        return super().__call__(*parameters)


@given(st.lists(st.integers(1, 200_000), max_size=30), st.integers(0, SECOND))
def test_every_pose_is_a_moment_that_can_be_shown(gaps: list[int], first: int) -> None:
    t_us = first + np.cumsum([0, *gaps])
    ticks = ticks_of(t_us)
    assert set(t_us) <= set(ticks)
    assert (np.diff(ticks) > 0).all()
    assert (ticks[0], ticks[-1]) == (t_us[0], t_us[-1])


@given(st.integers(1, 100_000), st.integers(2, 20))
def test_moments_between_even_poses_are_close(step_us: int, count: int) -> None:
    gaps = np.diff(ticks_of(step_us * np.arange(count)))
    assert gaps.max() <= 10_000
    assert gaps.max() - gaps.min() <= 1, "evenly spread, to the microsecond"


def test_time_runs_at_its_speed_and_begins_again_at_the_end() -> None:
    player = Player(np.arange(0, SECOND + 1, 10_000))
    player.advance(5.0)
    player.toggle()
    player.advance(60.0)
    assert player.now_s == 0, "the minute while it stood still does not count"
    player.set_speed(0.5)
    player.advance(60.3)
    assert player.now_s == pytest.approx(0.15)
    player.set_speed(50)
    player.advance(60.5)
    assert player.now_s == pytest.approx(0.55), "2 at most"
    player.toggle()
    player.advance(70.0)
    player.toggle()
    player.advance(80.0)
    assert player.now_s == pytest.approx(0.55)
    player.advance(80.4)
    assert player.now_s == 0


@given(st.floats(-2, 4))
def test_seeking_stands_still_at_the_nearest_moment(seconds: float) -> None:
    ticks = np.array([0, 100_000, 130_000, SECOND])
    player = Player(ticks)
    player.toggle()
    player.seek(seconds)
    assert not player.playing
    assert abs(player.now_s - seconds) == pytest.approx(np.abs(ticks / 1e6 - seconds).min())
    before = player.tick
    player.step(1)
    assert player.tick == min(before + 1, 3)
    player.step(-2)
    assert player.tick == max(min(before + 1, 3) - 2, 0)


def test_a_motion_of_one_pose_can_be_played() -> None:
    player = Player(ticks_of(np.array([70_000])))
    player.toggle()
    player.advance(1.0)
    player.advance(2.0)
    player.step(1)
    assert (player.tick, player.now_s) == (0, 0.07)


def test_a_change_from_another_thread_ends_the_wait() -> None:
    player = Player(np.array([0, 10]))
    player.wait(0.05)  # the first moment itself is a change
    waiting = threading.Thread(target=player.wait, args=(0.05,), daemon=True)
    waiting.start()
    player.touch()
    waiting.join(30)
    assert not waiting.is_alive()


def test_poses_are_those_of_the_motion_at_its_steps_and_between() -> None:
    moving = motion()
    body = CountedBody()
    ticks = ticks_of(moving.t_us)
    poses = Poses(moving, body, ticks)
    for tick in (0, 4, 6, 9, 16, len(ticks) - 1):
        pose = poses.at(tick)
        place = tick / 4  # four moments of 10 ms a step of 40 ms
        if {int(place), int(np.ceil(place))} & {3}:
            assert pose is None, "nobody is there at step 3, nor on the way to it"
            continue
        shift = np.interp(place, np.arange(8), moving.transl[:, 0])
        expected = body.rest.numpy() + np.float32([shift, 0, 3])
        np.testing.assert_allclose(pose.vertices, expected, atol=1e-5)
        assert pose.confidence == pytest.approx(0.9)


def test_a_long_motion_keeps_few_poses_and_poses_nothing_twice_that_it_keeps() -> None:
    long = motion(steps=400)
    body = CountedBody()
    ticks = ticks_of(long.t_us)
    poses = Poses(long, body, ticks, kept_bytes=40 * body.num_vertices * 12)  # five blocks of eight
    for tick in range(40):
        poses.at(tick)
    assert body.calls == 5
    for tick in reversed(range(40)):
        poses.at(tick)
    assert body.calls == 5
    poses.at(len(ticks) - 1)
    poses.at(39)
    assert body.calls == 7, "the block that was asked for longest ago made room"


def events_of(count: int) -> EventStream:
    random = np.random.default_rng(1)
    return EventStream.from_arrays(
        random.integers(0, 128, count),
        random.integers(0, 120, count),
        np.sort(random.integers(0, 200_000, count)),
        random.integers(0, 2, count),
        128,
        120,
    )


def test_every_point_of_the_cloud_lies_on_its_pixel_as_deep_as_it_is_old() -> None:
    events = events_of(500)
    cloud = event_cloud(events, K, 100_000, 4.0)
    seen = project(cloud.points.astype(float), K)
    np.testing.assert_allclose(seen, np.stack([events.x, events.y], axis=1), atol=1e-3)
    age = (100_000 - events.t) / 1e6
    np.testing.assert_allclose(cloud.points[:, 2], 4 + METRES_A_SECOND * age, rtol=1e-5)
    np.testing.assert_array_equal(cloud.polarity, events.p)


def test_a_dense_cloud_is_thinned_evenly() -> None:
    events = events_of(10_000)
    cloud = event_cloud(events, K, 0, 4.0, most=1000)
    assert len(cloud.points) == 1000
    # A tenth of the events of each tenth of the time, as closely as whole events can.
    times = (4.0 - cloud.points[:, 2].astype(float)) / METRES_A_SECOND * 1e6
    kept, _ = np.histogram(times, 10, (0, 200_000))
    there, _ = np.histogram(events.t, 10, (0, 200_000))
    assert np.abs(kept - there / 10).max() <= 2
    assert len(event_cloud(events_of(0), K, 0, 4.0).points) == 0


class CountedRecording(MemoryRecording):
    """Counts the chunks that are read of it."""

    def __init__(self, index: str | None) -> None:
        super().__init__()
        self.index, self.read_chunks = index, 0

    def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
        for chunk in super()._raw_chunks(start_us):
            if self.index and start_us is not None and chunk.t[-1] < start_us:
                continue
            self.read_chunks += 1
            yield chunk


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(-50_000, 1_100_000), st.integers(1, 300_000)), max_size=8),
    st.sampled_from([None, "index"]),
)
def test_stretches_in_any_order_hold_the_events_of_the_recording(stretches, index) -> None:
    recording = CountedRecording(index)
    reader = EventReader(recording, lambda events: events)
    everything = recording.read()
    for start, length in stretches:
        found = reader.between(start, start + length)
        expected = everything.between(start, start + length)
        for name in "xytp":
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_playing_on_reads_every_chunk_once() -> None:
    recording = CountedRecording(None)
    reader = EventReader(recording, lambda events: events)
    for start in range(0, 900_000, 10_000):
        reader.between(start, start + 60_000)
    assert recording.read_chunks == 13  # ten thousand events by 777


def test_events_of_one_time_on_both_sides_of_a_chunks_end() -> None:
    class Twins(MemoryRecording):
        def _raw_chunks(self, start_us: int | None) -> Iterator[RawChunk]:
            for t in ([10, 20], [20, 30]):
                yield RawChunk(np.array([1, 2]), np.array([1, 2]), np.array(t), np.array([0, 1]))

    assert EventReader(Twins(), lambda events: events).between(0, 21).t.tolist() == [10, 20, 20]


def test_the_camera_sees_its_picture_from_edge_to_edge() -> None:
    seen = sight(motion(), 0.6)
    edges = [(-0.5, -0.5), (127.5, -0.5), (127.5, 119.5), (-0.5, 119.5)]
    np.testing.assert_allclose(project(seen.corners, K), edges, atol=1e-9)
    assert seen.size == pytest.approx((128 / 150 * 0.6, 120 / 190 * 0.6))
    np.testing.assert_allclose(project(seen.centre, K), (63.5, 59.5))
    assert len(np.unique(seen.rays[:, 0], axis=0)) == 1
    for (_, end), (start, _) in itertools.pairwise([*seen.outline, seen.outline[0]]):
        np.testing.assert_array_equal(end, start)


@pytest.mark.parametrize(
    ("change", "same"),
    [((1.0, 1.0, 0.0), True), ((1.01, 1.01, 1.0), True), ((1.3, 1.3, 0.0), False)],
)
def test_cameras_that_see_a_person_elsewhere_are_told_apart(change, same: bool) -> None:
    fx, fy, shift = change
    K_other = K * [[fx, 1, 1], [1, fy, 1], [1, 1, 1]] + [[0, 0, shift], [0, 0, 0], [0, 0, 0]]
    assert same_view(motion(), dataclasses.replace(motion(), K=K_other)) == same


@pytest.fixture(scope="module")
def standing() -> MotionSequence:
    body = load_body()
    return dataclasses.replace(
        motion(),
        body_id=body.body_id,
        body_sha256=body.sha256,
        # Half a turn about x: the y-up body in the y-down camera, facing it.
        global_orient=np.tile(np.float32([np.pi, 0, 0]), (8, 1)),
    )


def test_the_floor_is_where_the_motion_knows_it_or_under_the_feet(standing) -> None:
    body = load_body()
    world = world_of(standing, body, "z")
    around = surroundings(standing, body, world)
    lowest = np.median([j[:, 1].max() for _, j in standing.posed(body, [0, 1, 2, 4, 5, 6, 7])])
    assert around.floor == pytest.approx(-lowest, abs=1e-5), "down is +y in the camera's frame"
    assert not around.floor_known
    assert around.depth == pytest.approx(3, abs=0.2)
    known = dataclasses.replace(standing, floor_m=-1.3)
    found = surroundings(known, body, world_of(known, body, "z"))
    assert (found.floor, found.floor_known) == (0.0, True)


def test_without_a_person_there_is_still_a_place_to_look_at(standing) -> None:
    body = load_body()
    nobody = dataclasses.replace(standing, state=np.full(8, ABSENT))
    around = surroundings(nobody, body, world_of(nobody, body, "z"))
    assert np.isfinite(around.pelvis).all()
    assert around.depth > 0


@pytest.mark.parametrize("depth", [1.5, 4.0, 9.0])
def test_the_first_view_holds_the_camera_and_the_person_left_of_the_panel(depth: float) -> None:
    # Camera frame to a world with z up: x right, y away, z up, the camera 1.2 m high.
    world = World(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.array([0, 0, 1.2]))
    eye, target = first_view(Surroundings(np.array([[0.3, 0.2, depth]]), 0.0, True), world)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    half = np.tan(np.radians(25))
    head, feet = [0.3, -0.7, depth], [0.3, 1.2, depth]
    for point in world.points(np.array([[0, 0, 0], head, feet])) - eye:
        assert point @ forward > 0
        across, above = point @ right / (point @ forward), point @ up / (point @ forward)
        assert -1.6 * half < across < 0.45 * half, "of a page of 16 to 10"
        assert abs(above) < half


def test_the_words_about_a_moment() -> None:
    pose = Pose(np.zeros((0, 3)), np.zeros((24, 3)), TRACKED, 0.876)
    text = describe(
        Moment(1.5, 9.25, pose, JointErrors(123.4, 56.7, np.zeros(24)), 40_000, 20_000), True
    )
    for part in (
        "1.500 of 9.250 s",
        "tracked",
        "0.88",
        "123 mm",
        "57 mm",
        "40,000",
        "20,000 drawn",
    ):
        assert part in text
    alone = describe(Moment(1.5, 9.25, None, None, None, None), False)
    assert "absent" in alone
    assert "MPJPE" not in alone
    assert "events" not in alone
