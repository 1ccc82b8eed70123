# SPDX-License-Identifier: BSD-3-Clause
"""All lengths and areas of the detector, from the one number that a person gives: the typical diameter."""

import math
from dataclasses import dataclass

from slidegate_analysis.nuclei.errors import DiameterOutOfRangeError
from slidegate_analysis.nuclei.smooth import gaussian_weights
from slidegate_analysis.nuclei.tree import SCORE_ONE

SMALLEST_DIAMETER_PX = 4.0
LARGEST_DIAMETER_PX = 160.0
BOX_REACH = 50
"""Statistics are also taken over ``2 * BOX_REACH + 1`` pixels squared around a nucleus."""


@dataclass(frozen=True)
class Geometry:
    """Whole numbers that fix the detector; they travel in the plan, so that all workers use the same.

    Attributes
    ----------
    weights, relief_weights
        Smoothing of the pixels, and of the distance map; each sums to 256.
    cell, ground_reach
        Side of a cell of the background, px, and how many cells its square reaches to each side.
    nearby
        How far to look for the brightest pixel, px.
    distance_cap
        Distances to the outline count up to here, px.
    contrast, rung
        Weight of the local contrast, and height of one rung of the relief, in 1/256 px.
    extent
        Largest side of the bounding box of a seed, px.
    rounds
        Rounds of growth: one pixel each.
    seed_area_min, seed_area_max, area_min, part_area_min
        Areas in px: of seeds, of a nucleus, and of the parts that an object may be cut into.
    prominence
        Least rise of a peak of the distance above its saddle, in 1/256 px.
    score_min, margin
        Least ellipse fit of a seed, and least gain of cutting, in 1/2**20.
    floor_per_thousand
        Height above the background, relative to the seed's mean, down to which an object grows.
    axis_ratio
        Largest ratio of the axes of a seed.
    """

    weights: tuple[int, ...]
    cell: int
    ground_reach: int
    relief_weights: tuple[int, ...]
    nearby: int
    distance_cap: int
    contrast: int
    rung: int
    extent: int
    rounds: int
    seed_area_min: int
    seed_area_max: int
    area_min: int
    part_area_min: int
    prominence: int
    score_min: int
    margin: int
    floor_per_thousand: int
    axis_ratio: int

    @property
    def height_reach(self) -> int:
        """How far away a pixel can influence the height above the background, px."""
        return len(self.weights) // 2 + (2 * self.ground_reach + 1) * self.cell

    @property
    def blur_reach(self) -> int:
        """How far away a pixel can influence the relief, px."""
        return self.height_reach + self.nearby + self.distance_cap + len(self.relief_weights) // 2

    @property
    def object_extent(self) -> int:
        """Largest side of the bounding box of a detected object, px."""
        return self.extent + 2 * self.rounds

    @property
    def halo(self) -> int:
        """How far beyond its core a block must see, px; the argument is in ``detect.py``."""
        seeing = self.object_extent + self.rounds + self.extent + 1 + self.blur_reach
        return max(seeing, self.measuring_reach)

    @property
    def measuring_reach(self) -> int:
        """How far beyond its core a block must see to measure the objects that begin in it, px."""
        return self.object_extent + BOX_REACH + 1


def geometry_for(diameter_px: float) -> Geometry:
    """Derive the geometry for nuclei of a typical diameter.

    The factors were chosen on synthetic slides of several densities and never on a real image.

    Raises
    ------
    DiameterOutOfRangeError
        The diameter is below 4 or above 160 pixels.
    """
    if not SMALLEST_DIAMETER_PX <= diameter_px <= LARGEST_DIAMETER_PX:
        raise DiameterOutOfRangeError(diameter_px, SMALLEST_DIAMETER_PX, LARGEST_DIAMETER_PX)
    area = math.pi / 4 * diameter_px**2
    return Geometry(
        weights=tuple(int(weight) for weight in gaussian_weights(diameter_px / 20)),
        cell=max(1, round(diameter_px / 6)),
        ground_reach=8,
        relief_weights=tuple(int(weight) for weight in gaussian_weights(diameter_px / 11)),
        nearby=max(1, round(0.2 * diameter_px)),
        distance_cap=math.ceil(0.75 * diameter_px),
        contrast=round(0.45 * diameter_px * 256),
        rung=max(1, round(0.8 * diameter_px * 256 / 28)),
        extent=math.ceil(2.0 * diameter_px),
        rounds=math.ceil(0.5 * diameter_px),
        seed_area_min=max(3, round(0.1 * area)),
        seed_area_max=round(3.5 * area),
        area_min=max(4, round(0.1 * area)),
        part_area_min=max(4, round(0.2 * area)),
        prominence=round(0.02 * diameter_px * 256),
        score_min=round(0.7 * SCORE_ONE),
        margin=round(0.005 * SCORE_ONE),
        floor_per_thousand=450,
        axis_ratio=3,
    )
