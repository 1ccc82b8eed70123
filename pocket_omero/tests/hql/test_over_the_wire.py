# SPDX-License-Identifier: GPL-2.0-or-later
"""IQuery and IUpdate, as a client of OMERO meets them."""

from collections.abc import Iterator
from typing import Any

import numpy
import omero
import omero.all
import pytest
import tifffile
from omero.model import DatasetI, DatasetImageLinkI, ImageI, TagAnnotationI
from omero.rtypes import rstring, unwrap
from omero.sys import Filter, ParametersI
from pocket_omero.server import Server
from pocket_omero.testing import PEOPLE, fill

pytestmark = [pytest.mark.omero, pytest.mark.slow]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[omero.client]:
    folder = tmp_path_factory.mktemp("served")
    fill(folder)
    tifffile.imwrite(folder / "image.tif", numpy.zeros((16, 16), "u1"))
    with Server(folder) as server, server.client(*PEOPLE["member"]) as made:
        yield made


@pytest.fixture
def query(client: omero.client) -> Any:
    return client.sf.getQueryService()


@pytest.fixture
def update(client: omero.client) -> Any:
    return client.sf.getUpdateService()


def tag(words: str) -> Any:
    made = TagAnnotationI()
    made.setTextValue(rstring(words))
    return made


def test_saved_objects_are_found_in_every_way(query: Any, update: Any) -> None:
    ids = update.saveAndReturnIds([tag("Found one"), tag("found two")])
    assert [query.get("TagAnnotation", each).textValue.val for each in ids] == ["Found one", "found two"]
    assert query.find("ome.model.annotations.TagAnnotation", ids[0]).id.val == ids[0]
    assert query.findByString("TagAnnotation", "textValue", "found two").id.val == ids[1]
    assert [
        t.id.val for t in query.findAllByString("TagAnnotation", "textValue", "found", False, None)
    ] == ids
    assert len(query.findAllByString("TagAnnotation", "textValue", "found", True, None)) == 1
    assert [t.id.val for t in query.findAllByExample(tag("found two"), None)] == ids[1:]
    assert query.findByExample(tag("Found one")).id.val == ids[0]
    assert {t.id.val for t in query.findAll("TagAnnotation", None)} >= set(ids)
    params = ParametersI().addIds(ids)
    found = query.findAllByQuery("select t from TagAnnotation t where t.id in (:ids) order by t.id", params)
    assert [t.id.val for t in found] == ids
    assert query.refresh(found[0]).textValue.val == "Found one"


def test_what_is_not_there_is_none_or_an_error(query: Any) -> None:
    assert query.find("Image", 10**9) is None
    assert query.findByQuery("select i from Image i where i.id = -1", None) is None
    with pytest.raises(omero.ValidationException, match=r"\(Image,1000000000\) is not available"):
        query.get("Image", 10**9)


def test_more_than_one_where_one_is_wanted_is_an_error(query: Any, update: Any) -> None:
    update.saveArray([tag("twice"), tag("twice")])
    with pytest.raises(omero.ApiUsageException, match="has returned more than one Object"):
        query.findByString("TagAnnotation", "textValue", "twice")
    with pytest.raises(omero.ApiUsageException, match="has returned more than one Object"):
        query.findByQuery("select t from TagAnnotation t where t.textValue = 'twice'", None)


def test_a_filter_chooses_a_page(query: Any, update: Any) -> None:
    ids = update.saveAndReturnIds([tag(f"page {n}") for n in range(5)])
    wanted = Filter()
    wanted.limit, wanted.offset = omero.rtypes.rint(2), omero.rtypes.rint(1)
    found = query.findAllByString("TagAnnotation", "textValue", "page ", True, wanted)
    assert [t.id.val for t in found] == ids[1:3]


def test_a_projection_keeps_types(query: Any) -> None:
    text = """select i.id, i.name, p.sizeX, p.physicalSizeX, i.details.creationEvent.time, type(i.class), i
              from Image i join i.pixels p order by i.id"""
    first = query.projection(text, ParametersI().page(0, 1))[0]
    kinds = [type(value) if value is not None else None for value in first]
    assert kinds[:3] == [omero.rtypes.RLongI, omero.rtypes.RStringI, omero.rtypes.RIntI]
    assert kinds[4:] == [omero.rtypes.RTimeI, omero.rtypes.RStringI, omero.rtypes.RObjectI]
    assert first[5].val == "ome.model.core.Image"


def test_a_map_tells_permissions(query: Any) -> None:
    text = "select new map(i.id as id, i as image_details_permissions) from Image i order by i.id"
    told = unwrap(query.projection(text, ParametersI().page(0, 1)))[0][0]
    assert told["image_details_permissions"]["canEdit"] is True
    assert set(told["image_details_permissions"]) == {
        "perm",
        "canAnnotate",
        "canChgrp",
        "canChown",
        "canDelete",
        "canEdit",
        "canLink",
    }


def test_a_single_null_is_an_empty_row(query: Any) -> None:
    assert query.projection("select max(i.id) from Image i where i.id < 0", None) == [[]]
    assert query.projection("select max(i.id), count(i) from Image i where i.id < 0", None)[0][0] is None


def test_a_bad_statement_is_a_query_exception_that_names_it(query: Any) -> None:
    with pytest.raises(omero.QueryException) as refused:
        query.findAllByQuery("select i from Imagine i", None)
    assert refused.value.message == "Imagine is no entity of OMERO's model [select i from Imagine i]"


def test_columns_are_not_objects(query: Any) -> None:
    with pytest.raises(omero.ApiUsageException, match="must return IObjects"):
        query.findAllByQuery("select i.id from Image i", None)


def test_several_objects_are_saved_all_or_not_at_all(query: Any, update: Any) -> None:
    with pytest.raises(omero.ValidationException, match=r"Dataset\.name"):
        update.saveArray([tag("half"), DatasetI()])
    assert query.findAllByString("TagAnnotation", "textValue", "half", True, None) == []


def test_an_older_version_is_an_optimistic_lock(update: Any) -> None:
    made = update.saveAndReturnObject(tag("old"))
    made.setTextValue(rstring("new"))
    update.saveObject(made)
    with pytest.raises(omero.OptimisticLockException):
        update.saveAndReturnObject(made)


def test_a_row_is_deleted_unless_something_refers_to_it(query: Any, update: Any) -> None:
    link = DatasetImageLinkI()
    link.parent, link.child = DatasetI(), ImageI(query.findAll("Image", None)[0].id.val, False)
    link.parent.setName(rstring("short-lived"))
    link = update.saveAndReturnObject(link)
    with pytest.raises(omero.ValidationException, match="still referred to"):
        update.deleteObject(link.parent)
    update.deleteObject(link)
    update.deleteObject(link.parent)
    assert query.find("Dataset", link.parent.id.val) is None
    with pytest.raises(omero.ApiUsageException, match="Must have an id"):
        update.deleteObject(DatasetI())
