# SPDX-License-Identifier: BSD-3-Clause
"""Cutting touching nuclei apart by the shape of their common outline, each object in its own frame.

The distance to the outline is smoothed and flooded from its peaks; basins that meet at a saddle form a binary
tree. An object is cut where the ellipses of the parts fit clearly better than the ellipse of the whole.
Nothing but the object's own pixels enters, so the answer cannot depend on where the block begins.
"""

import math

import numpy as np
from numba import njit

from slidegate_analysis.nuclei.tree import ellipse_score

NO_CHILD = -1
SWALLOWED = -2

DISTANCE_UNITS = 16
"""Distances are whole numbers, in sixteenths of a pixel; smoothing multiplies them by 16 once more."""


@njit(cache=True, nogil=True)
def fill_holes(inside, free):
    """Fill the holes of an object that hold nothing but free pixels.

    Parameters
    ----------
    inside
        uint8, shape (y, x), 1 in the object, changed in place; its rim of one pixel is 0.
    free
        uint8, same shape, 1 where no object lies.

    Returns
    -------
    int
        Number of pixels filled.
    """
    height, width = inside.shape
    seen = inside.copy()
    stack = np.empty(height * width, np.int32)
    filled = 0
    for start in range(height * width):
        if seen[start // width, start % width] != 0:
            continue
        size = 1
        done = 0
        stack[0] = start
        seen[start // width, start % width] = 1
        all_free = start != 0
        while done < size:
            y = stack[done] // width
            x = stack[done] % width
            done += 1
            if free[y, x] == 0:
                all_free = False
            for step in range(4):
                ny = y + (step == 0) - (step == 1)
                nx = x + (step == 2) - (step == 3)
                if 0 <= ny < height and 0 <= nx < width and seen[ny, nx] == 0:
                    seen[ny, nx] = 1
                    stack[size] = ny * width + nx
                    size += 1
        if all_free:
            for i in range(size):
                inside[stack[i] // width, stack[i] % width] = 1
            filled += size
    return filled


@njit(cache=True, nogil=True)
def inner_distance(inside):
    """Give the Euclidean distance of each pixel to the nearest pixel outside, floored, in DISTANCE_UNITS.

    The squared distances are exact whole numbers (Meijster, Roerdink and Hesselink 2000); the square root of
    a whole number is correctly rounded on every machine.
    """
    height, width = inside.shape
    columns = np.zeros((height, width), np.int64)
    for x in range(width):
        run = 0
        for y in range(height):
            run = run + 1 if inside[y, x] else 0
            columns[y, x] = run
        run = 0
        for y in range(height - 1, -1, -1):
            run = run + 1 if inside[y, x] else 0
            columns[y, x] = min(columns[y, x], run)
    out = np.zeros((height, width), np.int64)
    for y in range(height):
        for x in range(width):
            if not inside[y, x]:
                continue
            best = columns[y, x] * columns[y, x]
            dx = 1
            while dx * dx < best:
                left = columns[y, x - dx]
                right = columns[y, x + dx]
                best = min(best, dx * dx + min(left * left, right * right))
                dx += 1
            out[y, x] = np.int64(math.sqrt(np.float64(best * DISTANCE_UNITS * DISTANCE_UNITS)))
    return out


@njit(cache=True, nogil=True)
def _binomial(distance, inside):
    height, width = distance.shape
    out = np.zeros((height, width), np.int64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if inside[y, x]:
                total = 4 * distance[y, x]
                total += 2 * (
                    distance[y - 1, x] + distance[y + 1, x] + distance[y, x - 1] + distance[y, x + 1]
                )
                total += distance[y - 1, x - 1] + distance[y - 1, x + 1]
                total += distance[y + 1, x - 1] + distance[y + 1, x + 1]
                out[y, x] = total
    return out


@njit(cache=True, nogil=True)
def _root(joined, node):
    while joined[node] >= 0:
        node = joined[node]
    return node


@njit(cache=True, nogil=True)
def _falling_order(heights, inside):
    """List flat indices of the pixels inside, highest first, then in raster order: a stable radix sort."""
    flat = heights.ravel()
    member = inside.ravel()
    order = np.empty(len(flat), np.int32)
    count = 0
    highest = np.int64(0)
    for i in range(len(flat)):
        if member[i]:
            order[count] = i
            count += 1
            highest = max(highest, flat[i])
    order = order[:count]
    other = np.empty(count, np.int32)
    shift = 0
    while highest >> shift > 0:
        ends = np.zeros(257, np.int32)
        for i in range(count):
            ends[256 - ((flat[order[i]] >> shift) & 255)] += 1
        for digit in range(256):
            ends[digit + 1] += ends[digit]
        for i in range(count):
            digit = 255 - ((flat[order[i]] >> shift) & 255)
            other[ends[digit]] = order[i]
            ends[digit] += 1
        order, other = other, order
        shift += 8
    return order


@njit(cache=True, nogil=True)
def _meet(first, second, saddle, prominence, basin_of, tree, count):
    """Let the basins of two pixels meet at a saddle; return the number of nodes."""
    left, right, joined, peak = tree
    a = _root(joined, basin_of[first])
    b = _root(joined, basin_of[second])
    if a == b:
        return count
    higher = basin_of[first]
    if peak[a] < peak[b] or (peak[a] == peak[b] and a > b):
        a, b = b, a
        higher = basin_of[second]
    if left[b] == NO_CHILD and peak[b] - saddle < prominence:
        left[b] = SWALLOWED
        right[b] = higher
        joined[b] = a
        return count
    left[count] = a
    right[count] = b
    joined[a] = count
    joined[b] = count
    peak[count] = peak[a]
    return count + 1


@njit(cache=True, nogil=True)
def basins(heights, inside, prominence):
    """Flood a map from its peaks and record how the basins meet.

    Parameters
    ----------
    heights
        int64, shape (y, x).
    inside
        uint8, same shape: 1 in the object; its rim of one pixel is 0.
    prominence
        A peak that rises less than this above the saddle to a higher one belongs to the basin beyond.

    Returns
    -------
    basin
        int32, shape (y, x): the leaf of each pixel, -1 outside.
    left, right
        int32 per node: the two nodes that met there, or NO_CHILD for a leaf. SWALLOWED in ``left`` marks a
        leaf that was not prominent and owns no pixel.
    """
    width = inside.shape[1]
    flat = heights.ravel()
    order = _falling_order(heights, inside)
    basin_of = np.full(inside.size, -1, np.int32)
    left = np.full(2 * len(order) + 1, NO_CHILD, np.int32)
    right = left.copy()
    joined = left.copy()
    peak = np.zeros(len(left), np.int64)
    tree = (left, right, joined, peak)
    count = 0
    steps = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1], np.int64)
    for position in range(len(order)):
        p = order[position]
        best = np.int64(-1)
        for direction in range(8):
            n = p + steps[direction]
            if basin_of[n] >= 0 and (best < 0 or flat[n] > flat[best]):
                best = n
        if best < 0:
            basin_of[p] = count
            peak[count] = flat[p]
            count += 1
            continue
        basin_of[p] = basin_of[best]
        for direction in range(8):
            n = p + steps[direction]
            if basin_of[n] >= 0 and basin_of[n] != basin_of[best]:
                count = _meet(best, n, flat[p], prominence, basin_of, tree, count)
    for position in range(len(order)):
        leaf = basin_of[order[position]]
        while left[leaf] == SWALLOWED:
            leaf = right[leaf]
        basin_of[order[position]] = leaf
    return basin_of.reshape(inside.shape), left[:count].copy(), right[:count].copy()


@njit(cache=True, nogil=True)
def cut(pixel_basin, left, right, area_min, margin, max_axis_ratio):
    """Choose where to cut: int32 per node, the part that the node belongs to (a node), or -1 above the cuts.

    A node is kept whole unless the area-weighted score of the best parts of its two children exceeds its own
    by ``margin`` and every part has at least ``area_min`` pixels.
    """
    count = len(left)
    sums = np.zeros((count, 6), np.int64)
    rows, width = pixel_basin.shape
    for y in range(rows):
        for x in range(width):
            leaf = pixel_basin[y, x]
            if leaf >= 0:
                sums[leaf, 0] += 1
                sums[leaf, 1] += y
                sums[leaf, 2] += x
                sums[leaf, 3] += y * y
                sums[leaf, 4] += x * x
                sums[leaf, 5] += y * x
    best = np.zeros(count, np.int64)
    whole = np.ones(count, np.bool_)
    for node in range(count):
        if left[node] == SWALLOWED:
            continue
        if left[node] >= 0:
            for column in range(6):
                sums[node, column] = sums[left[node], column] + sums[right[node], column]
        row = sums[node]
        if row[0] < area_min:
            continue
        best[node] = ellipse_score(row[0], row[1], row[2], row[3], row[4], row[5], max_axis_ratio)
        if left[node] >= 0:
            a = left[node]
            b = right[node]
            parts = (best[a] * sums[a, 0] + best[b] * sums[b, 0]) // row[0]
            if best[a] > 0 and best[b] > 0 and parts > best[node] + margin:
                whole[node] = False
                best[node] = parts
    part = np.full(count, -1, np.int32)
    for node in range(count - 1, -1, -1):
        if left[node] == SWALLOWED:
            continue
        if part[node] < 0 and whole[node]:
            part[node] = node
        if left[node] >= 0:
            part[left[node]] = part[node]
            part[right[node]] = part[node]
    return part


@njit(cache=True, nogil=True)
def split_object(inside, free, cutting):
    """Fill the holes of an object, cut it where that fits better, and drop what is too small.

    Parameters
    ----------
    inside, free
        As in :func:`fill_holes`.
    cutting
        ``(prominence, part_area_min, margin, axis_ratio, area_min)``; see the detector's geometry.

    Returns
    -------
    parts
        int32, shape (y, x): parts numbered from 1, 0 elsewhere.
    int
        How many parts there are.
    """
    prominence, part_area_min, margin, axis_ratio, area_min = cutting
    fill_holes(inside, free)
    heights = _binomial(inner_distance(inside), inside)
    basin, left, right = basins(heights, inside, prominence)
    part_of = cut(basin, left, right, part_area_min, margin, axis_ratio)
    areas = np.zeros(len(part_of), np.int64)
    flat = basin.ravel()
    for i in range(len(flat)):
        if flat[i] >= 0:
            areas[part_of[flat[i]]] += 1
    number = np.zeros(len(part_of), np.int32)
    count = 0
    for node in range(len(part_of)):
        if areas[node] >= area_min:
            count += 1
            number[node] = count
    parts = np.zeros(inside.shape, np.int32)
    parts_flat = parts.ravel()
    for i in range(len(flat)):
        if flat[i] >= 0:
            parts_flat[i] = number[part_of[flat[i]]]
    return parts, count
