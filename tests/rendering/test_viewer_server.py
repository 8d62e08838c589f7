"""The running viewer: what stands in its scene, where it answers, how it begins and ends."""

import dataclasses
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eventhpe import metrics
from eventhpe.body import Body, load_body
from eventhpe.cli import main
from eventhpe.errors import InputError
from eventhpe.rendering.moments import moments
from eventhpe.rendering.overlay import POLARITY_COLOURS, STATE_COLOURS
from eventhpe.rendering.viewer import Viewer
from eventhpe.rendering.viewer.panel import Moment
from eventhpe.rendering.viewer.server import is_loopback, start_server, stop_server
from eventhpe.sequence import MotionSequence
from eventhpe.world import world_of
from tests.rendering.rendering_scenes import MemoryRecording, motion

viser = pytest.importorskip("viser", reason="the viewer's package is not installed")


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def standing(body: Body) -> MotionSequence:
    """A person facing a camera that looks down by 20 degrees; held at step 2, absent at step 3."""
    pitch = np.radians(20)
    return dataclasses.replace(
        motion(),
        body_id=body.body_id,
        body_sha256=body.sha256,
        global_orient=np.tile(np.float32([np.pi, 0, 0]), (8, 1)),
        up=np.array([0, -np.cos(pitch), -np.sin(pitch)]),
        floor_m=-1.4,
    )


@pytest.fixture(scope="module")
def other(standing: MotionSequence) -> MotionSequence:
    """The same person 30 mm to the right and 40 mm further away."""
    return dataclasses.replace(standing, transl=standing.transl + np.float32([0.03, 0, 0.04]))


@pytest.fixture
def viewer(body: Body, standing: MotionSequence, other: MotionSequence) -> Iterator[Viewer]:
    with Viewer(standing, body, MemoryRecording(), other, port=0) as running:
        yield running


def show_step(viewer: Viewer, standing: MotionSequence, step: int) -> None:
    viewer.player.seek(standing.t_us[step] / 1e6)
    viewer.draw()


def node(viewer: Viewer, name: str):
    return viewer.server.scene.get_handle_by_name(name)


def test_the_mesh_and_bones_are_those_of_the_step(viewer, body, standing, other) -> None:
    viewer.shown.skeleton = viewer.shown.joints = True
    show_step(viewer, standing, 5)
    for name, shown in (("person", standing), ("other", other)):
        vertices, joints = next(shown.posed(body, [5]))
        mesh = node(viewer, f"/camera/{name}/mesh")
        np.testing.assert_allclose(mesh.vertices, vertices, atol=1e-4)
        np.testing.assert_array_equal(mesh.faces, body.faces)
        np.testing.assert_allclose(node(viewer, f"/camera/{name}/joints").points, joints, atol=1e-4)
        bones = node(viewer, f"/camera/{name}/skeleton").points
        np.testing.assert_allclose(bones[:, 1], joints[1:], atol=1e-4)
        np.testing.assert_allclose(bones[:, 0], joints[list(body.parents[1:])], atol=1e-4)
    assert node(viewer, "/camera/person/mesh").color == STATE_COLOURS["tracked"]
    assert node(viewer, "/camera/other/mesh").color != STATE_COLOURS["tracked"]


def test_held_has_its_colour_and_absent_is_not_there(viewer, standing) -> None:
    show_step(viewer, standing, 2)
    assert node(viewer, "/camera/person/mesh").color == STATE_COLOURS["held"]
    show_step(viewer, standing, 3)
    for name in ("person", "other"):
        for part in ("mesh", "skeleton", "joints"):
            assert not node(viewer, f"/camera/{name}/{part}").visible
    show_step(viewer, standing, 4)
    assert node(viewer, "/camera/person/mesh").visible


def test_the_camera_stands_upright_in_the_world_above_the_floor(viewer, body, standing) -> None:
    frame = node(viewer, "/camera")
    turn = viser.transforms.SO3(frame.wxyz).as_matrix()
    np.testing.assert_allclose(turn @ standing.up, [0, 0, 1], atol=1e-6)
    assert frame.position[2] == pytest.approx(1.4)
    world = world_of(standing, body, "z")
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(points @ turn.T + frame.position, world.points(points), atol=1e-6)
    assert node(viewer, "/floor").position[2] == 0


