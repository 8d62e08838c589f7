"""Trained networks that data are made with or measured by."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import nn

from eventhpe.errors import InputError
from eventhpe.weights import Card, load_weights
from flownet.model import FlowNet, FlowNetConfig
from shapenet.model import ShapeNet, ShapeNetConfig

Network = TypeVar("Network", bound=nn.Module)


def load_flownet(card_path: Path) -> tuple[FlowNet, Card]:
    """Read a FlowNet, in evaluation mode and without gradients, from its card.

    Raises:
        InputError: the card or its tensors cannot be used.
    """
    network, card = _load(card_path, "flownet", lambda config: FlowNet(FlowNetConfig(**config)))
    channels = network.config.in_channels
    if channels != card.recipe.bins:
        raise InputError(
            card_path,
            f"a FlowNet of {channels} channels with a recipe of {card.recipe.bins} bins",
            "as many bins as channels",
            "Take the card from the release again.",
        )
    return network, card


def load_shapenet(card_path: Path) -> tuple[ShapeNet, Card]:
    """Read a ShapeNet, in evaluation mode and without gradients, from its card.

    Raises:
        InputError: the card or its tensors cannot be used.
    """
    return _load(card_path, "shapenet", lambda config: ShapeNet(ShapeNetConfig(**config)))


def _load(card_path: Path, name: str, build: Callable[[dict], Network]) -> tuple[Network, Card]:
    state, card = load_weights(card_path, name)
    try:
        network = build(card.config)
        network.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            card_path,
            f"a configuration and tensors that build no {name} ({error})",
            "those that the weights were trained with",
            "Take the card and the tensors from the same release.",
        ) from error
    network.eval().requires_grad_(False)
    return network, card
