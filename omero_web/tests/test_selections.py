# SPDX-License-Identifier: AGPL-3.0-or-later
"""How a selection is written in an address."""

import pytest
from omero_slidegate.problems import BadSelection, TooManyImages
from omero_slidegate.selection import MOST, read


def test_numbers_and_ranges_are_read_each_once_and_written_short():
    chosen = read({"image": ["1-3,7", "2", "8"], "dataset": ["4"], "url": ["ignored"]})
    assert (chosen.image, chosen.dataset, chosen.project) == ((1, 2, 3, 7, 8), (4,), ())
    assert chosen.query == "image=1-3,7-8&dataset=4"
    assert read({}).query == ""


def test_the_order_of_people_stays():
    assert read({"image": ["5", "3", "4"]}).query == "image=5,3-4"


@pytest.mark.parametrize("said", ["x", "1-", "-1", "3-1", "1;2", "1 or 1=1", "9" * 19, "1-2-3"])
def test_what_is_no_number_is_refused(said):
    with pytest.raises(BadSelection):
        read({"image": [said]})


def test_more_than_a_run_takes_is_refused_before_they_are_counted_out():
    with pytest.raises(TooManyImages, match="5,000 at most"):
        read({"image": [f"1-{10**17}"]})
    assert len(read({"image": [f"1-{MOST}"]}).image) == MOST


def test_three_hundred_images_fit_into_an_address():
    scattered = ",".join(str(number) for number in range(1_000_000, 1_000_600, 2))
    assert len(read({"image": [scattered]}).query) < 2500
