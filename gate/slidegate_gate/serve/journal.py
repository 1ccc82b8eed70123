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
from typing import Any, Dict, List, Set, Tuple

from .. import errors
from . import checks, files, frames, status, trees
from .layout import Layout, class_of
from .limits import Limits
from .status import Crew


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
        """Accept the plan, or do what is left of accepting it, and let its crew of round `number` start."""
        submission = digest[:32]
        plan = files.read_json(self._layout.plan(submission)) or self._load(digest)
        files.make_dirs(self._layout.submission_dir(submission))
        with files.locked(self._layout.submissions + ".lock"):
            begun = [crew for crew in status.crews_of(self._layout, submission) if crew.round == number]
            if not begun:
                self._check_contents(plan)
            self._check_attempts(plan)
            files.create_json(self._layout.plan(submission), plan)
            answers = {entry["attempt"]: self._accept(submission, entry) for entry in plan["attempts"]}
            crews = begun or self._intend(submission, plan, number)
            started = [self._start(crew, fresh=not begun) for crew in crews]
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
            work = [plan["release"], entry["inputs"], entry["parameters"]]
            entry["work"] = files.digest_of(files.canonical(work))
        return dict(plan, tree=digest, program=self._program)

    def _check_contents(self, plan: Dict[str, Any]) -> None:
        missing: Set[str] = set()
        for tree in {tree for entry in plan["attempts"] for tree in entry["inputs"].values()}:
            try:
                missing.update(trees.missing_of(self._layout, trees.load_tree(self._layout, tree)))
            except errors.MissingBlobs as error:
                missing.update(error.detail["missing"])
        if missing:
            raise errors.MissingBlobs(missing=sorted(missing)[:5000])

    def _check_attempts(self, plan: Dict[str, Any]) -> None:
        new = sum(self._owner(entry) is None for entry in plan["attempts"])
        if new:
            alive = [status.alive(self._layout, *each) for each in status.open_submissions(self._layout)]
            self._limits.check_attempts(sum(map(len, alive)), new)

    def _accept(self, submission: str, entry: Dict[str, Any]) -> str:
        attempt = entry["attempt"]
        files.make_dirs(self._layout.attempt_dir(attempt))
        owner = {"submission": submission, "work": entry["work"]}
        free = not os.path.exists(self._layout.result(attempt))
        created = free and files.create_json(self._layout.owner(attempt), owner)
        self._owner(entry)
        result = files.read_json(self._layout.result(attempt)) or {"state": "none"}
        if result["state"] == "cancelled":
            return "cancelled"
        return "accepted" if created else "known"

    def _owner(self, entry: Dict[str, Any]) -> Any:
        owner = files.read_json(self._layout.owner(entry["attempt"]))
        if owner and owner["work"] != entry["work"]:
            raise errors.AttemptConflict(attempt=entry["attempt"])
        return owner

    # crews

    def _intend(self, submission: str, plan: Dict[str, Any], number: int) -> List[Crew]:
        """Write down the crews of a new round: one for each class that has work and no living crew."""
        crews = status.crews_of(self._layout, submission)
        if number > 1 + max([crew.round for crew in crews] or [0]):
            raise errors.BadRequest("Rounds follow one another.", field="round")
        manifest = self._release(plan["release"])["manifest"]
        classes = {step["do"]: class_of(self._layout.config, step["class"]) for step in manifest["steps"]}
        needed = {}
        for entry in status.alive(self._layout, submission, plan):
            step = status.progress(self._layout, submission, entry["attempt"], manifest["steps"])["step"]
            name, needed[name] = classes[step]
        living = {crew.name for crew in crews if crew.name in needed and self._lives(crew)}
        if needed and living == set(needed):
            raise errors.RoundTooEarly()
        fresh = [Crew(submission, name, number) for name in sorted(set(needed) - living)]
        for crew in fresh:
            settings = needed[crew.name]
            count = min(settings["members"], manifest.get("workers", {}).get("max", 1000))
            argv = [sys.executable, "-IS", plan["program"], "runner", "--home", self._layout.home]
            argv += ["--key", self._layout.key, "--submission", submission]
            argv += ["--class", crew.name, "--round", str(number)]
            name = "sg-{}.{}.{}.{}".format(self._layout.key, *crew)
            order = {"name": name, "argv": argv, "count": count, "resources": settings}
            files.create_json(self._layout.intent(*crew), order)
        return fresh

    def _lives(self, crew: Crew) -> bool:
        array = status.array_of(self._layout, crew)
        state = self._scheduler.states([array]).get(array, {}).get("state") if array else None
        if state not in ("queued", "running", "ended"):
            raise errors.SchedulerUnknown("It is not known whether an earlier crew has ended.")
        return bool(state != "ended")

    def _start(self, crew: Crew, fresh: bool) -> Dict[str, Any]:
        """Return a crew with its array; start one only where it is certain that there is none."""
        if not status.array_of(self._layout, crew):
            intent = files.read_json(self._layout.intent(*crew))
            found = [] if fresh else sorted(self._scheduler.find(intent["name"]))
            array = found[0] if found else self._scheduler.submit(**intent)
            files.create_json(self._layout.receipt(*crew), {"array": array, "at": _now()})
        return {"class": crew.name, "round": crew.round, "array": status.array_of(self._layout, crew)}

    # cancel and release

    def cancel(self, attempts: List[str]) -> Dict[str, Any]:
        """Let these Attempts have no effect any more, unless they have had it; return how each ended."""
        states = {}
        error = {"code": "cancelled", "message": "It was cancelled.", "transient": False}
        for attempt in attempts:
            files.make_dirs(self._layout.attempt_dir(attempt))
            record = {"state": "cancelled", "error": error, "usage": {}, "by": "cancel", "at": _now()}
            files.create_json(self._layout.result(attempt), record)
            states[attempt] = files.read_json(self._layout.result(attempt))["state"]
        for submission, plan in self._submissions_of(attempts):
            if not status.alive(self._layout, submission, plan):
                for crew in status.crews_of(self._layout, submission):
                    array = status.array_of(self._layout, crew)
                    # A crew that cannot be reached finds nothing to do and leaves by itself.
                    with contextlib.suppress(errors.SchedulerError, errors.SchedulerUnknown):
                        if array:
                            self._scheduler.cancel(array)
        return {"attempts": states}

    def release(self, attempts: List[str]) -> Dict[str, Any]:
        """Forget these Attempts, which were collected: their folders go, what they did stays on record."""
        known = [attempt for attempt in attempts if os.path.exists(self._layout.attempt_dir(attempt))]
        for attempt in known:
            if not os.path.exists(self._layout.result(attempt)):
                raise errors.NotFinished(attempt=attempt)
        for attempt in known:
            files.create_json(self._layout.released(attempt), {"at": _now()})
        for submission, plan in self._submissions_of(known):
            entries = status.owned(self._layout, submission, plan)
            released = [os.path.exists(self._layout.released(entry["attempt"])) for entry in entries]
            for attempt in known:
                shutil.rmtree(self._layout.work_dir(submission, attempt), ignore_errors=True)
            if all(released):
                files.create_json(self._layout.submission_released(submission), {"at": _now()})
                shutil.rmtree(os.path.join(self._layout.work, submission), ignore_errors=True)
        return {"released": known}

    def log_of(self, attempt: str) -> str:
        """Return where the log of an Attempt lies; raise NotFound for one that this key does not have."""
        owner = files.read_json(self._layout.owner(attempt))
        if owner is None:
            raise errors.NotFound()
        return self._layout.log(owner["submission"], attempt)

    def _submissions_of(self, attempts: List[str]) -> List[Tuple[str, Dict[str, Any]]]:
        owners = [files.read_json(self._layout.owner(attempt)) for attempt in attempts]
        names = sorted({owner["submission"] for owner in owners if owner})
        return [(name, files.read_json(self._layout.plan(name))) for name in names]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
