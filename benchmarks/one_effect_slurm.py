# SPDX-License-Identifier: BSD-3-Clause
"""Count effects at a Slurm that fails, lies and hangs, while gates die: N Attempts must have N effects.

usage: python benchmarks/one_effect_slurm.py N [--seed S]

A cluster of its own (tests/cluster): slurmctld, two nodes, and the gate in an account there, installed as an
administrator does it. Its sbatch and squeue are real ones behind programs that do what is armed: sbatch
fails before or after Slurm has accepted, reports an error at once though its jobs arrive later, hangs, or
kills the gate that called it, before or after; squeue fails, hangs, or knows of no jobs. Gates are killed on
entering a system call chosen at random. Answers are lost; requests are repeated, put into another order, and
sent by eight clients at once; servers are restored from an old backup, and ask again from the beginning,
some with the same Attempts packed into another Submission, while the former server goes on. slurmctld goes
down and comes back, and forgets what has ended after five seconds. The poll, settle and time-out seconds of
the gate are 0.5, 1 and 2 instead of 30, so that all this happens often.

Beside it the same sbatch and the same losses strike a client that, as most do, starts its job again after
any error.

Effects are counted from outside, as benchmarks/one_effect.py does it: each try of the last step writes a
number of its own into its result, and all results that any gate ever told for an Attempt are compared with
each other; in the account there must be one result for each.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster_site import HOME, KEY, Cluster, ClusterSite
from faulty_site import (
    HARMLESS,
    MANIFEST,
    NEVER,
    RELEASE,
    SCHEMA,
    STEPS,
    STRACE,
    WRAPPER,
    Channel,
    Fault,
    FaultySite,
    Lost,
    Plan,
    faults_of,
)
from one_effect import GIVE_UP_SECONDS, LOST_ANSWERS, Client, Observed, Progress, figure

THREADS = 12
EIGHT = 8
AT_ONCE = 0.4  # of the occasions that benchmarks/one_effect.py takes for rivals
KILLED_GATES = 0.5
FAULTY = {"sbatch": 0.6, "squeue": 0.2}
KINDS = {
    "sbatch": ("before", "after", "late", "hang", "hang before", "kill", "kill before"),
    "squeue": ("fail", "hang", "forget"),
}
PACE = {"poll_seconds": 0.5, "settle_seconds": 1, "timeout_seconds": 2}
BIN = "/home/anna/bin"
FAULTS = "/home/anna/faults"
PYTHON = "/home/anna/python"
LEDGER = "/home/anna/computed"

PROGRAM = """#!/usr/bin/python3 -IS
# The real program, unless a fault is armed for it.
import os, signal, subprocess, sys, time
name = os.path.basename(sys.argv[0])
mine = "FAULTS/%s.%d" % (name, os.getpid())
try:
    os.rename("FAULTS/" + name, mine)
    with open(mine) as file:
        kind = file.read()
    os.rename(mine, "FAULTS/struck-%s-%s-%d" % (name, kind.replace(" ", "-"), os.getpid()))
except OSError:
    os.execv("/usr/bin/" + name, sys.argv)
real = ["/usr/bin/" + name] + sys.argv[1:]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
if kind == "forget":
    sys.exit(0)
if kind in ("after", "hang", "kill"):
    subprocess.call(real, **quiet)
if kind.startswith("kill"):
    os.kill(os.getppid(), signal.SIGKILL)
if kind == "kill before":
    subprocess.call(real, **quiet)
if kind.startswith("hang"):
    time.sleep(60)
if kind == "late" and os.fork() == 0:
    os.setsid()
    os.closerange(3, 1024)
    time.sleep(0.3 + os.urandom(1)[0] / 100)
    os.execv(real[0], real)
