"""How well motion files fit the body: ``python -m scripts.retargeting FILE... [--compare A B]``.

A row a file: the angle in degrees between the body's bones and the captured ones, mean and 95th
percentile over limbs and frames, the worst limb, and lines that skeletons place differently.
``--compare`` reads one take from two files and compares the bodies they give.
"""

import argparse
from pathlib import Path

import numpy as np

from eventhpe.body import load_body
from eventhpe.body.model import Body
from eventhpe.errors import InputError
from eventhpe.simulation.motion.retargeting import (
    LIMBS,
    LINES,
    angles_between,
    direction_errors,
    rest_joints,
    smpl_joints,
    world_rotations,
)
from eventhpe.simulation.motion.takes import load_pose


def row(path: Path, body: Body) -> str:
    """One file's figures."""
    pose, betas = load_pose(path, body)
    errors = direction_errors(pose, rest_joints(body, betas))
    limbs = {name: errors[name] for name, *_ in LIMBS}
    every = np.concatenate(list(limbs.values()))
    worst = max(limbs, key=lambda name: float(limbs[name].mean()))
    figures = f"{every.mean():8.3f}{np.percentile(every, 95):8.3f}  {worst:<16}"
    lines = [f"{errors[n].mean():12.1f}" if n in errors else f"{'-':>12}" for n, *_ in LINES]
    return f"{path.name:<14}{len(pose.rotations):>6}{figures}{''.join(lines)}"


def compare(first: Path, second: Path, body: Body) -> str:
    """Differences of two readings of one take: limb directions, and limbs' orientations after
    one constant rotation a limb, for two makers' skeletons rest differently."""
    rest = rest_joints(body, np.zeros(10))
    poses = [load_pose(path, body)[0].rotations for path in (first, second)]
    frames = min(map(len, poses))
    placed = [smpl_joints(pose[:frames], rest) for pose in poses]
    turns = [world_rotations(pose[:frames]) for pose in poses]
    lines = [
        f"{first.name} and {second.name}, {frames} samples, degrees",
        f"{'':<18}{'direction':>10}{'p95':>8}{'orientation - constant':>26}",
    ]
    total = []
    for name, start, end in LIMBS:
        angle = angles_between(*(p[:, end] - p[:, start] for p in placed))
        between = turns[0][:, start].swapaxes(-1, -2) @ turns[1][:, start]
        left, _, right = np.linalg.svd(between.mean(axis=0))
        trace = np.einsum("ij,nij->n", left @ right, between)
        rest_of_it = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
        total.append((angle.mean(), np.percentile(angle, 95), rest_of_it.mean()))
        lines.append("{:<18}{:>10.2f}{:>8.2f}{:>26.2f}".format(name, *total[-1]))
    lines.append("{:<18}{:>10.2f}{:>8.2f}{:>26.2f}".format("mean", *np.mean(total, axis=0)))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"))
    options = parser.parse_args()
    body = load_body()
    try:
        if options.files:
            print(f"{'file':<14}{'N':>6}{'mean':>8}{'p95':>8}  {'worst limb':<16}", end="")
            print("".join(f"{name:>12}" for name, *_ in LINES))
        for path in options.files:
            print(row(path, body), flush=True)
        if options.compare:
            first, second = options.compare
            print(compare(first, second, body))
    except InputError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
