# SPDX-License-Identifier: BSD-3-Clause
"""Publishing to a folder beside what people and other Runs have put there."""

import hashlib
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import AttemptKey, Digest, ImageRef, RunId, TaskId, digest_of
from slidegate.sources.base import Output, Publication, Published
from slidegate.sources.contract import contents
from slidegate.sources.folder import FolderSink
from slidegate.sources.folder_sink import MARKER, folder_name

PUBLICATION = Publication(
    run=RunId("0123456789abcdef"),
    task=TaskId("task"),
    attempt=AttemptKey("a" * 64),
    image=ImageRef("folder", "/images/slide.ome.tif"),
    name="slide.ome.tif",
    tree=Digest("b" * 64),
    outputs={"summary": Output("summary", "summary.json")},
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files" / "labels.zarr" / "0").mkdir(parents=True)
    (tmp_path / "files" / "summary.json").write_text("{}")
    (tmp_path / "files" / "labels.zarr" / "0" / "zarr.json").write_text("{}")
    return tmp_path / "files"


def code_of(action) -> str:
    with pytest.raises(SlidegateError) as caught:
        action()
    return caught.value.code


def test_a_result_lies_in_a_folder_named_as_the_image_without_suffix(tmp_path, files):
    published = FolderSink(tmp_path / "out").publish(PUBLICATION, files)
    assert published.where == str(tmp_path / "out" / "slide")
    assert sorted(contents(tmp_path / "out")) == [
        f"slide/{MARKER}",
        "slide/labels.zarr/0/zarr.json",
        "slide/summary.json",
    ]


@pytest.mark.parametrize("role", ["summary", "labels"])
def test_files_that_are_not_as_they_were_fetched_are_refused_and_nothing_is_written(tmp_path, files, role):
    outputs = {"summary": Output("summary", "summary.json"), "labels": Output("labels", "labels.zarr")}
    empty = hashlib.sha256(b"{}").hexdigest()
    parts = {
        "summary": digest_of({"tree": 1, "entries": [["summary.json", 2, empty]]}),
        "labels": digest_of({"tree": 1, "entries": [["0/zarr.json", 2, empty]]}),
    }
    wanted = replace(PUBLICATION, outputs=outputs, parts=parts)
    damaged = files / ("summary.json" if role == "summary" else "labels.zarr/0/zarr.json")
    damaged.write_text("[]")
    sink = FolderSink(tmp_path / "out")
    assert code_of(lambda: sink.publish(wanted, files)) == "result-damaged"
    assert contents(tmp_path / "out") == {}
    damaged.write_text("{}")
    assert sink.publish(wanted, files).where == str(tmp_path / "out" / "slide")


def test_the_marker_says_whose_result_it_is_and_what_was_written(tmp_path, files):
    FolderSink(tmp_path / "out").publish(PUBLICATION, files)
    marker = json.loads((tmp_path / "out" / "slide" / MARKER).read_text())
    assert (marker["run"], marker["task"], marker["tree"]) == ("0123456789abcdef", "task", "b" * 64)
    assert marker["outputs"] == {"summary": {"type": "summary", "path": "summary.json"}}
    assert [entry[0] for entry in marker["entries"]] == ["labels.zarr/0/zarr.json", "summary.json"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("slide.tif", "slide"),
        ("slide.OME.TIFF", "slide"),
        ("slide.ome.zarr", "slide"),
        ("slide.zarr", "slide"),
        ("slide.v2.tif", "slide.v2"),
        ("slide.tif#z=3,t=0", "slide_z3_t0"),
        (".tif", "tif"),
        ("..", "image"),
        ("../../etc/passwd", "passwd"),
        ("a:b*c?.tif", "a_b_c_"),
        ("new\nline.tif", "new_line"),
        ("Präparat 7 µm.tif", "Präparat 7 µm"),
        ("x" * 300 + ".tif", "x" * 120),
        ("ä" * 300 + ".tif", "ä" * 60),
        ("", "image"),
        ("ends with dot..tif", "ends with dot"),
    ],
)
def test_the_folder_is_named_so_that_every_system_can_hold_it(name, folder):
    assert folder_name(name) == folder


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "link", "broken link", "foreign marker"])
def test_what_people_put_there_is_never_touched(tmp_path, files, kind):
    out = tmp_path / "out"
    out.mkdir()
    if kind == "file":
        (out / "slide").write_text("mine")
    elif kind == "link":
        (tmp_path / "far").mkdir()
        (out / "slide").symlink_to(tmp_path / "far")
    elif kind == "broken link":
        (out / "slide").symlink_to(tmp_path / "nowhere")
    else:
        (out / "slide").mkdir()
    if kind == "folder":
        (out / "slide" / "thesis.txt").write_text("mine")
    if kind == "foreign marker":
        (out / "slide" / MARKER).write_text('{"slidegate":1,"run":7}')
    before = contents(out)
    sink = FolderSink(out)
    published = sink.publish(PUBLICATION, files)
    assert Path(published.where).name == "slide~01234567"
    assert {
        name: content for name, content in contents(out).items() if not name.startswith("slide~")
    } == before
    assert sink.publish(PUBLICATION, files) == published
    sink.undo(published)
    assert contents(out) == before
    assert not (tmp_path / "far").exists() or list((tmp_path / "far").iterdir()) == []


