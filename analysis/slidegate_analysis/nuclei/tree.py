# SPDX-License-Identifier: BSD-3-Clause
"""The component tree of a quantised image, and the best set of disjoint ellipse-like components in it.

A node is one 8-connected component of the pixels at or above one level. Levels are flooded from the top;
a union-find over pixels joins components, and every node's area, moments and bounding box come from
whole-number sums, so that no value depends on the order of summation or on where the block begins.

The tree is the max-tree of Salembier, Oliveras and Garrido (1998, doi 10.1109/83.663500); the best set of
disjoint nodes by dynamic programming follows Arteta, Lempitsky, Noble and Zisserman (2012, doi
10.1007/978-3-642-33415-3_43), with the fit to the moment ellipse in place of a learned score.
"""

import math

import numpy as np
from numba import njit

SCORE_ONE = 1 << 20
"""Scores are whole numbers: a component that fills its moment ellipse has SCORE_ONE."""

AREA, SUM_Y, SUM_X, SUM_YY, SUM_XX, SUM_YX, SUM_VALUE, Y_MIN, X_MIN, Y_MAX, X_MAX, ANCHOR = range(12)
"""Columns of node statistics; maxima are inclusive, ANCHOR is the raster-first pixel's flat index."""


@njit(cache=True, nogil=True)
def flood_order(quantised, level_count):
    """List the flat indices of all pixels above 0, highest level first, in raster order within a level.

    Returns the indices (int32) and ``ends``: those of level k lie in ``order[ends[k + 1]:ends[k]]``.
    """
    counts = np.zeros(level_count + 2, np.int64)
    flat = quantised.ravel()
    for i in range(len(flat)):
        counts[flat[i]] += 1
    ends = np.zeros(level_count + 2, np.int64)
    for level in range(level_count, 0, -1):
        ends[level] = ends[level + 1] + counts[level]
    order = np.empty(ends[1], np.int32)
    cursor = ends[1:].copy()
    for i in range(len(flat)):
        level = flat[i]
        if level > 0:
            order[cursor[level]] = i
            cursor[level] += 1
    return order, ends


@njit(cache=True, nogil=True)
def _find(up, pixel):
    """Find the root of a pixel, halving the path; roots hold ``-1 - node``."""
    above = up[pixel]
    while above >= 0:
        higher = up[above]
        if higher < 0:
            return above
        up[pixel] = higher
        pixel = higher
        above = up[pixel]
    return pixel


@njit(cache=True, nogil=True)
def _absorb(stats, into, other):
    for column in range(7):
        stats[into, column] += stats[other, column]
    stats[into, 7] = min(stats[into, 7], stats[other, 7])
    stats[into, 8] = min(stats[into, 8], stats[other, 8])
    stats[into, 9] = max(stats[into, 9], stats[other, 9])
    stats[into, 10] = max(stats[into, 10], stats[other, 10])
    stats[into, 11] = min(stats[into, 11], stats[other, 11])


@njit(cache=True, nogil=True)
def _add_pixel(stats, node, y, x, value, anchor):
    row = stats[node]
    row[0] += 1
    row[1] += y
    row[2] += x
    row[3] += y * y
    row[4] += x * x
    row[5] += y * x
    row[6] += value
    row[7] = min(row[7], y)
    row[8] = min(row[8], x)
    row[9] = max(row[9], y)
    row[10] = max(row[10], x)
    row[11] = min(row[11], anchor)


@njit(cache=True, nogil=True)
def _doubled(stats, parent, level):
    size = len(level)
    more_stats = np.empty((2 * size, 12), np.int64)
    more_stats[:size] = stats
    more_parent = np.empty(2 * size, np.int32)
    more_parent[:size] = parent
    more_level = np.empty(2 * size, np.int16)
    more_level[:size] = level
    return more_stats, more_parent, more_level


@njit(cache=True, nogil=True)
def _new_node(stats, parent, level, node, k, far):
    for column in range(7):
        stats[node, column] = 0
    stats[node, 7] = far
    stats[node, 8] = far
    stats[node, 9] = -1
    stats[node, 10] = -1
    stats[node, 11] = far
    parent[node] = -1
    level[node] = k
    return node + 1


