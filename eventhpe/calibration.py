"""Camera files: Kalibr's camchain, ROS's camera_info, OpenCV's YAML, and this project's own.

A file's layout is told by its fields. Which lens model its coefficients belong to must be written
in it: four numbers may be either model's, so it is never guessed from their count.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.lens import COEFFICIENTS

_MODELS = {
    "radtan": "radtan",  # Kalibr
    "plumb_bob": "radtan",  # ROS
    "none": "radtan",
    "equidistant": "equidistant",  # Kalibr, ROS
    "fisheye": "equidistant",  # OpenCV
}
_LAYOUTS = (
    "a Kalibr camchain (cam0: ...), a ROS camera_info (camera_matrix: ..., or the message as "
    "printed), an OpenCV YAML file, or width, height, K or fx, fy, cx, cy; optionally distortion, "
    "distortion_model, R, t, up"
)
_REMEDY = "Correct the camera file, or leave it out and give a field of view."
_OPENCV_MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "K")
_OPENCV_LENS = ("distortion_coefficients", "distCoeffs", "dist_coeffs", "D")
_MESSAGE = {"D", "d"}  # fields that only a printed CameraInfo message has
_OWN = {"width", "height", "K", "fx", "fy", "cx", "cy", "distortion", "distortion_model"}
_OWN |= {"R", "t", "up"}
_AXES = {
    sign + name: (-1.0 if sign else 1.0) * axis
    for sign in ("", "-")
    for name, axis in zip("xyz", np.eye(3), strict=True)
}


@dataclass(frozen=True)
class _Matrix:
    """OpenCV's ``!!opencv-matrix``."""

    data: list[float]


class _Loader(yaml.SafeLoader):
    """YAML that may hold matrices."""


def _opencv_matrix(loader: yaml.SafeLoader, node: yaml.Node) -> _Matrix:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("an !!opencv-matrix without fields")
    return _Matrix(_numbers(loader.construct_mapping(node, deep=True)["data"]))


_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _opencv_matrix)


