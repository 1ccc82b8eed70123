# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Wishes: what people want of a source or a site, asked by a process that can reach neither.

Whoever can reach them claims a wish, and grants or refuses it; who asked looks at it until then. Claiming is
by lease and token, as with Tasks: a granter that wakes up late changes nothing.
"""

import math
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, not_, or_, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.domain.errors import BadRequest, SlidegateError
from slidegate.domain.values import digest_of
from slidegate.store import tables
from slidegate.store.database import FAR_SECONDS, Database
from slidegate.store.leases import serve, stand_in_line

KINDS = (
    "browse", "describe", "thumbnail", "launch", "preview", "log", "units", "picture", "delete",
    "omero-grant", "omero-revoke",
)  # fmt: skip
CHANGING = frozenset({"launch", "preview", "delete"})
"""Wishes that begin or end something: not handed out while a restored store is being reconciled."""
SECRET = frozenset({"omero-grant"})
"""Wishes that hold a secret, sealed for a worker: it is taken out of the store when they have ended."""
_W = tables.wish
_T = tables.turn
_QUEUE = "wish"
_KEEP_KEY_SECONDS = 7 * 86400.0
MOST_OPEN = 500
"""So many wishes of a person may be open at once: more than any page asks for, and no heap for workers."""
_ASK_TRIES = 5


class UnknownWish(BadRequest):
    """There is no such wish (any more)."""

    code = "unknown-wish"


class KeyReused(BadRequest):
    """The same key came with another request before: take a new key for a new request."""

    code = "key-reused"


class TooManyWishes(SlidegateError):
    """You wait for very much already: ask again when some of it is there."""

    code = "too-many-wishes"
    transient = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants, and what has become of it.

    Attributes
    ----------
    id
        32 hex, random.
    kind
        One of ``KINDS``.
    state
        ``open``, ``granted`` or ``refused``.
    asked_at, ended_at
        Seconds since 1970, UTC.
    step, done, total
        How far it is, in words and numbers.
    trouble
        Why it is still open, in words.
    answer
        What it brought, when it is granted.
    error_code, error
        Why it was refused.
    """

    id: str
    kind: str
    person: str
    body: dict[str, Any]
    state: str
    asked_at: float
    ended_at: float | None
    step: str | None
    done: int | None
    total: int | None
    trouble: str | None
    answer: dict[str, Any] | None
    error_code: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class HeldWish:
    """A wish in one granter's hands.

    Attributes
    ----------
    tries
        How often it was put off before.
    deaths
        How many granters died with it in their hands.
    """

    wish: Wish
    owner: str
    token: int
    tries: int = 0
    deaths: int = 0


