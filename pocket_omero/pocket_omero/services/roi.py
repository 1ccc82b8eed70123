# SPDX-License-Identifier: GPL-2.0-or-later
"""ROIs and their shapes: IRoi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import omero.all

from pocket_omero.errors import WrongUse
from pocket_omero.ice.dispatch import Service
from pocket_omero.ice.entities import entity, is_a
from pocket_omero.images.base import Plane
from pocket_omero.images.rows import info_of
from pocket_omero.services.shapes import covered
from pocket_omero.state.convert import from_wire

if TYPE_CHECKING:
    from pocket_omero.state import Reply, Row

__all__ = ["Roi"]


class Roi(Service, omero.api.IRoi, name="omero.api.IRoi"):
    """Finds ROIs, with their shapes, by image, plane or id; and measures in them."""

    def do_findByImage(self, image: int, options: Any, current: Any) -> Any:
        """All ROIs of an image; none where there is no such image for the caller."""
        with self.house.state.lock:
            row = self.house.state.get("Image", image)
            return self._result(
                self.house.state.many(row, "rois") if row is not None else [], options, current
            )

    def do_findByRoi(self, roi: int, options: Any, current: Any) -> Any:
        """One ROI; none where there is no such ROI for the caller."""
        with self.house.state.lock:
            row = self.house.state.get("Roi", roi)
            return self._result([row] if row is not None else [], options, current)

    def do_findByPlane(self, image: int, z: int, t: int, options: Any, current: Any) -> Any:
        """The ROIs of an image with shapes on one plane; a shape without z or t is on all of them."""

        def there(shape: Row) -> bool:
            return shape["theZ"] in (None, z) and shape["theT"] in (None, t)

        state = self.house.state
        with state.lock:
            row = state.get("Image", image)
            rois = state.many(row, "rois") if row is not None else []
            rois = [roi for roi in rois if any(map(there, state.many(roi, "shapes")))]
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

    # What shapes cover

    def do_getPoints(self, shape: int, current: Any) -> Any:
        """The pixels of the image that a shape covers: their x and y."""
        row, (pixels,) = self._shape(shape, current), self._pixels_of([shape], current)
        top, left, flags = covered(row, pixels["sizeY"], pixels["sizeX"])
        ys, xs = flags.nonzero()
        return omero.api.ShapePoints((xs + left).tolist(), (ys + top).tolist())

    def do_getShapeStats(self, shape: int, current: Any) -> Any:
        """What is measured in a shape, on its own plane."""
        return self.do_getShapeStatsList([shape], current)[0]

    def do_getShapeStatsList(self, shapes: Sequence[int], current: Any) -> list[Any]:
        """What is measured in shapes, each on its own plane; one without z or t on the first."""
        return self.do_getShapeStatsRestricted(shapes, 0, 0, [], current)

    def do_getShapeStatsRestricted(
        self, shapes: Sequence[int], z: int, t: int, channels: Sequence[int], current: Any
    ) -> list[Any]:
        """What is measured in shapes in some channels (none named: all).

        `z` and `t` are for shapes that say none themselves.
        """
        rows = [self._shape(each, current) for each in shapes]
        pixels = self._pixels_of(shapes, current)
        return [self._measured(row, of, z, t, channels) for row, of in zip(rows, pixels, strict=True)]

    def do_getRoiStats(self, roi: int, current: Any) -> Any:
        """What is measured in the shapes of a ROI, one by one and in all of them together."""
        row = self.house.state.get("Roi", roi)
        shapes = [] if row is None else [shape.id for shape in self.house.state.many(row, "shapes")]
        if row is None or not shapes:
            raise WrongUse(f"No such ROI, or one without shapes: {roi}")
        single = self.do_getShapeStatsList(shapes, current)
        (pixels, *_) = self._pixels_of(shapes, current)
        return omero.api.RoiStats(roi, pixels["image"].id, pixels.id, _together(single), single)

    def _shape(self, number: int, current: Any) -> Row:
        row = self.house.state.get("Shape", number)
        if row is None or not self.house.rights.can_read(self.caller(current), row):
            raise WrongUse(f"No such shape: {number}")
        return row

    def _pixels_of(self, shapes: Sequence[int], current: Any) -> list[Row]:
        found = []
        for each in shapes:
            roi = self._shape(each, current)["roi"]
            image = roi["image"] if roi is not None else None
            pixels = self.house.state.many(image, "pixels") if image is not None else []
            if not pixels:
                raise WrongUse(f"the shape {each} is on no image with pixels")
            found.append(pixels[0])
        return found

    def _measured(self, shape: Row, pixels: Row, z: int, t: int, channels: Sequence[int]) -> Any:
        reader = self.house.images.open(pixels.id, info_of(pixels), levels=False)
        top, left, flags = covered(shape, pixels["sizeY"], pixels["sizeX"])
        z, t = (given if shape[name] is None else shape[name] for name, given in (("theZ", z), ("theT", t)))
        known = self.house.state.many(pixels, "channels")
        stats = omero.api.ShapeStats(shape.id, [], [], [], [], [], [], [])
        for c in channels or range(pixels["sizeC"]):
            logical = known[c]["logicalChannel"] if c < len(known) else None
            values = np.zeros(0)
            if flags.any():
                box = reader.read(0, Plane(t=t, c=c, z=z), top, left, *flags.shape)
                values = box[flags].astype(float)
            stats.channelIds.append(logical.id if logical is not None else c)
            _add(stats, values)
        return stats


def _add(stats: Any, values: Any) -> None:
    """Note what was measured in one channel."""
    stats.pointsCount.append(int(values.size))
    stats.min.append(float(values.min()) if values.size else 0.0)
    stats.max.append(float(values.max()) if values.size else 0.0)
    stats.sum.append(float(values.sum()))
    stats.mean.append(float(values.mean()) if values.size else 0.0)
    stats.stdDev.append(float(values.std(ddof=1)) if values.size > 1 else 0.0)


def _together(single: Sequence[Any]) -> Any:
    """What was measured in several shapes, as if they were one; a pixel in two of them counts twice."""
    count, total, low, high, mean, deviation = (
        np.array([getattr(stats, name) for stats in single], float)
        for name in ("pointsCount", "sum", "min", "max", "mean", "stdDev")
    )
    n = count.sum(axis=0)
    middle = total.sum(axis=0) / np.maximum(n, 1)
    squares = ((count - 1).clip(0) * deviation**2 + count * (mean - middle) ** 2).sum(axis=0)
    return omero.api.ShapeStats(
        0,
        list(single[0].channelIds),
        n.astype(int).tolist(),
        low.min(axis=0).tolist(),
        high.max(axis=0).tolist(),
        total.sum(axis=0).tolist(),
        middle.tolist(),
        np.sqrt(squares / np.maximum(n - 1, 1)).tolist(),
    )


def _wanted(options: Any) -> tuple[list[str], int | None, int | None]:
    """Kinds of shapes, owner and group that options ask for."""
    if options is None:
        return [], None, None
    kinds = [entity(name).name for name in options.shapes or ()]
    return kinds, from_wire(options.userId), from_wire(options.groupId)
