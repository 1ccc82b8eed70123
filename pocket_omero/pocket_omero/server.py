# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: N818  (a situation is named as what it is)
"""The server: everything wired together, in one process, started and stopped at will."""

from __future__ import annotations

import fcntl
import json
import logging
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import Ice
from omero.clients import BaseClient

from pocket_omero import folder as folders
from pocket_omero import services
from pocket_omero.errors import PocketError, WrongUse
from pocket_omero.faults import Faults
from pocket_omero.ice.certificates import KINDS, Authority, Kind
from pocket_omero.ice.dispatch import House
from pocket_omero.ice.listener import Listener
from pocket_omero.ice.router import Connections, Locator, Router
from pocket_omero.images import Files, Images
from pocket_omero.people.passwords import Passwords
from pocket_omero.people.rights import Rights
from pocket_omero.people.sessions import Sessions
from pocket_omero.scripts import Runner, install_scripts
from pocket_omero.services.config import defaults
from pocket_omero.services.scripts import Shelf
from pocket_omero.state import State

__all__ = ["HOME", "Client", "InUse", "NotRunning", "Server"]

log = logging.getLogger(__name__)

HOME = ".pocket-omero"  # in the served folder: what is the server's own
CONTROL = "control.json"
_TICK_S = 0.5


class NotRunning(PocketError):
    """The server does not run."""


class InUse(PocketError):
    """Another server keeps its things in this folder."""


@dataclass(slots=True)
class _Running:
    """What exists between start and stop."""

    house: House
    loaded: folders.Loaded
    ending: ExitStack


