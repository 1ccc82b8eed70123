# SPDX-License-Identifier: BSD-3-Clause
"""What the gate asks of a scheduler.

An adapter is a module of this package with a class ``Scheduler(config, folder)``: `config` is the gate's
``config.json``, `folder` is private to the adapter, below ``state``.  It has six methods:

``submit(name, argv, count, resources) -> array``
    Start one array of `count` equal members, each running the argument list `argv`, under the job name
    `name`.  Answers with the scheduler's id for it.  Raises ``SchedulerError`` where nothing was started, and
    ``SchedulerUnknown`` where that cannot be told.
``find(name) -> [array, ...]``
    The arrays that were started under that job name, also those that have ended, as far as the scheduler
    remembers.  Raises ``SchedulerUnknown`` where it cannot tell.  An empty list is an answer: nothing runs
    under that name, and nothing that was begun before this question will.
``states([array, ...]) -> {array: {"state": ..., "reason": ..., "causes": {cause: number of elements}}}``
    A hint for people.  What became of the work stands in files.  ``state`` is one of "queued", "running",
    "ended" and "unknown"; an array without a trace may be left out, which means unknown.  ``reason`` says why
    a queued array has not started, in one word of the scheduler, ``[A-Za-z0-9_]{1,60}``.  ``causes`` tells
    how many elements of an array that has ended did not end well, by cause: ``time-limit``,
    ``out-of-memory``, ``node-lost``, ``preempted``, ``cancelled``, ``failed``.  Both are left out where there
    is nothing to say.  Raises ``SchedulerUnknown`` where nothing can be said of any array.
``cancel(array)``
    End all members.  Safe to repeat, and for arrays that have ended.
``identity(environ) -> (array, element)``
    Asked inside a member: which element of which array am I?  A static method.
``explain() -> [argument list, ...]``
    Every argument list that the adapter executes besides the members' own, with the parts that vary in angle
    brackets.
"""

import importlib
from typing import Any, Dict

from slidegate_gate.errors import SchedulerError, SchedulerUnknown

__all__ = ["SchedulerError", "SchedulerUnknown", "adapter"]

ADAPTERS = ("local", "slurm")


def adapter(config: Dict[str, Any]) -> Any:
    """Return the class of the scheduler that ``config.json`` names; ValueError for an unknown name."""
    name = config.get("scheduler", {}).get("name")
    if name not in ADAPTERS:
        raise ValueError("no scheduler named {!r}; there is {}".format(name, ", ".join(ADAPTERS)))
    return importlib.import_module("{}.{}".format(__name__, name)).Scheduler
