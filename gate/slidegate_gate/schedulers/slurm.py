# SPDX-License-Identifier: BSD-3-Clause
"""Jobs of Slurm, from 21.08 on.

A crew is one array; its members are the elements.  Three of Slurm's programs do everything: sbatch, squeue,
scancel.  A fourth, sacct, is only asked where ``"accounting": true`` allows it, for how elements ended that
Slurm itself has forgotten.  They are called by absolute path, with an environment built from nothing, a time
limit and a limit on what they may say.

What a job runs is a constant file of a few lines, the launcher, with the member's argument list as its
arguments.  It empties the environment down to what a member needs and becomes the member.  ``--export=ALL``
passes on the environment of sbatch, in which there is nothing; with NONE, and before Slurm 23.02 with NIL,
which it does not know, Slurm would run the account's login files on the compute node instead.

What squeue says is kept in one file for all who want to know.  Whoever finds it older than ``poll_seconds``
asks again, alone, while the others wait for the lock and then read what was found; an answer that failed is
kept just as long.  So however many clients a gate has, Slurm is asked at most once in that time.  Whatever
changes the file does so under that lock, which is why no clock is needed to tell whether an array is missing
from an answer because Slurm has forgotten it: an array is entered after its sbatch has ended, and from then
on an answer either knows it or has it no more.

A gate can be killed at any moment, and sbatch with it or without it.  A request is entered as *begun* before
sbatch starts, and struck out when sbatch has answered.  sbatch inherits a lock on the file that its jobs will
log to, by which is seen that it still lives.  What was begun and not struck out stays unknown until an answer
was asked for ``settle_seconds`` after it began and was last seen alive.  Should it arrive still later, its
members find that another array has the claim, and leave.
"""

import contextlib
import fcntl
import os
import re
import sys
import time
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from ..serve import files
from . import SchedulerError, SchedulerUnknown
from .local_holder import try_lock
from .slurm_words import entry, read_accounts, read_queue, run, view

# Arguments with parts that vary; one for which a class has no value is left out.
SBATCH = (
    "sbatch --parsable --export=ALL --no-requeue --job-name=<name> --array=0-<last> --nodes=1 --chdir=/ "
    "--output=<log> --open-mode=append --time=<minutes> --mem=<memory_mb>M --cpus-per-task=<cpus> "
    "--gpus=<gpus> --partition=<partition> --account=<account> --qos=<qos> --exclude=<exclude> <launcher>"
)
SQUEUE = "squeue --me --array --noheader --states=all --format=%F|%K|%T|%r|%j"
SACCT = "sacct --parsable2 --format=JobID,State,JobName --starttime=now-7days --jobs=<jobs>"
PART = re.compile("<([a-z_]+)>")
JOB = re.compile("([1-9][0-9]{0,9})(;[A-Za-z0-9_.-]+)?")

LAUNCHER = """#!{} -IS
import os, re, sys
os.umask(0o077)
kept = re.compile("PATH|LANG|TMPDIR|SLURMD_NODENAME|SLURM_ARRAY_(JOB|TASK)_ID|[A-Z]+_VISIBLE_DEVICES")
os.execve(sys.argv[1], sys.argv[1:], {{one: os.environ[one] for one in filter(kept.fullmatch, os.environ)}})
"""


