# SPDX-License-Identifier: BSD-3-Clause
"""Whether more images may be staged: not while the disk here is nearly full, nor far ahead of a site."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from slidegate.store import Store
from slidegate.worker.holding import Clock

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


def free_bytes(folder: Path) -> int:
    """Return how many bytes may still be written below a folder."""
    return shutil.disk_usage(folder).free


class Room:
    """Looks once in a second, for all threads together.

    Parameters
    ----------
    folder
        On the disk where images are converted.
    spare_bytes
        What must stay free there.
    ahead
        How many Tasks may be staged at one gate and not be begun.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        folder: Path,
        spare_bytes: int,
        ahead: int,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._folder = folder
        self._spare_bytes = spare_bytes
        self._ahead = ahead
        self._free = free
        self._lock = Lock()
        self._looked_at = float("-inf")
        self._full: frozenset[str] | None = frozenset()

    def full(self) -> frozenset[str] | None:
        """Return the gates where nothing more is staged just now; None where nothing is staged at all."""
        with self._lock:
            now = self._clock()
            if abs(now - self._looked_at) >= _LOOK_SECONDS:
                was, self._full = self._full, self._look()
                self._looked_at = now
                if self._full is None and was is not None:
                    log.warning("the disk is nearly full: nothing is staged", extra={"action": "disk_low"})
                if self._full is not None and was is None:
                    log.info("there is room on the disk again", extra={"action": "disk_well"})
            return self._full

    def _look(self) -> frozenset[str] | None:
        if self._free(self._folder) < self._spare_bytes:
            return None
        ahead = self._store.queue.ahead()
        return frozenset(site for site, tasks in ahead.items() if tasks >= self._ahead)
