"""Make ``eventhpe/body/data/default_body.npz``: a free body in SMPL's layout.

Shapes and bones come from MakeHuman's CC0 mesh and targets through ``anny`` 0.6.2; everything
after them (pose, joints, weights, correctives, thinning) is computed here. anny and warp-lang are
needed only here, so they live in an environment of their own::

    python -m venv .anny && .anny/bin/pip install anny==0.6.2 scipy smplx
    PYTHONPATH=. .anny/bin/python scripts/make_default_body.py

It takes about five minutes, most of them anny's first start (a 790 MB cache, see ANNY_CACHE_DIR).
Axes: y up, facing +z, the subject's left = +x; metres.
"""

import argparse
import heapq
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from eventhpe.body.joints import FLIP_PAIRS, PARENTS
from eventhpe.files import atomic_path

OUTPUT = Path(__file__).parents[1] / "eventhpe" / "body" / "data" / "default_body.npz"
PELVIS = np.array([0.0, -0.2233, 0.0282])
# SMPL's neutral rest offsets of each joint from its parent (metres), left and right averaged by
# mirroring: they fix which pose a rotation means, so the free body's bones point the same way.
_LEFT = {
    1: ((0.0695, -0.0914, -0.0068), (-0.0677, -0.0905, -0.0043)),
    4: ((0.0343, -0.3752, -0.0045), (-0.0383, -0.3826, -0.0089)),
    7: ((-0.0136, -0.3980, -0.0437), (0.0158, -0.3984, -0.0423)),
    10: ((0.0264, -0.0558, 0.1193), (-0.0254, -0.0481, 0.1233)),
    13: ((0.0788, 0.1217, -0.0341), (-0.0818, 0.1188, -0.0386)),
    16: ((0.0910, 0.0305, -0.0089), (-0.0960, 0.0326, -0.0091)),
    18: ((0.2596, -0.0128, -0.0275), (-0.2537, -0.0133, -0.0214)),
    20: ((0.2492, 0.0090, -0.0012), (-0.2553, 0.0078, -0.0056)),
    22: ((0.0840, -0.0082, -0.0149), (-0.0846, -0.0061, -0.0103)),
}
_MIDDLE = {
    3: (0.0, 0.1090, -0.0267),
    6: (0.0, 0.1352, 0.0011),
    9: (0.0, 0.0529, 0.0254),
    12: (0.0, 0.2139, -0.0429),
    15: (0.0, 0.0650, 0.0513),
}
MIRROR = np.array([-1.0, 1.0, 1.0])


def smpl_offsets() -> np.ndarray:
    """Left-right symmetric rest offsets (24, 3) of SMPL's neutral body; the root's is 0."""
    offsets = np.zeros((24, 3))
    for joint, (left, right) in _LEFT.items():
        offsets[joint] = (np.array(left) + np.array(right) * MIRROR) / 2
        offsets[FLIP_PAIRS[joint]] = offsets[joint] * MIRROR
    for joint, offset in _MIDDLE.items():
        offsets[joint] = offset
    return offsets


OFFSETS = smpl_offsets()


# --- 1. Random adults from anny -----------------------------------------------------------------


def sample_adults(count: int, seed: int) -> dict[str, np.ndarray]:
    """Rest meshes (N, V, 3) and bone heads (N, B, 3) of random adults, in our axes."""
    import anny
    import torch

    model = anny.Anny(rig="anny", topology="anny", phenotypes="default")
    rng = np.random.default_rng(seed)

    def around(mean: float, deviation: float) -> np.ndarray:
        return np.clip(rng.normal(mean, deviation, count), 0.0, 1.0)

    phenotypes = {
        # anny's gender axis is 0 = male, 1 = female; adults begin at age 2/3.
        "gender": np.where(rng.random(count) < 0.5, rng.beta(1, 6, count), rng.beta(6, 1, count)),
        "age": rng.uniform(0.64, 0.92, count),
        "muscle": around(0.5, 0.18),
        "weight": around(0.5, 0.20),
        "height": around(0.39, 0.08),
        "proportions": around(0.5, 0.20),
    }
    meshes, heads = [], []
    for start in range(0, count, 50):
        part = {k: torch.tensor(v[start : start + 50]) for k, v in phenotypes.items()}
        out = model(phenotype_kwargs=part)
        meshes.append(out["rest_vertices"].numpy())
        heads.append(out["rest_bone_heads"].numpy())
    weights = np.zeros((meshes[0].shape[1], len(model.bone_labels)))
    rows = np.arange(len(weights))[:, None]
    np.add.at(weights, (rows, model.vertex_bone_indices.numpy()), model.vertex_bone_weights.numpy())
    return {
        "vertices": to_y_up(np.concatenate(meshes)),
        "heads": to_y_up(np.concatenate(heads)),
        "weights": weights,
        "faces": model.faces.numpy(),
        "labels": np.array(model.bone_labels),
        "base_index": model.base_mesh_vertex_indices.numpy(),
        "cavity": np.array(cavity_vertices()),
    }


