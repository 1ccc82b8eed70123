# SPDX-License-Identifier: BSD-3-Clause
"""The worker as a service: for many people and sites, as many processes as wanted, until it is told to end.

Each thread does one kind of thing, one small step at a time, with clients and leases of its own: nothing that
takes long keeps other things waiting. What a thread holds when the process is killed is free at once for
others of this computer, and after some seconds for those of other computers.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Protocol

from slidegate.domain.errors import SlidegateError
from slidegate.sites.errors import SiteError
from slidegate.store.database import StoreUnusable
from slidegate.worker.bell import Bell
from slidegate.worker.hooks import Hooks
from slidegate.worker.housekeeping import Chore, Housekeeping
from slidegate.worker.mover import QUICK, STAGES, Mover
from slidegate.worker.offering import Offering
from slidegate.worker.presence import Presence
from slidegate.worker.room import Room
from slidegate.worker.telling import in_words
from slidegate.worker.tools import Tools
from slidegate.worker.watching import watch_site

log = logging.getLogger(__name__)

SPARE_BYTES = 5_000_000_000
AHEAD = 500
_REST_SECONDS = 0.05
_REST_SECONDS_MOST = 0.5
_FAR_REST_SECONDS = 1.0
_TELL_REST_SECONDS = 2.0
_FAILED_SECONDS_MOST = 5.0
_LOOK_FOR_SITES_SECONDS = 1.0
_QUIET_SECONDS = 5.0
_QUIET_SECONDS_OF_WATCHERS = 30.0


class Steps(Protocol):
    """Something that is done step by step."""

    def step(self) -> bool:
        """Do one small thing; returns False when there is nothing to be done just now."""
        ...


MakeTools = Callable[[], Tools]
MakeGranter = Callable[[Tools, str, Event, bool], Steps]


class Watching:
    """Watches one site, and asks now and then what it offers."""

    def __init__(self, tools: Tools, site: str, owner: str) -> None:
        self._tools = tools
        self._site = site
        self._owner = owner
        self._offering = Offering(tools, site)

    def step(self) -> bool:
        """Ask the site what is due; returns whether anything changed."""
        changed = watch_site(self._tools, self._site, self._owner)
        return self._offering.step() or changed


@dataclass(frozen=True, slots=True)
class _Part:
    """One thread's task.

    Attributes
    ----------
    make
        Called in the thread with its tools, its sign of life and what tells it to end.
    rest_seconds
        How long it rests at most when there is nothing to do.
    listens
        Whether it looks at once when another thread has done something.
    quiet_seconds
        How long it keeps a channel to a site that it does not use.
    """

    name: str
    make: Callable[[Tools, Presence, Event], Steps]
    rest_seconds: float = _REST_SECONDS_MOST
    listens: bool = True
    quiet_seconds: float = _QUIET_SECONDS


class _Working(Thread):
    """A thread that does its part until it is told to end; whatever fails is begun anew."""

    def __init__(self, part: _Part, make_tools: MakeTools, bell: Bell) -> None:
        super().__init__(name=f"slidegate-{part.name}", daemon=True)
        self._part = part
        self._make_tools = make_tools
        self._bell = bell
        self.told = Event()
        self.presence: Presence | None = None

    def run(self) -> None:
        failures = 0
        while not self.told.is_set():
            began = time.monotonic()
            try:
                self._live()
            except StoreUnusable as error:
                log.warning("%s", error.message, extra={"action": "part_waits", "doing": self._part.name})
            except Exception as error:  # noqa: BLE001  (the edge of a worker's step)
                known = in_words(error, self._part.name)
                extra = {"action": "part_broke", "doing": self._part.name, "code": known.code}
                log.error("a part of the worker broke and is begun anew", extra=extra)
            failures = 1 if time.monotonic() - began > _FAILED_SECONDS_MOST else failures + 1
            self.told.wait(min(_FAILED_SECONDS_MOST, _REST_SECONDS * 2.0 ** min(failures, 20)))
        if self.presence is not None:
            self.presence.end()

    def _live(self) -> None:
        tools = self._make_tools()
        if self.presence is None:
            self.presence = Presence(tools.places.workers)
        else:
            tools.store.queue.free(self.presence.owner)  # what it held when it broke
        try:
            self._go_on(tools, self._part.make(tools, self.presence, self.told))
        finally:
            with suppress(SlidegateError, OSError):
                tools.hang_up()

    def _go_on(self, tools: Tools, steps: Steps) -> None:
        rest = _REST_SECONDS
        while not self.told.is_set():
            heard = self._bell.rings
            if steps.step():
                rest = _REST_SECONDS
                self._bell.ring()
                continue
            with suppress(SiteError):
                tools.hang_up(self._part.quiet_seconds)
            if not self._part.listens:
                self.told.wait(rest)
            elif self._bell.wait(heard, rest):
                rest = _REST_SECONDS
                continue
            rest = min(2 * rest, self._part.rest_seconds)


class Service:
    """All that a worker process does.

    Parameters
    ----------
    make_tools
        Called once in each thread: gives tools with clients of its own; the store, and the patience with each
        site, are shared by all.
    make_granter
        Makes what grants wishes, from (tools, owner, what tells it to end, whether only what is quick); None
        grants none.
    stagings
        How many images are staged at once.
    movers
        How many threads submit, collect and publish.
    granters
        How many threads grant wishes; the first of several only those that are quick.
    spare_bytes
        Nothing is staged while less is free on the disk of slidegate's home.
    ahead
        Nothing more is staged for a site while so many Tasks are there, or ready, and have not begun.
    allow_private_hooks
        Whether the ends of Runs may be told to addresses in this network.
    chores
        What else has to be done now and then.
    """

    def __init__(
        self,
        make_tools: MakeTools,
        make_granter: MakeGranter | None = None,
        *,
        stagings: int = 2,
        movers: int = 2,
        granters: int = 3,
        spare_bytes: int = SPARE_BYTES,
        ahead: int = AHEAD,
        allow_private_hooks: bool = False,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._make_tools = make_tools
        self._bell = Bell()
        self._tools = make_tools()
        tools = self._tools
        self._room = Room(tools.store, tools.clock, tools.places.home, spare_bytes, ahead)
        self._parts = [
            *(_Part(f"stage-{number}", self._stager) for number in range(stagings)),
            *(_Part(f"move-{number}", self._mover) for number in range(movers)),
            _Part("keep-house", lambda tools, presence, _told: Housekeeping(tools, presence, chores)),
            _Part("tell", self._teller(allow_private_hooks), _TELL_REST_SECONDS, listens=False),
        ]
        if make_granter is not None:
            for number in range(granters):
                quick = number == 0 and granters > 1
                make = partial(_granter, make_granter, quick)
                self._parts.append(_Part(f"grant-{number}", make, rest_seconds=_REST_SECONDS * 4))

    def run(self, stop: Event, grace_seconds: float = 5.0) -> bool:
        """Work until it is told to end, and give back what is under way.

        Parameters
        ----------
        stop
            Set, from a signal's handler for example, when the service shall end.
        grace_seconds
            How long a step under way may take to be given up.

        Returns
        -------
        Whether all threads have ended. Those that have not wait for something outside; what they held was
        given back, and the process may leave them.
        """
        log.info("the worker begins", extra={"action": "worker_begins"})
        working = {part.name: self._begin(part) for part in self._parts}
        watching: dict[str, _Working] = {}
        while not stop.is_set():
            self._follow_sites(watching)
            stop.wait(_LOOK_FOR_SITES_SECONDS)
        ended = self._end([*working.values(), *watching.values()], grace_seconds)
        log.info("the worker ends", extra={"action": "worker_ends"})
        return ended

    def _begin(self, part: _Part) -> _Working:
        thread = _Working(part, self._make_tools, self._bell)
        thread.start()
        return thread

    def _follow_sites(self, watching: dict[str, _Working]) -> None:
        """Watch each site that there is now, and no other."""
        try:
            sites = set(self._tools.gates)
        except (SlidegateError, OSError) as error:
            known = in_words(error, "sites")
            log.warning("the sites cannot be listed", extra={"action": "no_sites", "code": known.code})
            return
        for site in watching.keys() - sites:
            watching.pop(site).told.set()
        self._pass_over(sites)
        for site in sites - watching.keys():
            watching[site] = self._begin(self._watcher(site))

    def _pass_over(self, sites: set[str]) -> None:
        """Do not wait, after a backup was restored, for sites that are gone and where no Run is under way."""
        store = self._tools.store
        with suppress(StoreUnusable):
            if gone := store.sites.reconciling().keys() - sites:
                needed = {str(store.runs.run(run)["site"]) for run in store.runs.unfinished()}
                for site in gone - needed:
                    store.sites.reconciled(site)
                    log.warning("a site is gone and is not read", extra={"action": "site_gone", "site": site})

    def _watcher(self, site: str) -> _Part:
        def make(tools: Tools, presence: Presence, _told: Event) -> Steps:
            return Watching(tools, site, presence.owner)

        often = self._tools.pace_at(site).poll_seconds_most
        rest = min(_FAR_REST_SECONDS, 2 * often)
        is_near = rest < _FAR_REST_SECONDS
        return _Part(f"watch-{site}", make, rest, is_near, _QUIET_SECONDS_OF_WATCHERS)

    def _teller(self, allow_private: bool) -> Callable[[Tools, Presence, Event], Steps]:
        return lambda tools, presence, _told: Hooks(tools, presence.owner, allow_private)

    def _stager(self, tools: Tools, presence: Presence, told: Event) -> Steps:
        return Mover(tools, presence.owner, told, states=STAGES, room=self._room)

    def _mover(self, tools: Tools, presence: Presence, told: Event) -> Steps:
        return Mover(tools, presence.owner, told, states=QUICK)

    def _end(self, threads: Sequence[_Working], grace_seconds: float) -> bool:
        for thread in threads:
            thread.told.set()
        self._bell.ring()
        deadline = time.monotonic() + grace_seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread for thread in threads if thread.is_alive()]
        for thread in left:
            log.warning("a thread waits for something", extra={"action": "left", "doing": thread.name})
            if thread.presence is not None:
                with suppress(StoreUnusable):
                    self._tools.store.queue.free(thread.presence.owner)
        return not left


def _granter(make: MakeGranter, quick: bool, tools: Tools, presence: Presence, told: Event) -> Steps:
    return make(tools, presence.owner, told, quick)
