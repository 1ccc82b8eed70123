# SPDX-License-Identifier: GPL-2.0-or-later
"""BlitzGateway of omero-py, unmodified: people, images, annotations, regions, deletion."""

from __future__ import annotations

import datetime
import io
import itertools
import time
from collections.abc import Iterator

import Glacier2
import numpy as np
import omero
import omero.gateway
import pytest
from omero.gateway import BlitzGateway
from omero.model import enums
from omero.rtypes import rdouble, rint, rlong, rstring, unwrap
from PIL import Image as Pillow
from pocket_omero.testing import Omero

from .world import PLANES, World, planes

pytestmark = [pytest.mark.omero, pytest.mark.slow, pytest.mark.client("omero-py")]


@pytest.fixture(scope="module")
def conn(place: Omero) -> Iterator[BlitzGateway]:
    with place.gateway() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(conn: BlitzGateway) -> World:
    return World.make(conn)


# logging in


def test_a_person_logs_in_over_tls(conn: BlitzGateway) -> None:
    assert conn.isConnected()
    assert conn.isSecure()


def test_the_event_context_names_person_and_group(conn: BlitzGateway, place: Omero) -> None:
    context = conn.getEventContext()
    assert context.userName == place.person("member")[0]
    assert context.groupId in context.memberOfGroups
    assert context.sessionUuid == conn.c.getSessionId()
    assert not context.isAdmin


def test_a_wrong_password_is_refused_by_the_gateway(place: Omero) -> None:
    conn = BlitzGateway(place.person("member")[0], "wrong", host=place.host, port=place.port, secure=True)
    assert not conn.connect()
    assert "Password check failed" in str(conn.getLastError())
    conn.close()


def test_a_wrong_password_is_refused_by_the_client(place: Omero) -> None:
    client = omero.client(place.host, place.port)
    try:
        with pytest.raises(Glacier2.PermissionDeniedException):
            client.createSession(place.person("member")[0], "wrong")
    finally:
        client.closeSession()


def test_a_session_is_joined_by_its_key(conn: BlitzGateway, place: Omero) -> None:
    other = BlitzGateway(host=place.host, port=place.port, secure=True)
    assert other.connect(sUuid=conn.c.getSessionId())
    assert other.getUser().getName() == conn.getUser().getName()
    assert conn.c.sf.getSessionService().getReferenceCount(conn.c.getSessionId()) == 2
    other.close(hard=False)
    assert conn.isConnected()


def test_a_closed_session_cannot_be_joined(place: Omero) -> None:
    with place.gateway() as conn:
        key = conn.c.getSessionId()
    other = BlitzGateway(host=place.host, port=place.port, secure=True)
    assert not other.connect(sUuid=key)
    other.close()


def test_a_detached_session_lives_on_until_it_is_killed(place: Omero) -> None:
    with place.gateway() as conn:
        group = conn.getGroupFromContext().getName()
        key = conn.c.sf.getSessionService().createUserSession(0, 600_000, group).uuid.val
    first = omero.client(place.host, place.port)
    first.joinSession(key).detachOnDestroy()
    first.closeSession()
    second = omero.client(place.host, place.port)
    assert second.joinSession(key).getAdminService().getEventContext().userName == place.person("member")[0]
    second.killSession()
    third = omero.client(place.host, place.port)
    with pytest.raises(Glacier2.PermissionDeniedException):
        third.joinSession(key)
    third.closeSession()


def test_an_administrator_works_as_somebody_else(place: Omero) -> None:
    with place.gateway("admin") as root:
        other = root.suConn(place.person("member")[0], ttl=60_000)
        assert other.getUser().getName() == place.person("member")[0]
        other.close()


def test_nobody_else_may_work_as_somebody_else(conn: BlitzGateway, place: Omero) -> None:
    principal = omero.sys.Principal()
    principal.name = place.person("colleague")[0]
    principal.group = conn.getGroupFromContext().getName()
    principal.eventType = "User"
    with pytest.raises(omero.SecurityViolation):
        conn.c.sf.getSessionService().createSessionWithTimeouts(principal, 0, 60_000)


def test_a_session_is_kept_alive(conn: BlitzGateway) -> None:
    assert conn.keepAlive()


def test_people_and_groups_are_listed(conn: BlitzGateway, place: Omero) -> None:
    names = {person.getName() for person in conn.getObjects("Experimenter")}
    assert {name for name, _ in place.people.values()} <= names
    assert conn.getGroupFromContext().getName() in {group.getName() for group in conn.getGroupsMemberOf()}
    leaders, colleagues = conn.getGroupFromContext().groupSummary()
    assert place.person("colleague")[0] in {person.getName() for person in leaders + colleagues}


