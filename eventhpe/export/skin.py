"""A body as other programs skin it: few joints a vertex, no pose blend shapes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from eventhpe.body import PARENTS, Body
from eventhpe.export.figure import Figure, rest_vertices

INFLUENCES = 4  # joints a vertex; programs that read more are few
_MEASURED = 32  # steps at most that the cost is measured at

Float32 = NDArray[np.float32]


def strongest(body: Body) -> tuple[NDArray[np.uint8], Float32]:
    """The joints (V, INFLUENCES) that move each vertex most and their weights, which sum to 1.

    Where a vertex has fewer, joint 0 stands in with weight 0.
    """
    weights: Float32 = body.smpl.lbs_weights.numpy()
    chosen = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    kept = np.take_along_axis(weights, chosen, axis=1)
    kept = (kept / kept.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.where(kept > 0, chosen, 0).astype(np.uint8), kept


@dataclass(frozen=True, eq=False)
class Skin:
    """A body of one shape, unposed.

    Attributes:
        vertices: (V, 3) metres.
        rest: (24, 3) its joints.
        joints: (V, INFLUENCES) those that move a vertex; 0 where it has fewer.
        weights: (V, INFLUENCES), rows with sum 1.
    """

    vertices: Float32
    rest: Float32
    joints: NDArray[np.uint8]
    weights: Float32

    @classmethod
    def of(cls, figure: Figure) -> "Skin":
        """The figure's shape, each vertex on the joints that move it most."""
        body, betas = figure.body, torch.from_numpy(figure.motion.betas)
        rest = body.rest_joints(betas[None])[0].numpy()
        return cls(rest_vertices(body, betas), rest, *strongest(body))

    def posed(self, rotations: Float32, pelvis: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vertices (V, 3) of one step, by linear blend skinning (SMPL 2015, eqs. 2-4).

        Args:
            rotations: (24, 3, 3) as in `Figure`.
            pelvis: (3,).
        """
        turns, places = [rotations[0]], [pelvis]
        for joint, parent in enumerate(PARENTS[1:], start=1):
            offset = self.rest[joint] - self.rest[parent]
            places.append(places[parent] + turns[parent] @ offset)
            turns.append(turns[parent] @ rotations[joint])
        turn, place = np.stack(turns)[self.joints], np.stack(places)[self.joints]
        arms = self.vertices[:, None] - self.rest[self.joints]
        moved = (turn @ arms[..., None])[..., 0] + place
        return np.einsum("vk,vkc->vc", self.weights, moved)

    def cost(self, figure: Figure) -> tuple[float, float]:
        """How far it is from SMPL's surface: mean and largest distance of vertices, mm."""
        here = np.flatnonzero(figure.present)
        few = np.linspace(0, len(here) - 1, min(len(here), _MEASURED)).round().astype(int)
        steps = here[few].tolist()
        rotations, pelvis = figure.rotations.numpy(), figure.pelvis
        off = [
            np.linalg.norm(self.posed(rotations[step], pelvis[step]) - surface, axis=1)
            for step, surface in zip(steps, figure.meshes(steps), strict=True)
        ]
        return 1000 * float(np.mean(off)), 1000 * float(np.max(off))
