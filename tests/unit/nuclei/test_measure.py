# SPDX-License-Identifier: BSD-3-Clause
"""Measurements agree with slow and plain definitions."""

import json

import numpy as np
import pytest
from scipy import stats
from skimage.measure import regionprops
from slidegate_analysis.images import Block
from slidegate_analysis.nuclei.detect import Found
from slidegate_analysis.nuclei.measure import Outlines, intensities, outline
from slidegate_analysis.nuclei.table import make_table

SHAPE = (150, 170)
WHOLE = Block("b000_000", (0, *SHAPE[:1], 0, SHAPE[1]), (0, SHAPE[0], 0, SHAPE[1]))


def blobs() -> np.ndarray:
    chance = np.random.default_rng(0)
    rows, columns = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.int32)
    for number, (y, x) in enumerate([(10, 12), (70, 80), (140, 160), (75, 20)], 1):
        a, b = chance.uniform(4, 12, 2)
        labels[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1] = number
    labels[100, 100] = 5
    return labels


def found_in(labels: np.ndarray) -> Found:
    ids = [0] + [int(np.flatnonzero(labels.ravel() == n)[0]) + 1 for n in range(1, labels.max() + 1)]
    return Found(labels, (0, 0), np.array(ids, np.uint32))


def measured(pixels: np.ndarray) -> tuple[Outlines, np.ndarray]:
    outlines = outline(found_in(blobs()), WHOLE, SHAPE)
    return outlines, intensities(pixels, (0, 0), outlines, outlines.windows(SHAPE)[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dim", "full", "saturated", "bytes"])
def test_intensities_agree_with_numpy_and_scipy(kind):
    chance = np.random.default_rng(1)
    pixels = {
        "dim": chance.poisson(7, SHAPE).astype(np.uint16),
        "full": chance.integers(0, 65536, SHAPE).astype(np.uint16),
        "saturated": np.where(chance.random(SHAPE) < 0.01, 0, 65535).astype(np.uint16),
        "bytes": chance.integers(0, 256, SHAPE).astype(np.uint8),
    }[kind]
    outlines, values = measured(pixels)
    windows, _ = outlines.windows(SHAPE)
    for row, number in enumerate(outlines.numbers):
        y0, y1, x0, x1 = windows[row]
        for region, chosen in ((0, pixels[blobs() == number]), (1, pixels[y0:y1, x0:x1])):
            own = chosen.astype(np.float64).ravel()
            mean, median, variance, skewness = values[row, region]
            assert mean == pytest.approx(own.mean(), rel=1e-13)
            assert median == np.median(own)
            assert variance == pytest.approx(own.var(), rel=1e-11, abs=1e-9)
            if own.var() > 0:
                assert skewness == pytest.approx(stats.skew(own), rel=1e-8, abs=1e-10)


def test_skewness_of_equal_pixels_is_not_a_number():
    _, values = measured(np.full(SHAPE, 65535, np.uint16))
    assert np.isnan(values[:, :, 3]).all()
    assert (values[:, :, 2] == 0).all()
    assert (values[:, :, :2] == 65535).all()


def test_outlines_agree_with_scikit_image():
    outlines, _ = measured(np.zeros(SHAPE, np.uint16))
    expected = {region.label: region for region in regionprops(blobs())}
    assert list(outlines.ids) == sorted(outlines.ids)
    for row, number in enumerate(outlines.numbers):
        region = expected[int(number)]
        y0, x0, y1, x1 = region.bbox
        assert list(outlines.boxes[row]) == [y0, y1, x0, x1]
        assert outlines.areas[row] == region.area
        assert outlines.sums[row] / outlines.areas[row] == pytest.approx(region.centroid)
        # Pixels are squares here, with a second moment of 1/12; scikit-image takes them for points.
        long, short = (value + 1 / 12 for value in region.inertia_tensor_eigvals)
        assert outlines.eccentricities[row] == pytest.approx(np.sqrt(1 - short / long), abs=1e-7)


def test_the_box_has_101_pixels_unless_the_image_ends():
    outlines, _ = measured(np.zeros(SHAPE, np.uint16))
    windows, clipped = outlines.windows(SHAPE)
    for row, number in enumerate(outlines.numbers):
        y, x = (int(v) for v in regionprops((blobs() == number).astype(int))[0].centroid)
        assert list(windows[row]) == [max(0, y - 50), min(150, y + 51), max(0, x - 50), min(170, x + 51)]
    assert set(outlines.numbers[~clipped]) == {2}


def test_only_objects_that_begin_in_the_core_are_measured():
    labels = blobs()
    block = Block("b000_000", (0, 70, 0, 170), (0, 150, 0, 170))
    rows = {n: np.nonzero(labels == n)[0].min() for n in range(1, 6)}
    measured_here = outline(found_in(labels), block, SHAPE)
    assert set(measured_here.numbers) == {n for n, row in rows.items() if row < 70}


def test_the_table_says_its_units_and_its_frame():
    pixels = np.random.default_rng(2).integers(0, 99, SHAPE).astype(np.uint16)
    outlines, values = measured(pixels)
    table = make_table(outlines, [values, values], shape=SHAPE, channels=("A", "B"), pixel_size_um=0.5)
    about = json.loads(table.schema.metadata[b"slidegate"])
    assert about["channels"] == ["A", "B"]
    assert "corner of the first pixel" in about["frame"]
    assert table.schema.field("area_um2").metadata[b"unit"] == b"um2"
    single = table.filter([n == 5 for n in outlines.numbers]).to_pylist()[0]
    assert (single["y_px"], single["x_px"], single["y_um"]) == (100.5, 100.5, 50.25)
    assert (single["area_px"], single["area_um2"], single["eccentricity"]) == (1, 0.25, 0.0)
    assert {"c0_mean", "c0_box_mean", "c1_skewness", "c1_box_median"} <= set(table.column_names)
    edge = dict(zip(table.column("id").to_pylist(), table.column("touches_edge").to_pylist(), strict=True))
    assert sum(edge.values()) == sum(
        bool(
            (blobs()[0] == n).any()
            or (blobs()[-1] == n).any()
            or (blobs()[:, 0] == n).any()
            or (blobs()[:, -1] == n).any()
        )
        for n in range(1, 6)
    )


def test_no_objects_give_an_empty_table():
    outlines = outline(Found(np.zeros(SHAPE, np.int32), (0, 0), np.zeros(1, np.uint32)), WHOLE, SHAPE)
    values = intensities(np.zeros(SHAPE, np.uint16), (0, 0), outlines, outlines.windows(SHAPE)[0])
    table = make_table(outlines, [values], shape=SHAPE, channels=("A",), pixel_size_um=0.5)
    assert table.num_rows == 0
