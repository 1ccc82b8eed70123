# SPDX-License-Identifier: BSD-3-Clause
"""A few objects as ROIs, so that people see on the image what was found. All of them are in the table."""

from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import omero.model
from omero.rtypes import rint, rstring
from slidegate_analysis.images import Labels, open_labels

from .annotations import Mark
from .connection import Connection, speaking
from .table import ID, read_columns

BATCH = 500
"""How many ROIs are saved by one call; a call is done or not done."""

_BOX = ("y0_px", "y1_px", "x0_px", "x1_px")
_MIDDLE = ("y_px", "x_px")
_STROKE = (255 << 24) | (255 << 16) | 255  # yellow, opaque: OMERO's colours are RGBA
_MOST_PIXELS = 4096 * 4096  # of an object whose outline is drawn
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # along the edges of pixels, the object at the right hand
_AHEAD = (((1, 1), (0, 1)), ((1, 0), (1, 1)), ((0, 0), (1, 0)), ((0, 1), (0, 0)))
"""By direction, the pixels ahead of a corner at the right and at the left hand, in a mask with a margin."""

_MOST_STRIP = 2**25  # pixels of a strip of labels that is read at once
ROIS = "rois"
"""Part of the ROIs that are objects."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The objects that become ROIs, in order.

    Attributes
    ----------
    ids
        (n,) their ids in the table.
    middles
        (n, 2) float, (y, x) in full-resolution pixels, origin at the corner of the first pixel.
    boxes
        (n, 4) half-open (y0, y1, x0, x1) in pixels; None where the table has none.
    total
        How many objects there are in the table.
    labels
        Where outlines are read from; None: objects are drawn as points.
    """

    ids: np.ndarray
    middles: np.ndarray
    boxes: np.ndarray | None
    total: int
    labels: Labels | None


def sample(table: Path, labels: Path | None, cap: int | None, seed: str) -> Drawing | None:
    """Choose the objects that become ROIs: all, or `cap` of them at random, the same for the same seed.

    Parameters
    ----------
    table
        Parquet with the columns ``id``, ``y_px`` and ``x_px``; with ``y0_px``, ``y1_px``, ``x0_px`` and
        ``x1_px`` and `labels`, outlines can be drawn.
    labels
        Label image (OME-Zarr) in which a pixel holds the id of its object.
    seed
        64 hex.

    Returns
    -------
    None where the table does not say where its objects are.
    """
    known = read_columns(table, (ID, *_MIDDLE))
    if known is None or cap == 0:
        return None
    total = len(known[ID])
    chosen = np.arange(total)
    if cap is not None and total > cap:
        chosen = np.sort(np.random.default_rng(int(seed, 16)).choice(total, cap, replace=False))
    boxes = read_columns(table, _BOX) if labels is not None else None
    return Drawing(
        ids=known[ID][chosen],
        middles=np.stack([known[side][chosen] for side in _MIDDLE], axis=1),
        boxes=None if boxes is None else np.stack([boxes[side][chosen] for side in _BOX], axis=1),
        total=total,
        labels=open_labels(labels) if labels is not None and boxes is not None else None,
    )


def write_rois(
    connection: Connection, drawing: Drawing, group: int, mark: Mark, there: Container[int]
) -> None:
    """Save the ROIs that are not there yet where the mark says, `BATCH` by `BATCH`, from the top down.

    Parameters
    ----------
    there
        Objects that have a ROI in OMERO already.

    Raises
    ------
    OmeroError
        It failed; a repeat completes what is missing.
    """
    order = np.argsort(drawing.middles[:, 0], kind="stable").tolist()
    missing = [index for index in order if int(drawing.ids[index]) not in there]
    text = replace(mark, part=ROIS).text
    for start in range(0, len(missing), BATCH):
        part = missing[start : start + BATCH]
        strip = _strip(drawing, part)
        rois = [_roi(drawing, index, mark.number, text, strip) for index in part]
        with speaking():
            connection.services("Update").saveArray(rois, connection.context(group))


