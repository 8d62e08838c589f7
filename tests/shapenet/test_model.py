"""ShapeNet: the paper's size, memory across clips, rotations, and its configuration."""

import json

import pytest
import roma
import torch

from shapenet import ShapeNet, ShapeNetConfig, ShapeNetState
from shapenet.model import matrix_to_six, six_to_matrix, upright_rotations

TINY = {"depths": (1, 1, 1, 1), "hidden": 16, "place_width": 8, "grid_channels": 4}


def tiny(head: str = "absolute") -> ShapeNet:
    """A network of each kind that runs in milliseconds."""
    torch.manual_seed(0)
    if head == "absolute":
        return ShapeNet(
            ShapeNetConfig(in_channels=3, image_size=64, widths=(8, 8, 8, 16), **TINY)  # type: ignore
        )
    return ShapeNet(
        ShapeNetConfig(
            head="increments",
            in_channels=3,
            image_size=64,
            widths=(8, 8, 8, 16),
            depths=(1, 1, 1, 1),
            grid_channels=0,
            map_channels=0,
            hidden=16,
            place_width=0,
        )
    )


def stir(network: ShapeNet) -> ShapeNet:
    """Give the quiet heads weights, so that outputs depend on inputs visibly."""
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    return network


def clip(batch: int = 2, steps: int = 6):
    torch.manual_seed(1)
    return torch.randn(batch, steps, 3, 64, 64), torch.randn(batch, steps, 4)


def start(network: ShapeNet, batch: int = 2) -> ShapeNetState:
    torch.manual_seed(2)
    rotations = roma.random_rotmat(batch * 24).view(batch, 24, 3, 3)
    return network.start_state(rotations, torch.randn(batch, 3), torch.randn(batch, 10))


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_paper_preset_has_the_published_size():
    with torch.device("meta"):
        assert parameters(ShapeNet.preset("paper", in_channels=10)) == 49_009_299


def test_small_preset_fits_fifteen_megabytes_in_half_precision():
    assert parameters(ShapeNet.preset("small", in_channels=12)) <= 7_000_000


def test_shapes_of_the_small_preset():
    network = ShapeNet.preset("small", in_channels=7).eval()
    with torch.inference_mode():
        output, state = network(torch.randn(2, 3, 7, 96, 96), torch.randn(2, 3, 4))
    assert output.rotations.shape == (2, 3, 24, 3, 3)
    assert output.betas.shape == (2, 3, 10)
    assert output.translation_code.shape == (2, 3, 3)
    assert output.log_variance.shape == output.presence_logit.shape == (2, 3)
    assert state.hidden.shape == (2, network.config.hidden)
    assert (output.translation_code[..., 0] > 0).all()


