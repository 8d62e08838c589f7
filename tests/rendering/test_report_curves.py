"""Angles, speeds, event rates and plots of the report, against known answers and other routes."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from eventhpe.body import Body, load_body
from eventhpe.body.joints import JOINT_NAMES
from eventhpe.rendering.report.curves import joint_angles, pelvis_speed
from eventhpe.rendering.report.plots import Curve, Plot, draw, draw_states, runs, tick_step, ticks
from eventhpe.rendering.report.survey import survey
from eventhpe.sequence import ABSENT, HELD, TRACKED, MotionSequence
from tests.rendering.rendering_scenes import MemoryRecording, motion


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def posed(body: Body, **turns: list[float]) -> MotionSequence:
    """The rest pose, then one with some joints turned (axis-angle in degrees)."""
    still = replace(motion(2), body_id=body.body_id, body_sha256=body.sha256)
    pose = np.zeros((2, 69), np.float32)
    for name, turn in turns.items():
        joint = JOINT_NAMES.index(name)
        pose[1, 3 * joint - 3 : 3 * joint] = np.radians(turn)
    return replace(still, body_pose=pose)


def test_a_thigh_lifted_by_sixty_degrees_is_flexed_by_sixty_more(body: Body) -> None:
    angles = joint_angles(posed(body, left_hip=[-60, 0, 0]), body)
    assert np.diff(angles["left_hip"]) == pytest.approx(60, abs=1e-3)
    assert np.diff(angles["right_hip"]) == pytest.approx(0, abs=1e-3)
    assert abs(angles["left_hip"][0]) < 10


def test_knees_and_elbows_follow_the_triangle_of_their_joints(body: Body) -> None:
    bent = posed(body, right_knee=[80, 0, 0], left_elbow=[0, -70, 0])
    angles = joint_angles(bent, body)
    for (_, joints), step in zip(bent.posed(body), range(2), strict=True):
        for name, ends in (
            ("right_knee", ("right_hip", "right_ankle")),
            ("left_elbow", ("left_shoulder", "left_wrist")),
        ):
            a, b, c = (joints[JOINT_NAMES.index(n)] for n in (ends[0], name, ends[1]))
            sides = [np.linalg.norm(p - q).astype(float) for p, q in ((b, a), (b, c), (a, c))]
            # The law of cosines gives the inner angle.
            cosine = (sides[0] ** 2 + sides[1] ** 2 - sides[2] ** 2) / (2 * sides[0] * sides[1])
            expected = 180 - math.degrees(math.acos(cosine))
            assert angles[name][step] == pytest.approx(expected, abs=0.05)
    assert angles["right_knee"][1] > 60
    assert angles["left_elbow"][1] > 60


def test_an_arm_is_elevated_from_hanging_to_overhead(body: Body) -> None:
    """The rest pose holds the arms out level; about z they go down and up, about y forward."""
    down, up, forward = ([0, 0, -85], [0, 0, 75], [0, -80, 0])
    level = joint_angles(posed(body), body)["left_shoulder"][0]
    assert level == pytest.approx(90, abs=8)
    for turn, expected in ((down, level - 85), (up, level + 75), (forward, level)):
        found = joint_angles(posed(body, left_shoulder=turn), body)["left_shoulder"][1]
        assert found == pytest.approx(expected, abs=6)


def test_angles_do_not_depend_on_where_the_person_stands_and_faces(body: Body) -> None:
    bent = posed(body, left_hip=[-40, 20, 10], spine1=[20, 10, 0], right_elbow=[0, 50, 0])
    turn = Rotation.from_euler("xyz", [170, 40, -20], degrees=True).as_rotvec()
    moved = replace(bent, global_orient=np.tile(turn, (2, 1)), transl=bent.transl + 2)
    one, other = joint_angles(bent, body), joint_angles(moved, body)
    for name, values in one.items():
        assert values == pytest.approx(other[name], abs=0.01), name


def test_nobody_has_no_angles_and_no_speed(body: Body) -> None:
    sequence = replace(motion(8), body_id=body.body_id, body_sha256=body.sha256)
    absent = sequence.state == ABSENT
    assert np.array_equal(np.isnan(joint_angles(sequence, body)["left_knee"]), absent)
    speed = pelvis_speed(sequence)
    # From -0.4 to 0.4 m in seven steps of 40 ms; a difference across an absent step is none.
    assert np.array_equal(np.isnan(speed), [0, 0, 1, 1, 1, 0, 0, 0])
    assert speed[np.isfinite(speed)] == pytest.approx(0.8 / 0.28, rel=1e-4)


def test_event_rates_count_every_event_once_and_those_in_the_region() -> None:
    sequence, recording = motion(), MemoryRecording()
    found = survey(sequence, recording, progress=False)
    events = recording.read(0, int(found.t_us[-1]))
    assert found.t_us[0] == 50_000
    assert (found.rate * 0.05).sum() == pytest.approx(len(events))
    x0, y0, w, h = (int(v) for v in sequence.region[0])
    inside = (events.x >= x0) & (events.x < x0 + w) & (events.y >= y0) & (events.y < y0 + h)
    assert (found.region_rate * 0.05).sum() == pytest.approx(inside.sum())
    assert found.warnings == ()


def test_only_the_roi_is_surveyed() -> None:
    sequence, recording = motion(), MemoryRecording()
    found = survey(sequence, recording, roi=(0, 0, 32, 120), progress=False)
    events = recording.read(0, int(found.t_us[-1]))
    assert (found.rate * 0.05).sum() == pytest.approx((events.x < 32).sum())


@given(low=st.floats(-1e4, 1e4), length=st.floats(1e-3, 1e5))
def test_ticks_are_round_and_neither_too_few_nor_too_many(low: float, length: float) -> None:
    step = tick_step(low, low + length)
    digits = f"{step:.0e}"
    assert digits[0] in "125"
    assert 4 <= length / step * 1.001 <= 10.02
    assert all(
        low - 1e-3 * step <= tick <= low + length + 1e-3 * step for tick in ticks(low, low + length)
    )


def test_a_curve_passes_through_its_values_and_breaks_at_gaps() -> None:
    values = np.array([0.0, 10.0, np.nan, 5.0, 10.0])
    plot = Plot("A", "m", np.arange(5.0), (Curve("a", values, "#000"),))
    picture = draw(plot, 0, (0.0, 4.0))
    path = re.search(r"d='([^']*)'", picture).group(1)
    assert re.findall(r"([ML])([\d.]+) ([\d.]+)", path) == [
        ("M", "0.0", "150.0"),
        ("L", "250.0", "0.0"),
        ("M", "750.0", "75.0"),
        ("L", "1000.0", "0.0"),
    ]


def test_names_in_a_plot_cannot_be_markup() -> None:
    plot = Plot("<b>", "<i>", np.arange(2.0), (Curve("<u>", np.arange(2.0), "#000"),))
    assert not re.search(r"<[biu]>", draw(plot, 0, (0.0, 1.0)))


def test_states_run_until_the_next_one() -> None:
    states = np.array([ABSENT, TRACKED, TRACKED, HELD], np.uint8)
    seconds = np.array([0.0, 0.1, 0.2, 0.3])
    assert runs(states, seconds, 0.4) == [
        (ABSENT, 0.0, 0.1),
        (TRACKED, 0.1, 0.3),
        (HELD, 0.3, 0.4),
    ]
    bands = re.findall(
        r"<rect class='band (\w+)' x='([\d.]+)%' width='([\d.]+)%'",
        draw_states(states, seconds, (0.0, 0.4)),
    )
    assert [(name, float(x), float(w)) for name, x, w in bands] == [
        ("absent", 0, 25),
        ("tracked", 25, 50),
        ("held", 75, 25),
    ]
