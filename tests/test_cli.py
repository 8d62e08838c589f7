"""The command as it is typed: results where they are promised, errors in one line, exit codes."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from eventhpe.cli import main
from eventhpe.events.recording import open_recording
from eventhpe.sequence import MotionSequence
from eventhpe.simulation.truth import SimulatedTruth


@pytest.fixture
def weights(untrained_cards):
    return ["--flownet", str(untrained_cards[0]), "--shapenet", str(untrained_cards[1])]


def test_infer_writes_motion_video_and_sheet(simulated_recording, weights, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["infer", str(simulated_recording), "--out", str(out), *weights, "--to", "0.6"]
    assert main([*arguments, "--backend", "rasterizer"]) == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "contact_sheet.png",
        "motion.npz",
        "overlay.mp4",
    ]
    motion = MotionSequence.load(out / "motion.npz")
    assert len(motion) == 12
    assert "infer" in motion.command
    text = capsys.readouterr().out
    assert "55 degrees" in text
    assert "rasterizer" in text


@pytest.fixture(scope="module")
def inferred(simulated_recording, untrained_cards, tmp_path_factory):
    """A motion file of the simulated recording, 0.05 to 0.3 s."""
    out = tmp_path_factory.mktemp("inferred")
    cards = ["--flownet", str(untrained_cards[0]), "--shapenet", str(untrained_cards[1])]
    main(["infer", str(simulated_recording), "--out", str(out), *cards, "--to", "0.3"])
    return out / "motion.npz"


def test_render_draws_a_saved_motion(inferred, simulated_recording, tmp_path):
    video = tmp_path / "again.mp4"
    flags = ["--recording", str(simulated_recording), "--out", str(video)]
    assert main(["render", str(inferred), *flags]) == 0
    assert video.stat().st_size > 1000
    flags[-1] = str(tmp_path / "frames")
    flags += ["--truth", str(simulated_recording), "--views", "side,top", "--speed", "0.5"]
    assert main(["render", str(inferred), *flags, "--from", "0.2"]) == 0
    # Steps at 0.2, 0.25 and 0.3 s; at half the speed there is a frame between two.
    assert len(list((tmp_path / "frames").iterdir())) == 5


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--out", "{tmp}/a.avi"], "'.avi'"),
        (["--views", "camera,back"], "--views"),
        (["--speed", "0"], "--speed"),
        (["--from", "9"], "none of the steps"),
        (["--truth", "{tmp}/none.h5"], "none.h5"),
        (["--truth", "{motion}", "--recording", "{tmp}/none.h5"], "none.h5"),
        (["--flownet", "{tmp}/none.json"], "none.json"),
        (["--backend", "egl"], "no library"),
        (["--out", "{tmp}/notes"], "notes.txt"),
        (["--out", "{tmp}/notes", "--force"], "notes.txt"),
    ],
)
def test_render_refuses_bad_input(
    flags, words, inferred, simulated_recording, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("eventhpe.rendering.opengl.probe", lambda _: "egl: no library")
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    filled = [flag.format(tmp=tmp_path, motion=inferred) for flag in flags]
    given = ["--recording", str(simulated_recording), "--out", str(tmp_path / "a.mp4")]
    assert main(["render", str(inferred), *given, *filled]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("eventhpe: error:")
    assert words in error
    assert sorted(tmp_path.rglob("*")) == before


COMMANDS = {
    "infer": (["infer", "{recording}", "--out", "{tmp}"], "contact_sheet.png"),
    "render": (
        ["render", "{motion}", "--recording", "{recording}", "--out", "{tmp}/a.mp4"],
        "a.mp4",
    ),
    "frames": (
        ["render", "{motion}", "--recording", "{recording}", "--out", "{tmp}/a"],
        "a/frame_000007.png",
    ),
    "convert": (["convert", "{recording}", "{tmp}/a.h5"], "a.h5"),
    "adapt": (["adapt", "{recording}", "--out", "{tmp}/a.json"], "a.safetensors"),
    "simulate": (["simulate", "--motion", "walk", "--out", "{tmp}/a.h5"], "a.h5"),
    "info": (["info", "{recording}", "--preview", "{tmp}/a.png"], "a.png"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_exists_is_refused_before_the_work_and_kept(
    command, inferred, simulated_recording, tmp_path, capsys, monkeypatch
):
    for module, work in (
        ("inference", "infer"),
        ("adaptation", "adapt"),
        ("simulation.simulate", "simulate"),
    ):
        monkeypatch.setattr(import_module(f"eventhpe.{module}"), work, _stop)
    arguments, name = COMMANDS[command]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    filled = [
        a.format(recording=simulated_recording, motion=inferred, tmp=tmp_path) for a in arguments
    ]
    assert main(filled) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == b"mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


@pytest.mark.parametrize("command", ["render", "frames", "convert", "info"])
def test_with_force_it_is_replaced(command, inferred, simulated_recording, tmp_path):
    arguments, name = COMMANDS[command]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    filled = [
        a.format(recording=simulated_recording, motion=inferred, tmp=tmp_path) for a in arguments
    ]
    assert main([*filled, "--force"]) == 0
    if command == "frames":
        assert not (tmp_path / name).exists(), "six steps: the frame of an older video is gone"
    else:
        assert (tmp_path / name).stat().st_size > 100


def test_turned_recordings_are_inferred_and_drawn_turned(simulated_recording, weights, tmp_path):
    turn = ["--rotate", "90", "--flip-x"]
    arguments = ["infer", str(simulated_recording), "--out", str(tmp_path), *weights, *turn]
    assert main([*arguments, "--to", "0.3", "--backend", "rasterizer"]) == 0
    motion = MotionSequence.load(tmp_path / "motion.npz")
    events = open_recording(simulated_recording).read(0, 10_000)
    seen = motion.turn(events)
    assert np.array_equal(seen.x, events.y), "a quarter turn and a mirror exchange the axes"
    assert np.array_equal(seen.y, events.x)


def test_info_and_preview(simulated_recording, tmp_path, capsys):
    assert main(["info", str(simulated_recording), "--preview", str(tmp_path / "p.png")]) == 0
    text = capsys.readouterr().out
    assert "dsec" in text
    assert str(open_recording(simulated_recording).num_events) in text.replace(",", "")
    assert (tmp_path / "p.png").stat().st_size > 100


def test_converted_recordings_give_the_same_motion(shared_data, weights, tmp_path):
    walker = shared_data / "recordings" / "dvs128_neal_walking.aedat"
    converted = tmp_path / "walker.h5"
    assert main(["convert", str(walker), str(converted)]) == 0
    motions = []
    for name, path in (("a", walker), ("b", converted)):
        span = ["--from", "0.8", "--to", "1.2", "--backend", "rasterizer"]
        assert main(["infer", str(path), "--out", str(tmp_path / name), *weights, *span]) == 0
        motions.append(MotionSequence.load(tmp_path / name / "motion.npz"))
    for field in ("t_us", "body_pose", "global_orient", "transl", "region", "confidence"):
        np.testing.assert_array_equal(getattr(motions[0], field), getattr(motions[1], field))


def test_a_stopped_conversion_says_how_it_goes_on(
    simulated_recording, tmp_path, capsys, monkeypatch
):
    arguments = ["convert", str(simulated_recording), str(tmp_path / "a.h5")]
    with monkeypatch.context() as patch:
        patch.setattr("eventhpe.events.convert._compare", _stop)
        assert main(arguments) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "resumed after" in text
    assert text.count("sha256 of") == 4
    with monkeypatch.context() as patch:
        patch.setattr("eventhpe.events.convert._compare", _stop)
        assert main([*arguments[:2], str(tmp_path / "a.es")]) == 130
    assert "goes on" not in capsys.readouterr().err


def _stop(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "nowhere.h5"], "nowhere.h5"),
        (["infer", "{file}", "--out", "/proc/nowhere"], "/proc/nowhere"),
        (["infer", "{file}", "--out", "{tmp}", "--step-ms", "500"], "--step-ms"),
        (["infer", "{file}", "--out", "{tmp}", "--fov", "400"], "--fov"),
        (["infer", "{file}", "--out", "{tmp}", "--camera", "{tmp}/none.yaml"], "none.yaml"),
        (["infer", "{file}", "--out", "{tmp}", "--body", "{file}"], "walk.h5"),
        (["infer", "{file}", "--out", "{tmp}", "--device", "cuda:7"], "--device"),
        (["infer", "{file}", "--out", "{tmp}", "--start", "{file}"], "walk.h5"),
        (["render", "{file}", "--recording", "{file}"], "walk.h5"),
        (["convert", "{file}", "/proc/nowhere/x.h5"], "/proc/nowhere"),
        (["convert", "{file}", "{tmp}"], "suffix"),
        (["info", "{tmp}"], "a folder"),
        (["info", "a" * 300], "too long"),
        (["info", "{file}", "--channel", "1"], "--channel"),
        (["infer", "{file}", "--out", "{file}"], "walk.h5"),
        (["infer", "{file}", "--out", "{tmp}", "--from", "100"], "--from"),
        (["infer", "{file}", "--out", "{tmp}", "--height", "3"], "--height"),
        (["infer", "{file}", "--out", "{tmp}", "--device", "meta"], "--device"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments, words, simulated_recording, weights, tmp_path, capsys
):
    filled = [a.format(file=simulated_recording, tmp=tmp_path) for a in arguments]
    if filled[0] == "infer":
        filled += [*weights, "--to", "0.2"]
    assert main(filled) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("eventhpe: error:")
    assert words in error


@pytest.mark.parametrize("flag", ["--step-ms", "--from", "--to", "--fov", "--height"])
def test_flags_that_are_no_numbers(flag, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["infer", "x.h5", "--out", str(tmp_path), flag, "nan"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"eventhpe: error: argument {flag}")
    assert error.count("\n") == 1


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert main(["info", str(tmp_path / "pipe")]) == 2
    assert "no regular file" in capsys.readouterr().err


def test_results_that_cannot_be_written_are_told_before_the_work(
    simulated_recording, weights, tmp_path, capsys
):
    (tmp_path / "overlay.mp4").mkdir()
    assert main(["infer", str(simulated_recording), "--out", str(tmp_path), *weights]) == 2
    assert "overlay.mp4" in capsys.readouterr().err
    assert not (tmp_path / "motion.npz").exists()


def test_a_span_beyond_the_end_ends_with_the_recording(simulated_recording, weights, tmp_path):
    span = ["--from", "1.8", "--to", "1e6", "--backend", "rasterizer"]
    assert main(["infer", str(simulated_recording), "--out", str(tmp_path), *weights, *span]) == 0
    assert MotionSequence.load(tmp_path / "motion.npz").t_us[-1] <= 2_050_000


def test_a_camera_of_another_size_is_refused(simulated_recording, weights, tmp_path, capsys):
    camera = tmp_path / "camera.yaml"
    camera.write_text("{width: 346, height: 260, fx: 300, fy: 300, cx: 172, cy: 130}")
    arguments = ["infer", str(simulated_recording), "--out", str(tmp_path), *weights]
    assert main([*arguments, "--camera", str(camera)]) == 2
    assert "346x260" in capsys.readouterr().err


def test_a_replay_gives_the_same_motion_and_its_latency(
    simulated_recording, weights, tmp_path, capsys
):
    arguments = ["infer", str(simulated_recording), *weights, "--to", "0.5"]
    arguments += ["--backend", "rasterizer", "--out"]
    assert main([*arguments, str(tmp_path / "a")]) == 0
    assert "latency" not in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "b"), "--replay"]) == 0
    assert "of 10 steps late (by more than 50 ms)" in capsys.readouterr().err
    one, other = (MotionSequence.load(tmp_path / name / "motion.npz") for name in "ab")
    for field in ("t_us", "body_pose", "global_orient", "transl", "region", "confidence"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_a_fisheye_camera_is_used_and_kept(simulated_recording, weights, tmp_path, capsys):
    camera = tmp_path / "camchain.yaml"
    camera.write_text(
        "cam0: {camera_model: pinhole, intrinsics: [100, 100, 63.5, 63.5], resolution: [128, 128],"
        " distortion_model: equidistant, distortion_coeffs: [0.01, 0.02, -0.01, 0.002]}\n"
    )
    arguments = ["infer", str(simulated_recording), "--out", str(tmp_path), *weights]
    arguments += ["--to", "0.3", "--backend", "rasterizer", "--camera", str(camera)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert text.count("left the undistorted image") == 1
    motion = MotionSequence.load(tmp_path / "motion.npz")
    assert motion.camera.model == "equidistant"
    assert motion.camera.distortion == (0.01, 0.02, -0.01, 0.002)
    assert main([*arguments, "--force", "--camera-name", "cam1"]) == 2
    assert "cam1" in capsys.readouterr().err
    named = ["infer", str(simulated_recording), "--force", "--out", str(tmp_path), *weights]
    assert main([*named, "--camera-name", "cam0"]) == 2
    assert "--camera-name" in capsys.readouterr().err


def test_simulate_makes_a_recording_with_truth(tmp_path, capsys):
    out = tmp_path / "wave.h5"
    assert main(["simulate", "--motion", "wave", "--out", str(out), "--duration", "0.3"]) == 0
    truth = SimulatedTruth.load(out)
    recording = open_recording(out)
    assert (recording.width, recording.height) == (346, 260)
    assert f"{recording.num_events:,} events" in capsys.readouterr().out
    assert truth.description["motion"] == ["wave"]


def test_simulate_follows_a_motion_file(shared_data, tmp_path):
    take = shared_data / "motion" / "cmu_amc" / "02_01.amc"
    out = tmp_path / "take.h5"
    arguments = ["simulate", "--motion", str(take), "--out", str(out), "--sensor", "dvs128"]
    assert main([*arguments, "--duration", "0.3"]) == 0
    assert SimulatedTruth.load(out).description["motion"][0].startswith("02_01")


def test_simulate_turns_a_video_into_events(tmp_path):
    video, out = tmp_path / "square.mp4", tmp_path / "video.h5"
    frames = np.zeros((8, 64, 64, 3), np.uint8)
    for k in range(8):
        frames[k, 20:40, 10 + 3 * k : 30 + 3 * k] = 220
    imageio.v3.imwrite(video, frames, fps=30, codec="libx264")
    arguments = ["simulate", "--video", str(video), "--out", str(out), "--sensor", "dvs128"]
    assert main(arguments) == 0
    events = open_recording(out).read(0, 250_000)
    # The square moves right over rows 40 to 80 of 128: that is where most events are.
    assert ((events.y > 35) & (events.y < 85)).mean() > 0.6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--motion", "flying"], "one of walk"),
        (["--motion", "{tmp}/absent.bvh"], "absent.bvh"),
        (["--motion", "{tmp}/cut.bvh"], "cut.bvh"),
        (["--motion", "{tmp}/rateless.npz"], "rate"),
        (["--motion", "walk", "--sensor", "webcam"], "davis346"),
        (["--motion", "walk", "--duration", "0"], "0.1 to 3600"),
        (["--motion", "walk", "--rate", "120"], "--rate"),
        (["--video", "{tmp}/cut.bvh"], "a video"),
        (["--video", "{tmp}/cut.bvh", "--joint-map", "map.yaml"], "--joint-map"),
    ],
)
def test_simulate_refuses_bad_input_and_leaves_nothing(arguments, words, tmp_path, capsys):
    (tmp_path / "cut.bvh").write_text("HIERARCHY\nROOT hip {\nOFFSET 0 0 0\n")
    np.savez(tmp_path / "rateless.npz", poses=np.zeros((5, 72)), trans=np.zeros((5, 3)))
    before = sorted(tmp_path.iterdir())
    filled = [a.format(tmp=tmp_path) for a in arguments]
    assert main(["simulate", *filled, "--out", str(tmp_path / "x.h5")]) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before


def test_no_command_writes_over_what_it_reads(
    simulated_recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "walk.h5"
    copy.write_bytes(simulated_recording.read_bytes())
    for command in (
        ["info", str(copy), "--preview", str(copy), "--force"],
        ["convert", str(copy), str(copy), "--force"],
        ["report", "motion.npz", "--recording", str(copy), "--out", str(copy), "--force"],
    ):
        assert main(command) == 2
        assert "what the command reads" in capsys.readouterr().err
    assert copy.read_bytes() == simulated_recording.read_bytes()


def test_a_reader_of_our_lines_that_goes_away_is_no_fault() -> None:
    code = "import sys; from eventhpe.cli import main; sys.exit(main(['doctor']))"
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code]
    made = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert made.returncode == 141
    assert "Traceback" not in made.stderr
    assert "BrokenPipe" not in made.stderr
