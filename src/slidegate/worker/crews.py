# SPDX-License-Identifier: BSD-3-Clause
"""The crews of Submissions: when another is started, and what it means that they ended before the work did.

A Submission whose crews have ended gets another one, a further *round*, as long as rounds achieve something:
a Unit that is done, or an Attempt that has ended. A round that achieved nothing may be followed by another a
few times. Not so where the same would only happen again (the time or the memory of a job was used up), and
not where somebody at the site has ended the job on purpose.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from slidegate.domain.causes import main_cause
from slidegate.domain.errors import Outdated, SlidegateError
from slidegate.domain.events import CrewStarted, Event, Failed
from slidegate.domain.states import State, Wanted
from slidegate.domain.values import RunId, SubmissionId, TaskId
from slidegate.sites import Gate
from slidegate.sites.errors import MissingBlobs, Refused
from slidegate.worker.errors import BY_CAUSE, CancelledOutside, CrewsEnded, OutOfMemory, TimeLimit
from slidegate.worker.logs import keep_log
from slidegate.worker.tools import Tools, at_attempt, digest, key_of

log = logging.getLogger(__name__)

ENDED = frozenset({"succeeded", "failed", "cancelled"})
_HOPELESS = (TimeLimit, OutOfMemory)
_NO_EFFORT: Mapping[str, Any] = {"round": 0, "ended": 0, "best": {}, "vain": 0}

_UNKNOWN = "The site had begun this work before the database of slidegate was restored, and did not end it."

Row = Mapping[str, Any]


def crews_of(tools: Tools, there: Iterable[Row]) -> dict[SubmissionId, dict[str, Any]]:
    """Return what was known of the Submissions of Tasks that are at a site."""
    names = {SubmissionId(row["said"]["submission"]) for row in there if row["said"]}
    found = {name: tools.store.runs.submission(name) for name in names}
    return {name: row for name, row in found.items() if row is not None}


def foreign(tools: Tools, there: Iterable[Row]) -> list[Row]:
    """Return the Tasks whose work has not ended, in a Submission of which this store knows nothing.

    So it is where the store was restored from a backup: the site has the work from before.
    """
    return [
        row
        for row in there
        if row["said"]
        and row["said"]["state"] not in ENDED
        and tools.store.runs.submission(SubmissionId(row["said"]["submission"])) is None
    ]


def start_anew(tools: Tools, gate: Gate, there: Iterable[Row], crews: Iterable[Row]) -> int:
    """Give another Attempt to foreign work that nobody does: no more crews can be asked for there.

    Parameters
    ----------
    crews
        All that the site knows; nothing is done while one of that Submission may still be at work. A crew
        without an array was never confirmed to have started, and nobody will ask for it again: should it
        come late, it finds its Attempts cancelled.

    Returns
    -------
    How much changed.
    """
    alive = {crew["submission"] for crew in crews if crew["state"] != "ended" and crew["array"]}
    left = [row for row in foreign(tools, there) if row["said"]["submission"] not in alive]
    if left:
        gate.cancel([key_of(row) for row in left])
    return sum(append(tools, row, tools.lost_data(row, _UNKNOWN)) for row in left)


def start_crews(tools: Tools, gate: Gate, there: Sequence[Row], before: Mapping[SubmissionId, Row]) -> int:
    """Start another crew where all had ended, by an earlier answer, and Attempts still have no result.

    Returns
    -------
    How much changed.
    """
    changed = 0
    trouble: Refused | None = None
    for submission, known in before.items():
        here = [row for row in there if row["said"] and row["said"]["submission"] == submission]
        left = [row for row in here if row["said"]["state"] not in ENDED and row["wanted"] == Wanted.RUN]
        if left and is_due(known):
            try:
                changed += _another_crew(tools, gate, known, left)
            except Refused as error:
                trouble = error
    if trouble is not None:
        raise trouble
    return changed


def is_due(known: Row) -> bool:
    """Say whether the next crew is due: the newest has ended, or its start was begun and never confirmed.

    Of a round that was just asked for nothing was heard yet; until then the one before says nothing.
    """
    crews = (known["crews"] or {}).values()
    newest = max((crew["round"] for crew in crews), default=0)
    ended = all(crew["state"] == "ended" for crew in crews)
    return bool(newest > known["round"] or (newest == known["round"] and ended))


def why_ended(known: Row, run: str) -> SlidegateError:
    """Return why the newest crews of a Submission ended, in words, and with what to do."""
    crews = [crew for crew in (known["crews"] or {}).values() if crew["round"] >= known["round"]]
    return in_full(BY_CAUSE.get(main_cause(crews), CrewsEnded), run)


def in_full(kind: type[SlidegateError], run: str, what: str | None = None) -> SlidegateError:
    """Return an error: what happened (as it is told, or as its class says), what to do, and the command."""
    happened, _, advice = " ".join((kind.__doc__ or "").replace("\n\n", "\0").split()).partition("\0")
    return kind(f"{what or happened} {advice.strip()} Then: slidegate retry {run[:8]}")


def _another_crew(tools: Tools, gate: Gate, known: Row, left: Sequence[Row]) -> int:
    """Start the next crew; return how much changed. What may pass is raised, and tried again later."""
    why = why_ended(known, known["run"])
    begun = any(crew["round"] > known["round"] for crew in known["crews"].values())
    vain = 0 if begun else _vain_rounds(tools, known, left)
    rounds = 1 if isinstance(why, _HOPELESS) else tools.pace.rounds
    if vain >= rounds or (isinstance(why, CancelledOutside) and not begun):
        return fail(tools, gate, left, why)
    number = known["round"] + 1
    try:
        gate.submit(digest(known["plan"]), number)
    except MissingBlobs as error:
        return sum(append(tools, row, tools.lost_data(row, error.message)) for row in left)
    except Refused as error:
        if error.code == "round-too-early":
            return 0
        if error.transient:
            raise
        return fail(tools, gate, left, error)
    extra = {"action": "crew_started", "run": known["run"], "submission": known["id"], "round": number}
    log.info("another crew was started", extra=extra)
    started = CrewStarted(SubmissionId(known["id"]), number)
    tools.store.history.append(RunId(known["run"]), started, tools.clock())
    return 1


def _vain_rounds(tools: Tools, known: Row, left: Sequence[Row]) -> int:
    """Return how many rounds in a row achieved nothing, up to the one that has just ended; safe to repeat.

    What counts is the farthest that each Attempt ever was, so that data that vanish again and again do not
    look like work.
    """
    before = known["effort"] or _NO_EFFORT
    if before["round"] == known["round"]:
        return int(before["vain"])
    release = tools.store.releases.get(digest(tools.store.runs.run(RunId(known["run"]))["release"]))
    steps = [step["do"] for step in release.manifest["steps"]] if release is not None else []
    best = dict(before["best"])
    for row in left:
        step, done = row["said"].get("step"), row["said"].get("done", 0)
        now = [steps.index(step) if step in steps else 0, done]
        best[key_of(row)] = max(now, best.get(key_of(row), [0, 0]))
    ended = tools.store.runs.ended(SubmissionId(known["id"]))
    nothing = [0, 0]
    further = any(best[key] > before["best"].get(key, nothing) for key in best) or ended > before["ended"]
    vain = 0 if further else int(before["vain"]) + 1
    effort = {"round": known["round"], "ended": ended, "best": best, "vain": vain}
    tools.store.sites.note_effort(SubmissionId(known["id"]), effort)
    return vain


# Tasks that are at a site


def append(tools: Tools, row: Row, event: Event) -> int:
    """Append an Event of a Task at a site; returns 0 if the Task is elsewhere by now."""
    try:
        tools.store.history.append(RunId(row["run"]), event, tools.clock(), at_attempt(row))
    except Outdated:
        return 0
    return 1


def fail(tools: Tools, gate: Gate, rows: Iterable[Row], error: SlidegateError) -> int:
    """Let Tasks at a site fail; what their steps wrote is kept first, as far as that can be done."""
    changed = 0
    for row in rows:
        with suppress(OSError, Refused):  # no room here, or the site refuses: a failure is told nevertheless
            keep_log(tools, gate, key_of(row))
        failed = Failed(TaskId(row["id"]), State(row["state"]), error.code, error.message)
        changed += append(tools, row, failed)
    return changed
