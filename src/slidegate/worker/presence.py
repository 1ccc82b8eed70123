# SPDX-License-Identifier: BSD-3-Clause
"""Signs of life: a worker process holds a lock on its own file, which the kernel drops with the process.

Leases alone would do; but somebody who types a command again after a crash should not wait for a lease to
run out.
"""

import fcntl
import os
from pathlib import Path
from uuid import uuid4

from slidegate.worker.tools import Tools


class Presence:
    """The sign of life of one worker.

    Attributes
    ----------
    owner
        The worker's name, as it stands in leases.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self.owner = uuid4().hex
        self._handle = os.open(folder / self.owner, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def is_dead(self, owner: str) -> bool:
        """Say whether a worker of this home is known to have ended; False for what is not known here."""
        if owner == self.owner or not owner.isalnum():
            return False
        try:
            handle = os.open(self._folder / owner, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    def forget(self, owner: str) -> None:
        """Remove the sign of a worker that ended."""
        (self._folder / owner).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the signs of all workers that ended."""
        for path in self._folder.iterdir():
            if self.is_dead(path.name):
                self.forget(path.name)

    def end(self) -> None:
        """Take the sign away."""
        if self._handle >= 0:
            self.forget(self.owner)
            os.close(self._handle)
            self._handle = -1


def free_the_dead(tools: Tools, presence: Presence, now: float) -> None:
    """Take over at once what workers of this home that were killed had in their hands.

    What several in a row died with waits a little longer each time: they may have died of it.
    """
    for owner in tools.store.queue.owners(now):
        if presence.is_dead(owner):
            tools.store.queue.died(owner, now, tools.pace.pause_after_deaths)
    presence.sweep()
