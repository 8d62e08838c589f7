"""Cameras, crops and DHP19's matrices against independent calculations."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.camera import (
    DHP19_MATRICES,
    Camera,
    Crop,
    decode_translation,
    dhp19_camera,
    encode_translation,
    project,
    region_features,
)

K = np.array([[330.0, 4.0, 170.0], [0.0, 325.0, 128.0], [0.0, 0.0, 1.0]])
LENS = (-0.31, 0.12, 0.002, -0.0015, -0.01)
POINTS = np.random.default_rng(3).uniform([-1, -0.8, 2], [1, 0.8, 5], (50, 3))


def homogeneous(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    pixels = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1) @ matrix.T
    return pixels[..., :2] / pixels[..., 2:]


def test_project_is_the_homogeneous_product() -> None:
    expected = homogeneous(POINTS, K @ np.eye(3, 4))
    np.testing.assert_allclose(project(POINTS, K), expected, atol=1e-10)
    np.testing.assert_allclose(project(POINTS[7], K), expected[7], atol=1e-10)


def test_project_takes_batches_of_intrinsics_as_tensors() -> None:
    points = torch.from_numpy(POINTS).reshape(5, 2, 5, 3)
    scales = torch.linspace(0.5, 2, 10, dtype=torch.float64).reshape(5, 2, 1, 1)
    batch = torch.from_numpy(K) * scales
    batch[..., 2, 2] = 1
    for i in range(5):
        for j in range(2):
            torch.testing.assert_close(
                project(points, batch)[i, j], project(points[i, j], batch[i, j])
            )


def test_field_of_view_reaches_the_edges_of_the_outer_pixels() -> None:
    camera = Camera.from_fov(346, 260, 55)
    half = np.tan(np.radians(27.5))
    edges = camera.project(np.array([[-half, 0, 1], [half, 0, 1]]))
    np.testing.assert_allclose(edges, [[-0.5, 129.5], [345.5, 129.5]])


def test_world_points_move_by_R_and_t() -> None:
    R = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    camera = Camera(K, 346, 260, R, np.array([0.1, 0.2, 3.0]))
    np.testing.assert_allclose(camera.to_camera(np.array([1.0, 2, 3])), [-1.9, 1.2, 6.0])


def test_distortion_follows_opencvs_formula() -> None:
    k1, k2, p1, p2, k3 = LENS
    camera = Camera(K, 346, 260, distortion=LENS)
    for X, Y, Z in POINTS[:10]:
        x, y = X / Z, Y / Z
        r = np.hypot(x, y)
        radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
        xd = x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2)
        yd = y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y
        expected = [330 * xd + 4 * yd + 170, 325 * yd + 128]
        np.testing.assert_allclose(camera.project(np.array([X, Y, Z])), expected)


def test_distortion_of_one_hand_computed_point() -> None:
    plain = np.array([[100.0, 0, 0], [0, 100, 0], [0, 0, 1]])
    camera = Camera(plain, 10, 10, distortion=(0.2, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(camera.project(np.array([0.5, 0.0, 1.0])), [52.5, 0.0])


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.5, 0.5), st.floats(-0.4, 0.4))
def test_undistorting_gives_the_pinhole_pixel(x: float, y: float) -> None:
    camera = Camera(K, 346, 260, distortion=LENS)
    ray = np.array([x, y, 1.0])
    undistorted = camera.undistort_points(camera.project(ray))
    np.testing.assert_allclose(undistorted, project(ray, K), atol=1e-3)


def test_undistorting_without_a_lens_changes_nothing() -> None:
    uv = np.array([[3.0, 4.0]])
    np.testing.assert_array_equal(Camera(K, 346, 260).undistort_points(uv), uv)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
def test_a_reoriented_camera_sees_each_point_at_the_moved_pixel(
    rotate: int, flip_x: bool, flip_y: bool
) -> None:
    camera = Camera(K, 346, 260, dhp19_camera(1).R, np.array([0, 0, 3.0]), LENS)
    columns, rows = np.meshgrid(np.arange(346.0), np.arange(260.0))
    moved = [np.rot90(image, -rotate // 90) for image in (columns, rows)]  # numpy as the oracle
    if flip_x:
        moved = [image[:, ::-1] for image in moved]
    if flip_y:
        moved = [image[::-1] for image in moved]
    turned = camera.reoriented(rotate, flip_x, flip_y)
    assert (turned.height, turned.width) == moved[0].shape
    world = POINTS - [0, 0, 3]
    old = camera.project(camera.to_camera(world))
    new = turned.project(turned.to_camera(world))
    # An affine map is known from three pixels.
    sample = [(0, 0), (0, 9), (9, 0)]
    before = np.array([[moved[0][p], moved[1][p], 1] for p in sample])
    after = np.array([[x, y] for y, x in sample], dtype=float)
    affine = np.linalg.solve(before, after)
    np.testing.assert_allclose(new, np.c_[old, np.ones(len(old))] @ affine, atol=1e-9)
    assert turned.K[0, 0] > 0
    assert turned.K[1, 1] > 0
    assert abs(turned.K[1, 0]) < 1e-12


def test_reorienting_maps_the_principal_point_centre_to_centre() -> None:
    plain = Camera(np.array([[300.0, 0, 100], [0, 310, 50], [0, 0, 1]]), 346, 260)
    np.testing.assert_allclose(plain.reoriented(flip_x=True).K[:2, 2], [245, 50])
    np.testing.assert_allclose(
        plain.reoriented(90).K, [[310, 0, 209], [0, 300, 100], [0, 0, 1]], atol=1e-12
    )
    with pytest.raises(ValueError, match="45"):
        plain.reoriented(45)


CROPS = st.builds(
    Crop, st.floats(-50, 200), st.floats(-50, 200), st.floats(20, 400), st.sampled_from([64, 256])
)


@settings(deadline=None)
@given(CROPS)
def test_cropping_then_projecting_is_projecting_then_mapping(crop: Crop) -> None:
    direct = project(POINTS, crop.intrinsics(K))
    np.testing.assert_allclose(direct, crop.to_crop(project(POINTS, K)), atol=1e-8)
    np.testing.assert_allclose(crop.from_crop(direct), project(POINTS, K), atol=1e-8)
    middle = crop.to_crop(np.array(crop.centre))
    np.testing.assert_allclose(middle, (crop.size - 1) / 2, atol=1e-9)


def test_crop_maps_edges_to_edges_and_agrees_with_tensors() -> None:
    crop = Crop(10, 20, 100, 50)
    corners = np.array([[9.5, 19.5], [109.5, 119.5]])
    np.testing.assert_allclose(crop.to_crop(corners), [[-0.5, -0.5], [49.5, 49.5]])
    torch.testing.assert_close(
        crop.to_crop(torch.from_numpy(corners)), torch.from_numpy(crop.to_crop(corners))
    )
    torch.testing.assert_close(
        crop.intrinsics(torch.from_numpy(K)), torch.from_numpy(crop.intrinsics(K))
    )


FOCAL = torch.tensor([330.0, 325.0], dtype=torch.float64)
PRINCIPAL = torch.tensor([170.0, 128.0], dtype=torch.float64)


def place(crop: Crop) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(crop.centre, dtype=torch.float64), torch.tensor(crop.side).double()


@settings(deadline=None)
@given(CROPS, CROPS)
def test_two_crops_of_one_scene_decode_to_the_same_translation(one: Crop, two: Crop) -> None:
    pelvis = torch.from_numpy(POINTS)
    for crop in (one, two):
        centre, side = place(crop)
        code = encode_translation(pelvis, FOCAL, centre, side, PRINCIPAL)
        decoded = decode_translation(*code, FOCAL, centre, side, PRINCIPAL)
        torch.testing.assert_close(decoded, pelvis)


def test_translation_code_of_a_hand_computed_region() -> None:
    # f = 330 for x; sigma 1 and side 330 put the pelvis at 2 m; the box is 33 px right of centre.
    number = torch.tensor
    got = decode_translation(
        number(1.0), number(0.1), number(-0.2), number([330.0, 325.0]),
        number([203.0, 128.0]), number(330.0), number([170.0, 128.0]),
    )  # fmt: skip
    torch.testing.assert_close(got, number([0.3, -0.2, 2.0]))
    features = region_features(
        number([330.0, 325.0]), number([203.0, 63.0]), number(165.0), number([170.0, 128.0])
    )
    torch.testing.assert_close(features, number([0.1, -0.2, 0.5]))


def test_with_no_offset_the_pelvis_projects_to_the_middle_of_the_region() -> None:
    centre, side = place(Crop(30, 40, 120, 256))
    zero = torch.zeros((), dtype=torch.float64)
    pelvis = decode_translation(zero + 0.8, zero, zero, FOCAL, centre, side, PRINCIPAL)
    plain = torch.tensor([[330.0, 0, 170], [0, 325, 128], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(project(pelvis, plain), centre)


@pytest.mark.parametrize("channel", [0, 1, 2, 3])
def test_dhp19_factors_give_the_matrix_back(channel: int) -> None:
    camera = dhp19_camera(channel)
    metres = np.diag([1e-3, 1e-3, 1e-3, 1.0])
    unflip = np.array([[1.0, 0, 0], [0, -1, 260], [0, 0, 1]])
    again = unflip @ camera.K @ np.c_[camera.R, camera.t] @ metres
    again /= again[2, 3]
    expected = DHP19_MATRICES[channel]
    assert np.abs(again - expected).max() < 1e-9 * np.abs(expected).max()
    np.testing.assert_allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(camera.R) == pytest.approx(1)


# Channel: focal lengths, principal point (column, row-up), centre in metres, as published.
PUBLISHED = {
    1: ((317, 319), (185.5, 93.2), (2.2706, -0.1814, 2.0033), 4.96),
    3: ((359, 359), (168.3, 126.5), (2.2313, -2.4873, 1.9549), 6.42),
    2: ((339, 341), (159.0, 120.6), (-2.1016, -2.3185, 2.0633), 0.49),
    0: ((323, 326), (175.3, 103.7), (-2.3127, -0.0891, 2.1503), -3.52),
}


@pytest.mark.parametrize("channel", [0, 1, 2, 3])
def test_dhp19_cameras_have_the_published_focal_lengths_and_places(channel: int) -> None:
    camera = dhp19_camera(channel)
    focal, principal, centre, skew = PUBLISHED[channel]
    np.testing.assert_allclose(np.diag(camera.K)[:2], focal, atol=0.6)
    np.testing.assert_allclose([camera.K[0, 2], 260 - camera.K[1, 2]], principal, atol=0.06)
    np.testing.assert_allclose(-camera.R.T @ camera.t, centre, atol=1e-4)
    assert camera.K[0, 1] == pytest.approx(-skew, abs=0.01)  # the row flip turns its sign
    # The subject stands near the origin: in front of every camera, upright, inside the image.
    body = camera.to_camera(np.array([[0.0, 0, 0.2], [0, 0, 1.6]]))
    assert (body[:, 2] > 1).all()
    foot, head = camera.project(body)
    assert head[1] < foot[1]
    assert 0 < head[0] < 346


def test_dhp19_has_four_channels() -> None:
    with pytest.raises(ValueError, match="0, 1, 2, 3"):
        dhp19_camera(4)


def read_markers(path: Path) -> np.ndarray:
    with path.open(encoding="utf-8-sig") as file:
        rows = [row[1:] for row in list(csv.reader(file))[2:] if row[1]]
    return np.array([[np.nan if c in ("NA", "") else float(c) for c in row] for row in rows])


def test_dhp19_calibration_markers_reproject(shared_data: Path) -> None:
    """38 markers, nine positions; a few 2D labels are plainly wrong, so the median counts."""
    folder = shared_data / "dhp19"
    world = read_markers(folder / "Calibration_markers_3D.csv")[:, 1:].reshape(38, 9, 3)
    world = (world * [-1, -1, 1] + [-4, 154, 0]) / 1000  # into the matrices' frame
    labels = read_markers(folder / "Calibration_markers_2D.csv")[:, 1:].reshape(4, 38, 9, 2)
    for seen, channel in zip(labels, (1, 3, 2, 0), strict=True):
        camera = dhp19_camera(channel)
        error = camera.project(camera.to_camera(world)) - seen
        assert np.nanmedian(np.linalg.norm(error, axis=-1)) < 2.5
        assert np.abs(np.nanmedian(error, axis=(0, 1))).max() < 1.5


def test_dhp19_matrices_are_the_files(shared_data: Path) -> None:
    for channel, number in ((0, 4), (1, 1), (2, 3), (3, 2)):
        stored = np.load(shared_data / "dhp19" / f"P{number}.npy")
        np.testing.assert_array_equal(DHP19_MATRICES[channel], stored)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="K is"):
        Camera(np.eye(2), 10, 10)
