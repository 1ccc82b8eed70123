# SPDX-License-Identifier: BSD-3-Clause
"""Acting in OMERO for a person, with their rights and no more, for as long as something has to be done.

Two ways lead there. A *restricted administrator* that has the privilege Sudo and no other begins a session of
the person, minutes long, in the group of the data (`Sudo`). Or the person has *granted* a session of their
own once, by their password, which is not kept (`grant`; `Grants` keeps what it gives).
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import omero
import omero.sys
from omero.rtypes import rlist, rlong

from slidegate.sources.errors import SourceError

from .connection import EVERY_GROUP, Connection, Server, speaking
from .errors import OmeroError, OmeroNotPermittedError, OmeroSessionGoneError
from .private import SecretUnreadableError, read_private

MINUTES = 30
_IDLE_MINUTES = 5
_MINUTE_MS = 60_000
_PING_SECONDS = 60
_HOUR_MS = 60 * _MINUTE_MS
_BATCH = 1000
# What OMERO lets people ask for at most, unless its administrator has changed that (100 minutes).
_USUAL_IDLE_MS = 6_000_000


class OmeroNotActingError(OmeroError):
    """OMERO does not let slidegate act for this person here.

    Either its account has not the privilege Sudo, or the person is not in the group of the data any more, or
    not known there by the name of the last visit.
    """

    code = "omero-not-acting"

    def __init__(self) -> None:
        super().__init__(
            "its account lacks the privilege Sudo, or the person has left the group of the data, or OMERO"
        )


class OmeroHiddenError(OmeroNotPermittedError):
    """The image is not to be seen in OMERO: it was deleted, or its group is not, or no longer, the person's.

    Who was taken out of a group while a run waited can be taken in again; then let the run go on.
    """

    code = "omero-image-hidden"


class OmeroNotWritableError(OmeroError):
    """In the image's group in OMERO the person may look, but not write beside images: its owner can allow it.

    Then let the run go on; nothing is computed again.
    """

    code = "omero-not-writable"


class OmeroOtherAccountError(OmeroError):
    """The account is for another OMERO than the one that is named in the settings."""

    code = "omero-account-elsewhere"


@dataclass(frozen=True, slots=True)
class Account:
    """The account that acts for people.

    Attributes
    ----------
    server
        Where it is.
    name, password
        Of a restricted administrator that has the privilege Sudo alone.
    """

    server: Server
    name: str
    password: str = field(repr=False)


def read_account(path: Path) -> Account:
    """Read the account that acts for people from a file of the worker's account.

    It is JSON: ``{"host": …, "name": …, "password": …}``, and ``"port"`` and ``"ca"`` (a path) if needed.

    Raises
    ------
    SecretOpenError
        Others can read the file.
    SecretUnreadableError
        There is none, or it holds something else.
    """
    found = read_private(path)
    if found is None:
        raise SecretUnreadableError(f"{path} is not there")
    try:
        said = json.loads(found)
        ca = said.get("ca")
        server = Server(str(said["host"]), int(said.get("port", 4064)), None if ca is None else Path(ca))
        return Account(server, str(said["name"]), str(said["password"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SecretUnreadableError(
            f'{path} is JSON with "host", "name" and "password", and perhaps "port" and "ca"'
        ) from None


class Sudo:
    """Acts for people as a restricted administrator.

    Any number of threads and processes may use one account at once.

    Parameters
    ----------
    file
        See `read_account`; it is read each time, so that the password can be changed while this is in use.
    server
        The OMERO that the account has to be for, and how it is reached; None: as the file says.
    """

    def __init__(self, file: Path, server: Server | None = None) -> None:
        self._file, self._server = file, server

    @contextmanager
    def acting(self, person: str, group: str, minutes: int = MINUTES) -> Iterator[Connection]:
        """Be a person, in a group, while the block runs.

        The session ends on every way out. If this process is killed, or the network goes, it ends by itself
        when it was silent for five minutes, and after `minutes` in any case.

        Parameters
        ----------
        person
            Login name.
        group
            Name of the group that the data are in.
        minutes
            How long the session lives at most.

        Yields
        ------
        A connection with the person's rights. OMERO notes in the session that slidegate's account began it.

        Raises
        ------
        OmeroNotActingError
            OMERO does not allow it.
        OmeroError, SecretOpenError, SecretUnreadableError
        """
        key = self.begin(person, group, minutes)
        try:
            with Connection.join(self._account().server, key) as connection:
                connection.client.enableKeepAlive(_PING_SECONDS)
                yield connection
        finally:
            with suppress(OmeroError):  # else it ends by itself soon
                self.end([key])

    def begin(self, person: str, group: str | None, minutes: int = MINUTES) -> str:
        """Begin a session of a person; return its key. Who calls this calls `end`.

        Parameters
        ----------
        group
            Name of the group that the data are in; None: the one that the person begins in.

        Raises
        ------
        OmeroNotActingError
            OMERO does not allow it.
        OmeroError, SecretOpenError, SecretUnreadableError
        """
        return _begin(self._account(), person, group, minutes)

    def end(self, keys: Iterable[str]) -> None:
        """End sessions, whatever happened to the connections that used them.

        Raises
        ------
        OmeroError, SecretOpenError, SecretUnreadableError
            OMERO cannot be asked: the sessions end by themselves soon.
        """
        account = self._account()
        with Connection.login(account.server, account.name, account.password) as own:
            for key in keys:
                end_session(own, key)

    def _account(self) -> Account:
        account = read_account(self._file)
        if self._server is None:
            return account
        if account.server.host != self._server.host:
            raise OmeroOtherAccountError(f"{account.server.host}, and not {self._server.host}")
        return replace(account, server=self._server)


def _begin(account: Account, person: str, group: str | None, minutes: int) -> str:
    """Begin a session of a person; return its key. The administrator's own session ends at once."""
    principal = omero.sys.Principal(person, group, "User", None)
    live, idle = minutes * _MINUTE_MS, min(minutes, _IDLE_MINUTES) * _MINUTE_MS
    with Connection.login(account.server, account.name, account.password) as own:
        service = own.services("Session")
        try:
            with speaking():
                return str(service.createSessionWithTimeouts(principal, live, idle).uuid.val)
        except OmeroError as error:
            if isinstance(error.__cause__, omero.ApiUsageException):  # OMERO knows no such person
                raise OmeroNotActingError from error
            raise
        except OmeroNotPermittedError as error:
            raise OmeroNotActingError from error


