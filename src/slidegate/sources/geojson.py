# SPDX-License-Identifier: BSD-3-Clause
"""What people drew on an image in a folder: GeoJSON as QuPath writes it, in full-resolution pixels.

Annotations with an area count; their name and their class are read. Cells and other detections, and points
and straight lines, are left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .base import Choice, Region, clean_label
from .drawn import MOST_CORNERS, MOST_SHAPES, Drawn, enclosed, is_hole, regions_of
from .errors import RegionsUnusableError, looking

SUFFIX = ".geojson"
"""Behind the name of the image: the regions of ``a.tif`` lie in ``a.tif.geojson``."""

_MOST_BYTES = 64 << 20
_MARKS = frozenset({"Point", "MultiPoint"})

Object = Mapping[str, Any]


def file_of(image: Path) -> Path:
    """Return where the regions of an image lie, if it has any."""
    return image.with_name(image.name + SUFFIX)


def read_geojson(path: Path, shape: tuple[int, int], choice: Choice) -> list[Region]:
    """Return the Regions that a file of QuPath says.

    Parameters
    ----------
    shape
        (y, x) of the image in pixels.
    choice
        Which plane: what was drawn on another is left out; what names none counts for all.

    Raises
    ------
    RegionsUnusableError
        It is no such file, something in it cannot be understood, or there is too much of it.
    SourceError
        It cannot be read.
    """
    with looking():
        if path.stat().st_size > _MOST_BYTES:
            raise RegionsUnusableError(f"the file has more than {_MOST_BYTES >> 20} MiB")
        text = path.read_bytes()
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RegionsUnusableError("the file is no GeoJSON") from error
    drawn = [
        one for number, feature in enumerate(_features(said), 1) for one in _drawn(feature, number, choice)
    ]
    if len(drawn) > MOST_SHAPES:
        raise RegionsUnusableError(f"there are more than {MOST_SHAPES} of them")
    return regions_of(drawn, shape)


def _features(said: object) -> list[object]:
    """Return what a collection holds, or a list, or the one feature that it is."""
    found = said.get("features") if isinstance(said, dict) and "features" in said else said
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise RegionsUnusableError("the file is no GeoJSON")
    return found


def _drawn(feature: object, number: int, choice: Choice) -> Iterator[Drawn]:
    """Yield the shapes of a feature."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(feature, dict) or not isinstance(geometry, dict):
        raise RegionsUnusableError(f"object {number} of the file is none of GeoJSON")
    about = _object(feature.get("properties"))
    if _is_found(feature, about) or _elsewhere(geometry, choice):
        return
    kind = _label(_object(about.get("classification")).get("name"))
    name = _label(about.get("name")) or kind
    hole = is_hole(name) or is_hole(kind)
    for rings in _rings(geometry, number):
        area = enclosed(rings)
        if area is None:
            raise RegionsUnusableError(f"object {number} of the file encloses nothing")
        yield Drawn(area, "" if hole else name, hole, "" if hole else kind)


def _rings(geometry: Object, number: int) -> Iterator[list[np.ndarray]]:
    """Yield the outline and the holes of each polygon of a geometry."""
    sort = str(geometry.get("type"))
    corners: Any = geometry.get("coordinates")
    if sort in _MARKS or (sort == "LineString" and isinstance(corners, list) and len(corners) == 2):
        return
    if sort == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        for part in geometry["geometries"]:
            yield from _rings(_object(part), number)
        return
    if sort not in ("Polygon", "MultiPolygon"):
        raise RegionsUnusableError(f"object {number} of the file is a {clean_label(sort)}, which is no area")
    try:
        for polygon in corners if sort == "MultiPolygon" else [corners]:
            yield [_ring(ring) for ring in polygon]
    except (TypeError, ValueError, IndexError) as error:
        raise RegionsUnusableError(f"the corners of object {number} cannot be understood") from error


def _ring(ring: list[list[float]]) -> np.ndarray:
    if len(ring) > MOST_CORNERS:
        raise ValueError("too many corners")
    corners = np.array([corner[:2] for corner in ring], np.float64).reshape(-1, 2)
    return corners[:-1] if len(corners) > 1 and (corners[0] == corners[-1]).all() else corners


def _is_found(feature: Object, about: Object) -> bool:
    """Whether an object was found by a program, and not drawn; the word for it has changed with QuPath."""
    sort = about.get("objectType", about.get("object_type", feature.get("id")))
    return isinstance(sort, str) and bool(re.match("(?i)(path)?(detection|cell|tile|tmacore|root)", sort))


def _elsewhere(geometry: Object, choice: Choice) -> bool:
    """Whether a shape was drawn on another plane; QuPath says which where it is not the first."""
    plane = _object(geometry.get("plane"))
    return any(
        plane.get(axis, wanted) != wanted for axis, wanted in (("z", choice.z or 0), ("t", choice.t or 0))
    )


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _label(value: object) -> str:
    return clean_label(value) if isinstance(value, str) else ""
