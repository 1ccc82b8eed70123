# SPDX-License-Identifier: BSD-3-Clause
"""What people are told when a real Slurm ends their jobs: the cause, what to do, and the end of the log."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tifffile

from tests.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.ssh, pytest.mark.root, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SLIDEGATE = Path(sys.executable).with_name("slidegate")
SCHEMA = json.loads((ROOT / "src" / "slidegate" / "cli" / "answer.schema.json").read_text())
PYTHON = "/usr/bin/python3"
SECONDS = 120
LOGS = ".slidegate-gate/data/keys/omero/work/*/*/log"
CONTROL = (b"\x1b[2J", b"\x1b]0;", b"\x9b31m", "\x9b31m".encode())


class Lab:
    """slidegate on this computer, and a gate in anna's account at a cluster with limits of memory."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.images = 0
        self.environment = {
            **os.environ,
            "SLIDEGATE_HOME": str(folder / "home"),
            "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "misbehaving"),
            "SLIDEGATE_PERSON": "ada",
            "COLUMNS": "200",
        }

    def type(self, *words: object) -> "subprocess.CompletedProcess[str]":
        argv = [str(SLIDEGATE), *map(str, words)]
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def anna(self, *argv: str, **options: Any) -> "subprocess.CompletedProcess[Any]":
        return self.cluster.run("login", argv, user="anna", **options)

    def start(self, how: str, **options: Any) -> "subprocess.Popen[str]":
        """Ask for a Run of a new image, and follow it."""
        self.images += 1
        image = self.folder / f"image{self.images}.tif"
        tifffile.imwrite(image, np.full((8, 8), self.images, np.uint16))
        argv = [str(SLIDEGATE), "run", "misbehave", str(image), "--param", f"how={how}", "--site", "lab"]
        argv += ["--out", str(self.folder / "out")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        return subprocess.Popen(argv, env=self.environment, text=True, **pipes)

    def jobs(self, state: str) -> list[str]:
        """Return the arrays with elements in a state."""
        return self.anna("squeue", "-h", "--me", "-t", state, "-o", "%F").stdout.split()

    def logs(self) -> list[Path]:
        """Return the logs of what has begun and was not let go of."""
        return list(self.cluster.home("anna").glob(LOGS))

    def answer(self, run: str) -> dict[str, Any]:
        """Return what programs are told of a Run."""
        found = json.loads(self.type("show", run, "--json").stdout)
        jsonschema.validate(found, SCHEMA)
        return found


def wait_for(reached: Callable[[], object]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := reached()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    folder = Path(tempfile.mkdtemp(prefix="sgt-"))
    with Cluster.start(folder / "cluster", memory_limits=True) as cluster:
        made = Lab(cluster, folder)
        assert made.type("key", "create", "omero").returncode == 0
        kit = folder / "kit"
        assert made.type("site", "kit", kit, "--workflow", "misbehave").returncode == 0
        shutil.copy(folder / "home" / "keys" / "omero" / "id.pub", kit / "omero.pub")
        packed = subprocess.run(["tar", "-C", folder, "-c", "kit"], check=True, capture_output=True).stdout
        made.anna("tar", "-x", "--no-same-owner", input=packed, text=False)
        gatectl = [PYTHON, "kit/slidegate_gate", "ctl"]
        made.anna(*gatectl, "install", "--site", "lab", "--scheduler", "slurm", "--partition", "main")
        config = json.loads(made.anna("cat", ".slidegate-gate/config.json").stdout)
        config["scheduler"] |= {"poll_seconds": 1, "settle_seconds": 1}
        config["classes"]["cpu"] |= {"members": 1, "memory_mb": 200, "minutes": 5}
        made.anna("tee", ".slidegate-gate/config.json", input=json.dumps(config))
        made.anna(*gatectl, "workflow", "install", "kit/workflows/misbehave")
        made.anna(*gatectl, "key", "add", "omero", "--workflow", "misbehave")
        made.anna(*gatectl, "authorize", "kit/omero.pub", "--key", "omero", "--from", "10.99.1.2")
        where = ["--ssh", "login", "--ssh-config", cluster.ssh_config, "--user", "anna", "--key", "omero"]
        added = made.type("site", "add", "lab", *where, "--host-key", cluster.host_key)
        assert added.returncode == 0, added.stderr
        yield made
    shutil.rmtree(folder, ignore_errors=True)


Begun = list["subprocess.Popen[str]"]
Told = dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def begun(lab: Lab) -> Begun:
    """Three Runs, each about to end in another way; Slurm looks at time limits only twice a minute."""
    runs = [lab.start(how) for how in ("sleep", "sleep", "memory")]

    def both_sleep_and_memory_is_used_up() -> bool:
        asleep = [log for log in lab.logs() if b"working: sleep" in log.read_bytes()]
        return len(asleep) == 2 and len(set(lab.jobs("all"))) == 3 and not lab.jobs("PENDING")

    wait_for(both_sleep_and_memory_is_used_up)
    job, other = wait_for(lambda: (found := lab.jobs("RUNNING"))[2:] == [] and found)
    lab.cluster.run("login", ["scontrol", "update", f"jobid={job}", "timelimit=0"])
    lab.anna("scancel", other)
    return runs


@pytest.fixture(scope="module")
def told(lab: Lab, begun: Begun) -> Told:
    """How each of the three commands ended, and what it said, by the code that it told."""
    ended = {}
    for run in begun:
        said = run.communicate(timeout=SECONDS)[0]
        ended[said.rpartition(" [")[2].partition("]")[0]] = (run.returncode, said)
    assert not lab.jobs("RUNNING,PENDING")
    names = lab.anna("squeue", "-h", "--me", "-t", "all", "-o", "%j").stdout.split()
    rounds = {name.rpartition(".")[2] for name in names}
    assert rounds == {"1"}, "something was started again in vain"
    return ended


def test_why_a_job_waits_is_told_and_who_ends_it_then(lab: Lab, begun: Begun) -> None:
    words = "queued at the site: waits because computers of the site are down or reserved (PartitionDown)"
    lab.cluster.run("login", ["scontrol", "update", "partitionname=main", "state=down"])
    try:
        with lab.start("sleep") as run:
            assert run.stdout is not None
            too_long = threading.Timer(SECONDS, run.kill)
            too_long.start()
            assert any(words in line for line in run.stdout)
            too_long.cancel()
            (job,) = lab.jobs("PENDING")
            assert words in lab.type("show", "last").stdout
            assert lab.answer("last")["images"][0]["waits"] == words.partition(": ")[2]
            lab.anna("scancel", job)
            said = run.communicate(timeout=SECONDS)[0]
    finally:
        lab.cluster.run("login", ["scontrol", "update", "partitionname=main", "state=up"])
    assert "[cancelled-outside]" in said


def test_what_jobs_write_does_not_control_the_terminal(lab: Lab, begun: Begun) -> None:
    screen, terminal = pty.openpty()
    with lab.start("hostile", stdout=terminal, stderr=terminal, stdin=terminal) as run:
        os.close(terminal)
        seen = b""
        while part := read(screen):
            seen += part
    os.close(screen)
    assert run.returncode == 1
    assert b"working: hostile" in seen
    found = lab.answer("last")["images"][0]["error"]
    assert found["log"][-1] == "working: hostile"
    assert found["code"] == "step-crashed"  # also for an answer with a code that is none
    for text in (seen, lab.type("show", "last").stdout.encode()):
        assert not [sign for sign in CONTROL if sign in text]
    raw = lab.type("log", "last").stdout
    assert "\x1b[2J" in raw  # what goes to a file stays as it is


@pytest.mark.parametrize(
    ("code", "words", "log"),
    [
        ("cancelled-outside", "it was not slidegate", "working: sleep"),
        ("time-limit", "more minutes", "working: sleep"),
        ("out-of-memory", "more memory", "working: memory"),
    ],
)
def test_why_a_job_was_ended_is_told_by_the_command_by_show_and_to_programs(
    lab: Lab, told: Told, code: str, words: str, log: str
) -> None:
    status, said = told[code]
    run = said.partition("New run ")[2].partition(".")[0]
    assert status == 1
    (image,) = lab.answer(run)["images"]
    assert (image["state"], image["error"]["code"]) == ("failed", code), image
    assert words in image["error"]["message"]
    assert image["error"]["message"].endswith(f"slidegate retry {run}")
    assert log in image["error"]["log"]
    for text in (said, lab.type("show", run).stdout):
        assert f"[{code}]" in text
        assert words in text
        assert f"| {log}" in text


def test_a_key_is_exchanged_as_the_commands_say_and_nothing_is_interrupted(lab: Lab, told: Told) -> None:
    def type_at_the_site(said: str) -> None:
        for line in said.splitlines():
            there = line.replace("gatectl ", f"{PYTHON} kit/slidegate_gate ctl ", 1)
            lab.anna("bash", "-c", there)

    def answers() -> bool:
        return lab.type("workflow", "list", "--site", "lab").returncode == 0

    with lab.start("sleep") as run:
        wait_for(lambda: len(lab.logs()) == 1)
        type_at_the_site(lab.type("key", "rotate", "omero").stdout)
        assert answers()
        old = lab.type("key", "rotate", "omero", "--finish").stdout
        assert answers()
        type_at_the_site(old)
        assert answers()
        (line,) = lab.anna("cat", ".ssh/authorized_keys").stdout.splitlines()
        assert (lab.folder / "home/keys/omero/id.pub").read_text().split()[1] in line
        cancelled = lab.type("cancel", "last")
        assert "cancelled" in cancelled.stdout
        run.communicate(timeout=SECONDS)
    refused = lab.type("key", "revoke", "omero")
    type_at_the_site(refused.stdout)
    assert lab.anna("cat", ".ssh/authorized_keys").stdout == ""


def read(screen: int) -> bytes:
    try:
        return os.read(screen, 65536)
    except OSError:  # how Linux says that nobody has the terminal open
        return b""
