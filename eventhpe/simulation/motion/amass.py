"""AMASS-style .npz: SMPL's rotations themselves (Mahmood et al., AMASS, ICCV 2019).

Layouts: ``poses`` of SMPL (72 a frame), SMPL-H (156) or SMPL-X (165), or ``root_orient`` and
``pose_body``; the first 66 mean the same in all. Nothing in a file is ever executed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from eventhpe.body.joints import JOINT_NAMES, PARENTS
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.simulation.motion.capture import Capture, checked_rate, checked_values
from eventhpe.simulation.motion.retargeting import rest_joints
from eventhpe.simulation.motion.segments import Array

_KEYS = ("poses", "root_orient", "pose_body", "trans", "betas", "gender")
_RATES = ("mocap_framerate", "mocap_frame_rate")
_WIDTHS = {72: "SMPL", 156: "SMPL-H", 165: "SMPL-X", 66: "root_orient and pose_body"}
_EXPECTED = "an AMASS-style .npz with poses and trans"


def read_amass(path: Path, body: Body, rate_hz: float | None = None) -> tuple[Capture, Array]:
    """Read a motion as a capture of ``body``'s own skeleton, and betas (10,) for that body.

    The file's betas hold only for SMPL's 72 angles on the SMPL body of the file's gender: SMPL-H
    and SMPL-X have other shapes, and so has the free default body. Otherwise they are zero.
    Hands (SMPL joints 22, 23) are at rest unless the file is SMPL's.

    Args:
        rate_hz: None takes the file's rate.

    Raises:
        InputError: the file is broken, has another layout, or no rate is known.
    """
    data = _load(path)
    poses = _poses(path, data)
    trans = _array(path, data, "trans")
    if trans.shape != (len(poses), 3) or len(poses) < 2:
        found = f"trans of shape {trans.shape} for {len(poses)} poses"
        raise InputError(path, found, "(N, 3) and at least two frames", "Export it again.")
    vectors = np.zeros((len(poses), 24, 3))
    count = 24 if poses.shape[1] == 72 else 22
    vectors[:, :count] = poses[:, : 3 * count].reshape(-1, count, 3)
    betas = _betas(path, data, body) if poses.shape[1] == 72 else np.zeros(10)
    rest = rest_joints(body, betas)
    offsets = rest - rest[list(PARENTS)]
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(vectors)).numpy()
    rate = checked_rate(path, _rate(path, data) if rate_hz is None else rate_hz)
    root = trans + rest[0]
    return Capture(path, JOINT_NAMES, PARENTS, offsets, rotations, root, rate), betas


def _load(path: Path) -> dict[str, Any]:
    remedy = "Export or fetch it again."
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: _member(archive, key) for key in _KEYS + _RATES if key in archive}
    except Exception as error:  # broken bytes make numpy and zipfile raise nearly anything
        found = f"an unreadable file ({type(error).__name__}: {error})"
        raise InputError(path, found, _EXPECTED, remedy) from error


def _member(archive: Any, key: str) -> Any:
    """An array, or None for a gender or betas saved as a pickled object."""
    try:
        return archive[key]
    except ValueError:
        if key in ("gender", "betas"):
            return None
        raise


def _array(path: Path, data: dict[str, Any], key: str) -> Array:
    value = data.get(key)
    if value is None or value.dtype.kind not in "fiu":
        raise InputError(path, f"no numbers in {key}", _EXPECTED, "Export it again.")
    return checked_values(path, f"values of {key}", value)


def _poses(path: Path, data: dict[str, Any]) -> Array:
    if "poses" in data:
        poses = _array(path, data, "poses")
    else:
        root, rest = _array(path, data, "root_orient"), _array(path, data, "pose_body")
        if root.ndim != 2 or rest.ndim != 2 or len(root) != len(rest) or rest.shape[1] != 63:
            found = f"root_orient {root.shape} and pose_body {rest.shape}"
            raise InputError(path, found, "(N, 3) and (N, 63)", "Export it again.")
        poses = np.concatenate([root, rest], axis=1)
    if poses.ndim != 2 or poses.shape[1] not in _WIDTHS:
        expected = ", ".join(f"{width} a frame ({name})" for width, name in _WIDTHS.items())
        raise InputError(path, f"poses of shape {poses.shape}", expected, "Export it again.")
    return poses


def _rate(path: Path, data: dict[str, Any]) -> float:
    for key in _RATES:
        if key in data and np.size(data[key]) == 1:
            return float(_array(path, data, key).reshape(()))
    raise InputError(
        path, "no frame rate", f"one of {' and '.join(_RATES)}", "Give the rate yourself."
    )


def _betas(path: Path, data: dict[str, Any], body: Body) -> Array:
    gender = data.get("gender")
    name = "" if gender is None or gender.size != 1 else gender.reshape(-1)[0]
    name = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    if data.get("betas") is None or body.body_id != f"smpl-{name}":
        return np.zeros(10)
    betas = _array(path, data, "betas").reshape(-1)[:10]
    return np.pad(betas, (0, 10 - len(betas)))
