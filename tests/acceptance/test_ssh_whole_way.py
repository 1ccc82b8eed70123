# SPDX-License-Identifier: BSD-3-Clause
"""From an account in the office through ssh, a gate in anna's account and Slurm to results, and back."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.ssh, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SLIDEGATE = Path(sys.executable).with_name("slidegate")
PYTHON = "/usr/bin/python3"
HOME = "/home/worker"
SECONDS = 90
MAKE_IMAGES = """
import sys
import numpy as np
import tifffile
for number in range(int(sys.argv[2])):
    pixels = np.random.default_rng([int(sys.argv[1]), number]).integers(0, 4000, (64, 64), dtype=np.uint16)
    tifffile.imwrite(f"{sys.argv[3]}/image{number}.tif", pixels)
"""
SHUT = """
import os, signal
for _again in range(20):
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and open("/proc/%s/comm" % name).read() == "sshd\\n":
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass
"""
SHOW = """
set -e
count=0
mount -t tmpfs none /mnt
for path in $PATHS; do count=$((count+1)); mkdir /mnt/$count; mount --rbind "$path" /mnt/$count; done
for path in $HIDDEN; do mount -t tmpfs -o mode=755 none "$path"; done
count=0
for path in $PATHS; do count=$((count+1)); mkdir -p "$path"; mount --move /mnt/$count "$path"; done
umount /mnt
"""


class Lab:
    """slidegate as an account in the office has it, and what it needs of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.pictures = 0

    def show_to_worker(self, paths: Sequence[Path]) -> None:
        """Let the worker's account read what only the account of these tests could, in the office alone."""
        hidden: list[Path] = []
        for path in paths:
            above = [parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]
            hidden += above[:1]
        inside = [path for path in paths if any(path.is_relative_to(each) for each in hidden)]
        words = {
            "PATHS": " ".join(map(str, inside)),
            "HIDDEN": " ".join(sorted({str(each) for each in hidden})),
        }
        if hidden:
            self.cluster.run("office", ["sh", "-c", SHOW], env=words)

    def office(self, *argv: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        return self.cluster.run("office", [str(word) for word in argv], user="worker", **options)

    def anna(self, *argv: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        return self.cluster.run("login", [str(word) for word in argv], user="anna", **options)

    def slidegate(self, *words: object, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.office(SLIDEGATE, *words, env=SETTINGS, check=check, timeout=SECONDS)

    def ask(self, *words: object) -> dict[str, Any]:
        done = self.slidegate(*words, "--json", check=False)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def start(self, *words: object) -> "subprocess.Popen[str]":
        argv = [str(SLIDEGATE), *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return self.cluster.popen("office", argv, user="worker", env=SETTINGS, **pipes)

    def make_images(self, count: int) -> str:
        """Make images that nobody has seen yet; returns their folder."""
        self.pictures += 1
        folder = f"{HOME}/images{self.pictures}"
        self.office("mkdir", folder)
        self.office(sys.executable, "-c", MAKE_IMAGES, self.pictures, count, folder)
        return folder

    def hold_jobs(self, held: bool) -> None:
        """Let Slurm accept jobs, and start none of them."""
        state = "down" if held else "up"
        self.cluster.run("login", ["scontrol", "update", "partitionname=main", f"state={state}"])

    def jobs(self) -> list[str]:
        """Return the states of anna's jobs that Slurm still has to do something about."""
        return self.anna("squeue", "-h", "--me", "-o", "%T").stdout.split()

    def cut_ssh(self) -> None:
        """Kill -9 sshd and every connection."""
        self.cluster.run("login", [PYTHON, "-c", SHUT])

    def restore_ssh(self) -> None:
        self.cluster.run("login", ["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])

    def accepted(self) -> int:
        """Return how many jobs Slurm has accepted so far."""
        return self.cluster.log("slurmctld").read_text().count("_slurm_rpc_submit_batch_job: JobId=")


SETTINGS: Mapping[str, str] = {
    "SLIDEGATE_HOME": f"{HOME}/.slidegate",
    "SLIDEGATE_PERSON": "ada",
    "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "workflows"),
    "COLUMNS": "200",
}


def wait_for(reached: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.2)


def told_by(running: "subprocess.Popen[str]", words: str) -> None:
    """Read what a command says until it says these words."""
    assert running.stdout is not None
    too_long = threading.Timer(SECONDS, running.kill)
    too_long.start()
    assert any(words in line for line in running.stdout), f"it ended without a word of {words!r}"
    too_long.cancel()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A cluster of its own (sshd is killed in it), where all is done that the kit's page says."""
    folder = Path("/tmp") / f"sgw-{os.getpid()}"
    with Cluster.start(folder) as cluster:
        made = Lab(cluster)
        made.show_to_worker([Path(sys.base_prefix), ROOT])
        made.slidegate("key", "create", "omero")
        made.slidegate("site", "kit", f"{HOME}/kit")
        made.office("cp", f"{HOME}/.slidegate/keys/omero/id.pub", f"{HOME}/kit/omero.pub")
        packed = made.office("tar", "-C", HOME, "-c", "kit", text=False).stdout
        made.anna("tar", "-x", text=False, input=packed)
        gatectl = [PYTHON, "kit/slidegate_gate", "ctl"]
        made.anna(*gatectl, "install", "--site", "lab", "--scheduler", "slurm", "--partition", "main")
        config = cluster.home("anna") / ".slidegate-gate" / "config.json"
        text = json.loads(made.anna("cat", ".slidegate-gate/config.json").stdout)
        text["scheduler"] |= {"poll_seconds": 1, "settle_seconds": 1}
        made.anna("tee", ".slidegate-gate/config.json", input=json.dumps(text))
        assert json.loads(config.read_text()) == text
        made.anna(*gatectl, "workflow", "install", "kit/workflows/count_bytes")
        made.anna(*gatectl, "key", "add", "omero", "--workflow", "count_bytes")
        made.anna(*gatectl, "authorize", "kit/omero.pub", "--key", "omero", "--from", "10.99.1.2")
        where = ["--ssh", "10.99.1.1", "--user", "anna", "--key", "omero"]
        made.slidegate("site", "add", "lab", *where, "--host-key", cluster.host_key)
        yield made
    shutil.rmtree(folder, ignore_errors=True)


def test_every_layer_of_the_site_is_well(lab: Lab) -> None:
    checked = lab.ask("site", "check", "lab")
    assert [each for each in checked["layers"] if each["code"]] == []
    assert checked["good"] is True
    assert "The key may start: count_bytes 1.0.0." in [each["words"] for each in checked["layers"]]


def test_images_are_computed_by_slurm_and_the_results_are_home(lab: Lab) -> None:
    images = lab.make_images(3)
    before = lab.accepted()
    request = ["run", "count_bytes", images, "--site", "lab", "--out", f"{HOME}/out"]
    answer = lab.ask(*request)
    assert (answer["state"], answer["site"], answer["outcome"]) == ("succeeded", "lab/omero", "created")
    assert [image["summary"]["files"] >= 2 for image in answer["images"]] == [True] * 3
    assert lab.accepted() > before
    assert "nothing had to be done" in lab.slidegate(*request).stderr
    sites = lab.office("ls", f"{HOME}/.slidegate/sites").stdout.split()
    assert sites == ["lab"], "the embedded site was set up, though nothing was to be done there"


def test_a_run_that_waits_in_the_queue_keeps_its_site_and_is_cancelled(lab: Lab) -> None:
    images = lab.make_images(1)
    lab.hold_jobs(True)
    try:
        running = lab.start("run", "count_bytes", images, "--site", "lab", "--out", f"{HOME}/out2")
        wait_for(lab.jobs, "a job is queued")
        kept = lab.slidegate("site", "remove", "lab", check=False)
        assert (kept.returncode, "[site-in-use]" in kept.stderr) == (2, True)
        done = lab.slidegate("cancel", "last", check=False)
        assert "cancelled" in done.stdout
        said, _ = running.communicate(timeout=SECONDS)
        assert running.returncode == 1, said
        wait_for(lambda: not lab.jobs(), "Slurm has forgotten the job")
    finally:
        lab.hold_jobs(False)


def test_a_run_outlives_its_server_and_the_way_to_the_site(lab: Lab) -> None:
    """Queued; sshd and all connections killed; the server killed; computed; then taken up again."""
    images = lab.make_images(2)
    request = ["run", "count_bytes", images, "--site", "lab", "--out", f"{HOME}/out3"]
    lab.hold_jobs(True)
    running = lab.start(*request)
    try:
        wait_for(lab.jobs, "a job is queued")
        lab.cut_ssh()
        told_by(running, "does not answer")
        shown = lab.ask("show", "last")
        assert "does not answer" in shown["trouble"]
        assert {image["state"] for image in shown["images"]} == {"queued"}
        assert running.poll() is None
        checked = lab.ask("site", "check", "lab")
        assert [each["code"] for each in checked["layers"]] == [None] * 4 + ["host-unreachable"]
        running.kill()
        running.communicate()
        before = lab.accepted()
        lab.hold_jobs(False)
        wait_for(lambda: not lab.jobs(), "the jobs have ended")
    finally:
        lab.hold_jobs(False)
        lab.restore_ssh()
    answer = lab.ask(*request)
    assert (answer["state"], answer["outcome"]) == ("succeeded", "resumed")
    assert [image["attempt"] for image in answer["images"]] == [1, 1]
    assert lab.accepted() == before, "something was submitted again"


def test_the_way_may_be_cut_and_come_back_while_somebody_watches(lab: Lab) -> None:
    images = lab.make_images(1)
    lab.hold_jobs(True)
    try:
        running = lab.start("run", "count_bytes", images, "--site", "lab", "--out", f"{HOME}/out4")
        wait_for(lab.jobs, "a job is queued")
        lab.cut_ssh()
        lab.hold_jobs(False)
        told_by(running, "does not answer")
    finally:
        lab.hold_jobs(False)
        lab.restore_ssh()
    said, _ = running.communicate(timeout=SECONDS)
    assert running.returncode == 0, said


def test_a_person_whose_link_has_ended_does_not_fall_back_to_the_sites_key(lab: Lab) -> None:
    lab.slidegate("person", "add", "eve")
    past = ["--account", "anna", "--key", "omero", "--from", "2020-01-01", "--until", "2020-12-31"]
    lab.slidegate("person", "link", "eve", "lab", *past)
    argv = [str(SLIDEGATE), "workflow", "list", "--site", "lab"]
    done = lab.office(*argv, env={**SETTINGS, "SLIDEGATE_PERSON": "eve"}, check=False)
    assert (done.returncode, "[link-not-valid]" in done.stderr) == (2, True)


def test_a_revoked_key_is_told_before_anything_is_asked_of_the_site(lab: Lab) -> None:
    """The last one: afterwards nothing here can reach the site."""
    lab.slidegate("key", "revoke", "omero")
    done = lab.slidegate("run", "count_bytes", HOME, "--site", "lab", check=False)
    assert (done.returncode, "[key-revoked]" in done.stderr) == (2, True)
