"""The free default body: layout, bones, skin, shapes and bends."""

import numpy as np
import pytest
import roma
import torch
import trimesh

from eventhpe.body import FLIP_PAIRS, PARENTS, Body
from eventhpe.body.loading import DEFAULT_PATH

# SMPL's neutral rest offsets as published: joint -> metres from its parent.
SMPL_OFFSETS = {
    1: (0.0695, -0.0914, -0.0068), 2: (-0.0677, -0.0905, -0.0043),
    4: (0.0343, -0.3752, -0.0045), 5: (-0.0383, -0.3826, -0.0089),
    7: (-0.0136, -0.3980, -0.0437), 8: (0.0158, -0.3984, -0.0423),
    10: (0.0264, -0.0558, 0.1193), 11: (-0.0254, -0.0481, 0.1233),
    13: (0.0788, 0.1217, -0.0341), 14: (-0.0818, 0.1188, -0.0386),
    16: (0.0910, 0.0305, -0.0089), 17: (-0.0960, 0.0326, -0.0091),
    18: (0.2596, -0.0128, -0.0275), 19: (-0.2537, -0.0133, -0.0214),
    20: (0.2492, 0.0090, -0.0012), 21: (-0.2553, 0.0078, -0.0056),
    22: (0.0840, -0.0082, -0.0149), 23: (-0.0846, -0.0061, -0.0103),
}  # fmt: skip


def pose(body: Body, **degrees: tuple[float, float, float]) -> np.ndarray:
    """Vertices (V, 3) with the named joints (j18=...) turned by rotation vectors in degrees."""
    vectors = torch.zeros(24, 3)
    for name, vector in degrees.items():
        vectors[int(name[1:])] = torch.deg2rad(torch.tensor(vector))
    turns = roma.rotvec_to_rotmat(vectors)
    out = body(torch.zeros(1, 10), turns[:1], turns[None, 1:], torch.zeros(1, 3))
    return out.vertices[0].double().numpy()


def test_file_is_small_and_holds_plain_arrays() -> None:
    assert DEFAULT_PATH.stat().st_size < 3_000_000
    with np.load(DEFAULT_PATH, allow_pickle=False) as data:
        assert data["shapedirs"].shape[-1] == 10
        assert data["posedirs"].shape[-1] == 207


def test_rest_bones_point_where_smpl_bones_point(body: Body) -> None:
    rest = body.rest_joints(torch.zeros(1, 10))[0].double().numpy()
    for joint, offset in SMPL_OFFSETS.items():
        bone = rest[joint] - rest[PARENTS[joint]]
        cosine = bone @ np.array(offset) / np.linalg.norm(bone) / np.linalg.norm(offset)
        assert np.degrees(np.arccos(cosine)) < 5, joint


def test_spine_is_upright_with_room_above_the_pelvis(body: Body) -> None:
    rest = body.rest_joints(torch.zeros(1, 10))[0].numpy()
    assert np.linalg.norm(rest[3] - rest[0]) >= 0.08
    heights = rest[[0, 3, 6, 9, 12, 15], 1]
    assert (np.diff(heights) > 0.03).all()
    assert np.abs(rest[[0, 3, 6, 9, 12, 15], 0]).max() < 0.005


@pytest.mark.parametrize("index", range(10))
def test_bones_keep_their_directions_over_the_shapes(body: Body, index: int) -> None:
    betas = torch.zeros(1, 10)
    betas[0, index] = 2.0
    rest = body.rest_joints(betas)[0].double().numpy()
    for joint in (4, 5, 7, 8, 18, 19, 20, 21):
        bone, offset = rest[joint] - rest[PARENTS[joint]], np.array(SMPL_OFFSETS[joint])
        cosine = bone @ offset / np.linalg.norm(bone) / np.linalg.norm(offset)
        assert np.degrees(np.arccos(cosine)) < 6


