# SPDX-License-Identifier: BSD-3-Clause
"""How work is accepted, started once, called off and let go.

Every verb may be repeated, arrive late, arrive twice at the same time, or be cut off by ``kill -9`` between
any two system calls.  These are the steps of ``submit``, all under a lock of the Submission, and why they
stand in this order:

1. *Check everything* that can be checked: plan, Release, parameters, contents, limits.  A refusal leaves
nothing. 2. *plan.json*, exclusively.  What is accepted from here on is what stands in it, with defaults
filled in. 3. *owner.json* of each Attempt, exclusively.  An Attempt belongs to the first Submission that
names it; to every
   other one it is ``known``.  An Attempt with a tombstone gets no owner and is ``cancelled`` for ever.
4. *intent* of each crew: the job name and the argument list, flushed before the scheduler hears of it.
5. *the scheduler* starts one array under that name.
6. *receipt*: the array's id.

Killed before 4, nothing runs and the repeat goes on.  An intent without a receipt means that an array may
have been started: the repeat asks the scheduler for the name and adopts what it finds; only where the
scheduler is certain that there is none does it start one.  Where it cannot tell, the answer is
``scheduler-unknown``, and the question stays open until somebody repeats it.

All this saves work; it is not what makes the effect happen once.  Should a lost array come up after all,
its members find that another array has the *claim* (they write it, see the runner) and leave; and whatever
members compute, an Attempt's ``result.json`` can be created once.  For the same reason the claim, where
there is one, counts more than the receipt.

``cancel`` creates that same ``result.json`` with the state "cancelled", also for Attempts that nobody knows
yet; a submit that arrives later finds it.
"""

import contextlib
import os
import shutil
import sys
import time
from typing import Any, Dict, List, Tuple

from ..errors import (
    AttemptConflict, BadPlan, BadRequest, MissingBlobs, NotAllowed, NotFinished, NotFound, RoundTooEarly,
    SchedulerUnknown, UnknownRelease,
)
from . import checks, files, frames, status, trees
from .layout import Layout, class_of
from .limits import Limits

__all__ = ["Journal"]

MAX_PLAN = 16 << 20
MAX_MISSING = 5000


