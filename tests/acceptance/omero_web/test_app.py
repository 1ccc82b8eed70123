# SPDX-License-Identifier: BSD-3-Clause
"""The app in an unmodified OMERO.web, with a real api and a real worker behind it."""

import pytest

pytestmark = [pytest.mark.omero, pytest.mark.slow]


@pytest.fixture(scope="module")
def alice(place):
    with place.visit("alice") as visit:
        yield visit


def by_name(place, visit, query):
    said = visit.get(f"/slidegate/selection/?{query}")
    assert said.status_code == 200, said.text + place.logs
    return {one["name"]: one for one in said.json()["images"]}


def test_the_selection_says_which_images_can_be_used_and_why_not(place, alice):
    cells, shelf = place.container("Dataset", "Cells"), place.container("Dataset", "Shelf")
    found = by_name(place, alice, f"dataset={cells},{shelf}")
    print(found)
    usable = {name for name, one in found.items() if one["usable"]}
    assert usable == {"cell0.tif", "cell1.tif", "cell2.tif", "stack.ome.tif", "shelf.tif"}


def test_who_is_logged_in_at_omero_web_is_signed_in_at_slidegate(place, alice):
    said = alice.api("session")
    assert said.status_code == 200, said.text + place.logs
    print(said.json())
    assert said.json()["csrf"] is None