def test_the_picture_holds_the_events_of_the_window(viewer, body, standing) -> None:
    show_step(viewer, standing, 4)
    events = next(moments(standing, MemoryRecording(), body, range(4, 5))).events
    # 128x120 is enlarged three times to have 300 rows; the last event of a pixel counts.
    picture = node(viewer, "/camera/picture").image
    assert picture.shape == (360, 384, 4)
    last = dict(zip(zip(events.x, events.y, strict=True), events.p, strict=True))
    for (x, y), p in last.items():
        block = picture[3 * y : 3 * y + 3, 3 * x : 3 * x + 3]
        assert (block == [*POLARITY_COLOURS[p], 255]).all()
    assert (picture[..., 3] == 255).sum() == 9 * len(last), "elsewhere one sees through it"


def test_the_cloud_holds_the_events_around_the_moment_behind_both_people(viewer, standing) -> None:
    show_step(viewer, standing, 6)
    now = int(standing.t_us[6])
    around = MemoryRecording().read(now - 100_000, now + 100_000)
    cloud = node(viewer, "/camera/events")
    assert len(cloud.points) == len(around)
    pixels = cloud.points @ standing.K.T
    np.testing.assert_allclose(
        pixels[:, :2] / pixels[:, 2:], np.stack([around.x, around.y], 1), atol=1e-2
    )
    people = [node(viewer, f"/camera/{name}/mesh").vertices[:, 2] for name in ("person", "other")]
    assert cloud.points[:, 2].min() > max(depth.mean() for depth in people) + 0.3
    viewer.shown.span_ms = 40
    viewer.draw()
    assert len(node(viewer, "/camera/events").points) == len(
        MemoryRecording().read(now - 20_000, now + 20_000)
    )


@pytest.mark.parametrize(
    ("field", "nodes"),
    [
        ("mesh", ["/camera/person/mesh", "/camera/other/mesh"]),
        ("other", ["/camera/other/mesh"]),
        ("cloud", ["/camera/events"]),
        ("camera", ["/camera/frustum", "/camera/picture"]),
        ("floor", ["/floor"]),
    ],
)
def test_what_is_switched_off_is_hidden(viewer, field: str, nodes: list[str]) -> None:
    assert all(node(viewer, name).visible for name in nodes)
    setattr(viewer.shown, field, False)
    viewer.draw()
    assert not any(node(viewer, name).visible for name in nodes)
    setattr(viewer.shown, field, True)
    viewer.draw()
    assert all(node(viewer, name).visible for name in nodes)


def test_the_distance_told_is_that_of_the_metrics(viewer, body, standing, other, monkeypatch):
    told: list[Moment] = []
    monkeypatch.setattr(viewer._panel, "show", told.append)
    show_step(viewer, standing, 5)
    (moment,) = told
    ours, theirs = (np.stack([next(m.posed(body, [5]))[1]]) for m in (standing, other))
    assert moment.distance.mpjpe == pytest.approx(metrics.mpjpe(ours, theirs)[0], abs=0.01)
    assert moment.distance.mpjpe == pytest.approx(50, abs=0.01)
    assert moment.distance.pel == pytest.approx(0, abs=0.01)
    assert moment.time_s == pytest.approx(standing.t_us[5] / 1e6)


def test_a_lens_is_taken_out_of_the_picture_and_the_cloud(body, standing) -> None:
    bent = dataclasses.replace(standing, distortion=np.array([-0.2, 0.02, 0, 0]))
    with Viewer(bent, body, MemoryRecording(), port=0) as viewer:
        show_step(viewer, bent, 6)
        cloud = node(viewer, "/camera/events").points
    now = int(bent.t_us[6])
    around = MemoryRecording().read(now - 100_000, now + 100_000)
    straight = bent.camera.undistort_points(np.stack([around.x, around.y], 1).astype(float))
    u, v = np.rint(straight).T
    kept = (u >= 0) & (u < 128) & (v >= 0) & (v < 120)
    pixels = cloud @ bent.K.T
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], np.stack([u, v], 1)[kept], atol=1e-2)


def test_without_a_recording_there_are_people_and_a_camera_alone(body, standing) -> None:
    with Viewer(standing, body, port=0) as viewer:
        assert node(viewer, "/camera/person/mesh").visible
        assert node(viewer, "/camera/frustum").visible
        assert node(viewer, "/camera/picture") is None
        assert node(viewer, "/camera/events") is None


