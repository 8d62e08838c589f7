"""The mesh is drawn where the camera sees it, by every backend, and without OpenGL too."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from eventhpe.errors import InputError
from eventhpe.rendering import opengl
from eventhpe.rendering.mesh import MeshRenderer, vertex_normals
from tests.rendering.rendering_scenes import K, ball

ODD_K = np.array([[500, 12.0, 290], [0, 620, 250], [0, 0, 1]])


def test_the_mask_of_a_ball_is_centred_on_its_projected_centre() -> None:
    centre = np.array([0.1, -0.15, 3.0])
    with MeshRenderer(128, 120, K, "rasterizer") as renderer:
        rgb, mask = renderer.render(*ball(*centre, radius=0.15))
    rows, columns = np.nonzero(mask)
    u, v, w = K @ centre
    assert [columns.mean(), rows.mean()] == pytest.approx([u / w, v / w], abs=0.3)
    assert rgb.shape == (120, 128, 3)
    assert mask.shape == (120, 128)
    # Seen area of a small ball: pi (fx r / z)(fy r / z).
    assert mask.sum() == pytest.approx(np.pi * 150 * 190 * (0.15 / 3) ** 2, rel=0.05)


def test_normals_of_a_ball_point_away_from_its_centre() -> None:
    vertices, faces = ball(0, 0, 0, radius=1)
    assert vertex_normals(vertices, faces) == pytest.approx(vertices, abs=0.02)


def test_the_side_towards_the_light_is_brighter() -> None:
    with MeshRenderer(128, 120, K, "rasterizer") as renderer:
        rgb, mask = renderer.render(*ball(0, 0, 2, radius=0.5))
    rows, columns = np.nonzero(mask)
    upper_left = mask & (np.add.outer(np.arange(120), np.arange(128)) < (rows + columns).mean())
    assert rgb[upper_left].mean() > rgb[mask & ~upper_left].mean() + 10


def test_a_second_picture_does_not_change_the_first() -> None:
    with MeshRenderer(128, 120, K, "rasterizer") as renderer:
        rgb, mask = renderer.render(*ball(0, 0, 3))
        kept = rgb.copy(), mask.copy()
        renderer.render(*ball(0.3, 0, 3))
    assert np.array_equal(rgb, kept[0])
    assert np.array_equal(mask, kept[1])


OPENGL_SCRIPT = """
import sys
import numpy as np
from eventhpe.errors import InputError
from eventhpe.rendering.mesh import MeshRenderer
backend, given, out = sys.argv[1:]
mesh = np.load(given)
try:
    renderer = MeshRenderer(640, 480, mesh["K"], backend)
except InputError as error:
    sys.exit(f"no OpenGL here: {error}")
with renderer:
    # A second mesh in one renderer: nothing of the first may stay.
    renderer.render(mesh["vertices"] - 0.5, mesh["faces"])
    rgb, mask = renderer.render(mesh["vertices"], mesh["faces"], colour=(250, 0, 0))
np.savez(out, rgb=rgb, mask=mask)
"""


@pytest.mark.parametrize("backend", opengl.PLATFORMS)
def test_opengl_and_the_rasterizer_draw_one_silhouette(backend: str, tmp_path: Path) -> None:
    given, out = tmp_path / "mesh.npz", tmp_path / "picture.npz"
    vertices, faces = ball(-0.3, -0.2, 3.0, radius=0.5)
    np.savez(given, vertices=vertices, faces=faces, K=ODD_K)
    # A process can bind to one OpenGL platform only, so each is drawn in its own.
    command = [sys.executable, "-c", OPENGL_SCRIPT, backend, str(given), str(out)]
    environment = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}
    child = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if child.stderr.startswith("no OpenGL here"):
        pytest.skip(child.stderr.strip())
    assert child.returncode == 0, child.stderr
    picture = np.load(out)
    rgb, theirs = picture["rgb"], picture["mask"]
    with MeshRenderer(640, 480, ODD_K, "rasterizer") as renderer:
        _, ours = renderer.render(vertices, faces)
    assert (theirs & ours).sum() / (theirs | ours).sum() > 0.97
    assert not (theirs & ~binary_dilation(ours)).any()
    assert not (ours & ~binary_dilation(theirs)).any()
    assert rgb[theirs][:, 0].mean() > rgb[theirs][:, 1].mean() + 60


def test_without_opengl_the_rasterizer_draws_and_asking_for_it_is_told_why(monkeypatch) -> None:
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    monkeypatch.delitem(sys.modules, "OpenGL", raising=False)
    monkeypatch.setattr(opengl, "probe", lambda platform: f"{platform}: no library")
    with MeshRenderer(128, 120, K) as renderer:
        assert renderer.backend == "rasterizer"
        _, mask = renderer.render(*ball(0, 0, 3))
    assert mask.any()
    with pytest.raises(InputError, match=r"egl, which does not work here \(egl: no library\)"):
        MeshRenderer(128, 120, K, "egl")
    with pytest.raises(InputError, match="Leave it out"):
        opengl.require_backend("osmesa")
    opengl.require_backend("rasterizer")


def test_a_failing_probe_is_a_reason_not_an_error(monkeypatch) -> None:
    monkeypatch.setattr(opengl, "_PROBE", "raise ImportError('libEGL.so.1 is missing')")
    assert "libEGL.so.1 is missing" in opengl.probe.__wrapped__("egl")


def test_osmesa_is_taken_where_egl_fails(monkeypatch) -> None:
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    monkeypatch.delitem(sys.modules, "OpenGL", raising=False)
    monkeypatch.setattr(opengl, "probe", lambda platform: "" if platform == "osmesa" else "no")
    assert opengl.find_route() == opengl.Route("osmesa", "")


def test_a_canvas_that_fails_after_its_probe_is_told(monkeypatch) -> None:
    def broken(*args: object) -> None:
        raise OSError("driver lost")

    monkeypatch.setattr(opengl, "find_route", lambda wanted: opengl.Route(wanted, ""))
    monkeypatch.setattr("eventhpe.rendering.mesh.PyrenderCanvas", broken)
    with pytest.raises(InputError, match="OSError: driver lost"):
        MeshRenderer(128, 120, K, "egl")


def test_a_platform_set_for_a_window_system_is_left_alone(monkeypatch) -> None:
    monkeypatch.setenv("PYOPENGL_PLATFORM", "glx")
    assert opengl.find_route().platform is None


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        MeshRenderer(4, 4, np.zeros((2, 3)), "rasterizer")
    with pytest.raises(ValueError, match="vulkan"):
        MeshRenderer(4, 4, K, "vulkan")
    with pytest.raises(ValueError, match=r"\(5, 2\)"):
        MeshRenderer(4, 4, K, "rasterizer").render(np.zeros((5, 2)), np.zeros((1, 3)))
