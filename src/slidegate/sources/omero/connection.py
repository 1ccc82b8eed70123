# SPDX-License-Identifier: BSD-3-Clause
"""A connection to OMERO: encrypted, the server's certificate verified, closed on every way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import Glacier2
import Ice
import omero
import omero.rtypes
import omero.sys
from omero.clients import BaseClient

from slidegate.sources.errors import SourceError

from .errors import (
    OmeroAuthorityError,
    OmeroBusyError,
    OmeroCertificateError,
    OmeroError,
    OmeroInterruptedError,
    OmeroLoginError,
    OmeroNotPermittedError,
    OmeroSessionGoneError,
    OmeroUnreachableError,
)

EVERY_GROUP = -1
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """Where an OMERO is, and how to know that it is that one.

    Attributes
    ----------
    host, port
        Its name or address, and the port of encrypted connections.
    ca
        The certificates (PEM) that may sign the server's; None: those that this computer trusts.
    check_name
        Whether the certificate must be for `host`.
    """

    host: str
    port: int = 4064
    ca: Path | None = None
    check_name: bool = True

    @property
    def properties(self) -> dict[str, str]:
        """How a client of Ice is told all this."""
        found = {
            "omero.host": self.host,
            "omero.port": str(self.port),
            "IceSSL.VerifyPeer": "2",
            "IceSSL.CheckCertName": "1" if self.check_name else "0",
            "Ice.Override.ConnectTimeout": str(_CONNECT_SECONDS * 1000),
        }
        trusted = {"IceSSL.UsePlatformCAs": "1"} if self.ca is None else {"IceSSL.CAs": str(self.ca)}
        return found | trusted


class Connection:
    """One connection to OMERO; made by `login` or `join`, and used in a with block.

    One thread at a time; for several make several with `again`. Its end closes a session that it began, and
    leaves a session that it joined to those who began it.

    Attributes
    ----------
    server
        Where it leads.
    client
        The omero.client that is logged in.
    """

    def __init__(self, server: Server, client: Any, joined: bool) -> None:
        self.server, self.client, self._joined = server, client, joined
        self._services: dict[str, Any] = {}
        self._database: str | None = None
        self._user_id: int | None = None

    @classmethod
    def login(cls, server: Server, name: str, password: str) -> Connection:
        """Begin a session with a name and a password, which are not kept.

        Raises
        ------
        OmeroUnreachableError, OmeroCertificateError, OmeroLoginError
        """
        return cls(server, _client(server, name, password, OmeroLoginError), joined=False)

    @classmethod
    def join(cls, server: Server, key: str) -> Connection:
        """Join the session that has this key; it lives on after this connection.

        Raises
        ------
        OmeroUnreachableError, OmeroCertificateError, OmeroSessionGoneError
        """
        client = _client(server, key, key, OmeroSessionGoneError)
        connection = cls(server, client, joined=True)
        try:
            with speaking():
                client.getSession().detachOnDestroy()
        except BaseException:
            connection.close()
            raise
        return connection

    def again(self) -> Connection:
        """Join the same session by a connection of its own, for another thread.

        Raises
        ------
        OmeroError
            As `join` does.
        """
        return Connection.join(self.server, self.key)

    @property
    def key(self) -> str:
        """The key of the session: who has it is the person. Never written down, logged or passed on."""
        return str(self.client.getSessionId())

    @property
    def person(self) -> str:
        """The name with which the person logs in.

        Raises
        ------
        OmeroError
            It failed; a repeat is safe.
        """
        with speaking():
            return str(self.services("Admin").getEventContext().userName)

    @property
    def user_id(self) -> int:
        """The person's number, which is never given to anybody else, as a login name can be; asked once.

        Raises
        ------
        OmeroError
            It failed; a repeat is safe.
        """
        if self._user_id is None:
            with speaking():
                self._user_id = int(self.services("Admin").getEventContext().userId)
        return self._user_id

    @property
    def database(self) -> str:
        """Which OMERO it is: the UUID of its database, asked once.

        Raises
        ------
        OmeroError
            It failed; a repeat is safe.
        """
        if self._database is None:
            with speaking():
                self._database = str(self.services("Config").getDatabaseUuid())
        return self._database

    def services(self, name: str) -> Any:
        """Return a stateless service of OMERO by its short name, such as Query, Update, Admin or Roi.

        Raises
        ------
        OmeroError
            There is no connection any more.
        """
        found = self._services.get(name)
        if found is None:
            with speaking():
                found = self._services[name] = getattr(self.client.getSession(), f"get{name}Service")()
        return found

    def context(self, group: int) -> dict[str, str]:
        """Return what to pass last to a call so that it happens in that group: ``_ctx=context(3)``.

        A session's own group is never switched: other calls of it may be running.
        """
        return {str(key): str(value) for key, value in self.client.getContext(group).items()}

    def query(
        self,
        hql: str,
        params: Mapping[str, Any] | None = None,
        group: int = EVERY_GROUP,
        most: int | None = None,
    ) -> list[list[Any]]:
        """Ask for values, one list for each row: numbers, texts and objects of OMERO, None for null.

        Parameters
        ----------
        hql
            Starts with ``select``; values only by `params` (``:name``).
        params
            Whole numbers, floats, texts, and lists of them.
        group
            Where to look; every group of the person by default.
        most
            How many rows are wanted; all by default.

        Raises
        ------
        OmeroError
            It failed; a repeat is safe.
        """
        asked = omero.sys.ParametersI()
        for name, value in (params or {}).items():
            asked.add(name, _wrapped(value))
        if most is not None:
            asked.page(0, most)
        with speaking():
            rows = self.services("Query").projection(hql, asked, self.context(group))
        return [omero.rtypes.unwrap(row) for row in rows]

    def close(self) -> None:
        """End the connection, and the session if it began here. Safe to repeat, also after it was lost."""
        with suppress(Ice.Exception, omero.ClientError):
            self.client.closeSession()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def speaking() -> Iterator[None]:
    """Turn what a call to OMERO raises into our errors; the server's own words are not repeated.

    They may name images and people. They stay in ``__cause__``.
    """
    try:
        yield
    except (Ice.Exception, omero.ClientError) as error:
        raise in_words(error) from error


def in_words(error: BaseException) -> SourceError:
    """Return our error for one of OMERO's or of Ice's."""
    for kinds, ours in _WORDS:
        if isinstance(error, kinds):
            return ours(type(error).__name__) if ours in (OmeroError, OmeroBusyError) else ours()
    return OmeroError(type(error).__name__)


_WORDS: tuple[tuple[tuple[type[BaseException], ...], type[SourceError]], ...] = (
    (
        (
            omero.RemovedSessionException,
            omero.SessionTimeoutException,
            Glacier2.SessionNotExistException,
            Ice.ObjectNotExistException,
        ),
        OmeroSessionGoneError,
    ),
    ((omero.SecurityViolation,), OmeroNotPermittedError),
    ((omero.ResourceError, omero.ConcurrencyException, omero.OverUsageException), OmeroBusyError),
    (
        (omero.AuthenticationException, omero.ExpiredCredentialException, Glacier2.PermissionDeniedException),
        OmeroLoginError,
    ),
    ((Glacier2.CannotCreateSessionException,), OmeroBusyError),
    ((Ice.SecurityException,), OmeroCertificateError),
    ((Ice.DNSException, Ice.ConnectFailedException, Ice.ConnectTimeoutException), OmeroUnreachableError),
    (
        (
            omero.ShutdownInProgress,
            Ice.SocketException,
            Ice.TimeoutException,
            Ice.CloseConnectionException,
            Ice.ForcedCloseConnectionException,
            Ice.ConnectionLostException,
            Ice.CommunicatorDestroyedException,
        ),
        OmeroInterruptedError,
    ),
)


def _client(server: Server, name: str, password: str, refused: type[OmeroError]) -> Any:
    try:
        client = BaseClient(pmap=server.properties)
    except Ice.PluginInitializationException as error:
        raise OmeroAuthorityError(str(server.ca)) from error
    client.setAgent("slidegate")
    try:
        client.createSession(name, password)
    except BaseException as error:
        with suppress(Ice.Exception, omero.ClientError):
            client.closeSession()
        if isinstance(error, Ice.Exception | omero.ClientError):
            raise _why_not(error, refused) from error
        raise
    return client


def _why_not(error: BaseException, refused: type[OmeroError]) -> SourceError:
    """Say why no session came about: words that fit while nobody is connected yet."""
    ours = in_words(error)
    if isinstance(ours, OmeroLoginError | OmeroSessionGoneError):
        return refused()
    if isinstance(error, Ice.ProtocolException):
        return OmeroCertificateError()
    if isinstance(ours, OmeroInterruptedError) or isinstance(error, omero.ClientError):
        return OmeroUnreachableError()
    return ours


def _wrapped(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        return omero.rtypes.rlist([_wrapped(one) for one in value])
    return omero.rtypes.rlong(value) if type(value) is int else omero.rtypes.wrap(value)
