# SPDX-License-Identifier: BSD-3-Clause
"""Who works on which Task: leases that save work, and tokens that keep it safe.

Any number of workers may ask at the same time. A Task is handed to one of them for a while; a worker that
died, or slept too long, loses it to another. Each new lease has a new token, and every write names the
token, so that a worker that wakes up late changes nothing.

"Nothing to claim" never means that nothing is left to do.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from slidegate.domain.run import run_of
from slidegate.domain.states import State
from slidegate.domain.values import RunId, TaskId
from slidegate.store import tables
from slidegate.store.database import FAR_SECONDS, Database
from slidegate.store.history import Held
from slidegate.store.leases import CANCEL, MOVE, STAGE, STEPS, lock_tasks, serve

_T = tables.task
_P = tables.turn
_LEASED = (tables.task, tables.site, tables.wish, tables.delivery)
_PEOPLE_TRIED = 8


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
        self,
        owner: str,
        now: float,
        seconds: float,
        runs: Collection[RunId] | None = None,
        states: Collection[State] | None = None,
        not_staging_at: Collection[str] = (),
    ) -> Claim | None:
        """Claim the Task that has waited longest, of the person who was served least recently.

        A Task that is wanted cancelled comes before the person's others, and is handed out whatever
        ``states`` and ``not_staging_at`` say. While a restored store is being reconciled with its sites,
        nothing is handed out.

        Parameters
        ----------
        owner
            Who claims; unique to a worker process.
        now, seconds
            The time, and how long the lease lasts unless it is renewed.
        runs
            Only Tasks of these Runs; None for all.
        states
            Only Tasks in these states; None for all.
        not_staging_at
            No Tasks of Runs at these sites that are still to be brought there.

        Returns
        -------
        None when there is nothing to be done now, or when others were quicker.
        """
        wanted = set(STEPS) if states is None else set(states) & set(STEPS)
        steps = _steps(wanted, not_staging_at)
        if runs is not None:
            steps = [[*step, _T.c.run.in_(list(runs))] for step in steps]
        line = "task" if runs is None else None
        if line and {STEPS[state] for state in wanted} == {STAGE}:
            line = "stage"
        elif line and {STEPS[state] for state in wanted} == {MOVE}:
            line = "move"
        with self._database.read() as connection:  # who has nothing to do holds nobody up
            if _is_reconciling(connection) or not _is_there_any(connection, steps, now):
                return None
        with self._database.write() as connection:
            if _is_reconciling(connection):
                return None
            for due in (_T.c.not_before <= now, _T.c.not_before > now + FAR_SECONDS):
                may = [[*step, due, _is_free(now)] for step in steps]
                if line is None:
                    found = _first(connection, owner, now, seconds, may)
                else:
                    found = _next_one(connection, owner, now, seconds, may, line)
                if found:
                    return found
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
            _lock(connection, claims)
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
            _lock(connection, claims)
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

    def ahead(self) -> dict[str, int]:
        """Return, by site, how many Tasks are there or ready to be handed in, and were not begun."""
        r = tables.run.c
        query = (
            select(r.site, func.count())
            .join(_T, _T.c.run == r.id)
            .where(r.ended_at.is_(None), _T.c.state.in_([State.SUBMITTING, State.QUEUED]))
            .group_by(r.site)
        )
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def owners(self, now: float) -> list[str]:
        """Return who holds leases that have not run out: on Tasks, sites, wishes, or what is to be told."""
        with self._database.read() as connection:
            found = {
                owner
                for table in _LEASED
                for owner in connection.execute(
                    select(table.c.owner).where(table.c.owner.is_not(None), table.c.lease_until > now)
                ).scalars()
            }
        return sorted(found)

    def died(self, owner: str, now: float, pause: Callable[[int], float]) -> None:
        """Take all leases from an owner that was killed; Tasks and wishes in its hands count that.

        Parameters
        ----------
        pause
            Returns how long to leave alone, in seconds, what so many owners in a row have died with: it may
            be what killed them, and others shall get on meanwhile.
        """
        with self._database.write() as connection:
            lock_tasks(connection, _T.c.owner == owner)
            for table in (tables.task, tables.wish):
                held = select(table.c.id, table.c.deaths).where(table.c.owner == owner).with_for_update()
                for row in connection.execute(held).all():
                    values = {"deaths": row.deaths + 1, "not_before": now + pause(row.deaths + 1)}
                    connection.execute(update(table).where(table.c.id == row.id).values(**values))
            _free(connection, owner)

    def free(self, owner: str) -> None:
        """Take all leases from an owner that holds on to nothing any more."""
        with self._database.write() as connection:
            _free(connection, owner)


def _free(connection: Connection, owner: str) -> None:
    lock_tasks(connection, _T.c.owner == owner)
    for table in _LEASED:
        where = table.c.owner == owner
        connection.execute(update(table).where(where).values(owner=None, lease_until=None))


def _lock(connection: Connection, claims: Sequence[Claim]) -> None:
    if len(claims) > 1:
        lock_tasks(connection, _T.c.id.in_([claim.task for claim in claims]))


def _is_held(claim: Claim) -> list[ColumnElement[bool]]:
    return [_T.c.id == claim.task, _T.c.owner == claim.owner, _T.c.lease_token == claim.token]


def _is_free(now: float) -> ColumnElement[bool]:
    return or_(_T.c.owner.is_(None), _T.c.lease_until <= now)


Conditions = Sequence[ColumnElement[bool]]


def _steps(wanted: Collection[State], not_staging_at: Collection[str]) -> list[list[ColumnElement[bool]]]:
    """Return the conditions of each kind of step that may be taken; an index serves each."""
    found: list[list[ColumnElement[bool]]] = [[_T.c.claimable == CANCEL]]
    for kind in (MOVE, STAGE):
        states = [state for state in wanted if STEPS[state] == kind]
        if not states:
            continue
        conditions = [_T.c.claimable == kind]
        if len(states) < list(STEPS.values()).count(kind):
            conditions.append(_T.c.state.in_(states))
        if kind == STAGE and not_staging_at:
            r = tables.run.c
            full = select(r.id).where(r.ended_at.is_(None), r.site.in_(list(not_staging_at)))
            conditions.append(_T.c.run.not_in(full))
        found.append(conditions)
    return found


def _is_reconciling(connection: Connection) -> bool:
    return connection.execute(select(tables.reconcile.c.site).limit(1)).first() is not None


def _is_there_any(connection: Connection, steps: Sequence[Conditions], now: float) -> bool:
    for due in (_T.c.not_before <= now, _T.c.not_before > now + FAR_SECONDS):
        for step in steps:
            query = select(_T.c.id).where(*step, due, _is_free(now)).limit(1)
            if connection.execute(query).first() is not None:
                return True
    return False


def _next_one(
    connection: Connection,
    owner: str,
    now: float,
    seconds: float,
    steps: Sequence[Conditions],
    line: str,
) -> Claim | None:
    """Take a Task of the person whose turn it is; of the next one's, if others take those just now."""
    has_some = or_(*(select(_T.c.id).where(*step, _T.c.person == _P.c.person).exists() for step in steps))
    tried: list[str] = []
    while len(tried) < _PEOPLE_TRIED:
        query = select(_P.c.person).where(_P.c.queue == line, has_some, _P.c.person.not_in(tried))
        row = connection.execute(query.order_by(_P.c.served, _P.c.person).limit(1)).one_or_none()
        if row is None:
            return None
        theirs = [[*step, _T.c.person == row.person] for step in steps]
        found = _first(connection, owner, now, seconds, theirs)
        if found:
            serve(connection, line, row.person)
            return found
        tried.append(row.person)
    return None


