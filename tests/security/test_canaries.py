# SPDX-License-Identifier: BSD-3-Clause
"""Secrets and names of patients, planted wherever slidegate meets them, and looked for all over the cluster.

The private key and a token in the worker's environment are nobody else's business. A patient's name may be in
an image's file name, in its metadata, and in the picture of its label: it stays in the office, where the
results are (the database, the folders of results), and not even there in a log.
"""

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_ssh_whole_way import HOME, ROOT, SETTINGS, SLIDEGATE, Lab
from tests.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

PATIENT = "Canaria-Muellerova-1961"
TOKEN = "canary-token-7f3a9c51"
IMAGE = """
import sys
import numpy as np
import tifffile
pixels = np.random.default_rng(61).integers(0, 4000, (64, 64), dtype=np.uint16)
name = sys.argv[2]
about = {"axes": "YX", "Name": name, "Description": "of " + name, "Channel": {"Name": ["DAPI"]}}
with tifffile.TiffWriter(sys.argv[1], ome=True) as file:
    file.write(pixels, metadata=about, software=name)
    written = np.frombuffer(name.encode().ljust(64 * 64), np.uint8).reshape(64, 64)
    file.write(written, metadata={"Name": "label image"})
"""
FOUND = 'find "$@" -xdev \\( -type f -o -type l \\) 2>/dev/null | grep -aF -f /run/canaries; '
FOUND += 'grep -rlaF -f /run/canaries -- "$@" 2>/dev/null; true'


