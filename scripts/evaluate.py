"""Score motions: ``python scripts/evaluate.py silhouette MOTION.npz --recording FILE``.

``silhouette`` needs no truth: it compares each step's events with the mesh's silhouette, beside
the mean pose placed in the same regions. ``pose`` compares with a simulated recording's truth.
"""

import argparse
from pathlib import Path

from eventhpe.body import load_body
from eventhpe.errors import InputError
from eventhpe.estimator import load_networks
from eventhpe.evaluation import mean_pose, pose_errors, pose_table, silhouette_agreement
from eventhpe.events.recording import open_recording
from eventhpe.sequence import MotionSequence
from eventhpe.simulation.truth import SimulatedTruth


def silhouette(motion: MotionSequence, options: argparse.Namespace) -> str:
    """A table of the events' agreement with the silhouettes, one row a method."""
    recording, body = open_recording(options.recording), load_body()
    start = int(motion.t_us[0]) if options.start_s is None else round(options.start_s * 1e6)
    stop = int(motion.t_us[-1]) + 1 if options.stop_s is None else round(options.stop_s * 1e6)
    lines = [
        f"steps ending in [{start / 1e6:g}, {stop / 1e6:g}) s, tolerance {options.tolerance:g} px",
        "share of                 events near   events near    outline near      events",
        "                          silhouette       outline        an event   in region",
    ]
    rows = {"motion": motion, "mean pose in the region": mean_pose(motion, load_networks(), body)}
    for name, sequence in rows.items():
        found = silhouette_agreement(sequence, recording, body, options.tolerance, start, stop)
        lines.append(
            f"{name:<24}{found.inside:>12.1%}{found.contour:>14.1%}{found.covered:>16.1%}"
            f"{found.events:>12,}"
        )
    return "\n".join(lines)


def pose(motion: MotionSequence, options: argparse.Namespace) -> str:
    """A table of joint errors in millimetres, one row a method."""
    truth, body = SimulatedTruth.load(options.recording), load_body()
    rows = {"motion": motion, "mean pose in the region": mean_pose(motion, load_networks(), body)}
    return pose_table({name: pose_errors(row, truth, body) for name, row in rows.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run in (("silhouette", silhouette), ("pose", pose)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("motion", type=Path, metavar="MOTION.npz")
        command.add_argument("--recording", type=Path, required=True, metavar="FILE")
        if name == "silhouette":
            command.add_argument("--from", type=float, dest="start_s", metavar="S")
            command.add_argument("--to", type=float, dest="stop_s", metavar="S")
            command.add_argument("--tolerance", type=float, default=5.0, metavar="PX")
    options = parser.parse_args()
    try:
        print(options.run(MotionSequence.load(options.motion), options))
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
