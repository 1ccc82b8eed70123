# SPDX-License-Identifier: BSD-3-Clause
"""One table of a run's figures on each dataset, label images as images, every object on a duplicate."""

import json
import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import Ice
import numpy as np
import omero
import omero.cmd
import pyarrow.parquet as pq
import pytest
import tifffile
from omero.rtypes import rstring
from pocket_omero.faults import Faults
from pocket_omero.testing import Omero
from slidegate_analysis.images import open_labels

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import Digest, ImageRef, TaskId
from slidegate.sources.base import Publication
from slidegate.sources.omero.annotations import NS_RESULT
from slidegate.sources.omero.connection import Connection
from slidegate.sources.omero.sink import OmeroSink
from slidegate.sources.omero.undo import carried_out, delete, undo_run
from tests.acceptance.omero.results import (
    PEOPLE,
    RUN,
    WRITES,
    connector,
    lab,
    new_image,
    publication,
    rows,
    write_result,
)

pytestmark = [pytest.mark.omero, pytest.mark.slow]

FIGURES = {"nuclei": 12, "density_per_mm2": 1034.25, "c0_mean": None}


@pytest.fixture(scope="module")
def place(pocket_omero_at: Callable[..., Omero], tmp_path_factory: pytest.TempPathFactory) -> Omero:
    folder = tmp_path_factory.mktemp("omero-datasets")
    (folder / "people.yml").write_text(PEOPLE)
    (folder / "slides").mkdir()
    with tifffile.TiffWriter(folder / "slides" / "slide.ome.tif", ome=True) as tiff:
        for seed in (1, 2):
            pixels = np.random.default_rng(seed).integers(0, 999, (90, 130)).astype(np.uint16)
            tiff.write(pixels, metadata={"axes": "YX"})
    return pocket_omero_at(folder)


@pytest.fixture
def faults(place: Omero) -> Iterator[Faults]:
    yield place.server.faults
    place.server.faults.clear()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = write_result(tmp_path_factory.mktemp("drawn"))
    (found / "summary.json").write_text(json.dumps({"figures": FIGURES, "nuclei": 12}))
    return found


@pytest.fixture
def everything(place: Omero) -> OmeroSink:
    return OmeroSink(connector(place), labels="image", tags=("counted",), objects="all-on-duplicate")


def new_dataset(place: Omero, *images: int, role: str = "member") -> int:
    with place.gateway(role) as conn:
        conn.SERVICE_OPTS.setOmeroGroup(
            conn.getObject("ExperimenterGroup", attributes={"name": "lab"}).getId()
        )
        dataset = omero.model.DatasetI()
        dataset.name = rstring("Kohorte „Ä“ <b>&amp;\t\u202e")
        number = conn.getUpdateService().saveAndReturnObject(dataset, conn.SERVICE_OPTS).id.val
        put_into(conn, number, *images)
        return int(number)


def put_into(conn: Any, dataset: int, *images: int) -> None:
    for image in images:
        link = omero.model.DatasetImageLinkI()
        link.parent, link.child = omero.model.DatasetI(dataset, False), omero.model.ImageI(image, False)
        conn.getUpdateService().saveObject(link, conn.SERVICE_OPTS)


def of_image(image: int, number: int) -> Publication:
    task = TaskId(f"{RUN}.{number}")
    return replace(publication(image), task=task, tree=Digest(f"{number:064x}"))


def summary_of(place: Omero, dataset: int) -> dict[str, list[Any]] | None:
    """The columns of the one table on a dataset; None where there is none."""
    with place.gateway() as conn:
        space = omero.constants.namespaces.NSBULKANNOTATIONS
        notes = list(conn.getObject("Dataset", dataset).listAnnotations(ns=space))
        if not notes:
            return None
        [note] = notes
        table = conn.c.sf.sharedResources().openTable(note.getFile()._obj, {"omero.group": "-1"})
        try:
            headers = table.getHeaders()
            assert isinstance(headers[0], omero.grid.ImageColumn)
            read = table.read(list(range(len(headers))), 0, table.getNumberOfRows())
            return {column.name: list(column.values) for column in read.columns}
        finally:
            table.close()


def result_of(place: Omero, image: int) -> dict[str, str]:
    with place.gateway() as conn:
        [note] = list(conn.getObject("Image", image).listAnnotations(ns=NS_RESULT))
        return dict(note.getValue())


