"""ShapeNets on takes: the motions that inference would give, at the cost of the forward passes.

Takes (`datasets.takes`) hold what a network reads of every window of a recording. The network runs
over many windows at once; silence, presence and confidence are then judged step by step, by the
rules of `eventhpe.estimator.Estimator`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.clips import read_clip
from datasets.folders import known_truth
from datasets.modules import with_inputs
from datasets.prepared import prepare
from datasets.takes import Takes
from eventhpe.body import Body
from eventhpe.camera import Camera, decode_translation
from eventhpe.estimator import (
    HELD_CONFIDENCE_S,
    PRESENCE_MEMORY_S,
    PRESENCE_START,
    SILENT_EVENTS,
    Estimator,
    Networks,
    Step,
    at_the_sides,
)
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream
from eventhpe.inference import mean_betas, motion_of_steps
from eventhpe.sequence import ABSENT, HELD, TRACKED, MotionSequence
from eventhpe.simulation.truth import SimulatedTruth

CHUNK = 128  # windows that the network reads at once


@dataclass(frozen=True)
class SetRecording:
    """A recording of a set with truth.

    Attributes:
        truth: what is known of it.
        camera: with the intrinsics that a user would have given.
        events: those that passed the noise filter.
    """

    truth: SimulatedTruth
    camera: Camera
    events: EventStream

    @classmethod
    def open(cls, path: Path, recipe: InputRecipe, body: Body) -> "SetRecording":
        """Read a recording whose takes have been made.

        Raises:
            InputError: it has no truth, or that of another body.
        """
        truth = known_truth(path, body)
        events = prepare(path, path.parent / "cache", recipe).events
        return cls(truth, Camera(truth.K_given, truth.width, truth.height), events)


@dataclass(frozen=True)
class _Answers:
    """What a network says of F windows: rotations (F, 24, 3, 3), betas (F, 10), pelvis (F, 3)
    metres, presence (F,) 0..1 and certainty (F,) 0..1, the confidence of who is surely there."""

    rotations: NDArray[np.float32]
    betas: NDArray[np.float32]
    pelvis: NDArray[np.float32]
    presence: NDArray[np.float32]
    certainty: NDArray[np.float32]


def take_steps(
    networks: Networks,
    recording: SetRecording,
    takes: Takes,
    *,
    rows: range | None = None,
    start: Step | None = None,
    reset_every: int | None = None,
) -> list[Step]:
    """The steps that an `Estimator` would give for a whole recording, or for some rows of it.

    Windows in which nothing moves, or before anything was located, are not shown to the network.

    Args:
        takes: the recording, whole.
        rows: consecutive windows; the memory begins with the first. None is all.
        start: pose before the first window, as in `Estimator`.
        reset_every: clear the network's memory each time it has been given so many windows.
    """
    rows = rows if rows is not None else range(len(takes.t_us))
    step_us = int(takes.step_us[0])
    looked = takes.located & (takes.activity >= SILENT_EVENTS)
    answers = _rows_of(_answers(networks, takes, rows, looked, start, reset_every))
    gain = 1.0 - math.exp(-step_us * 1e-6 / PRESENCE_MEMORY_S)
    fade = math.exp(-step_us * 1e-6 / HELD_CONFIDENCE_S)
    presence = PRESENCE_START if start is None else 1.0
    last = start or Estimator(networks, recording.camera).mean_step()
    leaving, steps = False, []
    for row in rows:
        if looked[row]:
            rotations, betas, pelvis, seen, certainty = next(answers)
            presence += gain * (float(seen) - presence)
            last = replace(
                last,
                rotations=rotations,
                betas=betas,
                pelvis=pelvis,
                confidence=presence * float(certainty),
                state=TRACKED if presence >= 0.5 else ABSENT,
            )
        else:
            if row > rows.start and looked[row - 1]:
                leaving = _leaves(recording.events, int(takes.t_us[row - 1]), step_us, networks)
            state = ABSENT if leaving or last.state == ABSENT else HELD
            last = replace(last, confidence=last.confidence * fade, state=state)
        last = replace(last, t_us=int(takes.t_us[row]), region=box(takes, row))
        steps.append(last)
    return steps


def true_step(takes: Takes, row: int) -> Step:
    """The truth at a window's end, as a start pose."""
    return Step(
        int(takes.t_us[row]),
        takes.rotations[row],
        takes.betas,
        takes.pelvis[row],
        box(takes, row),
        1.0,
        HELD,
    )


