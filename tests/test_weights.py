"""Weights and cards: what is written comes back, and nothing else is taken for it."""

import json
import pickle

import pytest
import torch

from eventhpe.errors import InputError
from eventhpe.estimator import load_networks
from eventhpe.events.recipe import InputRecipe
from eventhpe.weights import Card, load_weights, save_weights
from flownet.model import FlowNet
from shapenet.model import ShapeNet


def saved(folder, network=None, name="flownet", recipe=None):
    network = network or FlowNet.preset("small", 8)
    usual = InputRecipe(size=96) if name == "shapenet" else InputRecipe()
    card = Card(name, network.config_dict(), recipe or usual, {"steps": 1}, "MIT")
    save_weights(folder / f"{name}.json", network.state_dict(), card)
    return folder / f"{name}.json"


def test_round_trip_in_half_precision(tmp_path):
    network = FlowNet.preset("small", 8)
    path = saved(tmp_path, network)
    state, card = load_weights(path, "flownet")
    assert card.recipe == InputRecipe()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-4)


def test_card_and_tensors_must_belong_together(tmp_path):
    path = saved(tmp_path)
    tensors = path.with_suffix(".safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(InputError, match="sha256"):
        load_weights(path, "flownet")


def test_a_card_of_the_other_network_is_refused(tmp_path):
    with pytest.raises(InputError, match="a card of flownet"):
        load_weights(saved(tmp_path), "shapenet")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"not json", b"\xff\xfe"])
def test_no_card(tmp_path, content):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="weights card"):
        load_weights(path, "flownet")


def test_a_pickle_in_place_of_tensors_is_never_run(tmp_path):
    path = saved(tmp_path)
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return marker.touch, ()

    tensors = path.with_suffix(".safetensors")
    tensors.write_bytes(pickle.dumps(Payload()))
    # Even a card that vouches for the file does not get it unpickled.
    import hashlib

    card = json.loads(path.read_text())
    card["sha256"] = hashlib.sha256(tensors.read_bytes()).hexdigest()
    path.write_text(json.dumps(card))
    with pytest.raises(InputError, match="safetensors"):
        load_weights(path, "flownet")
    assert not marker.exists()


def test_networks_of_different_recipes_do_not_mix(tmp_path):
    flow, other = saved(tmp_path), InputRecipe(window_us=40_000, size=96)
    shape = saved(tmp_path, ShapeNet.preset("small", 10), "shapenet", other)
    with pytest.raises(InputError, match="trained together"):
        load_networks(flow, shape)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("recipe", {"bins": "x"}),
        ("recipe", {"bins": 4}),
        ("recipe", {"size": -1}),
        ("recipe", {"window_us": 0}),
        ("recipe", {"representation": "other"}),
        ("config", {"unheard": 1}),
        ("config", {"base_channels": -1}),
    ],
)
def test_cards_that_build_no_network(tmp_path, part, changes):
    paths = saved(tmp_path), saved(tmp_path, ShapeNet.preset("small", 10), "shapenet")
    for path in paths if part == "recipe" else paths[:1]:
        card = json.loads(path.read_text())
        card[part].update(changes)
        path.write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"\.json"):
        load_networks(*paths)


def test_tensors_of_another_architecture_are_refused(tmp_path):
    network = FlowNet.preset("small", 8)
    card = Card("flownet", {**network.config_dict(), "base_channels": 8}, InputRecipe(), {}, "MIT")
    save_weights(tmp_path / "flownet.json", network.state_dict(), card)
    shape = saved(tmp_path, ShapeNet.preset("small", 10), "shapenet")
    with pytest.raises(InputError, match="build no flownet"):
        load_networks(tmp_path / "flownet.json", shape)
