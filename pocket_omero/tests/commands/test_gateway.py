# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands as BlitzGateway sends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import omero
import pytest
from omero.cmd import DoAllRsp
from omero.gateway import BlitzGateway
from pocket_omero.people import levels, roster

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:isSet\(\) is deprecated:DeprecationWarning"),  # omero-py's
]


@pytest.fixture(scope="module")
def conn(bench: Any) -> Iterator[Any]:
    made = BlitzGateway(client_obj=bench.client("anna"))
    made.SERVICE_OPTS.setOmeroGroup("-1")
    yield made


def response(conn: Any, handle: Any) -> Any:
    callback = conn.c.waitOnCmd(handle, loops=50, ms=100, failonerror=True)
    handle.close()
    return callback.getResponse()


def test_deleting_a_dataset_spares_its_images_unless_told_otherwise(bench: Any, conn: Any) -> None:
    for children in (False, True):
        dataset, image = bench.row("Dataset"), bench.image()
        bench.link(dataset, image)
        conn.deleteObjects("Dataset", [dataset.id], deleteChildren=children, wait=True)
        assert not bench.there(dataset)
        assert bench.there(image) is not children


def test_deleting_an_image_spares_tags_unless_told_otherwise(bench: Any, conn: Any) -> None:
    for notes in (False, True):
        image, tag = bench.image(), bench.row("TagAnnotation", textValue="t")
        bench.link(image, tag)
        conn.deleteObjects("Image", [image.id], deleteAnns=notes, wait=True)
        assert bench.there(tag) is not notes


def test_a_refused_delete_is_an_error_of_the_gateway(bench: Any, conn: Any) -> None:
    with pytest.raises(omero.CmdError, match="not permitted"):
        conn.deleteObjects("Image", [bench.image("ben").id], wait=True)


def test_an_image_moves_into_a_dataset_of_another_group(bench: Any, conn: Any) -> None:
    image, dataset = bench.image(), bench.row("Dataset", "anna", "read-only")
    group = bench.group("read-only").id
    answer = response(conn, conn.chgrpObjects("Image", [image.id], group, dataset.id))
    assert isinstance(answer, DoAllRsp)
    assert image.group == group
    (link,) = bench.state.many(image, "datasetLinks")
    assert (link["parent"], link.group) == (dataset, group)


def test_what_is_below_a_project_moves_or_goes_by_its_kind(bench: Any, conn: Any) -> None:
    project, dataset, image = bench.row("Project"), bench.row("Dataset"), bench.image()
    bench.link(project, dataset)
    bench.link(dataset, image)
    response(conn, conn.chgrpObjects("Project/Dataset", [project.id], bench.group("read-only").id))
    assert dataset.group == image.group == bench.group("read-only").id
    assert project.group == bench.group("read-annotate").id
    conn.deleteObjects("Dataset/Image", [dataset.id], deleteChildren=True, wait=True)
    assert not bench.there(image)
    assert bench.there(dataset)


def test_the_owner_of_a_group_changes_its_level(bench: Any) -> None:
    with bench.state.change():
        club = roster.new_group(bench.state, "choir", "private")
        roster.join(bench.state, bench.person("olga"), club, leads=True)
    olga = BlitzGateway(client_obj=bench.client("olga"))
    response(olga, olga.chmodGroup(club.id, "rwra--"))
    assert roster.level_of(club) == levels.READ_ANNOTATE


def test_data_is_given_to_another_person(bench: Any) -> None:
    image = bench.image()
    root = BlitzGateway(client_obj=bench.client("root"))
    response(root, root.chownObjects("Image", [image.id], bench.person("ben").id))
    assert image.owner == bench.person("ben").id
