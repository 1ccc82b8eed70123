# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows are found again, by id, by value and after a restart; changes are all or nothing."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from pocket_omero.state import Row, State
from pocket_omero.state.rows import StillReferenced, UnknownField, WrongValue


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def again(state: State, folder: Path) -> State:
    state.close()
    return State(folder)


VALUES: list[tuple[str, dict[str, Any]]] = [
    ("Image", {"name": "ä ∆ 'x'", "archived": True, "acquisitionDate": 1_700_000_000_000, "series": 0}),
    ("Pixels", {"physicalSizeX": (0.25, "MICROMETER"), "timeIncrement": (2.0, "SECOND"), "sizeX": 2**31 - 1}),
    ("MapAnnotation", {"mapValue": [("a", "1"), ("a", "2"), ("", "")]}),
    ("DoubleAnnotation", {"doubleValue": 1e-300}),
    ("Mask", {"bytes": bytes(range(256)), "x": 1.5}),
    ("OriginalFile", {"size": 2**40, "name": "f"}),
    ("ExperimenterGroup", {"name": "g", "details.permissions": "rwra--"}),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[kind for kind, _ in VALUES])
def test_every_type_of_value_survives_a_restart(
    kind: str, values: dict[str, Any], state: State, tmp_path: Path
) -> None:
    made = state.new(kind, **values)
    found = again(state, tmp_path).get(kind, made.id)
    assert found is not None
    assert {name: found[name] for name in values} == values


def test_references_survive_a_restart(state: State, tmp_path: Path) -> None:
    image = state.new("Image", name="i")
    state.new("Pixels", image=image)
    state = again(state, tmp_path)
    assert state.all("Pixels")[0]["image"] is state.get("Image", image.id)


def test_ids_are_unique_in_a_table_and_never_given_twice(state: State, tmp_path: Path) -> None:
    tag, comment = state.new("TagAnnotation"), state.new("CommentAnnotation")
    assert (tag.id, comment.id) == (1, 2)
    state.delete(comment)
    state = again(state, tmp_path)
    assert state.new("LongAnnotation").id == 3
    assert state.new("Image").id == 1


def test_an_id_can_be_chosen_once(state: State) -> None:
    assert state.new("Experimenter", id=0, omeName="root").id == 0
    assert state.new("Experimenter", omeName="next").id == 1
    with pytest.raises(WrongValue, match="Experimenter:0 is there already"):
        state.new("Experimenter", id=0, omeName="root")


def test_an_abstract_entity_stands_for_those_derived_from_it(state: State) -> None:
    tag = state.new("TagAnnotation", ns="n")
    assert state.get("Annotation", tag.id) is tag
    assert state.get("TextAnnotation", tag.id) is tag
    assert state.get("LongAnnotation", tag.id) is None
    assert state.all("Annotation") == state.where("Annotation", "ns", "n") == [tag]


def test_what_is_looked_up_by_value_is_found_indexed_or_not(state: State) -> None:
    first, second = state.new("Image", name="a", series=1), state.new("Image", name="b", series=1)
    assert state.where("Image", "name", "b") == [second]
    assert state.where("Image", "series", 1) == [first, second]
    assert state.where("Image", "fileset", None) == [first, second]


def test_a_collection_is_what_refers_back(state: State) -> None:
    image, other = state.new("Image"), state.new("Image")
    pixels = state.new("Pixels", image=image)
    assert state.many(image, "pixels") == [pixels]
    state.set(pixels, image=other)
    assert (state.many(image, "pixels"), state.many(other, "pixels")) == ([], [pixels])


def test_a_collection_keeps_the_order_that_it_was_given(state: State, tmp_path: Path) -> None:
    pixels = state.new("Pixels")
    first, second, third = (state.new("Channel", pixels=pixels) for _ in range(3))
    state.order(pixels, "channels", [third, first, second])
    late = state.new("Channel", pixels=pixels)
    assert [r.id for r in state.many(pixels, "channels")] == [third.id, first.id, second.id, late.id]
    state = again(state, tmp_path)
    assert [r.id for r in state.many(state.all("Pixels")[0], "channels")] == [3, 1, 2, 4]


def test_owner_group_and_event_are_details(state: State) -> None:
    group, person = state.new("ExperimenterGroup", name="g"), state.new("Experimenter", omeName="p")
    event = state.event(person, group, None)
    image = state.new("Image", owner=person, group=group, event=event)
    assert (image.owner, image.group, image.created, image.updated) == (
        person.id,
        group.id,
        event.id,
        event.id,
    )
    assert image["details.owner"] is person
    assert state.where("Image", "details.group", group) == [image]
    assert (person.owner, person.group) == (-1, -1)


