# SPDX-License-Identifier: GPL-2.0-or-later
"""Which pixels a shape covers: those whose centre lies in it; of lines, those that they go through.

How OMERO rounds at the edges of shapes is not known here: there, a pixel more or less may count.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pocket_omero.errors import WrongUse

if TYPE_CHECKING:
    import numpy.typing as npt

    from pocket_omero.state import Row

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

__all__ = ["covered"]


def covered(shape: Row, height: int, width: int) -> tuple[int, int, Flags]:
    """Find the pixels of an image that a shape covers.

    Parameters
    ----------
    shape
        A row of an entity derived from Shape; its transform is applied.
    height, width
        Of the image.

    Returns
    -------
    tuple
        y and x of the upper left corner of a box in the image, and which pixels of the box (y, x) are
        covered. The box is empty for a shape outside of the image.

    Raises
    ------
    WrongUse
        The shape says not where it is.
    """
    corners = _moved(shape, _corners(shape))
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.floor(corners.max(axis=0)).astype(int) + 1, (width, height))
    if (high <= low).any():
        return 0, 0, np.zeros((0, 0), bool)
    (left, top), (right, bottom) = low, high
    if shape.kind in ("Line", "Polyline", "Point", "Label"):
        flags = _along(corners - low, bottom - top, right - left)
    elif shape.kind in ("Ellipse", "Mask"):
        ys, xs = np.mgrid[top:bottom, left:right] + 0.5
        places = _moved(shape, np.stack([xs.ravel(), ys.ravel()], axis=1), back=True)
        inside = _in_ellipse if shape.kind == "Ellipse" else _in_mask
        flags = inside(shape, places).reshape(bottom - top, right - left)
    else:
        flags = _within(corners - low, bottom - top, right - left)
    return int(top), int(left), flags


def _corners(shape: Row) -> Floats:
    """Points (x, y) around or along a shape, before its transform."""
    if shape.kind in ("Polygon", "Polyline"):
        return np.array([pair.split(",") for pair in (shape["points"] or "0,0").split()], float)
    if shape.kind == "Line":
        return np.array([[_told(shape, "x1"), _told(shape, "y1")], [_told(shape, "x2"), _told(shape, "y2")]])
    x, y = _told(shape, "x"), _told(shape, "y")
    if shape.kind in ("Point", "Label"):
        return np.array([[x, y]])
    if shape.kind == "Ellipse":
        w, h = 2 * _told(shape, "radiusX"), 2 * _told(shape, "radiusY")
        x, y = x - w / 2, y - h / 2
    else:
        w, h = _told(shape, "width"), _told(shape, "height")
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])


def _told(shape: Row, field: str) -> float:
    value = shape[field]
    if value is None:
        raise WrongUse(f"{shape.kind}:{shape.id} does not say its {field}")
    return float(value)


def _moved(shape: Row, points: Floats, *, back: bool = False) -> Floats:
    """Points after the transform of a shape, or before it."""
    matrix = shape["transform"]
    if matrix is None:
        return points
    a = [[matrix[f"a{i}{j}"] or 0.0 for j in range(3)] for i in range(2)]
    whole = np.array([*a, [0.0, 0.0, 1.0]])
    if back:
        whole = np.linalg.inv(whole)
    moved: Floats = points @ whole[:2, :2].T + whole[:2, 2]
    return moved


def _within(corners: Floats, height: int, width: int) -> Flags:
    """The pixels whose centre lies in a polygon (even-odd rule), row by row."""
    flags = np.zeros((height, width), bool)
    x0, y0 = corners.T
    x1, y1 = np.roll(corners, -1, axis=0).T
    middles = np.arange(width) + 0.5
    for row in range(height):
        y = row + 0.5
        crossed = (y0 <= y) != (y1 <= y)
        if crossed.any():
            at = x0[crossed] + (y - y0[crossed]) * (x1 - x0)[crossed] / (y1 - y0)[crossed]
            flags[row] = np.searchsorted(np.sort(at), middles) % 2 == 1
    return flags


def _along(corners: Floats, height: int, width: int) -> Flags:
    """The pixels that a line goes through, corner by corner."""
    flags = np.zeros((height, width), bool)
    ends = corners if len(corners) > 1 else np.repeat(corners, 2, axis=0)
    for (x0, y0), (x1, y1) in itertools.pairwise(ends):
        steps = int(max(abs(x1 - x0), abs(y1 - y0))) + 1
        xs, ys = (np.floor(np.linspace(*pair, steps + 1)).astype(int) for pair in ((x0, x1), (y0, y1)))
        inside = (xs >= 0) & (ys >= 0) & (xs < width) & (ys < height)
        flags[ys[inside], xs[inside]] = True
    return flags


def _in_ellipse(shape: Row, places: Floats) -> Flags:
    radii = np.array([shape["radiusX"] or 1e-9, shape["radiusY"] or 1e-9])
    inside: Flags = (((places - (shape["x"], shape["y"])) / radii) ** 2).sum(axis=1) <= 1
    return inside


def _in_mask(shape: Row, places: Floats) -> Flags:
    width, height = int(shape["width"] or 0), int(shape["height"] or 0)
    bits = np.unpackbits(np.frombuffer(shape["bytes"] or b"", np.uint8))[: width * height]
    whole = np.zeros(width * height, bool)
    whole[: bits.size] = bits
    at = np.floor(places - (shape["x"], shape["y"])).astype(int)
    inside = (at >= 0).all(axis=1) & (at < (width, height)).all(axis=1)
    flags: Flags = np.zeros(len(places), bool)
    flags[inside] = whole[at[inside, 1] * width + at[inside, 0]]
    return flags