def load_camera(path: str | Path, name: str | None = None) -> Camera:
    """Read a camera file.

    Args:
        path: the file.
        name: which camera, where a camchain holds several: ``cam0``, ``cam1`` and so on.

    Returns:
        The camera. Only the project's own layout places it in the world (R, t) and says where that
        world's up is; elsewhere the camera's frame is the world's. A camchain may hold how an IMU
        is turned to the camera (T_cam_imu).

    Raises:
        InputError: no such file, none of these layouts, another lens model, a missing field,
            several cameras and no ``name``, or intrinsics that are not a camera's.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        # OpenCV writes `%YAML:1.0`, which is no YAML directive.
        raw = yaml.load(re.sub(r"\A%YAML\S*.*\n", "", text), _Loader)
        if not isinstance(raw, dict):
            raise ValueError("no fields")
        camera = _read(path, raw, name)
    except KeyError as error:
        raise InputError(path, f"no field {error}", _LAYOUTS, _REMEDY) from error
    except OSError as error:
        raise InputError(path, str(error.strerror), "a camera file", _REMEDY) from error
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(path, f"no camera in it ({error})", _LAYOUTS, _REMEDY) from error
    _check(path, camera)
    return camera


def _read(path: str | Path, raw: Mapping[str, Any], name: str | None) -> Camera:
    chain = {key: value for key, value in raw.items() if re.fullmatch(r"cam\d+", str(key))}
    if chain:
        return _kalibr(path, _choose(path, chain, name))
    if name is not None:
        raise InputError(
            "--camera-name", name, "a camchain of several cameras", "Leave it out for this file."
        )
    if any(isinstance(value, _Matrix) for value in raw.values()):
        return _opencv(path, raw)
    if "camera_matrix" in raw:
        return _camera_info(path, raw)
    if _MESSAGE & set(raw):
        return _message(path, raw)
    return _own(path, raw)


def _choose(path: str | Path, chain: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    names = ", ".join(chain)
    if name is None and len(chain) > 1:
        remedy = "Choose one with --camera-name NAME."
        raise InputError(path, f"cameras {names}", "one of them", remedy)
    chosen = next(iter(chain)) if name is None else name
    if chosen not in chain:
        raise InputError("--camera-name", chosen, f"one of {names}", "Choose one of these.")
    if not isinstance(chain[chosen], Mapping):
        raise ValueError(f"{chosen} has no fields")
    return dict(chain[chosen])


def _kalibr(path: str | Path, raw: Mapping[str, Any]) -> Camera:
    if raw["camera_model"] != "pinhole":
        raise InputError(
            path,
            f"camera_model {raw['camera_model']!r}",
            "pinhole",
            "Calibrate again with Kalibr's pinhole-radtan or pinhole-equi.",
        )
    if len(intrinsics := _numbers(raw["intrinsics"])) != 4:
        raise ValueError(f"{len(intrinsics)} intrinsics, not fx, fy, cx, cy")
    fx, fy, cx, cy = intrinsics
    model = _model(path, raw["distortion_model"])
    lens = [] if raw["distortion_model"] == "none" else raw["distortion_coeffs"]
    placed = {"imu": _imu_rotation(path, raw["T_cam_imu"])} if "T_cam_imu" in raw else {}
    return _camera([fx, 0, cx, 0, fy, cy, 0, 0, 1], raw["resolution"], lens, model, **placed)


def _imu_rotation(path: str | Path, rows: Any) -> NDArray[np.float64]:
    """The rotation in Kalibr's T_cam_imu, which takes points of the IMU's frame to the camera's."""
    matrix = np.array(rows, dtype=np.float64)
    if matrix.shape != (4, 4) or not _is_rotation(matrix[:3, :3]):
        raise InputError(path, "a T_cam_imu that is no motion", "[R t; 0 0 0 1]", _REMEDY)
    return matrix[:3, :3]


def _camera_info(path: str | Path, raw: Mapping[str, Any]) -> Camera:
    size = raw["image_width"], raw["image_height"]
    model = _model(path, raw["distortion_model"])
    return _camera(
        raw["camera_matrix"]["data"], size, raw["distortion_coefficients"]["data"], model
    )


def _message(path: str | Path, raw: Mapping[str, Any]) -> Camera:
    """A CameraInfo message as ROS prints it; ROS 2 writes its fields small."""
    K, lens = (raw[name] if name in raw else raw[name.lower()] for name in ("K", "D"))
    model = _model(path, raw["distortion_model"])
    return _camera(K, (raw["width"], raw["height"]), lens, model)


def _opencv(path: str | Path, raw: Mapping[str, Any]) -> Camera:
    K, lens = (_named_matrix(raw, names) for names in (_OPENCV_MATRIX, _OPENCV_LENS))
    size = raw.get("image_size") or (raw["image_width"], raw["image_height"])
    size = size.data if isinstance(size, _Matrix) else size
    if "distortion_model" in raw:
        model = _model(path, raw["distortion_model"])
    elif "fisheye_model" in raw:
        model = "equidistant" if int(raw["fisheye_model"]) else "radtan"
    elif len(lens) != 4:
        model = "radtan"
    else:
        raise InputError(
            path,
            "four distortion coefficients, which may be fisheye's or k1, k2, p1, p2",
            "the lens model",
            "Add a line `fisheye_model: 1` or `fisheye_model: 0` to the file.",
        )
    return _camera(K, size, lens, model)


def _named_matrix(raw: Mapping[str, Any], names: tuple[str, ...]) -> list[float]:
    for name in names:
        if isinstance(raw.get(name), _Matrix):
            return list(raw[name].data)
    raise KeyError(" or ".join(names))