def test_when_even_the_runs_own_name_is_taken_another_is_found(tmp_path, files):
    out = tmp_path / "out"
    for name in ("slide", "slide~01234567", "slide.ome.tif", "slide.ome.tif~01234567"):
        (out / name).mkdir(parents=True)
    published = FolderSink(out).publish(PUBLICATION, files)
    assert Path(published.where).name.startswith("slide.ome.tif~01234567~")
    assert FolderSink(out).publish(PUBLICATION, files) == published


def test_a_marker_whose_entries_lead_out_of_the_folder_removes_nothing(tmp_path, files):
    out = tmp_path / "out"
    sink = FolderSink(out)
    published = sink.publish(PUBLICATION, files)
    precious = tmp_path / "precious"
    precious.write_text("{}")
    marker = Path(published.where) / MARKER
    document = json.loads(marker.read_text())
    [*_, summary] = document["entries"]
    marker.write_text(
        json.dumps(document | {"entries": [["../../precious", *summary[1:]], [str(precious), *summary[1:]]]})
    )
    sink.undo(published)
    assert precious.exists()


def test_an_entry_that_became_a_link_is_not_followed_by_undo(tmp_path, files):
    sink = FolderSink(tmp_path / "out")
    published = sink.publish(PUBLICATION, files)
    inner = Path(published.where) / "labels.zarr" / "0"
    (tmp_path / "precious").mkdir()
    (inner / "zarr.json").rename(tmp_path / "precious" / "zarr.json")
    inner.rmdir()
    inner.symlink_to(tmp_path / "precious")
    sink.undo(published)
    assert (tmp_path / "precious" / "zarr.json").exists()
    assert inner.is_symlink()


def test_an_empty_folder_that_became_a_link_is_left_by_undo(tmp_path, files):
    sink = FolderSink(tmp_path / "out")
    published = sink.publish(PUBLICATION, files)
    inner = Path(published.where) / "labels.zarr" / "0"
    (inner / "zarr.json").unlink()
    inner.rmdir()
    (tmp_path / "precious").mkdir()
    inner.symlink_to(tmp_path / "precious")
    sink.undo(published)
    assert inner.is_symlink()
    assert sink.find_published(PUBLICATION.run) == []


def test_an_empty_folder_that_somebody_made_is_left_by_undo(tmp_path, files):
    sink = FolderSink(tmp_path / "out")
    published = sink.publish(PUBLICATION, files)
    (Path(published.where) / "figures").mkdir()
    sink.undo(published)
    assert [path.name for path in Path(published.where).iterdir()] == ["figures"]


