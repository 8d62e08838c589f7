"""Motion files: what the readers find, what the body makes of it, and what they refuse."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, RotationSpline

from eventhpe.body import load_body
from eventhpe.body.joints import FLIP_PAIRS, JOINT_NAMES, PARENTS
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.simulation.motion.amass import read_amass
from eventhpe.simulation.motion.asf_amc import INCH, read_amc
from eventhpe.simulation.motion.bvh import read_bvh
from eventhpe.simulation.motion.joint_maps import find_joints
from eventhpe.simulation.motion.performance import Motion, Stage
from eventhpe.simulation.motion.retargeting import (
    GROUND_PERCENTILE,
    LIMBS,
    angles_between,
    direction_errors,
    rest_joints,
    smallest_turn,
    smpl_joints,
    world_rotations,
)
from eventhpe.simulation.motion.takes import (
    Take,
    load_pose,
    load_take,
    place_on_stage,
    placed,
)

Array = np.ndarray
NO_BETAS = np.zeros(10)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def rest(body: Body) -> Array:
    return rest_joints(body, NO_BETAS)


def smooth_pose(frames: int, rate: float = 100.0, size: float = 0.5) -> Array:
    """(frames, 24, 3, 3) local rotations that move smoothly, no two joints alike."""
    rng = np.random.default_rng(3)
    t = np.arange(frames)[:, None, None] / rate
    swing, phase = rng.uniform(-size, size, (2, 24, 3)), rng.uniform(0, 6, (24, 3))
    vectors = swing[0] * np.sin(5 * t + phase) + 0.3 * swing[1]
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(frames, 24, 3, 3)


def angles(a: Array, b: Array) -> Array:
    """Degrees between rotations (..., 3, 3)."""
    trace = np.einsum("...ij,...ij->...", a, b)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def write_bvh(path: Path, offsets: Array, local: Array, root: Array, rate: float = 100.0) -> Path:
    """A BVH of SMPL's tree with channels ZXY, written joint by joint with scipy's angles."""
    order: list[int] = []

    def joint_lines(joint: int, keyword: str) -> list[str]:
        order.append(joint)
        position = "6 Xposition Yposition Zposition" if joint == 0 else "3"
        lines = [f"{keyword} {JOINT_NAMES[joint]}", "{", "OFFSET {} {} {}".format(*offsets[joint])]
        lines.append(f"CHANNELS {position} Zrotation Xrotation Yrotation")
        children = [j for j in range(24) if PARENTS[j] == joint]
        for child in children:
            lines += joint_lines(child, "JOINT")
        if not children:
            lines += ["End Site", "{", "OFFSET 0 0 0.1", "}"]
        return [*lines, "}"]

    lines = ["HIERARCHY", *joint_lines(0, "ROOT"), "MOTION", f"Frames: {len(local)}"]
    lines.append(f"Frame Time: {1 / rate:.9f}")
    for turns, place in zip(local, root, strict=True):
        zxy = Rotation.from_matrix(turns[order]).as_euler("ZXY", degrees=True)
        lines.append(" ".join(f"{v:.9f}" for v in (*place, *zxy.ravel())))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def bvh(tmp_path: Path, rest: Array) -> Path:
    offsets = rest - rest[list(PARENTS)]
    offsets[0] = 0
    return write_bvh(tmp_path / "walk.bvh", offsets, smooth_pose(30), np.full((30, 3), 0.9))


def write_acclaim(folder: Path) -> Path:
    """A person of 13 bones and three frames in CMU's format; the shins bend by 30 a frame."""
    bones = {"lowerback": ("root", "0 1 0", "2", "0 0 0 XYZ", "rx ry rz")}
    for side, x, roll in (("l", 1, 20), ("r", -1, -20)):
        leg = f"{0.34202 * x} -0.939693 0"
        bones |= {
            f"{side}hipjoint": ("root", f"{x} 0 0", "1", "0 0 0 XYZ", ""),
            f"{side}femur": (f"{side}hipjoint", leg, "7", f"0 0 {roll} XYZ", "rx ry rz"),
            f"{side}tibia": (f"{side}femur", leg, "8", f"0 0 {roll} XYZ", "rx"),
            f"{side}foot": (f"{side}tibia", "0 0 1", "2", f"-90 0 {roll} XYZ", "rx rz"),
            f"{side}clavicle": ("lowerback", f"{x} 2 0", "3", "0 0 0 XYZ", ""),
            f"{side}humerus": (f"{side}clavicle", f"{x} 0 0", "5", "180 -30 -90 XYZ", "rx ry rz"),
            f"{side}radius": (f"{side}humerus", f"{x} 0 0", "4", "180 -30 -90 XYZ", "rx"),
            f"{side}hand": (f"{side}radius", f"{x} 0 0", "1", "0 90 90 XYZ", ""),
        }
    asf = [":version 1.10", ":units", "length 0.45", "angle deg", ":root"]
    asf += ["order TX TY TZ RX RY RZ", "axis XYZ", "position 0 0 0", "orientation 0 0 0"]
    asf.append(":bonedata")
    for name, (_, direction, length, axis, dof) in bones.items():
        asf += ["begin", "id 1", f"name {name}", f"direction {direction}", f"length {length}"]
        asf += [f"axis {axis}", f"dof {dof}" if dof else "", "end"]
    asf += [":hierarchy", "begin", *(f"{b[0]} {name}" for name, b in bones.items()), "end"]
    (folder / "07.asf").write_text("\n".join(asf))
    amc = ["#!OML", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(1, 4):
        amc += [str(frame), "root 0 15 1 0 0 0", "lfemur 10 20 30", "lhumerus 5 6 7"]
        for name, (*_, dof) in bones.items():
            if dof and name not in ("lfemur", "lhumerus"):
                values = [30 * frame if name.endswith("tibia") else 0] * len(dof.split())
                amc.append(" ".join(map(str, (name, *values))))
    path = folder / "07_01.amc"
    path.write_text("\n".join(amc) + "\n")
    return path


@pytest.fixture
def amc(tmp_path: Path) -> Path:
    return write_acclaim(tmp_path)


def write_amass(path: Path, width: int = 72, **other: object) -> Path:
    poses = np.zeros((20, width))
    pose = smooth_pose(20, size=0.3)
    upright = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    pose[:, 0] = upright @ pose[:, 0]  # AMASS stands people along z
    vectors = Rotation.from_matrix(pose.reshape(-1, 3, 3)).as_rotvec().reshape(20, 72)
    poses[:, :66] = vectors[:, :66]
    if width == 72:
        poses[:, 66:] = vectors[:, 66:]
    content = {"poses": poses, "trans": np.zeros((20, 3)), "mocap_framerate": 100.0, **other}
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


# --- readers: known answers ---------------------------------------------------------------------


def test_asf_and_amc_give_the_places_that_acclaim_s_formula_gives(amc: Path) -> None:
    capture = read_amc(amc)
    index = capture.names.index
    _, places = capture.posed()
    axis = Rotation.from_euler("xyz", [0, 0, 20], degrees=True)
    thigh = axis * Rotation.from_euler("xyz", [10, 20, 30], degrees=True) * axis.inv()
    knee = axis * Rotation.from_euler("x", 60, degrees=True) * axis.inv()
    way = np.array([0.34202, -0.939693, 0])
    metres = INCH / 0.45
    hip = metres * np.array([0 + 1, 15, 1])
    assert capture.rate_hz == 120
    assert np.allclose(places[1, index("lfemur")], hip)
    assert np.allclose(places[1, index("ltibia")], hip + metres * thigh.apply(7 * way))
    shin = (thigh * knee).apply(8 * way)
    ankle = places[1, index("ltibia")] + metres * shin
    assert np.allclose(places[1, index("lfoot")], ankle)
    assert read_amc(amc, rate_hz=60).rate_hz == 60


def test_bvh_gives_rotations_places_and_rate_back(bvh: Path, rest: Array) -> None:
    capture = read_bvh(bvh)
    ours = [capture.names.index(name) for name in JOINT_NAMES]
    assert capture.rate_hz == pytest.approx(100)
    assert angles(capture.rotations[:, ours], smooth_pose(30)).max() < 1e-5
    turns, places = capture.posed()
    assert np.allclose(places[:, ours], smpl_joints(smooth_pose(30), rest) + 0.9, atol=1e-6)
    hand = capture.names.index("left_hand")
    end = places[:, capture.names.index("left_hand_end")]
    assert np.allclose(end, places[:, hand] + turns[:, hand] @ [0, 0, 0.1])


def test_a_calibration_pose_before_the_movement_is_left_out(
    tmp_path: Path, body: Body, rest: Array
) -> None:
    offsets = rest - rest[list(PARENTS)]
    offsets[0] = 0
    local, root = smooth_pose(30), np.full((30, 3), 0.9)
    local[0] = np.eye(3)
    begun = load_take(write_bvh(tmp_path / "begun.bvh", offsets, local, root), body)
    without = load_take(write_bvh(tmp_path / "without.bvh", offsets, local[1:], root[1:]), body)
    assert begun.rotations == pytest.approx(without.rotations, abs=1e-6)


@pytest.mark.parametrize("width", [72, 156, 165])
def test_amass_rotations_arrive_upright_with_hands_at_rest_unless_smpl_s(
    tmp_path: Path, body: Body, width: int
) -> None:
    take = load_take(write_amass(tmp_path / "a.npz", width, gender="male"), body)
    wanted = smooth_pose(20, size=0.3)
    if width != 72:
        wanted[:, 22:] = np.eye(3)
    assert angles(take.rotations, wanted).max() < 1e-4
    assert not take.betas.any()


def test_amass_in_parts_and_with_a_pickled_gender_reads_the_same(
    tmp_path: Path, body: Body
) -> None:
    whole = write_amass(tmp_path / "a.npz", 165)
    poses = np.load(whole)["poses"]
    parts = {"poses": None, "root_orient": poses[:, :3], "pose_body": poses[:, 3:66]}
    gender = np.array("neutral", dtype=object)
    other = write_amass(tmp_path / "b.npz", 165, gender=gender, **parts)
    first, second = load_take(whole, body), load_take(other, body)
    assert np.array_equal(first.rotations, second.rotations)


def test_amass_betas_are_kept_on_the_body_they_belong_to(tmp_path: Path, body: Body) -> None:
    betas, licensed = np.arange(16) / 10, load_body()
    licensed.body_id = "smpl-female"
    path = write_amass(tmp_path / "a.npz", gender=np.array(b"female"), betas=betas)
    assert np.array_equal(read_amass(path, licensed)[1], betas[:10])
    assert not read_amass(path, body)[1].any()
    licensed.body_id = "smpl-male"
    assert not read_amass(path, licensed)[1].any()


# --- retargeting --------------------------------------------------------------------------------


def test_a_file_of_the_body_s_own_skeleton_gives_its_rotations_back(bvh: Path, body: Body) -> None:
    assert angles(load_take(bvh, body).rotations, smooth_pose(30)).max() < 1e-4


def other_rest(rest: Array) -> Array:
    """(24, 3, 3) turns of SMPL's rest bones: arms hang, legs splay, feet splay with them."""
    turns = np.broadcast_to(np.eye(3), (24, 3, 3)).copy()
    for joint in (1, 4, 7, 10, 2, 5, 8, 11):
        angle = 20 if joint in (1, 4, 7, 10) else -20
        turns[joint] = Rotation.from_euler("z", angle, degrees=True).as_matrix()
    for joint in (16, 18, 20, 22, 17, 19, 21, 23):
        arm = rest[20 if joint % 2 == 0 else 21] - rest[16 if joint % 2 == 0 else 17]
        turns[joint] = smallest_turn(arm, np.array([0.0, -1.0, 0.0]))
    return turns


@pytest.mark.parametrize("unit", [1.0, 17.7, 100.0])
def test_another_rest_pose_and_unit_give_the_same_pose(
    tmp_path: Path, body: Body, rest: Array, unit: float
) -> None:
    pose, adjust = smooth_pose(30), other_rest(rest)
    parents = [0, *PARENTS[1:]]
    local = adjust[parents] @ pose @ adjust.swapaxes(-1, -2)
    local[:, 0] = pose[:, 0]
    offsets = (adjust[parents] @ (rest - rest[parents])[..., None])[..., 0] * unit
    root = np.linspace([0.0, 0.9, 0.0], [0.2, 1.0, 0.5], 30) * unit
    path = write_bvh(tmp_path / "hanging.bvh", offsets, local, root)
    found, _ = load_pose(path, body)
    errors = direction_errors(found, rest)
    assert max(errors[name].max() for name, *_ in LIMBS) < 1e-3
    # Rests tell directions, not twists: the arms' differ by a few degrees, nothing else does.
    difference = angles(world_rotations(found.rotations), world_rotations(pose)).max(axis=0)
    arms = [16, 17, 18, 19, 20, 21, 22, 23]
    assert difference[arms].max() < 5
    assert np.delete(difference, arms).max() < 0.5
    straight = load_take(
        write_bvh(tmp_path / "t.bvh", rest - rest[parents], pose, root / unit), body
    )
    walked = found.translation - straight.translation
    assert np.abs(walked - walked[0]).max() < 2e-3


def test_the_body_stands_on_the_ground_and_moves_at_its_own_size(
    tmp_path: Path, body: Body, rest: Array
) -> None:
    offsets = 2 * (rest - rest[list(PARENTS)])
    root = np.linspace([5.0, 7.0, 1.0], [5.0, 7.0, 3.0], 40)
    local = np.broadcast_to(np.eye(3), (40, 24, 3, 3))
    take = load_take(write_bvh(tmp_path / "giant.bvh", offsets, local, root), body)
    vertices = body.smpl.v_template.numpy()
    height = rest[0, 1] - vertices[:, 1].min()
    wanted = np.linspace([0.0, height, 0.0], [0.0, height, 1.0], 40)
    assert np.abs(take.translation - wanted).max() < 1e-4


def test_feet_go_through_the_ground_in_a_fifth_of_the_frames_at_most(
    bvh: Path, body: Body, rest: Array
) -> None:
    take = load_take(bvh, body)
    turns = torch.from_numpy(take.rotations).float()
    place = torch.from_numpy(take.translation - rest[0]).float()
    vertices = body(torch.zeros(30, 10), turns[:, 0], turns[:, 1:], place).vertices
    lowest = vertices[..., 1].min(dim=1).values.numpy()
    assert np.mean(lowest < -1e-4) <= GROUND_PERCENTILE / 100
    assert np.mean(lowest < 1e-4) >= GROUND_PERCENTILE / 100


def test_a_z_up_file_stands_up_and_the_axis_may_be_given(
    tmp_path: Path, body: Body, rest: Array
) -> None:
    pose = smooth_pose(30, size=0.2)
    offsets, root = rest - rest[list(PARENTS)], np.zeros((30, 3))
    turn = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    lying = pose.copy()
    lying[:, 0] = turn @ pose[:, 0]
    path = write_bvh(tmp_path / "z.bvh", offsets, lying, root)
    assert angles(load_take(path, body).rotations, pose).max() < 1e-4
    assert angles(load_take(path, body, up="z").rotations, pose).max() < 1e-4
    assert angles(load_take(path, body, up="y").rotations, lying).max() < 1e-4
    with pytest.raises(InputError, match="'w'"):
        load_take(path, body, up="w")


def test_spine_joints_that_a_file_lacks_share_their_neighbours_bend(
    tmp_path: Path, body: Body, bvh: Path
) -> None:
    names = [name for name in JOINT_NAMES if name not in ("spine1", "spine2", "left_hand")]
    take = load_take(bvh, body, joint_map={name: name for name in names})
    bend = smooth_pose(30)[:, 3] @ smooth_pose(30)[:, 6] @ smooth_pose(30)[:, 9]
    third = Rotation.from_rotvec(Rotation.from_matrix(bend).as_rotvec() / 3).as_matrix()
    for joint in (3, 6, 9):
        assert angles(take.rotations[:, joint], third).max() < 1e-4
    assert angles(take.rotations[:, 22], np.eye(3)).max() < 1e-4
    written = tmp_path / "map.yaml"
    written.write_text("\n".join(f"{name}: {name}" for name in names))
    assert np.array_equal(load_take(bvh, body, joint_map=written).rotations, take.rotations)


@pytest.mark.parametrize(
    ("centre", "limbs", "sides", "left_knee"),
    [
        ("mixamorig:Hips", "UpLeg Leg Foot Arm ForeArm Hand", "mixamorig:Left mixamorig:Right",
         "mixamorig:LeftLeg"),
        ("Pelvis", "Hip Knee Ankle Shoulder Elbow Wrist", "L_ R_", "L_Knee"),
        ("Hips", "Hip Knee Ankle Shoulder Elbow Wrist", "Left Right", "LeftKnee"),
        ("hip", "Thigh Shin Foot Shldr ForeArm Hand", "l r", "lShin"),
        ("root", "femur tibia foot humerus radius hand", "l r", "ltibia"),
    ],
)  # fmt: skip
def test_usual_names_are_known(centre: str, limbs: str, sides: str, left_knee: str) -> None:
    names = (centre, *(side + limb for side in sides.split() for limb in limbs.split()))
    found = find_joints(Path("x.bvh"), names, None)
    assert names[found["left_knee"]] == left_knee
    assert sorted(found.values()) == list(range(13))
    with pytest.raises(InputError, match="no joint known as left_knee among"):
        find_joints(Path("x.bvh"), tuple(name for name in names if name != left_knee), None)


# --- takes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "limit"), [(120.0, 0.01), (30.0, 0.2)])
def test_resampling_follows_the_true_movement(
    tmp_path: Path, body: Body, rest: Array, rate: float, limit: float
) -> None:
    frames = round(1.2 * rate) + 1
    path = tmp_path / "fast.bvh"
    write_bvh(
        path, rest - rest[list(PARENTS)], smooth_pose(frames, rate), np.zeros((frames, 3)), rate
    )
    take = load_take(path, body)
    assert take.duration_s == pytest.approx(1.2)
    assert angles(take.rotations[5:-5], smooth_pose(121)[5:-5]).max() < limit


@pytest.fixture(scope="module")
def take() -> Take:
    """1.5 s of somebody walking 1.5 m to the left while swinging everything."""
    way = np.linspace([0.0, 0.9, 0.0], [1.5, 0.9, 0.2], 151)
    return Take("walk", smooth_pose(151), way, NO_BETAS)


def test_a_part_of_a_take_is_that_part(take: Take) -> None:
    motion = take.motion(0.2, 1.0)
    assert len(motion.rotations) == len(motion.translation) == 101
    assert np.allclose(motion.rotations, take.rotations[20:121])
    assert np.allclose(motion.translation, take.translation[20:121])
    assert motion.names == ("walk",)
    fast = take.motion(0.0, 0.5, speed=2.0)
    assert np.allclose(fast.rotations, take.rotations[:101:2])
    spline = RotationSpline(np.arange(151), Rotation.from_matrix(take.rotations[:, 5]))
    slow = take.motion(0.0, 1.5, speed=0.5)
    wanted = spline(np.arange(0, 75.1, 0.5)).as_matrix()
    assert angles(slow.rotations[:, 5], wanted).max() < 0.05


def test_a_short_take_goes_back_and_forth_without_a_jerk(take: Take) -> None:
    motion = take.motion(1.0, 6.0)
    assert len(motion.translation) == 601
    x = motion.translation[:, 0]
    assert x.max() <= 1.5 + 1e-9
    assert x.min() >= -1e-9
    assert np.allclose(x[[50, 200, 350]], [1.5, 0.0, 1.5], atol=0.08)
    steps, whole = np.diff(x), np.diff(take.translation[:, 0])
    assert np.abs(steps).max() <= whole.max() * 1.001
    # At a corner the step would change sign at once, by twice its size.
    assert np.abs(np.diff(steps)).max() < 0.2 * whole.max()


@pytest.mark.parametrize("wrong", [(-0.1, 1.0, 1.0), (2.0, 1.0, 1.0), (0.0, 0.0, 1.0), (0, 1, 0)])
def test_a_part_outside_the_take_is_refused(take: Take, wrong: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"from 0 to 1\.5 s"):
        take.motion(*wrong)


def test_a_mirrored_take_is_the_mirror_image(take: Take, rest: Array) -> None:
    # A body whose rest is symmetric mirrors exactly.
    even = (rest + rest[list(FLIP_PAIRS)] * [-1, 1, 1]) / 2
    joints = smpl_joints(take.rotations, even) + take.translation[:, None]
    other = take.mirrored()
    seen = smpl_joints(other.rotations, even) + other.translation[:, None]
    assert np.allclose(seen, joints[:, FLIP_PAIRS] * [-1, 1, 1])
    assert np.linalg.det(other.rotations).min() > 0.99
    assert np.allclose(other.mirrored().rotations, take.rotations)


def test_placing_turns_the_person_with_the_way(take: Take) -> None:
    motion = take.motion(0.0, 1.5)
    moved = placed(motion, 0.3, 4.0, np.pi / 2)
    box = moved.translation.min(axis=0), moved.translation.max(axis=0)
    assert np.allclose(np.mean(box, axis=0)[[0, 2]], [0.3, 4.0])
    # A quarter turn to the left brings x to -z.
    way = moved.translation[-1] - moved.translation[0]
    assert np.allclose(way, [0.2, 0.0, -1.5])
    heading = moved.rotations[:, 0, :, 2]
    before = motion.rotations[:, 0, :, 2]
    assert np.allclose(heading, np.stack([before[:, 2], before[:, 1], -before[:, 0]], axis=-1))
    assert np.array_equal(moved.rotations[:, 1:], motion.rotations[:, 1:])


def test_a_short_way_stays_on_the_stage_and_a_long_one_off_the_camera(take: Take) -> None:
    stage, motion = Stage(), take.motion(0.0, 1.5)
    far_walk = Motion(motion.rotations, motion.translation * [6, 1, 6], motion.names)
    places, facing = [], []
    for seed in range(40):
        inside = place_on_stage(np.random.default_rng(seed), motion, stage).translation
        assert stage.near - 1e-9 <= inside[:, 2].min() <= inside[:, 2].max() <= stage.far + 1e-9
        middle = (inside.min(axis=0) + inside.max(axis=0)) / 2
        assert abs(middle[0]) <= stage.slope * middle[2]
        places.append(middle[[0, 2]])
        long = place_on_stage(np.random.default_rng(seed), far_walk, stage).translation
        assert long[:, 2].min() >= stage.near - 1e-9
        facing.append(np.arctan2(*(inside[-1] - inside[0])[[0, 2]]))
    assert np.std(places, axis=0).min() > 0.2
    assert np.std(facing) > 1


# --- bad input ----------------------------------------------------------------------------------

CMU_EDITS = [
    ("rtibia 60\n", "", "no rtibia in frame 2 of 3"),
    ("rtibia 60\n", "rtibia 60 1\n", "rtibia 60 1"),
    ("rtibia 60\n", "rtibia sixty\n", "sixty"),
    ("rtibia 60\n", "rtibia nan\n", "finite"),
    ("rtibia 60\n", "tail 60\n", "tail 60"),
    (":DEGREES", ":RADIANS", "radians"),
]


@pytest.mark.parametrize(("old", "new", "says"), CMU_EDITS)
def test_a_damaged_amc_is_refused(amc: Path, body: Body, old: str, new: str, says: str) -> None:
    content = amc.read_text()
    assert old in content
    amc.write_text(content.replace(old, new))
    with pytest.raises(InputError, match=says):
        load_take(amc, body)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (":hierarchy", ":tree", "no :hierarchy"),
        ("length 0.45", "length 0", "length unit of 0"),
        ("axis 0 0 20 XYZ", "axis 0 0 20 XY", "an order such as XYZ"),
        ("dof rx rz", "dof rx l", "degrees of freedom"),
        ("lfemur ltibia", "ltibia ltibia", "hierarchy entry"),
        ("lfemur ltibia\n", "", "hierarchy entry ltibia lfoot"),
        ("direction 0 1 0", "direction 0 1", "3 \\+ 1 numbers"),
        ("length 8", "length inf", "finite"),
        ("order TX TY TZ RX RY RZ", "order", "degrees of freedom"),
        ("lowerback", "back", "no hierarchy|the line 'lowerback"),
    ],
)
def test_a_damaged_asf_is_refused(amc: Path, body: Body, old: str, new: str, says: str) -> None:
    asf = amc.with_name("07.asf")
    assert old in asf.read_text()
    asf.write_text(asf.read_text().replace(old, new))
    with pytest.raises(InputError, match=says):
        load_take(amc, body)


