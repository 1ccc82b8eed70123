# SPDX-License-Identifier: GPL-2.0-or-later
"""The `omero` command, unmodified, and commands that plug into it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from omero.gateway import BlitzGateway, MapAnnotationWrapper
from pocket_omero.testing import Omero

from .world import PLANES, World

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.needs("unshare"),
    pytest.mark.client("omero-py command line"),
]


# What `omero` does, again and again in one process: importing all that plugs into it takes seconds.
AGAIN = """
import json, os, sys, tempfile
from omero.cli import argv
said = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    home, words = json.loads(line)
    os.environ.update(HOME=home, OMERODIR=home, OMERO_USERDIR=home + "/omero")
    with tempfile.TemporaryFile() as out:
        os.dup2(out.fileno(), 1), os.dup2(out.fileno(), 2)
        try:
            code = argv(["omero", *words]) or 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            code = 1
            print(repr(error))
        sys.stdout.flush(), sys.stderr.flush()
        out.seek(0)
        print(json.dumps([code, out.read().decode()]), file=said, flush=True)
"""


# the command refuses uid 0, which tests in a container often have
OTHER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


class Line:
    """A person's command line: where ``omero`` runs, and a home of its own."""

    def __init__(self, process: subprocess.Popen[str], home: Path) -> None:
        self._process, self._home = process, home

    def log_in(self, place: Omero, role: str) -> str:
        name, password = place.person(role)
        return self.run("login", "-s", place.host, "-p", str(place.port), "-u", name, "-w", password)

    def run(self, *words: str, fails: bool = False) -> str:
        """Do what ``omero`` does with these words, and return what it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([str(self._home), words]), file=self._process.stdin, flush=True)
        code, said = json.loads(self._process.stdout.readline())
        assert bool(code) == fails, f"omero {' '.join(words)} → {code}\n{said}"
        return str(said)

    def command(self, *words: str) -> str:
        """Run the command ``omero`` itself."""
        done = subprocess.run(
            [*OTHER, str(Path(sys.executable).with_name("omero")), *words],
            cwd=self._home,
            env=_environment(self._home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout + done.stderr


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "OMERODIR": str(home),
        "OMERO_USERDIR": str(home / "omero"),
        "PYTHONWARNINGS": "ignore",
    }


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    home = tmp_path_factory.mktemp("again")
    with subprocess.Popen(
        [*OTHER, sys.executable, "-c", AGAIN],
        cwd=home,
        env=_environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


@pytest.fixture(scope="module")
def conn(place: Omero) -> Iterator[BlitzGateway]:
    with place.gateway() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(conn: BlitzGateway) -> World:
    return World.make(conn)


@pytest.fixture(scope="module")
def line(place: Omero, again: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A command line that is logged in."""
    made = Line(again, tmp_path_factory.mktemp("home"))
    made.log_in(place, "member")
    return made


