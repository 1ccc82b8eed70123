# SPDX-License-Identifier: BSD-3-Clause
"""A facility: the units, and the page that says how to install it, carried out as it is written.

What needs another computer is played: accounts are not made, and ``systemctl`` starts what a unit says with
the environment that it says. Database, api, worker and commands are real.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.served import ROOT, SLIDEGATE, free_port, until
from tests.postgres import Postgres

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
PAGE = ROOT / "docs" / "how-to" / "install-for-a-facility.md"
PROMISED = {
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "CapabilityBoundingSet=",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "UMask=0027",
}


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_understood_by_systemd_and_leaves_its_account_little(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None and not os.environ.get("CI"):
        pytest.skip("needs systemd")
    text = unit.read_text()
    assert set(text.splitlines()) >= PROMISED
    here = tmp_path / unit.name
    here.write_text(text.replace("/opt/slidegate/bin/slidegate", str(SLIDEGATE)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(here)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-300:]


def test_only_the_worker_may_leave_this_computer() -> None:
    api, worker = (unit.read_text() for unit in UNITS)
    assert "IPAddressDeny=any\nIPAddressAllow=localhost\n" in api
    assert "IPAddressDeny" not in worker
    assert "ReadWritePaths" not in api


SHIMS = {
    "sudo": '#!/bin/bash\nshift; who=$1; shift; PGUSER=$who exec "$@"\n',
    "groupadd": "#!/bin/sh\n",
    "useradd": "#!/bin/sh\n",
    "install": '#!/bin/bash\nwords=()\nwhile [ $# -gt 0 ]; do case $1 in -o|-g) shift 2;; *) words+=("$1"); '
    'shift;; esac; done\nexec /usr/bin/install "${words[@]}"\n',
    "systemctl": f'#!/bin/sh\nexec {sys.executable} -m tests.acceptance.test_facility "$@"\n',
}


def systemctl(verb: str, *words: str) -> None:
    """Do what systemctl does, as far as the page needs it: start what a unit says, as it says."""
    if verb == "daemon-reload":
        return
    for name in words:
        if name.startswith("-"):
            continue
        lines = (Path(os.environ["UNITS"]) / f"{name}.service").read_text().splitlines()
        said = [line.partition("=")[::2] for line in lines if "=" in line]
        known = dict(said)
        given = dict(value.split("=", 1) for field, value in said if field == "Environment")
        with (Path(os.environ["UNITS"]) / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                known["ExecStart"].split(),
                env={**os.environ, "PGUSER": known["User"], **given},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (Path(os.environ["UNITS"]) / f"{name}.pid").write_text(str(process.pid))


class Facility:
    """The page, for folders of a test instead of those of a computer."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / "bin").mkdir()
        (folder / "units").mkdir()
        (folder / "srv" / "slides").mkdir(parents=True)
        for name, text in SHIMS.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        for path in (folder / "deploy").rglob("*"):
            if path.is_file():
                path.write_text(self.here(path.read_text()))
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "UNITS": str(folder / "units"),
            "PGHOST": str(postgres.folder),
            "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "workflows"),
        }

    def here(self, text: str) -> str:
        """Return a text for the folders of the test."""
        for there, here in (
            ("/opt/slidegate/bin/slidegate", str(SLIDEGATE)),
            ("/etc/systemd/system", str(self.folder / "units")),
            ("/etc/slidegate", str(self.folder / "etc")),
            ("/var/", f"{self.folder}/var/"),
            ("/srv/", f"{self.folder}/srv/"),
            ("8765", str(self.port)),
        ):
            text = text.replace(there, here)
        return text

    def type_(self, *blocks: str) -> str:
        """Type blocks of the page into one shell; return what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here("\n".join(blocks))],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "units").glob("*.log"))

    def processes(self) -> list[int]:
        return [int(path.read_text()) for path in (self.folder / "units").glob("*.pid")]


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Facility]:
    made = Facility(tmp_path_factory.mktemp("facility"), postgres)
    try:
        yield made
    finally:
        for process in made.processes():
            os.killpg(process, signal.SIGTERM)
        until(lambda: not any(Path(f"/proc/{process}/exe").exists() for process in made.processes()))


def blocks() -> list[str]:
    return re.findall("^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M)


@pytest.mark.slow
@pytest.mark.postgres
def test_the_page_install_it_for_a_facility_works_as_it_is_written(facility: Facility) -> None:
    accounts, database, settings, as_worker, start, people, health = blocks()
    # the one that tests/postgres.py starts is owned by a role of that name
    database = database.replace("postgres psql", "slidegate psql --dbname postgres")
    database = database.replace("create role slidegate nologin;\n", "")
    facility.type_(accounts, database, settings)
    assert '"state":"ready"' in facility.type_(start)
    (facility.folder / "grace-password").write_text("correct horse battery\n")
    listed = facility.type_(as_worker, people)
    assert re.search(r"grace +administrator +pathology +by password", listed), listed
    said = facility.type_(as_worker, health)
    assert '"state":"alive"' in said
    assert "The history holds 0 runs" in said

    url = f"http://127.0.0.1:{facility.port}"
    with httpx.Client(
        base_url=url, timeout=30, headers={"Origin": "https://slidegate.example.org"}
    ) as browser:
        signed_in = browser.post("/v1/session", json={"person": "grace", "password": "correct horse battery"})
        assert (signed_in.status_code, signed_in.json()["role"]) == (200, "administrator")
        cookie = signed_in.headers["set-cookie"]
        assert "Secure" in cookie
        assert "HttpOnly" in cookie
        token = cookie.partition(";")[0]
        deadline = time.monotonic() + 60
        while not browser.get("/v1/workflows", headers={"Cookie": token}).json()["items"]:
            assert time.monotonic() < deadline, facility.logs()
            time.sleep(0.2)


if __name__ == "__main__":
    systemctl(*sys.argv[1:])
