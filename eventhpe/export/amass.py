"""AMASS's .npz: SMPL-H's angles at an even rate (Mahmood et al., AMASS, ICCV 2019)."""

from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from eventhpe.export.figure import Figure, rest_vertices
from eventhpe.files import atomic_path

_GENDERS = {f"smpl-{gender}": gender for gender in ("neutral", "female", "male")}
_BODY_JOINTS = 22  # of SMPL's 24, which end in two hands; SMPL-H has 30 finger joints instead
_TOLD_DEGREES = 1.0


def write_amass(figure: Figure, path: Path) -> list[str]:
    """Write ``poses`` (T, 156), ``trans`` (T, 3), ``betas`` (16,), ``dmpls`` (T, 8) of zeros,
    ``gender`` and ``mocap_framerate``; beside them ``t_us`` (T,) and ``present`` (T,).

    The pelvis is J0(betas) + trans. Shapes of another body than SMPL's mean nothing to SMPL-H: then
    betas are zero, and the path is scaled by the length of the legs, so that feet do not slide or
    leave the floor.
    """
    body, motion = figure.body, figure.motion
    vectors = roma.rotmat_to_rotvec(figure.rotations.double()).numpy()
    poses = np.zeros((len(motion), 156))
    poses[:, : 3 * _BODY_JOINTS] = vectors[:, :_BODY_JOINTS].reshape(len(motion), -1)
    notes = _lost(vectors[:, _BODY_JOINTS:])
    gender = _GENDERS.get(body.body_id)
    own = torch.from_numpy(motion.betas)
    betas, scale = own, 1.0
    if gender is None:
        betas = torch.zeros(10)
        scale = _legs(figure, betas) / _legs(figure, own)
        notes.append(
            f"the betas of {body.body_id} mean nothing to SMPL-H: written as zero; the path is "
            f"scaled by {scale:.3f}, as the legs are"
        )
    pelvis_at_rest = body.rest_joints(betas[None])[0, 0].numpy()
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            poses=poses,
            trans=scale * figure.pelvis - pelvis_at_rest,
            betas=np.pad(betas.double().numpy(), (0, 6)),
            dmpls=np.zeros((len(motion), 8)),
            gender=np.array(gender or "neutral"),
            mocap_framerate=np.array(figure.rate_hz),
            t_us=motion.t_us,
            present=figure.present,
        )
    return notes


def _lost(hands: np.ndarray) -> list[str]:
    """What becomes of turns of SMPL's hand joints (T, 2, 3), axis-angle."""
    largest = float(np.degrees(np.linalg.norm(hands, axis=-1)).max(initial=0.0))
    if largest < _TOLD_DEGREES:
        return []
    return [f"left out: turns of SMPL's two hand joints, up to {largest:.0f} degrees"]


def _legs(figure: Figure, betas: Tensor) -> float:
    """Height of the pelvis above the soles at rest, metres."""
    pelvis = figure.body.rest_joints(betas[None])[0, 0, 1]
    return float(pelvis) - float(rest_vertices(figure.body, betas)[:, 1].min())
