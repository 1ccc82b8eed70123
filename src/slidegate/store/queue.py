# SPDX-License-Identifier: BSD-3-Clause
"""Who works on which Task: leases that save work, and tokens that keep it safe.

Any number of workers may ask at the same time. A Task is handed to one of them for a while; a worker that
died, or slept too long, loses it to another. Each new lease has a new token, and every write names the
token, so that a worker that wakes up late changes nothing.

"Nothing to claim" never means that nothing is left to do.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, or_, select, update

from slidegate.domain.run import run_of
from slidegate.domain.values import RunId, TaskId
from slidegate.store import tables
from slidegate.store.database import FAR_SECONDS, Database
from slidegate.store.history import Held
from slidegate.store.leases import serve

_T = tables.task
_P = tables.turn
_QUEUE = "task"


@dataclass(frozen=True, slots=True)
class Claim:
    """A Task in one worker's hands.

    Attributes
    ----------
    row
        All columns of the Task when it was claimed.
    """

    task: TaskId
    owner: str
    token: int
    row: dict[str, Any]

    @property
    def run(self) -> RunId:
        """The Run of the Task."""
        return run_of(self.task)

    @property
    def held(self) -> Held:
        """What writes are conditional on."""
        return Held(self.owner, self.token)


class Queue:
    """Hands out Tasks.

    Tasks that are queued or running at a site are in nobody's hands: whoever watches the site moves them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, owner: str, now: float, seconds: float, runs: Collection[RunId] | None = None
    ) -> Claim | None:
        """Claim the Task that has waited longest, of the person who was served least recently.

        While a restored store is being reconciled with its sites, nothing is handed out.

        Parameters
        ----------
        owner
            Who claims; unique to a worker process.
        now, seconds
            The time, and how long the lease lasts unless it is renewed.
        runs
            Only Tasks of these Runs; None for all.

        Returns
        -------
        None when there is nothing to be done now, or when others were quicker.
        """
        with self._database.write() as connection:
            if connection.execute(select(tables.reconcile.c.site).limit(1)).first() is not None:
                return None
            for early in (False, True):
                due = [_T.c.claimable == 1, _is_due(now, early), _is_free(now)]
                if runs is None:
                    next_one = connection.execute(_next_person(due)).one_or_none()
                    if next_one is None:
                        continue
                    whose = _T.c.person == next_one.person
                    found = _claim(connection, owner, now, seconds, [*due, whose], 1)
                    if found:
                        serve(connection, _QUEUE, next_one.person)
                else:
                    mine = _T.c.run.in_(list(runs))
                    found = _claim(connection, owner, now, seconds, [*due, mine], 1)
                if found:
                    return found[0]
        return None

    def claim_mates(self, claim: Claim, now: float, seconds: float, limit: int) -> list[Claim]:
        """Claim up to ``limit`` more Tasks of the same Run, state and Submission, also before their time."""
        conditions = [
            _T.c.run == claim.run,
            _T.c.state == claim.row["state"],
            _T.c.submission == claim.row["submission"],
            _is_free(now),
        ]
        with self._database.write() as connection:
            return _claim(connection, claim.owner, now, seconds, conditions, limit)

    def renew(self, claims: Sequence[Claim], until: float) -> bool:
        """Prolong leases.

        Returns
        -------
        Whether all of them were still held. When not, the work under way is no longer this worker's.
        """
        with self._database.write() as connection:
            counts = [
                connection.execute(update(_T).where(*_is_held(claim)).values(lease_until=until)).rowcount
                for claim in claims
            ]
        return all(counts)

    def finish(
        self, claims: Sequence[Claim], not_before: float | None = None, trouble: str | None = None
    ) -> None:
        """Give Tasks back; leases that were lost meanwhile are left alone.

        Parameters
        ----------
        not_before
            When the Tasks may be claimed again; None leaves what a move has set.
        trouble
            Why the last step did not succeed, in words; counts as a try.
        """
        values: dict[str, Any] = {"owner": None, "lease_until": None}
        if not_before is not None:
            values["not_before"] = not_before
        if trouble is not None:
            values |= {"trouble": trouble, "tries": _T.c.tries + 1}
        with self._database.write() as connection:
            for claim in claims:
                connection.execute(update(_T).where(*_is_held(claim)).values(**values))

    def put_off(self, task: TaskId, not_before: float, trouble: str) -> None:
        """Let a Task that is in nobody's hands wait, and say why."""
        values = {"not_before": not_before, "trouble": trouble}
        with self._database.write() as connection:
            connection.execute(update(_T).where(_T.c.id == task, _T.c.owner.is_(None)).values(**values))

    def progress(self, claim: Claim, step: str, done: int, total: int, now: float) -> bool:
        """Note how far the work is, without an Event.

        Returns
        -------
        Whether the Task is still held and still wanted.
        """
        with self._database.write() as connection:
            count = connection.execute(
                update(_T)
                .where(*_is_held(claim), _T.c.wanted == "run")
                .values(step=step, done=done, total=total, confirmed_at=now)
            ).rowcount
        return count == 1

    def owners(self, now: float) -> list[str]:
        """Return who holds leases, on Tasks or on sites, that have not run out."""
        with self._database.read() as connection:
            found = {
                owner
                for table in (_T, tables.site)
                for owner in connection.execute(
                    select(table.c.owner).where(table.c.owner.is_not(None), table.c.lease_until > now)
                ).scalars()
            }
        return sorted(found)

    def free(self, owner: str) -> None:
        """Take all leases from an owner that is known to be dead."""
        with self._database.write() as connection:
            for table in (_T, tables.site):
                connection.execute(
                    update(table).where(table.c.owner == owner).values(owner=None, lease_until=None)
                )


def _is_held(claim: Claim) -> list[ColumnElement[bool]]:
    return [_T.c.id == claim.task, _T.c.owner == claim.owner, _T.c.lease_token == claim.token]


def _is_free(now: float) -> ColumnElement[bool]:
    return or_(_T.c.owner.is_(None), _T.c.lease_until <= now)


def _is_due(now: float, was_set_back: bool) -> ColumnElement[bool]:
    """Whether its time has come; or, apart, so that an index serves both, the clock has been set back."""
    return _T.c.not_before > now + FAR_SECONDS if was_set_back else _T.c.not_before <= now


def _next_person(due: Sequence[ColumnElement[bool]]) -> Select[tuple[str]]:
    """Return the query for the person whose turn it is, of those who have Tasks to hand out."""
    has_some = select(_T.c.id).where(*due, _T.c.person == _P.c.person).exists()
    query = select(_P.c.person).where(_P.c.queue == _QUEUE, has_some)
    return query.order_by(_P.c.served, _P.c.person).limit(1)


def _claim(
    connection: Connection,
    owner: str,
    now: float,
    seconds: float,
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> list[Claim]:
    """Look, then take each by compare and swap on its token; SKIP LOCKED only makes it quicker."""
    query = (
        select(_T)
        .where(*conditions)
        .order_by(_T.c.not_before, _T.c.run, _T.c.number)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claims = []
    for row in connection.execute(query).mappings().all():
        token = row["lease_token"] + 1
        taken = connection.execute(
            update(_T)
            .where(_T.c.id == row["id"], _T.c.lease_token == row["lease_token"])
            .values(owner=owner, lease_token=token, lease_until=now + seconds)
        )
        if taken.rowcount == 1:
            claims.append(Claim(TaskId(row["id"]), owner, token, dict(row)))
    return claims