class Journal:
    """The accepted work of one key."""

    def __init__(self, layout: Layout, scheduler: Any, limits: Limits, program: str) -> None:
        """`program` is the folder with this version of the gate; crews run from it to their end."""
        self._layout = layout
        self._scheduler = scheduler
        self._limits = limits
        self._program = program

    # what may be started

    def releases(self) -> List[Dict[str, Any]]:
        """Return the Releases that this key may start."""
        folder = os.path.dirname(self._layout.release_dir(""))
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        found = [files.read_json(self._layout.release(name)) for name in names]
        return [release for release in found if release and self._allowed(release)]

    def _allowed(self, release: Dict[str, Any]) -> bool:
        workflows = self._layout.config["keys"][self._layout.key]["workflows"]
        return "*" in workflows or release["name"] in workflows

    # submit

    def submit(self, digest: str, number: int) -> Dict[str, Any]:
        """Accept the plan, or do what is left of accepting it, and see to it that its crew of round `number` starts."""
        submission = digest[:32]
        plan, release = self._load(digest)
        files.make_dirs(self._layout.submission_dir(submission))
        with files.locked(self._layout.submission_lock(submission)):
            works = {entry["attempt"]: _work(plan, entry) for entry in plan["attempts"]}
            self._check_attempts(works)
            files.create_json(self._layout.plan(submission), plan)
            plan = files.read_once(self._layout.plan(submission))
            answers = {attempt: self._accept(attempt, submission, work) for attempt, work in works.items()}
            crews = self._round(submission, plan, release, number)
        return {"submission": submission, "attempts": answers, "crews": crews}

    def _load(self, digest: str) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        """Return the plan as it will be kept, and its Release; raise what is wrong with it."""
        entries = trees.load_tree(self._layout, digest)
        if [name for name, _, _ in entries] != ["plan.json"]:
            raise BadPlan("The Tree of a plan has one entry, plan.json.")
        try:
            plan = frames.parse_object(trees.read_checked(self._layout, entries[0][2], MAX_PLAN))
        except ValueError as error:
            raise BadPlan("The plan cannot be read: {}.".format(error))
        checks.check_plan(plan)
        release = files.read_json(self._layout.release(plan["release"]))
        if release is None:
            raise UnknownRelease()
        if not self._allowed(release):
            raise NotAllowed()
        for step in release["manifest"]["steps"]:
            class_of(self._layout.config, step["class"])
        for entry in plan["attempts"]:
            self._check_inputs(release["manifest"]["inputs"], entry["inputs"])
            entry["parameters"] = checks.check_parameters(release["schema"], entry["parameters"])
        missing: List[str] = []
        for tree in sorted({tree for entry in plan["attempts"] for tree in entry["inputs"].values()}):
            missing += self._missing(tree)
        if missing:
            raise MissingBlobs(missing=sorted(set(missing))[:MAX_MISSING])
        plan.update(tree=digest, program=self._program)
        return plan, release

    def _missing(self, tree: str) -> List[str]:
        try:
            return trees.missing_of(self._layout, trees.load_tree(self._layout, tree))
        except MissingBlobs as error:
            return list(error.detail["missing"])

    def _check_inputs(self, described: Dict[str, Any], given: Dict[str, str]) -> None:
        needed = {name for name, about in described.items() if not about.get("optional")}
        if set(given) - set(described) or needed - set(given):
            raise BadPlan("The inputs of this workflow are: {}.".format(", ".join(sorted(described))))

    def _check_attempts(self, works: Dict[str, str]) -> None:
        new = 0
        for attempt, work in works.items():
            owner = files.read_json(self._layout.owner(attempt))
            if owner and owner["work"] != work:
                raise AttemptConflict(attempt=attempt)
            new += owner is None
        if new:
            alive = sum(len(status.alive(self._layout, *each)) for each in status.open_submissions(self._layout))
            self._limits.check_attempts(alive, new)

    def _accept(self, attempt: str, submission: str, work: str) -> str:
        files.make_dirs(self._layout.attempt_dir(attempt))
        path = self._layout.owner(attempt)
        created = False
        if not os.path.exists(self._layout.result(attempt)):
            created = files.create_json(path, {"submission": submission, "work": work})
        owner = files.read_json(path)
        if owner and owner["work"] != work:
            raise AttemptConflict(attempt=attempt)
        result = files.read_json(self._layout.result(attempt))
        if result and result["state"] == "cancelled":
            return "cancelled"
        return "accepted" if created else "known"

    # crews

    def _round(self, submission: str, plan: Dict[str, Any], release: Dict[str, Any], number: int) -> List[Any]:
        crews = status.crews_of(self._layout, submission)
        begun = [crew_class for crew_class, of_round in crews if of_round == number]
        fresh: List[str] = []
        if not begun:
            if number > 1 + max([of_round for _, of_round in crews] or [0]):
                raise BadRequest("Rounds follow one another.", field="round")
            fresh = self._classes_without_crew(submission, plan, release, crews)
            for crew_class in fresh:
                self._intend(submission, plan, release, crew_class, number)
        return [{"class": crew_class, "round": number,
                 "array": self._started(submission, crew_class, number, crew_class in fresh)}
                for crew_class in begun or fresh]

    def _classes_without_crew(self, submission: str, plan: Dict[str, Any], release: Dict[str, Any],
                              crews: List[Tuple[str, int]]) -> List[str]:
        steps = release["manifest"]["steps"]
        classes = {step["do"]: class_of(self._layout.config, step["class"])[0] for step in steps}
        unfinished = status.alive(self._layout, submission, plan)
        needed = {classes[status.progress(self._layout, submission, entry["attempt"], steps)["step"]]
                  for entry in unfinished}
        living = {crew_class for crew_class, of_round in crews
                  if crew_class in needed and self._lives(submission, crew_class, of_round)}
        if needed and needed == living:
            raise RoundTooEarly()
        return sorted(needed - living)

    def _lives(self, submission: str, crew_class: str, number: int) -> bool:
        array = status.array_of(self._layout, submission, crew_class, number)
        state = self._scheduler.states([array]).get(array, "unknown") if array else "unknown"
        if state == "unknown":
            raise SchedulerUnknown("It is not known whether the crew of round {} has ended.".format(number))
        return bool(state != "ended")

    def _intend(self, submission: str, plan: Dict[str, Any], release: Dict[str, Any], crew_class: str,
                number: int) -> None:
        settings = class_of(self._layout.config, crew_class)[1]
        most = release["manifest"].get("workers", {}).get("max", settings["members"])
        argv = [sys.executable, "-IS", plan["program"], "runner", "--home", self._layout.home,
                "--key", self._layout.key, "--submission", submission, "--class", crew_class,
                "--round", str(number)]
        files.create_json(self._layout.intent(submission, crew_class, number), {
            "name": "sg-{}.{}.{}".format(submission, crew_class, number), "argv": argv,
            "count": min(settings["members"], most), "resources": settings, "at": _now()})

    def _started(self, submission: str, crew_class: str, number: int, fresh: bool) -> str:
        """Return the array of a crew that was intended; start it only where it is certain that there is none."""
        array = status.array_of(self._layout, submission, crew_class, number)
        if not array:
            intent = files.read_json(self._layout.intent(submission, crew_class, number))
            found = [] if fresh else sorted(self._scheduler.find(intent["name"]))
            array = found[0] if found else self._scheduler.submit(
                intent["name"], intent["argv"], intent["count"], intent["resources"])
            files.create_json(self._layout.receipt(submission, crew_class, number), {"array": array, "at": _now()})
        return status.array_of(self._layout, submission, crew_class, number)

    # cancel and release

    def cancel(self, attempts: List[str]) -> Dict[str, Any]:
        """Let these Attempts have no effect any more, unless they have had it; return how each of them ended."""
        states = {}
        for attempt in attempts:
            files.make_dirs(self._layout.attempt_dir(attempt))
            files.create_json(self._layout.result(attempt), {
                "state": "cancelled", "at": _now(), "by": "cancel", "usage": {},
                "error": {"code": "cancelled", "message": "It was cancelled.", "transient": False}})
            states[attempt] = files.read_json(self._layout.result(attempt))["state"]
        for submission, plan in self._submissions_of(attempts):
            if not status.alive(self._layout, submission, plan):
                for crew_class, number in status.crews_of(self._layout, submission):
                    # A crew that cannot be reached finds nothing to do and leaves by itself.
                    with contextlib.suppress(SchedulerUnknown):
                        array = status.array_of(self._layout, submission, crew_class, number)
                        if array:
                            self._scheduler.cancel(array)
        return {"attempts": states}

    def release(self, attempts: List[str]) -> Dict[str, Any]:
        """Forget these Attempts, which were collected: their folders go, what they did stays on record."""
        known = [attempt for attempt in attempts if os.path.exists(self._layout.attempt_dir(attempt))]
        for attempt in known:
            if not os.path.exists(self._layout.result(attempt)):
                raise NotFinished(attempt=attempt)
        for attempt in known:
            files.create_json(self._layout.released(attempt), {"at": _now()})
        for submission, plan in self._submissions_of(known):
            for attempt in known:
                shutil.rmtree(self._layout.work_dir(submission, attempt), ignore_errors=True)
            entries = status.owned(self._layout, submission, plan)
            if all(os.path.exists(self._layout.released(entry["attempt"])) for entry in entries):
                files.create_json(self._layout.submission_released(submission), {"at": _now()})
                shutil.rmtree(self._layout.submission_work(submission), ignore_errors=True)
        return {"released": known}

    def log_of(self, attempt: str) -> str:
        """Return where the log of an Attempt lies; raise NotFound for one that this key does not have."""
        owner = files.read_json(self._layout.owner(attempt))
        if owner is None:
            raise NotFound()
        return self._layout.log(owner["submission"], attempt)

    def _submissions_of(self, attempts: List[str]) -> List[Tuple[str, Dict[str, Any]]]:
        owners = [files.read_json(self._layout.owner(attempt)) for attempt in attempts]
        names = sorted({owner["submission"] for owner in owners if owner})
        return [(name, files.read_once(self._layout.plan(name))) for name in names]


def _work(plan: Dict[str, Any], entry: Dict[str, Any]) -> str:
    """Return the digest of what an Attempt is to do; notes are not part of it."""
    what = {"release": plan["release"], "inputs": entry["inputs"], "parameters": entry["parameters"]}
    return files.digest_of(files.canonical(what))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
