# SPDX-License-Identifier: BSD-3-Clause
"""What people and programs see of Runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slidegate.domain.causes import why_queued
from slidegate.domain.states import State, run_state
from slidegate.domain.text import plain
from slidegate.domain.values import AttemptKey, RunId, TaskId


@dataclass(frozen=True, slots=True)
class TaskView:
    """One image of a Run.

    Attributes
    ----------
    attempt
        The number of the try, from 1.
    step, done, total
        How far the state's work is, None when that is not known.
    confirmed_at
        When this was last heard, seconds since 1970; None when nothing was heard yet.
    trouble
        What keeps it from going on just now, in words.
    waits
        Why the site has not started it yet, in words; None when that is not known.
    log_end
        Of one that failed, the last lines that its steps wrote, harmless for a terminal.
    published
        Where the result lies.
    usage
        What the site says that it took.
    """

    task: TaskId
    source: str
    image: str
    name: str
    state: State
    wanted: str
    attempt: int
    attempt_key: str
    step: str | None
    done: int | None
    total: int | None
    confirmed_at: float | None
    trouble: str | None
    waits: str | None
    log_end: tuple[str, ...]
    error_code: str | None
    error: str | None
    published: str | None
    usage: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A Run, with its Tasks.

    Attributes
    ----------
    state
        Derived from the Tasks: waiting, active, succeeded, failed or cancelled.
    counts
        How many Tasks are in each state.
    created_at, changed_at
        When it was asked for, and when the last fact about it was written; seconds since 1970.
    trouble
        Why nothing can be heard of the site, in words; None when it answers.
    heard_at
        When the site was last heard; None when it never was.
    """

    run: RunId
    state: str
    person: str
    site: str
    workflow: str
    version: str
    release: str
    parameters: Mapping[str, Any]
    out: str
    created_at: float
    changed_at: float
    counts: Mapping[str, int]
    trouble: str | None
    heard_at: float | None
    tasks: tuple[TaskView, ...]


_SHOWN = (
    "source", "image", "wanted", "attempt", "attempt_key", "done", "total", "confirmed_at", "published",
    "usage",
)  # fmt: skip
_WORDS = ("name", "step", "trouble", "error_code", "error")


def run_view(
    row: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    changed_at: float,
    site: Mapping[str, Any],
    submissions: Sequence[Mapping[str, Any]],
    log_end: Callable[[AttemptKey], tuple[str, ...]],
) -> RunView:
    """Make the view of a Run from its rows; what others may have written is made harmless.

    Parameters
    ----------
    changed_at
        When the last fact about it was written.
    site, submissions
        What is remembered of its site, and of its Submissions.
    log_end
        Returns the last lines of the log of an Attempt.
    """
    reasons = {one["id"]: why_queued(one["crews"]) for one in submissions}
    views = tuple(_task_view(task, reasons.get(task["submission"]), log_end) for task in tasks)
    states = [view.state for view in views]
    shown = ("person", "site", "workflow", "version", "release", "parameters", "out")
    return RunView(
        run=RunId(row["id"]),
        state=run_state(states),
        created_at=row["at"],
        changed_at=changed_at,
        counts={str(state): states.count(state) for state in State if state in states},
        trouble=_plain(site["trouble"]),
        heard_at=site["heard_at"],
        tasks=views,
        **{name: row[name] for name in shown},
    )


def _task_view(
    task: Mapping[str, Any], reason: str | None, log_end: Callable[[AttemptKey], tuple[str, ...]]
) -> TaskView:
    state = State(task["state"])
    return TaskView(
        task=TaskId(task["id"]),
        state=state,
        waits=reason if state == State.QUEUED else None,
        log_end=log_end(AttemptKey(task["attempt_key"])) if state == State.FAILED else (),
        **{name: task[name] for name in _SHOWN},
        **{name: _plain(task[name]) for name in _WORDS},
    )


def _plain(text: Any) -> Any:
    return None if text is None else plain(text)
