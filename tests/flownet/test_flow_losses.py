"""Losses: the truth scores best on constructed motion, and every degenerate input is finite."""

import math

import pytest
import torch
from torch import Tensor

from flownet.losses import (
    average_timestamp_loss,
    charbonnier,
    endpoint_loss,
    event_loss,
    focus_loss,
    frame_loss,
    photometric_loss,
    smoothness_loss,
)
from flownet.model import STRIDES

HEIGHT, WIDTH = 48, 64


def moving_dots(u: float, v: float, count: int, seed: int) -> Tensor:
    """Events (1, N, 4) of dots of both polarities, each crossing the image in a straight line."""
    generator = torch.Generator().manual_seed(seed)
    steps = max(int(2 * math.hypot(u, v)), 2)
    tau = (torch.arange(steps) + 0.5) / steps
    at = torch.rand(2, count, 1, generator=generator)
    x = (at[0] * (WIDTH - 16) + 8 + u * (tau - 0.5)).round()
    y = (at[1] * (HEIGHT - 16) + 8 + v * (tau - 0.5)).round()
    polarity = torch.where(torch.rand(count, 1, generator=generator) < 0.5, -1.0, 1.0)
    columns = (x, y, tau.expand_as(x), polarity.expand_as(x))
    return torch.stack(columns, dim=-1).flatten(0, 1)[None]


def moving_bar(u: int) -> Tensor:
    """Events (1, N, 4) of an upright bar: its front edge fires +1, its back edge -1."""
    tau = (torch.arange(u) + 0.5) / u
    rows = torch.arange(8.0, HEIGHT - 8)
    edges = []
    for start, polarity in ((36.0, 1.0), (24.0, -1.0)):
        x = (start + torch.arange(u)).expand(len(rows), u)
        y = rows[:, None].expand_as(x)
        edges.append(torch.stack([x, y, tau.expand_as(x), torch.full_like(x, polarity)], dim=-1))
    return torch.cat([edge.flatten(0, 1) for edge in edges])[None]


SCENES = {
    "bar 8": (moving_bar(8), (8.0, 0.0)),
    "bar 16": (moving_bar(16), (16.0, 0.0)),
    "one dot": (moving_dots(12.0, -3.0, 1, 2), (12.0, -3.0)),
    "dots right": (moving_dots(6.0, 3.0, 30, 0), (6.0, 3.0)),
    "dots left": (moving_dots(-10.0, 4.0, 30, 1), (-10.0, 4.0)),
    "slow dots": (moving_dots(3.0, -1.0, 60, 2), (3.0, -1.0)),
    "dense dots": (moving_dots(9.0, -3.0, 250, 2), (9.0, -3.0)),
}


def constant(u: float, v: float) -> Tensor:
    return torch.tensor([u, v]).view(1, 2, 1, 1).repeat(1, 1, HEIGHT, WIDTH)


def towards(x: float | None, y: float | None, share: float) -> Tensor:
    """A flow that carries everything towards a point, or a line where one is None."""
    columns, rows = torch.arange(float(WIDTH)), torch.arange(float(HEIGHT))
    u = torch.zeros(WIDTH) if x is None else share * (x - columns)
    v = torch.zeros(HEIGHT) if y is None else share * (y - rows)
    return torch.stack([u.expand(HEIGHT, WIDTH), v[:, None].expand(HEIGHT, WIDTH)])[None]


def score(flow: Tensor, events: Tensor, stride: int) -> float:
    coarse = torch.nn.functional.avg_pool2d(flow, stride)
    return average_timestamp_loss(coarse, events, (HEIGHT, WIDTH), stride).item()


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("scene", SCENES)
def test_true_flow_beats_wrong_speeds_and_directions(scene, stride):
    events, (u, v) = SCENES[scene]
    truth = score(constant(u, v), events, stride)
    for factor in (0.0, 0.5, 1.5, 2.0, -1.0):
        assert truth < score(constant(factor * u, factor * v), events, stride), factor


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("scene", SCENES)
def test_collapse_does_not_pay(scene, stride):
    events, (u, v) = SCENES[scene]
    truth = score(constant(u, v), events, stride)
    collapses = {
        "out of the image": constant(300.0, 0.0),
        "scatter": -towards(32.0, 24.0, 1.0),
        "noise": 20 * torch.randn(1, 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)),
        "truth, gathered to a row": constant(u, v) + towards(None, 24.0, 1.0),
    }
    for share in (0.5, 1.0, 2.0):
        collapses |= {
            f"point {share}": towards(32.0, 24.0, share),
            f"column {share}": towards(32.0, None, share),
            f"row {share}": towards(None, 24.0, share),
        }
    for name, flow in collapses.items():
        assert truth < score(flow, events, stride), name


@pytest.mark.parametrize("scene", SCENES)
def test_focus_prefers_the_true_flow(scene):
    events, (u, v) = SCENES[scene]
    truth = focus_loss(constant(u, v), events).item()
    for factor in (0.0, 0.5, 2.0, -1.0):
        assert truth < focus_loss(constant(factor * u, factor * v), events).item(), factor


