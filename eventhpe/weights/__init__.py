"""Network weights with their cards: what they are, what they eat, where they come from.

``NAME.safetensors`` holds the tensors (float16), ``NAME.json`` beside it the card. No pickle is
involved, so weights from anybody are safe to open.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.files import atomic_path

RELEASED = Path(__file__).parent
FLOWNET = RELEASED / "flownet-small.json"
SHAPENET = RELEASED / "shapenet-small.json"


@dataclass(frozen=True)
class Card:
    """What travels with a network's weights.

    Attributes:
        network: ``flownet`` or ``shapenet``.
        config: constructor arguments of the network's config dataclass.
        recipe: how events become its input.
        training: command, data, steps and validation figures, in words and numbers.
        licence: licence of the weights.
        sha256: of the safetensors file.
        flow_size: of a ShapeNet, side of the grid that FlowNet reads for it, pixels; None: that of
            the FlowNet's own recipe.
    """

    network: str
    config: dict[str, Any]
    recipe: InputRecipe
    training: dict[str, Any]
    licence: str
    sha256: str = ""
    flow_size: int | None = None


def save_weights(card_path: Path, state: dict[str, torch.Tensor], card: Card) -> Card:
    """Write ``NAME.safetensors`` in float16 and its card ``NAME.json``; return the card with the
    file's sha256."""
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in state.items()
    }
    with atomic_path(card_path.with_suffix(".safetensors")) as partial:
        save_file(half, partial)
        digest = _sha256(partial)
    card = replace(card, sha256=digest)
    with atomic_path(card_path) as partial:
        partial.write_text(json.dumps(asdict(card), indent=2) + "\n")
    return card


def load_weights(card_path: Path, network: str) -> tuple[dict[str, torch.Tensor], Card]:
    """Read a card and its tensors (as float32).

    Args:
        card_path: the ``.json`` card; the ``.safetensors`` file lies beside it.
        network: ``flownet`` or ``shapenet``, what the caller is about to build.

    Raises:
        InputError: a file is missing, is no card, belongs to another network, or the tensors are
            not the ones the card was written for.
    """
    card = _read_card(card_path)
    if card.network != network:
        raise InputError(
            card_path, f"a card of {card.network}", f"a card of {network}", "Swap the two flags."
        )
    tensors_path = card_path.with_suffix(".safetensors")
    if not tensors_path.is_file():
        raise InputError(
            tensors_path, "no such file", "the card's tensors", "Keep both files in one folder."
        )
    if _sha256(tensors_path) != card.sha256:
        raise InputError(
            tensors_path,
            "tensors whose sha256 is not the card's",
            f"sha256 {card.sha256[:16]}...",
            "Take the card and the tensors from the same release.",
        )
    try:
        state = load_file(tensors_path)
    except SafetensorError as error:
        raise InputError(
            tensors_path, str(error), "a safetensors file", "Download the weights again."
        ) from error
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, card


def _read_card(path: Path) -> Card:
    try:
        fields = json.loads(path.read_text())
        return Card(**{**fields, "recipe": InputRecipe(**fields["recipe"])})
    except OSError as error:
        raise InputError(
            path, f"it cannot be read ({error.strerror})", "a weights card", "Check the path."
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            path,
            f"no valid weights card ({error})",
            "JSON with network, config, recipe, training, licence and sha256",
            "Point at the .json file that came with the weights.",
        ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
