"""Camera files of each layout, and what is wrong with a bad one; lens models against OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhpe.calibration import load_camera
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.events import EventStream
from eventhpe.events.undistortion import Undistortion

K = np.array([[250.0, 0, 170.0], [0, 245.0, 128.0], [0, 0, 1]])
RADTAN = (-0.35, 0.11, 0.0012, -0.0021, 0.004)
FISHEYE = (0.02, -0.015, 0.008, -0.002)
RAYS = np.random.default_rng(5).uniform([-1.4, -1.1, 2], [1.4, 1.1, 4], (200, 3))

KALIBR = """
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [0.02, -0.015, 0.008, -0.002]
  distortion_model: equidistant
  intrinsics: [250.0, 245.0, 170.0, 128.0]
  resolution: [346, 260]
  rostopic: /dvs/image_raw
"""
SECOND = KALIBR.replace("cam0", "cam1").replace("250.0", "300.0") + (
    "  T_cn_cnm1: [[1, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]\n"
)
CAMERA_INFO = """
image_width: 346
image_height: 260
camera_name: davis
camera_matrix: {rows: 3, cols: 3, data: [250, 0, 170, 0, 245, 128, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.35, 0.11, 0.0012, -0.0021, 0.004]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [240, 0, 169, 0, 0, 240, 127, 0, 0, 0, 1, 0]}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    return path


def opencv_file(path: Path, lens: tuple[float, ...], **others: int) -> Path:
    """As OpenCV's own calibration sample writes it."""
    storage = cv2.FileStorage(str(path), cv2.FileStorage_WRITE)
    for name, value in {"image_width": 346, "image_height": 260, **others}.items():
        storage.write(name, value)
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", np.array(lens)[:, None])
    storage.release()
    return path


def by_opencv(rays: np.ndarray, model: str, lens: tuple[float, ...]) -> np.ndarray:
    zero = np.zeros(3)
    if model == "equidistant":
        return cv2.fisheye.projectPoints(rays[:, None], zero, zero, K, np.array(lens))[0][:, 0]
    return cv2.projectPoints(rays, zero, zero, K, np.array(lens))[0][:, 0]


def assert_is(camera: Camera, model: str, lens: tuple[float, ...]) -> None:
    assert (camera.width, camera.height, camera.model) == (346, 260, model)
    np.testing.assert_array_equal(camera.K, K)
    np.testing.assert_array_equal(camera.distortion, lens)


def test_a_kalibr_camchain_is_read(tmp_path: Path) -> None:
    assert_is(load_camera(written(tmp_path, KALIBR)), "equidistant", FISHEYE)


def test_of_several_cameras_one_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, KALIBR + SECOND)
    with pytest.raises(InputError, match=r"cam0, cam1.*--camera-name"):
        load_camera(path)
    assert load_camera(path, "cam1").K[0, 0] == 300
    with pytest.raises(InputError, match="cam2"):
        load_camera(path, "cam2")
    with pytest.raises(InputError, match="--camera-name"):
        load_camera(written(tmp_path, CAMERA_INFO), "cam0")


def test_a_ros_camera_info_is_read(tmp_path: Path) -> None:
    assert_is(load_camera(written(tmp_path, CAMERA_INFO)), "radtan", RADTAN)


def test_a_printed_ros_message_is_read_with_its_lens(tmp_path: Path) -> None:
    K_line = ", ".join(str(float(value)) for value in K.ravel())
    text = "height: 260\nwidth: 346\ndistortion_model: plumb_bob\n"
    text += f"D: {list(RADTAN)}\nK: [{K_line}]\nP: [1, 0, 0, 0]\nbinning_x: 0\n"
    assert_is(load_camera(written(tmp_path, text)), "radtan", RADTAN)
    small = text.replace("D:", "d:").replace("K:", "k:")
    assert_is(load_camera(written(tmp_path, small)), "radtan", RADTAN)


def test_what_opencv_writes_is_read(tmp_path: Path) -> None:
    path = opencv_file(tmp_path / "a.yml", RADTAN)
    assert_is(load_camera(path), "radtan", RADTAN)
    # OpenCV 5 writes a YAML directive where OpenCV 3 and 4 write their own.
    text = path.read_text().partition("\n---\n")[2]
    for head in ("%YAML:1.0\n---\n", "%YAML:1.0\n", "%YAML 1.2\n---\n"):
        path.write_text(head + text)
        assert_is(load_camera(path), "radtan", RADTAN)
    path = opencv_file(tmp_path / "b.yml", FISHEYE, fisheye_model=1)
    assert_is(load_camera(path), "equidistant", FISHEYE)
    path = opencv_file(tmp_path / "c.yml", FISHEYE, fisheye_model=0)
    assert_is(load_camera(path), "radtan", FISHEYE)
    path = opencv_file(tmp_path / "d.yml", (*RADTAN, 0, 0, 0))
    assert_is(load_camera(path), "radtan", RADTAN)


def test_four_coefficients_of_an_unnamed_model_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fisheye_model: 1"):
        load_camera(opencv_file(tmp_path / "a.yml", FISHEYE))


