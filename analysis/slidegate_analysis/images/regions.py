# SPDX-License-Identifier: BSD-3-Clause
"""Regions that people drew: which pixels lie in them, exactly, and the one text that says where they are.

A corner is (y, x) in full-resolution pixels, origin at the corner of the first pixel, rounded to a 64th. A
pixel lies in a polygon if its middle does: if an odd number of edges, of the outline and of the holes, lie to
its left, or under it. All of this is whole numbers, so two polygons that share an edge share no pixel, and
whoever looks at a part of the image sees the same as whoever looks at all of it.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .blocks import Bounds
from .errors import BadRegionsError

__all__ = ["NAME", "Area", "Region", "areas_of", "read_areas", "regions_text"]

NAME = "regions.json"
"""What the file is called in its folder."""

UNIT = 64
"""Parts of a pixel that corners are rounded to."""

_FORMAT = 1
_FARTHEST = 1 << 24  # pixels; products of two distances stay below 2**63
_HALF = UNIT // 2

Ring = tuple[tuple[float, float], ...]
Corners = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A polygon with holes, in full-resolution pixels, origin at the corner of the first pixel.

    Attributes
    ----------
    name
        The label that a person gave it; empty where none was.
    outline
        The corners (y, x) around it, the first not repeated.
    holes
        The corners of each hole.
    kind
        The class that a person put it in; empty where none was.
    """

    name: str
    outline: Ring
    holes: tuple[Ring, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Polygon:
    """A polygon with holes; each ring int64, shape (corners, 2), (y, x) in 64ths of a pixel."""

    rings: tuple[np.ndarray, ...]

    def crossings(self, y0: int, y1: int) -> tuple[np.ndarray, np.ndarray]:
        """Find where its edges cross the middles of the rows of pixels y0 to y1, half-open.

        Returns
        -------
        rows, columns
            int64. A pixel lies in the polygon if an odd number of crossings in its row have its column or a
            smaller one.
        """
        ends = [np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in self.rings]
        edges = np.concatenate(ends)
        flipped = edges[:, 0] > edges[:, 2]
        edges[flipped] = edges[flipped][:, [2, 3, 0, 1]]
        first = np.maximum(_ceil(edges[:, 0] - _HALF, UNIT), y0)
        last = np.minimum(_ceil(edges[:, 2] - _HALF, UNIT), y1)
        counts = np.maximum(last - first, 0)
        edges, first, counts = edges[counts > 0], first[counts > 0], counts[counts > 0]
        which = np.repeat(np.arange(len(edges)), counts)
        rows = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        top, left, bottom, right = edges[which].T
        tall = bottom - top
        across = (right - left) * (UNIT * rows + _HALF - top) + (left - _HALF) * tall
        return rows, _ceil(across, UNIT * tall)

    def mask(self, bounds: Bounds) -> np.ndarray:
        """Return which pixels of (y0, y1, x0, x1), half-open, lie in it: bool, shape (y, x)."""
        y0, y1, x0, x1 = bounds
        rows, columns = self.crossings(y0, y1)
        flips = np.zeros((y1 - y0, x1 - x0 + 1), np.uint8)
        np.add.at(flips, (rows - y0, np.clip(columns, x0, x1) - x0), 1)
        inside: np.ndarray = np.bitwise_xor.accumulate(flips[:, :-1] & 1, axis=1).astype(bool)
        return inside

    def holds(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return which of some pixels, int64 (n,) rows and columns, lie in it: bool (n,)."""
        if not len(y):
            return np.zeros(0, bool)
        rows, columns = self.crossings(int(y.min()), int(y.max()) + 1)
        low, wide = int(x.min()), int(x.max()) - int(x.min()) + 2
        keys = np.sort(rows * wide + np.clip(columns - low, 0, wide - 1))
        before = np.searchsorted(keys, y * wide, "left")
        up_to = np.searchsorted(keys, y * wide + (x - low), "right")
        odd: np.ndarray = (up_to - before) % 2 == 1
        return odd


@dataclass(frozen=True)
class Area:
    """All polygons of one name and class: a pixel lies in it if it lies in any of them."""

    name: str
    kind: str
    polygons: tuple[Polygon, ...]

    @property
    def bounds(self) -> Bounds:
        """The pixels that may lie in it: (y0, y1, x0, x1), half-open, perhaps beyond the image."""
        corners = np.concatenate([ring for polygon in self.polygons for ring in polygon.rings])
        (y0, x0), (y1, x1) = corners.min(axis=0) // UNIT, -(-corners.max(axis=0) // UNIT)
        return int(y0), int(y1), int(x0), int(x1)

    @property
    def size(self) -> int:
        """How large it is, for comparing: the areas of its polygons as they were drawn, exact."""
        return sum(
            abs(_twice_area(polygon.rings[0])) - sum(abs(_twice_area(hole)) for hole in polygon.rings[1:])
            for polygon in self.polygons
        )

    def mask(self, bounds: Bounds) -> np.ndarray:
        """Return which pixels of (y0, y1, x0, x1), half-open, lie in it: bool, shape (y, x)."""
        inside = np.zeros((bounds[1] - bounds[0], bounds[3] - bounds[2]), bool)
        for polygon in self.polygons:
            inside |= polygon.mask(bounds)
        return inside

    def holds(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return which of some pixels, int64 (n,) rows and columns, lie in it: bool (n,)."""
        inside = np.zeros(len(y), bool)
        for polygon in self.polygons:
            inside |= polygon.holds(y, x)
        return inside


def regions_text(regions: Iterable[Region]) -> bytes:
    """Return the one JSON text that says where regions are, whatever their order and where their rings begin.

    Corners are rounded to a 64th of a pixel. What has no area after that is left out.

    Raises
    ------
    BadRegionsError
        A corner is no number, or lies farther away than any image reaches.
    """
    drawn = []
    for region in regions:
        outline = _corners(region.outline, turn=1)
        if outline:
            holes = sorted(hole for ring in region.holes if (hole := _corners(ring, turn=-1)))
            drawn.append((region.name, region.kind, outline, holes))
    listed = [
        {"name": name, "class": kind, "outline": _pixels(outline), "holes": [_pixels(hole) for hole in holes]}
        for name, kind, outline, holes in sorted(drawn)
    ]
    said = {"regions": _FORMAT, "polygons": listed}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_areas(folder: Path) -> list[Area]:
    """Read the regions that lie in a folder; see `areas_of`.

    Raises
    ------
    BadRegionsError
        The file is missing, or is not what `regions_text` returns.
    """
    try:
        text = (folder / NAME).read_bytes()
    except OSError as error:
        raise BadRegionsError(type(error).__name__) from error
    return areas_of(text)


def areas_of(text: bytes) -> list[Area]:
    """Return the regions that a text says, those of one name and class together, sorted by both.

    Raises
    ------
    BadRegionsError
        It is not what `regions_text` returns.
    """
    try:
        said = json.loads(text)
        if said["regions"] != _FORMAT:
            raise BadRegionsError("they are in another format")
        found: dict[tuple[str, str], list[Polygon]] = {}
        for one in said["polygons"]:
            rings = tuple(_units(ring) for ring in (one["outline"], *one["holes"]))
            found.setdefault((str(one["name"]), str(one["class"])), []).append(Polygon(rings))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRegionsError(type(error).__name__) from error
    return [Area(name, kind, tuple(polygons)) for (name, kind), polygons in sorted(found.items())]


def _ceil(numerator: np.ndarray, divisor: Any) -> np.ndarray:
    return -(-numerator // divisor)


def _twice_area(ring: np.ndarray) -> int:
    """Return twice the area that a ring encloses, in 64ths squared; negative where it goes the other way.

    Whole numbers of Python: a sum of 64-bit ones could overflow.
    """
    y, x = ring.astype(object).T
    return int((y * np.roll(x, -1) - x * np.roll(y, -1)).sum())


def _corners(ring: Sequence[tuple[float, float]], turn: int) -> Corners | None:
    """Return a ring in 64ths of a pixel, beginning and turning as all do; None where it encloses nothing."""
    if not all(math.isfinite(at) and abs(at) <= _FARTHEST for corner in ring for at in corner):
        raise BadRegionsError("a corner lies nowhere")
    rounded = [(round(y * UNIT), round(x * UNIT)) for y, x in ring]
    kept = [corner for at, corner in enumerate(rounded) if corner != rounded[at - 1]]
    if len(kept) < 3:
        return None
    area = _twice_area(np.array(kept, np.int64))
    if not area:
        return None
    if area * turn < 0:
        kept.reverse()
    first = min(kept)
    return min(tuple(kept[at:] + kept[:at]) for at, corner in enumerate(kept) if corner == first)


def _pixels(corners: Corners) -> list[list[float]]:
    return [[y / UNIT, x / UNIT] for y, x in corners]


def _units(ring: Sequence[Sequence[float]]) -> np.ndarray:
    units = np.array(ring, np.float64).reshape(-1, 2) * UNIT
    if len(units) < 3 or not (np.abs(units) <= UNIT * _FARTHEST).all() or (units != np.floor(units)).any():
        raise BadRegionsError("a corner lies nowhere")
    return units.astype(np.int64)
