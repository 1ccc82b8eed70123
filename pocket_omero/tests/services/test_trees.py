# SPDX-License-Identifier: GPL-2.0-or-later
"""IContainer, IMetadata, IRoi and ITypes as clients use them: what is loaded, and for whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import omero
import pytest
from omero.rtypes import rlong, rstring, unwrap
from omero.sys import ParametersI
from pocket_omero.people import roster
from pocket_omero.server import Server
from pocket_omero.state import Row

pytestmark = [pytest.mark.omero, pytest.mark.slow]

PEOPLE = """
groups:
  lab: read-annotate
  hidden: private
people:
  anna: {password: anna, groups: [lab, hidden]}
  ben: {password: ben, groups: [lab, hidden]}
"""
TAG_SET = "openmicroscopy.org/omero/insight/tagset"


class World:
    """Rows on a running server, made without a client."""

    def __init__(self, server: Server) -> None:
        self.server, self.state = server, server.house.state

    def row(self, kind: str, owner: str = "anna", group: str = "lab", **values: Any) -> Row:
        """A new row of somebody in a group."""
        details = {
            "details.owner": roster.person(self.state, owner),
            "details.group": roster.group(self.state, group),
        }
        return self.state.new(kind, **details, **values)

    def link(self, kind: str, parent: Row, child: Row, owner: str = "anna") -> Row:
        """A new link."""
        return self.row(kind, owner, parent=parent, child=child)

    def image(self, name: str, **values: Any) -> Row:
        """An image with pixels."""
        image = self.row("Image", name=name, **values)
        kind = self.state.where("PixelsType", "value", "uint8")[0]
        order = self.state.where("DimensionOrder", "value", "XYZCT")[0]
        self.row("Pixels", image=image, pixelsType=kind, dimensionOrder=order, sizeX=4, sizeY=5)
        return image


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("trees")
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as server:
        yield World(server)


@pytest.fixture(scope="module")
def anna(world: World) -> Iterator[Any]:
    with world.server.client("anna", "anna") as client:
        yield client.sf


@pytest.fixture(scope="module")
def ben(world: World) -> Iterator[Any]:
    with world.server.client("ben", "ben") as client:
        yield client.sf


@pytest.fixture(scope="module")
def tree(world: World) -> dict[str, Row]:
    """project > dataset > image, and a lone dataset with another image."""
    rows = {
        "project": world.row("Project", name="p"),
        "dataset": world.row("Dataset", name="d"),
        "lone": world.row("Dataset", name="lone"),
        "image": world.image("i"),
        "other": world.image("o"),
    }
    world.link("ProjectDatasetLink", rows["project"], rows["dataset"])
    world.link("DatasetImageLink", rows["dataset"], rows["image"])
    world.link("DatasetImageLink", rows["lone"], rows["other"])
    return rows


# IContainer


def test_a_project_comes_with_its_datasets_and_with_images_only_as_leaves(anna: Any, tree: Any) -> None:
    container = anna.getContainerService()
    (project,) = container.loadContainerHierarchy("Project", [tree["project"].id], None)
    (dataset,) = project.linkedDatasetList()
    assert dataset.name.val == "d"
    assert dataset.sizeOfImageLinks() < 0  # not loaded
    (project,) = container.loadContainerHierarchy("Project", [tree["project"].id], ParametersI().leaves())
    ((image,),) = (d.linkedImageList() for d in project.linkedDatasetList())
    assert (image.name.val, image.getPrimaryPixels().pixelsType.value.val) == ("i", "uint8")
    assert project.details.owner.omeName.val == "anna"


def test_without_ids_all_containers_come_and_what_is_in_none_on_request(anna: Any, tree: Any) -> None:
    container = anna.getContainerService()
    names = {
        type(o).__name__ + o.name.val for o in container.loadContainerHierarchy("Project", [], ParametersI())
    }
    assert names == {"ProjectIp"}
    more = container.loadContainerHierarchy("Project", [], ParametersI().orphan())
    assert {o.name.val for o in more} == {"p", "lone"}


def test_the_containers_of_images_are_found_with_the_way_down_to_them(anna: Any, tree: Any) -> None:
    found = anna.getContainerService().findContainerHierarchies(
        "Project", [tree["image"].id, tree["other"].id], ParametersI()
    )
    by_name = {o.name.val: o for o in found}
    assert set(by_name) == {"p", "lone"}
    (dataset,) = by_name["p"].linkedDatasetList()
    assert [i.name.val for i in dataset.linkedImageList()] == ["i"]


def test_images_are_found_by_container_by_owner_and_page_by_page(anna: Any, ben: Any, tree: Any) -> None:
    container = anna.getContainerService()
    (image,) = container.getImages("Project", [tree["project"].id], ParametersI())
    assert image.getPrimaryPixels().dimensionOrder.value.val == "XYZCT"
    assert [i.name.val for i in container.getImages("Image", [tree["other"].id], None)] == ["o"]
    assert {i.name.val for i in container.getUserImages(ParametersI())} == {"i", "o"}
    assert ben.getContainerService().getUserImages(ParametersI()) == []
    page = container.getImagesByOptions(ParametersI().page(1, 1))
    assert [i.name.val for i in page] == ["o"]


def test_collections_are_counted_and_fetched(anna: Any, tree: Any) -> None:
    container, number = anna.getContainerService(), tree["dataset"].id
    assert container.getCollectionCount("Dataset", "imageLinks", [number], None) == {number: 1}
    full = "ome.model.containers.Dataset_imageLinks"
    assert container.getCollectionCount("ome.model.containers.Dataset", full, [number], None) == {number: 1}
    obj = omero.model.DatasetI(number, False)
    assert [i.name.val for i in container.retrieveCollection(obj, "imageLinks", None)] == ["i"]
    with pytest.raises(omero.ApiUsageException, match="no collection"):
        container.getCollectionCount("Dataset", "wheels", [number], None)


def test_filesets_of_which_only_some_images_are_chosen_are_told(world: World, anna: Any) -> None:
    fileset = world.row("Fileset", templatePrefix="x")
    images = [world.image(f"s{n}", fileset=fileset) for n in range(3)]
    container = anna.getContainerService()
    split = container.getImagesBySplitFilesets({"Image": [images[0].id]}, None)
    assert split == {fileset.id: {True: [images[0].id], False: [i.id for i in images[1:]]}}
    assert container.getImagesBySplitFilesets({"Image": [i.id for i in images]}, None) == {}
    for image in images:
        world.state.delete(world.state.many(image, "pixels")[0])
        world.state.delete(image)


# IMetadata


@pytest.fixture(scope="module")
def notes(world: World, tree: dict[str, Row]) -> dict[str, Row]:
    """A tag in a set, a file and key-value pairs on the image; a tag of ben's."""
    hasher = world.state.where("ChecksumAlgorithm", "value", "SHA1-160")[0]
    file = world.row("OriginalFile", name="f.csv", path="/", size=3, hasher=hasher)
    rows = {
        "tag": world.row("TagAnnotation", textValue="red"),
        "set": world.row("TagAnnotation", textValue="colours", ns=TAG_SET),
        "file": world.row("FileAnnotation", file=file, ns="results"),
        "pairs": world.row("MapAnnotation", mapValue=[("a", "1")], ns="pairs"),
        "theirs": world.row("TagAnnotation", "ben", textValue="blue"),
    }
    for name in ("tag", "file", "pairs"):
        world.link("ImageAnnotationLink", tree["image"], rows[name])
    world.link("ImageAnnotationLink", tree["image"], rows["theirs"], owner="anna")
    world.link("AnnotationAnnotationLink", rows["set"], rows["tag"])
    return rows


