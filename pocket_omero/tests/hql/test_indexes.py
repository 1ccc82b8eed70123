# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever the condition: following indexes finds what looking at every row finds, in the same order."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocket_omero.hql import planner, query
from pocket_omero.state import Reply, State

from pocket_omero import hql

SOURCES = [
    "Image i join i.datasetLinks l join i.annotationLinks al join al.child a",
    "Image i left join i.datasetLinks l left join i.annotationLinks al left join al.child a",
    "DatasetImageLink l join l.child i left outer join i.annotationLinks al left outer join al.child a",
    "Annotation a, ImageAnnotationLink al join al.parent i left outer join i.datasetLinks l with l.id > 1",
]
number, name = st.integers(1, 4), st.sampled_from(["x", "y", "z"])
atoms = st.one_of(
    st.builds("i.id = {}".format, number),
    st.builds("{} = i.id".format, number),
    st.builds("i in ({}, {})".format, number, number),
    st.builds("i.name = '{}'".format, name),
    st.builds("l.parent.id = {}".format, number),
    st.builds("l.parent = {}".format, number),
    st.builds("l.parent.name = '{}'".format, name),
    st.builds("i.details.owner.id = {}".format, number),
    st.builds("i.details.owner.omeName in ('{}')".format, name),
    st.builds("a.ns = '{}'".format, name),
    st.builds("a.textValue = '{}'".format, name),
    st.builds("a.file.name = '{}'".format, name),
    st.builds("al.child.id in (select b.id from TagAnnotation b where b.textValue = '{}')".format, name),
    st.builds("i.id in (select m.child.id from DatasetImageLink m where m.parent.id = {})".format, number),
    st.builds("exists (select m from DatasetImageLink m where m.child = i and m.parent = {})".format, number),
    st.builds("not exists (select m from ImageAnnotationLink m where m.parent = i.id)".format),
    st.builds("(select count(*) from DatasetImageLink m where m.child = i) = {}".format, number),
    st.builds("al.child = a and {} = a.id".format, number),
    st.just("l.id is null"),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=4,
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    ends = st.lists(st.tuples(number, number), max_size=5)
    return {"names": draw(st.lists(name, min_size=4, max_size=4)), "in": draw(ends), "noted": draw(ends)}


def fill(state: State, world: dict[str, Any]) -> None:
    with state.change():
        people = [state.new("Experimenter", omeName=n) for n in world["names"]]
        file = state.new("OriginalFile", name=world["names"][0])
        images = [state.new("Image", name=n, owner=p) for n, p in zip(world["names"], people, strict=True)]
        datasets = [state.new("Dataset", name=n) for n in reversed(world["names"])]
        notes = [
            state.new("TagAnnotation", textValue=world["names"][1], ns=world["names"][2]),
            state.new("CommentAnnotation", textValue=world["names"][1]),
            state.new("FileAnnotation", file=file, ns=world["names"][3]),
            state.new("LongAnnotation", longValue=1),
        ]
        for parent, child in world["in"]:
            state.new("DatasetImageLink", parent=datasets[parent - 1], child=images[child - 1])
        for parent, child in world["noted"]:
            state.new("ImageAnnotationLink", parent=images[parent - 1], child=notes[child - 1])


@pytest.fixture(scope="module", autouse=True)
def no_memory() -> Iterator[None]:
    yield
    query._compiled.cache_clear()


def found(state: State, text: str) -> list[list[Any]]:
    query._compiled.cache_clear()
    return hql.run(state, text, None, Reply(state), lambda _row: True).rows


asked = st.lists(st.tuples(st.sampled_from(SOURCES), conditions), min_size=8, max_size=8)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(worlds(), asked)
def test_indexes_change_no_answer(world: dict[str, Any], asked: list[tuple[str, str]]) -> None:
    folder = Path(tempfile.mkdtemp())
    state = State(folder)
    fill(state, world)
    for source, condition in asked:
        text = f"select i.id, l.id, al.id, a.id from {source} where {condition}"
        indexed = found(state, text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(planner, "lookup", lambda *_: None)
            assert found(state, text) == indexed, text
    state.close()
    shutil.rmtree(folder)
