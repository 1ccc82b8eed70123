# SPDX-License-Identifier: BSD-3-Clause
"""From an image in OMERO to results beside it, by the command line and with the person's own login."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.acceptance.conftest import SLIDEGATE

pytestmark = [pytest.mark.omero, pytest.mark.slow]

PEOPLE = """
groups: {lab: read-annotate, shelf: read-only, other: private}
people:
  alice: {password: secret-a, groups: [lab, shelf]}
  bob: {password: secret-b, groups: [lab, shelf]}
  root: {password: secret-r}
  slidegate: {password: secret-s, groups: [lab], administrator: true, privileges: [Sudo]}
  mighty: {password: secret-m, groups: [lab], administrator: true, privileges: [Sudo, WriteOwned]}
  helper: {password: secret-h, groups: [lab], administrator: true, privileges: [ModifyUser]}
datasets:
  Slides: {owner: alice, group: lab, images: ["slides/*"]}
  Shelf: {owner: alice, group: shelf, images: ["shelf/*"]}
  Copies: {owner: alice, group: lab, images: ["copies/*"]}
"""
WRITTEN = ("MapAnnotation", "FileAnnotation", "ImageAnnotationLink", "OriginalFile", "Roi", "Polygon")


@pytest.fixture(scope="module")
def house(tmp_path_factory, real_image):
    from pocket_omero.server import Server

    folder = tmp_path_factory.mktemp("whole-way")
    for name in ("slides", "copies"):
        (folder / name).mkdir()
        shutil.copy(real_image / "img2d.tif", folder / name / f"{name}.tif")
    (folder / "shelf").mkdir()
    tifffile.imwrite(folder / "shelf" / "shelf.tif", np.zeros((16, 16), np.uint8))
    (folder / "people.yml").write_text(PEOPLE)
    with Server(folder) as started:
        yield started


class Person:
    """Somebody who types commands, with settings of their own."""

    def __init__(self, house, home: Path, config: Path) -> None:
        self.house, self.home, self.config = house, home, config

    def call(self, *words: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        own = {"SLIDEGATE_HOME": str(self.home), "XDG_CONFIG_HOME": str(self.config), "COLUMNS": "200"}
        done = subprocess.run(
            [str(SLIDEGATE), *map(str, words)],
            env={**os.environ, **own},
            input=typed,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "communicator" not in done.stderr  # what Ice says of connections that were left open
        return done

    def login(self, name: str = "alice", password: str = "secret-a") -> subprocess.CompletedProcess[str]:
        where = (self.house.host, "--port", self.house.port, "--ca", self.house.authority)
        return self.call("omero", "login", *where, "--person", name, "--fd", 0, typed=f"{password}\n")

    def run(self, *words: object) -> dict[str, object]:
        done = self.call("run", "nuclei", *words, "--pixel-size", "0.5", "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def person(house, tmp_path):
    someone = Person(house, tmp_path / "home", tmp_path / "config")
    yield someone
    someone.call("omero", "logout")


@pytest.fixture
def analyst(person, home):
    """A person whose embedded site has the nuclei workflow."""
    person.home = home
    return person


def image_in(house, name: str) -> int:
    [row] = [row for row in house.house.state.all("Image") if row["name"] == f"{name}.tif"]
    return row.id


def in_omero(house) -> dict[str, set[int]]:
    """Return the ids of what lies there; that OMERO notes where it keeps tables itself is not counted."""
    found = {kind: {row.id for row in house.house.state.all(kind)} for kind in WRITTEN}
    own = {row.id for row in house.house.state.all("OriginalFile") if row["mimetype"] == "Repository"}
    return {**found, "OriginalFile": found["OriginalFile"] - own}


def sessions_of(house, name: str) -> list[object]:
    return [one for one in house.house.sessions.all() if one.person["omeName"] == name]


def test_results_lie_beside_the_image_once_and_undo_removes_exactly_them(house, analyst):
    assert analyst.login().returncode == 0
    image = image_in(house, "slides")
    with house.client("alice", "secret-a") as client:  # what a person has added is nobody's to remove
        import omero.model
        from omero.rtypes import rstring

        own = omero.model.ImageAnnotationLinkI()
        own.parent = omero.model.ImageI(image, False)
        own.child = omero.model.TagAnnotationI()
        own.child.textValue = rstring("mine")
        client.sf.getUpdateService().saveObject(own)
    before = in_omero(house)
    first = analyst.run(f"omero:image/{image}", "--out", "omero")
    assert (first["state"], first["outcome"], first["out"]) == (
        "succeeded",
        "created",
        f"omero:{house.host}",
    )
    after = in_omero(house)
    assert {kind for kind in WRITTEN if after[kind] - before[kind]} >= {
        "MapAnnotation",
        "FileAnnotation",
        "ImageAnnotationLink",
        "OriginalFile",
        "Roi",
    }
    _check_what_lies_there(house, image, first)

    again = analyst.run("omero:dataset/1", "--out", "omero")  # the same image, by its dataset
    assert (again["run"], again["outcome"]) == (first["run"], "finished")
    assert in_omero(house) == after

    undone = analyst.call("omero", "undo", first["run"][:8])
    assert undone.returncode == 0, undone.stderr
    assert in_omero(house) == before
    assert "Nothing of run" in analyst.call("omero", "undo", "last").stderr
    back = analyst.run(f"omero:image/{image}")
    assert (back["run"], back["outcome"], back["state"]) == (first["run"], "published-again", "succeeded")
    assert {kind: len(ids) for kind, ids in in_omero(house).items()} == {
        kind: len(ids) for kind, ids in after.items()
    }


def _check_what_lies_there(house, image: int, run) -> None:
    """Look as another member of the group, with OMERO's own gateway."""
    from omero.gateway import BlitzGateway

    gateway = BlitzGateway("bob", "secret-b", host=house.host, port=house.port, secure=True)
    assert gateway.connect()
    try:
        found = gateway.getObject("Image", image)
        notes = list(found.listAnnotations())
        pairs = [dict(note.getValue()) for note in notes if note.OMERO_TYPE.__name__ == "MapAnnotationI"]
        assert any(run["run"] in said.values() for said in pairs)
        names = {note.getFile().getName() for note in notes if note.OMERO_TYPE.__name__ == "FileAnnotationI"}
        assert any(name.endswith(".parquet") for name in names), names
        [table] = [
            note.getFile()
            for note in notes
            if note.OMERO_TYPE.__name__ == "FileAnnotationI" and note.getFile().mimetype == "OMERO.tables"
        ]
        opened = gateway.c.sf.sharedResources().openTable(table._obj)
        try:
            assert 100 < opened.getNumberOfRows() < 150  # 125 by hand
        finally:
            opened.close()
        assert {note.getDetails().getOwner().getOmeName() for note in notes} == {"alice"}
        rois = gateway.getRoiService().findByImage(image, None).rois
        assert rois
    finally:
        gateway.close()