def test_annotations_come_by_row_with_owner_and_file(anna: Any, tree: Any, notes: Any) -> None:
    metadata, number = anna.getMetadataService(), tree["image"].id
    loaded = metadata.loadAnnotations("Image", [number, tree["other"].id], [], [], None)
    assert {a.id.val for a in loaded[number]} == {notes[n].id for n in ("tag", "file", "pairs", "theirs")}
    assert loaded[tree["other"].id] == []
    only = metadata.loadAnnotations("Image", [number], ["ome.model.annotations.FileAnnotation"], [], None)
    (file,) = only[number]
    assert (file.file.name.val, file.file.hasher.value.val) == ("f.csv", "SHA1-160")
    assert file.details.owner.omeName.val == "anna"


def test_annotations_come_by_kind_and_name_space(anna: Any, tree: Any, notes: Any) -> None:
    metadata, number = anna.getMetadataService(), tree["image"].id
    found = metadata.loadSpecifiedAnnotations("FileAnnotation", ["results"], [], ParametersI())
    assert [a.id.val for a in found] == [notes["file"].id]
    assert metadata.loadSpecifiedAnnotations("FileAnnotation", [], ["results"], ParametersI()) == []
    linked = metadata.loadSpecifiedAnnotationsLinkedTo(
        "MapAnnotation", ["pairs"], [], "Image", [number], None
    )
    ((pairs,),) = linked.values()
    assert [(p.name, p.value) for p in pairs.getMapValue()] == [("a", "1")]
    assert unwrap(metadata.countSpecifiedAnnotations("TagAnnotation", [], [TAG_SET], ParametersI())) == 2
    assert [a.id.val for a in metadata.loadAnnotation([notes["tag"].id])] == [notes["tag"].id]
    used = metadata.loadAnnotationsUsedNotOwned("TagAnnotation", tree["image"].owner)
    assert [a.textValue.val for a in used] == ["blue"]
    assert unwrap(metadata.countAnnotationsUsedNotOwned("TagAnnotation", tree["image"].owner)) == 1


def test_tags_come_with_their_sets_and_what_they_are_on(anna: Any, tree: Any, notes: Any) -> None:
    metadata, tag = anna.getMetadataService(), notes["tag"].id
    sets = {a.textValue.val: a for a in metadata.loadTagSets(ParametersI())}
    assert [t.textValue.val for t in sets["colours"].linkedAnnotationList()] == ["red"]
    assert "blue" in {a.textValue.val for a in metadata.loadTagSets(ParametersI().orphan())}
    content = metadata.loadTagContent([tag], ParametersI())
    assert [o.name.val for o in content[tag]] == ["i"]
    assert metadata.getTaggedObjectsCount([tag], ParametersI()) == {tag: 1}


