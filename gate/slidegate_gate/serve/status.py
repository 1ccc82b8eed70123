# SPDX-License-Identifier: BSD-3-Clause
"""What became of the work, told by files.

The state of an Attempt follows from what lies in its folders: a result says how it ended; a lease that
somebody works on it; neither, that it waits.  Nothing here depends on what was told before, so a gate that
was away for a week tells the truth at once.  Only crews are asked for at the scheduler, and what it says is
passed on as a hint.

Clients ask "what changed since this cursor?".  Each connection numbers the changes that it saw; a cursor
names the connection and such a number.  Another connection's cursor means nothing here, and everything that
was not released is told once more.

It would take seconds to look into the folders of ten thousand Attempts.  So these are looked at: all of a
Submission when its own folder changed, as it does when something is accepted or let go; those with a folder
for work and no end yet, as far as their folders changed; and all of all once a minute, so that the truth
comes out even if nobody announced it.
"""

import contextlib
import itertools
import os
import time
from collections import OrderedDict
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

from ..errors import Gone, SchedulerUnknown
from ..protocol import messages
from ..protocol.canonical import canonical
from . import files
from .layout import Layout

# the workers of a Submission; `name` is that of their resource class
Crew = NamedTuple("Crew", [("submission", str), ("name", str), ("round", int)])
View = Dict[str, Any]
# a step of an Attempt: the records that list its Units (none where it has a single one), Units, what is done
Stage = NamedTuple("Stage", [("step", str), ("lists", List[View]), ("units", List[str]), ("done", Set[str])])

MAX_ANSWER = 1 << 19
MAX_UNITS = 1 << 20  # of which one answer tells; nobody sees more on a picture
MAX_CURRENT = 1000
THOROUGH_SECONDS = 60.0
SETTLE_SECONDS = 2.0  # two changes of a folder that lie so far apart have different times everywhere
RESULT = ("state", "tree", "error", "usage")
NO_RELEASE: View = {"manifest": {"steps": []}}  # it was removed, and nobody waits for its work
FINAL = ("succeeded", "failed", "cancelled", "ended")


def open_submissions(layout: Layout) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Yield id and plan of each Submission of which something was not released."""
    for submission in files.names_in(layout.submissions):
        if not os.path.exists(layout.submission_released(submission)):
            plan = files.read_json(layout.plan(submission))
            if plan is not None:  # else a submit was killed before it accepted anything
                yield submission, plan


def owned(layout: Layout, submission: str, plan: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return the Attempts of the plan that this Submission, and no other, was accepted for."""
    owners = ((entry, files.read_json(layout.owner(entry["attempt"]))) for entry in plan["attempts"])
    return [entry for entry, owner in owners if owner and owner["submission"] == submission]


