"""Score motions and optical flow, with truth and without.

``flow FOLDER`` scores FlowNets, zero flow and a classical method against a simulated set's truth.
``focus RECORDING...`` needs no truth: it measures how much sharper events become along the flow.
``pose FOLDER`` scores ShapeNets and baselines against a simulated set's truth.
``gravity FOLDER`` compares where up and the floor are found with where a simulated set has them.
``dhp19 OUT`` scores a ShapeNet on a prepared DHP19 by that set's protocols, beside published rows.
``motion MOTION.npz --recording FILE`` compares a motion with a simulated recording's truth.
``silhouette MOTION.npz --recording FILE`` needs no truth: it compares each step's events with the
mesh's silhouette, beside the mean pose placed in the same regions.
"""

import argparse
import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from datasets.dhp19_splits import PARTS, SPLITS
from datasets.folders import load_recordings
from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.estimator import load_networks
from eventhpe.evaluation import mean_pose, pose_errors, pose_table, silhouette_agreement
from eventhpe.evaluation.dhp19_report import dhp19_rows, dhp19_table, write_dhp19_csv
from eventhpe.evaluation.dhp19_rows import captures_of, evaluate_dhp19, network_methods
from eventhpe.evaluation.flow import evaluate_flow, window_of
from eventhpe.evaluation.flow_methods import (
    ClassicalFlow,
    FlowMethod,
    ZeroFlow,
    load_flow_networks,
    load_opencv,
)
from eventhpe.evaluation.flow_pictures import flow_picture, focus_picture, write_png
from eventhpe.evaluation.flow_report import flow_table, write_flow_report
from eventhpe.evaluation.focus import MIN_EVENTS, evaluate_focus, focus_table, tracked_windows
from eventhpe.evaluation.gravity import evaluate_gravity, gravity_table
from eventhpe.evaluation.pose_plots import draw_pose_plots, load_pyplot
from eventhpe.evaluation.pose_report import pose_set_table, write_pose_report
from eventhpe.evaluation.pose_rows import Entrant, evaluate_poses
from eventhpe.events.recording import open_recording
from eventhpe.files import ensure_writable
from eventhpe.sequence import MotionSequence
from eventhpe.simulation.truth import SimulatedTruth
from eventhpe.weights import FLOWNET, SHAPENET

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def flow(options: argparse.Namespace) -> int:
    """Print methods' errors on a simulated set; with --out, write them and pictures."""
    networks = load_flow_networks(options.card)
    methods: list[FlowMethod] = [ClassicalFlow(load_opencv()), *networks]
    if options.out:
        ensure_writable(options.out / "flow.json")
    recordings = load_recordings(options.folder, networks[0].recipe, load_body())
    window_us, every_us = round(options.window_ms * 1e3), round(options.every_s * 1e6)
    scores = evaluate_flow(recordings, [ZeroFlow(), *methods], window_us, every_us)
    if not scores.windows and scores.interrupted:
        return _stopped()
    if not scores.windows:
        raise InputError(
            options.folder,
            f"no window of {options.window_ms:g} ms with a person and signal events",
            "at least one",
            "Give shorter windows, or another set.",
        )
    print(
        f"{len(scores.windows):,} windows of {options.window_ms:g} ms in the tracked region; "
        f"skipped {scores.silent} without signal events and {scores.absent} without a person"
    )
    print(flow_table(scores))
    if options.out:
        about = {
            "folder": str(options.folder),
            "window_us": window_us,
            "every_us": every_us,
            "weights": {network.name: network.sha256 for network in networks},
        }
        write_flow_report(scores, about, options.out)
        for index, t0 in scores.busiest(options.pictures):
            recording = recordings[index]
            picture = flow_picture(recording, methods, window_of(recording, t0, window_us))
            write_png(picture, options.out / f"{recording.path.stem}-at-{t0 // 1000}ms.png")
    return _stopped() if scores.interrupted else 0


