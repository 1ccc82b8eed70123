# SPDX-License-Identifier: BSD-3-Clause
"""Who is working on what, and whether they still live.

A lease is a record that only one member can create.  Leases save work, nothing more: two members that compute
the same Unit do no harm, as only one of them can commit it.

Members show that they live by counting: each rewrites a small file again and again, with the next number.
Clocks of different computers are never compared: an observer measures, on its own clock, how long it has
looked at the same number.
"""

import contextlib
import threading
import time
from typing import Dict, Optional, Tuple

__all__ = ["Heartbeat", "Watch"]


class Heartbeat:
    """Counts in a file while this member works.  A thread of its own goes on counting while others wait."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.count = 0
        self.path: Optional[str] = None
        threading.Thread(target=self._run, daemon=True).start()

    def show(self, path: Optional[str]) -> None:
        """Count in the file at `path` from now on; None: count nowhere."""
        self.path = path
        self._beat()

    def _run(self) -> None:
        while True:
            time.sleep(self.interval)
            self._beat()

    def _beat(self) -> None:
        path = self.path
        if path is None:
            return
        self.count += 1
        # A member that cannot write looks dead, and its Unit is done again by somebody who can.
        with contextlib.suppress(OSError), open(path, "w") as file:
            file.write(str(self.count))


class Watch:
    """Remembers what members' files said, and for how long they have said the same."""

    def __init__(self, longest_step: float) -> None:
        self.longest_step = longest_step
        self.seen: Dict[str, Tuple[str, float, float]] = {}

    def silence(self, path: str) -> float:
        """Return for how many seconds the counter at `path` has been seen to stand still.

        Between two looks at most `longest_step` is counted: a computer that slept accuses nobody.
        """
        try:
            with open(path) as file:
                count = file.read()
        except OSError:
            count = ""
        now = time.monotonic()
        before, silent, looked = self.seen.get(path, (None, 0.0, now))
        silent = silent + min(now - looked, self.longest_step) if count == before else 0.0
        self.seen[path] = (count, silent, now)
        return silent
