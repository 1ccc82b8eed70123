# SPDX-License-Identifier: BSD-3-Clause
"""Which pixels lie in a region: exact, the same for every part of the image, whatever the order."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slidegate_analysis.images.errors import BadRegionsError
from slidegate_analysis.images.regions import NAME, Area, Region, areas_of, read_areas, regions_text

SHAPE = (24, 30)
WHOLE = (0, SHAPE[0], 0, SHAPE[1])


def areas(*regions: Region) -> list[Area]:
    return areas_of(regions_text(regions))


def inside(rings, y: Fraction, x: Fraction) -> bool:
    """Whether a point lies in rings, by the definition: an odd number of edges to its left, or under it."""
    odd = False
    for ring in rings:
        for (ay, ax), (by, bx) in zip(ring, [*ring[1:], ring[0]], strict=True):
            if (ay <= y) != (by <= y):
                odd ^= ax + (bx - ax) * (y - ay) / (by - ay) <= x
    return odd


steps = st.integers(-3 * 64, 33 * 64) | st.integers(-6, 60).map(lambda half: 32 * half)
corners = st.tuples(steps, steps).map(lambda at: (at[0] / 64, at[1] / 64))
rings = st.lists(corners, min_size=3, max_size=7).map(tuple)
few = settings(max_examples=40)
regions = st.builds(
    Region,
    st.sampled_from(["tissue", "tumour", ""]),
    rings,
    st.lists(rings, max_size=2).map(tuple),
    st.sampled_from(["", "A"]),
)


@pytest.mark.slow
@few
@given(regions)
def test_a_pixel_lies_in_a_region_if_its_middle_does(region):
    found = areas(region)
    if not found:
        return
    (area,) = found
    exact = [[(Fraction(y), Fraction(x)) for y, x in ring] for ring in (region.outline, *region.holes)]
    half = Fraction(1, 2)
    expected = [[inside(exact, y + half, x + half) for x in range(SHAPE[1])] for y in range(SHAPE[0])]
    np.testing.assert_array_equal(area.mask(WHOLE), expected)


@few
@given(regions, st.integers(0, 23), st.integers(0, 29), st.integers(1, 24), st.integers(1, 30))
def test_a_part_of_the_image_shows_the_same_as_all_of_it(region, y, x, tall, wide):
    for area in areas(region):
        part = (y, min(y + tall, SHAPE[0]), x, min(x + wide, SHAPE[1]))
        whole = area.mask(WHOLE)
        np.testing.assert_array_equal(area.mask(part), whole[part[0] : part[1], part[2] : part[3]])


@few
@given(regions, st.lists(st.tuples(st.integers(0, 23), st.integers(0, 29)), max_size=40))
def test_a_place_is_in_a_region_where_its_pixel_is(region, places):
    for area in areas(region):
        y, x = np.array(places, np.int64).reshape(-1, 2).T
        np.testing.assert_array_equal(area.holds(y, x), area.mask(WHOLE)[y, x])


@few
@given(regions)
def test_no_pixel_of_a_region_lies_outside_its_bounds(region):
    for area in areas(region):
        wide = (-5, 40, -5, 40)
        rows, columns = np.nonzero(area.mask(wide))
        y0, y1, x0, x1 = area.bounds
        assert ((rows - 5 >= y0) & (rows - 5 < y1) & (columns - 5 >= x0) & (columns - 5 < x1)).all()


@pytest.mark.slow
@few
@given(st.lists(regions, max_size=5), st.randoms(use_true_random=False), st.booleans())
def test_neither_the_order_of_regions_nor_where_their_rings_begin_matters(drawn, random, mirrored):
    def shuffled(many):
        return random.sample(many, len(many))

    def turned(ring):
        at = random.randrange(len(ring))
        ring = ring[at:] + ring[:at]
        return ring[::-1] if mirrored else ring

    other = [
        replace(one, outline=turned(one.outline), holes=tuple(map(turned, shuffled(one.holes))))
        for one in shuffled(drawn)
    ]
    assert regions_text(other) == regions_text(drawn)


@pytest.mark.slow
@few
@given(st.lists(regions, max_size=4))
def test_what_is_read_and_written_again_is_the_same_text(drawn):
    text = regions_text(drawn)
    said = [
        Region(one["name"], one["outline"], one["holes"], one["class"])
        for one in json.loads(text)["polygons"]
    ]
    assert regions_text(said) == text
    assert sum(len(area.polygons) for area in areas_of(text)) == len(said)


@few
@given(
    st.lists(
        st.tuples(steps, steps).map(lambda at: (at[0] / 64, at[1] / 64)), min_size=2, max_size=2, unique=True
    )
)
def test_two_regions_that_share_an_edge_share_no_pixel_and_leave_none_out(cut):
    """A line cuts the plane; each side is a huge polygon along it."""
    (ay, ax), (by, bx) = cut
    far = [(ay + (ay - by) * 1000, ax + (ax - bx) * 1000), (by + (by - ay) * 1000, bx + (bx - ax) * 1000)]
    across = ((bx - ax) * 1e5, -(by - ay) * 1e5)
    sides = [
        Region(name, (far[0], (ay, ax), (by, bx), far[1],
                      (far[1][0] + sign * across[0], far[1][1] + sign * across[1]),
                      (far[0][0] + sign * across[0], far[0][1] + sign * across[1])))
        for name, sign in (("one", 1), ("other", -1))
    ]  # fmt: skip
    masks = [area.mask(WHOLE).astype(int) for area in areas(*sides)]
    assert len(masks) == 2
    np.testing.assert_array_equal(masks[0] + masks[1], np.ones(SHAPE, int))


def test_holes_are_no_part_of_a_region_and_its_parts_belong_together():
    box = ((0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0))
    hole = ((2.0, 2.0), (2.0, 4.0), (4.0, 4.0), (4.0, 2.0))
    apart = ((20.0, 0.0), (20.0, 3.0), (23.0, 3.0), (23.0, 0.0))
    (area,) = areas(Region("tissue", box, (hole,)), Region("tissue", apart))
    assert area.mask(WHOLE).sum() == 100 - 4 + 9
    assert area.size == (100 - 4 + 9) * 2 * 64**2


def test_a_region_of_a_whole_slide_is_found_row_by_row():
    turn = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    outline = tuple(zip(50_000 + 49_000 * np.sin(turn), 60_000 + 59_000 * np.cos(turn), strict=True))
    (area,) = areas(Region("tissue", outline))
    part = area.mask((49_000, 49_300, 500, 1500))
    assert part[:, -400:].all()
    assert not part[:, :400].any()
    assert area.holds(np.array([50_000, 100]), np.array([60_000, 100])).tolist() == [True, False]


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"regions":2,"polygons":[]}', b'{"regions":1,"polygons":[{}]}', b"\xff",
     b'{"regions":1,"polygons":[{"name":"a","class":"","outline":[[0,0],[1,0]],"holes":[]}]}',
     b'{"regions":1,"polygons":[{"name":"a","class":"","outline":[[0,0],[1,0],[0.001,1]],"holes":[]}]}',
     b'{"regions":1,"polygons":[{"name":"a","class":"","outline":[[0,0],[1,0],[1e99,1]],"holes":[]}]}',
     b'{"regions":1,"polygons":[{"name":"a","class":"","outline":[[0,0],[1,0],["x",1]],"holes":[]}]}'],
)  # fmt: skip
def test_what_nobody_wrote_so_is_refused(tmp_path, text):
    with pytest.raises(BadRegionsError):
        read_areas(tmp_path)
    (tmp_path / NAME).write_bytes(text)
    with pytest.raises(BadRegionsError) as refused:
        read_areas(tmp_path)
    assert refused.value.code == "regions-unreadable"


@pytest.mark.parametrize("at", [float("nan"), float("inf"), 1e9])
def test_a_corner_that_lies_nowhere_is_refused(at):
    with pytest.raises(BadRegionsError):
        regions_text([Region("a", ((0.0, 0.0), (1.0, 0.0), (at, 1.0)))])


def test_the_page_shows_a_file_as_it_is():
    page = (Path(__file__).parents[3] / "docs/how-to/draw-regions.md").read_text("utf-8")
    shown = page.partition("```json\n")[2].partition("\n```")[0]
    (area,) = areas_of(shown.encode())
    (polygon,) = json.loads(shown)["polygons"]
    assert json.loads(regions_text([Region(area.name, polygon["outline"])])) == json.loads(shown)
