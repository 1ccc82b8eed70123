# SPDX-License-Identifier: BSD-3-Clause
"""The relief: a map with one hill for each nucleus, from the shape of the foreground and from local contrast.

A pixel is foreground where it reaches half the height of the brightest pixel nearby, above the background.
Its relief is its distance to where the foreground ends (touching nuclei have a saddle between them, texture
hardly matters), plus its height relative to the brightest pixel nearby (nuclei of unequal brightness part
there). Everything is whole-number arithmetic on a bounded neighbourhood.
"""

import numpy as np
from numba import njit

from slidegate_analysis.nuclei.smooth import smooth

DISTANCE_UNITS = 16
"""Distances are in sixteenths of a pixel."""

TOP_RUNG = 48
"""The relief is cut into at most this many rungs."""


@njit(cache=True, nogil=True)
def local_maximum(values, reach):
    """Give the largest value among the ``2 * reach + 1`` pixels squared around each, cut at the array's edge.

    By doubling: each step joins two windows of equal length (van Herk's result at a logarithmic number of
    passes).
    """
    height, width = values.shape
    work = np.zeros((height + 2 * reach, width + 2 * reach), values.dtype)
    work[reach : reach + height, reach : reach + width] = values
    rows, columns = work.shape
    length = 2 * reach + 1
    have = 1
    while have < length:
        step = min(have, length - have)
        for y in range(rows):
            for x in range(columns - step):
                work[y, x] = max(work[y, x], work[y, x + step])
        have += step
    have = 1
    while have < length:
        step = min(have, length - have)
        for y in range(rows - step):
            for x in range(width):
                work[y, x] = max(work[y, x], work[y + step, x])
        have += step
    return work[:height, :width].copy()


@njit(cache=True, nogil=True)
def foreground(smoothed, brightest, background, faint):
    """Mark (uint8) pixels at or above ``faint`` that reach half the height of the brightest pixel nearby."""
    height, width = smoothed.shape
    out = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            value = np.int64(smoothed[y, x])
            if value >= faint and 2 * (value - background) >= np.int64(brightest[y, x]) - background:
                out[y, x] = 1
    return out


@njit(cache=True, nogil=True)
def square_root_table(largest):
    """Give floor(DISTANCE_UNITS * sqrt(n)) for n up to ``largest``: uint16."""
    out = np.zeros(largest + 1, np.uint16)
    root = 0
    for n in range(largest + 1):
        while (root + 1) * (root + 1) <= n * DISTANCE_UNITS * DISTANCE_UNITS:
            root += 1
        out[n] = root
    return out


@njit(cache=True, nogil=True)
def bounded_distance(inside, cap):
    """Give the Euclidean distance of each pixel to the nearest pixel outside, at most ``cap`` pixels.

    Exact squared distances (Meijster, Roerdink and Hesselink 2000). Beyond the array's edge everything counts
    as inside, so that a nucleus cut by the edge of the image keeps its shape.

    Parameters
    ----------
    inside
        uint8, shape (y, x).
    cap
        Largest distance, px: no pixel farther away has any influence.

    Returns
    -------
    numpy.ndarray
        uint16, shape (y, x), in sixteenths of a pixel, floored.
    """
    height, width = inside.shape
    columns = np.empty((height, width), np.int32)
    run = np.full(width, cap, np.int32)
    for y in range(height):
        for x in range(width):
            run[x] = min(run[x] + 1, cap) if inside[y, x] else 0
            columns[y, x] = run[x]
    run[:] = cap
    for y in range(height - 1, -1, -1):
        for x in range(width):
            run[x] = min(run[x] + 1, cap) if inside[y, x] else 0
            columns[y, x] = min(columns[y, x], run[x])
    roots = square_root_table(cap * cap)
    out = np.zeros((height, width), np.uint16)
    for y in range(height):
        row = columns[y]
        for x in range(width):
            if row[x] == 0:
                continue
            best = row[x] * row[x]
            dx = 1
            while dx * dx < best:
                if x >= dx:
                    best = min(best, dx * dx + row[x - dx] * row[x - dx])
                if x + dx < width:
                    best = min(best, dx * dx + row[x + dx] * row[x + dx])
                dx += 1
            out[y, x] = roots[best]
    return out


@njit(cache=True, nogil=True)
def _rungs(smoothed, brightest, inside, distance, background, contrast, rung, box):
    y0, y1, x0, x1 = box
    quantised = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
    values = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint32)
    for y in range(y0, y1):
        for x in range(x0, x1):
            value = np.int64(smoothed[y, x])
            values[y - y0 + 1, x - x0 + 1] = value
            if inside[y, x]:
                height = (value - background) * contrast // (np.int64(brightest[y, x]) - background)
                height += np.int64(distance[y, x]) - contrast // 2
                quantised[y - y0 + 1, x - x0 + 1] = min(TOP_RUNG, 1 + max(height, 0) // rung)
    return quantised, values


def relief(smoothed: np.ndarray, background: int, faint: int, geometry, box) -> tuple[np.ndarray, np.ndarray]:
    """Cut the relief of a block into rungs.

    Parameters
    ----------
    smoothed
        uint32, shape (y, x), from :func:`~slidegate_analysis.nuclei.smooth.smooth`.
    background, faint
        Of the image's levels.
    geometry
        The detector's :class:`~slidegate_analysis.nuclei.geometry.Geometry`.
    box
        ``(y0, y1, x0, x1)``: the part of the array to give back.

    Returns
    -------
    quantised
        uint8, shape of the box and a rim of one pixel on each side: the rung of each pixel, 0 outside the
        foreground and on the rim.
    values
        uint32, same shape: the smoothed values.
    """
    brightest = local_maximum(smoothed, geometry.nearby)
    inside = foreground(smoothed, brightest, background, faint)
    distance = smooth(
        bounded_distance(inside, geometry.distance_cap), np.array(geometry.relief_weights, np.uint32)
    )
    return _rungs(smoothed, brightest, inside, distance, background, geometry.contrast, geometry.rung, box)