def alive(layout: Layout, submission: str, plan: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return the Attempts of this Submission that have no result."""
    entries = owned(layout, submission, plan)
    return [entry for entry in entries if not os.path.exists(layout.result(entry["attempt"]))]


def crews_of(layout: Layout, submission: str) -> List[Crew]:
    """Return every crew that was ever meant to be started."""
    parts = [name.rsplit(".", 3) for name in files.names_in(layout.submission_dir(submission))]
    return sorted(Crew(submission, part[0], int(part[1])) for part in parts if part[2:] == ["intent", "json"])


def array_of(layout: Layout, crew: Crew) -> str:
    """Return the array that does a crew's work: the one that claimed it, else the one that was started."""
    claim = files.read_json(layout.crew("claim", *crew))
    record = claim or files.read_unflushed(layout.crew("receipt", *crew))
    return str(record["array"]) if record else ""


def stages(layout: Layout, submission: str, attempt: str, steps: List[View]) -> Iterator[Stage]:
    """Yield the steps whose turn has come: each is ready when all Units of the one before are done.

    A step that does the Units of another step has those that this one's records list, in their order.
    """
    folder = os.path.join(layout.work_dir(submission, attempt), "done")
    done: Dict[str, List[str]] = {}
    for name in files.names_in(folder):
        done.setdefault(name.partition(".")[0], []).append(name)
    for step in steps:
        records = [files.read_json(os.path.join(folder, one)) for one in done.get(step.get("units", ""), [])]
        lists = [record for record in records if record]
        units = [unit for record in lists for unit in record["units"]] if "units" in step else ["all"]
        ended = set(done.get(step["do"], []))
        yield Stage(step["do"], lists, units, ended)
        if len(ended) < len(units):
            return


def progress(layout: Layout, submission: str, attempt: str, steps: List[View]) -> View:
    """Return the first step that is not complete (or the last one), and how many of its Units are done."""
    found: View = {"step": "", "done": 0, "total": 0}
    for stage in stages(layout, submission, attempt, steps):
        found = {"step": stage.step, "done": len(stage.done), "total": len(stage.units)}
    return found


def units_of(layout: Layout, submission: str, attempt: str) -> View:
    """Return which Units are done: of the last step that has many, or of the first before there are any.

    ``current`` are those that were begun and are not done; ``grid`` is what the step that listed them has
    said of how they cover an image, null where it has not.  Raises Gone where nothing was begun or is left.
    """
    folder = layout.work_dir(submission, attempt)
    release = files.read_json(layout.release(files.read_json(layout.plan(submission))["release"]))
    if release is None or not os.path.isdir(folder):
        raise Gone()
    found = list(stages(layout, submission, attempt, release["manifest"]["steps"]))
    step, lists, units, done = ([stage for stage in found if stage.lists] or found)[-1]
    flags = [step + "." + unit in done for unit in units[:MAX_UNITS]]
    leases = {tuple(name.split(".")[:2]) for name in files.names_in(os.path.join(folder, "leases"))}
    open_ones = [] if os.path.exists(layout.result(attempt)) else list(enumerate(zip(units, flags)))
    current = [place for place, (unit, is_done) in open_ones if (step, unit) in leases and not is_done]
    said = lists[0]["result"].get("grid") if len(lists) == 1 else None
    told = {"step": step, "units": len(flags), "done": messages.bitmap(flags)}
    return dict(told, grid=said if messages.grid(said) else None, current=current[:MAX_CURRENT])


def states_of(scheduler: Any, arrays: List[str]) -> Dict[str, Dict[str, Any]]:
    """Return what the scheduler says of each of these arrays; where it says nothing, that it is unknown."""
    said: Dict[str, Dict[str, Any]] = {}
    asked = [array for array in arrays if array]
    with contextlib.suppress(SchedulerUnknown):
        said = scheduler.states(asked) if asked else {}
    return {array: said.get(array, {"state": "unknown"}) for array in arrays}


class Work:
    """An open Submission, as one connection knows it."""

    def __init__(self, plan: View, release: View) -> None:
        self.steps: List[View] = release["manifest"]["steps"]
        self.notes: Dict[str, View] = {entry["attempt"]: entry["note"] for entry in plan["attempts"]}
        self.open = set(self.notes)  # what was not released
        self.arrays: Dict[Crew, str] = {}
        # folders -> their times, since when they have been the same, and when that was seen last
        self._seen: Dict[Tuple[str, ...], Tuple[List[int], float, float]] = {}

    def again(self, *folders: str) -> bool:
        """Say whether there may be something in these folders that was not there when this was last asked."""
        times, now = [files.time_of(folder) for folder in folders], time.monotonic()
        before, since, last = self._seen.get(folders, ([], now, now))
        self._seen[folders] = times, since if times == before else now, now
        return times != before or last - since <= SETTLE_SECONDS


class Board:
    """The changes of one key, as one connection saw them."""

    def __init__(self, layout: Layout, scheduler: Any) -> None:
        self._layout = layout
        self._scheduler = scheduler
        self._epoch, self._number = os.urandom(8).hex(), 0
        # Attempt or crew -> the number of its last change and what was told of it, in order of the changes
        self._told: "OrderedDict[Any, Tuple[int, View]]" = OrderedDict()
        self._works: Dict[str, Work] = {}
        self._closed: Set[str] = set()
        self._thorough_at = -THOROUGH_SECONDS

    def changes(self, cursor: str) -> View:
        """Return what changed since `cursor`, as far as it fits into one answer, and the next cursor."""
        thorough = time.monotonic() - self._thorough_at >= THOROUGH_SECONDS
        if thorough:
            self._thorough_at = time.monotonic()
        for submission in sorted(set(files.names_in(self._layout.submissions)) - self._closed):
            if os.path.exists(self._layout.submission_released(submission)):
                self._closed.add(submission)
                self._works.pop(submission, None)
                for name in [name for name, one in self._told.items() if one[1]["submission"] == submission]:
                    del self._told[name]
                continue
            if submission not in self._works:
                plan = files.read_json(self._layout.plan(submission))
                if plan is None:  # a submit was killed before it accepted anything
                    continue
                release = files.read_json(self._layout.release(plan["release"])) or NO_RELEASE
                self._works[submission] = Work(plan, release)
            self._look_at(submission, self._works[submission], thorough)
        self._ask_for_crews()
        epoch, _, number = cursor.partition(".")
        return self._answer(int(number) if epoch == self._epoch else 0)

    def _look_at(self, submission: str, work: Work, thorough: bool) -> None:
        if work.again(self._layout.submission_dir(submission)) or thorough:
            for crew in crews_of(self._layout, submission):
                work.arrays[crew] = array_of(self._layout, crew)
            due = sorted(work.open)
        else:
            begun = files.names_in(os.path.join(self._layout.work, submission))
            due = [name for name in begun if name in work.open and not self._has_ended(name)]
        for name in due:
            inside = self._layout.work_dir(submission, name)
            if work.again(self._layout.attempt_dir(name), inside + "/done", inside + "/leases"):
                self._examine(submission, work, name)

    def _has_ended(self, name: Any, array: str = "") -> bool:
        view = self._told[name][1] if name in self._told else {"state": ""}
        return view["state"] in FINAL and view.get("array", "") == array

    def _examine(self, submission: str, work: Work, name: str) -> None:
        owner = files.read_json(self._layout.owner(name)) or {"submission": ""}
        if owner["submission"] not in ("", submission):
            work.open.remove(name)
        elif os.path.exists(self._layout.released(name)):
            work.open.remove(name)
            self._told.pop(name, None)
        elif owner["submission"] and not self._has_ended(name):
            view = progress(self._layout, submission, name, work.steps)
            leases = files.names_in(os.path.join(self._layout.work_dir(submission, name), "leases"))
            view["state"] = "running" if leases else "queued"
            result = files.read_json(self._layout.result(name)) or {}
            view.update((field, result[field]) for field in RESULT if field in result)
            self._tell(name, dict(view, attempt=name, submission=submission))

    def _ask_for_crews(self) -> None:
        crews = [(crew, array) for work in self._works.values() for crew, array in work.arrays.items()]
        asked = {crew: array for crew, array in crews if not self._has_ended(crew, array)}
        states = states_of(self._scheduler, list(asked.values()))
        for crew, array in asked.items():
            known = {"submission": crew.submission, "class": crew.name, "round": crew.round, "array": array}
            self._tell(crew, dict(known, **states[array]))

    def _tell(self, name: Any, view: Dict[str, Any]) -> None:
        if name not in self._told or self._told[name][1] != view:
            self._number += 1
            self._told.pop(name, None)
            self._told[name] = (self._number, view)

    def _answer(self, cursor: int) -> Dict[str, Any]:
        attempts: List[Dict[str, Any]] = []
        crews: List[Dict[str, Any]] = []
        room = MAX_ANSWER
        latest = itertools.takewhile(lambda one: one[0] > cursor, reversed(self._told.values()))
        since = cursor
        for number, view in reversed(list(latest)):
            if "attempt" in view:
                view = dict(view, note=self._works[view["submission"]].notes[view["attempt"]])
            room -= len(canonical(view))
            if room < 0:
                break
            (attempts if "attempt" in view else crews).append(view)
            since = number
        name = "{}.{}".format(self._epoch, since)
        return {"cursor": name, "more": room < 0, "attempts": attempts, "crews": crews}
