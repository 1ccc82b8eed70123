# SPDX-License-Identifier: BSD-3-Clause
"""Blocks tile the image; histograms are exact and add up."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slidegate_analysis.images import histogram, open_image, plan_blocks, write_image
from slidegate_analysis.images.errors import OutOfBoundsError


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 50))
def test_cores_cover_every_pixel_once_and_outer_bounds_hold_the_halo(height, width, core, halo):
    covered = np.zeros((height, width), int)
    blocks = plan_blocks((height, width), core, halo)
    for block in blocks:
        y0, y1, x0, x1 = block.core
        covered[y0:y1, x0:x1] += 1
        assert y0 % core == 0
        assert x0 % core == 0
        expected = (max(0, y0 - halo), min(height, y1 + halo), max(0, x0 - halo), min(width, x1 + halo))
        assert block.outer == expected
    assert (covered == 1).all()
    names = [block.name for block in blocks]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]{1,40}", name) for name in names)
    assert names == sorted(names)


def test_a_block_is_named_by_its_row_and_column():
    assert [block.name for block in plan_blocks((20, 30), 16, 0)] == [
        "b000_000",
        "b000_001",
        "b001_000",
        "b001_001",
    ]


@pytest.mark.parametrize("arguments", [((0, 5), 4, 0), ((5, 5), 0, 0), ((5, 5), 4, -1)])
def test_blocks_of_nothing_are_refused(arguments):
    with pytest.raises(ValueError, match="positive"):
        plan_blocks(*arguments)


@pytest.fixture(params=["uint8", "uint16"])
def opened(request, tmp_path):
    top = np.iinfo(request.param).max
    pixels = np.random.default_rng(1).integers(0, top, (2, 700, 2100), request.param, endpoint=True)
    write_image(
        tmp_path / "i",
        pixels.shape,
        pixels.dtype,
        lambda c, y0, y1, x0, x1: pixels[c, y0:y1, x0:x1],
        channels=["a", "b"],
        pixel_size_um=None,
        shard=512,
    )
    return pixels, open_image(tmp_path / "i")


def test_a_histogram_counts_every_pixel_exactly(opened):
    pixels, image = opened
    counts = histogram(image, 1)
    assert counts.dtype == np.uint64
    assert counts.size == np.iinfo(pixels.dtype).max + 1
    np.testing.assert_array_equal(counts, np.bincount(pixels[1].ravel(), minlength=counts.size))


def test_histograms_of_the_parts_add_up_to_the_whole(opened):
    pixels, image = opened
    parts = [histogram(image, 0, block.core) for block in plan_blocks(pixels.shape[1:], 301, 0)]
    np.testing.assert_array_equal(sum(parts), histogram(image, 0))


def test_a_histogram_of_a_coarser_level_counts_its_pixels(opened):
    _, image = opened
    assert histogram(image, 0, level=1).sum() == 350 * 1050


@pytest.mark.parametrize("arguments", [(2,), (0, (0, 701, 0, 1)), (0, (3, 3, 0, 1)), (0, None, 9)])
def test_a_histogram_outside_the_image_is_refused(opened, arguments):
    with pytest.raises(OutOfBoundsError):
        histogram(opened[1], *arguments)
