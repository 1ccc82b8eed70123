# SPDX-License-Identifier: BSD-3-Clause
"""The process that holds one local array: ``python -IS local_holder.py <array folder> <descriptor>``.

It runs alone, as a program, and imports nothing of the gate.  The descriptor is that of the array's locked
file ``alive``; see ``local`` for what the lock means.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Dict, List

__all__ = ["ARRAY_VARIABLE", "ELEMENT_VARIABLE", "environment", "mark", "try_lock"]

ARRAY_VARIABLE = "SLIDEGATE_LOCAL_ARRAY"
ELEMENT_VARIABLE = "SLIDEGATE_LOCAL_ELEMENT"
CANCEL_SECONDS = 5.0  # how long members may take to leave before they are killed
POLL_SECONDS = 0.05


def main() -> None:
    """Report, let go of the starter, and carry on alone."""
    folder, alive = sys.argv[1], int(sys.argv[2])
    os.umask(0o077)
    mark(os.path.join(folder, "started"))
    if os.fork() == 0:
        hold(folder, alive)


def hold(folder: str, alive: int) -> None:
    """Start the members as slots become free, wait for them, and obey ``cancel``."""
    with open(os.path.join(folder, "order.json")) as file:
        order = json.load(file)
    members: "List[subprocess.Popen[bytes]]" = []
    threading.Thread(target=obey_cancel, args=(folder, members), daemon=True).start()
    for element in range(order["count"]):
        slot = wait_for_slot(order["slots"], order["cores"])
        if os.path.exists(os.path.join(folder, "cancel")):
            break
        mark(os.path.join(folder, "running"))
        variables = environment()
        variables.update({ARRAY_VARIABLE: order["array"], ELEMENT_VARIABLE: str(element)})
        member = subprocess.Popen(
            order["argv"], stdin=subprocess.DEVNULL, cwd="/", env=variables, pass_fds=(alive, slot)
        )
        members.append(member)
        os.close(slot)  # the member has inherited it
    for member in members:
        member.wait()


def wait_for_slot(slots: str, cores: int) -> int:
    """Return the locked descriptor of a slot.

    Those who wait stand behind one lock, the turnstile; the kernel lets them through in the order of asking.
    """
    turnstile = os.open(os.path.join(slots, "turnstile"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        while True:
            for number in range(cores):
                slot = os.open(os.path.join(slots, str(number)), os.O_RDWR | os.O_CREAT, 0o600)
                if try_lock(slot, fcntl.LOCK_EX):
                    return slot
                os.close(slot)
            time.sleep(POLL_SECONDS)
    finally:
        os.close(turnstile)


def obey_cancel(folder: str, members: "List[subprocess.Popen[bytes]]") -> None:
    """Wait for ``cancel``, ask the members to leave, and kill what is then left of this session."""
    while not os.path.exists(os.path.join(folder, "cancel")):
        time.sleep(POLL_SECONDS)
    for member in members:
        member.terminate()
    deadline = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < deadline and any(member.poll() is None for member in members):
        time.sleep(POLL_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)  # the holder too


def try_lock(handle: int, kind: int) -> bool:
    """Lock without waiting; say whether that worked."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def mark(path: str) -> None:
    """Make an empty file; one that is there already will do."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def environment() -> Dict[str, str]:
    """Return the environment of what is started here, built from nothing."""
    variables = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    if "TMPDIR" in os.environ:
        variables["TMPDIR"] = os.environ["TMPDIR"]
    return variables


if __name__ == "__main__":
    main()
