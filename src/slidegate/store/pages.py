# SPDX-License-Identifier: BSD-3-Clause
"""What pages show, each by a query that an index answers however long the history is."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from slidegate.domain.errors import BadRequest, UnknownRun
from slidegate.domain.events import Event, event_of
from slidegate.domain.shelf_names import OMERO
from slidegate.domain.states import FINISHED, State
from slidegate.domain.values import RunId
from slidegate.store import tables
from slidegate.store.database import Database
from slidegate.store.runs import RunRows

_R = tables.run
_T = tables.task
_S = tables.site
_CURSOR = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)~([0-9a-f]{1,64})")
_DONE_BY_STATE = {
    State.WAITING: 0.0, State.STAGING: 0.0, State.SUBMITTING: 0.1, State.QUEUED: 0.1, State.RUNNING: 0.1,
    State.COLLECTING: 0.9, State.PUBLISHING: 0.95,
}  # fmt: skip
_WITHIN = {State.STAGING: 0.1, State.RUNNING: 0.8}
"""What part of a Task's way lies behind it in each state, and what part such a state is."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A Run, as a line of a list shows it.

    Attributes
    ----------
    counts, tasks
        How many Tasks are in each state, and how many there are.
    group
        The group of its person now.
    first
        The name of its first image.
    progress
        From 0 to 1.
    created_at, changed_at, ended_at
        When it was asked for, when its last fact was written, and when its last Task ended, if all have.
    heard_at, trouble
        When its site was last heard, and why it is not.
    """

    run: RunId
    state: str
    counts: dict[str, int]
    tasks: int
    person: str
    group: str
    site: str
    workflow: str
    version: str
    release: str
    parameters: dict[str, Any]
    out: str
    seq: int
    created_at: float
    changed_at: float
    ended_at: float | None
    heard_at: float | None
    trouble: str | None
    progress: float
    first: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """A fact of a Run, its number and when it was written."""

    seq: int
    at: float
    event: Event


@dataclass(frozen=True, slots=True)
class Costs:
    """What a Run has taken so far, by what its site says of Attempts that ended.

    Attributes
    ----------
    core_hours, gpu_hours
        What jobs used.
    bytes_moved
        What images took on their way to the site, each Tree once.
    bytes_at_site
        What of that the site has not been told to let go of.
    images
        How many Tasks have succeeded.
    """

    core_hours: float
    gpu_hours: float
    bytes_moved: int
    bytes_at_site: int
    images: int


class Pages:
    """Answers what pages ask."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def runs_page(
        self,
        person: str | None = None,
        group: str | None = None,
        state: str | None = None,
        workflow: str | None = None,
        image: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> tuple[list[RunRow], str | None]:
        """Return Runs, newest first, and what ``before`` is for those that come after them, None at the end.

        Parameters
        ----------
        person, group, state, workflow
            Only Runs of this person, of people of this group, in this state, of this workflow.
        image
            Only Runs of an image whose name begins so.

        Raises
        ------
        BadRequest
            ``before`` is not what such a call has returned.
        """
        query = runs_query(self._database, person, group, state, workflow, image, before, limit)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
            found = _rows(connection, rows[:limit])
        further = f"{found[-1].created_at!r}~{found[-1].run}" if len(rows) > limit else None
        return found, further

    def owner(self, run: str) -> tuple[str, str]:
        """Return whose a Run is: the person, and the person's group now.

        Raises
        ------
        UnknownRun
        """
        with self._database.read() as connection:
            row = connection.execute(select(_R.c.person, _R.c.group).where(_R.c.id == run)).one_or_none()
        if row is None:
            raise UnknownRun(f"There is no run {run}.")
        return row.person, row.group

    def run_row(self, run: str) -> RunRow:
        """Return one Run.

        Raises
        ------
        UnknownRun
        """
        with self._database.read() as connection:
            rows = connection.execute(_runs().where(_R.c.id == run)).mappings().all()
            found = _rows(connection, rows)
        if not found:
            raise UnknownRun(f"There is no run {run}.")
        return found[0]

    def tasks_page(
        self, run: RunId, state: str | None = None, after_number: int = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return rows of a Run's Tasks in their order, after a number.

        Each row is a Task's with ``crews``, what is known of the crews of its Submission.
        """
        with self._database.read() as connection:
            query = tasks_query(run, state, after_number, limit)
            return [dict(row) for row in connection.execute(query).mappings()]

    def image_tasks(
        self, images: Sequence[str], person: str | None, group: str | None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return rows of Tasks of images in OMERO, newest Runs first, at most so many for each image.

        Each row is as of `tasks_page`, with ``workflow``, ``version``, ``release`` and ``at`` of its Run.

        Parameters
        ----------
        images
            As they are called there: ``12`` means the image whatever plane of it was chosen, ``12#z=3`` one.
        person, group
            Only of Runs of this person, of people of this group.
        """
        found: dict[str, dict[str, Any]] = {}
        with self._database.read() as connection:
            for image in images:
                query = image_tasks_query(self._database, image, person, group, limit)
                for row in connection.execute(query).mappings():
                    found[row["id"]] = dict(row)
        return sorted(found.values(), key=lambda row: (-row["at"], row["run"], row["number"]))

    def counts(self, run: RunId) -> dict[State, int]:
        """Return how many Tasks of a Run are in each state; nothing for a Run that is gone."""
        return RunRows(self._database).counts(run)

    def events_page(self, run: RunId, after_seq: int = 0, limit: int = 100) -> list[EventRow]:
        """Return facts of a Run, oldest first, after a number."""
        with self._database.read() as connection:
            rows = connection.execute(events_query(run, after_seq, limit)).all()
        return [EventRow(row.seq, row.at, event_of(row.kind, row.body)) for row in rows]

    def run_stamp(self, run: RunId) -> str:
        """Return a word that is another one whenever anything that pages show of a Run may be.

        Raises
        ------
        UnknownRun
        """
        found = self.run_stamps([run])
        if run not in found:
            raise UnknownRun(f"There is no run {run}.")
        return found[run]

    def run_stamps(self, runs: Collection[str]) -> dict[RunId, str]:
        """Return such a word for each of several Runs; none for those that are gone."""
        with self._database.read() as connection:
            rows = connection.execute(stamp_query(runs)).all()
        return {RunId(row.id): hashlib.sha256(repr(tuple(row)).encode()).hexdigest()[:32] for row in rows}

    def last_used(self, person: str, workflow: str) -> dict[str, Any] | None:
        """Return ``parameters`` and ``site`` of a person's last Run of a workflow, None without one."""
        with self._database.read() as connection:
            row = connection.execute(last_used_query(person, workflow)).mappings().one_or_none()
        return None if row is None else dict(row)

    def costs(self, run: RunId) -> Costs:
        """Return what a Run has taken so far."""
        own, staged = tables.own_attempt, tables.staged
        there = select(own.c.attempt).where(own.c.attempt == _T.c.attempt_key).exists()
        # another person's conversion of the same content is the same Tree: it moved once
        trees = (
            select(_T.c.input, staged.c.entries, there.label("there"))
            .join(
                staged,
                and_(
                    staged.c.source == _T.c.source,
                    staged.c.image == _T.c.image,
                    staged.c.fingerprint == _T.c.fingerprint,
                    staged.c.tree == _T.c.input,
                ),
            )
            .where(_T.c.run == run)
        )
        used = select(_T.c.usage, _T.c.state).where(_T.c.run == run)
        with self._database.read() as connection:
            rows = connection.execute(used).all()
            moved: dict[str, int] = {}
            kept: dict[str, int] = {}
            for tree, entries, is_there in connection.execute(trees):
                moved[tree] = sum(size for _name, size, _sha in entries)
                if is_there:
                    kept[tree] = moved[tree]
        usage = [row.usage or {} for row in rows]
        return Costs(
            core_hours=_sum(usage, "cpu_seconds") / 3600,
            gpu_hours=_sum(usage, "gpu_seconds") / 3600,
            bytes_moved=sum(moved.values()),
            bytes_at_site=sum(kept.values()),
            images=sum(row.state == State.SUCCEEDED for row in rows),
        )

    def load(self) -> dict[str, dict[State, int]]:
        """Return, by site, how many Tasks of Runs that have not ended are in each state."""
        query = select(_R.c.site, _R.c.counts).where(_R.c.ended_at.is_(None))
        found: dict[str, dict[State, int]] = {}
        with self._database.read() as connection:
            for site, counts in connection.execute(query):
                there = found.setdefault(site, {})
                for state, tasks in (counts or {}).items():
                    there[State(state)] = there.get(State(state), 0) + tasks
        return found

    def recent_usage(self, workflow: str, site: str, limit: int = 20) -> list[dict[str, Any]]:
        """Return what the last Tasks of a workflow took at a site, from its newest Runs: for estimates.

        Each is ``{"usage": what the site said, "bytes": of the image as it was sent, or None}``.
        """
        staged = tables.staged
        runs = (
            select(_R.c.id)
            .where(_R.c.workflow == workflow, _R.c.site == site)
            .order_by(_R.c.at.desc(), _R.c.id.desc())
            .limit(limit)
        )
        query = (
            select(_T.c.usage, staged.c.entries)
            .outerjoin(
                staged,
                and_(
                    staged.c.source == _T.c.source,
                    staged.c.image == _T.c.image,
                    staged.c.fingerprint == _T.c.fingerprint,
                    staged.c.tree == _T.c.input,
                ),
            )
            .where(_T.c.run.in_(runs.scalar_subquery()), _T.c.state == State.SUCCEEDED)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            {"usage": row.usage or {}, "bytes": sum(size for _n, size, _s in row.entries)}
            if row.entries is not None
            else {"usage": row.usage or {}, "bytes": None}
            for row in rows
        ]


def _runs() -> Select[Any]:
    return select(_R, _S.c.heard_at, _S.c.trouble).outerjoin(_S, _S.c.name == _R.c.site)


def runs_query(
    database: Database,
    person: str | None,
    group: str | None,
    state: str | None,
    workflow: str | None,
    image: str | None,
    before: str | None,
    limit: int,
) -> Select[Any]:
    """Return the query of :meth:`Pages.runs_page`; it gives one row more, if there are further ones."""
    conditions: list[ColumnElement[bool]] = []
    named = (
        (_R.c.person, person), (_R.c.group, group), (_R.c.state, state), (_R.c.workflow, workflow),
    )  # fmt: skip
    conditions += [column == value for column, value in named if value is not None]
    if image is not None:
        conditions.append(_R.c.id.in_(select(_T.c.run).where(database.begins_with(_T.c.name, image))))
    if before is not None:
        cursor = _CURSOR.fullmatch(before)
        if cursor is None:
            raise BadRequest("There is no such place in the list: begin again without a cursor.")
        at, run = float(cursor[1]), cursor[2]
        conditions += [_R.c.at <= at, or_(_R.c.at < at, _R.c.id < run)]
    return _runs().where(*conditions).order_by(_R.c.at.desc(), _R.c.id.desc()).limit(limit + 1)


def tasks_query(run: RunId, state: str | None, after_number: int, limit: int) -> Select[Any]:
    """Return the query of :meth:`Pages.tasks_page`."""
    s = tables.submission
    conditions = [_T.c.run == run, _T.c.number > after_number]
    if state is not None:
        conditions.append(_T.c.state == state)
    query = select(_T, s.c.crews).outerjoin(s, s.c.id == _T.c.submission).where(*conditions)
    return query.order_by(_T.c.number).limit(limit)


def image_tasks_query(
    database: Database, image: str, person: str | None, group: str | None, limit: int
) -> Select[Any]:
    """Return the query of :meth:`Pages.image_tasks` for one image."""
    s = tables.submission
    same = _T.c.image == image
    if "#" not in image:
        same = or_(same, database.begins_with(_T.c.image, f"{image}#"))
    named = ((_R.c.person, person), (_R.c.group, group))
    of_run = (_R.c.workflow, _R.c.version, _R.c.release, _R.c.at)
    query = select(_T, s.c.crews, *of_run).join(_R, _R.c.id == _T.c.run)
    query = query.outerjoin(s, s.c.id == _T.c.submission).where(_T.c.source == OMERO, same)
    query = query.where(*(column == value for column, value in named if value is not None))
    return query.order_by(_R.c.at.desc(), _R.c.id, _T.c.number).limit(limit)


def events_query(run: RunId, after_seq: int, limit: int) -> Select[Any]:
    """Return the query of :meth:`Pages.events_page`."""
    e = tables.event
    return select(e).where(e.c.run == run, e.c.seq > after_seq).order_by(e.c.seq).limit(limit)


def last_used_query(person: str, workflow: str) -> Select[Any]:
    """Return the query of :meth:`Pages.last_used`."""
    query = select(_R.c.parameters, _R.c.site).where(_R.c.person == person, _R.c.workflow == workflow)
    return query.order_by(_R.c.at.desc()).limit(1)


def stamp_query(runs: Collection[str]) -> Select[Any]:
    """Return the query of :meth:`Pages.run_stamps`."""
    t = _T.c
    beside = (
        select(
            t.run,
            func.max(t.confirmed_at).label("confirmed_at"),
            func.sum(t.done).label("done"),
            func.sum(t.total).label("total"),
            func.sum(t.tries).label("tries"),
            func.count(t.trouble).label("troubles"),
            func.sum(t.not_before).label("not_before"),
            func.min(t.step).label("first_step"),
            func.max(t.step).label("last_step"),
        )
        .where(t.run.in_(list(runs)))
        .group_by(t.run)
        .subquery()
    )
    shown = [column for column in beside.c if column.name != "run"]
    return (
        select(_R.c.id, _R.c.seq, _S.c.heard_at, _S.c.trouble, *shown)
        .join(beside, beside.c.run == _R.c.id)
        .outerjoin(_S, _S.c.name == _R.c.site)
        .where(_R.c.id.in_(list(runs)))
    )


def _rows(connection: Connection, rows: Sequence[Mapping[Any, Any]]) -> list[RunRow]:
    runs = [row["id"] for row in rows]
    query = select(_T.c.run, _T.c.name).where(_T.c.run.in_(runs), _T.c.number == 1)
    first: dict[str, str] = {row.run: row.name for row in connection.execute(query)}
    active = [row["id"] for row in rows if row["state"] == "active"]
    parts: dict[str, float] = {}
    if active:
        part = case((_T.c.total > 0, _T.c.done * 1.0 / _T.c.total), else_=0.0)
        going_on = (
            select(_T.c.run, _T.c.state, func.sum(part).label("part"))
            .where(_T.c.run.in_(active), _T.c.state.in_(list(_WITHIN)))
            .group_by(_T.c.run, _T.c.state)
        )
        for row in connection.execute(going_on):
            parts[row.run] = parts.get(row.run, 0.0) + _WITHIN[State(row.state)] * row.part
    return [_row(row, parts.get(row["id"], 0.0), first.get(row["id"], "")) for row in rows]


def _row(row: Mapping[Any, Any], within: float, first: str) -> RunRow:
    counts: dict[str, int] = dict(row["counts"] or {})
    tasks = sum(counts.values())
    behind = sum(
        number * (1.0 if state in FINISHED else _DONE_BY_STATE[State(state)])
        for state, number in counts.items()
    )
    same = (
        "state", "person", "group", "site", "workflow", "version", "release", "parameters", "out", "seq",
        "changed_at", "ended_at", "heard_at", "trouble",
    )  # fmt: skip
    return RunRow(
        run=RunId(row["id"]),
        counts=counts,
        tasks=tasks,
        created_at=row["at"],
        first=first,
        progress=min(1.0, (behind + within) / tasks) if tasks else 1.0,
        **{name: row[name] for name in same},
    )


def _sum(usage: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(sum(value for one in usage if isinstance(value := one.get(name), int | float)))
