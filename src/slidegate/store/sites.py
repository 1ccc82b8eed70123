# SPDX-License-Identifier: BSD-3-Clause
"""What was last heard of each site.

What a site says about an Attempt is kept word for word in ``heard``, what it says of crews with their
Submissions, and the cursor behind it, in one transaction; moving Tasks by it comes after. So nothing that a
site said is lost when a worker dies in between, and a Task that reaches ``queued`` after its news arrived
still gets them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.domain.causes import REASON, known_causes
from slidegate.domain.states import AT_SITE, FINISHED, State
from slidegate.domain.values import AttemptKey, SubmissionId, TaskId
from slidegate.store import tables
from slidegate.store.database import FAR_SECONDS, Database
from slidegate.store.reconciling import FIRST, begin

_S = tables.site
_H = tables.heard
_T = tables.task
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Watch:
    """A site in one worker's hands: it may ask for news and move the Tasks that are there."""

    site: str
    owner: str
    token: int
    cursor: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last record of a site's audit chain that this server has seen: its number and digest."""

    seq: int
    head: str


class KnownSites:
    """Remembers cursors, audit heads and news."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reset(self, site: str) -> None:
        """Forget what was heard of a site that was set up anew; its Tasks are asked about from the start."""
        with self._database.write() as connection:
            connection.execute(delete(_H).where(_H.c.site == site))
            connection.execute(delete(_S).where(_S.c.name == site))

    def claim(self, site: str, owner: str, now: float, seconds: float) -> Watch | None:
        """Take a site that is due for a look, None when it is not, or when somebody else has it."""
        with self._database.write() as connection:
            row = _row(connection, site)
            held = row["owner"] is not None and row["lease_until"] > now
            if held or not is_due(row, now):
                return None
            token = row["lease_token"] + 1
            taken = connection.execute(
                update(_S)
                .where(_S.c.name == site, _S.c.lease_token == row["lease_token"])
                .values(owner=owner, lease_token=token, lease_until=now + seconds)
            )
            return Watch(site, owner, token, row["cursor"]) if taken.rowcount == 1 else None

    def hurry(self, site: str) -> None:
        """Let a site be looked at at once."""
        with self._database.write() as connection:
            connection.execute(update(_S).where(_S.c.name == site).values(poll_at=0.0))

    def release(self, watch: Watch, poll_at: float, trouble: str | None = None) -> None:
        """Give a site back, to be looked at again at ``poll_at``; ``trouble`` says why it did not answer."""
        values: dict[str, Any] = {"owner": None, "lease_until": None, "poll_at": poll_at, "trouble": trouble}
        values["tries"] = 0 if trouble is None else _S.c.tries + 1
        with self._database.write() as connection:
            _held(connection, watch, values)

    def hear(
        self,
        watch: Watch,
        cursor: str,
        attempts: Sequence[Mapping[str, Any]],
        complete: bool,
        now: float,
        crews: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Keep what a site said, and the cursor behind it; a complete answer replaces what it said before.

        Of a crew nothing is kept but its newest round, and nothing of a Submission that is not known here.

        Returns
        -------
        False, with nothing written, when the lease on the site was lost.
        """
        with self._database.write() as connection:
            if not _held(connection, watch, {"cursor": cursor, "heard_at": now}):
                return False
            if complete:
                connection.execute(delete(_H).where(_H.c.site == watch.site))
                runs = select(tables.run.c.id).where(tables.run.c.site == watch.site)
                connection.execute(
                    update(tables.submission)
                    .where(tables.submission.c.run.in_(runs))
                    .values(crews=None, effort=None)
                )
            for said in attempts:
                which = (_H.c.site == watch.site, _H.c.attempt == said["attempt"])
                connection.execute(delete(_H).where(*which))
                connection.execute(
                    insert(_H).values(site=watch.site, attempt=said["attempt"], said=dict(said), at=now)
                )
            for crew in crews:
                _note_crew(connection, crew)
        return True

    def news(self, site: str) -> list[dict[str, Any]]:
        """Return the Tasks at a site, each with what the site last said of it (or None) as ``said``.

        ``said_at`` is when that was first heard.
        """
        query = (
            select(_T, _H.c.said, _H.c.at.label("said_at"))
            .join(tables.run, tables.run.c.id == _T.c.run)
            .outerjoin(_H, (_H.c.site == tables.run.c.site) & (_H.c.attempt == _T.c.attempt_key))
            .where(tables.run.c.site == site, tables.run.c.ended_at.is_(None))
            .where(_T.c.state.in_(list(AT_SITE)))
            .order_by(_T.c.run, _T.c.number)
        )
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def confirm(self, site: str, now: float) -> None:
        """Note that all Tasks at a site were heard of now."""
        runs = select(tables.run.c.id).where(tables.run.c.site == site, tables.run.c.ended_at.is_(None))
        # a Task that somebody is writing to just now is being heard of anyway
        there = (
            select(_T.c.id)
            .where(_T.c.state.in_(list(AT_SITE)), _T.c.run.in_(runs))
            .with_for_update(skip_locked=True)
        )
        with self._database.write() as connection:
            found = list(connection.execute(there).scalars())
            for first in range(0, len(found), _AT_ONCE):
                some = _T.c.id.in_(found[first : first + _AT_ONCE])
                connection.execute(update(_T).where(some).values(confirmed_at=now))

    def note_progress(self, task: TaskId, key: AttemptKey, step: str | None, done: int, total: int) -> None:
        """Note how far a running Attempt is, without an Event; writes only what changed."""
        where = (_T.c.id == task, _T.c.attempt_key == key, _T.c.state == State.RUNNING)
        same = (_T.c.step == step) & (_T.c.done == done) & (_T.c.total == total)
        with self._database.read() as connection:
            if connection.execute(select(_T.c.id).where(*where, same)).first():
                return
        with self._database.write() as connection:
            connection.execute(update(_T).where(*where).values(step=step, done=done, total=total))

    def note_effort(self, submission: SubmissionId, effort: Mapping[str, Any]) -> None:
        """Note how far the Attempts of a Submission have come, without an Event."""
        table = tables.submission
        with self._database.write() as connection:
            connection.execute(update(table).where(table.c.id == submission).values(effort=dict(effort)))

    def done_with(self, site: str, limit: int = 1000) -> list[dict[str, Any]]:
        """Return what a site last said of this store's own Attempts that no unfinished Task needs.

        Another server with the same key, or this one as it was after a backup, may need the others.
        """
        own = tables.own_attempt.c.attempt
        mine = select(own).where(own == _H.c.attempt).exists()
        needed = select(_T.c.id).where(_T.c.attempt_key == _H.c.attempt, _T.c.state.not_in(list(FINISHED)))
        query = select(_H.c.said).where(_H.c.site == site, mine, ~needed.exists()).limit(limit)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def forget(self, site: str, attempts: Sequence[AttemptKey]) -> None:
        """Forget what was said of Attempts that the site was told to let go of."""
        with self._database.write() as connection:
            connection.execute(delete(_H).where(_H.c.site == site, _H.c.attempt.in_(list(attempts))))
            own = tables.own_attempt
            connection.execute(delete(own).where(own.c.attempt.in_(list(attempts))))

    def audit_head(self, site: str) -> AuditHead:
        """Return the last audit record that was seen."""
        row = self.row(site)
        return AuditHead(row["head_seq"], row["head"])

    def advance_head(self, site: str, head: AuditHead) -> None:
        """Remember a later audit record; an earlier one changes nothing."""
        with self._database.write() as connection:
            _row(connection, site)
            connection.execute(
                update(_S)
                .where(_S.c.name == site, _S.c.head_seq < head.seq)
                .values(head_seq=head.seq, head=head.head)
            )

    def reconciling(self) -> dict[str, float]:
        """Return the sites that are still to be read completely since a backup was restored, and since when.

        While there is one, the queue hands out nothing: what the sites have done since is heard first.
        """
        with self._database.read() as connection:
            return {row.site: row.since for row in connection.execute(select(tables.reconcile))}

    def reconciled(self, site: str) -> bool:
        """Note that a site was read completely, and its Tasks moved by it; returns whether it had to be.

        Safe to repeat.
        """
        where = tables.reconcile.c.site == site
        with self._database.write() as connection:
            return connection.execute(delete(tables.reconcile).where(where)).rowcount == 1

    def begin_reconciling(self, now: float) -> list[str]:
        """Have every site read completely before anything else is done, as after a backup was restored.

        Who held something, and what was heard, is forgotten. The ends of the sites' records are kept: each
        must still be part of its site's record. Safe to repeat.

        Returns
        -------
        The sites: those that Runs are at which have not ended, and those of which anything was heard.
        """
        with self._database.write() as connection:
            return begin(connection, now)

    def row(self, site: str) -> dict[str, Any]:
        """Return all that is remembered of a site."""
        with self._database.read() as connection:
            row = connection.execute(select(_S).where(_S.c.name == site)).mappings().one_or_none()
        return {"name": site, "heard_at": None, "trouble": None, **FIRST} if row is None else dict(row)


