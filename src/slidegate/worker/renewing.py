# SPDX-License-Identifier: BSD-3-Clause
"""Keeping a lease while something takes long."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

from slidegate.store.database import StoreUnusable
from slidegate.worker.errors import NoLongerWanted

Clock = Callable[[], float]


class Renewing(ABC):
    """A context in which a lease is renewed by another thread, three times in the time that it lasts.

    Parameters
    ----------
    clock
        Seconds since 1970.
    seconds
        How long the lease lasts.
    stop
        Set when the worker shall go: what takes long is given up.
    """

    def __init__(self, clock: Clock, seconds: float, stop: Event | None = None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._stop = stop or Event()
        self._done = Event()
        self._lost = Event()
        self._thread = Thread(target=self._go_on, name="slidegate-lease", daemon=True)

    @abstractmethod
    def renew(self, until: float) -> bool:
        """Prolong the lease; return whether it was still held."""

    def check(self) -> None:
        """Raise NoLongerWanted when the lease is somebody else's now, or the worker shall go."""
        if self._lost.is_set() or self._stop.is_set():
            raise NoLongerWanted

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._done.wait(self._seconds / 3):
            with suppress(StoreUnusable):  # the next try may do; if none does, the lease is lost in time
                if not self.renew(self._clock() + self._seconds):
                    self._lost.set()
                    return
