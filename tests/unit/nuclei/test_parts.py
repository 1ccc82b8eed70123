# SPDX-License-Identifier: BSD-3-Clause
"""Each compiled part does what its slow counterpart does."""

import itertools

import numpy as np
import pytest
from scipy import ndimage
from slidegate_analysis.nuclei.background import height_above_background
from slidegate_analysis.nuclei.grow import grow
from slidegate_analysis.nuclei.levels import Histograms, derive_levels, otsu_of_logarithms, quantile
from slidegate_analysis.nuclei.relief import bounded_distance, local_maximum
from slidegate_analysis.nuclei.smooth import SMOOTH_RANGE, gaussian_weights, smooth
from slidegate_analysis.nuclei.split import fill_holes, inner_distance, split_object
from slidegate_analysis.nuclei.tree import (
    ANCHOR,
    AREA,
    SCORE_ONE,
    SUM_VALUE,
    build_tree,
    choose_nodes,
    ellipse_score,
    score_nodes,
)

EIGHT = np.ones((3, 3), int)


@pytest.mark.parametrize("sigma", [0.2, 1.23, 4.0, 8.0])
def test_weights_are_symmetric_and_sum_to_256(sigma):
    weights = gaussian_weights(sigma)
    assert weights.sum() == 256
    assert np.array_equal(weights, weights[::-1])
    assert len(weights) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_smoothing_is_the_exact_convolution_rounded_once(kind):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, (40, 31)).astype(kind)
    weights = gaussian_weights(1.5)
    exact = ndimage.correlate1d(pixels.astype(np.int64), weights.astype(np.int64), 0, mode="nearest")
    exact = ndimage.correlate1d(exact, weights.astype(np.int64), 1, mode="nearest")
    assert np.array_equal(smooth(pixels, weights), (exact + 2048) >> 12)


def test_smoothing_saturated_pixels_does_not_overflow():
    smoothed = smooth(np.full((30, 30), 65535, np.uint16), gaussian_weights(2.0))
    assert (smoothed == 65535 * 16).all()
    assert smoothed.max() < SMOOTH_RANGE


@pytest.mark.parametrize("reach", [0, 1, 2, 5, 8])
def test_local_maximum_is_that_of_the_square(reach):
    values = np.random.default_rng(1).integers(0, 10**6, (23, 41)).astype(np.uint32)
    expected = ndimage.maximum_filter(values, 2 * reach + 1, mode="constant", cval=0)
    assert np.array_equal(local_maximum(values, reach), expected)


def test_bounded_distance_is_euclidean_up_to_its_bound():
    inside = np.random.default_rng(2).random((60, 70)) < 0.93
    exact = ndimage.distance_transform_edt(np.pad(inside, 40, constant_values=True))[40:-40, 40:-40]
    expected = np.floor(16 * np.minimum(exact, 6) + 1e-9)
    assert np.array_equal(bounded_distance(inside.astype(np.uint8), 6), expected)


def test_background_is_the_opening_of_the_cells():
    values = np.random.default_rng(3).integers(0, 9000, (64, 96)).astype(np.uint32)
    cell, reach, origin = 4, 2, (8, 16)
    means = values.reshape(16, 4, 24, 4).sum((1, 3)) // 16
    opened = ndimage.grey_opening(np.pad(means, 9, mode="edge"), (5, 5))[9:-9, 9:-9]
    inner = (slice(16, -16), slice(16, -16))
    expected = np.maximum(values.astype(np.int64) - np.kron(opened, np.ones((4, 4), int)), 0)
    assert np.array_equal(height_above_background(values, origin, cell, reach)[inner], expected[inner])


