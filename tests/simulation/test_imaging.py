"""The compiled image path against plain numpy."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from eventhpe.simulation.imaging import Imager, grow, union, vertex_shade
from eventhpe.simulation.sensor import NO_SURFACE


def test_repainting_a_box_equals_repainting_everything() -> None:
    rng = np.random.default_rng(1)
    background = rng.uniform(0.1, 1, (20, 24)).astype(np.float32)
    occluder = np.zeros((20, 24), bool)
    occluder[10:] = True
    imager = Imager(background, occluder, 0.7)
    imager.lit = np.full((20, 24), 0.5, np.float32)
    face_index = np.full((20, 24), -1, np.int32)
    face_index[5:12, 0:8] = 0
    barycentric = np.full((20, 24, 2), 0.25, np.float32)
    faces = np.array([[0, 1, 2]], np.int32)
    shade = np.array([0.2, 0.6, 1.0], np.float32)
    changed = imager.update(
        face_index, barycentric, faces, np.array([0.5], np.float32), shade, (0, 5, 8, 12)
    )
    expected = background.copy()
    expected[5:10, 0:8] = 0.5 * (0.25 * 0.2 + 0.25 * 0.6 + 0.5 * 1.0)
    expected[10:12, 0:8] *= 0.5
    blurred = gaussian_filter(expected.astype(np.float64), 0.7, mode="nearest")
    assert imager.log_image == pytest.approx(np.log(blurred), abs=0.02)
    x0, y0, x1, y1 = changed
    assert x0 == 0
    assert y0 < 5
    assert x1 > 8
    assert y1 > 12
    shown = np.full((20, 24), NO_SURFACE)
    shown[5:10, 0:8] = 0
    assert np.array_equal(imager.surface, shown)


def test_lambert_shading_of_a_face_towards_and_away_from_the_light() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2]], np.int32)
    shade = np.empty(3, np.float32)
    slanted = np.array([0.6, 0.0, 0.8], np.float32)
    vertex_shade(vertices, faces, slanted, np.float32(0.4), shade)
    assert shade == pytest.approx(0.4 + 0.6 * 0.8)
    vertex_shade(vertices, faces, -slanted, np.float32(0.4), shade)
    assert shade == pytest.approx(0.4)


def test_boxes_grow_inside_the_image_and_unite() -> None:
    assert grow((0, 3, 5, 10), 2, 6, 11) == (0, 1, 6, 11)
    assert grow((3, 3, 3, 9), 2, 20, 20) == (0, 0, 0, 0)
    assert union((0, 0, 0, 0), (3, 4, 5, 6)) == (3, 4, 5, 6)
    assert union((1, 2, 3, 4), (3, 0, 5, 3)) == (1, 0, 5, 4)
