# SPDX-License-Identifier: BSD-3-Clause
"""How much one key may ask for.

Three things are limited for each key, over all its connections: requests per minute, bytes kept here, and
Attempts that have no result yet.  ``config.json`` may give other figures for the site (``limits``) and for
one key (``keys.<key>.limits``).  ``have``, ``put`` and ``read`` move contents; they are bounded by the
bytes and do not count as requests unless they are refused.
"""

import contextlib
import json
import os
import time
from typing import Dict, Iterator, List

from ..errors import OverLimit
from . import files, trees
from .layout import Layout

DEFAULTS = {
    "requests_per_minute": 1200,
    "bytes": 1 << 42,
    "attempts_alive": 10000,
    "idle_seconds": 900,
}
UNCOUNTED = ("have", "put", "read", "?")  # "?" is what is no request; all count where they are refused
RECOUNT_SECONDS = 60.0
PENALTY_SECONDS = 1.0  # a refusal costs the client this long, so that it cannot flood the audit


class Limits:
    """The limits of one key; `values` are its own figures, else the site's, else the defaults."""

    def __init__(self, layout: Layout) -> None:
        of_site = layout.config.get("limits", {})
        self.values: Dict[str, int] = dict(DEFAULTS, **dict(of_site, **layout.settings.get("limits", {})))
        self._layout = layout

    def count_request(self) -> None:
        """Count one request of this minute; raise OverLimit, late, where there were too many."""
        minute = int(time.time() // 60)
        with self._shared(self._layout.usage) as figures:
            figures[:] = minute, figures[1] + 1 if figures[0] == minute else 1
        if figures[1] > self.values["requests_per_minute"]:
            time.sleep(PENALTY_SECONDS)
            raise OverLimit("Too many requests in this minute.", limit="requests_per_minute")

    def check_bytes(self, more: int) -> None:
        """Raise OverLimit where `more` bytes would be too many; else count them as kept."""
        with self._shared(self._layout.usage + ".bytes") as figures:
            if not 0 <= time.time() - figures[0] <= RECOUNT_SECONDS:
                figures[:] = time.time(), self.bytes_kept()
            if figures[1] + more > self.values["bytes"]:
                raise OverLimit("There is no room left for this key.", limit="bytes")
            figures[1] += more

    def check_attempts(self, alive: int, more: int) -> None:
        """Raise OverLimit where `more` Attempts beside `alive` others without result would be too many."""
        if more and alive + more > self.values["attempts_alive"]:
            raise OverLimit("Too many Attempts have no result yet.", limit="attempts_alive")

    def bytes_kept(self) -> int:
        """Count the bytes of all contents of this key, also of unfinished uploads."""
        roots = (os.walk(self._layout.blobs), os.walk(self._layout.parts))
        paths = (os.path.join(folder, name) for root in roots for folder, _, names in root for name in names)
        return sum(trees.file_size(path) or 0 for path in paths)

    @contextlib.contextmanager
    def _shared(self, path: str) -> Iterator[List[float]]:
        """Hold a pair of figures of the key, two zeros at first; what is made of them is kept."""
        with files.locked(path) as handle:
            figures = json.loads(os.pread(handle, 64, 0).decode("ascii") or "[0,0]")
            yield figures
            os.ftruncate(handle, 0)
            os.write(handle, files.canonical(figures))