def test_the_page_and_its_socket_answer_on_loopback_only(viewer) -> None:
    from websockets.sync.client import connect

    with urllib.request.urlopen(viewer.url, timeout=30) as page:
        assert page.status == 200
        assert b"<html" in page.read()[:2000].lower()
    port = viewer.server.get_port()
    protocol = f"viser-v{viser.__version__}"
    with connect(
        f"ws://127.0.0.1:{port}", subprotocols=[protocol], max_size=None, open_timeout=30
    ) as client:
        assert len(client.recv(timeout=30)) > 1000
    # 127.0.0.2 is this machine, too: a server on every address would answer there.
    with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
        elsewhere.connect(("127.0.0.2", port))


def test_a_port_that_is_taken_is_told_and_no_other_is_taken(body, standing) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(InputError, match=f"--port: found {port}, which another program uses"):
            Viewer(standing, body, port=port)


def test_a_recording_that_fails_ends_the_server(body, standing, monkeypatch) -> None:
    class Damaged(MemoryRecording):
        duration_us = 1_000_000

        def _raw_chunks(self, start_us):
            raise InputError("memory.h5", "damage", "none", "Write it again.")

    stopped = []
    monkeypatch.setattr(
        "eventhpe.rendering.viewer.viewer.stop_server",
        lambda server: stopped.append(stop_server(server)),
    )
    with pytest.raises(InputError, match="damage"):
        Viewer(standing, body, Damaged(), port=0)
    assert len(stopped) == 1


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("127.0.0.1", 70_000, "0 for any"),
        ("127.0.0.1", -1, "0 for any"),
        ("192.0.2.1", 0, "an address of this machine"),
        ("no such host", 0, "an address of this machine"),
    ],
)
def test_hosts_and_ports_that_are_none(host: str, port: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        start_server(host, port)


def test_without_viser_it_is_told_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(InputError, match=r'pip install "eventhpe\[viz\]"'):
        start_server("127.0.0.1", 0)


def test_the_server_is_silent_and_its_threads_end(capsys) -> None:
    before = threading.active_count()
    stop_server(start_server("127.0.0.1", 0))
    assert capsys.readouterr().out == ""
    assert threading.active_count() <= before


def test_which_hosts_only_this_machine_reaches() -> None:
    near = [is_loopback(host) for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost")]
    far = [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "example.org")]
    assert all(near)
    assert not any(far)


@pytest.fixture
def saved(standing, simulated_recording: Path, tmp_path: Path) -> Path:
    """A motion file that fits the simulated recording's sensor and time."""
    path = tmp_path / "motion.npz"
    dataclasses.replace(standing, height=128).save(path)
    return path


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_command_serves_until_ctrl_c(saved, simulated_recording, host, warned) -> None:
    # Whoever runs these tests in the background of a shell may have SIGINT ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from eventhpe.cli import main; sys.exit(main())"
    )
    flags = ["--recording", simulated_recording, "--compare", simulated_recording]
    command = ["view", saved, *flags, "--port", "0", "--host", host]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://[\d.]+:(\d+)", line)
        assert found, line
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}", timeout=30) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "ended" in out
    assert "Traceback" not in errors
    assert ("warning: --host" in errors) == warned


def test_bad_input_is_one_clear_line(saved, simulated_recording, tmp_path, capsys) -> None:
    motion_file = MotionSequence.load(saved)
    newer, foreign, longer = (tmp_path / f"{name}.npz" for name in ("newer", "foreign", "longer"))
    content = dict(np.load(saved))
    np.savez(newer, **{**content, "schema": np.array(99)})
    dataclasses.replace(motion_file, body_sha256="1" * 64, body_id="theirs").save(foreign)
    dataclasses.replace(motion_file, t_us=motion_file.t_us + 60_000_000).save(longer)
    empty = tmp_path / "empty.npz"
    motion_file.slice(0, 0).save(empty)
    recording = ["--recording", str(simulated_recording)]
    for arguments, told in (
        ([newer], "schema 99"),
        ([foreign], "theirs"),
        ([longer, *recording], "the motion's"),
        ([longer, "--compare", simulated_recording], "the motion's"),
        ([empty], "no steps"),
        ([saved, "--recording", tmp_path / "none.h5"], "none.h5"),
        ([saved, "--compare", tmp_path / "none.h5"], "none.h5"),
        ([simulated_recording], "walk.h5"),
    ):
        assert main(["view", *map(str, arguments), "--port", "0"]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("eventhpe: error:")
        assert printed.err.count("\n") == 1
        assert told in printed.err