@pytest.mark.parametrize("head", ["absolute", "increments"])
def test_split_clips_with_the_state_equal_one_long_clip(head):
    network = stir(tiny(head)).eval()
    inputs, place = clip()
    state = start(network) if head == "increments" else None
    with torch.inference_mode():
        whole, last = network(inputs, place, state)
        first, between = network(inputs[:, :2], place[:, :2], state)
        second, end = network(inputs[:, 2:], place[:, 2:], between.detach())
    for name in ("rotations", "betas", "translation_code", "log_variance", "presence_logit"):
        joined = torch.cat([getattr(first, name), getattr(second, name)], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(end.hidden, last.hidden, atol=1e-5, rtol=1e-4)


def test_memory_matters():
    network = stir(tiny()).eval()
    inputs, place = clip()
    with torch.inference_mode():
        _, state = network(inputs, place)
        carried, _ = network(inputs, place, state)
        fresh, _ = network(inputs, place)
    assert (carried.rotations[:, 0] - fresh.rotations[:, 0]).abs().max() > 1e-3


def test_reset_clips_begin_as_fresh_and_others_go_on():
    network = stir(tiny()).eval()
    inputs, place = clip()
    with torch.inference_mode():
        _, state = network(inputs, place)
        partly, _ = network(inputs, place, state.reset(torch.tensor([True, False])))
        carried, _ = network(inputs, place, state)
        fresh, _ = network(inputs, place)
    torch.testing.assert_close(partly.rotations[0], fresh.rotations[0])
    torch.testing.assert_close(partly.rotations[1], carried.rotations[1])


def test_reset_of_increments_takes_the_start_given():
    network = stir(tiny("increments")).eval()
    inputs, _ = clip()
    with torch.inference_mode():
        _, state = network(inputs, None, start(network))
    with pytest.raises(ValueError, match="start pose"):
        state.reset(torch.tensor([True, False]))
    begun = state.reset(torch.tensor([True, False]), start(network))
    assert begun.rotations is not None
    assert state.rotations is not None
    torch.testing.assert_close(begun.rotations[0], start(network).rotations[0])  # type: ignore
    torch.testing.assert_close(begun.rotations[1], state.rotations[1])
    assert begun.hidden[0].abs().max() == 0


def test_state_selects_moves_and_detaches():
    network = tiny()
    _, state = network(*clip())
    assert state.hidden.requires_grad
    assert not state.detach().hidden.requires_grad
    assert state.select(torch.tensor([1])).hidden.shape == (1, 16)
    assert state.to("meta").hidden.device.type == "meta"


@pytest.mark.parametrize("head", ["absolute", "increments"])
def test_gradients_reach_every_parameter(head):
    network = stir(tiny(head))
    state = start(network) if head == "increments" else None
    output, _ = network(*clip(), state)
    weights = torch.randn(output.rotations.shape)
    loss = (output.rotations * weights).sum() + output.translation_code.square().sum()
    if head == "absolute":
        loss = loss + output.betas.sum() + output.log_variance.sum() + output.presence_logit.sum()
    loss.backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("head", ["absolute", "increments"])
def test_rotations_are_rotations(head):
    network = stir(tiny(head)).eval()
    with torch.inference_mode():
        output, _ = network(*clip(), start(network) if head == "increments" else None)
    assert roma.is_rotation_matrix(output.rotations.flatten(0, 2), epsilon=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_empty_input_is_finite(training):
    network = tiny().train(training)
    output, state = network(torch.zeros(2, 3, 3, 64, 64), torch.zeros(2, 3, 4))
    assert torch.isfinite(output.rotations).all()
    assert torch.isfinite(state.hidden).all()
    output.rotations.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_untrained_absolute_network_gives_the_mean_pose():
    mean = roma.random_rotmat(24)
    network = ShapeNet(ShapeNetConfig(in_channels=3, image_size=64), mean).eval()
    with torch.inference_mode():
        output, _ = network(torch.rand(1, 2, 3, 64, 64), torch.zeros(1, 2, 4))
    torch.testing.assert_close(output.rotations, mean.expand(1, 2, 24, 3, 3), atol=0.2, rtol=0)
    expected = torch.tensor([0.9, 0.0, 0.0]).expand(1, 2, 3)
    torch.testing.assert_close(output.translation_code, expected, atol=0.1, rtol=0)


def test_default_mean_is_upright_and_faces_the_camera():
    up, forward = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    root = upright_rotations()[0]
    torch.testing.assert_close(root @ up, -up)  # the camera's y points down
    torch.testing.assert_close(root @ forward, -forward)


def test_identity_increments_hold_the_start():
    network = tiny("increments").eval()
    for head in (network.rotation_head, network.translation_head):
        torch.nn.init.zeros_(head.weight)
    begin = start(network)
    with torch.inference_mode():
        output, end = network(clip()[0], None, begin)
    assert begin.rotations is not None
    assert begin.translation is not None
    torch.testing.assert_close(output.rotations[:, -1], begin.rotations)
    torch.testing.assert_close(output.translation_code[:, -1], begin.translation)
    torch.testing.assert_close(output.betas[:, 3], begin.betas)
    torch.testing.assert_close(end.translation, begin.translation)


def test_increments_multiply_on_the_left_and_translations_add():
    network = tiny("increments").eval()
    turn = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.3, 0.1]))
    with torch.no_grad():
        network.rotation_head.weight.zero_()
        network.rotation_head.bias.copy_(matrix_to_six(turn).repeat(24))
        network.translation_head.weight.zero_()
        network.translation_head.bias.copy_(torch.tensor([0.1, 0.0, -0.2]))
    begin = start(network)
    with torch.inference_mode():
        output, _ = network(clip(steps=3)[0], None, begin)
    assert begin.rotations is not None
    assert begin.translation is not None
    torch.testing.assert_close(output.rotations[:, 2], turn @ turn @ turn @ begin.rotations)
    moved = begin.translation + torch.tensor([0.3, 0.0, -0.6])
    torch.testing.assert_close(output.translation_code[:, 2], moved)


def test_six_numbers_agree_with_roma():
    matrices = roma.random_rotmat(50)
    torch.testing.assert_close(six_to_matrix(matrix_to_six(matrices)), matrices)
    six = torch.randn(50, 6)
    expected = roma.special_gramschmidt(six.unflatten(-1, (2, 3)).transpose(1, 2))
    torch.testing.assert_close(six_to_matrix(six), expected, atol=1e-5, rtol=1e-5)


def test_zero_six_numbers_have_finite_gradients():
    six = torch.zeros(6, requires_grad=True)
    six_to_matrix(six).sum().backward()
    assert six.grad is not None
    assert torch.isfinite(six.grad).all()


def test_configuration_rebuilds_the_network_through_json():
    network = stir(tiny()).eval()
    config = ShapeNetConfig(**json.loads(json.dumps(network.config_dict())))
    assert config == network.config
    twin = ShapeNet(config).eval()
    twin.load_state_dict(network.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(twin(*clip())[0].rotations, network(*clip())[0].rotations)


def test_backbone_answers_to_torchvision_names():
    with torch.device("meta"):
        names = set(ShapeNet.preset("paper").backbone.state_dict())
    expected = {"conv1.weight", "bn1.running_var", "layer1.0.conv3.weight"}
    assert expected | {"layer4.2.bn3.bias", "layer2.0.downsample.0.weight"} <= names
    assert not any("fc" in name for name in names)


def test_wrong_uses_are_refused():
    network = tiny()
    inputs, place = clip()
    with pytest.raises(ValueError, match="expected"):
        network(inputs[:, :, :2], place)
    with pytest.raises(ValueError, match="place"):
        network(inputs, None)
    with pytest.raises(ValueError, match="start pose"):
        tiny("increments")(inputs)
    with pytest.raises(ValueError, match="preset"):
        ShapeNet.preset("huge")
    with pytest.raises(ValueError, match="head"):
        ShapeNetConfig(head="both")
    with pytest.raises(ValueError, match="multiples of 8"):
        ShapeNetConfig(widths=(4, 8, 8, 8))
