# SPDX-License-Identifier: BSD-3-Clause
"""Grey levels of a whole image from its exact global histograms: the same for every block of the image.

All values are heights above the local background of the smoothed image, in sixteenths of a count.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from slidegate_analysis.nuclei.smooth import SMOOTH_RANGE, UNITS_PER_COUNT

STRONG = 20.0
"""What stands so many standard deviations of the noise above the background is as bright as nuclei are."""


@dataclass(frozen=True)
class Levels:
    """The grey levels that decide what can belong to a nucleus.

    Attributes
    ----------
    background
        Median height of the background.
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

    Tiles may be added in any order: the counts are whole numbers.
    """

    def __init__(self, lag: int) -> None:
        self.values = np.zeros(SMOOTH_RANGE, np.int64)
        self.jumps = np.zeros(SMOOTH_RANGE, np.int64)
        self._lag = lag

    def add(self, smoothed: np.ndarray) -> None:
        """Count the heights of a tile: uint32, shape (y, x)."""
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

    The background is the median of what Otsu's threshold leaves below. The noise is the smaller of two robust
    estimates, because dense tissue inflates the first (small jumps along rows) and uneven light the second
    (the darker half of the background). What stands out by 20 standard deviations tells how bright nuclei
    typically are; a nucleus must reach, on average, a share of that (which keeps out-of-focus haze away), at
    least several standard deviations, and at least one count; no more than 20 of either, so that a bright
    speck on a dim image does not hide its nuclei. Its faintest pixels may have 10/17 of that.

    Parameters
    ----------
    histograms
        Of heights above the background: the whole image, or tiles spread over it; at least one pixel.
    sensitivity
        0 (only what is plainly there) to 1 (dim nuclei too).
    """
    values = histograms.values
    jumps = histograms.jumps
    noise = quantile(jumps, 0.1) / (0.12566 * math.sqrt(2)) if jumps.any() else 0.0
    scale = max(float(UNITS_PER_COUNT), 4.0 * noise)
    threshold = otsu_of_logarithms(values, quantile(values, 0.001), scale)
    background = quantile(values[: threshold + 1], 0.5)
    noise = min(noise, float(background - quantile(values[: threshold + 1], 0.15865)))
    floor = max(threshold, math.ceil(background + STRONG * noise)) + 1
    strong = values[floor:]
    typical = (floor + quantile(strong, 0.5) if strong.any() else threshold) - background
    share = 0.3 - 0.2 * sensitivity
    deviations = 8.0 - 4.0 * sensitivity
    count = float(UNITS_PER_COUNT)
    rise = max(min(share * typical, STRONG * max(noise, count)), deviations * noise, count)
    plain = background + math.ceil(rise)
    faint = background + math.ceil(10.0 * rise / 17.0)
    if not values[min(plain, SMOOTH_RANGE - 1) :].any():
        plain = 0
    return Levels(background, threshold, faint, plain)
