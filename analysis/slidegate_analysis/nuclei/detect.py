# SPDX-License-Identifier: BSD-3-Clause
"""Detection of nuclei in one block of an image, such that the block does not matter.

Why the answer is the same for every tiling
-------------------------------------------
A block sees its core and a halo around it. An edge of what it sees is *open* where the image goes on. Call
D how many pixels lie between a pixel and the nearest open edge. Distances between pixels are the larger of
those in y and in x. All arithmetic on pixels is whole-number arithmetic, so a value is right as soon as
everything that enters it is right, in whatever order it enters.

1. *Smoothing, background, brightest pixel nearby, distance to the end of the foreground, and the smoothing
   of that* look no farther than ``blur_reach`` together; the background's cells lie on one lattice for the
   whole image, and the levels are those of the whole image. So the relief is right where D is at least
   ``blur_reach``. The rest is cut off; from here on D is measured to the edge of what is left.
2. *Seeds.* A node of the component tree is a set of connected pixels. One that touches an open edge may be
   cut off and is refused; every other node is a node of the whole image's tree, with the same descendants,
   hence the same score and the same best choice below it (sums of whole numbers, ties to the larger).
   Whether a node is chosen depends, besides, on its ancestors of at most M = ``extent`` pixels, since
   larger ones are refused in every block. So whether a pixel belongs to a seed, and to which, is right
   where D is at least M: an ancestor through that pixel which touches the open edge is too large.
3. *Growth* runs R = ``rounds`` synchronous rounds. A pixel's label depends on the seeds within R of it and
   on their means, that is on pixels within R + M. Objects now have sides of at most M + 2 R.
4. *Filling and cutting* look at one object in its own bounding box: at labels within M + 2 R of any of its
   pixels. Distances, peaks and saddles are whole numbers in the object's own frame; ties go to the raster-
   first pixel, and the raster order of two pixels is the same in every block.

So every object with a pixel in the core is right when the core is ``2 M + 3 R + 1 + blur_reach`` away from
open edges: that is the halo. Its id is the place of its raster-first pixel in the image, which no block
decides. Each block writes the labels of its core, and the rows of the objects whose raster-first pixel lies
in its core: no pixel and no row is written twice or forgotten.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit

from slidegate_analysis.images import Block, plan_blocks
from slidegate_analysis.nuclei.background import height_above_background
from slidegate_analysis.nuclei.errors import ImageTooLargeError
from slidegate_analysis.nuclei.geometry import Geometry
from slidegate_analysis.nuclei.grow import grow
from slidegate_analysis.nuclei.levels import Histograms, Levels, derive_levels
from slidegate_analysis.nuclei.relief import TOP_RUNG, relief
from slidegate_analysis.nuclei.smooth import smooth
from slidegate_analysis.nuclei.split import split_object
from slidegate_analysis.nuclei.tree import ANCHOR, AREA, SUM_VALUE, build_tree, choose_nodes, score_nodes

LARGEST_ID = 2**32 - 1
TILE = 1024
MOST_TILES = 64

Read = Callable[[int, int, int, int], np.ndarray]


@dataclass(frozen=True)
class Found:
    """What a detector found in a block.

    Attributes
    ----------
    labels
        int32, shape (y, x): objects numbered from 1 within this block only, 0 elsewhere. Covers the core and
        every object with a pixel in it; objects that do not touch the core may be missing.
    origin
        Place (y, x) of the first pixel of ``labels`` in the image.
    ids
        uint32, one per number and a leading 0: flat index of the object's raster-first pixel in the image,
        plus 1.
    """

    labels: np.ndarray
    origin: tuple[int, int]
    ids: np.ndarray

    def core_ids(self, block: Block) -> np.ndarray:
        """Give the ids of the core's pixels: uint32, shape (y, x), 0 where no object lies."""
        y0, y1, x0, x1 = block.core
        top, left = self.origin
        return self.ids[self.labels[y0 - top : y1 - top, x0 - left : x1 - left]]


class Detector(Protocol):
    """Anything that finds objects block by block with answers that do not depend on the blocks."""

    @property
    def halo(self) -> int:
        """How far beyond its core a block must see, px."""

    def detect(self, pixels: np.ndarray, block: Block, shape: tuple[int, int]) -> Found:
        """Find the objects that touch the core of a block.

        Parameters
        ----------
        pixels
            uint8 or uint16, shape (y, x): the block's ``outer`` region of one channel.
        block
            Where that lies in the image.
        shape
            Shape (y, x) of the image.
        """


