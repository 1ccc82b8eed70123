# SPDX-License-Identifier: BSD-3-Clause
"""Keeping hold of Tasks while something takes long: leases are renewed, progress is noted."""

from collections.abc import Callable, Sequence
from threading import Event

from slidegate.store import Store
from slidegate.store.queue import Claim
from slidegate.worker.errors import NoLongerWanted
from slidegate.worker.renewing import Clock, Renewing

__all__ = ["Clock", "Holding"]

_NOTE_SECONDS = 0.25


class Holding(Renewing):
    """A context in which leases are renewed by another thread.

    Parameters
    ----------
    claims
        What is held; the first is the one whose progress is noted.
    lease_seconds
        How long a lease lasts.
    stop
        Set when the worker shall go: what takes long is given up.
    """

    def __init__(
        self,
        store: Store,
        claims: Sequence[Claim],
        clock: Clock,
        lease_seconds: float,
        stop: Event | None = None,
    ) -> None:
        super().__init__(clock, lease_seconds, stop)
        self._store = store
        self._claims = list(claims)
        self._noted_at = 0.0

    def add(self, claims: Sequence[Claim]) -> None:
        """Hold further Tasks too."""
        self._claims = [*self._claims, *claims]

    def renew(self, until: float) -> bool:
        """See Renewing."""
        return self._store.queue.renew(self._claims, until)

    def note(self, step: str) -> Callable[[int, int], None]:
        """Return a function (done, total) that notes progress of a step, a few times a second.

        It raises NoLongerWanted when the Task is cancelled or somebody else's meanwhile, which ends the work.
        """

        def noted(done: int, total: int) -> None:
            self.check()
            now = self._clock()
            if done < total and abs(now - self._noted_at) < _NOTE_SECONDS:
                return
            self._noted_at = now
            if not self._store.queue.progress(self._claims[0], step, done, total, now):
                raise NoLongerWanted

        return noted
