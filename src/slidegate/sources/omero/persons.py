# SPDX-License-Identifier: BSD-3-Clause
"""Sessions of many people, each begun when it is needed and kept for the next few minutes' work."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from slidegate.domain.errors import SlidegateError

from .acting import MINUTES, Sudo, end_session
from .connection import Connection, Server
from .errors import OmeroError, OmeroSessionGoneError
from .grants import Grants

KEPT_S = 180.0
"""How long a session is kept that nobody uses: less than OMERO itself keeps it."""
_OLD_S = MINUTES * 60 / 2


class OmeroOtherPersonError(OmeroError):
    """In OMERO the login name belongs to somebody else now: come from OMERO.web again, then go on."""

    code = "omero-other-person"


@dataclass(frozen=True, slots=True)
class Known:
    """Who a person is in OMERO: the number, theirs for ever, and the login name of the last visit."""

    user_id: int
    name: str


class Way(Protocol):
    """How sessions of people come about."""

    def begin(self, name: str, group: str | None) -> str:
        """Return the key of a session of the person with this login name."""
        ...

    def gone(self, name: str, key: str) -> None:
        """Hear that a session has ended; raises where there will be no other."""
        ...

    def end(self, keys: Iterable[str]) -> None:
        """End sessions that are not needed any more."""
        ...


class BySudo:
    """Sessions that a restricted administrator begins, and that end when they are not used."""

    def __init__(self, sudo: Sudo) -> None:
        self._sudo = sudo

    def begin(self, name: str, group: str | None) -> str:
        """See Way."""
        return self._sudo.begin(name, group)

    def gone(self, name: str, key: str) -> None:
        """See Way."""

    def end(self, keys: Iterable[str]) -> None:
        """See Way."""
        self._sudo.end(keys)


class ByGrants:
    """Sessions that people granted once; they live on until they are taken back."""

    def __init__(self, grants: Grants, server: Server) -> None:
        self._grants, self._server = grants, server

    def begin(self, name: str, group: str | None) -> str:
        """See Way."""
        return self._grants.key(self._server, name)

    def gone(self, name: str, key: str) -> None:
        """See Way."""
        self._grants.forget(self._server, name, key)
        self._grants.key(self._server, name)  # raises, unless the person has granted another since

    def end(self, keys: Iterable[str]) -> None:
        """See Way."""


@dataclass(slots=True)
class _Held:
    """A session that is kept."""

    name: str
    key: str = field(repr=False)
    begun: float
    used: float


class Persons:
    """Joins sessions of people; several threads may do so at once.

    Parameters
    ----------
    server
        The OMERO.
    way
        How sessions come about.
    known
        Returns who a person is in OMERO; raises where that is not known.
    """

    def __init__(self, server: Server, way: Way, known: Callable[[str], Known]) -> None:
        self._server, self._way, self._known = server, way, known
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str | None], _Held] = {}

    def connect(self, person: str, group: str | None = None) -> Connection:
        """Join the session of a person, begun now where none is kept or it has ended; the caller closes it.

        Parameters
        ----------
        group
            Name of the group that the session works in; None: the one that the person begins in.

        Raises
        ------
        OmeroNotActingError, OmeroNoGrantError
            OMERO, or the person, does not let slidegate act.
        OmeroOtherPersonError
            Whoever has the person's login name now is somebody else.
        OmeroError, SecretOpenError, SecretUnreadableError
        """
        held = self._hold(person, group)
        try:
            return Connection.join(self._server, held.key)
        except OmeroSessionGoneError:
            self._drop((person, group), held)
            self._way.gone(held.name, held.key)
        return Connection.join(self._server, self._hold(person, group).key)

    def forget(self, person: str) -> None:
        """Let the next connection of a person be of a new session."""
        with self._lock:
            for place in [place for place in self._held if place[0] == person]:
                del self._held[place]

    def let_go(self, all_of_it: bool) -> list[str]:
        """End what was not used for some minutes, what is old, or all of it; return whose sessions they were.

        What cannot be ended, as OMERO does not answer, ends by itself some minutes later.
        """
        now = time.monotonic()
        with self._lock:
            done = [
                place
                for place, held in self._held.items()
                if all_of_it or now - held.used > KEPT_S or now - held.begun > _OLD_S
            ]
            keys = [self._held.pop(place).key for place in done]
        if keys:
            with suppress(SlidegateError):
                self._way.end(keys)
        return [person for person, _group in done]

    def _hold(self, person: str, group: str | None) -> _Held:
        """Return the session of a person that is kept, or begin one."""
        with self._lock:
            held = self._held.get((person, group))
            if held is None:
                held = self._held[person, group] = self._begun(self._known(person), group)
            held.used = time.monotonic()
            return held

    def _begun(self, who: Known, group: str | None) -> _Held:
        """Begin a session, and see that it is that person's."""
        key = self._way.begin(who.name, group)
        try:
            with Connection.join(self._server, key) as connection:
                if connection.user_id != who.user_id:
                    raise OmeroOtherPersonError
        except OmeroSessionGoneError:
            self._way.gone(who.name, key)
            raise
        except BaseException:
            with suppress(SlidegateError):
                self._way.end([key])
            raise
        now = time.monotonic()
        return _Held(who.name, key, now, now)

    def _drop(self, place: tuple[str, str | None], held: _Held) -> None:
        with self._lock:
            if self._held.get(place) is held:
                del self._held[place]


def check_person(server: Server, key: str, who: Known) -> None:
    """Raise unless a session is a person's; then it is ended.

    Raises
    ------
    OmeroOtherPersonError, OmeroError
    """
    with Connection.join(server, key) as connection:
        if connection.user_id != who.user_id:
            end_session(connection, key)
            raise OmeroOtherPersonError
