"""Warping: whole-pixel shifts at non-square sizes, numerical gradients, and events."""

import pytest
import torch

from flownet.warping import backward_warp, sample_flow, splat, warp_events


def constant(u, v, height, width):
    return torch.tensor([u, v]).view(1, 2, 1, 1).expand(1, 2, height, width).double()


@pytest.mark.parametrize(("height", "width"), [(9, 23), (23, 9), (16, 16)])
@pytest.mark.parametrize(("u", "v"), [(3, -2), (-4, 1), (0, 0)])
def test_whole_pixel_flow_is_a_shift(height, width, u, v):
    image = torch.rand(1, 3, height, width, dtype=torch.float64)
    warped, valid = backward_warp(image, constant(float(u), float(v), height, width))
    shifted = torch.roll(image, (-v, -u), dims=(2, 3))
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[max(-v, 0) : height - max(v, 0), max(-u, 0) : width - max(u, 0)] = True
    assert torch.equal(valid[0, 0], inside)
    torch.testing.assert_close(warped[..., inside], shifted[..., inside])


def test_outside_takes_the_border():
    image = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 4, 6)
    warped, valid = backward_warp(image, constant(100.0, 0.0, 4, 6).float())
    assert (warped == 5.0).all()
    assert not valid.any()


def test_half_pixel_flow_averages_neighbours():
    image = torch.rand(1, 1, 5, 8, dtype=torch.float64)
    warped, _ = backward_warp(image, constant(0.5, 0.0, 5, 8))
    torch.testing.assert_close(warped[..., :-1], (image[..., :-1] + image[..., 1:]) / 2)


def test_gradients_of_the_warp_are_those_of_differences():
    torch.manual_seed(0)
    image = torch.rand(1, 2, 4, 7, dtype=torch.float64, requires_grad=True)
    # Between pixel centres, where bilinear interpolation has a derivative.
    flow = (torch.randint(-1, 2, (1, 2, 4, 7)) + 0.2 + 0.6 * torch.rand(1, 2, 4, 7)).double()
    flow.requires_grad_()
    assert torch.autograd.gradcheck(lambda i, f: backward_warp(i, f)[0], (image, flow))


def test_a_flow_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        backward_warp(torch.zeros(1, 1, 4, 5), torch.zeros(1, 2, 5, 4))


def test_events_of_one_edge_meet_at_the_reference():
    tau = torch.linspace(0, 1, 11)
    events = torch.stack([5 + 8 * tau, 3 - 2 * tau, tau, torch.ones(11)], dim=1)[None]
    flow = torch.tensor([8.0, -2.0]).expand(1, 11, 2)
    for reference in (0.0, 0.5, 1.0):
        expected = torch.tensor([5 + 8 * reference, 3 - 2 * reference]).expand(1, 11, 2)
        torch.testing.assert_close(warp_events(events, flow, reference), expected)


@pytest.mark.parametrize("stride", [1, 4])
def test_flow_is_read_at_the_pixel_centre_of_each_scale(stride):
    height, width = 12, 20
    rows, columns = (((torch.arange(n // stride) + 0.5) * stride - 0.5) for n in (height, width))
    flow = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None]  # flow(x) = x
    x, y = torch.tensor([[2.0, 7.25, 15.0]]), torch.tensor([[3.0, 4.5, 9.0]])
    torch.testing.assert_close(sample_flow(flow, x, y, stride), torch.stack([x, y], dim=-1))


def test_splat_keeps_mass_and_mean_position():
    x, y = torch.tensor([[2.25, 6.0]]), torch.tensor([[1.5, 3.0]])
    layer = torch.tensor([[0, 1]])
    image = splat(x, y, torch.ones(1, 1, 2), layer, (2, 6, 9))[0, 0]
    torch.testing.assert_close(image.sum(dim=(1, 2)), torch.ones(2))
    assert (image[0] * torch.arange(9)).sum() == pytest.approx(2.25)
    assert (image[0] * torch.arange(6)[:, None]).sum() == pytest.approx(1.5)
    assert image[1, 3, 6] == 1.0


def test_splat_drops_what_is_outside():
    points = torch.tensor([[-3.0, 50.0]])
    image = splat(points, points, torch.ones(1, 1, 2), torch.zeros(1, 2).long(), (1, 6, 9))
    assert image.abs().sum() == 0


def test_gradients_of_splatting_are_those_of_differences():
    torch.manual_seed(0)
    x = (torch.randint(0, 6, (1, 8)) + 0.1 + 0.8 * torch.rand(1, 8)).double().requires_grad_()
    y = (torch.randint(0, 4, (1, 8)) + 0.1 + 0.8 * torch.rand(1, 8)).double().requires_grad_()
    values = torch.rand(1, 2, 8, dtype=torch.float64, requires_grad=True)
    layer = torch.randint(0, 2, (1, 8))
    assert torch.autograd.gradcheck(lambda *a: splat(*a, layer, (2, 4, 6)), (x, y, values))
