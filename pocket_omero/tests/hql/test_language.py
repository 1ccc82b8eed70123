# SPDX-License-Identifier: GPL-2.0-or-later
"""The query language means what it means in OMERO, and what it does not know it refuses."""

from collections.abc import Callable
from typing import Any

import omero
import pytest
from omero.rtypes import rint, rlist, rlong, rstring
from pocket_omero.state import Reply, Row, State

from pocket_omero import hql

Ask = Callable[..., list[Any]]


# What is not known

UNKNOWN = {
    "select frob(x) of Image": "Image does not fit",
    "select i from Imag i": "Imag is no entity",
    "select i from image i": "image is no entity",
    "select i from ImageI i": "ImageI is no entity",
    "select image from Image i": "image is not known",
    "select i from ome.model.roi.Image i": "ome.model.roi.Image is no entity",
    "select i from Image i where i.colour = 1": "Image has no field colour",
    "select i from Image i join i.colours c": "Image has no field colours",
    "select i.name.length from Image i": "name is a value",
    "select j from Image i": "j is not known",
    "select frob(i.id) from Image i": r"frob\(\) is not known",
    "select i from Image i where i.id = :id": "Not all named parameters have been set: id",
    "select i from Image i right outer join i.pixels p": "right outer join is not supported",
    "select i from Image i where i.name": "a condition was expected",
    "select i from Image i where i.id = 'one'": "'one' is no number",
    "select i from Image i where i.name = 1": "rstring = rint cannot be compared",
    "select i from Image i where i.pixels.sizeX = 1": "pixels is a collection",
    "select i.pixels from Image i": "a collection cannot be selected",
    "select i from Image i where i.name like 1": "like compares strings",
    "select i from Image i, Dataset i": "the name i is given twice",
    "select sum(i.name) from Image i": r"sum\(\) of rstring means nothing",
    "select i from Image i where count(i) > 1": r"count\(\) cannot stand here",
    "select i from Image i where i.name = 'a": "cannot read it from",
    "delete from Image": "delete does not fit",
    "select i from Image i where i.name = 'a' ; drop": "cannot read it from",
    "select new list(i.id) from Image i": r"new list\(…\) is not supported",
    "": "it ends too early",
}


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_known_is_refused_with_the_statement(text: str, ask: Ask) -> None:
    with pytest.raises(hql.HqlError, match=UNKNOWN[text]) as refused:
        ask(text)
    assert f"[{text}]" in str(refused.value)


REFUSED_BY_OMERO = {
    "select i.name, count(i) from Image i": "must appear in the GROUP BY clause",
    "select distinct i from Image i order by lower(i.name)": "for SELECT DISTINCT, ORDER BY expressions",
    "select i.id from Image i join fetch i.pixels": "the owner of the fetched association was not present",
    "select count(i) from Image i join fetch i.pixels": "owner of the fetched association was not present",
    "select i from Image i left outer join fetch i.pixels p with p.sizeX = 64": "with-clause not allowed",
    "select i from Image i where (select p.id from Pixels p) = 1": "more than one row returned by a subquery",
}


@pytest.mark.parametrize("text", REFUSED_BY_OMERO)
def test_what_hibernate_or_the_database_refuse_is_refused_here(text: str, ask: Ask) -> None:
    with pytest.raises(hql.HqlError, match=REFUSED_BY_OMERO[text]):
        ask(text)


def test_an_empty_list_is_refused_as_omero_does(ask: Ask) -> None:
    with pytest.raises(hql.HqlError, match="unexpected end of subtree"):
        ask("select i from Image i where i.id in (:ids)", ids=[])


# What statements mean: statement, parameters, what it finds

