"""An animated, skinned body as .glb (glTF 2.0, see `eventhpe.export.gltf`).

A skin is linear blend skinning of one mesh: SMPL's pose blend shapes, which mend the surface at
bent joints, are no part of it. What that costs is measured and told.
"""

from pathlib import Path
from typing import Any

import numpy as np
import roma
import trimesh
from numpy.typing import NDArray

from eventhpe.body import JOINT_NAMES, PARENTS
from eventhpe.export.figure import Figure
from eventhpe.export.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, Buffer, write_glb
from eventhpe.export.skin import Skin

_MATERIAL = {
    "name": "body",
    "pbrMetallicRoughness": {
        "baseColorFactor": (0.62, 0.67, 0.73, 1.0),
        "metallicFactor": 0.0,
        "roughnessFactor": 0.8,
    },
}


def write_skinned(figure: Figure, path: Path) -> list[str]:
    """Write one mesh, its skeleton of 24 nodes and one animation, in seconds from the first step.

    Between steps rotations are slerped and the pelvis moves evenly. While nobody is there the
    skeleton has size 0, which is glTF's way to hide a skin (5.26, node scale).
    """
    skin, buffer = Skin.of(figure), Buffer()
    normals = trimesh.Trimesh(skin.vertices, figure.body.faces, process=False).vertex_normals
    primitive = {
        "attributes": {
            "POSITION": buffer.add(skin.vertices, ARRAY_BUFFER),
            "NORMAL": buffer.add(normals.astype(np.float32), ARRAY_BUFFER),
            "JOINTS_0": buffer.add(skin.joints, ARRAY_BUFFER),
            "WEIGHTS_0": buffer.add(skin.weights, ARRAY_BUFFER),
        },
        "indices": buffer.add(figure.body.faces.astype("<u4").ravel(), ELEMENT_ARRAY_BUFFER),
        "material": 0,
    }
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (len(skin.rest), 1, 1))
    inverse_bind[:, :3, 3] = -skin.rest
    nodes, animation = _skeleton(figure, skin.rest, buffer)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "eventhpe"},
        "scene": 0,
        "scenes": [{"nodes": [0, len(nodes)]}],
        "nodes": [*nodes, {"name": "person", "mesh": 0, "skin": 0}],
        "meshes": [{"name": "body", "primitives": [primitive]}],
        "materials": [_MATERIAL],
        "skins": [
            {
                "joints": list(range(len(nodes))),
                "skeleton": 0,
                "inverseBindMatrices": buffer.add(inverse_bind),
            }
        ],
        "animations": [animation],
    }
    write_glb(path, document, buffer)
    mean, largest = skin.cost(figure)
    return [
        "a skin has no pose blend shapes: its surface is "
        f"{mean:.1f} mm off the body's in the mean, {largest:.1f} mm at most"
    ]


def _skeleton(
    figure: Figure, rest: NDArray[np.float32], buffer: Buffer
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The joints' nodes as they are at the first step, and what moves them."""
    times = (figure.motion.t_us - figure.motion.t_us[0]) * 1e-6
    clock = buffer.add(times.astype(np.float32))
    turns, pelvis = _quaternions(figure), figure.pelvis.astype(np.float32)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def animate(node: int, path: str, values: NDArray[Any], how: str = "LINEAR") -> None:
        samplers.append({"input": clock, "output": buffer.add(values), "interpolation": how})
        target = {"node": node, "path": path}
        channels.append({"sampler": len(samplers) - 1, "target": target})

    animate(0, "translation", pelvis)
    if not figure.present.all():
        sizes = np.repeat(figure.present.astype(np.float32)[:, None], 3, axis=1)
        animate(0, "scale", sizes, "STEP")
    nodes = []
    for joint, parent in enumerate(PARENTS):
        place = pelvis[0] if parent < 0 else rest[joint] - rest[parent]
        node: dict[str, Any] = {
            "name": JOINT_NAMES[joint],
            "translation": place.tolist(),
            "rotation": turns[0, joint].tolist(),
        }
        children = [child for child, above in enumerate(PARENTS) if above == joint]
        if children:
            node["children"] = children
        nodes.append(node)
        animate(joint, "rotation", turns[:, joint])
    return nodes, {"name": "motion", "samplers": samplers, "channels": channels}


def _quaternions(figure: Figure) -> NDArray[np.float32]:
    """(T, 24, 4) unit quaternions x, y, z, w; neighbours in time lie on one side."""
    turns = roma.rotmat_to_unitquat(figure.rotations.double()).numpy()
    flips = np.sum(turns[1:] * turns[:-1], axis=-1) < 0
    turns[1:] *= np.cumprod(np.where(flips, -1.0, 1.0), axis=0)[..., None]
    return turns.astype(np.float32)
