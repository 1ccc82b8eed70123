# SPDX-License-Identifier: GPL-2.0-or-later
"""Delete2, asked for by a real client: what goes along, what stays, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from omero.cmd import Delete2, Delete2Response, DoAll, DoAllRsp, GraphException, SkipHead
from omero.cmd.graphs import ChildOption

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:isSet\(\) is deprecated:DeprecationWarning"),  # omero-py's
]

SHARED = ["TagAnnotation", "TermAnnotation", "FileAnnotation"]  # what clients leave out by default


def delete(*, dry: bool = False, options: list[Any] | None = None, **named: list[int]) -> Any:
    return Delete2(targetObjects=dict(named), childOptions=options, dryRun=dry)


def test_an_image_takes_its_pixels_channels_rois_and_links_along(bench: Any) -> None:
    image, dataset = bench.image(), bench.row("Dataset")
    link = bench.link(dataset, image)
    roi = bench.row("Roi", image=image)
    shape = bench.row("Rectangle", roi=roi, x=1.0, y=2.0, width=3.0, height=4.0)
    pixels = bench.state.many(image, "pixels")[0]
    channel = bench.state.many(pixels, "channels")[0]
    logical = channel["logicalChannel"]
    response = bench.ask("anna", delete(Image=[image.id]))
    assert isinstance(response, Delete2Response)
    assert response.deletedObjects["ome.model.core.Image"] == [image.id]
    assert response.deletedObjects["ome.model.roi.Rectangle"] == [shape.id]
    assert response.deletedObjects["ome.model.containers.DatasetImageLink"] == [link.id]
    assert not any(map(bench.there, (image, link, roi, shape, pixels, channel, logical)))
    assert bench.there(dataset)


def test_a_project_takes_along_what_is_in_no_other_container(bench: Any) -> None:
    project, alone, shared = bench.row("Project"), bench.row("Dataset"), bench.row("Dataset")
    other = bench.row("Project")
    for dataset in (alone, shared):
        bench.link(project, dataset)
    bench.link(other, shared)
    inside, both = bench.image(), bench.image()
    bench.link(alone, inside)
    bench.link(alone, both)
    bench.link(shared, both)
    bench.ask("anna", delete(Project=[project.id]))
    assert not any(map(bench.there, (project, alone, inside)))
    assert all(map(bench.there, (other, shared, both)))
    assert len(bench.state.many(both, "datasetLinks")) == 1


def test_child_options_say_what_stays_and_what_goes_all_the_same(bench: Any) -> None:
    dataset, kept = bench.row("Dataset"), bench.image()
    bench.link(dataset, kept)
    bench.ask("anna", delete(Dataset=[dataset.id], options=[ChildOption(excludeType=["Image"])]))
    assert bench.there(kept)
    assert bench.state.many(kept, "datasetLinks") == []
    one, two, gone = bench.row("Dataset"), bench.row("Dataset"), bench.image()
    bench.link(one, gone)
    bench.link(two, gone)
    bench.ask("anna", delete(Dataset=[one.id], options=[ChildOption(includeType=["Image"])]))
    assert not bench.there(gone)
    assert bench.there(two)


def test_an_annotation_that_is_on_something_else_stays(bench: Any) -> None:
    image, other = bench.image(), bench.image()
    shared, alone = (bench.row("MapAnnotation", ns="mine") for _ in range(2))
    for parent in (image, other):
        bench.link(parent, shared)
    bench.link(image, alone)
    bench.ask("anna", delete(Image=[image.id]))
    assert bench.there(shared)
    assert not bench.there(alone)
    assert len(bench.state.where("ImageAnnotationLink", "child", shared)) == 1


def test_tags_and_files_stay_where_clients_leave_them_out_and_go_where_they_do_not(bench: Any) -> None:
    for options, stays in (([ChildOption(excludeType=SHARED)], True), (None, False)):
        image, tag = bench.image(), bench.row("TagAnnotation", textValue="t")
        file = bench.row("OriginalFile", path="/")
        note = bench.row("FileAnnotation", file=file)
        comment = bench.row("CommentAnnotation", textValue="c")
        for child in (tag, note, comment):
            bench.link(image, child)
        bench.ask("anna", delete(Image=[image.id], options=options))
        assert [bench.there(row) for row in (tag, note, file)] == [stays] * 3
        assert not bench.there(comment)


def test_a_companion_file_goes_even_where_files_are_left_out(bench: Any) -> None:
    image, companion = bench.image(), "openmicroscopy.org/omero/import/companionFile"
    note = bench.row("FileAnnotation", ns=companion, file=bench.row("OriginalFile", path="/"))
    bench.link(image, note)
    bench.ask("anna", delete(Image=[image.id], options=[ChildOption(excludeType=SHARED)]))
    assert not bench.there(note)


def test_an_option_may_be_about_one_name_space_only(bench: Any) -> None:
    image = bench.image()
    notes = [bench.row("MapAnnotation", ns=ns) for ns in ("keep", "drop")]
    for note in notes:
        bench.link(image, note)
    option = ChildOption(excludeType=["MapAnnotation"], includeNs=["keep"])
    bench.ask("anna", delete(Image=[image.id], options=[option]))
    assert [bench.there(note) for note in notes] == [True, False]


def test_the_tag_of_somebody_else_stays_and_their_comment_goes(bench: Any) -> None:
    image = bench.image()
    tag = bench.row("TagAnnotation", "ben", textValue="t")
    comment = bench.row("CommentAnnotation", "ben", textValue="c")
    for note in (tag, comment):
        bench.link(image, note, owner="ben")
    bench.ask("anna", delete(Image=[image.id]))
    assert bench.there(tag)
    assert not bench.there(comment)


def test_a_dry_run_says_what_would_go_and_changes_nothing(bench: Any) -> None:
    image = bench.image()
    response = bench.ask("anna", delete(dry=True, Image=[image.id]))
    assert response.deletedObjects["ome.model.core.Pixels"] == [bench.state.many(image, "pixels")[0].id]
    assert bench.there(image)


def test_what_is_not_ones_own_is_not_deleted_and_nothing_of_the_rest_either(bench: Any) -> None:
    mine, theirs = bench.image("ben"), bench.image("anna")
    response = bench.ask("ben", delete(Image=[mine.id, theirs.id]))
    assert isinstance(response, GraphException)
    assert f"not permitted to delete Image[{theirs.id}]" in response.message
    assert bench.there(mine)


def test_what_is_not_there_is_an_error_that_says_so(bench: Any) -> None:
    response = bench.ask("anna", delete(Image=[10**6]))
    assert isinstance(response, GraphException)
    assert "Image[1000000]" in response.message
    private = bench.image("anna", "private")
    assert isinstance(bench.ask("ben", delete(Image=[private.id])), GraphException)


def test_images_of_one_fileset_go_together_or_not_at_all(bench: Any) -> None:
    fileset = bench.row("Fileset", templatePrefix="x")
    entry = bench.row("FilesetEntry", fileset=fileset, originalFile=bench.row("OriginalFile", path="/"))
    images = [bench.image(fileset=fileset) for _ in range(2)]
    response = bench.ask("anna", delete(Image=[images[0].id]))
    first, second = (f"Image[{image.id}]" for image in images)
    assert response.message == f"within Fileset[{fileset.id}] may not delete {first} while {second} remains"
    dataset = bench.row("Dataset")
    bench.link(dataset, images[0])
    bench.ask("anna", delete(Dataset=[dataset.id]))
    assert all(map(bench.there, images))
    bench.ask("anna", delete(Image=[image.id for image in images]))
    assert not any(map(bench.there, (*images, fileset, entry)))


def test_a_plate_takes_its_wells_and_their_images_along(bench: Any) -> None:
    plate = bench.row("Plate", name="p")
    well = bench.row("Well", plate=plate)
    image = bench.image()
    field = bench.row("WellSample", well=well, image=image)
    response = bench.ask("anna", delete(Image=[image.id]))
    assert f"may not delete Image[{image.id}] while WellSample[{field.id}] remains" in response.message
    bench.ask("anna", delete(Plate=[plate.id]))
    assert not any(map(bench.there, (plate, well, field, image)))


def test_a_link_is_deleted_without_its_ends(bench: Any) -> None:
    image, tag = bench.image(), bench.row("TagAnnotation", textValue="t")
    link = bench.link(image, tag)
    bench.ask("anna", delete(ImageAnnotationLink=[link.id]))
    assert not bench.there(link)
    assert bench.there(image)
    assert bench.there(tag)


def test_a_tag_cannot_be_deleted_while_it_is_on_what_one_may_not_delete(bench: Any) -> None:
    image, tag = bench.image("anna"), bench.row("TagAnnotation", "ben", textValue="t")
    bench.link(image, tag, owner="ben")
    response = bench.ask("ben", delete(TagAnnotation=[tag.id]))
    assert response.message == f"may not delete TagAnnotation[{tag.id}] while Image[{image.id}] remains"
    assert isinstance(bench.ask("anna", delete(Annotation=[tag.id])), GraphException)
    assert isinstance(bench.ask("olga", delete(Annotation=[tag.id])), Delete2Response)


def test_deleting_may_start_further_down(bench: Any) -> None:
    project, dataset, image = bench.row("Project"), bench.row("Dataset"), bench.image()
    bench.link(project, dataset)
    bench.link(dataset, image)
    named = {"Project": [project.id]}
    inner = Delete2(targetObjects=named, dryRun=False)
    request = SkipHead(targetObjects=named, dryRun=False, startFrom=["Image"], request=inner)
    bench.ask("anna", request)
    assert not bench.there(image)
    assert all(map(bench.there, (project, dataset)))


def test_several_commands_are_done_together_or_not_at_all(bench: Any) -> None:
    one, two, theirs = bench.image(), bench.image(), bench.image("ben")
    response = bench.ask("anna", DoAll([delete(Image=[one.id]), delete(Image=[theirs.id])]))
    assert "not permitted" in response.parameters["message"]
    assert bench.there(one)
    response = bench.ask("anna", DoAll([delete(Image=[one.id]), delete(Image=[two.id])]))
    assert isinstance(response, DoAllRsp)
    assert [r.deletedObjects["ome.model.core.Image"] for r in response.responses] == [[one.id], [two.id]]


def test_the_group_of_the_call_does_not_matter(bench: Any) -> None:
    image = bench.image("anna", "read-only")
    elsewhere = {"omero.group": str(bench.group("private").id)}
    assert isinstance(bench.ask("anna", delete(Image=[image.id]), elsewhere), Delete2Response)


@pytest.mark.parametrize("who", ["ben", "olga", "root"])
@pytest.mark.parametrize("level", ["private", "read-only", "read-annotate", "read-write"])
def test_who_may_delete_the_image_of_somebody_is_as_documented(bench: Any, who: str, level: str) -> None:
    image = bench.image("anna", level)
    allowed = who != "ben" or level == "read-write"
    response = bench.ask(who, delete(Image=[image.id]))
    assert isinstance(response, Delete2Response) is allowed
    assert bench.there(image) is not allowed


def test_what_others_cannot_be_without_is_not_deleted_alone(bench: Any) -> None:
    image = bench.image()
    (pixels,) = bench.state.many(image, "pixels")
    (channel,) = bench.state.many(pixels, "channels")
    response = bench.ask("anna", delete(LogicalChannel=[channel["logicalChannel"].id]))
    assert "needed there" in response.message
    assert bench.there(channel["logicalChannel"])
