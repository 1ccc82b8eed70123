# SPDX-License-Identifier: BSD-3-Clause
"""Live views: one thread looks at what changed and tells everybody who watches, however many they are."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slidegate.api.asking import wish_view
from slidegate.api.guard import Who
from slidegate.api.problems import TooManyStreams
from slidegate.api.summaries import for_whom, summary
from slidegate.domain.errors import UnknownRun, trace_of
from slidegate.domain.values import RunId
from slidegate.store.pages import RunRow

if TYPE_CHECKING:
    from slidegate.api.parts import ApiParts

log = logging.getLogger("slidegate.api")
_ACTIVE = 1000
_NEWEST = 20
_SHARE = 4  # of the time at most a fourth is spent on looking
_TROUBLE_SECONDS = 2.0
_LEAST_PAUSE = 0.05


@dataclass(eq=False)
class Watcher:
    """Somebody who watches. What they were not told yet is kept once per thing: the newest.

    Attributes
    ----------
    run
        The only Run that is watched; None for all that the person may see.
    wishes
        What they asked workers for, and want to hear of.
    is_new
        Whether they were told nothing yet: they hear how things are, also when nothing has changed.
    """

    who: Who
    run: str | None
    wishes: frozenset[str]
    loop: asyncio.AbstractEventLoop
    is_new: bool = True
    untold: dict[tuple[str, str], str] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, kind: str, name: str, data: str) -> None:
        """Keep something to be told; from any thread."""
        self.loop.call_soon_threadsafe(self._keep, kind, name, data)

    def _keep(self, kind: str, name: str, data: str) -> None:
        self.untold[(kind, name)] = data
        self.news.set()


class Stream:
    """Looks, compares, and tells.

    Parameters
    ----------
    parts
        What the service is made of.
    """

    def __init__(self, parts: "ApiParts") -> None:
        self._parts = parts
        self._watchers: set[Watcher] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._rows: dict[str, RunRow] | None = None
        self._stamps: dict[str, str | None] = {}
        self._wishes: dict[str, Any] = {}

    def watch(self, who: Who, run: str | None, wishes: Collection[str]) -> Watcher:
        """Begin to watch; must be called in the loop that is to be told.

        Raises
        ------
        TooManyStreams
        """
        watcher = Watcher(who, run, frozenset(wishes), asyncio.get_running_loop())
        with self._condition:
            mine = sum(one.who.person == who.person for one in self._watchers)
            if mine >= self._parts.settings.streams_per_person:
                raise TooManyStreams(retry_after=10)
            self._watchers.add(watcher)
            self._parts.metrics.streams.set(len(self._watchers))
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="stream", daemon=True)
                self._thread.start()
            self._condition.notify()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Watch no more."""
        with self._condition:
            self._watchers.discard(watcher)
            self._parts.metrics.streams.set(len(self._watchers))

    async def told(self, watcher: Watcher, seconds: float) -> AsyncIterator[tuple[str, str]]:
        """Yield what a watcher is told, as (kind, JSON), for so many seconds."""
        ends = time.monotonic() + seconds
        try:
            while (left := ends - time.monotonic()) > 0 and not self._closed:
                try:
                    await asyncio.wait_for(watcher.news.wait(), left)
                except TimeoutError:
                    return
                watcher.news.clear()
                untold, watcher.untold = watcher.untold, {}
                for (kind, _name), data in untold.items():
                    yield kind, data
        finally:
            self.leave(watcher)

    def close(self) -> None:
        """Let the thread and all watchers end."""
        with self._condition:
            self._closed = True
            watchers = list(self._watchers)
            self._condition.notify()
        for watcher in watchers:
            watcher.loop.call_soon_threadsafe(watcher.news.set)
        if self._thread is not None:
            self._thread.join()

    # in the thread

    def _look(self) -> None:
        while True:
            with self._condition:
                while not self._watchers and not self._closed:
                    self._rows = None
                    self._stamps.clear()
                    self._wishes.clear()
                    self._condition.wait()
                if self._closed:
                    return
                watchers = list(self._watchers)
            began = time.monotonic()
            pause = self._parts.settings.poll_seconds
            try:
                self._look_once(watchers)
            except Exception as error:  # noqa: BLE001  (the edge: they go on watching)
                log.warning("%s", trace_of(error), extra={"action": "stream"})
                pause = _TROUBLE_SECONDS
            pause = max(pause, (time.monotonic() - began) * (_SHARE - 1))
            with self._condition:
                self._condition.wait_for(lambda: self._closed, min(pause, _LEAST_PAUSE))
                self._condition.wait_for(self._is_awaited, pause)

    def _is_awaited(self) -> bool:
        return self._closed or any(watcher.is_new for watcher in self._watchers)

    def _look_once(self, watchers: list[Watcher]) -> None:
        changed = self._changed(watchers)
        for watcher in watchers:
            if watcher.is_new:  # whatever happens from now on, they will hear of
                watcher.tell("hello", "", "{}")
        for row in changed:
            shown = summary(self._parts, row)
            texts: dict[tuple[str, ...], str] = {}
            for watcher in watchers:
                if watcher.run in (None, row.run) and watcher.who.may("runs.see", row.person, row.group):
                    mine = for_whom(shown, watcher.who)
                    key = tuple(mine["may"])
                    if key not in texts:
                        texts[key] = json.dumps(mine, ensure_ascii=False)
                    watcher.tell("run", row.run, texts[key])
        self._look_at_wishes(watchers)
        for watcher in watchers:
            watcher.is_new = False

    def _changed(self, watchers: list[Watcher]) -> list[RunRow]:
        """Return the Runs that are not what they were when this was called last."""
        found: dict[str, RunRow] = {}
        if any(watcher.run is None for watcher in watchers):
            found |= self._changed_of_all(watchers)
        else:
            self._rows = None
        named = {watcher.run for watcher in watchers if watcher.run}
        known = self._parts.store.pages.run_stamps(named) if named else {}
        stamps = {run: known.get(RunId(run)) for run in named}
        new = {watcher.run for watcher in watchers if watcher.is_new}
        for run, stamp in stamps.items():
            if run not in new and run in self._stamps and self._stamps[run] == stamp:
                continue
            row = None if stamp is None else self._row(run)
            if row is None:
                self._gone(watchers, run)
            else:
                found[run] = row
        self._stamps = stamps
        return list(found.values())

    def _changed_of_all(self, watchers: list[Watcher]) -> dict[str, RunRow]:
        """Look at all Runs that have not ended, and at the newest."""
        pages = self._parts.store.pages
        rows: dict[str, RunRow] = {}
        for state, limit in (("active", _ACTIVE), ("waiting", _ACTIVE), (None, _NEWEST)):
            rows |= {row.run: row for row in pages.runs_page(state=state, limit=limit)[0]}
        known, self._rows = self._rows, rows
        if known is None:
            return {}
        changed = {run: row for run, row in rows.items() if known.get(run) != row}
        for run in set(known) - set(rows):  # it has ended, is gone, or newer ones have come
            row = self._row(run)
            if row is None:
                self._gone(watchers, run)
            elif row != known[run]:
                changed[run] = row
        return changed

    def _row(self, run: str) -> RunRow | None:
        try:
            return self._parts.store.pages.run_row(run)
        except UnknownRun:
            return None

    def _gone(self, watchers: list[Watcher], run: str) -> None:
        for watcher in watchers:
            if watcher.run in (None, run):
                watcher.tell("gone", run, json.dumps({"run": run}))

    def _look_at_wishes(self, watchers: list[Watcher]) -> None:
        names = {name for watcher in watchers for name in watcher.wishes}
        if not names:
            return
        found = {wish.id: wish for wish in self._parts.store.wishes.several(names)}
        new = {name for watcher in watchers if watcher.is_new for name in watcher.wishes}
        for name, wish in found.items():
            if name in new or self._wishes.get(name) != wish:
                text = json.dumps(wish_view(wish), ensure_ascii=False)
                for watcher in watchers:
                    if name in watcher.wishes and watcher.who.person == wish.person:
                        watcher.tell("wish", name, text)
        self._wishes = found
