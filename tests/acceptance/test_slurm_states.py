# SPDX-License-Identifier: BSD-3-Clause
"""What a site says while a real Slurm takes computers away and a disk loses its files: what happened.

A crew in anna's account is held in the middle of its work, something happens, and then it may go on. The
states and causes that the gate tells are those of what happened, and what is finished afterwards, by the same
crew or by the next one, is byte for byte what an undisturbed Attempt gives.

Time limits, memory limits and jobs that somebody cancels are in test_truthful_words. No clock is set
here: members compare none of different computers, only counters. That is tried with a node whose monotonic
clock is twelve days ahead.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slidegate.domain.values import AttemptKey, Digest, canonical_json, digest_of
from slidegate.sites import Gate, PipeLink
from slidegate.sites.errors import MissingBlobs, Refused
from slidegate.sites.trees import tree_digest, tree_text
from tests.cluster import Cluster
from tests.small_workflow import NO_PARAMETERS, manifest, three_steps

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.slow]

SOURCES = Path(__file__).parents[2] / "gate" / "slidegate_gate"
PYTHON = "/usr/bin/python3"
HOME = "/home/anna/.slidegate-gate"
SECONDS = 60
STEPS = """
import json, os, socket, sys, time

for line in sys.stdin:
    ask = json.loads(line)
    answer = {"ok": True}
    held = ask["step"] == "detect" and ask["unit"] == "u1"
    with open("/home/anna/begun", "a") as file:
        file.write("%s %s %s\\n" % (ask["step"], ask["unit"], socket.gethostname()))
    while held and not os.path.exists("/home/anna/go-on"):
        time.sleep(0.05)
    with open(os.path.join(ask["inputs"]["image"], "pixels")) as file:
        pixels = file.read()
    if ask["step"] == "plan":
        answer["units"] = ["u0", "u1", "u2"]
    if ask["step"] == "detect":
        path = os.path.join(ask["shared"], "labels", ask["unit"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = path + ".%d.__lock" % os.getpid()
        with open(part, "w") as file:
            file.write(pixels + ask["unit"] + "x" * 100000)
        os.rename(part, path)
    if ask["step"] == "finish":
        with open(os.path.join(ask["out"], "table.json"), "w") as file:
            json.dump(len(ask["results"]["detect"]), file)
    print(json.dumps(answer), flush=True)
"""
MANIFEST = manifest(
    "steady",
    "steps.py",
    three_steps("detect", "same-bytes"),
    {"labels": {"type": "labels", "path": "labels"}, "table": {"type": "table", "path": "table.json"}},
    title="Steady",
    description="Gives the same bytes, and can be held in the middle.",
)


class Site:
    """A gate in anna's account, and a client at the other end of a pipe."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.anna = cluster.home("anna")
        self.home = self.anna / ".slidegate-gate"
        self.count = 0
        kit = self.carry("kit")
        self.gatectl(kit, "install", "--site", "lab", "--scheduler", "slurm", "--partition", "main")
        self.gatectl(kit, "key", "add", "omero", "--workflow", "*")
        (self.anna / "kit" / "steady").mkdir()
        for name, text in (
            ("workflow.json", json.dumps(MANIFEST)),
            ("parameters.schema.json", json.dumps(NO_PARAMETERS)),
            ("runtime.lock", ""),
            ("steps.py", STEPS),
        ):
            (self.anna / "kit" / "steady" / name).write_text(text)
        self.own(self.anna / "kit")
        self.gatectl(kit, "workflow", "install", "kit/steady")
        pace = {"poll_seconds": 0.3, "settle_seconds": 1}
        self.change(lambda config: config["scheduler"].update(pace))
        self.change(lambda config: config.update(lease_seconds=1.5, idle_seconds=3))
        self.gate = self.connect()
        self.members(1)
        self.release = self.gate.hello().releases[0].digest
        self.undisturbed = self.tree_of_an_undisturbed_attempt()

    def carry(self, name: str, version: str = "") -> str:
        """Bring the gate's files into the account; return where they lie there."""
        package = self.anna / name / "slidegate_gate"
        shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
        if version:
            text = (package / "__init__.py").read_text()
            line = next(line for line in text.splitlines() if line.startswith("__version__"))
            (package / "__init__.py").write_text(text.replace(line, f'__version__ = "{version}"'))
        self.own(self.anna / name)
        return f"/home/anna/{name}/slidegate_gate"

    def own(self, top: Path) -> None:
        anna = self.anna.stat()
        for path in [top, *top.rglob("*")]:
            os.chown(path, anna.st_uid, anna.st_gid, follow_symlinks=False)

    def gatectl(self, program: str, *words: str) -> None:
        self.cluster.run("login", [PYTHON, "-IS", program, "ctl", *words], user="anna")

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        path = self.home / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    def members(self, count: int) -> None:
        """Let crews have so many members from now on."""
        resources = {"members": count, "memory_mb": 10, "minutes": 5}
        self.change(lambda config: config["classes"]["cpu"].update(resources))
        self.gate.close()  # a gate reads its configuration when it starts

    def connect(self) -> Gate:
        argv = [PYTHON, "-IS", f"{HOME}/current", "serve", "--key", "omero"]
        return Gate(lambda: PipeLink(self.cluster.enter("login", argv, user="anna")))

    # work

    def stage(self) -> Digest:
        """Bring the image and a plan of the next Attempt to the site; return the plan."""
        image = [("pixels", 6, sha(b"pixels"))]
        self.attempt = AttemptKey(digest_of(["attempt", self.count]))
        entry = {
            "attempt": self.attempt,
            "inputs": {"image": tree_digest(image)},
            "parameters": {},
            "note": {},
        }
        text = canonical_json({"plan": 1, "release": self.release, "note": {}, "attempts": [entry]})
        entries = [("plan.json", len(text), sha(text))]
        self.gate.put_contents([b"pixels", tree_text(image), text, tree_text(entries)])
        return tree_digest(entries)

    def begin(self) -> None:
        """Start the crew of a new Attempt, and wait until its first member is held in the middle."""
        self.count += 1
        for name in ("go-on", "begun"):
            (self.anna / name).unlink(missing_ok=True)
        self.plan, self.round = self.stage(), 1
        self.array = self.gate.submit(self.plan)["crews"][0]["array"]
        wait_for(lambda: "u1" in self.begun(), "a member is held")

    def until(self, reached: Callable[[], object], what: str) -> None:
        """Wait for something; where it does not come, fail with all that is known."""
        try:
            wait_for(reached, what)
        except AssertionError as error:
            known = [
                self.begun(),
                self.crew(),
                self.said(),
                self.slurm("squeue", "-a", "--array"),
                self.slurm("sinfo", "-N"),
            ]
            raise AssertionError("\n".join(map(str, [error, *known]))) from None

    def begun(self) -> Mapping[str, list[str]]:
        """Return on which computers each Unit was begun."""
        found: dict[str, list[str]] = {}
        path = self.anna / "begun"
        for line in path.read_text().splitlines() if path.exists() else []:
            _step, unit, node = line.split()
            found.setdefault(unit, []).append(node)
        return found

    def go_on(self) -> None:
        """Hold nobody any more."""
        (self.anna / "go-on").touch()

    def another_crew(self) -> None:
        """Ask for one more crew, as a server does where the former has ended."""
        self.round += 1
        wait_for(self._submitted, "another crew is started")

    def _submitted(self) -> bool:
        try:
            self.array = self.gate.submit(self.plan, self.round)["crews"][0]["array"]
        except Refused as error:
            assert error.code in ("round-too-early", "scheduler-unknown"), error
            return False
        return True

    def crew(self) -> Mapping[str, Any]:
        """Return what the gate says of the newest crew."""
        crews = [crew for crew in self.gate.status("").crews if crew["array"] == self.array]
        return max(crews, key=lambda crew: crew["round"], default={"state": "none"})

    def said(self) -> Mapping[str, Any]:
        """Return what the gate says of the Attempt."""
        return next(one for one in self.gate.status("").attempts if one["attempt"] == self.attempt)

    def ended(self) -> Mapping[str, Any]:
        """Wait until Slurm has ended the newest crew; return what is said of it."""
        self.until(lambda: self.crew()["state"] == "ended", "the crew has ended")
        return self.crew()

    def finished(self) -> None:
        """Wait until the Attempt has ended, well and with the same bytes as undisturbed."""
        wait_for(
            lambda: self.said()["state"] in ("succeeded", "failed", "cancelled"), "the Attempt has ended"
        )
        said = self.said()
        assert (said["state"], said.get("tree")) == ("succeeded", self.undisturbed), said

    def tree_of_an_undisturbed_attempt(self) -> str:
        self.undisturbed = ""
        self.begin()
        self.go_on()
        self.until(lambda: self.said()["state"] == "succeeded", "it has succeeded")
        assert self.ended().get("causes") is None
        return self.said()["tree"]

    def slurm(self, *argv: str, user: str | None = None, check: bool = True) -> str:
        return self.cluster.run("login", argv, user=user, check=check).stdout


def sha(data: bytes) -> Digest:
    import hashlib

    return Digest(hashlib.sha256(data).hexdigest())


def wait_for(reached: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


@contextmanager
def a_site(folder: Path) -> Iterator[Site]:
    with Cluster.start(folder) as cluster:
        site = Site(cluster)
        yield site
        site.gate.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder = Path("/tmp") / f"sgs-{os.getpid()}"
    with a_site(folder) as made:
        yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _one_member(request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin each test with crews of one member, and leave no jobs behind."""
    if "site" not in request.fixturenames:
        yield
        return
    site: Site = request.getfixturevalue("site")
    site.members(1)
    yield
    site.slurm("scancel", "--user", "anna")


def test_a_node_that_is_lost_is_told_and_another_crew_finishes(site: Site) -> None:
    site.begin()
    (node,) = site.begun()["u1"]
    site.cluster.kill_node(node)
    site.cluster.down(node)  # which Slurm would find out by itself, later
    try:
        assert site.ended()["causes"] == {"node-lost": 1}
        assert site.said()["state"] == "running"  # its crew has ended, it has not
        site.another_crew()
        site.until(lambda: set(site.begun()["u1"]) == {"c1", "c2"}, "the next crew has taken over")
        site.go_on()
        site.finished()
    finally:
        site.cluster.restore(node)


def test_what_still_runs_on_a_node_that_slurm_calls_dead_spoils_nothing(site: Site) -> None:
    site.begin()
    (node,) = site.begun()["u1"]
    site.cluster.cut(node)
    try:
        site.cluster.down(node)
        assert site.ended()["causes"] == {"node-lost": 1}
        site.another_crew()
        site.until(lambda: site.crew()["state"] == "running", "the next crew has come")
        assert site.begun()["u1"] == [node], "what is held by somebody who lives was taken"
        site.go_on()  # both are there; the one that is cut off goes on too
        site.finished()
    finally:
        site.cluster.restore(node)
    site.finished()  # still so, when the node is back and Slurm has ended what ran there


def test_a_job_that_is_put_back_into_the_queue_is_queued_and_goes_on_as_the_same_crew(site: Site) -> None:
    site.begin()
    job = f"{site.array}_0"
    site.slurm("scontrol", "update", f"jobid={job}", "requeue=1")
    site.slurm("scontrol", "requeue", job)
    site.until(lambda: site.crew()["state"] == "queued", "it is queued again")
    assert site.crew()["reason"] == "BeginTime"
    time.sleep(1.5)  # Slurm does not start a job in the second in which it ended it
    site.slurm("scontrol", "update", f"jobid={job}", "starttime=now")
    site.until(lambda: len(site.begun()["u1"]) > 1 and site.crew()["state"] == "running", "it goes on")
    assert site.crew()["state"] == "running"
    site.go_on()
    site.finished()
    assert site.ended().get("causes") is None


def test_a_crew_that_has_to_make_way_is_told_to_be_preempted(site: Site) -> None:
    site.begin()
    urgent = ["--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--parsable"]
    other = site.slurm("sbatch", *urgent, "--wrap", "sleep 600", user="bert").strip()
    try:
        assert site.ended()["causes"] == {"preempted": 1}
        site.another_crew()
        site.until(lambda: site.crew().get("reason") in ("Resources", "Priority"), "it is told why it waits")
        assert site.crew()["state"] == "queued"
    finally:
        site.slurm("scancel", other)
    site.go_on()
    site.finished()


def test_one_element_that_fails_alone_is_told_and_the_others_do_its_work(site: Site) -> None:
    site.members(2)
    site.begin()
    site.until(lambda: {"u0", "u2"} <= set(site.begun()), "the others are begun")
    lease = next(site.home.glob(f"data/keys/*/work/*/{site.attempt}/leases/detect.u1.*"))
    element = lease.readlink().name.split(".")[1]
    site.slurm("scancel", "--signal=KILL", "--full", f"{site.array}_{element}")
    site.until(lambda: len(site.begun()["u1"]) > 1, "another member has taken over")
    assert site.crew()["state"] == "running"
    site.go_on()
    site.finished()
    assert site.ended()["causes"] == {"cancelled": 1}


def test_data_that_is_purged_in_the_middle_is_said_to_be_gone_and_brought_again(site: Site) -> None:
    site.begin()
    data = site.home / "data" / "keys" / "omero"
    wait_for(lambda: shutil.rmtree(data, ignore_errors=True) or not data.exists(), "all is purged")
    site.go_on()
    site.ended()
    said = site.said()
    if said["state"] == "failed":  # what a server does with it is to stage again, for another Attempt
        assert said["error"]["transient"] is True, said
        site.begin()
    else:
        with pytest.raises(MissingBlobs):
            site.gate.submit(site.plan, 2)
        site.stage()
        site.another_crew()
    site.go_on()
    site.finished()


def test_a_gate_that_is_upgraded_in_the_middle_goes_on_to_tell_and_the_crew_to_work(site: Site) -> None:
    site.begin()
    newer = site.carry("kit-of-tomorrow", "99.0.0")
    site.gatectl(newer, "upgrade", "--quick")
    site.gate.close()
    site.gate = site.connect()
    assert site.gate.hello().gate == "99.0.0"
    assert (site.said()["state"], site.crew()["state"]) == ("running", "running")
    again = site.gate.submit(site.plan)
    assert (again["attempts"], again["crews"][0]["array"]) == ({site.attempt: "known"}, site.array)
    site.go_on()
    site.finished()


def test_members_whose_clocks_are_days_apart_take_over_from_each_other(site: Site) -> None:
    run = site.cluster.run
    pid = run("c2", ["cat", "/run/slurmd.pid"]).stdout.strip()
    run("c2", ["kill", pid])
    ahead = ["unshare", "--time", "--fork", "--monotonic", "1000000", "--boottime", "1000000"]
    wait_for(lambda: run("c2", ["test", "-e", f"/proc/{pid}"], check=False).returncode, "slurmd has ended")
    run("c2", [*ahead, "slurmd"])
    site.until(lambda: site.cluster.node_state("c2") == "idle", "the node is back")
    clock = ["srun", "-N2", "cat", "/proc/uptime"]
    first, second = sorted(float(line.split()[0]) for line in site.slurm(*clock, user="anna").splitlines())
    assert second - first > 900_000
    for node in ("c1", "c2"):  # each of them dies once in the middle, and the other takes over
        site.members(2)
        site.slurm("scontrol", "update", f"nodename={other(node)}", "state=drain", "reason=test")
        site.count += 1
        site.begin()
        assert site.begun()["u1"] == [node]
        site.slurm("scontrol", "update", f"nodename={other(node)}", "state=resume")
        site.slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        site.slurm("scancel", "--signal=KILL", "--full", site.array)
        site.ended()
        site.another_crew()
        site.until(lambda node=node: site.begun()["u1"][-1] == other(node), "it was taken over")
        site.slurm("scontrol", "update", f"nodename={node}", "state=resume")

        site.go_on()
        site.finished()
        site.ended()


def other(node: str) -> str:
    return {"c1": "c2", "c2": "c1"}[node]


def test_a_full_disk_ends_the_crew_in_words_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"sgd-{os.getpid()}"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "none", str(folder)], check=True)
    try:
        with a_site(folder / "c") as site:
            site.begin()
            filler = site.anna / "filler"
            fill = ["dd", "if=/dev/zero", f"of={filler}", "bs=4k", "status=none"]
            assert b"No space" in subprocess.run(fill, capture_output=True, check=False).stderr
            with pytest.raises(Refused, match="no space"):
                site.gate.put_contents([os.urandom(1 << 20)])
            site.go_on()
            wait_for(lambda: not site.slurm("squeue", "-h", "-t", "R,PD"), "the crew has left")
            filler.unlink()
            said = site.said()
            assert site.ended().get("causes", {}).keys() <= {"failed"}
            if said["state"] == "failed":
                assert said["error"]["code"] == "no-space", said
                site.begin()
                site.go_on()
            else:
                assert said["state"] == "running", said
                site.another_crew()
            site.finished()
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
