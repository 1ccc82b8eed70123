# SPDX-License-Identifier: BSD-3-Clause
"""Who of OMERO is who here, which OMERO.webs are believed when they vouch for somebody, and what was granted.

No secret of OMERO is kept here: neither a key of a session, nor a password that can be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.domain.errors import BadRequest
from slidegate.store import tables
from slidegate.store.database import Database
from slidegate.store.leases import digest_of_secret
from slidegate.store.people import UnknownPerson, check_name

_P = tables.omero_person
_W = tables.omero_web
_S = tables.omero_statement
_G = tables.omero_grant
_K = tables.sealing
_GRANTS = "omero-grants"
_TRIES = 10


class UnknownOmeroWeb(BadRequest):
    """No OMERO.web of that name is believed: slidegate omero web list shows those that are."""

    code = "unknown-omero-web"


class OmeroWebExists(BadRequest):
    """An OMERO.web of that name is believed already, by another key: take another name, or remove that."""

    code = "omero-web-exists"


@dataclass(frozen=True, slots=True)
class OmeroPerson:
    """Somebody of OMERO: the number, which is nobody else's ever, and the login name, which may change."""

    user_id: int
    name: str


@dataclass(frozen=True, slots=True)
class OmeroWeb:
    """An OMERO.web that is believed, by its public key (PEM); ``at`` is since when, seconds since 1970."""

    name: str
    key: str
    at: float


@dataclass(frozen=True, slots=True)
class OmeroGrant:
    """A session in OMERO that a person has granted: since when, and until when; None where it has no end.

    It may end earlier: when nobody keeps it alive, or OMERO is started anew.
    """

    granted_at: float
    ends_at: float | None