def is_due(row: Mapping[str, Any], now: float) -> bool:
    """Say whether a site is to be looked at; also one that was put off before the clock was set back."""
    return not now < row["poll_at"] <= now + FAR_SECONDS


def _row(connection: Connection, site: str) -> dict[str, Any]:
    query = select(_S).where(_S.c.name == site)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        with suppress(IntegrityError), connection.begin_nested():  # somebody else may do so meanwhile
            connection.execute(insert(_S).values(name=site, **FIRST))
        row = connection.execute(query).mappings().one()
    return dict(row)


def _held(connection: Connection, watch: Watch, values: dict[str, Any]) -> bool:
    where = (_S.c.name == watch.site, _S.c.owner == watch.owner, _S.c.lease_token == watch.token)
    return connection.execute(update(_S).where(*where).values(**values)).rowcount == 1


def _note_crew(connection: Connection, said: Mapping[str, Any]) -> None:
    table = tables.submission
    where = table.c.id == said["submission"]
    row = connection.execute(select(table.c.crews).where(where)).one_or_none()
    if row is None:
        return
    kept: dict[str, Any] = {name: said[name] for name in ("round", "state", "array")}
    if kept["state"] == "queued" and REASON.fullmatch(str(said.get("reason", ""))):
        kept["reason"] = said["reason"]
    if causes := known_causes(said.get("causes")):
        kept["causes"] = causes
    crews = dict(row.crews or {})
    if kept["round"] >= crews.get(said["class"], kept)["round"]:
        crews[said["class"]] = kept
        connection.execute(update(table).where(where).values(crews=crews))
