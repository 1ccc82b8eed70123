# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of a reply hold what was asked for, and nothing else."""

from pathlib import Path
from typing import Any

import omero
import pytest
from pocket_omero.state import Reply, Row, State
from pocket_omero.state.convert import from_wire, to_wire


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


@pytest.fixture
def pixels(state: State) -> Row:
    image = state.new("Image", name="i")
    made = state.new("Pixels", image=image, sizeX=4, physicalSizeX=(0.5, "MICROMETER"))
    for _ in range(2):
        state.new("Channel", pixels=made)
    return made


def test_scalars_are_there_and_references_without_content(state: State, pixels: Row) -> None:
    made = Reply(state).load(pixels)
    assert (made.sizeX.val, made.physicalSizeX.getValue(), made.physicalSizeX.getSymbol()) == (4, 0.5, "µm")
    assert (made.image.id.val, made.image.loaded) == (1, False)
    assert made.pixelsType is None
    assert not made.isChannelsLoaded()
    with pytest.raises(omero.UnloadedEntityException):
        made.image.getName()


def test_what_is_fetched_fills_the_same_object(state: State, pixels: Row) -> None:
    reply = Reply(state)
    made = reply.load(pixels)
    image = made.image
    reply.fetch(pixels, "image", pixels["image"])
    assert made.image is image
    assert image.name.val == "i"


def test_a_collection_is_fetched_row_by_row_or_wholly(state: State, pixels: Row) -> None:
    first, second = state.many(pixels, "channels")
    reply = Reply(state)
    for _ in range(2):  # a join meets a row more than once
        reply.fetch(pixels, "channels", second)
    assert [c.id.val for c in reply.load(pixels).copyChannels()] == [second.id]
    reply = Reply(state)
    reply.fetch_all(pixels, "channels")
    assert [c.id.val for c in reply.load(pixels).copyChannels()] == [first.id, second.id]


def test_details_say_who_and_what_the_caller_may(state: State) -> None:
    group, person = state.new("ExperimenterGroup", name="g"), state.new("Experimenter", omeName="p")
    event = state.event(person, group, None)
    image = state.new("Image", owner=person, group=group, event=event)
    made = Reply(state, lambda _row: omero.model.PermissionsI("rwra--")).load(image)
    details = made.details
    assert (details.owner.id.val, details.group.id.val) == (person.id, group.id)
    assert (details.owner.loaded, details.creationEvent.loaded) == (False, False)
    assert str(details.permissions) == "rwra--"


@pytest.mark.parametrize(
    ("of", "value"),
    [
        ("rstring", "x"),
        ("rlong", 2**40),
        ("rint", 7),
        ("rdouble", 0.5),
        ("rbool", False),
        ("rtime", 1_700_000_000_000),
        ("internal:Length", (1.5, "PIXEL")),
        ("internal:NamedValueList", [("a", "b"), ("a", "c")]),
        ("internal:ByteSeq", b"\0\1"),
        ("rstring", None),
    ],
)
def test_values_come_back_from_the_wire_as_they_went(of: str, value: Any) -> None:
    assert from_wire(to_wire(of, value)) == value
