"""The overlay's frames: each picture in its place and scale, and readable by the colour-blind."""

import dataclasses
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream
from eventhpe.rendering import flow_view
from eventhpe.rendering.composition import VIEWS, Composer, _arranged
from eventhpe.rendering.errors import FULL_MM, JointErrors, colour_of, draw_skeleton
from eventhpe.rendering.key import key_picture
from eventhpe.rendering.moments import moments, poses
from eventhpe.rendering.overlay import (
    ALPHA,
    BACKGROUND,
    POLARITY_COLOURS,
    STATE_COLOURS,
    TRUTH_COLOUR,
    Figure,
    Layout,
    event_picture,
)
from eventhpe.rendering.world_views import MARGIN_M, Extent, WorldView, shares
from eventhpe.sequence import MotionSequence
from eventhpe.weights import FLOWNET
from eventhpe.world import world_of
from flownet.colours import flow_to_colour
from tests.rendering.rendering_scenes import HELD, BallBody, K, MemoryRecording, ball, motion

BODY = BallBody()


def frames(sequence: MotionSequence, views, truth=None, shown_us: int = 60_000) -> list:
    known = [None] * len(sequence)
    if truth is not None:
        known = list(poses(truth, BODY, range(len(truth)), K))
    stream = moments(sequence, MemoryRecording(), BODY, range(len(sequence)))
    with Composer(sequence, BODY, views, truth=truth, flownet=FLOWNET, shown_us=shown_us) as made:
        return [made.frame(k, m, t) for k, (m, t) in enumerate(zip(stream, known, strict=True))]


@given(st.integers(16, 1400), st.integers(16, 1400), st.sets(st.sampled_from(VIEWS), min_size=1))
def test_pictures_stand_beside_one_another(width: int, height: int, views: set) -> None:
    places = _arranged(sorted(views), Layout(width, height).panel)
    assert set(places) == {*views, "key"}
    for a, b in combinations(places.values(), 2):
        apart_x = a.x + a.width <= b.x or b.x + b.width <= a.x
        apart_y = a.y + a.height <= b.y or b.y + b.height <= a.y
        assert apart_x or apart_y
    assert min(place.width for name, place in places.items() if name != "camera") >= 225


def test_the_cameras_picture_is_the_events_but_for_mesh_and_region() -> None:
    (frame, *_) = frames(dataclasses.replace(motion(), region=np.zeros((8, 4))), ["camera"])
    recording = MemoryRecording()
    expected = event_picture(recording.read(0, 60_000), 4)
    panel = frame[32:512, :512]
    changed = (panel != expected).any(axis=2)
    # The ball's outline: radius 0.2 m at 3 m, 150 and 190 px focal length, four times enlarged.
    v, u = np.indices(changed.shape)
    centre = 4 * np.array([60 - 0.4 * 150 / 3, 70]) + 1.5
    inside = ((u - centre[0]) / (4 * 10)) ** 2 + ((v - centre[1]) / (4 * 12.67)) ** 2 < 1
    assert (changed == inside).mean() > 0.995


def test_both_sides_of_every_frame_are_even() -> None:
    odd = dataclasses.replace(motion(), width=127, height=119)
    for size in ((127, 119), (640, 451), (1279, 719)):
        odd = dataclasses.replace(motion(), width=size[0], height=size[1])
        with Composer(odd, BODY, ["camera", "side"], truth=None, flownet=FLOWNET, shown_us=1) as c:
            assert c.size[0] % 2 == c.size[1] % 2 == 0


def test_what_is_held_or_absent_is_written_over_the_picture() -> None:
    made = frames(motion(), ["camera"])
    written = [(frame[32 : 32 + 26, :300] > 200).all(axis=2).sum() > 100 for frame in made]
    assert written == [False, False, True, True, False, False, False, False]
    assert not np.array_equal(made[2][32:58, :300], made[3][32:58, :300])


def test_truth_and_estimate_are_both_drawn_and_their_error_is_written() -> None:
    off = dataclasses.replace(motion(), transl=motion().transl + np.float32([0.5, 0, 0]))
    with_truth = frames(motion(), ["camera"], truth=off)[0]
    yellow = (np.abs(with_truth[32:512, :512].astype(int) - TRUTH_COLOUR).sum(axis=2) < 250).any()
    assert yellow
    plain = frames(motion(), ["camera"])[0]
    assert (with_truth[:32] > 150).sum() > (plain[:32] > 150).sum(), "the errors in the caption"


def view(name: str, sequence: MotionSequence, size=(500, 240)) -> WorldView:
    world = world_of(sequence, BODY)
    return WorldView(name, Extent.of(sequence.transl, world), world, sequence, size)


