# SPDX-License-Identifier: BSD-3-Clause
"""Slurm's programs: how they are run, and what their words mean."""

import collections
import contextlib
import os
import re
import resource
import select
import tempfile
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Any, Dict, List, Sequence

from . import SchedulerError, SchedulerUnknown

MOST_BYTES = 8 << 20

# A row of squeue, or of sacct: array, element, state, reason, name.  A request that Slurm refused as
# impossible stays in the queue as a job that failed, with the reason BadConstraints; it never was one.
ROW = re.compile(r"([1-9]\d*)[|_]([\d[,\]-]+)\|(?!FAILED\|BadC)([A-Z_]+)( by \d+)?\|(([^|]*)\|)?(sg-[\w.-]+)")

# Slurm's states and flags up to 25.11, as its page "Job State Codes" lists them.  A word that is not here is
# unknown; it says nothing about an array of which other elements are known to live.
MEANINGS = {
    "queued": "PENDING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT EXPEDITING",
    "running": "RUNNING COMPLETING CONFIGURING POWER_UP_NODE RESIZING SIGNALING STAGE_OUT STOPPED SUSPENDED",
    "ended": "COMPLETED REVOKED",
    "node-lost": "NODE_FAIL BOOT_FAIL LAUNCH_FAILED RECONFIG_FAIL",
    "time-limit": "TIMEOUT DEADLINE",
}
WORDS = {word: meaning for meaning, words in MEANINGS.items() for word in words.split()}
WORDS.update(CANCELLED="cancelled", FAILED="failed", OUT_OF_MEMORY="out-of-memory", PREEMPTED="preempted")
STATES = ["running", "queued", "unknown", "ended"]  # an array has the first that one of its elements has

# What sbatch says when it, or the controller, has looked at a request and will not have it.  That a
# controller was not reached, or did not answer in time, is not among it: the request may have arrived.
REFUSAL = re.compile(
    "(?m)^sbatch: (error: |fatal: )?(Batch job submission failed: )?(Access/permission denied|CPU count |Job "
    "|[Ii]nvalid |MaxJobCount|Memory required|More processors|No partition|Node count|Pathname|Requested "
    "|Required |System submissions|This does not look|Unable to open|Unspecified|User's group|unrecognized )"
)


def run(argv: List[str], config: Dict[str, Any], keep: Sequence[int] = ()) -> str:
    """Run one of Slurm's programs and return what it answers; it inherits the descriptors in `keep`.

    Raises SchedulerError where sbatch has refused a request, and SchedulerUnknown for every other failure:
    such a program may have had its effect.  One that takes too long or says too much is killed.
    """
    given = {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC", "SLURM_CONF": config.get("conf")}
    variables = {name: value for name, value in given.items() if value}
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as words:
        settings: Any = {"stdin": PIPE, "stdout": answer, "stderr": words, "env": variables, "cwd": "/"}
        try:
            with Popen(argv, pass_fds=keep, **settings) as child, contextlib.ExitStack() as last:
                last.callback(child.kill)
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
                # the pipe is told as broken when the program has ended; waiting would look at intervals
                select.select([child.stdin or 0], [], [], config.get("timeout_seconds", 30))
                code = child.wait(1)
        except (OSError, TimeoutExpired) as error:
            raise SchedulerUnknown(str(error))
        said = [os.pread(file.fileno(), MOST_BYTES, 0).decode("ascii", "replace") for file in (answer, words)]
    if code == 0:
        return said[0]
    complaint = "{} ended with {}: {}".format(argv[0], code, re.sub("[^ -~]+", " ", said[1])[-300:].strip())
    raise (SchedulerError if REFUSAL.search(said[1]) else SchedulerUnknown)(complaint)


def entry(arrays: Dict[str, Any], array: str, name: str, now: float) -> Any:
    """Return what is kept of an array that is there now; its number may have been another's before."""
    if arrays.get(array, {}).get("name") != name:
        arrays[array] = {"name": name, "reason": "", "elements": {}}
    arrays[array]["seen"] = now
    return arrays[array]


def state_of(one: Dict[str, Any]) -> str:
    """Return the state of an array."""
    return next((state for state in STATES if state in one["elements"].values()), "ended")


def read_queue(arrays: Dict[str, Any], answer: str, now: float) -> List[str]:
    """Keep what squeue said; return the arrays that were alive and that it does not know any more.

    Of elements that it does not know any more is kept what they died of.
    """
    alive = [array for array, one in arrays.items() if state_of(one) != "ended"]
    for one in arrays.values():
        one["elements"] = {element: why for element, why in one["elements"].items() if why not in STATES}
    for row in filter(None, map(ROW.fullmatch, answer.splitlines())):
        one = entry(arrays, row.group(1), row.group(7), now)
        one["elements"][row.group(2)] = WORDS.get(row.group(3), "unknown")
        if WORDS.get(row.group(3)) == "queued":
            one["reason"] = re.sub(r"\W+", "_", row.group(6) or "")[:60]
    return [array for array in alive if arrays[array]["seen"] != now]


def read_accounts(arrays: Dict[str, Any], answer: str) -> None:
    """Keep how the elements of arrays ended of which squeue does not know any more."""
    for row in filter(None, map(ROW.fullmatch, answer.splitlines())):
        array, meaning = row.group(1), WORDS.get(row.group(3), "unknown")
        for first, last in re.findall(r"(\d+)-?(\d*)", row.group(2)):  # those that had not started: [4,6-7]
            if array in arrays and meaning not in STATES:
                elements = range(int(first), int(last or first) + 1)
                arrays[array]["elements"].update(dict.fromkeys(map(str, elements), meaning))


def view(one: Dict[str, Any]) -> Dict[str, Any]:
    """Return what is told of an array."""
    state = state_of(one)
    reason = one["reason"] if state == "queued" and one["reason"] != "None" else ""
    causes = collections.Counter(why for why in one["elements"].values() if state == "ended" != why)
    told = {"state": state, "reason": reason, "causes": dict(causes)}
    return {name: value for name, value in told.items() if value}
