# SPDX-License-Identifier: BSD-3-Clause
"""The page for administrators of OMERO, typed as it is written; and the OMERO.script that it ends with.

Accounts of the computer and its services are played; OMERO, slidegate and all commands are real.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from omero.rtypes import rlist, rlong, rstring, unwrap

from slidegate.settings import Settings
from tests.acceptance.omero_web.place import PASSWORDS, ROOT, SLIDEGATE, Place, until

pytestmark = [pytest.mark.omero, pytest.mark.slow]
PAGE = ROOT / "docs" / "how-to" / "install-beside-your-omero.md"
BLOCK = re.compile("^```([a-z]+)\n(.*?)^```", re.S | re.M)
OTHER = "unshare --user --map-user=1000 --map-group=1000 " if os.geteuid() == 0 else ""
SHIMS = {
    "sudo": '#!/bin/bash\nshift 2; exec "$@"\n',
    "install": '#!/bin/bash\nexec /usr/bin/install -m 0600 "${@: -2}"\n',
    "systemctl": "#!/bin/sh\n",
}


class Administrator:
    """The page, for the folders of a test instead of those of three computers."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder, self.place = folder, place
        for name in ("bin", "etc/slidegate", "OMERO.web/etc/grid", "OMERO.web/var/log"):
            (folder / name).mkdir(parents=True)
        program = "import sys; from omero.cli import argv; sys.exit(argv([str(), *sys.argv[1:]]))"
        login = f"-s {place.omero.host} -p {place.omero.port} -u root -w {PASSWORDS['root']}"
        shims = {
            **SHIMS,
            "omero": f"#!/bin/bash\nexport HOME={folder}\n"
            f"exec {OTHER}{sys.executable} -c '{program}' \"$@\" {login}\n",
            "slidegate": f'#!/bin/sh\nexec {SLIDEGATE} "$@"\n',
        }
        for name, text in shims.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.blocks = BLOCK.findall(self.here(PAGE.read_text("utf-8")))

    def here(self, text: str) -> str:
        """Return a text for the folders and addresses of the test."""
        account = {"host": self.place.omero.host, "port": self.place.omero.port, "name": "slidegate"}
        known = {"password": PASSWORDS["slidegate"], "ca": str(self.place.omero.authority)}
        for there, here in (
            (
                '{"host": "omero.example.org", "name": "slidegate", "password": "…"}',
                json.dumps(account | known),
            ),
            ("/opt/omero/web/venv3/bin/python", sys.executable),
            ("/opt/omero/web/OMERO.web", str(self.folder / "OMERO.web")),
            ("/opt/omero/web/slidegate.key", str(self.folder / "slidegate.key")),
            ("/etc/slidegate", str(self.folder / "etc" / "slidegate")),
            ("https://slidegate.example.org", self.place.api),
            ("https://omero.example.org", self.place.web.url),
            ("--workflow nuclei", "--workflow count_bytes"),
        ):
            text = text.replace(there, here)
        return text

    def block(self, language: str, containing: str) -> str:
        """Return the block of the page that holds some words."""
        [found] = [text for kind, text in self.blocks if kind == language and containing in text]
        return str(found)

    def types(self, containing: str) -> str:
        """Type a block of commands; return what is printed."""
        begin = (
            'as_worker() { slidegate "$@"; }\n'
            f"web={sys.executable}\nexport OMERODIR={self.folder / 'OMERO.web'}\n"
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", begin + self.block("sh", containing)],
            cwd=self.folder,
            env={**self.place.environment, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.place.logs
        return done.stdout

    def keeps(self, name: str, containing: str) -> None:
        """Write a file of the page."""
        (self.folder / name).write_text(self.block("yaml", containing))

    @property
    def configured(self) -> str:
        """What is configured, as OMERO keeps it."""
        return (self.folder / "OMERO.web" / "etc" / "grid" / "config.xml").read_text()


@pytest.fixture(scope="module")
def administrator(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Administrator:
    return Administrator(tmp_path_factory.mktemp("administrator"), place)


@pytest.fixture(scope="module")
def script(administrator: Administrator) -> str:
    """The text of the script, made and uploaded as the page says."""
    with administrator.place.visit("alice") as alice:
        until(lambda: alice.api("workflows").json()["items"], "a workflow")
    administrator.types("omero_slidegate script")
    administrator.types("omero script upload")
    return (administrator.folder / "Run_on_Cluster.py").read_text()


def has_results(place: Place, image: str) -> bool:
    """Say whether anything hangs on an image."""
    number = place.image(image)
    return any(row["parent"].id == number for row in place.omero.house.state.all("ImageAnnotationLink"))


def test_what_the_page_data_protection_says_of_erasing_is_so(place: Place) -> None:
    page = (ROOT / "docs" / "explanation" / "data-protection.md").read_text("utf-8")
    deleting, cleaning, forgetting = [text for kind, text in BLOCK.findall(page) if kind == "sh"]
    with place.visit("alice") as alice:
        until(lambda: alice.api("workflows").json()["items"], "a workflow")
        body = {
            "workflow": "count_bytes",
            "images": [f"omero:{place.image('private.tif')}"],
            "parameters": {},
        }
        name = alice.granted(alice.tell("launches", body, **{"Idempotency-Key": "erased"}))["run"]
        until(lambda: alice.api(f"runs/{name}").json()["state"] == "succeeded", "the end of the run")
        assert has_results(place, "private.tif")
        place.call("person", "add", "grace", "--role", "administrator")
        token = place.call("token", "make", "erasing", "--person", "grace").stdout
        assert place.call("login", "--server", place.api, "--fd", "0", given=token).returncode == 0
        types(place, deleting.replace("3f9a", name).replace("https://slidegate.example.org", place.api))
        assert alice.api(f"runs/{name}").status_code == 404
    assert not has_results(place, "private.tif")
    assert any((place.home / "cache").iterdir())
    types(place, cleaning)
    assert not any((place.home / "cache").iterdir())
    here = place.home / "sites" / "local"
    gatectl = [
        sys.executable,
        "-IS",
        str(here / "current"),
        "ctl",
        "clean",
        "--keep",
        "0",
        "--home",
        str(here),
    ]
    subprocess.run(gatectl, check=True, capture_output=True)
    assert not [path for path in (here / "data").rglob("*") if path.is_file() and path.stat().st_size > 4096]
    types(place, forgetting)


def types(place: Place, commands: str) -> None:
    """Type a block of a page as slidegate's account."""
    path = f"{SLIDEGATE.parent}:{os.environ['PATH']}"
    argv = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(
        argv,
        env={**place.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + place.logs


def run(place: Place, number: int, person: str = "alice", **inputs: Any) -> tuple[int, dict[str, Any]]:
    """Run a script as OMERO.insight does; return its exit code and what it said."""
    from omero.gateway import BlitzGateway

    host, port = place.omero.host, place.omero.port
    conn = BlitzGateway(person, PASSWORDS[person], host=host, port=port, secure=True)
    assert conn.connect()
    try:
        process = conn.getScriptService().runScript(number, inputs, None)
        try:
            code = until(process.poll, "the end of the script", 150).val
            said = process.getResults(5)
            if "Message" not in said:
                said["Message"] = rstring(_stderr(conn, said))
            return code, {name: unwrap(value) for name, value in said.items() if name in ("Message", "URL")}
        finally:
            process.close(False)
    finally:
        conn.close()


def _stderr(conn: Any, said: dict[str, Any]) -> str:
    file = conn.getObject("OriginalFile", said["stderr"].val.id.val)
    return b"".join(file.getFileInChunks()).decode()


def ids(*numbers: int) -> Any:
    return rlist([rlong(number) for number in numbers])


def uploaded(place: Place, text: str, name: str) -> int:
    """Upload a script as an administrator; return its number."""
    with place.omero.client("root", PASSWORDS["root"]) as client:
        service = client.sf.getScriptService()
        there = service.getScriptID(name)
        return there if there > 0 else service.uploadOfficialScript(name, text)


@pytest.fixture(scope="module")
def number(place: Place, script: str) -> int:
    with place.omero.client("root", PASSWORDS["root"]) as client:
        [found] = [
            one for one in client.sf.getScriptService().getScripts() if one.name.val == "Run_on_Cluster.py"
        ]
        return int(found.id.val)


@pytest.fixture(scope="module")
def patient(place: Place, script: str) -> int:
    """The same script, which waits long enough for what slidegate says on a busy computer."""
    assert "PATIENCE_S = 8.0" in script
    return uploaded(place, script.replace("PATIENCE_S = 8.0", "PATIENCE_S = 100.0"), "/test/Patient.py")


def test_the_script_has_a_typed_field_for_each_setting(place: Place, number: int) -> None:
    with place.omero.client("alice", PASSWORDS["alice"]) as client:
        params = client.sf.getScriptService().getParams(number)
    fields = sorted(params.inputs, key=lambda name: params.inputs[name].grouping)
    assert fields[:2] == ["Data_Type", "IDs"]
    byte = params.inputs["The_byte_that_is_counted"]
    assert (byte.min.val, byte.max.val, byte.optional) == (0, 255, True)
    assert unwrap(params.inputs["Data_Type"].values) == ["Image", "Dataset", "Project"]


def test_the_script_launches_as_who_runs_it_and_returns_at_once_with_a_link(
    place: Place, patient: int
) -> None:
    dataset = place.container("Dataset", "Treated")
    asked = {"Data_Type": rstring("Dataset"), "IDs": ids(dataset), "The_byte_that_is_counted": rlong(7)}
    code, said = run(place, patient, **asked)
    assert code == 0, said
    assert "on 2 images has begun" in said["Message"]
    name = re.search("run ([0-9a-f]+)", said["Message"])[1]
    assert said["URL"]["type"] == "URL"
    assert said["URL"]["href"] == f"{place.web.url}/slidegate/#/runs/{name}"
    with place.visit("alice") as alice:
        shown = alice.api(f"runs/{name}").json()
    assert (shown["person"], shown["tasks"], shown["parameters"]) == ("alice", 2, {"byte": 7})

    code, again = run(place, patient, **asked)
    assert (code, again["URL"]) == (0, said["URL"])
    assert "before" in again["Message"]


def test_the_script_says_why_nothing_was_started(place: Place, patient: int) -> None:
    asked = {"Data_Type": rstring("Image"), "IDs": ids(place.image("cell0.tif"), 999_999)}
    code, said = run(place, patient, **asked)
    assert (code, said["Message"]) == (
        1,
        "Nothing was started: Image 999999 is not there, or you may not see it.",
    )
    assert "URL" not in said
    code, said = run(place, patient, "bob", **{**asked, "IDs": ids(place.image("shelf.tif"))})  # of others
    assert code == 1, said
    assert said["Message"].startswith("Nothing was started. ")
    code, said = run(place, patient, "root", **{**asked, "IDs": ids(place.image("cell0.tif"))})
    assert code == 1
    assert said["Message"].startswith("Who is root")


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (lambda _place: "http://127.0.0.1:1", "slidegate does not answer at http://127.0.0.1:1."),
        (lambda place: f"https://127.0.0.1:{place.omero.port}", "The certificate of https://127.0.0.1:"),
    ],
    ids=["away", "certificate of an unknown authority"],
)
def test_the_script_says_when_slidegate_is_away_or_not_to_be_trusted(
    place: Place, script: str, port: Any, words: str
) -> None:
    there = port(place)
    made = uploaded(place, script.replace(place.api, there), f"/test/{words[:9].strip()}.py")
    code, said = run(place, made, Data_Type=rstring("Image"), IDs=ids(place.image("cell0.tif")))
    assert code == 1
    assert said["Message"].startswith(words), said


def test_the_page_install_it_beside_your_omero_works_as_it_is_written(administrator: Administrator) -> None:
    place = administrator.place
    place.call("omero", "web", "remove", "omero-web")  # the page adds one of that name
    assert "Sudo" in administrator.types("omero check --account")
    settings = tomllib.loads(administrator.block("toml", "omero_host"))
    assert Settings(**settings).omero_account == administrator.folder / "etc/slidegate/omero-account.json"
    administrator.types("systemctl restart")
    administrator.types("omero_slidegate key")
    assert "BEGIN PUBLIC KEY" in (administrator.folder / "omero-web.pub").read_text()
    administrator.keeps("slidegate.yml", "omero.web.slidegate.url: http")
    administrator.types("omero_slidegate desired")
    before = administrator.configured
    administrator.types("omero_slidegate desired")
    assert administrator.configured == before
    assert "omero-web" in administrator.types("omero web add")
    printed, stated = (
        administrator.types("omero_slidegate check"),
        administrator.block("text", "good     pages"),
    )
    pattern = "[^\n]*".join(re.escape(part) for part in stated.split("…"))
    assert re.fullmatch(pattern, printed), printed

    administrator.keeps("removed.yml", "state: absent")
    administrator.types("removed.yml")
    assert "slidegate" not in administrator.configured
    assert "omero-web" not in place.call("omero", "web", "list").stdout
