# SPDX-License-Identifier: GPL-2.0-or-later
"""Graphs of objects are saved as OMERO's IUpdate saves them, under the real rules of who may."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omero
import pytest
from omero.model import (
    ChannelI,
    CommentAnnotationI,
    DatasetI,
    DatasetImageLinkI,
    ExperimenterI,
    ImageAnnotationLinkI,
    ImageI,
    LogicalChannelI,
    MapAnnotationI,
    NamedValue,
    PixelsI,
    PixelsTypeI,
    PointI,
    ProjectDatasetLinkI,
    ProjectI,
    RoiI,
)
from omero.rtypes import rdouble, rint, rstring
from pocket_omero.errors import Concurrent, Forbidden, Invalid
from pocket_omero.people import levels, roster
from pocket_omero.people.rights import Rights
from pocket_omero.state import Reply, Row, State
from pocket_omero.state.saving import reloaded, save_graph


@dataclass
class Desk:
    person: Row
    group: Row
    row: Row | None = None
    sudoer: Row | None = None


class Lab:
    """Anna and ben in a group where members annotate each other's data, and anna in another one."""

    def __init__(self, folder: Path) -> None:
        self.state = State(folder)
        roster.found(self.state)
        self.rights = Rights(self.state)
        self.group = roster.new_group(self.state, "lab", levels.READ_ANNOTATE)
        self.other = roster.new_group(self.state, "other", levels.PRIVATE)
        self.anna = roster.new_person(self.state, "anna", groups=[self.group, self.other])
        self.ben = roster.new_person(self.state, "ben", groups=[self.group])
        for value in ("uint8", "uint16"):
            self.state.new("PixelsType", value=value)
        self.state.new("DimensionOrder", value="XYZCT")

    def save(self, obj: Any, who: Row | None = None, **ctx: str) -> Any:
        """Save, and return the object as a client gets it."""
        named = {f"omero.{name}": value for name, value in ctx.items()}
        caller = self.rights.caller(Desk(who or self.anna, self.group), named)
        return reloaded(Reply(self.state), save_graph(self.state, obj, caller, self.rights), obj)

    def row(self, obj: Any) -> Row:
        row = self.state.get(type(obj).__name__.removesuffix("I"), obj.id.val)
        assert row is not None
        return row


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.state.close()


def dataset(name: str = "d") -> Any:
    made = DatasetI()
    made.setName(rstring(name))
    return made


def image(name: str = "i") -> Any:
    made = ImageI()
    made.setName(rstring(name))
    return made


def test_a_new_object_gets_id_owner_group_and_events(lab: Lab) -> None:
    made = lab.save(dataset("x"))
    row = lab.row(made)
    assert (row["name"], row.owner, row.group) == ("x", lab.anna.id, lab.group.id)
    assert row["details.creationEvent"]["experimenter"] is lab.anna
    assert row.created == row.updated


def test_the_group_of_the_call_is_where_it_lies(lab: Lab) -> None:
    assert lab.row(lab.save(dataset(), group=str(lab.other.id))).group == lab.other.id


def test_a_graph_is_saved_with_everything_on_it(lab: Lab) -> None:
    roi = RoiI()
    roi.setImage(lab.save(image()))
    for x in (1.0, 2.0):
        point = PointI()
        point.x, point.y = rdouble(x), rdouble(0)
        roi.addShape(point)
    made = lab.save(roi)
    assert [s.x.val for s in made.copyShapes()] == [1.0, 2.0]
    assert all(s.roi is made for s in made.copyShapes())
    assert [r["x"] for r in lab.state.many(lab.row(made), "shapes")] == [1.0, 2.0]


def test_a_link_between_new_objects_saves_both(lab: Lab) -> None:
    link = ProjectDatasetLinkI()
    link.parent, link.child = ProjectI(), dataset("child")
    link.parent.setName(rstring("parent"))
    made = lab.save(link)
    assert (made.parent.name.val, made.child.name.val) == ("parent", "child")
    assert lab.state.many(lab.row(made.parent), "datasetLinks") == [lab.row(made)]