# images


def test_an_image_is_found_by_its_id(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.image)
    assert image.getName() == "first"
    assert image.getOwnerOmeName() == conn.getUser().getName()
    assert image.canEdit()
    assert image.canAnnotate()
    assert abs(image.getDate() - datetime.datetime.now()) < datetime.timedelta(hours=1)


def test_sizes_and_pixel_type_are_right(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.image)
    shape = (image.getSizeX(), image.getSizeY(), image.getSizeZ(), image.getSizeC(), image.getSizeT())
    assert shape == (64, 48, 3, 2, 1)
    assert image.getPixelsType() == "uint16"


def test_parents_and_ancestry_lead_up(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.image)
    assert image.getParent().getId() == world.dataset
    assert image.getProject().getId() == world.project
    assert [one.getId() for one in image.getAncestry()] == [world.dataset, world.project]


def test_the_hierarchy_is_walked_down(conn: BlitzGateway, world: World) -> None:
    project = conn.getObject("Project", world.project)
    assert project.countChildren() == 1
    [dataset] = project.listChildren()
    assert [image.getName() for image in dataset.listChildren()] == ["first", "second", "third"]


def test_lists_are_ordered_and_paged(conn: BlitzGateway, world: World) -> None:
    wanted = {"dataset": world.dataset, "order_by": "obj.name", "limit": 2, "offset": 1}
    assert [image.getName() for image in conn.getObjects("Image", opts=wanted)] == ["second", "third"]


def test_objects_are_found_by_attributes(conn: BlitzGateway, world: World) -> None:
    found = conn.getObjects("Dataset", attributes={"name": world.name})
    assert world.dataset in [one.getId() for one in found]


def test_channels_have_names_colours_and_windows(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.image)
    assert len(image.getChannels(noRE=True)) == 2
    channels = image.getChannels()
    assert all(0 <= channel.getColor().getRed() <= 255 for channel in channels)
    assert all(channel.getWindowStart() <= channel.getWindowEnd() for channel in channels)


def test_channel_names_are_set(conn: BlitzGateway, world: World) -> None:
    conn.setChannelNames("Image", [world.image], {1: "DNA", 2: "Tubulin"})
    assert [one.getLabel() for one in conn.getObject("Image", world.image).getChannels()] == [
        "DNA",
        "Tubulin",
    ]


def test_a_plane_is_what_was_sent(conn: BlitzGateway, world: World) -> None:
    pixels = conn.getObject("Image", world.image).getPrimaryPixels()
    for place, plane in zip(itertools.product(range(3), range(2), range(1)), planes(), strict=True):
        assert np.array_equal(pixels.getPlane(*place), plane)


def test_a_tile_is_cut_out_of_its_plane(conn: BlitzGateway, world: World) -> None:
    tile = conn.getObject("Image", world.image).getPrimaryPixels().getTile(2, 1, 0, (5, 7, 11, 13))
    assert np.array_equal(tile, PLANES[5][7:20, 5:16])


def test_many_planes_come_from_one_store(conn: BlitzGateway, world: World) -> None:
    pixels = conn.getObject("Image", world.image).getPrimaryPixels()
    got = list(pixels.getPlanes([(z, 0, 0) for z in range(3)]))
    assert all(np.array_equal(a, b) for a, b in zip(got, PLANES[::2], strict=True))


def test_a_tile_outside_is_refused(conn: BlitzGateway, world: World) -> None:
    with pytest.raises(omero.ServerError):
        conn.getObject("Image", world.image).getPrimaryPixels().getTile(0, 0, 0, (60, 0, 64, 64))


def test_a_stack_is_read_raw(conn: BlitzGateway, world: World) -> None:
    store = conn.c.sf.createRawPixelsStore()
    try:
        store.setPixelsId(conn.getObject("Image", world.image).getPixelsId(), False)
        raw = np.frombuffer(store.getStack(1, 0), ">u2").reshape(3, 48, 64)
        assert np.array_equal(raw, np.stack(PLANES[1::2]))
        assert (store.getByteWidth(), store.isSigned(), store.isFloat()) == (2, False, False)
    finally:
        store.close()


@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
def test_images_of_every_pixel_type_are_made(conn: BlitzGateway, kind: str) -> None:
    plane = np.linspace(0, 100, 12 * 10).reshape(10, 12).astype(kind)
    image = conn.createImageFromNumpySeq(iter([plane]), f"of {kind}")
    got = conn.getObject("Image", image.getId()).getPrimaryPixels().getPlane(0, 0, 0)
    assert np.array_equal(got, plane)
    assert got.dtype.kind == plane.dtype.kind


