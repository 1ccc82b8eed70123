# SPDX-License-Identifier: BSD-3-Clause
"""Regions that a result speaks of are drawn on the image, with what was found in each."""

import json
from collections.abc import Callable
from pathlib import Path

import omero.model
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pocket_omero.testing import Omero

from slidegate.domain.errors import SlidegateError
from slidegate.sources.base import Output
from slidegate.sources.omero.sink import OmeroSink
from tests.acceptance.omero.results import PEOPLE, connector, new_image, publication, rows, table_of

pytestmark = [pytest.mark.omero, pytest.mark.slow]

OUTPUTS = {"regions": Output("table/regions", "regions.parquet")}
SQUARE = [[10, 20], [10, 60.5], [50, 60.5], [50, 20]]
HOLE = [[20, 30], [30, 30], [30, 40]]
LITTLE = [[70, 80], [70, 90], [80, 90]]


@pytest.fixture(scope="module")
def place(pocket_omero_at: Callable[..., Omero], tmp_path_factory: pytest.TempPathFactory) -> Omero:
    folder = tmp_path_factory.mktemp("omero-regions")
    (folder / "people.yml").write_text(PEOPLE)
    return pocket_omero_at(folder)


def write(folder: Path, *, outlines: bool = True) -> Path:
    """A table of three regions: one of two pieces with a hole, one that nobody named, one without outline."""
    fields = [
        pa.field("name", pa.string()),
        pa.field("class", pa.string()),
        pa.field("area_px", pa.int64(), metadata={"unit": "px2", "about": "pixels"}),
        pa.field("nuclei", pa.int64(), metadata={"unit": "", "about": "nuclei"}),
        pa.field("density_per_mm2", pa.float64(), metadata={"unit": "per mm2"}),
    ]
    values = [
        ["Tumour <b>", "unnamed", "lost"],
        ["t", "", ""],
        [1500, 50, 0],
        [12, 0, 3],
        [2040.4, 0.0, None],
    ]
    columns = [pa.array(column, one.type) for column, one in zip(values, fields, strict=True)]
    folder.mkdir()
    pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)), folder / "regions.parquet")
    polygons = [
        {"name": "Tumour <b>", "class": "t", "outline": SQUARE, "holes": [HOLE]},
        {"name": "Tumour <b>", "class": "t", "outline": LITTLE, "holes": []},
        {"name": "", "class": "", "outline": LITTLE, "holes": []},
    ]
    if outlines:
        (folder / "regions.json").write_text(json.dumps({"regions": 1, "polygons": polygons}))
    return folder


def test_a_region_is_drawn_with_its_holes_its_count_and_its_density(place: Omero, tmp_path: Path) -> None:
    image = new_image(place)
    before = rows(place)
    sink = OmeroSink(connector(place))
    files = write(tmp_path / "files")
    done = sink.publish(publication(image, outputs=OUTPUTS), files)
    with place.gateway() as conn:
        rois = conn.getRoiService().findByImage(image, None).rois
        drawn = {roi.name.val: [roi.getShape(i) for i in range(roi.sizeOfShapes())] for roi in rois}
    assert sorted(drawn) == ["region 1: Tumour <b>", "region 2: unnamed"]
    shapes = drawn["region 1: Tumour <b>"]
    assert all(isinstance(shape, omero.model.PolygonI) for shape in shapes)
    said = sorted((shape.textValue.val, shape.points.val) for shape in shapes)
    found = "Tumour <b>: 12 nuclei, 2040 per mm²"
    assert said == [
        (found, "20,10 60.5,10 60.5,50 20,50"),
        (found, "80,70 90,70 90,80"),
        ("Tumour <b>: hole", "30,20 30,30 40,30"),
    ]
    headers, values = table_of(place, image)
    assert headers[:4] == ["ImageColumn Image", "RoiColumn Roi", "StringColumn name", "StringColumn class"]
    assert values[1] == ["region 1: Tumour <b>", "region 2: unnamed", -1]
    whole = rows(place)
    sink.publish(publication(image, outputs=OUTPUTS), files)
    assert rows(place) == whole
    sink.undo(done)
    assert rows(place) == before


def test_regions_whose_outlines_nobody_knows_are_only_in_the_table(place: Omero, tmp_path: Path) -> None:
    image = new_image(place)
    sink = OmeroSink(connector(place))
    done = sink.publish(publication(image, outputs=OUTPUTS), write(tmp_path / "files", outlines=False))
    assert table_of(place, image)[1][1] == [-1, -1, -1]
    sink.undo(done)


def test_outlines_that_are_none_are_refused_as_damaged_and_a_repeat_completes(
    place: Omero, tmp_path: Path
) -> None:
    image = new_image(place)
    files = write(tmp_path / "files")
    good = (files / "regions.json").read_bytes()
    (files / "regions.json").write_text('{"polygons": [{"name": 1}]}')
    sink = OmeroSink(connector(place))
    with pytest.raises(SlidegateError) as refused:
        sink.publish(publication(image, outputs=OUTPUTS), files)
    assert refused.value.code == "result-damaged"
    (files / "regions.json").write_bytes(good)
    sink.undo(sink.publish(publication(image, outputs=OUTPUTS), files))
