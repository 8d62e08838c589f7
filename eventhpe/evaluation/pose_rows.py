"""The rows of a pose evaluation: which networks run on which takes, beside which baselines."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from datasets.folders import known_truth, recording_paths
from datasets.takes import Region, Takes, prepare_takes, whole_recordings
from eventhpe.body import Body
from eventhpe.errors import InputError
from eventhpe.estimator import Networks, Step, load_networks
from eventhpe.evaluation.pose import mean_pose
from eventhpe.evaluation.pose_scores import Conditions, Estimate, Scores, TrueSteps, score
from eventhpe.evaluation.pose_set import (
    SetRecording,
    held_steps,
    motion_of_takes,
    take_steps,
    true_step,
)
from eventhpe.inference import mean_betas, standing_height
from eventhpe.refinement import refine
from eventhpe.sequence import MotionSequence

STEP_US, FINE_STEP_US, CLIP_STEP_US = 50_000, 20_000, 130_000
CLIP_STEPS = 8  # of the published networks
RESET_US = 1_000_000  # before the last quarter
HEIGHTS_M = (1.2, 2.3)  # that `infer` takes

MEAN_POSE = "mean pose in the region"
START_HELD = "start held"
CARRIED = "last quarter, memory carried"
RESET = "last quarter, memory of 1 s"

Rows = Iterator[tuple[Conditions, Estimate]]
Plan = Callable[[int, SetRecording, Body], Rows]


@dataclass(frozen=True)
class Entrant:
    """A ShapeNet to score.

    Attributes:
        name: what its rows are called.
        flownet: card of the FlowNet it works with.
    """

    name: str
    networks: Networks
    flownet: Path

    @classmethod
    def load(cls, name: str, card: Path, flownet: Path, head: str = "absolute") -> "Entrant":
        """Read a ShapeNet's card.

        Raises:
            InputError: a card cannot be used, or it is of a network with another head.
        """
        networks = load_networks(flownet, card)
        found = networks.shapenet.config.head
        if found != head:
            raise InputError(
                card,
                f"a ShapeNet with the head {found!r}",
                f"one with the head {head!r}",
                "Absolute poses go with --card, increments with --increments.",
            )
        return cls(name, networks, flownet)

    def takes(
        self, folder: Path, step_us: int, region: Region = "tracked", workers: int = 1
    ) -> list[Takes]:
        """What the network reads of every recording of a folder; made where it is missing."""
        networks = self.networks
        spec = whole_recordings(
            networks.recipe,
            networks.flow_recipe.size,
            networks.hashes["flownet"],
            step_us,
            region,
        )
        return prepare_takes(folder, spec, self.flownet, workers)


def evaluate_poses(
    folder: Path,
    main: Entrant,
    others: Sequence[Entrant],
    increments: Sequence[Entrant],
    body: Body,
    conditions: bool = True,
    workers: int = 1,
    progress: bool = True,
) -> Scores:
    """Score ShapeNets and baselines on every recording of a set with truth.

    Args:
        folder: the set; takes are kept in its ``cache``.
        main: the network that stands beside the baselines.
        others: networks to set beside it.
        increments: networks that predict increments, from the true pose, in clips.
        body: the body that truth and networks belong to.
        conditions: run ``main`` also in true regions, at 20 ms steps and with memory of 8 steps:
            two more sets of takes, and five times the work.
        workers: processes that make takes.

    Raises:
        InputError: the folder holds no recordings, or one without truth for this body.
    """
    paths = recording_paths(folder)
    for path in paths:  # says so before the work
        known_truth(path, body)
    plans = [
        _main_rows(main, folder, workers),
        *([_condition_rows(main, folder, workers)] if conditions else []),
        *(_plain_rows(entrant, folder, workers) for entrant in others),
        *(_clip_rows(entrant, folder, workers) for entrant in increments),
    ]
    scores: Scores = {}
    bar = tqdm(total=len(paths) * len(plans), desc="score", unit="run", disable=not progress)
    with bar:
        for index, path in enumerate(paths):
            recording = SetRecording.open(path, main.networks.recipe, body)
            truths: dict[bytes, TrueSteps] = {}
            for plan in plans:
                for row, estimate in plan(index, recording, body):
                    key = estimate.motion.t_us.tobytes()
                    if key not in truths:
                        truths[key] = TrueSteps.at(recording, estimate.motion, body)
                    errors = score(estimate, truths[key], recording, body)
                    scores.setdefault(row, []).append(errors)
                bar.update()
    return scores


def _main_rows(entrant: Entrant, folder: Path, workers: int) -> Plan:
    """Baselines, the network, and what memory and later knowledge add."""
    networks, name = entrant.networks, entrant.name
    tracked = entrant.takes(folder, STEP_US, "tracked", workers)
    usual = Conditions(name)

    def rows(index: int, recording: SetRecording, body: Body) -> Rows:
        takes = tracked[index]
        steps = take_steps(networks, recording, takes)
        found = Estimate.whole(motion_of_takes(steps, networks, recording, body, STEP_US))
        baseline = mean_pose(found.motion, networks, body)
        yield Conditions(MEAN_POSE, memory="none"), Estimate.whole(baseline, judges=False)
        if takes.present.any():
            held = _held(networks, recording, takes, body)
            conditions = Conditions(START_HELD, "true pose", "none", memory="none")
            yield conditions, Estimate.whole(held, judges=False)
        yield usual, found
        refined = Estimate.whole(refine(found.motion, body))
        yield Conditions(f"{name}, refined"), refined
        height = _true_height(takes, body)
        tall = motion_of_takes(steps, networks, recording, body, STEP_US, height_m=height)
        yield Conditions(f"{name}, true height"), Estimate.whole(tall)
        yield from _memory_rows(entrant, recording, takes, found.motion, steps, body)

    return rows


def _condition_rows(entrant: Entrant, folder: Path, workers: int) -> Plan:
    """The network in other regions, at other steps and with less memory."""
    networks = entrant.networks
    tracked = entrant.takes(folder, STEP_US, "tracked", workers)
    truth = entrant.takes(folder, STEP_US, "truth", workers)
    fine = entrant.takes(folder, FINE_STEP_US, "tracked", workers)
    usual = Conditions(entrant.name)

    def rows(index: int, recording: SetRecording, body: Body) -> Rows:
        def motion(steps: list[Step], step_us: int = STEP_US) -> Estimate:
            return Estimate.whole(motion_of_takes(steps, networks, recording, body, step_us))

        around = take_steps(networks, recording, truth[index])
        yield replace(usual, region="truth"), motion(around)
        often = take_steps(networks, recording, fine[index])
        yield replace(usual, step_ms=FINE_STEP_US // 1000), motion(often, FINE_STEP_US)
        short = take_steps(networks, recording, tracked[index], reset_every=CLIP_STEPS)
        yield replace(usual, memory=f"{CLIP_STEPS} steps"), motion(short)

    return rows


def _memory_rows(
    entrant: Entrant,
    recording: SetRecording,
    takes: Takes,
    whole: MotionSequence,
    steps: list[Step],
    body: Body,
) -> Rows:
    """The last quarter, with memory of all before it and of a second: the same steps, and one
    shape, so that the network's memory alone makes the difference."""
    count = len(takes.t_us)
    quarter = 3 * count // 4
    begin = int(np.searchsorted(takes.t_us, takes.t_us[quarter] - RESET_US))
    rows = range(begin, count)
    betas = mean_betas(steps)
    again = take_steps(entrant.networks, recording, takes, rows=rows)
    reset = motion_of_takes(again, entrant.networks, recording, body, STEP_US, betas)
    # Until its first look a network that begins anew knows nothing at all.
    looks = np.array([step.confidence > 0 for step in again])
    counted = np.logical_or.accumulate(looks) & (np.arange(begin, count) >= quarter)
    piece = np.zeros(count, np.int64)
    early = np.zeros(begin, bool)
    usual = Conditions(entrant.name)
    yield (
        replace(usual, method=f"{entrant.name}, {CARRIED}"),
        Estimate(whole, np.concatenate([early, counted]), piece),
    )
    yield (
        replace(usual, method=f"{entrant.name}, {RESET}", memory="1 s and more"),
        Estimate(reset, counted, piece[begin:]),
    )


