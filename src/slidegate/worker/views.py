# SPDX-License-Identifier: BSD-3-Clause
"""What people and programs see of Runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slidegate.domain.states import State, run_state
from slidegate.domain.values import RunId, TaskId


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
        Why the site does not answer, in words; None when it does.
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
    tasks: tuple[TaskView, ...]


_SHOWN = (
    "source", "image", "name", "wanted", "attempt", "attempt_key", "step", "done", "total", "confirmed_at",
    "trouble", "error_code", "error", "published", "usage",
)  # fmt: skip


def run_view(
    row: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], changed_at: float, trouble: str | None
) -> RunView:
    """Make the view of a Run from its rows."""
    views = tuple(
        TaskView(task=TaskId(task["id"]), state=State(task["state"]), **{name: task[name] for name in _SHOWN})
        for task in tasks
    )
    states = [view.state for view in views]
    shown = ("person", "site", "workflow", "version", "release", "parameters", "out")
    return RunView(
        run=RunId(row["id"]),
        state=run_state(states),
        created_at=row["at"],
        changed_at=changed_at,
        counts={str(state): states.count(state) for state in State if state in states},
        trouble=trouble,
        tasks=views,
        **{name: row[name] for name in shown},
    )
