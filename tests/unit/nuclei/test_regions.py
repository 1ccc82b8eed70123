# SPDX-License-Identifier: BSD-3-Clause
"""Nuclei are counted and measured per region, whatever the tiling; without regions nothing changes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from slidegate_analysis.images import open_labels, write_image
from slidegate_analysis.images.regions import NAME, Region, areas_of, regions_text

from .pictures import discs
from .runner import StepError, StepProcess, run_workflow

pytestmark = pytest.mark.slow

PIXEL_UM = 0.8
SHAPE = (420, 390)


def box(y0: float, x0: float, y1: float, x1: float) -> tuple[tuple[float, float], ...]:
    return ((y0, x0), (y0, x1), (y1, x1), (y1, x0))


TISSUE = Region("tissue", box(20.25, 30.5, 400, 370.75), (box(100, 100, 150.5, 180),))
TUMOUR = Region("tumour", ((60.0, 60.0), (90.5, 260.0), (300.0, 200.0), (200.0, 80.0)), (), "A < B")
BESIDE = Region("", box(0, 375, 420, 500))
TINY = Region("tiny", box(5.1, 5.1, 5.2, 5.2))
DRAWN = [TISSUE, TUMOUR, BESIDE, TINY]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[StepProcess]]:
    """Yield two step processes for all tests of this module."""
    pair = [StepProcess(tmp_path_factory.mktemp("home")) for _ in range(2)]
    yield pair
    for process in pair:
        assert process.close() == 0


@pytest.fixture(scope="module")
def planes() -> np.ndarray:
    return np.stack([discs(SHAPE, 10, 250, 1), discs(SHAPE, 10, 90, 2)])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, planes: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("staged") / "image"
    write_image(
        path,
        planes.shape,
        planes.dtype,
        lambda c, y0, y1, x0, x1: planes[c, y0:y1, x0:x1],
        channels=("DAPI", "GFP"),
        pixel_size_um=PIXEL_UM,
    )
    return path


def drawn(folder: Path, regions: list[Region]) -> Path:
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(regions_text(regions))
    return folder


def test_numbers_per_region_are_those_of_its_pixels_and_blocks_leave_no_trace(
    tmp_path, processes, image, planes
):
    seen = []
    for block_px, crew, shuffle, order in ((2048, 1, 0, 1), (128, 2, 7, -1)):
        folder = drawn(tmp_path / f"regions-{block_px}", DRAWN[::order])
        out = run_workflow(
            image, {"block_px": block_px}, tmp_path / f"run-{block_px}", processes[:crew], shuffle, folder
        )
        seen.append([pq.read_table(out / f"{name}.parquet") for name in ("nuclei", "regions")])
        seen[-1].append((out / NAME).read_bytes())
    assert seen[0] == seen[1]
    nuclei, regions, text = seen[0]
    assert text == regions_text(DRAWN)
    assert regions.column("name").to_pylist() == ["unnamed", "tiny", "tissue", "tumour"]
    assert regions.column("class").to_pylist() == ["", "", "", "A < B"]
    y, x = (np.floor(nuclei.column(f"{axis}_px").to_numpy() - 0.5).astype(int) for axis in "yx")
    for row, area in zip(regions.to_pylist(), areas_of(text), strict=True):
        mask = area.mask((0, SHAPE[0], 0, SHAPE[1]))
        assert row["area_px"] == mask.sum()
        assert row["nuclei"] == mask[y, x].sum()
        if row["name"] == "tiny":
            assert (row["density_per_mm2"], row["c0_mean"]) == (None, None)
            continue
        assert row["density_per_mm2"] == pytest.approx(row["nuclei"] / (mask.sum() * PIXEL_UM**2 * 1e-6))
        for channel in range(2):
            assert row[f"c{channel}_mean"] == planes[channel][mask].astype(np.int64).sum() / mask.sum()


def test_a_nucleus_lies_in_the_smallest_region_around_it_and_in_none_where_something_was_taken_out(
    tmp_path, processes, image
):
    out = run_workflow(image, {}, tmp_path / "run", processes[:1], regions=drawn(tmp_path / "regions", DRAWN))
    rows = pq.read_table(out / "nuclei.parquet", columns=["y_px", "x_px", "region"]).to_pylist()
    assert {row["region"] for row in rows} == {None, "tissue", "tumour", "unnamed"}
    hole = [row for row in rows if 101 <= row["y_px"] < 150 and 101 <= row["x_px"] < 179]
    assert hole
    assert {row["region"] for row in hole} <= {None, "tumour"}
    middle = [row for row in rows if 120 <= row["y_px"] < 180 and 190 <= row["x_px"] < 210]
    assert {row["region"] for row in middle} == {"tumour"}
    summary = json.loads((out / "summary.json").read_text())
    assert [row["name"] for row in summary["regions"]] == ["unnamed", "tiny", "tissue", "tumour"]


def test_without_regions_no_byte_of_labels_or_table_is_another(tmp_path, processes, image):
    plain = run_workflow(image, {}, tmp_path / "plain", processes[:1])
    other = run_workflow(image, {}, tmp_path / "other", processes[:1], regions=drawn(tmp_path / "r", DRAWN))
    shared = [open_labels(out.parent.parent / "shared" / "labels.zarr") for out in (plain, other)]
    assert np.array_equal(*(labels.read(0, SHAPE[0], 0, SHAPE[1]) for labels in shared))
    with_regions = pq.read_table(other / "nuclei.parquet")
    assert with_regions.column_names[-1] == "region"
    without = pq.read_table(plain / "nuclei.parquet")
    assert with_regions.drop_columns("region").to_pydict() == without.to_pydict()
    assert not [file.name for file in plain.iterdir() if "regions" in file.name]
    assert "Regions" not in (plain / "report.html").read_text()


def test_the_report_shows_every_region_and_says_what_lies_outside(tmp_path, processes, image):
    out = run_workflow(image, {}, tmp_path / "run", processes[:1], regions=drawn(tmp_path / "r", DRAWN))
    report = (out / "report.html").read_text()
    section = report[report.index("<h2>Regions") :]
    section = section[: section.index("</section>")]
    assert section.count("<path ") == 4
    for words in ("1: unnamed", "3: tissue", "4: tumour", "A &lt; B", "Mean of GFP", "4 regions outlined"):
        assert words in section
    assert re.search(r"<p>[0-9]+ of [0-9]+ nuclei lie in no region\.", section)


def test_regions_that_cannot_be_read_are_refused_before_the_work(tmp_path, processes, image):
    folder = drawn(tmp_path / "regions", DRAWN)
    (folder / NAME).write_text("[]")
    with pytest.raises(StepError) as refused:
        run_workflow(image, {}, tmp_path / "run", processes[:1], regions=folder)
    assert refused.value.args[0]["code"] == "regions-unreadable"