def end_session(connection: Connection, key: str) -> None:
    """End a session, by any connection, for all who have joined it. A repeat changes nothing.

    Raises
    ------
    OmeroError
        OMERO did not answer.
    """
    with suppress(OmeroSessionGoneError), speaking():
        connection.client.destroySession(key)


@dataclass(frozen=True, slots=True)
class Granted:
    """A session that a person granted.

    Attributes
    ----------
    person
        The login name, as OMERO writes it.
    key
        Who has it is the person.
    idle_s, live_s
        After how long without a call it ends, and how long after its start; 0: never.
    """

    person: str
    key: str = field(repr=False)
    idle_s: float
    live_s: float


def grant(server: Server, name: str, password: str, hours: float = 12) -> Granted:
    """Begin a session that outlives this process, by a person's password, which is not kept.

    Parameters
    ----------
    hours
        For how long without a call it shall live. Where OMERO allows less, the usual limit of 100 minutes is
        tried, and then what every login gets.

    Raises
    ------
    OmeroUnreachableError, OmeroCertificateError, OmeroLoginError
    """
    with Connection.login(server, name, password) as own:
        service = own.services("Session")
        with speaking():
            context = own.services("Admin").getEventContext()
        for idle in (round(hours * _HOUR_MS), _USUAL_IDLE_MS, _usual(own)):
            with suppress(OmeroNotPermittedError), speaking():
                made = service.createUserSession(0, idle, context.groupName)
                return Granted(
                    context.userName,
                    str(made.uuid.val),
                    made.timeToIdle.val / 1000,
                    made.timeToLive.val / 1000,
                )
    raise OmeroNotPermittedError


def _usual(connection: Connection) -> int:
    """Return after how many ms without a call a session ends that was begun by logging in."""
    with speaking():
        return int(connection.services("Session").getSession(connection.key).timeToIdle.val)


def keep_alive(connection: Connection, keys: Iterable[str]) -> list[str]:
    """Tell OMERO that sessions are still needed, all by one connection; return those that have ended.

    Raises
    ------
    OmeroError
        OMERO did not answer, or the connection's own session has ended.
    """
    service = connection.services("Session")
    gone = []
    for key in keys:
        try:
            with speaking():
                service.getSession(key)
        except OmeroSessionGoneError:
            gone.append(key)
    with speaking():
        service.getSession(connection.key)
    return gone


@dataclass(frozen=True, slots=True)
class Right:
    """What the person of a session may do with an image that they can see.

    Attributes
    ----------
    group, group_name
        Of the image: where results are written.
    writable
        Whether results may be attached to it.
    """

    image: int
    group: int
    group_name: str
    writable: bool


def rights_of(connection: Connection, images: Collection[int]) -> dict[int, Right]:
    """Ask what the person may do with images; those that they cannot see are left out. One question per 1000.

    Raises
    ------
    OmeroError
    """
    found = {}
    ids = sorted(set(images))
    for start in range(0, len(ids), _BATCH):
        asked = omero.sys.ParametersI()
        asked.add("ids", rlist([rlong(one) for one in ids[start : start + _BATCH]]))
        with speaking():
            rows: list[Any] = connection.services("Query").findAllByQuery(
                "select i from Image i join fetch i.details.group where i.id in (:ids)",
                asked,
                connection.context(EVERY_GROUP),
            )
        for row in rows:
            group, writable = row.details.group, bool(row.details.permissions.canAnnotate())
            found[row.id.val] = Right(row.id.val, group.id.val, group.name.val, writable)
    return found


def check_rights(connection: Connection, images: Collection[int], writing: bool) -> dict[int, Right]:
    """Return what `rights_of` does, if the person may do it with all images.

    Asked before images are staged and, as rights change while jobs wait, again before results are written.

    Parameters
    ----------
    writing
        Whether results will be written beside the images.

    Raises
    ------
    OmeroHiddenError
        At least one cannot be seen, or is gone.
    OmeroNotWritableError
    """
    found = rights_of(connection, images)
    for refusal in refusals_of(found, images, writing).values():
        raise refusal
    return found


def refusals_of(found: Mapping[int, Right], images: Collection[int], writing: bool) -> dict[int, SourceError]:
    """Return why images cannot be used, by image, for those that cannot.

    Parameters
    ----------
    found
        What `rights_of` said of them.
    writing
        Whether results will be written beside the images.
    """
    refused: dict[int, SourceError] = {}
    for image in sorted(set(images)):
        right = found.get(image)
        if right is None:
            refused[image] = OmeroHiddenError(f"image {image}")
        elif writing and not right.writable:
            refused[image] = OmeroNotWritableError(f"image {image} in the group {right.group_name}")
    return refused
