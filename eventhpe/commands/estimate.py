"""From a recording to a motion: ``infer``, ``adapt``, ``demo``."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eventhpe.commands.options import (
    EXIT_INTERRUPTED,
    Commands,
    add_command,
    backend_option,
    body_option,
    camera_of,
    device_of,
    finite,
    force_option,
    microseconds,
    open_source,
    orient_of,
    recording_options,
    seed,
    turned_of,
    view_options,
)
from eventhpe.errors import InputError

if TYPE_CHECKING:
    from eventhpe.body import Body
    from eventhpe.estimator import Networks
    from eventhpe.events.recording import Recording
    from eventhpe.optimisation import Optimisation
    from eventhpe.sequence import MotionSequence

RESULTS = ("motion.npz", "overlay.mp4", "contact_sheet.png")
REFINEMENTS = ("off", "smooth", "optimise")
REFINE_BY_DEFAULT = "smooth"


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
    import numpy as np

    from eventhpe.body import load_body
    from eventhpe.estimator import load_networks
    from eventhpe.events.replay import Replay
    from eventhpe.files import ensure_writable
    from eventhpe.inference import infer
    from eventhpe.refinement import refine
    from eventhpe.rendering import contact_sheet, render_overlay
    from eventhpe.rendering.opengl import require_backend
    from eventhpe.sequence import MotionSequence
    from eventhpe.weights import FLOWNET, SHAPENET

    recording = open_source(options)
    motion_path, video, sheet = (options.out / name for name in RESULTS)
    for path in (motion_path, video, sheet):
        ensure_writable(path, replace=options.force)
    require_backend(options.backend)
    body = load_body(options.body)
    start = MotionSequence.load(options.start) if options.start else None
    networks = load_networks(
        options.flownet or FLOWNET, options.shapenet or SHAPENET, device_of(options.device)
    )
    result = infer(
        recording,
        networks,
        body,
        camera_of(options, recording.width, recording.height),
        step_us=round(options.step_ms * 1000),
        start_us=microseconds(options.start_s),
        stop_us=microseconds(options.stop_s),
        roi=options.roi,
        orient=orient_of(options),
        height_m=options.height,
        start=start,
        command=options.command_line,
        replay=Replay(recording) if options.replay else None,
    )
    if result.latency is not None:
        print(f"replay: {result.latency}", file=sys.stderr)
    motion = replace(result.motion, turned=np.array(turned_of(options)))
    if options.refine != "off":
        motion = refine(motion, body)
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
    flownet = options.flownet or FLOWNET
    backend = render_overlay(
        motion, recording, body, video, flownet=flownet, backend=options.backend
    )
    contact_sheet(motion, recording, body, sheet, backend=backend)
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
        orient=orient_of(options),
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

    recording = open_source(options)
    source = options.shapenet or SHAPENET
    if options.out.suffix != ".json" or options.out.resolve() == source.resolve():
        expected = "NAME.json, and not the card that is adapted"
        raise InputError("--out", str(options.out), expected, "Choose another name.")
    for path in (options.out, options.out.with_suffix(".safetensors")):
        ensure_writable(path, replace=options.force)
    result = adapt(
        recording,
        load_networks(options.flownet or FLOWNET, source, device_of(options.device)),
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
    from eventhpe.sequence import STATE_NAMES, TRACKED

    counts = [int((motion.state == k).sum()) for k in range(len(STATE_NAMES))]
    states = ", ".join(f"{n} {name}" for n, name in zip(counts, STATE_NAMES, strict=True))
    print(f"motion: {path}: {len(motion)} steps of {motion.step_us / 1000:g} ms ({states})")
    if counts[TRACKED] == 0:
        print("no person found")
