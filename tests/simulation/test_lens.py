"""The lens against SciPy's Gaussian and NumPy's log."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from eventhpe.simulation.lens import Lens, gaussian_weights


def picture(height: int, width: int) -> np.ndarray:
    return np.exp(np.random.default_rng(0).uniform(-5, 1, (height, width))).astype(np.float32)


def logged(lens: Lens, image: np.ndarray) -> np.ndarray:
    out = np.empty_like(image)
    lens.log(image, (0, 0, lens.width, lens.height), out)
    return out


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.71, 1.0, 1.2, 1.5])
@pytest.mark.parametrize("size", [(9, 13), (40, 31), (3, 2)])
def test_it_is_the_log_of_scipys_gaussian_of_its_radius(
    sigma: float, size: tuple[int, int]
) -> None:
    image, lens = picture(*size), Lens(sigma, size[1], size[0])
    blurred = gaussian_filter(image.astype(np.float64), sigma, mode="nearest", radius=lens.radius)
    assert logged(lens, image) == pytest.approx(np.log(blurred), abs=1e-5)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.71, 1.0, 1.2, 1.5])
def test_the_taps_left_out_matter_less_than_a_percent_and_none_is_superfluous(
    sigma: float,
) -> None:
    image, lens = picture(50, 60), Lens(sigma, 60, 50)
    whole = gaussian_filter(image.astype(np.float64), sigma, mode="nearest", radius=20)
    assert np.abs(np.exp(logged(lens, image)) - whole).max() < 0.01 * np.ptp(image)
    line = np.exp(-0.5 * (np.arange(-20, 21) / sigma) ** 2)
    without_last = line[21 - lens.radius : 20 + lens.radius].sum() / line.sum()
    assert 1 - without_last >= 0.005


def test_weights_are_a_normalised_gaussian() -> None:
    weights = gaussian_weights(1.2).astype(np.float64)
    assert 2 * weights.sum() - weights[0] == pytest.approx(1.0)
    steps = np.arange(len(weights))
    assert np.log(weights / weights[0]) == pytest.approx(-0.5 * (steps / 1.2) ** 2, abs=1e-5)


@pytest.mark.parametrize("box", [(0, 0, 5, 4), (3, 2, 9, 11), (12, 8, 20, 15), (4, 4, 4, 9)])
def test_only_the_box_is_written_and_as_in_the_whole_image(
    box: tuple[int, int, int, int],
) -> None:
    image, lens = picture(15, 20), Lens(1.0, 20, 15)
    out = np.full_like(image, np.nan)
    lens.log(image, box, out)
    x0, y0, x1, y1 = box
    inside = np.zeros(image.shape, bool)
    inside[y0:y1, x0:x1] = True
    assert np.array_equal(out[inside], logged(lens, image)[inside])
    assert np.isnan(out[~inside]).all()


def test_logs_of_all_octaves() -> None:
    image = np.geomspace(1e-30, 1e30, 997, dtype=np.float32)[None, :]
    lens = Lens(0.3, 997, 1)
    lens.weights = np.array([1.0], np.float32)
    lens.radius = 0
    assert logged(lens, image) == pytest.approx(np.log(image), abs=1e-5, rel=1e-6)