@pytest.mark.parametrize(
    ("name", "right", "down"),
    [("side", [0, 0, 1], [0, 1, 0]), ("top", [0, 0, 1], [1, 0, 0])],
)
def test_the_world_is_seen_to_scale_from_the_side_and_from_above(name, right, down) -> None:
    """A camera that is level: its axes are the world's."""
    seen = view(name, motion())
    origin, along, beside = seen.pixels(
        np.array([[0, 0, 3.0], [0, 0, 4.0], np.add([0, 0, 3], down)])
    )
    assert along - origin == pytest.approx([seen.scale, 0], rel=0.05, abs=0.05)
    assert beside - origin == pytest.approx([0, seen.scale], rel=0.05, abs=0.05)


def test_a_pitched_cameras_person_stands_upright_in_the_side_view() -> None:
    pitch = np.radians(25)
    up = np.array([0, -np.cos(pitch), -np.sin(pitch)])
    seen = view("side", dataclasses.replace(motion(), up=up))
    foot = np.array([0.1, 0.4, 3.0])
    low, high = seen.pixels(np.stack([foot, foot + 1.7 * up]))
    assert high[0] == pytest.approx(low[0], abs=2)
    assert low[1] - high[1] == pytest.approx(1.7 * seen.scale, rel=0.05)


def test_the_whole_motion_is_in_view_and_the_view_stands_still() -> None:
    sequence = dataclasses.replace(
        motion(), transl=np.linspace([-2, 0.3, 2], [2, -0.2, 6], 8), floor_m=-1.2
    )
    for name in ("side", "top"):
        seen = view(name, sequence)
        empty = seen.draw([])
        for place in sequence.transl:
            figure = Figure(*ball(*place, radius=MARGIN_M), (250, 0, 0))
            changed = (seen.draw([figure]) != empty).any(axis=2)
            rows, columns = np.nonzero(changed)
            assert rows.min() >= 19
            assert rows.max() < 240 - 1
            assert columns.min() > 0
            assert columns.max() < 500 - 1
            # A whole disc, drawn alone: nothing else of the picture has changed.
            assert changed.sum() == pytest.approx(np.pi * (MARGIN_M * seen.scale) ** 2, rel=0.1)


def test_views_over_one_another_share_their_scale() -> None:
    sequence = motion()
    world = world_of(sequence, BODY)
    extent = Extent.of(sequence.transl, world)
    rows = shares(extent, ["side", "top"], (500, 480))
    assert sum(rows) == 480
    scales = [
        WorldView(name, extent, world, sequence, (500, n)).scale
        for name, n in zip(("side", "top"), rows, strict=True)
    ]
    assert scales[0] == pytest.approx(scales[1], rel=0.02)


class Drift(torch.nn.Module):
    """A network that always sees 2 pixels to the right and 1 up."""

    def forward(self, events: torch.Tensor) -> list[torch.Tensor]:
        flow = torch.tensor([2.0, -1.0])[None, :, None, None]
        return [flow.expand(len(events), 2, *events.shape[-2:])]


def test_flow_has_the_colour_of_its_speed_on_the_sensor(monkeypatch) -> None:
    """64 network pixels over 32 of the sensor, 60 ms: 2 px a window are 16.7 px/s."""
    card = dataclasses.make_dataclass("Card", ["recipe"])(
        InputRecipe(size=64, window_us=60_000, background_activity_us=0)
    )
    monkeypatch.setattr(flow_view, "load_flownet", lambda _: (Drift(), card))
    view = flow_view.FlowView(FLOWNET, motion(), 20.0, 256)
    x, y = np.meshgrid(np.arange(40, 60), np.arange(40, 50))
    events = EventStream.from_arrays(
        x.ravel(), y.ravel(), np.full(200, 30_000), np.ones(200), 128, 120
    )
    picture = view.draw(events, 60_000, np.float32([36, 36, 32, 32]))
    speed = torch.tensor([2.0, -1.0])[:, None, None] * (32 / 64) / 0.06
    expected = 255 * flow_to_colour(speed, 20.0).flatten()
    # Sensor pixel 50, 45 lies at (50 - 36 + 0.5) * 8 in the picture.
    assert picture[76, 116] == pytest.approx(expected.numpy(), abs=1)
    assert (picture[160, 116] == BACKGROUND).all(), "no flow where there are no events"


def test_the_flows_full_colour_is_a_round_speed_of_the_motion() -> None:
    joints = np.repeat(motion().transl[:, None], 24, axis=1)
    # 0.8 m in 7 steps of 40 ms, 3 m off, 150 px focal length: 143 px/s; step 3 is absent.
    assert flow_view.full_speed(joints, motion()) == 200
    still = np.broadcast_to(np.array([0.0, 0, 3]), joints.shape)
    assert flow_view.full_speed(still, motion()) == 1


