# SPDX-License-Identifier: BSD-3-Clause
"""Results go to OMERO once, whole or shown as incomplete, and undo takes away exactly that."""

import io
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import omero
import omero.model
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omero.rtypes import rstring
from pocket_omero.faults import Faults
from pocket_omero.testing import Omero

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef, RunId, TaskId
from slidegate.settings import Settings
from slidegate.sources.base import Output, Published
from slidegate.sources.contract import ArrangedSink, ResultSinkContract
from slidegate.sources.omero.annotations import NS_RESULT, Mark, attach_file
from slidegate.sources.omero.sink import OmeroSink
from slidegate.sources.omero.undo import delete, undo_run
from slidegate.wiring.house import omero_of
from slidegate.wiring.omero import Login, Logins, sink_of
from tests.acceptance.omero.results import (
    PEOPLE,
    RUN,
    TASK,
    WRITES,
    connector,
    lab,
    new_image,
    publication,
    rows,
    table_of,
    told,
    write_result,
)

pytestmark = [pytest.mark.omero, pytest.mark.slow]

PUBLISH = """
import sys
from pathlib import Path
from slidegate.domain.errors import SlidegateError
from slidegate.sources.omero.connection import Connection, Server
from slidegate.sources.omero.sink import OmeroSink
from tests.acceptance.omero.results import publication
host, port, authority, name, password, image, files = sys.argv[1:]
server = Server(host, int(port), Path(authority))
try:
    sink = OmeroSink(
        lambda: Connection.login(server, name, password), labels="image", objects="all-on-duplicate"
    )
    sink.publish(publication(int(image)), Path(files))
except SlidegateError:
    sys.exit(3)
"""


@pytest.fixture(scope="module")
def place(pocket_omero_at: Callable[..., Omero], tmp_path_factory: pytest.TempPathFactory) -> Omero:
    folder = tmp_path_factory.mktemp("omero-results")
    (folder / "people.yml").write_text(PEOPLE)
    return pocket_omero_at(folder)


