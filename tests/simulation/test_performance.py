"""Whole performances: feet, flights, sway, ways over the stage, plans, arms out of the trunk."""

import numpy as np
import pytest
import torch

from eventhpe.body import load_body
from eventhpe.simulation.motion import clearance
from eventhpe.simulation.motion.footing import contact_points
from eventhpe.simulation.motion.limbs import REST_OFFSETS, euler_matrices, kinematics, limited
from eventhpe.simulation.motion.performance import (
    Motion,
    Plan,
    Stage,
    perform,
    random_motion,
    single_motion,
)
from eventhpe.simulation.motion.poses import arm_to
from eventhpe.simulation.motion.registry import MOTIONS


def walk(seed: int, name: str = "walk") -> Motion:
    return single_motion(np.random.default_rng(seed), name, 6.0, Stage(2.0, 8.0, 0.5))


def velocity(performed: Motion) -> np.ndarray:
    return np.diff(performed.translation, axis=0) * 100


def test_walkers_go_where_they_face_at_a_walking_speed() -> None:
    for seed in range(6):
        performed = walk(seed)
        facing = performed.rotations[:-1, 0] @ [0.0, 0.0, 1.0]
        forward = (facing * velocity(performed))[:, [0, 2]].sum(axis=1)
        assert 0.4 < forward.mean() < 1.9
        back = walk(seed, "walk_backwards")
        facing = back.rotations[:-1, 0] @ [0.0, 0.0, 1.0]
        assert (facing * velocity(back))[:, [0, 2]].sum(axis=1).mean() < 0


def feet(performed: Motion) -> np.ndarray:
    """(N, 6, 3) contact points in the world."""
    points = contact_points(performed.rotations, REST_OFFSETS)
    return points + performed.translation[:, None]


def test_the_planted_foot_stays_put_while_the_body_moves() -> None:
    performed = walk(1)
    speed = np.linalg.norm(np.diff(feet(performed)[..., [0, 2]], axis=0), axis=-1) * 100
    body = np.linalg.norm(velocity(performed)[:, [0, 2]], axis=1)
    assert np.median(speed.min(axis=1)) < 0.1 * body.mean()


@pytest.mark.parametrize("name", ["stand", "punch", "squat", "bend", "knee_lift_left", "reach"])
def test_feet_of_exercises_do_not_slide(name: str) -> None:
    for seed in range(3):
        segment = MOTIONS[name].make(np.random.default_rng(seed), 5.0)
        points = feet(perform(np.random.default_rng(seed), segment, Stage(), (name,)))
        speed = np.linalg.norm(np.diff(points[:, :4, [0, 2]], axis=0), axis=-1) * 100
        assert np.median(speed[points[1:, :4, 1] < 0.015]) < 0.05


@pytest.mark.parametrize("name", ["walk", "jumps_up_down", "jog_on_treadmill", "random_posture"])
def test_no_vertex_is_under_the_floor_whatever_the_shape(name: str) -> None:
    body = load_body()
    rng = np.random.default_rng(2)
    betas = torch.from_numpy(rng.normal(size=(1, 10))).float()
    rest = body.rest_joints(betas)[0].numpy()
    performed = single_motion(rng, name, 5.0, rest_joints=rest)
    rows = np.arange(0, 501, 12)
    rotations = torch.from_numpy(performed.rotations[rows]).float()
    transl = torch.from_numpy(performed.translation[rows] - rest[0]).float()
    with torch.no_grad():
        shown = body(betas.expand(len(rows), -1), rotations[:, 0], rotations[:, 1:], transl)
    lowest = shown.vertices[..., 1].min(dim=1).values
    assert lowest.min() > -0.03
    assert lowest.min() < 0.03


