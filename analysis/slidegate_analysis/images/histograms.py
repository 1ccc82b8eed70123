# SPDX-License-Identifier: BSD-3-Clause
"""Exact intensity histograms: whole numbers, so that parts add up to the whole in any order."""

import numpy as np

from .blocks import Bounds, plan_blocks
from .image import Image, check_bounds, shape_of

TILE = 2048


def histogram(image: Image, channel: int, bounds: Bounds | None = None, level: int = 0) -> np.ndarray:
    """Count each intensity of one channel.

    Parameters
    ----------
    bounds
        Half-open (y0, y1, x0, x1) in pixels of `level`; the whole level if None.

    Returns
    -------
    numpy.ndarray
        uint64 counts, 256 for uint8 and 65536 for uint16; those of disjoint regions add up exactly.

    Raises
    ------
    OutOfBoundsError, PixelsMissingError, PixelsDamagedError
        As `Image.read`.
    """
    counts = np.zeros(int(np.iinfo(image.dtype).max) + 1, np.uint64)
    height, width = shape_of(image.level_shapes, level)
    y0, y1, x0, x1 = bounds or (0, height, 0, width)
    check_bounds((height, width), y0, y1, x0, x1)
    for tile in plan_blocks((y1 - y0, x1 - x0), TILE, 0):
        top, bottom, left, right = tile.core
        pixels = image.read(channel, y0 + top, y0 + bottom, x0 + left, x0 + right, level)
        counts += np.bincount(pixels.ravel(), minlength=counts.size).astype(np.uint64)
    return counts
