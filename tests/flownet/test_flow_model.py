"""FlowNet: the paper's size, shapes at any input, one scale of units, and its configuration."""

import json

import pytest
import torch

from flownet import FlowNet, FlowNetConfig
from flownet.model import preset_config, upsample_flow


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_paper_preset_has_the_published_size():
    assert parameters(FlowNet.preset("paper", in_channels=8)) == 3_337_984


def test_small_preset_is_a_quarter_of_it():
    assert parameters(FlowNet.preset("small", in_channels=8)) < 840_000


@pytest.mark.parametrize("preset", ["paper", "small"])
def test_any_size_gives_flows_on_four_grids(preset):
    network = FlowNet.preset(preset, in_channels=5).eval()
    with torch.inference_mode():
        flows = network(torch.randn(2, 5, 50, 37))
    shapes = [tuple(flow.shape[-2:]) for flow in flows]
    assert shapes == [(7, 5), (13, 10), (25, 19), (50, 37)]
    assert all(torch.isfinite(flow).all() for flow in flows)


def test_flow_is_bounded_in_pixels_of_the_input_on_every_scale():
    network = FlowNet(FlowNetConfig(in_channels=2, base_channels=4, max_displacement=7.0)).eval()
    for head in network.heads:
        torch.nn.init.constant_(head.weight, 1e3)
    with torch.inference_mode():
        flows = network(torch.randn(1, 2, 32, 48))
    for flow in flows:
        assert flow.abs().max() == pytest.approx(7.0)


def test_refining_keeps_the_coarse_flow_where_fine_heads_are_silent():
    network = FlowNet.preset("small").eval()
    for head in network.heads[1:]:
        torch.nn.init.zeros_(head.weight)
    with torch.inference_mode():
        coarse, _, _, fine = network(torch.randn(1, 8, 64, 64))
    bound = network.config.max_displacement
    logit = upsample_flow(upsample_flow(torch.atanh(coarse / bound), 2), 2)
    expected = upsample_flow(bound * torch.tanh(logit), 2)
    assert coarse.abs().max() > 1e-3
    torch.testing.assert_close(fine, expected, atol=1e-4, rtol=1e-3)


def test_an_untrained_network_is_near_zero_flow():
    with torch.inference_mode():
        flow = FlowNet.preset("small").eval()(torch.randn(1, 8, 64, 64))[-1]
    assert flow.abs().max() < 5.0


def test_configuration_rebuilds_the_network_through_json():
    network = FlowNet.preset("small", in_channels=6).eval()
    config = json.loads(json.dumps(network.config_dict()))
    twin = FlowNet(FlowNetConfig(**config)).eval()
    twin.load_state_dict(network.state_dict())
    events = torch.randn(1, 6, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(twin(events)[-1], network(events)[-1])


def test_gradients_reach_every_parameter():
    network = FlowNet.preset("small")
    loss = sum(flow.square().sum() for flow in network(torch.randn(2, 8, 32, 32)))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_empty_input_is_finite():
    with torch.inference_mode():
        flow = FlowNet.preset("small").eval()(torch.zeros(1, 8, 32, 32))[-1]
    assert torch.isfinite(flow).all()


def test_enlarging_keeps_pixel_centres_and_values():
    # A ramp of one unit per full-resolution pixel, sampled at the coarse pixels' centres.
    ramp = ((torch.arange(8) + 0.5) * 2 - 0.5).expand(1, 2, 4, 8)
    fine = upsample_flow(ramp, 2)
    torch.testing.assert_close(fine[0, 0, 0, 1:-1], torch.arange(1.0, 15.0))


def test_wrong_uses_are_refused():
    with pytest.raises(ValueError, match="unknown FlowNet preset"):
        preset_config("huge")
    with pytest.raises(ValueError, match="expected"):
        FlowNet.preset("small", 8)(torch.zeros(1, 5, 32, 32))
    with pytest.raises(ValueError, match="decoders"):
        FlowNetConfig(decoders=5)
