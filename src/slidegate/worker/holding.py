# SPDX-License-Identifier: BSD-3-Clause
"""Keeping hold of Tasks while something takes long: leases are renewed, progress is noted."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType

from slidegate.store import Store
from slidegate.store.database import StoreUnusable
from slidegate.store.queue import Claim
from slidegate.worker.errors import NoLongerWanted

Clock = Callable[[], float]
_NOTE_SECONDS = 0.25


class Holding:
    """A context in which leases are renewed by another thread.

    Parameters
    ----------
    claims
        What is held; the first is the one whose progress is noted.
    lease_seconds
        How long a lease lasts; it is renewed three times in that time.
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
        self._store = store
        self._claims = list(claims)
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._stop = stop or Event()
        self._done = Event()
        self._lost = Event()
        self._noted_at = 0.0
        self._thread = Thread(target=self._renew, name="slidegate-lease", daemon=True)

    def __enter__(self) -> "Holding":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def add(self, claims: Sequence[Claim]) -> None:
        """Hold further Tasks too."""
        self._claims = [*self._claims, *claims]

    def _renew(self) -> None:
        while not self._done.wait(self._lease_seconds / 3):
            with suppress(StoreUnusable):  # the next try may do; if none does, the lease is lost in time
                if not self._store.queue.renew(self._claims, self._clock() + self._lease_seconds):
                    self._lost.set()
                    return

    def note(self, step: str) -> Callable[[int, int], None]:
        """Return a function (done, total) that notes progress of a step, a few times a second.

        It raises NoLongerWanted when the Task is cancelled or somebody else's meanwhile, which ends the work.
        """

        def noted(done: int, total: int) -> None:
            now = self._clock()
            if self._lost.is_set() or self._stop.is_set():
                raise NoLongerWanted
            if done < total and abs(now - self._noted_at) < _NOTE_SECONDS:
                return
            self._noted_at = now
            if not self._store.queue.progress(self._claims[0], step, done, total, now):
                raise NoLongerWanted

        return noted
