# SPDX-License-Identifier: BSD-3-Clause
"""With its default parameters the detector finds most nuclei of slides that it was not tuned on."""

import numpy as np
import pytest
from slidegate_analysis.nuclei.detect import ReliefDetector, detect, levels_of_array
from slidegate_analysis.nuclei.geometry import geometry_for
from slidegate_analysis.nuclei.score import score
from slidegate_analysis.nuclei.synth import PRESETS, Slide

pytestmark = pytest.mark.slow


def found_in(image: np.ndarray, diameter_px: float) -> np.ndarray:
    geometry = geometry_for(diameter_px)
    return detect(image, ReliefDetector(geometry, levels_of_array(image, geometry, 0.5)))


@pytest.mark.parametrize("density", PRESETS)
def test_most_nuclei_of_a_synthetic_slide_are_found(density):
    slide = Slide(height=1500, width=1500, channels=1, density=PRESETS[density], seed=101)
    found = found_in(slide.read(0, 0, 1500, 0, 1500), 8.0 / slide.pixel_size_um)
    assert score(slide.truth(0, 1500, 0, 1500), found).f1 > 0.8


@pytest.mark.parametrize("mean", [3, 100, 20000])
def test_nothing_is_found_in_shot_noise(mean):
    noise = np.random.default_rng(mean).poisson(mean, (700, 700)).astype(np.uint16)
    assert not found_in(noise, 24.0).any()


def test_a_bright_speck_does_not_hide_dim_nuclei():
    rows, columns = np.indices((400, 400))
    image = np.random.default_rng(1).normal(200, 4, rows.shape)
    for y in range(40, 400, 60):
        for x in range(40, 400, 60):
            image[(rows - y) ** 2 + (columns - x) ** 2 < 144] += 100
    image[10:16, 10:16] = 60000
    found = found_in(np.clip(image, 0, 65535).astype(np.uint16), 24.0)
    assert len(np.unique(found)) - 1 >= 36


def test_a_background_of_zeros_is_no_trouble():
    rows, columns = np.indices((400, 400))
    image = np.zeros(rows.shape, np.uint8)
    for y in range(40, 400, 60):
        for x in range(40, 400, 60):
            distance = np.hypot(rows - y, columns - x)
            image[distance < 25] = np.maximum(image, 3)[distance < 25]
            image[distance < 12] = 90
    found = found_in(image, 24.0)
    assert len(np.unique(found)) - 1 == 36
    assert np.count_nonzero(found) / 36 < 1.3 * np.pi * 144
