# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO.web, unmodified, over HTTP: all pages of the webclient, images, the JSON API, forms."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import omero
import omero.grid
import pytest
from omero.gateway import (
    BlitzGateway,
    CommentAnnotationWrapper,
    MapAnnotationWrapper,
    TagAnnotationWrapper,
)
from omero.rtypes import rdouble, rint, rstring
from PIL import Image as Pillow
from pocket_omero.testing import Omero
from pocket_omero.web import Web

from .visit import Visit, why
from .world import World

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.needs("omero-web"),
    pytest.mark.client("omero-web"),
]


@dataclass(frozen=True)
class Made:
    """What the pages show, by the name that stands for its id below."""

    world: World
    ids: dict[str, int]

    def path(self, text: str) -> str:
        return text.format(**self.ids)


@pytest.fixture(scope="module")
def conn(place: Omero) -> Iterator[BlitzGateway]:
    with place.gateway() as opened:
        yield opened


@pytest.fixture(scope="module")
def made(conn: BlitzGateway, tmp_path_factory: pytest.TempPathFactory) -> Made:
    world = World.make(conn)
    image = conn.getObject("Image", world.image)
    roi = omero.model.RoiI()
    roi.setImage(omero.model.ImageI(world.image, False))
    mask = omero.model.MaskI()
    mask.x, mask.y, mask.width, mask.height = map(rdouble, (4, 4, 16, 8))
    mask.setBytes(bytes([0b10101010] * 16))
    rectangle = omero.model.RectangleI()
    rectangle.x, rectangle.y, rectangle.width, rectangle.height = map(rdouble, (8, 8, 16, 16))
    for shape in (rectangle, mask):
        shape.theZ, shape.theT = rint(0), rint(0)
        roi.addShape(shape)
    roi = conn.getUpdateService().saveAndReturnObject(roi)
    tag = TagAnnotationWrapper(conn)
    tag.setValue(f"tag of {world.name}")
    pairs = MapAnnotationWrapper(conn)
    pairs.setNs(omero.constants.metadata.NSCLIENTMAPANNOTATION)
    pairs.setValue([["stain", "H&E"]])
    words = CommentAnnotationWrapper(conn)
    words.setValue("so it is")
    for note in (tag, pairs, words):
        note.save()
        image.linkAnnotation(note)
    place = tmp_path_factory.mktemp("sent") / "notes.txt"
    place.write_text("a file of notes")
    file = conn.createFileAnnfromLocalFile(str(place), mimetype="text/plain", ns="test.notes")
    image.linkAnnotation(file)
    table = conn.c.sf.sharedResources().newTable(1, "cells.h5")
    table.initialize([omero.grid.ImageColumn("Image", "", []), omero.grid.DoubleColumn("Area", "", [])])
    table.addData(
        [
            omero.grid.ImageColumn("Image", "", [world.image] * 5),
            omero.grid.DoubleColumn("Area", "", [1.0, 2.0, 3.0, 4.0, 5.0]),
        ]
    )
    rows = table.getOriginalFile().id.val
    table.close()
    note = omero.model.FileAnnotationI()
    note.ns = rstring("openmicroscopy.org/omero/bulk_annotations")
    note.file = omero.model.OriginalFileI(rows, False)
    note = conn.getUpdateService().saveAndReturnObject(note)
    image.linkAnnotation(conn.getObject("FileAnnotation", note.id.val))
    context = conn.getEventContext()
    shapes = {type(shape).__name__: shape.id.val for shape in roi.copyShapes()}
    return Made(
        world,
        {
            "project": world.project,
            "dataset": world.dataset,
            "image": world.image,
            "second": world.second,
            "roi": roi.id.val,
            "mask": shapes["MaskI"],
            "rectangle": shapes["RectangleI"],
            "tag": tag.getId(),
            "file": file.getFile().getId(),
            "note": file.getId(),
            "table": rows,
            "user": context.userId,
            "group": context.groupId,
        },
    )


@pytest.fixture(scope="module")
def visit(web: Web, place: Omero) -> Visit:
    return Visit(web, place.person("member"))