def cavity_vertices() -> list[int]:
    """MakeHuman indices of the vertices inside the mouth, nose and eye sockets (anny's list)."""
    import anny
    import torch

    path = Path(anny.__file__).parent / "data" / "template_mesh_internal_cavities.pth"
    return list(torch.load(path, weights_only=True)["vertex_indices"])


def to_y_up(points: np.ndarray) -> np.ndarray:
    """anny's z-up, facing -y, left = +x to y-up, facing +z, left = +x."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


# --- 2. The rest pose: anny's A-pose bent to SMPL's bone directions -----------------------------

# Bones that turn in the rest pose, with the bones that follow each rigidly (name prefixes).
_LIMB_BONES = {
    "upperleg": ("upperleg",),
    "lowerleg": ("lowerleg",),
    "foot": ("foot", "toe"),
    "upperarm": ("upperarm",),
    "lowerarm01": ("lowerarm01",),
    "lowerarm02": ("lowerarm02",),
    "wrist": ("wrist", "finger", "metacarpal"),
}
TORSO_TILT = np.deg2rad(5.0)


class RestPose:
    """Poses a batch of anny bodies; keeps the posed heads and each joint's target (N, 3)."""

    def __init__(self, adults: dict[str, np.ndarray]) -> None:
        self.labels = list(adults["labels"])
        self.heads = adults["heads"].copy()
        self.vertices = adults["vertices"].copy()
        self.weights = adults["weights"]
        self.groups = self._groups()
        self.targets: dict[int, np.ndarray] = {}
        self._solve()

    def _groups(self) -> dict[str, np.ndarray]:
        """Boolean bone masks (B,) of the rigid groups, torso and head included."""
        groups = {}
        for side in "LR":
            for name, prefixes in _LIMB_BONES.items():
                groups[name + side] = np.array(
                    [b.endswith("." + side) and b.startswith(prefixes) for b in self.labels]
                )
        groups["head"] = np.array([b.startswith(("neck", "head", "eye")) for b in self.labels])
        taken = np.any(list(groups.values()), 0)
        upper = ("spine04", "spine03", "spine02", "spine01", "clavicle", "shoulder")
        groups["upper"] = np.array([b.startswith(upper) for b in self.labels]) & ~taken
        return groups

    def head(self, name: str) -> np.ndarray:
        return self.heads[:, self.labels.index(name)]

    def turn(self, pivot: np.ndarray, rotation: Rotation, *groups: str) -> None:
        """Rotate groups (with their share of each vertex) about ``pivot`` (N, 3)."""
        matrix = np.broadcast_to(rotation.as_matrix(), (len(pivot), 3, 3))
        bones = np.any([self.groups[g] for g in groups], 0)
        share = self.weights[:, bones].sum(1)
        touched = share > 0
        moved = self._about(self.vertices[:, touched], pivot, matrix)
        kept = 1 - share[touched][:, None]
        self.vertices[:, touched] = kept * self.vertices[:, touched] + (1 - kept) * moved
        self.heads[:, bones] = self._about(self.heads[:, bones], pivot, matrix)

    @staticmethod
    def _about(points: np.ndarray, pivot: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return np.einsum("nij,nvj->nvi", matrix, points - pivot[:, None]) + pivot[:, None]

    def _solve(self) -> None:
        root = self.head("root")
        turn_x = Rotation.from_rotvec([[-TORSO_TILT, 0, 0], [TORSO_TILT, 0, 0]])
        arms = [g + s for s in "LR" for g in ("upperarm", "lowerarm01", "lowerarm02", "wrist")]
        # SMPL's spine leans back from the hips; the head goes on looking straight ahead.
        self.turn(root, turn_x[0], "upper", "head", *arms)
        self.turn(self.head("neck01"), turn_x[1], "head")
        self._pelvis_and_spine()
        for side, sign in (("L", 0), ("R", 1)):
            self._arm(side, sign)
            self._leg(side, sign)
        shift = PELVIS - self.targets[0]
        self.vertices += shift[:, None]
        self.targets = {joint: point + shift for joint, point in self.targets.items()}

    def _pelvis_and_spine(self) -> None:
        hip_l, hip_r = self.head("upperleg01.L"), self.head("upperleg01.R")
        middle = (hip_l + hip_r) / 2
        stature = np.ptp(self.vertices[..., 1], axis=1)[:, None]
        # MakeHuman's hip bones start at the hip's outside, SMPL's joints further in and lower.
        half = 0.66 * (hip_l - hip_r)[:, :1] / 2
        scale = half / OFFSETS[1, 0]
        middle = middle * [0, 1, 1] - [0, 0.012, 0] * stature
        self.targets[0] = middle - scale * OFFSETS[1] * [0, 1, 1]
        self.targets[1] = self.targets[0] + scale * OFFSETS[1]
        self.targets[2] = self.targets[0] + scale * OFFSETS[2]
        spine = OFFSETS[3] + OFFSETS[6] + OFFSETS[9] + OFFSETS[12]
        neck_height = self.head("neck01")[:, 1:2] - 0.012 * stature - self.targets[0][:, 1:2]
        scale = neck_height / spine[1]
        for joint in (3, 6, 9, 12):
            self.targets[joint] = self.targets[PARENTS[joint]] + scale * OFFSETS[joint]
        self.targets[15] = self.targets[12] + stature / 1.72 * OFFSETS[15]

    def _place(self, child: str, pivot: str, parent: int, joint: int, *groups: str) -> None:
        """Turn ``groups`` about ``pivot`` until ``child`` lies on SMPL's direction from parent."""
        direction = OFFSETS[joint] / np.linalg.norm(OFFSETS[joint])
        centre, origin = self.head(pivot), self.targets[parent]
        arm = self.head(child) - centre
        radius2 = (arm**2).sum(1)
        gap = origin - centre
        b = gap @ direction
        step = -b + np.sqrt(b**2 - (gap**2).sum(1) + radius2)
        self.targets[joint] = origin + step[:, None] * direction
        self.turn(centre, shortest(arm, self.targets[joint] - centre), *groups)

    def _arm(self, side: str, sign: int) -> None:
        def joint(left: int) -> int:
            return left + sign

        lower = [f"lowerarm01{side}", f"lowerarm02{side}", f"wrist{side}"]
        spine3, shoulder = self.targets[9], self.head(f"upperarm01.{side}")
        # Two lengths (collar, shoulder) meet the anatomical shoulder in x and y.
        axes = np.stack([OFFSETS[joint(13)][:2], OFFSETS[joint(16)][:2]], 1)
        lengths = (shoulder - spine3)[:, :2] @ np.linalg.inv(axes).T
        self.targets[joint(13)] = spine3 + lengths[:, :1] * OFFSETS[joint(13)]
        self.targets[joint(16)] = self.targets[joint(13)] + lengths[:, 1:] * OFFSETS[joint(16)]
        self._place(
            f"lowerarm01.{side}", f"upperarm01.{side}", joint(16), joint(18),
            f"upperarm{side}", *lower,
        )  # fmt: skip
        self._place(f"wrist.{side}", f"lowerarm01.{side}", joint(18), joint(20), *lower)
        self._place(f"finger3-1.{side}", f"wrist.{side}", joint(20), joint(22), f"wrist{side}")
        forearm = self.targets[joint(20)] - self.targets[joint(18)]
        length = np.linalg.norm(forearm, axis=1, keepdims=True)
        ratio = length / np.linalg.norm(OFFSETS[joint(20)])
        self.targets[joint(22)] = self.targets[joint(20)] + ratio * OFFSETS[joint(22)]
        axis = forearm / length
        across = self.head(f"finger2-1.{side}") - self.head(f"finger5-1.{side}")
        # Palms down: the index finger's side faces forward; the forearm shares the twist.
        forward = np.array([0.0, 0.0, 1.0])
        angle = np.arctan2(
            (np.cross(across, forward) * axis).sum(1),
            (across * forward).sum(1) - (across * axis).sum(1) * (axis * forward).sum(1),
        )
        third = Rotation.from_rotvec(axis * angle[:, None] / 3)
        for start, pivot in enumerate(("lowerarm01", "lowerarm02", "wrist")):
            self.turn(self.head(f"{pivot}.{side}"), third, *lower[start:])

    def _leg(self, side: str, sign: int) -> None:
        foot = f"foot{side}"
        toe = self.head(f"toe3-1.{side}") - self.head(f"foot.{side}")
        across = self.head(f"toe2-1.{side}") - self.head(f"toe4-1.{side}")
        self._place(
            f"lowerleg01.{side}", f"upperleg01.{side}", 1 + sign, 4 + sign,
            f"upperleg{side}", f"lowerleg{side}", foot,
        )  # fmt: skip
        self._place(
            f"foot.{side}", f"lowerleg01.{side}", 4 + sign, 7 + sign, f"lowerleg{side}", foot
        )
        # The sole stays as flat as anny made it: only the yaw changes, to SMPL's.
        yaw = np.arctan2(OFFSETS[10 + sign][0], OFFSETS[10 + sign][2])
        yaw = yaw - np.arctan2(toe[:, 0], toe[:, 2])
        level = Rotation.from_rotvec(yaw[:, None] * [0, 1, 0])
        now = frame(
            self.head(f"toe3-1.{side}") - self.head(f"foot.{side}"),
            self.head(f"toe2-1.{side}") - self.head(f"toe4-1.{side}"),
        )
        self.turn(self.head(f"foot.{side}"), level * frame(toe, across) * now.inv(), foot)
        ratio = np.hypot(toe[:, 0], toe[:, 2]) / np.hypot(*OFFSETS[10 + sign][[0, 2]])
        self.targets[10 + sign] = self.targets[7 + sign] + ratio[:, None] * OFFSETS[10 + sign]


def frame(first: np.ndarray, second: np.ndarray) -> Rotation:
    """Right-handed frames (N) whose x axis is ``first`` and whose xy plane holds ``second``."""
    x = first / np.linalg.norm(first, axis=-1, keepdims=True)
    z = np.cross(x, second)
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    return Rotation.from_matrix(np.stack([x, np.cross(z, x), z], -1))


def shortest(start: np.ndarray, end: np.ndarray) -> Rotation:
    """Shortest rotations (N) that turn the directions ``start`` into ``end``."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, (start * end).sum(1))
    return Rotation.from_rotvec(axis * (angle / np.maximum(sine, 1e-12))[:, None])


# --- 3. One closed outer skin, thinned where it is dense ----------------------------------------


def outer_skin(faces: np.ndarray, count: int, removed: np.ndarray) -> np.ndarray:
    """Faces of the largest component without ``removed`` vertices, its holes closed."""
    faces = faces[~removed[faces].any(1)]
    label = np.arange(count)
    while True:  # label propagation: the mesh is small and this is exact
        smallest = label.copy()
        np.minimum.at(smallest, faces, label[faces].min(1)[:, None])
        if (smallest == label).all():
            break
        label = smallest[smallest]
    corner = label[faces[:, 0]]
    return faces[corner == np.bincount(corner).argmax()]


def close_holes(faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Close each boundary loop by cutting the ear with the shortest new edge, again and again."""
    directed = {(a, b) for f in faces.tolist() for a, b in zip(f, f[1:] + f[:1], strict=True)}
    after = {b: a for a, b in directed if (b, a) not in directed}  # the hole's own direction
    added = []
    while after:
        start, loop = next(iter(after)), []
        node = start
        while node in after:
            loop.append(node)
            node = after.pop(node)
        while len(loop) > 3:
            ring = points[loop]
            span = np.linalg.norm(np.roll(ring, 1, 0) - np.roll(ring, -1, 0), axis=1)
            cut = int(span.argmin())
            added.append((loop[cut - 1], loop[cut], loop[(cut + 1) % len(loop)]))
            del loop[cut]
        added.append(tuple(loop))
    return np.vstack([faces, np.array(added).reshape(-1, 3)])


class Thinning:
    """Half-edge collapse by quadric error (Garland and Heckbert 1997, section 4).

    Vertices are only ever dropped, never moved, so every per-vertex quantity stays valid.
    """

    def __init__(self, points: np.ndarray, faces: np.ndarray) -> None:
        self.points = points
        self.faces = [list(f) for f in faces]
        self.around: list[set[int]] = [set() for _ in points]
        self.quadrics = np.zeros((len(points), 4, 4))
        for index, corners in enumerate(self.faces):
            plane, area = self._plane(corners)
            for corner in corners:
                self.around[corner].add(index)
                self.quadrics[corner] += area * np.outer(plane, plane)
        # A little of the point's own position keeps flat regions evenly spaced.
        for vertex, near in enumerate(self.around):
            area = sum(self._plane(self.faces[i])[1] for i in near)
            point = points[vertex]
            own = np.eye(4)
            own[:3, 3] = own[3, :3] = -point
            own[3, 3] = point @ point
            self.quadrics[vertex] += 0.02 * area * own

    def _plane(self, corners: list[int]) -> tuple[np.ndarray, float]:
        a, b, c = self.points[corners]
        normal = np.cross(b - a, c - a)
        area = float(np.linalg.norm(normal))
        normal = normal / max(area, 1e-20)
        return np.append(normal, -normal @ a), area

    def neighbours(self, vertex: int) -> set[int]:
        return {c for i in self.around[vertex] for c in self.faces[i]} - {vertex}

    def _best(self, vertex: int) -> tuple[float, int, int]:
        options = []
        for target in self.neighbours(vertex):
            point = np.append(self.points[target], 1.0)
            options.append((float(point @ self.quadrics[vertex] @ point), vertex, target))
        return min(options)

    def _allowed(self, vertex: int, target: int) -> bool:
        # Link condition: two shared neighbours exactly, or the surface would pinch.
        if len(self.neighbours(vertex) & self.neighbours(target)) != 2:
            return False
        for index in self.around[vertex] - self.around[target]:
            corners = self.faces[index]
            moved = [target if c == vertex else c for c in corners]
            before, after = self._plane(corners)[0], self._plane(moved)
            if after[1] < 1e-9 or before[:3] @ after[0][:3] < 0.3:
                return False
            sides = self.points[moved] - self.points[np.roll(moved, 1)]
            if after[1] < 0.25 * (sides**2).sum(1).max():
                return False  # slivers bend badly
        return True

    def run(self, droppable: np.ndarray, drop: int) -> np.ndarray:
        """Drop ``drop`` vertices out of the mask ``droppable``; returns the faces left."""
        heap = [self._best(v) for v in np.flatnonzero(droppable).tolist() if self.around[v]]
        heapq.heapify(heap)
        while drop > 0 and heap:
            cost, vertex, target = heapq.heappop(heap)
            if not self.around[vertex]:
                continue
            current = self._best(vertex)
            if current[0] > cost * (1 + 1e-9) or current[2] != target:
                heapq.heappush(heap, current)
                continue
            if not self._allowed(vertex, target):
                continue
            for index in list(self.around[vertex]):
                corners = self.faces[index]
                if target in corners:
                    for corner in corners:
                        self.around[corner].discard(index)
                    self.faces[index] = []
                else:
                    self.faces[index] = [target if c == vertex else c for c in corners]
                    self.around[target].add(index)
            self.around[vertex] = set()
            self.quadrics[target] += self.quadrics[vertex]
            for near in self.neighbours(target):
                if droppable[near]:
                    heapq.heappush(heap, self._best(near))
            drop -= 1
        return np.array([f for f in self.faces if f])


# --- 4. Joints, weights, shape space ------------------------------------------------------------

ELBOW_WIDTH = 0.10  # metres along the arm, from all upper arm to all forearm
_BONE_TO_JOINT = {
    "pelvis": 0, "upperleg": 1, "lowerleg": 4, "foot": 7, "toe": 10, "clavicle": 13,
    "shoulder01": 13, "upperarm": 16, "lowerarm": 18, "wrist": 20, "metacarpal": 20,
    "finger1-1": 20, "finger": 22, "neck01": 12, "neck02": 12, "neck03": 15, "head": 15, "eye": 15,
}  # fmt: skip


def merge_weights(weights: np.ndarray, labels: list[str], points: np.ndarray) -> np.ndarray:
    """anny's bone weights (V, 104) as weights (V, 24) of SMPL's joints.

    The spine's bones end elsewhere than SMPL's joints, so its share is dealt out again by height.
    """
    merged = np.zeros((len(weights), 24))
    spine = np.zeros(len(weights))
    for column, label in enumerate(labels):
        name = label.split(".")[0]
        joint = next((j for b, j in _BONE_TO_JOINT.items() if name.startswith(b)), None)
        if joint is None:
            spine += weights[:, column]
        else:
            right = label.endswith(".R") and joint != FLIP_PAIRS[joint]
            merged[:, FLIP_PAIRS[joint] if right else joint] += weights[:, column]
    # (joint below, height where the next takes over, half width); the pelvis is at -0.2233.
    above = np.ones(len(weights))
    for below, height, width in ((0, -0.125, 0.07), (3, -0.01, 0.06), (6, 0.06, 0.06)):
        ramp = np.clip((points[:, 1] - height) / width / 2 + 0.5, 0, 1)
        ramp = np.minimum(ramp * ramp * (3 - 2 * ramp), above)
        merged[:, below] += spine * (above - ramp)
        above = ramp
    merged[:, 9] += spine * above
    return merged


def recentre_elbows(weights: np.ndarray, points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Deal out the arms' share again along the arm: anny's weights change 16 mm off the elbow."""
    weights = weights.copy()
    for upper, lower in ((16, 18), (17, 19)):
        beyond = (points[:, 0] - joints[lower, 0]) * np.sign(joints[lower, 0])
        ramp = np.clip(beyond / ELBOW_WIDTH + 0.5, 0, 1)
        ramp = ramp * ramp * (3 - 2 * ramp)
        both = weights[:, upper] + weights[:, lower]
        weights[:, upper], weights[:, lower] = both * (1 - ramp), both * ramp
    return weights


def smooth_weights(weights: np.ndarray, faces: np.ndarray, rounds: int) -> np.ndarray:
    """Weights averaged with the neighbours', cut to the four largest (and ties), summing to 1."""
    edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)
    both = np.vstack([edges, edges[:, ::-1]])
    degree = np.bincount(both[:, 0], minlength=len(weights))[:, None]
    for _ in range(rounds):
        near = np.zeros_like(weights)
        np.add.at(near, both[:, 0], weights[both[:, 1]])
        weights = 0.5 * weights + 0.5 * near / degree
    fourth = np.sort(weights, 1)[:, -4:-3]
    weights = np.where((weights >= fourth) & (weights > 0.004), weights, 0)
    return weights / weights.sum(1, keepdims=True)


def fit_regressor(vertices: np.ndarray, targets: np.ndarray, near: int = 160) -> np.ndarray:
    """Non-negative rows summing to 1 (24, V) with ``regressor @ vertices`` close to ``targets``."""
    mean = vertices.mean(0)
    regressor = np.zeros((24, vertices.shape[1]))
    for joint in range(24):
        centre = targets[:, joint].mean(0)
        distance = np.linalg.norm(mean - centre, axis=1)
        candidates = np.argsort(distance)[: 4 * near : 4]
        system = vertices[:, candidates].transpose(0, 2, 1).reshape(-1, len(candidates))
        wanted = targets[:, joint].reshape(-1)
        one = 100.0 * np.sqrt(len(targets))  # the row sum counts as much as metres of error
        # A small ridge spreads a row over more vertices, so no single vertex carries a joint.
        ridge = 0.01 * np.sqrt(len(targets)) * np.eye(len(candidates))
        solution, _ = nnls(
            np.vstack([system, one * np.ones(len(candidates)), ridge]),
            np.concatenate([wanted, [one], np.zeros(len(candidates))]),
        )
        solution[solution < 1e-4] = 0
        regressor[joint, candidates] = solution / solution.sum()
    return regressor


def shape_space(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean (V, 3), ten directions (V, 3, 10) of unit variance, and their share of variance."""
    mean = vertices.mean(0)
    rows = (vertices - mean).reshape(len(vertices), -1)
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    directions = basis[:10] * (singular[:10] / np.sqrt(len(vertices) - 1))[:, None]
    # Signs are free: positive betas make the body taller (first) or wider.
    heights = directions.reshape(10, -1, 3)[..., 1]
    flip = np.where(np.ptp(mean[:, 1] + heights, axis=1) < np.ptp(mean[:, 1]), -1, 1)
    share = float((singular[:10] ** 2).sum() / (singular**2).sum())
    return mean, (directions * flip[:, None]).T.reshape(*mean.shape, 10), share


# --- 5. Pose correctives ------------------------------------------------------------------------

# Rotation vectors (radians) are drawn uniformly from these boxes: (low, high) for x, y, z of the
# left joint or the middle one. They span what people do, a little beyond.
_RANGES = {
    1: ((-2.0, 0.6), (-0.7, 0.7), (-0.6, 1.0)),
    3: ((-0.4, 0.7), (-0.5, 0.5), (-0.4, 0.4)),
    4: ((-0.1, 2.3), (-0.2, 0.2), (-0.1, 0.1)),
    6: ((-0.4, 0.7), (-0.5, 0.5), (-0.4, 0.4)),
    7: ((-0.7, 0.7), (-0.4, 0.4), (-0.4, 0.4)),
    9: ((-0.3, 0.5), (-0.4, 0.4), (-0.3, 0.3)),
    10: ((-0.7, 0.4), (-0.2, 0.2), (-0.2, 0.2)),
    12: ((-0.6, 0.6), (-0.7, 0.7), (-0.4, 0.4)),
    13: ((-0.3, 0.3), (-0.4, 0.4), (-0.3, 0.6)),
    15: ((-0.5, 0.5), (-0.7, 0.7), (-0.4, 0.4)),
    16: ((-1.0, 1.0), (-1.6, 0.8), (-1.5, 1.4)),
    18: ((-0.8, 0.8), (-2.4, 0.1), (-0.2, 0.2)),
    20: ((-1.4, 1.4), (-0.5, 0.5), (-1.2, 1.2)),
    22: ((-0.3, 0.3), (-0.4, 0.4), (-1.0, 0.5)),
}
# How far to go from linear (0) to spherical (1) blending: where flesh is far from the joint
# (buttocks, chest) all of it bulges.
_STRENGTH = {1: 0.45, 4: 0.7, 13: 0.4, 16: 0.45, 18: 1.0, 20: 1.0, 22: 1.0}


def fit_correctives(
    template: np.ndarray, joints: np.ndarray, weights: np.ndarray, seed: int
) -> np.ndarray:
    """Pose blend shapes (V, 3, 207) that give bends their volume back.

    When one joint turns by R, linear blending moves a vertex of weight u (its share of the
    joint's subtree) by (1-u) I + u R, which shrinks towards the joint; turning it by R^u about
    the joint (spherical blending; Kavan and Zara 2005) does not. The difference, taken back to
    the rest pose, is fitted by least squares to SMPL's features vec(R - I).
    """
    rng = np.random.default_rng(seed)
    directions = np.zeros((len(template), 3, 23, 9))
    for joint in range(1, 24):
        box = np.array(_RANGES[min(joint, FLIP_PAIRS[joint])])
        vectors = rng.uniform(box[:, 0], box[:, 1], (400, 3))
        if joint > FLIP_PAIRS[joint]:
            vectors *= [1, -1, -1]  # a mirrored rotation
        share = weights[:, subtree(joint)].sum(1)
        moving = (share > 0.01) & (share < 0.99)
        u, arm = share[moving], template[moving] - joints[joint]
        matrices = Rotation.from_rotvec(vectors).as_matrix()
        part = Rotation.from_rotvec((vectors[:, None] * u[:, None]).reshape(-1, 3)).as_matrix()
        spherical = np.einsum("svij,vj->svi", part.reshape(len(vectors), -1, 3, 3), arm)
        linear = u[:, None, None] * matrices[:, None] + (1 - u[:, None, None]) * np.eye(3)
        offset = np.linalg.solve(linear, spherical[..., None])[..., 0] - arm
        offset *= _STRENGTH.get(min(joint, FLIP_PAIRS[joint]), 0.5)
        features = (matrices - np.eye(3)).reshape(-1, 9)
        ridge = 0.05 * np.sqrt(len(vectors)) * np.eye(9)
        system = np.vstack([features, ridge])
        wanted = np.vstack([offset.reshape(len(vectors), -1), np.zeros((9, offset[0].size))])
        solution = np.linalg.lstsq(system, wanted, rcond=None)[0]
        directions[moving, :, joint - 1] = solution.T.reshape(-1, 3, 9)
    directions[np.abs(directions) < 1e-4] = 0  # a tenth of a millimetre
    return directions.reshape(len(template), 3, 207)


def subtree(joint: int) -> list[int]:
    """The joint and all joints below it."""
    members = [joint]
    for child in range(joint + 1, 24):
        if PARENTS[child] in members:
            members.append(child)
    return members


# --- 6. All together ----------------------------------------------------------------------------

_PARTS = {  # vertices left of each dense part, and the bones that mark it
    1300: ("finger", "metacarpal", "wrist"),
    800: ("toe", "foot"),
    1400: ("head", "eye", "neck03"),
}


def thin_skin(adults: dict[str, np.ndarray], mean: np.ndarray) -> np.ndarray:
    """Faces (F, 3) of the closed outer skin over anny's vertices, hands, feet and head thinned."""
    cavity = np.isin(adults["base_index"], adults["cavity"])
    faces = close_holes(outer_skin(adults["faces"], len(mean), cavity), mean)
    strongest = adults["labels"][adults["weights"].argmax(1)]
    used = np.isin(np.arange(len(mean)), faces)
    thinning = Thinning(mean, faces)
    for left, prefixes in _PARTS.items():
        part = used & np.array([bone.startswith(prefixes) for bone in strongest])
        faces = thinning.run(part, int(part.sum()) - left)
    return faces


def make(adults: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """The file's arrays; prints the figures that say how good they are."""
    pose = RestPose(adults)
    targets = np.stack([pose.targets[joint] for joint in range(24)], 1)
    faces = thin_skin(adults, pose.vertices.mean(0))
    kept, flat = np.unique(faces, return_inverse=True)
    faces = flat.reshape(-1, 3)
    vertices = pose.vertices[:, kept]
    train = 3 * len(vertices) // 4
    regressor = fit_regressor(vertices[:train], targets[:train])
    held_out = np.einsum("jv,nvc->njc", regressor, vertices[train:]) - targets[train:]
    error = 1000 * np.linalg.norm(held_out, axis=-1)
    template, directions, share = shape_space(vertices)
    merged = merge_weights(adults["weights"][kept], list(adults["labels"]), template)
    joints = regressor @ template
    weights = smooth_weights(recentre_elbows(merged, template, joints), faces, rounds=3)
    print(f"{len(template)} vertices, {len(faces)} faces, {np.ptp(template[:, 1]):.3f} m tall")
    print(f"ten betas hold {100 * share:.2f}% of the variance")
    print(
        f"held-out joint error: mean {error.mean():.1f} mm, worst joint {error.mean(0).max():.1f}"
    )
    return {
        "v_template": template.astype(np.float32),
        "shapedirs": directions.astype(np.float16),
        "posedirs": fit_correctives(template, joints, weights, seed).astype(np.float16),
        "J_regressor": regressor.astype(np.float32),
        "kintree_table": np.array([PARENTS, range(24)], dtype=np.int64),
        "weights": weights.astype(np.float32),
        "f": faces.astype(np.uint16),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the free default body from anny's data.")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--adults", type=int, default=400, help="random adults to learn from")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    arrays = make(sample_adults(arguments.adults, arguments.seed), arguments.seed)
    with atomic_path(arguments.output) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