def test_skin_is_one_closed_outward_surface(body: Body) -> None:
    mesh = trimesh.Trimesh(pose(body), body.faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.euler_number == 2
    assert 6_000 <= body.num_vertices <= 14_000
    assert len(np.unique(body.faces)) == body.num_vertices
    # Water weighs 1 kg a litre and so nearly do people: 45 to 85 kg, outward winding positive.
    assert 0.045 < mesh.volume < 0.085


def test_axes_and_size(body: Body) -> None:
    rest = body.rest_joints(torch.zeros(1, 10))[0].numpy()
    vertices = pose(body)
    assert np.ptp(vertices[:, 1]) == pytest.approx(1.70, abs=0.05)
    assert np.ptp(vertices[:, 0]) == pytest.approx(1.70, abs=0.15)  # arm span
    assert rest[16, 0] > 0.1  # the subject's left is +x
    toes = vertices[vertices[:, 1] < rest[7, 1]]
    assert toes[:, 2].max() - rest[7, 2] > rest[7, 2] - toes[:, 2].min()  # toes ahead: +z


def test_rest_skeleton_is_a_mirror_image_of_itself(body: Body) -> None:
    rest = body.rest_joints(torch.zeros(1, 10))[0].numpy()
    mirrored = rest[list(FLIP_PAIRS)] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, rest, atol=0.003)


def test_regressor_and_weights_are_convex_combinations(body: Body) -> None:
    for rows in (body.smpl.J_regressor, body.smpl.lbs_weights):
        assert rows.min() >= 0
        np.testing.assert_allclose(rows.sum(1).numpy(), 1, atol=1e-5)
    assert int((body.smpl.lbs_weights > 0).sum(1).max()) <= 5


def test_random_betas_are_plausible_adults(body: Body) -> None:
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(200, 10, generator=generator)
    eye = torch.eye(3).expand(200, 3, 3)
    out = body(betas, eye, eye[:, None].expand(200, 23, 3, 3), torch.zeros(200, 3))
    heights = (out.vertices[..., 1].amax(1) - out.vertices[..., 1].amin(1)).numpy()
    assert 1.6 < heights.mean() < 1.8
    assert 0.05 < heights.std() < 0.14
    assert 1.3 < heights.min() < heights.max() < 2.1


def test_first_beta_moves_the_body_most(body: Body) -> None:
    spread = body.smpl.shapedirs.square().sum((0, 1))
    assert bool((spread[:-1] >= spread[1:] * 0.999).all())


# name -> joint, rotation vectors in degrees, radius in metres of what is around the joint
BENDS: dict[str, tuple[int, dict[str, tuple[float, float, float]], float]] = {
    "elbow": (18, {"j18": (0, -120, 0)}, 0.10),
    "knee": (4, {"j4": (110, 0, 0)}, 0.16),
    "hip": (1, {"j1": (-90, 0, 0)}, 0.20),
    "arm down": (16, {"j16": (0, 0, -75)}, 0.16),
    "arm up": (16, {"j16": (0, 0, 75)}, 0.16),
    "forearm twist": (20, {"j20": (80, 0, 0)}, 0.08),
}


@pytest.mark.parametrize("name", BENDS)
def test_bends_keep_the_volume(body: Body, name: str) -> None:
    """A bend changes the body's volume by less than a fifth of what lies around the joint."""
    joint, turns, reach = BENDS[name]
    rest, bent = pose(body), pose(body, **turns)
    centre = body.rest_joints(torch.zeros(1, 10))[0, joint].double().numpy()
    near = np.linalg.norm(rest[body.faces].mean(1) - centre, axis=1) < reach
    a, b, c = (rest[body.faces[near]] - centre).transpose(1, 0, 2)
    around = abs((np.cross(a, b) * c).sum()) / 6  # cones from the joint to the skin around it
    change = volume(bent, body.faces) - volume(rest, body.faces)
    assert abs(change) < 0.2 * around


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(trimesh.Trimesh(vertices, faces, process=False).volume)


def test_twisted_wrist_keeps_its_thickness(body: Body) -> None:
    """The narrowest ring of the forearm shrinks by less than a fifth under a twist of 80 deg."""
    rest, twisted = pose(body), pose(body, j20=(80, 0, 0))
    wrist = body.rest_joints(torch.zeros(1, 10))[0, 20].double().numpy()
    ring = np.abs(rest[:, 0] - wrist[0]) < 0.02
    ring &= np.linalg.norm(rest - wrist, axis=1) < 0.1

    def thickness(points: np.ndarray) -> float:
        return float(np.sqrt(((points - points.mean(0))[:, 1:] ** 2).sum(1).mean()))

    assert thickness(twisted[ring]) > 0.8 * thickness(rest[ring])