MEANS: list[tuple[str, dict[str, Any], list[Any]]] = [
    # null is neither equal nor different, nor is the opposite of that
    ("select a.id from Annotation a where a.ns = 'pairs'", {}, [6]),
    ("select a.id from Annotation a where a.ns != 'pairs'", {}, [1, 4, 5, 8]),
    ("select a.id from Annotation a where not a.ns = 'pairs'", {}, [1, 4, 5, 8]),
    ("select a.id from Annotation a where not (a.ns = 'pairs' or a.ns = 'well')", {}, [4, 5, 8]),
    ("select a.id from Annotation a where a.ns = null", {}, [2, 3, 7]),
    ("select a.id from Annotation a where a.ns <> null and a.id < 5", {}, [1, 4]),
    ("select a.id from Annotation a where a.ns is not null and a.id < 5", {}, [1, 4]),
    ("select a.id from Annotation a where a.ns not in ('pairs', 'well', null)", {}, []),
    ("select a.id from Annotation a where a.ns is null and not a.ns = :ns", {"ns": "x"}, []),
    # a path through a reference is an inner join, one to its id is not
    ("select i.fileset.id from Image i where i.id < 4", {}, [1, 1, None]),
    ("select i.fileset.templatePrefix from Image i where i.id < 4", {}, ["alice/", "alice/"]),
    ("select i.id from Image i where i.fileset.templatePrefix = 'x' or i.id = 4", {}, []),
    ("select i.id from Image i where i.fileset is null or i.id = 1", {}, [1, 3, 4, 5, 6]),
    # joins
    ("select d.id from Dataset d left outer join d.imageLinks l where l.id is null", {}, [3]),
    (
        "select d.id, l.id from Dataset d left join d.imageLinks l with l.id > 4",
        {},
        [[1, None], [2, 5], [3, None]],
    ),
    ("select d.id, l.id from Dataset d join d.imageLinks l with l.id > 3", {}, [[2, 4], [2, 5]]),
    ("select i.id from Image i, Dataset d where i.id = d.id and d.name = 'two'", {}, [2]),
    ("select i.id from Image i join i.datasetLinks l where l.parent = 2", {}, [1, 4]),
    ("from Roi r join r.shapes s where s.class = Ellipse", {}, [["Roi:1", "Ellipse:2"]]),
    # comparisons
    ("select i.id from Image i where i.id between 2 and 3", {}, [2, 3]),
    ("select i.id from Image i where i.id not between 2 and 5", {}, [1, 6]),
    (
        "select i.name from Image i where i.name like '_.t%'",
        {},
        ["b.tif", "A.tif", "c.tif", "e.tif", "w.tif"],
    ),
    ("select i.name from Image i where i.name not like '%.tif'", {}, ["d.png"]),
    ("select i.name from Image i where i.name like 'b!.tif' escape '!'", {}, ["b.tif"]),
    ("select i.id from Image i where i.archived = false and i.id <= 2", {}, [1, 2]),
    ("select i.id from Image i where i.details.owner.omeName = 'bob'", {}, [5]),
    ("select i.id from Image i where i = :image", {"image": 3}, [3]),
    ("select i.id from Image i where i.id in (1, 2, :more)", {"more": [5, 6]}, [1, 2, 5, 6]),
    ("select r.id from Roi r where 2 in elements(r.shapes)", {}, [1]),
    ("select r.id from Roi r where r.shapes is empty", {}, [2]),
    ("select r.id, size(r.shapes) from Roi r", {}, [[1, 2], [2, 0], [3, 1]]),
    ("select a.id from Annotation a where a.class in (TagAnnotation, LongAnnotation)", {}, [2, 3, 4, 5]),
    ("select type(a) from Annotation a where a.id = 7", {}, ["ome.model.annotations.CommentAnnotation"]),
    (
        "select p.physicalSizeX.value, p.physicalSizeX.unit from Pixels p where p.id = 1",
        {},
        [[0.5, "MICROMETER"]],
    ),
    # a number may be written as a string
    ("select i.id from Image i where i.id = '2'", {}, [2]),
    ("select i.id from Image i where '2' < i.id and i.id in ('3', '4') and i != '4'", {}, [3]),
    # calculating
    (
        "select 7 / 2, 7.0 / 2, mod(7, 4), -3 + 1, 2 * 3 - 1 from Image i where i.id = 1",
        {},
        [[3, 3.5, 3, -2, 5]],
    ),
    (
        "select upper(i.name) || '!', length(i.name), substring(i.name, 1, 1) from Image i where i.id = 1",
        {},
        [["B.TIF!", 5, "b"]],
    ),
    ("select case i.name when 'b.tif' then 1 else 0 end from Image i where i.id < 3", {}, [1, 0]),
    ("select case when i.id = 1 then i.name end from Image i where i.id < 3", {}, ["b.tif", None]),
    (
        "select nullif(i.name, 'b.tif'), coalesce(i.description, i.name) from Image i where i.id = 1",
        {},
        [[None, "b.tif"]],
    ),
    # groups
    ("select count(*), count(i.fileset.id), min(i.name), avg(i.id) from Image i", {}, [[6, 2, "A.tif", 3.5]]),
    ("select count(i), max(i.id), sum(i.id) from Image i where i.id > 99", {}, [[0, None, None]]),
    (
        "select d.id, count(l) from Dataset d left join d.imageLinks l group by d.id having count(l) > 2",
        {},
        [[1, 3]],
    ),
    (
        "select d.id, d.name, count(l) from Dataset d join d.imageLinks l group by d.id",
        {},
        [[1, "one", 3], [2, "two", 2]],
    ),
    ("select count(distinct l.parent) from DatasetImageLink l", {}, [2]),
    # order
    ("select a.ns from Annotation a where a.id in (1, 2, 6) order by a.ns", {}, ["pairs", "well", None]),
    ("select a.ns from Annotation a where a.id in (1, 2, 6) order by a.ns desc", {}, [None, "well", "pairs"]),
    ("select i.id from Image i order by i.archived, lower(i.name) desc, i.id", {}, [6, 5, 4, 3, 1, 2]),
    (
        "select i.id, lower(i.name) as low from Image i where i.id < 3 order by low",
        {},
        [[2, "a.tif"], [1, "b.tif"]],
    ),
    # words that are names where nothing else is meant
    ("select group.name from Image i join i.details.group as group where i.id = 1", {}, ["lab"]),
    (
        "SELECT Member.id FROM Image AS Member WHERE Member.id IN (:ids) ORDER BY Member.id DESC",
        {"ids": [1, 2]},
        [2, 1],
    ),
]


