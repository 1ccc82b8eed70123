# SPDX-License-Identifier: BSD-3-Clause
"""Many tiny pieces of work: Units taken by a crew's members, against one array element for each.

usage: python benchmarks/crew_or_array.py [--full]

The Units do nothing, so all that is measured is what it costs to have one done. The crew: one Attempt with N
Units, from the submit to the result, on all processors of a cluster of two nodes; each Unit is leased,
computed by the workflow's own process and committed. The array: ``sbatch --array=0-N`` with ``true``, from
the submit to the last element's end. HyperQueue's LocalCluster (PyPI: hyperqueue) runs N times ``true``
beside them; it keeps its queue in memory and survives nothing, so it tells what is possible. Small: the array
is shorter than the crew, and both are counted per piece.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time

from cluster_site import ClusterSite, cluster_site, figure

CPUS = 4
NODES = 2
# in a process of its own, because it prints what it likes
HYPERQUEUE = """
import sys, time
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=int(sys.argv[1])))
    client = cluster.client()
    job = Job(default_workdir=".")
    for _ in range(int(sys.argv[2])):
        job.program(["/bin/true"], stdout=None, stderr=None)
    began = time.monotonic()
    client.wait_for_jobs([client.submit(job)])
    print(time.monotonic() - began)
"""


def crew_seconds(site: ClusterSite, units: int) -> float:
    """Return how long a crew takes."""
    gate = site.gate()
    plan, attempts = site.plan(gate, [units], f"{units} units")
    began = time.monotonic()
    gate.submit(plan)
    seconds = site.wait(gate, attempts, 3600) - began
    gate.close()
    return seconds


def array_seconds(site: ClusterSite, elements: int) -> float:
    """Return how long an array takes."""
    argv = [
        "sbatch",
        "--parsable",
        f"--array=0-{elements - 1}",
        "--output=/dev/null",
        "--mem=1",
        "--wrap=true",
    ]
    began = time.monotonic()
    array = site.as_owner(*argv).stdout.strip()
    while site.as_owner("squeue", "--noheader", "--jobs", array).stdout.strip():
        time.sleep(0.2)
    return time.monotonic() - began


def hyperqueue_seconds(tasks: int) -> float | None:
    """Return how long HyperQueue takes, None where it is not installed."""
    if importlib.util.find_spec("hyperqueue") is None:
        return None
    argv = [sys.executable, "-c", HYPERQUEUE, str(CPUS * NODES), str(tasks)]
    quiet = {**os.environ, "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, cwd=folder, env=quiet)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="5,000 of each")
    full = parser.parse_args().full
    units, elements = (5000, 5000) if full else (600, 40)
    with cluster_site(members=CPUS * NODES, cpus=CPUS, MaxArraySize=10001, MinJobAge=2) as site:
        crew = crew_seconds(site, units)
        print(f"crew: {units} Units in {crew:.1f} s, {units / crew:.0f}/s", flush=True)
        array = array_seconds(site, elements)
        print(f"array: {elements} elements in {array:.1f} s, {elements / array:.0f}/s", flush=True)
    beside = hyperqueue_seconds(units)
    if beside is None:
        print("HyperQueue: not installed (pip install hyperqueue)")
    else:
        print(f"HyperQueue: {units} tasks in {beside:.1f} s, {units / beside:.0f}/s")
    figure(
        "Units of a crew against elements of an array", units / crew / (elements / array), 20, at_most=False
    )


if __name__ == "__main__":
    main()