class OmeroPeople:
    """Remembers who of OMERO is who here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, person: str) -> OmeroPerson | None:
        """Return who a person is in OMERO; None for who has not come from there."""
        query = select(_P).where(_P.c.person == person)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else OmeroPerson(row.user_id, row.name)

    def all(self) -> dict[str, OmeroPerson]:
        """Return who the people are in OMERO that have come from there."""
        with self._database.read() as connection:
            rows = connection.execute(select(_P)).all()
        return {row.person: OmeroPerson(row.user_id, row.name) for row in rows}

    def join(self, person: str, user_id: int) -> str | None:
        """Say who of OMERO a person is, whoever it was before; sessions granted before count no more.

        Safe to repeat.

        Returns
        -------
        Who that one of OMERO was here until now, if they were another person.

        Raises
        ------
        UnknownPerson
            The person has no account.
        """
        account = tables.account.c.person
        with self._database.write() as connection:
            if connection.execute(select(account).where(account == person)).first() is None:
                raise UnknownPerson(f"{person!r} has no account: slidegate person add {person} --role ROLE.")
            known = connection.execute(select(_P).where(_P.c.user_id == user_id)).one_or_none()
            if known is not None and known.person == person:
                return None
            former = None if known is None else str(known.person)
            connection.execute(delete(_P).where((_P.c.user_id == user_id) | (_P.c.person == person)))
            connection.execute(delete(_G).where(_G.c.person.in_([person, former or person])))
            name = person if known is None else known.name  # until they sign in the next time
            connection.execute(insert(_P).values(user_id=user_id, name=name, person=person))
        return former

    def signed_in(self, user_id: int, name: str, now: float, role: str = "researcher") -> str:
        """Return the person that somebody of OMERO is here; who is new gets an account without a password.

        The account is called by the login name, unless somebody is called so or Runs are: then ``name-2``
        and so on. Nobody's account becomes another's by it, whatever it is called. Safe to repeat, and from
        many at once; a new login name is remembered, and the account keeps its name.

        Parameters
        ----------
        role
            What a new account may do.
        """
        for _ in range(_TRIES):
            try:
                with self._database.write() as connection:
                    known = connection.execute(select(_P).where(_P.c.user_id == user_id)).one_or_none()
                    if known is None:
                        return _new(connection, user_id, name, now, role)
                    if known.name != name:
                        connection.execute(update(_P).where(_P.c.user_id == user_id).values(name=name))
                    return str(known.person)
            except IntegrityError:
                continue  # the same came in meanwhile, or another of that name
        raise BadRequest("Too many sign in at the same time. Try again.")


class OmeroWebs:
    """Remembers the OMERO.webs that are believed, and what they have said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, key: str, now: float) -> bool:
        """Believe an OMERO.web from now on; returns whether that is new.

        Parameters
        ----------
        key
            Its public key; that it is one is the caller's to check.

        Raises
        ------
        OmeroWebExists
            One of that name has another key.
        """
        with self._database.write() as connection:
            known = connection.execute(select(_W.c.key).where(_W.c.name == name)).scalar_one_or_none()
            if known is None:
                connection.execute(insert(_W).values(name=name, key=key, at=now))
            elif known != key:
                raise OmeroWebExists
        return known is None

    def key(self, name: str) -> str | None:
        """Return the public key of an OMERO.web; None where it is not believed."""
        with self._database.read() as connection:
            return connection.execute(select(_W.c.key).where(_W.c.name == name)).scalar_one_or_none()

    def all(self) -> list[OmeroWeb]:
        """Return those that are believed, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(_W).order_by(_W.c.name)).all()
        return [OmeroWeb(row.name, row.key, row.at) for row in rows]

    def remove(self, name: str) -> int:
        """Believe an OMERO.web no more; whoever it vouched for is signed out, and tokens made then are gone.

        Returns
        -------
        How many sessions and tokens that were.

        Raises
        ------
        UnknownOmeroWeb
        """
        with self._database.write() as connection:
            if not connection.execute(delete(_W).where(_W.c.name == name)).rowcount:
                raise UnknownOmeroWeb
            return sum(
                connection.execute(delete(table).where(table.c.web == name)).rowcount
                for table in (tables.session, tables.token)
            )

    def said(self, name: str, statement: str, now: float, ends_at: float) -> bool:
        """Remember what an OMERO.web has said; returns whether it is the first time.

        Parameters
        ----------
        statement
            What the statement is called by who made it.
        ends_at
            When nobody would believe it any more for its age.
        """
        digest = digest_of_secret(f"{name} {statement}")
        try:
            with self._database.write() as connection:
                connection.execute(delete(_S).where(_S.c.ends_at <= now))
                connection.execute(insert(_S).values(digest=digest, ends_at=ends_at))
        except IntegrityError:
            return False
        return True


class OmeroGrants:
    """Remembers who has granted a session in OMERO, and the public key that passwords are sealed with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, key: bytes, now: float) -> None:
        """Make the worker's public key known (32 bytes), in the place of an earlier one. Safe to repeat."""
        with self._database.write() as connection:
            values = {"key": key.hex(), "at": now}
            where = _K.c.name == _GRANTS
            if not connection.execute(update(_K).where(where).values(**values)).rowcount:
                connection.execute(insert(_K).values(name=_GRANTS, **values))

    def public(self) -> bytes | None:
        """Return the worker's public key; None where no worker has made one known."""
        with self._database.read() as connection:
            found = connection.execute(select(_K.c.key).where(_K.c.name == _GRANTS)).scalar_one_or_none()
        return None if found is None else bytes.fromhex(found)

    def note(self, person: str, granted_at: float, ends_at: float | None) -> None:
        """Remember that a person has granted a session, in the place of an earlier one."""
        values = {"granted_at": granted_at, "ends_at": ends_at}
        with self._database.write() as connection:
            if not connection.execute(update(_G).where(_G.c.person == person).values(**values)).rowcount:
                connection.execute(insert(_G).values(person=person, **values))

    def get(self, person: str) -> OmeroGrant | None:
        """Return what a person has granted; None for nothing."""
        with self._database.read() as connection:
            row = connection.execute(select(_G).where(_G.c.person == person)).mappings().one_or_none()
        return None if row is None else _grant(row)

    def all(self) -> dict[str, OmeroGrant]:
        """Return what people have granted, by person."""
        with self._database.read() as connection:
            rows = connection.execute(select(_G)).mappings().all()
        return {row["person"]: _grant(row) for row in rows}

    def forget(self, person: str) -> None:
        """Remember that a person has granted nothing any more. Safe to repeat."""
        with self._database.write() as connection:
            connection.execute(delete(_G).where(_G.c.person == person))


def _grant(row: Mapping[Any, Any]) -> OmeroGrant:
    return OmeroGrant(row["granted_at"], row["ends_at"])


def _new(connection: Connection, user_id: int, name: str, now: float, role: str) -> str:
    """Make an account for somebody of OMERO."""
    person = _free(connection, user_id, name)
    connection.execute(insert(tables.person).values(name=person, at=now))
    connection.execute(insert(tables.account).values(person=person, role=role, group="", active=True, at=now))
    connection.execute(insert(_P).values(user_id=user_id, name=name, person=person))
    return person


def _free(connection: Connection, user_id: int, name: str) -> str:
    """Return a name that nobody has, and that nothing of somebody is filed under."""
    try:
        check_name(f"{name}-99")
    except BadRequest:
        name = f"omero-{user_id}"
    number, person = 1, name
    while _is_taken(connection, person):
        number += 1
        person = f"{name}-{number}"
    return person


def _is_taken(connection: Connection, name: str) -> bool:
    columns = (tables.person.c.name, tables.run.c.person, tables.wish.c.person)
    return any(
        connection.execute(select(column).where(column == name).limit(1)).first() is not None
        for column in columns
    )
