# SPDX-License-Identifier: BSD-3-Clause
"""What is read of finished results is what was published: files, tiles and columns, and nothing else."""

import http.client
import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from slidegate_analysis.images import create_labels, open_image
from sqlalchemy import update

from slidegate.domain.run import kept_result
from slidegate.domain.values import RunId
from slidegate.store import Store, tables
from tests.finished import Computed, Finished, draw, finish
from tests.unit.api.service import Service, serving

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 600, 1100
UNPACK = {
    "": bytes,
    "gzip": lambda raw: zlib.decompress(raw, wbits=31),
    "zstd": lambda raw: pa.input_stream(io.BytesIO(raw), compression="zstd").read(),
}


@dataclass
class Place:
    """A service with a finished Run of Ada's, of two images."""

    service: Service
    computed: Computed
    finished: Finished
    ada: httpx.Client
    folder: Path

    @property
    def store(self) -> Store:
        return self.service.store

    def url(self, path: str, number: int = 1) -> str:
        return f"/v1/runs/{self.finished.run}/tasks/{number}/{path}"

    def get(self, path: str, **more: object) -> httpx.Response:
        return self.ada.get(self.url(path), **more)

    def another(self, name: str) -> tuple[Path, str]:
        """Make a Run of its own; return its published folder and the address of its results."""
        made = finish(self.store, self.service.cache, self.folder / name, "ada", self.computed, name=name)
        return made.where[0], f"/v1/runs/{made.run}/tasks/1/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("results")
    computed = draw(folder, HEIGHT, WIDTH)
    with serving(folder / "service") as service:
        ada = service.by_token(service.person("ada"))
        done = finish(service.store, service.cache, folder / "published", "ada", computed, images=2)
        yield Place(service, computed, done, ada, folder)


def problem(answer: httpx.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
        answer.text
    )
    body = answer.json()
    assert body["code"] == code
    assert body["detail"].endswith(".")
    return body["detail"]


def test_each_file_that_is_listed_can_be_downloaded_and_is_what_was_published(place: Place) -> None:
    items = place.get("files").json()["items"]
    names = {item["name"]: item for item in items}
    assert {"nuclei.parquet", "report.html", "summary.json", "labels.zarr/zarr.json"} <= set(names)
    assert (names["report.html"]["type"], names["report.html"]["role"]) == ("text/html", "report")
    assert names["labels.zarr/0/c/0/0"]["role"] == "labels"
    for name in ("nuclei.parquet", "report.html", "labels.zarr/0/c/0/0"):
        answer = place.get(f"files/{name}")
        assert answer.content == (place.finished.where[0] / name).read_bytes()
        assert int(answer.headers["content-length"]) == names[name]["bytes"]
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = place.get(f"files/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_a_report_is_shown_without_any_power_over_the_pages(place: Place) -> None:
    shown = place.get("files/report.html", params={"view": True})
    assert shown.headers["content-type"].startswith("text/html")
    assert shown.headers["content-disposition"].startswith("inline;")
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "allow-" not in policy
    other = place.get("files/summary.json", params={"view": True})
    assert other.headers["content-disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    "name",
    [
        ".slidegate.json", "nothing.txt", "labels.zarr", "labels.zarr/", "../a/nuclei.parquet", "%2e%2e/x",
        "..%2f..%2fservice%2fslidegate.db", "/etc/passwd", "%2fetc%2fpasswd",
        "nuclei.parquet/", "labels.zarr//zarr.json", "./nuclei.parquet", "labels.zarr/../nuclei.parquet",
        "NUCLEI.PARQUET",
    ],
)  # fmt: skip
def test_names_that_are_not_listed_are_not_there(place: Place, name: str) -> None:
    host = place.service.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=10)) as raw:  # sends a path as it is
        raw.request("GET", place.url(f"files/{name}"), headers=dict(place.ada.headers))
        answer = raw.getresponse()
        body = json.loads(answer.read())
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert body["code"] in ("no-such-file", "not-found")


def test_what_people_put_beside_the_results_is_not_given_out(place: Place) -> None:
    where, at = place.another("beside")
    (where / "notes.txt").write_text("private")
    assert "notes.txt" not in place.ada.get(f"{at}files").text
    problem(place.ada.get(f"{at}files/notes.txt"), 404, "no-such-file")