@dataclass(frozen=True)
class ReliefDetector:
    """The built-in one: hills of the relief that look like ellipses. Needs no training, no weights."""

    geometry: Geometry
    levels: Levels

    @property
    def halo(self) -> int:
        """How far beyond its core a block must see, px."""
        return self.geometry.halo

    def detect(self, pixels: np.ndarray, block: Block, shape: tuple[int, int]) -> Found:
        """Find the objects that touch the core of a block; see :class:`Detector`."""
        geometry = self.geometry
        box, open_edges = _trusted(block, shape, geometry.blur_reach)
        origin = (block.outer[0] + box[0], block.outer[2] + box[2])
        if self.levels.plain == 0:
            nothing = np.zeros((box[1] - box[0], box[3] - box[2]), np.int32)
            return Found(nothing, origin, np.zeros(1, np.uint32))
        above = heights(pixels, (block.outer[0], block.outer[2]), geometry)
        quantised, values = relief(above, self.levels.background, self.levels.faint, geometry, box)
        labels, number = self._objects(quantised, values, open_edges)
        y0, y1, x0, x1 = block.core
        core = (y0 - origin[0] + 1, y1 - origin[0] + 1, x0 - origin[1] + 1, x1 - origin[1] + 1)
        final, firsts = _finish(labels, number, core, _cutting(geometry))
        ids = np.zeros(len(firsts) + 1, np.uint32)
        rows, columns = np.divmod(firsts, labels.shape[1])
        ids[1:] = (rows - 1 + origin[0]) * shape[1] + (columns - 1 + origin[1]) + 1
        return Found(final, origin, ids)

    def _objects(
        self, quantised: np.ndarray, values: np.ndarray, open_edges: tuple
    ) -> tuple[np.ndarray, int]:
        """Choose seeds and grow them: int32 labels with the rim at -1, and their number."""
        geometry = self.geometry
        pixel_node, parent, stats = build_tree(quantised, values, TOP_RUNG)
        areas = (geometry.seed_area_min, geometry.seed_area_max)
        scores = score_nodes(stats, quantised.shape, open_edges, areas, geometry.extent, geometry.axis_ratio)
        holder = choose_nodes(parent, stats, scores, geometry.score_min)
        chosen = np.flatnonzero(holder == np.arange(len(holder)))
        means = stats[chosen, SUM_VALUE] // stats[chosen, AREA]
        plain = means >= self.levels.plain
        seeds, means = chosen[plain], means[plain]
        order = np.argsort(stats[seeds, ANCHOR])
        seeds, means = seeds[order], means[order]
        floors = np.zeros(len(seeds) + 1, np.int64)
        background = self.levels.background
        floors[1:] = background + (means - background) * geometry.floor_per_thousand // 1000
        floors = np.maximum(floors, self.levels.faint - 1)
        number = np.zeros(len(holder) + 1, np.int32)
        number[seeds] = np.arange(1, len(seeds) + 1)
        labels = _paint(pixel_node, holder, number, values, floors)
        grow(labels, values, floors, geometry.rounds)
        return labels, len(seeds)


def heights(pixels: np.ndarray, origin: tuple[int, int], geometry: Geometry) -> np.ndarray:
    """Smooth pixels and subtract the background around them: uint32, shape (y, x), in sixteenths of a count.

    Parameters
    ----------
    pixels
        uint8 or uint16, shape (y, x).
    origin
        Place (y, x) of the first one in the image.
    """
    smoothed = smooth(pixels, np.array(geometry.weights, np.uint32))
    return height_above_background(smoothed, origin, geometry.cell, geometry.ground_reach)