def test_what_a_killed_publication_left_half_written_is_swept_away_after_a_day(tmp_path, files):
    sink = FolderSink(tmp_path / "out")
    old, young = (tmp_path / "out" / f".slidegate-partial-{name}" for name in ("old", "young"))
    for left in (old, young):
        left.mkdir(parents=True)
        (left / "summary.json").write_text("{")
    os.utime(old, (1, 1))
    sink.publish(PUBLICATION, files)
    assert not old.exists()
    assert young.exists()
    assert len(sink.find_published(PUBLICATION.run)) == 1


def test_a_repeat_that_knows_the_other_images_finds_what_was_published_without(tmp_path, files):
    sink = FolderSink(tmp_path / "out")
    first = sink.publish(PUBLICATION, files)
    assert sink.publish(replace(PUBLICATION, names=("slide.ome.tif", "slide.tif")), files) == first


def test_undo_of_a_place_outside_the_sink_removes_nothing(tmp_path, files):
    published = FolderSink(tmp_path / "one").publish(PUBLICATION, files)
    FolderSink(tmp_path / "two").undo(published)
    FolderSink(tmp_path / "two").undo(replace_where(published, "/"))
    assert Path(published.where, "summary.json").exists()


def replace_where(published: Published, where: str) -> Published:
    return replace(published, where=where)


def test_undo_of_an_earlier_attempt_leaves_the_later_one(tmp_path, files):
    sink = FolderSink(tmp_path / "out")
    first = sink.publish(PUBLICATION, files)
    second = sink.publish(replace(PUBLICATION, attempt=AttemptKey("c" * 64), tree=Digest("d" * 64)), files)
    sink.undo(first)
    assert sink.find_published(PUBLICATION.run) == [second]


def test_a_later_attempt_does_not_take_what_people_added_to_the_earlier(tmp_path, files):
    sink = FolderSink(tmp_path / "out")
    first = sink.publish(PUBLICATION, files)
    (Path(first.where) / "notes.txt").write_text("mine")
    second = sink.publish(replace(PUBLICATION, attempt=AttemptKey("c" * 64), tree=Digest("d" * 64)), files)
    assert Path(first.where, "notes.txt").read_text() == "mine"
    assert second.where != first.where


def _publish_many(out: str, files: str, start: int) -> None:
    for index in range(start, start + 8):
        publication = replace(PUBLICATION, task=TaskId(f"task{index % 8}"), name=f"{index % 8}.tif")
        FolderSink(Path(out)).publish(publication, Path(files))


@pytest.mark.slow
def test_two_processes_that_publish_the_same_results_leave_one_of_each(tmp_path, files):
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_publish_many, args=(str(tmp_path / "out"), str(files), at)) for at in (0, 4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [str(index) for index in range(8)]
    assert len(FolderSink(tmp_path / "out").find_published(PUBLICATION.run)) == 8


@pytest.mark.root
def test_a_full_disk_leaves_nothing(small_disk, tmp_path):
    files = tmp_path / "large"
    files.mkdir()
    (files / "nuclei.parquet").write_bytes(b"x" * 3_000_000)
    sink = FolderSink(small_disk)
    assert code_of(lambda: sink.publish(PUBLICATION, files)) == "disk-full"
    assert list(small_disk.iterdir()) == []


def test_a_folder_for_results_that_cannot_be_made_is_said_to_be_so(tmp_path, files):
    (tmp_path / "file").touch()
    assert (
        code_of(lambda: FolderSink(tmp_path / "file" / "out").publish(PUBLICATION, files))
        == "target-not-writable"
    )


@pytest.mark.root
def test_a_folder_for_results_on_a_read_only_disk_is_said_to_be_so(small_disk, files):
    import subprocess

    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert code_of(lambda: FolderSink(small_disk).publish(PUBLICATION, files)) == "target-not-writable"
