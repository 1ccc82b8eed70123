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

import os
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from ..errors import SchedulerUnknown
from . import files
from .layout import Layout

Crew = NamedTuple("Crew", [("submission", str), ("name", str), ("round", int)])
Crew.__doc__ = """The workers of a Submission: `name` is that of their resource class."""

MAX_ANSWER = 1 << 19
FINAL = ("succeeded", "failed", "cancelled", "ended")


def open_submissions(layout: Layout) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Yield id and plan of each Submission of which something was not released."""
    names = os.listdir(layout.submissions) if os.path.isdir(layout.submissions) else []
    for submission in sorted(names):
        if os.path.exists(layout.plan(submission)) and not os.path.exists(layout.submission_released(submission)):
            yield submission, files.read_once(layout.plan(submission))


def owned(layout: Layout, submission: str, plan: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return the Attempts of the plan that this Submission, and no other, was accepted for."""
    owners = ((entry, files.read_json(layout.owner(entry["attempt"]))) for entry in plan["attempts"])
    return [entry for entry, owner in owners if owner and owner["submission"] == submission]


def alive(layout: Layout, submission: str, plan: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return the Attempts of this Submission that have no result."""
    return [entry for entry in owned(layout, submission, plan)
            if not os.path.exists(layout.result(entry["attempt"]))]


def crews_of(layout: Layout, submission: str) -> List[Crew]:
    """Return every crew that was ever meant to be started."""
    parts = [name.split(".") for name in os.listdir(layout.submission_dir(submission))]
    return sorted(Crew(submission, part[0], int(part[1])) for part in parts if part[2:] == ["intent", "json"])


def array_of(layout: Layout, crew: Crew) -> str:
    """Return the array that does a crew's work: the one that claimed it, else the one that was started, else ''."""
    record = files.read_json(layout.claim(*crew)) or files.read_json(layout.receipt(*crew)) or {"array": ""}
    return str(record["array"])


def progress(layout: Layout, submission: str, attempt: str, steps: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Return the first step that is not complete (or the last one), how many of its Units are done, and of how many.

    A step that does the Units of another step has as many as that one's records list.
    """
    folder = os.path.join(layout.work_dir(submission, attempt), "done")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    done: Dict[str, List[str]] = {}
    for name in names:
        done.setdefault(name.partition(".")[0], []).append(name)
    found: Dict[str, Any] = {"step": "", "done": 0, "total": 0}
    for step in steps:
        total = 1
        if "units" in step:
            records = [files.read_json(os.path.join(folder, name)) for name in done.get(step["units"], [])]
            total = sum(len(record["units"]) for record in records if record)
        found = {"step": step["do"], "done": len(done.get(step["do"], [])), "total": total}
        if found["done"] < total:
            break
    return found


class Board:
    """The changes of one key."""

    def __init__(self, layout: Layout, scheduler: Any) -> None:
        self._layout = layout
        self._scheduler = scheduler

    def changes(self, cursor: str) -> Dict[str, Any]:
        """Return what changed since `cursor`, as far as it fits into one answer, and the next cursor."""
        files.make_dirs(self._layout.submissions)
        with files.locked(self._layout.status + ".lock"):
            told = files.read_json(self._layout.status) or {"epoch": os.urandom(8).hex(), "seq": 0, "items": {}}
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
            room -= len(files.canonical(view))
            if room < 0:
                break
            (attempts if "attempt" in view else crews).append(view)
            since = number
        cursor = "{}.{}".format(told["epoch"], since)
        return {"cursor": cursor, "more": room < 0, "attempts": attempts, "crews": crews}

    def _views(self, before: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
        """Return everything that was not released as it is now; what has ended is not looked at again."""
        views: Dict[str, Dict[str, Any]] = {}
        for submission, plan in open_submissions(self._layout):
            for crew in crews_of(self._layout, submission):
                views["{}.{}.{}".format(*crew)] = {"submission": submission, "class": crew.name, "round": crew.round,
                                                   "array": array_of(self._layout, crew)}
            for entry in owned(self._layout, submission, plan):
                attempt = entry["attempt"]
                if os.path.exists(self._layout.released(attempt)):
                    continue
                old = before.get(attempt, [0, {}])[1]
                views[attempt] = old if old.get("state") in FINAL else self._attempt(submission, plan, entry)
        self._ask_for([view for view in views.values() if "array" in view])
        return views

    def _attempt(self, submission: str, plan: Dict[str, Any], entry: Dict[str, Any]) -> Dict[str, Any]:
        attempt = entry["attempt"]
        release = files.read_json(self._layout.release(plan["release"])) or {"manifest": {"steps": []}}
        view = progress(self._layout, submission, attempt, release["manifest"]["steps"])
        view.update(attempt=attempt, submission=submission, note=entry["note"])
        result = files.read_json(self._layout.result(attempt))
        if result:
            view.update((name, result[name]) for name in ("state", "tree", "error", "usage") if name in result)
        else:
            leases = os.path.join(self._layout.work_dir(submission, attempt), "leases")
            view["state"] = "running" if os.path.isdir(leases) and os.listdir(leases) else "queued"
        return view

    def _ask_for(self, crews: List[Dict[str, Any]]) -> None:
        arrays = [crew["array"] for crew in crews if crew["array"]]
        try:
            states = self._scheduler.states(arrays) if arrays else {}
        except SchedulerUnknown:
            states = {}
        for crew in crews:
            crew["state"] = states.get(crew["array"], "unknown")


def used(layout: Layout) -> Dict[str, Any]:
    """Return how many Attempts this key ever had a result for, and the seconds that they computed."""
    names = os.listdir(layout.attempts) if os.path.isdir(layout.attempts) else []
    results = [files.read_json(layout.result(name)) for name in names]
    seconds = sum(result["usage"].get("seconds", 0) for result in results if result)
    return {"attempts": len(names), "seconds": round(seconds, 3)}