def test_files_that_were_changed_replaced_or_removed_are_said_to_be_so(place: Place) -> None:
    where, at = place.another("damaged")
    assert place.ada.get(f"{at}table").status_code == 200
    assert place.ada.get(f"{at}labels/0/0/0").status_code == 200
    kept = (where / "nuclei.parquet").read_bytes()
    for change in (kept[:-1], kept[:2000] + b"x" + kept[2001:]):
        (where / "nuclei.parquet").write_bytes(change)
        problem(place.ada.get(f"{at}table/area_px"), 409, "result-changed")
        assert "nuclei.parquet" in problem(place.ada.get(f"{at}files/nuclei.parquet"), 409, "result-changed")
    (where / "nuclei.parquet").unlink()
    assert "nuclei.parquet" in problem(place.ada.get(f"{at}table"), 410, "result-gone")
    (where / "nuclei.parquet").symlink_to("/etc/passwd")
    problem(place.ada.get(f"{at}files/nuclei.parquet"), 409, "result-changed")
    (where / "nuclei.parquet").unlink()
    os.mkfifo(where / "nuclei.parquet")
    problem(place.ada.get(f"{at}files/nuclei.parquet"), 409, "result-changed")
    (where / "labels.zarr").rename(where / "elsewhere")
    (where / "labels.zarr").symlink_to(where / "elsewhere")
    problem(place.ada.get(f"{at}files/labels.zarr/zarr.json"), 409, "result-changed")


def test_a_folder_that_is_gone_or_of_another_result_gives_nothing(place: Place) -> None:
    where, at = place.another("moved")
    marker = where / ".slidegate.json"
    content = json.loads(marker.read_bytes())
    marker.write_text(json.dumps({**content, "task": "another"}))
    problem(place.ada.get(f"{at}files"), 410, "result-gone")
    marker.write_text("[" * 100_000)
    problem(place.ada.get(f"{at}files"), 410, "result-gone")
    marker.write_text(
        json.dumps({**content, "entries": [["../../../etc/passwd", 1, "x"], "x", ["a", "b", 1]]})
    )
    assert place.ada.get(f"{at}files").json() == {"items": []}
    problem(place.ada.get(f"{at}labels/0/0/0"), 404, "no-labels")
    problem(place.ada.get(f"{at}table"), 404, "no-table")
    where.rename(place.folder / "away")
    problem(place.ada.get(f"{at}files"), 410, "result-gone")
    where.symlink_to(place.finished.where[0])
    problem(place.ada.get(f"{at}files"), 410, "result-gone")


def test_results_in_omero_are_shown_from_a_copy_and_said_to_lie_there_without_one(place: Place) -> None:
    where, at = place.another("in-omero")
    run = RunId(at.split("/")[3])
    (task,) = place.store.runs.tasks(run)
    with place.store.database.write() as connection:
        connection.execute(
            update(tables.task)
            .where(tables.task.c.run == run)
            .values(source="omero", image="12#z=1,t=0", published=f"omero:omero.example.org/image/12/{run}")
        )
    assert "OMERO" in problem(place.ada.get(f"{at}files"), 410, "result-gone")
    assert place.ada.get(f"/v1/runs/{run}/tasks").json()["items"][0]["summary"] is None
    place.service.cache.keep_tree(where, kept_result(run, task["id"], task["output"]))
    assert place.ada.get(f"{at}files").json()["items"]
    assert place.ada.get(f"{at}table").status_code == 200
    (shown,) = place.ada.get(f"/v1/runs/{run}/tasks").json()["items"]
    assert shown["image"] == "omero:12#z=1,t=0"
    assert shown["summary"]
    with zipfile.ZipFile(io.BytesIO(place.ada.get(f"{at}archive").content)) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"omero-12"}


def test_an_archive_holds_the_files_of_all_images_in_a_folder_each(place: Place) -> None:
    answer = place.ada.get(f"/v1/runs/{place.finished.run}/archive")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert tops == {where.name for where in place.finished.where}
        for where in place.finished.where:
            assert archive.read(f"{where.name}/nuclei.parquet") == (where / "nuclei.parquet").read_bytes()
    one = place.get("archive")
    with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {place.finished.where[0].name}


def test_an_archive_says_what_is_missing_in_it(place: Place) -> None:
    where, at = place.another("partly")
    (where / "summary.json").write_text("{}")
    (where / "labels.zarr" / "0" / "zarr.json").unlink()
    with zipfile.ZipFile(io.BytesIO(place.ada.get(f"{at}archive").content)) as archive:
        assert archive.testzip() is None
        words = archive.read("PLEASE-READ.txt").decode()
        assert "summary.json" in words
        assert "labels.zarr/0/zarr.json" in words
        assert f"{where.name}/summary.json" not in archive.namelist()


