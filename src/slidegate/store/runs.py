# SPDX-License-Identifier: BSD-3-Clause
"""Looking Runs up, wishing them cancelled, and deleting them."""

import re
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from slidegate.domain.errors import RunStillActive, UnknownRun
from slidegate.domain.events import Rows
from slidegate.domain.states import AT_SITE, FINISHED, State
from slidegate.domain.values import Digest, RunId, SubmissionId, TaskId
from slidegate.store import tables
from slidegate.store.database import Database

_R = tables.run
_T = tables.task
_NAME = re.compile("[0-9a-f]{1,64}")
_VIEWED = {
    "run": {"id", "seq", "at", "state", "counts", "changed_at", "ended_at", "request", "group"},
    "task": {
        "id", "not_before", "owner", "lease_until", "lease_token", "tries", "deaths", "trouble",
        "step", "done",
        "total", "confirmed_at", "since", "person", "claimable",
    },
    "submission": {"id", "crews", "effort"},
    "artifact": {"id"},
}  # fmt: skip


class RunRows:
    """Reads the rows of Runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> RunId:
        """Return the Run whose name begins with what a person typed, or the last one for ``last``.

        Raises
        ------
        UnknownRun
            No Run, or more than one, has such a name.
        """
        newest = select(_R.c.id).order_by(_R.c.at.desc(), _R.c.id.desc()).limit(1)
        begins = select(_R.c.id).where(_R.c.id >= name, _R.c.id < name + "g").limit(2)
        query = newest if name == "last" else begins
        found: list[str] = []
        if name == "last" or _NAME.fullmatch(name):
            with self._database.read() as connection:
                found = list(connection.execute(query).scalars())
        if len(found) != 1:
            reason = "more than one run has a name that begins so" if found else "there is no such run"
            raise UnknownRun(f"Cannot tell which run {name!r} is: {reason}.")
        return RunId(found[0])

    def newest(self, identity: Digest) -> tuple[RunId | None, int]:
        """Return the last Run of an identity, if there is one, and the generation that another would have.

        That is one which no Run has had, also none that was deleted.
        """
        query = select(_R.c.id, _R.c.generation).where(_R.c.identity == identity)
        with self._database.read() as connection:
            row = connection.execute(query.order_by(_R.c.generation.desc()).limit(1)).one_or_none()
            spent = _spent(connection, identity)
        return (None, spent) if row is None else (RunId(row.id), max(row.generation + 1, spent))

    def run(self, run: RunId) -> dict[str, Any]:
        """Return a Run's row.

        Raises
        ------
        UnknownRun
            There is none.
        """
        with self._database.read() as connection:
            row = connection.execute(select(_R).where(_R.c.id == run)).mappings().one_or_none()
        if row is None:
            raise UnknownRun(f"There is no run {run}.")
        return dict(row)

    def all(self) -> list[dict[str, Any]]:
        """Return the rows of all Runs, newest first."""
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(select(_R).order_by(_R.c.at.desc())).mappings()]

    def states(self) -> dict[RunId, dict[State, int]]:
        """Return how many Tasks of each Run are in each state."""
        with self._database.read() as connection:
            rows = connection.execute(select(_R.c.id, _R.c.counts)).all()
        return {RunId(row.id): {State(s): tasks for s, tasks in (row.counts or {}).items()} for row in rows}

    def counts(self, run: RunId) -> dict[State, int]:
        """Return how many Tasks of a Run are in each state; nothing for a Run that is gone."""
        with self._database.read() as connection:
            found = connection.execute(select(_R.c.counts).where(_R.c.id == run)).scalar_one_or_none()
        return {State(state): tasks for state, tasks in (found or {}).items()}

    def tasks(self, run: RunId) -> list[dict[str, Any]]:
        """Return the rows of a Run's Tasks, in their order."""
        query = select(_T).where(_T.c.run == run).order_by(_T.c.number)
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def task(self, task: TaskId) -> dict[str, Any]:
        """Return one Task's row.

        Raises
        ------
        UnknownRun
            Its Run is gone.
        """
        with self._database.read() as connection:
            row = connection.execute(select(_T).where(_T.c.id == task)).mappings().one_or_none()
        if row is None:
            raise UnknownRun
        return dict(row)

    def submission(self, submission: SubmissionId) -> dict[str, Any] | None:
        """Return a Submission's row, None for one that is not known here."""
        query = select(tables.submission).where(tables.submission.c.id == submission)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else dict(row)

    def submissions(self, run: RunId) -> list[dict[str, Any]]:
        """Return the rows of a Run's Submissions."""
        query = select(tables.submission).where(tables.submission.c.run == run)
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def ended(self, submission: SubmissionId) -> int:
        """Return how many Tasks of a Submission are not at the site any more."""
        query = select(func.count()).where(_T.c.submission == submission, _T.c.state.not_in(list(AT_SITE)))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def last_change(self, run: RunId) -> float:
        """Return when the last fact of a Run was written; 0 when there is none."""
        query = select(_R.c.changed_at).where(_R.c.id == run)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none() or 0.0

    def artifacts(self, run: RunId) -> list[dict[str, Any]]:
        """Return the rows of a Run's Artifacts."""
        a = tables.artifact
        query = select(a).join(_T, _T.c.id == a.c.task).where(_T.c.run == run).order_by(_T.c.number, a.c.role)
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def view(self, run: RunId) -> Rows:
        """Return what the rows of a Run say that its history says too; equals ``fold`` of its history."""
        s = tables.submission
        a = tables.artifact
        queries = {
            "run": select(_R).where(_R.c.id == run),
            "task": select(_T).where(_T.c.run == run),
            "submission": select(s).where(s.c.run == run),
            "artifact": select(a).join(_T, _T.c.id == a.c.task).where(_T.c.run == run),
        }
        with self._database.read() as connection:
            return {
                name: {
                    row["id"]: {key: row[key] for key in row if key not in _VIEWED[name]}
                    for row in connection.execute(query).mappings()
                }
                for name, query in queries.items()
            }

    def spend(self, identity: Digest, generations: int) -> None:
        """Give the names of so many generations of an identity to no Run any more. Safe to repeat."""
        with self._database.write() as connection:
            _spend(connection, identity, generations)

    def delete(self, run: RunId) -> None:
        """Delete all rows of a Run, its history too; of what is gone already, nothing.

        Raises
        ------
        RunStillActive
            A Task has not ended. Nothing was deleted.
        """
        tasks = select(_T.c.id).where(_T.c.run == run)
        with self._database.write() as connection:
            same = select(_R.c.identity).where(_R.c.id == run).scalar_subquery()
            query = select(_R).where(_R.c.identity == same).order_by(_R.c.id).with_for_update()
            row = next((row for row in connection.execute(query) if row.id == run), None)
            if row is None:
                return
            if not _finished(connection, run):
                raise RunStillActive
            _spend(connection, row.identity, row.generation + 1)
            connection.execute(delete(tables.artifact).where(tables.artifact.c.task.in_(tasks)))
            for table in (tables.event, tables.submission, _T):
                connection.execute(delete(table).where(table.c.run == run))
            connection.execute(delete(_R).where(_R.c.id == run))

    def unfinished(self) -> list[RunId]:
        """Return the Runs that have Tasks that have not ended."""
        query = select(_R.c.at, _R.c.id).where(_R.c.ended_at.is_(None))
        with self._database.read() as connection:
            return [RunId(run) for _at, run in sorted(tuple(row) for row in connection.execute(query))]


def _spent(connection: Connection, identity: str) -> int:
    query = select(tables.spent.c.generations).where(tables.spent.c.identity == identity)
    return connection.execute(query).scalar_one_or_none() or 0


def _spend(connection: Connection, identity: str, generations: int) -> None:
    """Remember that so many generations of an identity were used; never fewer than before."""
    spent = tables.spent
    known = _spent(connection, identity)
    if known == 0:
        connection.execute(insert(spent).values(identity=identity, generations=generations))
    elif generations > known:
        where = spent.c.identity == identity
        connection.execute(update(spent).where(where).values(generations=generations))


def _finished(connection: Connection, run: RunId) -> bool:
    query = select(func.count()).where(_T.c.run == run, _T.c.state.not_in(list(FINISHED)))
    return connection.execute(query).scalar_one() == 0