def _plain_rows(entrant: Entrant, folder: Path, workers: int) -> Plan:
    """One row of a network."""
    takes = entrant.takes(folder, STEP_US, "tracked", workers)

    def rows(index: int, recording: SetRecording, body: Body) -> Rows:
        steps = take_steps(entrant.networks, recording, takes[index])
        motion = motion_of_takes(steps, entrant.networks, recording, body, STEP_US)
        yield Conditions(entrant.name), Estimate.whole(motion)

    return rows


def _clip_rows(entrant: Entrant, folder: Path, workers: int) -> Plan:
    """Increments in clips from the true pose, and the start held over the same clips."""
    networks = entrant.networks
    all_takes = entrant.takes(folder, CLIP_STEP_US, "tracked", workers)

    def rows(index: int, recording: SetRecording, body: Body) -> Rows:
        takes = all_takes[index]
        starts = range(0, len(takes.t_us) - CLIP_STEPS, CLIP_STEPS)
        clips = [k for k in starts if takes.present[k]]
        if not clips:
            return
        moved, held = [], []
        for k in clips:
            start, span = true_step(takes, k), range(k + 1, k + 1 + CLIP_STEPS)
            moved += take_steps(networks, recording, takes, rows=span, start=start)
            held += held_steps(start, takes, span)
        usual = Conditions(
            entrant.name, "true pose", step_ms=CLIP_STEP_US // 1000, memory=f"{CLIP_STEPS} steps"
        )
        name = f"{START_HELD}, clips of {entrant.name}"
        still = replace(usual, method=name, region="none", memory="none")
        for conditions, steps in ((usual, moved), (still, held)):
            motion = motion_of_takes(
                steps, networks, recording, body, CLIP_STEP_US, betas=takes.betas
            )
            piece = np.repeat(np.arange(len(clips)), CLIP_STEPS)
            yield conditions, Estimate(motion, np.ones(len(motion), bool), piece, judges=False)

    return rows


def _held(networks: Networks, recording: SetRecording, takes: Takes, body: Body) -> MotionSequence:
    """The true pose of the first step with a person, over the whole recording."""
    start = true_step(takes, int(np.argmax(takes.present)))
    steps = held_steps(start, takes, range(len(takes.t_us)))
    return motion_of_takes(steps, networks, recording, body, STEP_US, betas=takes.betas)


def _true_height(takes: Takes, body: Body) -> float:
    """Metres; of the few that `infer` would refuse, the nearest it takes."""
    height = float(standing_height(body, torch.from_numpy(takes.betas)))
    return min(max(height, HEIGHTS_M[0]), HEIGHTS_M[1])
