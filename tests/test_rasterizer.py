"""The rasteriser against ray casting in float64, closed forms, and properties."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from eventhpe.rasterizer import (
    Buffers,
    four_neighbours_on_body,
    mesh_flow,
    rasterize,
    vertex_visibility,
)

W, H = 64, 48
K = np.array([[60.0, 1.5, 30.3], [0.0, 57.0, 24.2], [0.0, 0.0, 1.0]])


def pixel_rays(width: int = W, height: int = H, K: np.ndarray = K) -> np.ndarray:
    """(H, W, 3) viewing directions with z = 1."""
    v, u = np.mgrid[:height, :width].astype(float)
    return np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(K).T


def cast(
    vertices: np.ndarray, faces: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Independent oracle: ray-triangle intersection by solving [a b c] w = direction / depth.

    Returns depth, face, weights (N, 3) of the nearest hit, and how clear each decision was: the
    smallest |weight| over the triangles near it.
    """
    solve = np.linalg.inv(vertices[faces].swapaxes(1, 2))  # (F, 3, 3)
    raw = np.einsum("fij,nj->nfi", solve, rays)  # weights / depth
    total = raw.sum(axis=2)
    weights = raw / total[..., None]
    depth = np.where((weights >= 0).all(axis=2) & (total > 0), 1 / total, np.inf)
    face = depth.argmin(axis=1)
    rows = np.arange(len(rays))
    margin = np.abs(weights).min(axis=2).min(axis=1)
    return depth[rows, face], face, weights[rows, face], margin


def shift(points: np.ndarray, x: float, y: float, z: float) -> np.ndarray:
    return points + np.array([x, y, z])


def sphere(
    centre: tuple[float, float, float], radius: float, subdivisions: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return mesh.vertices + centre, np.asarray(mesh.faces)


@pytest.mark.parametrize("seed", range(5))
def test_random_triangles_match_ray_casting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middles = rng.uniform([-0.8, -0.6, 1.5], [0.8, 0.6, 3], (40, 1, 3))
    vertices = (middles + rng.normal(0, 0.25, (40, 3, 3))).reshape(-1, 3)
    faces = np.arange(120).reshape(-1, 3)
    buffers = rasterize(vertices, faces, K, W, H)
    depth, face, weights, margin = cast(vertices, faces, pixel_rays().reshape(-1, 3))
    clear = (margin > 1e-4).reshape(H, W)
    hit = np.isfinite(depth).reshape(H, W)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(buffers.silhouette[clear], hit[clear])
    both = clear & hit
    np.testing.assert_array_equal(buffers.face_index[both], face.reshape(H, W)[both])
    np.testing.assert_allclose(buffers.depth[both], depth.reshape(H, W)[both], rtol=1e-4)
    expected = weights.reshape(H, W, 3)[..., :2][both]
    np.testing.assert_allclose(buffers.barycentric[both], expected, atol=2e-3)
    assert np.isinf(buffers.depth[~buffers.silhouette]).all()


def test_depth_of_a_tilted_plane_is_exact_at_every_pixel() -> None:
    corners = np.array([[-9.0, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]])
    corners[:, 2] = 20 + 0.5 * corners[:, 0] - 0.3 * corners[:, 1]
    buffers = rasterize(corners * 2, [[0, 1, 2], [0, 2, 3]], K, W, H)
    rays = pixel_rays()
    expected = 40 / (1 - 0.5 * rays[..., 0] + 0.3 * rays[..., 1])
    assert buffers.silhouette.mean() > 0.5
    np.testing.assert_allclose(
        buffers.depth[buffers.silhouette], expected[buffers.silhouette], rtol=1e-5
    )


def sphere_depth(rays: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """Depth of the near intersection with a sphere; NaN where the ray misses."""
    along, length = rays @ centre, (rays**2).sum(axis=-1)
    root = along**2 - length * (centre @ centre - radius**2)
    return (along - np.sqrt(np.where(root > 0, root, np.nan))) / length


def test_depth_and_outline_of_a_sphere() -> None:
    vertices, faces = sphere((0.1, 0.05, 2.0), 0.5, subdivisions=5)
    buffers = rasterize(vertices, faces, K, W, H)
    expected = sphere_depth(pixel_rays(), np.array([0.1, 0.05, 2.0]), 0.5)
    assert (buffers.silhouette != np.isfinite(expected)).sum() <= 3
    both = buffers.silhouette & np.isfinite(expected)
    assert np.median(np.abs(buffers.depth - expected)[both]) < 2e-4
    # The last row of pixels before the rim looks along the surface, where facets show most.
    assert np.abs(buffers.depth - expected)[both].max() < 0.05


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.5, 1 / 3]))
def test_adjacent_triangles_leave_no_cracks(seed: int, snap: float) -> None:
    """A triangulated sheet over the whole image, many vertices exactly on pixel centres."""
    rng = np.random.default_rng(seed)
    uv = np.round(rng.uniform(-5, [W + 5, H + 5], (300, 2)) / snap) * snap
    uv = np.unique(np.r_[uv, [[-9, -9], [W + 9, -9], [-9, H + 9], [W + 9, H + 9]]], axis=0)
    faces = Delaunay(uv).simplices
    vertices = np.c_[(uv - K[:2, 2]) / 50, np.ones(len(uv))] * rng.uniform(1, 4, (len(uv), 1))
    camera = np.array([[50, 0, K[0, 2]], [0, 50, K[1, 2]], [0, 0, 1]])
    assert rasterize(vertices, faces, camera, W, H).silhouette.all()


