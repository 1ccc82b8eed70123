# SPDX-License-Identifier: BSD-3-Clause
"""Forgetting what is old, so that a history does not grow for ever."""

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select

from slidegate.domain.errors import RunStillActive
from slidegate.domain.states import FINISHED
from slidegate.domain.values import RunId
from slidegate.store import tables
from slidegate.store.store import Store


@dataclass(frozen=True, slots=True)
class Old:
    """How much is older than a moment: Runs that ended, lines of the audit, wishes, what was told."""

    runs: int
    notes: int
    wishes: int
    deliveries: int


def count_old(store: Store, before: float) -> Old:
    """Return how much :func:`forget_old` would forget."""
    run, audit, wish, delivery = tables.run.c, tables.audit.c, tables.wish.c, tables.delivery.c
    questions = (
        select(func.count()).where(run.state.in_(list(FINISHED)), run.ended_at < before),
        select(func.count()).where(audit.at < before),
        select(func.count()).where(wish.ended_at < before),
        select(func.count()).where(delivery.ended_at < before),
    )
    with store.database.read() as connection:
        return Old(*(connection.execute(query).scalar_one() for query in questions))


def forget_old(store: Store, before: float) -> Old:
    """Forget Runs that ended before a moment, with their history, and all else that is older.

    Results that were published, and what sites keep, stay where they are. A Run at a time, so that nobody is
    held up; safe to interrupt and to repeat.

    Parameters
    ----------
    before
        Seconds since 1970, UTC.
    """
    run = tables.run.c
    query = select(run.id).where(run.state.in_(list(FINISHED)), run.ended_at < before)
    with store.database.read() as connection:
        ended = [RunId(name) for name in connection.execute(query).scalars()]
    forgotten = 0
    for name in ended:
        with suppress(RunStillActive):  # a person has asked for another try meanwhile
            store.runs.delete(name)
            forgotten += 1
    return Old(
        runs=forgotten,
        notes=store.audit.sweep(before),
        wishes=store.wishes.sweep(before),
        deliveries=store.webhooks.sweep(before),
    )