class Scheduler:
    """Arrays of Slurm; see the module for what may become of a request."""

    def __init__(self, config: Mapping[str, Any], folder: str) -> None:
        self.config = config["scheduler"]
        self.queue = os.path.join(folder, "queue.json")
        self.launcher = os.path.join(folder, "launcher")
        self.logs = os.path.join(folder, "logs")
        files.make_dirs(self.logs)

    def submit(self, name: str, argv: List[str], count: int, resources: Mapping[str, Any]) -> str:
        """Start one array and return its id.

        It has at most ``max_array`` members, as Slurm's MaxArraySize limits it: a crew is one array, and any
        number of members can do all of its work.
        """
        text, told = LAUNCHER.format(sys.executable), ""
        with contextlib.suppress(FileNotFoundError), open(self.launcher) as old:
            told = old.read()
        if told != text:
            with open(files.temporary(self.logs), "w") as new:
                new.write(text)
            os.replace(new.name, self.launcher)
        log = os.path.join(self.logs, name)
        last = str(min(count, self.config.get("max_array", 1000)) - 1)
        varies = dict(resources, name=name, last=last, log=log.replace("%", "%%"), launcher=self.launcher)
        with open(log, "ab") as file:
            with self._kept() as kept:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                kept["begun"][name] = time.time()
            try:
                lines = run(self._argv(SBATCH, varies) + argv, self.config, (file.fileno(),)).splitlines()
            except SchedulerError:
                with self._kept() as kept:
                    kept["begun"].pop(name, None)
                raise
        found = [answer.group(1) for answer in map(JOB.fullmatch, lines) if answer]
        if len(found) != 1:
            raise SchedulerUnknown("sbatch did not answer with the number of a job.")
        with self._kept() as kept:
            kept["begun"].pop(name, None)
            entry(kept["arrays"], found[0], name, time.time())["elements"]["0"] = "queued"
        return found[0]

    def _argv(self, command: str, varies: Mapping[str, Any]) -> List[str]:
        words = os.path.join(self.config.get("bin", "/usr/bin"), command).split()
        words = [word for word in words if all(varies.get(part) for part in PART.findall(word))]
        return [PART.sub(lambda part: str(varies[part.group(1)]), word) for word in words]

    @contextlib.contextmanager
    def _kept(self) -> Iterator[Dict[str, Any]]:
        """Hold the lock; yield what is kept, and keep what is made of it."""
        with files.locked(self.queue + ".lock"):
            # not flushed: after a power cut all requests have settled
            kept = files.read_unflushed(self.queue) or {"tried": 0, "asked": 0, "arrays": {}, "begun": {}}
            yield kept
            files.write_json(self.queue, kept, flush=False)

    def _look(self) -> Dict[str, Any]:
        """Return what is kept, asking Slurm where it is time to; raise SchedulerUnknown where that failed."""
        with self._kept() as kept:
            # a clock that was set back makes it time, too
            if not 0 <= time.time() - kept["tried"] < self.config.get("poll_seconds", 30):
                self._ask(kept, time.time())
        if kept["failed"]:
            raise SchedulerUnknown(kept["failed"])
        return kept

    def _ask(self, kept: Dict[str, Any], now: float) -> None:
        arrays = kept["arrays"]
        for name, began in kept["begun"].items():
            with open(os.path.join(self.logs, name), "ab") as file:
                kept["begun"][name] = min(now, began) if try_lock(file.fileno(), fcntl.LOCK_SH) else now
        kept.update(tried=now, failed="")
        try:
            gone = read_queue(arrays, run(self._argv(SQUEUE, {}), self.config), now)
            kept["asked"] = now
        except SchedulerUnknown as error:
            gone, kept["failed"] = [], str(error)
        if gone and self.config.get("accounting"):
            with contextlib.suppress(SchedulerUnknown):
                read_accounts(arrays, run(self._argv(SACCT, {"jobs": ",".join(gone)}), self.config))
        # what became of an array is remembered for a week
        kept["arrays"] = {array: one for array, one in arrays.items() if now - one["seen"] < 7 * 86400}

    def find(self, name: str) -> List[str]:
        """Return the arrays of that name that Slurm has, or had within a week."""
        kept = self._look()
        found = [array for array, one in kept["arrays"].items() if one["name"] == name]
        settle = self.config.get("settle_seconds", 30)
        if not found and kept["asked"] < kept["begun"].get(name, -settle) + settle:
            raise SchedulerUnknown("A request to start these jobs was cut off, and may still arrive.")
        return found

    def states(self, arrays: List[str]) -> Dict[str, Dict[str, Any]]:
        """Return what each array does, as Slurm was last heard to say; what it has forgotten has ended."""
        kept = self._look()
        settled = kept["asked"] > max(kept["begun"].values(), default=0.0)
        known = {array: view(kept["arrays"][array]) for array in arrays if array in kept["arrays"]}
        return dict({array: {"state": "ended"} for array in arrays if settled}, **known)

    def cancel(self, array: str) -> None:
        """End all elements.  Slurm takes it calmly where there are none any more."""
        if JOB.fullmatch(array):
            run(self._argv("scancel <job>", {"job": array}), self.config)

    @staticmethod
    def identity(environ: Mapping[str, str]) -> Tuple[str, str]:
        """Return (array, element) of the member that asks.  Raises KeyError outside a member."""
        return environ["SLURM_ARRAY_JOB_ID"], environ["SLURM_ARRAY_TASK_ID"]

    def explain(self) -> List[List[str]]:
        """Return the argument lists that this adapter executes, besides the members' own."""
        commands = (SBATCH + " <arguments>", SQUEUE, "scancel <job>", SACCT)
        return [os.path.join(self.config.get("bin", "/usr/bin"), command).split() for command in commands]