class Looker(threading.Thread):
    """Looks again and again at every process of the cluster, and at what Slurm tells of every job."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.cluster, self.ended, self.looks = cluster, False, 0
        self.commands: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.told: set[str] = set()

    def run(self) -> None:
        space = Path(f"/proc/{self.cluster._pids['login']}/ns/pid").readlink()
        office = Path(f"/proc/{self.cluster._pids['office']}/ns/net").readlink()
        asks = [["scontrol", "-dd", "-o", "show", "job"], ["squeue", "-h", "-t", "all", "-O", "all"]]
        while not self.ended:
            self.looks += 1
            for path in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if (path / "ns/pid").readlink() == space:
                        self.commands.add((path / "cmdline").read_bytes())
                        if (path / "ns/net").readlink() != office:
                            self.environments.add((path / "environ").read_bytes())
            if self.looks % 10 == 1:
                self.told |= {self.cluster.run("login", ask, check=False).stdout for ask in asks}
            time.sleep(0.03)


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Cluster, Looker, list[str]]]:
    """A whole run, with canaries, at a Slurm whose database keeps scripts and environments of jobs."""
    folder = Path("/tmp") / f"sgs-{os.getpid()}"
    flags = {"AccountingStoreFlags": "job_comment,job_env,job_script"}
    with Cluster.start(folder, accounting=True, **flags) as cluster:
        lab = Lab(cluster)
        lab.show_to_worker([Path(sys.base_prefix), ROOT])
        lab.slidegate("key", "create", "omero")
        lab.slidegate("site", "kit", f"{HOME}/kit")
        lab.office("cp", f"{HOME}/.slidegate/keys/omero/id.pub", f"{HOME}/kit/omero.pub")
        lab.anna("tar", "-x", text=False, input=lab.office("tar", "-C", HOME, "-c", "kit", text=False).stdout)
        ctl = ["/usr/bin/python3", "kit/slidegate_gate", "ctl"]
        lab.anna(*ctl, "install", "--site", "lab", "--scheduler", "slurm", "--partition", "main")
        text = json.loads(lab.anna("cat", ".slidegate-gate/config.json").stdout)
        text["scheduler"] |= {"poll_seconds": 1, "settle_seconds": 1}
        lab.anna("tee", ".slidegate-gate/config.json", input=json.dumps(text))
        lab.anna(*ctl, "workflow", "install", "kit/workflows/count_bytes")
        lab.anna(*ctl, "key", "add", "omero", "--workflow", "count_bytes")
        lab.anna(*ctl, "authorize", "kit/omero.pub", "--key", "omero", "--from", "10.99.1.2")
        where = ["--ssh", "10.99.1.1", "--user", "anna", "--key", "omero"]
        lab.slidegate("site", "add", "lab", *where, "--host-key", cluster.host_key)
        private = lab.office("cat", f"{HOME}/.slidegate/keys/omero/id").stdout.splitlines()[2]
        lab.office("mkdir", f"{HOME}/{PATIENT}")
        lab.office(sys.executable, "-c", IMAGE, f"{HOME}/{PATIENT}/{PATIENT}.ome.tif", PATIENT)
        looker = Looker(cluster)
        looker.start()
        request = ["run", "count_bytes", f"{HOME}/{PATIENT}", "--site", "lab", "--out", f"{HOME}/out"]
        done = lab.office(
            SLIDEGATE, *request, env={**SETTINGS, "OMERO_TOKEN": TOKEN}, check=False, timeout=90
        )
        looker.ended = True
        looker.join(30)
        assert done.returncode == 0, done.stdout + done.stderr
        yield cluster, looker, [PATIENT, PATIENT.encode().hex(), TOKEN, private]
    shutil.rmtree(folder, ignore_errors=True)


Ran = tuple[Cluster, Looker, list[str]]


def test_no_command_line_shows_a_secret_or_a_name(ran: Ran) -> None:
    _, looker, canaries = ran
    seen = b"\n".join(looker.commands)
    assert b"serve\0--key\0omero" in seen and b"runner\0" in seen, "the processes were not seen"
    shown = b"\n".join(
        one for one in looker.commands if SLIDEGATE.name.encode() not in one
    )  # the person's own words
    assert [word for word in canaries if word.encode() in shown] == []


def test_no_environment_at_the_cluster_holds_a_secret_or_a_name(ran: Ran) -> None:
    _, looker, canaries = ran
    seen = b"\n".join(looker.environments)
    assert b"SSH_CONNECTION" in seen and b"SLURM_ARRAY_JOB_ID" in seen, "the processes were not seen"
    assert [word for word in canaries if word.encode() in seen] == []


def test_nothing_that_slurm_tells_or_keeps_holds_a_secret_or_a_name(ran: Ran) -> None:
    cluster, looker, canaries = ran
    told = "\n".join(looker.told)
    assert "JobName=sg-omero." in told
    fields = "JobID,JobName,Comment,AdminComment,SubmitLine,WorkDir"
    told += cluster.run("login", ["sacct", "-a", "-n", "-P", "-o", fields]).stdout
    for what in ("--batch-script", "--env-vars"):
        told += cluster.run("login", ["sacct", "-a", what, "-j", "1"], check=False).stdout
    assert "runner" in told
    assert [word for word in canaries if word in told] == []


@pytest.mark.parametrize(
    ("node", "places"),
    [
        ("login", ["/home", "/var/log", "/var/spool", "/tmp", "/run", "/etc/slurm"]),
        ("c1", ["/var/spool", "/tmp", "/run"]),
        ("c2", ["/var/spool", "/tmp", "/run"]),
    ],
)
def test_no_file_at_the_cluster_holds_a_secret_or_a_name(ran: Ran, node: str, places: list[str]) -> None:
    cluster, _, canaries = ran
    # what must be there is seen: states and records, Slurm's own files and, a little later, its database
    parts = ["/home/anna/.slidegate-gate/state", "/var/spool/slurmctld", "/var/spool/mysql"]
    end = time.monotonic() + 30
    while node == "login":
        seen = look_for(cluster, node, ["sg-omero"], places)
        if all(any(path.startswith(part) for path in seen) for part in parts):
            break
        assert time.monotonic() < end, seen
        time.sleep(0.5)
    assert look_for(cluster, node, canaries, places) == []


def test_the_logs_of_the_worker_hold_no_secret_and_no_name(ran: Ran) -> None:
    cluster, _, canaries = ran
    script = f"cat {HOME}/.slidegate/*.log* {HOME}/.slidegate/logs/* 2>/dev/null; true"
    logs = cluster.run("office", ["sh", "-c", script]).stdout
    assert "-- finish all" in logs
    assert [word for word in canaries if word in logs] == []


def test_the_private_key_is_in_its_own_file_and_nowhere_else(ran: Ran) -> None:
    cluster, _, canaries = ran
    assert look_for(cluster, "office", [canaries[-1]], [HOME]) == [f"{HOME}/.slidegate/keys/omero/id"]
    assert look_for(cluster, "office", [TOKEN], [HOME]) == []


def look_for(cluster: Cluster, node: str, words: list[str], places: list[str]) -> list[str]:
    """Return the files on a node whose names or contents have one of the words."""
    cluster.run(node, ["sh", "-c", "cat > /run/canaries.new"], input="\n".join(words) + "\n")
    cluster.run(node, ["sh", "-c", "mv /run/canaries.new /run/canaries"])
    found = cluster.run(node, ["sh", "-c", FOUND, "sh", *places]).stdout.splitlines()
    cluster.run(node, ["rm", "/run/canaries"])
    return sorted({path for path in found if path != "/run/canaries"})