def test_an_image_is_made_of_parts_of_another(conn: BlitzGateway, world: World) -> None:
    made = conn.createImageFromNumpySeq(
        planes(), "copy", 3, 2, 1, sourceImageId=world.image, channelList=[1, 0]
    )
    assert (made.getSizeZ(), made.getSizeC()) == (3, 2)


def test_a_thumbnail_is_a_jpeg(conn: BlitzGateway, world: World) -> None:
    small = Pillow.open(io.BytesIO(conn.getObject("Image", world.image).getThumbnail(size=(32, 32))))
    assert small.format == "JPEG"
    assert max(small.size) <= 32


def test_thumbnails_come_in_sets(conn: BlitzGateway, world: World) -> None:
    assert {key for key, data in conn.getThumbnailSet([world.image], 48).items() if data} == {world.image}


def test_a_rendered_image_has_its_channels_colours(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.image)
    image.setActiveChannels([1], [[0, 65535]], ["FF0000"])
    red = np.asarray(image.renderImage(0, 0, compression=1.0)).astype(int)
    assert red[..., 0].max() > 4 * red[..., 1].max()
    image.setGreyscaleRenderingModel()
    grey = np.asarray(image.renderImage(0, 0, compression=1.0)).astype(int)
    assert np.abs(grey[..., 0] - grey[..., 1]).max() <= 8


def test_a_region_is_rendered(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.image)
    assert Pillow.open(io.BytesIO(image.renderJpegRegion(0, 0, 10, 10, 20, 16))).size == (20, 16)


def test_a_histogram_counts_every_pixel(conn: BlitzGateway, world: World) -> None:
    counts = conn.getObject("Image", world.image).getHistogram([0], 256, globalRange=False, theZ=0, theT=0)
    assert sum(counts[0]) == 64 * 48


def test_names_and_descriptions_are_changed(conn: BlitzGateway, world: World) -> None:
    dataset = conn.getObject("Dataset", world.dataset)
    dataset.setDescription("what it is")
    dataset.save()
    assert conn.getObject("Dataset", world.dataset).getDescription() == "what it is"


def test_a_search_finds_names(conn: BlitzGateway, world: World, place: Omero) -> None:
    if place.is_real:
        time.sleep(30)  # a real server indexes now and then
    found = conn.searchObjects(["Dataset"], world.name)
    assert world.dataset in [one.getId() for one in found]


# annotations


def _values() -> list[tuple[str, object]]:
    return [
        ("TagAnnotation", "a tag"),
        ("CommentAnnotation", "a comment"),
        ("LongAnnotation", 7),
        ("DoubleAnnotation", 2.5),
        ("BooleanAnnotation", True),
        ("TermAnnotation", "a term"),
        ("XmlAnnotation", "<a/>"),
        ("TimestampAnnotation", datetime.datetime(2026, 1, 2, 3, 4, 5)),
        ("MapAnnotation", [["key", "value"], ["key", "again"]]),
    ]


@pytest.mark.parametrize(("kind", "value"), _values())
def test_annotations_of_every_kind_are_kept(
    conn: BlitzGateway, world: World, kind: str, value: object
) -> None:
    note = getattr(omero.gateway, f"{kind}Wrapper")(conn)
    note.setNs(f"test.{kind}")
    note.setValue(value)
    note.save()
    image = conn.getObject("Image", world.image)
    image.linkAnnotation(note)
    [back] = conn.getObject("Image", world.image).listAnnotations(ns=f"test.{kind}")
    assert type(back).__name__ == f"{kind}Wrapper"
    got = back.getValue()
    assert [list(pair) for pair in got] == value if kind == "MapAnnotation" else got == value


def test_a_file_is_attached_and_read_back(conn: BlitzGateway, world: World, tmp_path: object) -> None:
    data = np.random.default_rng(1).bytes(2_500_000)
    file = f"{tmp_path}/numbers.bin"
    with open(file, "wb") as stream:  # noqa: PTH123
        stream.write(data)
    note = conn.createFileAnnfromLocalFile(file, mimetype="application/octet-stream", ns="test.file")
    conn.getObject("Image", world.image).linkAnnotation(note)
    [back] = conn.getObject("Image", world.image).listAnnotations(ns="test.file")
    assert back.getFileName() == "numbers.bin"
    assert back.getFile().getSize() == len(data)
    assert b"".join(back.getFileInChunks()) == data
    assert len(back.getFile().getHash()) == 40