def _fetched(visit: Visit, path: str) -> object:
    answer = visit.go(path)
    assert answer.status_code == 200, why(answer)
    assert "/webclient/login/" not in answer.url
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/webclient/",
        "/webclient/?show=image-{image}",
        "/webclient/history/",
        "/webclient/search/",
        "/webclient/usertags/",
        "/webclient/active_group/",
        "/webclient/group_user_content/",
        "/webclient/activities/",
        "/webclient/activities_json/",
        "/webclient/load_chgrp_groups/?Image={image}",
        "/webclient/load_chgrp_target/{group}/dataset/",
        "/webclient/load_calendar/",
        "/webclient/load_history/2026/1/1/",
        "/webclient/load_searching/form/?query=first&datatype=images&field=name",
        "/webclient/load_searching/form/?query=nothing+at+all&datatype=images",
        "/webclient/metadata_details/project/{project}/",
        "/webclient/metadata_details/dataset/{dataset}/",
        "/webclient/metadata_details/image/{image}/",
        "/webclient/metadata_details/tag/{tag}/",
        "/webclient/metadata_acquisition/image/{image}/",
        "/webclient/metadata_preview/image/{image}/",
        "/webclient/metadata_hierarchy/image/{image}/",
        "/webclient/get_thumbnails/?id={image}&id={second}",
        "/webclient/get_thumbnail/{image}/",
        "/webclient/render_thumbnail/{image}/",
        "/webclient/render_thumbnail/size/96/{image}/",
        "/webclient/render_image_region/{image}/0/0/?region=0,0,32,32",
        "/webclient/render_birds_eye_view/{image}/",
        "/webclient/render_image/{image}/0/0/",
        "/webclient/render_image_download/{image}/0/0/?format=png",
        "/webclient/img_detail/{image}/",
        "/webclient/imgData/{image}/",
        "/webclient/render_row_plot/{image}/0/0/10/",
        "/webclient/render_col_plot/{image}/0/0/10/",
        "/webclient/render_split_channel/{image}/0/0/",
        "/webclient/getImgRDef/",
        "/webclient/luts/",
        "/webclient/fileset_check/delete/?Image={image}",
        "/webclient/download_placeholder/?ids=image-{image}",
        "/webclient/batch_annotate/?image={image}&image={second}",
        "/webclient/annotate_tags/?image={image}",
        "/webclient/annotate_file/?image={image}",
        "/webclient/annotation/{note}/",
        "/webclient/load_original_metadata/{image}/",
        "/webclient/omero_table/{table}/",
        "/webclient/omero_table/{table}/json/",
        "/webclient/omero_table/{table}/csv/",
        "/webclient/avatar/{user}/",
        "/webclient/list_scripts/",
        "/webclient/get_original_file/{file}/",
        "/webclient/download_original_file/{file}/",
        "/webclient/ome_tiff_info/{image}/",
        "/webclient/keepalive_ping/",
        "/webclient/api/groups/",
        "/webclient/api/experimenters/{user}/?group={group}",
        "/webclient/api/containers/?id={user}",
        "/webclient/api/containers/?id={user}&page=0&group={group}",
        "/webclient/api/containers/?experimenter_id=-1",
        "/webclient/api/datasets/?id={project}",
        "/webclient/api/images/?id={dataset}&sizeXYZ=true&date=true&thumbVersion=true",
        "/webclient/api/images/?orphaned=true&experimenter_id={user}",
        "/webclient/api/plates/?id=0",
        "/webclient/api/plate_acquisitions/?id=0",
        "/webclient/api/paths_to_object/?image={image}",
        "/webclient/api/paths_to_object/?dataset={dataset}",
        "/webclient/api/parent_links/?image={image}",
        "/webclient/api/tags/?id={tag}",
        "/webclient/api/tags/?experimenter_id={user}",
        "/webclient/api/annotations/?image={image}",
        "/webclient/api/annotations/?image={image}&type=tag",
        "/webclient/api/annotations/?image={image}&type=file",
        "/webclient/api/annotations/?image={image}&image={second}&type=map&parents=true",
        "/webclient/api/shares/",
        "/webclient/marshal_tagging_form_data/?group={group}",
    ],
)
def test_every_page_of_the_webclient_answers(visit: Visit, made: Made, path: str) -> None:
    _fetched(visit, made.path(path))