@pytest.fixture
def faults(place: Omero) -> Iterator[Faults]:
    yield place.server.faults
    place.server.faults.clear()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_result(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def image(place: Omero) -> int:
    return new_image(place)


class TestOmeroSink(ResultSinkContract):
    """What every sink does, OMERO's does."""

    @pytest.fixture(autouse=True)
    def _in(self, place: Omero) -> Iterator[None]:
        self.place = place
        yield
        with connector(place)() as connection:
            for run in ("run-0123456789", "run-of-someone"):
                undo_run(connection, RunId(run))
            state = place.server.house.state
            with state.change():  # and what people added
                for kind in ("ImageAnnotationLink", "Annotation", "OriginalFile"):
                    for row in state.all(kind):
                        if not (kind == "OriginalFile" and row.values.get("mimetype") == "Repository"):
                            state.delete(row)

    def arrange(self, folder: Path) -> ArrangedSink:
        with connector(self.place)() as connection:
            undo_run(connection, RunId("run-0123456789"))
        number = new_image(self.place)
        return ArrangedSink(
            sink=OmeroSink(connector(self.place), labels="attachment"),
            everything=self.everything,
            files=self.files,
            add=self.add,
            edit=self.edit,
            image=ImageRef("omero", str(number)),
        )

    def everything(self) -> dict[str, bytes]:
        house = self.place.server.house
        found = {}
        for row in house.state.all("FileAnnotation"):
            found[f"{row.id} {row['description']}"] = house.files.path(row["file"]).read_bytes()
        for kind in ("MapAnnotation", "TagAnnotation", "Roi"):
            found |= {str(row): told(row).encode() for row in house.state.all(kind)}
        held = {row["file"].id for row in house.state.all("FileAnnotation")}
        for row in house.state.all("OriginalFile"):
            if row.id not in held and row.values.get("mimetype") != "Repository":
                found[str(row)] = b"a file that nothing holds"
        return found

    def _notes(self, published: Published) -> Iterator[tuple[Mark, Any]]:
        for row in self.place.server.house.state.all("FileAnnotation"):
            mark = Mark.read(row["description"])
            if mark is not None and (mark.run, mark.task) == (published.run, published.task):
                yield mark, row["file"]

    def files(self, published: Published) -> dict[str, bytes]:
        found = {}
        for mark, file in self._notes(published):
            content = self.place.server.house.files.path(file).read_bytes()
            if mark.part.endswith(".zarr.zip"):
                with zipfile.ZipFile(io.BytesIO(content)) as packed:
                    found |= {name: packed.read(name) for name in packed.namelist()}
            else:
                found[mark.part] = content
        return found

    def add(self, published: Published, name: str, content: bytes) -> None:
        number = int(published.where.split("/")[2])
        with self.place.gateway() as conn:
            file = conn.createOriginalFileFromFileObj(io.BytesIO(content), "/", name, len(content))
            note = omero.model.FileAnnotationI()
            note.file = file._obj
            link = omero.model.ImageAnnotationLinkI()
            link.parent, link.child = omero.model.ImageI(number, False), note
            conn.getUpdateService().saveObject(link)

    def edit(self, published: Published, name: str, content: bytes) -> None:
        file = next(file for mark, file in self._notes(published) if mark.part == name)
        with self.place.gateway() as conn:
            store = conn.createRawFileStore()
            store.setFileId(file.id)
            store.truncate(len(content))
            store.write(content, 0, len(content))
            store.close()


def test_people_see_table_files_rois_and_key_values_on_their_image(
    place: Omero, image: int, files: Path
) -> None:
    published = OmeroSink(connector(place), labels="attachment", tags=("counted",)).publish(
        publication(image), files
    )
    assert published.where.endswith(f"/image/{image}/{RUN}/{TASK}")
    with place.gateway() as conn:
        notes = list(conn.getObject("Image", image).listAnnotations())
        [pairs] = [dict(note.getValue()) for note in notes if note.getNs() == NS_RESULT]
        rois = conn.getRoiService().findByImage(image, None).rois
    assert pairs["Workflow"] == "nuclei"
    assert pairs["Run"] == RUN
    assert len(pairs["Parameter threshold"].encode()) <= 1000
    total = pq.read_table(files / "nuclei.parquet").num_rows
    assert pairs["ROIs"] == f"all {total} objects"
    assert len(rois) == total > 3
    assert {type(roi.getPrimaryShape()).__name__ for roi in rois} == {"PolygonI"}
    names = {note.getFile().getName() for note in notes if hasattr(note, "getFile") and note.getFile()}
    assert {"nuclei.parquet", "report.html", "summary.json", "labels.zarr.zip"} <= names
    assert [note.getValue() for note in notes if isinstance(note._obj, omero.model.TagAnnotationI)] == [
        "counted"
    ]
    headers, values = table_of(place, image)
    assert headers[:3] == ["ImageColumn Image", "RoiColumn Roi", "LongColumn id"]
    assert values[0] == [image] * total
    assert values[1] == [f"object {number}" for number in values[2]]
    OmeroSink(connector(place)).undo(published)


def test_a_repeat_completes_it_whichever_two_writes_it_was_killed_between(
    place: Omero, image: int, files: Path, faults: Faults
) -> None:
    sink = OmeroSink(connector(place), labels="attachment", tags=("counted",))
    before = rows(place)
    done = sink.publish(publication(image), files)
    whole, table = rows(place), str(table_of(place, image))  # as text: NaN is not equal to itself
    sink.undo(done)
    assert rows(place) == before
    killed = 0
    while True:
        faults.set(drop_after=killed, drop_on=WRITES)
        try:
            sink.publish(publication(image), files)
        except SlidegateError as error:
            faults.clear()
            assert error.transient or error.code == "omero-session-gone", error
            assert sink.find_published(RUN) == []
        else:
            break
        assert sink.publish(publication(image), files) == done
        assert rows(place) == whole
        assert str(table_of(place, image)) == table
        sink.undo(done)
        assert rows(place) == before
        killed += 2
    faults.clear()
    assert killed > 20
    sink.undo(done)


def test_two_processes_that_write_the_same_result_at_once_leave_one(
    place: Omero, image: int, files: Path, faults: Faults
) -> None:
    sink = OmeroSink(connector(place), labels="image", objects="all-on-duplicate")
    before = rows(place)
    done = sink.publish(publication(image), files)
    whole, table = rows(place), str(table_of(place, image))
    sink.undo(done)
    faults.set(delay={"IUpdate.*": 0.05, "Table.*": 0.03})
    argv = [sys.executable, "-c", PUBLISH, place.host, str(place.port), str(place.server.authority)]
    argv += [*place.person(), str(image), str(files)]
    with subprocess.Popen(argv) as other:
        late = time.monotonic() + 30
        while rows(place) == before and time.monotonic() < late:
            time.sleep(0.02)
        with suppress(SlidegateError):
            sink.publish(publication(image), files)
        assert other.wait(60) in (0, 3)
    faults.clear()
    assert sink.publish(publication(image), files) == done
    assert rows(place) == whole
    assert str(table_of(place, image)) == table
    sink.undo(done)
    assert rows(place) == before


def test_what_was_left_half_written_is_found_by_undo(
    place: Omero, image: int, files: Path, faults: Faults
) -> None:
    sink = OmeroSink(connector(place), labels="attachment")
    before = rows(place)
    killed = 0
    while True:
        faults.set(drop_after=killed, drop_on=WRITES)
        try:
            sink.publish(publication(image), files)
        except SlidegateError:
            faults.clear()
        else:
            break
        with connector(place)() as connection:
            undo_run(connection, RUN)
        assert rows(place) == before
        killed += 3
    faults.clear()
    with connector(place)() as connection:
        assert undo_run(connection, RUN) > 0
        assert undo_run(connection, RUN) == 0
    assert rows(place) == before


def test_an_undo_that_was_interrupted_can_be_repeated(
    place: Omero, image: int, files: Path, faults: Faults
) -> None:
    sink = OmeroSink(connector(place), tags=("counted",))
    before = rows(place)
    for after in range(1, 30, 4):
        done = sink.publish(publication(image), files)
        faults.set(drop_after=after)
        try:
            sink.undo(done)
        except SlidegateError:
            assert rows(place) != before
        faults.clear()
        sink.undo(done)
        assert rows(place) == before


def test_undo_leaves_what_other_people_and_runs_made(place: Omero, image: int, files: Path) -> None:
    sink = OmeroSink(connector(place), tags=("counted",))
    other = publication(image, run=RunId("ba9876543210"), task=TaskId("ba9876543210.1"))
    with place.gateway("colleague") as conn:
        tag = omero.model.TagAnnotationI()
        tag.textValue = rstring("seen by bob")
        link = omero.model.ImageAnnotationLinkI()
        link.parent, link.child = omero.model.ImageI(image, False), tag
        conn.getUpdateService().saveObject(link)
    second = sink.publish(other, files)
    with_other = rows(place)
    first = sink.publish(publication(image), files)
    sink.undo(first)
    assert rows(place) == with_other
    sink.undo(second)


def test_undo_leaves_shapes_that_a_person_moved_and_files_that_hang_elsewhere(
    place: Omero, image: int, files: Path
) -> None:
    sink = OmeroSink(connector(place))
    done = sink.publish(publication(image), files)
    second_image = new_image(place)
    with place.gateway() as conn:
        roi = conn.getRoiService().findByImage(image, None).rois[0]
        shape = roi.getPrimaryShape()
        shape.points = rstring("1,1 5,1 5,5")
        conn.getUpdateService().saveObject(shape)
        notes = conn.getObject("Image", image).listAnnotations()
        report = next(
            n for n in notes if getattr(n, "getFile", None) and n.getFile().getName() == "report.html"
        )
        link = omero.model.ImageAnnotationLinkI()
        link.parent = omero.model.ImageI(second_image, False)
        link.child = omero.model.FileAnnotationI(report.getId(), False)
        conn.getUpdateService().saveObject(link)
    sink.undo(done)
    with place.gateway() as conn:
        assert [r.id.val for r in conn.getRoiService().findByImage(image, None).rois] == [roi.id.val]
        assert list(conn.getObject("Image", image).listAnnotations()) == []
        [kept] = conn.getObject("Image", second_image).listAnnotations()
        assert kept.getFile().getName() == "report.html"
    assert sink.find_published(RUN) == []
    assert sink.publish(publication(image), files) == done
    with place.gateway() as conn:
        total = pq.read_table(files / "nuclei.parquet").num_rows
        assert len(conn.getRoiService().findByImage(image, None).rois) == total
    sink.undo(done)
    with connector(place)() as connection:
        delete(connection, "Roi", {lab(connection): [roi.id.val]})
        delete(connection, "FileAnnotation", {lab(connection): [kept.getId()]})


def test_more_objects_than_the_cap_are_drawn_as_a_sample_that_says_so(
    place: Omero, image: int, files: Path
) -> None:
    sink = OmeroSink(connector(place), rois=3)
    drawn = []
    for _ in range(2):
        done = sink.publish(publication(image), files)
        with place.gateway() as conn:
            rois = conn.getRoiService().findByImage(image, None).rois
            [note] = conn.getObject("Image", image).listAnnotations(ns=NS_RESULT)
            drawn.append(sorted(roi.name.val for roi in rois))
            said = dict(note.getValue())["ROIs"]
        sink.undo(done)
    total = pq.read_table(files / "nuclei.parquet").num_rows
    assert said == f"3 of {total} objects, chosen at random; all are in the table"
    assert len(drawn[0]) == 3
    assert drawn[0] == drawn[1]


def test_ones_own_image_in_a_private_group_gets_results(place: Omero, files: Path) -> None:
    number = new_image(place, "member", "quiet")
    before = rows(place)
    sink = OmeroSink(connector(place), labels="image", objects="all-on-duplicate")
    done = sink.publish(publication(number), files)
    assert sink.find_published(RUN) == [done]
    sink.undo(done)
    assert rows(place) == before


@pytest.mark.parametrize("group", ["club", "lab"])
def test_the_image_of_a_colleague_gets_results_of_the_person_in_its_group(
    place: Omero, files: Path, group: str
) -> None:
    number = new_image(place, "colleague", group)
    sink = OmeroSink(connector(place))
    done = sink.publish(publication(number), files)
    state = place.server.house.state
    whose = {
        (row["details.owner"]["omeName"], row["details.group"]["name"])
        for kind in ("Annotation", "OriginalFile", "Roi", "ImageAnnotationLink")
        for row in state.all(kind)
        if str(RUN) in told(row)
    }
    assert whose == {("alice", group)}
    sink.undo(done)


@pytest.mark.parametrize("group", ["museum", "quiet"])
def test_an_image_that_may_only_be_looked_at_is_refused_in_words(
    place: Omero, files: Path, group: str
) -> None:
    """In a read-only group, and as the one who leads a private one."""
    number = new_image(place, "colleague", group)
    before = rows(place)
    with pytest.raises(SlidegateError, match="only look at it") as refused:
        OmeroSink(connector(place)).publish(publication(number), files)
    assert refused.value.code == "omero-result-refused"
    assert not refused.value.transient
    assert rows(place) == before


def test_an_image_that_was_deleted_meanwhile_is_told_and_nothing_stays(
    place: Omero, files: Path, faults: Faults
) -> None:
    sink = OmeroSink(connector(place))
    before = rows(place)
    image = new_image(place)
    faults.set(drop_after=12, drop_on=WRITES)
    with pytest.raises(SlidegateError):
        sink.publish(publication(image), files)
    faults.clear()
    with connector(place)() as connection:
        delete(connection, "Image", {lab(connection): [image]})
    with pytest.raises(SlidegateError, match="nothing of that name") as refused:
        sink.publish(publication(image), files)
    assert refused.value.code == "omero-not-found"
    with connector(place)() as connection:
        undo_run(connection, RUN)
    assert rows(place) == before


def test_a_person_who_left_the_group_istold(place: Omero, files: Path) -> None:
    number = new_image(place, "colleague", "club")
    with place.gateway("admin") as conn:
        admin = conn.getAdminService()
        alice, club = admin.lookupExperimenter("alice"), admin.lookupGroup("club")
        admin.removeGroups(alice, [club])
        try:
            before = rows(place)
            with pytest.raises(SlidegateError) as refused:
                OmeroSink(connector(place)).publish(publication(number), files)
            assert refused.value.code in ("omero-not-found", "omero-not-permitted")
            assert rows(place) == before
        finally:
            admin.addGroups(alice, [club])


def test_a_file_that_arrived_as_other_bytes_is_not_attached(place: Omero, image: int, files: Path) -> None:
    before = rows(place)
    mark = replace(Mark.of(publication(image), image), part="report.html")
    with connector(place)() as connection:
        facts = {"size": "9", "sha1": "0" * 40}
        with pytest.raises(SlidegateError) as refused:
            attach_file(connection, lab(connection), mark, files / "report.html", facts)
        assert refused.value.code == "omero-transfer-damaged"
        assert refused.value.transient
        assert undo_run(connection, RUN) == 1
    assert rows(place) == before


def test_a_sink_knows_types_of_output_and_no_more(place: Omero, image: int, tmp_path: Path) -> None:
    things = pa.table(
        {
            "id": pa.array([7, 9], pa.uint64()),
            "name": pa.array(["a", None]),
            "Roi": pa.array([0.5, None]),
            "seen": pa.array([True, None]),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "box": pa.array([[1, 2], [3]]),
        }
    )
    (tmp_path / "things").mkdir()
    pq.write_table(things, tmp_path / "things" / "cells.parquet")
    outputs = {"cells": Output("table/objects", "cells.parquet")}
    sink = OmeroSink(connector(place))
    done = sink.publish(publication(image, outputs=outputs), tmp_path / "things")
    headers, values = table_of(place, image)
    assert headers[2:] == [
        "DoubleColumn id", "StringColumn name", "DoubleColumn Roi_", "DoubleColumn seen", "StringColumn kind",
    ]  # fmt: skip
    assert values[1] == [-1, -1]
    assert values[3] == ["a", ""]
    assert np.isnan(values[4][1])
    assert values[5][0] == 1.0
    assert np.isnan(values[5][1])
    sink.undo(done)


def test_label_images_and_tags_are_there_where_the_settings_ask_for_them(
    place: Omero, image: int, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SLIDEGATE_OMERO_LABELS", "true")
    monkeypatch.setenv("SLIDEGATE_OMERO_TAGS", '["nuclei counted"]')
    with place.client() as client:
        login = Login(place.host, place.port, str(place.server.authority), "alice", client.getSessionId())
        Logins().keep(login)
        omero_at = omero_of(Settings())
        done = sink_of(f"omero:{place.host}", omero_at).publish(publication(image), files)
        with place.gateway() as conn:
            notes = list(conn.getObject("Image", image).listAnnotations())
        names = {note.getFile().getName() for note in notes if getattr(note, "getFile", None)}
        assert "labels.zarr.zip" in names
        assert "nuclei counted" in [
            getattr(note._obj, "textValue", None) and note.getValue() for note in notes
        ]
        sink_of(f"omero:{place.host}", omero_at).undo(done)
        omero_at.close()
