# SPDX-License-Identifier: BSD-3-Clause
"""Anna, who is no administrator, puts the gate into her account at a cluster, and takes it away again."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slidegate_gate.protocol import frames
from slidegate_gate.protocol.canonical import canonical

from tests.cluster import Cluster
from tests.small_workflow import NO_PARAMETERS, manifest

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]  # it plants files in their homes

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "gate" / "slidegate_gate"
HOME = "/home/anna/.gate-of-anna"
KEY = "of-anna"

MANIFEST = manifest(
    "patient", "step.py", [{"do": "wait", "class": "cpu"}], {"said": {"type": "summary", "path": "said"}}
)
STEP = """
import json, os, sys, time
for line in sys.stdin:
    ask = json.loads(line)
    while not os.path.exists("/home/anna/go-on"):
        time.sleep(0.1)
    with open(os.path.join(ask["out"], "said"), "w") as file:
        file.write("done")
    print(json.dumps({"ok": True, "result": {}}), flush=True)
"""


class Account:
    """Anna's account, and the key of the office."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.home = cluster.home("anna")
        self.key = folder / "id"
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "anna", "-f", str(self.key)]
        subprocess.run(make, check=True)
        self.kit = self.carry("kit")
        self.write("kit/id.pub", self.key.with_suffix(".pub").read_text())
        for name, text in (
            ("workflow.json", json.dumps(MANIFEST)),
            ("parameters.schema.json", json.dumps(NO_PARAMETERS)),
            ("runtime.lock", ""),
            ("step.py", STEP),
        ):
            self.write(f"kit/patient/{name}", text)

    def carry(self, name: str, version: str = "") -> str:
        """Put a kit into the home, perhaps of another version; return where it lies."""
        package = self.home / name / "slidegate_gate"
        shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
        if version:
            text = (package / "__init__.py").read_text()
            (package / "__init__.py").write_text(
                "\n".join(
                    f'__version__ = "{version}"' if line.startswith("__version__") else line
                    for line in text.splitlines()
                )
            )
        self.own(self.home / name)
        return f"/home/anna/{name}/slidegate_gate"

    def write(self, name: str, text: str) -> None:
        path = self.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.own(path.parent if path.parent != self.home else path)

    def own(self, top: Path) -> None:
        anna = self.home.stat()
        for path in [top, *top.rglob("*")]:
            os.chown(path, anna.st_uid, anna.st_gid, follow_symlinks=False)

    def ctl(self, *words: str, program: str = f"{HOME}/current", code: int = 0) -> str:
        """Let Anna call gatectl at the login node; return what it said."""
        argv = ["/usr/bin/python3", "-IS", program, "ctl", *words, "--home", HOME]
        done = self.cluster.run("login", argv, user="anna", check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ssh(self, *words: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        argv = ["ssh", "-F", str(self.cluster.ssh_config), "-i", str(self.key), "-o", "IdentitiesOnly=yes"]
        return subprocess.run(
            [*argv, "anna@login", *words], capture_output=True, timeout=60, check=False, **options
        )

    def config(self) -> dict[str, Any]:
        return json.loads((self.home / ".gate-of-anna" / "config.json").read_text())

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        config = self.config()
        change(config)
        path = self.home / ".gate-of-anna" / "config.json"
        path.write_text(json.dumps(config))

    def lines(self) -> list[str]:
        path = self.home / ".ssh" / "authorized_keys"
        return [line for line in path.read_text().splitlines() if line.endswith(f"slidegate:{KEY}")]


class Channel:
    """Frames over the real ssh."""

    def __init__(self, account: Account) -> None:
        argv = ["ssh", "-F", str(account.cluster.ssh_config), "-i", str(account.key)]
        self.process = subprocess.Popen(
            [*argv, "-o", "IdentitiesOnly=yes", "anna@login", "slidegate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.reader = frames.FrameReader(self.process.stdout.fileno(), 30)

    def ask(self, verb: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        frames.write_frame(self.process.stdin.fileno(), {**fields, "id": "1", "verb": verb}, body)
        answer = self.reader.read()
        assert answer is not None
        assert answer.message["ok"], answer.message
        return answer.message

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        assert self.ask("put", data, digest=digest, size=len(data), offset=0)["committed"]
        return digest

    def put_tree(self, contents: dict[str, bytes]) -> str:
        entries = [[name, len(data), self.put(data)] for name, data in sorted(contents.items())]
        return self.put(canonical({"tree": 1, "entries": entries}))

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def submit(channel: Channel, attempt: str) -> str:
    """Ask for the patient workflow; return the digest of the plan."""
    (release,) = channel.ask("hello")["releases"]
    image = channel.put_tree({"zarr.json": b"{}"})
    entry = {"attempt": attempt, "inputs": {"image": image}, "parameters": {}, "note": {}}
    plan = {"plan": 1, "release": release["digest"], "note": {}, "attempts": [entry]}
    tree = channel.put_tree({"plan.json": json.dumps(plan).encode()})
    channel.ask("submit", plan=tree, round=1)
    return tree


def running(account: Account) -> str:
    return account.cluster.run("login", ["squeue", "-h", "-u", "anna", "-t", "R"]).stdout


def until(seen: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def account(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    anna = Account(cluster, tmp_path_factory.mktemp("office"))
    anna.ctl("install", "--scheduler", "slurm", program=anna.kit)
    anna.ctl("key", "add", KEY, "--workflow", "*")
    anna.ctl("authorize", "/home/anna/kit/id.pub", "--key", KEY, "--from", "10.99.1.2")
    yield anna
    if (anna.home / ".gate-of-anna").exists():
        anna.ctl("remove", "--yes", "--even-if-work-is-left")
    for name in ("kit", "newer"):
        shutil.rmtree(anna.home / name, ignore_errors=True)


def test_the_first_figures_are_those_of_the_cluster(account: Account) -> None:
    config = account.config()
    assert config["scheduler"]["bin"] == "/usr/bin"
    assert config["classes"]["cpu"]["partition"] == "main"
    said = account.cluster.run("login", ["sinfo", "-h", "-p", "main", "-o", "%m %l"]).stdout.split()
    assert config["classes"]["cpu"]["memory_mb"] <= int(said[0])
    assert f"{config['classes']['cpu']['minutes'] // 60}:00:00" == said[1]


def test_a_login_node_without_slurm_is_told_so(account: Account) -> None:
    words = ["install", "--scheduler", "slurm"]
    argv = ["env", "PATH=/nowhere", "/usr/bin/python3", account.kit, "ctl", *words, "--home", "/home/anna/2"]
    done = account.cluster.run("login", argv, user="anna", check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("no-scheduler: There is no sbatch")


def test_the_authorized_key_reaches_the_gate_and_no_shell(account: Account) -> None:
    with Channel(account) as channel:
        assert channel.ask("hello")["ok"]
    done = account.ssh("id")
    assert b"uid=" not in done.stdout
    assert done.returncode != 0


def test_a_key_that_is_bound_to_another_address_does_not_get_in(account: Account) -> None:
    authorize = ["authorize", "/home/anna/kit/id.pub", "--key", KEY, "--from"]
    account.ctl(*authorize, "192.0.2.1")
    try:
        done = account.ssh("slidegate", input=b"")
        assert done.returncode == 255
        assert b"Permission denied" in done.stderr
    finally:
        account.ctl(*authorize, "10.99.1.0/24")
    assert account.ssh("slidegate", input=b"").returncode == 0
    assert len(account.lines()) == 1


def test_a_key_that_expired_does_not_get_in(account: Account) -> None:
    path = account.home / ".ssh" / "authorized_keys"
    whole = path.read_text()
    path.write_text(whole.replace(",command=", ',expiry-time="20200101",command='))
    try:
        assert account.ssh("slidegate", input=b"").returncode == 255
    finally:
        path.write_text(whole)
    assert account.ssh("slidegate", input=b"").returncode == 0


def test_another_line_for_the_key_would_open_a_shell_so_it_is_refused_and_found(account: Account) -> None:
    public = account.key.with_suffix(".pub").read_text()
    path = account.home / ".ssh" / "authorized_keys"
    whole = path.read_text()
    second = path.with_name("authorized_keys2")
    for file, text in ((path, public + whole), (second, public)):
        file.write_text(text)
        account.own(file)
        if file == second:  # sshd goes on to it where the first line does not fit
            path.write_text(whole.replace("10.99.1.0/24", "192.0.2.1"))
        try:
            assert account.ssh("id").stdout.startswith(b"uid=")  # so it is true
            authorize = ["authorize", "/home/anna/kit/id.pub", "--key", KEY]
            assert account.ctl(*authorize, code=3).startswith("key-in-use: ")
            assert f"{file.name}: remove that line" in account.ctl("selftest", "--quick", code=1)
        finally:
            second.unlink(missing_ok=True)
            path.write_text(whole)
    assert account.ssh("slidegate", input=b"").returncode == 0


def test_the_selftest_is_good_from_two_different_nodes(account: Account) -> None:
    said = account.ctl("selftest")
    assert "BAD" not in said
    for host in ("c1", "c2"):
        assert f"good  state and data are as good on {host}\n" in said
    assert "good  a name is given once among all of them\n" in said
    assert account.cluster.run("login", ["squeue", "-h", "-u", "anna"]).stdout == ""


def test_the_selftest_says_where_a_class_has_one_node_only(account: Account) -> None:
    before = account.config()
    partition = ["PartitionName=alone", "Nodes=c2", "State=UP"]
    account.cluster.run("login", ["scontrol", "create", *partition])
    account.change(lambda config: config["classes"]["cpu"].update(partition="alone"))
    try:
        said = account.ctl("selftest")
    finally:
        account.change(lambda config: config.update(before))
        account.cluster.run("login", ["scontrol", "delete", partition[0]])
    assert "BAD" not in said
    assert "good  state and data are as good on c2, the only node tried: " in said
    assert "Requested node configuration is not available\n" in said


def test_sizes_that_slurm_would_not_take_are_found(account: Account) -> None:
    before = account.config()
    for change, words in (
        (lambda config: config["scheduler"].update(max_array=10**6), "its arrays have 1000 elements at most"),
        (lambda config: config["classes"]["cpu"].update(minutes=10**6), "end after 60 minutes"),
        (lambda config: config["classes"]["cpu"].update(partition="gone"), "no partition 'gone' is up"),
    ):
        account.change(change)
        try:
            assert f"BAD   Slurm takes arrays and jobs of these sizes: {words}" in account.ctl(
                "selftest", "--quick", code=1
            ).replace("jobs in 'main' ", "")
        finally:
            account.change(lambda config: config.update(json.loads(json.dumps(before))))


def test_a_bashrc_that_greets_is_reported_because_it_garbles_the_channel(account: Account) -> None:
    path = account.home / ".bashrc"
    whole = path.read_text()
    path.write_text("echo Welcome, Anna\n" + whole)
    try:
        assert account.ssh("slidegate", input=b"").stdout.startswith(b"Welcome, Anna")  # so it is true
        said = account.ctl("selftest", "--quick", code=1)
        assert "BAD   no shell greets a key: /bin/bash says 'Welcome, Anna'" in said
    finally:
        path.write_text(whole)
    account.ctl("selftest", "--quick")


def test_work_runs_to_its_end_with_the_version_that_accepted_it(account: Account) -> None:
    account.ctl("workflow", "install", "/home/anna/kit/patient")
    with Channel(account) as channel:
        first = channel.ask("hello")
        tree = submit(channel, "a" * 64)
    until(lambda: running(account) != "")

    newer = account.carry("newer", "9.0.0")
    said = account.ctl("upgrade", "--quick", program=newer)
    assert "gate 9.0.0+" in said
    account.write("go-on", "")
    try:
        with Channel(account) as channel:
            assert channel.ask("hello")["gate"] == "9.0.0"
            until(lambda: channel.ask("status", cursor="")["attempts"][0]["state"] == "succeeded")
            assert channel.ask("submit", plan=tree, round=1)["attempts"] == {"a" * 64: "known"}
            home = account.home / ".gate-of-anna"
            (accepted,) = (home / "state" / "keys" / KEY / "submissions").glob("*/plan.json")
            program = json.loads(accepted.read_text())["program"]
            assert first["gate"] in program
            assert Path(program).name != (home / "current").readlink().name
            account.ctl("clean")
            assert (home / "versions" / Path(program).name).exists()
            channel.ask("release", attempts=["a" * 64])
    finally:
        (account.home / "go-on").unlink()


def test_the_version_before_comes_back(account: Account) -> None:
    assert "9.0.0+" not in account.ctl("rollback")
    with Channel(account) as channel:
        assert channel.ask("hello")["gate"] != "9.0.0"
    assert "older than" not in account.ctl("upgrade", "--quick", program="/home/anna/newer/slidegate_gate")
    said = account.ctl("upgrade", "--quick", program=account.kit, code=3)
    assert said.startswith("not-switched: ")


def test_removing_shuts_the_key_out_ends_the_jobs_and_leaves_nothing(account: Account) -> None:
    account.change(lambda config: config["scheduler"].update(poll_seconds=1))
    with Channel(account) as channel:
        submit(channel, "b" * 64)
    until(lambda: running(account) != "")
    assert "--even-if-work-is-left" in account.ctl("remove", "--yes", code=3)
    assert len(account.lines()) == 1
    said = account.ctl("remove", "--yes", "--even-if-work-is-left")
    assert said.startswith("removed: 1 keys, 1 arrays of jobs")
    assert running(account) == ""
    assert account.lines() == []
    assert account.ssh("slidegate", input=b"").returncode == 255
    assert not (account.home / ".gate-of-anna").exists()