@pytest.fixture(scope="module")
def other(again: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A command line where nobody is logged in."""
    return Line(again, tmp_path_factory.mktemp("other"))


def test_a_person_logs_in_and_out(place: Omero, other: Line) -> None:
    name = place.person("colleague")[0]
    assert f"{name}@{place.host}:{place.port}" in other.log_in(place, "colleague")
    assert name in other.run("sessions", "list")
    other.run("logout")
    assert name not in other.run("sessions", "list")


def test_a_wrong_password_is_refused(place: Omero, other: Line) -> None:
    name = place.person("member")[0]
    words = ["login", "-s", place.host, "-p", str(place.port), "-u", name, "-w", "wrong"]
    said = other.run(*words, fails=True)
    assert "Login failure" in said or "Password check failed" in said


def test_the_command_itself_asks_and_is_answered(line: Line, world: World) -> None:
    query = f"select i.id, i.name from Image i where i.id = {world.image}"
    assert "first" in line.command("hql", "-q", "--style", "plain", query)


def test_a_query_prints_a_table(line: Line, world: World) -> None:
    query = f"select i.id, i.name from Image i where i.id = {world.image}"
    assert "first" in line.run("hql", "-q", "--ids-only", "--style", "plain", query)


def test_objects_are_made_read_changed_and_linked(line: Line, world: World) -> None:
    [made] = re.findall(r"Dataset:\d+", line.run("obj", "new", "Dataset", "name=from the command line"))
    number = made.partition(":")[2]
    assert "name=from the command line" in line.run("obj", "get", made)
    line.run("obj", "update", made, "description=said so")
    assert "said so" in line.run("obj", "get", made, "description")
    link = line.run(
        "obj", "new", "DatasetImageLink", f"parent=Dataset:{number}", f"child=Image:{world.second}"
    )
    assert "DatasetImageLink:" in link


def test_a_file_goes_up_and_comes_down(line: Line, tmp_path: Path) -> None:
    data = np.random.default_rng(3).bytes(700_000)
    (tmp_path / "data.bin").write_bytes(data)
    number = line.run("upload", str(tmp_path / "data.bin")).split("OriginalFile:")[1].split()[0]
    line.run("download", f"OriginalFile:{number}", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == data


@pytest.mark.pocket
def test_the_original_of_an_image_is_downloaded(
    line: Line, served: Path, conn: BlitzGateway, tmp_path: Path
) -> None:
    [image] = conn.getObjects("Image", attributes={"name": "cells.ome.tif"})
    line.run("download", f"Image:{image.getId()}", str(tmp_path))
    [file] = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert file.read_bytes() == (served / "cells" / "cells.ome.tif").read_bytes()


def test_tags_are_made_listed_and_linked(line: Line, world: World, conn: BlitzGateway) -> None:
    said = line.run("tag", "create", "--name", "by hand", "--desc", "a tag")
    number = said.split("TagAnnotation:")[-1].split()[0] if "TagAnnotation:" in said else ""
    assert "by hand" in line.run("tag", "list", "--nopage")
    [tag] = [one for one in conn.getObjects("TagAnnotation") if one.getValue() == "by hand"]
    assert number in {"", str(tag.getId())}
    line.run("tag", "link", f"Image:{world.second}", str(tag.getId()))
    assert tag.getId() in [one.getId() for one in conn.getObject("Image", world.second).listAnnotations()]


def test_people_and_groups_are_listed(line: Line, place: Omero) -> None:
    assert place.person("member")[0] in line.run("user", "list")
    assert place.person("member")[0] in line.run("user", "info")
    assert "read-annotate" in line.run("group", "info") or "rwra--" in line.run("group", "info")


@pytest.mark.pocket
def test_an_administrator_makes_a_group_and_a_person(place: Omero, other: Line) -> None:
    root = other
    root.log_in(place, "admin")
    root.run("group", "add", "newlab", "--type", "read-write")
    root.run("user", "add", "carol", "Carol", "Danvers", "newlab", "-P", "secret-c")
    assert "carol" in root.run("user", "list")
    assert "carol" in root.run("group", "listusers", "newlab")
    root.run("logout")


def test_sessions_are_told(line: Line, place: Omero) -> None:
    assert place.person("member")[0] in line.run("sessions", "who")
    assert line.run("sessions", "key").strip()


def test_scripts_are_listed(line: Line) -> None:
    assert ".py" in line.run("script", "list")


@pytest.mark.pocket
def test_a_script_is_launched(line: Line, world: World) -> None:
    said = line.run("script", "launch", "/pocket_omero/Describe_Images.py", f"IDs={world.image}")
    assert "Described 1 of 1 images" in said


def test_a_search_finds_a_dataset(line: Line, world: World, place: Omero) -> None:
    if place.is_real:
        pytest.skip("a real server indexes now and then")
    assert str(world.dataset) in line.run("search", "Dataset", world.name)


def test_objects_are_deleted(line: Line, conn: BlitzGateway) -> None:
    other = World.make(conn)
    said = line.run("delete", f"Project/Dataset/Image:{other.project}", "--include", "Image", "--report")
    assert "ok" in said
    line.run("delete", f"Image:{other.third}")
    assert conn.getObject("Image", other.third) is None


def test_what_would_be_deleted_is_told_first(line: Line, world: World, conn: BlitzGateway) -> None:
    said = line.run("delete", f"Image:{world.image}", "--dry-run", "--report")
    assert "Image" in said
    assert conn.getObject("Image", world.image) is not None


@pytest.mark.pocket
def test_an_image_moves_to_another_group(line: Line, conn: BlitzGateway) -> None:
    image = conn.createImageFromNumpySeq(iter([np.zeros((8, 8), np.uint8)]), "moves")
    line.run("chgrp", "hidden", f"Image:{image.getId()}")
    conn.SERVICE_OPTS.setOmeroGroup(-1)
    assert conn.getObject("Image", image.getId()).getDetails().getGroup().getName() == "hidden"
    conn.SERVICE_OPTS.setOmeroGroup(conn.getGroupFromContext().getId())


@pytest.mark.needs("omero-metadata")
@pytest.mark.client("omero-metadata")
def test_metadata_of_an_image_are_summed_up(line: Line, world: World) -> None:
    assert "first" in line.run("metadata", "summary", f"Image:{world.image}")


@pytest.mark.needs("omero-metadata")
@pytest.mark.client("omero-metadata")
def test_key_value_pairs_are_listed(line: Line, world: World, conn: BlitzGateway) -> None:
    note = MapAnnotationWrapper(conn)
    note.setNs("test.metadata")
    note.setValue([["stain", "DAPI"]])
    note.save()
    conn.getObject("Image", world.image).linkAnnotation(note)
    for words in ("mapanns", "allanns"):
        assert f"MapAnnotation:{note.getId()}" in line.run("metadata", words, f"Image:{world.image}")


@pytest.mark.needs("omero-metadata", "tables")
@pytest.mark.client("omero-metadata")
def test_a_sheet_becomes_a_table_of_a_dataset(line: Line, conn: BlitzGateway, tmp_path: Path) -> None:
    world = World.make(conn)
    (tmp_path / "sheet.csv").write_text(
        "# header s,d,s\nImage Name,Cells,Gene\nfirst,12,TP53\nsecond,7,BRCA1\n"
    )
    line.run("metadata", "populate", f"Dataset:{world.dataset}", "--file", str(tmp_path / "sheet.csv"))
    space = "openmicroscopy.org/omero/bulk_annotations"
    [note] = conn.getObject("Dataset", world.dataset).listAnnotations(ns=space)
    table = conn.c.sf.sharedResources().openTable(note.getFile()._obj)
    try:
        columns = {one.name: one for one in table.read(range(len(table.getHeaders())), 0, 2).columns}
    finally:
        table.close()
    assert list(columns["Cells"].values) == [12.0, 7.0]
    assert list(columns["Image"].values) == [world.image, world.second]


@pytest.mark.needs("omero-metadata")
@pytest.mark.client("omero-metadata")
def test_the_size_of_pixels_is_set(line: Line, world: World, conn: BlitzGateway) -> None:
    line.run(
        "metadata", "pixelsize", f"Image:{world.image}", "--x", "0.25", "--y", "0.25", "--unit", "MICROMETER"
    )
    assert conn.getObject("Image", world.image).getPixelSizeX() == 0.25


@pytest.mark.needs("omero-cli-render")
@pytest.mark.client("omero-cli-render")
def test_rendering_settings_are_told(line: Line, world: World) -> None:
    assert "color" in line.run("render", "info", f"Image:{world.image}")


@pytest.mark.needs("omero-cli-render")
@pytest.mark.client("omero-cli-render")
def test_rendering_settings_are_set(line: Line, world: World, conn: BlitzGateway, tmp_path: Path) -> None:
    (tmp_path / "settings.yml").write_text(
        "version: 2\nchannels:\n  1: {start: 10, end: 1000, color: '00FF00', label: green, active: true}\n"
        "  2: {start: 0, end: 2000, color: 'FF0000', label: red, active: true}\n"
    )
    line.run("render", "set", f"Image:{world.image}", str(tmp_path / "settings.yml"))
    first = conn.getObject("Image", world.image).getChannels()[0]
    assert (first.getLabel(), first.getColor().getHtml(), first.getWindowEnd()) == ("green", "00FF00", 1000)


@pytest.mark.needs("omero-cli-zarr")
@pytest.mark.client("omero-cli-zarr")
def test_an_image_becomes_an_ome_zarr(line: Line, world: World, tmp_path: Path) -> None:
    import zarr

    line.run("zarr", "--output", str(tmp_path), "export", f"Image:{world.image}")
    [folder] = tmp_path.iterdir()
    group = zarr.open_group(folder, mode="r")
    array = np.asarray(group["0"])
    assert array.shape == (2, 3, 48, 64)
    assert np.array_equal(array, np.stack(PLANES).reshape(3, 2, 48, 64).swapaxes(0, 1))


@pytest.mark.needs("omero-cli-duplicate")
@pytest.mark.client("omero-cli-duplicate")
def test_a_dataset_is_duplicated(line: Line, conn: BlitzGateway) -> None:
    world = World.make(conn)
    before = len(list(conn.getObjects("Dataset", attributes={"name": world.name})))
    line.run("duplicate", f"Dataset:{world.dataset}", "--reference", "Image")
    assert len(list(conn.getObjects("Dataset", attributes={"name": world.name}))) == before + 1
