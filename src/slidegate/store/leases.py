# SPDX-License-Identifier: BSD-3-Clause
"""What all queues share: secrets of which only a digest is kept, and turns between people."""

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.domain.states import State, Wanted
from slidegate.store import tables

STAGE, MOVE, CANCEL = 1, 2, 3
"""What kind of step a worker may take with a Task: bring its image to the site, anything else, cancel it."""
STEPS = {
    State.WAITING: STAGE,
    State.STAGING: STAGE,
    State.SUBMITTING: MOVE,
    State.COLLECTING: MOVE,
    State.PUBLISHING: MOVE,
}
"""The kind of step by the state of a Task; in the others a worker takes none."""
QUEUES = ("task", "stage", "move")
"""Turns are taken apart by those who take every step, those who stage, and those who do the rest."""
_TURN = tables.turn


def claimable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the column ``claimable`` of a Task becomes when columns get these values."""
    task = tables.task.c
    if "state" in values:
        step = STEPS.get(State(values["state"]), 0)
        if not step or values.get("wanted") == Wanted.RUN:
            return {"claimable": step}
        return {"claimable": case((task.wanted == Wanted.CANCEL, CANCEL), else_=step)}
    if values.get("wanted") == Wanted.CANCEL:
        return {"claimable": case((task.claimable > 0, CANCEL), else_=0)}
    return {}


def lock_tasks(connection: Connection, which: ColumnElement[bool]) -> list[str]:
    """Keep others from writing to Tasks until the transaction ends; returns their names.

    Whoever writes to several Tasks takes them so, in one order, so that nobody waits in a circle; who writes
    to a Run too takes the Run first.
    """
    task = tables.task.c
    query = select(task.id).where(which).order_by(task.run, task.number).with_for_update()
    return list(connection.execute(query).scalars())


def digest_of_secret(secret: str) -> str:
    """Return what is kept of a secret: its SHA-256 (64 hex). Secrets here are random, so it needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def stand_in_line(connection: Connection, queue: str, person: str) -> None:
    """Let a person take turns in a queue; who is new comes before those who were served. Safe to repeat."""
    where = (_TURN.c.queue == queue, _TURN.c.person == person)
    if connection.execute(select(_TURN.c.person).where(*where)).first() is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(_TURN).values(queue=queue, person=person, served=0))
        except IntegrityError:
            return


def serve(connection: Connection, queue: str, person: str) -> None:
    """Note that it was a person's turn just now."""
    last = select(func.max(_TURN.c.served)).where(_TURN.c.queue == queue).scalar_subquery()
    connection.execute(
        update(_TURN).where(_TURN.c.queue == queue, _TURN.c.person == person).values(served=last + 1)
    )
