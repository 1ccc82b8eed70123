# SPDX-License-Identifier: BSD-3-Clause
"""Blocks leave no trace: neither in the labels nor in the measurements."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slidegate_analysis.images import plan_blocks
from slidegate_analysis.nuclei.detect import (
    MOST_TILES,
    TILE,
    ReliefDetector,
    check_size,
    detect,
    levels_of_array,
    sample_tiles,
)
from slidegate_analysis.nuclei.errors import ImageTooLargeError
from slidegate_analysis.nuclei.geometry import geometry_for
from slidegate_analysis.nuclei.measure import intensities, outline

from .pictures import UNKIND, discs, unkind

pytestmark = pytest.mark.slow

DIAMETER = 5.0


@dataclass(frozen=True)
class NarrowDetector(ReliefDetector):
    """Sees only as far as detection needs (the boxes for statistics would hide a halo that is too small)."""

    missing: int = 0

    @property
    def halo(self) -> int:
        g = self.geometry
        return g.object_extent + g.rounds + g.extent + 1 + g.blur_reach - self.missing


def detector_for(image: np.ndarray, missing: int = 0, sensitivity: float = 0.5) -> NarrowDetector:
    geometry = geometry_for(DIAMETER)
    return NarrowDetector(geometry, levels_of_array(image, geometry, sensitivity), missing)


def rows_of(image: np.ndarray, detector: ReliefDetector, block_px: int) -> np.ndarray:
    rows = []
    for block in plan_blocks(image.shape, block_px, detector.geometry.halo):
        top, bottom, left, right = block.outer
        pixels = image[top:bottom, left:right]
        outlines = outline(detector.detect(pixels, block, image.shape), block, image.shape)
        windows, clipped = outlines.windows(image.shape)
        values = intensities(pixels, (top, left), outlines, windows).reshape(len(outlines.ids), -1)
        columns = [outlines.ids[:, None], outlines.boxes, outlines.areas[:, None], outlines.sums]
        rows.append(np.hstack([*columns, outlines.eccentricities[:, None], clipped[:, None], values]))
    table = np.concatenate(rows)
    return table[np.argsort(table[:, 0])]


@pytest.mark.parametrize("kind", UNKIND)
def test_blocks_do_not_change_labels_of_an_unkind_image(kind):
    image = unkind((230, 210), kind, seed=1)
    detector = detector_for(image)
    whole = detect(image, detector, 1000)
    for block_px in (37, 64, 150):
        assert np.array_equal(detect(image, detector, block_px), whole)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(1, 260),
    width=st.integers(1, 260),
    crowding=st.floats(0, 0.05),
    block_px=st.integers(24, 140),
    noise=st.sampled_from([0.0, 3.0, 60.0]),
    seed=st.integers(0, 10**6),
)
def test_blocks_do_not_change_labels(height, width, crowding, block_px, noise, seed):
    image = discs((height, width), DIAMETER, int(height * width * crowding), seed, noise)
    detector = detector_for(image, sensitivity=0.9)
    assert np.array_equal(detect(image, detector, block_px), detect(image, detector, 1000))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(UNKIND),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    block_px=st.integers(16, 200),
    bright=st.floats(0, 1),
    seed=st.integers(0, 10**6),
)
def test_blocks_do_not_change_labels_of_any_mixture(kind, height, width, block_px, bright, seed):
    one = unkind((height, width), kind, seed).astype(np.float64)
    other = discs((height, width), DIAMETER, height * width // 60, seed)
    image = np.clip(one * bright + other, 0, 65535).astype(np.uint16)
    detector = detector_for(image, sensitivity=1.0)
    assert np.array_equal(detect(image, detector, block_px), detect(image, detector, 1000))


def test_a_halo_that_is_too_small_shows():
    image = discs((300, 300), DIAMETER, 1500, seed=4)
    detector = detector_for(image)
    blind = detector_for(image, missing=detector.halo - detector.geometry.blur_reach - 1)
    whole = detect(image, detector, 1000)
    assert whole.any()
    assert not np.array_equal(detect(image, blind, 60), whole)


def test_every_nucleus_has_one_row_with_the_same_bits_for_every_tiling():
    image = discs((260, 240), DIAMETER, 700, seed=3)
    detector = detector_for(image)
    whole = rows_of(image, detector, 1000)
    labels = detect(image, detector, 1000)
    assert len(whole) > 200
    assert np.array_equal(whole[:, 0], np.unique(labels)[1:])
    for block_px in (33, 80, 171):
        assert rows_of(image, detector, block_px).tobytes() == whole.tobytes()


def test_an_image_with_more_pixels_than_ids_is_refused():
    check_size((65535, 65536))
    with pytest.raises(ImageTooLargeError, match="4294967294"):
        check_size((65535, 65537))


@pytest.mark.parametrize("shape", [(1, 1), (19284, 27437), (8192, 70000), (70000, 8192), (8192, 8192)])
def test_levels_come_from_tiles_spread_over_the_image(shape):
    tiles = sample_tiles(shape, 20)
    everything = plan_blocks(shape, TILE, 20)
    assert set(tiles) <= set(everything)
    assert min(len(everything), MOST_TILES // 2) <= len(tiles) <= 1.25 * MOST_TILES
    for axis in (0, 2):
        places = {tile.core[axis] for tile in everything}
        seen = {tile.core[axis] for tile in tiles}
        assert len(seen) >= min(len(places), len(tiles)) // 2


def test_an_id_is_the_place_of_the_first_pixel():
    image = discs((120, 90), DIAMETER, 60, seed=8)
    labels = detect(image, detector_for(image), 50).ravel()
    ids, first = np.unique(labels, return_index=True)
    assert len(ids) > 10
    assert np.array_equal(ids[1:], first[1:] + 1)


def test_a_shifted_image_gives_shifted_nuclei_where_the_lattice_allows():
    geometry = geometry_for(DIAMETER)
    image = discs((200, 200), DIAMETER, 250, seed=5)
    shift = 3 * geometry.cell
    wide = np.pad(image, ((shift, 0), (shift, 0)), mode="edge")
    detector = detector_for(image)
    inner = detect(image, detector, 1000)[90:110, 90:110] > 0
    shifted = detect(wide, detector, 1000)[90 + shift : 110 + shift, 90 + shift : 110 + shift] > 0
    assert np.array_equal(inner, shifted)
