# SPDX-License-Identifier: BSD-3-Clause
"""From shapes that people drew to Regions: those of one name and class are joined, holes taken out of all.

What reaches beyond the image is cut off. The order in which shapes were drawn never matters. A polygon that
crosses itself holds what lies within it an odd number of times.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from .base import Region
from .errors import RegionsUnusableError

HOLES = frozenset({"hole", "exclude", "excluded", "ignore", "ignored"})
"""What a label begins with if it says that something is taken away; in small letters."""

MOST_SHAPES = 10_000
MOST_CORNERS = 1_000_000
FARTHEST = 1e7  # pixels; no coordinate of a slide comes near


@dataclass(frozen=True, slots=True)
class Drawn:
    """One shape that somebody drew.

    Attributes
    ----------
    area
        What it covers, (x, y) in pixels.
    name
        Its label.
    hole
        Whether it takes away.
    kind
        The class that it was put in.
    """

    area: BaseGeometry
    name: str
    hole: bool
    kind: str = ""


def regions_of(drawn: Iterable[Drawn], shape: tuple[int, int]) -> list[Region]:
    """Return the Regions that shapes make; none where there are no shapes. See `joined`.

    Raises
    ------
    RegionsUnusableError
        Something was drawn, but nothing of the image is left in it.
    """
    drawn = list(drawn)
    found = joined(drawn, shape)
    if drawn and not found:
        raise RegionsUnusableError("nothing is left of them inside the image once holes are taken out")
    return found


def joined(drawn: Iterable[Drawn], shape: tuple[int, int]) -> list[Region]:
    """Join areas by their names and classes and take the holes out. The order never matters.

    Where there are holes and no other shapes, they are taken out of the whole image.

    Parameters
    ----------
    shape
        (y, x) of the image in pixels: what lies outside is cut off.
    """
    drawn = list(drawn)
    whole = shapely.box(0, 0, shape[1], shape[0])
    parts: dict[tuple[str, str], list[BaseGeometry]] = {}
    for one in drawn:
        if not one.hole:
            parts.setdefault((one.name, one.kind), []).append(one.area)
    areas = {called: _union(parts[called]) for called in sorted(parts)}
    if drawn and not areas:
        areas["", ""] = whole
    away = _union([one.area for one in drawn if one.hole])
    found = []
    for (name, kind), area in areas.items():
        left = area.intersection(whole).difference(away).normalize()
        found += [_region(name, kind, part) for part in polygons_of(left)]
    return found


def is_hole(text: str, holes: frozenset[str] = HOLES) -> bool:
    """Return whether a label says that something is taken away: ``hole``, ``Hole 2``, ``exclude: fold``."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return bool(words) and words[0] in holes


def enclosed(rings: Sequence[np.ndarray]) -> BaseGeometry | None:
    """Return what an outline holds but for its holes; None where that is nothing, or a corner is nowhere.

    Parameters
    ----------
    rings
        The outline, then the holes: each (corners, 2), (x, y) in pixels.
    """
    for ring in rings:
        if len(ring) < 3 or not np.isfinite(ring).all() or np.abs(ring).max() > FARTHEST:
            return None
    whole = shapely.make_valid(shapely.Polygon(rings[0], rings[1:])) if rings else None
    area = shapely.MultiPolygon(polygons_of(whole))
    return None if area.is_empty else area


def polygons_of(area: BaseGeometry) -> list[shapely.Polygon]:
    """Return the polygons of an area; lines and points, where areas only touch, are none."""
    if isinstance(area, shapely.Polygon):
        return [area] if area.area > 0 else []
    return [polygon for part in getattr(area, "geoms", ()) for polygon in polygons_of(part)]


def _union(areas: Sequence[BaseGeometry]) -> BaseGeometry:
    """Join areas, in an order of their own: the last digits of a crossing may depend on it."""
    return shapely.union_all(sorted(areas, key=shapely.to_wkb)) if areas else shapely.MultiPolygon()


def _region(name: str, kind: str, polygon: shapely.Polygon) -> Region:
    holes = tuple(sorted(_ring(hole) for hole in polygon.interiors))
    return Region(name, _ring(polygon.exterior), holes, kind)


def _ring(ring: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(y), float(x)) for x, y in np.asarray(ring.coords)[:-1, :2])
