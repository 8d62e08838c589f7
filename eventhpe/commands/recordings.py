"""What is done with recordings: ``info``, ``convert``, ``simulate``."""

import argparse
import sys
from pathlib import Path

from eventhpe.commands.options import (
    EXIT_INTERRUPTED,
    Commands,
    add_command,
    body_option,
    finite,
    force_option,
    open_source,
    recording_options,
    seed,
)
from eventhpe.errors import InputError


def add(commands: Commands) -> None:
    """Add them to the command line."""
    info = add_command(commands, "info", _info, "say what a recording holds")
    recording_options(info)
    info.add_argument("--preview", type=Path, metavar="PNG", help="also draw its busiest moment")
    force_option(info)

    convert = add_command(commands, "convert", _convert, "write a recording in another container")
    recording_options(convert)
    convert.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="NAME.h5 (DSEC layout, can be resumed), .aedat4, .es, .dat, .raw (EVT3) or .csv",
    )
    force_option(convert)

    simulated = add_command(commands, "simulate", _simulate, "make a recording with its truth")
    source = simulated.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--motion", metavar="NAME|FILE", help="a motion by name, or a .amc, .bvh or .npz file"
    )
    source.add_argument("--video", type=Path, metavar="FILE", help="a video instead (no truth)")
    simulated.add_argument("--out", type=Path, required=True, metavar="REC.h5")
    force_option(simulated)
    simulated.add_argument(
        "--duration", type=finite, metavar="S", help="default: 4, or the video's"
    )
    simulated.add_argument("--seed", type=seed, default=0, help="of person, place and noise")
    simulated.add_argument("--sensor", default="davis346", metavar="NAME", help="the event camera")
    simulated.add_argument("--rate", type=finite, metavar="HZ", help="frames/s of a motion file")
    simulated.add_argument("--up", metavar="AXIS", help="a motion file's axis that points up")
    simulated.add_argument("--skeleton", type=Path, metavar="ASF", help="of an .amc file")
    simulated.add_argument(
        "--joint-map", type=Path, metavar="YAML", help="SMPL joint to the motion file's joint"
    )
    body_option(simulated)


def _info(options: argparse.Namespace) -> int:
    from eventhpe.events.info import describe, preview
    from eventhpe.files import ensure_writable

    if options.preview:
        ensure_writable(options.preview, replace=options.force)
    recording = open_source(options)
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
    from eventhpe.files import refuse_existing

    # Only what is whole has its name: an interrupted conversion goes on without --force.
    if not options.force and options.out.is_file():
        refuse_existing(options.out)
    recording = open_source(options)
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


def _simulate(options: argparse.Namespace) -> int:
    from eventhpe.body import load_body
    from eventhpe.files import ensure_writable
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
    ensure_writable(options.out, replace=options.force)
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