@pytest.mark.parametrize(("text", "params", "finds"), MEANS, ids=lambda v: str(v)[:60])
def test_a_statement_means_what_it_means_in_omero(
    text: str, params: dict[str, Any], finds: list[Any], ask: Ask
) -> None:
    assert ask(text, **params) == finds


# What comes back


def run(
    world: State, text: str, params: Any = None, seen: Callable[[Row], bool] = lambda _: True
) -> hql.Result:
    return hql.run(world, text, params, Reply(world), seen)


def test_nothing_is_loaded_that_was_not_fetched(world: State) -> None:
    (found,) = run(world, "select p from Pixels p where p.id = 1").rows[0]
    assert found.sizeX.val == 64
    assert not found.image.loaded
    assert not found.pixelsType.loaded
    assert not found.details.owner.loaded
    assert not found.isChannelsLoaded()


def test_what_was_fetched_is_loaded_and_refers_back(world: State) -> None:
    text = """select p from Pixels p join fetch p.image join fetch p.details.owner
              left outer join fetch p.channels c left outer join fetch c.logicalChannel where p.id = 1"""
    (found,) = run(world, text).rows[0]
    assert found.image.name.val == "b.tif"
    assert not found.image.isPixelsLoaded()
    assert found.details.owner.omeName.val == "alice"
    assert [c.logicalChannel.name.val for c in found.copyChannels()] == ["DAPI", "GFP"]
    assert all(c.pixels is found for c in found.copyChannels())


def test_a_fetched_collection_without_rows_is_loaded_and_empty(world: State) -> None:
    (found,) = run(world, "select r from Roi r left outer join fetch r.shapes where r.id = 2").rows[0]
    assert found.sizeOfShapes() == 0


