# SPDX-License-Identifier: BSD-3-Clause
"""Measurement of nuclei: outlines and intensities, exact sums in compiled loops.

Sums of intensities are whole numbers per row of pixels; rows are added from top to bottom. A nucleus has the
same rows in every block, so the values are bit for bit the same whatever the tiling.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from slidegate_analysis.images import Block
from slidegate_analysis.nuclei.detect import Found
from slidegate_analysis.nuclei.geometry import BOX_REACH
from slidegate_analysis.nuclei.tree import second_moments

STATISTICS = ("mean", "median", "variance", "skewness")
REGIONS = ("", "box_")


@dataclass(frozen=True)
class Outlines:
    """The objects whose raster-first pixel lies in a block's core, sorted by id.

    Attributes
    ----------
    labels, origin
        As in :class:`~slidegate_analysis.nuclei.detect.Found`.
    numbers
        int32: the number of each object in ``labels``.
    ids
        uint32.
    boxes
        int64, shape (objects, 4): bounding box (y0, y1, x0, x1) in the image, half-open.
    areas
        int64, pixels.
    sums
        int64, shape (objects, 2): sum of y and of x of the pixels' indices in the image.
    eccentricities
        float64: of the ellipse with the same second moments; 0 for a disc.
    """

    labels: np.ndarray
    origin: tuple[int, int]
    numbers: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    sums: np.ndarray
    eccentricities: np.ndarray

    def windows(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Give the square of ``2 * BOX_REACH + 1`` pixels around each object, cut at the edge of the image.

        The middle is the pixel of the centroid: the mean of the pixels' indices, fraction dropped (as
        CellDetector).

        Returns
        -------
        windows
            int64, shape (objects, 4): (y0, y1, x0, x1), half-open, in the image.
        clipped
            bool, shape (objects,): whether the edge of the image cut the square.
        """
        middle = self.sums // self.areas[:, None]
        low = middle - BOX_REACH
        high = middle + BOX_REACH + 1
        inner_low = np.maximum(low, 0)
        inner_high = np.minimum(high, np.array(shape, np.int64))
        windows = np.stack([inner_low[:, 0], inner_high[:, 0], inner_low[:, 1], inner_high[:, 1]], axis=1)
        clipped = ((inner_low != low) | (inner_high != high)).any(axis=1)
        return windows, clipped


def outline(found: Found, block: Block, shape: tuple[int, int]) -> Outlines:
    """Measure the shapes of the objects whose raster-first pixel lies in the core of a block.

    Parameters
    ----------
    found
        From a detector, for this block.
    block, shape
        The block, and the shape (y, x) of the image.
    """
    y0, y1, x0, x1 = block.core
    firsts = found.ids[1:].astype(np.int64) - 1
    rows, columns = np.divmod(firsts, shape[1])
    mine = (rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)
    numbers = np.flatnonzero(mine) + 1
    numbers = numbers[np.argsort(found.ids[numbers])].astype(np.int32)
    place = np.zeros(len(found.ids), np.int32)
    place[numbers] = np.arange(1, len(numbers) + 1)
    boxes, moments = _moments(found.labels, place, len(numbers))
    top, left = found.origin
    boxes += np.array([top, top, left, left])
    areas = moments[:, 0]
    sums = moments[:, 1:3] + areas[:, None] * np.array([top, left])
    ids = found.ids[numbers]
    return Outlines(found.labels, found.origin, numbers, ids, boxes, areas, sums, _eccentricities(moments))


