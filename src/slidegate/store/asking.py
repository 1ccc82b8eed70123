# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""What people ask of Runs that exist, each in one transaction."""

from sqlalchemy import Connection, select, update

from slidegate.domain.errors import SlidegateError, UnknownRun
from slidegate.domain.events import CancelWanted, CollectAgain, Event, Retried
from slidegate.domain.states import FINISHED, State, Wanted
from slidegate.domain.values import RunId, TaskId
from slidegate.store import tables
from slidegate.store.database import Database
from slidegate.store.history import NOTHING_HELD, append

_R = tables.run
_T = tables.task


class Reconciling(SlidegateError):
    """A backup was restored, and sites are still being asked what they have done since. Try again soon."""

    code = "reconciling"
    transient = True


class Asking:
    """Cancels and retries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cancel(self, run: RunId, at: float) -> int:
        """Wish that all unfinished Tasks of a Run be cancelled, and have its site told soon.

        Safe to repeat. Returns how many had no such wish yet.

        Raises
        ------
        UnknownRun
        """
        query = select(_T.c.id).where(
            _T.c.run == run, _T.c.state.not_in(list(FINISHED)), _T.c.wanted == Wanted.RUN
        )
        with self._database.write() as connection:
            site = _lock(connection, run)
            found = list(connection.execute(query.order_by(_T.c.number).with_for_update()).scalars())
            if found:
                append(connection, run, [(CancelWanted(TaskId(task)), NOTHING_HELD) for task in found], at)
                unfinished = (_T.c.run == run, _T.c.state.not_in(list(FINISHED)))
                connection.execute(update(_T).where(*unfinished).values(not_before=0.0))
        if found:  # apart: whoever watches the site may hold its row, and wait for this Run
            with self._database.write() as connection:
                connection.execute(update(tables.site).where(tables.site.c.name == site).values(poll_at=0.0))
        return len(found)

    def retry(self, run: RunId, at: float) -> int:
        """Have every failed or cancelled Task of a Run tried again; one whose result exists is fetched again.

        Safe to repeat. Returns how many there were.

        Raises
        ------
        UnknownRun
        Reconciling
            What the sites have done is not known yet.
        """
        again = [State.FAILED, State.CANCELLED]
        query = select(_T).where(_T.c.run == run, _T.c.state.in_(again)).order_by(_T.c.number)
        with self._database.write() as connection:
            _lock(connection, run)
            if connection.execute(select(tables.reconcile.c.site).limit(1)).first() is not None:
                raise Reconciling
            events: list[Event] = []
            for row in connection.execute(query.with_for_update()).mappings():
                task, state = TaskId(row["id"]), State(row["state"])
                if state == State.FAILED and row["output"] is not None:
                    events.append(CollectAgain(task, state))
                else:
                    events.append(Retried(task, state, run, row["attempt"] + 1))
            if events:
                append(connection, run, [(event, NOTHING_HELD) for event in events], at)
        return len(events)


def _lock(connection: Connection, run: RunId) -> str:
    """Keep others from a Run until the transaction ends; return its site."""
    row = connection.execute(select(_R.c.site).where(_R.c.id == run).with_for_update()).one_or_none()
    if row is None:
        raise UnknownRun(f"There is no run {run}.")
    return str(row.site)