@pytest.mark.parametrize(
    "path",
    [
        "/webgateway/annotations/Image/{image}/",
        "/webgateway/table/{table}/query/?query=*",
        "/webgateway/table/{table}/query/?query=Area>2",
        "/webgateway/table/{table}/metadata/",
        "/webgateway/table/{table}/obj_id_bitmask/?query=Area>0&col_name=Image",
        "/webgateway/table/{table}/rows/?query=Area>2",
        "/webgateway/table/{table}/slice/?rows=0,2-3&columns=0,1",
        "/webgateway/table/Image/{image}/query/?query=*",
        "/webgateway/render_image/{image}/",
        "/webgateway/render_image/{image}/1/0/?c=1|0:60000$FF0000,-2&m=c&q=0.9",
        "/webgateway/render_image/{image}/1/0/?c=1&m=g&format=png",
        "/webgateway/render_image/{image}/1/0/?p=intmax",
        "/webgateway/render_image_region/{image}/0/0/?region=0,0,32,32",
        "/webgateway/render_image_region/{image}/0/0/?tile=0,0,0,32,32",
        "/webgateway/render_split_channel/{image}/0/0/",
        "/webgateway/render_row_plot/{image}/0/0/10/",
        "/webgateway/render_col_plot/{image}/0/0/10/",
        "/webgateway/render_thumbnail/{image}/",
        "/webgateway/render_thumbnail/{image}/48/48/",
        "/webgateway/render_roi_thumbnail/{roi}/",
        "/webgateway/render_shape_thumbnail/{rectangle}/",
        "/webgateway/render_shape_mask/{mask}/",
        "/webgateway/render_birds_eye_view/{image}/",
        "/webgateway/proj/list/",
        "/webgateway/proj/{project}/detail/",
        "/webgateway/proj/{project}/children/",
        "/webgateway/dataset/{dataset}/detail/",
        "/webgateway/dataset/{dataset}/children/",
        "/webgateway/get_thumbnails/?id={image}",
        "/webgateway/get_thumbnail/{image}/",
        "/webgateway/imgData/{image}/",
        "/webgateway/imgData/{image}/size.width/",
        "/webgateway/get_rois_json/{image}/",
        "/webgateway/get_shape_json/{roi}/{rectangle}/",
        "/webgateway/histogram_json/{image}/channel/0/?theZ=0&theT=0",
        "/webgateway/img_detail/{image}/",
        "/webgateway/getImgRDef/",
        "/webgateway/luts/",
        "/webgateway/luts_png/",
        "/webgateway/compatImgRDef/{image}/",
        "/webgateway/download_as/{image}/?format=png",
        "/webgateway/original_file_paths/{image}/",
        "/webgateway/open_with/",
        "/webgateway/get_image_rdefs_json/{image}/",
    ],
)
def test_every_page_of_the_web_gateway_answers(visit: Visit, made: Made, path: str) -> None:
    _fetched(visit, made.path(path))


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/v0/",
        "/api/v0/token/",
        "/api/v0/servers/",
        "/api/v0/m/projects/?childCount=true",
        "/api/v0/m/projects/{project}/",
        "/api/v0/m/projects/{project}/datasets/",
        "/api/v0/m/datasets/?orphaned=true",
        "/api/v0/m/datasets/{dataset}/",
        "/api/v0/m/datasets/{dataset}/images/?limit=2&offset=1",
        "/api/v0/m/datasets/{dataset}/projects/",
        "/api/v0/m/images/?name=first&owner={user}&group={group}",
        "/api/v0/m/images/{image}/",
        "/api/v0/m/images/{image}/datasets/",
        "/api/v0/m/images/{image}/rois/",
        "/api/v0/m/screens/",
        "/api/v0/m/plates/",
        "/api/v0/m/wells/",
        "/api/v0/m/rois/",
        "/api/v0/m/rois/{roi}/",
        "/api/v0/m/shapes/",
        "/api/v0/m/shapes/{mask}/",
        "/api/v0/m/experimenters/",
        "/api/v0/m/experimenters/{user}/",
        "/api/v0/m/experimenters/{user}/experimentergroups/",
        "/api/v0/m/experimentergroups/",
        "/api/v0/m/experimentergroups/{group}/",
        "/api/v0/m/experimentergroups/{group}/experimenters/",
    ],
)
def test_every_collection_of_the_json_api_answers(visit: Visit, made: Made, path: str) -> None:
    answer = _fetched(visit, made.path(path))
    assert answer.json()  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/webadmin/myaccount/", "/webadmin/stats/"])
def test_pages_of_ones_own_account_answer(visit: Visit, made: Made, path: str) -> None:
    _fetched(visit, made.path(path))


