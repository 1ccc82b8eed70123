# SPDX-License-Identifier: BSD-3-Clause
"""Takes one wish after the other and grants it, refuses it, or puts it off.

Granting is safe to repeat: a worker that was killed loses its lease, and another one does it again.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from threading import Event
from typing import Any
from uuid import uuid4

from slidegate.domain.errors import SlidegateError
from slidegate.domain.logs import about
from slidegate.store.wishes import KINDS, HeldWish
from slidegate.worker.errors import NoLongerWanted, WorkersDied
from slidegate.worker.telling import in_words, trouble_of
from slidegate.worker.wishes.asking import delete, launch, request_of
from slidegate.worker.wishes.desk import Asked, Desk
from slidegate.worker.wishes.following import log_of, units
from slidegate.worker.wishes.granting import grant_omero, revoke_omero
from slidegate.worker.wishes.looking import browse, describe, thumbnail
from slidegate.worker.wishes.pictures import picture
from slidegate.worker.wishes.previewing import preview

log = logging.getLogger(__name__)

Grant = Callable[[Desk, Asked], Mapping[str, Any]]

GRANTS: dict[str, Grant] = {
    "browse": browse,
    "describe": describe,
    "thumbnail": thumbnail,
    "launch": launch,
    "preview": preview,
    "log": log_of,
    "units": units,
    "picture": picture,
    "delete": delete,
    "omero-grant": grant_omero,
    "omero-revoke": revoke_omero,
}
QUICK = ("browse", "describe", "log", "units")
"""What somebody looks at a page and waits for: worth a thread that does nothing else."""

_PATIENT = frozenset({"launch", "delete", "picture"})
_IMPATIENT_SECONDS = 120.0


class Granter:
    """Grants wishes, one at a time.

    Parameters
    ----------
    desk
        The outside world.
    kinds
        Which kinds of wishes this one takes.
    owner
        Whose leases they are; that of the worker process, if it has one.
    stop
        Set when the worker shall go: a wish under way is given back.
    """

    def __init__(
        self,
        desk: Desk,
        kinds: Collection[str] = KINDS,
        owner: str | None = None,
        stop: Event | None = None,
    ) -> None:
        self._desk = desk
        self._kinds = tuple(kinds)
        self._owner = owner or uuid4().hex
        self._stop = stop

    def step(self) -> bool:
        """Grant one wish; returns False when there is none just now."""
        tools = self._desk.tools
        held = tools.store.wishes.claim(self._owner, tools.clock(), tools.pace.lease_seconds, self._kinds)
        if held is None:
            return False
        self._do(held)
        return True

    def _do(self, held: HeldWish) -> None:
        """Do what a wish asks for; whatever happens, it has an answer, or is given back."""
        began = self._desk.tools.clock()
        with about(wish=held.wish.id, request=request_of(held.wish)):
            outcome = self._done(held)
            seconds = round(self._desk.tools.clock() - began, 3)
            extra = {"action": f"wish_{held.wish.kind}", "outcome": outcome, "seconds": seconds}
            log.info("wish %s", outcome, extra=extra)

    def _done(self, held: HeldWish) -> str:
        """Do it; returns what became of it."""
        desk, wishes = self._desk, self._desk.tools.store.wishes
        clock = desk.tools.clock
        try:
            if held.deaths >= desk.tools.pace.deaths:
                raise WorkersDied
            with Asked(wishes, held, clock, desk.tools.pace.lease_seconds, self._stop) as asked:
                answer = GRANTS[held.wish.kind](desk, asked)
            return "granted" if wishes.grant(held, answer, clock()) else "lost"
        except NoLongerWanted:
            if self._stop is not None and self._stop.is_set():
                wishes.put_off(held, clock(), "The worker was stopped; another one goes on.")
            return "given-back"
        except Exception as error:  # noqa: BLE001  (the edge of a worker's step)
            return self._answered(held, in_words(error, f"wish {held.wish.id}"))

    def _answered(self, held: HeldWish, error: SlidegateError) -> str:
        """Refuse a wish, or put it off when what keeps it from being granted may pass; returns which."""
        wishes, now = self._desk.tools.store.wishes, self._desk.tools.clock()
        waited = now - held.wish.asked_at
        if error.transient and (held.wish.kind in _PATIENT or waited < _IMPATIENT_SECONDS):
            pause = self._desk.tools.pace.pause(held.tries + 1, transient=True)
            wishes.put_off(held, now + pause, trouble_of(error))
            return "put-off"
        wishes.refuse(held, error.code, error.message, now)
        return "refused"
