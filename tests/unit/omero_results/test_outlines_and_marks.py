# SPDX-License-Identifier: BSD-3-Clause
"""Outlines of objects, and the descriptions by which what was written is known again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import label

pytestmark = pytest.mark.omero


def filled(corners: list[tuple[int, int]], shape: tuple[int, int]) -> np.ndarray:
    """Which pixels lie within a polygon: those to whose left an odd number of upright edges passes."""
    crossed = np.zeros((shape[0], shape[1] + 1), int)
    for (y0, x0), (y1, x1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        assert (y0 == y1) != (x0 == x1), "an outline runs along the edges of pixels, and turns at its corners"
        if x0 == x1:
            crossed[min(y0, y1) : max(y0, y1), x0] += 1
    return np.cumsum(crossed, axis=1)[:, :-1] % 2 == 1


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_an_outline_encloses_the_first_object_and_its_holes_and_nothing_else(mask: np.ndarray) -> None:
    from slidegate.sources.omero.rois import outline_of

    if not mask.any():
        return
    pieces = label(mask, connectivity=1)
    first = pieces == pieces[tuple(np.argwhere(mask)[0])]
    around = label(np.pad(~first, 1, constant_values=True), connectivity=2)
    expected = (around != around[0, 0])[1:-1, 1:-1]
    assert (filled(outline_of(mask), mask.shape) == expected).all()


@given(st.text(min_size=1), st.sampled_from(["", "0" * 40]))
def test_a_mark_is_read_as_it_was_written(part: str, sha1: str) -> None:
    from slidegate.domain.values import AttemptKey, Digest, RunId, TaskId
    from slidegate.sources.omero.annotations import Mark

    mark = Mark(RunId("0123"), TaskId("0123.1"), Digest("b" * 64), AttemptKey("a" * 64), part, sha1)
    assert Mark.read(mark.text) == mark
    there = Mark.of_folder(mark.folder)
    assert there is not None
    assert (there.run, there.task, there.tree) == (mark.run, mark.task, mark.tree)


@pytest.mark.parametrize("text", [None, "", "my notes", "slidegate run=1 task=2", "slidegate run=a b task=c"])
def test_what_people_write_is_no_mark(text: str | None) -> None:
    from slidegate.sources.omero.annotations import Mark

    assert Mark.read(text) is None


@given(st.text())
def test_a_long_value_is_cut_to_what_omero_takes(text: str) -> None:
    from slidegate.sources.omero.annotations import VALUE_BYTES, cut

    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert len(cut(text * 200).encode()) <= VALUE_BYTES
    assert cut(text[:20]) == text[:20]
