"""From a recording to a motion: ``infer``, ``adapt``, ``demo``."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from eventhpe.commands.options import (
    EXIT_INTERRUPTED,
    Commands,
    add_command,
    backend_option,
    body_option,
    camera_of,
    finite,
    force_option,
    microseconds,
    note_on_camera,
    open_source,
    orient_of,
    recording_options,
    seed,
    view_options,
)
from eventhpe.errors import InputError

if TYPE_CHECKING:
    from eventhpe.api import Estimate
    from eventhpe.optimisation import Optimisation
    from eventhpe.sequence import MotionSequence

RESULTS = ("motion.npz", "overlay.mp4", "contact_sheet.png")
REFINEMENTS = ("off", "smooth", "optimise")
REFINE_BY_DEFAULT = "smooth"
# Flags that go to `eventhpe.api.estimate` under their own names.
ESTIMATED_BY = (
    "camera", "camera_name", "fov", "roi", "rotate", "flip_x", "flip_y", "step_ms", "start_s",
    "stop_s", "height", "pitch", "roll", "body", "start", "refine", "flownet", "shapenet",
    "device", "replay",
)  # fmt: skip


def add(commands: Commands) -> None:
    """Add them to the command line."""
    infer = add_command(commands, "infer", _infer, "estimate a person's motion from a recording")
    recording_options(infer)
    infer.add_argument("--out", type=Path, required=True, metavar="DIR", help="results folder")
    force_option(infer)
    _infer_options(infer)

    adapt = add_command(
        commands, "adapt", _adapt, "fine-tune the network on a recording, unlabelled"
    )
    recording_options(adapt)
    adapt.add_argument(
        "--out", type=Path, required=True, metavar="CARD.json", help="for infer --shapenet"
    )
    force_option(adapt)
    adapt.add_argument("--rounds", type=int, default=10, help="through the recording; default: 10")
    adapt.add_argument(
        "--seconds", type=finite, default=60.0, help="of it to learn from; default: 60"
    )
    view_options(adapt)

    demo = add_command(commands, "demo", _demo, "simulate four seconds, infer, compare with truth")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR")
    demo.add_argument("--seed", type=seed, default=1, help="of the simulated recording")


def _infer_options(parser: argparse.ArgumentParser) -> None:
    body_option(parser)
    backend_option(parser)
    parser.add_argument("--height", type=finite, metavar="METRES", help="the person's height")
    parser.add_argument("--start", type=Path, metavar="POSE.npz", help="pose to begin from")
    for flag, meaning in (
        ("--pitch", "the camera looks up by so much (below 0: down); default with --roll: 0"),
        ("--roll", "it is turned clockwise, seen from behind; default with --pitch: 0"),
    ):
        parser.add_argument(
            flag, type=finite, metavar="DEG", help=f"{meaning}; of the picture after --rotate"
        )
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
    view_options(parser)


def _infer(options: argparse.Namespace) -> int:
    from eventhpe.api import estimate
    from eventhpe.files import ensure_writable
    from eventhpe.rendering import contact_sheet, render_overlay
    from eventhpe.rendering.opengl import require_backend
    from eventhpe.weights import FLOWNET

    recording = open_source(options)
    motion_path, video, sheet = (options.out / name for name in RESULTS)
    for path in (motion_path, video, sheet):
        ensure_writable(path, replace=options.force)
    require_backend(options.backend)
    note_on_camera(options)
    made = estimate(
        recording,
        **{name: getattr(options, name) for name in ESTIMATED_BY},
        command=options.command_line,
    )
    result, motion, interrupted = made.result, made.motion, made.result.interrupted
    if result.latency is not None:
        print(f"replay: {result.latency}", file=sys.stderr)
    motion.save(motion_path)
    if options.refine == "optimise" and not interrupted:
        optimised = _optimise(made)
        motion, interrupted = optimised.motion, optimised.interrupted
        motion.save(motion_path)
    _report(motion, motion_path)
    for warning in motion.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if recording.repairs:
        print(f"repairs: {recording.repairs}")
    if result.undistortion is not None:
        print(f"lens: {result.undistortion}")
    if interrupted:
        for picture in (video, sheet):  # with --force those of an earlier motion may stand there
            picture.unlink(missing_ok=True)
        print(f"stopped after {len(motion)} steps; draw them with: eventhpe render")
        return EXIT_INTERRUPTED
    backend = render_overlay(
        motion,
        recording,
        made.body,
        video,
        flownet=options.flownet or FLOWNET,
        backend=options.backend,
    )
    contact_sheet(motion, recording, made.body, sheet, backend=backend)
    print(f"overlay: {video} (meshes drawn by {backend})")
    print(f"contact sheet: {sheet}")
    return 0


def _optimise(made: "Estimate") -> "Optimisation":
    result = made.optimised()
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

    recording = open_source(options)
    source = options.shapenet or SHAPENET
    if options.out.suffix != ".json" or options.out.resolve() == source.resolve():
        expected = "NAME.json, and not the card that is adapted"
        raise InputError("--out", str(options.out), expected, "Choose another name.")
    for path in (options.out, options.out.with_suffix(".safetensors")):
        ensure_writable(path, replace=options.force)
    result = adapt(
        recording,
        load_networks(options.flownet or FLOWNET, source, options.device),
        camera_of(options, recording.width, recording.height),
        step_us=round(options.step_ms * 1000),
        start_us=microseconds(options.start_s),
        stop_us=microseconds(options.stop_s),
        roi=options.roi,
        orient=orient_of(options),
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


def _demo(options: argparse.Namespace) -> int:
    from eventhpe.demo import demo

    print(demo(options.out, options.seed))
    return 0


def _report(motion: "MotionSequence", path: Path) -> None:
    from eventhpe.gravity import said
    from eventhpe.sequence import STATE_NAMES, TRACKED

    counts = [int((motion.state == k).sum()) for k in range(len(STATE_NAMES))]
    states = ", ".join(f"{n} {name}" for n, name in zip(counts, STATE_NAMES, strict=True))
    print(f"motion: {path}: {len(motion)} steps of {motion.step_us / 1000:g} ms ({states})")
    if counts[TRACKED] == 0:
        print("no person found")
    print(f"gravity: {said(motion)}")
