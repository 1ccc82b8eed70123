# SPDX-License-Identifier: GPL-2.0-or-later
"""Duplicate, asked for by a real client."""

from __future__ import annotations

from typing import Any

import pytest
from omero.cmd import Duplicate, DuplicateResponse, GraphException

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:isSet\(\) is deprecated:DeprecationWarning"),  # omero-py's
]


def copy(named: dict[str, list[int]], **wishes: Any) -> Any:
    return Duplicate(targetObjects=named, dryRun=wishes.pop("dry", False), **wishes)


def tree(bench: Any, owner: str = "anna", group: str = "read-annotate") -> tuple[Any, ...]:
    project, dataset = (bench.row(kind, owner, group, name=kind) for kind in ("Project", "Dataset"))
    tag = bench.row("TagAnnotation", owner, group, textValue="t")
    bench.link(project, dataset, owner)
    bench.link(dataset, tag, owner)
    return project, dataset, tag


def copies(bench: Any, response: Any, java: str, kind: str) -> list[Any]:
    return [bench.state.get(kind, number) for number in response.duplicates[f"ome.model.{java}"]]


def test_a_project_is_copied_with_its_datasets_and_what_is_on_them(bench: Any) -> None:
    project, dataset, tag = tree(bench)
    response = bench.ask("ben", copy({"Project": [project.id]}))
    assert isinstance(response, DuplicateResponse)
    (new,) = copies(bench, response, "containers.Project", "Project")
    assert (new["name"], new.owner, new.group) == ("Project", bench.person("ben").id, project.group)
    ((link,),) = (bench.state.many(new, "datasetLinks"),)
    assert link["child"] is not dataset
    ((note,),) = (bench.state.many(link["child"], "annotationLinks"),)
    assert note["child"] is not tag
    assert note["child"]["textValue"] == "t"
    assert len(bench.state.many(dataset, "annotationLinks")) == 1


def test_people_say_what_is_referred_to_and_what_is_passed_over(bench: Any) -> None:
    project, dataset, tag = tree(bench)
    response = bench.ask("anna", copy({"Project": [project.id]}, typesToReference=["Annotation"]))
    (new,) = copies(bench, response, "containers.Dataset", "Dataset")
    assert bench.state.many(new, "annotationLinks")[0]["child"] is tag
    response = bench.ask("anna", copy({"Project": [project.id]}, typesToIgnore=["ProjectDatasetLink"]))
    assert "ome.model.containers.Dataset" not in response.duplicates
    response = bench.ask("anna", copy({"Dataset": [dataset.id]}, typesToIgnore=["Annotation"]))
    assert isinstance(response, GraphException)
    response = bench.ask("anna", copy({"Dataset": [dataset.id]}, typesToIgnore=["IAnnotationLink"]))
    assert list(response.duplicates) == ["ome.model.containers.Dataset"]


def test_a_dry_run_copies_nothing(bench: Any) -> None:
    project, *_ = tree(bench)
    before = bench.state.count("Project")
    response = bench.ask("anna", copy({"Project": [project.id]}, dry=True))
    assert response.duplicates["ome.model.containers.Project"] == [project.id]
    assert bench.state.count("Project") == before


def test_a_file_is_copied_with_its_bytes(bench: Any) -> None:
    dataset, file = bench.row("Dataset"), bench.row("OriginalFile", path="/", size=3)
    bench.server.house.files.path(file).write_bytes(b"abc")
    bench.link(dataset, bench.row("FileAnnotation", file=file))
    response = bench.ask("anna", copy({"Dataset": [dataset.id]}))
    (new,) = copies(bench, response, "core.OriginalFile", "OriginalFile")
    assert new is not file
    assert bench.server.house.files.path(new).read_bytes() == b"abc"


def test_links_to_what_others_own_need_the_right_to_link(bench: Any) -> None:
    _, dataset, _ = tree(bench, "anna", "read-only")
    response = bench.ask("ben", copy({"Dataset": [dataset.id]}, typesToReference=["Annotation"]))
    assert isinstance(response, GraphException)
    assert isinstance(bench.ask("ben", copy({"Dataset": [dataset.id]})), DuplicateResponse)


def test_images_of_one_fileset_are_copied_together_or_not_at_all(bench: Any) -> None:
    fileset = bench.row("Fileset", templatePrefix="x")
    images = [bench.row("Image", fileset=fileset) for _ in range(2)]
    response = bench.ask("anna", copy({"Image": [images[0].id]}))
    assert "may not duplicate" in response.message
    response = bench.ask("anna", copy({"Image": [image.id for image in images]}))
    (new,) = copies(bench, response, "fs.Fileset", "Fileset")
    assert len(bench.state.many(new, "images")) == 2


def test_an_image_is_copied_with_its_pixels(bench: Any) -> None:
    import numpy as np
    from omero.gateway import BlitzGateway

    conn = BlitzGateway(client_obj=bench.client("anna"))
    plane = np.arange(12, dtype=np.uint16).reshape(3, 4)
    conn.SERVICE_OPTS.setOmeroGroup(bench.group("read-annotate").id)
    image = conn.createImageFromNumpySeq(iter([plane]), "made", sizeZ=1, sizeC=1, sizeT=1)
    response = bench.ask("anna", copy({"Image": [image.getId()]}))
    assert isinstance(response, DuplicateResponse), response
    (number,) = response.duplicates["ome.model.core.Image"]
    assert number != image.getId()
    twin = conn.getObject("Image", number)
    assert (twin.getPrimaryPixels().getPlane(0, 0, 0) == plane).all()
    assert [c.getLabel() for c in twin.getChannels(noRE=True)] == [
        c.getLabel() for c in image.getChannels(noRE=True)
    ]
