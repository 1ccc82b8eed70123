# SPDX-License-Identifier: BSD-3-Clause
"""Permitting slidegate to act for oneself in OMERO, by one's password there, and taking that back."""

import json
from typing import Any

from slidegate.domain.values import TaskId
from slidegate.store import Store
from slidegate.worker.wishes.desk import Asked, Desk
from slidegate.worker.wishes.errors import BadWish

_FRESH_SECONDS = 600.0
_WAITS = "[omero-no-grant]"


def grant_omero(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Begin a session by a password that was sealed for this worker, and keep the session.

    The password is forgotten. A repeat begins another session, and ends the one before.
    """
    acting, store, now = desk.acting, desk.tools.store, desk.tools.clock()
    if abs(now - asked.asked_at) > _FRESH_SECONDS:
        raise BadWish("It took too long until a worker had time for this. Type the password again.")
    try:
        said = json.loads(acting.unseal(asked.text("sealed")))
        person, user_id = str(said["person"]), int(said["user_id"])
        name, password = str(said["name"]), str(said["password"])
    except (ValueError, KeyError, TypeError):
        raise BadWish("The password was not sealed for this worker. Type it again.") from None
    if person != asked.person:
        raise BadWish("The password was sealed for somebody else.")
    ends_at = acting.grant(person, user_id, name, password)
    store.omero_grants.note(person, now, ends_at)
    _wake(store, person, now)
    return {"ends_at": ends_at}


def _wake(store: Store, person: str, now: float) -> None:
    """Let go on at once what waits for a person's permission."""
    for run in store.runs.unfinished():
        if store.runs.run(run)["person"] == person:
            for task in store.runs.tasks(run):
                if (task["trouble"] or "").endswith(_WAITS):
                    store.queue.put_off(TaskId(task["id"]), now, task["trouble"])


def revoke_omero(desk: Desk, asked: Asked) -> dict[str, Any]:
    """End the session that a person has granted; where there is none, nothing changes."""
    desk.tools.store.omero_grants.forget(asked.person)  # first: it is kept alive no more, whatever happens
    desk.acting.revoke(asked.person)
    return {}