def _own(path: str | Path, raw: Mapping[str, Any]) -> Camera:
    if unknown := sorted(set(map(str, raw)) - _OWN):
        found = f"fields that are not known ({', '.join(unknown)})"
        raise InputError(path, found, ", ".join(sorted(_OWN)), _REMEDY)
    size = raw["width"], raw["height"]
    K = raw.get("K") or [[raw["fx"], 0, raw["cx"]], [0, raw["fy"], raw["cy"]], [0, 0, 1]]
    model = _model(path, raw.get("distortion_model", "radtan"))
    placed = {
        "R": np.array(raw.get("R", np.eye(3)), dtype=np.float64),
        "t": np.array(raw.get("t", np.zeros(3)), dtype=np.float64),
        "world_up": _world_up(path, raw),
    }
    return _camera(K, size, raw.get("distortion", ()), model, **placed)


def _world_up(path: str | Path, raw: Mapping[str, Any]) -> NDArray[np.float64] | None:
    if "up" not in raw:
        return None
    if str(raw["up"]) not in _AXES:
        remedy = "Name the world's axis that points up, or leave it out."
        raise InputError(path, f"up: {raw['up']}", f"one of {', '.join(_AXES)}", remedy)
    return _AXES[str(raw["up"])]


def _model(path: str | Path, name: Any) -> str:
    known = _MODELS.get(str(name))
    if known is None:
        remedy = "Calibrate again with one of these models."
        raise InputError(path, f"distortion model {name!r}", f"one of {', '.join(_MODELS)}", remedy)
    return known


def _camera(K: Any, size: Any, lens: Any, model: str, **placed: Any) -> Camera:
    if len(size := _numbers(size)) != 2:
        raise ValueError(f"a size of {len(size)} numbers, not width and height")
    width, height = size
    if any(int(side) != float(side) for side in (width, height)):
        raise ValueError(f"{width}x{height} pixels")
    coefficients = _numbers(lens)
    # ROS and OpenCV fill up with zeros; anything else that is too long is another model.
    while len(coefficients) > max(COEFFICIENTS[model]) and coefficients[-1] == 0:
        coefficients.pop()
    matrix = np.array(K, dtype=np.float64)
    if matrix.shape == (9,):
        matrix = matrix.reshape(3, 3)
    return Camera(
        matrix, int(width), int(height), distortion=tuple(coefficients), model=model, **placed
    )


def _numbers(values: Any) -> list[float]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{values!r} in the place of a list of numbers")
    return [float(value) for value in values]


def _check(path: str | Path, camera: Camera) -> None:
    """Refuse what no camera has."""
    numbers = np.concatenate([camera.K.ravel(), camera.R.ravel(), camera.t, camera.distortion])
    if not np.isfinite(numbers).all():
        raise InputError(path, "NaN or infinity", "finite numbers", _REMEDY)
    (fx, _, _), (below, fy, _), last = camera.K
    if min(fx, fy, camera.width, camera.height) <= 0:
        found = f"fx={fx:g}, fy={fy:g}, {camera.width}x{camera.height} pixels"
        raise InputError(path, found, "focal lengths and a size above zero", _REMEDY)
    if below != 0 or list(last) != [0, 0, 1]:
        raise InputError(path, "a full matrix K", "K upper-triangular, K[2][2] = 1", _REMEDY)
    shares = np.array([fx / camera.width, fy / camera.height])
    offset = camera.K[:2, 2] / (camera.width, camera.height)
    if shares.min() < 0.05 or shares.max() > 1000 or np.abs(offset).max() > 10:
        found = f"fx={fx:g}, fy={fy:g}, cx={camera.K[0, 2]:g}, cy={camera.K[1, 2]:g}"
        raise InputError(path, found, "these in pixels, not in millimetres or shares", _REMEDY)
    if not _is_rotation(camera.R):
        found = "an R that is no rotation"
        raise InputError(path, found, "R with R R^T = 1 and determinant 1", _REMEDY)


def _is_rotation(matrix: NDArray[np.float64]) -> bool:
    proper = np.linalg.det(matrix) > 0
    return bool(proper and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4))
