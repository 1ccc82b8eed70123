# SPDX-License-Identifier: BSD-3-Clause
"""Everything at once, as one command of one person needs it."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slidegate.domain.errors import BadRequest, SlidegateError
from slidegate.domain.values import RunId
from slidegate.local_site import ensure_local_site
from slidegate.settings import Settings
from slidegate.sites import Gate, Link, PipeLink, SshGate
from slidegate.sites.keys import Keys
from slidegate.sites.registry import LOCAL, SSH_ITSELF, Registry, Site
from slidegate.sites.ssh import Patience
from slidegate.sources.folder import FolderSink, FolderSource
from slidegate.store import Store
from slidegate.store.people import gate_id
from slidegate.store.sites import AuditHead
from slidegate.wiring.log import Log, make_home
from slidegate.worker import Runs, Worker
from slidegate.worker.places import Places
from slidegate.worker.tools import Pace, Tools

# The embedded site is asked over a pipe, which costs milliseconds: what it has done is noticed soon.
LOCAL_PACE = Pace(poll_seconds_most=0.1)
# A cluster serves many people, and the gate itself looks at the scheduler twice in a minute.
SSH_PACE = Pace(poll_seconds=2.0, poll_seconds_most=15.0, retry_seconds=2.0, space_seconds=300.0)
Say = Callable[[str], None]


class NotLinked(BadRequest):
    """The person has no account at the site, and the site has no key that everybody may use."""

    code = "not-linked"


class KeptHeads:
    """The end of a site's record, kept in the store."""

    def __init__(self, store: Store, site: str) -> None:
        self._sites = store.sites
        self._site = site

    def known(self) -> tuple[int, str]:
        """See slidegate.sites.gate.Heads."""
        found = self._sites.audit_head(self._site)
        return found.seq, found.head

    def advance(self, seq: int, head: str) -> None:
        """See slidegate.sites.gate.Heads."""
        self._sites.advance_head(self._site, AuditHead(seq, head))


@dataclass(frozen=True, slots=True)
class House:
    """Everything, built: the embedded default.

    Attributes
    ----------
    runs
        What people ask of Runs.
    registry
        The sites behind ssh.
    """

    settings: Settings
    store: Store
    tools: Tools
    runs: Runs
    registry: Registry

    def gate_at(self, name: str) -> str:
        """Return what Runs of this person at a site are filed under: the site, and the key that is used.

        Raises
        ------
        UnknownSite, LinkNotValid, NotLinked
        """
        if name == LOCAL:
            return LOCAL
        site, person = self.registry.get(name), self.settings.person
        link = self.store.people.link(person, name, self.tools.clock())
        key = site.key if link is None else link.key
        if key is None:
            raise NotLinked(
                f"Nothing links {person!r} to the site {name!r}, and it has no key that everybody may use. "
                f"Whoever looks after slidegate can change that: slidegate person link {person} {name} "
                "--account ACCOUNT --key KEY"
            )
        return gate_id(name, key)

    def remove_site(self, name: str) -> None:
        """Forget a site, unless Runs there have not ended.

        Raises
        ------
        UnknownSite, SiteInUse
        """
        self.registry.remove(
            name, [run[:8] for run, at in unfinished(self.store) if at.startswith(f"{name}/")]
        )

    def worker(self, runs: Collection[RunId] | None = None) -> Worker:
        """Return a worker, for some Runs or for all; the caller closes it."""
        return Worker(self.tools, runs)

    def close(self) -> None:
        """Let go of everything."""
        for gate in self.tools.gates.values():
            gate.close()
        self.store.close()


class EmbeddedSite:
    """The gate on this computer: the same program as on a cluster, set up when it is first needed.

    Attributes
    ----------
    releases
        The Release of each workflow that came with this installation; empty before.
    """

    def __init__(self, settings: Settings, store: Store, say: Say) -> None:
        self._settings = settings
        self._store = store
        self._say = say
        self._is_set_up = False
        self.releases: dict[str, str] = {}

    def gate(self) -> Gate:
        """Return its client."""
        argv = [*self._settings.local_program("serve"), "--key", LOCAL]
        return Gate(lambda: PipeLink(argv), KeptHeads(self._store, LOCAL), self._set_up)

    def _set_up(self) -> None:
        if not self._is_set_up:
            on_new = partial(self._store.sites.reset, LOCAL)
            self.releases |= ensure_local_site(self._settings, self._say, on_new)
            self._is_set_up = True


def unfinished(store: Store) -> list[tuple[RunId, str]]:
    """Return the Runs that have not ended, each with the name of its gate."""
    return [(run, str(store.runs.run(run)["site"])) for run in store.runs.unfinished()]


def gates_over_ssh(settings: Settings, store: Store, registry: Registry) -> dict[str, Gate]:
    """Return a client for each site and each key that it is, or was lately, used with."""
    gates = {}
    active = {at for _run, at in unfinished(store)}
    links = store.people.links()
    for name in registry.names():
        try:
            site = registry.get(name)
        except SlidegateError:  # told to whoever names it; the others can be used
            continue
        keys = {link.key for link in links if link.site == name} | ({site.key} if site.key else set())
        keys |= {at.partition("/")[2] for at in active if at.startswith(f"{name}/")}
        patience = Patience()
        for key in sorted(keys):
            gates[gate_id(name, key)] = _gate_over_ssh(settings, store, registry, site, key, patience)
    return gates


def _gate_over_ssh(
    settings: Settings, store: Store, registry: Registry, site: Site, key: str, patience: Patience
) -> Gate:
    def connect() -> Link:
        identity = None if key == SSH_ITSELF else Keys(settings.home).get(key).private
        host = registry.host(site, store.people.account(site.name, key), identity)
        return SshGate(host, registry.channels(site.name), key, patience)()

    return Gate(connect, KeptHeads(store, gate_id(site.name, key)))


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
        embedded, registry = EmbeddedSite(settings, store, say), Registry(settings.home)
        remote = gates_over_ssh(settings, store, registry)
        tools = Tools(
            store=store,
            sources={"folder": FolderSource()},
            sinks=lambda out: FolderSink(Path(out)),
            gates={LOCAL: embedded.gate(), **remote},
            clock=time.time,
            places=Places(settings.home.absolute()),
            pace=pace,
            paces=dict.fromkeys(remote, SSH_PACE),
        )
        runs = Runs(tools, embedded.releases)
        house = House(settings, store, tools, runs, registry)
        try:
            with Log(settings.home):
                yield house
        finally:
            house.close()
    finally:
        store.close()
