"""The body: betas, rotations and a translation in, vertices and joints out."""

import contextlib
import io
from typing import NamedTuple

import numpy as np
import smplx
import torch
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
        turns = [global_orient]
        places = [rest[:, 0] + transl]
        for joint in range(1, NUM_JOINTS):
            parent = PARENTS[joint]
            offset = rest[:, joint] - rest[:, parent]
            places.append(places[parent] + (turns[parent] @ offset[..., None])[..., 0])
            turns.append(turns[parent] @ body_pose[:, joint - 1])
        return torch.stack(places, 1)


def _check_shapes(betas: Tensor, global_orient: Tensor, body_pose: Tensor, transl: Tensor) -> None:
    batch = len(betas)
    expected = ((batch, NUM_BETAS), (batch, 3, 3), (batch, NUM_JOINTS - 1, 3, 3), (batch, 3))
    found = tuple(tuple(x.shape) for x in (betas, global_orient, body_pose, transl))
    if found != expected:
        raise ValueError(
            f"betas, global_orient, body_pose, transl have shapes {found}; expected {expected}"
        )
