"""Which OpenGL route works here, found out without spoiling this process, and the mesh drawn by it.

PyOpenGL binds to one platform (EGL or OSMesa) at its first import and for the life of the process,
and a failed import cannot be taken back. So each route is tried in a child process first, and only
a route that drew a triangle there is imported here.
"""

import functools
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.errors import InputError

PLATFORMS = ("egl", "osmesa")
_VARIABLE = "PYOPENGL_PLATFORM"
_PROBE_SECONDS = 60.0
_NEAR, _FAR = 0.05, 200.0

_PROBE = """
import numpy, pyrender, trimesh
renderer = pyrender.OffscreenRenderer(8, 8)
scene = pyrender.Scene()
scene.add(pyrender.Mesh.from_trimesh(trimesh.creation.icosphere(0)))
pose = numpy.eye(4)
pose[2, 3] = 3
scene.add(pyrender.IntrinsicsCamera(8, 8, 4, 4), pose=pose)
assert (renderer.render(scene)[1] > 0).any(), "nothing was drawn"
renderer.delete()
"""


@dataclass(frozen=True)
class Route:
    """The OpenGL platform that works here, or ``None`` with the reason for each that does not."""

    platform: str | None
    reason: str


@functools.cache
def probe(platform: str) -> str:
    """Draw a triangle offscreen in a child process; '' when it worked, else why not."""
    environment = {**os.environ, _VARIABLE: platform}
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{platform}: {type(error).__name__}"
    if child.returncode == 0:
        return ""
    lines = child.stderr.strip().splitlines()
    return f"{platform}: {lines[-1] if lines else f'exit code {child.returncode}'}"


def find_route(wanted: str | None = None) -> Route:
    """Find a working OpenGL platform: the one wanted, or EGL, then OSMesa.

    Where ``PYOPENGL_PLATFORM`` is set, or OpenGL is already imported, only that one platform can
    work in this process, and only it is tried.
    """
    bound = os.environ.get(_VARIABLE)
    if bound is None and "OpenGL" in sys.modules:
        return Route(None, "OpenGL is already imported for a window system")
    if bound is not None and (bound not in PLATFORMS or wanted not in (None, bound)):
        return Route(None, f"{_VARIABLE} is {bound} in this process")
    choice = bound or wanted
    reasons = []
    for platform in (choice,) if choice else PLATFORMS:
        reason = probe(platform)
        if not reason:
            return Route(platform, "")
        reasons.append(reason)
    return Route(None, "; ".join(reasons))


def require_backend(name: str | None) -> None:
    """Refuse an OpenGL platform that does not work here, before any work is done for it.

    Args:
        name: a platform; None and what is no platform are let pass.

    Raises:
        InputError: it does not work.
    """
    if name in PLATFORMS and (route := find_route(name)).platform is None:
        raise missing_backend(name, route.reason)


def missing_backend(name: str, reason: str) -> InputError:
    """The error of a backend that does not work here."""
    return InputError(
        "--backend",
        f"{name}, which does not work here ({reason})",
        "a backend that works",
        "Leave it out: the project's own rasterizer draws; eventhpe doctor says what is missing.",
    )


class PyrenderCanvas:
    """Draws one mesh at a time through pyrender on the platform given.

    Args:
        width, height: image size in pixels.
        K: (3, 3) intrinsics, pixel centres at integers.
        platform: ``egl`` or ``osmesa``; must have passed ``probe``.

    Raises:
        ImportError, OSError, RuntimeError: OpenGL is not to be had after all.
    """

    def __init__(self, width: int, height: int, K: NDArray[np.float64], platform: str) -> None:
        os.environ[_VARIABLE] = platform
        self._pyrender: Any = import_module("pyrender")
        self._trimesh: Any = import_module("trimesh")
        self._skew = K[0, 1] / K[0, 0]
        self._scene = self._pyrender.Scene(
            bg_color=(0.5, 0.5, 0.5), ambient_light=(0.35, 0.35, 0.35)
        )
        # OpenGL counts from the pixel's corner, our convention from its centre.
        camera = self._pyrender.IntrinsicsCamera(
            K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, znear=_NEAR, zfar=_FAR
        )
        self._scene.add(camera, pose=np.eye(4))
        self._scene.add(
            self._pyrender.DirectionalLight(intensity=3.0), pose=_light_pose(-0.4, 0.5, 1.0)
        )
        self._renderer = self._pyrender.OffscreenRenderer(width, height)

    def draw(
        self,
        vertices: NDArray[np.float32],
        faces: NDArray[np.int32],
        colour: tuple[int, int, int],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Draw vertices (V, 3) in our camera frame; returns rgb (H, W, 3) and depth (H, W), metres,
        inf where there is nothing."""
        # Our frame is x right, y down, z forward; OpenGL's is x right, y up, z backward.
        flipped = vertices * np.array([1, -1, -1], dtype=np.float32)
        flipped[:, 0] += self._skew * vertices[:, 1]
        material = self._pyrender.MetallicRoughnessMaterial(
            baseColorFactor=(*(np.array(colour) / 255) ** 2.2, 1.0),
            metallicFactor=0.0,
            roughnessFactor=0.7,
            doubleSided=True,
        )
        mesh = self._trimesh.Trimesh(flipped, faces, process=False)
        node = self._scene.add(
            self._pyrender.Mesh.from_trimesh(mesh, material=material, smooth=True)
        )
        try:
            rgb, depth = self._renderer.render(self._scene)
        finally:
            self._scene.remove_node(node)
        # OSMesa ignores the alpha flag, so what is drawn is told by the depth, 0 where nothing is.
        there = np.where(depth > 0, depth, np.inf).astype(np.float32)
        return np.ascontiguousarray(rgb[..., :3], dtype=np.uint8), there

    def close(self) -> None:
        """Free the OpenGL context."""
        self._renderer.delete()

    def __enter__(self) -> "PyrenderCanvas":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _light_pose(x: float, y: float, z: float) -> NDArray[np.float64]:
    """A pose (4, 4) at (x, y, z) in OpenGL's frame whose -z axis looks at the origin."""
    back = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = (x, y, z)
    return pose
