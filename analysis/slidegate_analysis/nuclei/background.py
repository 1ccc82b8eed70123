# SPDX-License-Identifier: BSD-3-Clause
"""The background around each pixel, and the height above it.

Tissue glows and light is uneven, so nuclei stand on different ground in different places. The ground is the
opening of the image (the largest of the smallest values around: Serra 1982) by a square wider than any
nucleus. It is computed on cells that lie on one lattice for the whole image, so that every block computes the
same.
"""

import numpy as np
from numba import njit

from slidegate_analysis.nuclei.relief import local_maximum


@njit(cache=True, nogil=True)
def _cell_means(smoothed, origin, cell):
    height, width = smoothed.shape
    first_row = origin[0] // cell
    first_column = origin[1] // cell
    rows = (origin[0] + height - 1) // cell - first_row + 1
    columns = (origin[1] + width - 1) // cell - first_column + 1
    sums = np.zeros((rows, columns), np.int64)
    counts = np.zeros((rows, columns), np.int64)
    for y in range(height):
        row = (origin[0] + y) // cell - first_row
        for x in range(width):
            column = (origin[1] + x) // cell - first_column
            sums[row, column] += smoothed[y, x]
            counts[row, column] += 1
    out = np.empty((rows, columns), np.uint32)
    for row in range(rows):
        for column in range(columns):
            out[row, column] = sums[row, column] // counts[row, column]
    return out


@njit(cache=True, nogil=True)
def _subtract(smoothed, ground, origin, cell):
    height, width = smoothed.shape
    out = np.empty((height, width), np.uint32)
    for y in range(height):
        row = (origin[0] + y) // cell - origin[0] // cell
        for x in range(width):
            low = ground[row, (origin[1] + x) // cell - origin[1] // cell]
            out[y, x] = smoothed[y, x] - low if smoothed[y, x] > low else 0
    return out


def height_above_background(
    smoothed: np.ndarray, origin: tuple[int, int], cell: int, reach: int
) -> np.ndarray:
    """Subtract from each pixel the background around it.

    Parameters
    ----------
    smoothed
        uint32, shape (y, x), below 2**31.
    origin
        Place (y, x) of its first pixel in the image: cells begin at multiples of ``cell`` there.
    cell
        Side of a cell, px.
    reach
        The opening's square has ``2 * reach + 1`` cells on a side.

    Returns
    -------
    numpy.ndarray
        uint32, same shape. A value depends on pixels within ``(2 * reach + 1) * cell`` of it; cells cut by
        the edge of the array use the pixels that are there.
    """
    means = _cell_means(smoothed, origin, cell)
    top = np.uint32(2**31)
    lowest = top - local_maximum(top - means, reach)
    return _subtract(smoothed, local_maximum(lowest, reach), origin, cell)