def test_a_copy_of_an_image_gets_results_of_its_own(house, analyst):
    analyst.login()
    copy = image_in(house, "copies")
    run = analyst.run(f"omero:image/{copy}")
    assert run["state"] == "succeeded"
    assert {row["parent"].id for row in house.house.state.all("ImageAnnotationLink")} >= {copy}
    assert analyst.call("omero", "undo", "last").returncode == 0


def draw(client, image: int, label: str, *sides: float) -> None:
    import omero.model
    from omero.rtypes import rdouble, rstring

    shape = omero.model.RectangleI()
    for name, side in zip(("x", "y", "width", "height"), sides, strict=True):
        setattr(shape, name, rdouble(side))
    shape.textValue = rstring(label)
    roi = omero.model.RoiI()
    roi.image = omero.model.ImageI(image, False)
    roi.addShape(shape)
    client.sf.getUpdateService().saveObject(roi)


def test_nuclei_are_counted_in_what_people_drew_and_what_is_written_for_it_is_no_region(house, analyst):
    analyst.login()
    image = image_in(house, "copies")
    with house.client("alice", "secret-a") as client:
        draw(client, image, "tissue", -5, -5, 300, 200)
        draw(client, image, "hole", 0, 0, 50, 50)
    first = analyst.run(f"omero:image/{image}")
    assert (first["state"], first["outcome"]) == ("succeeded", "created")
    [region] = [
        shape["textValue"]
        for shape in house.house.state.all("Polygon")
        if str(shape["textValue"]).startswith("tissue: ") and "hole" not in str(shape["textValue"])
    ]
    count = int(region.removeprefix("tissue: ").partition(" nuclei")[0])
    assert 10 < count < 60
    again = analyst.run(f"omero:image/{image}")
    assert (again["run"], again["outcome"]) == (first["run"], "finished")
    with house.client("alice", "secret-a") as client:
        draw(client, image, "exclude", 0, 0, 100, 100)
    other = analyst.run(f"omero:image/{image}", "--out", analyst.home / "other")
    assert (other["run"] != first["run"], other["outcome"]) == (True, "created")
    plain = analyst.run(f"omero:image/{image}", "--no-regions", "--out", analyst.home / "plain")
    assert plain["run"] not in (first["run"], other["run"])
    assert analyst.call("omero", "undo", first["run"][:8]).returncode == 0


