# SPDX-License-Identifier: BSD-3-Clause
"""Agreement of two label images: precision, recall and F1 of objects matched by intersection over union."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from slidegate_analysis.images import open_labels, plan_blocks

PART = 4096

Read = Callable[[int, int, int, int], np.ndarray]


@dataclass(frozen=True)
class Score:
    """How many objects of the truth were found.

    Attributes
    ----------
    matched, spurious, missed
        Objects found that match one of the truth, that match none, and objects of the truth that none
        matches.
    """

    matched: int
    spurious: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of the found objects that match; 1 where nothing was found."""
        found = self.matched + self.spurious
        return self.matched / found if found else 1.0

    @property
    def recall(self) -> float:
        """Share of the true objects that were found; 1 where there is none."""
        true = self.matched + self.missed
        return self.matched / true if true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found."""
        everything = 2 * self.matched + self.spurious + self.missed
        return 2 * self.matched / everything if everything else 1.0


class Overlaps:
    """The sparse table of how many pixels each pair of labels shares; parts may be added one by one."""

    def __init__(self) -> None:
        self._pairs: list[np.ndarray] = []

    def add(self, truth: np.ndarray, found: np.ndarray) -> None:
        """Count the pixels of a part of the image.

        Parameters
        ----------
        truth, found
            Whole numbers from 0 to 2**32 - 1, shape (y, x), the same for both; 0 is no object. An object has
            the same label in all parts.
        """
        if truth.shape != found.shape:
            raise ValueError(f"the label images have different shapes, {truth.shape} and {found.shape}")
        runs = _runs(np.ascontiguousarray(truth, np.uint32), np.ascontiguousarray(found, np.uint32))
        self._pairs.append(_summed(runs))

    def score(self, iou: float = 0.5) -> Score:
        """Match objects whose intersection over union exceeds `iou`, which must be at least 0.5.

        Above one half no object can match two others, so the matching is unique.
        """
        if not 0.5 <= iou < 1:
            raise ValueError("the matching is unique for an intersection over union from 0.5 to below 1 only")
        pairs = _summed(np.concatenate([np.empty((0, 3), np.uint64), *self._pairs]))
        true_ids, true_areas = _areas(pairs, 0)
        found_ids, found_areas = _areas(pairs, 1)
        both = pairs[(pairs[:, 0] > 0) & (pairs[:, 1] > 0)]
        shared = both[:, 2].astype(np.int64)
        union = true_areas[np.searchsorted(true_ids, both[:, 0])]
        union = union + found_areas[np.searchsorted(found_ids, both[:, 1])] - shared
        matched = int((shared > iou * union).sum())
        return Score(matched, len(found_ids) - matched, len(true_ids) - matched)


def score(truth: np.ndarray, found: np.ndarray, iou: float = 0.5) -> Score:
    """Score one label image against another; see :class:`Overlaps`."""
    overlaps = Overlaps()
    overlaps.add(truth, found)
    return overlaps.score(iou)


def score_files(truth: str | os.PathLike[str], found: str | os.PathLike[str], iou: float = 0.5) -> Score:
    """Score the labels in a file against others: each a label image in OME-Zarr, or a TIFF, of the same size.

    Raises
    ------
    ImagesError, OSError, ValueError
        A file is not what it should be; the sizes differ.
    """
    true_shape, read_truth = _open(Path(truth))
    found_shape, read_found = _open(Path(found))
    if true_shape != found_shape:
        raise ValueError(f"the label images have different shapes, {true_shape} and {found_shape}")
    overlaps = Overlaps()
    for part in plan_blocks(true_shape, PART, 0):
        overlaps.add(read_truth(*part.core), read_found(*part.core))
    return overlaps.score(iou)


def _open(path: Path) -> tuple[tuple[int, int], Read]:
    if path.is_dir():
        labels = open_labels(path)
        return labels.shape, labels.read
    # Only benchmarks and demonstrations read TIFF here; a Runtime does not have this package.
    import tifffile

    whole = tifffile.imread(path)
    return whole.shape, lambda y0, y1, x0, x1: whole[y0:y1, x0:x1]


@njit(cache=True, nogil=True)
def _runs(truth, found):
    """List runs of equal pairs along the rows: uint64, shape (runs, 3): true label, found label, pixels."""
    height, width = truth.shape
    out = np.empty((max(64, truth.size // 16), 3), np.uint64)
    count = 0
    for y in range(height):
        x = 0
        while x < width:
            a = truth[y, x]
            b = found[y, x]
            start = x
            while x < width and truth[y, x] == a and found[y, x] == b:
                x += 1
            if a == 0 and b == 0:
                continue
            if count == len(out):
                out = np.concatenate((out, np.empty_like(out)))
            out[count, 0] = a
            out[count, 1] = b
            out[count, 2] = x - start
            count += 1
    return out[:count].copy()


def _summed(runs: np.ndarray) -> np.ndarray:
    """Join the rows of equal pairs."""
    keys, inverse = np.unique((runs[:, 0] << np.uint64(32)) | runs[:, 1], return_inverse=True)
    out = np.empty((len(keys), 3), np.uint64)
    out[:, 0] = keys >> np.uint64(32)
    out[:, 1] = keys & np.uint64(0xFFFFFFFF)
    # Sums of whole numbers below 2**53 are exact in float64.
    out[:, 2] = np.bincount(inverse, weights=runs[:, 2], minlength=len(keys))
    return out


def _areas(pairs: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the labels above 0 of one side, sorted, and their areas."""
    ids, inverse = np.unique(pairs[:, side], return_inverse=True)
    areas = np.bincount(inverse, weights=pairs[:, 2], minlength=len(ids)).astype(np.int64)
    return ids[ids > 0], areas[ids > 0]
