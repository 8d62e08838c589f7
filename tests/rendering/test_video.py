"""Videos and contact sheets: readable back, in step with the recording, and refused if foreign."""

import dataclasses
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from eventhpe.camera import Camera, project
from eventhpe.errors import InputError
from eventhpe.rendering.moments import moments
from eventhpe.rendering.outputs import GIF_COLUMNS, VideoWriter, ensure_output
from eventhpe.rendering.overlay import POLARITY_COLOURS, Layout
from eventhpe.rendering.sheet import contact_sheet
from eventhpe.rendering.video import render_overlay
from tests.rendering.rendering_scenes import TRACKED, BallBody, K, MemoryRecording, motion

BODY = BallBody()


NO_FLOW = ("camera", "side", "top")  # the scenes' windows are not those of the released FlowNet


def overlay(out: Path, *args, **options) -> str:
    return render_overlay(*args, out, **{"progress": False, "views": NO_FLOW, **options})


def camera_panel(frames: np.ndarray) -> np.ndarray:
    """The camera's picture without its notices: 512 x 480 pixels under 32 rows of caption."""
    return frames[:, 32 + 28 : 32 + 480, :512].astype(int)


def test_the_video_has_a_frame_a_step_at_real_time_speed(tmp_path: Path) -> None:
    out = tmp_path / "new" / "overlay.mp4"
    assert overlay(out, motion(), MemoryRecording(), BODY) == "rasterizer"
    frames = iio.imread(out, plugin="pyav")
    assert len(frames) == 8
    metadata = iio.immeta(out, plugin="pyav")
    assert metadata["fps"] == pytest.approx(25)
    assert metadata["codec"] == "h264"
    assert [p.name for p in out.parent.iterdir()] == ["overlay.mp4"]


def test_the_mesh_moves_across_the_picture_and_is_gone_when_absent(tmp_path: Path) -> None:
    out = tmp_path / "overlay.mp4"
    overlay(out, motion(), MemoryRecording(), BODY, fps=25)
    panels = camera_panel(iio.imread(out, plugin="pyav"))
    # The mesh's green is nowhere among orange and blue events.
    green = (panels[..., 1] > panels[..., 0] + 50) & (panels[..., 1] > panels[..., 2] + 20)
    middle = [np.median(np.nonzero(c)[1]) if c.sum() > 1000 else None for c in green]
    assert middle[3] is None
    # Step 0 at x = -0.4 m, step 7 at +0.4 m: 150 px * 0.8 m / 3 m, four times enlarged.
    assert middle[7] - middle[0] == pytest.approx(4 * 150 * 0.8 / 3, rel=0.06)


def test_slow_motion_has_poses_between_the_steps_and_finer_windows(tmp_path: Path) -> None:
    out, recording, still = tmp_path / "slow", MemoryRecording(), motion()
    still.state[:] = TRACKED
    overlay(out, still, recording, BODY, speed=0.25)
    frames = np.stack([iio.imread(path) for path in sorted(out.iterdir())])
    # 7 distances of two steps, in four parts each, and the last step.
    assert len(frames) == 7 * 4 + 1
    panels = camera_panel(frames)
    green = (panels[..., 1] > panels[..., 0] + 60) & (panels[..., 2] < 140)
    middle = np.array([np.median(np.nonzero(c)[1]) for c in green])
    wanted = np.linspace(middle[0], middle[-1], len(frames))
    assert middle == pytest.approx(wanted, abs=4), "it moves evenly, for so does the ball"
    # The fifth frame is at the second step, 100 ms: the last 15 of 60 ms of events are shown.
    shown = recording.read(85_000, 100_000)
    blue = (frames[4, 32 + 4 * 40 : 32 + 4 * 120 : 4, 0:512:4] == POLARITY_COLOURS[0]).all(axis=2)
    last = {(x, y): p for x, y, p in zip(shown.x, shown.y, shown.p, strict=True)}
    expected = {(x, y - 40) for (x, y), p in last.items() if p == 0 and y >= 40}
    found = set(zip(*(a.tolist() for a in np.nonzero(blue)[::-1]), strict=True))
    assert found <= expected
    assert len(found) > 0.7 * len(expected), "all but those under the mesh"


def test_a_gif_shows_the_same_in_few_colours_and_columns(tmp_path: Path) -> None:
    overlay(tmp_path / "a.gif", motion(), MemoryRecording(), BODY, fps=25)
    overlay(tmp_path / "a", motion(), MemoryRecording(), BODY, fps=25)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 8
        assert gif.info["duration"] == 40
        assert gif.size[0] == GIF_COLUMNS
        gif.seek(5)
        small = np.asarray(gif.convert("RGB"), dtype=int)
    with Image.open(tmp_path / "a" / "frame_000005.png") as frame:
        whole = np.asarray(frame.resize(small.shape[1::-1], Image.Resampling.BOX), dtype=int)
    assert np.abs(small - whole).mean() < 3
    overlay(tmp_path / "b.gif", motion(), MemoryRecording(), BODY)
    with Image.open(tmp_path / "b.gif") as gif:
        assert (gif.n_frames, gif.info["duration"]) == (3, 100)


def test_frames_replace_frames_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "frame_000099.png").touch()
    with pytest.raises(InputError, match="--force"):
        ensure_output(folder, replace=False)
    overlay(folder, motion(), MemoryRecording(), BODY)
    assert [p.name for p in sorted(folder.iterdir())] == [f"frame_{k:06d}.png" for k in range(8)]
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]
    (folder / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"thesis\.tex"):
        overlay(folder, motion(), MemoryRecording(), BODY)
    assert len(list(folder.iterdir())) == 9


