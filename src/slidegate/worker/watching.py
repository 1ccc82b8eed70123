# SPDX-License-Identifier: BSD-3-Clause
"""Listening to sites: one question per site for all Tasks that are there, and moves by what it says.

Who watches a site holds its lease, and nobody else moves Tasks that are queued or running there. Every move
names the Attempt that was heard of, so late news of an earlier Attempt move nothing.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

from slidegate.domain.errors import SlidegateError
from slidegate.domain.events import Cancelled, Computed, Failed, Forgotten, Move, Started
from slidegate.domain.logs import about
from slidegate.domain.states import State, Wanted
from slidegate.domain.text import plain
from slidegate.domain.values import AttemptKey, RunId, SubmissionId, TaskId
from slidegate.sites import Gate
from slidegate.sites.errors import Refused
from slidegate.store.sites import Watch
from slidegate.store.sites import is_due as is_site_due
from slidegate.worker.crews import (
    ENDED,
    append,
    crews_of,
    fail,
    foreign,
    in_full,
    is_due,
    start_anew,
    start_crews,
    why_ended,
)
from slidegate.worker.errors import CrewsEnded, OutOfMemory
from slidegate.worker.telling import in_words, trouble_of
from slidegate.worker.tools import NO_SPACE, Tools, digest, key_of

log = logging.getLogger(__name__)

_DATA_LOST = frozenset({"input-vanished", "missing-blobs"})
_CODE = re.compile("[a-z0-9][a-z0-9-]{0,59}")
_KILLED = ("signal 9", "as if killed")
_KILLED_MEANS = " The site itself ends a process so, most often because its memory was used up."

Row = Mapping[str, Any]


def watch_site(tools: Tools, site: str, owner: str) -> bool:
    """Ask a site for news, if it is due and there is something to ask about.

    After a backup was restored it is read completely, and nothing else is done before all sites were.

    Returns
    -------
    Whether anything changed.
    """
    sites = tools.store.sites
    now = tools.clock()
    if not is_site_due(sites.row(site), now):
        return False
    unread = sites.reconciling()
    if site not in unread and (unread or not (sites.news(site) or sites.done_with(site))):
        return False
    watch = sites.claim(site, owner, now, tools.pace.lease_seconds)
    if watch is None:
        return False
    trouble = None
    pause = tools.pace_at(site).poll_seconds_most
    changed = 0
    try:
        with about(site=site):
            changed, pause = _read_whole(tools, watch) if site in unread else _look(tools, watch)
    except Exception as error:  # noqa: BLE001  (the edge of a worker's step)
        known = in_words(error, f"site {site}")
        trouble = trouble_of(known)
        pause = tools.pace_at(site).pause(sites.row(site)["tries"] + 1, known.transient)
    finally:
        sites.release(watch, tools.clock() + pause, trouble)
    return changed > 0


def _read_whole(tools: Tools, watch: Watch) -> tuple[int, float]:
    """Read all that a site knows, after a backup was restored, and begin nothing by it.

    The cursor is left at the start, so that the next look, when all were read, moves Tasks by all of it.
    """
    news = tools.gate(watch.site).status("")
    if tools.store.sites.hear(watch, "", news.attempts, True, tools.clock(), news.crews):
        tools.store.sites.reconciled(watch.site)
        log.info("read completely after a backup was restored", extra={"action": "site_read"})
    return 1, 0.0


def _look(tools: Tools, watch: Watch) -> tuple[int, float]:
    """Do one round; return how much changed and how long to wait for the next."""
    sites = tools.store.sites
    there = sites.news(watch.site)
    done_with = sites.done_with(watch.site)
    gate = tools.gate(watch.site)
    changed = _cancel(tools, gate, [row for row in there if row["wanted"] == Wanted.CANCEL])
    before = crews_of(tools, there)
    # of foreign Submissions nothing is kept: what has become of their crews is asked in full
    news = gate.status("" if foreign(tools, there) else watch.cursor)
    now = tools.clock()
    if not sites.hear(watch, news.cursor, news.attempts, news.complete, now, news.crews):
        return changed, 0.0
    sites.confirm(watch.site, now)
    there = sites.news(watch.site)
    for row in there:
        changed += _move(tools, gate, row, news.complete)
    _let_go(tools, gate, watch.site, done_with)
    changed += start_crews(tools, gate, there, before)
    if news.complete:
        changed += start_anew(tools, gate, there, news.crews)
    return changed, _pause(tools, watch.site, there, now)


def _pause(tools: Tools, site: str, there: list[dict[str, Any]], now: float) -> float:
    """Ask often at first, seldom when nothing has changed for long."""
    pace = tools.pace_at(site)
    since = max((tools.store.runs.last_change(RunId(row["run"])) for row in there), default=now)
    return min(pace.poll_seconds_most, max(pace.poll_seconds, 0.1 * (now - since)))


def _cancel(tools: Tools, gate: Gate, rows: list[dict[str, Any]]) -> int:
    """Have Attempts cancelled, and say so of each Task once the site has confirmed it."""
    if not rows:
        return 0
    states = gate.cancel([key_of(row) for row in rows])
    confirmed = [row for row in rows if key_of(row) in states]
    return sum(append(tools, row, Cancelled(TaskId(row["id"]), State(row["state"]))) for row in confirmed)


def _move(tools: Tools, gate: Gate, row: Row, complete: bool) -> int:
    """Move a Task by what its site last said of it; return how many moves that were."""
    said = row["said"]
    task, state = TaskId(row["id"]), State(row["state"])
    if said is None:
        return append(tools, row, Forgotten(task, state)) if complete else 0
    if said["state"] == "running":
        moved = append(tools, row, Started(task, state)) if state == State.QUEUED else 0
        tools.store.sites.note_progress(task, key_of(row), said.get("step"), said["done"], said["total"])
        return moved
    return _end(tools, gate, row, said)


def _end(tools: Tools, gate: Gate, row: Row, said: Row) -> int:
    """Move a Task whose Attempt has ended, by how it did; return how many moves that were."""
    task, state = TaskId(row["id"]), State(row["state"])
    match said["state"]:
        case "succeeded":
            event: Move = Computed(task, state, digest(said["tree"]), said.get("usage") or {})
        case "failed":
            error = _why_failed(tools, row, said.get("error") or {})
            if error is None:
                return 0
            again = tools.lost_data(row, error.message) if error.transient else None
            if again is None or isinstance(again, Failed):
                told = error if again is None else Refused(again.message, error.code)
                return fail(tools, gate, [row], told)
            moved = append(tools, row, again)
            space = tools.pace_at(tools.store.runs.run(row["run"])["site"]).space_seconds
            if moved and error.code == NO_SPACE and space:
                tools.store.queue.put_off(task, tools.clock() + space, trouble_of(error))
            return moved
        case "cancelled":
            event = Cancelled(task, state)
        case _:
            return 0
    return append(tools, row, event)


def _why_failed(tools: Tools, row: Row, error: Row) -> SlidegateError | None:
    """Return why an Attempt failed, in words that were made harmless: a workflow may have chosen them.

    None where a process was killed and the scheduler, which may know why, can still be waited for.
    """
    code, message = str(error.get("code", "")), plain(str(error.get("message", ""))).strip()
    if not _CODE.fullmatch(code):
        code = "failed"
    if code == OutOfMemory.code:
        return in_full(OutOfMemory, row["run"], message)
    if code == "step-crashed" and any(words in message for words in _KILLED):
        known = tools.store.runs.submission(SubmissionId(row["said"]["submission"]))
        if known is not None and is_due(known):
            why = why_ended(known, row["run"])
            if not isinstance(why, CrewsEnded):
                return why
        elif known is not None and tools.clock() - row["said_at"] < tools.pace.cause_seconds:
            return None
        message += _KILLED_MEANS
    transient = code in _DATA_LOST or error.get("transient") is True
    return Refused(message or "The workflow failed.", code, transient)


def _let_go(tools: Tools, gate: Gate, site: str, done_with: list[dict[str, Any]]) -> None:
    """Let the site free what no Task needs any more; Attempts without an end are cancelled first."""
    unfinished = [AttemptKey(said["attempt"]) for said in done_with if said["state"] not in ENDED]
    if unfinished:
        gate.cancel(unfinished)
    names = [AttemptKey(said["attempt"]) for said in done_with]
    if names:
        gate.release(names)
        tools.store.sites.forget(site, names)
