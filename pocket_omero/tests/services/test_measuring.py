# SPDX-License-Identifier: GPL-2.0-or-later
"""What IRoi measures in shapes of all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import omero
import pytest
import tifffile
from pocket_omero.server import Server

pytestmark = [pytest.mark.omero, pytest.mark.slow]

HEIGHT, WIDTH = 8, 10
RAMP = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)  # the value of a pixel: 10 y + x


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with one image, and the IRoi of its owner."""
    folder = tmp_path_factory.mktemp("measuring")
    tifffile.imwrite(folder / "ramp.tif", RAMP)
    (folder / "people.yml").write_text(
        "groups: {lab: private}\npeople: {anna: {password: anna, groups: [lab]}}\n"
    )
    with Server(folder) as server, server.client("anna", "anna") as client:
        yield server.house.state, client.sf.getRoiService()


def draw(state: Any, kind: str, **values: Any) -> Any:
    (image,) = state.all("Image")
    owned = {"details.owner": image["details.owner"], "details.group": image["details.group"]}
    transform = values.pop("transform", None)
    if transform:
        values["transform"] = state.new("AffineTransform", **transform, **owned)
    return state.new(kind, roi=state.new("Roi", image=image, **owned), **values, **owned)


def pixels(place: Any, kind: str, **values: Any) -> set[int]:
    """The values of the pixels that a shape covers, which say where they are."""
    state, service = place
    points = service.getPoints(draw(state, kind, **values).id)
    return {10 * y + x for x, y in zip(points.x, points.y, strict=True)}


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("Rectangle", {"x": 1.0, "y": 2.0, "width": 2.0, "height": 2.0}, {21, 22, 31, 32}),
        ("Rectangle", {"x": 8.0, "y": 6.0, "width": 9.0, "height": 9.0}, {68, 69, 78, 79}),
        ("Rectangle", {"x": 80.0, "y": 6.0, "width": 9.0, "height": 9.0}, set()),
        ("Ellipse", {"x": 3.5, "y": 3.5, "radiusX": 1.0, "radiusY": 1.0}, {23, 32, 33, 34, 43}),
        ("Polygon", {"points": "0,-0.2 4,-0.2 4,3.8"}, {1, 2, 3, 12, 13, 23}),
        ("Polyline", {"points": "0,0 2,0 2,2"}, {0, 1, 2, 12, 22}),
        ("Line", {"x1": 1.0, "y1": 1.0, "x2": 1.0, "y2": 4.0}, {11, 21, 31, 41}),
        ("Point", {"x": 4.7, "y": 5.2}, {54}),
        ("Mask", {"x": 2.0, "y": 1.0, "width": 4.0, "height": 2.0, "bytes": b"\x9c"}, {12, 15, 22, 23}),
    ],
)
def test_a_shape_covers_the_pixels_whose_centre_lies_in_it(
    place: Any, kind: str, values: dict[str, Any], expected: set[int]
) -> None:
    assert pixels(place, kind, **values) == expected


@pytest.mark.parametrize("kind", ["Rectangle", "Mask"])
def test_the_transform_of_a_shape_is_applied(place: Any, kind: str) -> None:
    moved = {"a00": 1.0, "a10": 0.0, "a01": 0.0, "a11": 1.0, "a02": 3.0, "a12": 1.0}
    values = {"x": 1.0, "y": 2.0, "width": 2.0, "height": 1.0, "transform": moved}
    if kind == "Mask":
        values["bytes"] = b"\xc0"
    assert pixels(place, kind, **values) == {34, 35}


def test_measures_are_those_of_the_covered_pixels(place: Any) -> None:
    state, service = place
    shape = draw(state, "Rectangle", x=1.0, y=2.0, width=3.0, height=2.0, theZ=0, theT=0)
    values = RAMP[2:4, 1:4].astype(float)
    for stats in (service.getShapeStats(shape.id), service.getShapeStatsRestricted([shape.id], 0, 0, [0])[0]):
        assert (stats.shapeId, list(stats.pointsCount)) == (shape.id, [6])
        assert (stats.min[0], stats.max[0], stats.sum[0]) == (values.min(), values.max(), values.sum())
        assert stats.mean[0] == pytest.approx(values.mean())
        assert stats.stdDev[0] == pytest.approx(values.std(ddof=1))


def test_the_shapes_of_a_roi_are_measured_alone_and_together(place: Any) -> None:
    state, service = place
    first = draw(state, "Rectangle", x=0.0, y=0.0, width=2.0, height=1.0)
    owned = {"details.owner": first["details.owner"], "details.group": first["details.group"]}
    state.new("Rectangle", roi=first["roi"], x=5.0, y=5.0, width=3.0, height=2.0, **owned)
    stats = service.getRoiStats(first["roi"].id)
    values = np.concatenate([RAMP[0, :2], RAMP[5:7, 5:8].ravel()]).astype(float)
    assert len(stats.perShape) == 2
    assert stats.combined.pointsCount[0] == values.size
    assert stats.combined.mean[0] == pytest.approx(values.mean())
    assert stats.combined.stdDev[0] == pytest.approx(values.std(ddof=1))


def test_a_shape_that_says_not_where_it_is_or_is_not_there_is_an_error(place: Any) -> None:
    state, service = place
    with pytest.raises(omero.ApiUsageException, match="does not say its x"):
        service.getPoints(draw(state, "Point").id)
    with pytest.raises(omero.ApiUsageException, match="No such shape"):
        service.getShapeStats(10**6)
