# SPDX-License-Identifier: BSD-3-Clause
"""Facts are appended and rows moved in one transaction, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.domain.errors import Outdated
from slidegate.domain.events import Change, Event, Move, RunRequested, Sealed, changes, event_of
from slidegate.domain.states import State, check_move
from slidegate.domain.values import AttemptKey, RunId
from slidegate.store import tables
from slidegate.store.database import Database

_TABLES: dict[str, Table] = {
    name: getattr(tables, name) for name in ("run", "task", "submission", "artifact")
}
_FRESH: dict[str, Any] = {
    "not_before": 0.0,
    "tries": 0,
    "trouble": None,
    "step": None,
    "done": None,
    "total": None,
    "confirmed_at": None,
}


@dataclass(frozen=True, slots=True)
class Held:
    """What a writer must still hold for its Events to be written.

    Attributes
    ----------
    owner, token
        The lease on the Task, as the queue gave it.
    attempt_key
        The Attempt that was heard of; for those who move Tasks that are at a site, where nobody holds a
        lease.
    """

    owner: str | None = None
    token: int | None = None
    attempt_key: AttemptKey | None = None

    def condition(self) -> list[ColumnElement[bool]]:
        """The WHERE of it."""
        found: list[ColumnElement[bool]] = []
        if self.token is not None:
            found += [tables.task.c.lease_token == self.token, tables.task.c.owner == self.owner]
        if self.attempt_key is not None:
            found.append(tables.task.c.attempt_key == self.attempt_key)
        return found


NOTHING_HELD = Held()


class History:
    """Appends Events and reads them back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, event: RunRequested, at: float) -> bool:
        """Make a Run, if there is none of the same identity and generation.

        Returns
        -------
        Whether the Run was made now; False when it was there already.
        """
        try:
            with self._database.write() as connection:
                for change in changes(event.run, event):
                    beside = {"seq": 1, "at": at} if change.table == "run" else {}
                    _insert(connection, change, beside)
                _insert_event(connection, event.run, 1, at, event)
        except IntegrityError:
            return False
        return True

    def append(self, run: RunId, event: Event, at: float, held: Held = NOTHING_HELD) -> None:
        """Append one Event and move the rows, if the Task is still in the state that the Event starts from.

        Raises
        ------
        IllegalMove
            There is no such move.
        Outdated
            The Task is in another state, the lease is lost, or the Run is gone. Nothing was written.
        """
        with self._database.write() as connection:
            append(connection, run, [(event, held)], at)

    def append_all(self, run: RunId, pairs: Sequence[tuple[Event, Held]], at: float) -> None:
        """Append several Events in one transaction; see :meth:`append`."""
        with self._database.write() as connection:
            append(connection, run, pairs, at)

    def of(self, run: RunId) -> list[Event]:
        """Read a Run's history, oldest first."""
        return [event for _at, event in self.dated(run)]

    def dated(self, run: RunId) -> list[tuple[float, Event]]:
        """Read a Run's history with the times at which it was written."""
        query = select(tables.event).where(tables.event.c.run == run).order_by(tables.event.c.seq)
        with self._database.read() as connection:
            return [(row.at, event_of(row.kind, row.body)) for row in connection.execute(query)]


def append(connection: Connection, run: RunId, pairs: Sequence[tuple[Event, Held]], at: float) -> None:
    """Append Events inside a transaction; see :meth:`History.append`."""
    where = tables.run.c.id == run
    count = connection.execute(
        update(tables.run).where(where).values(seq=tables.run.c.seq + len(pairs))
    ).rowcount
    if count != 1:
        raise Outdated("The run is gone.")
    last = connection.execute(select(tables.run.c.seq).where(where)).scalar_one()
    for seq, (event, held) in enumerate(pairs, start=last - len(pairs) + 1):
        if isinstance(event, Move):
            _check(connection, event, held)
        elif isinstance(event, Sealed):
            _check_sealed(connection, event, held)
            _own(connection, event)
        _write(connection, changes(run, event))
        _insert_event(connection, run, seq, at, event)


def _check(connection: Connection, event: Move, held: Held) -> None:
    """Compare and swap: claim the row for the new state, or raise."""
    check_move(event.frm, event.to)
    swapped = connection.execute(
        update(tables.task)
        .where(tables.task.c.id == event.task, tables.task.c.state == event.frm, *held.condition())
        .values(state=event.to, **_FRESH)
    )
    if swapped.rowcount != 1:
        raise Outdated


def _check_sealed(connection: Connection, event: Sealed, held: Held) -> None:
    """Raise unless all Tasks of a Submission are ready and in the hands of who seals it."""
    where = [tables.task.c.id.in_(event.tasks), tables.task.c.state == State.SUBMITTING]
    if held.owner is not None:
        where.append(tables.task.c.owner == held.owner)
    found = connection.execute(select(func.count()).select_from(tables.task).where(*where)).scalar_one()
    if found != len(event.tasks):
        raise Outdated


def _own(connection: Connection, event: Sealed) -> None:
    """Remember the Attempts of a Submission as this store's own, also when their Run is deleted."""
    own, task = tables.own_attempt, tables.task
    named = select(task.c.attempt_key).where(
        task.c.id.in_(event.tasks), task.c.attempt_key.not_in(select(own.c.attempt))
    )
    connection.execute(insert(own).from_select(["attempt"], named))


def _write(connection: Connection, found: Sequence[Change]) -> None:
    for change in found:
        table = _TABLES[change.table]
        updated = connection.execute(update(table).where(table.c.id == change.key).values(**change.values))
        if not updated.rowcount:
            _insert(connection, change, {})


def _insert(connection: Connection, change: Change, beside: dict[str, Any]) -> None:
    connection.execute(insert(_TABLES[change.table]).values(id=change.key, **change.values, **beside))


def _insert_event(connection: Connection, run: RunId, seq: int, at: float, event: Event) -> None:
    connection.execute(
        insert(tables.event).values(run=run, seq=seq, at=at, kind=event.kind, body=event.body())
    )