@dataclass(frozen=True, slots=True)
class _Strip:
    """Labels that are held in memory: (y, x) from (`y0`, `x0`) on."""

    y0: int
    x0: int
    labels: np.ndarray

    def cut(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Return a region, half-open, in pixels of the image."""
        return self.labels[y0 - self.y0 : y1 - self.y0, x0 - self.x0 : x1 - self.x0]


def _strip(drawing: Drawing, indices: list[int]) -> _Strip | None:
    """Return the labels around some objects; None where that would be too much for so few."""
    if drawing.labels is None or drawing.boxes is None:
        return None
    boxes = drawing.boxes[indices]
    y0, y1, x0, x1 = (
        int(side) for side in (boxes[:, 0].min(), boxes[:, 1].max(), boxes[:, 2].min(), boxes[:, 3].max())
    )
    if not (0 <= y0 < y1 and 0 <= x0 < x1) or (y1 - y0) * (x1 - x0) > _MOST_STRIP:
        return None
    return _Strip(y0, x0, drawing.labels.read(y0, y1, x0, x1))


def colour(rgba: int) -> Any:
    """Return a colour as OMERO keeps it: RGBA in 32 bits with a sign."""
    return rint(np.int64(rgba).astype(np.int32).item())


def object_of(name: str) -> int:
    """Return the id of the object that a ROI is, by the ROI's name."""
    return int(name.rpartition(" ")[2])


def _roi(drawing: Drawing, index: int, image: int, description: str, strip: _Strip | None) -> Any:
    roi = omero.model.RoiI()
    roi.image = omero.model.ImageI(image, False)
    roi.name = rstring(f"object {drawing.ids[index]}")
    roi.description = rstring(description)
    roi.addShape(_shape(drawing, index, strip))
    return roi


def _shape(drawing: Drawing, index: int, strip: _Strip | None) -> Any:
    ring = _outline(drawing, index, strip)
    if ring is None:
        shape = omero.model.PointI()
        y, x = drawing.middles[index]
        shape.x, shape.y = omero.rtypes.rdouble(float(x)), omero.rtypes.rdouble(float(y))
    else:
        shape = omero.model.PolygonI()
        shape.points = rstring(" ".join(f"{x},{y}" for y, x in ring))
    shape.strokeColor = colour(_STROKE)
    shape.textValue = rstring(str(drawing.ids[index]))
    return shape


def _outline(drawing: Drawing, index: int, strip: _Strip | None) -> list[tuple[int, int]] | None:
    """Return the corners (y, x) of an object's outline in the image; None where it cannot be drawn."""
    if drawing.labels is None or drawing.boxes is None:
        return None
    y0, y1, x0, x1 = (int(side) for side in drawing.boxes[index])
    if not (0 <= y0 < y1 and 0 <= x0 < x1) or (y1 - y0) * (x1 - x0) > _MOST_PIXELS:
        return None
    inside = drawing.labels.read(y0, y1, x0, x1) if strip is None else strip.cut(y0, y1, x0, x1)
    mask = inside == drawing.ids[index]
    return [(y0 + y, x0 + x) for y, x in outline_of(mask)] if mask.any() else None


def outline_of(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the corners of the outer outline of the first object of a mask, along the edges of its pixels.

    Parameters
    ----------
    mask
        (y, x) bool, of which at least one pixel is True.

    Returns
    -------
    (y, x) of each corner, clockwise on the screen, the first at the upper left of the object's raster-first
    pixel; what touches only by a corner is another object. Holes are not drawn.
    """
    inside = np.pad(mask, 1).tolist()
    y, x = start = tuple(int(side) for side in np.argwhere(mask)[0])
    ring = []
    way, came = 0, -1
    while True:
        (right_y, right_x), (left_y, left_x) = _AHEAD[way]
        if not inside[y + right_y][x + right_x]:
            way = (way + 1) % 4  # turn right
        elif inside[y + left_y][x + left_x]:
            way = (way + 3) % 4  # turn left
        if way != came:
            ring.append((y, x))
        came = way
        y, x = y + _STEPS[way][0], x + _STEPS[way][1]
        if (y, x) == start:
            return ring