def test_the_skeleton_must_be_found_or_given(amc: Path, body: Body, tmp_path: Path) -> None:
    lone = tmp_path / "alone" / "07_01.amc"
    lone.parent.mkdir()
    lone.write_bytes(amc.read_bytes())
    with pytest.raises(InputError, match=r"no 07\.asf beside it"):
        load_take(lone, body)
    given = load_take(lone, body, skeleton=amc.with_name("07.asf"))
    assert np.array_equal(given.rotations, load_take(amc, body).rotations)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Frames: 30", "Frames: 31", "30 rows of motion; expected the 31 declared"),
        ("Frames: 30", "Frames: many", "many"),
        ("Frame Time:", "Fps:", "no Frames and Frame Time"),
        ("Frame Time: 0.010", "Frame Time: 0 #", "a rate of 0 Hz"),
        ("Frame Time: 0.010", "Frame Time: 1e-9 #", "a rate of"),
        ("MOTION", "", "no HIERARCHY followed by MOTION"),
        ("JOINT left_knee\n{", "JOINT left_knee\n", "does not close|two roots|hierarchy"),
        ("ROOT", "TREE", "TREE pelvis"),
        ("CHANNELS 3 Z", "CHANNELS 4 Z", "CHANNELS 4"),
        ("left_knee", "left_patella", "no joint known as left_knee"),
        ("\n0.9", "\n1 0.9", "76 values in row 1"),
        ("\n0.9", "\ninf #", "1 values in row 1"),
        ("\n0.900000000 0.9", "\nnan 0.9", "finite"),
    ],
)
def test_a_damaged_bvh_is_refused(bvh: Path, body: Body, old: str, new: str, says: str) -> None:
    content = bvh.read_text()
    assert old in content
    bvh.write_text(content.replace(old, new))
    with pytest.raises(InputError, match=says):
        load_take(bvh, body)


