"""The body: betas, rotations and a translation in, vertices and joints out."""

import contextlib
import io
from typing import NamedTuple

import numpy as np
import smplx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eventhpe.body.arrays import NUM_BETAS, NUM_JOINTS, BodyArrays
from eventhpe.body.joints import PARENTS


class BodyOutput(NamedTuple):
    """Posed vertices (B, V, 3) and joints (B, 24, 3) in metres, in the frame of ``transl``."""

    vertices: Tensor
    joints: Tensor


class Body(nn.Module):
    """An SMPL-layout body, posed by ``smplx.SMPL`` with rotation matrices.

    Frames follow SMPL: the rest body stands y up and faces +z, with the subject's left at +x;
    ``global_orient`` turns it about the pelvis and ``transl`` is added last, so the posed pelvis
    is ``rest_joints(betas)[:, 0] + transl``. In the camera frame (x right, y down, z forward) an
    upright person facing the camera has ``global_orient`` = 180 degrees about x.

    The model's tensors are buffers that stay out of ``state_dict``: a checkpoint never carries
    a body, which may be licensed.

    Attributes:
        body_id: name of the body, e.g. ``"eventhpe-default-1"``.
        sha256: digest of the file it came from; "" when built from arrays.
        faces: int32 (F, 3), corners counter-clockwise seen from outside.
        parents: SMPL's tree, -1 for the pelvis.
        num_vertices: V.
    """

    joint_template: Tensor
    joint_directions: Tensor

    def __init__(self, arrays: BodyArrays, body_id: str, sha256: str = "") -> None:
        super().__init__()
        self.body_id = body_id
        self.sha256 = sha256
        self.faces: np.ndarray = arrays.f
        self.parents = PARENTS
        self.num_vertices = len(arrays.v_template)
        # smplx wants five face vertices as extra joints; any will do, they are cut off again.
        face = dict.fromkeys(("nose", "reye", "leye", "rear", "lear"), 0)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints about ten betas every time
            self.smpl = smplx.SMPL(
                model_path="",
                data_struct=arrays,
                vertex_ids=face,
                use_feet_keypoints=False,
                use_hands=False,
                create_betas=False,
                create_global_orient=False,
                create_body_pose=False,
                create_transl=False,
            )
        template, directions = arrays.joints()
        self.register_buffer("joint_template", torch.from_numpy(template))
        self.register_buffer("joint_directions", torch.from_numpy(directions))
        for module in self.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, buffer, persistent=False)

    def forward(
        self, betas: Tensor, global_orient: Tensor, body_pose: Tensor, transl: Tensor
    ) -> BodyOutput:
        """Pose the mesh by linear blend skinning with pose blend shapes (SMPL 2015, eqs. 2-9).

        Args:
            betas: (B, 10) shape coefficients of unit variance.
            global_orient: (B, 3, 3) rotation of the pelvis.
            body_pose: (B, 23, 3, 3) rotations of joints 1..23 relative to their parents.
            transl: (B, 3) metres.

        Raises:
            ValueError: a tensor has another shape.
        """
        _check_shapes(betas, global_orient, body_pose, transl)
        out = self.smpl(
            betas=betas,
            global_orient=global_orient[:, None],
            body_pose=body_pose,
            transl=transl,
            pose2rot=False,
        )
        return BodyOutput(out.vertices, out.joints[:, :NUM_JOINTS])

    def rest_joints(self, betas: Tensor) -> Tensor:
        """Joints (B, 24, 3) of the unposed body with shape ``betas`` (B, 10), metres."""
        return self.joint_template + torch.einsum("bk,jck->bjc", betas, self.joint_directions)

    def joints(
        self, betas: Tensor, global_orient: Tensor, body_pose: Tensor, transl: Tensor
    ) -> Tensor:
        """The joints (B, 24, 3) that ``forward`` gives, without its vertices (arguments alike).

        Forward kinematics: each joint is its parent plus its rest offset, turned by the product
        of the rotations above it (SMPL 2015, eqs. 3-4).

        Raises:
            ValueError: a tensor has another shape.
        """
        _check_shapes(betas, global_orient, body_pose, transl)
        rest = self.rest_joints(betas)
        return _kinematics(rest, global_orient, body_pose)[0] + transl[:, None]


