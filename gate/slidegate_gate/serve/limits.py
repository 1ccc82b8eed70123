# SPDX-License-Identifier: BSD-3-Clause
"""How much one key may ask for.

Every limit holds for a key over all its connections, on whichever login node they ended.  ``config.json`` may
give other figures for the site (``limits``) and for one key (``keys.<key>.limits``):

===================  =========================================================================================
requests_per_minute  requests, of which ``have``, ``put`` and ``read`` count only where they are recorded
bytes                contents kept here; each counts as 4096 at least, so that files are limited, too
attempts_alive       Attempts that have no result yet
attempts_per_day     Attempts that became known here, also by being cancelled before they arrived
jobs_alive           members of crews that have not ended
jobs_per_day         members of crews that were started
job_minutes          the time that one job may ask for
gpu_hours_per_day    what jobs asked for: members times GPUs times hours
channels             connections at the same time
idle_seconds         for how long a connection may be silent
===================  =========================================================================================

What is used is counted before anything is done.  A gate killed in between has counted too much, never too
little: too much of what is alive until it is counted anew, a minute later; too much of a day until midnight
(UTC).  Nothing of this is flushed: after a power cut a day may begin anew, and what is alive is counted.
What is repeated finds its records, and is neither counted again nor refused.
"""

import contextlib
import json
import os
import time
from typing import Callable, Dict, Iterator, List

from ..errors import OverLimit
from ..protocol.canonical import canonical
from . import files, trees
from .layout import Layout

DEFAULTS = {
    "requests_per_minute": 6000,
    "bytes": 1 << 42,
    "attempts_alive": 10000,
    "attempts_per_day": 100000,
    "jobs_alive": 2000,
    "jobs_per_day": 20000,
    "job_minutes": 7 * 24 * 60,
    "gpu_hours_per_day": 2400,
    "channels": 16,
    "idle_seconds": 900,
}
DAILY = ("attempts_per_day", "jobs_per_day", "gpu_hours_per_day")
FIGURES = ("attempts_alive", "jobs_alive") + DAILY
UNCOUNTED = ("have", "put", "read", "?")  # "?" is what is no request; all count where they are refused
RECOUNT_SECONDS = 60.0
PENALTY_SECONDS = 1.0  # a refusal costs the client this long, so that it cannot flood the audit
DAY = 24 * 60 * 60


class Limits:
    """The limits of one key; `values` are its own figures, else the site's, else the defaults."""

    def __init__(self, layout: Layout) -> None:
        of_site = layout.config.get("limits", {})
        self.values: Dict[str, int] = dict(DEFAULTS, **dict(of_site, **layout.settings.get("limits", {})))
        self._layout = layout

    def check(self, limit: str, used: float, more: float) -> None:
        """Raise OverLimit where `more` beside what is used would be too much."""
        if used + more > self.values[limit]:
            raise OverLimit(limit, self.values[limit], used, more)

    def take(self, wanted: Dict[str, float], alive: Callable[[], Dict[str, int]]) -> None:
        """Count all that is wanted, limit -> how much, as used; or raise OverLimit, having counted nothing.

        The caller holds the lock of the key.  `alive` is asked for what has not ended once a minute, and
        before anything is refused.
        """
        used = self.used()
        old = not 0 <= time.time() - used["at"] <= RECOUNT_SECONDS
        if old or any(used[limit] + more > self.values[limit] for limit, more in wanted.items()):
            used.update(alive(), at=time.time())
        for limit, more in wanted.items():
            self.check(limit, used[limit], more)
            used[limit] += more
        files.write_json(self._layout.usage, used, flush=False)

    def used(self) -> Dict[str, float]:
        """Return what was counted today, and as alive."""
        used: Dict[str, float] = dict.fromkeys(FIGURES + ("at", "day"), 0)
        used.update(files.read_unflushed(self._layout.usage) or {})
        day = time.time() // DAY
        return used if used["day"] == day else dict(used, day=day, **dict.fromkeys(DAILY, 0))

    def count_request(self) -> None:
        """Count one request of this minute; raise OverLimit, late, where there were too many."""
        minute = time.time() // 60
        with self._shared(self._layout.requests) as figures:
            figures[:] = minute, figures[1] + 1 if figures[0] == minute else 1
        if figures[1] > self.values["requests_per_minute"]:
            time.sleep(PENALTY_SECONDS)
            self.check("requests_per_minute", figures[1] - 1, 1)

    def check_bytes(self, more: int) -> None:
        """Raise OverLimit where `more` bytes would be too many; else count them as kept."""
        with self._shared(self._layout.bytes) as figures:
            if not 0 <= time.time() - figures[0] <= RECOUNT_SECONDS:
                figures[:] = time.time(), self.bytes_kept()
            self.check("bytes", figures[1], more)
            figures[1] += more

    def bytes_kept(self) -> int:
        """Count the bytes of all contents of this key, also of unfinished uploads, as they are charged."""
        roots = (os.walk(self._layout.blobs), os.walk(self._layout.parts))
        paths = (os.path.join(folder, name) for root in roots for folder, _, names in root for name in names)
        return sum(trees.charge(trees.file_size(path) or 0) for path in paths)

    @contextlib.contextmanager
    def _shared(self, path: str) -> Iterator[List[float]]:
        """Hold a pair of figures of the key, zeros where there are none; what is made of them is kept."""
        with files.locked(path) as handle:
            try:
                first, second = json.loads(os.pread(handle, 64, 0).decode("ascii"))
                figures = [float(first), float(second)]
            except (ValueError, TypeError):  # new, or spoiled by a power cut
                figures = [0.0, 0.0]
            yield figures
            os.pwrite(handle, canonical(figures).ljust(64), 0)