@pytest.mark.parametrize(
    "path",
    [
        "/webadmin/experimenters/",
        "/webadmin/groups/",
        "/webadmin/experimenter/new/",
        "/webadmin/experimenter/edit/{user}/",
        "/webadmin/group/new/",
        "/webadmin/group/edit/{group}/",
        "/webadmin/drivespace_json/groups/",
        "/webadmin/drivespace_json/users/",
        "/webclient/script_upload/",
    ],
)
def test_pages_of_administrators_answer(web: Web, place: Omero, made: Made, path: str) -> None:
    _fetched(Visit(web, place.person("admin")), made.path(path))


def test_a_wrong_password_is_refused_in_words(web: Web, place: Omero) -> None:
    visit = Visit(web, (place.person("member")[0], "wrong"))
    assert visit.answer.status_code == 200
    assert "please check your user name and password" in visit.answer.text


def test_whoever_is_not_logged_in_is_sent_to_the_login_page(web: Web) -> None:
    import requests

    assert "/webclient/login/" in requests.get(web.url + "/webclient/", timeout=60).url


def test_the_tree_shows_what_there_is(visit: Visit, made: Made) -> None:
    tree = visit.go(made.path("/webclient/api/containers/?id={user}")).json()
    project = next(one for one in tree["projects"] if one["id"] == made.ids["project"])
    assert project["name"] == made.world.name
    assert project["childCount"] == 1
    assert project["permsCss"] == "canEdit canAnnotate canLink canDelete canChgrp isOwned"
    images = visit.go(made.path("/webclient/api/images/?id={dataset}")).json()["images"]
    assert [one["name"] for one in images] == ["first", "second", "third"]


def test_the_panel_shows_all_annotations(visit: Visit, made: Made) -> None:
    notes = visit.go(made.path("/webclient/api/annotations/?image={image}")).json()["annotations"]
    assert {one["class"] for one in notes} >= {
        "TagAnnotationI",
        "MapAnnotationI",
        "CommentAnnotationI",
        "FileAnnotationI",
    }