def test_a_dataset_has_one_table_with_a_row_for_each_image_of_the_run(place: Omero, files: Path) -> None:
    images = [new_image(place) for _ in range(7)]
    all_but_one, two, other = images[:6], images[4:6], images[6]
    first, second = new_dataset(place, *all_but_one), new_dataset(place, *two)
    before = rows(place)
    sink = OmeroSink(connector(place))
    wanted = [of_image(image, number) for number, image in enumerate(images, 1)]
    random.Random(3).shuffle(wanted)
    with ThreadPoolExecutor(3) as workers:
        done = list(workers.map(lambda one: sink.publish(one, files), wanted))
    table = summary_of(place, first)
    assert table is not None
    assert list(table) == ["Image", "c0_mean", "density_per_mm2", "nuclei"]
    assert table["Image"] == all_but_one
    assert table["nuclei"] == [12] * 6
    assert table["density_per_mm2"] == [1034.25] * 6
    assert all(math.isnan(value) for value in table["c0_mean"])
    assert (summary_of(place, second) or {})["Image"] == two
    whole = rows(place)
    assert [sink.publish(one, files) for one in wanted] == done
    assert rows(place) == whole
    gone = next(one for one in done if f"/image/{images[4]}/" in one.where)
    plane = replace(of_image(images[0], 8), image=ImageRef("omero", f"{images[0]}#z=0,t=0"))
    second_plane = sink.publish(plane, files)
    assert (summary_of(place, first) or {})["Image"] == [images[0], *all_but_one]
    sink.undo(second_plane)
    assert rows(place) == whole
    sink.undo(gone)
    assert (summary_of(place, first) or {})["Image"] == [i for i in all_but_one if i != images[4]]
    assert (summary_of(place, second) or {})["Image"] == [images[5]]
    for one in done:
        sink.undo(one)
    assert summary_of(place, first) is None
    assert rows(place) == before
    assert result_count(place, other) == 0


def result_count(place: Omero, image: int) -> int:
    with place.gateway() as conn:
        return len(list(conn.getObject("Image", image).listAnnotations()))


def test_a_table_on_the_dataset_that_somebody_changed_is_left_to_them(place: Omero, files: Path) -> None:
    image = new_image(place)
    dataset = new_dataset(place, image)
    sink = OmeroSink(connector(place))
    done = sink.publish(of_image(image, 1), files)
    with place.gateway() as conn:
        [note] = conn.getObject("Dataset", dataset).listAnnotations()
        table = conn.c.sf.sharedResources().openTable(note.getFile()._obj, {"omero.group": "-1"})
        data = table.read(list(range(len(table.getHeaders()))), 0, 1)
        data.columns[-1].values = [99]
        table.update(data)
        table.close()
    changed = rows(place)
    sink.publish(of_image(image, 1), files)
    assert rows(place) == changed
    sink.undo(done)
    assert (summary_of(place, dataset) or {})["nuclei"] == [99]
    with connector(place)() as connection:
        delete(connection, "FileAnnotation", {lab(connection): [note.getId()]})


def test_a_label_image_becomes_an_image_beside_the_original(place: Omero, files: Path) -> None:
    image = new_image(place)
    dataset = new_dataset(place, image)
    before = rows(place)
    sink = OmeroSink(connector(place), labels="image")
    done = sink.publish(publication(image, name="Ünïcode <b>'\"%s\t" + "n" * 300), files)
    kind, _, number = result_of(place, image)["Label image (labels)"].partition(":")
    assert kind == "Image"
    labels = open_labels(files / "labels.zarr")
    with place.gateway() as conn:
        shown = conn.getObject("Image", int(number))
        assert [one.getId() for one in shown.listParents()] == [dataset]
        pixels = shown.getPrimaryPixels()
        assert pixels.getPixelsType().value == "uint32"
        np.testing.assert_array_equal(pixels.getPlane(0, 0, 0), labels.read(0, 90, 0, 130))
        assert shown.getPixelSizeX() == pytest.approx(labels.pixel_size_um)
    whole = rows(place)
    sink.publish(publication(image), files)
    assert rows(place) == whole
    sink.undo(done)
    assert rows(place) == before


def test_every_object_is_drawn_on_a_duplicate_of_the_image(place: Omero, files: Path) -> None:
    image = new_image(place)
    dataset = new_dataset(place, image)
    with place.gateway("colleague") as conn:
        conn.SERVICE_OPTS.setOmeroGroup(conn.getObject("Image", image).getDetails().group.id.val)
        roi = omero.model.RoiI()
        roi.image = omero.model.ImageI(image, False)
        tag = omero.model.TagAnnotationI()
        tag.textValue = rstring("of a colleague")
        link = omero.model.ImageAnnotationLinkI()
        link.parent, link.child = omero.model.ImageI(image, False), tag
        conn.getUpdateService().saveArray([roi, link], conn.SERVICE_OPTS)
    before = rows(place)
    sink = OmeroSink(connector(place), rois=3, objects="all-on-duplicate")
    done = sink.publish(publication(image), files)
    total = pq.read_table(files / "nuclei.parquet").num_rows
    said = result_of(place, image)
    assert said["ROIs"].startswith(f"3 of {total} objects")
    number = int(said["All objects"].rpartition(":")[2])
    assert said["All objects"] == f"{total} ROIs on Image:{number}"
    with place.gateway() as conn:
        copy = conn.getObject("Image", number)
        assert [one.getId() for one in copy.listParents()] == [dataset]
        assert copy.getName() == f"image [all objects, run {RUN}]"
        rois = conn.getRoiService().findByImage(number, None).rois
        assert len(conn.getRoiService().findByImage(image, None).rois) == 3 + 1
        spaces = sorted(note.getNs() for note in copy.listAnnotations())
    assert len(rois) == total
    assert spaces == sorted([omero.constants.namespaces.NSBULKANNOTATIONS, NS_RESULT])
    whole = rows(place)
    sink.publish(publication(image), files)
    assert rows(place) == whole
    sink.undo(done)
    assert rows(place) == before


