# SPDX-License-Identifier: BSD-3-Clause
"""What people draw in OMERO becomes Regions that hold the same points, whatever the order of drawing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slidegate.domain.errors import SlidegateError

pytestmark = pytest.mark.omero

SHAPE = (60, 80)
NEAR = 0.25


def model():
    import omero.clients

    return omero.model


def polygon(*corners, transform=None, points=None):
    from omero.rtypes import rstring

    made = model().PolygonI()
    made.points = rstring(points if points is not None else " ".join(f"{x},{y}" for x, y in corners))
    return moved(made, transform)


def sized(kind, transform=None, **numbers):
    from omero.rtypes import rdouble

    made = getattr(model(), f"{kind}I")()
    for name, value in numbers.items():
        setattr(made, name, rdouble(value))
    return moved(made, transform)


def moved(shape, transform):
    from omero.rtypes import rdouble

    if transform is not None:
        matrix = model().AffineTransformI()
        for index, value in enumerate(transform):
            setattr(matrix, f"a{index // 3}{index % 3}", rdouble(value))
        shape.transform = matrix
    return shape


def regions(*drawn, shape=SHAPE):
    from slidegate.sources.drawn import Drawn, joined
    from slidegate.sources.omero.regions import area_of

    return joined([Drawn(area_of(one), name, hole) for one, name, hole in drawn], shape)


def ring(corners, points):
    """Whether points (x, y) lie within a ring, by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        if y0 != y1:
            inside ^= crosses & (points[:, 0] < x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0))
    return inside


def distance(corners, points):
    """How far points are from a ring."""
    nearest = np.full(len(points), np.inf)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = end - start
        share = (points - start) @ along / max(float(along @ along), 1e-12)
        foot = start + np.clip(share, 0, 1)[:, None] * along
        nearest = np.minimum(nearest, np.hypot(*(points - foot).T))
    return nearest


def held(found, points):
    """Whether points lie in Regions, and how far they are from the nearest edge."""
    inside, nearest = np.zeros(len(points), bool), np.full(len(points), np.inf)
    for region in found:
        rings = [np.array(one)[:, ::-1] for one in (region.outline, *region.holes)]
        here = ring(rings[0], points)
        for hole in rings[1:]:
            here &= ~ring(hole, points)
        inside |= here
        nearest = np.minimum(nearest, np.min([distance(one, points) for one in rings], axis=0))
    return inside, nearest


numbers = st.integers(-20, 100)
sizes = st.integers(2, 50)
transforms = st.none() | st.builds(
    lambda turn, stretch, skew, x, y: (
        stretch * math.cos(turn), -math.sin(turn) + skew, x, math.sin(turn), math.cos(turn), y,
    ),
    st.floats(-0.7, 0.7), st.sampled_from([0.5, 1.0, 1.7]), st.sampled_from([0.0, 0.2]), numbers, numbers,
)  # fmt: skip


@st.composite
def drawings(draw):
    """What is drawn, as plain numbers: kind, numbers, transform, name, hole."""
    kind = draw(st.sampled_from(["Polygon", "Rectangle", "Ellipse"]))
    if kind == "Polygon":
        at = (draw(numbers), draw(numbers))
        size = draw(sizes)
        corners = [
            (-1, -1),
            (1, -1),
            (draw(st.sampled_from([0, 1, 2])), 1),
            (-1, draw(st.sampled_from([1, 3]))),
        ]
        said = [(at[0] + size * x / 2, at[1] + size * y / 2) for x, y in corners]
    else:
        said = [draw(numbers), draw(numbers), draw(sizes), draw(sizes)]
    return kind, said, draw(transforms), draw(st.sampled_from(["tissue", "tumour", ""])), draw(st.booleans())


def made(drawing):
    kind, said, transform, name, hole = drawing
    if kind == "Polygon":
        return polygon(*said, transform=transform), name, hole
    names = ("x", "y", "width", "height") if kind == "Rectangle" else ("x", "y", "radiusX", "radiusY")
    return sized(kind, transform, **dict(zip(names, map(float, said), strict=True))), name, hole


def covered(drawing, points):
    """Whether points lie in what is drawn, by its formula; and how far they are from its edge, about."""
    kind, said, transform, _, _ = drawing
    a, b, c, d, e, f = transform or (1, 0, 0, 0, 1, 0)
    forward = np.array([[a, b], [d, e]])
    back = (points - (c, f)) @ np.linalg.inv(forward).T
    if kind == "Ellipse":
        x, y, rx, ry = said
        turn = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        edge = np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)
        inside = ((back[:, 0] - x) / rx) ** 2 + ((back[:, 1] - y) / ry) ** 2 < 1
    else:
        x, y, w, h = said if kind == "Rectangle" else (0, 0, 0, 0)
        edge = (
            np.array(said)
            if kind == "Polygon"
            else np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
        )
        inside = ring(edge.astype(float), back)
    return inside, distance(edge @ forward.T + (c, f), points)


