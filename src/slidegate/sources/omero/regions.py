# SPDX-License-Identifier: BSD-3-Clause
"""What people drew on an image in OMERO, as Regions.

Polygons, ellipses and rectangles count. Those of one label are joined; what is called a hole is taken out of
all of them; what reaches beyond the image is cut off. So the order in which shapes were drawn never matters.
A polygon that crosses itself holds what lies within it an odd number of times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import omero.model
import omero.sys
import shapely
from shapely.geometry.base import BaseGeometry

from slidegate.sources.base import clean_label

from .connection import Connection, speaking
from .errors import OmeroRegionError

HOLES = frozenset({"hole", "exclude", "excluded"})
MOST_SHAPES = 10_000
MOST_CORNERS = 1_000_000
_BATCH = 50  # ROIs by one call: outlines may be long, and a message has at most 250 MB
_SAGITTA_PX = 0.05
_LARGEST = 1e7  # pixels; no coordinate of a slide comes near
_WRITTEN_BY_US = "slidegate run="
_PAIR = re.compile(r"\s*(\S+?)\s*,\s*([^\s,]+)\s*")
_OLD_POINTS = re.compile(r"points\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Region:
    """A polygon with holes, in full-resolution pixels, origin at the corner of the first pixel.

    Attributes
    ----------
    name
        The label that was given in OMERO; empty where none was.
    outline
        The corners (y, x) around it, the first not repeated.
    holes
        The corners of each hole.
    """

    name: str
    outline: tuple[tuple[float, float], ...]
    holes: tuple[tuple[tuple[float, float], ...], ...] = ()


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
    """

    area: BaseGeometry
    name: str
    hole: bool


def read_regions(
    connection: Connection,
    image: int,
    group: int,
    shape: tuple[int, int],
    *,
    z: int = 0,
    t: int = 0,
    holes: frozenset[str] = HOLES,
) -> list[Region]:
    """Return the Regions of one plane of an image; none where nobody drew any.

    What slidegate itself wrote to the image is left out, and so are shapes of other planes.

    Parameters
    ----------
    image, group
        The ids of the image and of the group that it lies in.
    shape
        (y, x) of the image in pixels.
    z, t
        Which plane; shapes that name none count for all.
    holes
        What a shape's label begins with, or its ROI is tagged with, if it takes away; in small letters. Where
        there are holes and no other shapes, they are taken out of the whole image.

    Raises
    ------
    OmeroRegionError
        There is a shape that is no area (a mask, a point, a line, a text), one that cannot be understood, or
        too many; the sentence says in which ROI.
    OmeroError
        OMERO cannot be asked; a repeat is safe.
    """
    asked = {"id": image}
    count = connection.query("select count(s.id) from Shape s where s.roi.image.id = :id", asked, group)
    if count[0][0] > MOST_SHAPES:
        raise OmeroRegionError(f"there are more than {MOST_SHAPES} shapes on the image")
    rows = connection.query(
        "select r.id, r.description from Roi r where r.image.id = :id order by r.id", asked, group
    )
    rois = [roi for roi, description in rows if not (description or "").startswith(_WRITTEN_BY_US)]
    tagged = _tagged(connection, image, group, holes)
    drawn = []
    for start in range(0, len(rois), _BATCH):
        for one in _shapes(connection, rois[start : start + _BATCH], group):
            roi = one.roi.id.val
            if _elsewhere(one, z, t):
                continue
            text = clean_label(None if one.textValue is None else one.textValue.val)
            hole = roi in tagged or is_hole(text, holes)
            drawn.append(Drawn(area_of(one), "" if hole else text, hole))
    return joined(drawn, shape)


def joined(drawn: Iterable[Drawn], shape: tuple[int, int]) -> list[Region]:
    """Join areas by their names and take the holes out; see `read_regions`. The order never matters.

    Parameters
    ----------
    shape
        (y, x) of the image in pixels: what lies outside is cut off.
    """
    drawn = list(drawn)
    whole = shapely.box(0, 0, shape[1], shape[0])
    names = sorted({one.name for one in drawn if not one.hole})
    areas = {name: _union([one.area for one in drawn if not one.hole and one.name == name]) for name in names}
    if drawn and not areas:
        areas[""] = whole
    away = _union([one.area for one in drawn if one.hole])
    found = []
    for name, area in areas.items():
        left = area.intersection(whole).difference(away).normalize()
        found += [_region(name, part) for part in _polygons(left)]
    return found