@pytest.mark.parametrize("turn", range(6))
def test_a_closed_mesh_has_no_holes_and_culling_keeps_the_picture(turn: int) -> None:
    vertices, faces = sphere((0, 0, 0), 0.6, subdivisions=4)
    vertices = shift(Rotation.random(rng=turn).apply(vertices * [1, 0.7, 0.5]), 0, 0, 2)
    full = rasterize(vertices, faces, K, W, H)
    np.testing.assert_array_equal(full.silhouette, binary_fill_holes(full.silhouette))
    culled = rasterize(vertices, faces, K, W, H, cull_backfaces=True)
    np.testing.assert_array_equal(culled.silhouette, full.silhouette)
    seen = full.silhouette
    np.testing.assert_allclose(culled.depth[seen], full.depth[seen], atol=1e-3)


def test_culling_drops_the_side_that_looks_away() -> None:
    triangle = np.array([[0.0, 0, 2], [0.5, 0, 2], [0, 0.5, 2]])
    counts = [
        rasterize(triangle, [face], K, W, H, cull_backfaces=True).silhouette.sum()
        for face in ([0, 1, 2], [0, 2, 1])
    ]
    # With y down, 0-1-2 turns clockwise for the viewer: its outward side looks away.
    assert counts[0] == 0
    assert counts[1] > 50


def test_larger_images() -> None:
    camera = np.array([[1000.0, 0, 639.5], [0, 1000, 399.5], [0, 0, 1]])
    vertices, faces = sphere((0.2, -0.1, 2.5), 0.8, subdivisions=4)
    buffers = rasterize(vertices, faces, camera, 1280, 800)
    expected = np.isfinite(
        sphere_depth(pixel_rays(1280, 800, camera), np.array([0.2, -0.1, 2.5]), 0.8)
    )
    assert (buffers.silhouette ^ expected).sum() < 0.01 * expected.sum()


def test_reused_buffers_hold_nothing_of_the_earlier_frame() -> None:
    vertices, faces = sphere((0.3, 0, 2), 0.5)
    buffers = rasterize(vertices, faces, K, W, H)
    moved = shift(vertices, -0.6, 0, 0)
    again = rasterize(moved, faces, K, W, H, out=buffers)
    fresh = rasterize(moved, faces, K, W, H)
    assert again is buffers
    np.testing.assert_array_equal(again.depth, fresh.depth)
    np.testing.assert_array_equal(again.face_index, fresh.face_index)
    with pytest.raises(ValueError, match="out is"):
        rasterize(moved, faces, K, W, H, out=Buffers.allocate(W + 1, H))


