"""Trained networks that data are made with or measured by."""

from pathlib import Path

from eventhpe.errors import InputError
from eventhpe.weights import Card, load_weights
from flownet.model import FlowNet, FlowNetConfig
from shapenet.model import ShapeNet, ShapeNetConfig


def load_flownet(card_path: Path) -> tuple[FlowNet, Card]:
    """Read a FlowNet, in evaluation mode and without gradients, from its card.

    Raises:
        InputError: the card or its tensors cannot be used.
    """
    state, card = load_weights(card_path, "flownet")
    try:
        network = FlowNet(FlowNetConfig(**card.config))
        network.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            card_path,
            f"a configuration and tensors that build no FlowNet ({error})",
            "those that the weights were trained with",
            "Take the card and the tensors from the same release.",
        ) from error
    channels = network.config.in_channels
    if channels != card.recipe.bins:
        raise InputError(
            card_path,
            f"a FlowNet of {channels} channels with a recipe of {card.recipe.bins} bins",
            "as many bins as channels",
            "Take the card from the release again.",
        )
    network.eval().requires_grad_(False)
    return network, card


def load_shapenet(card_path: Path) -> tuple[ShapeNet, Card]:
    """Read a ShapeNet, in evaluation mode and without gradients, from its card.

    Raises:
        InputError: the card or its tensors cannot be used.
    """
    state, card = load_weights(card_path, "shapenet")
    try:
        network = ShapeNet(ShapeNetConfig(**card.config))
        network.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            card_path,
            f"a configuration and tensors that build no ShapeNet ({error})",
            "those that the weights were trained with",
            "Take the card and the tensors from the same release.",
        ) from error
    network.eval().requires_grad_(False)
    return network, card
