# SPDX-License-Identifier: BSD-3-Clause
"""What it costs to ask how things are, when there is much and little of it has changed.

usage: python benchmarks/status_size.py [--full]

Ten thousand Attempts wait at a gate, and ten of them end between two questions, again and again. A client
that knows the rest asks over an open channel. Beside it the same question when nothing has changed, and the
question of a key that has nothing at all, asked just before. Small: a thousand Attempts.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass

from cluster_site import HOME, KEY, PYTHON, ClusterSite, cluster_site, figure

from slidegate.sites import Gate

PLAN = 1000  # as many Attempts as a plan may have
CHANGED = 10
SETTLED_SECONDS = 2.5  # a gate looks again at what changed in the last two seconds
# What a member leaves: folders for the work, then the result.
CREW = """
import json, os, sys
state, data = sys.argv[1:3]
for name in sys.argv[3:]:
    for folder in ("shared", "leases", "tries", "done", "members"):
        os.makedirs(os.path.join(data, "work", name, folder))
    path = os.path.join(state, "attempts", os.path.basename(name), "result.json")
    with open(path + ".new", "w") as file:
        json.dump({"state": "failed", "error": {"code": "step-failed", "message": "It did not work."}}, file)
    os.rename(path + ".new", path)
"""


@dataclass
class Asked:
    """How long answers took, and how long they were."""

    seconds: list[float]
    size: int = 0
    told: int = 0

    def __str__(self) -> str:
        return f"{1000 * statistics.median(self.seconds):.1f} ms and {self.size} bytes"

    def against(self, other: "Asked") -> float:
        """Return by how much this took longer."""
        return statistics.median(self.seconds) / statistics.median(other.seconds)


def ask(gate: Gate, cursor: str, asked: Asked) -> str:
    """Ask once and note how it went; return the next cursor."""
    began = time.perf_counter()
    ((answer, _body),) = gate.stream([({"verb": "status", "cursor": cursor}, b"")])
    asked.seconds.append(time.perf_counter() - began)
    asked.told = len(answer["attempts"])
    asked.size = max(asked.size, len(json.dumps(answer)))
    return str(answer["cursor"])


def end(site: ClusterSite, attempts: list[str]) -> None:
    """Let Attempts come to their end, as their crew would."""
    site.as_owner(PYTHON, "-IS", "-c", CREW, f"{HOME}/state/keys/{KEY}", f"{HOME}/data/keys/{KEY}", *attempts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="ten thousand Attempts")
    full = parser.parse_args().full
    plans, repeats = (10, 20) if full else (1, 5)
    none, nothing, ten = Asked([]), Asked([]), Asked([])
    with cluster_site(members=1) as site:
        site.cluster.run("login", ["scontrol", "update", "partitionname=main", "state=down"])
        gate = site.gate()
        cursor = ""
        for _ in range(repeats):
            cursor = ask(gate, cursor, none)
        attempts: list[str] = []
        for number in range(plans):
            plan, keys = site.plan(gate, [1] * PLAN, f"plan {number}")
            gate.submit(plan)
            attempts += [f"{plan[:32]}/{key}" for key in keys]
        cursor = gate.status("").cursor
        for number in range(repeats):
            time.sleep(SETTLED_SECONDS)
            cursor = ask(gate, cursor, nothing)
            end(site, attempts[number :: len(attempts) // CHANGED][:CHANGED])
            cursor = ask(gate, cursor, ten)
            if ten.told != CHANGED:
                raise SystemExit(f"{ten.told} Attempts were told instead of {CHANGED}")
        gate.close()
    told = f"{len(attempts)} tasks"
    print(f"{told}, {CHANGED} of them changed: {ten}; nothing changed: {nothing}; no tasks at all: {none}")
    for beside, words in ((nothing, "nothing changed"), (none, "no tasks")):
        name = f"status of {told}, {CHANGED} changed, against {words}"
        figure(name, ten.against(beside), 2, at_most=True)


if __name__ == "__main__":
    main()