@njit(cache=True, nogil=True)
def build_tree(quantised, smoothed, level_count):
    """Build the component tree of a block.

    Parameters
    ----------
    quantised
        uint8, shape (y, x): how many levels each pixel reaches; its outermost rows and columns are 0
        (a rim that stands for "outside", so that neighbours always exist).
    smoothed
        uint32, same shape: the values to sum.
    level_count
        The number of levels.

    Returns
    -------
    pixel_node
        int32, shape (y * x,): the node of each pixel at its own level, -1 below the first level.
    parent
        int32 per node, -1 at a root. A node's parent has a larger index than the node itself.
    stats
        int64, shape (nodes, 12): the columns named in this module. Nodes with area 0 have been joined to
        another node of their level (their parent) and mean nothing else.
    """
    height, width = quantised.shape
    order, ends = flood_order(quantised, level_count)
    q = quantised.ravel()
    values = smoothed.ravel()
    up = np.empty(height * width, np.int32)
    pixel_node = np.full(height * width, -1, np.int32)
    far = np.int64(height) * width
    capacity = max(1024, len(order) // 16)
    stats = np.empty((capacity, 12), np.int64)
    level = np.empty(capacity, np.int16)
    parent = np.empty(capacity, np.int32)
    steps = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1], np.int64)
    count = 0
    for k in range(level_count, 0, -1):
        for position in range(ends[k + 1], ends[k]):
            if count == capacity:
                stats, parent, level = _doubled(stats, parent, level)
                capacity *= 2
            p = np.int64(order[position])
            root = p
            node = count
            for direction in range(8):
                n = p + steps[direction]
                if q[n] < k or (q[n] == k and direction >= 4) or up[n] == root:
                    continue
                other = np.int64(_find(up, n))
                if other == root:
                    continue
                other_node = -1 - up[other]
                if level[other_node] == k:
                    if node == count:
                        node = other_node
                    elif other_node != node:
                        _absorb(stats, node, other_node)
                        stats[other_node, 0] = 0
                        parent[other_node] = node
                else:
                    if node == count:
                        count = _new_node(stats, parent, level, count, k, far)
                    _absorb(stats, node, other_node)
                    parent[other_node] = node
                if root == p:
                    up[p] = other
                    root = other
                else:
                    up[other] = root
                up[root] = -1 - node
            if node == count:
                count = _new_node(stats, parent, level, count, k, far)
                up[p] = -1 - node
            _add_pixel(stats, node, p // width, p % width, np.int64(values[p]), p)
            pixel_node[p] = node
    return pixel_node, parent[:count].copy(), stats[:count].copy()


@njit(cache=True, nogil=True)
def second_moments(area, sum_y, sum_x, sum_yy, sum_xx, sum_yx):
    """Give the second central moments (yy, xx, yx; px squared) of a set of pixel squares.

    The sums may be taken about any origin: the central moments are formed in whole numbers first.
    """
    scale = np.float64(area * area)
    yy = np.float64(area * sum_yy - sum_y * sum_y) / scale + 1.0 / 12.0
    xx = np.float64(area * sum_xx - sum_x * sum_x) / scale + 1.0 / 12.0
    yx = np.float64(area * sum_yx - sum_y * sum_x) / scale
    return yy, xx, yx


@njit(cache=True, nogil=True)
def ellipse_score(area, sum_y, sum_x, sum_yy, sum_xx, sum_yx, max_axis_ratio):
    """Score how well pixels fill the ellipse with their moments: 0 (not at all, or too long) to SCORE_ONE."""
    yy, xx, yx = second_moments(area, sum_y, sum_x, sum_yy, sum_xx, sum_yx)
    middle = 0.5 * (yy + xx)
    spread = math.sqrt(max(middle * middle - (yy * xx - yx * yx), 0.0))
    if middle + spread > max_axis_ratio * max_axis_ratio * (middle - spread):
        return np.int64(0)
    filled = np.float64(area) / (4.0 * math.pi * math.sqrt(yy * xx - yx * yx))
    return min(np.int64(filled * SCORE_ONE), np.int64(SCORE_ONE))


@njit(cache=True, nogil=True)
def score_nodes(stats, shape, open_edges, areas, extent_max, max_axis_ratio):
    """Score all nodes; 0 means that a node cannot be a nucleus.

    Parameters
    ----------
    stats
        From :func:`build_tree`.
    shape
        Shape (y, x) of the block with its rim.
    open_edges
        Four booleans (top, left, bottom, right): the image goes on beyond that edge. A component that touches
        an open edge may be cut off there and scores 0.
    areas, extent_max
        Least and largest area (px), and the largest side of the bounding box (px).
    max_axis_ratio
        Largest ratio of the axes of the moment ellipse.
    """
    scores = np.zeros(len(stats), np.int64)
    for node in range(len(stats)):
        row = stats[node]
        area = row[0]
        if area < areas[0] or area > areas[1]:
            continue
        if row[9] - row[7] >= extent_max or row[10] - row[8] >= extent_max:
            continue
        if (open_edges[0] and row[7] <= 1) or (open_edges[1] and row[8] <= 1):
            continue
        if (open_edges[2] and row[9] >= shape[0] - 2) or (open_edges[3] and row[10] >= shape[1] - 2):
            continue
        scores[node] = ellipse_score(area, row[1], row[2], row[3], row[4], row[5], max_axis_ratio)
    return scores


@njit(cache=True, nogil=True)
def choose_nodes(parent, stats, scores, score_min):
    """Choose the disjoint nodes with the best scores: a node, or the mean of the best of its children.

    Returns int32 per node: the chosen node that contains it, or -1. Ties go to the larger component.
    Sums are whole numbers, so the order of children has no influence.
    """
    count = len(parent)
    best = np.zeros(count, np.int64)
    below = np.zeros(count, np.int64)
    branches = np.zeros(count, np.int64)
    wanted = np.zeros(count, np.bool_)
    for node in range(count):
        if stats[node, 0] == 0:
            continue
        best[node] = scores[node]
        wanted[node] = scores[node] >= score_min
        if branches[node] > 0 and below[node] > scores[node] * branches[node]:
            best[node] = below[node] // branches[node]
            wanted[node] = False
        up = parent[node]
        if best[node] > 0 and up >= 0:
            while stats[up, 0] == 0:
                up = parent[up]
            below[up] += best[node]
            branches[up] += 1
    holder = np.full(count, -1, np.int32)
    for node in range(count - 1, -1, -1):
        up = parent[node]
        while up >= 0 and stats[up, 0] == 0:
            up = parent[up]
        if up >= 0 and holder[up] >= 0:
            holder[node] = holder[up]
        elif wanted[node] and stats[node, 0] > 0:
            holder[node] = node
    return holder
