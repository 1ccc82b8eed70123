# SPDX-License-Identifier: BSD-3-Clause
"""How work is accepted, started once, called off and let go.

Every verb may be repeated, arrive late, arrive twice at the same time, or be cut off by ``kill -9`` between
any two system calls.  These are the steps of ``submit``, all under a lock of the key, in the order that
makes this so:

1. *Check everything* that can be checked: plan, Release, parameters, contents, limits.  A refusal accepts
   nothing.
2. *plan.json*, exclusively.  What is accepted from here on is what stands in it, with defaults filled in.
3. *owner.json* of each Attempt, exclusively.  An Attempt belongs to the first Submission that names it; to
   every other one it is ``known``.  An Attempt with a tombstone gets no owner and is ``cancelled`` for ever.
4. *intent* of each crew: job names and argument lists.  Each holds those of all crews of its round, so that
   the repeat knows them when only the first was written.  All this is flushed before 5.
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
from typing import Any, ContextManager, Dict, List, Set, Tuple

from .. import errors
from ..protocol import frames
from ..protocol.canonical import canonical, digest_of
from . import checks, files, status, trees
from .layout import Layout, class_of
from .limits import Limits
from .status import Crew

Orders = Dict[str, Dict[str, Any]]  # class -> what the scheduler is asked for


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
        folder = os.path.join(self._layout.home, "releases")
        found = [files.read_json(self._layout.release(name)) for name in files.names_in(folder)]
        return [release for release in found if release and self._allowed(release)]

    def _release(self, digest: str) -> Dict[str, Any]:
        release: Dict[str, Any] = files.read_json(self._layout.release(digest))
        if release is None:
            raise errors.UnknownRelease()
        if not self._allowed(release):
            raise errors.NotAllowed()
        return release

    def _allowed(self, release: Dict[str, Any]) -> bool:
        return bool({"*", release["name"]} & set(self._layout.settings["workflows"]))

    # submit

    def submit(self, digest: str, number: int) -> Dict[str, Any]:
        """Accept the plan, or do what is left of accepting it, and let its crews of round `number` start."""
        submission = digest[:32]
        plan = files.read_json(self._layout.plan(submission)) or self._load(digest)
        with self._locked():
            crews = status.crews_of(self._layout, submission)
            begun = [crew for crew in crews if crew.round == number]
            orders = {} if begun else self._orders(submission, plan, number, crews)
            for crew in begun:
                orders.update(self._intent(crew))
            files.make_dirs(self._layout.submission_dir(submission))
            files.create_json(self._layout.plan(submission), plan, flush=False)
            files.make_dirs(self._layout.attempts)
            answers = {entry["attempt"]: self._accept(submission, entry) for entry in plan["attempts"]}
            # what owns nothing now never will, and has nothing to release
            if not status.owned(self._layout, submission, plan):
                files.create_json(self._layout.submission_released(submission), {"at": _now()})
            if not begun and not status.alive(self._layout, submission, plan):
                orders = {}
            fresh = [Crew(submission, name, number) for name in sorted(orders)]
            for crew in fresh:
                files.create_json(self._layout.crew("intent", *crew), orders, flush=False)
            for folder in (self._layout.attempts, self._layout.submission_dir(submission)):
                files.fsync_dir(folder)
            started = [self._start(crew, orders[crew.name], fresh=not begun) for crew in fresh]
        return {"submission": submission, "attempts": answers, "crews": started}

    def _load(self, digest: str) -> Dict[str, Any]:
        """Return the plan as it will be kept; raise what is wrong with it."""
        entries = trees.load_tree(self._layout, digest)
        if [name for name, _, _ in entries] != ["plan.json"]:
            raise errors.BadPlan("The Tree of a plan has one entry, plan.json.")
        try:
            plan = frames.parse_object(trees.read_checked(self._layout, entries[0][2], trees.MAX_TREE))
        except ValueError as error:
            raise errors.BadPlan("The plan cannot be read: {}.".format(error))
        checks.check_plan(plan)
        release = self._release(plan["release"])
        for step in release["manifest"]["steps"]:
            class_of(self._layout.config, step["class"])
        for entry in plan["attempts"]:
            checks.check_inputs(release["manifest"]["inputs"], entry["inputs"])
            entry["parameters"] = checks.check_parameters(release["schema"], entry["parameters"])
            entry["work"] = digest_of(canonical([plan["release"], entry["inputs"], entry["parameters"]]))
        return dict(plan, tree=digest, program=self._program)

    def _orders(self, submission: str, plan: Dict[str, Any], number: int, crews: List[Crew]) -> Orders:
        """Return the crews that a new round needs, and count them; or raise what keeps them from starting.

        There is one for each class that has work and no living crew.
        """
        if number > 1 + max([crew.round for crew in crews] or [0]):
            raise errors.BadRequest("Rounds follow one another.", field="round")
        new, mine = 0, []
        for entry in plan["attempts"]:
            owner = self._owner(entry) or {"submission": ""}
            if owner["submission"] in ("", submission) and not self._has_result(entry["attempt"]):
                new += not owner["submission"]
                mine.append(entry)
        self._check_contents(mine)
        orders = self._needed(submission, plan, number, mine)
        living = {crew.name for crew in self._living([one for one in crews if one.name in orders], sure=True)}
        if orders and living == set(orders):
            raise errors.RoundTooEarly()
        orders = {name: order for name, order in orders.items() if name not in living}
        jobs = sum(order["count"] for order in orders.values())
        hours = 0.0
        for order in orders.values():
            minutes = order["resources"].get("minutes", 0)
            self._limits.check("job_minutes", 0, minutes)
            hours += order["count"] * order["resources"].get("gpus", 0) * minutes / 60
        wanted = {"attempts_alive": new, "attempts_per_day": new, "jobs_alive": jobs, "jobs_per_day": jobs}
        if new or jobs:
            self._limits.take(dict(wanted, gpu_hours_per_day=hours), self.alive)
        return orders

    def _check_contents(self, entries: List[Dict[str, Any]]) -> None:
        missing: Set[str] = set()
        for tree in {tree for entry in entries for tree in entry["inputs"].values()}:
            try:
                missing.update(trees.missing_of(self._layout, trees.load_tree(self._layout, tree)))
            except errors.MissingBlobs as error:
                missing.update(error.detail["missing"])
        if missing:
            raise errors.MissingBlobs(missing=sorted(missing)[:5000])

    def _needed(self, submission: str, plan: Dict[str, Any], number: int, entries: List[Any]) -> Orders:
        """Return the order of a crew for each class that has work for these Attempts."""
        manifest = self._release(plan["release"])["manifest"]
        steps = manifest["steps"]
        classes = {step["do"]: class_of(self._layout.config, step["class"]) for step in steps}
        found = [status.progress(self._layout, submission, entry["attempt"], steps) for entry in entries]
        orders = {}
        for crew, settings in dict(classes[each["step"]] for each in found).items():
            count = min(settings["members"], manifest.get("workers", {}).get("max", 1000))
            argv = [sys.executable, "-IS", plan["program"], "runner", "--home", self._layout.home]
            argv += ["--key", self._layout.key, "--submission", submission]
            argv += ["--class", crew, "--round", str(number)]
            name = "sg-{}.{}.{}.{}".format(self._layout.key, submission, crew, number)
            orders[crew] = {"name": name, "argv": argv, "count": count, "resources": settings}
        return orders

    def _accept(self, submission: str, entry: Dict[str, Any]) -> str:
        attempt = entry["attempt"]
        os.makedirs(self._layout.attempt_dir(attempt), 0o700, exist_ok=True)
        owner = {"submission": submission, "work": entry["work"]}
        created = not self._has_result(attempt) and files.create_json(self._layout.owner(attempt), owner)
        result = files.read_json(self._layout.result(attempt)) or {"state": "none"}
        if result["state"] == "cancelled":
            return "cancelled"
        if os.path.exists(self._layout.released(attempt)):
            return "released"  # what it had made may be gone, and no status tells of it
        return "accepted" if created else "known"

    def _owner(self, entry: Dict[str, Any]) -> Any:
        owner = files.read_json(self._layout.owner(entry["attempt"]))
        if owner and owner["work"] != entry["work"]:
            raise errors.AttemptConflict(attempt=entry["attempt"])
        return owner

    def _has_result(self, attempt: str) -> bool:
        return os.path.exists(self._layout.result(attempt))

    # crews

    def alive(self) -> Dict[str, int]:
        """Count, by the names of their limits, what has no result or is not known to have ended."""
        attempts, crews = 0, []
        for submission, plan in status.open_submissions(self._layout):
            attempts += len(status.alive(self._layout, submission, plan))
            crews += status.crews_of(self._layout, submission)
        members = [self._intent(crew)[crew.name]["count"] for crew in self._living(crews)]
        return {"attempts_alive": attempts, "jobs_alive": sum(members)}

    def _intent(self, crew: Crew) -> Dict[str, Any]:
        """Return the orders of a crew's round, or its own alone, as the first gates wrote them."""
        found = files.read_json(self._layout.crew("intent", *crew))
        return found if crew.name in found else {crew.name: found}

    def _living(self, crews: List[Crew], sure: bool = False) -> Dict[Crew, str]:
        """Return those crews that have not ended, as far as is known, and their arrays.

        Where it must be `sure`, SchedulerUnknown is raised for what is not known.
        """
        arrays = {crew: status.array_of(self._layout, crew) for crew in crews}
        states = status.states_of(self._scheduler, list(arrays.values()))
        if sure and any(told["state"] == "unknown" for told in states.values()):
            raise errors.SchedulerUnknown("It is not known whether an earlier crew has ended.")
        return {crew: array for crew, array in arrays.items() if states[array]["state"] != "ended"}

    def _end_crews(self, submission: str) -> None:
        """End what is left of the crews of a Submission that has no work any more."""
        for array in self._living(status.crews_of(self._layout, submission)).values():
            # A crew that cannot be reached finds nothing to do and leaves by itself.
            with contextlib.suppress(errors.SchedulerError, errors.SchedulerUnknown):
                if array:
                    self._scheduler.cancel(array)

    def _start(self, crew: Crew, order: Dict[str, Any], fresh: bool) -> Dict[str, Any]:
        """Return a crew with its array; start one only where it is certain that there is none."""
        if not status.array_of(self._layout, crew):
            found = [] if fresh else sorted(self._scheduler.find(order["name"]))
            array = found[0] if found else self._scheduler.submit(**order)
            # if a power cut takes it, the array is asked for again
            files.write_json(self._layout.crew("receipt", *crew), {"array": array, "at": _now()}, flush=False)
        return {"class": crew.name, "round": crew.round, "array": status.array_of(self._layout, crew)}

    # cancel and release

    def cancel(self, attempts: List[str]) -> Dict[str, Any]:
        """Let these Attempts have no effect any more, unless they have had it; return how each ended."""
        states = {}
        error = {"code": "cancelled", "message": "It was cancelled.", "transient": False}
        new = sum(not os.path.isdir(self._layout.attempt_dir(attempt)) for attempt in attempts)
        if new:
            with self._locked():
                self._limits.take({"attempts_per_day": new}, self.alive)
        for attempt in attempts:
            files.make_dirs(self._layout.attempt_dir(attempt))
            record = {"state": "cancelled", "error": error, "usage": {}, "by": "cancel", "at": _now()}
            files.create_json(self._layout.result(attempt), record)
            states[attempt] = files.read_json(self._layout.result(attempt))["state"]
            owner = files.read_json(self._layout.owner(attempt))
            if owner:  # whoever watches its Submission finds it among those that have begun
                os.makedirs(self._layout.work_dir(owner["submission"], attempt), 0o700, exist_ok=True)
        for submission, plan in self._submissions_of(attempts):
            if not status.alive(self._layout, submission, plan):
                self._end_crews(submission)
        return {"attempts": states}

    def release(self, attempts: List[str]) -> Dict[str, Any]:
        """Forget these Attempts, which were collected: their folders go, what they did stays on record."""
        known = [attempt for attempt in attempts if os.path.exists(self._layout.attempt_dir(attempt))]
        for attempt in known:
            if not self._has_result(attempt):
                raise errors.NotFinished(attempt=attempt)
        for attempt in known:
            files.create_json(self._layout.released(attempt), {"at": _now()})
        for submission, plan in self._submissions_of(known):
            os.utime(self._layout.submission_dir(submission))  # whoever watches it looks again
            entries = status.owned(self._layout, submission, plan)
            released = [os.path.exists(self._layout.released(entry["attempt"])) for entry in entries]
            for attempt in known:
                shutil.rmtree(self._layout.work_dir(submission, attempt), ignore_errors=True)
            if all(released):
                self._end_crews(submission)
                files.create_json(self._layout.submission_released(submission), {"at": _now()})
                shutil.rmtree(os.path.join(self._layout.work, submission), ignore_errors=True)
        return {"released": known}

    def work_of(self, attempt: str) -> Tuple[str, str]:
        """Return Submission and key of an Attempt; raise NotFound for one that this key does not have."""
        owner = files.read_json(self._layout.owner(attempt))
        if owner is None:
            raise errors.NotFound()
        return owner["submission"], attempt

    def _submissions_of(self, attempts: List[str]) -> List[Tuple[str, Dict[str, Any]]]:
        owners = [files.read_json(self._layout.owner(attempt)) for attempt in attempts]
        names = sorted({owner["submission"] for owner in owners if owner})
        return [(name, files.read_json(self._layout.plan(name))) for name in names]

    def _locked(self) -> ContextManager[int]:
        return files.locked(self._layout.submissions + ".lock")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
