# SPDX-License-Identifier: BSD-3-Clause
"""A worker of one thread: watches sites and moves Tasks in turn, as a command needs it."""

import logging
from collections.abc import Collection
from contextlib import suppress
from importlib import import_module
from threading import Event

from slidegate.domain.values import RunId
from slidegate.store.database import StoreUnusable
from slidegate.worker.mover import Mover
from slidegate.worker.presence import Presence, free_the_dead
from slidegate.worker.tools import Tools
from slidegate.worker.watching import watch_site

log = logging.getLogger(__name__)

_LOOK_FOR_DEAD_SECONDS = 2.0


class Worker:
    """Moves Tasks.

    Parameters
    ----------
    tools
        The store and the outside world.
    runs
        Only Tasks of these Runs, and the sites where they are; None for all. News of a site move all Tasks
        there, whosesoever they are.
    """

    def __init__(self, tools: Tools, runs: Collection[RunId] | None = None) -> None:
        self._tools = tools
        self._sites = list(tools.gates)
        if runs is not None:
            unread = set(tools.store.sites.reconciling()) & set(tools.gates)
            self._sites = sorted({tools.store.runs.run(run)["site"] for run in runs} | unread)
        self._presence = Presence(tools.places.workers)
        self._owner = self._presence.owner
        self._stop = Event()
        self._mover = Mover(tools, self._owner, self._stop, runs)
        self._free_the_dead()

    def step(self) -> bool:
        """Do one small thing.

        Returns
        -------
        False when there is nothing to be done just now; the caller then waits a little.
        """
        if sum(self._watch(site) for site in self._sites) or self._mover.step():
            return True
        if self._tools.clock() - self._looked_at > _LOOK_FOR_DEAD_SECONDS:
            self._free_the_dead()
        # what writes the accounts of results takes long to load: better now than when a result is there
        import_module("slidegate.worker.crate")
        return False

    def stop(self) -> None:
        """Let the step under way be given up, soon; from any thread."""
        self._stop.set()

    def close(self) -> None:
        """Let sites free what is not needed any more, and go."""
        for site in self._sites:
            with suppress(StoreUnusable):
                self._tools.store.sites.hurry(site)
                self._watch(site)
        self._tools.hang_up()
        self._presence.end()

    def _watch(self, site: str) -> bool:
        try:
            return watch_site(self._tools, site, self._owner)
        except StoreUnusable as error:  # its lease runs out, and whoever comes next asks again
            log.warning("%s", error.message, extra={"action": "watch_given_up", "site": site})
            return False

    def _free_the_dead(self) -> None:
        self._looked_at = self._tools.clock()
        free_the_dead(self._tools, self._presence, self._looked_at)