def test_the_tree_holds_every_component_of_every_level():
    chance = np.random.default_rng(4)
    quantised = np.zeros((42, 52), np.uint8)
    quantised[1:-1, 1:-1] = np.rint(ndimage.gaussian_filter(chance.normal(0, 14, (40, 50)), 1.2)).clip(0, 9)
    values = chance.integers(0, 1000, quantised.shape).astype(np.uint32)
    _, _, stats = build_tree(quantised, values, 9)
    alive = stats[stats[:, AREA] > 0]
    expected = set()
    for level in range(1, 10):
        labels, count = ndimage.label(quantised >= level, EIGHT)
        for label in range(1, count + 1):
            mine = labels == label
            if (quantised[mine] == level).any():
                first = int(np.flatnonzero(mine.ravel())[0])
                expected.add((int(mine.sum()), int(values[mine].sum()), first))
    assert {tuple(map(int, row[[AREA, SUM_VALUE, ANCHOR]])) for row in alive} == expected


# A root with two children; the left child has two children of its own.
FAMILY = np.array([2, 2, 4, 4, -1], np.int32)


def best_of(node: int, scores: tuple[int, ...]) -> tuple[int, list[int]]:
    """Choose by trying: the value of the best choice at and below a node, and its nodes."""
    below = [best_of(child, scores) for child in range(5) if FAMILY[child] == node]
    below = [(value, nodes) for value, nodes in below if value > 0]
    if below and sum(value for value, _ in below) > scores[node] * len(below):
        return sum(value for value, _ in below) // len(below), [n for _, nodes in below for n in nodes]
    return scores[node], [node] if scores[node] >= 75_000 else []


def test_the_chosen_nodes_are_the_best_disjoint_ones():
    for scores in itertools.product([0, 70_000, 80_000, 90_000], repeat=5):
        holder = choose_nodes(FAMILY, np.ones((5, 12), np.int64), np.array(scores, np.int64), 75_000)
        assert set(holder[holder == np.arange(5)]) == set(best_of(4, scores)[1])


def test_a_component_at_an_open_edge_is_no_candidate():
    quantised = np.zeros((22, 22), np.uint8)
    quantised[1:9, 8:16] = 1
    _, _, stats = build_tree(quantised, np.zeros((22, 22), np.uint32), 1)
    closed = score_nodes(stats, (22, 22), (False, False, False, False), (4, 400), 20, 3)
    opened = score_nodes(stats, (22, 22), (True, False, False, False), (4, 400), 20, 3)
    assert closed[0] > 0.9 * SCORE_ONE
    assert opened[0] == 0


@pytest.mark.parametrize(
    ("axes", "low", "high"), [((9, 9), 0.98, 1.0), ((15, 8), 0.98, 1.0), ((30, 5), 0.0, 0.0)]
)
def test_an_ellipse_scores_full_unless_it_is_too_long(axes, low, high):
    rows, columns = np.indices((70, 70))
    y, x = np.nonzero(((rows - 35) / axes[0]) ** 2 + ((columns - 34) / axes[1]) ** 2 <= 1)
    sums = [int(v) for v in (len(y), y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (y * x).sum())]
    moved = y + 5000, x + 9000
    far = [len(y), *(int(v) for v in (moved[0].sum(), moved[1].sum(), (moved[0] ** 2).sum()))]
    far += [int((moved[1] ** 2).sum()), int((moved[0] * moved[1]).sum())]
    assert low <= ellipse_score(*sums, 3) / SCORE_ONE <= high
    assert ellipse_score(*sums, 3) == ellipse_score(*far, 3)


def test_growth_ends_after_its_rounds_and_shares_fairly():
    labels = np.zeros((9, 23), np.int32)
    labels[0] = labels[-1] = -1
    labels[:, 0] = labels[:, -1] = -1
    labels[4, 4] = 1
    labels[4, 14] = 2
    values = np.full(labels.shape, 100, np.uint32)
    grow(labels, values, np.array([0, 50, 50]), 3)
    assert list(labels[4]) == [-1] + [1] * 7 + [0] * 3 + [2] * 7 + [0] * 4 + [-1]
    assert (labels[1, 4], labels[1, 5]) == (1, 0)
    grow(labels, values, np.array([0, 50, 50]), 20)
    assert np.all(labels[1:-1, 1:-1] > 0)
    assert abs(int((labels == 1).sum()) - 63) <= 14


