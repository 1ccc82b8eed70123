# SPDX-License-Identifier: BSD-3-Clause
"""A member of a crew, the program of a job: takes one Unit after the other, until none is left for it.

It goes through the Attempts in the order of the plan, so that early ones are finished first, and takes any
Unit that is ready rather than wait.  It looks less and less often at an Attempt that has nothing for it.
It leaves when it has waited in vain for long enough, but not while somebody who holds a Unit may be dead.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import closing
from typing import Any, Dict, Iterator, List

from ..config import load_config
from ..errors import GateError
from ..kernel import usage_of
from ..produced import flush
from ..schedulers import adapter
from ..serve import files
from ..serve.layout import Layout, class_of
from ..serve.status import owned
from ..workflows.releases import step_command
from . import outputs
from .attempt import RESULT, Attempt, Unit
from .leases import Heartbeat, Watch
from .step_process import StepCrashed, StepFailed, StepProcess, append

MAX_TRIES = 3
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
IDLE_SECONDS = 120.0  # for how long a member waits for a step that may have work for many


def main(argv: List[str]) -> int:
    """Work as one member of a crew until there is nothing left to do for it; return the exit code."""
    parser = argparse.ArgumentParser(prog="runner")
    for name in ("home", "key", "submission", "class", "round"):
        parser.add_argument("--" + name, required=True)
    asked = vars(parser.parse_args(argv))
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    config = load_config(asked["home"])
    layout = Layout(asked["home"], config, asked["key"])
    array, element = adapter(config).identity(os.environ)
    # A scheduler may start two arrays for one request, when the answer to the first was lost.  The members of
    # all but one of them leave here, without having done anything.
    claim = layout.crew("claim", asked["submission"], asked["class"], int(asked["round"]))
    if files.create_json(claim, {"array": array}) or files.read_json(claim)["array"] == array:
        Member(layout, asked["submission"], asked["class"], "{}.{}".format(array, element)).work()
    return 0


class Member:
    """One member; `name` is its array and element."""

    def __init__(self, layout: Layout, submission: str, crew_class: str, name: str) -> None:
        # A scheduler may start an element again while its former life still goes on somewhere.
        self.name = "{}.{}".format(name, os.urandom(4).hex())
        self.layout = layout
        self.submission = submission
        plan = files.read_json(layout.plan(submission))
        self.release = files.read_json(layout.release(plan["release"]))
        self.steps: List[Dict[str, Any]] = self.release["manifest"]["steps"]
        self.order = [step["do"] for step in self.steps] + [RESULT]
        crews = {step["do"]: class_of(layout.config, step["class"])[0] for step in self.steps}
        crews[RESULT] = crews[self.order[-2]]  # the crew of the last step commits the results
        self.mine = {step for step in self.order if crews[step] == crew_class}
        entries = owned(layout, submission, plan)
        self.attempts = [Attempt(layout, submission, entry, self.steps) for entry in entries]
        self.lease_seconds = float(layout.config.get("lease_seconds", 10))
        self.idle_seconds = float(layout.config.get("idle_seconds", IDLE_SECONDS))
        self.watch = Watch(self.lease_seconds / 5)
        self.heartbeat = Heartbeat(self.lease_seconds / 5)
        self.heartbeat.start()
        memory = class_of(layout.config, crew_class)[1].get("memory_mb", 0)
        self.process = StepProcess(step_command(self.release, layout.release_dir(plan["release"])), memory)

    # the loop

    def work(self) -> None:
        """Do what there is to do for this member."""
        self.busy_at = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="slidegate-") as self.process.scratch, closing(self.process):
            while self.attempts and self._waits(time.monotonic() - self.busy_at):
                self._do_some()
                due = min([attempt.look_at for attempt in self.attempts] or [0.0])
                time.sleep(max(0.0, due - time.monotonic()))

    def _do_some(self) -> None:
        """Do Units of the first Attempt that has any to take."""
        now = time.monotonic()
        for attempt in [attempt for attempt in self.attempts if attempt.look_at <= now]:
            try:
                for unit in [] if attempt.has_result() else self._taken_from(attempt):
                    self._do(attempt, unit)
                    self.busy_at = time.monotonic()
            except OSError as error:
                attempt.fail(outputs.cause(self.layout, attempt, error), self.name)
            if self.busy_at > now:
                attempt.pause = 0.0
                return
            if attempt.has_result() or not self._ahead(attempt):
                self.attempts.remove(attempt)
            attempt.pause = min(1.1 * attempt.pause or SHORTEST_PAUSE, LONGEST_PAUSE, self.lease_seconds / 5)
            attempt.look_at = time.monotonic() + attempt.pause

    def _ahead(self, attempt: Attempt) -> List[str]:
        """Return the steps of this member that an Attempt still has to go through."""
        return [step for step in self.order[self.order.index(attempt.step) :] if step in self.mine]

    def _waits(self, idle: float) -> bool:
        """Say whether to stay, after `idle` seconds without work.

        Whoever holds a Unit must first have been seen alive.  A step of many Units that lies ahead may soon
        have work for all; otherwise those who hold the last Units can do the rest.
        """
        many = {step["do"] for step in self.steps if "units" in step}
        hope = any(many.intersection(self._ahead(attempt)) - {attempt.step} for attempt in self.attempts)
        patience = max(self.idle_seconds, self.lease_seconds) if hope else self.lease_seconds
        return idle < patience or any(one.silence > self.lease_seconds / 2 for one in self.attempts)

    # taking

    def _taken_from(self, attempt: Attempt) -> Iterator[Unit]:
        """Take one Unit after the other, for a fifth of a lease: then it is time to look at everything anew.

        A look costs as much as there are Units, and most Units that were free then are free a moment later.
        """
        missing = attempt.look()
        attempt.silence = 0.0
        if attempt.step not in self.mine:
            return
        tries = attempt.tries()
        self.heartbeat.path = attempt.path("members", self.name)
        random.shuffle(missing)  # members that come together go for different Units
        until = time.monotonic() + self.lease_seconds / 5
        for unit in [Unit(attempt.step, name, 0) for name in missing if name not in tries]:
            if attempt.take(unit, self.name):
                yield unit
                if attempt.has_result() or time.monotonic() > until:
                    return
        for held in [Unit(attempt.step, name, tries[name]) for name in missing if name in tries]:
            silence = self.watch.silence(attempt.heartbeat_of(held))
            attempt.silence = max(attempt.silence, silence)
            unit = held._replace(number=held.number + 1)
            if silence >= self.lease_seconds and unit.number == MAX_TRIES:
                words = "Each member that worked on {} {} disappeared, as if killed.".format(*unit)
                attempt.fail(StepCrashed(words), self.name)
            elif silence >= self.lease_seconds and attempt.take(unit, self.name):
                yield unit
                return

    # doing

    def _do(self, attempt: Attempt, unit: Unit) -> None:
        """Do a Unit that was taken, trying again where that may help."""
        try:
            if unit.step == RESULT:
                tree = outputs.store(self.layout, attempt, self.release["manifest"]["outputs"])
                attempt.finish("succeeded", self.name, tree=tree)
            else:
                self._compute(attempt, unit)
        except GateError as error:
            failure = outputs.cause(self.layout, attempt, error)
            again = unit._replace(number=unit.number + 1)
            hope = isinstance(failure, StepCrashed) or (isinstance(failure, StepFailed) and failure.transient)
            if not hope or again.number == MAX_TRIES:
                attempt.fail(failure, self.name)
            elif attempt.take(again, self.name):
                self._do(attempt, again)

    def _compute(self, attempt: Attempt, unit: Unit) -> None:
        attempt.inputs = attempt.inputs or outputs.inputs(self.layout, attempt)
        append(attempt.log, "-- {} {}, try {}, by {}\n".format(*unit, self.name).encode("ascii"))
        request = self._request(attempt, unit)
        began, before = time.monotonic(), usage_of(self.process.process)
        record = self.process.ask(request, attempt.log, lambda: not attempt.has_result())
        cpu, peak = usage_of(self.process.process)
        record.update(cpu_seconds=max(0.0, cpu - before[0]), max_rss_bytes=peak)
        record.update(seconds=time.monotonic() - began)
        flush(request["out"])
        attempt.commit(unit, record)

    def _request(self, attempt: Attempt, unit: Unit) -> Dict[str, Any]:
        release = {name: self.release[name] for name in ("name", "version", "digest")}
        about = {"key": attempt.plan["attempt"], "submission": self.submission, "release": release}
        about["runtime"] = self.release["runtime"]
        out = attempt.path("tries", "{}.{}.{}".format(*unit))
        os.makedirs(out, 0o700, exist_ok=True)
        request = {"step": unit.step, "unit": unit.name, "inputs": attempt.inputs, "attempt": about}
        request.update(parameters=attempt.plan["parameters"], shared=attempt.path("shared"), out=out)
        before = self.order[: self.order.index(unit.step)]
        return dict(request, results={step: attempt.folders_of(step) for step in before})
