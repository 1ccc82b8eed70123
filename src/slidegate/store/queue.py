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

from sqlalchemy import ColumnElement, Connection, or_, select, update

from slidegate.domain.run import run_of
from slidegate.domain.states import AT_SITE, FINISHED, State
from slidegate.domain.values import RunId, TaskId
from slidegate.store import tables
from slidegate.store.database import FAR_SECONDS, Database
from slidegate.store.history import Held

_T = tables.task
_CLAIMABLE = [state for state in State if state not in FINISHED | AT_SITE]


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
        """Claim the Task that has waited longest.

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
        conditions = [_T.c.state.in_(_CLAIMABLE)]
        if runs is not None:
            conditions.append(_T.c.run.in_(list(runs)))
        with self._database.write() as connection:
            found = _claim(connection, owner, now, seconds, conditions, 1)
        return found[0] if found else None

    def claim_mates(self, claim: Claim, now: float, seconds: float, limit: int) -> list[Claim]:
        """Claim up to ``limit`` more Tasks of the same Run, state and Submission, also before their time."""
        conditions = [
            _T.c.run == claim.run,
            _T.c.state == claim.row["state"],
            _T.c.submission == claim.row["submission"],
        ]
        with self._database.write() as connection:
            return _claim(connection, claim.owner, now, seconds, conditions, limit, early=True)

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


def _claim(
    connection: Connection,
    owner: str,
    now: float,
    seconds: float,
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
    early: bool = False,
) -> list[Claim]:
    """Look, then take each by compare and swap on its token; SKIP LOCKED only makes it quicker."""
    query = (
        select(_T)
        .where(*conditions, or_(_T.c.owner.is_(None), _T.c.lease_until <= now))
        .order_by(_T.c.not_before, _T.c.run, _T.c.number)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if not early:
        query = query.where(or_(_T.c.not_before <= now, _T.c.not_before > now + FAR_SECONDS))
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
