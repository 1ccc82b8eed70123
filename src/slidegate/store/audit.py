# SPDX-License-Identifier: BSD-3-Clause
"""Who asked for what, from where, and what became of it. No image is named here, and no parameter."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from slidegate.store import tables
from slidegate.store.database import Database

_A = tables.audit


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the audit.

    Attributes
    ----------
    id
        Its number, the higher the later.
    person
        Who asked; None where nobody is known.
    action, target
        What was asked for, and of what.
    outcome
        ``done``, or the code of what was in the way.
    request, address
        The name of the request, as logs have it, and where it came from.
    """

    id: int
    at: float
    person: str | None
    action: str
    target: str | None
    outcome: str
    request: str | None
    address: str | None


class Audit:
    """Keeps what was asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self,
        at: float,
        person: str | None,
        action: str,
        target: str | None,
        outcome: str,
        request: str | None = None,
        address: str | None = None,
    ) -> None:
        """Add a line. A repeat adds another."""
        with self._database.write() as connection:
            connection.execute(
                insert(_A).values(
                    at=at, person=person, action=action, target=target, outcome=outcome, request=request,
                    address=address,
                )
            )  # fmt: skip

    def page(self, before: int | None = None, limit: int = 100, person: str | None = None) -> list[Note]:
        """Return lines, newest first: those before a number, and of one person if one is given."""
        conditions = [] if before is None else [_A.c.id < before]
        if person is not None:
            conditions.append(_A.c.person == person)
        query = select(_A).where(*conditions).order_by(_A.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [Note(**row) for row in connection.execute(query).mappings()]

    def sweep(self, before: float) -> int:
        """Forget lines older than a moment; returns how many."""
        with self._database.write() as connection:
            return connection.execute(delete(_A).where(_A.c.at < before)).rowcount