def test_a_tile_has_the_pixels_of_the_image(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    path = made.path(
        "/webgateway/render_image_region/{image}/0/0/?region=8,8,16,16&c=1|0:65535$FFFFFF&m=g&q=1.0"
    )
    shown = np.asarray(Pillow.open(io.BytesIO(visit.go(path).content)).convert("L")).astype(float)
    plane = conn.getObject("Image", made.world.image).getPrimaryPixels().getPlane(0, 0, 0)
    wanted = plane[8:24, 8:24].astype(float) / 65535 * 255
    assert np.abs(shown - wanted).mean() < 6


def test_a_mask_is_drawn(visit: Visit, made: Made) -> None:
    drawn = Pillow.open(io.BytesIO(visit.go(made.path("/webgateway/render_shape_mask/{mask}/")).content))
    assert drawn.size == (16, 8)


def test_regions_are_told_as_json(visit: Visit, made: Made) -> None:
    [roi] = visit.go(made.path("/webgateway/get_rois_json/{image}/")).json()
    assert {shape["type"] for shape in roi["shapes"]} == {"Rectangle", "Mask"}


def test_a_table_is_searched(visit: Visit, made: Made) -> None:
    found = visit.go(made.path("/webgateway/table/{table}/query/?query=Area>3")).json()["data"]
    assert [row[1] for row in found["rows"]] == [4.0, 5.0]


def test_a_search_lists_images(visit: Visit, made: Made) -> None:
    path = f"/webclient/load_searching/form/?query={made.world.name}&datatype=datasets&field=name"
    assert made.world.name in visit.go(path).text


def test_a_file_is_downloaded(visit: Visit, made: Made) -> None:
    assert visit.go(made.path("/webclient/annotation/{note}/")).text == "a file of notes"


# what people change


def test_a_project_is_made_renamed_and_deleted(visit: Visit, conn: BlitzGateway) -> None:
    made = visit.submit("/webclient/action/addnewcontainer/", {"folder_type": "project", "name": "new one"})
    assert made.status_code == 200, why(made)
    number = made.json()["id"]
    renamed = visit.submit(f"/webclient/action/savename/project/{number}/", {"name": "renamed"})
    assert renamed.status_code == 200, why(renamed)
    assert conn.getObject("Project", number).getName() == "renamed"
    gone = visit.submit("/webclient/action/deletemany/", {"project": number})
    assert gone.status_code == 200, why(gone)
    _finished(visit)
    assert conn.getObject("Project", number) is None


def _finished(visit: Visit) -> list[dict[str, object]]:
    """Wait until what was begun in the Activities panel has ended, and return what it says."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        said = visit.go("/webclient/activities_json/")
        assert said.status_code == 200, why(said)
        if said.json()["inprogress"] == 0:
            return [one for one in said.json().values() if isinstance(one, dict)]
        time.sleep(0.2)
    raise AssertionError(said.text)


def test_an_image_is_linked_to_a_dataset_and_taken_out(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    form = {"folder_type": "dataset", "name": "for links"}
    dataset = visit.submit("/webclient/action/addnewcontainer/", form).json()["id"]
    links = json.dumps({"dataset": {dataset: {"image": [made.world.second]}}})
    linked = visit.submit("/webclient/api/links/", links)
    assert linked.status_code == 200, why(linked)
    assert len(list(conn.getObject("Dataset", dataset).listChildren())) == 1
    cut = visit.delete(visit.web.url + "/webclient/api/links/", data=links, timeout=60)
    assert cut.status_code == 200, why(cut)
    assert not list(conn.getObject("Dataset", dataset).listChildren())


def test_a_comment_is_written(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    sent = visit.submit(
        "/webclient/annotate_comment/", {"image": made.world.second, "comment": "from the web"}
    )
    assert sent.status_code == 200, why(sent)
    said = [one.getValue() for one in conn.getObject("Image", made.world.second).listAnnotations()]
    assert "from the web" in said


def test_stars_are_given(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    sent = visit.submit("/webclient/annotate_rating/", {"image": made.world.second, "rating": 4})
    assert sent.status_code == 200, why(sent)
    space = "openmicroscopy.org/omero/insight/rating"
    [stars] = conn.getObject("Image", made.world.second).listAnnotations(ns=space)
    assert stars.getValue() == 4


def test_tags_are_made_and_given(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    form = {
        "image": made.world.second,
        "newtags-TOTAL_FORMS": 1,
        "newtags-INITIAL_FORMS": 0,
        "newtags-MAX_NUM_FORMS": 1000,
        "newtags-0-tag": "tag from the web",
        "newtags-0-description": "",
        "newtags-0-tagset": "",
        "tags": made.ids["tag"],
    }
    sent = visit.submit("/webclient/annotate_tags/", form)
    assert sent.status_code == 200, why(sent)
    tags = {one.getValue() for one in conn.getObject("Image", made.world.second).listAnnotations()}
    assert {"tag from the web", f"tag of {made.world.name}"} <= tags


def test_key_value_pairs_are_written_and_changed(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    form = {"image": made.world.second, "mapAnnotation": json.dumps([["a", "1"], ["b", "2"]])}
    sent = visit.submit("/webclient/annotate_map/", form)
    assert sent.status_code == 200, why(sent)
    [number] = sent.json()["annId"]
    form = {"image": made.world.second, "annId": number, "mapAnnotation": json.dumps([["a", "3"]])}
    again = visit.submit("/webclient/annotate_map/", form)
    assert again.status_code == 200, why(again)
    assert [list(pair) for pair in conn.getObject("MapAnnotation", number).getValue()] == [["a", "3"]]


def test_a_file_is_attached(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    files = {"annotation_file": ("sent.txt", b"from the web", "text/plain")}
    sent = visit.submit("/webclient/annotate_file/", {"image": made.world.second}, files=files)
    assert sent.status_code == 200, why(sent)
    notes = conn.getObject("Image", made.world.second).listAnnotations()
    names = [one.getFileName() for one in notes if isinstance(one, omero.gateway.FileAnnotationWrapper)]
    assert "sent.txt" in names


def test_rendering_settings_are_saved_and_copied(visit: Visit, made: Made) -> None:
    path = made.path("/webgateway/saveImgRDef/{image}/?c=1|100:5000$00FF00,-2|0:100$FF0000&m=c&z=1&t=1")
    saved = visit.submit(path)
    assert saved.status_code == 200, why(saved)
    channels = visit.go(made.path("/webgateway/imgData/{image}/")).json()["channels"]
    assert [one["active"] for one in channels] == [True, False]
    assert channels[0]["color"] == "00FF00"
    assert channels[0]["window"]["end"] == 5000
    copied = visit.submit(
        "/webgateway/copyImgRDef/", {"fromid": made.world.image, "toids": [made.world.image]}
    )
    assert copied.status_code == 200, why(copied)
    reset = visit.submit("/webgateway/resetRDef/", {"totype": "image", "toids": [made.world.image]})
    assert reset.status_code == 200, why(reset)


def test_channels_are_renamed(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    sent = visit.submit(
        made.path("/webclient/edit_channel_names/{image}/"), {"channel0": "one", "channel1": "two"}
    )
    assert sent.status_code == 200, why(sent)
    assert [one.getLabel() for one in conn.getObject("Image", made.world.image).getChannels()] == [
        "one",
        "two",
    ]


def test_the_json_api_makes_changes_and_deletes(visit: Visit, conn: BlitzGateway, made: Made) -> None:
    address = visit.web.url + "/api/v0/m/save/" + made.path("?group={group}")
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06#Project"
    posted = visit.post(address, json={"Name": "by the API", "@type": schema}, timeout=60)
    assert posted.status_code == 201, why(posted)
    project = posted.json()["data"]
    project["Name"] = "changed by the API"
    put = visit.put(address, json=project, timeout=60)
    assert put.status_code == 200, why(put)
    assert conn.getObject("Project", project["@id"]).getName() == "changed by the API"
    gone = visit.delete(f"{visit.web.url}/api/v0/m/projects/{project['@id']}/", timeout=60)
    assert gone.status_code == 200, why(gone)
    assert conn.getObject("Project", project["@id"]) is None


@pytest.mark.pocket
def test_a_script_runs_from_its_dialog(visit: Visit, made: Made, conn: BlitzGateway) -> None:
    number = conn.getScriptService().getScriptID("/pocket_omero/Describe_Images.py")
    dialog = visit.go(made.path(f"/webclient/script_ui/{number}/?Image={{second}}"))
    assert dialog.status_code == 200, why(dialog)
    assert "Describe Images" in dialog.text
    form = {"Data_Type": "Image", "IDs": made.world.second, "At_Most": 5}
    begun = visit.submit(f"/webclient/script_run/{number}/", form)
    assert begun.json()["status"] == "in progress", begun.text
    said = json.dumps(_finished(visit))
    assert "Described 1 of 1 images" in said


def test_an_image_moves_to_another_group(web: Web, place: Omero, conn: BlitzGateway) -> None:
    groups = [
        one
        for one in conn.getGroupsMemberOf()
        if one.getName() not in {"user", conn.getGroupFromContext().getName()}
    ]
    if not groups:
        pytest.skip("needs OMERO_MEMBER to be in a second group")
    image = conn.createImageFromNumpySeq(iter([np.zeros((8, 8), np.uint8)]), "moves")
    visit = Visit(web, place.person("member"))
    dry = visit.submit("/webclient/chgrpDryRun/", {"Image": image.getId(), "group_id": groups[0].getId()})
    assert dry.status_code == 200, why(dry)
    sent = visit.submit("/webclient/chgrp/", {"Image": image.getId(), "group_id": groups[0].getId()})
    assert sent.status_code == 200, why(sent)
    _finished(visit)
    conn.SERVICE_OPTS.setOmeroGroup(-1)
    moved = conn.getObject("Image", image.getId())
    conn.SERVICE_OPTS.setOmeroGroup(conn.getGroupFromContext().getId())
    assert moved.getDetails().getGroup().getId() == groups[0].getId()


@pytest.mark.needs("omero-figure")
@pytest.mark.client("omero-figure")
def test_a_saved_figure_is_opened(visit: Visit, conn: BlitzGateway, tmp_path: Path) -> None:
    (tmp_path / "figure").write_text('{"version": 8, "panels": [], "figureName": "mine"}')
    space = "omero.web.figure.json"
    note = conn.createFileAnnfromLocalFile(str(tmp_path / "figure"), mimetype="application/json", ns=space)
    opened = visit.go(f"/figure/load_web_figure/{note.getId()}/")
    assert opened.status_code == 200, why(opened)
    assert opened.json()["group"]["name"] == conn.getGroupFromContext().getName()


def test_a_person_logs_out(web: Web, place: Omero) -> None:
    visit = Visit(web, place.person("member"))
    assert visit.submit("/webclient/logout/").status_code == 200
    assert "/webclient/login/" in visit.go("/webclient/").url
