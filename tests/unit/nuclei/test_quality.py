# SPDX-License-Identifier: BSD-3-Clause
"""With its default parameters the detector finds most nuclei of slides that it was not tuned on."""

import numpy as np
import pytest
from slidegate_analysis.nuclei.detect import ReliefDetector, detect, levels_of_array
from slidegate_analysis.nuclei.geometry import geometry_for
from slidegate_analysis.nuclei.score import score
from slidegate_analysis.nuclei.synth import PRESETS, Slide


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