def test_a_condition_on_a_fetched_collection_leaves_it_with_what_fits(world: State) -> None:
    text = "select d from Dataset d join fetch d.imageLinks l where d.id = 1 and l.child.id > 1"
    (found,) = run(world, text).rows[0]
    assert [link.child.id.val for link in found.copyImageLinks()] == [2, 3]


def test_a_page_counts_objects_and_not_rows_where_collections_are_fetched(world: State) -> None:
    params = omero.sys.ParametersI().page(1, 2)
    found = run(world, "select d from Dataset d left outer join fetch d.imageLinks order by d.id", params)
    assert [row[0].id.val for row in found.rows] == [2, 3]
    assert found.rows[0][0].sizeOfImageLinks() == 2


def test_a_page_of_a_plain_join_counts_rows(world: State) -> None:
    params = omero.sys.ParametersI().page(1, 3)
    found = run(world, "select d from Dataset d join d.imageLinks order by d.id", params)
    assert [row[0].id.val for row in found.rows] == [1, 1, 2]


def test_columns_know_their_types(world: State) -> None:
    text = """select i.id, i.name, i.series, i.archived, i.acquisitionDate,
                     count(p), sum(p.sizeX), avg(p.sizeX), i
              from Image i join i.pixels p group by i"""
    expected = ["rlong", "rstring", "rint", "rbool", "rtime", "rlong", "rlong", "rdouble", "entity"]
    assert run(world, text).columns == expected


@pytest.mark.parametrize(
    "params",
    [
        {"ids": rlist([rlong(1), rlong(2)]), "name": rstring("b.tif"), "size": rint(64)},
        {"ids": [1, 2], "name": "b.tif", "size": 64},
    ],
)
def test_parameters_are_rtypes_or_plain(world: State, params: dict[str, Any]) -> None:
    text = (
        "select i.id from Image i join i.pixels p where i.id in (:ids) and i.name = :name and p.sizeX = :size"
    )
    assert run(world, text, params).rows == [[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("select i from Image i where i.id = :value", "1"),
        ("select i from Image i where i.name < :value", 1),
        ("select i from Image i where i.name like :value", 1),
        ("select i from Image i where lower(:value) = 'a'", 1),
        ("select i.id + :value from Image i", "1"),
    ],
)
def test_parameters_of_another_type_are_refused(world: State, text: str, value: Any) -> None:
    with pytest.raises(hql.HqlError):
        run(world, text, {"value": value})


def test_an_object_may_be_a_parameter(world: State) -> None:
    params = {"image": omero.rtypes.robject(omero.model.ImageI(3, False))}
    assert run(world, "select p.id from Pixels p where p.image = :image", params).rows == [[3]]


# Who may see what


@pytest.mark.parametrize(
    ("text", "finds"),
    [
        ("select i.id from Image i", [[5]]),
        ("select count(i) from Image i", [[1]]),
        ("select p.id from Pixels p join p.image i", [[5]]),
        ("select count(l) from DatasetImageLink l", [[0]]),
        (
            "select a.id from Annotation a where exists (from ImageAnnotationLink l where l.child = a)",
            [],
        ),
        ("select (select count(*) from Image i) from Annotation a", [[1], [1]]),
        ("select e.omeName from Experimenter e", [["alice"], ["bob"]]),
    ],
)
def test_what_the_caller_may_not_see_does_not_exist(world: State, text: str, finds: list[Any]) -> None:
    assert run(world, text, None, lambda row: row.owner in (-1, 3)).rows == finds


def test_permissions_come_in_place_of_an_entity_in_a_map(world: State) -> None:
    reply = Reply(world, lambda row: f"permissions of {row}")
    text = "select new map(i.id as id, i as i_details_permissions) from Image i where i.id = 1"
    found = hql.run(world, text, None, reply, lambda _: True)
    assert (found.names, found.rows) == (["id", "i_details_permissions"], [[1, "permissions of Image:1"]])
    assert found.columns == ["rlong", "permissions"]
