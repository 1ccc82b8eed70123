# SPDX-License-Identifier: BSD-3-Clause
"""What became of the work, told by files.

The state of an Attempt follows from what lies in its folders: a result says how it ended; a lease that
somebody works on it; neither, that it waits.  Nothing here depends on what was told before, so a gate that
was away for a week tells the truth at once.  Only crews are asked for at the scheduler, and what it says is
passed on as a hint.

Clients ask "what changed since this cursor?".  For that one file per key keeps what was told last: each
Attempt or crew with the number of the change that it was told with.  A cursor names the file's epoch and a
number.  The file holds no truth: if it is lost, an epoch begins and everything that was not released is
told once more.
"""

import contextlib
import os
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from ..errors import SchedulerUnknown
from . import files
from .layout import Layout

# the workers of a Submission; `name` is that of their resource class
Crew = NamedTuple("Crew", [("submission", str), ("name", str), ("round", int)])

MAX_ANSWER = 1 << 19
RESULT = ("state", "tree", "error", "usage")
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
    record = files.read_json(layout.claim(*crew)) or files.read_json(layout.receipt(*crew))
    return str(record["array"]) if record else ""


def progress(layout: Layout, submission: str, attempt: str, steps: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Return the first step that is not complete (or the last one), and how many of its Units are done.

    A step that does the Units of another step has as many as that one's records list.
    """
    folder = os.path.join(layout.work_dir(submission, attempt), "done")
    done: Dict[str, List[str]] = {}
    for name in files.names_in(folder):
        done.setdefault(name.partition(".")[0], []).append(name)
    found: Dict[str, Any] = {"step": "", "done": 0, "total": 0}
    for step in steps:
        listed = [files.read_json(os.path.join(folder, name)) for name in done.get(step.get("units", ""), [])]
        total = sum(len(record["units"]) for record in listed if record) if "units" in step else 1
        found = {"step": step["do"], "done": len(done.get(step["do"], [])), "total": total}
        if found["done"] < total:
            break
    return found


class Board:
    """The changes of one key."""

    def __init__(self, layout: Layout, scheduler: Any) -> None:
        self._layout = layout
        self._scheduler = scheduler
        self._notes: Dict[str, Any] = {}

    def changes(self, cursor: str) -> Dict[str, Any]:
        """Return what changed since `cursor`, as far as it fits into one answer, and the next cursor."""
        with files.locked(self._layout.status + ".lock"):
            told = files.read_json(self._layout.status)
            told = told or {"epoch": os.urandom(8).hex(), "seq": 0, "items": {}}
            before = told["items"]
            told["items"] = {}
            for name, view in self._views(before).items():
                item = before.get(name)
                if item is None or item[1] != view:
                    told["seq"] += 1
                    item = [told["seq"], view]
                told["items"][name] = item
            if told["items"] != before:
                files.write_json(self._layout.status, told)
        epoch, _, number = cursor.partition(".")
        return self._answer(told, int(number) if epoch == told["epoch"] else 0)

    def _answer(self, told: Dict[str, Any], since: int) -> Dict[str, Any]:
        attempts: List[Dict[str, Any]] = []
        crews: List[Dict[str, Any]] = []
        room = MAX_ANSWER
        for number, view in sorted(told["items"].values(), key=lambda item: int(item[0])):
            if number <= since:
                continue
            if "attempt" in view:
                view = dict(view, note=self._notes[view["attempt"]])
            room -= len(files.canonical(view))
            if room < 0:
                break
            (attempts if "attempt" in view else crews).append(view)
            since = number
        cursor = "{}.{}".format(told["epoch"], since)
        return {"cursor": cursor, "more": room < 0, "attempts": attempts, "crews": crews}

    def _views(self, before: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
        """Return everything that was not released as it is now; what has ended is not looked at again."""
        final = {name: view for name, (_, view) in before.items() if view["state"] in FINAL}
        views: Dict[str, Dict[str, Any]] = {}
        for submission, plan in open_submissions(self._layout):
            for crew in crews_of(self._layout, submission):
                name = "{}.{}.{}".format(*crew)
                known = {"submission": submission, "class": crew.name, "round": crew.round}
                views[name] = final.get(name) or dict(known, array=array_of(self._layout, crew))
            release = files.read_json(self._layout.release(plan["release"])) or {"manifest": {"steps": []}}
            steps = release["manifest"]["steps"]
            for entry in owned(self._layout, submission, plan):
                name = entry["attempt"]
                self._notes[name] = entry["note"]
                if not os.path.exists(self._layout.released(name)):
                    views[name] = final.get(name) or self._attempt(submission, name, steps)
        asked = [view for view in views.values() if "state" not in view]
        arrays = [view["array"] for view in asked if view["array"]]
        states: Dict[str, Dict[str, Any]] = {}
        with contextlib.suppress(SchedulerUnknown):
            states = self._scheduler.states(arrays) if arrays else {}
        for view in asked:
            view.update(states.get(view["array"], {"state": "unknown"}))
        return views

    def _attempt(self, submission: str, attempt: str, steps: List[Dict[str, Any]]) -> Dict[str, Any]:
        now = dict(progress(self._layout, submission, attempt, steps), attempt=attempt, submission=submission)
        leases = files.names_in(os.path.join(self._layout.work_dir(submission, attempt), "leases"))
        result = files.read_json(self._layout.result(attempt)) or {"state": "running" if leases else "queued"}
        return dict(now, **{name: result[name] for name in RESULT if name in result})


def used(layout: Layout) -> Dict[str, Any]:
    """Return how many Attempts this key ever named, and the seconds that those with a result computed."""
    names = files.names_in(layout.attempts)
    results = [files.read_json(layout.result(name)) for name in names]
    seconds = sum(result["usage"].get("seconds", 0) for result in results if result)
    return {"attempts": len(names), "seconds": round(seconds, 3)}
