"""The .glb as other programs read it: its own nodes, played, stand where SMPL's joints are."""

import json
import struct
from dataclasses import replace

import numpy as np
import pygltflib
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from eventhpe.body import JOINT_NAMES, PARENTS
from eventhpe.export.figure import Figure, figure_of
from eventhpe.export.formats import export_motion

TYPES = {5121: np.uint8, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Read:
    """A .glb through pygltflib, and forward kinematics from nothing but what stands in it."""

    def __init__(self, path) -> None:
        self.file = pygltflib.GLTF2().load(str(path))
        self.blob = self.file.binary_blob()

    def array(self, index: int) -> NDArray:
        accessor = self.file.accessors[index]
        view = self.file.bufferViews[accessor.bufferView]
        dtype, width = TYPES[accessor.componentType], WIDTHS[accessor.type]
        start = view.byteOffset + (accessor.byteOffset or 0)
        values = np.frombuffer(self.blob, dtype, accessor.count * width, start)
        return values.reshape(accessor.count, width) if width > 1 else values

    def channel(self, node: int, path: str):
        """Times (N,), values (N, ...) and interpolation of an animated property, or None."""
        animation = self.file.animations[0]
        for channel in animation.channels:
            if (channel.target.node, channel.target.path) == (node, path):
                sampler = animation.samplers[channel.sampler]
                times, values = self.array(sampler.input), self.array(sampler.output)
                return times, values, sampler.interpolation
        return None

    def local(self, node: int, t: float) -> NDArray[np.float64]:
        """A node's matrix (4, 4) at a time; glTF 2.0, 3.5.3 and appendix C."""
        own = self.file.nodes[node]
        matrix, scale = np.eye(4), np.ones(3)
        matrix[:3, 3] = own.translation or [0, 0, 0]
        turn = Rotation.from_quat(own.rotation or [0, 0, 0, 1])
        if moved := self.channel(node, "translation"):
            times, values, how = moved
            assert how == "LINEAR"
            matrix[:3, 3] = [np.interp(t, times, column) for column in values.T]
        if turned := self.channel(node, "rotation"):
            times, values, how = turned
            assert how == "LINEAR"
            turn = Slerp(times, Rotation.from_quat(values))(np.clip(t, times[0], times[-1]))
        if sized := self.channel(node, "scale"):
            times, values, how = sized
            assert how == "STEP"
            scale = values[max(np.searchsorted(times, t + 1e-6) - 1, 0)]
        matrix[:3, :3] = turn.as_matrix() * scale
        return matrix

    def globals(self, t: float) -> dict[int, NDArray[np.float64]]:
        """The matrices of the scene's nodes."""
        found: dict[int, NDArray[np.float64]] = {}

        def descend(node: int, above: NDArray[np.float64]) -> None:
            found[node] = above @ self.local(node, t)
            for child in self.file.nodes[node].children or []:
                descend(child, found[node])

        for root in self.file.scenes[self.file.scene].nodes:
            descend(root, np.eye(4))
        return found

    def skinned(self, t: float) -> NDArray[np.float64]:
        """Vertices (V, 3); glTF 2.0, 3.7.3.3: the mesh's own node does not matter."""
        attributes = self.file.meshes[0].primitives[0].attributes
        positions, joints, weights = (
            self.array(index)
            for index in (attributes.POSITION, attributes.JOINTS_0, attributes.WEIGHTS_0)
        )
        skin, matrices = self.file.skins[0], self.globals(t)
        inverse = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
        moves = np.stack([matrices[node] for node in skin.joints]) @ inverse
        blended = np.einsum("vk,vkab->vab", weights, moves[joints])
        return np.einsum("vab,vb->va", blended[:, :3, :3], positions) + blended[:, :3, 3]


@pytest.fixture
def figure(wild, body) -> Figure:
    return figure_of(wild, body, "y", rate_hz=None, even=False, ends=False)


@pytest.fixture
def read(wild, tmp_path) -> Read:
    export_motion(wild, "glb", tmp_path / "a.glb")
    return Read(tmp_path / "a.glb")


def by_name(read: Read, t: float) -> NDArray[np.float64]:
    """Joints (24, 3) in SMPL's order."""
    places = {read.file.nodes[node].name: m[:3, 3] for node, m in read.globals(t).items()}
    return np.stack([places[name] for name in JOINT_NAMES])


def test_the_nodes_stand_where_the_joints_do(read, figure) -> None:
    times = read.channel(0, "translation")[0]
    np.testing.assert_allclose(times, np.arange(10) * 0.04, atol=1e-6)
    joints = figure.joints()
    for step in np.flatnonzero(figure.present):
        np.testing.assert_allclose(by_name(read, times[step]), joints[step], atol=1e-5)


def test_half_way_between_steps_it_is_the_motion_half_way(read, wild, body) -> None:
    between = wild.at(wild.t_us[3:4] + 20_000)
    expected = figure_of(wild, body, "y", rate_hz=None, even=False, ends=False).world.points(
        next(iter(between.posed(body)))[1]
    )
    np.testing.assert_allclose(by_name(read, 0.06), expected, atol=1e-4)


def test_the_skin_is_skinning_without_pose_blend_shapes(read, figure, body) -> None:
    """Against all weights of the body, in float64: the file keeps four a vertex."""
    smpl = body.smpl
    weights = smpl.lbs_weights.double().numpy()
    betas = figure.motion.betas.astype(np.float64)
    shaped = smpl.v_template.double().numpy() + smpl.shapedirs.double().numpy() @ betas
    rest = smpl.J_regressor.double().numpy() @ shaped
    for step in (0, 5, 9):
        turns = figure.rotations[step].double().numpy()
        matrices: list[NDArray[np.float64]] = []
        for joint, parent in enumerate(PARENTS):
            local = np.eye(4)
            local[:3, :3] = turns[joint]
            local[:3, 3] = figure.pelvis[step] if parent < 0 else rest[joint] - rest[parent]
            matrices.append(local if parent < 0 else matrices[parent] @ local)
        moves = np.stack(matrices)
        moves[:, :3, 3] -= np.einsum("jab,jb->ja", moves[:, :3, :3], rest)
        blended = np.einsum("vj,jab->vab", weights, moves)
        expected = np.einsum("vab,vb->va", blended[:, :3, :3], shaped) + blended[:, :3, 3]
        off = np.linalg.norm(read.skinned(step * 0.04) - expected, axis=1)
        few = (weights > 0).sum(axis=1) <= 4
        assert off[few].max() < 1e-5
        assert off.max() < 0.005  # two vertices have a fifth joint


def test_the_note_says_how_far_the_skin_is_from_the_body(read, figure, wild, tmp_path) -> None:
    here = np.flatnonzero(figure.present).tolist()
    off = [
        np.linalg.norm(read.skinned(step * 0.04) - surface, axis=1) * 1000
        for step, surface in zip(here, figure.meshes(here), strict=True)
    ]
    note = export_motion(wild, "glb", tmp_path / "b.glb").notes[-2]
    assert f"{np.mean(off):.1f} mm off" in note
    assert f"{np.max(off):.1f} mm at most" in note


def test_nobody_is_hidden_by_size_0_exactly_in_the_gap(read) -> None:
    extent = [np.ptp(read.skinned(t), axis=0).max() for t in np.arange(10) * 0.04]
    np.testing.assert_array_equal(np.array(extent) < 1e-6, [False] * 6 + [True] * 2 + [False] * 2)


def test_without_a_gap_nothing_is_scaled(wild, tmp_path) -> None:
    export_motion(replace(wild, state=np.full(14, 2)), "glb", tmp_path / "a.glb")
    assert Read(tmp_path / "a.glb").channel(0, "scale") is None


def test_neighbouring_quaternions_lie_on_one_side(read) -> None:
    """Programs that mix the four numbers must not turn the long way round."""
    for node in range(24):
        _, values, _ = read.channel(node, "rotation")
        np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
        assert (np.sum(values[1:] * values[:-1], axis=1) > 0).all()


def test_trimesh_reads_the_mesh(read, body, tmp_path) -> None:
    scene = trimesh.load(tmp_path / "a.glb")
    (mesh,) = scene.geometry.values()
    assert len(mesh.faces) == len(body.faces)
    assert mesh.is_watertight == trimesh.Trimesh(mesh.vertices, body.faces).is_watertight


def test_the_container_is_as_the_specification_has_it(read, tmp_path) -> None:
    content = (tmp_path / "a.glb").read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    document = json.loads(content[20 : 20 + size])
    size_of_rest, kind = struct.unpack_from("<I4s", content, 20 + size)
    assert kind == b"BIN\0"
    assert 28 + size + size_of_rest == len(content)
    assert size % 4 == size_of_rest % 4 == 0
    assert document["buffers"] == [{"byteLength": size_of_rest}]
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])
    for index, accessor in enumerate(document["accessors"]):
        if "min" in accessor:
            values = read.array(index)
            np.testing.assert_array_equal(np.float32(accessor["min"]), np.atleast_1d(values.min(0)))
            np.testing.assert_array_equal(np.float32(accessor["max"]), np.atleast_1d(values.max(0)))
