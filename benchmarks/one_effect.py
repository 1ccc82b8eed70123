# SPDX-License-Identifier: BSD-3-Clause
"""Count effects while everything dies: N Attempts must have N effects.

usage: python benchmarks/one_effect.py N [--seed S] [--every-crash-point | --crash-points M]

Real gates are driven over pipes and killed on entering a system call chosen at random, as are the holders of
crews, their members and the steps; answers are lost, requests repeated and put into another order. The same
faults (without the repeats and the disorder) strike a naive gate whose client, as most do, starts the job
again when it has seen an error. Then every point at which a process can die is tried once, or M of them: in
the gate from the upload to the answer of a submit, in a crew's holder, in a member from its claim to the
result, in a step.

Effects are counted from outside: each try of the last step writes a number of its own into its result, and
all results that the gate ever told for an Attempt are compared. A Unit whose processes were killed three
times fails its Attempt, as it should; such a result counts as true if three tries are on record.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from faulty_site import HARMLESS, NEVER, Channel, Fault, FaultySite, Lost, Plan
from naive import naive_arm

THREADS = 2
GIVE_UP_SECONDS = 600.0
LEASE_SECONDS = 0.5
LOST_ANSWERS = 0.1
REPEATED = 0.2
DISORDER = 0.3
RIVALS = 0.15
KILLED = {"gate": 0.6, "holder": 0.2, "member": 0.3, "step": 0.2}
# what the first of a process's own calls names, after its program was loaded
MARKERS = {"gate": "/parts", "holder": "/started", "member": "claim.json", "step": "steps.py"}
FINAL = ("succeeded", "failed", "cancelled")
EXPECTED_REFUSALS = (
    "missing-blobs",
    "round-too-early",
    "bad-request",
    "scheduler-unknown",
    "wrong-offset",
    "busy",
)


@dataclass
class Observed:
    """What anybody was ever told about the Attempts, and what went wrong."""

    effects: dict[str, set[str]] = field(default_factory=dict)
    untrue: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def result(self, attempt: str, state: str, tree: str) -> None:
        """Note a result that the gate told."""
        self.effects.setdefault(attempt, set()).add(f"{state} {tree}")

    def doubled(self) -> int:
        """Return how many Attempts were told to have had two effects."""
        return sum(len(effects) > 1 for effects in self.effects.values())

    def sound(self, attempts: int) -> bool:
        """Say whether each Attempt had one effect, a true one, and nothing went wrong on the way."""
        unexpected = set(self.refusals) - set(EXPECTED_REFUSALS)
        whole = len(self.effects) == attempts and not self.doubled()
        return whole and not self.untrue and not self.unfinished and not unexpected


class Client:
    """Sends one plan again and again, until it is known how each of its Attempts ended."""

    def __init__(
        self, site: FaultySite, plan: Plan, observed: Observed, chance: random.Random | None
    ) -> None:
        """`chance` decides what goes wrong; None: only what was armed before."""
        self.site = site
        self.plan = plan
        self.observed = observed
        self.chance = chance
        self.round = 1
        self.crews: dict[tuple[str, int], str] = {}
        self.results: dict[str, dict] = {}

    def finish(self) -> None:
        """Drive the plan to its end, then look once more, undisturbed."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while len(self.results) < len(self.plan.expected):
            if time.monotonic() > deadline:
                self.observed.unfinished += sorted(set(self.plan.expected) - set(self.results))
                return
            with contextlib.suppress(Lost):
                self.visit()
        self.site.disarm()
        self.check()

    def visit(self, polls: int = 20) -> None:
        """Open a channel, say everything, and wait a little for results."""
        if self.chance:
            self.site.arm_by_chance(KILLED, self.chance)
        self.observed.counts["channels"] += 1
        channel = self.site.channel()
        try:
            for request in self._requests():
                self._exchange(channel, request)
            for _ in range(polls):
                if len(self.results) == len(self.plan.expected) or self._round_over():
                    break
                time.sleep(0.03)
                self._exchange(channel, {"verb": "status", "cursor": ""})
        finally:
            channel.close()

    def _requests(self) -> list[dict]:
        puts = [
            {"verb": "put", "digest": digest, "size": len(data), "offset": 0, "body": data}
            for digest, data in self.plan.contents.items()
        ]
        requests = [*puts, {"verb": "submit", "plan": self.plan.digest, "round": self.round}]
        requests.append({"verb": "status", "cursor": ""})
        chance = self.chance
        if chance is None:
            return requests
        if chance.random() < DISORDER:
            requests.append({"verb": "submit", "plan": self.plan.digest, "round": self.round + 1})
            requests.append({"verb": "submit", "plan": self.plan.digest, "round": 1})
            chance.shuffle(requests)
        return [request for request in requests for _ in range(1 + (chance.random() < REPEATED))]

    def _exchange(self, channel: Channel, request: dict) -> None:
        self.observed.counts["requests"] += 1
        if self.chance and request["verb"] == "submit" and self.chance.random() < RIVALS:
            self._submit_twice(request)
        channel.send(**request)
        if self.chance and self.chance.random() < LOST_ANSWERS:
            self.observed.counts["answers lost"] += 1
            if self.chance.random() < 0.5:
                channel.receive()
            raise Lost
        answer = channel.receive()
        if answer["ok"]:
            self._learn(request, answer)
            if answer.get("more"):
                self._exchange(channel, request | {"cursor": answer["cursor"]})
        else:
            self.observed.refusals[answer["error"]["code"]] += 1

    def _submit_twice(self, request: dict) -> None:
        """Let two more gates hear the same at the same time."""
        self._submit_at_once(request, 2)

    def _submit_at_once(self, request: dict, count: int) -> None:
        """Let so many gates hear the same at the same time."""
        rivals = [self.site.channel() for _ in range(count)]
        self.observed.counts.update(channels=count, requests=count)
        for rival in rivals:
            with contextlib.suppress(Lost):
                rival.send(**request)
        for rival in rivals:
            with contextlib.suppress(Lost):
                rival.receive()
            rival.close()

    def _learn(self, request: dict, answer: dict) -> None:
        if request["verb"] == "submit":
            self.round = max([self.round] + [crew["round"] for crew in answer["crews"]])
        for crew in answer.get("crews", []) if request["verb"] == "status" else []:
            if crew["submission"] == self.plan.digest[:32]:
                self.crews[crew["class"], crew["round"]] = crew["state"]
        for told in answer["attempts"] if request["verb"] == "status" else []:
            if told["attempt"] in self.plan.expected and told["state"] in FINAL:
                self.results[told["attempt"]] = told
                self.observed.result(told["attempt"], told["state"], told.get("tree", ""))

    def _round_over(self) -> bool:
        """Say whether another crew has to be asked for, and remember to do so."""
        latest = [state for (_, number), state in self.crews.items() if number == self.round]
        over = bool(latest) and all(state == "ended" for state in latest)
        self.round += over
        return over

    def check(self) -> None:
        """Ask again on a quiet channel, and compare what the results hold with what they must."""
        channel = self.site.channel()
        try:
            answer = {"cursor": "", "more": True}
            while answer["more"]:
                answer = channel.ask("status", cursor=answer["cursor"])
                self._learn({"verb": "status"}, answer)
            for attempt, value in self.plan.expected.items():
                if not self._is_true(channel, self.results[attempt], value):
                    self.observed.untrue.append(f"{self.results[attempt]}")
        finally:
            channel.close()

    def _is_true(self, channel: Channel, told: dict, value: int) -> bool:
        if told["state"] == "succeeded":
            return effect_of(channel, told["tree"]).get("value") == value
        # A Unit that died three times fails its Attempt. That is true if it was tried three times.
        self.observed.counts["failed"] += 1
        tried = self.site.tries(self.plan.digest[:32], told["attempt"])
        return told["state"] == "failed" and told["error"]["code"] == "step-crashed" and 3 in tried