class BodySubset(nn.Module):
    """Poses chosen vertices of a body and its joints, and leaves the others out.

    Costs what the chosen vertices cost: 500 of 7000 take a tenth of the whole mesh's time.

    Args:
        body: the body; arguments and frames are those of ``Body.forward``.
        indices: (K,) rows of its vertices.

    Raises:
        ValueError: an index that the body does not have.
    """

    joint_template: Tensor
    joint_directions: Tensor
    template: Tensor
    shape_directions: Tensor
    pose_directions: Tensor
    skinning: Tensor

    def __init__(self, body: Body, indices: NDArray[np.integer]) -> None:
        super().__init__()
        if len(indices) and not 0 <= indices.min() <= indices.max() < body.num_vertices:
            raise ValueError(f"indices are not all within 0..{body.num_vertices - 1}")
        self.indices = indices
        rows = torch.from_numpy(np.ascontiguousarray(indices, dtype=np.int64))
        smpl = body.smpl
        rows = rows.to(smpl.v_template.device)
        poses = smpl.posedirs.view(-1, body.num_vertices, 3)[:, rows].flatten(1)
        for name, value in (
            ("joint_template", body.joint_template),
            ("joint_directions", body.joint_directions),
            ("template", smpl.v_template[rows]),
            ("shape_directions", smpl.shapedirs[rows]),
            ("pose_directions", poses),
            ("skinning", smpl.lbs_weights[rows]),
        ):
            self.register_buffer(name, value.clone(), persistent=False)

    def forward(
        self, betas: Tensor, global_orient: Tensor, body_pose: Tensor, transl: Tensor
    ) -> BodyOutput:
        """The chosen vertices (B, K, 3), in the order of ``indices``, and all joints (B, 24, 3).

        Linear blend skinning with pose blend shapes (SMPL 2015, eqs. 2-9).

        Raises:
            ValueError: a tensor has another shape.
        """
        _check_shapes(betas, global_orient, body_pose, transl)
        rest = self.joint_template + torch.einsum("bk,jck->bjc", betas, self.joint_directions)
        places, turns = _kinematics(rest, global_orient, body_pose)
        bent = (body_pose - torch.eye(3, device=betas.device)).flatten(1) @ self.pose_directions
        shaped = self.template + torch.einsum("bk,vck->bvc", betas, self.shape_directions)
        posed = shaped + bent.unflatten(1, (-1, 3))
        # A joint moves a point p to R p + (place - R rest); skinning averages both parts.
        moves = places - (turns @ rest[..., None])[..., 0]
        blended = torch.matmul(self.skinning, torch.cat([turns.flatten(2), moves], dim=-1))
        turned = (blended[..., :9].unflatten(-1, (3, 3)) @ posed[..., None])[..., 0]
        return BodyOutput(turned + blended[..., 9:] + transl[:, None], places + transl[:, None])


def _kinematics(rest: Tensor, global_orient: Tensor, body_pose: Tensor) -> tuple[Tensor, Tensor]:
    """Joints (B, 24, 3) and their rotations (B, 24, 3, 3) of a body that was not moved.

    Args:
        rest: (B, 24, 3) joints of the unposed body, metres.
    """
    turns = [global_orient]
    places = [rest[:, 0]]
    for joint in range(1, NUM_JOINTS):
        parent = PARENTS[joint]
        offset = rest[:, joint] - rest[:, parent]
        places.append(places[parent] + (turns[parent] @ offset[..., None])[..., 0])
        turns.append(turns[parent] @ body_pose[:, joint - 1])
    return torch.stack(places, 1), torch.stack(turns, 1)


def _check_shapes(betas: Tensor, global_orient: Tensor, body_pose: Tensor, transl: Tensor) -> None:
    batch = len(betas)
    expected = ((batch, NUM_BETAS), (batch, 3, 3), (batch, NUM_JOINTS - 1, 3, 3), (batch, 3))
    found = tuple(tuple(x.shape) for x in (betas, global_orient, body_pose, transl))
    if found != expected:
        raise ValueError(
            f"betas, global_orient, body_pose, transl have shapes {found}; expected {expected}"
        )
