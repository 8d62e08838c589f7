"""Moving parameters from one body to another: the same pose, on other bones.

Betas mean different shapes on different bodies, and rest bones may point in other directions, so
copied parameters would be another person in another pose.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from eventhpe.body.joints import PARENTS
from eventhpe.body.model import Body

_CHILDREN = tuple(tuple(j for j in range(24) if PARENTS[j] == p) for p in range(24))
# One beta of 1 costs as much as one bone that is 1 mm too long.
_BETA_WEIGHT = 1e-3


class BodyParameters(NamedTuple):
    """global_orient (T, 3, 3), body_pose (T, 23, 3, 3), betas (10,), transl (T, 3)."""

    global_orient: Tensor
    body_pose: Tensor
    betas: Tensor
    transl: Tensor


@torch.no_grad()
def retarget(
    global_orient: Tensor,
    body_pose: Tensor,
    betas: Tensor,
    transl: Tensor,
    source: Body,
    target: Body,
) -> BodyParameters:
    """Give ``target`` the pose and place that the parameters give ``source``.

    Betas are fitted to the source's bone lengths. With A_j the rotation that brings the target's
    rest bones at joint j onto the source's, the turned rest pose R'_j = A_parent^T R_j A_j has
    the source's bone directions in every frame. A joint with several bones gets the best
    compromise (Kabsch 1976), so what its bones disagree about, and what ten betas cannot reach,
    stays as an error; the translation spreads it evenly over the joints.

    Args:
        global_orient: (T, 3, 3).
        body_pose: (T, 23, 3, 3).
        betas: (10,) of the source: one person a motion.
        transl: (T, 3) metres.

    Raises:
        ValueError: a tensor has another shape.
    """
    if betas.shape != (10,):
        raise ValueError(f"betas have shape {tuple(betas.shape)}; expected (10,)")
    rest = source.rest_joints(betas[None])[0]
    fitted = fit_betas(rest, target)
    turn = _rest_turns(rest, target.rest_joints(fitted[None])[0])
    parents = turn[list(PARENTS[1:])]
    moved_orient = global_orient @ turn[0]
    moved_pose = parents.mT @ body_pose @ turn[1:]
    frames = len(transl)
    wanted = source.joints(betas.expand(frames, -1), global_orient, body_pose, transl)
    many = fitted.expand(frames, -1)
    reached = target.joints(many, moved_orient, moved_pose, transl)
    shift = (wanted - reached).mean(1)
    return BodyParameters(moved_orient, moved_pose, fitted, transl + shift)


def fit_betas(rest: Tensor, target: Body) -> Tensor:
    """Betas (10,) of ``target`` whose bones are as long as those of rest joints (24, 3).

    Gauss-Newton on the 23 lengths with a weak pull to zero.
    """
    parents = list(PARENTS[1:])
    wanted = (rest[1:] - rest[parents]).norm(dim=-1).double()
    template = target.joint_template.double()
    directions = target.joint_directions.double()
    bones, change = template[1:] - template[parents], directions[1:] - directions[parents]
    pull = _BETA_WEIGHT * torch.eye(10, dtype=torch.float64, device=rest.device)
    betas = torch.zeros(10, dtype=torch.float64, device=rest.device)
    for _ in range(10):
        now = bones + change @ betas
        length = now.norm(dim=-1)
        slope = torch.einsum("jc,jck->jk", now / length[:, None], change)
        system = torch.cat([slope, pull])
        residual = torch.cat([wanted - length, -pull @ betas])
        betas = betas + torch.linalg.lstsq(system, residual).solution
    return betas.to(rest.dtype)


def _rest_turns(source: Tensor, target: Tensor) -> Tensor:
    """For each joint the rotation (24, 3, 3) of the target's rest bones onto the source's."""
    turns: list[Tensor] = []
    for joint, children in enumerate(_CHILDREN):
        if not children:  # a leaf has no bone of its own: it follows its parent's
            turns.append(turns[PARENTS[joint]])
            continue
        own = target[list(children)] - target[joint]
        other = source[list(children)] - source[joint]
        turns.append(_shortest(own[0], other[0]) if len(children) == 1 else _kabsch(own, other))
    return torch.stack(turns)


def _kabsch(start: Tensor, end: Tensor) -> Tensor:
    """The rotation that brings vectors ``start`` (N, 3) closest to ``end`` (Kabsch 1976)."""
    u, _, vt = torch.linalg.svd(end.T @ start)
    sign = torch.ones(3, dtype=start.dtype, device=start.device)
    sign[2] = torch.linalg.det(u @ vt).sign()
    return (u * sign) @ vt


def _shortest(start: Tensor, end: Tensor) -> Tensor:
    """The smallest rotation that turns direction ``start`` (3,) to ``end`` (Rodrigues)."""
    a, b = start / start.norm(), end / end.norm()
    axis = torch.linalg.cross(a, b)
    zero = torch.zeros_like(axis[0])
    cross = torch.stack(
        [zero, -axis[2], axis[1], axis[2], zero, -axis[0], -axis[1], axis[0], zero]
    ).view(3, 3)
    eye = torch.eye(3, dtype=start.dtype, device=start.device)
    return eye + cross + cross @ cross / (1 + a @ b)
