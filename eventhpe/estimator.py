"""The estimator: one window in, one pose out, with the memory that lies between.

It knows neither files nor sequences, so that a live source can feed it as well as a recording.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.networks import load_flownet, load_shapenet
from eventhpe.camera import Camera, Crop, decode_translation, region_features
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.region import RegionTracker
from eventhpe.events.stream import EventStream
from eventhpe.events.windows import Window
from eventhpe.sequence import ABSENT, HELD, TRACKED
from eventhpe.weights import FLOWNET, SHAPENET
from flownet.model import FlowNet, flow_in_sides
from shapenet.model import MEAN_SIGMA, ShapeNet, ShapeNetState

SILENT_EVENTS = 8  # fewer new events in the region: nothing moved, the pose is held
PRESENCE_MEMORY_S = 0.3
PRESENCE_START = 0.3  # nobody is claimed on less than 0.1 s of evidence
HELD_CONFIDENCE_S = 2.0  # a held pose loses confidence with this time constant
SIDE_STRIP, SIDE_SHARE = 0.1, 0.9  # so much of the last motion at the image's sides: gone


@dataclass(frozen=True)
class Networks:
    """Both released networks and what they eat.

    Attributes:
        flownet, shapenet: in evaluation mode, on one device.
        recipe: ShapeNet's input recipe.
        flow_recipe: FlowNet's, which may have another ``size`` and nothing else.
        hashes: network name -> sha256 of its tensors.
    """

    flownet: FlowNet
    shapenet: ShapeNet
    recipe: InputRecipe
    flow_recipe: InputRecipe
    hashes: dict[str, str]


def load_networks(
    flownet: Path = FLOWNET, shapenet: Path = SHAPENET, device: str = "cpu"
) -> Networks:
    """Read both networks from their cards.

    Raises:
        InputError: a card or its tensors cannot be used, the two cards' recipes differ, or torch
            cannot use the device.
    """
    _check_device(device)
    flow_net, flow_card = load_flownet(flownet)
    shape_net, shape_card = load_shapenet(shapenet)
    if replace(flow_card.recipe, size=shape_card.recipe.size) != shape_card.recipe:
        raise InputError(
            shapenet,
            f"the recipe {shape_card.recipe}",
            f"that of the FlowNet, {flow_card.recipe} (sizes may differ)",
            "Use two networks that were trained together.",
        )
    flow_net.to(device)
    shape_net.to(device)
    hashes = {"flownet": flow_card.sha256, "shapenet": shape_card.sha256}
    flow_size = shape_card.flow_size or flow_card.recipe.size
    flow_recipe = replace(flow_card.recipe, size=flow_size)
    return Networks(flow_net, shape_net, shape_card.recipe, flow_recipe, hashes)


def _check_device(name: str) -> None:
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            "--device", f"{name!r}, which torch cannot use", "cpu or cuda", "Leave it out for cpu."
        ) from error


@dataclass(frozen=True)
class Reading:
    """What ShapeNet reads of one window.

    Attributes:
        inputs: (1, 1, C, S, S) events, then flow divided by the crop's side.
        place: (1, 1, 4), see ``ShapeNet.forward``.
        crop: the region.
    """

    inputs: torch.Tensor
    place: torch.Tensor
    crop: Crop


@dataclass(frozen=True)
class Step:
    """The estimate at a window's end.

    Attributes:
        t_us: the window's end.
        rotations: (24, 3, 3) camera frame; meaningless while absent.
        betas: (10,).
        pelvis: (3,) metres, camera frame.
        region: x0, y0, width, height of the region in pixels.
        confidence: 0..1.
        state: ``TRACKED``, ``HELD`` or ``ABSENT``.
    """

    t_us: int
    rotations: NDArray[np.float32]
    betas: NDArray[np.float32]
    pelvis: NDArray[np.float32]
    region: tuple[float, float, float, float]
    confidence: float
    state: int


class Estimator:
    """Takes windows one by one, in order, and remembers what a recurrent estimate needs.

    Args:
        networks: both networks.
        camera: of the (reoriented) events.
        start: pose to report until the first motion; None starts from the mean pose. Networks
            that estimate increments begin from it.

    Attributes:
        reading: what the networks read for the last step; None where it was held without them.

    Raises:
        InputError: the network estimates increments and there is no start.
    """

    def __init__(self, networks: Networks, camera: Camera, start: Step | None = None) -> None:
        self.networks = networks
        self.camera = camera
        self._keep_signal = networks.recipe.noise_filter(camera.width, camera.height)
        self._filtered = EventStream.empty(camera.width, camera.height)
        self._tracker = RegionTracker(camera.width, camera.height)
        self._increments = networks.shapenet.config.head == "increments"
        self._memory = self._start_memory(start) if self._increments else None
        self._presence = PRESENCE_START if start is None else 1.0
        self._leaving = False
        self._seen_until: int | None = None
        self._last = start or self.mean_step()
        self.reading: Reading | None = None

    def step(self, window: Window, step_us: int) -> Step:
        """Estimate the pose at the window's end.

        Args:
            window: the events of [t0, t1), t1 after every earlier window's.
            step_us: time since the window before.
        """
        events = self._filter(window)
        self._tracker.update(events, window.t0, window.t1)
        crop = self._tracker.crop(self.networks.recipe.size)
        since = window.t1 - step_us
        if not self._tracker.located or self._activity(events, crop, since) < SILENT_EVENTS:
            fade = math.exp(-step_us * 1e-6 / HELD_CONFIDENCE_S)
            held = replace(self._last, confidence=self._last.confidence * fade)
            state = ABSENT if self._leaving or self._last.state == ABSENT else HELD
            self.reading = None
            return self._keep(held, window, crop, state)
        self._leaving = at_the_sides(events.x[events.t >= since], events.width)
        self.reading = self._read(events, window, crop, step_us)
        return self._estimate(self.reading, window, step_us)

    @property
    def filtered(self) -> EventStream:
        """The last window's events that passed the noise filter."""
        return self._filtered

    def _start_memory(self, start: Step | None) -> ShapeNetState:
        if start is None:
            raise InputError(
                "--start",
                "no start pose",
                "one, for these weights estimate increments from it",
                "Give --start POSE.npz, or use weights that estimate absolute poses.",
            )
        values = (start.rotations, start.pelvis, start.betas)
        device = next(self.networks.shapenet.parameters()).device
        tensors = (torch.from_numpy(value)[None].to(device) for value in values)
        return self.networks.shapenet.start_state(*tensors)

    def _filter(self, window: Window) -> EventStream:
        """The window's events that pass the noise filter; each event is judged once."""
        since = window.t0 if self._seen_until is None else max(window.t0, self._seen_until)
        fresh = window.events.between(since, window.t1)
        fresh = fresh.masked(self._keep_signal(fresh))
        self._seen_until = window.t1
        old = self._filtered.between(window.t0, since)
        self._filtered = EventStream.concatenate([old, fresh])
        return self._filtered

    def _read(self, events: EventStream, window: Window, crop: Crop, step_us: int) -> Reading:
        networks = self.networks
        device = next(networks.shapenet.parameters()).device
        grid = networks.recipe.prepare(events, window.t0, window.t1, crop)
        flow_grid = grid
        if networks.flow_recipe.size != crop.size:
            flow_crop = replace(crop, size=networks.flow_recipe.size)
            flow_grid = networks.flow_recipe.prepare(events, window.t0, window.t1, flow_crop)
        # Not in inference mode: who adapts ShapeNet takes gradients of what it makes of this.
        with torch.no_grad():
            image, flow_image = (torch.from_numpy(g)[None].to(device) for g in (grid, flow_grid))
            flow = flow_in_sides(networks.flownet, flow_image, crop.size)
            inputs = torch.cat([image, flow], dim=1)[None]
            log_step = torch.tensor([math.log(step_us * 1e-6)])
            features = region_features(*_geometry(self.camera, crop))
            place = torch.cat([features, log_step])[None, None].to(device)
        return Reading(inputs, place, crop)

    def _estimate(self, reading: Reading, window: Window, step_us: int) -> Step:
        crop = reading.crop
        with torch.inference_mode():
            output, self._memory = self.networks.shapenet(
                reading.inputs, reading.place, self._memory
            )
            code = output.translation_code[0, 0].cpu()
            if self._increments:
                pelvis = code
            else:
                geometry = _geometry(self.camera, crop)
                pelvis = decode_translation(code[0], code[1], code[2], *geometry)
        gain = 1.0 - math.exp(-step_us * 1e-6 / PRESENCE_MEMORY_S)
        presence = float(torch.sigmoid(output.presence_logit[0, 0]))
        self._presence += gain * (presence - self._presence)
        # The log variance is of an error in decimetres: an expected decimetre halves confidence.
        expected = math.exp(0.5 * float(output.log_variance[0, 0]))
        estimate = Step(
            t_us=window.t1,
            rotations=output.rotations[0, 0].cpu().numpy(),
            betas=output.betas[0, 0].cpu().numpy(),
            pelvis=pelvis.numpy(),
            region=_box(crop),
            confidence=self._presence / (1.0 + expected),
            state=TRACKED,
        )
        state = TRACKED if self._presence >= 0.5 else ABSENT
        return self._keep(estimate, window, crop, state)

    def _keep(self, step: Step, window: Window, crop: Crop, state: int) -> Step:
        self._last = replace(step, t_us=window.t1, region=_box(crop), state=state)
        return self._last

    def _activity(self, events: EventStream, crop: Crop, since: int) -> int:
        """How many events the region has seen since a time."""
        fresh = events.masked(events.t >= since)
        return int(crop.contains(fresh.x, fresh.y).sum())

    def mean_step(self) -> Step:
        """What stands before the first motion: the mean pose in the region as it is now."""
        crop = self._tracker.crop(self.networks.recipe.size)
        pelvis = decode_translation(
            torch.tensor(MEAN_SIGMA),
            torch.tensor(0.0),
            torch.tensor(0.0),
            *_geometry(self.camera, crop),
        )
        rotations = self.networks.shapenet.mean_rotations.cpu().numpy()
        betas = np.zeros(10, np.float32)
        return Step(0, rotations, betas, pelvis.numpy(), _box(crop), 0.0, ABSENT)


def _geometry(
    camera: Camera, crop: Crop
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Focal lengths, region centre, side and principal point, as `eventhpe.camera` takes them."""
    K = torch.from_numpy(camera.K.astype(np.float32))
    return K[[0, 1], [0, 1]], torch.tensor(crop.centre), torch.tensor(crop.side), K[:2, 2]


def at_the_sides(x: NDArray[np.uint16], width: int) -> bool:
    """Whether events at columns (N,) lie at the left and right border, as of one who walks out."""
    strip = SIDE_STRIP * width
    return float(((x < strip) | (x >= width - strip)).mean()) >= SIDE_SHARE


def _box(crop: Crop) -> tuple[float, float, float, float]:
    return crop.x0, crop.y0, crop.side, crop.side
