# SPDX-License-Identifier: BSD-3-Clause
"""Jobs as processes of this computer.

An array is a folder ``arrays/<name>.<random>/`` and a process, the *holder* (see ``local_holder``), that
starts the members one after the other, each as soon as one of the computer's ``cores`` slots is free.  The
holder is nobody's child: it survives the death of the gate that started it.

Whether an array lives is a question about a lock, never about process ids, which are used again.  Its holder,
its members and whatever they start keep one inherited descriptor of the file ``alive``, exclusively locked.
The kernel drops the lock when the last of them is gone, however it went.  Slots are such locks too.

A gate can be killed between any two steps of ``submit``.  This is why ``find`` can tell what happened::

    gate    1 makes the folder under a temporary name, locks ``alive``, and gives the folder its name
            2 starts the holder, which inherits the lock
    holder  3 writes ``started``
            4 starts members

Killed before 1 ends: no folder of that name.  Killed after it, before 2: the lock is free and ``started`` is
missing, and as only an inheritor of the lock could ever write ``started``, nobody will.  Such an array never
began; ``find`` throws it away.  Killed later: the holder runs on, and the array is found.  In between, while
the lock is held and ``started`` is missing, ``find`` waits, and says that it cannot tell if that takes long.

A key may have ``cores`` of its own: its arrays then wait for those slots, and for no others.

Memory and time limits are the business of clusters; this adapter does not enforce them.  All gates and
members must run on one computer, as locks of this kind are not trusted across computers.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from . import SchedulerUnknown, local_holder

__all__ = ["Scheduler"]

START_SECONDS = 10.0  # how long ``find`` waits for a holder that is just being started
POLL_SECONDS = 0.05


class Scheduler:
    """Arrays on this computer; see the module for how they live and die."""

    def __init__(self, config: Mapping[str, Any], folder: str) -> None:
        self.cores = int(config["scheduler"].get("cores") or os.cpu_count() or 1)
        self.arrays = os.path.join(folder, "arrays")
        self.slots = os.path.join(folder, "slots")
        keys = config.get("keys", {})
        self.apart = {key: stated["cores"] for key, stated in keys.items() if stated.get("cores")}

    def submit(self, name: str, argv: List[str], count: int, resources: Mapping[str, Any]) -> str:
        """Start one array and return its id.  Raises SchedulerUnknown where its holder did not report."""
        array = "{}.{}".format(name, os.urandom(4).hex())
        made = os.path.join(self.arrays, ".tmp-" + array)
        folder = os.path.join(self.arrays, array)
        key = name.partition("-")[2].rsplit(".", 3)[0]  # a key with slots of its own waits for nobody else's
        slots = self.slots + "-" + key if key in self.apart else self.slots
        os.makedirs(made, 0o700)
        os.makedirs(slots, 0o700, exist_ok=True)
        cores = self.apart.get(key, self.cores)
        order = {"array": array, "argv": argv, "count": count, "cores": cores, "slots": slots}
        with open(os.path.join(made, "order.json"), "w") as file:
            json.dump(order, file)
        alive = os.open(os.path.join(made, "alive"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(alive, fcntl.LOCK_EX)
            os.rename(made, folder)
            self._start_holder(folder, alive)
        finally:
            os.close(alive)  # not unlocked: the holder has inherited the lock
        return array

    def _start_holder(self, folder: str, alive: int) -> None:
        with open(os.path.join(folder, "log"), "ab") as log:
            holder = subprocess.Popen(
                _holder_argv(folder, str(alive)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=local_holder.environment(),
                pass_fds=(alive,),
                start_new_session=True,
            )
        holder.wait()  # it leaves at once; its child carries on
        if not os.path.exists(os.path.join(folder, "started")):
            raise SchedulerUnknown("the process that holds the array did not start")

    def find(self, name: str) -> List[str]:
        """Return the arrays that began under `name`; a repeat gives the same answer."""
        return [array for array in self._names() if array.rpartition(".")[0] == name and self._began(array)]

    def _names(self) -> List[str]:
        try:
            return sorted(os.listdir(self.arrays))
        except FileNotFoundError:
            return []

    def _began(self, array: str) -> bool:
        folder = os.path.join(self.arrays, array)
        deadline = time.monotonic() + START_SECONDS
        while True:
            held = _held(folder)  # asked first: what a dead array left undone stays undone
            if os.path.exists(os.path.join(folder, "started")):
                return True
            if not held:
                shutil.rmtree(folder, ignore_errors=True)
                return False
            if time.monotonic() > deadline:
                raise SchedulerUnknown("an array of this name is only just being started")
            time.sleep(POLL_SECONDS)

    def states(self, arrays: Iterable[str]) -> Dict[str, Dict[str, str]]:
        """Return what each array does now; one without a trace has ended: nothing of it can begin."""
        return {array: {"state": self._state(os.path.join(self.arrays, array))} for array in arrays}

    def _state(self, folder: str) -> str:
        if not _held(folder):  # nor is one whose folder is gone: its name was given only once it was there
            return "ended"
        return "running" if os.path.exists(os.path.join(folder, "running")) else "queued"

    def cancel(self, array: str) -> None:
        """Ask the holder to end all members; they are gone within seconds."""
        with contextlib.suppress(FileNotFoundError):
            local_holder.mark(os.path.join(self.arrays, array, "cancel"))

    @staticmethod
    def identity(environ: Mapping[str, str]) -> Tuple[str, str]:
        """Return (array, element) of the member that asks.  Raises KeyError outside a member."""
        return environ[local_holder.ARRAY_VARIABLE], environ[local_holder.ELEMENT_VARIABLE]

    def explain(self) -> List[List[str]]:
        """Return the argument lists that this adapter executes, besides the members' own."""
        return [_holder_argv("<array folder>", "<descriptor>")]


def _holder_argv(folder: str, alive: str) -> List[str]:
    return [sys.executable, "-IS", os.path.realpath(local_holder.__file__), folder, alive]


def _held(folder: str) -> bool:
    """Say whether any process of the array in `folder` lives.

    A shared lock is tried, so that those who look do not get in each other's way.
    """
    try:
        handle = os.open(os.path.join(folder, "alive"), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not local_holder.try_lock(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)
