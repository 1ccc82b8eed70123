# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for what workers do: one thread of a process looks at all wishes that somebody here waits for."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable

from slidegate.domain.errors import trace_of
from slidegate.store import Store
from slidegate.store.wishes import Wish

log = logging.getLogger("slidegate.api")
PAUSE = 0.05
_TROUBLE_PAUSE = 1.0


class Waiting:
    """Looks at open wishes in one query, for any number of requests.

    Parameters
    ----------
    changed
        Told how many requests wait.
    """

    def __init__(self, store: Store, changed: Callable[[int], None] = lambda _number: None) -> None:
        self._store = store
        self._changed = changed
        self._futures: defaultdict[str, set[asyncio.Future[Wish]]] = defaultdict(set)
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def until_ended(self, wish: Wish, seconds: float) -> Wish:
        """Wait until a wish was granted or refused; returns it as it is then, or as it was after so long."""
        if wish.state != "open" or seconds <= 0:
            return wish
        future: asyncio.Future[Wish] = asyncio.get_running_loop().create_future()
        self._add(wish.id, future)
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return wish
        finally:
            self._remove(wish.id, future)

    def close(self) -> None:
        """Let the thread end."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _add(self, wish: str, future: "asyncio.Future[Wish]") -> None:
        with self._condition:
            self._futures[wish].add(future)
            self._changed(sum(map(len, self._futures.values())))
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="waiting", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _remove(self, wish: str, future: "asyncio.Future[Wish]") -> None:
        with self._condition:
            self._futures[wish].discard(future)
            if not self._futures[wish]:
                del self._futures[wish]
            self._changed(sum(map(len, self._futures.values())))

    def _look(self) -> None:
        while True:
            with self._condition:
                while not self._futures and not self._closed:
                    self._condition.wait()
                if self._closed:
                    return
                names = list(self._futures)
            pause = PAUSE
            try:
                for wish in self._store.wishes.several(names):
                    if wish.state != "open":
                        self._tell(wish)
            except Exception as error:  # noqa: BLE001  (the edge: the requests go on waiting)
                log.warning("%s", trace_of(error), extra={"action": "waiting"})
                pause = _TROUBLE_PAUSE
            with self._condition:
                self._condition.wait_for(lambda: self._closed, pause)

    def _tell(self, wish: Wish) -> None:
        with self._condition:
            futures = list(self._futures.get(wish.id, ()))
        for future in futures:
            try:
                future.get_loop().call_soon_threadsafe(_set, future, wish)
            except RuntimeError:  # the loop has ended
                continue


def _set(future: "asyncio.Future[Wish]", wish: Wish) -> None:
    if not future.done():
        future.set_result(wish)
