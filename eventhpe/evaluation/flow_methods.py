"""Methods of optical flow behind one door: the flow of a window at pixels of the sensor."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.networks import load_flownet
from eventhpe.camera import Crop
from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.events.stream import EventStream
from eventhpe.weights import RELEASED
from flownet.model import FlowNet
from flownet.warping import sample_flow

Float32 = NDArray[np.float32]

_GREY = 60.0  # of 255: the image of counts' root mean square over pixels with events
_LEAST_SIDE = 32  # OpenCV's dense inverse search fails on images of a few pixels


@dataclass(frozen=True)
class FlowWindow:
    """One window as every method sees it.

    Attributes:
        events: filtered events of [t0, t1), of the whole sensor.
        t0, t1: microseconds.
        region: left, top and side of the tracked square at t1, sensor pixels.
    """

    events: EventStream
    t0: int
    t1: int
    region: tuple[float, float, float]

    def crop(self, size: int) -> Crop:
        """The region as a network's input of ``size`` x ``size`` pixels."""
        return Crop(*self.region, size)

    def holds(self, pixels: NDArray[np.number]) -> NDArray[np.bool_]:
        """(P,) which sensor pixels (P, 2) have their centre in the region."""
        inside = self.crop(1).to_crop(pixels.astype(np.float64))
        return np.asarray(((inside > -0.5) & (inside < 0.5)).all(axis=1))

    def whole_pixels(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom (exclusive) of the sensor's pixels that the region meets.

        They span at least one pixel, for a region beyond the sensor too.
        """
        left, top, side = self.region
        width, height = self.events.width, self.events.height
        x0 = min(max(int(np.floor(left)), 0), width - 1)
        y0 = min(max(int(np.floor(top)), 0), height - 1)
        x1 = min(max(int(np.ceil(left + side)), x0 + 1), width)
        y1 = min(max(int(np.ceil(top + side)), y0 + 1), height)
        return x0, y0, x1, y1


class FlowMethod(Protocol):
    """Anything that answers a window of events with optical flow."""

    @property
    def name(self) -> str:
        """What its row is called."""

    def at(self, window: FlowWindow, pixels: Float32) -> Float32:
        """Flow at sensor pixels (P, 2) within the window's region.

        Returns:
            (P, 2) sensor pixels (u right, v down) from the window's start to its end.
        """


class ZeroFlow:
    """Nothing moves: what every method has to beat."""

    name = "zero flow"

    def at(self, window: FlowWindow, pixels: Float32) -> Float32:
        return np.zeros((len(pixels), 2), np.float32)


class NetworkFlow:
    """A FlowNet on the tracked region, as inference runs it.

    Args:
        name: its row's name.
        network: in evaluation mode.
        recipe: how events become its input; its window may be another than the one asked for,
            for flow is always pixels per window.
        sha256: of its tensors' file.
    """

    def __init__(self, name: str, network: FlowNet, recipe: InputRecipe, sha256: str = "") -> None:
        self.name, self.network, self.recipe, self.sha256 = name, network, recipe, sha256

    @classmethod
    def load(cls, card_path: Path) -> "NetworkFlow":
        """Read a FlowNet from its card; the card's file stem names it.

        Raises:
            InputError: the card or its tensors cannot be used.
        """
        network, card = load_flownet(card_path)
        return cls(card_path.stem, network, card.recipe, card.sha256)

    def at(self, window: FlowWindow, pixels: Float32) -> Float32:
        crop = window.crop(self.recipe.size)
        grid = self.recipe.prepare(window.events, window.t0, window.t1, crop)
        u, v = torch.from_numpy(crop.to_crop(pixels).astype(np.float32)).T[:, None]
        with torch.inference_mode():
            flow = self.network(torch.from_numpy(grid)[None])[-1]
            return (sample_flow(flow, u, v)[0] / crop.scale).numpy()


class ClassicalFlow:
    """OpenCV's dense inverse search between the event counts of the window's two halves.

    Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016. The halves'
    middles are half a window apart, so the flow found is doubled. It sees the region at the
    sensor's resolution, both polarities counted.

    The settings were chosen on synhpe-v1's val split (195 windows of 50 ms; AEE at event and at
    body pixels, zero flow 21.7 and 11.7 px): preset medium 4.2 and 4.3 px, more and smoother
    variational refinement as here 3.4 and 3.0 px, smoother still (alpha 80) 3.5 and 2.8 px; images
    blurred, scaled to 256 px or with another gain no better; Farneback's method 7.8 and 7.1 px.

    Args:
        cv2: the module, from `load_opencv`.
    """

    name = "DIS on event counts"

    def __init__(self, cv2: ModuleType) -> None:
        cv2.setNumThreads(1)  # its threads would fight with torch's over small images
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._dis.setVariationalRefinementIterations(15)
        self._dis.setVariationalRefinementAlpha(40.0)

    def at(self, window: FlowWindow, pixels: Float32) -> Float32:
        x0, y0, x1, y1 = window.whole_pixels()
        middle = (window.t0 + window.t1) // 2
        spans = ((window.t0, middle), (middle, window.t1))
        counts = [_counts(window.events.between(*span), x0, y0, x1, y1) for span in spans]
        fired = counts[0][counts[0] > 0]
        gain = _GREY / float(np.sqrt(np.mean(fired**2))) if len(fired) else 0.0
        first, second = (np.minimum(gain * count, 255).astype(np.uint8) for count in counts)
        flow = torch.from_numpy(self._dis.calc(first, second, None)).permute(2, 0, 1)
        u, v = torch.from_numpy(pixels - np.array([x0, y0], np.float32)).T[:, None]
        return 2 * sample_flow(flow[None], u, v)[0].numpy()


def _counts(events: EventStream, x0: int, y0: int, x1: int, y1: int) -> Float32:
    """Events a pixel of a cut-out of the sensor, with empty pixels added to a small one."""
    inside = (events.x >= x0) & (events.x < x1) & (events.y >= y0) & (events.y < y1)
    counts = np.zeros((max(y1 - y0, _LEAST_SIDE), max(x1 - x0, _LEAST_SIDE)), np.float32)
    np.add.at(counts, (events.y[inside] - y0, events.x[inside] - x0), 1)
    return counts


def load_opencv() -> ModuleType:
    """The module ``cv2``, which only the extra ``viz`` installs.

    Raises:
        InputError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            "cv2", "no OpenCV", "OpenCV for the classical baseline", "pip install 'eventhpe[viz]'"
        ) from error
    return cv2


def load_flow_networks(cards: list[Path]) -> list[NetworkFlow]:
    """FlowNets from their cards, all with one noise filter, for they are shown the same events.

    Args:
        cards: the released ones (``flownet-*.json``) when empty.

    Raises:
        InputError: a card cannot be used, two have one name, or filters differ.
    """
    cards = cards or sorted(RELEASED.glob("flownet-*.json"))
    names = [card.stem for card in cards]
    for card in cards:
        if names.count(card.stem) > 1:
            raise InputError(
                card,
                f"two cards named {card.stem}",
                "names of their own, for they name the rows",
                "Rename one card and its tensors.",
            )
    networks = [NetworkFlow.load(card) for card in cards]
    asked = networks[0].recipe.background_activity_us
    for card, network in zip(cards, networks, strict=True):
        found = network.recipe.background_activity_us
        if found != asked:
            raise InputError(
                card,
                f"a recipe with a noise filter of {found} us",
                f"that of {cards[0].name}, {asked} us, for methods share their event pixels",
                "Evaluate networks with different filters one by one.",
            )
    return networks