@pytest.mark.parametrize("name", ["jump_up_down", "jump_forward", "jumps_up_down", "hop_left"])
def test_a_jumper_in_the_air_falls_freely(name: str) -> None:
    for seed in range(3):
        performed = single_motion(np.random.default_rng(seed), name, 8.0)
        clear = feet(performed)[..., 1].min(axis=1) > 0.005
        # Well inside a flight, off its smoothed ends.
        inner = np.convolve(clear, np.ones(9), mode="same") > 8.5
        fall = np.gradient(np.gradient(performed.translation[:, 1])) * 1e4
        assert inner.any()
        assert np.median(fall[inner]) == pytest.approx(-9.81, rel=0.05)
        assert (np.abs(fall[inner] + 9.81) < 0.2 * 9.81).mean() > 0.9


def test_a_jump_forward_goes_forward() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        segment = MOTIONS["jump_forward"].make(rng, 2.0)
        performed = perform(rng, segment, Stage(), ("jump_forward",), yaw=0.0)
        way = performed.translation[-1] - performed.translation[0]
        assert 0.2 < way[2] < 1.6
        assert abs(way[0]) < 0.2


def head(performed: Motion) -> np.ndarray:
    """(N, 3) place of the head."""
    place, _ = kinematics(performed.rotations, REST_OFFSETS, (3, 6, 9, 12, 15))
    return place[15] + performed.translation


def test_a_quietly_standing_person_sways() -> None:
    speeds, sways = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        segment = MOTIONS["stand_still"].make(rng, 10.0)
        track = head(perform(rng, segment, Stage(), ("stand_still",)))
        speeds.append(np.sqrt((np.diff(track, axis=0) ** 2).sum(axis=1).mean()) * 1e5)
        sways.append(np.linalg.norm((track - track.mean(axis=0)).std(axis=0)) * 1e3)
    assert 8 < np.median(speeds) < 20
    assert min(speeds) > 4
    assert 4 < np.median(sways) < 12


def test_walkers_stay_about_their_stage() -> None:
    stage = Stage(2.0, 5.0, 0.3)
    for seed in range(5):
        performed = random_motion(np.random.default_rng(seed), 16.0, stage)
        x, z = performed.translation[:, 0], performed.translation[:, 2]
        assert z.min() > 1.0
        assert z.max() < 6.5
        assert np.mean(np.abs(x) < stage.slope * z + 0.5) > 0.9


def test_a_good_part_of_the_material_travels_towards_away_and_across() -> None:
    share, depth_share = [], []
    for seed in range(30):
        performed = random_motion(np.random.default_rng(seed), 8.0)
        level = velocity(performed)[:, [0, 2]]
        speed = np.linalg.norm(level, axis=1)
        moving = speed > 0.3
        share.append(moving.mean())
        depth_share += (np.abs(level[moving, 1]) > 0.8 * speed[moving]).tolist()
    assert 0.3 < np.mean(share) < 0.65
    assert 0.35 < np.mean(depth_share) < 0.85


def test_first_headings_cover_all_directions_alike() -> None:
    headings = []
    for seed in range(160):
        ahead = random_motion(np.random.default_rng(seed), 0.5).rotations[0, 0] @ [0.0, 0.0, 1.0]
        headings.append(np.arctan2(ahead[0], ahead[2]))
    count, _ = np.histogram(headings, bins=8, range=(-np.pi, np.pi))
    # Chi-square with 7 degrees of freedom: 24.3 at one in a thousand.
    assert ((count - 20) ** 2 / 20).sum() < 24.3


@pytest.mark.parametrize("duration", [0.5, 12.5, 90.0])
def test_random_motion_has_the_asked_length_and_repeats_with_its_seed(duration: float) -> None:
    first = random_motion(np.random.default_rng(3), duration)
    again = random_motion(np.random.default_rng(3), duration)
    assert len(first.rotations) == round(duration * 100) + 1
    assert np.array_equal(first.rotations, again.rotations)
    assert np.array_equal(first.translation, again.translation)


