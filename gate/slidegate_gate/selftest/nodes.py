# SPDX-License-Identifier: BSD-3-Clause
"""What only a job can tell: do the computers that compute see the same files, the same names, the same locks?

Two small jobs are started as a crew would be, the second on another node than the first where there is one.
Each tries the file systems from where it runs.  Then they and this computer reach for the same names at once,
while this computer holds a lock that they must not get.
"""

import contextlib
import fcntl
import os
import re
import shutil
import socket
import sys
import time
from typing import Any, Dict, List

import slidegate_gate

from ..errors import SchedulerError
from ..serve import files
from . import places
from .places import Unfit, demand

__all__ = ["Trial", "member"]

JOBS = 2
MINUTES = 3  # besides the time that the first job waits for the second
NAMES = 30
NODE = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
TELL_SECONDS = 10.0
POLL_SECONDS = 0.1
Words = Dict[str, Any]


class Trial:
    """Jobs of one class; after ``run``, `faults` has what is wrong on each computer that they ran on.

    `alone` is what the scheduler said where it has only one for them.
    """

    def __init__(self, config: Words, scheduler: Any, resources: Words, seconds: float) -> None:
        self.config = config
        self.scheduler = scheduler
        self.resources = dict(resources, minutes=min(MINUTES + int(seconds // 60), resources["minutes"]))
        self.count = min(JOBS, int(resources["members"]))
        self.seconds = seconds
        self.faults: Dict[str, List[str]] = {}
        self.alone = ""

    def run(self) -> None:
        """Start the jobs and hear what they report; raise Unfit where they do not come in time."""
        folder = files.temporary(self.config["state"])
        os.mkdir(folder, 0o700)
        order = {"seconds": self.seconds, "roots": {name: self.config[name] for name in ("state", "data")}}
        files.write_json(os.path.join(folder, "order"), order)
        arrays: List[str] = []
        nodes = [""]
        try:
            with files.locked(os.path.join(folder, "lock")):
                while len(arrays) < self.count:
                    arrays.append(self._submit(folder, nodes[0]))
                    nodes = self._await(folder, "here-", arrays)
                files.write_json(os.path.join(folder, "go"), 1)
                self.won = _reach(folder)
                for report in self._await(folder, "report-", arrays):
                    self.faults.setdefault(report["host"], []).extend(report["faults"])
                    self.won += report["won"]
        finally:
            for array in arrays:
                self.scheduler.cancel(array)
            shutil.rmtree(folder, ignore_errors=True)

    def names_are_given_once(self) -> None:
        """Raise Unfit where two computers were both told that a name is theirs, or none was."""
        words = "{} names were given {} times: put it on another file system"
        demand(sorted(self.won) == list(range(NAMES)), words.format(NAMES, len(self.won)))

    def _submit(self, folder: str, taken: str) -> str:
        program = os.path.dirname(os.path.realpath(slidegate_gate.__file__))
        argv = [sys.executable, "-IS", program, "ctl", "selftest", "--member", folder]
        name = "sg-selftest." + os.urandom(8).hex()
        if NODE.fullmatch(taken):
            try:
                return str(self.scheduler.submit(name, argv, 1, dict(self.resources, exclude=taken)))
            except SchedulerError as error:
                self.alone = str(error)
        return str(self.scheduler.submit(name, argv, 1, self.resources))

    def _await(self, folder: str, prefix: str, arrays: List[str]) -> List[Any]:
        """Return what each job wrote under a name that begins so; raise Unfit where that takes too long."""
        begun, told = time.monotonic(), 0.0
        while True:
            names = [name for name in files.names_in(folder) if name.startswith(prefix)]
            if len(names) == len(arrays):
                return [files.read_json(os.path.join(folder, name)) for name in names]
            waited = time.monotonic() - begun
            if waited > min(self.seconds, told + TELL_SECONDS):
                view = self.scheduler.states(arrays[-1:]).get(arrays[-1], {})
                words = "{} of {} jobs are there after {:.0f} seconds, {}".format(
                    len(names), self.count, waited, view.get("reason") or view.get("state", "unknown")
                )
                if view.get("state") == "ended":
                    raise Unfit("{}: do nodes see {} and {}?".format(words, sys.executable, folder))
                if waited > self.seconds:
                    raise Unfit(words + ": repeat with a longer --wait, or leave jobs out with --quick")
                sys.stderr.write("...   {}\n".format(words))
                told = waited
            time.sleep(POLL_SECONDS)


def member(folder: str) -> None:
    """Be one of the jobs."""
    node = socket.gethostname().partition(".")[0]  # as schedulers call it
    me = "{}-{}".format(node, os.getpid())
    order = files.read_json(os.path.join(folder, "order"))
    report: Words = {"host": node, "faults": [], "won": []}
    for name, root in sorted(order["roots"].items()):
        for what, check in places.CHECKS.items():
            try:
                places.try_in(root, check)
            except (Unfit, OSError) as error:
                report["faults"].append("{}: {}: {}".format(name, what, error))
    with open(os.path.join(folder, "lock"), "r+") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        report["faults"].append("a lock that the login node holds was given: mount state with flock")
    files.write_json(os.path.join(folder, "here-" + me), node)
    deadline = time.monotonic() + order["seconds"]
    while not os.path.exists(os.path.join(folder, "go")) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    report["won"] = _reach(folder)
    files.write_json(os.path.join(folder, "report-" + me), report)


def _reach(folder: str) -> List[int]:
    """Try to get each of the names first, as all others do now; return those that were given."""
    return [number for number in range(NAMES) if files.create_json(os.path.join(folder, str(number)), 1)]
