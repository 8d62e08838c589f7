"""How exact SMPL fits are: ``python -m scripts.fitting_accuracy [--subjects 4 5 6]``.

Subjects of DHP19's clone perform; only their markers, with noise and gaps, go to the fit, which
knows neither shapes nor marker offsets. A row a movement: distances to the truth over all frames,
millimetres. Nothing is filmed, so a movement takes seconds.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.dhp19_clone import CLONE_SEED
from datasets.dhp19_subjects import draw_subject, in_dhp19, perform, posed_joints, vicon_markers
from eventhpe.body.fitting import FittedMotion, fit_motion, fit_person
from eventhpe.body.joints import JOINT_NAMES
from eventhpe.body.loading import load_body
from eventhpe.body.marker_model import Person
from eventhpe.body.model import Body
from eventhpe.simulation.motion.dhp19 import DHP19_MOVEMENTS

Array = NDArray[np.float64]

EVERY = 5
"""Vertices are compared at each fifth frame."""


@dataclass(frozen=True)
class Truth:
    """A performance's movement, its markers (N, 13, 3) in metres, and what is hidden from the fit.

    Attributes:
        betas, rotations, joints: (10,), (N, 24, 3, 3) and (N, 24, 3) metres.
    """

    name: str
    markers: Array
    betas: Array
    rotations: Array
    joints: Array


@dataclass(frozen=True)
class Errors:
    """Mean distances in millimetres, (24,) of the joints, the worst frame's, vertices, labels."""

    joints: Array
    worst: float
    vertices: float
    labels: float


def performances(
    seed: int, number: int, movements: Sequence[tuple[int, int]], duration_s: float, body: Body
) -> list[Truth]:
    """Some (session, movement) of one subject of the clone with this seed."""
    subject = draw_subject(seed, number, body)
    found = []
    for session, movement in movements:
        rng = np.random.default_rng([seed, 2, number, session, movement])
        performance = perform(rng, subject, DHP19_MOVEMENTS[session, movement], duration_s)
        rotations, pelvis = in_dhp19(performance)
        markers = vicon_markers(rng, performance) / 1000
        joints = posed_joints(subject, rotations, pelvis)
        name = DHP19_MOVEMENTS[session, movement]
        found.append(Truth(name, markers, subject.betas, rotations, joints))
    return found


def errors(truth: Truth, person: Person, fit: FittedMotion, body: Body) -> Errors:
    """How far a fit is from the truth."""
    joints = 1000 * np.linalg.norm(fit.joints - truth.joints, axis=-1)
    meshes = [
        _vertices(body, betas, rotations[::EVERY], places[::EVERY, 0])
        for betas, rotations, places in (
            (truth.betas, truth.rotations, truth.joints),
            (person.betas, fit.rotations, fit.joints),
        )
    ]
    vertices = 1000 * np.linalg.norm(meshes[0] - meshes[1], axis=-1).mean()
    labels = float(np.nanmean(fit.residual_mm))
    return Errors(joints.mean(axis=0), float(joints.mean(axis=1).max()), float(vertices), labels)


@torch.no_grad()
def _vertices(body: Body, betas: Array, rotations: Array, pelvis: Array) -> Array:
    shape = torch.from_numpy(betas).float().expand(len(rotations), -1)
    turns = torch.from_numpy(rotations).float()
    transl = torch.from_numpy(pelvis).float() - body.rest_joints(shape)[:, 0]
    return body(shape, turns[:, 0], turns[:, 1:], transl).vertices.numpy()


def spread_over(count: int) -> list[tuple[int, int]]:
    """``count`` of the 33 movements, evenly over the sessions."""
    movements = list(DHP19_MOVEMENTS)
    return [movements[i] for i in np.linspace(0, len(movements) - 1, count).round().astype(int)]


def measure(
    seed: int, number: int, movements: Sequence[tuple[int, int]], duration_s: float, body: Body
) -> Iterator[tuple[str, Errors, float]]:
    """Fit one subject: each movement's name, errors, and processor seconds.

    The first movement's seconds include those of finding the person.
    """
    truths = performances(seed, number, movements, duration_s, body)
    start = time.process_time()
    person = fit_person([truth.markers for truth in truths], body)
    for truth in truths:
        fit = fit_motion(truth.markers, person, body)
        seconds = time.process_time() - start
        yield truth.name, errors(truth, person, fit, body), seconds
        start = time.process_time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, nargs="+", default=[4, 5, 6], metavar="S")
    parser.add_argument("--movements", type=int, default=6, metavar="N", help="of 33 (default: 6)")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds each")
    parser.add_argument("--seed", type=int, default=CLONE_SEED, help="of the clone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    body = load_body()
    figures = f"{'joints':>8}{'worst frame':>13}{'vertices':>10}{'labels':>8}"
    print(f"{'':<5}{'movement':<24}{figures}  mm")
    found: list[Errors] = []
    busy = frames = 0.0
    for number in asked.subjects:
        movements = spread_over(asked.movements)
        for name, e, seconds in measure(asked.seed, number, movements, asked.duration, body):
            line = f"{e.joints.mean():>8.1f}{e.worst:>13.1f}{e.vertices:>10.1f}{e.labels:>8.1f}"
            print(f"S{number:<4}{name:<24}{line}", flush=True)
            found.append(e)
            busy, frames = busy + seconds, frames + asked.duration * 100
    columns = [[e.joints.mean(), e.worst, e.vertices, e.labels] for e in found]
    for title, row in (("mean", np.mean(columns, axis=0)), ("worst", np.max(columns, axis=0))):
        print("{:<29}{:>8.1f}{:>13.1f}{:>10.1f}{:>8.1f}".format(title, *row))
    joints = np.mean([e.joints for e in found], axis=0)
    for i in range(0, len(joints), 6):
        names = zip(JOINT_NAMES[i : i + 6], joints[i : i + 6], strict=True)
        print("  ".join(f"{name} {value:.0f}" for name, value in names))
    print(f"{frames / busy:.0f} frames/s of processor time, one thread")


if __name__ == "__main__":
    main()
