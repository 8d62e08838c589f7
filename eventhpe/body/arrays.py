"""The arrays of an SMPL-layout body, checked once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eventhpe.body.joints import PARENTS
from eventhpe.errors import InputError

NUM_JOINTS = 24
NUM_BETAS = 10
NUM_POSE_FEATURES = 207  # nine entries of each of the 23 rotations, minus the identity
KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")
_REMEDY = (
    "Give a SMPL model file (SMPL_NEUTRAL.pkl or an .npz of the same arrays), "
    "or leave the body out to use the free default."
)


@dataclass(frozen=True)
class BodyArrays:
    """Names as in SMPL's files: ``smplx.SMPL`` reads them as its ``data_struct``.

    v_template (V, 3) metres; shapedirs (V, 3, 10); posedirs (V, 3, 207); J_regressor (24, V),
    rows summing to 1; weights (V, 24), rows summing to 1; f (F, 3) int32; kintree_table (2, 24),
    its first row the parents (-1 for the pelvis).
    """

    v_template: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    J_regressor: np.ndarray
    kintree_table: np.ndarray
    weights: np.ndarray
    f: np.ndarray

    def joints(self) -> tuple[np.ndarray, np.ndarray]:
        """Rest joints (24, 3) at zero betas and their change with the betas (24, 3, 10)."""
        regressor = self.J_regressor.astype(np.float64)
        template = regressor @ self.v_template
        directions = np.einsum("jv,vck->jck", regressor, self.shapedirs)
        return template.astype(np.float32), directions.astype(np.float32)


def check_arrays(source: str | Path, found: dict[str, np.ndarray]) -> BodyArrays:
    """Bring a file's arrays to float32 / int32 and check that they are an SMPL body.

    Betas beyond the tenth are dropped (300-beta files).

    Raises:
        InputError: a key is missing, a shape or the joint tree is another model's, an index or a
            sum is out of range, or a value is not finite.
    """

    def fail(what: str, expected: str) -> InputError:
        return InputError(source, what, expected, _REMEDY)

    missing = [key for key in KEYS if key not in found]
    if missing:
        raise fail(f"no {', '.join(missing)}", f"the arrays {', '.join(KEYS)}")
    _check_kinds(fail, found)
    vertices, faces = len(found["v_template"]), len(found["f"])
    betas = found["shapedirs"].shape[-1] if found["shapedirs"].ndim == 3 else 0
    shapes: dict[str, tuple[int, ...]] = {
        "kintree_table": (2, NUM_JOINTS),
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, max(betas, NUM_BETAS)),
        "posedirs": (vertices, 3, NUM_POSE_FEATURES),
        "J_regressor": (NUM_JOINTS, vertices),
        "weights": (vertices, NUM_JOINTS),
        "f": (faces, 3),
    }
    for key, shape in shapes.items():
        if found[key].shape != shape:
            raise fail(f"{key} of shape {found[key].shape}", f"{shape}, as SMPL's 24 joints have")
    if tuple(found["kintree_table"][0].astype(np.int64)[1:]) != PARENTS[1:]:
        raise fail("another joint tree", "SMPL's tree of 24 joints")
    f = found["f"].astype(np.int64)
    if not vertices or not faces or f.min() < 0 or f.max() >= vertices:
        raise fail("faces that name absent vertices", f"indices in 0..{vertices - 1}")
    floats = {
        key: np.ascontiguousarray(found[key][..., : NUM_BETAS if key == "shapedirs" else None])
        for key in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
    }
    floats = {key: value.astype(np.float32) for key, value in floats.items()}
    for key, value in floats.items():
        if not np.isfinite(value).all():
            raise fail(f"values in {key} that are not finite", "finite numbers")
    for key in ("J_regressor", "weights"):
        if np.abs(floats[key].sum(1) - 1).max() > 0.01:
            raise fail(f"rows of {key} that do not sum to 1", "rows that sum to 1")
    tree = np.array([PARENTS, range(NUM_JOINTS)], dtype=np.int64)
    return BodyArrays(kintree_table=tree, f=f.astype(np.int32), **floats)


def _check_kinds(fail: Callable[[str, str], InputError], found: dict[str, np.ndarray]) -> None:
    for key in KEYS:
        kinds = "iu" if key in ("f", "kintree_table") else "fiu"
        if found[key].dtype.kind not in kinds or found[key].ndim == 0:
            raise fail(f"{key} of type {found[key].dtype}", "an array of numbers")
