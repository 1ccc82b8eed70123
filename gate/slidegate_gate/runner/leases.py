# SPDX-License-Identifier: BSD-3-Clause
"""Who still lives.

Members show that they live by counting: each rewrites a small file again and again, with the next number.
Clocks of different computers are never compared: an observer measures, on its own clock, how long it has
looked at the same number.
"""

import contextlib
import itertools
import threading
import time
from typing import Dict, Tuple


class Heartbeat(threading.Thread):
    """Counts in the file `path`, in the folder of the Attempt that this member works on."""

    def __init__(self, interval: float) -> None:
        super().__init__(daemon=True)
        self.interval = interval
        self.path = ""

    def run(self) -> None:
        """Count as long as this process lives."""
        for count in itertools.count():
            # A member that cannot write looks dead, and its Unit is done again by somebody who can.
            with contextlib.suppress(OSError), open(self.path, "w") as file:
                file.write(str(count))
            time.sleep(self.interval)


class Watch:
    """Remembers what members' files said, and for how long they have said the same."""

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self.seen: Dict[str, Tuple[str, float, float]] = {}

    def silence(self, path: str) -> float:
        """Return for how many seconds the counter at `path` has been seen to stand still.

        Between two looks at most `longest` seconds are counted: a computer that slept accuses nobody.
        """
        count = ""
        with contextlib.suppress(OSError), open(path) as file:
            count = file.read()
        now = time.monotonic()
        before, silent, looked = self.seen.get(path, (None, 0.0, now))
        silent = silent + min(now - looked, self.longest) if count == before else 0.0
        self.seen[path] = (count, silent, now)
        return silent
