# SPDX-License-Identifier: BSD-3-Clause
"""How often somebody may ask: buckets that fill again, in this process, of limited number."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MOST = 50_000


@dataclass(frozen=True, slots=True)
class Pace:
    """A bucket's size, and how much flows back each second."""

    burst: float
    per_second: float


class Limits:
    """Buckets by key; those that were not used for longest are forgotten first.

    Parameters
    ----------
    clock
        Seconds, of a clock that is never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, kind: str, key: str, pace: Pace, amount: float = 1.0) -> float:
        """Take from a bucket.

        Returns
        -------
        0.0 when there was enough; else the seconds after which there will be, and nothing was taken.
        """
        now = self._clock()
        with self._lock:
            left = self._left(kind, key, pace, now)
            wait = 0.0 if left >= amount else (amount - left) / pace.per_second
            self._keep(kind, key, left - amount if wait == 0.0 else left, now)
        return wait

    def look(self, kind: str, key: str, pace: Pace) -> float:
        """Return after how many seconds :meth:`take` would succeed; takes nothing."""
        now = self._clock()
        with self._lock:
            left = self._left(kind, key, pace, now)
        return 0.0 if left >= 1.0 else (1.0 - left) / pace.per_second

    def refill(self, kind: str, key: str) -> None:
        """Make a bucket full."""
        with self._lock:
            self._buckets.pop((kind, key), None)

    def _left(self, kind: str, key: str, pace: Pace, now: float) -> float:
        left, at = self._buckets.get((kind, key), (pace.burst, now))
        return min(pace.burst, left + max(0.0, now - at) * pace.per_second)

    def _keep(self, kind: str, key: str, left: float, now: float) -> None:
        self._buckets[(kind, key)] = (left, now)
        self._buckets.move_to_end((kind, key))
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
