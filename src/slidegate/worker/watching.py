# SPDX-License-Identifier: BSD-3-Clause
"""Listening to sites: one question per site for all Tasks that are there, and moves by what it says.

Who watches a site holds its lease, and nobody else moves Tasks that are queued or running there. Every move
names the Attempt that was heard of, so late news of an earlier Attempt move nothing.
"""

from collections.abc import Mapping
from typing import Any

from slidegate.domain.errors import Outdated, SlidegateError
from slidegate.domain.events import Cancelled, Computed, CrewStarted, Event, Failed, Forgotten, Move, Started
from slidegate.domain.states import State, Wanted
from slidegate.domain.values import AttemptKey, RunId, SubmissionId, TaskId
from slidegate.sites import Gate
from slidegate.sites.errors import MissingBlobs, Refused
from slidegate.store.sites import Watch, is_due
from slidegate.worker.errors import CrewsEnded
from slidegate.worker.telling import in_words
from slidegate.worker.tools import Tools, at_attempt, digest, key_of

_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_DATA_LOST = frozenset({"input-vanished", "missing-blobs"})

Row = Mapping[str, Any]


def watch_site(tools: Tools, site: str, owner: str) -> bool:
    """Ask a site for news, if it is due and there is something to ask about.

    Returns
    -------
    Whether anything changed.
    """
    sites = tools.store.sites
    now = tools.clock()
    if not is_due(sites.row(site), now) or not (sites.news(site) or sites.done_with(site)):
        return False
    watch = sites.claim(site, owner, now, tools.pace.lease_seconds)
    if watch is None:
        return False
    trouble = None
    pause = tools.pace.poll_seconds_most
    changed = 0
    try:
        changed, pause = _look(tools, watch)
    except Exception as error:  # noqa: BLE001  (the edge of a worker's step)
        trouble, pause = in_words(error, f"site {site}").message, tools.pace.retry_seconds
    finally:
        sites.release(watch, tools.clock() + pause, trouble)
    return changed > 0


def _look(tools: Tools, watch: Watch) -> tuple[int, float]:
    """Do one round; return how much changed and how long to wait for the next."""
    sites = tools.store.sites
    there = sites.news(watch.site)
    done_with = sites.done_with(watch.site)
    gate = tools.gate(watch.site)
    changed = _cancel(tools, gate, [row for row in there if row["wanted"] == Wanted.CANCEL])
    before = _crews(tools, there)
    news = gate.status(watch.cursor)
    now = tools.clock()
    if not sites.hear(watch, news.cursor, news.attempts, news.complete, now, news.crews):
        return changed, 0.0
    sites.confirm(watch.site, now)
    there = sites.news(watch.site)
    for row in there:
        changed += _move(tools, row, news.complete)
    _let_go(tools, gate, watch.site, done_with)
    changed += _start_crews(tools, gate, there, before)
    return changed, _pause(tools, there, now)


def _pause(tools: Tools, there: list[dict[str, Any]], now: float) -> float:
    """Ask often at first, seldom when nothing has changed for long."""
    since = max((tools.store.runs.last_change(RunId(row["run"])) for row in there), default=now)
    return min(tools.pace.poll_seconds_most, max(tools.pace.poll_seconds, 0.1 * (now - since)))


def _append(tools: Tools, row: Row, event: Event) -> int:
    """Append an Event of a Task at a site; returns 0 if the Task is elsewhere by now."""
    try:
        tools.store.history.append(RunId(row["run"]), event, tools.clock(), at_attempt(row))
    except Outdated:
        return 0
    return 1


def _cancel(tools: Tools, gate: Gate, rows: list[dict[str, Any]]) -> int:
    """Have Attempts cancelled, and say so of each Task once the site has confirmed it."""
    if not rows:
        return 0
    states = gate.cancel([key_of(row) for row in rows])
    confirmed = [row for row in rows if key_of(row) in states]
    return sum(_append(tools, row, Cancelled(TaskId(row["id"]), State(row["state"]))) for row in confirmed)


