# SPDX-License-Identifier: BSD-3-Clause
"""Where results go in OMERO, and as what, is one text: the same for the same wishes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidegate.domain.omero_places import MOST_TAGS, TAG_LENGTH, BadOmeroPlace, OmeroPlace

tags = st.lists(
    st.text(min_size=1, max_size=TAG_LENGTH).filter(lambda tag: tag.isprintable() and tag == tag.strip()),
    max_size=MOST_TAGS,
)
places = st.builds(
    OmeroPlace,
    host=st.sampled_from(["omero.example.org", "127.0.0.1", "[::1]"]),
    objects=st.sampled_from(["sample", "all-on-duplicate"]),
    labels=st.sampled_from(["none", "attachment", "image"]),
    tags=tags.map(tuple),
)


@given(places)
def test_a_place_is_read_as_it_was_written(place: OmeroPlace) -> None:
    assert OmeroPlace.parse(place.text) == place
    assert place.text.isascii()


def test_wishes_have_one_order_and_what_nobody_asked_for_is_not_said() -> None:
    asked = OmeroPlace("host", "all-on-duplicate", "image", ("b&=", "a", "b&="))
    assert asked.text == "omero:host?labels=image&objects=all-on-duplicate&tag=a&tag=b%26%3D"
    assert OmeroPlace("host").text == "omero:host"
    assert (
        OmeroPlace.parse("omero:host?tag=b&labels=image&tag=a").text == "omero:host?labels=image&tag=a&tag=b"
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "omero:", "/data", "host", "omero:a b", "omero:host?", "omero:host?labels", "omero:host?labels=",
        "omero:host?labels=all", "omero:host?labels=image&labels=image", "omero:host?colour=red",
        "omero:host?tag=", "omero:host?tag=%20a", "omero:host?tag=%FF", "omero:host?tag=%0A",
        "omero:host?objects=sample#", "omero:host/image", "omero:host?tag=" + "x" * (TAG_LENGTH + 1),
        "omero:host?" + "&".join(f"tag={n}" for n in range(MOST_TAGS + 1)),
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadOmeroPlace) as refused:
        OmeroPlace.parse(text)
    assert refused.value.code == "omero-place-unreadable"