def test_an_annotation_is_found_through_its_parents(conn: BlitzGateway, world: World) -> None:
    tag = omero.gateway.TagAnnotationWrapper(conn)
    tag.setValue(f"on {world.name}")
    tag.save()
    conn.getObject("Dataset", world.dataset).linkAnnotation(tag)
    links = list(conn.getAnnotationLinks("Dataset", parent_ids=[world.dataset], ann_ids=[tag.getId()]))
    assert len(links) == 1
    assert [one.getId() for one in tag.getParentLinks("Dataset")] == [links[0].getId()]


def test_tags_are_counted(conn: BlitzGateway, world: World) -> None:
    counts = conn.countAnnotations("Image", [world.image])
    assert counts["TagAnnotation"] >= 1


def test_an_annotation_is_taken_off(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.second)
    note = omero.gateway.CommentAnnotationWrapper(conn)
    note.setNs("test.off")
    note.setValue("for a moment")
    image.linkAnnotation(note.save() or note)
    conn.getObject("Image", world.second).unlinkAnnotations("test.off")
    assert not list(conn.getObject("Image", world.second).listAnnotations(ns="test.off"))


# regions


def _shapes() -> list[omero.model.Shape]:
    rectangle = omero.model.RectangleI()
    rectangle.x, rectangle.y, rectangle.width, rectangle.height = map(rdouble, (1, 2, 3, 4))
    ellipse = omero.model.EllipseI()
    ellipse.x, ellipse.y, ellipse.radiusX, ellipse.radiusY = map(rdouble, (10, 10, 3, 4))
    point = omero.model.PointI()
    point.x, point.y = rdouble(5), rdouble(6)
    line = omero.model.LineI()
    line.x1, line.y1, line.x2, line.y2 = map(rdouble, (0, 0, 10, 10))
    polygon = omero.model.PolygonI()
    polygon.points = rstring("0,0 10,0 10,10")
    polyline = omero.model.PolylineI()
    polyline.points = rstring("0,0 10,0 10,10")
    label = omero.model.LabelI()
    label.x, label.y = rdouble(1), rdouble(1)
    mask = omero.model.MaskI()
    mask.x, mask.y, mask.width, mask.height = map(rdouble, (0, 0, 8, 8))
    mask.setBytes(bytes(range(8)))
    shapes = [rectangle, ellipse, point, line, polygon, polyline, label, mask]
    for number, shape in enumerate(shapes):
        shape.theZ, shape.theT = rint(0), rint(0)
        shape.textValue = rstring(f"shape {number}")
        shape.strokeColor = rint(-1)
        shape.strokeWidth = omero.model.LengthI(2.0, enums.UnitsLength.PIXEL)
    return shapes


def test_regions_with_every_shape_are_kept(conn: BlitzGateway, world: World) -> None:
    roi = omero.model.RoiI()
    roi.setImage(omero.model.ImageI(world.image, False))
    for shape in _shapes():
        roi.addShape(shape)
    saved = conn.getUpdateService().saveAndReturnObject(roi)
    found = conn.getRoiService().findByImage(world.image, None)
    [back] = [one for one in found.rois if one.id.val == saved.id.val]
    got = {type(shape): shape for shape in back.copyShapes()}
    assert set(got) == {type(shape) for shape in _shapes()}
    assert got[omero.model.MaskI].getBytes() == bytes(range(8))
    assert got[omero.model.PolygonI].points.val == "0,0 10,0 10,10"
    assert got[omero.model.RectangleI].strokeWidth.getUnit() == enums.UnitsLength.PIXEL


def test_regions_are_counted_and_listed(conn: BlitzGateway, world: World) -> None:
    image = conn.getObject("Image", world.image)
    assert image.getROICount() == len(list(conn.getObjects("Roi", opts={"image": world.image}))) >= 1


def test_a_region_is_deleted_and_its_shapes_with_it(conn: BlitzGateway, world: World) -> None:
    roi = omero.model.RoiI()
    roi.setImage(omero.model.ImageI(world.second, False))
    roi.addShape(_shapes()[0])
    saved = conn.getUpdateService().saveAndReturnObject(roi)
    conn.deleteObjects("Roi", [saved.id.val], wait=True)
    query = "select count(s) from Shape s where s.roi.id = :id"
    params = omero.sys.ParametersI().addId(saved.id.val)
    assert unwrap(conn.getQueryService().projection(query, params)) == [[0]]


# queries


def test_a_projection_counts_and_groups(conn: BlitzGateway, world: World) -> None:
    query = (
        "select d.name, count(l) from Dataset d left outer join d.imageLinks l "
        "where d.id = :id group by d.name"
    )
    params = omero.sys.ParametersI().addId(world.dataset)
    assert unwrap(conn.getQueryService().projection(query, params)) == [[world.name, 3]]


