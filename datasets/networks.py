"""Trained networks that data are made with or measured by."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import nn

from eventhpe.errors import InputError
from eventhpe.weights import Card, load_weights
from flownet.model import FlowNet, FlowNetConfig
from shapenet.model import FLOW_CHANNELS, ShapeNet, ShapeNetConfig

Network = TypeVar("Network", bound=nn.Module)


def load_flownet(card_path: Path) -> tuple[FlowNet, Card]:
    """Read a FlowNet, in evaluation mode and without gradients, from its card.

    Raises:
        InputError: the card or its tensors cannot be used.
    """
    network, card = _load(card_path, "flownet", lambda config: FlowNet(FlowNetConfig(**config)))
    _check_input(card_path, (network.config.in_channels,), (card.recipe.bins,))
    return network, card


def load_shapenet(card_path: Path) -> tuple[ShapeNet, Card]:
    """Read a ShapeNet, in evaluation mode and without gradients, from its card.

    Raises:
        InputError: the card or its tensors cannot be used.
    """
    network, card = _load(card_path, "shapenet", lambda config: ShapeNet(ShapeNetConfig(**config)))
    config, recipe = network.config, card.recipe
    eaten = (config.in_channels, config.image_size)
    _check_input(card_path, eaten, (recipe.bins + FLOW_CHANNELS, recipe.size))
    return network, card


def _check_input(card_path: Path, eaten: tuple[int, ...], given: tuple[int, ...]) -> None:
    """Raise `InputError` where a network's channels (and pixels) are not what its recipe gives."""
    if eaten != given:
        found, expected = (" and ".join(map(str, numbers)) for numbers in (eaten, given))
        raise InputError(
            card_path,
            f"a network of {found} channels (and pixels)",
            f"what its recipe gives: {expected}",
            "Take the card from the release again.",
        )


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