def test_what_is_not_loaded_only_refers(lab: Lab) -> None:
    there = lab.save(image("stays"))
    link = DatasetImageLinkI()
    link.parent, link.child = dataset(), ImageI(there.id.val, False)
    made = lab.save(link)
    assert not made.child.loaded
    assert lab.row(there)["name"] == "stays"
    assert lab.row(there)["version"] is None


def test_a_change_counts_the_version_and_names_the_event(lab: Lab) -> None:
    made = lab.save(dataset("old"))
    made.setName(rstring("new"))
    changed = lab.save(made)
    row = lab.row(made)
    assert (row["name"], made.version.val, changed.version.val) == ("new", 0, 1)
    assert row.updated > row.created


def test_saving_what_is_the_same_changes_nothing(lab: Lab) -> None:
    made = lab.save(dataset())
    row = lab.row(made)
    assert lab.save(made).version.val == 0
    assert row.updated == row.created


def test_an_older_version_is_refused(lab: Lab) -> None:
    made = lab.save(dataset("old"))
    made.setName(rstring("new"))
    lab.save(made)
    made.setName(rstring("newest"))
    with pytest.raises(Concurrent, match=r"ome.model.containers.Dataset#1"):
        lab.save(made)
    assert lab.row(made)["name"] == "new"


def test_a_field_can_be_emptied(lab: Lab) -> None:
    made = dataset()
    made.setDescription(rstring("words"))
    made = lab.save(made)
    made.setDescription(None)
    assert lab.save(made).description is None
    assert lab.row(made)["description"] is None


def test_what_is_missing_in_a_loaded_collection_stays(lab: Lab) -> None:
    roi = RoiI()
    roi.addShape(PointI())
    roi.addShape(PointI())
    made = lab.save(roi)
    made.removeShape(made.getShape(0))
    lab.save(made)
    assert len(lab.state.many(lab.row(made), "shapes")) == 2


def test_the_order_of_a_collection_is_saved(lab: Lab) -> None:
    pixels = lab.save(full_pixels(2))
    first, second = pixels.copyChannels()
    pixels.setChannel(0, second)
    pixels.setChannel(1, first)
    lab.save(pixels)
    ids = [r.id for r in lab.state.many(lab.row(pixels), "channels")]
    assert ids == [second.id.val, first.id.val]


def full_pixels(channels: int) -> Any:
    made = PixelsI()
    made.setImage(image())
    made.setPixelsType(PixelsTypeI())
    made.getPixelsType().setValue(rstring("uint16"))
    made.setDimensionOrder(omero.model.DimensionOrderI())
    made.getDimensionOrder().setValue(rstring("XYZCT"))
    for axis in "XYZCT":
        getattr(made, f"setSize{axis}")(rint(1))
    made.setSha1(rstring(""))
    for _ in range(channels):
        channel = ChannelI()
        channel.setLogicalChannel(LogicalChannelI())
        made.addChannel(channel)
    return made


def test_an_enumeration_without_an_id_means_the_one_with_its_value(lab: Lab) -> None:
    row = lab.row(lab.save(full_pixels(0)))
    assert row["pixelsType"]["value"] == "uint16"
    assert lab.state.count("PixelsType") == 2


def test_nobody_but_administrators_invents_values_of_enumerations(lab: Lab) -> None:
    pixels = full_pixels(0)
    pixels.getPixelsType().setValue(rstring("uint99"))
    with pytest.raises(Forbidden, match="PixelsType is a System-type"):
        lab.save(pixels)
    assert lab.state.all("Pixels") == lab.state.all("Image") == []


def test_pairs_keep_order_and_repeated_keys(lab: Lab) -> None:
    note = MapAnnotationI()
    note.setMapValue([NamedValue("b", "1"), NamedValue("a", "2"), NamedValue("b", "3")])
    made = lab.save(note)
    assert lab.row(made)["mapValue"] == [("b", "1"), ("a", "2"), ("b", "3")]
    assert [(p.name, p.value) for p in made.getMapValue()] == [("b", "1"), ("a", "2"), ("b", "3")]