def _move(tools: Tools, row: Row, complete: bool) -> int:
    """Move a Task by what its site last said of it; return how many moves that were."""
    said = row["said"]
    task, state = TaskId(row["id"]), State(row["state"])
    if said is None:
        return _append(tools, row, Forgotten(task, state)) if complete else 0
    if said["state"] == "running":
        moved = _append(tools, row, Started(task, state)) if state == State.QUEUED else 0
        tools.store.sites.note_progress(task, key_of(row), said.get("step"), said["done"], said["total"])
        return moved
    event = _end(tools, row, said)
    return 0 if event is None else _append(tools, row, event)


def _end(tools: Tools, row: Row, said: Row) -> Move | None:
    """Return what an Attempt's end means for its Task, None when it has not ended."""
    task, state = TaskId(row["id"]), State(row["state"])
    match said["state"]:
        case "succeeded":
            return Computed(task, state, digest(said["tree"]), said.get("usage") or {})
        case "failed":
            return _failure(tools, row, said.get("error") or {})
        case "cancelled":
            return Cancelled(task, state)
        case _:
            return None


def _failure(tools: Tools, row: Row, error: Row) -> Move:
    code, message = str(error.get("code", "failed")), str(error.get("message", "The workflow failed."))
    if code in _DATA_LOST or error.get("transient") is True:
        again = tools.lost_data(row, message)
        if not isinstance(again, Failed):
            return again
        message = again.message
    return Failed(TaskId(row["id"]), State(row["state"]), code, message)


def _crews(tools: Tools, there: list[dict[str, Any]]) -> dict[SubmissionId, dict[str, Any]]:
    """Return what was known of the Submissions of Tasks that are at a site."""
    names = {SubmissionId(row["said"]["submission"]) for row in there if row["said"]}
    found = {name: tools.store.runs.submission(name) for name in names}
    return {name: row for name, row in found.items() if row is not None}


def _start_crews(
    tools: Tools, gate: Gate, there: list[dict[str, Any]], before: dict[SubmissionId, dict[str, Any]]
) -> int:
    """Start another crew where all had ended, by an earlier answer, and Attempts still have no result."""
    changed = 0
    trouble: Refused | None = None
    for submission, known in before.items():
        left = [
            row
            for row in there
            if row["said"] and row["said"]["submission"] == submission and row["said"]["state"] not in _ENDED
        ]
        if left and _is_due(known):
            try:
                changed += _another_crew(tools, gate, known, left)
            except Refused as error:
                trouble = error
    if trouble is not None:
        raise trouble
    return changed


def _is_due(known: Row) -> bool:
    """Say whether the next crew is due: the newest has ended, or its start was begun and never confirmed.

    Of a round that was just asked for nothing was heard yet; until then the one before says nothing.
    """
    crews = (known["crews"] or {}).values()
    newest = max((crew["round"] for crew in crews), default=0)
    ended = all(crew["state"] == "ended" for crew in crews)
    return bool(newest > known["round"] or (newest == known["round"] and ended))


def _another_crew(tools: Tools, gate: Gate, known: Row, left: list[dict[str, Any]]) -> int:
    """Start the next crew; return how much changed. What may pass is raised, and tried again later."""
    number = known["round"] + 1
    if number > tools.pace.rounds:
        return _fail(tools, left, CrewsEnded())
    try:
        gate.submit(digest(known["plan"]), number)
    except MissingBlobs as error:
        return sum(_append(tools, row, tools.lost_data(row, error.message)) for row in left)
    except Refused as error:
        if error.code == "round-too-early":
            return 0
        if error.transient:
            raise
        return _fail(tools, left, error)
    started = CrewStarted(SubmissionId(known["id"]), number)
    tools.store.history.append(RunId(known["run"]), started, tools.clock())
    return 1


def _fail(tools: Tools, rows: list[dict[str, Any]], error: SlidegateError) -> int:
    code, words = error.code, error.message
    return sum(
        _append(tools, row, Failed(TaskId(row["id"]), State(row["state"]), code, words)) for row in rows
    )


def _let_go(tools: Tools, gate: Gate, site: str, done_with: list[dict[str, Any]]) -> None:
    """Let the site free what no Task needs any more; Attempts without an end are cancelled first."""
    unfinished = [AttemptKey(said["attempt"]) for said in done_with if said["state"] not in _ENDED]
    if unfinished:
        gate.cancel(unfinished)
    names = [AttemptKey(said["attempt"]) for said in done_with]
    if names:
        gate.release(names)
        tools.store.sites.forget(site, names)
