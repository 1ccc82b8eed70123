# SPDX-License-Identifier: BSD-3-Clause
"""What QuPath writes beside an image becomes Regions that hold the same pixels, whatever the order."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from slidegate_analysis.images.regions import areas_of, regions_text

from slidegate.domain.values import ImageRef
from slidegate.sources.base import Choice, Region
from slidegate.sources.errors import RegionsUnusableError, SourceError
from slidegate.sources.folder import FolderSource
from slidegate.sources.geojson import read_geojson

SHAPE = (60, 80)
BOX = [[10, 5], [50, 5], [50, 35], [10, 35], [10, 5]]


def feature(*rings, name=None, kind=None, sort="Polygon", about=None, **geometry):
    coordinates = list(rings) if sort == "Polygon" else rings[0]
    properties = {"objectType": "annotation", **(about or {})}
    if name is not None:
        properties["name"] = name
    if kind is not None:
        properties["classification"] = {"name": kind, "color": [200, 0, 0]}
    shape = {"type": sort, "coordinates": coordinates, **geometry}
    return {"type": "Feature", "id": "b4e6", "geometry": shape, "properties": properties}


def read(folder: Path, said: object, choice: Choice = Choice()) -> list[Region]:  # noqa: B008
    path = folder / "a.tif.geojson"
    path.write_text(json.dumps(said))
    return read_geojson(path, SHAPE, choice)


def masks(regions: list[Region]) -> dict[str, np.ndarray]:
    return {area.name: area.mask((0, SHAPE[0], 0, SHAPE[1])) for area in areas_of(regions_text(regions))}


sides = st.integers(-10, 90).map(lambda side: side + 0.25)
boxes = st.tuples(sides, sides, sides, sides).filter(lambda box: box[0] != box[2] and box[1] != box[3])
drawings = st.lists(
    st.tuples(boxes, st.sampled_from(["tissue", "tumour", "hole", ""])), min_size=1, max_size=5
)


def box_feature(box, name):
    x0, y0, x1, y1 = box
    return feature([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], name=name)


@settings(max_examples=60)
@given(drawings, st.randoms(use_true_random=False))
def test_regions_hold_the_pixels_that_were_drawn_but_for_holes_whatever_the_order(
    tmp_path_factory, drawn, random
):
    folder = tmp_path_factory.getbasetemp()
    expected = {}
    away = np.zeros(SHAPE, bool)
    for (x0, y0, x1, y1), name in drawn:
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
        inside = (y > min(y0, y1)) & (y < max(y0, y1)) & (x > min(x0, x1)) & (x < max(x0, x1))
        if name == "hole":
            away |= inside
        else:
            expected[name] = expected.get(name, np.zeros(SHAPE, bool)) | inside
    expected = {name: inside & ~away for name, inside in (expected or {"": np.ones(SHAPE, bool)}).items()}
    features = [box_feature(*one) for one in drawn]
    try:
        found = read(folder, {"type": "FeatureCollection", "features": features})
    except RegionsUnusableError:
        assert not any(inside.any() for inside in expected.values())
        return
    shown = masks(found)
    assert {name for name, inside in expected.items() if inside.any()} <= set(shown) <= set(expected)
    for name, inside in shown.items():
        np.testing.assert_array_equal(inside, expected[name])
    shuffled = read(folder, {"type": "FeatureCollection", "features": random.sample(features, len(features))})
    assert regions_text(shuffled) == regions_text(found)


def test_names_and_classes_are_those_of_qupath(tmp_path):
    drawn = [
        feature(BOX, name="left", kind="Tumor"),
        feature([[60, 5], [70, 5], [70, 9]], kind="Stroma"),
        feature([[60, 20], [70, 20], [70, 29]]),
    ]
    found = read(tmp_path, drawn)
    assert [(one.name, one.kind) for one in found] == [("", ""), ("Stroma", "Stroma"), ("left", "Tumor")]


def test_a_polygon_with_holes_and_one_of_parts_are_read(tmp_path):
    hole = [[20, 10], [30, 10], [30, 20], [20, 20]]
    parts = [[[[60, 5], [70, 5], [70, 9], [60, 9]]], [[[60, 20], [70, 20], [70, 29], [60, 29]]]]
    found = masks(
        read(tmp_path, [feature(BOX, hole, name="a"), feature(parts, name="b", sort="MultiPolygon")])
    )
    assert (found["a"].sum(), found["b"].sum()) == (40 * 30 - 100, 40 + 90)


def test_the_class_ignore_takes_away(tmp_path):
    found = masks(
        read(
            tmp_path,
            [feature(BOX, name="a"), feature([[10, 5], [20, 5], [20, 35], [10, 35]], kind="Ignore*")],
        )
    )
    assert list(found) == ["a"]
    assert found["a"].sum() == 30 * 30


def test_cells_points_and_straight_lines_are_no_regions(tmp_path):
    others = [
        feature(BOX, about={"objectType": "detection"}), feature(BOX, about={"objectType": "cell"}),
        feature([[1, 1], [2, 2]], sort="LineString"), feature([1, 1], sort="Point"),
        {**feature(BOX), "id": "PathCellObject", "properties": {}},
    ]  # fmt: skip
    assert read(tmp_path, others) == []
    assert [one.name for one in read(tmp_path, [*others, feature(BOX, name="a")])] == ["a"]


def test_what_was_drawn_on_another_plane_is_left_out(tmp_path):
    there = {"plane": {"c": -1, "z": 3, "t": 0}}
    drawn = [feature(BOX, name="third", **there), feature(BOX, name="all")]
    assert [one.name for one in read(tmp_path, drawn)] == ["all"]
    assert [one.name for one in read(tmp_path, drawn, Choice(z=3))] == ["all", "third"]


LINE = feature([[1, 1], [2, 2], [3, 1]], sort="LineString")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("x", "no GeoJSON"),
        (7, "no GeoJSON"),
        ({"features": 7}, "no GeoJSON"),
        ([7], "object 1"),
        ([{}], "object 1"),
        ([feature(BOX), LINE], "object 2 of the file is a LineString"),
        ([feature()], "encloses nothing"),
        ([feature([[1, 1], [2, 2]])], "encloses nothing"),
        ([feature([[1, 1], [2, 2], [3, 3]])], "encloses nothing"),
        ([feature([[1, 1], [2, 2], [float("nan"), 3]])], "encloses nothing"),
        ([feature([[1, 1], [2, 2], [1e9, 3]])], "encloses nothing"),
        ([feature(["a", "b", "c"])], "corners of object 1"),
        ([feature(7)], "corners of object 1"),
        ([feature(BOX, sort=["Polygon"])], "object 1 of the file is a"),
        ([feature([[200, 1], [300, 1], [300, 9]])], "nothing is left"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path, said, words):
    with pytest.raises(RegionsUnusableError, match=words) as refused:
        read(tmp_path, said)
    assert refused.value.code == "regions-unusable"
    assert str(refused.value).endswith(".")


WORDS = ["type", "features", "geometry", "geometries", "coordinates", "properties", "plane", "name"]
anything = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.sampled_from(["Polygon", "GeometryCollection", "annotation"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner),
    max_leaves=20,
)


@settings(max_examples=60)
@given(anything)
def test_any_other_json_is_refused_or_holds_nothing(tmp_path_factory, said):
    try:
        read(tmp_path_factory.getbasetemp(), said)
    except SourceError as error:
        assert str(error).endswith(".")


def test_a_file_that_may_not_be_read_says_so(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(SHAPE, np.uint8))
    ref = ImageRef("folder", str(tmp_path / "a.tif"))
    assert FolderSource().regions(ref) == []
    (tmp_path / "a.tif.geojson").mkdir()
    with pytest.raises(SourceError):
        FolderSource().regions(ref)