MISSING: list[tuple[Callable[[], Any], str]] = [
    (DatasetI, "ome.model.containers.Dataset.name"),
    (DatasetImageLinkI, "ome.model.containers.DatasetImageLink.parent"),
    (lambda: ChannelI(), "ome.model.core.Channel.logicalChannel"),
]


@pytest.mark.parametrize(("make", "field"), MISSING, ids=[field for _, field in MISSING])
def test_what_is_required_must_be_there(make: Callable[[], Any], field: str, lab: Lab) -> None:
    with pytest.raises(Invalid, match=f"not-null property references a null or transient value: {field}"):
        lab.save(make())


def test_the_same_link_of_the_same_person_exists_once(lab: Lab) -> None:
    parent, child = lab.save(dataset()), lab.save(image())

    def link() -> Any:
        made = DatasetImageLinkI()
        made.parent, made.child = DatasetI(parent.id.val, False), ImageI(child.id.val, False)
        return made

    lab.save(link())
    with pytest.raises(Invalid, match="datasetimagelink_parent_child_owner_key"):
        lab.save(link())
    assert lab.state.count("DatasetImageLink") == 1


def test_a_loaded_object_with_an_id_of_ones_own_making_is_refused(lab: Lab) -> None:
    made = lab.save(image("stays"))
    link = DatasetImageLinkI()
    link.parent, link.child = dataset(), ImageI(made.id.val)  # ImageI(id, False) would be a reference
    with pytest.raises(Invalid, match="not-null property references a null"):
        lab.save(link)
    assert lab.row(made)["name"] == "stays"


@pytest.mark.parametrize("loaded", [True, False])
def test_an_object_that_is_gone_cannot_be_saved(loaded: bool, lab: Lab) -> None:
    link = DatasetImageLinkI()
    link.parent, link.child = dataset(), ImageI(99, loaded)
    with pytest.raises(Invalid, match="object no longer exists in database: Image:99"):
        lab.save(link)
    assert lab.state.all("Dataset") == []


def test_another_person_may_annotate_but_not_change_where_the_group_says_so(lab: Lab) -> None:
    made = lab.save(image())
    link = ImageAnnotationLinkI()
    link.parent, link.child = ImageI(made.id.val, False), CommentAnnotationI()
    link.child.setTextValue(rstring("nice"))
    assert lab.row(lab.save(link, lab.ben)).owner == lab.ben.id
    made.setName(rstring("mine"))
    with pytest.raises(Forbidden, match="Updating Image:1 not allowed"):
        lab.save(made, lab.ben)
    assert lab.row(made)["name"] == "i"


def test_unchanged_objects_of_others_may_travel_along(lab: Lab) -> None:
    link = ImageAnnotationLinkI()
    link.parent, link.child = lab.save(image()), CommentAnnotationI()
    assert lab.save(link, lab.ben).child.id.val == 1


def test_groups_are_not_mixed(lab: Lab) -> None:
    child = lab.save(image(), group=str(lab.other.id))
    link = DatasetImageLinkI()
    link.parent, link.child = dataset(), ImageI(child.id.val, False)
    with pytest.raises(Forbidden, match="MIXED GROUP"):
        lab.save(link)
    assert lab.state.all("Dataset") == []


def test_in_all_groups_at_once_a_link_lies_where_its_ends_are(lab: Lab) -> None:
    made = lab.save(image(), group=str(lab.other.id))
    link = ImageAnnotationLinkI()
    link.parent, link.child = ImageI(made.id.val, False), CommentAnnotationI()
    saved = lab.save(link, group="-1")
    assert {lab.row(saved).group, lab.row(saved.child).group} == {lab.other.id}


def test_people_are_not_made_by_saving(lab: Lab) -> None:
    made = ExperimenterI()
    made.setOmeName(rstring("eve"))
    with pytest.raises(Forbidden, match="Experimenter is a System-type"):
        lab.save(made)