def test_a_still_start_stands_and_then_goes() -> None:
    plan = Plan(still_start_s=2.0, names=("walk",))
    for seed in range(5):
        performed = random_motion(np.random.default_rng(seed), 8.0, plan=plan)
        assert performed.names[0] == "stand_still"
        assert set(performed.names[1:]) == {"walk"}
        place = performed.translation[:, [0, 2]]
        assert np.linalg.norm(place[:200] - place[0], axis=1).max() < 0.03
        assert np.linalg.norm(place - place[0], axis=1).max() > 0.3


def test_who_leaves_goes_past_the_edge_and_comes_back() -> None:
    stage, returned, away = Stage(2.0, 5.0, 0.3, edge=0.55), 0, []
    for seed in range(10):
        plan = Plan(leaves=True)
        performed = random_motion(np.random.default_rng(seed), 20.0, stage, plan)
        x, z = performed.translation[:, 0], performed.translation[:, 2]
        out = np.abs(x) > stage.edge * z + 0.6
        assert out.any()
        away.append(out.mean() * 20.0)
        returned += bool((np.abs(x) < stage.edge * z)[np.flatnonzero(out)[-1] :].any())
    assert returned >= 9
    assert 0.4 < np.median(away) < 5.0


def test_who_is_not_to_leave_stays_however_long_it_takes() -> None:
    performed = single_motion(np.random.default_rng(0), "kick", 16.0, Stage())
    assert set(performed.names) == {"kick"}


@pytest.mark.parametrize("heading", [0.0, 2.0])
def test_a_heading_is_where_the_person_faces_first(heading: float) -> None:
    plan = Plan(still_start_s=1.0, heading=heading)
    performed = random_motion(np.random.default_rng(3), 2.0, Stage(), plan)
    ahead = performed.rotations[0, 0, :, 2]
    assert np.arctan2(ahead[0], ahead[2]) == pytest.approx(heading, abs=0.4)


def deepest(angles: np.ndarray) -> np.ndarray:
    """(N,) how deep the arms are in trunk, head or thighs, metres."""
    body = clearance.torso(euler_matrices(angles), REST_OFFSETS)
    depth = []
    for side in (0, 1):
        arm = clearance.arm_angles(angles, side)
        points = clearance.arm_points(arm, body, REST_OFFSETS, side)
        depth.append(clearance.depths(points, body).max(axis=(1, 2)))
    return np.max(depth, axis=0)


@pytest.mark.parametrize("name", ["stand", "walk", "random_poses", "random_posture", "bend"])
def test_arms_keep_out_of_the_body(name: str) -> None:
    before, after = [], []
    for seed in range(6):
        angles = limited(MOTIONS[name].make(np.random.default_rng(seed), 8.0).angles)
        before.append(deepest(angles))
        after.append(deepest(clearance.push_out(angles, REST_OFFSETS)))
    assert np.mean(np.concatenate(after) > 0.03) < 0.02
    assert np.concatenate(after).mean() <= np.concatenate(before).mean()


def test_a_point_inside_the_chest_is_deep_and_one_before_it_is_not() -> None:
    body = clearance.torso(np.eye(3)[None, None].repeat(24, axis=1), REST_OFFSETS)
    points = np.array([[[0, 0.3, 0.0], [0, 0.3, 0.5], [0.6, 0.3, 0], [0, 1.0, 0], [0, -0.9, 0]]])
    depth = clearance.depths(points, body)[0].max(axis=1)
    assert depth[0] > 0.08
    assert (depth[1:] == 0).all()


def test_arms_reach_the_point_that_is_asked_for() -> None:
    rng, rest = np.random.default_rng(0), np.eye(3)[None, None].repeat(24, axis=1)
    body = clearance.torso(rest, REST_OFFSETS)
    for side in (0, 1):
        for _ in range(5):
            target = np.array([0.2 * (1 - 2 * side), 0.35, 0.35]) + rng.uniform(-0.1, 0.1, 3)
            arm = arm_to(target, side)
            wrist = clearance.arm_points(arm[None], body, REST_OFFSETS, side)[0, 2]
            assert np.linalg.norm(wrist - target) < 0.04