def test_a_skeleton_that_does_not_stand_is_refused(tmp_path: Path, body: Body, rest: Array) -> None:
    offsets = np.tile([0.0, 0.1, 0.0], (24, 1))  # every bone upwards: a rest that is no pose
    path = write_bvh(tmp_path / "up.bvh", offsets, smooth_pose(9), np.zeros((9, 3)))
    with pytest.raises(InputError, match="upright in its rest pose"):
        load_take(path, body)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mocap_framerate": None}, "no frame rate"),
        ({"mocap_framerate": 0.0}, "a rate of 0 Hz"),
        ({"trans": np.zeros((19, 3))}, r"\(19, 3\) for 20 poses"),
        ({"trans": None}, "no numbers in trans"),
        ({"poses": np.zeros((20, 70))}, r"\(20, 70\); expected 72 a frame"),
        ({"poses": np.full((20, 72), np.nan)}, "finite"),
        ({"poses": np.array([{}], dtype=object)}, "unreadable"),
        ({"poses": None}, "no numbers in root_orient"),
    ],
)
def test_a_damaged_amass_file_is_refused(
    tmp_path: Path, body: Body, change: dict[str, object], says: str
) -> None:
    path = write_amass(tmp_path / "a.npz", **change)
    with pytest.raises(InputError, match=says):
        load_take(path, body)


