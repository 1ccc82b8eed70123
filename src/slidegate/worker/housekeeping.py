# SPDX-License-Identifier: BSD-3-Clause
"""What has to be done now and then, and waits for nobody."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slidegate.worker.presence import Presence, free_the_dead
from slidegate.worker.staging import forget_begun
from slidegate.worker.telling import in_words
from slidegate.worker.tools import Tools

log = logging.getLogger(__name__)

_LOOK_FOR_DEAD_SECONDS = 2.0
_SWEEP_SECONDS = 600.0
_WISH_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done every so often.

    Attributes
    ----------
    seconds
        How often.
    do
        Called with the time, in seconds since 1970.
    """

    name: str
    seconds: float
    do: Callable[[float], object]


class Housekeeping:
    """Does chores when they are due; one that fails keeps no other from being done.

    Parameters
    ----------
    chores
        Those beside its own, which are: to take over what killed workers had in their hands, and to forget
        wishes that were granted or refused an hour ago and what was kept of images whose Tasks have ended.
    """

    def __init__(self, tools: Tools, presence: Presence, chores: Sequence[Chore] = ()) -> None:
        store = tools.store
        self._clock = tools.clock
        self._chores = (
            Chore("dead", _LOOK_FOR_DEAD_SECONDS, lambda now: free_the_dead(tools, presence, now)),
            Chore("begun", _SWEEP_SECONDS, lambda _now: forget_begun(tools)),
            Chore("wishes", _SWEEP_SECONDS, lambda now: store.wishes.sweep(now - _WISH_SECONDS)),
            *chores,
        )
        self._done_at: dict[str, float] = {}

    def step(self) -> bool:
        """Do what is due; there is never more to be done at once, so it returns False."""
        for chore in self._chores:
            now = self._clock()
            if 0 <= now - self._done_at.get(chore.name, float("-inf")) < chore.seconds:
                continue
            self._done_at[chore.name] = now
            try:
                chore.do(now)
            except Exception as error:  # noqa: BLE001  (the edge of a worker's step)
                known = in_words(error, f"chore {chore.name}")
                extra = {"action": "chore_failed", "doing": chore.name, "code": known.code}
                log.warning("a chore failed", extra=extra)
        return False