def test_near_broken_and_outside_triangles_are_left_out() -> None:
    good = np.array([[-0.5, -0.5, 2], [0.5, -0.5, 2], [0, 0.5, 2]])
    bad = [
        good * [1, 1, -1],  # behind the camera
        good * [1, 1, 0.01],  # nearer than the near plane
        np.where([[True], [False], [False]], [0, 0, -3.0], good),  # reaches behind
        np.where([[True], [False], [False]], np.nan, good),
        np.where([[True], [False], [False]], [np.inf, 0, 2], good),
        np.where([[True], [False], [False]], [0, 0, np.inf], good),
        shift(good, 100, 0, 0),
        shift(good, -100, 0, 0),
        shift(good, 0, 100, 0),
        shift(good, 0, -100, 0),
        shift(good, 1e30, -1e30, 0),
        good[[0, 0, 1]],  # a line
        good[[0, 0, 0]],  # a point
    ]
    vertices = np.concatenate([*bad, good])
    faces = np.arange(len(vertices)).reshape(-1, 3)
    buffers = rasterize(vertices, faces, K, W, H)
    assert set(np.unique(buffers.face_index)) == {-1, len(faces) - 1}


def test_a_triangle_around_the_whole_view_covers_it() -> None:
    vertices = np.array([[-1e6, -1e6, 2], [1e6, -1e6, 2], [0, 1e6, 2]])
    assert rasterize(vertices, [[0, 1, 2]], K, W, H).silhouette.all()


def test_no_faces_give_an_empty_picture() -> None:
    empty = np.zeros((0, 3), np.int32)
    assert not rasterize(np.zeros((4, 3)), empty, K, W, H).silhouette.any()


def test_wrong_meshes_are_refused() -> None:
    vertices, faces = sphere((0, 0, 2), 0.5)
    with pytest.raises(ValueError, match="outside 0"):
        rasterize(vertices, faces + 1, K, W, H)
    with pytest.raises(ValueError, match="outside 0"):
        rasterize(vertices, faces - 1, K, W, H)
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        rasterize(vertices[:, :2], faces, K, W, H)
    with pytest.raises(ValueError, match="K is"):
        rasterize(vertices, faces, np.eye(4), W, H)
    with pytest.raises(ValueError, match="buffers are"):
        vertex_visibility(vertices, faces, K, W, H, Buffers.allocate(3, 3))


def test_visibility_matches_ray_casting_with_one_part_before_another() -> None:
    front, faces = sphere((-0.15, 0.0, 1.6), 0.2)
    back, _ = sphere((0.1, 0.05, 2.3), 0.45)
    vertices = np.r_[front, back]
    faces = np.r_[faces, faces + len(front)]
    fine = np.array([[240.0, 0, 128], [0, 240, 96], [0, 0, 1]])
    buffers = rasterize(vertices, faces, fine, 256, 192)
    visible = vertex_visibility(vertices, faces, fine, 256, 192, buffers)
    depth, *_ = cast(vertices, faces, vertices / vertices[:, 2:] * (1 + 1e-9))
    truth = vertices[:, 2] < np.where(np.isfinite(depth), depth, vertices[:, 2]) + 2e-3
    agree = visible == truth
    assert 0.2 < truth.mean() < 0.6
    assert agree.mean() > 0.9
    # What differs lies within a pixel of an outline; away from outlines all must agree.
    pixels = vertices @ fine.T
    uv = pixels[:, :2] / pixels[:, 2:]
    parts = np.where(buffers.silhouette, (buffers.face_index >= len(front) * 2 - 4) + 1, 0)
    u, v = np.clip(np.round(uv), 1, [254, 190]).astype(int).T
    around = np.stack([parts[v + j, u + i] for i in (-1, 0, 1) for j in (-1, 0, 1)])
    plain = (around == around[0]).all(axis=0)
    assert plain.mean() > 0.7
    assert agree[plain].all()


def test_vertices_outside_the_image_are_not_visible() -> None:
    vertices, faces = sphere((0.0, 0, 2), 0.3)
    vertices = shift(vertices, 1, 0, 0)  # half across the right edge
    buffers = rasterize(vertices, faces, K, W, H)
    visible = vertex_visibility(vertices, faces, K, W, H, buffers)
    pixels = vertices @ K.T
    outside = pixels[:, 0] / pixels[:, 2] > W - 1
    assert outside.any()
    assert visible.any()
    assert not visible[outside].any()


