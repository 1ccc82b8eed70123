# SPDX-License-Identifier: BSD-3-Clause
"""What people drew on an image in OMERO, as Regions.

Polygons, ellipses and rectangles count: a shape's label is its name, its ROI's tags are its class. Points,
lines and texts are marks, and masks are what programs made: they are left out. How areas become Regions is
said in `slidegate.sources.drawn`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import omero.model
import omero.sys
from shapely.geometry.base import BaseGeometry

from slidegate.sources.base import Region, clean_label
from slidegate.sources.drawn import HOLES, MOST_CORNERS, MOST_SHAPES, Drawn, enclosed, is_hole, regions_of

from .connection import Connection, speaking
from .errors import OmeroRegionError

_MARKS = (omero.model.Point, omero.model.Line, omero.model.Label, omero.model.Mask)
_BATCH = 50  # ROIs by one call: outlines may be long, and a message has at most 250 MB
_SAGITTA_PX = 0.05
# What slidegate itself wrote may be a hundred thousand nuclei.
_ROIS = (
    "select r.id from Roi r where r.image.id = :id "
    "and (r.description is null or r.description not like 'slidegate run=%') order by r.id"
)
_SHAPES = (
    "select count(s.id) from Shape s join s.roi r where r.image.id = :id "
    "and (r.description is null or r.description not like 'slidegate run=%')"
)
_PAIR = re.compile(r"\s*(\S+?)\s*,\s*([^\s,]+)\s*")
_OLD_POINTS = re.compile(r"points\[([^\]]*)\]")


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
        There is an open line, which may be meant as an area but is none, a shape that cannot be understood,
        or too many of them; the sentence says in which ROI.
    RegionsUnusableError
        Nothing of the image is left in them.
    OmeroError
        OMERO cannot be asked; a repeat is safe.
    """
    asked = {"id": image}
    rois = [row[0] for row in connection.query(_ROIS, asked, group)]
    if not rois:  # as on most images: one question is enough
        return []
    count = connection.query(_SHAPES, asked, group)
    if count[0][0] > MOST_SHAPES:
        raise OmeroRegionError(f"there are more than {MOST_SHAPES} shapes on the image")
    tags = _tags(connection, image, group)
    drawn = []
    for start in range(0, len(rois), _BATCH):
        for one in _shapes(connection, rois[start : start + _BATCH], group):
            roi = one.roi.id.val
            if isinstance(one, _MARKS) or _elsewhere(one, z, t):
                continue
            text = clean_label(None if one.textValue is None else one.textValue.val)
            kinds = tags.get(roi, [])
            if any(is_hole(said, holes) for said in (text, *kinds)):
                drawn.append(Drawn(area_of(one), "", True))
            else:
                drawn.append(Drawn(area_of(one), text, False, ", ".join(kinds)))
    return regions_of(drawn, shape)


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
    area = enclosed([_moved(shape, corners)])
    if area is None:
        raise OmeroRegionError(f"a shape of ROI {_roi(shape)} encloses nothing, or does not say where it is")
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


def _tags(connection: Connection, image: int, group: int) -> dict[int, list[str]]:
    """Return the texts of the tags of each ROI, sorted."""
    rows = connection.query(
        "select l.parent.id, a.textValue from RoiAnnotationLink l, TagAnnotation a "
        "where l.child.id = a.id and l.parent.image.id = :id",
        {"id": image},
        group,
    )
    found: dict[int, list[str]] = {}
    for roi, text in sorted((roi, clean_label(text)) for roi, text in rows):
        found.setdefault(roi, []).append(text)
    return found


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
