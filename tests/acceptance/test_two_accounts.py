# SPDX-License-Identifier: BSD-3-Clause
"""api and worker under the two accounts of a facility, with PostgreSQL that knows them by name.

What the page for facilities says is typed as it stands there, in namespaces of this test's own: accounts are
added to a copy of /etc, the program is in /opt, and port and folders are those of the page. sudo and systemd
are played: by setpriv, and by starting what a unit says, as whom and with the environment that it says.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres
from tests.unit.wishes.conftest import write_image

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.postgres]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "install-for-a-facility.md"
API, WORKER = "slidegate-api", "slidegate-worker"
PASSWORD = "correct horse battery"
SETUP = """
set -eu
base=$1 program=$2
shift 2
ip link set lo up
cp -a /etc "$base/etc"
mount --bind "$base/etc" /etc
mkdir -p /etc/systemd/system
n=0
for kept in "$@"; do n=$((n + 1)); mkdir -p "$base/kept/$n"; mount --bind "$kept" "$base/kept/$n"; done
for kept in "$@"; do
    top=/$(echo "$kept" | cut -d/ -f2)
    mountpoint -q "$top.$$" || mount -t tmpfs -o mode=0755 none "$top"
done
n=0
for kept in "$@"; do n=$((n + 1)); mkdir -p "$kept"; mount --bind "$base/kept/$n" "$kept"; done
mkdir -p "$base/program"
mount --bind "$program" "$base/program"
for place in /opt /srv /var/lib /var/cache /run; do mount -t tmpfs -o mode=0755 none $place; done
mkdir -p /opt/slidegate /srv/slides /run/postgresql
mount --bind "$base/program" /opt/slidegate
cp "$base/a.ome.tif" /srv/slides/
chown postgres /run/postgresql "$base/database"
echo ready
exec sleep infinity
"""
SUDO = """#!/bin/bash
shift; who=$1; shift
exec setpriv --reuid="$who" --regid="$(id -g "$who")" --init-groups --no-new-privs "$@"
"""
LOOK = """
import os, sys
for name in sys.stdin.read().split("\\0"):
    try:
        os.listdir(name) if os.path.isdir(name) else open(name).close()
        print(name)
    except (PermissionError, NotADirectoryError):
        pass
"""
WRITE = "import sys; open(sys.argv[1], 'x')"
ASK = """
import json, sys, time
from slidegate.client import Client
with Client("http://127.0.0.1:8765", sys.stdin.read().strip()) as server:
    until = time.monotonic() + 60
    while not server.workflows("local") and time.monotonic() < until:
        time.sleep(0.1)
    launched = server.launch("count_bytes", ["slides:a.ome.tif"], {"byte": 1})
    run = server.wait_for(launched.run, 120)
    files = [file.name for file in server.files(run.run, 1)]
    print(json.dumps({"state": run.state, "files": files}))
"""


def systemctl(verb: str, *words: str) -> None:
    """Start what units say, as systemd does."""
    for name in words if verb == "enable" else ():
        if name.startswith("-"):
            continue
        lines = Path(f"/etc/systemd/system/{name}.service").read_text("utf-8").splitlines()
        said = [line.partition("=")[::2] for line in lines if "=" in line]
        unit = dict(said)
        given = dict(value.split("=", 1) for field, value in said if field == "Environment")
        command = ["sudo", "-u", unit["User"], *unit["ExecStart"].split()]
        with Path(os.environ["BASE"], f"{name}.log").open("ab") as log:
            subprocess.Popen(
                command, cwd="/", umask=int(unit["UMask"], 8), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                     "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "workflows"), **given},
            )  # fmt: skip


class Facility:
    """The namespaces, and a way to type into them as root."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.token = ""
        for name in ("bin", "desk", "database"):
            (base / name).mkdir()
        write_image(base / "a.ome.tif")
        shims = {"sudo": SUDO, "systemctl": f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n'}
        for name, text in shims.items():
            (base / "bin" / name).write_text(text)
            (base / "bin" / name).chmod(0o755)
        (base / "desk" / "deploy").symlink_to(ROOT / "deploy")
        (base / "desk" / "grace-password").write_text(f"{PASSWORD}\n")
        path = f"{base}/bin:{Postgres.programs}:/usr/sbin:/usr/bin:/sbin:/bin"
        self.environment = {"PATH": path, "LANG": "C.UTF-8", "BASE": str(base), "PYTHONPATH": str(ROOT)}
        apart = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        apart += ["--propagation", "private", "bash", "-c", SETUP, "bash", str(base), sys.prefix]
        self.held = subprocess.Popen([*apart, *closed()], stdout=subprocess.PIPE, env=self.environment)
        assert self.held.stdout is not None
        assert self.held.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{self.held.pid}/task/{self.held.pid}/children").read_text().split()
        self.inside = ["nsenter", f"--target={children[0]}", "--mount", "--net", "--pid", f"--wd={base}/desk"]

    def run(self, *argv: str, said: str = "", may_fail: bool = False) -> str:
        done = subprocess.run(
            [*self.inside, *argv], input=said, env=self.environment, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip
        assert may_fail or done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}{self.logs()}"
        return done.stdout if done.returncode == 0 else f"refused: {done.stderr}"

    def type_(self, *blocks: str) -> str:
        return self.run("bash", "-euo", "pipefail", "-c", "\n".join(blocks))

    def as_account(self, account: str, *argv: str, said: str = "", may_fail: bool = False) -> str:
        return self.run("sudo", "-u", account, *argv, said=said, may_fail=may_fail)

    def serve_database(self) -> None:
        data = f"{self.base}/database/data"
        self.as_account("postgres", "initdb", "--pgdata", data, "--no-sync", "--auth=peer")
        self.as_account(
            "postgres", "pg_ctl", "start", "--wait", "--silent", "--pgdata", data, "--log", f"{data}/log",
            "--options", "-c listen_addresses= -c unix_socket_directories=/run/postgresql -c fsync=off",
        )  # fmt: skip

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.base.glob("*.log"))

    def files(self, *folders: str) -> list[str]:
        return [name for name in self.run("find", *folders, "-print0").split("\0") if name]

    def end(self) -> None:
        self.held.kill()  # and with it all that runs in there
        self.held.wait()
        assert self.held.stdout is not None
        self.held.stdout.close()


