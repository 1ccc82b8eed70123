# SPDX-License-Identifier: BSD-3-Clause
"""A region is cut into tiles that cover it once and lie on one grid, that of the shards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.omero


@given(st.tuples(*[st.integers(0, 9000)] * 2), st.tuples(*[st.integers(1, 5000)] * 2))
def test_tiles_cover_each_pixel_of_a_region_once(corner, size):
    from slidegate.sources.omero.pixels import TILE, _tiles

    assert 4096 % TILE == 0
    (y, x), (height, width) = corner, size
    seen = np.zeros((height, width), np.uint8)
    for y0, y1, x0, x1 in _tiles(y, y + height, x, x + width):
        assert 0 < y1 - y0 <= TILE
        assert 0 < x1 - x0 <= TILE
        assert y0 // TILE == (y1 - 1) // TILE
        assert x0 // TILE == (x1 - 1) // TILE
        seen[y0 - y : y1 - y, x0 - x : x1 - x] += 1
    assert (seen == 1).all()
