# SPDX-License-Identifier: BSD-3-Clause
"""A few connections to OMERO at once, asked again where OMERO or the network failed for a while."""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

import Ice
import omero

from slidegate.domain.errors import SlidegateError

from .connection import Connection, speaking
from .errors import OmeroBusyError, OmeroSessionGoneError

Connect = Callable[[], Connection]

CONNECTIONS = 4
PATIENCE_S = 120.0
_PAUSE_S = (0.1, 10.0)
_ANSWER_S = 120.0  # a server that has not answered by then is asked over a new connection


class Lane(ABC):
    """One connection and a service on it that reads; both are made when they are needed.

    Parameters
    ----------
    connect
        Makes the connection.
    group
        The group of all calls.
    """

    def __init__(self, connect: Connect, group: int) -> None:
        self._connect, self._group = connect, group
        self._connection: Connection | None = None
        self._service: Any = None
        self.context: dict[str, str] = {}
        self.was_open = False

    @abstractmethod
    def begin(self, session: Any) -> Any:
        """Make the service of a session, with no time-out of its own."""

    @abstractmethod
    def choose(self, service: Any) -> None:
        """Tell the service what is read."""

    def service(self) -> Any:
        """Return the service, which waits for an answer for a while only."""
        if self._service is not None:
            return self._service
        self.was_open = False  # a session that is gone already when a connection is made will not come back
        self.close()
        self._connection = self._connect()
        self.was_open = True
        self.context = self._connection.context(self._group)
        with speaking():
            made = self.begin(self._connection.client.getSession())
            service = made.ice_invocationTimeout(int(_ANSWER_S * 1000))
            self.choose(service)
        self._service = service
        return service

    def close(self) -> None:
        """End the connection, in whatever state it is."""
        service, self._service = self._service, None
        connection, self._connection = self._connection, None
        if service is not None:
            with suppress(Ice.Exception, omero.ClientError):
                service.close(self.context)
        if connection is not None:
            connection.close()


L = TypeVar("L", bound=Lane)
T = TypeVar("T")


class Lanes(Generic[L]):
    """Lanes side by side, with a thread for each.

    Parameters
    ----------
    make
        Makes a lane.
    connections
        How many.
    patience_s
        How long something is asked for again when OMERO cannot give it.
    """

    def __init__(self, make: Callable[[], L], connections: int, patience_s: float) -> None:
        self.connections, self._patience_s = connections, patience_s
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="omero-lane")
        self._free: queue.LifoQueue[L] = queue.LifoQueue()
        for _ in range(connections):
            self._free.put(make())
        self._ending = threading.Event()

    def submit(self, ask: Callable[[L], T]) -> Future[T]:
        """Ask in a thread, as `ask` does."""
        return self._pool.submit(self.ask, ask)

    def ask(self, ask: Callable[[L], T]) -> T:
        """Ask over a free lane, again and again as long as that can help.

        Raises
        ------
        OmeroError
            It failed for longer than the patience lasts, or will fail always.
        """
        lane = self._free.get()
        until = time.monotonic() + self._patience_s
        pause = _PAUSE_S[0]
        try:
            while True:
                try:
                    return ask(lane)
                except SlidegateError as error:
                    if not isinstance(error, OmeroBusyError):
                        lane.close()
                    gone = isinstance(error, OmeroSessionGoneError) and lane.was_open
                    if not (error.transient or gone) or time.monotonic() + pause > until:
                        raise
                    if self._ending.wait(pause):
                        raise
                pause = min(2 * pause, _PAUSE_S[1])
        finally:
            self._free.put(lane)

    def close(self) -> None:
        """End all connections. Safe to repeat."""
        self._ending.set()
        self._pool.shutdown(cancel_futures=True)
        while not self._free.empty():
            self._free.get().close()