def test_an_imus_rotation_is_read_from_a_camchain(tmp_path: Path) -> None:
    assert load_camera(written(tmp_path, KALIBR)).imu is None
    rows = "  T_cam_imu: [[0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, 0.3], [0, 0, 0, 1]]\n"
    imu = load_camera(written(tmp_path, KALIBR + rows)).imu
    np.testing.assert_array_equal(imu, [[0, -1, 0], [0, 0, -1], [1, 0, 0]])
    for part, other in (("[1, 0, 0, 0.3]", "[2, 0, 0, 0.3]"), (", [0, 0, 0, 1]", "")):
        with pytest.raises(InputError, match="T_cam_imu"):
            load_camera(written(tmp_path, KALIBR + rows.replace(part, other)))


GOOD = "width: 346\nheight: 260\nfx: 300\nfy: 301\ncx: 172.5\ncy: 129.5\n"


def test_the_projects_own_layout_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + "distortion: [0.1, 0, 0, 1e-3]\nt: [0, 0, 2]\n")
    camera = load_camera(path)
    assert (camera.width, camera.height, camera.distortion) == (346, 260, (0.1, 0, 0, 1e-3))
    np.testing.assert_array_equal(camera.K, [[300, 0, 172.5], [0, 301, 129.5], [0, 0, 1]])
    np.testing.assert_array_equal(camera.t, [0, 0, 2])
    assert camera.world_up is None
    for name, up in (("z", [0, 0, 1]), ("-y", [0, -1, 0]), ("y", [0, 1, 0])):
        path.write_text(GOOD + f"up: {name}\n")
        np.testing.assert_array_equal(load_camera(path).world_up, up)
    path.write_text("width: 10\nheight: 20\nK: [[5, 1, 2], [0, 6, 3], [0, 0, 1]]\n")
    np.testing.assert_array_equal(load_camera(path).K, [[5, 1, 2], [0, 6, 3], [0, 0, 1]])
    path.write_text(GOOD + "distortion: [0, 0, 0, 0]\ndistortion_model: fisheye\n")
    assert load_camera(path).model == "equidistant"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD.replace("300", "0"), "fx=0"),
        (GOOD.replace("300", ".nan"), "NaN"),
        (GOOD.replace("346", ".inf"), "no camera"),
        (GOOD.replace("fy: 301\n", ""), "no field 'fy'"),
        (GOOD.replace("346", "wide"), "wide"),
        (GOOD + "distortion: [1, 2]\n", "2 coefficients"),
        (GOOD + "R: [[2, 0, 0], [0, 1, 0], [0, 0, 1]]\n", "no rotation"),
        (GOOD + "R: [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]\n", "no rotation"),
        (GOOD + "K: [[5, 0, 2], [1, 6, 3], [0, 0, 1]]\n", "full matrix"),
        (GOOD.replace("300", "4.5"), "in pixels"),
        (GOOD.replace("172.5", "1.0e+9"), "in pixels"),
        (GOOD.replace("346", "346.5"), "346.5x260"),
        ("- a\n- b\n", "no camera"),
        ("a: [", "no camera"),
        ("", "no camera"),
        (KALIBR.replace("equidistant", "fov"), "'fov'.*radtan"),
        (KALIBR.replace("pinhole", "omni"), "'omni'.*pinhole"),
        (KALIBR.replace("  intrinsics", "  intrinsic"), "no field 'intrinsics'"),
        (KALIBR.replace("  resolution", "  size"), "no field 'resolution'"),
        (KALIBR.replace("[250.0, 245.0, 170.0, 128.0]", "[0, 245, 170, 128]"), "fx=0"),
        (KALIBR.replace("[250.0, 245.0, 170.0, 128.0]", "[1.2, 250, 245, 170, 128]"), "no camera"),
        (KALIBR.replace(", -0.002", ""), "3 coefficients"),
        ("cam0: 3\n", "cam0 has no fields"),
        (KALIBR.replace("[250.0, 245.0, 170.0, 128.0]", "[250.0, 245.0, 170.0]"), "3 intrinsics"),
        (KALIBR.replace("[346, 260]", "346"), "346 in the place of a list"),
        (GOOD + "distortion_coeffs: [0.1, 0, 0, 0]\n", "not known.*distortion_coeffs"),
        (CAMERA_INFO.replace("plumb_bob", "rational_polynomial"), "rational_polynomial"),
        (CAMERA_INFO.replace("0, 0, 1]}\ndist", "0, 0]}\ndist"), "K is"),
        (CAMERA_INFO.replace("image_width", "w"), "no field 'image_width'"),
        ("%YAML:1.0\n---\nK: !!opencv-matrix\n  rows: 3\n", "no field 'data'"),
        ("%YAML:1.0\n---\nK: !!opencv-matrix\n  data: [a]\n", "no camera"),
        ("%YAML:1.0\n---\nK: !!opencv-matrix [1]\n", "without fields"),
        ("%YAML:1.0\n---\nK: !!opencv-matrix\n  data: [1]\n", "distortion_coefficients or"),
        ("a: !!python/object/apply:os.getcwd []\n", "no camera"),
    ],
)
def test_a_wrong_camera_file_is_refused(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        load_camera(written(tmp_path, text))


def test_an_absent_camera_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_camera(tmp_path / "none.yaml")


@pytest.mark.parametrize(("model", "lens"), [("radtan", RADTAN), ("equidistant", FISHEYE)])
def test_points_are_seen_where_opencv_sees_them(model: str, lens: tuple[float, ...]) -> None:
    camera = Camera(K, 346, 260, distortion=lens, model=model)
    np.testing.assert_allclose(camera.project(RAYS), by_opencv(RAYS, model, lens), atol=1e-8)
    axis = camera.project(np.array([0.0, 0, 2]))
    np.testing.assert_allclose(axis, K[:2, 2])


@pytest.mark.parametrize(("model", "lens"), [("radtan", RADTAN), ("equidistant", FISHEYE)])
def test_opencv_sees_every_undistorted_pixel_where_it_was(
    model: str, lens: tuple[float, ...]
) -> None:
    camera = Camera(K, 346, 260, distortion=lens, model=model)
    uv = np.stack(np.meshgrid(np.arange(346.0), np.arange(260.0)), -1).reshape(-1, 2)
    straight = camera.undistort_points(uv)
    rays = np.c_[straight, np.ones(len(uv))] @ np.linalg.inv(K).T
    np.testing.assert_allclose(by_opencv(rays, model, lens), uv, atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([("radtan", RADTAN), ("radtan", (0.3, 0.1, 0, 0)), ("equidistant", FISHEYE)]),
    st.floats(0, 1.0),
    st.floats(0, 6.3),
)
def test_bending_and_straightening_are_inverse(
    lens: tuple[str, tuple[float, ...]], r: float, angle: float
) -> None:
    camera = Camera(K, 346, 260, distortion=lens[1], model=lens[0])
    uv = K[:2, 2] + 240 * r * np.array([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(camera.undistort_points(camera.distort_points(uv)), uv, atol=1e-3)


def test_what_lies_far_outside_does_not_fold_into_the_picture() -> None:
    """OpenCV's formula alone brings a point at 63 degrees back to the middle."""
    lens = (-0.25, 0.0, 0.0, 0.0)
    camera = Camera(K, 346, 260, distortion=lens)
    far = np.array([[2.0, 0, 1], [5.0, 0, 1]])
    assert by_opencv(far, "radtan", lens)[0, 0] == pytest.approx(170)
    # The polynomial turns back at r = 1 / sqrt(0.75), seen at 2/3 of that.
    edge = 170 + 250 * 2 / 3 / np.sqrt(0.75)
    np.testing.assert_allclose(camera.project(far)[:, 0], edge)
    assert np.isnan(camera.undistort_points(np.array([edge + 1.0, 128.0]))).all()
    assert np.isfinite(camera.undistort_points(np.array([edge - 1.0, 128.0]))).all()


def test_a_fisheyes_rays_beyond_a_right_angle_are_seen_nowhere() -> None:
    camera = Camera(np.diag([50.0, 50, 1]), 346, 260, distortion=(0, 0, 0, 0), model="equidistant")
    uv = np.array([[50 * np.radians(80), 0], [50 * np.radians(91), 0]])
    undistorted = camera.undistort_points(uv)
    np.testing.assert_allclose(undistorted[0], [50 * np.tan(np.radians(80)), 0], atol=1e-3)
    assert np.isnan(undistorted[1]).all()


@pytest.mark.parametrize("rotate", [90, 270])
def test_a_turned_fisheye_sees_the_same(rotate: int) -> None:
    camera = Camera(K, 346, 260, distortion=FISHEYE, model="equidistant")
    turned = camera.reoriented(rotate)
    u, v = camera.project(RAYS).T
    expected = np.stack([259 - v, u] if rotate == 90 else [v, 345 - u], axis=1)
    np.testing.assert_allclose(turned.project(turned.to_camera(RAYS)), expected, atol=1e-9)


def test_events_move_to_the_nearest_pixel_or_are_dropped_and_counted() -> None:
    camera = Camera(K, 346, 260, distortion=FISHEYE, model="equidistant")
    undistort = Undistortion(camera)
    rows, columns = np.indices((260, 346)).reshape(2, -1)
    n = len(rows)
    events = EventStream.from_arrays(columns, rows, np.arange(n), rows & 1, 346, 260)
    straight = undistort(events)
    uv = np.stack([columns, rows], -1)[:, None].astype(float)
    exact = cv2.fisheye.undistortPoints(uv, K, np.array(FISHEYE), P=K)[:, 0]
    inside = ((np.rint(exact) >= 0) & (np.rint(exact) < (346, 260))).all(axis=1)
    assert 0 < undistort.dropped == n - inside.sum()
    np.testing.assert_array_equal(straight.t, np.flatnonzero(inside))
    found = np.stack([straight.x, straight.y], 1)
    assert np.abs(found - exact[inside]).max() <= 0.5 + 1e-3
    undistort(events)
    assert undistort.seen == 2 * n
    assert f"{undistort.dropped:,} of {2 * n:,} events" in str(undistort)