def test_amass_without_a_rate_takes_the_one_given(tmp_path: Path, body: Body) -> None:
    path = write_amass(tmp_path / "a.npz", mocap_framerate=None)
    assert load_take(path, body, rate_hz=50).duration_s == pytest.approx(19 / 50)


@pytest.mark.parametrize("name", ["walk.fbx", "absent.bvh", "empty.bvh", "empty.npz", "07_02.amc"])
def test_other_absent_and_empty_files_are_refused(tmp_path: Path, body: Body, name: str) -> None:
    if "empty" in name:
        (tmp_path / name).write_bytes(b"")
    write_acclaim(tmp_path)
    with pytest.raises(InputError, match=name):
        load_take(tmp_path / name, body)


@pytest.mark.parametrize(
    ("content", "says"),
    [("left_tail: x", "left_tail"), ("pelvis: tail", "tail"), ("- a", "no mapping"),
     (": :", "YAML"), ("pelvis: pelvis", "no joint known as left_hip"), ("1: [2]", "the key 1")],
)  # fmt: skip
def test_a_broken_joint_map_is_refused(
    tmp_path: Path, bvh: Path, body: Body, content: str, says: str
) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=says):
        load_take(bvh, body, joint_map=path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), damage=st.sampled_from(["cut", "drop", "swap"]))