@pytest.mark.parametrize("steps", [range(8), range(1, 8, 3)])
def test_each_moment_has_the_events_of_its_window(steps: range) -> None:
    recording, sequence = MemoryRecording(), motion()
    for step, moment in zip(steps, moments(sequence, recording, BODY, steps), strict=True):
        end = int(sequence.t_us[step])
        expected = recording.read(end - sequence.window_us, end)
        assert np.array_equal(moment.events.t, expected.t)
        assert moment.label.t_us == end
        assert (moment.vertices is None) == (step == 3)
        if moment.vertices is not None:
            assert moment.vertices.mean(axis=0) == pytest.approx(sequence.transl[step], abs=1e-3)


def test_the_mesh_is_seen_through_the_lens_of_the_motion() -> None:
    lens = (-0.3, 0.1, 0.001, -0.002)
    bent = dataclasses.replace(motion(), distortion=np.array(lens))
    plain = next(moments(motion(), MemoryRecording(), BODY, range(1))).vertices
    vertices = next(moments(bent, MemoryRecording(), BODY, range(1))).vertices
    camera = Camera(K, 128, 120, distortion=lens)
    assert project(vertices, K) == pytest.approx(camera.project(plain), abs=1e-3)
    assert vertices[:, 2] == pytest.approx(plain[:, 2])


def test_a_fisheyes_mesh_and_region_lie_where_its_events_are() -> None:
    """Mesh and box are of the undistorted image; the picture shows the sensor's own."""
    lens = (0.1, 0.05, 0.0, 0.0)
    bent = dataclasses.replace(motion(), distortion=np.array(lens), distortion_model="equidistant")
    moment = next(moments(bent, MemoryRecording(), BODY, range(1)))
    plain = next(moments(motion(), MemoryRecording(), BODY, range(1)))
    camera = Camera(K, 128, 120, distortion=lens, model="equidistant")
    assert project(moment.vertices, K) == pytest.approx(camera.project(plain.vertices), abs=1e-3)
    # Undistorting every pixel tells which of them the region holds: the box spans just these.
    rows, columns = np.indices((120, 128)).reshape(2, -1)
    u, v = camera.undistort_points(np.stack([columns, rows], 1).astype(float)).T
    x0, y0, w, h = motion().region[0]
    held = (u >= x0 - 0.5) & (u < x0 + w - 0.5) & (v >= y0 - 0.5) & (v < y0 + h - 0.5)
    left, top, width, height = moment.label.region
    assert left == pytest.approx(columns[held].min(), abs=1)
    assert left + width == pytest.approx(columns[held].max() + 1, abs=1)
    assert top == pytest.approx(rows[held].min(), abs=1)
    assert top + height == pytest.approx(rows[held].max() + 1, abs=1)
    assert moment.label.region != plain.label.region


def test_a_turned_recording_is_turned_for_the_overlay(tmp_path: Path) -> None:
    sideways = MemoryRecording(width=120, height=128)
    with pytest.raises(InputError, match="120x128"):
        overlay(tmp_path / "a.mp4", motion(), sideways, BODY)

    def turn(events):
        return events.reoriented(rotate=90)

    overlay(tmp_path / "a.mp4", motion(), sideways, BODY, orient=turn)
    told = dataclasses.replace(motion(), turned=np.array([90, 0, 0]))
    overlay(tmp_path / "b.mp4", told, sideways, BODY)
    one, other = (iio.imread(tmp_path / name, plugin="pyav") for name in ("a.mp4", "b.mp4"))
    assert np.array_equal(one, other), "the motion knows how its events were turned"
    first = next(moments(motion(), sideways, BODY, range(1), turn))
    assert (first.events.width, first.events.height) == (128, 120)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"body_sha256": "1" * 64}, "body"),
        ({"t_us": 60_000 + 40_000 * np.arange(8) ** 2}, "uneven"),
        ({"t_us": 900_000 + 40_000 * np.arange(8)}, "1.000 s of events"),
    ],
)
def test_a_foreign_motion_is_refused_and_nothing_is_written(changes, told, tmp_path) -> None:
    foreign = dataclasses.replace(motion(), **changes)
    with pytest.raises(InputError, match=told):
        overlay(tmp_path / "a.mp4", foreign, MemoryRecording(), BODY)
    with pytest.raises(InputError, match=told):
        contact_sheet(foreign, MemoryRecording(), BODY, tmp_path / "a.png", backend="rasterizer")
    assert not list(tmp_path.iterdir())


def test_a_video_cut_short_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(events):
        if len(events):
            raise RuntimeError("stop")
        return events

    for name in ("a.mp4", "a.gif", "frames"):
        with pytest.raises(RuntimeError, match="stop"):
            overlay(tmp_path / name, motion(), MemoryRecording(), BODY, orient=broken)
    assert not list(tmp_path.iterdir())


def test_odd_frames_are_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10) as video, pytest.raises(ValueError, match="even"):
        video.write(np.zeros((11, 10, 3), np.uint8))


def test_the_contact_sheet_shows_the_moments_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    recording = MemoryRecording()
    contact_sheet(motion(), recording, BODY, out, count=5, backend="rasterizer")
    sheet = iio.imread(out)
    tile = Layout(128, 120, rows=230)
    assert sheet.shape == (
        2 * (tile.panel[1] + tile.caption) + 6,
        4 * tile.panel[0] + 3 * 6,
        3,
    )
    contact_sheet(
        motion(), recording, BODY, out, start_us=60_000, stop_us=140_000, backend="rasterizer"
    )
    assert iio.imread(out).shape[1] == 2 * tile.panel[0] + 6
    with pytest.raises(InputError, match="no step"):
        contact_sheet(motion(), recording, BODY, out, start_us=900_000, backend="rasterizer")