@pytest.mark.parametrize("scene", [name for name in SCENES if name != "one dot"])
def test_focus_does_not_reward_collapse(scene):
    events, (u, v) = SCENES[scene]
    truth = focus_loss(constant(u, v), events).item()
    for share in (0.5, 1.0, 2.0):
        for flow in (
            towards(32.0, 24.0, share),
            towards(32.0, None, share),
            towards(None, 24.0, share),
        ):
            assert truth < focus_loss(flow, events).item()
    assert truth < focus_loss(constant(300.0, 0.0), events).item()


def test_focus_of_no_motion_is_one_wherever_events_stand_between_pixels():
    events, _ = SCENES["dots right"]
    still = constant(0.0, 0.0)
    assert focus_loss(still, events).item() == pytest.approx(1.0)
    # A warp by whole or half pixels that moves all events alike makes nothing sharper.
    together = events.clone()
    together[..., 2] = 0.0
    for shift in (0.5, 1.0, 1.3):
        ratio = focus_loss(constant(shift, 0.0), together).item()
        assert ratio == pytest.approx(1.0, abs=0.08), shift


def test_known_answers():
    # Two events at one pixel at the ends of the window: both references average 0.5.
    events = torch.tensor([[[5.0, 5, 0, 1], [5, 5, 1, 1]]])
    still = torch.zeros(1, 2, HEIGHT, WIDTH)
    assert average_timestamp_loss(still, events, (HEIGHT, WIDTH)).item() == pytest.approx(0.25)
    # Of other polarities they do not meet: (0^2 + 1^2) / 2 at both references.
    events = torch.tensor([[[5.0, 5, 0, 1], [5, 5, 1, -1]]])
    assert average_timestamp_loss(still, events, (HEIGHT, WIDTH)).item() == pytest.approx(0.5)


def test_padding_and_empty_windows_change_nothing():
    events, (u, v) = SCENES["dots right"]
    flow = constant(u + 1, v)
    alone = average_timestamp_loss(flow, events, (HEIGHT, WIDTH))
    padded = torch.cat([events, torch.zeros(1, 50, 4)], dim=1)
    batch = torch.cat([padded, torch.zeros_like(padded)])
    both = average_timestamp_loss(flow.repeat(2, 1, 1, 1), batch, (HEIGHT, WIDTH))
    torch.testing.assert_close(both, alone)