class Wishes:
    """Asks for, hands out and answers wishes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(
        self,
        kind: str,
        person: str,
        body: Mapping[str, Any],
        now: float,
        key: str | None = None,
        fresh_seconds: float = 0.0,
    ) -> Wish:
        """Wish for something, or return the same person's same wish. Safe to repeat and from many at once.

        Parameters
        ----------
        body
            What is wished for. Its ``request``, what logs call who asked, makes no other wish of it.
        key
            Names the wish for this person and kind; without one, its body does.
        fresh_seconds
            A wish that was granted less than so long ago is returned too; ``math.inf`` for one granted
            at any time, while it is remembered.

        Returns
        -------
        The open wish, the fresh one, or a new one.

        Raises
        ------
        KeyReused
            The key names a wish that would be returned, and whose body is another.
        TooManyWishes
            It would be a new one, and ``MOST_OPEN`` of this person are open.
        """
        if kind not in KINDS:
            raise BadRequest(f"There are no wishes of the kind {kind!r}.")
        digest = digest_of({name: value for name, value in body.items() if name != "request"})
        name = digest if key is None else digest_of(key)
        which = (_W.c.kind == kind, _W.c.person == person, _W.c.key == name)
        for _ in range(_ASK_TRIES):
            with self._database.read() as connection:
                last, nth = _last(connection, which)
            if last is not None and _stands(last, now, fresh_seconds):
                if last["body_digest"] != digest:
                    raise KeyReused
                return _wish(last)
            values = _new(kind, person, name, key is not None, digest, body, now, nth + 1)
            try:
                with self._database.write() as connection:
                    _check_few(connection, person)
                    stand_in_line(connection, _QUEUE, person)
                    connection.execute(insert(_W).values(**values))
            except IntegrityError:
                continue  # somebody asked the same meanwhile
            return _wish(values)
        raise BadRequest("The same was asked for too often at the same time. Ask again.")

    def get(self, wish: str) -> Wish:
        """Return a wish.

        Raises
        ------
        UnknownWish
            There is none, or it was forgotten.
        """
        found = self.several([wish])
        if not found:
            raise UnknownWish
        return found[0]

    def several(self, wishes: Collection[str]) -> list[Wish]:
        """Return those of several wishes that are known, in no order: one question for all who wait."""
        query = select(_W).where(_W.c.id.in_(list(wishes)))
        with self._database.read() as connection:
            return [_wish(row) for row in connection.execute(query).mappings()]

    def open_of(self, person: str | None, kind: str) -> list[Wish]:
        """Return open wishes of a kind, oldest first; those of everybody without a person."""
        conditions = [_W.c.state == "open", _W.c.kind == kind]
        if person is not None:
            conditions.append(_W.c.person == person)
        query = select(_W).where(*conditions).order_by(_W.c.asked_at, _W.c.id)
        with self._database.read() as connection:
            return [_wish(row) for row in connection.execute(query).mappings()]

    def claim(self, owner: str, now: float, seconds: float, kinds: Collection[str]) -> HeldWish | None:
        """Take the oldest open wish of the person who was served least recently.

        Parameters
        ----------
        owner
            Who claims; unique to a thread.
        seconds
            How long the lease lasts unless it is renewed.

        Returns
        -------
        None when there is none now, or others were quicker.
        """
        with self._database.write() as connection:
            wanted = set(kinds)
            if connection.execute(select(tables.reconcile.c.site).limit(1)).first() is not None:
                wanted -= CHANGING
            query = (
                select(_W)
                .join(_T, and_(_T.c.queue == _QUEUE, _T.c.person == _W.c.person))
                .where(_W.c.state == "open", _W.c.kind.in_(sorted(wanted)))
                .where(or_(_W.c.not_before <= now, _W.c.not_before > now + FAR_SECONDS))
                .where(or_(_W.c.owner.is_(None), _W.c.lease_until <= now))
                .order_by(_T.c.served, _W.c.asked_at, _W.c.id)
                .limit(1)
                .with_for_update(of=_W, skip_locked=True)
            )
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            token = row["lease_token"] + 1
            deaths = row["deaths"] + (row["owner"] is not None)  # who let a lease run out has died, or sleeps
            values = {"owner": owner, "lease_token": token, "lease_until": now + seconds, "deaths": deaths}
            connection.execute(update(_W).where(_W.c.id == row["id"]).values(**values))
            serve(connection, _QUEUE, row["person"])
        return HeldWish(_wish(row), owner, token, row["tries"], deaths)

    def renew(self, held: HeldWish, until: float) -> bool:
        """Prolong a lease; returns whether it was still held."""
        return self._write(held, {"lease_until": until})

    def progress(
        self, held: HeldWish, step: str | None, done: int | None, total: int | None, now: float
    ) -> bool:
        """Say how far a wish is; returns whether it is still held."""
        return self._write(held, {"step": step, "done": done, "total": total, "trouble": None})

    def grant(self, held: HeldWish, answer: Mapping[str, Any], now: float) -> bool:
        """Answer a wish; returns whether it was still held, without which nothing is written."""
        return self._end(held, now, {"state": "granted", "answer": dict(answer)})

    def refuse(self, held: HeldWish, code: str, message: str, now: float) -> bool:
        """Say why a wish cannot be granted; returns whether it was still held."""
        return self._end(held, now, {"state": "refused", "error_code": code[:64], "error": message})

    def put_off(self, held: HeldWish, not_before: float, trouble: str) -> None:
        """Give a wish back, to be tried again later, and say why; nothing if it is not held any more."""
        values = {"not_before": not_before, "trouble": trouble, "tries": _W.c.tries + 1}
        self._write(held, {**values, "owner": None, "lease_until": None})

    def sweep(self, before: float) -> int:
        """Forget wishes that ended before a moment, but launches by a key only a week after.

        Returns
        -------
        How many were forgotten.
        """
        kept = and_(_W.c.kind == "launch", _W.c.named == 1, _W.c.ended_at > before - _KEEP_KEY_SECONDS)
        with self._database.write() as connection:
            return connection.execute(delete(_W).where(_W.c.ended_at < before, not_(kept))).rowcount

    def _end(self, held: HeldWish, now: float, values: dict[str, Any]) -> bool:
        ended = {**values, "ended_at": now, "trouble": None, "owner": None, "lease_until": None}
        return self._write(held, ended | ({"body": {}} if held.wish.kind in SECRET else {}))

    def _write(self, held: HeldWish, values: Mapping[str, Any]) -> bool:
        where = (_W.c.id == held.wish.id, _W.c.owner == held.owner, _W.c.lease_token == held.token)
        with self._database.write() as connection:
            return connection.execute(update(_W).where(*where).values(**values)).rowcount == 1


def _last(
    connection: Connection, which: tuple[ColumnElement[bool], ...]
) -> tuple[Mapping[str, Any] | None, int]:
    """Return the last wish of a key, and its number."""
    query = select(_W).where(*which).order_by(_W.c.nth.desc()).limit(1)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return (rows[0], int(rows[0]["nth"])) if rows else (None, 0)


def _check_few(connection: Connection, person: str) -> None:
    of_person = select(_W.c.id).where(_W.c.person == person, _W.c.state == "open").limit(MOST_OPEN)
    found = connection.execute(select(func.count()).select_from(of_person.subquery())).scalar_one()
    if found >= MOST_OPEN:
        raise TooManyWishes


def _stands(row: Mapping[str, Any], now: float, fresh_seconds: float) -> bool:
    if row["state"] == "open":
        return True
    if row["state"] == "refused":
        return False
    return math.isinf(fresh_seconds) or abs(now - row["ended_at"]) < fresh_seconds


def _new(
    kind: str,
    person: str,
    key: str,
    named: bool,
    digest: str,
    body: Mapping[str, Any],
    now: float,
    nth: int,
) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(16), "kind": kind, "person": person, "key": key, "nth": nth,
        "named": int(named), "body_digest": digest, "body": dict(body), "state": "open", "asked_at": now,
        "ended_at": None, "step": None, "done": None, "total": None, "trouble": None, "answer": None,
        "error_code": None, "error": None, "not_before": 0.0, "owner": None, "lease_until": None,
        "lease_token": 0, "tries": 0, "deaths": 0,
    }  # fmt: skip


def _wish(row: Mapping[Any, Any]) -> Wish:
    return Wish(**{name: row[name] for name in Wish.__dataclass_fields__})


def count_open(database: Database) -> dict[str, int]:
    """Return how many wishes of each kind are open."""
    query = select(_W.c.kind, func.count()).where(_W.c.state == "open").group_by(_W.c.kind)
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}
