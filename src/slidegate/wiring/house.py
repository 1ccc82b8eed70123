# SPDX-License-Identifier: BSD-3-Clause
"""Everything at once, as one command of one person needs it."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slidegate.domain.values import RunId
from slidegate.settings import Settings
from slidegate.sites.registry import Registry
from slidegate.store import Store
from slidegate.wiring.gateways import LOCAL_PACE, SSH_PACE, Gateways, Say, unfinished
from slidegate.wiring.log import Log, make_home
from slidegate.wiring.omero import Omero, Sources, sink_of
from slidegate.worker import Runs, Worker
from slidegate.worker.places import Places
from slidegate.worker.tools import Pace, Tools


@dataclass(frozen=True, slots=True)
class House:
    """Everything, built: the embedded default.

    Attributes
    ----------
    runs
        What people ask of Runs.
    gateways
        The gates that there are, and who uses which.
    omero
        The OMERO that the person of this computer has logged in at, if any.
    """

    settings: Settings
    store: Store
    tools: Tools
    runs: Runs
    gateways: Gateways
    omero: Omero

    @property
    def registry(self) -> Registry:
        """The sites behind ssh."""
        return self.gateways.registry

    def gate_at(self, name: str, person: str | None = None) -> str:
        """Return what Runs of a person, or of the one who types, at a site are filed under.

        Raises
        ------
        UnknownSite, LinkNotValid, NotLinked
        """
        return self.gateways.gate_at(name, person or self.settings.person)

    def remove_site(self, name: str) -> None:
        """Forget a site, unless Runs there have not ended.

        Raises
        ------
        UnknownSite, SiteInUse
        """
        active = [run[:8] for run, at in unfinished(self.store) if at.startswith(f"{name}/")]
        self.registry.remove(name, active)

    def worker(self, runs: Collection[RunId] | None = None) -> Worker:
        """Return a worker, for some Runs or for all; the caller closes it."""
        return Worker(self.tools, runs)

    def close(self) -> None:
        """Let go of everything."""
        self.omero.close()
        self.tools.hang_up()
        self.store.close()


def omero_of(settings: Settings) -> Omero:
    """Return the OMERO of whoever has logged in, and what results there get beside the usual."""
    return Omero(labels=settings.omero_labels, tags=settings.omero_tags)


def tools_of(
    settings: Settings,
    store: Store,
    gateways: Gateways,
    pace: Pace = LOCAL_PACE,
    omero: Omero | None = None,
) -> Tools:
    """Return what every step of a worker needs, for one thread: its clients of gates are its own.

    Parameters
    ----------
    pace
        How patient a worker is with the embedded site.
    omero
        The OMERO of whoever has logged in; the caller closes it. Without it, one that ends with the process.
    """
    at = omero or omero_of(settings)
    return Tools(
        store=store,
        sources=Sources(at),
        sinks=lambda out: sink_of(out, at),
        gates=gateways.live(),
        clock=time.time,
        places=Places(settings.home.absolute()),
        pace=pace,
        pace_afar=SSH_PACE,
    )


def _nothing(_words: str) -> None:
    return


@contextmanager
def open_house(settings: Settings, say: Say = _nothing, pace: Pace = LOCAL_PACE) -> Iterator[House]:
    """Open the store, and know all sites; none is asked, and the embedded one not set up, before it is used.

    Parameters
    ----------
    say
        Told in words what takes long.
    pace
        How patient a worker is with the embedded site.
    """
    make_home(settings)
    store = Store.open(settings.database)
    try:
        gateways = Gateways(settings, store, say)
        omero = omero_of(settings)
        tools = tools_of(settings, store, gateways, pace, omero)
        house = House(settings, store, tools, Runs(tools, gateways.embedded.releases), gateways, omero)
        try:
            with Log(settings.home):
                yield house
        finally:
            house.close()
    finally:
        store.close()
