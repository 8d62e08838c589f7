"""Flow colours: known directions and lengths, smooth everywhere, honest about what is unknown."""

import math

import pytest
import torch

from flownet.colours import UNKNOWN, flow_to_colour, wheel


def colour(u: float, v: float, maximum: float = 10.0) -> torch.Tensor:
    return flow_to_colour(torch.tensor([u, v]).view(2, 1, 1), maximum).flatten()


@pytest.mark.parametrize(
    ("u", "v", "expected"),
    [
        (0.0, 0.0, (1, 1, 1)),
        (10.0, 0.0, (1, 0.25, 0.25)),  # right: red
        (-10.0, 0.0, (0, 0.75, 0.75)),  # left: cyan
        (0.0, 10.0, (0.5, 0.5 + math.sqrt(3) / 4, 0.5 - math.sqrt(3) / 4)),  # down: yellow-green
        (0.0, -10.0, (0.5, 0.5 - math.sqrt(3) / 4, 0.5 + math.sqrt(3) / 4)),  # up: violet
        (5.0, 0.0, (1, 0.625, 0.625)),  # half the length is half way to white
    ],
)
def test_known_colours(u, v, expected):
    torch.testing.assert_close(colour(u, v), torch.tensor(expected, dtype=torch.float32))


def test_the_hue_tells_the_direction_and_the_saturation_the_length():
    """Both can be read back from the colour: no two flows within the maximum look the same."""
    torch.manual_seed(0)
    flow = 5 * torch.randn(2, 40, 50)
    inside = flow.norm(dim=0) <= 10
    painted = flow_to_colour(flow, 10.0)
    # Colour seen as 1 - s/2 + s/2 cos(angle - thirds): a third of a turn apart, the cosines' sums
    # with cos and sin of the thirds give back the direction.
    thirds = torch.arange(3) * 2 * math.pi / 3
    u = (painted * thirds.cos()[:, None, None]).sum(dim=0) * 4 / 3
    v = (painted * thirds.sin()[:, None, None]).sum(dim=0) * 4 / 3
    torch.testing.assert_close(10 * torch.stack([u, v])[:, inside], flow[:, inside])


def test_longer_flow_than_the_maximum_is_darker():
    torch.testing.assert_close(colour(30.0, 0.0), 0.75 * colour(10.0, 0.0))


def test_unknown_flow_is_grey_in_any_layout():
    flow = torch.zeros(3, 2, 4, 5)
    flow[1, 0, 2, 3] = float("nan")
    painted = flow_to_colour(flow, 1.0)
    assert painted.shape == (3, 3, 4, 5)
    assert (painted[1, :, 2, 3] == UNKNOWN).all()
    painted[1, :, 2, 3] = 1
    assert (painted == 1).all()


def test_wheel_is_smooth_and_white_in_the_middle_and_outside():
    picture = wheel(101)
    assert picture.shape == (3, 101, 101)
    assert (picture[:, 50, 50] > 0.98).all()
    assert (picture[:, 0, 0] == 1).all()
    torch.testing.assert_close(picture[:, 50, 100], colour(10.0, 0.0), atol=0.02, rtol=0)
    rows, columns = torch.meshgrid(torch.arange(101), torch.arange(101), indexing="ij")
    disc = (rows - 50).square() + (columns - 50).square() < 49**2
    both = disc[:, 1:] & disc[:, :-1]
    # Over the 50 pixels from the middle to the edge a channel can fall by 1.
    assert (picture[:, :, 1:] - picture[:, :, :-1]).abs()[:, both].max() < 2 / 50
