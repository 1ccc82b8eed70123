# SPDX-License-Identifier: BSD-3-Clause
"""People who sign in: their role is what they may do, their group whose Runs they see beside their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from slidegate.domain.errors import BadRequest
from slidegate.store import tables
from slidegate.store.database import Database
from slidegate.store.people import UnknownPerson, by_name, check_name, remember
from slidegate.store.sessions import Holder, LoginLinks, Session, Sessions, Token, Tokens

__all__ = ["ROLES", "Account", "Accounts", "Holder", "LoginLinks", "Session", "Sessions", "Token", "Tokens"]

ROLES = ("viewer", "researcher", "lead", "administrator")
_A = tables.account
_R = tables.run


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in.

    Attributes
    ----------
    role
        One of ``ROLES``.
    group
        The people whose Runs they may see, by their role; "" for none beside their own.
    active
        Whether they may sign in now.
    has_password
        Whether they can by a password.
    """

    person: str
    role: str
    group: str
    active: bool
    has_password: bool


class Accounts:
    """Remembers who may sign in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, person: str, role: str, group: str, now: float) -> None:
        """Give a person a role and a group; who has no account gets an active one without a password.

        Safe to repeat: password and whether they are active stay.

        Raises
        ------
        BadRequest
            There is no such role, or nobody can be called so.
        """
        if role not in ROLES:
            raise BadRequest(f"There is no role {role!r}; there are {', '.join(ROLES)}.")
        check_name(person)
        if group:
            check_name(group)
        with self._database.write() as connection:
            remember(connection, person, now)
            values = {"role": role, "group": group}
            where = _A.c.person == person
            if not connection.execute(update(_A).where(where).values(**values)).rowcount:
                connection.execute(insert(_A).values(person=person, active=True, at=now, **values))
            connection.execute(
                update(_R).where(_R.c.person == person, _R.c.group != group).values(group=group)
            )

    def set_password(self, person: str, password_hash: str | None) -> None:
        """Keep the hash of a password, or none; who was signed in is not any more.

        Raises
        ------
        UnknownPerson
        """
        self._update(person, {"password": password_hash})

    def password_hash(self, person: str) -> str | None:
        """Return the hash of a password; None for who has none, may not sign in, or is not known."""
        query = select(_A.c.password).where(_A.c.person == person, _A.c.active)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def get(self, person: str) -> Account:
        """Return an account.

        Raises
        ------
        UnknownPerson
        """
        with self._database.read() as connection:
            row = connection.execute(select(_A).where(_A.c.person == person)).mappings().one_or_none()
        if row is None:
            raise UnknownPerson(f"{person!r} has no account.")
        return _account(row)

    def all(self) -> list[Account]:
        """Return all accounts, by name."""
        with self._database.read() as connection:
            found = [_account(row) for row in connection.execute(select(_A)).mappings()]
        return sorted(found, key=lambda account: by_name(account.person))

    def group_of(self, person: str) -> str:
        """Return a person's group; "" for who has none, or no account."""
        with self._database.read() as connection:
            query = select(_A.c.group).where(_A.c.person == person)
            return connection.execute(query).scalar_one_or_none() or ""

    def deactivate(self, person: str, active: bool) -> None:
        """Let a person sign in (``active`` is True) or not; who may not is signed out, everywhere.

        Tokens and webhooks stay, and do nothing until the person may sign in again.

        Raises
        ------
        UnknownPerson
        """
        self._update(person, {"active": active})

    def _update(self, person: str, values: Mapping[str, Any]) -> None:
        with self._database.write() as connection:
            if not connection.execute(update(_A).where(_A.c.person == person).values(**values)).rowcount:
                raise UnknownPerson(f"{person!r} has no account.")
            if values.get("active") is not True:
                for table in (tables.session, tables.login_link):
                    connection.execute(delete(table).where(table.c.person == person))


def _account(row: Mapping[Any, Any]) -> Account:
    return Account(row["person"], row["role"], row["group"], bool(row["active"]), row["password"] is not None)