def effect_of(channel: Channel, tree: str) -> dict:
    """Read what the last step has written from the outputs of a result."""
    entries = json.loads(channel.ask("read", digest=tree, offset=0, length=1 << 20)["body"])["entries"]
    named = {name: digest for name, _, digest in entries}
    return json.loads(channel.ask("read", digest=named["effect.json"], offset=0, length=1 << 20)["body"])


def run_plan(site: FaultySite, observed: Observed, plan: Plan, chance: random.Random | None) -> None:
    """Drive one plan to its end and let go of it."""
    client = Client(site, plan, observed, chance)
    client.finish()
    if set(client.results) == set(plan.expected):
        channel = site.channel()
        channel.ask("release", attempts=sorted(plan.expected))
        channel.close()
    site.count_struck()


def calibrate(site: FaultySite) -> None:
    """Learn at which calls each kind of process can die, from a run in which nothing goes wrong."""
    for kind in MARKERS:
        site.arm(Fault(kind, "exit_group", NEVER))
    client = Client(site, Plan([1], f"calibrate {site.folder}"), Observed(), None)
    client.visit(polls=0)
    client.finish()
    time.sleep(4 * LEASE_SECONDS)  # until the last member has left
    site.calibrate(MARKERS)


class Progress:
    """One line that says how far it is."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.began = self.told = time.monotonic()
        self.lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count something done; tell every two seconds."""
        with self.lock:
            self.done += count
            now = time.monotonic()
            if now - self.told > 2 or self.done == self.total:
                self.told = now
                print(
                    f"{self.what}: {self.done}/{self.total}, {now - self.began:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )


@contextlib.contextmanager
def sites(count: int, members: int) -> Iterator[list[FaultySite]]:
    """Make sites in one temporary folder, and remove them."""
    with tempfile.TemporaryDirectory(prefix="one-effect-") as folder:
        made = [FaultySite(Path(folder), members=members, lease_seconds=LEASE_SECONDS) for _ in range(count)]
        try:
            yield made
        finally:
            for site in made:
                site.close()


def gate_arm(attempts: int, seed: int) -> tuple[Observed, Counter[str]]:
    """Have `attempts` effects at gates that die at random; return what was observed and what was killed."""
    observed, struck = Observed(), Counter()
    progress = Progress("gate", attempts)

    def work(site: FaultySite, number: int, share: int) -> None:
        chance = random.Random(f"{seed} {number}")
        calibrate(site)
        while share:
            size = min(share, chance.randint(1, 6))
            run_plan(
                site, observed, Plan([chance.randint(1, 2) for _ in range(size)], f"{number} {share}"), chance
            )
            share -= size
            progress.add(size)
        struck.update(site.struck)
        observed.counts.update(arrays=site.arrays() - 1, computed=site.computed() - 1)

    with sites(THREADS, members=2) as made, ThreadPoolExecutor(THREADS) as pool:
        shares = [attempts // THREADS + (number < attempts % THREADS) for number in range(THREADS)]
        for done in [pool.submit(work, *each) for each in zip(made, range(THREADS), shares, strict=True)]:
            done.result()
    return observed, struck


def crash_points(most: int | None, seed: int) -> tuple[int, Counter[str], list[str]]:
    """Kill each kind of process at each point (at most `most`, spread evenly), and repeat the same requests.

    Returns the number of points tried, the processes that died there, and those points after which there was
    not exactly one true effect.
    """
    with sites(THREADS, members=1) as made, ThreadPoolExecutor(THREADS) as pool:
        calibrate(made[0])
        every = [fault for kind in MARKERS for fault in made[0].faults_of[kind]]
        points = [(fault, line) for fault, line in every if not HARMLESS.match(line)]
        if most and most < len(points):
            first = random.Random(seed).random()
            points = [
                points[int((number + first) * len(points) / most) % len(points)] for number in range(most)
            ]
        progress = Progress("crash points", len(points))
        wrong: list[str] = []

        def work(site: FaultySite, mine: list[tuple[Fault, str]]) -> None:
            for fault, line in mine:
                observed = Observed()
                site.arm(fault)
                run_plan(site, observed, Plan([1], str(fault)), None)
                if not observed.sound(1):
                    wrong.append(f"{fault.kind} died on entering {line[:90]}: {observed}")
                progress.add(1)

        for done in [pool.submit(work, site, points[number::THREADS]) for number, site in enumerate(made)]:
            done.result()
        struck: Counter[str] = Counter()
        for site in made:
            struck.update(site.struck)
    return len(points), struck, wrong


def table(attempts: int, observed: Observed, struck: Counter[str], naive: Counter[str]) -> None:
    """Print both arms side by side."""
    effects = sum(len(told) for told in observed.effects.values())
    rows = [
        ("Attempts wanted", attempts, attempts),
        ("channels opened", observed.counts["channels"], naive["channels"]),
        ("requests sent", observed.counts["requests"], naive["requests"]),
        ("answers lost", observed.counts["answers lost"], naive["answers lost"]),
        ("gates killed", struck["gate"], naive["gate"]),
        ("other processes killed", sum(struck.values()) - struck["gate"], naive["step"]),
        ("crews or jobs started", observed.counts["arrays"], naive["jobs"]),
        ("times computed", observed.counts["computed"], naive["effects"]),
        ("effects", effects, naive["effects"]),
        ("Attempts with more than one", observed.doubled(), naive["doubled"]),
        ("Attempts without", attempts - len(observed.effects), naive["missing"]),
        ("failed, having died three times", observed.counts["failed"], "-"),
        ("untrue results", len(observed.untrue), "-"),
    ]
    print(f"\n{'':34}{'slidegate':>12}{'naive retry':>14}")
    for name, ours, theirs in rows:
        print(f"{name:34}{ours:>12}{theirs:>14}")
    ratio, naive_ratio = effects / attempts, naive["effects"] / attempts
    print(f"{'effects per Attempt':34}{ratio:>12.3f}{naive_ratio:>14.3f}")
    print("refusals on the way:", dict(observed.refusals) or "none")


def figure(name: str, value: str, aim: str, *, met: bool) -> None:
    """Print one figure for the summary of all benchmarks."""
    print(f"FIGURE {name} = {value} (aim {aim}): {'met' if met else 'missed'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("attempts", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-crash-point", action="store_true", help="try all of them")
    parser.add_argument("--crash-points", type=int, default=0, help="try so many of them, evenly spread")
    asked = parser.parse_args()
    observed, struck = gate_arm(asked.attempts, asked.seed)
    naive = naive_arm(asked.attempts, asked.seed, KILLED, LOST_ANSWERS, Progress("naive", asked.attempts).add)
    table(asked.attempts, observed, struck, naive)
    effects = sum(len(told) for told in observed.effects.values())
    sound = observed.sound(asked.attempts)
    if not sound:
        print("not sound:", observed.untrue[:5], observed.unfinished[:5], dict(observed.refusals))
    figure("effects per Attempt under faults", f"{effects}/{asked.attempts}", "one, and true", met=sound)
    extra = naive["effects"] - asked.attempts + naive["missing"]
    figure(
        "effects too many, against naive retry",
        f"{observed.doubled()} : {extra}",
        "0 : some",
        met=sound and extra > 0,
    )
    if asked.every_crash_point or asked.crash_points:
        count, died, wrong = crash_points(None if asked.every_crash_point else asked.crash_points, asked.seed)
        print(f"killed at {count} points: {dict(died)}")
        for line in wrong:
            print("WRONG after", line)
        figure("crash points with one true effect", f"{count - len(wrong)}/{count}", "all", met=not wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main())