sys.stderr.write(name + ": error: Batch job submission failed: Socket timed out on send/recv operation\\n")
sys.exit(1)
"""
NAIVE_JOB = '#!/bin/sh\necho "$1" >> LEDGER\n'


class FaultyCluster(FaultySite):
    """The gate in anna's account, with faults for it and for the programs that it calls."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.site = ClusterSite(cluster, folder, members=2, scheduler={"bin": BIN, **PACE})
        self.anna = cluster.home("anna")
        self.home = self.anna / ".slidegate-gate"
        self.faults, self.ledger = self.anna / "faults", self.anna / "computed"
        self.struck: Counter[str] = Counter()
        self.faults_of: dict[str, list[tuple[Fault, str]]] = {}
        self.site.as_owner("mkdir", "-m", "777", "bin", "faults")
        for name in ("sbatch", "squeue"):
            self._program(f"bin/{name}", PROGRAM.replace("FAULTS", FAULTS))
        (self.anna / "bin" / "scancel").symlink_to("/usr/bin/scancel")
        wrapper = WRAPPER.format(faults=FAULTS, strace=STRACE, python="/usr/bin/python3")
        self._program("python", wrapper)
        self._program("naive_job", NAIVE_JOB.replace("LEDGER", LEDGER + ".naive"))
        release = {"format": 1, "name": "effects", "version": "1.0.0", "digest": RELEASE}
        release.update(runtime="1e" * 32, python="/usr/bin/python3", manifest=MANIFEST, schema=SCHEMA)
        there = self.home / "releases" / RELEASE
        (there / "release.json").write_text(json.dumps(release))
        (there / "steps.py").write_text(STEPS.replace("LEDGER", LEDGER))
        change = json.loads((self.home / "config.json").read_text())
        (self.home / "config.json").write_text(json.dumps(change | {"lease_seconds": 1}))

    def _program(self, name: str, text: str) -> None:
        (self.anna / name).write_text(text)
        (self.anna / name).chmod(0o755)

    def argv(self, *words: str) -> list[str]:
        """Return the argument list that runs a program in anna's account at the login node."""
        return self.cluster.enter("login", words, user="anna")

    def channel(self) -> Channel:
        """Start a gate, as sshd does, and return the channel to it."""
        return Channel(self.argv(PYTHON, "-IS", f"{HOME}/current", "serve", "--key", KEY))

    def calibrate_gates(self) -> None:
        """Learn at which calls a gate can die, from one that nothing happens to."""
        self.arm(Fault("gate", "exit_group", NEVER))
        client = Client(self, Plan([1], "calibrate"), Observed(), None)
        client.finish()
        found = faults_of("gate", self.traces("gate")[0], "/parts")
        self.faults_of["gate"] = [(fault, line) for fault, line in found if not HARMLESS.match(line)]
        self.forget_traces()

    def arm_by_chance(self, shares: dict[str, float], chance: random.Random) -> None:
        """Arm faults of gates, sbatch and squeue."""
        super().arm_by_chance({"gate": KILLED_GATES}, chance)
        for name, share in FAULTY.items():
            if chance.random() < share:
                made = self.faults / f".{os.urandom(8).hex()}"
                made.write_text(chance.choice(KINDS[name]))
                made.rename(self.faults / name)

    def disarm(self) -> None:
        """Leave what is armed: it is for whoever comes next."""

    def be_well(self) -> None:
        """Take back the faults that nobody has met."""
        for kind in ("gate", *FAULTY):
            (self.faults / kind).unlink(missing_ok=True)

    def programs_struck(self) -> Counter[str]:
        """Return how often which fault struck sbatch and squeue."""
        names = [
            path.name.rpartition("-")[0].removeprefix("struck-") for path in self.faults.glob("struck-*")
        ]
        return Counter(names)

    def arrays(self) -> int:
        """Return how many jobs Slurm has ever accepted."""
        return self.cluster.log("slurmctld").read_text().count("_slurm_rpc_submit_batch_job: JobId=")

    def results(self) -> int:
        """Return how many Attempts have a result, by what lies in the account."""
        return len(list(self.home.glob("state/keys/*/attempts/*/result.json")))

    def pull_the_plug_now_and_then(self, over: threading.Event, chance: random.Random) -> int:
        """Stop slurmctld from time to time, for some seconds; return how often.

        Every other time it is killed, and may forget what it has accepted last. Then nodes may come back
        drained, and somebody has to say that they are well.
        """
        count = 0
        while not over.wait(chance.uniform(10, 30)):
            self.cluster.stop_controller(saving=count % 2 == 0)
            over.wait(chance.uniform(1, 4))
            self.cluster.start_controller()
            over.wait(5)
            for node in ("c1", "c2"):
                self.cluster.restore(node)
            count += 1
        return count