class Client(BaseClient):
    """OMERO's own client, which logs out at the end of a with block."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Ice.Exception):  # the session or the connection may be gone
            self.closeSession()


class Server:
    """A server of a folder. In a with block it runs; everything is kept when it stops.

    Parameters
    ----------
    folder
        With images and, if wanted, people.yml: see `pocket_omero.folder`.
    home
        Where the server keeps what is its own; by default `.pocket-omero` in the folder.
    host, port
        Where it listens; port 0: one that is free (`port` says which, and stays when it starts again).
    certificate
        "good", or what is wrong with it: "expired", "wrong-host", "self-signed".
    ice
        More properties for the Ice runtime.
    """

    def __init__(
        self,
        folder: Path,
        *,
        home: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: Kind = "good",
        ice: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.home = home or folder / HOME
        self.host, self.port = host, port
        self.certificate: Kind = certificate
        self.faults = Faults()
        self._ice = dict(ice or {})
        self._running: _Running | None = None
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None
        self._control_seen = 0
        self.faults.on_change(self._heed)

    @property
    def house(self) -> House:
        """What servants work with. Raises `NotRunning` before `start` and after `stop`."""
        return self._now().house

    @property
    def loaded(self) -> folders.Loaded:
        """What was found in the folder."""
        return self._now().loaded

    @property
    def authority(self) -> Path:
        """The certificate that clients may trust (their IceSSL.CAs)."""
        return Authority(self.home / "certificates").pem

    def _now(self) -> _Running:
        if self._running is None:
            raise NotRunning
        return self._running

    # To begin and to end

    def start(self) -> Server:
        """Listen. A repeat changes nothing.

        Raises
        ------
        OSError
            The port is taken.
        FolderError
            people.yml says what cannot be.
        InUse
            Another server has the same home.
        """
        with self._lock:
            if self._running is None:
                self._running = self._wire()
                self.port = self._running.house.port
                log.info("serving %s at %s:%d", self.folder, self.host, self.port)
            if self._keeper is None:
                self._stopping.clear()
                self._keeper = threading.Thread(target=self._keep, name="pocket-omero", daemon=True)
                self._keeper.start()
        return self

    def stop(self) -> None:
        """Stop: clients lose their connections, sessions end, everything else is kept. Safe to repeat."""
        self._stopping.set()
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join()
        self._halt()

    def restart(self, *, certificate: Kind | None = None) -> None:
        """Stop and start at the same port, as after a crash: sessions are gone, data is there.

        Parameters
        ----------
        certificate
            What is shown from now on; None: the same kind as before.
        """
        with self._lock:
            self._halt()
            self.certificate = certificate or self.certificate
            self._running = self._wire()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wire(self) -> _Running:
        services.make_known()
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as begun:  # whatever fails: what was begun is ended
            begun.enter_context(self._locked())
            certificate = Authority(self.home / "certificates").server(self.host, self.certificate)
            state = State(self.home)
            begun.callback(state.close)
            images = Images(self.folder, self.home, state)
            files = Files(self.home / "files", images, state)
            passwords = Passwords(self.home / "passwords.json")
            loaded = folders.load(self.folder, state, passwords, images)
            install_scripts(state, files, self.folder / "scripts")
            connections, sessions, rights = Connections(), Sessions(state), Rights(state)
            begun.callback(sessions.close_all)
            rights.read_only = self.faults.read_only
            rights.settings = config = defaults(self.home)
            runner = Runner(self.home / "scripts")
            house = House(
                folder=self.home,
                host=self.host,
                port=self.port,
                state=state,
                rights=rights,
                passwords=passwords,
                sessions=sessions,
                faults=self.faults,
                config=config,
                connections=connections,
                images=images,
                files=files,
                scripts=Shelf(runner),
            )
            connections.house = house
            sessions.on_end(connections.session_ended)
            locator = Locator(connections, Router(house))
            listener = Listener(self.host, self.port, certificate, locator, self._ice)
            begun.callback(listener.close)
            begun.callback(runner.close)  # first: calls that wait for a script come to an end
            house.port = listener.port
            return _Running(house, loaded, begun.pop_all())

    def _locked(self) -> TextIO:
        """Take the home for this server alone, until the file is closed or the process ends."""
        lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InUse(f"another server keeps its things in {self.home}") from None
        return lock

    def _halt(self) -> None:
        with self._lock:
            running, self._running = self._running, None
        if running is None:
            return
        running.ending.close()
        log.info("stopped")

    # While it runs

    def _keep(self) -> None:
        """End sessions whose time is over, and obey the control file, until the server stops."""
        while not self._stopping.wait(_TICK_S):
            try:
                self._tick()
            except Exception:
                log.exception("the keeper of %s", self.folder)

    def _tick(self) -> None:
        running = self._running
        if running is not None:
            running.house.sessions.reap()
        file = self.home / CONTROL
        try:
            changed = file.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed != self._control_seen:
            self._control_seen = changed
            self.act(json.loads(file.read_text()))

    def _heed(self, faults: Faults) -> None:
        running = self._running
        if running is not None:
            running.house.rights.read_only = faults.read_only

    def act(self, what: Mapping[str, Any]) -> None:
        """Let go wrong what is asked for, and only that.

        Parameters
        ----------
        what
            Attributes of `Faults` by name, and of these: "expire": a login name or "*", whose sessions end as
            if their time were over; "drop": the same, whose connections are cut; "certificate": the kind that
            is shown from now on, which restarts the server; "restart": true.

        Raises
        ------
        WrongUse
            There is no such fault.
        """
        rest = dict(what)
        expire, drop = rest.pop("expire", ""), rest.pop("drop", "")
        certificate, restart = rest.pop("certificate", None), rest.pop("restart", False)
        if certificate is not None and certificate not in KINDS:
            raise WrongUse(f"no such certificate: {certificate}; there are {', '.join(KINDS)}")
        self.faults.clear()
        self.faults.set(**rest)
        if expire:
            self.expire_sessions(expire)
        if drop:
            self.drop_connections(drop)
        if restart or (certificate is not None and certificate != self.certificate):
            self.restart(certificate=certificate)

    def expire_sessions(self, person: str = "*") -> int:
        """End the sessions of a person, or of all ("*"), as if their time were over. Returns how many."""
        return self.house.sessions.expire(person)

    def drop_connections(self, person: str = "*") -> int:
        """Cut the connections of a person, or all of them ("*"). Returns how many."""
        return self.house.connections.drop(person)

    # For those who try it

    def client(self, name: str, password: str, **properties: str) -> Client:
        """Log in with OMERO's own client, whose certificate check is on.

        Parameters
        ----------
        properties
            More of the client's properties, with `__` for a dot.
        """
        wanted = {
            "omero.host": self.host,
            "omero.port": str(self.port),
            "IceSSL.VerifyPeer": "2",
            "IceSSL.CAs": str(self.authority),
            "IceSSL.CheckCertName": "1",
            **{key.replace("__", "."): value for key, value in properties.items()},
        }
        client = Client(pmap=wanted)
        try:
            client.createSession(name, password)
        except BaseException:
            with suppress(Ice.Exception):  # it minds that there is no session to end
                client.closeSession()
            raise
        return client