def is_hole(text: str, holes: frozenset[str] = HOLES) -> bool:
    """Return whether a label says that something is taken away: ``hole``, ``Hole 2``, ``exclude: fold``."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return bool(words) and words[0] in holes


def area_of(shape: Any) -> BaseGeometry:
    """Return what a polygon, an ellipse or a rectangle of OMERO covers, (x, y), its transform applied.

    Raises
    ------
    OmeroRegionError
        It is something else, or has no area.
    """
    if isinstance(shape, omero.model.Polygon):
        corners = _points(shape)
    elif isinstance(shape, omero.model.Rectangle):
        x, y, w, h = _numbers(shape, "x", "y", "width", "height")
        corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
    elif isinstance(shape, omero.model.Ellipse):
        x, y, rx, ry = _numbers(shape, "x", "y", "radiusX", "radiusY")
        corners = _around(x, y, abs(rx), abs(ry))
    else:
        kind = type(shape).__name__.removesuffix("I").lower()
        raise OmeroRegionError(f"ROI {_roi(shape)} holds a {kind}; areas are polygons, ellipses, rectangles")
    corners = _moved(shape, corners)
    if len(corners) < 3 or not np.isfinite(corners).all() or np.abs(corners).max() > _LARGEST:
        raise OmeroRegionError(f"a shape of ROI {_roi(shape)} does not say where it is")
    area = shapely.MultiPolygon(_polygons(shapely.make_valid(shapely.Polygon(corners))))
    if area.is_empty:
        raise OmeroRegionError(f"a shape of ROI {_roi(shape)} has no area")
    return area


def _roi(shape: Any) -> int | str:
    return "?" if shape.roi is None or shape.roi.id is None else int(shape.roi.id.val)


def _points(shape: Any) -> np.ndarray:
    text = "" if shape.points is None else shape.points.val
    if old := _OLD_POINTS.search(text):  # as OMERO 4 wrote them
        text = old[1].replace(",", " ")
        numbers = text.split()
        text = " ".join(f"{x},{y}" for x, y in zip(numbers[::2], numbers[1::2], strict=False))
    if len(text) > 40 * MOST_CORNERS:
        raise OmeroRegionError(f"ROI {_roi(shape)} has too many corners")
    pairs = _PAIR.findall(text)
    try:
        corners = np.array(pairs, float).reshape(-1, 2)
    except ValueError as error:
        raise OmeroRegionError(f"the corners of ROI {_roi(shape)} cannot be understood") from error
    if _PAIR.sub("", text).strip():
        raise OmeroRegionError(f"the corners of ROI {_roi(shape)} cannot be understood")
    return corners


def _numbers(shape: Any, *names: str) -> list[float]:
    values = [getattr(shape, name) for name in names]
    if any(value is None or not math.isfinite(value.val) for value in values):
        raise OmeroRegionError(f"a shape of ROI {_roi(shape)} does not say where it is")
    return [float(value.val) for value in values]


def _around(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Corners around an ellipse, so many that nothing is further from it than a twentieth of a pixel."""
    largest = max(rx, ry, 1.0)
    steps = math.ceil(math.pi / math.acos(max(0.5, 1 - _SAGITTA_PX / largest)))
    turn = np.linspace(0, 2 * math.pi, max(16, steps), endpoint=False)
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)


def _moved(shape: Any, corners: np.ndarray) -> np.ndarray:
    """Points after the transform of a shape: x' = a00 x + a01 y + a02, y' = a10 x + a11 y + a12."""
    matrix = shape.transform
    if matrix is None:
        return corners
    a, b, c, d, e, f = _numbers_of(shape, matrix)
    moved: np.ndarray = corners @ np.array([[a, b], [d, e]]).T + np.array([c, f])
    return moved


def _numbers_of(shape: Any, matrix: Any) -> list[float]:
    values = [getattr(matrix, f"a{row}{column}") for row in range(2) for column in range(3)]
    if any(value is None for value in values):
        raise OmeroRegionError(f"the transform of a shape of ROI {_roi(shape)} is not complete")
    return [float(value.val) for value in values]


def _elsewhere(shape: Any, z: int, t: int) -> bool:
    """Whether a shape was drawn on another plane; -1 and nothing mean all of them."""
    return any(
        said is not None and said.val >= 0 and said.val != wanted
        for said, wanted in ((shape.theZ, z), (shape.theT, t))
    )


def _union(areas: Sequence[BaseGeometry]) -> BaseGeometry:
    """Join areas, in an order of their own: the last digits of a crossing may depend on it."""
    return shapely.union_all(sorted(areas, key=shapely.to_wkb)) if areas else shapely.MultiPolygon()


def _polygons(area: BaseGeometry) -> list[shapely.Polygon]:
    """Return the polygons of an area; lines and points, where areas only touch, are none."""
    if isinstance(area, shapely.Polygon):
        return [area] if area.area > 0 else []
    return [polygon for part in getattr(area, "geoms", ()) for polygon in _polygons(part)]


def _region(name: str, polygon: shapely.Polygon) -> Region:
    return Region(name, _ring(polygon.exterior), tuple(sorted(_ring(hole) for hole in polygon.interiors)))


def _ring(ring: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(y), float(x)) for x, y in np.asarray(ring.coords)[:-1, :2])


def _tagged(connection: Connection, image: int, group: int, holes: frozenset[str]) -> set[int]:
    """Return the ROIs that are tagged as holes."""
    rows = connection.query(
        "select l.parent.id, a.textValue from RoiAnnotationLink l, TagAnnotation a "
        "where l.child.id = a.id and l.parent.image.id = :id",
        {"id": image},
        group,
    )
    return {roi for roi, text in rows if is_hole(text or "", holes)}


def _shapes(connection: Connection, rois: Sequence[int], group: int) -> list[Any]:
    params = omero.sys.ParametersI()
    params.addIds(list(rois))
    with speaking():
        return list(
            connection.services("Query").findAllByQuery(
                "select s from Shape s join fetch s.roi left outer join fetch s.transform "
                "where s.roi.id in (:ids) order by s.id",
                params,
                connection.context(group),
            )
        )
