# SPDX-License-Identifier: BSD-3-Clause
"""What the gate costs beside the bare commands: ``ssh host true`` and ``sbatch --parsable``.

usage: python benchmarks/gate_ssh.py [--full]

A real sshd and a real Slurm on this computer (tests/cluster). *Cold*: a connection is made, the gate starts
and says who it is; beside it, the same account's ``ssh host true``. *Warm*: a channel is open and a plan is
at the site; its submit is accepted, recorded, flushed and handed to Slurm. Beside it, ``sbatch --parsable``
on the login node, one array of one element, from a program that does nothing else. *Many*: plans submitted
without waiting for each answer, beside the same number of bare sbatch one after the other. Runs alternate;
medians are compared. No job starts meanwhile: the nodes are held.

A submit that was answered survives a power cut: the gate flushes what it has written, some ten times. Slurm
answers before it has saved anything. So the last two are measured twice, with the home on a disk and in
memory, where flushing costs nothing: the difference is what the promise costs here.
"""

import argparse
import itertools
import json
import os
import statistics
from pathlib import Path

from cluster_site import PYTHON, ClusterSite, cluster_site, figure, seconds_of

from slidegate.sites import Gate

# sbatch, so many times, on the login node: prints the seconds of each
BARE = """
import json, subprocess, sys, time
argv = ["/usr/bin/sbatch", "--parsable", "--array=0-0", "--output=/dev/null", "bare.sh"]
seconds = []
for _ in range(int(sys.argv[1])):
    began = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    seconds.append(time.perf_counter() - began)
print(json.dumps(seconds))
"""
names = itertools.count()


def bare_sbatch(site: ClusterSite, count: int) -> list[float]:
    """Return the seconds of each of `count` bare sbatch."""
    seconds: list[float] = json.loads(site.as_owner(PYTHON, "-IS", "-c", BARE, str(count)).stdout)
    return seconds


def cold(site: ClusterSite, repeats: int) -> None:
    """Compare a first hello with ``ssh host true``."""
    bare, hello = [], []
    for _ in range(repeats):
        bare.append(seconds_of(lambda: site.call(site.shell("true"))))
        gate = site.gate()
        hello.append(seconds_of(gate.hello))
        gate.close()
    ours, theirs = statistics.median(hello), statistics.median(bare)
    print(f"cold: hello {1000 * ours:.0f} ms, ssh host true {1000 * theirs:.0f} ms")
    figure("cold hello against ssh host true", ours / theirs, 2.5, at_most=True)


def warm(site: ClusterSite, gate: Gate, where: str, repeats: int) -> None:
    """Compare one submit with one sbatch."""
    bare, submit = [], []
    for _ in range(repeats):
        plan, _keys = site.plan(gate, [1], f"warm {next(names)}")
        submit.append(seconds_of(lambda plan=plan: gate.submit(plan)))
        bare += bare_sbatch(site, 1)
    ours, theirs = statistics.median(submit), statistics.median(bare)
    print(f"warm, home {where}: submit {1000 * ours:.1f} ms, sbatch {1000 * theirs:.1f} ms")
    figure(f"warm submit against sbatch, home {where}", ours / theirs, 3.0, at_most=True)


def many(site: ClusterSite, gate: Gate, where: str, count: int, rounds: int) -> None:
    """Compare submits per second."""
    bare, submit = 0.0, 0.0
    for _ in range(rounds):
        plans = [site.plan(gate, [1], f"many {next(names)}")[0] for _ in range(count)]
        requests = [({"verb": "submit", "plan": plan, "round": 1}, b"") for plan in plans]
        submit += seconds_of(lambda requests=requests: list(gate.stream(requests)))
        bare += sum(bare_sbatch(site, count))
    ours, theirs = rounds * count / submit, rounds * count / bare
    print(f"many, home {where}: {ours:.0f} submits/s, {theirs:.0f} sbatch/s")
    figure(f"submits per second against sbatch, home {where}", ours / theirs, 0.5, at_most=False)


def flush(folder: Path) -> float:
    """Return how long this disk takes, just now, to flush one small new file and its folder's names."""

    def once() -> None:
        path = folder / f"flushed-{next(names)}"
        with path.open("wb") as file:
            file.write(b"x" * 100)
            os.fsync(file.fileno())
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        path.unlink()

    return statistics.median(seconds_of(once) for _ in range(20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more repeats")
    full = parser.parse_args().full
    for where in ("on disk", "in memory"):
        with cluster_site(members=1, in_memory=where == "in memory") as site:
            site.cluster.run("login", ["scontrol", "update", "partitionname=main", "state=down"])
            site.as_owner("sh", "-c", "printf '#!/bin/sh\\ntrue\\n' > bare.sh")
            if where == "on disk":
                cold(site, 20 if full else 5)
                print(f"this disk, just now: {1000 * flush(site.folder):.1f} ms for two flushes")
            gate = site.gate()
            warm(site, gate, where, 50 if full else 10)
            many(site, gate, where, 100 if full else 20, 5 if full else 2)
            gate.close()


if __name__ == "__main__":
    main()