def test_tiles_are_the_pixels_of_the_image_at_every_level(place: Place) -> None:
    picture = place.get("picture").json()
    image = open_image(place.computed.image)
    assert picture["shape"] == [2, HEIGHT, WIDTH]
    assert (picture["dtype"], picture["pixel_size_um"], picture["tile"]) == (
        "uint16",
        pytest.approx(0.325),
        512,
    )
    assert [(level["height"], level["width"]) for level in picture["levels"]] == list(image.level_shapes)
    for level, (height, width) in enumerate(image.level_shapes):
        for row in range(-(-height // 512)):
            for column in range(-(-width // 512)):
                y, x = 512 * row, 512 * column
                y1, x1 = min(y + 512, height), min(x + 512, width)
                tile = place.get(f"tiles/{level}/{row}/{column}").content
                pixels = np.frombuffer(tile, "<u2").reshape(2, y1 - y, x1 - x)
                for channel in range(2):
                    assert np.array_equal(pixels[channel], image.read(channel, y, y1, x, x1, level))


def test_label_tiles_are_the_outlines_that_were_found(place: Place) -> None:
    labels = place.finished.labels
    assert place.get("picture").json()["labels"]["levels"][1] == {"height": 300, "width": 550}
    found = np.frombuffer(place.get("labels/0/1/1").content, "<u4").reshape(HEIGHT - 512, 512)
    assert np.array_equal(found, labels.read(512, HEIGHT, 512, 1024))
    assert set(np.unique(found)) - {0} <= set(place.finished.table.column("id").to_numpy())


def test_channels_are_described_by_name_brightness_and_histogram(place: Place) -> None:
    first, second = place.get("picture").json()["channels"]
    assert (first["name"], second["name"]) == ("DAPI", "CD3")
    for channel in (first, second):
        assert channel["smallest"] <= channel["low"] < channel["high"] <= channel["largest"]
        assert sum(channel["histogram"]) == HEIGHT * WIDTH


@pytest.mark.parametrize(
    "path", ["tiles/9/0/0", "tiles/0/3/0", "tiles/0/0/3", "labels/2/1/0", "labels/0/999999/0"]
)
def test_tiles_outside_the_image_are_not_there(place: Place, path: str) -> None:
    problem(place.get(path), 404, "no-such-tile")


@pytest.mark.parametrize(
    "path", ["tiles/-1/0/0", "tiles/0/x/0", "tiles/0/0/99999999999999999999", "labels/0/0/0.5"]
)
def test_places_that_are_no_numbers_of_tiles_are_refused(place: Place, path: str) -> None:
    problem(place.get(path), 422, "invalid")


def test_packed_answers_hold_the_same_numbers(place: Place) -> None:
    for path in ("tiles/0/0/0", "labels/0/0/0"):
        plain = place.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        tags = {plain.headers["etag"]}
        for name in ("gzip", "zstd"):
            with place.ada.stream("GET", place.url(path), headers={"Accept-Encoding": name}) as packed:
                raw = b"".join(packed.iter_raw())
                encoding = packed.headers.get("content-encoding", "")
                tags.add(packed.headers["etag"])
            assert encoding == ("" if name == "gzip" and path.startswith("tiles") else name)
            assert UNPACK[encoding](raw) == plain.content
        assert len(tags) == (2 if path.startswith("tiles") else 3)


def test_a_browser_keeps_what_its_address_names_and_asks_again_for_the_rest(place: Place) -> None:
    picture = place.get("picture").json()
    named = place.get("tiles/0/0/0", params={"v": picture["version"]})
    assert named.headers["cache-control"] == "private, max-age=31536000, immutable"
    plain = place.get("tiles/0/0/0")
    assert plain.headers["cache-control"] == "private, no-cache"
    again = place.get("tiles/0/0/0", headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    wrong = place.get("tiles/0/0/0", params={"v": "another"})
    assert wrong.headers["cache-control"] == "private, no-cache"


def test_columns_are_those_of_the_parquet_table_with_units(place: Place) -> None:
    told = place.get("table").json()
    table = pq.read_table(place.finished.where[0] / "nuclei.parquet")
    assert told["rows"] == table.num_rows > 50
    assert [column["name"] for column in told["columns"]] == table.column_names
    by_name = {column["name"]: column for column in told["columns"]}
    assert by_name["area_um2"] == {"name": "area_um2", "unit": "um2", "about": "area", "dtype": "float32"}
    for column in told["columns"]:
        values = np.frombuffer(place.get(f"table/{column['name']}").content, f"<{column['dtype'][0]}4")
        assert np.array_equal(
            values, table.column(column["name"]).to_numpy().astype(column["dtype"]), equal_nan=True
        )
    problem(place.get("table/height"), 404, "no-such-column")


def test_tables_that_are_none_or_too_large_are_said_to_be_so(place: Place) -> None:
    long = io.BytesIO()
    pq.write_table(pa.table({"id": np.zeros(10_000_001, np.int8)}), long)
    for name, content in {"none": b"PAR1 is not enough", "long": long.getvalue()}.items():
        files = place.folder / f"files of {name}"
        shutil.copytree(place.computed.files, files)
        (files / "nuclei.parquet").write_bytes(content)
        made = finish(
            place.store,
            place.service.cache,
            place.folder / name,
            "ada",
            Computed(place.computed.image, files),
            name=name,
        )
        problem(place.ada.get(f"/v1/runs/{made.run}/tasks/1/table"), 409, "table-unusable")
        problem(place.ada.get(f"/v1/runs/{made.run}/tasks/1/table/id"), 409, "table-unusable")


@pytest.mark.parametrize(
    ("shape", "shard", "words"),
    [
        ((512, 512), 256, "The outlines are of another size than the image."),
        ((HEIGHT, WIDTH), 9216, "The outlines are stored in larger pieces than can be read."),
    ],
    ids=["size", "pieces"],
)
def test_outlines_that_cannot_be_of_this_image_are_not_shown(
    place: Place, shape: tuple[int, int], shard: int, words: str
) -> None:
    name = f"outlines {shard}"
    files = place.folder / f"files of {name}"
    shutil.copytree(place.computed.files, files)
    shutil.rmtree(files / "labels.zarr")
    create_labels(files / "labels.zarr", shape, shard=shard, pixel_size_um=None)
    changed = Computed(place.computed.image, files)
    made = finish(place.store, place.service.cache, place.folder / name, "ada", changed, name=name)
    picture = place.ada.get(f"/v1/runs/{made.run}/tasks/1/picture").json()
    assert picture["labels"] is None
    assert picture["labels_problem"] == words


def test_a_picture_that_is_not_at_hand_is_wished_for_once(place: Place) -> None:
    tree = place.service.cache.tree(place.finished.tree)
    assert tree is not None
    away = place.folder / "tree away"
    shutil.move(tree, away)
    try:
        answers = [place.get("picture") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert answers[0].json()["id"] == answers[1].json()["id"]
        assert answers[0].headers["retry-after"] == "1"
        wish = place.ada.get(f"/v1/wishes/{answers[0].json()['id']}").json()
        assert (wish["kind"], wish["state"]) == ("picture", "open")
        problem(place.get("tiles/0/0/0"), 404, "picture-not-at-hand")
        assert place.get("labels/0/0/0").status_code == 200
    finally:
        shutil.move(away, tree)
    assert place.get("picture").status_code == 200


def test_pixels_that_cannot_be_read_are_said_to_be_damaged(place: Place, tmp_path: Path) -> None:
    tree = place.service.cache.tree(place.finished.tree)
    assert tree is not None
    away = place.folder / "whole tree"
    shutil.move(tree, away)
    try:
        shutil.copytree(away, tree)
        problem(place.get("tiles/0/9/9"), 404, "no-such-tile")  # it is open now
        for shard in (tree / "1" / "c").rglob("*"):
            if shard.is_file():
                shard.write_bytes(b"\0" * shard.stat().st_size)
        problem(place.get("tiles/1/0/1"), 409, "picture-damaged")
    finally:
        shutil.rmtree(tree)
        shutil.move(away, tree)


def test_results_that_are_not_there_yet_and_images_that_are_not_are_told_apart(place: Place) -> None:
    run = place.service.run("ada", "waiting")
    for path in ("files", "table", "picture", "labels/0/0/0", "archive"):
        problem(place.ada.get(f"/v1/runs/{run}/tasks/1/{path}"), 409, "no-result-yet")
    problem(place.ada.get(f"/v1/runs/{run}/archive"), 409, "no-result-yet")
    problem(place.ada.get(f"/v1/runs/{run}/tasks/3/files"), 404, "unknown-task")


@pytest.mark.parametrize(
    "path",
    ["files", "files/report.html", "archive", "picture", "tiles/0/0/0", "labels/0/0/0", "table", "table/id"],
)
def test_another_person_finds_nothing_and_a_stranger_is_asked_to_sign_in(place: Place, path: str) -> None:
    bob = place.service.by_token(place.service.person("bob"))
    problem(bob.get(place.url(path)), 404, "unknown-run")
    problem(bob.get(f"/v1/runs/{place.finished.run}/archive"), 404, "unknown-run")
    problem(place.service.client().get(place.url(path)), 401, "not-signed-in")