def test_flow_of_other_windows_is_refused() -> None:
    with pytest.raises(InputError, match="windows of 50 ms"):
        frames(motion(), ["flow"])


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(InputError, match="camera,side,top,flow"):
        frames(motion(), ["camera", "back"])


def test_errors_of_joints_leave_a_common_shift_out() -> None:
    truth = np.random.default_rng(0).normal(size=(24, 3))
    estimate = truth + np.array([0.3, 0, 0.4])
    estimate[5] += [0, 0.06, 0]
    found = JointErrors.of(estimate, truth)
    expected = np.zeros(24)
    expected[5] = 60
    assert found.joints == pytest.approx(expected, abs=1e-6)
    assert found.pel == pytest.approx(60 / 24)
    assert found.mpjpe == pytest.approx((23 * 500 + 1000 * np.linalg.norm([0.3, 0.06, 0.4])) / 24)


def test_the_skeleton_shows_each_joints_error() -> None:
    picture = np.zeros((220, 220, 3), np.uint8)
    pixels = np.stack([np.arange(24) % 5 * 40 + 20, np.arange(24) // 5 * 40 + 20], axis=1)
    errors = JointErrors(0.0, 0.0, np.linspace(0, 250, 24))
    draw_skeleton(picture, pixels, errors)
    for (u, v), error in zip(pixels, errors.joints, strict=True):
        assert tuple(picture[v, u]) == colour_of(error)
    assert colour_of(FULL_MM + 1) == colour_of(FULL_MM) != colour_of(FULL_MM / 2)


@pytest.mark.parametrize("truth", [False, True])
@pytest.mark.parametrize("size", [(225, 219), (360, 720)])
def test_the_key_fits(truth: bool, size: tuple[int, int]) -> None:
    notes = ["grid: 1 m; thick line: floor", "up: estimated from feet and trunk"]
    picture = key_picture(size, truth=truth, notes=notes)
    assert (picture[:, -4:] == BACKGROUND).all()
    assert (picture[-4:] == BACKGROUND).all()
    assert (picture[:4] == BACKGROUND).all()


# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def lab(colour, sight: str) -> np.ndarray:
    """CIE L*a*b* (D65) of an sRGB colour as it looks to such eyes."""
    c = np.asarray(colour, float) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    linear = np.clip(SIGHT[sight] @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = to_xyz @ linear / to_xyz.sum(axis=1)
    f = [np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_that_must_differ_do_so_for_the_colour_blind(sight: str) -> None:
    off, on = POLARITY_COLOURS
    estimate = np.array(STATE_COLOURS["tracked"])
    truth = np.array(TRUTH_COLOUR)
    ground = np.full(3, BACKGROUND)
    laid = [ALPHA * colour + (1 - ALPHA) * ground for colour in (estimate, truth)]
    pairs = [(off, on), (estimate, truth), laid, *((c, ground) for c in (off, on, *laid))]
    # Ten times the difference that is just seen side by side is about 23 (Mahy et al. 1994).
    for one, other in pairs:
        assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 35


@pytest.mark.parametrize("sight", SIGHT)
def test_larger_errors_are_lighter_to_all_eyes(sight: str) -> None:
    lightness = [lab(colour_of(mm), sight)[0] for mm in np.linspace(0, FULL_MM, 21)]
    assert (np.diff(lightness) > 1).all()


def test_a_truth_with_its_own_focal_length_is_seen_where_its_camera_saw_it() -> None:
    true_K = np.array([[180.0, 0, 64], [0, 200, 66], [0, 0, 1]])
    truth = dataclasses.replace(motion(), K=true_K)
    pose = next(poses(truth, BODY, range(1), K))
    assert pose is not None
    wanted = Camera(true_K, 128, 120).project(pose.vertices.astype(float))
    assert Camera(K, 128, 120).project(pose.seen.astype(float)) == pytest.approx(wanted, abs=1e-3)


def test_held_is_the_state_that_is_striped(tmp_path: Path) -> None:
    made = frames(motion(), ["side"])
    assert int(motion().state[2]) == HELD
    purple = [(f[..., 0].astype(int) > f[..., 1].astype(int) + 50).sum() for f in made]
    assert np.argmax(purple) == 2


def test_a_motion_without_anybody_is_drawn_too() -> None:
    nobody = dataclasses.replace(motion(), state=np.zeros(8))
    made = frames(nobody, ["camera", "side", "top"])
    assert len(made) == 8