def sample_tiles(shape: tuple[int, int], halo: int) -> list[Block]:
    """Choose the tiles of an image from which its levels are derived: all, or some sixty spread evenly."""
    tiles = plan_blocks(shape, TILE, halo)
    every = -(-len(tiles) // MOST_TILES)
    columns = -(-shape[1] // TILE)
    # The golden section, without a common divisor: neighbouring rows of tiles take different columns.
    shift = next(step for step in itertools.count(max(1, round(0.618 * every))) if math.gcd(step, every) == 1)
    return [tile for i, tile in enumerate(tiles) if (i % columns + i // columns * shift) % every == 0]


def levels_of(read: Read, shape: tuple[int, int], geometry: Geometry, sensitivity: float) -> Levels:
    """Derive the levels of an image from tiles spread over all of it.

    Parameters
    ----------
    read
        ``read(y0, y1, x0, x1)`` gives the pixels of a half-open region: uint8 or uint16, shape (y, x).
    shape
        Shape (y, x) of the image.
    geometry, sensitivity
        The detector's geometry; from 0 (only what is plainly there) to 1 (dim nuclei too).
    """
    histograms = Histograms(lag=2 * (len(geometry.weights) // 2) + 1)
    for tile in sample_tiles(shape, geometry.height_reach):
        top, bottom, left, right = tile.outer
        y0, y1, x0, x1 = tile.core
        above = heights(read(top, bottom, left, right), (top, left), geometry)
        histograms.add(above[y0 - top : y1 - top, x0 - left : x1 - left])
    return derive_levels(histograms, sensitivity)


def levels_of_array(image: np.ndarray, geometry: Geometry, sensitivity: float) -> Levels:
    """Derive the levels of an image in memory: uint8 or uint16, shape (y, x)."""
    return levels_of(lambda y0, y1, x0, x1: image[y0:y1, x0:x1], image.shape, geometry, sensitivity)


def detect(image: np.ndarray, detector: Detector, block_px: int = 2048) -> np.ndarray:
    """Detect the nuclei of a whole image in memory, block by block.

    Parameters
    ----------
    image
        uint8 or uint16, shape (y, x).
    detector
        What detects.
    block_px
        Side of a block; the result does not depend on it.

    Returns
    -------
    numpy.ndarray
        uint32 ids, shape (y, x), 0 where no nucleus lies.
    """
    check_size(image.shape)
    out = np.zeros(image.shape, np.uint32)
    for block in plan_blocks(image.shape, block_px, detector.halo):
        top, bottom, left, right = block.outer
        y0, y1, x0, x1 = block.core
        found = detector.detect(image[top:bottom, left:right], block, image.shape)
        out[y0:y1, x0:x1] = found.core_ids(block)
    return out


def check_size(shape: tuple[int, int]) -> None:
    """Refuse an image with more pixels than there are ids.

    Raises
    ------
    ImageTooLargeError
        ``y * x`` is 2**32 - 1 or more.
    """
    if shape[0] * shape[1] > LARGEST_ID - 1:
        raise ImageTooLargeError(*shape)


def _trusted(block: Block, shape: tuple[int, int], reach: int) -> tuple[tuple, tuple]:
    """Give the part of a block where the relief is right (its frame), and which of its edges are open."""
    top, bottom, left, right = block.outer
    open_edges = (top > 0, left > 0, bottom < shape[0], right < shape[1])
    box = (
        reach * open_edges[0],
        bottom - top - reach * open_edges[2],
        reach * open_edges[1],
        right - left - reach * open_edges[3],
    )
    return box, open_edges


def _cutting(geometry: Geometry) -> tuple[int, int, int, int, int]:
    return (
        geometry.prominence,
        geometry.part_area_min,
        geometry.margin,
        geometry.axis_ratio,
        geometry.area_min,
    )


@njit(cache=True, nogil=True)
def _paint(pixel_node, holder, number, values, floors):
    """Give each pixel the number of its seed where it is bright enough for it; the rim is -1."""
    height, width = values.shape
    labels = np.full((height, width), -1, np.int32)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            labels[y, x] = 0
            node = pixel_node[y * width + x]
            if node < 0 or holder[node] < 0:
                continue
            label = number[holder[node]]
            if np.int64(values[y, x]) > floors[label]:
                labels[y, x] = label
    return labels


@njit(cache=True, nogil=True)
def _bounding_boxes(labels, count):
    height, width = labels.shape
    boxes = np.empty((count + 1, 4), np.int64)
    boxes[:, 0] = height
    boxes[:, 1] = -1
    boxes[:, 2] = width
    boxes[:, 3] = -1
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label > 0:
                boxes[label, 0] = min(boxes[label, 0], y)
                boxes[label, 1] = max(boxes[label, 1], y + 1)
                boxes[label, 2] = min(boxes[label, 2], x)
                boxes[label, 3] = max(boxes[label, 3], x + 1)
    return boxes


@njit(cache=True, nogil=True)
def _finish(labels, count, core, cutting):
    """Fill and cut all objects whose bounding box meets the core.

    Returns the final labels (int32, without the rim) and the flat index, with the rim, of each one's first
    pixel.
    """
    height, width = labels.shape
    boxes = _bounding_boxes(labels, count)
    final = np.zeros((height - 2, width - 2), np.int32)
    firsts = np.empty(max(16, 2 * count), np.int64)
    objects = 0
    for label in range(1, count + 1):
        y0, y1, x0, x1 = boxes[label]
        if y1 <= core[0] or y0 >= core[1] or x1 <= core[2] or x0 >= core[3]:
            continue
        inside = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
        free = np.ones(inside.shape, np.uint8)
        for y in range(y0, y1):
            for x in range(x0, x1):
                inside[y - y0 + 1, x - x0 + 1] = labels[y, x] == label
                free[y - y0 + 1, x - x0 + 1] = labels[y, x] == 0
        parts, part_count = split_object(inside, free, cutting)
        while objects + part_count > len(firsts):
            firsts = np.concatenate((firsts, firsts))
        firsts[objects : objects + part_count] = -1
        for y in range(y0, y1):
            for x in range(x0, x1):
                part = parts[y - y0 + 1, x - x0 + 1]
                if part > 0:
                    final[y - 1, x - 1] = objects + part
                    if firsts[objects + part - 1] < 0:
                        firsts[objects + part - 1] = y * width + x
        objects += part_count
    return final, firsts[:objects].copy()
