# SPDX-License-Identifier: AGPL-3.0-or-later
"""The script Run on cluster, as it is made of what slidegate offers."""

import runpy

import pytest
from omero.rtypes import unwrap
from omero_slidegate.making import NotMade, address, choose, make

pytestmark = pytest.mark.omero

PROPERTIES = {
    "marker": {"type": "string", "enum": ["CD3", "CD8"], "title": "Marker", "x-order": 1},
    "diameter_um": {"type": "number", "minimum": 1, "maximum": 5, "default": 2, "x-unit": "µm", "x-order": 2},
    "rounds": {"type": "integer", "minimum": 1, "title": "Rounds", "x-advanced": True, "x-order": 0},
    "touching": {"type": "boolean", "default": True, "title": "Divide spots that touch"},
    "tags": {"type": "string", "title": "Tags"},
    "mode": {"type": "string", "const": "fast"},
}
OFFER = {
    "name": "spots",
    "site": "local",
    "version": "1.9.0",
    "title": "Find spots",
    "description": "Finds 'spots'.",
    "schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["marker"],
        "properties": PROPERTIES,
    },
    "each": ["image", "regions"],
    "outputs": {"spots": {"type": "table/objects"}, "labels": {"type": "labels"}},
}


@pytest.fixture
def made(tmp_path):
    """The functions of the made script, which is not run."""
    newer = {**OFFER, "version": "1.10.0"}
    workflow = choose([OFFER, newer, {**newer, "site": "hpc"}], "spots")
    file = tmp_path / "script.py"
    file.write_text(make(workflow, "https://slidegate.example.org", "https://omero.example.org", None))
    return runpy.run_path(str(file))


def test_the_newest_version_is_taken_and_all_sites_with_the_same_settings(made):
    assert (made["MADE"]["version"], made["MADE"]["sites"]) == ("1.10.0", ["local", "hpc"])
    with pytest.raises(NotMade, match="It offers: spots"):
        choose([OFFER], "nuclei")


def test_each_setting_is_a_typed_field_in_the_order_of_the_form(made):
    fields = {one.name(): one for one in made["inputs"](made["MADE"])}
    assert list(fields) == [
        "Data_Type",
        "IDs",
        "Where",
        "Marker",
        "diameter_um",
        "Divide_spots_that_touch",
        "Tags_2",
        "Rounds",
        "Use_Drawn_Regions",
        "Draw_Objects",
        "Label_Image",
        "Tags",
    ]
    assert not fields["Marker"].optional
    assert unwrap(fields["Marker"].values) == ["CD3", "CD8"]
    assert (unwrap(fields["diameter_um"].prototype), fields["diameter_um"].max.val) == (2.0, 5.0)
    assert fields["diameter_um"].description == "In µm."
    assert unwrap(fields["Divide_spots_that_touch"].prototype) is True


def test_what_was_filled_in_is_asked_for_by_the_names_of_the_workflow(made):
    given = {
        "Marker": "CD8",
        "Tags_2": "x",
        "Where": "hpc",
        "Tags": "done, counted",
        "Use_Drawn_Regions": False,
    }
    asked = made["asked_for"](made["MADE"], {**given, "Label_Image": "As an image"}, [3, 12])
    assert asked == {
        "workflow": "spots",
        "site": "hpc",
        "images": ["omero:3", "omero:12"],
        "parameters": {"marker": "CD8", "tags": "x"},
        "publish": {"objects": "sample", "labels": "image", "tags": ["done", "counted"]},
        "regions": False,
    }


def test_a_fault_of_a_setting_is_told_by_the_name_that_the_form_has(made):
    trouble = made["Trouble"]("Parameter 'marker' does not fit.", "bad-parameter")
    assert made["told"](trouble, made["MADE"]).startswith("Parameter 'Marker' does not fit. If that")


@pytest.mark.parametrize("said", ["http://slidegate.example.org", "slidegate.example.org", "ftp://localhost"])
def test_sessions_are_sent_nowhere_where_they_could_be_read(said):
    with pytest.raises(NotMade, match="https://"):
        address(said)