def focus(options: argparse.Namespace) -> int:
    """Print methods' contrast ratios on recordings; with --out, write pictures."""
    networks = load_flow_networks(options.card)
    methods: list[FlowMethod] = [ClassicalFlow(load_opencv()), *networks]
    recipe = networks[0].recipe
    for path, window_ms in itertools.product(options.recording, options.window_ms):
        recording, window_us = open_recording(path), round(window_ms * 1e3)
        scores = evaluate_focus(recording, recipe, methods, window_us)
        print(
            f"\n{path.name}: {len(scores.starts)} windows of {window_ms:g} ms; skipped "
            f"{scores.sparse} with at most {MIN_EVENTS} events in the tracked region"
        )
        if scores.starts:
            print(focus_table(scores))
        if scores.interrupted:
            return _stopped()
        if options.out:
            chosen = scores.spread(options.pictures)
            for window in tracked_windows(recording, recipe, window_us):
                if window.t0 in chosen:
                    name = f"{path.stem}-{window_ms:g}ms-at-{window.t0 // 1000}ms.png"
                    write_png(focus_picture(methods, window), options.out / name)
    return 0


def silhouette(options: argparse.Namespace) -> int:
    """Print the events' agreement with the silhouettes, one row a method."""
    given = MotionSequence.load(options.motion)
    recording, body = open_recording(options.recording), load_body()
    start = int(given.t_us[0]) if options.start_s is None else round(options.start_s * 1e6)
    stop = int(given.t_us[-1]) + 1 if options.stop_s is None else round(options.stop_s * 1e6)
    print(
        f"steps ending in [{start / 1e6:g}, {stop / 1e6:g}) s, tolerance {options.tolerance:g} px"
    )
    print("share of                 events near   events near    outline near      events")
    print("                          silhouette       outline        an event   in region")
    rows = {"motion": given, "mean pose in the region": mean_pose(given, load_networks(), body)}
    for name, sequence in rows.items():
        found = silhouette_agreement(sequence, recording, body, options.tolerance, start, stop)
        print(
            f"{name:<24}{found.inside:>12.1%}{found.contour:>14.1%}{found.covered:>16.1%}"
            f"{found.events:>12,}"
        )
    return 0


def pose(options: argparse.Namespace) -> int:
    """Print ShapeNets' errors on a simulated set; with --out, write tables and plots."""
    name = "released network" if options.shapenet == SHAPENET else options.shapenet.stem
    labels = [name, *(label for label, _ in (*options.card, *options.increments))]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InputError("--card", f"two networks named {twice[0]}", "a name each", "Rename one.")
    if options.out:
        load_pyplot()
        ensure_writable(options.out / "pose.csv")
    main_network = Entrant.load(name, options.shapenet, options.flownet)
    others = [Entrant.load(label, card, options.flownet) for label, card in options.card]
    increments = [
        Entrant.load(label, card, options.flownet, "increments")
        for label, card in options.increments
    ]
    scores = evaluate_poses(
        options.folder,
        main_network,
        others,
        increments,
        load_body(),
        conditions=not options.quick,
        workers=options.workers,
    )
    print(pose_set_table(scores))
    if options.out:
        entrants = (main_network, *others, *increments)
        weights = {entrant.name: entrant.networks.hashes["shapenet"] for entrant in entrants}
        about = {
            "set": options.folder,
            "flownet": main_network.networks.hashes["flownet"],
            **{f"shapenet, {label}": sha256 for label, sha256 in weights.items()},
        }
        write_pose_report(scores, about, options.out)
        draw_pose_plots(scores, name, options.out)
    return 0


def gravity(options: argparse.Namespace) -> int:
    """Print how far up and the floor are off on a simulated set."""
    entrant = Entrant.load("ShapeNet", options.shapenet, options.flownet)
    print(gravity_table(evaluate_gravity(options.folder, entrant, load_body(), options.workers)))
    return 0


def dhp19(options: argparse.Namespace) -> int:
    """Print errors on a part of a split of DHP19; with --out, write them."""
    folder = options.folder / options.split / options.part
    captures_of(folder)  # says before the work what is no part of a split
    if options.out:
        ensure_writable(options.out / "dhp19.csv")
    name = "released network" if options.shapenet == SHAPENET else options.shapenet.stem
    entrant, body = Entrant.load(name, options.shapenet, options.flownet), load_body()
    methods = network_methods(entrant, folder, body, options.workers)
    scores = evaluate_dhp19(folder, methods, body)
    data = "DHP19" if options.original else "the clone"
    rows = dhp19_rows(scores, f"{data}, {options.split} {options.part}")
    print(dhp19_table(rows))
    if options.out:
        write_dhp19_csv(rows, options.out / "dhp19.csv")
    return 0