def held_steps(start: Step, takes: Takes, rows: range) -> list[Step]:
    """A pose, held over some windows of a recording."""
    return [replace(start, t_us=int(takes.t_us[row]), region=box(takes, row)) for row in rows]


def motion_of_takes(
    steps: list[Step],
    networks: Networks,
    recording: SetRecording,
    body: Body,
    step_us: int,
    betas: NDArray[np.float32] | None = None,
    height_m: float | None = None,
) -> MotionSequence:
    """Steps as a motion; ``betas`` (10,) are the tracked steps' mean where none are given."""
    shape = mean_betas(steps) if betas is None else betas
    camera, command = recording.camera, "scripts/evaluate.py pose"
    return motion_of_steps(steps, shape, body, camera, networks, step_us, height_m, command)


def box(takes: Takes, row: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of a window's region, pixels of the sensor."""
    column, line, side = (float(v) for v in takes.region[row])
    return column - (side - 1) / 2, line - (side - 1) / 2, side, side


def _leaves(events: EventStream, t_us: int, step_us: int, networks: Networks) -> bool:
    """Whether the last motion before a time was at the image's sides."""
    since = t_us - min(step_us, networks.recipe.window_us)
    return at_the_sides(events.between(since, t_us).x, events.width)


def _rows_of(answers: _Answers) -> Iterator[tuple[NDArray[np.float32], ...]]:
    parts = (answers.rotations, answers.betas, answers.pelvis, answers.presence, answers.certainty)
    return zip(*parts, strict=True)


def _answers(
    networks: Networks,
    takes: Takes,
    rows: range,
    looked: NDArray[np.bool_],
    start: Step | None,
    reset_every: int | None,
) -> _Answers:
    """The network's answers for those of the rows that are looked at."""
    network, chunk = networks.shapenet, reset_every or CHUNK
    state = None
    if start is not None and network.config.head == "increments":
        given = (start.rotations, start.pelvis, start.betas)
        state = network.start_state(*(torch.from_numpy(value)[None] for value in given))
    found: dict[str, list[torch.Tensor]] = {
        name: [] for name in ("rotations", "betas", "code", "log_variance", "presence")
    }
    for first in range(rows.start, rows.stop, chunk):
        part = slice(first, min(first + chunk, rows.stop))
        chosen = torch.from_numpy(looked[part])
        if reset_every is not None and first > rows.start:
            state = None
        if not chosen.any():
            continue
        clip = {name: value[None] for name, value in read_clip(takes, 0, part).items()}
        images = ("events", "flow", "place")
        clip |= {name: clip[name][:, chosen] for name in images}
        with torch.inference_mode():
            output, state = network(with_inputs(clip)["inputs"], clip["place"], state)
        found["rotations"].append(output.rotations[0])
        found["betas"].append(output.betas[0])
        found["code"].append(output.translation_code[0])
        found["log_variance"].append(output.log_variance[0])
        found["presence"].append(output.presence_logit[0].sigmoid())
    where = np.flatnonzero(looked[rows.start : rows.stop]) + rows.start
    if not len(where):
        none = np.zeros(0, np.float32)
        return _Answers(none, none, none, none, none)
    joined = {name: torch.cat(parts) for name, parts in found.items()}
    # The log variance is of an error in decimetres: an expected decimetre halves confidence.
    certainty = 1.0 / (1.0 + torch.exp(0.5 * joined["log_variance"]))
    pelvis = _pelvis(networks, takes, where, joined["code"])
    values = (joined["rotations"], joined["betas"], pelvis, joined["presence"], certainty)
    return _Answers(*(value.numpy() for value in values))


def _pelvis(
    networks: Networks, takes: Takes, rows: NDArray[np.int64], code: torch.Tensor
) -> torch.Tensor:
    """(F, 3) metres from translation codes (F, 3) of windows (F,)."""
    if networks.shapenet.config.head == "increments":
        return code
    region = torch.from_numpy(takes.region[rows])
    intrinsics = torch.from_numpy(takes.intrinsics).expand(len(rows), 4)
    geometry = (intrinsics[:, :2], region[:, :2], region[:, 2], intrinsics[:, 2:])
    return decode_translation(code[:, 0], code[:, 1], code[:, 2], *geometry)
