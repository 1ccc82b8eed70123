# SPDX-License-Identifier: BSD-3-Clause
"""The gates that there are, as they are now: the embedded one, and one for each site and key behind ssh."""

import threading
import time
from collections.abc import Callable
from functools import partial

from slidegate.domain.errors import BadRequest, SlidegateError, UnknownSite
from slidegate.domain.values import RunId
from slidegate.local_site import PREVIEW, ensure_local_site
from slidegate.settings import Settings
from slidegate.sites import Gate, Link, PipeLink, SshGate
from slidegate.sites.keys import Keys
from slidegate.sites.registry import LOCAL, SSH_ITSELF, Registry
from slidegate.sites.ssh import Patience
from slidegate.store import Store
from slidegate.store.people import gate_id
from slidegate.store.sites import AuditHead
from slidegate.worker.gates import LiveGates
from slidegate.worker.tools import Pace

# The embedded site is asked over a pipe, which costs milliseconds: what it has done is noticed soon.
LOCAL_PACE = Pace(poll_seconds_most=0.1)
# A cluster serves many people, and the gate itself looks at the scheduler twice in a minute.
SSH_PACE = Pace(
    poll_seconds=2.0,
    poll_seconds_most=15.0,
    retry_seconds=2.0,
    space_seconds=300.0,
    offers_seconds=300.0,
)
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


class EmbeddedSite:
    """The gate on this computer: the same program as on a cluster, set up when it is first needed.

    Any number of threads may use it.

    Attributes
    ----------
    releases
        The Release of each workflow that came with this installation; empty before.
    """

    def __init__(self, settings: Settings, store: Store, say: Say) -> None:
        self._settings = settings
        self._store = store
        self._say = say
        self._lock = threading.Lock()
        self._is_set_up = False
        self.releases: dict[str, str] = {}

    def gate(self, key: str = LOCAL) -> Gate:
        """Return a client of it, with a key of its own: that for Runs, or that for previews."""
        argv = [*self._settings.local_program("serve"), "--key", key]
        heads = KeptHeads(self._store, LOCAL if key == LOCAL else gate_id(LOCAL, key))
        return Gate(lambda: PipeLink(argv), heads, self.set_up)

    def set_up(self) -> None:
        """Set up what is missing of it; where nothing is, that costs milliseconds."""
        with self._lock:
            if not self._is_set_up:
                self.releases |= ensure_local_site(self._settings, self._say, self._reset)
                self._is_set_up = True

    def _reset(self) -> None:
        """Forget what was heard of an earlier site."""
        for site in (LOCAL, gate_id(LOCAL, PREVIEW)):
            self._store.sites.reset(site)


class Gateways:
    """Knows the gates and makes clients of them; nothing is asked, or set up, before a client is used.

    Any number of threads may use it; a client is for one of them. How patient one is with a site is one thing
    for all clients of that site.
    """

    def __init__(self, settings: Settings, store: Store, say: Say) -> None:
        self._settings = settings
        self._store = store
        self._lock = threading.Lock()
        self._patience: dict[str, Patience] = {}
        self.embedded = EmbeddedSite(settings, store, say)
        self.registry = Registry(settings.home)

    def live(self) -> LiveGates:
        """Return all gates, for one thread."""
        return LiveGates(self.names, self.build)

    def names(self) -> list[str]:
        """Return the embedded gate, and one for each site and each key that it is, or was, used with."""
        names = [LOCAL]
        active = {at for _run, at in unfinished(self._store)}
        links = self._store.people.links()
        for name in self.registry.names():
            try:
                key = self.registry.get(name).key
            except SlidegateError:  # told to whoever names it; the others can be used
                continue
            keys = {link.key for link in links if link.site == name} | ({key} if key else set())
            keys |= {at.partition("/")[2] for at in active if at.startswith(f"{name}/")}
            names += [gate_id(name, each) for each in sorted(keys)]
        return names

    def possible(self) -> list[str]:
        """Return the embedded gate, and one for each site and each key that there are, used or not."""
        keys = [pair.name for pair in Keys(self._settings.home).all()]
        return [LOCAL, *(gate_id(name, key) for name in self.registry.names() for key in keys)]

    def build(self, name: str) -> Gate:
        """Return a client of a gate."""
        if name == LOCAL:
            return self.embedded.gate()
        site, _, key = name.partition("/")
        if not key:
            raise UnknownSite(f"There is no site {name!r}.")
        with self._lock:
            patience = self._patience.setdefault(site, Patience())
        return Gate(partial(self._connect, site, key, patience), KeptHeads(self._store, name))

    def _connect(self, site: str, key: str, patience: Patience) -> Link:
        """Open a channel to a site, as it is noted now."""
        noted = self.registry.get(site)
        identity = None if key == SSH_ITSELF else Keys(self._settings.home).get(key).private
        host = self.registry.host(noted, self._store.people.account(site, key), identity)
        return SshGate(host, self.registry.channels(site), key, patience)()

    def gate_at(self, name: str, person: str) -> str:
        """Return what Runs of a person at a site are filed under: the site, and the key that is used.

        Raises
        ------
        UnknownSite, LinkNotValid, NotLinked
        """
        if name == LOCAL:
            return LOCAL
        site = self.registry.get(name)
        link = self._store.people.link(person, name, time.time())
        key = site.key if link is None else link.key
        if key is None:
            raise NotLinked(
                f"Nothing links {person!r} to the site {name!r}, and it has no key that everybody may use. "
                f"Whoever looks after slidegate can change that: slidegate person link {person} {name} "
                "--account ACCOUNT --key KEY"
            )
        return gate_id(name, key)


def unfinished(store: Store) -> list[tuple[RunId, str]]:
    """Return the Runs that have not ended, each with the name of its gate."""
    return [(run, str(store.runs.run(run)["site"])) for run in store.runs.unfinished()]