def test_results_of_images_in_omero_go_to_a_folder_where_one_is_named(house, analyst, tmp_path):
    analyst.login()
    before = in_omero(house)
    run = analyst.run(f"omero:image/{image_in(house, 'slides')}", "--out", tmp_path / "results")
    assert run["state"] == "succeeded"
    assert (tmp_path / "results" / "slides" / "summary.json").is_file()
    assert in_omero(house) == before


def test_what_cannot_be_done_is_said_before_anything_is_begun(house, person, tmp_path):
    image = image_in(house, "slides")
    assert "slidegate omero login" in person.call("run", "nuclei", f"omero:image/{image}").stderr
    person.login("bob", "secret-b")
    shelf = image_in(house, "shelf")
    cases = {
        (f"omero:image/{shelf}",): "omero-not-writable",
        ("omero:image/999999",): "omero-not-found",
        (f"omero:image/{image}", tmp_path): "omero-mixed",
    }
    for words, code in cases.items():
        done = person.call("run", "nuclei", *words)
        assert (done.returncode, f"[{code}]" in done.stderr) == (2, True), done.stderr
    house.expire_sessions("bob")
    done = person.call("run", "nuclei", f"omero:image/{image}")
    assert (done.returncode, "[omero-session-gone]" in done.stderr) == (2, True), done.stderr


def test_a_login_leaves_a_key_that_only_the_person_can_read_and_logout_ends_it(house, person):
    wrong = person.login(password="wrong")
    assert "[omero-login-refused]" in wrong.stderr
    assert not (person.config / "slidegate" / "omero.json").exists()
    done = person.login()
    assert "12 hours" in done.stderr
    file = person.config / "slidegate" / "omero.json"
    assert file.stat().st_mode & 0o077 == 0
    key = json.loads(file.read_text())["key"]
    assert "secret-a" not in file.read_text()
    assert key not in done.stdout + done.stderr
    assert len(sessions_of(house, "alice")) == 1
    person.login()  # the earlier one is not left open
    assert len(sessions_of(house, "alice")) == 1
    file.chmod(0o644)
    assert "[omero-secret-open]" in person.call("run", "nuclei", "omero:image/1").stderr
    file.chmod(0o600)
    assert person.call("omero", "logout").returncode == 0
    assert sessions_of(house, "alice") == []
    assert not file.exists()
    assert "had not logged in" in person.call("omero", "logout").stderr


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    return {line["what"]: (line["state"], line["words"]) for line in json.loads(done.stdout)["lines"]}


def test_a_check_says_in_words_how_things_are(house, person):
    done = person.call("omero", "check")
    assert done.returncode == 1
    assert "slidegate omero login HOST" in done.stdout
    person.login()
    done = person.call("omero", "check", "--json")
    lines = lines_of(done)
    assert {state for state, _ in lines.values()} == {"good"}, lines
    assert list(lines) == ["server", "certificate", "login", "versions", "privileges", "groups", "sessions"]
    assert "read-annotate" in lines["groups"][1]
    assert "12 hours" in lines["sessions"][1]
    house.expire_sessions("alice")
    done = person.call("omero", "check")
    assert (done.returncode, "[omero-session-gone]" in done.stdout) == (1, True)


@pytest.mark.parametrize(
    ("name", "state", "code"), [("slidegate", "good", 0), ("mighty", "warning", 0), ("helper", "bad", 1)]
)
def test_a_check_wants_the_account_that_acts_for_people_to_have_sudo_alone(
    house, person, tmp_path, name, state, code
):
    file = tmp_path / "account.json"
    where = {"host": house.host, "port": house.port, "ca": str(house.authority)}
    file.write_text(json.dumps({**where, "name": name, "password": f"secret-{name[0]}"}))
    file.chmod(0o600)
    done = person.call("omero", "check", "--account", file, "--json")
    assert (done.returncode, lines_of(done)["privileges"][0]) == (code, state), done.stdout
    if state == "warning":
        assert "WriteOwned" in lines_of(done)["privileges"][1]


def test_a_check_tells_a_wrong_certificate_from_a_server_that_is_not_there(house, person):
    person.login()
    try:
        house.restart(certificate="expired")
        done = person.call("omero", "check", "--json")
        assert (done.returncode, lines_of(done)["certificate"][0]) == (1, "bad")
    finally:
        house.restart(certificate="good")
    file = person.config / "slidegate" / "omero.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "port": 1}))
    done = person.call("omero", "check", "--json")
    assert (done.returncode, lines_of(done)["server"][0]) == (1, "bad")