def test_images_that_came_in_one_file_are_duplicated_together_and_removed_together(
    place: Omero, files: Path
) -> None:
    with connector(place)() as connection:
        found = connection.query("select i.id from Image i where i.fileset.id is not null order by i.id")
    first, second = (row[0] for row in found)
    before = rows(place)
    sink = OmeroSink(connector(place), objects="all-on-duplicate")
    done = [sink.publish(of_image(image, number), files) for number, image in enumerate((first, second), 1)]
    copies = [int(result_of(place, image)["All objects"].rpartition(":")[2]) for image in (first, second)]
    with place.gateway() as conn:
        for image, copy in zip((first, second), copies, strict=True):
            planes = [conn.getObject("Image", one).getPrimaryPixels().getPlane() for one in (image, copy)]
            np.testing.assert_array_equal(*planes)
        assert len(list(conn.getObjects("Image"))) >= 2 + 4
    for one in done:
        sink.undo(one)
    assert rows(place) == before


def test_what_people_put_on_the_duplicate_and_copies_they_made_of_it_stay_theirs(
    place: Omero, files: Path
) -> None:
    image = new_image(place)
    sink = OmeroSink(connector(place), labels="image", objects="all-on-duplicate")
    done = sink.publish(publication(image), files)
    said = result_of(place, image)
    number = int(said["All objects"].rpartition(":")[2])
    labels = int(said["Label image (labels)"].rpartition(":")[2])
    with connector(place)() as connection:
        request = omero.cmd.Duplicate(targetObjects={"Image": [number, image, labels]})
        answer = carried_out(connection, request, lab(connection))
        copies = answer.duplicates["ome.model.core.Image"]
        bare = omero.cmd.Duplicate(targetObjects={"Image": [labels]}, typesToIgnore=["IAnnotationLink"])
        copies += carried_out(connection, bare, lab(connection)).duplicates["ome.model.core.Image"]
        assert len(copies) == 4
        drawn = count_rois(connection, *copies)
        roi = omero.model.RoiI()
        roi.image = omero.model.ImageI(number, False)
        connection.services("Update").saveObject(roi, connection.context(lab(connection)))
        sink.undo(done)
        assert count_rois(connection, *copies) == drawn > 0
        assert count_rois(connection, number) == 1
        left = connection.query("select i.id from Image i where i.id in (:ids)", {"ids": [*copies, labels]})
        assert sorted(row[0] for row in left) == sorted(copies)
        assert connection.query("select i.id from Image i where i.id = :id", {"id": number})
        assert undo_run(connection, RUN) == 0
        delete(connection, "Image", {lab(connection): [*copies, number, image]})


def count_rois(connection: Connection, *images: int) -> int:
    asked = {"images": list(images)}
    return len(connection.query("select r.id from Roi r where r.image.id in (:images)", asked))


def test_an_omero_that_copies_no_pixels_is_told_of_and_no_empty_duplicate_stays(
    place: Omero, files: Path, faults: Faults
) -> None:
    image = new_image(place)
    before = rows(place)
    sink = OmeroSink(connector(place), objects="all-on-duplicate")
    faults.set(fail={"RawPixelsStore.getTile": "ValidationException"})
    done = sink.publish(publication(image), files)
    faults.clear()
    assert result_of(place, image)["All objects"].startswith("not drawn: this OMERO makes no duplicate")
    with connector(place)() as connection:
        found = connection.query("select i.name from Image i where i.name like '%all objects%'")
    assert found == []
    sink.undo(done)
    assert rows(place) == before


def test_a_complete_result_gets_what_is_asked_for_later_and_nothing_twice(
    place: Omero, files: Path, everything: OmeroSink
) -> None:
    image = new_image(place)
    new_dataset(place, image)
    before = rows(place)
    OmeroSink(connector(place)).publish(publication(image), files)
    assert result_of(place, image)["Label image (labels)"] == "not attached"
    done = everything.publish(publication(image), files)
    said = result_of(place, image)
    assert said["Label image (labels)"].startswith("Image:")
    assert said["Tag"] == "counted"
    assert "ROIs on Image:" in said["All objects"]
    OmeroSink(connector(place), labels="attachment").publish(publication(image), files)
    assert (
        result_of(place, image)["Label image (labels)"] == f"{said['Label image (labels)']}, labels.zarr.zip"
    )
    whole = rows(place)
    everything.publish(publication(image), files)
    assert rows(place) == whole
    everything.undo(done)
    assert rows(place) == before


