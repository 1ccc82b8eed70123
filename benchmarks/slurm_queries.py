# SPDX-License-Identifier: BSD-3-Clause
"""How often Slurm is asked while nothing happens, with one client and with many.

usage: python benchmarks/slurm_queries.py [--full]

Jobs of a crew wait in the queue, and clients ask the gate for its status every second or two, each by a
connection of its own over ssh. The gate's ``bin`` is a folder of wrappers that note each call before they
become the real program. Full: Slurm may be asked every 30 s, as installed, and what counts is the worst of
three minutes. Small: every 3 s, and one "minute" of 6 s.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from cluster_site import HOME, ClusterSite, cluster_site, figure

from slidegate.sites import Gate

COUNTED = ("sbatch", "squeue", "scancel", "sacct", "scontrol", "sinfo")
WRAPPER = '#!/bin/sh\necho {name} >> "{log}"\nexec /usr/bin/{name} "$@"\n'
BIN = "/home/anna/counted"
LOG = f"{BIN}/calls"


def count_calls(site: ClusterSite) -> None:
    """Put wrappers in the place of Slurm's programs."""
    for name in COUNTED:
        path = f"{BIN}/{name}"
        script = WRAPPER.format(name=name, log=LOG)
        site.as_owner("sh", "-c", f"mkdir -p {BIN}; cat > {path}; chmod 755 {path}", input=script)
    config = site.as_owner("cat", f"{HOME}/config.json").stdout
    site.as_owner("sh", "-c", f"cat > {HOME}/config.json", input=config.replace('"/usr/bin"', f'"{BIN}"'))


def calls_while(site: ClusterSite, gates: list[Gate], seconds: float, pause: float) -> int:
    """Let each client ask for its status until time is over; return how often Slurm was asked."""
    site.as_owner("sh", "-c", f": > {LOG}")
    end = time.monotonic() + seconds

    def ask(gate: Gate) -> int:
        count = 0
        cursor = ""
        while time.monotonic() < end - pause:
            cursor = gate.status(cursor).cursor
            count += 1
            time.sleep(pause)
        return count

    with ThreadPoolExecutor(len(gates)) as pool:
        asked = sum(pool.map(ask, gates))
    calls = site.as_owner("cat", LOG).stdout.split()
    print(f"{len(gates)} clients asked {asked} times in {seconds:.0f} s; Slurm heard {len(calls)}: {calls}")
    return len(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="50 clients, and three minutes for each count")
    full = parser.parse_args().full
    period, minutes, many = (30, 3, 50) if full else (3, 1, 10)
    window = 2 * period - 0.5  # what is counted is heard a little after it is over
    with cluster_site(members=2, scheduler={"poll_seconds": period}) as site:
        count_calls(site)
        site.cluster.run("login", ["scontrol", "update", "partitionname=main", "state=down"])
        gates = [site.gate(f"computer-{number}") for number in range(many)]
        plan, _attempts = site.plan(gates[0], [1], "waits")
        gates[0].submit(plan)
        for gate in gates:
            gate.status("")
        time.sleep(period)  # what the submit had to know is past
        for clients in (1, many):
            calls = [calls_while(site, gates[:clients], window, period / 10) for _ in range(minutes)]
            figure(f"queries of Slurm in {2 * period} s, {clients} clients", max(calls), 2, at_most=True)
        for gate in gates:
            gate.close()


if __name__ == "__main__":
    main()
