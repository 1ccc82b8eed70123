# SPDX-License-Identifier: GPL-2.0-or-later
"""ROIs and their shapes: IRoi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.all

from pocket_omero.errors import WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.ice.entities import entity, is_a
from pocket_omero.state.convert import from_wire

if TYPE_CHECKING:
    from pocket_omero.state import Reply, Row

__all__ = ["Roi"]


class Roi(Service, omero.api.IRoi, name="omero.api.IRoi"):
    """Finds ROIs, with their shapes, by image, plane or id."""

    def do_findByImage(self, image: int, options: Any, current: Any) -> Any:
        """All ROIs of an image; none where there is no such image for the caller."""
        row = self.house.state.get("Image", image)
        return self._result(self.house.state.many(row, "rois") if row is not None else [], options, current)

    def do_findByRoi(self, roi: int, options: Any, current: Any) -> Any:
        """One ROI; none where there is no such ROI for the caller."""
        row = self.house.state.get("Roi", roi)
        return self._result([row] if row is not None else [], options, current)

    def do_findByPlane(self, image: int, z: int, t: int, options: Any, current: Any) -> Any:
        """The ROIs of an image with shapes on one plane; a shape without z or t is on all of them."""
        row = self.house.state.get("Image", image)
        rois = self.house.state.many(row, "rois") if row is not None else []

        def there(shape: Row) -> bool:
            return shape["theZ"] in (None, z) and shape["theT"] in (None, t)

        rois = [roi for roi in rois if any(there(shape) for shape in self.house.state.many(roi, "shapes"))]
        return self._result(rois, options, current)

    def _result(self, rois: list[Row], options: Any, current: Any) -> Any:
        caller = self.caller(current)
        sees, reply = self.house.rights.visible(caller), self.reply(current)
        kinds, user, group = _wanted(options)
        result = omero.api.RoiResult(options, [], {}, {})
        for roi in rois:
            shapes = self.house.state.many(roi, "shapes")
            if not sees(roi) or user not in (None, roi.owner) or group not in (None, roi.group):
                continue
            if kinds and not any(is_a(shape.kind, kind) for shape in shapes for kind in kinds):
                continue
            result.rois.append(self._loaded(roi, reply))
            for shape in shapes:
                made = reply.load(shape)
                for places, name in ((result.byZ, "theZ"), (result.byT, "theT")):
                    places.setdefault(-1 if shape[name] is None else shape[name], []).append(made)
        return result

    def _loaded(self, roi: Row, reply: Reply) -> Any:
        reply.fetch(roi, "details.owner", roi["details.owner"])
        reply.fetch_all(roi, "shapes")
        for shape in self.house.state.many(roi, "shapes"):
            if shape["transform"] is not None:
                reply.fetch(shape, "transform", shape["transform"])
        return reply.load(roi)

    def do_getPoints(self, shape: int, current: Any) -> Any:
        """The corners of a shape as it was drawn: x and y in pixels.

        A real OMERO gives all pixels within; here only what a shape says of itself.
        """
        row = self.house.state.get("Shape", shape)
        if row is None or not self.house.rights.can_read(self.caller(current), row):
            raise WrongUse(f"No such shape: {shape}")
        corners = _corners(row)
        return omero.api.ShapePoints([int(x) for x, _ in corners], [int(y) for _, y in corners])


def _wanted(options: Any) -> tuple[list[str], int | None, int | None]:
    """Kinds of shapes, owner and group that options ask for."""
    if options is None:
        return [], None, None
    kinds = [entity(name).name for name in options.shapes or ()]
    return kinds, from_wire(options.userId), from_wire(options.groupId)


def _corners(shape: Row) -> list[tuple[float, float]]:
    if shape.kind in ("Polygon", "Polyline"):
        pairs = (pair.split(",") for pair in (shape["points"] or "").split())
        return [(float(x), float(y)) for x, y in pairs]
    if shape.kind == "Line":
        return [(shape["x1"], shape["y1"]), (shape["x2"], shape["y2"])]
    x, y = shape["x"] or 0.0, shape["y"] or 0.0
    if shape.kind == "Ellipse":
        rx, ry = shape["radiusX"] or 0.0, shape["radiusY"] or 0.0
        return [(x - rx, y), (x, y - ry), (x + rx, y), (x, y + ry)]
    if shape.kind in ("Rectangle", "Mask"):
        w, h = shape["width"] or 0.0, shape["height"] or 0.0
        return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    return [(x, y)]