def test_how_channels_were_recorded_is_loaded_to_the_ground(world: World, anna: Any) -> None:
    instrument = world.row("Instrument")
    detector = world.row("Detector", instrument=instrument, model="eye")
    settings = world.row("DetectorSettings", detector=detector)
    channel = world.row("LogicalChannel", name="DAPI", detectorSettings=settings)
    (loaded,) = anna.getMetadataService().loadChannelAcquisitionData([channel.id])
    assert loaded.detectorSettings.detector.model.val == "eye"
    loaded = anna.getMetadataService().loadInstrument(instrument.id)
    assert [d.model.val for d in loaded.copyDetector()] == ["eye"]
    with pytest.raises(omero.ApiUsageException):
        anna.getMetadataService().loadInstrument(10**6)


# IRoi


def test_rois_come_with_shapes_of_all_kinds_and_by_plane(world: World, anna: Any, tree: Any) -> None:
    roi = world.row("Roi", image=tree["image"])
    transform = world.row("AffineTransform", a00=1.0, a10=0.0, a01=0.0, a11=1.0, a02=2.0, a12=3.0)
    shapes = {
        "Rectangle": {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "theZ": 0, "theT": 0},
        "Ellipse": {"x": 5.0, "y": 5.0, "radiusX": 2.0, "radiusY": 1.0, "theZ": 1, "theT": 0},
        "Point": {"x": 1.0, "y": 1.0},
        "Line": {"x1": 0.0, "y1": 0.0, "x2": 3.0, "y2": 4.0},
        "Polygon": {"points": "0,0 4,0 4,4"},
        "Polyline": {"points": "0,0 4,0"},
        "Label": {"x": 1.0, "y": 1.0, "textValue": "here"},
        "Mask": {"x": 0.0, "y": 0.0, "width": 8.0, "height": 1.0, "bytes": b"\xf0"},
    }
    for kind, values in shapes.items():
        world.row(kind, roi=roi, transform=transform if kind == "Polygon" else None, **values)
    service = anna.getRoiService()
    result = service.findByImage(tree["image"].id, None)
    (loaded,) = result.rois
    assert {type(s).__name__ for s in loaded.copyShapes()} == {kind + "I" for kind in shapes}
    mask = next(s for s in loaded.copyShapes() if isinstance(s, omero.model.Mask))
    assert bytes(mask.bytes) == b"\xf0"
    polygon = next(s for s in loaded.copyShapes() if isinstance(s, omero.model.Polygon))
    assert polygon.transform.a02.val == 2.0
    assert {z: len(s) for z, s in result.byZ.items()} == {0: 1, 1: 1, -1: 6}
    assert [r.id.val for r in service.findByRoi(roi.id, None).rois] == [roi.id]
    assert len(service.findByPlane(tree["image"].id, 1, 0, None).rois) == 1
    assert service.findByImage(tree["other"].id, None).rois == []


def test_rois_are_chosen_by_owner_and_kind_of_shape(world: World, ben: Any, tree: Any) -> None:
    roi = world.row("Roi", "ben", image=tree["image"])
    world.row("Point", "ben", roi=roi, x=1.0, y=1.0)
    service, number = ben.getRoiService(), tree["image"].id
    options = omero.api.RoiOptions(userId=rlong(roi.owner))
    assert [r.id.val for r in service.findByImage(number, options).rois] == [roi.id]
    options = omero.api.RoiOptions(shapes=["Mask"])
    assert len(service.findByImage(number, options).rois) == 1


def test_rois_in_a_private_group_are_their_owners_only(world: World, ben: Any) -> None:
    image = world.row("Image", group="hidden", name="h")
    world.row("Roi", group="hidden", image=image)
    context = {"omero.group": str(image.group)}
    assert ben.getRoiService().findByImage(image.id, None, context).rois == []


# ITypes


def test_enumerations_are_told_and_changed_by_administrators_only(world: World, anna: Any) -> None:
    types = anna.getTypesService()
    assert {e.value.val for e in types.allEnumerations("PixelsType")} >= {
        "uint8",
        "uint16",
        "float",
        "double",
    }
    assert types.getEnumeration("DimensionOrder", "XYZCT").value.val == "XYZCT"
    with pytest.raises(omero.ApiUsageException, match="could not be found"):
        types.getEnumeration("DimensionOrder", "ABCDE")
    with pytest.raises(omero.ApiUsageException, match="no enumeration"):
        types.allEnumerations("Image")
    assert "ome.model.enums.PixelsType" in types.getEnumerationTypes()
    assert "ome.model.annotations.TagAnnotation" in types.getAnnotationTypes()
    new = omero.model.ExperimentTypeI()
    new.value = rstring("Waiting")
    with pytest.raises(omero.SecurityViolation):
        types.createEnumeration(new)
