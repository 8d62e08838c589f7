"""Adaptation: fine-tuning of ShapeNet on a user's own recording, where there is no truth.

What a recording says about poses without labels: the body must move as the events' flow does
(`shapenet.coherence`), events must lie on it, and its moving outline must have events
(`shapenet.silhouette`). What it does not say, such as which leg is the nearer one, the unadapted
network's own estimates hold in place, as firmly as it was sure of them.

Every fourth clip is held out and never trained on. The round with the least loss there is kept,
and none of them unless it is clearly less than before: a good network must not be harmed.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from eventhpe.body import load_body
from eventhpe.camera import Camera
from eventhpe.errors import InputError
from eventhpe.estimator import Estimator, Networks, Reading, Step
from eventhpe.events.recording import Recording
from eventhpe.events.stream import EventStream
from eventhpe.inference import prepared_windows
from eventhpe.sequence import TRACKED
from eventhpe.weights import Card, load_weights, save_weights
from shapenet.losses import code_loss, geodesic_angle, weighted_mean
from shapenet.model import ShapeNet, ShapeNetOutput, ShapeNetState
from shapenet.self_supervision import SelfSupervision, Sight, join, select

CLIP = 10  # steps: as far as gradients reach back in time
HELD_OUT = 4  # every so many clips one is held out
BATCH = 4  # clips
LEARNING_RATE = 1e-4
LEAST_GAIN = 0.01  # share by which the held-out loss must fall
FROZEN = ("backbone.", "joint_maps.")  # what sees; a minute of recording would unlearn it
WEIGHTS = {
    "endpoint": 1.0,
    "cosine": 1.0,
    "events": 1.0,
    "outline": 1.0,
    "pose": 5.0,
    "place": 5.0,
    "shape": 0.2,
}
"""Of the loss's terms: those of `SelfSupervision.terms`, and staying near the unadapted estimates,
in pose (radians), place (`shapenet.losses.code_loss`) and shape (squares of betas)."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Adaptation:
    """What `adapt` returns.

    Attributes:
        state: the network's tensors: those of the best round, or the unadapted ones.
        best: that round, 0 where no round was better than before.
        history: the held-out loss before the first round and after each.
        steps: the recording's steps that took part.
        interrupted: Ctrl-C came before the last round was over.
    """

    state: dict[str, Tensor]
    best: int
    history: list[float]
    steps: int
    interrupted: bool


def adapt(
    recording: Recording,
    networks: Networks,
    camera: Camera,
    *,
    step_us: int = 50_000,
    start_us: int | None = None,
    stop_us: int | None = None,
    roi: tuple[int, int, int, int] | None = None,
    orient: Callable[[EventStream], EventStream] | None = None,
    rounds: int = 10,
    seconds: float = 60.0,
    progress: bool = True,
) -> Adaptation:
    """Fine-tune ShapeNet on a recording, without labels.

    Only what follows the backbone learns, and batch normalisation stays as it was trained.
    Windows, regions and inputs are inference's own.

    Args:
        recording, camera, step_us, start_us, stop_us, roi, orient: as for `infer`.
        networks: left as they are; both on one device.
        rounds: how often to go through the span.
        seconds: the longest span to learn from. What the network reads of it is kept in memory,
            180 kB a step at 96 pixels.
        progress: show a bar on stderr.

    Raises:
        InputError: what `infer` raises, weights that estimate increments, nothing to do, or too
            few steps with a person.
    """
    if networks.shapenet.config.head != "absolute":
        remedy = "Use weights that estimate absolute poses."
        raise InputError("--shapenet", "weights of increments", "of absolute poses", remedy)
    if rounds < 1:
        raise InputError("--rounds", str(rounds), "1 or more", "Give a number of rounds.")
    if seconds <= 0:
        raise InputError("--seconds", f"{seconds:g}", "more than 0", "Leave it out for a minute.")
    limit = (start_us or 0) + max(round(seconds * 1e6), networks.recipe.window_us)
    stop_us = limit if stop_us is None else min(stop_us, limit)
    windows, count, _ = prepared_windows(
        recording, networks.recipe, camera, step_us, start_us, stop_us, roi, orient
    )
    estimator = Estimator(networks, camera)
    taken: list[tuple[Step, Reading]] = []
    for window in tqdm(windows, "reading", count, unit="step", disable=not progress):
        step = estimator.step(window, step_us)
        if estimator.reading is not None:
            taken.append((step, estimator.reading))
    used = len(taken) - len(taken) % CLIP
    tracked = sum(step.state == TRACKED for step, _ in taken[:used])
    if used < CLIP * HELD_OUT or tracked < used // 2:
        raise InputError(
            recording.path,
            f"{len(taken)} steps with events, {tracked} of them with a person",
            f"at least {CLIP * HELD_OUT} with events, and a person in half of them",
            "Give a longer span, smaller steps, or a recording that `eventhpe infer` tracks.",
        )
    adapter = _Adapter(networks, _batch(taken[:used], camera, step_us))
    return _rounds(adapter, rounds, progress)


def save_adapted(
    out: Path, adaptation: Adaptation, source: Path, recording: Recording, command: str
) -> Card:
    """Write the adapted network as a card and its tensors, for ``--shapenet``.

    Args:
        out: the card, ``NAME.json``.
        source: card of the weights that were adapted.
        command: recorded in the card.

    Raises:
        InputError: ``source`` cannot be read any more, or ``out`` cannot be written.
    """
    _, card = load_weights(source, "shapenet")
    training = {
        "script": "eventhpe adapt",
        "command": command,
        "adapted_from": {"sha256": card.sha256, "training": card.training},
        "recording": recording.path.name,
        "steps": adaptation.steps,
        "kept_round": adaptation.best,
        "held_out_loss": [round(value, 4) for value in adaptation.history],
    }
    licence = f"{card.licence}; then adapted to a recording of its user's"
    return save_weights(out, adaptation.state, replace(card, training=training, licence=licence))


