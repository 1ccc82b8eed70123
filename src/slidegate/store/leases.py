# SPDX-License-Identifier: BSD-3-Clause
"""What all queues share: secrets of which only a digest is kept, and turns between people."""

import hashlib

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from slidegate.store import tables

_TURN = tables.turn


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
