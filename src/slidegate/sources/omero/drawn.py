# SPDX-License-Identifier: BSD-3-Clause
"""The regions that a result speaks of, as ROIs with what was found in each.

An output of type ``table/regions`` is a Parquet table with a row for each region: ``name``, ``class``, whole
numbers that are counts, and maybe ``density_per_mm2``. The outlines lie beside it, under the same name with
``.json``: ``{"polygons": [{"name", "class", "outline": [[y, x], ...], "holes": [...]}]}`` in full-resolution
pixels, origin at the corner of the first pixel. Regions that nobody named are ``unnamed`` in the table.
"""

import json
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import omero.model
import pyarrow as pa
import pyarrow.parquet as pq
from omero.rtypes import rstring

from slidegate.sources.errors import ResultDamagedError

from .annotations import Mark, cut
from .connection import Connection, speaking
from .rois import colour

REGIONS = "regions"
"""Part of the ROIs that are regions."""

UNNAMED = "unnamed"
BATCH = 500  # shapes that are saved by one call
MOST_REGIONS = 2000
_STROKE = (255 << 16) | (255 << 8) | 255  # cyan, opaque: OMERO's colours are RGBA
_DENSITY = "density_per_mm2"

Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A region and what to say of it.

    Attributes
    ----------
    row
        Its row in the table, from 0.
    text
        What was found in it, in words.
    outlines, holes
        Corners (y, x) of each.
    """

    row: int
    name: str
    text: str
    outlines: tuple[Ring, ...]
    holes: tuple[Ring, ...]


def regions_of(table: Path) -> list[Region]:
    """Return the regions of a table whose outlines are known; at most `MOST_REGIONS`.

    Raises
    ------
    ResultDamagedError
        The table or the outlines are not what they should be.
    """
    beside = table.with_suffix(".json")
    if not beside.is_file():
        return []
    found: dict[tuple[str, str], list[Any]] = {}
    try:
        read = pq.read_table(table)
        for one in json.loads(beside.read_bytes())["polygons"]:
            found.setdefault((one["name"], one["class"]), []).append(one)
        regions = []
        for number, row in enumerate(read.slice(0, MOST_REGIONS).to_pylist()):
            names = (row["name"], "") if row["name"] == UNNAMED else (row["name"],)
            drawn = [one for name in names for one in found.get((name, row["class"]), [])]
            outlines = tuple(_ring(one["outline"]) for one in drawn)
            holes = tuple(_ring(hole) for one in drawn for hole in one["holes"])
            if outlines:
                regions.append(Region(number, row["name"], _words(row, read.schema), outlines, holes))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
        raise ResultDamagedError("the regions of a result cannot be read") from error
    return regions


def write_regions(
    connection: Connection, regions: list[Region], group: int, mark: Mark, there: Container[int]
) -> None:
    """Save the regions that are not there yet where the mark says, some by each call.

    Parameters
    ----------
    there
        Rows whose regions have a ROI in OMERO already.

    Raises
    ------
    OmeroError
        It failed; a repeat completes what is missing.
    """
    text = replace(mark, part=REGIONS).text
    waiting: list[Any] = []
    for region in [one for one in regions if one.row not in there]:
        roi = _roi(region, mark.number, text)
        if waiting and sum(one.sizeOfShapes() for one in waiting) + roi.sizeOfShapes() > BATCH:
            _save(connection, waiting, group)
            waiting = []
        waiting.append(roi)
    if waiting:
        _save(connection, waiting, group)


def row_of(name: str) -> int:
    """Return the row of the region that a ROI is, by the ROI's name."""
    return int(name.split(" ", 2)[1].rstrip(":")) - 1


def _save(connection: Connection, rois: list[Any], group: int) -> None:
    with speaking():
        connection.services("Update").saveArray(rois, connection.context(group))


def _roi(region: Region, image: int, description: str) -> Any:
    roi = omero.model.RoiI()
    roi.image = omero.model.ImageI(image, False)
    roi.name = rstring(cut(f"region {region.row + 1}: {region.name}"))
    roi.description = rstring(description)
    for ring in region.outlines:
        roi.addShape(_polygon(ring, f"{region.name}: {region.text}"))
    for ring in region.holes:
        roi.addShape(_polygon(ring, f"{region.name}: hole"))
    return roi


def _polygon(ring: Ring, text: str) -> Any:
    shape = omero.model.PolygonI()
    shape.points = rstring(" ".join(f"{x:.10g},{y:.10g}" for y, x in ring))
    shape.strokeColor = colour(_STROKE)
    shape.textValue = rstring(cut(text))
    return shape


def _ring(corners: Any) -> Ring:
    return tuple((float(y), float(x)) for y, x in corners)


def _words(row: dict[str, Any], schema: pa.Schema) -> str:
    """Return the counts of a region and its density: ``12 nuclei, 1034 per mm²``."""
    counts = [
        f"{row[field.name]} {field.name}"
        for field in schema
        if pa.types.is_integer(field.type) and not (field.metadata or {}).get(b"unit")
    ]
    if row.get(_DENSITY) is not None:
        counts.append(f"{row[_DENSITY]:.0f} per mm²")
    return ", ".join(counts)
