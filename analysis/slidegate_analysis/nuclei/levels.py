# SPDX-License-Identifier: BSD-3-Clause
"""Grey levels of a whole image from its exact global histograms: the same for every block of the image.

All values are in sixteenths of a count of the smoothed image.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from slidegate_analysis.nuclei.smooth import SMOOTH_RANGE, UNITS_PER_COUNT


@dataclass(frozen=True)
class Levels:
    """The grey levels that decide what can belong to a nucleus.

    Attributes
    ----------
    background
        Median of the background.
    threshold
        Otsu's threshold on a logarithmic scale.
    faint
        Least value of a pixel in a nucleus.
    plain
        Least mean of a nucleus's seed; 0 when the image holds nothing that stands out.
    """

    background: int
    threshold: int
    faint: int
    plain: int


class Histograms:
    """Counts of smoothed values, and of jumps between pixels of a row that smoothing does not tie together.

    Strips of whole rows may be added in any order: the counts are whole numbers.
    """

    def __init__(self, lag: int) -> None:
        self.values = np.zeros(SMOOTH_RANGE, np.int64)
        self.jumps = np.zeros(SMOOTH_RANGE, np.int64)
        self._lag = lag

    def add(self, smoothed: np.ndarray) -> None:
        """Count whole rows of the smoothed image: uint32, shape (y, x)."""
        _count(smoothed, self.values, self.jumps, self._lag)


@njit(cache=True, nogil=True)
def _count(smoothed, values, jumps, lag):
    height, width = smoothed.shape
    for y in range(height):
        for x in range(width):
            values[smoothed[y, x]] += 1
        for x in range(width - lag):
            jumps[abs(np.int64(smoothed[y, x + lag]) - np.int64(smoothed[y, x]))] += 1


def quantile(counts: np.ndarray, share: float) -> int:
    """Give the smallest value that at least ``share`` (0 to 1) of a histogram's pixels do not exceed."""
    running = np.cumsum(counts)
    return int(np.searchsorted(running, max(1, math.ceil(share * int(running[-1])))))


def otsu_of_logarithms(counts: np.ndarray, darkest: int, scale: float) -> int:
    """Give the threshold of Otsu (1979) on ``log(scale + value - darkest)``: values above it are foreground.

    The logarithm keeps a few saturated nuclei from setting the threshold for all the others.
    """
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return int(present[0])
    height = np.log1p(np.maximum(present - darkest, 0) / scale)
    weight = counts[present].astype(np.float64)
    below = np.cumsum(weight)[:-1]
    above = below[-1] + weight[-1] - below
    moment = np.cumsum(weight * height)
    mean_below = moment[:-1] / below
    mean_above = (moment[-1] - moment[:-1]) / above
    return int(present[int(np.argmax(below * above * (mean_below - mean_above) ** 2))])


def derive_levels(histograms: Histograms, sensitivity: float) -> Levels:
    """Derive the levels of an image.

    The background is the median of what Otsu's threshold leaves below. The faintest pixel of a nucleus lies
    part of the way from there to the threshold, and several standard deviations of the noise above the
    background. The noise is the smaller of two robust estimates, because dense tissue inflates the first
    (small jumps along rows) and uneven light the second (the darker half of the background).

    Parameters
    ----------
    histograms
        Of the whole image, at least one pixel.
    sensitivity
        0 (only what is plainly there) to 1 (dim nuclei too).
    """
    values = histograms.values
    jumps = histograms.jumps
    noise = quantile(jumps, 0.25) / (0.31864 * math.sqrt(2)) if jumps.any() else 0.0
    scale = max(float(UNITS_PER_COUNT), 4.0 * noise)
    threshold = otsu_of_logarithms(values, quantile(values, 0.001), scale)
    background = quantile(values[: threshold + 1], 0.5)
    noise = min(noise, float(background - quantile(values[: threshold + 1], 0.15865)))
    share = 0.6 - 0.5 * sensitivity
    deviations = 8.0 - 6.0 * sensitivity
    rise = math.ceil(max(share * (threshold - background), deviations * noise, float(UNITS_PER_COUNT)))
    faint = background + rise
    plain = background + (17 * rise) // 10
    if not values[min(plain, SMOOTH_RANGE - 1) :].any():
        plain = 0
    return Levels(background, threshold, faint, plain)
