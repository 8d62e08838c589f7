"""SMPL's parameters under the names of the ``smplx`` package, in the world."""

from pathlib import Path

import numpy as np
import roma

from eventhpe.export.figure import Figure
from eventhpe.files import atomic_path


def write_smpl(figure: Figure, path: Path) -> list[str]:
    """Write an .npz of plain arrays with a row a step, so that ``smplx.SMPL`` takes them as are.

    ``betas`` (T, 10), ``global_orient`` (T, 3) and ``body_pose`` (T, 69) axis-angle, ``transl``
    (T, 3) metres, all float32; beside them ``t_us`` (T,) int64 and ``present`` (T,) bool.
    """
    vectors = roma.rotmat_to_rotvec(figure.rotations)
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            betas=figure.betas.numpy(),
            global_orient=vectors[:, 0].numpy(),
            body_pose=vectors[:, 1:].flatten(1).numpy(),
            transl=figure.transl.numpy(),
            t_us=figure.motion.t_us,
            present=figure.present,
        )
    return []
