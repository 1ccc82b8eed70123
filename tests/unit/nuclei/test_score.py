# SPDX-License-Identifier: BSD-3-Clause
"""Scores count objects as the definition says."""

import numpy as np
import pytest
import tifffile
from slidegate_analysis.images import create_labels, open_labels
from slidegate_analysis.nuclei.score import Overlaps, score, score_files


def squares(*places: tuple[int, int, int]) -> np.ndarray:
    out = np.zeros((60, 60), np.uint32)
    for number, (y, x, side) in enumerate(places):
        out[y : y + side, x : x + side] = 4_000_000_000 + 7 * number
    return out


def test_equal_labels_score_one_whatever_their_numbers():
    truth = squares((2, 2, 10), (30, 30, 12))
    renumbered = np.where(truth > 0, truth - 3_999_999_990, 0)
    result = score(truth, renumbered)
    assert (result.matched, result.spurious, result.missed) == (2, 0, 0)
    assert (result.precision, result.recall, result.f1) == (1, 1, 1)


def test_objects_match_when_they_overlap_by_more_than_the_bound():
    truth = squares((0, 0, 10), (30, 0, 10), (30, 30, 10))
    found = squares((0, 3, 10), (30, 4, 10))  # 70 of 130 pixels, 60 of 140
    result = score(truth, found)
    assert (result.matched, result.spurious, result.missed) == (1, 1, 2)
    assert result.f1 == pytest.approx(2 / 5)
    assert score(truth, found, 0.6).matched == 0


def test_parts_add_up_to_the_whole():
    chance = np.random.default_rng(0)
    truth, found = chance.integers(0, 4, (2, 90, 70)).astype(np.uint32)
    overlaps = Overlaps()
    for top in range(0, 90, 13):
        overlaps.add(truth[top : top + 13], found[top : top + 13])
    assert overlaps.score() == score(truth, found)


def test_nothing_to_find_and_nothing_found_is_perfect():
    empty = np.zeros((5, 5), np.uint32)
    assert score(empty, empty).f1 == 1
    assert score(empty, squares()[:5, :5]).precision == 1


def test_shapes_and_bounds_are_checked():
    with pytest.raises(ValueError, match="different shapes"):
        score(np.zeros((3, 3), np.uint32), np.zeros((3, 4), np.uint32))
    with pytest.raises(ValueError, match=r"0\.5"):
        score(np.zeros((3, 3), np.uint32), np.zeros((3, 3), np.uint32), 0.3)


def test_files_of_both_kinds_can_be_compared(tmp_path):
    labels = squares((2, 2, 10), (30, 30, 12))
    tifffile.imwrite(tmp_path / "truth.tif", labels)
    create_labels(tmp_path / "found.zarr", labels.shape, shard=64, pixel_size_um=None)
    open_labels(tmp_path / "found.zarr").write(0, 0, labels)
    assert score_files(tmp_path / "truth.tif", tmp_path / "found.zarr").f1 == 1