class Server(Client):
    """A server; `chance` decides what goes wrong on the way to its gates."""

    def _submit_twice(self, request: dict) -> None:
        """Let eight clients say the same at the same time."""
        if self.chance.random() > AT_ONCE:
            return
        self.observed.counts.update(eights=1)
        self._submit_at_once(request, EIGHT)

    def check(self) -> None:
        """Ask again, until a gate lives for long enough to answer, and compare."""
        deadline = time.monotonic() + 60
        while True:
            try:
                super().check()
                return
            except Lost:
                if time.monotonic() > deadline:
                    raise

    def busy(self) -> bool:
        """Say whether an end is still to be heard of."""
        return len(self.results) < len(self.plan.expected)

    def work(self, visits: int) -> None:
        """Do what can be done in so many visits."""
        for _ in range(visits):
            if self.busy():
                with contextlib.suppress(Lost):
                    self.visit()


def run_plan(
    site: FaultyCluster, observed: Observed, units: list[int], note: str, chance: random.Random
) -> None:
    """Have the Attempts of a plan, with a server that may be restored from a backup on the way."""
    server = Server(site, Plan(units, note), observed, chance)
    if chance.random() < 0.3:
        observed.counts["restored"] += 1
        server.work(1)
        former = server
        other = "another packing" if chance.random() < 0.5 else ""
        server = Server(site, Plan(units, note, packing=other), observed, chance)
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while former.busy() and server.busy() and time.monotonic() < give_up:
            former.work(1)  # what one of them has begun, the other only hears of
            server.work(1)
        former.finish()
    server.finish()