class Counted:
    """A connection whose calls that write are counted, and broken before or after the one that is wanted.

    What is asked for between two writes does not matter: it changes nothing.
    """

    def __init__(self, connection: Connection, at: int, answered: bool) -> None:
        self._connection, self.left, self._answered = connection, at, answered

    def __enter__(self) -> Connection:
        self._connection.client = _Watched(self._connection.client, self)
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.client = self._connection.client.unwatched
        self._connection.close()

    def call(self, operation: Callable[..., Any], *args: Any) -> Any:
        if self.left == 0 and not self._answered:
            raise Ice.ConnectionLostException
        result = operation(*args)
        if self.left == 0:
            raise Ice.ConnectionLostException
        self.left -= 1
        return result


def Ice_lost() -> Exception:
    import Ice

    return Ice.ConnectionLostException()


_GIVES = ("getSession", "sharedResources", "createRawFileStore", "createRawPixelsStore")
_CHANGES = ("save", "write", "init", "add", "createImage", "setTile", "setChannel", "submit", "newTable")


class _Watched:
    def __init__(self, proxy: Any, counted: Counted) -> None:
        self.unwatched, self._counted = proxy, counted

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.unwatched, name)
        if name in _GIVES or name.endswith("Service"):
            return lambda *args: _Watched(found(*args), self._counted)
        if name == "newTable":
            return lambda *args: _Watched(self._counted.call(found, *args), self._counted)
        if name.startswith(_CHANGES):
            return lambda *args: self._counted.call(found, *args)
        return found


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
def test_a_publication_with_everything_that_is_killed_at_any_write_is_completed_by_a_repeat(
    place: Omero, files: Path, everything: OmeroSink, answered: bool
) -> None:
    """Each write fails once before it happens, or happens and is never answered."""
    image = new_image(place)
    new_dataset(place, image)
    before = rows(place)
    wanted = publication(image)
    done = everything.publish(wanted, files)
    whole = rows(place)
    everything.undo(done)
    assert rows(place) == before
    for at in count():
        broken = partial(Counted, connector(place)(), at, answered)
        sink = OmeroSink(broken, labels="image", tags=("counted",), objects="all-on-duplicate")
        try:
            sink.publish(wanted, files)
        except SlidegateError as error:
            assert error.transient, error
        else:
            break
        if at % 3 == 2:  # an undo of what was left half-written, instead
            with connector(place)() as connection:
                undo_run(connection, RUN)
            assert rows(place) == before, at
            continue
        assert everything.publish(wanted, files) == done
        assert rows(place) == whole, at
        everything.undo(done)
        assert rows(place) == before, at
    assert at > 30
    everything.undo(done)


def test_a_result_that_was_computed_anew_replaces_what_was_begun_of_the_earlier_one(
    place: Omero, files: Path, everything: OmeroSink, faults: Faults
) -> None:
    image = new_image(place)
    new_dataset(place, image)
    before = rows(place)
    anew = publication(image, tree=Digest("c" * 64))
    done = everything.publish(anew, files)
    whole = rows(place)
    everything.undo(done)
    for broken in ("ServiceFactory.submit", "RawPixelsStore.save", "IPixels.setChannel*"):
        faults.set(drop_after=0, drop_on=broken)
        with pytest.raises(SlidegateError):
            everything.publish(publication(image), files)
        assert rows(place) != before
        assert everything.publish(anew, files) == done
        assert rows(place) == whole
        everything.undo(done)
        assert rows(place) == before
    earlier = everything.publish(publication(image), files)
    assert everything.publish(anew, files) == done
    assert rows(place) == whole
    everything.undo(earlier)
    assert rows(place) == whole
    everything.undo(done)
    assert rows(place) == before


def test_omero_that_is_restarted_in_mid_import_has_the_whole_result_after_a_repeat(
    place: Omero, files: Path, everything: OmeroSink, faults: Faults
) -> None:
    image = new_image(place)
    new_dataset(place, image)
    before = rows(place)
    done = everything.publish(publication(image), files)
    whole = rows(place)
    everything.undo(done)
    for after in (8, 20):
        faults.set(drop_after=after, drop_on=WRITES)
        with pytest.raises(SlidegateError):
            everything.publish(publication(image), files)
        faults.clear()
        place.server.restart()
        assert everything.publish(publication(image), files) == done
        assert rows(place) == whole
        everything.undo(done)
        assert rows(place) == before