def _first(
    connection: Connection, owner: str, now: float, seconds: float, steps: Sequence[Conditions]
) -> Claim | None:
    """Take the Task that has waited longest of all that allow one of these steps."""
    waiting = []
    for conditions in steps:
        query = select(_T.c.id, _T.c.claimable, _T.c.not_before, _T.c.run, _T.c.number).where(*conditions)
        ordered = query.order_by(_T.c.not_before, _T.c.run, _T.c.number).limit(1)
        row = connection.execute(ordered.with_for_update(skip_locked=True)).one_or_none()
        if row is not None:
            waiting.append((row.claimable != CANCEL, row.not_before, row.run, row.number, row.id))
    for *_order, task in sorted(waiting):
        found = _claim(connection, owner, now, seconds, [_T.c.id == task, _is_free(now)], 1)
        if found:
            return found[0]
    return None


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
        deaths = row["deaths"] + (row["owner"] is not None)  # who let a lease run out has died, or sleeps
        taken = connection.execute(
            update(_T)
            .where(_T.c.id == row["id"], _T.c.lease_token == row["lease_token"])
            .values(owner=owner, lease_token=token, lease_until=now + seconds, deaths=deaths)
        )
        if taken.rowcount == 1:
            claims.append(Claim(TaskId(row["id"]), owner, token, {**row, "deaths": deaths}))
    return claims