def test_growth_stops_at_the_floor():
    labels = np.full((7, 12), -1, np.int32)
    labels[1:-1, 1:-1] = 0
    labels[3, 3] = 1
    values = np.full(labels.shape, 40, np.uint32)
    values[:, :6] = 100
    grow(labels, values, np.array([0, 50]), 30)
    assert np.array_equal(labels[1:-1, 1:-1] == 1, values[1:-1, 1:-1] == 100)


def disc(shape, y, x, radius):
    rows, columns = np.indices(shape)
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_holes_are_filled_unless_something_lies_in_them():
    ring = disc((30, 30), 14, 14, 12) & ~disc((30, 30), 14, 14, 5)
    inside, free = ring.astype(np.uint8), (~ring).astype(np.uint8)
    assert fill_holes(inside, free) == disc((30, 30), 14, 14, 5).sum()
    assert inside.sum() == disc((30, 30), 14, 14, 12).sum()
    guest = ring.astype(np.uint8)
    free[14, 14] = 0
    assert fill_holes(guest, free) == 0


def test_inner_distance_is_euclidean():
    inside = np.pad(disc((31, 41), 15, 20, 13) & ~disc((31, 41), 10, 12, 3), 1)
    expected = np.floor(16 * ndimage.distance_transform_edt(inside) + 1e-9)
    assert np.array_equal(inner_distance(inside.astype(np.uint8)), expected)


CUTTING = (130, 95, 5243, 3, 48)


def test_two_touching_discs_are_cut_and_one_is_not():
    one = disc((40, 60), 20, 18, 12)
    both = one | disc((40, 60), 20, 40, 12)
    single, count = split_object(one.astype(np.uint8), (~one).astype(np.uint8), CUTTING)
    assert count == 1
    assert np.array_equal(single > 0, one)
    parts, count = split_object(both.astype(np.uint8), (~both).astype(np.uint8), CUTTING)
    assert count == 2
    assert np.array_equal(parts > 0, both)
    assert parts[20, 18] != parts[20, 40]
    assert abs(int((parts == 1).sum()) - int((parts == 2).sum())) < 40


def test_pieces_that_do_not_hang_together_become_objects_or_go():
    pieces = disc((40, 60), 20, 15, 9) | disc((40, 60), 20, 45, 9) | disc((40, 60), 3, 30, 2)
    parts, count = split_object(pieces.astype(np.uint8), (~pieces).astype(np.uint8), CUTTING)
    assert count == 2
    assert parts[3, 30] == 0


def test_quantiles_and_otsu_match_their_definitions():
    counts = np.bincount([3, 3, 5, 7, 200, 201, 202])
    assert [quantile(counts, share) for share in (0.0, 2 / 7, 0.5, 1.0)] == [3, 3, 7, 202]
    assert 7 <= otsu_of_logarithms(counts, 0, 10.0) < 200


def histograms_of(heights: np.ndarray) -> Histograms:
    histograms = Histograms(lag=5)
    histograms.add(heights.astype(np.uint32))
    return histograms


def test_levels_do_not_depend_on_the_order_of_tiles():
    heights = np.random.default_rng(5).gamma(2, 300, (60, 80)).astype(np.uint32)
    parts = Histograms(lag=5)
    for part in (heights[40:], heights[:15], heights[15:40]):
        parts.add(part)
    assert derive_levels(parts, 0.5) == derive_levels(histograms_of(heights), 0.5)


def test_nothing_stands_out_of_a_constant():
    flat = histograms_of(np.full((50, 50), 700))
    assert derive_levels(flat, 1.0).plain == 0


def test_more_sensitivity_lowers_the_levels():
    chance = np.random.default_rng(7)
    heights = chance.normal(1000, 50, (200, 200))
    heights[:40] += 3_000
    levels = [derive_levels(histograms_of(heights), sensitivity) for sensitivity in (0.0, 0.5, 1.0)]
    assert levels[0].faint > levels[1].faint > levels[2].faint > levels[2].background
    assert all(level.plain > level.faint for level in levels)