def test_four_neighbours() -> None:
    face_index = np.full((4, 5), -1, np.int32)
    face_index[1:3, 1:4] = 7
    uv = np.array([[1.0, 1.0], [2.5, 1.5], [3.0, 2.0], [0.9, 1.5], [3.1, 1.5], [-0.1, 1], [9, 9]])
    # (3, 2) lies on a body pixel, but bilinear sampling there also reads the pixel right of it.
    expected = [True, True, False, False, False, False, False]
    np.testing.assert_array_equal(four_neighbours_on_body(uv, face_index), expected)
    full = np.zeros((4, 5), np.int32)
    corners = np.array([[0.0, 0.0], [4.0, 3.0], [4.01, 3.0], [np.nan, 1.0]])
    np.testing.assert_array_equal(
        four_neighbours_on_body(corners, full), [True, True, False, False]
    )


PLANE = np.array([[-9.0, -9, 3], [9, -9, 3], [9, 9, 3], [-9, 9, 3]])
SHEET = np.array([[0, 1, 2], [0, 2, 3]])


def test_flow_of_a_translated_plane() -> None:
    buffers = rasterize(PLANE, SHEET, K, W, H)
    sideways = mesh_flow(buffers, SHEET, PLANE, shift(PLANE, 0.1, -0.2, 0), K)
    np.testing.assert_allclose(sideways[0], (60 * 0.1 + 1.5 * -0.2) / 3, atol=2e-4)
    np.testing.assert_allclose(sideways[1], 57 * -0.2 / 3, atol=2e-4)
    nearer = mesh_flow(buffers, SHEET, PLANE, shift(PLANE, 0, 0, -1), K)
    v, u = np.mgrid[:H, :W]
    np.testing.assert_allclose(nearer[0], (u - K[0, 2]) * (3 / 2 - 1), atol=2e-4)
    np.testing.assert_allclose(nearer[1], (v - K[1, 2]) * (3 / 2 - 1), atol=2e-4)


def test_flow_of_a_translated_sphere() -> None:
    vertices, faces = sphere((0, 0, 2.0), 0.5, subdivisions=5)
    buffers = rasterize(vertices, faces, K, W, H)
    motion = np.array([0.05, 0.02, -0.1])
    flow = mesh_flow(buffers, faces, vertices, vertices + motion, K)
    rays = pixel_rays()
    depth = sphere_depth(rays, np.array([0, 0, 2.0]), 0.5)
    moved = (rays * depth[..., None] + motion) @ K.T
    v, u = np.mgrid[:H, :W]
    inner = buffers.silhouette & (depth < 1.8)
    assert inner.sum() > 300
    np.testing.assert_allclose(
        flow[0][inner], (moved[..., 0] / moved[..., 2] - u)[inner], atol=2e-3
    )
    np.testing.assert_allclose(
        flow[1][inner], (moved[..., 1] / moved[..., 2] - v)[inner], atol=2e-3
    )


def test_flow_of_a_turning_mesh_matches_the_ray_cast_surface_point() -> None:
    vertices, faces = sphere((0, 0, 0), 0.6, subdivisions=2)
    vertices = vertices * [1, 0.6, 0.5]
    before = shift(vertices, 0, 0, 2)
    after = shift(Rotation.from_rotvec([0.1, 0.3, -0.2]).apply(vertices), 0.05, 0, 2.1)
    buffers = rasterize(before, faces, K, W, H)
    flow = mesh_flow(buffers, faces, before, after, K)
    depth, face, weights, margin = cast(before, faces, pixel_rays().reshape(-1, 3))
    sure = (np.isfinite(depth) & (margin > 1e-3)).reshape(H, W)
    assert sure.sum() > 300
    surface = np.einsum("nk,nkc->nc", weights, after[faces[face]]) @ K.T
    v, u = np.mgrid[:H, :W]
    expected = (surface[:, :2] / surface[:, 2:]).T.reshape(2, H, W) - [u, v]
    np.testing.assert_allclose(flow[:, sure], expected[:, sure], atol=2e-3)
    assert np.isnan(flow[:, ~buffers.silhouette]).all()
    assert np.isfinite(flow[:, buffers.silhouette]).all()


def test_flow_is_zero_at_rest_and_absent_where_the_surface_comes_too_near() -> None:
    buffers = rasterize(PLANE, SHEET, K, W, H)
    assert (mesh_flow(buffers, SHEET, PLANE, PLANE, K) == 0).all()
    assert np.isnan(mesh_flow(buffers, SHEET, PLANE, shift(PLANE, 0, 0, -3), K)).all()