def test_only_what_was_fetched_is_loaded(conn: BlitzGateway, world: World) -> None:
    image = conn.getQueryService().get("Image", world.image)
    assert not image.isPixelsLoaded()
    query = "select i from Image i join fetch i.pixels p join fetch p.pixelsType where i.id = :id"
    fetched = conn.getQueryService().findByQuery(query, omero.sys.ParametersI().addId(world.image))
    assert fetched.getPrimaryPixels().getPixelsType().getValue().val == "uint16"
    with pytest.raises(omero.UnloadedEntityException):
        fetched.getPrimaryPixels().getDimensionOrder().getValue()


def test_a_query_that_makes_no_sense_is_refused(conn: BlitzGateway) -> None:
    with pytest.raises(omero.ServerError):
        conn.getQueryService().findAllByQuery("select frob(x) of Image", None)


def test_an_unknown_entity_is_refused(conn: BlitzGateway) -> None:
    with pytest.raises(omero.ServerError):
        conn.getQueryService().findAllByQuery("select x from Nothing x", None)


def test_what_does_not_exist_is_not_got(conn: BlitzGateway) -> None:
    assert conn.getObject("Image", 2**40) is None
    assert conn.getQueryService().find("Image", 2**40) is None
    with pytest.raises(omero.ValidationException):
        conn.getQueryService().get("Image", 2**40)


# other people


def test_a_colleague_reads_and_annotates_but_does_not_change(
    conn: BlitzGateway, world: World, place: Omero
) -> None:
    with place.gateway("colleague") as other:
        image = other.getObject("Image", world.image)
        assert image.canAnnotate()
        assert not image.canEdit()
        assert not image.canDelete()
        note = omero.gateway.CommentAnnotationWrapper(other)
        note.setNs("test.colleague")
        note.setValue("seen")
        image.linkAnnotation(note)
        image.setName("mine now")
        with pytest.raises(omero.SecurityViolation):
            image.save()
    [back] = conn.getObject("Image", world.image).listAnnotations(ns="test.colleague")
    assert back.getOwner().getName() == place.person("colleague")[0]


def test_nothing_is_written_in_all_groups_at_once(place: Omero) -> None:
    with place.gateway() as conn:
        dataset = omero.model.DatasetI()
        dataset.name = rstring("nowhere")
        with pytest.raises(omero.ServerError):
            conn.getUpdateService().saveObject(dataset, {"omero.group": "-1"})


# deletion


def test_a_deleted_image_is_gone_with_what_hangs_on_it(conn: BlitzGateway, world: World) -> None:
    conn.deleteObjects("Image", [world.third], wait=True)
    assert conn.getObject("Image", world.third) is None
    names = [one.getName() for one in conn.getObject("Dataset", world.dataset).listChildren()]
    assert names == ["first", "second"]


def test_what_does_not_exist_is_not_deleted(conn: BlitzGateway) -> None:
    with pytest.raises(omero.CmdError):
        conn.deleteObjects("Image", [2**40], wait=True)


def test_a_project_is_deleted_with_all_in_it(conn: BlitzGateway) -> None:
    other = World.make(conn)
    conn.deleteObjects("Project", [other.project], deleteAnns=True, deleteChildren=True, wait=True)
    assert conn.getObject("Dataset", other.dataset) is None
    assert conn.getObject("Image", other.image) is None


def test_a_link_between_images_and_datasets_is_made_and_cut(conn: BlitzGateway, world: World) -> None:
    dataset = omero.model.DatasetI()
    dataset.name = rstring("another")
    dataset = conn.getUpdateService().saveAndReturnObject(dataset)
    link = omero.model.DatasetImageLinkI()
    link.setParent(omero.model.DatasetI(dataset.id.val, False))
    link.setChild(omero.model.ImageI(world.second, False))
    link = conn.getUpdateService().saveAndReturnObject(link)
    assert len(list(conn.getObject("Image", world.second).listParents())) == 2
    conn.deleteObject(link)
    assert len(list(conn.getObject("Image", world.second).listParents())) == 1


def test_many_objects_are_saved_in_one_call(conn: BlitzGateway) -> None:
    tags = []
    for number in range(50):
        tag = omero.model.TagAnnotationI()
        tag.textValue = rstring(f"tag {number}")
        tags.append(tag)
    saved = conn.getUpdateService().saveAndReturnArray(tags)
    assert [tag.textValue.val for tag in saved] == [f"tag {number}" for number in range(50)]
    assert len({tag.id.val for tag in saved}) == 50
    assert isinstance(saved[0].id, type(rlong(0)))
