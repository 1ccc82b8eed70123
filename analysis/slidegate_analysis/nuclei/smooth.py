# SPDX-License-Identifier: BSD-3-Clause
"""Exact Gaussian smoothing of unsigned 8 and 16 bit pixels, rounded in one fixed way.

The kernel holds whole numbers that sum to 256, so both passes are exact in 32 bits and the single rounding
at the end sees the same sum wherever the pixel lies in its block. The result is in sixteenths of a count:
at most ``65535 * 16`` and therefore always below ``2 ** 20``.
"""

import math

import numpy as np
from numba import njit

UNITS_PER_COUNT = 16
"""Smoothed values are in sixteenths of a count of the image."""

SMOOTH_RANGE = 1 << 20
"""All smoothed values lie in ``range(SMOOTH_RANGE)``."""


def gaussian_weights(sigma_px: float) -> np.ndarray:
    """Give the whole-number weights of a Gaussian, summing to 256.

    Parameters
    ----------
    sigma_px
        Standard deviation in pixels, above 0.

    Returns
    -------
    numpy.ndarray
        uint32, shape ``(2 * radius + 1,)``, symmetric, radius at least 1; weights that round to 0 are cut
        off.
    """
    radius = max(1, math.ceil(3 * sigma_px))
    offsets = range(-radius, radius + 1)
    ideal = [math.exp(-0.5 * (offset / sigma_px) ** 2) for offset in offsets]
    total = math.fsum(ideal)
    weights = [round(256 * value / total) for value in ideal]
    weights[radius] += 256 - sum(weights)
    while radius > 1 and weights[0] == 0:
        weights = weights[1:-1]
        radius -= 1
    return np.array(weights, dtype=np.uint32)


def smooth(pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Smooth an image; its edge pixels are repeated outwards.

    Parameters
    ----------
    pixels
        uint8 or uint16, shape (y, x), neither axis empty.
    weights
        From :func:`gaussian_weights`.

    Returns
    -------
    numpy.ndarray
        uint32, shape (y, x), in sixteenths of a count. Pixels nearer than ``len(weights) // 2`` to an edge of
        the array depend on the repetition: right at the edge of an image, wrong at the edge of a block.
    """
    return _smooth(np.ascontiguousarray(pixels), weights)


@njit(cache=True, nogil=True)
def _smooth(pixels, weights):
    height, width = pixels.shape
    radius = len(weights) // 2
    out = np.empty((height, width), np.uint32)
    line = np.empty(width + 2 * radius, np.uint32)
    total = np.empty(width, np.uint32)
    for y in range(height):
        line[:] = 0
        for tap in range(2 * radius + 1):
            source = min(max(y + tap - radius, 0), height - 1)
            weight = weights[tap]
            for x in range(width):
                line[radius + x] = np.uint32(
                    line[radius + x] + np.uint32(weight * np.uint32(pixels[source, x]))
                )
        for x in range(radius):
            line[x] = line[radius]
            line[radius + width + x] = line[radius + width - 1]
        total[:] = np.uint32(1 << 11)
        for tap in range(2 * radius + 1):
            weight = weights[tap]
            for x in range(width):
                total[x] = np.uint32(total[x] + np.uint32(weight * line[x + tap]))
        for x in range(width):
            out[y, x] = total[x] >> np.uint32(12)
    return out
