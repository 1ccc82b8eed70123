# SPDX-License-Identifier: BSD-3-Clause
"""The other way to do it: start the job again on any error.

This is what a client does that submits by a remote command and retries on errors and time-outs. The gate of
this arm starts a job for each request; the job has its effect at its end. Kills and lost answers strike it as
often as the real gate.
"""

import contextlib
import json
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from faulty_site import NEVER, Fault, FaultySite, Lost

PATIENCE_SECONDS = 1.0
MARKERS = {"gate": "read(0", "step": ".begun"}

GATE = """
import json, subprocess, sys
for line in sys.stdin:
    attempt = json.loads(line)["attempt"]
    subprocess.Popen([sys.executable, "-IS", sys.argv[2], attempt, sys.argv[3]], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, start_new_session=True)
    print(json.dumps({"started": attempt}), flush=True)
"""

JOB = """
import sys, time
with open(sys.argv[2] + ".begun", "a") as file:
    file.write(sys.argv[1] + "\\n")
time.sleep(0.05)
with open(sys.argv[2], "a") as file:
    file.write(sys.argv[1] + "\\n")
"""


class NaiveClient:
    """Wants one effect, and starts its job until it has seen one."""

    def __init__(
        self, site: FaultySite, chance: random.Random, shares: dict[str, float], lost: float
    ) -> None:
        self.site = site
        self.chance = chance
        self.shares = shares
        self.lost = lost
        self.ledger = site.folder / "ledger"
        self.counts: Counter[str] = Counter()
        for name, text in (("naive_gate", GATE), ("naive_job", JOB)):
            (site.folder / name).write_text(text)

    def want(self, attempt: str) -> None:
        """Return when an effect was seen, or the gate has answered twenty times without one."""
        for _ in range(20):
            with contextlib.suppress(Lost):
                self._start(attempt)
                deadline = time.monotonic() + PATIENCE_SECONDS
                while time.monotonic() < deadline:
                    if attempt in self.effects():
                        return
                    time.sleep(0.02)

    def _start(self, attempt: str) -> None:
        self.site.arm_by_chance(self.shares, self.chance)
        self.counts["channels"] += 1
        self.counts["requests"] += 1
        folder = self.site.folder
        argv = [str(self.site.python), "-IS", str(folder / "naive_gate"), "serve", str(folder / "naive_job")]
        process = subprocess.Popen(
            [*argv, str(self.ledger)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        answer, _ = process.communicate(json.dumps({"attempt": attempt}).encode() + b"\n")
        if self.chance.random() < self.lost:
            self.counts["answers lost"] += 1
            raise Lost
        if not answer:
            raise Lost

    def effects(self, name: str = "") -> list[str]:
        """Return the Attempts of all effects so far."""
        path = Path(str(self.ledger) + name)
        return path.read_text().split() if path.exists() else []

    def calibrate(self) -> None:
        """Learn how many system calls the gate and the job make."""
        for kind in MARKERS:
            self.site.arm(Fault(kind, "exit_group", NEVER))
        self.want("calibration")
        time.sleep(0.2)
        self.site.calibrate(MARKERS)
        for name in ("ledger", "ledger.begun"):
            (self.site.folder / name).unlink()
        self.counts.clear()


def naive_arm(
    attempts: int, seed: int, shares: dict[str, float], lost: float, progress: Callable[[int], None]
) -> Counter[str]:
    """Want `attempts` effects of a naive gate; return the counts."""
    with tempfile.TemporaryDirectory(prefix="one-effect-") as folder:
        site = FaultySite(Path(folder), members=1, lease_seconds=1.0)
        client = NaiveClient(site, random.Random(f"{seed} naive"), shares, lost)
        client.calibrate()
        for number in range(attempts):
            client.want(str(number))
            progress(1)
        time.sleep(0.5)
        effects = Counter(client.effects())
        counts = client.counts
        site.count_struck()
        counts.update(site.struck)
        counts.update(
            jobs=len(client.effects(".begun")),
            effects=effects.total(),
            doubled=sum(count > 1 for count in effects.values()),
            missing=attempts - len(effects),
        )
        site.close()
    return counts
