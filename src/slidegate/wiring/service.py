# SPDX-License-Identifier: BSD-3-Clause
"""The worker as a service: built from settings, and run until it is told to end."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

from slidegate.cache import Cache
from slidegate.local_site import PREVIEW
from slidegate.settings import Settings
from slidegate.sources.shelves import Shelves
from slidegate.store import Store
from slidegate.store.wishes import KINDS
from slidegate.wiring.gateways import Gateways
from slidegate.wiring.house import tools_of
from slidegate.wiring.log import make_home, told_in_lines
from slidegate.wiring.omero import check_installed
from slidegate.worker import Runs
from slidegate.worker.acting import Acting
from slidegate.worker.housekeeping import Chore
from slidegate.worker.service import Service
from slidegate.worker.tools import Tools
from slidegate.worker.wishes.desk import Desk
from slidegate.worker.wishes.granter import QUICK, Granter

_SWEEP_SECONDS = 60.0
_KEEP_ALIVE_SECONDS = 60.0


def serve_worker(settings: Settings) -> None:
    """Do what people ask for until the process is told to end; what is under way is given back."""
    stop = Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    with told_in_lines("worker"):
        with open_service(settings) as service:
            ended = service.run(stop)
        if not ended:  # a thread hangs in what cannot be interrupted; its leases were given back
            os._exit(0)


@contextmanager
def open_service(settings: Settings) -> Iterator[Service]:
    """Open the store, and make the service on it; sites are asked when it runs."""
    make_home(settings)
    store = Store.open(settings.database)
    try:
        yield make_service(settings, store)
    finally:
        store.close()


def make_service(settings: Settings, store: Store) -> Service:
    """Build the service; every thread of it gets tools of its own."""
    gateways = Gateways(settings, store, lambda _words: None)
    cache = Cache(settings.cache, int(settings.cache_gb * 1e9))
    shelves = Shelves(settings.shelves)
    make_acting, chores = acting_in_omero(settings, store)

    def make_tools() -> Tools:
        return replace(tools_of(settings, store, gateways), cache=cache, acting=make_acting())

    def make_granter(tools: Tools, owner: str, stop: Event, quick: bool) -> Granter:
        desk = Desk(
            tools=tools,
            cache=cache,
            shelves=shelves,
            results=settings.results_dir,
            gate_at=lambda person, site: gateways.gate_at(site, person),
            runs=Runs(tools, gateways.embedded.releases),
            preview=gateways.embedded.gate(PREVIEW),
        )
        return Granter(desk, QUICK if quick else KINDS, owner, stop)

    return Service(
        make_tools,
        make_granter,
        allow_private_hooks=settings.allow_private_webhooks,
        chores=(Chore("cache", _SWEEP_SECONDS, cache.sweep), *chores),
    )


def acting_in_omero(
    settings: Settings, store: Store
) -> tuple[Callable[[], Acting | None], tuple[Chore, ...]]:
    """Return what makes, for each thread, what acts for people in OMERO; and what has to be done for it.

    Raises
    ------
    OmeroNotInstalled
        The settings name an OMERO, and what talks to it is missing.
    """
    if settings.omero_host is None:
        return (lambda: None), ()
    check_installed()
    from slidegate.wiring.acting import ActingInOmero, Granting

    if settings.omero_account is not None:
        return (lambda: ActingInOmero(settings, store, None)), ()
    granting = Granting(settings, store)
    chore = Chore("omero-grants", _KEEP_ALIVE_SECONDS, granting.look_after)
    return (lambda: ActingInOmero(settings, store, granting)), (chore,)
