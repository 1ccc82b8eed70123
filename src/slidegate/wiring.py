# SPDX-License-Identifier: BSD-3-Clause
"""The only place where concrete objects are built from settings."""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from slidegate.domain.errors import BadRequest
from slidegate.domain.values import RunId
from slidegate.local_site import ensure_local_site
from slidegate.settings import Settings
from slidegate.sites import Gate, PipeLink
from slidegate.sources.folder import FolderSink, FolderSource
from slidegate.store import Store
from slidegate.store.sites import AuditHead
from slidegate.worker import Runs, Worker
from slidegate.worker.places import Places
from slidegate.worker.tools import Pace, Tools

LOCAL = "local"
# The embedded site is asked over a pipe, which costs milliseconds: what it has done is noticed soon.
LOCAL_PACE = Pace(poll_seconds_most=0.1)
Say = Callable[[str], None]


class HomeUnusable(BadRequest):
    """The folder that slidegate keeps everything in cannot be used."""

    code = "home-unusable"


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
    """

    settings: Settings
    store: Store
    tools: Tools
    runs: Runs

    def worker(self, runs: Collection[RunId] | None = None) -> Worker:
        """Return a worker, for some Runs or for all; the caller closes it."""
        return Worker(self.tools, runs)

    def close(self) -> None:
        """Let go of everything."""
        for gate in self.tools.gates.values():
            gate.close()
        self.store.close()


def local_gate(settings: Settings, store: Store) -> Gate:
    """Return the client of the embedded site: the same program as on a cluster, spoken to over a pipe."""
    argv = [*settings.local_program("serve"), "--key", LOCAL]
    return Gate(lambda: PipeLink(argv), KeptHeads(store, LOCAL))


class Log(logging.FileHandler):
    """Where the faults of slidegate are told: a file in its home, opened when there is one.

    A log that cannot be written keeps nothing else from being done.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home.absolute() / "slidegate.log", encoding="utf-8", delay=True)
        words = "%(asctime)s %(levelname)s %(action)s %(message)s"
        self.setFormatter(logging.Formatter(words, defaults={"action": "-"}))

    def emit(self, record: logging.LogRecord) -> None:
        """Write it down, if that can be done."""
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (a name of the library)
        """Say nothing."""

    def __enter__(self) -> "Log":
        logging.getLogger("slidegate").addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        logging.getLogger("slidegate").removeHandler(self)
        with suppress(OSError):
            self.close()


def _nothing(_words: str) -> None:
    return


@contextmanager
def open_house(settings: Settings, say: Say = _nothing, pace: Pace = LOCAL_PACE) -> Iterator[House]:
    """Open the store and the embedded site, setting it up first if it is not there.

    Parameters
    ----------
    say
        Told in words what takes long.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HomeUnusable(
            f"{settings.home} cannot be used: {error.strerror}. Set SLIDEGATE_HOME."
        ) from error
    store = Store.open(settings.database)
    try:
        releases = ensure_local_site(settings, say, lambda: store.sites.reset(LOCAL))
        tools = Tools(
            store=store,
            sources={"folder": FolderSource()},
            sinks=lambda out: FolderSink(Path(out)),
            gates={LOCAL: local_gate(settings, store)},
            clock=time.time,
            places=Places(settings.home.absolute()),
            pace=pace,
        )
        house = House(settings, store, tools, Runs(tools, settings.person, releases))
        try:
            with Log(settings.home):
                yield house
        finally:
            house.close()
    finally:
        store.close()