def intensities(
    pixels: np.ndarray, place: tuple[int, int], outlines: Outlines, windows: np.ndarray
) -> np.ndarray:
    """Measure one channel over every nucleus and over the square around it.

    Parameters
    ----------
    pixels
        uint8 or uint16, shape (y, x): the channel, wherever nuclei and windows lie.
    place
        Place (y, x) of the first of these pixels in the image.
    outlines, windows
        What to measure.

    Returns
    -------
    numpy.ndarray
        float64, shape (objects, 2, 4): over the nucleus and over the square: mean, median, variance (division
        by the number of pixels) and skewness (third standardised moment; NaN where the variance is 0). In
        counts.
    """
    out = np.empty((len(outlines.ids), len(REGIONS), len(STATISTICS)), np.float64)
    _intensities(
        np.ascontiguousarray(pixels),
        np.array(place, np.int64),
        outlines.labels,
        np.array(outlines.origin, np.int64),
        outlines.numbers,
        outlines.boxes,
        windows,
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _moments(labels, place, count):
    height, width = labels.shape
    boxes = np.empty((count, 4), np.int64)
    boxes[:, 0] = height
    boxes[:, 1] = 0
    boxes[:, 2] = width
    boxes[:, 3] = 0
    moments = np.zeros((count, 6), np.int64)
    for y in range(height):
        for x in range(width):
            row = place[labels[y, x]] - 1
            if row < 0:
                continue
            boxes[row, 0] = min(boxes[row, 0], y)
            boxes[row, 1] = max(boxes[row, 1], y + 1)
            boxes[row, 2] = min(boxes[row, 2], x)
            boxes[row, 3] = max(boxes[row, 3], x + 1)
            moments[row, 0] += 1
            moments[row, 1] += y
            moments[row, 2] += x
            moments[row, 3] += y * y
            moments[row, 4] += x * x
            moments[row, 5] += y * x
    return boxes, moments


@njit(cache=True, nogil=True)
def _eccentricities(moments):
    out = np.zeros(len(moments), np.float64)
    for i in range(len(moments)):
        row = moments[i]
        yy, xx, yx = second_moments(row[0], row[1], row[2], row[3], row[4], row[5])
        middle = 0.5 * (yy + xx)
        half = 0.5 * (yy - xx)
        spread = math.sqrt(half * half + yx * yx)
        out[i] = math.sqrt(max(0.0, 1.0 - (middle - spread) / (middle + spread)))
    return out


@njit(cache=True, nogil=True)
def _median(values, count, coarse, fine):
    """Give the median of whole numbers below 65536 by counting high bytes, then low bytes."""
    lower = (count - 1) // 2
    upper = count // 2
    coarse[:] = 0
    for i in range(count):
        coarse[values[i] >> 8] += 1
    answer = 0.0
    for rank in (lower, upper):
        seen = 0
        high = 0
        while seen + coarse[high] <= rank:
            seen += coarse[high]
            high += 1
        fine[:] = 0
        for i in range(count):
            fine[values[i] & 255] += (values[i] >> 8) == high
        low = 0
        while seen + fine[low] <= rank:
            seen += fine[low]
            low += 1
        answer += 0.5 * (high * 256 + low)
        if lower == upper:
            return np.float64(high * 256 + low)
    return answer


@njit(cache=True, nogil=True)
def _describe(values, ends, rows, coarse, fine, out):
    """Fill mean, median, variance and skewness of the values whose row r ends at ``ends[r]``."""
    count = ends[rows - 1]
    total = np.int64(0)
    for i in range(count):
        total += values[i]
    middle = total // count
    square = 0.0
    cube = 0.0
    start = 0
    for row in range(rows):
        row_square = np.int64(0)
        row_cube = np.int64(0)
        for i in range(start, ends[row]):
            away = values[i] - middle
            row_square += away * away
            row_cube += away * away * away
        square += np.float64(row_square)
        cube += np.float64(row_cube)
        start = ends[row]
    rest = np.float64(total - middle * count) / count
    second = square / count
    variance = max(0.0, second - rest * rest)
    third = cube / count - 3.0 * rest * second + 2.0 * rest * rest * rest
    out[0] = np.float64(total) / count
    out[1] = _median(values, count, coarse, fine)
    out[2] = variance
    out[3] = third / (variance * math.sqrt(variance)) if square > rest * rest * count else np.nan


@njit(cache=True, nogil=True)
def _intensities(pixels, place, labels, origin, numbers, boxes, windows, out):
    coarse = np.empty(256, np.int64)
    fine = np.empty(256, np.int64)
    room = 1
    tall = 1
    for bounds in (boxes, windows):
        for i in range(len(numbers)):
            high = bounds[i, 1] - bounds[i, 0]
            room = max(room, high * (bounds[i, 3] - bounds[i, 2]))
            tall = max(tall, high)
    values = np.empty(room, np.int64)
    ends = np.empty(tall, np.int64)
    for i in range(len(numbers)):
        for region in range(2):
            bounds = boxes[i] if region == 0 else windows[i]
            count = 0
            for y in range(bounds[0], bounds[1]):
                for x in range(bounds[2], bounds[3]):
                    if region == 1 or labels[y - origin[0], x - origin[1]] == numbers[i]:
                        values[count] = pixels[y - place[0], x - place[1]]
                        count += 1
                ends[y - bounds[0]] = count
            _describe(values, ends, bounds[1] - bounds[0], coarse, fine, out[i, region])
