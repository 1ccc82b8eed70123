# SPDX-License-Identifier: BSD-3-Clause
"""Who is to be told when a Run ends, and what is still to be told.

What is to be told is written in the transaction that ends the Run's last Task, so none is forgotten. Telling
it may happen more than once: a receiver knows a repeat by the delivery's id.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from slidegate.domain.errors import BadRequest
from slidegate.domain.values import RunId
from slidegate.store import tables
from slidegate.store.database import FAR_SECONDS, Database
from slidegate.store.people import remember

_W = tables.webhook
_D = tables.delivery
_A = tables.account
_MOST = 20


class TooManyWebhooks(BadRequest):
    """A person may have twenty webhooks: remove one first."""

    code = "too-many-webhooks"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told when a person's Run ends; the secret signs what it is told."""

    id: int
    person: str
    url: str
    secret: str
    at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something to be told, in one worker's hands.

    Attributes
    ----------
    id
        The same however often it is told.
    body
        What is told: ``{"event": "run-ended", "run", "state", "counts", "tasks", "person", "site",
        "workflow", "version", "ended_at"}``.
    tries
        How often it was tried in vain before.
    """

    id: int
    url: str
    secret: str
    body: dict[str, Any]
    at: float
    tries: int
    owner: str
    token: int


class Webhooks:
    """Remembers webhooks, and hands out what they are to be told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, person: str, url: str, secret: str, now: float) -> int:
        """Have an address told of a person's Runs; returns the webhook's id. A repeat makes another.

        Raises
        ------
        TooManyWebhooks
        """
        with self._database.write() as connection:
            remember(connection, person, now)
            mine = list(connection.execute(select(_W.c.id).where(_W.c.person == person)).scalars())
            if len(mine) >= _MOST:
                raise TooManyWebhooks
            values = {"person": person, "url": url, "secret": secret, "at": now}
            made = insert(_W).values(**values).returning(_W.c.id)
            number: int = connection.execute(made).scalar_one()
        return number

    def all(self, person: str) -> list[Webhook]:
        """Return a person's webhooks, oldest first."""
        query = select(_W).where(_W.c.person == person).order_by(_W.c.id)
        with self._database.read() as connection:
            return [Webhook(**row) for row in connection.execute(query).mappings()]

    def remove(self, person: str, webhook: int) -> bool:
        """Remove a webhook with all that it was to be told; returns whether this person had it."""
        where = (_W.c.id == webhook, _W.c.person == person)
        with self._database.write() as connection:
            if connection.execute(select(_W.c.id).where(*where).with_for_update()).first() is None:
                return False
            connection.execute(delete(_D).where(_D.c.webhook == webhook))
            connection.execute(delete(_W).where(*where))
        return True

    def deliveries(self, webhook: int, limit: int = 20) -> list[dict[str, Any]]:
        """Return the last things that a webhook was or is to be told, newest first, and how that went."""
        query = select(_D).where(_D.c.webhook == webhook).order_by(_D.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def due(self, owner: str, now: float, seconds: float) -> Delivery | None:
        """Take something that is to be told now, oldest first; None when there is nothing.

        Nothing is told for somebody whose account is not active.
        """
        query = (
            select(_D, _W.c.url, _W.c.secret)
            .join(_W, _W.c.id == _D.c.webhook)
            .outerjoin(_A, _A.c.person == _W.c.person)
            .where(_D.c.state == "open", or_(_A.c.active.is_(None), _A.c.active))
            .where(or_(_D.c.not_before <= now, _D.c.not_before > now + FAR_SECONDS * 60))
            .where(or_(_D.c.owner.is_(None), _D.c.lease_until <= now))
            .order_by(_D.c.not_before, _D.c.id)
            .limit(1)
            .with_for_update(of=_D, skip_locked=True)
        )
        with self._database.write() as connection:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            token = row["lease_token"] + 1
            values = {"owner": owner, "lease_token": token, "lease_until": now + seconds}
            connection.execute(update(_D).where(_D.c.id == row["id"]).values(**values))
        names = ("id", "url", "secret", "body", "at", "tries")
        return Delivery(**{name: row[name] for name in names}, owner=owner, token=token)

    def told(self, delivery: Delivery, now: float) -> bool:
        """Note that it was told; returns whether the delivery was still held."""
        return self._write(delivery, {"state": "told", "ended_at": now, "trouble": None})

    def put_off(self, delivery: Delivery, not_before: float, trouble: str) -> bool:
        """Let it be told later, and say why; returns whether the delivery was still held."""
        values = {"not_before": not_before, "trouble": trouble, "tries": _D.c.tries + 1}
        return self._write(delivery, values)

    def give_up(self, delivery: Delivery, trouble: str, now: float) -> bool:
        """Note that it will not be told, and why; returns whether the delivery was still held."""
        return self._write(delivery, {"state": "given-up", "ended_at": now, "trouble": trouble})

    def sweep(self, before: float) -> int:
        """Forget what was told, or given up, before a moment; returns how many."""
        with self._database.write() as connection:
            return connection.execute(delete(_D).where(_D.c.ended_at < before)).rowcount

    def _write(self, delivery: Delivery, values: dict[str, Any]) -> bool:
        held = (_D.c.owner == delivery.owner, _D.c.lease_token == delivery.token)
        values = {**values, "owner": None, "lease_until": None}
        with self._database.write() as connection:
            found = connection.execute(update(_D).where(_D.c.id == delivery.id, *held).values(**values))
        return found.rowcount == 1


def tell_of_end(connection: Connection, run: RunId, seq: int, state: str, at: float) -> None:
    """Have all webhooks of a Run's person told that it ended, in the transaction that ends it."""
    r = tables.run
    query = select(_W.c.id, r.c.person, r.c.site, r.c.workflow, r.c.version, r.c.counts).join(
        r, and_(r.c.person == _W.c.person, r.c.id == run)
    )
    for row in connection.execute(query).mappings().all():
        body = {"event": "run-ended", "run": run, "state": state, "ended_at": at}
        body |= {name: row[name] for name in ("person", "site", "workflow", "version", "counts")}
        body["tasks"] = sum(row["counts"].values())
        connection.execute(
            insert(_D).values(
                webhook=row["id"], run=run, seq=seq, body=body, at=at, state="open", not_before=0.0,
                lease_token=0, tries=0,
            )
        )  # fmt: skip