def gate_arm(site: FaultyCluster, attempts: int, seed: int) -> Observed:
    """Have `attempts` effects; return what was observed."""
    observed = Observed()
    site.calibrate_gates()
    before = site.arrays(), site.results(), site.computed()
    progress = Progress("gate", attempts)
    over = threading.Event()

    def work(number: int, share: int) -> None:
        chance = random.Random(f"{seed} {number}")
        while share:
            size = min(share, chance.randint(1, 4))
            units = [chance.randint(1, 2) for _ in range(size)]
            run_plan(site, observed, units, f"{number} {share}", chance)
            share -= size
            progress.add(size)

    with ThreadPoolExecutor(THREADS + 1) as pool:
        plug = pool.submit(site.pull_the_plug_now_and_then, over, random.Random(f"{seed} plug"))
        shares = [attempts // THREADS + (number < attempts % THREADS) for number in range(THREADS)]
        try:
            for done in [pool.submit(work, number, share) for number, share in enumerate(shares)]:
                done.result()
        finally:
            over.set()
        observed.counts["plug"] = plug.result()
    site.count_struck()
    observed.counts.update(
        arrays=site.arrays() - before[0],
        results=site.results() - before[1],
        computed=site.computed() - before[2],
    )
    return observed


def naive_arm(site: FaultyCluster, attempts: int, seed: int) -> Counter[str]:
    """Start a job for each effect wanted, and again on any error; return the counts."""
    counts: Counter[str] = Counter()
    ledger = Path(f"{site.ledger}.naive")
    before = site.arrays()
    progress = Progress("blind retry", attempts)
    submit = [f"{BIN}/sbatch", "--parsable", "--export=NIL", "--output=/dev/null", "--time=1"]

    def want(number: int) -> None:
        chance = random.Random(f"{seed} naive {number}")
        while True:
            if chance.random() < FAULTY["sbatch"]:
                made = site.faults / f".{os.urandom(8).hex()}"
                made.write_text(chance.choice([kind for kind in KINDS["sbatch"] if "kill" not in kind]))
                made.rename(site.faults / "sbatch")
            counts["requests"] += 1
            with contextlib.suppress(subprocess.TimeoutExpired):
                argv = site.argv(
                    "timeout", str(PACE["timeout_seconds"]), *submit, "/home/anna/naive_job", str(number)
                )
                done = subprocess.run(
                    argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
                )
                if done.returncode == 0 and chance.random() >= LOST_ANSWERS:
                    break
        progress.add(1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(want, range(attempts)))
    site.be_well()
    _wait_until_quiet(site)
    effects = Counter(ledger.read_text().split() if ledger.exists() else [])
    counts.update(arrays=site.arrays() - before, effects=effects.total())
    counts.update(doubled=sum(count > 1 for count in effects.values()), missing=attempts - len(effects))
    return counts


def _wait_until_quiet(site: FaultyCluster) -> None:
    time.sleep(3.5)  # what comes late has come
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not site.cluster.run("login", ["squeue", "-h"], user="anna", check=False).stdout.strip():
            return
        time.sleep(0.5)


@contextlib.contextmanager
def faulty_cluster() -> Iterator[FaultyCluster]:
    """Start a cluster with a gate in it."""
    folder = Path(tempfile.mkdtemp(prefix="sge-", dir="/tmp"))
    try:
        with Cluster.start(folder / "c", cpus=8, MinJobAge=5) as cluster:
            yield FaultyCluster(cluster, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(
    attempts: int, observed: Observed, struck: Counter[str], kinds: Counter[str], naive: Counter[str]
) -> None:
    """Print both arms side by side."""
    effects = sum(len(told) for told in observed.effects.values())
    counts = observed.counts
    rows = [
        ("Attempts wanted", attempts, attempts),
        ("requests sent", counts["requests"], naive["requests"]),
        ("answers lost", counts["answers lost"], ""),
        ("gates killed at a system call", struck["gate"], ""),
        ("eight clients at once", counts["eights"], ""),
        ("servers restored from a backup", counts["restored"], ""),
        ("slurmctld down and back", counts["plug"], ""),
        ("arrays or jobs that Slurm accepted", counts["arrays"], naive["arrays"]),
        ("times computed", counts["computed"], naive["effects"]),
        ("effects", effects, naive["effects"]),
        ("Attempts with more than one", observed.doubled(), naive["doubled"]),
        ("Attempts without", attempts - len(observed.effects), naive["missing"]),
        ("untrue results", len(observed.untrue), ""),
    ]
    print(f"\n{'':36}{'slidegate':>12}{'blind retry':>14}")
    for name, ours, theirs in rows:
        print(f"{name:36}{ours:>12}{theirs:>14}")
    print("what sbatch and squeue did:", dict(sorted(kinds.items())))
    print("refusals on the way:", dict(observed.refusals) or "none")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("attempts", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with faulty_cluster() as site:
        observed = gate_arm(site, asked.attempts, asked.seed)
        kinds = site.programs_struck()
        naive = naive_arm(site, asked.attempts, asked.seed)
        table(asked.attempts, observed, site.struck, kinds, naive)
    effects = sum(len(told) for told in observed.effects.values())
    sound = observed.sound(asked.attempts) and observed.counts["results"] == asked.attempts
    if not sound:
        print(
            "not sound:",
            observed.untrue[:5],
            observed.unfinished[:5],
            dict(observed.refusals),
            observed.counts,
        )
    figure("effects per Attempt at a faulty Slurm", f"{effects}/{asked.attempts}", "one, and true", met=sound)
    extra = naive["effects"] - asked.attempts + naive["missing"]
    figure(
        "effects too many, against blind retry",
        f"{observed.doubled()} : {extra}",
        "0 : some",
        met=sound and extra > 0,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