def closed() -> list[str]:
    """Return the folders that the program needs and that other accounts cannot reach here."""
    needed = {Path(sys.base_prefix).resolve(), ROOT.resolve(), Path(sys.prefix).resolve()}
    return [
        str(folder)
        for folder in sorted(needed)
        if any(not above.stat().st_mode & 0o001 for above in folder.parents)
    ]


@pytest.fixture(scope="module")
def facility() -> Iterator[Facility]:
    base = Path(tempfile.mkdtemp(prefix="sg-facility-"))
    base.chmod(0o755)
    made = Facility(base)
    try:
        made.serve_database()
        accounts, database, settings, as_worker, start, people, _health = re.findall(
            "^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M
        )
        made.type_(accounts, database, settings)
        made.type_(as_worker, people, "as_worker key create lab")
        assert '"state":"ready"' in made.type_(start)
        made.token = made.type_(as_worker, "as_worker token make test --person grace")
        yield made
    finally:
        made.end()
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def done(facility: Facility) -> dict[str, object]:
    """A Run that a person asked the api for and that the worker carried out."""
    answer = facility.run("/opt/slidegate/bin/python", "-c", ASK, said=facility.token)
    return dict(json.loads(answer))


def test_a_run_goes_from_the_api_by_the_database_to_the_worker_and_back(done: dict[str, object]) -> None:
    assert done["state"] == "succeeded"
    assert "summary.json" in done["files"]


def test_each_process_runs_as_its_own_account(facility: Facility, done: dict[str, object]) -> None:
    said = facility.run("ps", "-eo", "user:20,args")
    for account, word in ((API, "slidegate api"), (WORKER, "slidegate worker")):
        found = [line.split()[0] for line in said.splitlines() if f"/bin/{word}" in line]
        assert found and set(found) == {account}, said
    jobs = [line for line in said.splitlines() if "slidegate_gate" in line]
    assert {line.split()[0] for line in jobs} <= {WORKER}


def test_the_account_of_the_api_reads_nothing_of_the_workers(
    facility: Facility, done: dict[str, object]
) -> None:
    found = facility.files("/var/lib/slidegate-worker")
    for part in ("/keys/lab/", "/state/", "/data/"):  # a key, and what the site that is built in keeps
        assert any(part in name for name in found), part
    listed = "\0".join(found)
    assert facility.as_account(API, "python3", "-c", LOOK, said=listed) == ""
    seen = facility.as_account(WORKER, "python3", "-c", LOOK, said=listed).splitlines()
    assert len(seen) > 0.9 * len(found)
    facility.run("useradd", "--system", "stranger")
    everything = "\0".join(facility.files("/var/lib/slidegate-api", "/var/cache/slidegate", "/srv/slidegate"))
    assert facility.as_account("stranger", "python3", "-c", LOOK, said=everything) == "/srv/slidegate\n"


def test_the_api_reads_results_and_pictures_and_writes_none(
    facility: Facility, done: dict[str, object]
) -> None:
    results = facility.files("/srv/slidegate/results")
    (summary,) = [name for name in results if name.endswith("/summary.json")]
    assert summary in facility.as_account(API, "python3", "-c", LOOK, said=summary)
    for folder in (
        "/srv/slidegate/results",
        "/var/cache/slidegate",
        str(Path(summary).parent),
        "/srv/slides",
    ):
        told = facility.as_account(API, "python3", "-c", WRITE, f"{folder}/mine", may_fail=True)
        assert "PermissionError" in told, folder


def test_the_database_knows_the_two_and_nobody_else(facility: Facility, done: dict[str, object]) -> None:
    who = ["psql", "-d", "slidegate", "-Atc", "select session_user || ' as ' || current_user"]
    for account in (API, WORKER):
        assert facility.as_account(account, *who) == f"{account} as slidegate\n"
    for other in ("nobody", "daemon"):
        assert "does not exist" in facility.as_account(other, *who, may_fail=True)
        taken = facility.as_account(other, *who, "-U", API, may_fail=True)
        assert "Peer authentication failed" in taken


def test_no_log_holds_a_secret(facility: Facility, done: dict[str, object]) -> None:
    kept = facility.run("grep", "-rl", "PRIVATE KEY", "/var/lib/slidegate-worker/keys/lab")
    key = facility.run("cat", kept.strip())
    secrets = [PASSWORD, facility.token.strip(), *[line for line in key.splitlines() if len(line) > 40]]
    assert len(secrets) > 4
    until = time.monotonic() + 10
    while '"wish_launch"' not in facility.logs() and time.monotonic() < until:
        time.sleep(0.1)
    logs = facility.logs()
    assert "worker_begins" in logs and "wish_launch" in logs
    assert [secret[:8] for secret in secrets if secret in logs] == []
    assert "a.ome.tif" not in logs


if __name__ == "__main__":
    systemctl(*sys.argv[1:])