POINTS = np.random.default_rng(5).uniform((0, 0), SHAPE[::-1], (200, 2))


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(drawings(), min_size=1, max_size=6))
def test_regions_hold_the_points_of_the_areas_but_not_those_of_the_holes(drawn):
    found = regions(*map(made, drawn))
    far = np.ones(len(POINTS), bool)
    away, areas = np.zeros(len(POINTS), bool), {}
    for one in drawn:
        inside, edge = covered(one, POINTS)
        far &= edge > NEAR
        if one[4]:
            away |= inside
        else:
            areas[one[3]] = areas.get(one[3], np.zeros(len(POINTS), bool)) | inside
    if not areas:
        areas[""] = np.ones(len(POINTS), bool)
    for name, inside in areas.items():
        said, _ = held([region for region in found if region.name == name], POINTS)
        np.testing.assert_array_equal(said[far], (inside & ~away)[far])
    assert {region.name for region in found} <= set(areas)


@settings(max_examples=40)
@given(st.lists(drawings(), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_drawing_never_matters(drawn, random):
    shuffled = random.sample(drawn, len(drawn))
    assert regions(*map(made, drawn)) == regions(*map(made, shuffled))


@settings(max_examples=40)
@given(st.lists(drawings(), min_size=1, max_size=6))
def test_no_region_reaches_beyond_the_image(drawn):
    for region in regions(*map(made, drawn)):
        corners = np.array(region.outline)
        assert (corners >= 0).all()
        assert (corners <= SHAPE).all()


def test_a_hole_in_tissue_is_a_hole_of_its_region():
    tissue = sized("Rectangle", x=10.0, y=5.0, width=40.0, height=30.0)
    hole = sized("Rectangle", x=20.0, y=10.0, width=5.0, height=5.0)
    [region] = regions((tissue, "tissue", False), (hole, "", True))
    assert set(region.outline) == {(5.0, 10.0), (5.0, 50.0), (35.0, 50.0), (35.0, 10.0)}
    assert set(region.holes[0]) == {(10.0, 20.0), (10.0, 25.0), (15.0, 25.0), (15.0, 20.0)}


def test_what_is_excluded_where_nothing_else_is_drawn_is_taken_out_of_the_whole_image():
    [region] = regions((sized("Ellipse", x=40.0, y=30.0, radiusX=10.0, radiusY=10.0), "", True))
    assert (region.name, len(region.holes)) == ("", 1)
    assert set(region.outline) == {(0.0, 0.0), (0.0, 80.0), (60.0, 80.0), (60.0, 0.0)}


def test_parts_of_one_label_that_lie_apart_are_regions_of_one_name():
    first, second = (sized("Rectangle", x=x, y=5.0, width=9.0, height=9.0) for x in (5.0, 40.0))
    assert [one.name for one in regions((first, "tumour", False), (second, "tumour", False))] == [
        "tumour"
    ] * 2


def test_a_large_ellipse_is_round_to_a_twentieth_of_a_pixel():
    ellipse = sized("Ellipse", x=9000.0, y=9000.0, radiusX=8000.0, radiusY=8000.0)
    [region] = regions((ellipse, "", False), shape=(20_000, 20_000))
    corners = np.array([*region.outline, region.outline[0]])
    middles = (corners[1:] + corners[:-1]) / 2
    assert np.hypot(*(middles - 9000).T).min() > 8000 - 0.06


def test_points_as_omero_4_wrote_them_are_understood():
    old = "points[1,1, 9,1, 9,9] points1[1,1, 9,1, 9,9] points2[1,1, 9,1, 9,9] mask[0,0,0]"
    [region] = regions((polygon(points=old), "", False))
    assert set(region.outline) == {(1.0, 1.0), (1.0, 9.0), (9.0, 9.0)}


@pytest.mark.parametrize(
    ("text", "hole"),
    [("hole", True), ("Hole 2", True), ("exclude: fold", True), ("EXCLUDED", True), ("", False),
     ("Ignore*", True), ("whole", False), ("tissue hole", False), ("holes", False)],
)  # fmt: skip
def test_a_label_says_whether_something_is_taken_away(text, hole):
    from slidegate.sources.drawn import is_hole

    assert is_hole(text) is hole


@pytest.mark.parametrize(
    ("kind", "words"),
    [("Mask", "a mask"), ("Point", "a point"), ("Line", "a line"), ("Polyline", "a polyline"),
     ("Label", "a label")],
)  # fmt: skip
def test_what_is_no_area_is_refused_in_words(kind, words):
    with pytest.raises(SlidegateError, match=words) as refused:
        regions((getattr(model(), f"{kind}I")(), "", False))
    assert refused.value.code == "omero-region-unusable"


@pytest.mark.parametrize(
    "points",
    ["", "1,1", "1,1 2,2", "1,1 2,2 3,3", "a,b c,d e,f", "1,1 nan,2 3,9", "1,1 9e99,2 3,9", "1 2 3,4"],
)
def test_a_polygon_that_encloses_nothing_is_refused_in_words(points):
    with pytest.raises(SlidegateError) as refused:
        regions((polygon(points=points), "", False))
    assert refused.value.code == "omero-region-unusable"
    assert str(refused.value).endswith(".")


def test_a_rectangle_without_its_numbers_is_refused_in_words():
    with pytest.raises(SlidegateError, match="does not say where"):
        regions((sized("Rectangle", x=1.0, y=1.0), "", False))