@pytest.mark.parametrize(
    "events",
    [
        torch.zeros(2, 0, 4),
        torch.zeros(2, 7, 4),
        torch.tensor([[[3.0, 4, 0.5, 1]], [[0, 0, 0, 0]]]),
        torch.tensor([9.0, 9, 0.3, -1]).expand(2, 40, 4),
        torch.tensor([[0.0, 0, 0, 1], [WIDTH - 1, HEIGHT - 1, 1, -1]]).expand(2, 2, 4),
    ],
    ids=["no list", "padding only", "one event", "one pixel", "corners"],
)
def test_degenerate_windows_are_finite_with_gradients(events):
    sizes = [(-(-HEIGHT // s), -(-WIDTH // s)) for s in STRIDES]
    flows = [(10 * torch.randn(2, 2, *size)).requires_grad_() for size in sizes]
    loss, timestamp = event_loss(flows, events, smoothness_weight=0.1)
    loss = loss + focus_loss(flows[-1], events)
    loss.backward()
    assert torch.isfinite(loss)
    assert 0 <= timestamp.item() <= 1
    assert all(flow.grad is not None and torch.isfinite(flow.grad).all() for flow in flows)


def test_gradients_of_the_event_loss_are_those_of_differences():
    torch.manual_seed(0)
    events = torch.rand(2, 6, 4, dtype=torch.float64)
    events[..., 0] *= 4
    events[..., 1] *= 3
    events[..., 3] = torch.tensor([1.0, -1.0, 0.0]).repeat(2)
    flow = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: average_timestamp_loss(f, events, (4, 5)), (flow,))


def test_descent_from_nearby_finds_the_motion():
    events, (u, v) = SCENES["dense dots"]
    guess = torch.tensor([u - 3, v + 2]).view(1, 2, 1, 1).requires_grad_()
    optimizer = torch.optim.Adam([guess], lr=0.3)
    for _ in range(30):
        optimizer.zero_grad()
        loss = sum(
            average_timestamp_loss(
                guess.expand(1, 2, HEIGHT // s, WIDTH // s), events, (HEIGHT, WIDTH), s
            )
            for s in (4, 2, 1)
        )
        loss.backward()
        optimizer.step()
    assert (guess.flatten() - torch.tensor([u, v])).norm() < 0.5


def test_charbonnier_by_hand():
    value = charbonnier(torch.tensor([0.0, 3.0]))
    expected = torch.tensor([1e-6**0.45, (9 + 1e-6) ** 0.45])
    torch.testing.assert_close(value, expected)


def test_smoothness_is_least_for_constant_flow_and_grows_with_steps():
    step = torch.zeros(1, 2, 8, 12)
    step[..., 6:] = 1.0
    still = smoothness_loss(constant(5.0, -3.0))
    assert still.item() == pytest.approx(1e-6**0.45, rel=1e-4)
    assert still < smoothness_loss(step) < smoothness_loss(3 * step)


def test_smoothness_does_not_prefer_a_direction():
    ramp = torch.arange(9.0).expand(1, 2, 9, 9)
    torch.testing.assert_close(smoothness_loss(ramp), smoothness_loss(ramp.transpose(2, 3)))


def pair(u: int, v: int) -> tuple[Tensor, Tensor]:
    """Two smooth images, the second moved by a whole number of pixels."""
    torch.manual_seed(0)
    canvas = torch.rand(1, 1, 16, 20)
    canvas = torch.nn.functional.interpolate(canvas, size=(HEIGHT + 32, WIDTH + 32), mode="bicubic")
    canvas = canvas.clamp(0, 1)
    second = canvas[..., 16 - v : 16 - v + HEIGHT, 16 - u : 16 - u + WIDTH]
    return canvas[..., 16 : 16 + HEIGHT, 16 : 16 + WIDTH], second


def test_photometric_loss_prefers_the_true_flow_on_every_scale():
    first, second = pair(4, -2)
    for references in ((0.0,), (0.0, 0.5, 1.0)):

        def loss(factor: float, references: tuple[float, ...] = references) -> float:
            flow = constant(4 * factor, -2 * factor)
            flows = [torch.nn.functional.avg_pool2d(flow, s) for s in STRIDES]
            return frame_loss(flows, first, second, 0.5, references)[0].item()

        truth = loss(1.0)
        assert all(truth < loss(factor) for factor in (0.0, 0.5, 1.5, 2.0, -1.0))


def test_photometric_loss_is_exact_for_whole_pixels():
    first, second = pair(3, 1)
    truth = photometric_loss(first, second, constant(3.0, 1.0)).item()
    assert truth == pytest.approx(charbonnier(torch.zeros(1)).item(), rel=1e-4)
    zero = photometric_loss(first, second, constant(0.0, 0.0)).item()
    assert zero == pytest.approx(charbonnier(second - first).mean().item(), rel=1e-4)


def test_points_outside_the_images_do_not_count():
    first, second = pair(0, 0)
    far = constant(0.0, 0.0)
    far[:, 0, :, WIDTH // 2 :] = 1000.0
    here = charbonnier(second - first)[..., : WIDTH // 2].mean().item()
    assert photometric_loss(first, second, far).item() == pytest.approx(here, rel=1e-4)
    gone = constant(1000.0, 0.0).requires_grad_()
    loss = photometric_loss(first, second, gone)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(gone.grad).all()


def test_several_references_know_the_flow_of_a_surface_that_comes_into_view():
    """A grey square moves over a ground of strong texture. Where it arrives during the window, the
    reference 0 alone punishes its flow, which leads from one piece of ground to another; with the
    window's end too, its flow is the better one."""
    torch.manual_seed(1)
    first = torch.rand(1, 1, HEIGHT, WIDTH)
    second = first.clone()
    square = 0.45 + 0.1 * torch.rand(12, 12)
    first[..., 20:32, 20:32] = square
    second[..., 20:32, 26:38] = square
    surfaces = constant(0.0, 0.0)
    surfaces[:, 0, 20:32, 20:38] = 6.0  # all that the square covers at some time
    at_start = constant(0.0, 0.0)
    at_start[:, 0, 20:32, 20:32] = 6.0  # and what it covers at the start

    def loss(flow: Tensor, *references: float) -> float:
        return photometric_loss(first, second, flow, references).item()

    assert loss(at_start, 0.0) < loss(surfaces, 0.0)
    assert loss(surfaces, 0.0, 1.0) < loss(at_start, 0.0, 1.0)
    nothing = charbonnier(torch.zeros(1)).item()
    assert loss(surfaces, 0.0, 1.0) == pytest.approx(nothing, rel=1e-4)


def test_images_outside_the_unit_range_are_refused():
    image = torch.full((1, 1, HEIGHT, WIDTH), 255.0)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        photometric_loss(image, image, constant(0.0, 0.0))


def test_endpoint_loss_is_the_mean_distance_of_known_events():
    events = torch.tensor([[[5.0, 5, 0.2, 1], [9, 7, 0.5, -1], [3, 3, 0.9, 1], [0, 0, 0, 0]]])
    truth = torch.tensor([[[3.0, 0], [0, 4], [float("nan")] * 2, [9, 9]]])
    flows = [torch.zeros(1, 2, -(-HEIGHT // s), -(-WIDTH // s)) for s in STRIDES]
    assert endpoint_loss(flows, events, truth).item() == pytest.approx(3.5, rel=1e-3)
    flows = [flow + torch.tensor([3.0, 0])[:, None, None] for flow in flows]
    assert endpoint_loss(flows, events, truth).item() == pytest.approx((0.01 + 5) / 2, rel=1e-3)
    unknown = torch.full_like(truth, float("nan"))
    flows = [flow.requires_grad_() for flow in flows]
    nothing = endpoint_loss(flows, events, unknown)
    nothing.backward()
    assert nothing.item() == 0
    assert all(torch.isfinite(flow.grad).all() for flow in flows)