@pytest.mark.parametrize("kind", ["bvh", "amc", "asf", "npz"])
def test_cut_and_damaged_files_raise_nothing_else(
    tmp_path: Path, bvh: Path, amc: Path, body: Body, kind: str, where: float, damage: str
) -> None:
    npz = tmp_path / "a.npz"
    if not npz.exists():
        write_amass(npz)
    path = {"bvh": bvh, "amc": amc, "asf": amc.with_name("07.asf"), "npz": npz}[kind]
    content = path.read_bytes()
    at = int(where * len(content))
    tails = {"cut": b"", "drop": content[at + 1 :], "swap": b"\xff" + content[at + 1 :]}
    broken = tmp_path / f"broken.{kind}"
    broken.write_bytes(content[:at] + tails[damage])
    with contextlib.suppress(InputError):
        if kind == "bvh":
            capture = read_bvh(broken)
        elif kind == "npz":
            capture, _ = read_amass(broken, body)
        else:
            pair = (amc, broken) if kind == "asf" else (broken, amc.with_name("07.asf"))
            capture = read_amc(*pair)
        assert find_joints(broken, capture.names, None)


# --- real takes ---------------------------------------------------------------------------------


def test_one_take_by_two_readers_is_one_movement(shared_data: Path, body: Body) -> None:
    motion = shared_data / "motion"
    amc, _ = load_pose(motion / "cmu_amc" / "02_01.amc", body)
    bvh, _ = load_pose(motion / "cmu_bvh" / "02_01.bvh", body)
    first, second = (world_rotations(pose.rotations[:285]) for pose in (amc, bvh))
    for _, start, _ in LIMBS:
        between = first[:, start].swapaxes(-1, -2) @ second[:, start]
        left, _, right = np.linalg.svd(between.mean(axis=0))
        # The BVH's maker used another skeleton: a constant rotation a bone lies between them.
        assert angles(between, left @ right).mean() < 2.5
        assert angles(np.eye(3), left @ right) < 10


