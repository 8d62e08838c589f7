"""Dressed people: the same body underneath, clothes outside it, cloth that follows the legs."""

import numpy as np
import pytest
import roma
import torch
import trimesh

from eventhpe.body.loading import load_body
from eventhpe.body.model import Body
from eventhpe.rasterizer import rasterize
from eventhpe.simulation.scene.cut import HAIR, STYLES, draw_cut, regions
from eventhpe.simulation.scene.garments import hull_radius
from eventhpe.simulation.scene.outfit import Outfit, rest_shape, undressed
from eventhpe.simulation.scene.wardrobe import dress

BETAS = np.array([0.8, -1.2, 0.5, 0.3, -0.6, 1.1, 0.2, -0.4, 0.9, -0.1])
K = np.array([[300.0, 0, 120], [0, 300, 150], [0, 0, 1]])
FACING_CAMERA = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def seed_of(body: Body, style: str, hair: str | None = None) -> int:
    """The first seed whose outfit has the style (and the hair): the cut is what is drawn first."""
    _, joints = rest_shape(body, BETAS)
    for seed in range(2000):
        cut = draw_cut(np.random.default_rng(seed), joints)
        if cut.style == style and cut.gap == 0 and hair in (None, cut.hair):
            return seed
    raise AssertionError(f"no {style}")


@pytest.fixture(scope="module")
def outfits(body: Body) -> dict[str, Outfit]:
    """One outfit of each style."""
    return {s: dress(np.random.default_rng(seed_of(body, s)), body, BETAS) for s in STYLES}


def turn(x: float, y: float, z: float) -> np.ndarray:
    """A rotation from Euler angles in degrees."""
    angles = torch.tensor([x, y, z], dtype=torch.float64)
    return roma.euler_to_rotmat("XYZ", angles, degrees=True).numpy()


def stride(front: float, back: float, yaw: float) -> np.ndarray:
    """(1, 24, 3, 3): arms down, left thigh forward, right one backward, before the camera."""
    pose = np.tile(np.eye(3), (1, 24, 1, 1))
    pose[0, 0] = FACING_CAMERA @ turn(0, yaw, 0)
    pose[0, 1], pose[0, 2], pose[0, 5] = turn(-front, 0, 0), turn(back, 0, 0), turn(20, 0, 0)
    pose[0, 16], pose[0, 17] = turn(0, 0, -70), turn(0, 0, 70)
    return pose.astype(np.float32)


def random_poses(count: int) -> np.ndarray:
    generator = np.random.default_rng(3)
    vectors = torch.from_numpy(generator.normal(0, 0.5, (count, 24, 3)))
    return roma.rotvec_to_rotmat(vectors).numpy().astype(np.float32)


def test_the_undressed_outfit_is_the_body(body: Body) -> None:
    pose = random_poses(8)
    transl = np.random.default_rng(4).normal(size=(8, 3)).astype(np.float32)
    betas = torch.from_numpy(BETAS).float().expand(8, -1)
    turns = torch.from_numpy(pose)
    with torch.no_grad():
        expected = body(betas, turns[:, 0], turns[:, 1:], torch.from_numpy(transl)).vertices
    posed = undressed(body, BETAS).pose(body, pose, transl, BETAS)
    assert np.linalg.norm(posed - expected.numpy(), axis=-1).max() < 0.0001


@pytest.mark.parametrize("style", STYLES)
def test_clothes_lie_outside_the_skin(body: Body, outfits: dict[str, Outfit], style: str) -> None:
    naked, _ = rest_shape(body, BETAS)
    shift = outfits[style].vertices[: len(naked)] - naked
    normals = trimesh.Trimesh(naked, body.faces, process=False).vertex_normals
    assert (shift * normals).sum(axis=1).min() > -0.0002
    assert np.linalg.norm(shift, axis=1).max() < 0.0402
    assert np.linalg.norm(shift, axis=1).max() > 0.002


def test_hands_and_faces_are_bare(body: Body, outfits: dict[str, Outfit]) -> None:
    naked, joints = rest_shape(body, BETAS)
    seed = seed_of(body, "loose")
    covered = regions(naked, joints, draw_cut(np.random.default_rng(seed), joints))
    shift = np.linalg.norm(outfits["loose"].vertices[: len(naked)] - naked, axis=1)
    hands = abs(naked[:, 0]) > abs(joints[20, 0]) + 0.03
    assert hands.sum() > 100
    assert shift[hands | covered["face"]].max() < 0.0002


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("yaw", [0.0, 70.0])
def test_the_dressed_silhouette_contains_the_naked_one(
    body: Body, outfits: dict[str, Outfit], style: str, yaw: float
) -> None:
    pose, transl = stride(30, 25, yaw), np.array([[0, -0.3, 2.6]], np.float32)
    outfit, naked = outfits[style], undressed(body, BETAS)
    seen = [
        rasterize(o.pose(body, pose, transl, BETAS)[0], o.faces, K, 240, 300).silhouette
        for o in (outfit, naked)
    ]
    assert (seen[0] & seen[1]).sum() > 0.995 * seen[1].sum()
    assert seen[0].sum() > 1.01 * seen[1].sum()