def motion(options: argparse.Namespace) -> int:
    """Print joint errors in millimetres, one row a method."""
    given = MotionSequence.load(options.motion)
    truth, body = SimulatedTruth.load(options.recording), load_body()
    rows = {"motion": given, "mean pose in the region": mean_pose(given, load_networks(), body)}
    print(pose_table({name: pose_errors(row, truth, body) for name, row in rows.items()}))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the process's exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)  # small images one by one: a second thread mostly waits
    try:
        code: int = options.run(options)
        return code
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return _stopped()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("flow")
    command.set_defaults(run=flow)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="a simulated set")
    command.add_argument("--window-ms", type=_positive, default=50.0, metavar="MS")
    command.add_argument("--every-s", type=_positive, default=0.5, metavar="S")
    _flow_options(command, "also write flow.json, flow.csv and pictures there")

    command = commands.add_parser("focus")
    command.set_defaults(run=focus)
    command.add_argument("recording", type=Path, nargs="+", metavar="RECORDING")
    lengths = (50.0, 100.0, 150.0, 200.0)
    command.add_argument("--window-ms", type=_positive, nargs="+", default=lengths, metavar="MS")
    _flow_options(command, "also write pictures of warped events there")

    command = commands.add_parser("pose")
    command.set_defaults(run=pose)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="a simulated set")
    for flag, kind in (
        ("--card", "another ShapeNet to score, may be repeated"),
        ("--increments", "a ShapeNet of increments, from the true pose, in clips"),
    ):
        command.add_argument(
            flag, type=_labelled, action="append", default=[], metavar="LABEL=CARD.json", help=kind
        )
    _network_options(command)
    command.add_argument(
        "--quick", action="store_true", help="leave out other regions, steps and memories"
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="also write tables and plots there"
    )

    command = commands.add_parser("gravity")
    command.set_defaults(run=gravity)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="a simulated set")
    _network_options(command)

    command = commands.add_parser("dhp19")
    command.set_defaults(run=dhp19)
    command.add_argument("folder", type=Path, metavar="OUT", help="a prepared, fitted, parted set")
    command.add_argument("--split", choices=SPLITS, default="reference")
    command.add_argument("--part", choices=PARTS, default="test")
    command.add_argument(
        "--original", action="store_true", help="the data set itself was prepared, not its clone"
    )
    _network_options(command)
    command.add_argument("--out", type=Path, metavar="DIR", help="also write dhp19.csv there")

    for run in (silhouette, motion):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("motion", type=Path, metavar="MOTION.npz")
        command.add_argument("--recording", type=Path, required=True, metavar="FILE")
        if run is silhouette:
            command.add_argument("--from", type=float, dest="start_s", metavar="S")
            command.add_argument("--to", type=float, dest="stop_s", metavar="S")
            command.add_argument("--tolerance", type=float, default=5.0, metavar="PX")
    return parser


def _network_options(command: argparse.ArgumentParser) -> None:
    for name, default in (("shapenet", SHAPENET), ("flownet", FLOWNET)):
        command.add_argument(
            f"--{name}", type=Path, default=default, metavar="CARD.json", help="other weights"
        )
    command.add_argument("--workers", type=_count, default=1, metavar="N", help="that make inputs")


def _flow_options(command: argparse.ArgumentParser, out_help: str) -> None:
    card_help = "a FlowNet to score, may be repeated; the released ones if not given"
    command.add_argument(
        "--card", type=Path, action="append", default=[], metavar="CARD.json", help=card_help
    )
    command.add_argument("--out", type=Path, metavar="DIR", help=out_help)
    command.add_argument("--pictures", type=_count, default=6, metavar="N", help="at most so many")


def _positive(text: str) -> float:
    """A number of milliseconds or seconds that is at least a thousandth."""
    value = float(text)
    if not (value >= 1e-3 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is no positive length of time")
    return value


def _labelled(text: str) -> tuple[str, Path]:
    """LABEL=CARD.json."""
    label, equals, card = text.partition("=")
    if not (label and equals and card):
        raise argparse.ArgumentTypeError(f"{text} is not LABEL=CARD.json")
    return label, Path(card)


def _count(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than none")
    return int(text)


def _stopped() -> int:
    print("stopped", file=sys.stderr)
    return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