@pytest.mark.parametrize(
    "clip", ["cmu_amc/02_01.amc", "cmu_amc/39_01.amc", "cmu_bvh/12_01.bvh", "cmu_amc/35_01.amc"]
)
def test_real_people_walk_the_way_they_face_with_knees_bending_backwards(
    shared_data: Path, body: Body, rest: Array, clip: str
) -> None:
    pose, _ = load_pose(shared_data / "motion" / clip, body)
    errors = direction_errors(pose, rest)
    assert max(errors[name].max() for name, *_ in LIMBS) < 0.1
    forward = pose.rotations[:, 0, :, 2]
    way = pose.translation[-1] - pose.translation[0]
    speed = np.linalg.norm(way) / (len(pose.translation) / 100)
    assert 0.7 < speed < 2.0
    assert angles_between(forward, way).max() < 35
    joints = smpl_joints(pose.rotations, rest) + pose.translation[:, None]
    assert (joints[:, 15, 1] > joints[:, 0, 1] + 0.4).all()
    assert 0.8 < pose.translation[:, 1].mean() < 1.1
    for hip, knee, ankle, wrist in ((1, 4, 7, 20), (2, 5, 8, 21)):
        thigh, shin = joints[:, knee] - joints[:, hip], joints[:, ankle] - joints[:, knee]
        bend = np.cross(thigh, shin) @ np.cross([0.0, 1.0, 0.0], way / np.linalg.norm(way))
        assert bend.max() > 0.05
        assert bend.min() > -0.03
        assert joints[:, wrist, 1].mean() < joints[:, 9, 1].mean()
    left = joints[:, 1] - joints[:, 2]
    assert angles_between(left, np.cross([0.0, 1.0, 0.0], way)).max() < 35