def test_a_field_of_that_name_comes_before_a_detail(state: State) -> None:
    person, group = state.new("Experimenter", omeName="p"), state.new("ExperimenterGroup", name="g")
    member = state.new("GroupExperimenterMap", parent=group, child=person, owner=True)
    assert (member["owner"], member.owner) == (True, -1)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"colour": 1}, UnknownField),
        ({"name": 1}, WrongValue),
        ({"series": "1"}, WrongValue),
        ({"series": True}, WrongValue),
        ({"archived": 1}, WrongValue),
        ({"fileset": 1}, WrongValue),
        ({"pixels": []}, WrongValue),
    ],
)
def test_what_a_field_cannot_hold_is_refused(
    values: dict[str, Any], error: type[Exception], state: State
) -> None:
    with pytest.raises(error):
        state.new("Image", **values)
    assert state.all("Image") == []


def test_a_reference_to_another_entity_is_refused(state: State) -> None:
    with pytest.raises(WrongValue, match=r"Pixels\.image is a Image"):
        state.new("Pixels", image=state.new("Dataset"))


def test_a_change_that_fails_leaves_nothing(state: State, tmp_path: Path) -> None:
    image = state.new("Image", name="before")
    with pytest.raises(RuntimeError), state.change():
        state.set(image, name="after")
        state.new("Pixels", image=image)
        state.keep("note", 1)
        state.delete(image)
        raise RuntimeError
    for each in (state, again(state, tmp_path)):
        assert [r["name"] for r in each.all("Image")] == ["before"]
        assert each.where("Image", "name", "after") == each.all("Pixels") == []
        assert each.note("note") is None


def test_an_inner_change_can_fail_alone(state: State) -> None:
    with state.change():
        state.new("Image", name="kept")
        with pytest.raises(RuntimeError), state.change():
            state.new("Image", name="lost")
            raise RuntimeError
    assert [r["name"] for r in state.all("Image")] == ["kept"]


def test_what_others_refer_to_cannot_be_deleted(state: State) -> None:
    image = state.new("Image")
    pixels = state.new("Pixels", image=image)
    with pytest.raises(StillReferenced, match=r"Image:1 is still referred to by Pixels:1 \(image\)"):
        state.delete(image)
    assert state.get("Image", image.id) is image
    with state.change():
        state.delete(image)
        state.delete(pixels)
    assert state.all("Image") == state.all("Pixels") == []


def test_notes_are_kept(state: State, tmp_path: Path) -> None:
    state.keep("passwords", {"alice": ["hash", 1]})
    state.keep("gone", 1)
    state.keep("gone", None)
    state = again(state, tmp_path)
    assert (state.note("passwords"), state.note("gone")) == ({"alice": ["hash", 1]}, None)


class AnyOrder(RuleBasedStateMachine):
    """Whatever is done in whatever order: indexes, collections and the file say the same as the rows."""

    datasets, images, links = Bundle("datasets"), Bundle("images"), Bundle("links")

    @initialize(folder=st.builds(lambda: Path(tempfile.mkdtemp())))
    def begin(self, folder: Path) -> None:
        self.folder, self.state = folder, State(folder)

    @rule(target=datasets, name=st.sampled_from("abc"))
    def dataset(self, name: str) -> int:
        return self.state.new("Dataset", name=name).id

    @rule(target=images, name=st.sampled_from("abc"))
    def image(self, name: str) -> int:
        return self.state.new("Image", name=name).id

    @rule(target=links, parent=datasets, child=images)
    def link(self, parent: int, child: int) -> Any:
        ends = self.state.get("Dataset", parent), self.state.get("Image", child)
        if None in ends:
            return multiple()
        return self.state.new("DatasetImageLink", parent=ends[0], child=ends[1]).id

    @rule(which=images, name=st.sampled_from(["a", "b", None]))
    def rename(self, which: int, name: str | None) -> None:
        if row := self.state.get("Image", which):
            self.state.set(row, name=name)

    @rule(which=consumes(links))
    def unlink(self, which: int) -> None:
        self.state.delete(self._row("DatasetImageLink", which))

    @rule(which=images)
    def delete(self, which: int) -> None:
        row = self.state.get("Image", which)
        if row is None:
            return
        try:
            self.state.delete(row)
        except StillReferenced:
            assert self.state.many(row, "datasetLinks")

    @rule(which=images, name=st.sampled_from("abc"))
    def fail(self, which: int, name: str) -> None:
        row = self.state.get("Image", which)
        with pytest.raises(RuntimeError), self.state.change():
            self.state.new("Image", name=name)
            if row is not None:
                self.state.set(row, name=name)
                self.state.delete(row)
            raise RuntimeError

    @rule()
    def restart(self) -> None:
        self.state.close()
        self.state = State(self.folder)

    @invariant()
    def indexes_say_what_rows_say(self) -> None:
        images, links = self.state.all("Image"), self.state.all("DatasetImageLink")
        for name in ("a", "b", "c"):
            assert self.state.where("Image", "name", name) == [i for i in images if i["name"] == name]
        for image in images:
            assert self.state.many(image, "datasetLinks") == [r for r in links if r["child"] is image]

    def _row(self, kind: str, which: int) -> Row:
        row = self.state.get(kind, which)
        assert row is not None
        return row

    def teardown(self) -> None:
        self.state.close()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


AnyOrder.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestAnyOrder = pytest.mark.slow(AnyOrder.TestCase)
