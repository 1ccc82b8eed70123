# SPDX-License-Identifier: BSD-3-Clause
"""Facts are appended and rows moved in one transaction, or not at all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.domain.errors import Outdated
from slidegate.domain.events import Change, Event, Move, RunRequested, Sealed, TaskEvent, changes, event_of
from slidegate.domain.states import FINISHED, State, check_move, run_state
from slidegate.domain.values import AttemptKey, RunId
from slidegate.store import tables
from slidegate.store.database import Database
from slidegate.store.leases import QUEUES, STAGE, claimable, lock_tasks, stand_in_line
from slidegate.store.webhooks import tell_of_end

_TABLES: dict[str, Table] = {
    name: getattr(tables, name) for name in ("run", "task", "submission", "artifact")
}
_NAMED_AT_ONCE = 1000
_FRESH: dict[str, Any] = {
    "not_before": 0.0,
    "tries": 0,
    "deaths": 0,
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

    def request(self, event: RunRequested, at: float, request: str | None = None) -> bool:
        """Make a Run, if there is none of the same identity and generation.

        Parameters
        ----------
        request
            What logs call the request that asked for it.

        Returns
        -------
        Whether the Run was made now; False when it was there already.
        """
        try:
            with self._database.write() as connection:
                counts = {State.WAITING: len(event.tasks)}
                first = {"seq": 1, "at": at, "changed_at": at, "counts": counts, "state": run_state(counts)}
                first |= {"request": request, "group": _group_of(connection, event.person)}
                of_task = {"person": event.person, "claimable": STAGE, "since": at}
                made = changes(event.run, event)
                for name, beside in (("run", first), ("task", of_task)):
                    rows = [{"id": c.key, **c.values, **beside} for c in made if c.table == name]
                    if rows:
                        connection.execute(insert(_TABLES[name]), rows)
                _insert_event(connection, event.run, 1, at, event)
                for queue in QUEUES:
                    stand_in_line(connection, queue, event.person)
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


def _group_of(connection: Connection, person: str) -> str:
    account = tables.account.c
    query = select(account.group).where(account.person == person)
    return connection.execute(query).scalar_one_or_none() or ""


def append(connection: Connection, run: RunId, pairs: Sequence[tuple[Event, Held]], at: float) -> None:
    """Append Events inside a transaction; see :meth:`History.append`."""
    where = tables.run.c.id == run
    later = update(tables.run).where(where).values(seq=tables.run.c.seq + len(pairs), changed_at=at)
    if connection.execute(later).rowcount != 1:  # which also keeps others from this Run until the end
        raise Outdated("The run is gone.")
    row = connection.execute(select(tables.run).where(where)).one()
    tasks = [event.task for event, _held in pairs if isinstance(event, TaskEvent)]
    if len(tasks) > 1:
        few = len(tasks) <= _NAMED_AT_ONCE
        lock_tasks(connection, tables.task.c.id.in_(tasks) if few else tables.task.c.run == run)
    moved: Counter[str] = Counter()
    for seq, (event, held) in enumerate(pairs, start=row.seq - len(pairs) + 1):
        if isinstance(event, Move):
            _check(connection, event, held, at)
            moved.subtract([event.frm])
            moved.update([event.to])
        elif isinstance(event, Sealed):
            _check_sealed(connection, event, held)
            _own(connection, event)
        _write(connection, changes(run, event))
        _insert_event(connection, run, seq, at, event)
    if moved:
        _count(connection, run, row, moved, at)


def _count(connection: Connection, run: RunId, row: Any, moved: Counter[str], at: float) -> None:
    """Keep beside a Run how many Tasks are in each state, what that makes it, and when it ended."""
    found = Counter(row.counts)
    found.update(moved)
    counts = {str(state): found[state] for state in State if found[state]}
    state = run_state(State(name) for name in counts)
    ends = state in FINISHED
    is_end = ends and row.state not in FINISHED
    ended_at = at if is_end else row.ended_at if ends else None
    values = {"counts": counts, "state": state, "ended_at": ended_at}
    connection.execute(update(tables.run).where(tables.run.c.id == run).values(**values))
    if is_end:
        tell_of_end(connection, run, row.seq, state, at)


def _check(connection: Connection, event: Move, held: Held, at: float) -> None:
    """Compare and swap: claim the row for the new state, or raise."""
    check_move(event.frm, event.to)
    swapped = connection.execute(
        update(tables.task)
        .where(tables.task.c.id == event.task, tables.task.c.state == event.frm, *held.condition())
        .values(state=event.to, since=at, **_FRESH)
    )
    if swapped.rowcount != 1:
        raise Outdated


def _check_sealed(connection: Connection, event: Sealed, held: Held) -> None:
    """Raise unless all Tasks of a Submission are ready and in the hands of who seals it."""
    task = tables.task
    where = [task.c.id.in_(event.tasks), task.c.state == State.SUBMITTING]
    if held.owner is not None:
        where.append(task.c.owner == held.owner)
    if len(lock_tasks(connection, and_(*where))) != len(event.tasks):
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
        values = dict(change.values)
        if table is tables.task:
            values |= claimable(values)
        updated = connection.execute(update(table).where(table.c.id == change.key).values(**values))
        if not updated.rowcount:
            connection.execute(insert(table).values(id=change.key, **change.values))


def _insert_event(connection: Connection, run: RunId, seq: int, at: float, event: Event) -> None:
    connection.execute(
        insert(tables.event).values(run=run, seq=seq, at=at, kind=event.kind, body=event.body())
    )
