"""The ``eventhpe`` command: one sub-command an intention."""

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from eventhpe.errors import InputError

if TYPE_CHECKING:  # a sub-command imports what it needs: `eventhpe info` must not wait for torch
    from eventhpe.body import Body
    from eventhpe.camera import Camera
    from eventhpe.estimator import Networks
    from eventhpe.events.recording import Recording
    from eventhpe.events.stream import EventStream
    from eventhpe.optimisation import Optimisation
    from eventhpe.sequence import MotionSequence

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
RESULTS = ("motion.npz", "overlay.mp4", "contact_sheet.png")
REFINEMENTS = ("off", "smooth", "optimise")
REFINE_BY_DEFAULT = "smooth"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line as for every other bad input, instead of the whole usage."""
        self.exit(EXIT_BAD_INPUT, f"eventhpe: error: {message}. See: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the process's exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.command_line = shlex.join(["eventhpe", *(arguments or sys.argv[1:])])
    try:
        code: int = options.run(options)
        return code
    except InputError as error:
        print(f"eventhpe: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("eventhpe: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="eventhpe", description="Event-camera recordings to moving 3D human meshes."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    info = _command(commands, "info", _info, "say what a recording holds")
    _recording_options(info)
    info.add_argument("--preview", type=Path, metavar="PNG", help="also draw its busiest moment")

    convert = _command(commands, "convert", _convert, "write a recording in another container")
    _recording_options(convert)
    convert.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="NAME.h5 (DSEC layout, can be resumed), .aedat4, .es, .dat, .raw (EVT3) or .csv",
    )

    infer = _command(commands, "infer", _infer, "estimate a person's motion from a recording")
    _recording_options(infer)
    infer.add_argument("--out", type=Path, required=True, metavar="DIR", help="results folder")
    _infer_options(infer)

    adapt = _command(commands, "adapt", _adapt, "fine-tune the network on a recording, unlabelled")
    _recording_options(adapt)
    adapt.add_argument(
        "--out", type=Path, required=True, metavar="CARD.json", help="for infer --shapenet"
    )
    adapt.add_argument("--rounds", type=int, default=10, help="through the recording; default: 10")
    adapt.add_argument(
        "--seconds", type=_finite, default=60.0, help="of it to learn from; default: 60"
    )
    _view_options(adapt)

    render = _command(commands, "render", _render, "draw a motion over its recording")
    render.add_argument("motion", type=Path, metavar="MOTION.npz")
    render.add_argument("--recording", type=Path, required=True, metavar="FILE", dest="file")
    render.add_argument(
        "--out", type=Path, metavar="MP4", help="default: overlay.mp4 beside the motion"
    )
    _sensor_options(render)
    _body_option(render)
    _backend_option(render)
    _orientation_options(render)

    simulated = _command(commands, "simulate", _simulate, "make a recording with its truth")
    source = simulated.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--motion", metavar="NAME|FILE", help="a motion by name, or a .amc, .bvh or .npz file"
    )
    source.add_argument("--video", type=Path, metavar="FILE", help="a video instead (no truth)")
    simulated.add_argument("--out", type=Path, required=True, metavar="REC.h5")
    simulated.add_argument(
        "--duration", type=_finite, metavar="S", help="default: 4, or the video's"
    )
    simulated.add_argument("--seed", type=_seed, default=0, help="of person, place and noise")
    simulated.add_argument("--sensor", default="davis346", metavar="NAME", help="the event camera")
    simulated.add_argument("--rate", type=_finite, metavar="HZ", help="frames/s of a motion file")
    simulated.add_argument("--up", metavar="AXIS", help="a motion file's axis that points up")
    simulated.add_argument("--skeleton", type=Path, metavar="ASF", help="of an .amc file")
    simulated.add_argument(
        "--joint-map", type=Path, metavar="YAML", help="SMPL joint to the motion file's joint"
    )
    _body_option(simulated)

    demo = _command(commands, "demo", _demo, "simulate four seconds, infer, compare with truth")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR")
    demo.add_argument("--seed", type=_seed, default=1, help="of the simulated recording")

    _command(commands, "doctor", _doctor, "check this installation")
    return parser


def _command(
    commands: "argparse._SubParsersAction[_Parser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
    parser.set_defaults(run=run)
    return parser


def _recording_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    _sensor_options(parser)


def _sensor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sensor", type=_size, metavar="WxH", help="sensor size, where the file holds none"
    )
    parser.add_argument(
        "--channel", type=_channel, metavar="N", help="camera of a file that holds several"
    )
    parser.add_argument(
        "--time-unit", choices=("s", "ms", "us", "ns"), help="of times, where the file says none"
    )


def _body_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--body", type=Path, metavar="SMPL", help="SMPL .pkl or .npz; default: the free body"
    )


def _backend_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        choices=("egl", "osmesa", "rasterizer"),
        help="what draws meshes; default: the first of these that works",
    )


def _orientation_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rotate", type=int, choices=(0, 90, 180, 270), default=0, help="turn clockwise first"
    )
    parser.add_argument("--flip-x", action="store_true", help="then mirror left and right")
    parser.add_argument("--flip-y", action="store_true", help="then mirror top and bottom")


def _infer_options(parser: argparse.ArgumentParser) -> None:
    _body_option(parser)
    _backend_option(parser)
    parser.add_argument("--height", type=_finite, metavar="METRES", help="the person's height")
    parser.add_argument("--start", type=Path, metavar="POSE.npz", help="pose to begin from")
    parser.add_argument(
        "--refine",
        nargs="?",
        choices=REFINEMENTS,
        const="smooth",
        default=REFINE_BY_DEFAULT,
        help="afterwards smooth the whole motion and fill its still start; optimise: then also "
        f"move it onto its events (minutes); alone: smooth; default: {REFINE_BY_DEFAULT}",
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="read at the pace of the timestamps, as from a camera, and report the latency",
    )
    _view_options(parser)


def _view_options(parser: argparse.ArgumentParser) -> None:
    """How a recording is looked at, and by which networks."""
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera",
        type=Path,
        metavar="CAM.yaml",
        help="its calibration by Kalibr, ROS or OpenCV, or as in docs/calibration.md",
    )
    camera.add_argument("--fov", type=_finite, metavar="DEG", help="horizontal field of view")
    parser.add_argument("--camera-name", metavar="NAME", help="of several in a camchain: cam0, ...")
    parser.add_argument("--roi", type=_box, metavar="X,Y,W,H", help="look only here")
    _orientation_options(parser)
    parser.add_argument("--step-ms", type=_finite, default=50.0, help="distance of poses (10-100)")
    parser.add_argument("--from", type=_finite, dest="start_s", metavar="S", help="begin here")
    parser.add_argument("--to", type=_finite, dest="stop_s", metavar="S", help="end here")
    parser.add_argument("--device", default="cpu", help="torch device of the networks")
    parser.add_argument("--flownet", type=Path, metavar="CARD.json", help="other weights")
    parser.add_argument("--shapenet", type=Path, metavar="CARD.json", help="other weights")


def _info(options: argparse.Namespace) -> int:
    from eventhpe.events.info import describe, preview

    recording = _open(options)
    for name, value in describe(recording).items():
        if name == "repairs":
            value = str(recording.repairs)
        print(f"{name:<18} {f'{value:,.6g}' if isinstance(value, float) else value}")
    if options.preview:
        preview(recording, options.preview)
        print(f"preview: {options.preview}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from eventhpe.events.convert import convert

    recording = _open(options)
    try:
        made = convert(recording, options.out, progress=True)
    except KeyboardInterrupt:
        if options.out.with_name(options.out.name + ".partial").exists():
            print("stopped; the same command goes on from here", file=sys.stderr)
            return EXIT_INTERRUPTED
        raise
    print(f"{options.out}: {made.events:,} events, {recording.width}x{recording.height}")
    if made.resumed:
        print(f"resumed after {made.resumed:,} events of an interrupted run")
    print(f"repairs: {recording.repairs}")
    for name, digest in made.digests.items():
        print(f"sha256 of {name}, as read and as written: {digest}")
    return 0


def _infer(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.estimator import load_networks
    from eventhpe.events.replay import Replay
    from eventhpe.files import ensure_writable
    from eventhpe.inference import infer
    from eventhpe.refinement import refine
    from eventhpe.rendering import contact_sheet, render_overlay
    from eventhpe.sequence import MotionSequence
    from eventhpe.weights import FLOWNET, SHAPENET

    recording = _open(options)
    motion_path, video, sheet = (options.out / name for name in RESULTS)
    for path in (motion_path, video, sheet):
        ensure_writable(path)
    body = load_body(options.body)
    start = MotionSequence.load(options.start) if options.start else None
    networks = load_networks(
        options.flownet or FLOWNET, options.shapenet or SHAPENET, _device(options.device)
    )
    result = infer(
        recording,
        networks,
        body,
        _camera(options, recording.width, recording.height),
        step_us=round(options.step_ms * 1000),
        start_us=_microseconds(options.start_s),
        stop_us=_microseconds(options.stop_s),
        roi=options.roi,
        orient=_orient(options),
        height_m=options.height,
        start=start,
        command=options.command_line,
        replay=Replay(recording) if options.replay else None,
    )
    if result.latency is not None:
        print(f"replay: {result.latency}", file=sys.stderr)
    motion = result.motion if options.refine == "off" else refine(result.motion, body)
    motion.save(motion_path)
    interrupted = result.interrupted
    if options.refine == "optimise" and not interrupted:
        optimised = _optimise(options, motion, recording, networks, body)
        motion, interrupted = optimised.motion, optimised.interrupted
        motion.save(motion_path)
    _report(motion, motion_path)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if recording.repairs:
        print(f"repairs: {recording.repairs}")
    if result.undistortion is not None:
        print(f"lens: {result.undistortion}")
    if interrupted:
        print(f"stopped after {len(motion)} steps; draw them with: eventhpe render")
        return EXIT_INTERRUPTED
    orient = _orient(options)
    backend = render_overlay(motion, recording, body, video, orient=orient, backend=options.backend)
    contact_sheet(motion, recording, body, sheet, orient=orient, backend=backend)
    print(f"overlay: {video} (meshes drawn by {backend})")
    print(f"contact sheet: {sheet}")
    return 0


def _optimise(
    options: argparse.Namespace,
    motion: "MotionSequence",
    recording: "Recording",
    networks: "Networks",
    body: "Body",
) -> "Optimisation":
    from eventhpe.optimisation import optimise

    result = optimise(
        motion,
        recording,
        networks,
        body,
        roi=options.roi,
        orient=_orient(options),
        keep_start=options.start is not None,
    )
    if result.interrupted:
        print("optimisation stopped: the smoothed motion is kept")
    else:
        change = f"{result.before:.3f} -> {result.after:.3f}"
        print(f"optimised {result.steps} steps: loss without labels {change}")
    return result


def _adapt(options: argparse.Namespace) -> int:
    from eventhpe.adaptation import adapt, save_adapted
    from eventhpe.estimator import load_networks
    from eventhpe.files import ensure_writable
    from eventhpe.weights import FLOWNET, SHAPENET

    recording = _open(options)
    source = options.shapenet or SHAPENET
    if options.out.suffix != ".json" or options.out.resolve() == source.resolve():
        expected = "NAME.json, and not the card that is adapted"
        raise InputError("--out", str(options.out), expected, "Choose another name.")
    for path in (options.out, options.out.with_suffix(".safetensors")):
        ensure_writable(path)
    result = adapt(
        recording,
        load_networks(options.flownet or FLOWNET, source, _device(options.device)),
        _camera(options, recording.width, recording.height),
        step_us=round(options.step_ms * 1000),
        start_us=_microseconds(options.start_s),
        stop_us=_microseconds(options.stop_s),
        roi=options.roi,
        orient=_orient(options),
        rounds=options.rounds,
        seconds=options.seconds,
    )
    save_adapted(options.out, result, source, recording, options.command_line)
    rounds = len(result.history) - 1
    if result.best:
        change = f"{result.history[0]:.3f} -> {result.history[result.best]:.3f}"
        print(f"adapted on {result.steps} steps: held-out loss {change}, round {result.best}")
    else:
        print(f"none of {rounds} rounds was better on what was held out: the weights are unchanged")
    print(f"weights: {options.out}; use them with: eventhpe infer --shapenet {options.out}")
    if result.interrupted:
        print(f"stopped after {rounds} of {options.rounds} rounds")
        return EXIT_INTERRUPTED
    return 0


def _render(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.rendering import render_overlay
    from eventhpe.sequence import MotionSequence

    motion = MotionSequence.load(options.motion)
    out = options.out or options.motion.parent / "overlay.mp4"
    backend = render_overlay(
        motion,
        _open(options),
        load_body(options.body),
        out,
        orient=_orient(options),
        backend=options.backend,
    )
    print(f"overlay: {out} (meshes drawn by {backend})")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.simulation.motion.registry import MOTIONS
    from eventhpe.simulation.motion.takes import load_take
    from eventhpe.simulation.sensors import SENSORS
    from eventhpe.simulation.simulate import SimulationConfig, simulate
    from eventhpe.simulation.video import simulate_video

    if options.sensor not in SENSORS:
        known = ", ".join(SENSORS)
        raise InputError("--sensor", options.sensor, f"one of {known}", "Choose one of these.")
    duration = options.duration
    if duration is not None and not 0.1 <= duration <= 3600:
        remedy = "Give a duration in that range."
        raise InputError("--duration", f"{duration:g}", "0.1 to 3600 seconds", remedy)
    if options.video:
        _refuse_take_flags(options)
        count = simulate_video(
            options.video, options.out, SENSORS[options.sensor], options.seed, duration
        )
        print(f"{options.out}: {count:,} events")
        return 0
    body = load_body(options.body)
    name, take = options.motion, None
    if name not in MOTIONS:
        if not Path(name).suffix:
            expected = f"a motion file, or one of {', '.join(MOTIONS)}"
            raise InputError("--motion", repr(name), expected, "Choose one of these.")
        take = load_take(
            Path(name),
            body,
            rate_hz=options.rate,
            up=options.up,
            skeleton=options.skeleton,
            joint_map=options.joint_map,
        )
        name = None
    else:
        _refuse_take_flags(options)
    config = SimulationConfig(duration or 4.0, options.sensor, motion=name, take=take)
    made = simulate(config, options.out, options.seed, body)
    print(f"{options.out}: {made['num_events']:,} events, {options.sensor}, with truth")
    return 0


def _refuse_take_flags(options: argparse.Namespace) -> None:
    """Flags that describe a motion file must not be passed over without one."""
    for name in ("rate", "up", "skeleton", "joint_map"):
        if (value := getattr(options, name)) is not None:
            flag = "--" + name.replace("_", "-")
            remedy = "Leave it out, or give a motion file."
            raise InputError(flag, str(value), "no such flag without a motion file", remedy)


def _demo(options: argparse.Namespace) -> int:
    from eventhpe.demo import demo

    print(demo(options.out, options.seed))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from eventhpe.doctor import checks, format_checks

    found = checks()
    print(format_checks(found))
    return 0 if all(check.ok or check.optional for check in found) else 1


def _report(motion: "MotionSequence", path: Path) -> None:
    from eventhpe.sequence import STATE_NAMES, TRACKED

    counts = [int((motion.state == k).sum()) for k in range(len(STATE_NAMES))]
    states = ", ".join(f"{n} {name}" for n, name in zip(counts, STATE_NAMES, strict=True))
    print(f"motion: {path}: {len(motion)} steps of {motion.step_us / 1000:g} ms ({states})")
    if counts[TRACKED] == 0:
        print("no person found")


def _open(options: argparse.Namespace) -> "Recording":
    from eventhpe.events.recording import open_recording

    width, height = options.sensor or (None, None)
    return open_recording(
        options.file,
        width=width,
        height=height,
        camera=options.channel,
        time_unit=options.time_unit,
    )


def _camera(options: argparse.Namespace, width: int, height: int) -> "Camera":
    """The camera of the reoriented events."""
    from eventhpe.calibration import load_camera
    from eventhpe.camera import Camera

    if options.camera:
        camera = load_camera(options.camera, options.camera_name)
        if (camera.width, camera.height) != (width, height):
            raise InputError(
                options.camera,
                f"a camera of {camera.width}x{camera.height}",
                f"the recording's {width}x{height}",
                "Give the calibration of this recording's camera.",
            )
    else:
        if options.camera_name is not None:
            remedy = "Give the camera file, or leave it out."
            raise InputError("--camera-name", options.camera_name, "--camera CAM.yaml", remedy)
        degrees = 55.0 if options.fov is None else options.fov
        if not 5 <= degrees <= 150:
            raise InputError(
                "--fov", f"{degrees:g}", "5 to 150 degrees", "Give the horizontal field of view."
            )
        if options.fov is None:
            print("note: no camera given: 55 degrees horizontally; metres are up to scale")
        camera = Camera.from_fov(width, height, degrees)
    return camera.reoriented(options.rotate, options.flip_x, options.flip_y)


def _orient(options: argparse.Namespace) -> "Callable[[EventStream], EventStream] | None":
    from eventhpe.events.stream import EventStream

    if not (options.rotate or options.flip_x or options.flip_y):
        return None
    return partial(
        EventStream.reoriented,
        rotate=options.rotate,
        flip_x=options.flip_x,
        flip_y=options.flip_y,
    )


def _device(name: str) -> str:
    import torch

    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            "--device", f"{name!r}, which torch cannot use", "cpu or cuda", "Leave it out for cpu."
        ) from error
    return name


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def _channel(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WxH, such as 346x260") from None
    return width, height


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H in pixels") from None
    return x, y, width, height