@pytest.mark.parametrize("style", ["skirt", "coat"])
@pytest.mark.parametrize(("front", "back"), [(35, 25), (-25, -35), (0, 0)])
@pytest.mark.parametrize("yaw", [0.0, 90.0, 180.0])
def test_legs_stay_inside_the_cloth_in_a_stride(
    body: Body, outfits: dict[str, Outfit], style: str, front: float, back: float, yaw: float
) -> None:
    outfit = outfits[style]
    pose = stride(front, back, yaw)
    posed = outfit.pose(body, pose, np.array([[0, -0.3, 2.6]], np.float32), BETAS)[0]
    # The cloth on the camera's side, against the legs; hands may well hang before it.
    cloth = outfit.faces[outfit.body_faces :]
    facing = (outfit.outward @ turn(0, yaw, 0).T)[:, 2] > 0.3
    cloth = cloth[facing[cloth[:, 0] - outfit.body_vertices]]
    arms = abs(outfit.vertices[: outfit.body_vertices, 0]) > 0.25
    legs = outfit.faces[: outfit.body_faces]
    legs = legs[~arms[legs].any(axis=1)]
    before, behind = (rasterize(posed, f, K, 240, 300) for f in (cloth, legs))
    both = before.silhouette & behind.silhouette
    # Above the cloth's top the trunk may bulge before it.
    both[: np.nonzero(before.silhouette.any(axis=1))[0][0] + 10] = False
    assert both.sum() > 300
    assert (before.depth[both] > behind.depth[both] + 0.01).mean() < 0.005


def test_cloth_has_two_sides(body: Body, outfits: dict[str, Outfit]) -> None:
    outfit = outfits["skirt"]
    posed = outfit.pose(body, stride(0, 0, 0), np.array([[0, -0.3, 2.6]], np.float32), BETAS)[0]
    far = outfit.faces[outfit.body_faces :]
    far = far[outfit.outward[far[:, 0] - outfit.body_vertices][:, 2] < -0.3]
    inner = rasterize(posed, far, K, 240, 300, cull_backfaces=True).silhouette
    assert inner.sum() > 0.95 * rasterize(posed, far, K, 240, 300).silhouette.sum() > 500


@pytest.mark.parametrize("style", STYLES)
def test_all_turns_and_moves_with_the_root(
    body: Body, outfits: dict[str, Outfit], style: str
) -> None:
    outfit, pose = outfits[style], stride(30, 25, 0)
    root, transl = turn(30, 130, -40), np.array([[0.4, -1.0, 3.0]], np.float32)
    _, joints = rest_shape(body, BETAS)
    still = outfit.pose(body, pose, np.zeros((1, 3), np.float32), BETAS)[0].astype(float)
    turned = pose.copy()
    turned[0, 0] = root @ pose[0, 0]
    moved = outfit.pose(body, turned, transl, BETAS)[0]
    expected = (still - joints[0]) @ root.T + joints[0] + transl
    assert moved == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("hair", HAIR)
def test_every_hair_is_well_formed_in_any_pose(body: Body, hair: str) -> None:
    outfit = dress(np.random.default_rng(seed_of(body, "sport", hair)), body, BETAS)
    posed = outfit.pose(body, random_poses(4), np.zeros((4, 3), np.float32), BETAS)
    assert posed.dtype == np.float32
    assert np.isfinite(posed).all()
    assert len(outfit.albedo) == len(outfit.faces) < 65535
    assert outfit.faces.max() == len(outfit.vertices) - 1
    assert outfit.weights.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert 0.0199 < outfit.albedo.min() < outfit.albedo.max() < 0.951


def test_the_same_generator_gives_the_same_outfit(body: Body, outfits: dict[str, Outfit]) -> None:
    again = dress(np.random.default_rng(seed_of(body, "coat")), body, BETAS)
    first, second = outfits["coat"].to_arrays(), again.to_arrays()
    assert all((first[key] == second[key]).all() for key in first)
    other = outfits["casual"].to_arrays()
    assert (other["albedo"][:1000] != first["albedo"][:1000]).any()


@pytest.mark.parametrize("style", STYLES)
def test_small_arrays_hold_the_whole_outfit(
    body: Body, outfits: dict[str, Outfit], style: str
) -> None:
    outfit = outfits[style]
    arrays = outfit.to_arrays()
    assert sum(array.nbytes for array in arrays.values()) < 400_000
    back = Outfit.from_arrays(arrays, body)
    for name, value in vars(outfit).items():
        assert np.array_equal(value, getattr(back, name)), name


def test_hull_radius_of_a_square() -> None:
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [0.2, 0.1]])
    radius = hull_radius(corners, np.deg2rad([0.0, 90.0, 45.0, 20.0]))
    # 96 supporting lines stand off the hull by less than a permille.
    expected = [1.0, 1.0, np.sqrt(2), 1 / np.cos(np.deg2rad(20))]
    assert radius == pytest.approx(expected, rel=1e-3)