def _batch(taken: list[tuple[Step, Reading]], camera: Camera, step_us: int) -> Batch:
    """The steps as clips (B, ``CLIP``, ...), see `shapenet.self_supervision`."""
    steps, readings = zip(*taken, strict=True)
    device = readings[0].place.device
    K = camera.K
    t_us = torch.tensor([step.t_us for step in steps])
    first = torch.tensor([False])
    flat = {
        # Float16 halves what is by far the most of the memory; the values are within +-5.
        "inputs": torch.cat([reading.inputs[0].half() for reading in readings]),
        "place": torch.cat([reading.place[0] for reading in readings]),
        "region": torch.tensor([(*r.crop.centre, r.crop.side) for r in readings]),
        "follows": torch.cat([first, t_us.diff() == step_us]),
        "present": torch.tensor([step.state == TRACKED for step in steps]),
        "confidence": torch.tensor([step.confidence for step in steps]),
    }
    batch = {name: value.to(device).unflatten(0, (-1, CLIP)) for name, value in flat.items()}
    focal = torch.tensor([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], dtype=torch.float32)
    batch["intrinsics"] = focal.to(device).expand(len(batch["place"]), -1)
    return batch


def _rounds(adapter: "_Adapter", rounds: int, progress: bool) -> Adaptation:
    """Train round by round; keep the best on what is held out."""
    history = [adapter.held_out_loss()]
    best, state = 0, adapter.state()
    interrupted = False
    bar = tqdm(total=rounds, desc="adapting", unit="round", disable=not progress)
    try:
        for number in range(1, rounds + 1):
            adapter.train()
            history.append(adapter.held_out_loss())
            if history[-1] < (1.0 - LEAST_GAIN) * history[0] and history[-1] < history[best]:
                best, state = number, adapter.state()
            bar.set_postfix_str(f"held out {history[0]:.3f} -> {history[best]:.3f}")
            bar.update()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bar.close()
    steps = adapter.batch["present"].numel()
    return Adaptation(state, best, history, steps, interrupted)


class _Adapter:
    """A network that learns, the clips, and what it last made of them."""

    def __init__(self, networks: Networks, batch: Batch) -> None:
        self.network: ShapeNet = copy.deepcopy(networks.shapenet).eval()
        learning = []
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(FROZEN))
            learning += [parameter] if parameter.requires_grad else []
        self.optimizer = torch.optim.Adam(learning, LEARNING_RATE)
        self.batch = batch
        recipe = networks.recipe
        body = load_body().to(batch["place"].device)
        self.supervision = SelfSupervision(body, recipe.bins, recipe.window_us * 1e-6)
        clips = torch.arange(len(batch["place"]))
        self.held_out = clips[clips % HELD_OUT == HELD_OUT // 2]
        self.trained_on = clips[clips % HELD_OUT != HELD_OUT // 2]
        self.generator = torch.Generator().manual_seed(0)
        self.prior: ShapeNetOutput | None = None

    def state(self) -> dict[str, Tensor]:
        """A copy of the network's tensors."""
        return {name: value.clone() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Go through the recording as inference does; the loss of the clips held out.

        Keeps each clip's first state, and what is seen of the estimates, for `train`.
        """
        state = self.network.initial_state(1)
        outputs, self.states = [], []
        for clip in range(len(self.batch["place"])):
            self.states.append(state)
            part = self._part(torch.tensor([clip]))
            output, state = self.network(part["inputs"], part["place"], state)
            outputs.append(output)
        output = join(outputs)
        self.prior = self.prior or output
        looks = [
            self.supervision.look(select(output, rows), self._part(rows))
            for rows in torch.arange(len(outputs)).split(BATCH)
        ]
        self.sight = Sight.join(looks)
        losses = [
            float(self._loss(select(output, rows), rows)) * len(rows)
            for rows in self.held_out.split(BATCH)
        ]
        return sum(losses) / len(self.held_out)

    def train(self) -> None:
        """One round over the clips that are not held out, in a new order."""
        order = torch.randperm(len(self.trained_on), generator=self.generator)
        for rows in self.trained_on[order].split(BATCH):
            part = self._part(rows)
            state = ShapeNetState(torch.cat([self.states[row].hidden for row in rows.tolist()]))
            output, _ = self.network(part["inputs"], part["place"], state)
            self.optimizer.zero_grad()
            self._loss(output, rows).backward()
            self.optimizer.step()

    def _part(self, rows: Tensor) -> Batch:
        part = {name: value[rows] for name, value in self.batch.items()}
        part["inputs"] = part["inputs"].float()
        return part

    def _loss(self, output: ShapeNetOutput, rows: Tensor) -> Tensor:
        assert self.prior is not None
        part, prior = self._part(rows), select(self.prior, rows)
        terms = self.supervision.terms(output, part, self.sight.select(rows))
        weight = (part["present"] * part["confidence"]).flatten()
        angle = geodesic_angle(output.rotations, prior.rotations)
        terms["pose"] = weighted_mean(angle.flatten(0, 1), weight)
        place, prior_place = (o.translation_code.flatten(0, 1) for o in (output, prior))
        terms["place"] = code_loss(place, prior_place, weight)
        change = (output.betas - prior.betas).square()
        terms["shape"] = weighted_mean(change.flatten(0, 1), weight)
        return torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
