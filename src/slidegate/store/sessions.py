# SPDX-License-Identifier: BSD-3-Clause
"""What proves who somebody is: sessions of a browser, tokens of programs, links that open once.

Of each secret only the SHA-256 is kept, and nothing proves anything of somebody whose account is not active.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, or_, select, update

from slidegate.domain.errors import BadRequest
from slidegate.store import tables
from slidegate.store.database import Database
from slidegate.store.leases import digest_of_secret
from slidegate.store.people import UnknownPerson

_S = tables.session
_T = tables.token
_L = tables.login_link
_A = tables.account
LONGEST_SECONDS = 30 * 86400.0
"""A session ends so long after it began, however often it was used."""
_PROLONG = 0.05  # of its time has passed before a session's end is written anew
_NOTE_USE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a token proves, what they are now, and the OMERO.web that had vouched for them, if one had."""

    person: str
    role: str
    group: str
    web: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in.

    Attributes
    ----------
    role, group
        What the person is now.
    csrf
        What a page must show beside the cookie to change anything.
    web
        The OMERO.web that has vouched for the person; None where none has.
    """

    person: str
    role: str
    group: str
    csrf: str
    created_at: float
    ends_at: float
    web: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """What a program proves a person by; ``id`` names it, the secret itself is not kept."""

    id: int
    person: str
    name: str
    at: float
    ends_at: float | None
    used_at: float | None


class Sessions:
    """Remembers who is signed in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, person: str, now: float, seconds: float, web: str | None = None) -> tuple[str, Session]:
        """Sign a person in.

        Parameters
        ----------
        seconds
            After how long without use the session ends.
        web
            The OMERO.web that has vouched for the person, if one has: the session ends with the trust in it.

        Returns
        -------
        The secret, which is kept nowhere, and the session.

        Raises
        ------
        UnknownPerson
            The person has no active account.
        """
        secret, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        with self._database.write() as connection:
            account = connection.execute(_active(person)).one_or_none()
            if account is None:
                raise UnknownPerson(f"{person!r} has no active account.")
            ends_at = now + min(seconds, LONGEST_SECONDS)
            made = Session(person, account.role, account.group, csrf, now, ends_at, web)
            connection.execute(delete(_S).where(_S.c.ends_at <= now))
            connection.execute(
                insert(_S).values(
                    digest=digest_of_secret(secret), person=person, csrf=csrf, created_at=now,
                    ends_at=made.ends_at, seconds=seconds, web=web,
                )
            )  # fmt: skip
        return secret, made

    def find(self, secret: str, now: float) -> Session | None:
        """Return the session of a secret and prolong it; None when it has ended or never was."""
        where = _S.c.digest == digest_of_secret(secret)
        query = select(_S, _A.c.role, _A.c.group).join(_A, _A.c.person == _S.c.person)
        query = query.where(where, _A.c.active, _S.c.ends_at > now)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        ends_at = min(now + row["seconds"], row["created_at"] + LONGEST_SECONDS)
        if ends_at - row["ends_at"] > _PROLONG * row["seconds"]:
            with self._database.write() as connection:
                connection.execute(update(_S).where(where).values(ends_at=ends_at))
        else:
            ends_at = row["ends_at"]
        same = ("person", "role", "group", "csrf", "created_at", "web")
        return Session(**{name: row[name] for name in same}, ends_at=ends_at)

    def end(self, secret: str) -> None:
        """Sign somebody out; a repeat changes nothing."""
        with self._database.write() as connection:
            connection.execute(delete(_S).where(_S.c.digest == digest_of_secret(secret)))

    def end_all(self, person: str) -> None:
        """Sign a person out everywhere."""
        with self._database.write() as connection:
            connection.execute(delete(_S).where(_S.c.person == person))


class Tokens:
    """Remembers what programs prove people by."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(
        self, person: str, name: str, now: float, ends_at: float | None = None, web: str | None = None
    ) -> str:
        """Make a token: ``sg_`` and 43 signs, which are kept nowhere.

        Parameters
        ----------
        web
            The OMERO.web that has vouched for the person who makes it: it ends with the trust in it.

        Raises
        ------
        BadRequest
            The name cannot be read, or is longer than 100 letters.
        UnknownPerson
            The person has no active account.
        """
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise BadRequest(f"A token cannot be called {name!r}: take up to 100 letters that can be read.")
        secret = "sg_" + secrets.token_urlsafe(32)
        values = {"person": person, "name": name, "at": now, "ends_at": ends_at, "web": web}
        with self._database.write() as connection:
            if connection.execute(_active(person)).first() is None:
                raise UnknownPerson(f"{person!r} has no active account.")
            connection.execute(insert(_T).values(digest=digest_of_secret(secret), **values))
        return secret

    def find(self, token: str, now: float) -> Holder | None:
        """Return whose token it is; None when it has ended or never was."""
        where = _T.c.digest == digest_of_secret(token)
        query = select(_T, _A.c.role, _A.c.group).join(_A, _A.c.person == _T.c.person)
        query = query.where(where, _A.c.active)
        query = query.where(or_(_T.c.ends_at.is_(None), _T.c.ends_at > now))
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        if row["used_at"] is None or now - row["used_at"] > _NOTE_USE_SECONDS:
            with self._database.write() as connection:
                connection.execute(update(_T).where(where).values(used_at=now))
        return Holder(row["person"], row["role"], row["group"], row["web"])

    def all(self, person: str) -> list[Token]:
        """Return a person's tokens, oldest first."""
        query = select(_T).where(_T.c.person == person).order_by(_T.c.id)
        with self._database.read() as connection:
            return [_token(row) for row in connection.execute(query).mappings()]

    def revoke(self, person: str, token: int) -> bool:
        """Take a token back; returns whether this person had it."""
        with self._database.write() as connection:
            return connection.execute(delete(_T).where(_T.c.id == token, _T.c.person == person)).rowcount == 1


class LoginLinks:
    """Remembers links that sign a person in, once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, person: str, now: float, seconds: float = 300.0) -> str:
        """Make the secret of a link, which is kept nowhere.

        Raises
        ------
        UnknownPerson
            The person has no active account.
        """
        secret = secrets.token_urlsafe(32)
        with self._database.write() as connection:
            if connection.execute(_active(person)).first() is None:
                raise UnknownPerson(f"{person!r} has no active account.")
            connection.execute(delete(_L).where(_L.c.ends_at <= now))
            connection.execute(
                insert(_L).values(digest=digest_of_secret(secret), person=person, ends_at=now + seconds)
            )
        return secret

    def use(self, secret: str, now: float) -> str | None:
        """Return whom a link signs in; None when it was used before, has ended or never was."""
        where = (_L.c.digest == digest_of_secret(secret), _L.c.ends_at > now)
        query = select(_L.c.person).join(_A, _A.c.person == _L.c.person).where(*where, _A.c.active)
        with self._database.write() as connection:
            person = connection.execute(query).scalar_one_or_none()
            used = connection.execute(delete(_L).where(_L.c.digest == digest_of_secret(secret))).rowcount
        return str(person) if person is not None and used == 1 else None


def _active(person: str) -> Any:
    return select(_A.c.person, _A.c.role, _A.c.group).where(_A.c.person == person, _A.c.active)


def _token(row: Mapping[Any, Any]) -> Token:
    return Token(**{name: row[name] for name in Token.__dataclass_fields__})
