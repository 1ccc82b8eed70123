# SPDX-License-Identifier: BSD-3-Clause
"""The states of a Task, and every move between them that is allowed.

The way forward is ``waiting → staging → submitting → queued → running → collecting → publishing →
succeeded``. The moves back are there because data at a site may vanish silently, and because a site may lose
what it was told:

- to ``staging`` from any later state: the staged image, or the result that was to be fetched, is gone;
- to ``submitting`` from ``queued`` and ``running``: the site does not know the Attempt (any more);
- from ``publishing`` to ``collecting``: what was fetched is gone from this computer;
- from ``succeeded`` and ``failed`` to ``collecting``: a result that exists is to be published (again,
  elsewhere);
- from ``failed`` and ``cancelled`` to ``waiting``: a person asked for another try.
"""

from collections.abc import Iterable
from enum import StrEnum

from slidegate.domain.errors import IllegalMove


class State(StrEnum):
    """Where a Task is."""

    WAITING = "waiting"
    STAGING = "staging"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    RUNNING = "running"
    COLLECTING = "collecting"
    PUBLISHING = "publishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Wanted(StrEnum):
    """What the person wants of a Task. Cancelling is a wish until the state says ``cancelled``."""

    RUN = "run"
    CANCEL = "cancel"


_ENDS = frozenset({State.FAILED, State.CANCELLED})

MOVES: dict[State, frozenset[State]] = {
    State.WAITING: _ENDS | {State.STAGING},
    State.STAGING: _ENDS | {State.SUBMITTING},
    State.SUBMITTING: _ENDS | {State.QUEUED, State.STAGING},
    State.QUEUED: _ENDS | {State.RUNNING, State.COLLECTING, State.SUBMITTING, State.STAGING},
    State.RUNNING: _ENDS | {State.COLLECTING, State.SUBMITTING, State.STAGING},
    State.COLLECTING: _ENDS | {State.PUBLISHING, State.STAGING},
    State.PUBLISHING: _ENDS | {State.SUCCEEDED, State.COLLECTING},
    State.SUCCEEDED: frozenset({State.COLLECTING}),
    State.FAILED: frozenset({State.WAITING, State.COLLECTING}),
    State.CANCELLED: frozenset({State.WAITING}),
}

FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
AT_SITE = frozenset({State.QUEUED, State.RUNNING})


def check_move(frm: State, to: State) -> None:
    """Raise unless a Task may go from one state to the other.

    Raises
    ------
    IllegalMove
        The table has no such move.
    """
    if to not in MOVES[frm]:
        raise IllegalMove(f"A task cannot go from {frm} to {to}.")


def run_state(tasks: Iterable[State]) -> str:
    """Derive the state of a Run from its Tasks.

    Returns
    -------
    ``waiting`` (nothing has begun), ``active``, or, when all Tasks have ended: ``succeeded`` (all of them),
    ``failed`` (at least one failed), ``cancelled`` (none failed, at least one was cancelled).
    """
    states = set(tasks)
    if states <= {State.WAITING}:
        return "waiting"
    if not states <= FINISHED:
        return "active"
    for end in (State.FAILED, State.CANCELLED):
        if end in states:
            return str(end)
    return str(State.SUCCEEDED)
