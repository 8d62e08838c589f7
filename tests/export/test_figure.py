"""What all exports share: the steps that are written, their times, and where they stand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.export.figure import Figure, figure_of, rest_vertices
from eventhpe.sequence import ABSENT, CAMERA_UP, TRACKED, MotionSequence
from eventhpe.world import world_of


def figure(motion: MotionSequence, body: Body, **options) -> Figure:
    return figure_of(
        motion, body, **{"up": "y", "rate_hz": None, "even": False, "ends": False} | options
    )


def test_joints_and_meshes_are_the_cameras_moved_to_the_world(wild, body) -> None:
    made = figure(wild, body)
    world = world_of(wild, body)
    posed = list(wild.posed(body))[2:12]
    joints, meshes = made.joints(), list(made.meshes(range(10)))
    for step, (vertices, places) in enumerate(posed):
        np.testing.assert_allclose(meshes[step], world.points(vertices), atol=1e-5)
        np.testing.assert_allclose(joints[step], world.points(places), atol=1e-5)
    np.testing.assert_allclose(made.pelvis, joints[:, 0], atol=1e-5)


def test_steps_at_the_ends_without_a_person_are_left_out_and_told(wild, body) -> None:
    made = figure(wild, body)
    np.testing.assert_array_equal(made.motion.t_us, wild.t_us[2:12])
    np.testing.assert_array_equal(made.present, [True] * 6 + [False] * 2 + [True] * 2)
    assert any("4 steps at the ends" in note for note in made.notes)
    assert len(figure(wild, body, ends=True).motion) == len(wild)


@pytest.mark.parametrize("rate_hz", [10.0, 30.0, 60.0])
def test_a_rate_gives_even_steps_from_the_first_with_a_person(wild, body, rate_hz: float) -> None:
    made = figure(wild, body, rate_hz=rate_hz)
    assert made.motion.t_us[0] == wild.t_us[2]
    assert np.abs(np.diff(made.motion.t_us) - 1e6 / rate_hz).max() <= 1
    assert made.rate_hz == rate_hz


def test_uneven_steps_are_resampled_only_for_who_knows_one_rate(wild, body) -> None:
    uneven = replace(wild, t_us=wild.t_us + np.arange(len(wild)) ** 2 * 100)
    assert figure(uneven, body).motion.t_us[1] == uneven.t_us[3]
    made = figure(uneven, body, even=True)
    assert set(np.diff(made.motion.t_us)) == {40_000}
    assert any("uneven" in note for note in made.notes)
    # A third of a microsecond is lost in every step of this one, which is as even as can be.
    thirty = figure(wild.resample(30), body, even=True)
    assert thirty.rate_hz == pytest.approx(30, rel=1e-5)
    assert not any("uneven" in note for note in thirty.notes)


def test_what_is_not_known_of_the_world_is_told(wild, body) -> None:
    assert figure(wild, body).notes[0] == "up: pitch and roll"
    unknown = replace(wild, floor_m=np.nan, up_source=CAMERA_UP)
    notes = " ".join(figure(unknown, body).notes)
    assert "gravity is not known" in notes
    assert "floor is not known" in notes


def test_a_motion_of_another_body_is_refused(wild, body) -> None:
    with pytest.raises(InputError, match="other-body"):
        figure(replace(wild, body_id="other-body", body_sha256="0" * 64), body)


def test_one_step_has_the_rate_of_its_step(wild, body) -> None:
    one = wild.slice(int(wild.t_us[3]), int(wild.t_us[4]))
    assert figure(one, body, even=True).rate_hz == pytest.approx(25)


def test_rest_vertices_are_the_shape_directions(body) -> None:
    betas = torch.linspace(-1, 1, 10)
    smpl = body.smpl
    shaped = smpl.v_template + torch.einsum("vck,k->vc", smpl.shapedirs, betas)
    np.testing.assert_allclose(rest_vertices(body, betas), shaped.numpy(), atol=1e-6)


def test_the_states_stay(wild, body) -> None:
    assert set(figure(wild, body).motion.state) == {ABSENT, TRACKED}
